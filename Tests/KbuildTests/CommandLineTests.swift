// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Testing

@testable import kbuild

/// The parser's results for command lines, and its messages.
@Suite("Command line", .timeLimit(.minutes(30)))
struct CommandLineTests {
    /// Every command with the verbs that lead to it.
    private static func commands(
        _ command: any ParsableCommand.Type = Kbuild.self, _ path: [String] = []
    ) -> [(path: [String], type: any ParsableCommand.Type)] {
        [(path, command)] + command.configuration.subcommands.flatMap { commands($0, path + [$0.name]) }
    }

    @Test("every command has an abstract and examples, which parse")
    func examples() throws {
        #expect(Self.commands().count > 20)
        for (path, command) in Self.commands() {
            #expect(!command.configuration.abstract.isEmpty, "\(path)")
            let lines = command.configuration.discussion.split(separator: "\n")
            // Prose stands at the margin, examples are indented.
            let examples = lines.filter { $0.hasPrefix("  ") && $0.contains("kbuild") }
            #expect(!examples.isEmpty, "kbuild \(path.joined(separator: " ")) has no example")
            for example in examples where !example.contains(/[|&$"'~]/) {
                // Remarks stand two spaces and more after a command.
                let line = example.drop { $0 == " " }.split(separator: "  ").first ?? ""
                let words = line.split(separator: " ").dropFirst().map(String.init)
                #expect(throws: Never.self, "\(line)") { try Kbuild.parseAsRoot(words) }
            }
        }
    }

    @Test("a disk is a size or a file, which is relative to the working directory and read-only without rw")
    func disks() {
        #expect(MachineOptions.disk("2G") == ["size": "2G"])
        #expect(MachineOptions.disk("/a/x.img") == ["file": "/a/x.img"])
        #expect(MachineOptions.disk("/a/x.img:rw") == ["file": "/a/x.img", "writable": "on"])
        #expect(MachineOptions.disk("x.img") == ["file": fromHere("x.img")])
        #expect(fromHere("x.img") == FileManager.default.currentDirectoryPath + "/x.img")
        #expect(MachineOptions.disk("./2G") == ["file": fromHere("2G")])
    }

    @Test(
        "a misspelt verb gets a suggestion",
        arguments: [
            (["rnu"], "kbuild run"), (["docter", "--format", "json"], "kbuild doctor"),
            (["patch", "aply"], "kbuild patch apply"), (["syscall", "ceck"], "kbuild syscall check"),
            (["hlep"], "kbuild help"), (["HELP"], "kbuild help"), (["tset"], "kbuild test"),
            (["patch", "hlep"], "kbuild help patch"), (["patch", "help"], "kbuild help patch"),
        ])
    func verbs(arguments: [String], suggestion: String) {
        #expect(throws: (any Error).self) { try Kbuild.parseAsRoot(arguments) }
        #expect(VerbSuggestion.verb(for: arguments) == suggestion)
    }

    @Test("every verb with two neighbouring letters swapped, a letter too few or one too many is suggested itself")
    func siblings() {
        var tried = 0
        for (path, _) in Self.commands() {
            guard let verb = path.last, verb.count > 2 else { continue }
            let letters = Array(verb)
            let taken = Set(Self.commands().filter { $0.path.dropLast() == path.dropLast() }.compactMap(\.path.last))
            var wrong = (1..<letters.count).map { place in
                var copy = letters
                copy.swapAt(place - 1, place)
                return String(copy)
            }
            wrong += [String(letters.dropLast()), verb + "x"]
            for word in wrong where !taken.contains(word) && word != "help" {
                tried += 1
                let arguments = Array(path.dropLast()) + [word]
                #expect(
                    VerbSuggestion.verb(for: arguments) == (["kbuild"] + path).joined(separator: " "), "\(arguments)")
            }
        }
        #expect(tried > 100)
    }

    @Test("help for an unknown command is refused with a suggestion, not answered with the first page")
    func pages() {
        #expect(VerbSuggestion.unknownPage(["help", "rnu"])?.contains("'rnu'") == true)
        #expect(VerbSuggestion.verb(for: ["help", "rnu"]) == "kbuild help run")
        #expect(VerbSuggestion.verb(for: ["help", "projcet-file"]) == "kbuild help project-file")
        #expect(VerbSuggestion.verb(for: ["help", "patch", "aply"]) == "kbuild help patch apply")
        #expect(VerbSuggestion.unknownPage(["help", "patch", "aply"]) != nil)
        for known in [["help"], ["help", "run"], ["help", "patch", "apply"], ["help", "help"], ["run", "rnu"]] {
            #expect(VerbSuggestion.unknownPage(known) == nil, "\(known)")
        }
    }

    @Test(
        "a word that is not a misspelt verb, or is a verb's argument, gets no suggestion",
        arguments: [
            ["xyzzyquux"], ["run", "tset"], ["--verson"], ["test", "rnu"], [],
        ])
    func others(arguments: [String]) {
        #expect(VerbSuggestion.verb(for: arguments) == nil)
    }

    @Test(
        "a misspelt option gets a suggestion",
        arguments: [
            (["run", "--acel", "tcg"], "--accel"), (["run", "--dryrun"], "--dry-run"),
            (["doctor", "--formt", "json"], "--format"), (["test", "--retires", "2"], "--retries"),
        ])
    func options(arguments: [String], suggestion: String) {
        do {
            _ = try Kbuild.parseAsRoot(arguments)
            Issue.record("\(arguments) parses")
        } catch {
            #expect(Kbuild.fullMessage(for: error).contains("Did you mean '\(suggestion)'?"))
        }
    }

    @Test("report -v is a flag, and -2 is a run")
    func verboseReport() throws {
        let command = try #require(try Kbuild.parseAsRoot(["report", "-v", "-2"]) as? ReportCommand)
        #expect(command.verbose && command.runs == ["-2"])
    }

    @Test("the shells' completion scripts name every verb", arguments: ["bash", "zsh", "fish"])
    func completion(shell: String) throws {
        do {
            _ = try Kbuild.parseAsRoot(["--generate-completion-script", shell])
            Issue.record("no script")
        } catch {
            #expect(Kbuild.exitCode(for: error) == .success)
            let script = Kbuild.fullMessage(for: error)
            for (path, _) in Self.commands() { for verb in path { #expect(script.contains(verb), "\(verb)") } }
            #expect(script.contains("microvm"))
        }
    }

    @Test(
        "modes that exclude each other are refused",
        arguments: [
            ["run", "--ci", "--shell-on-failure"], ["run", "--dry-run", "--shell-on-failure"],
            ["test", "--dry-run", "--list"], ["run", "--dry-run", "--", "true"], ["run", "--ci", "--", "true"],
            ["run", "--junit", "a.xml", "--", "true"], ["run", "--html", "a.html", "--", "true"],
            ["run", "--format", "json", "--", "true"],
        ])
    func exclusive(arguments: [String]) {
        #expect(throws: (any Error).self) { try Kbuild.parseAsRoot(arguments) }
    }
}
