// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Removes a system call's entry from the text of a spec without changing the rest, including comments.
package enum SyscallRemoval {
    /// The text without the entry: from the line with the call's name to the next line that is not indented deeper.
    ///
    /// - Returns: Nil when the entry does not begin on a separate line.
    package static func inSpec(_ text: String, name: String) -> String? {
        // Lines with their CR, if they have one.
        let lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map { Substring($0) }
        guard let first = lines.firstIndex(where: { begins($0, entryOf: name) }) else { return nil }
        let depth = indent(lines[first])
        let next = lines[(first + 1)...].firstIndex { !isBlank($0) && indent($0) <= depth } ?? lines.endIndex
        // Blank lines at the end separate the next entry.
        var end = next
        while end > first + 1, isBlank(lines[end - 1]) { end -= 1 }
        return (lines[..<first] + lines[end...]).joined(separator: "\n")
    }

    /// Whether a line is `- name: NAME`, or a whole `- {name: NAME, ...}`.
    private static func begins(_ line: Substring, entryOf name: String) -> Bool {
        var words = String(line).filter { $0 != "\"" && $0 != "'" && $0 != " " && $0 != "\r" }[...]
        if let comment = line.firstRange(of: " #") {
            words = String(line[..<comment.lowerBound]).filter { $0 != "\"" && $0 != "'" && $0 != " " }[...]
        }
        if words == "-name:\(name)" { return true }
        let isFlow = words.hasPrefix("-{name:\(name),") || words == "-{name:\(name)}"
        return isFlow && words.hasSuffix("}")
    }

    private static func indent(_ line: Substring) -> Int { line.utf8.prefix { $0 == 0x20 }.count }

    private static func isBlank(_ line: Substring) -> Bool { line.utf8.allSatisfy { $0 == 0x20 || $0 == 0x0D } }
}
