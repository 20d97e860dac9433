// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The selected tests: those that match every filter and no skip pattern.
package struct TestSelection {
    private var filters: [Regex<AnyRegexOutput>] = []
    private var skips: [Regex<AnyRegexOutput>] = []

    /// - Throws: `Failure` (`usage`) when the pattern is not a regular expression.
    package init(filter: String?) throws(Failure) {
        if let filter { filters.append(try Self.regex(filter)) }
    }

    /// Selects the names that a user means by some words: names that contain all words, in this order, in any case,
    /// with any text between them. `hello-there` selects HelloThereTests.
    package init(asTyped words: String) throws(Failure) {
        let parts = words.split { !$0.isLetter && !$0.isNumber }.map { Self.escaped(String($0)) }
        // A pattern of punctuation marks alone names nothing.
        filters.append(try Self.regex(parts.isEmpty ? "(?!)" : "(?i)" + parts.joined(separator: ".*")))
    }

    /// The suite or program with the name nearest to a word.
    package static func guess(for word: String, among names: [String]) -> String? {
        // A name consists of parts, and a part of words.
        var meant: [String: String] = [:]
        for part in names.flatMap({ $0.split { "./() :".contains($0) } }).map(String.init) {
            var words: [String] = [part]
            for character in part {
                if character.isUppercase || words.count == 1 { words.append("") }
                words[words.count - 1].append(character)
            }
            for word in words where word.count > 1 && meant[word] == nil { meant[word] = part }
            for suffix in ["Tests", "Test"] where part.hasSuffix(suffix) {
                meant[String(part.dropLast(suffix.count))] = part
            }
        }
        return closestMatch(to: word, among: meant.keys.sorted()).flatMap { meant[$0] }
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
