// SPDX-License-Identifier: Apache-2.0
extension StringProtocol {
    /// The text without spaces, tabs and carriage returns at its ends.
    package var trimmed: String { String(trimmingBlanks) }

    /// The text without spaces, tabs and carriage returns at its ends, as a part of the same text.
    package var trimmingBlanks: SubSequence {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" }
        guard let start = firstIndex(where: { !isBlank($0) }), let end = lastIndex(where: { !isBlank($0) }) else {
            return self[endIndex...]
        }
        return self[start...end]
    }

    /// The text without the newlines at its end.
    package var trimmingNewlines: String {
        var text = String(self)
        while text.hasSuffix("\n") { text.removeLast() }
        return text
    }
}
