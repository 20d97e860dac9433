// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Diagnostics
import Project

/// Suggests verbs, because the parser suggests only options.
enum VerbSuggestion {
    /// The verb nearest to an unknown word, with its parent verbs; nil when all words are known, or none is near
    /// enough.
    static func verb(for arguments: [String]) -> String? {
        var command: any ParsableCommand.Type = Kbuild.self
        var path = ["kbuild"]
        for word in arguments {
            let verbs = command.configuration.subcommands
            // The words after the last verb are its arguments; options come after verbs.
            guard !verbs.isEmpty, !word.hasPrefix("-") else { return nil }
            guard let verb = verbs.first(where: { $0.name == word }) else {
                return closestMatch(to: word, among: verbs.map { $0.name }).map { (path + [$0]).joined(separator: " ") }
            }
            command = verb
            path.append(word)
        }
        return nil
    }
}

extension ParsableCommand {
    /// The command's name, by the parser's rule when none is given.
    static var name: String { configuration.commandName ?? String(describing: Self.self).lowercased() }
}
