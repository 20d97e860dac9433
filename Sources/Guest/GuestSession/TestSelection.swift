// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Which tests are to run: those that match every filter and no skip pattern.
package struct TestSelection {
    private var filters: [Regex<AnyRegexOutput>] = []
    private var skips: [Regex<AnyRegexOutput>] = []

    /// - Throws: `Failure` (`usage`) when the pattern is no regular expression.
    package init(filter: String?) throws(Failure) {
        if let filter { filters.append(try Self.regex(filter)) }
    }

    package func adding(filter: String?, skip: String?) throws(Failure) -> TestSelection {
        var selection = self
        if let filter { selection.filters.append(try Self.regex(filter)) }
        if let skip { selection.skips.append(try Self.regex(skip)) }
        return selection
    }

    package func includes(_ name: String) -> Bool {
        filters.allSatisfy { name.contains($0) } && !skips.contains { name.contains($0) }
    }

    private static func regex(_ pattern: String) throws(Failure) -> Regex<AnyRegexOutput> {
        do {
            return try Regex(pattern)
        } catch {
            throw Failure(.usage, "\(pattern) is not a regular expression", details: "\(error)")
        }
    }

    /// The pattern that matches `text` and nothing else.
    package static func escaped(_ text: String) -> String {
        text.map { character in
            character.isLetter || character.isNumber || character == "_" || character == "/"
                ? "\(character)" : "\\\(character)"
        }.joined()
    }
}
