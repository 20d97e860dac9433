// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Diagnostics
import Project

/// The parser suggests options; this does the same for verbs.
enum VerbSuggestion {
    /// The verb that an unknown word was meant to be, with the verbs above it; nil when all words are known, or none is
    /// near enough.
    static func verb(for arguments: [String]) -> String? {
        var command: any ParsableCommand.Type = Kbuild.self
        var path = ["kbuild"]
        for word in arguments {
            let verbs = command.configuration.subcommands
            // What follows the last verb are its own arguments; options come after verbs.
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
    /// The word that stands for the command: the parser's own rule where none is given.
    static var name: String { configuration.commandName ?? String(describing: Self.self).lowercased() }
}
