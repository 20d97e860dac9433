// SPDX-License-Identifier: Apache-2.0
import ResultsModel

extension Crash {
    /// When it came and where it was found, as a part of a sentence: "while TEST ran", "at boot"; nil when nothing is
    /// known.
    var moment: String? {
        guard !momentParts.isEmpty else { return nil }
        return momentParts.map { part in
            switch part {
            case .words(let words): words.description
            case .test(let name): name
            }
        }.joined()
    }

    /// A part of the sentence in `moment`.
    enum MomentPart {
        /// kbuild's own words.
        case words(StaticString)
        /// The name of a test, which is foreign text.
        case test(String)
    }

    /// `moment` in parts, for another format; empty when nothing is known.
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
