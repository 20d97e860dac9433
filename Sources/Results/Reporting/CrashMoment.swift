// SPDX-License-Identifier: Apache-2.0
import ResultsModel

extension Crash {
    /// When it came and where it was found, as it stands in a sentence: "while TEST ran", "at boot"; nil when there is
    /// nothing to say.
    var moment: String? {
        guard !momentParts.isEmpty else { return nil }
        return momentParts.map { part in
            switch part {
            case .words(let words): words.description
            case .test(let name): name
            }
        }.joined()
    }

    /// A part of the sentence that `moment` is.
    enum MomentPart {
        /// Words of kbuild's.
        case words(StaticString)
        /// The name of a test, which is not kbuild's.
        case test(String)
    }

    /// `moment` in parts, for a format of its own; empty when there is nothing to say.
    var momentParts: [MomentPart] {
        var parts: [MomentPart] = []
        if let test {
            parts = [.words("while "), .test(test), .words(" ran")]
        } else if isAtBoot {
            parts = [.words("at boot")]
        }
        if isFromMemory {
            if !parts.isEmpty { parts.append(.words(", ")) }
            parts.append(.words("hidden from the console, found in the kernel's memory"))
        }
        return parts
    }
}
