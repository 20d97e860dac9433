// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Testing

@testable import kbuild

/// The documents agree with each other and with the command line.
@Suite("Documents", .timeLimit(.minutes(30)))
struct DocumentationTests {
    private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: repository.appending(path: path), encoding: .utf8)
    }

    /// The pages of a folder, by their paths in the repository.
    private static func pages(in folder: String) throws -> [String] {
        let names = try FileManager.default.subpathsOfDirectory(
            atPath: repository.appending(path: folder).path(percentEncoded: false))
        return names.filter { $0.hasSuffix(".md") }.map { "\(folder)/\($0)" }.sorted()
    }

    private static func allPages() throws -> [String] {
        try ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] + pages(in: "docs")
    }

    /// The prose of a page: code blocks are indented by four spaces or fenced.
    private static func prose(_ text: String) -> [Substring] {
        var isFenced = false
        return text.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            if line.hasPrefix("```") { isFenced.toggle() }
            return !isFenced && !line.hasPrefix("    ") && !line.hasPrefix("```")
        }
    }

    /// The anchor that GitHub gives a heading.
    private static func anchor(of heading: Substring) -> String {
        String(
            heading.drop { $0 == "#" }.drop { $0 == " " }.lowercased()
                .filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
                .map { $0 == " " ? "-" : $0 })
    }

    @Test("README has at most 150 lines")
    func length() throws {
        #expect(try Self.text("README.md").split(separator: "\n", omittingEmptySubsequences: false).count <= 151)
    }

    @Test("README's Swift code is from a suite that is compiled and run")
    func example() throws {
        let suite = "Tests/GuestTests/Tests/MsgboxTests"
        let sources = try ["Msgbox.swift", "MsgboxTests.swift"].map { try Self.text("\(suite)/\($0)") }.joined()
        let known = Set(sources.split(separator: "\n").map { $0.drop { $0 == " " } })
        let readme = try Self.text("README.md").split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(readme.firstIndex(of: "    // \(suite)"))
        let shown = readme[(start + 1)...].prefix { !$0.isEmpty }.map { $0.drop { $0 == " " } }.filter { $0 != "..." }
        #expect(shown.count > 5)
        for line in shown { #expect(known.contains(line), "\(line)") }
        // The failure that it shows is at its place.
        let failing = try #require(try #/MsgboxTests\.swift:(\d+)\n +> (.*)/#.firstMatch(in: Self.text("README.md")))
        let lines = try Self.text("\(suite)/MsgboxTests.swift").split(separator: "\n", omittingEmptySubsequences: false)
        let number = try #require(Int(failing.1))
        #expect(lines[number - 1].drop { $0 == " " } == failing.2)
    }

    @Test("the tests that docs/RELIABILITY.md names exist")
    func namedTests() throws {
        let tests = Self.repository.appending(path: "Tests")
        let names = try FileManager.default.subpathsOfDirectory(atPath: tests.path(percentEncoded: false))
        // Types and functions of each source, by the word before their names.
        let sources = try names.filter { $0.hasSuffix(".swift") }.map { name in
            var found: Set<String> = []
            var before = ""
            for line in try String(contentsOf: tests.appending(path: name), encoding: .utf8).split(separator: "\n") {
                guard ["func ", "struct ", "class ", "extension "].contains(where: line.contains) else { continue }
                for word in line.utf8.split(whereSeparator: { $0 == 0x20 || $0 == UInt8(ascii: "(") }) {
                    let word = String(Substring(word))
                    if ["func", "struct", "class", "extension"].contains(before) { found.insert(word) }
                    before = word
                }
            }
            return found
        }
        let named = try Self.text("docs/RELIABILITY.md").matches(of: /`([A-Z]\w+)\.([a-z]\w+)`/)
        #expect(named.count > 50)
        for name in named {
            let isThere = sources.contains { $0.contains(String(name.1)) && $0.contains(String(name.2)) }
            #expect(isThere, "\(name.0)")
        }
    }

    @Test("every link within the repository leads to an existing file and heading")
    func links() throws {
        var count = 0
        for page in try Self.allPages() {
            let folder = Self.repository.appending(path: page).deletingLastPathComponent()
            for line in Self.prose(try Self.text(page)) {
                for match in line.matches(of: /\]\(([^)\s]+)\)/) where !match.1.contains("://") {
                    count += 1
                    let parts = match.1.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
                    let target =
                        parts[0].isEmpty
                        ? Self.repository.appending(path: page)
                        : folder.appending(path: String(parts[0])).standardized
                    let path = target.path(percentEncoded: false)
                    #expect(FileManager.default.fileExists(atPath: path), "\(page): \(match.1)")
                    guard parts.count == 2, let text = try? String(contentsOf: target, encoding: .utf8) else {
                        continue
                    }
                    let anchors = Self.prose(text).filter { $0.hasPrefix("#") }.map { Self.anchor(of: $0) }
                    #expect(anchors.contains(String(parts[1])), "\(page): \(match.1)")
                }
            }
        }
        #expect(count > 50)
    }

    @Test("the table of contents of a folder names each of its pages", arguments: ["docs/guide", "docs/decisions"])
    func contents(folder: String) throws {
        let contents = try Self.text("\(folder)/README.md")
        let pages = try Self.pages(in: folder).map { $0.dropFirst(folder.count + 1) }.filter { $0 != "README.md" }
        #expect(pages.count > 5)
        for page in pages { #expect(contents.contains("](\(page))"), "\(folder)/README.md lacks \(page)") }
    }

    /// The commands of kbuild in a line of a shell, with `#` remarks and what follows a redirection left out.
    private static func commands(in line: Substring) -> [[String]] {
        var commands: [[String]] = []
        var words: [String] = []
        var word: String?
        var quote: Character?
        func endWord() {
            if let finished = word { words.append(finished) }
            word = nil
        }
        func endCommand() {
            endWord()
            if words.first == "kbuild" { commands.append(Array(words.dropFirst())) }
            words = []
        }
        for character in line.drop(while: { $0 == " " || $0 == "$" }) {
            if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
                continue
            }
            if character == "#", word == nil { break }
            switch character {
            case "'", "\"":
                quote = character
                word = word ?? ""
            case " ": endWord()
            case "|", ";", "&", ">": endCommand()
            default: word = (word ?? "") + String(character)
            }
        }
        endCommand()
        return commands
    }

    @Test("the command line's parser accepts every command that README and the guide show")
    func shownCommands() throws {
        var count = 0
        for page in try ["README.md"] + Self.pages(in: "docs/guide") + ["docs/tutorial/README.md"] {
            for line in try Self.text(page).split(separator: "\n") where line.hasPrefix("    $ ") {
                for words in Self.commands(in: line) where !words.contains("...") {
                    count += 1
                    #expect(throws: Never.self, "\(page): \(line)") { try Kbuild.parseAsRoot(words) }
                }
            }
        }
        #expect(count > 40)
    }

    @Test("the table of virtme-ng's options has one of three marks in each row, and commands that kbuild knows")
    func virtmeTable() throws {
        let rows = try Self.text("docs/guide/virtme-ng.md").split(separator: "\n").filter {
            $0.hasPrefix("| ") && !$0.hasPrefix("| virtme-ng |")
        }
        #expect(rows.count > 50)
        for row in rows {
            let cells = row.split(separator: "|", omittingEmptySubsequences: false)
            #expect(cells.count == 5, "\(row)")
            let mark = cells[2].filter { $0 != " " }
            #expect(["Y", "P", "-"].contains(mark), "\(row)")
            // A missing option may need no word, what is there needs one.
            #expect(mark == "-" || cells[3].contains { $0.isLetter }, "\(row)")
            for code in cells[3].matches(of: /`(kbuild [^`]*)`/) {
                for words in Self.commands(in: code.1) {
                    #expect(throws: Never.self, "\(code.1)") { try Kbuild.parseAsRoot(words) }
                }
            }
        }
        // README's shorter table has the sums.
        let marks = rows.map { $0.split(separator: "|", omittingEmptySubsequences: false)[2].filter { $0 != " " } }
        let sums = ["Y", "P", "-"].map { mark in "\(marks.count { $0 == mark })" }.joined(separator: " | ")
        #expect(try Self.text("README.md").contains("| \(rows.count) | \(sums) |"))
    }

    @Test("docs/guide/commands.md has every command")
    func commandTable() throws {
        let page = try Self.text("docs/guide/commands.md")
        for command in Kbuild.configuration.subcommands {
            let name = try #require(command.configuration.commandName)
            #expect(page.contains("| `kbuild \(name)"), "no row for kbuild \(name)")
        }
    }
}
