// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Diagnostics
import Project

/// Suggests verbs, because the parser suggests only options.
enum VerbSuggestion {
    /// The parser's own verb, which no list of subcommands has.
    private static let help = "help"

    /// The verb nearest to an unknown word, with its parent verbs; nil when all words are known, or none is near
    /// enough.
    static func verb(for arguments: [String]) -> String? {
        var command: any ParsableCommand.Type = Kbuild.self
        var path = ["kbuild"]
        var words = arguments[...]
        let asksForHelp = words.first == help
        if asksForHelp {
            words.removeFirst()
            path.append(help)
        }
        for (place, word) in words.enumerated() {
            let verbs = command.configuration.subcommands
            // The words after the last verb are its arguments; options come after verbs.
            guard !verbs.isEmpty, !word.hasPrefix("-") else { return nil }
            if let verb = verbs.first(where: { $0.name == word }) {
                command = verb
                path.append(word)
                continue
            }
            var names = verbs.map { $0.name }
            if place == 0 { names.append(asksForHelp ? HelpPages.projectFile : help) }
            if asksForHelp, place == 0, word == HelpPages.projectFile || word == help { return nil }
            // The parser has help for a verb, but no verb has help.
            if place > 0, closestMatch(to: word, among: names + [help]) == help {
                return ([path[0], help] + path.dropFirst()).joined(separator: " ")
            }
            return closestMatch(to: word, among: names).map { (path + [$0]).joined(separator: " ") }
        }
        return nil
    }

    /// The message for `kbuild help WORD` with an unknown word, for which the parser prints the first page of its help;
    /// nil when all words are known.
    static func unknownPage(_ arguments: [String]) -> String? {
        guard arguments.first == help else { return nil }
        var command: any ParsableCommand.Type = Kbuild.self
        for (place, word) in arguments.dropFirst().enumerated() {
            if word.hasPrefix("-") || command.configuration.subcommands.isEmpty { return nil }
            if place == 0, word == help { return nil }
            guard let verb = command.configuration.subcommands.first(where: { $0.name == word }) else {
                return "kbuild has no command '\(word)' and no page of this name"
            }
            command = verb
        }
        return nil
    }
}

extension ParsableCommand {
    /// The command's name, by the parser's rule when none is given.
    static var name: String { configuration.commandName ?? String(describing: Self.self).lowercased() }
}
