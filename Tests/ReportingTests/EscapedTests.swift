// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import FoundationXML
import Testing

@testable import Reporting

/// Texts that would be orders somewhere, with characters that no sink may show.
private let hostile = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "]]><x/>", "<![CDATA[", "<!--", "-->",
    "&#60;b&#62;",
    "a | b", "`code`", "```\nfence", "[a](javascript:b)", "*a* _b_ ~c~", "# head", "- [x] a", "\\|", "@someone #1",
    "::error::x", "::error file=a::b%0A::warning::c", "a\r\n::stop-commands::t", "##[group]x", "\u{1B}]0;t\u{7}",
    "\u{9B}31m", "\u{202E}abc\u{2069}", "\u{0}", "\u{FFFE}", "\u{200B}\u{FEFF}",
    // A surrogate by itself, and what is no UTF-8, as String makes it of the bytes.
    String(decoding: [0x61, 0xED, 0xA0, 0x80, 0x62] as [UInt8], as: UTF8.self),
    String(decoding: [0xFF, 0xC0, 0x3C] as [UInt8], as: UTF8.self),
]

@Suite("Escaped text", .timeLimit(.minutes(30)))
struct EscapedTests {
    /// The text of a document that must be well-formed, with its elements as `<NAME>`, and the value of its attribute
    /// `a`.
    private func read(_ document: String) throws -> (text: String, attribute: String?) {
        final class Reader: NSObject, XMLParserDelegate {
            var text = ""
            var attribute: String?
            func parser(
                _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
                attributes: [String: String] = [:]
            ) {
                if name != "r" { text += "<\(name)>" }
                attribute = attributes["a"] ?? attribute
            }
            func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }
            func parser(_ parser: XMLParser, foundComment comment: String) { text += "<!>" }
            func parser(_ parser: XMLParser, foundCDATA block: Data) { text += "<CDATA>" }
        }
        let parser = XMLParser(data: Data(document.utf8))
        let reader = Reader()
        parser.delegate = reader
        try #require(parser.parse(), "\(document.debugDescription)")
        return (reader.text, reader.attribute)
    }

    /// The text with what is not seen spelled out, by unicode scalar.
    private func visible(_ text: String, except kept: String = "") -> String {
        text.unicodeScalars.map { scalar in
            VisibleText.isSeen(scalar) || kept.unicodeScalars.contains(scalar)
                ? String(scalar) : VisibleText.spelled(scalar)
        }.joined()
    }

    @Test("in XML a text is not markup, in an element and in an attribute", arguments: hostile)
    func xml(text: String) throws {
        let document: XMLText = "<r a=\"\(text)\">\(text)</r>"
        let found = try read(document.markup)
        #expect(found.text == visible(text, except: "\r\n\t"))
        #expect(found.attribute == visible(text, except: "\r\n\t"))
    }

    @Test("in HTML a text is not markup, in an element and in an attribute", arguments: hostile)
    func html(text: String) throws {
        let document: HTMLText = "<r a=\"\(text)\">\(text)</r>"
        // These pages have no entity but XML's own and numbers, so that its parser can judge them.
        let found = try read(document.markup)
        #expect(found.text == visible(text, except: "\n\t"))
        for mark in ["<", ">", "\"", "'"] { #expect(!HTMLText(text).markup.contains(mark)) }
    }

    @Test("in Markdown no ASCII punctuation is left except in references, and no line ends", arguments: hostile)
    func markdown(text: String) {
        let markup = MarkdownText(text).markup
        let rest = markup.replacing(/&#[0-9]+;/, with: "")
        let marks = rest.unicodeScalars.filter {
            $0.isASCII && !$0.properties.isAlphabetic && !("0"..."9").contains($0) && $0 != " "
        }
        #expect(marks.isEmpty, "\(markup)")
        #expect(rest.unicodeScalars.allSatisfy(VisibleText.isSeen))
        // A cell stays a cell, and code stays code.
        let row: MarkdownText = "| \(text) | \(MarkdownText(code: text)) |"
        #expect(row.markup.filter { $0 == "|" }.count == 3)
        #expect(row.markup.components(separatedBy: "<").count == 3)
        let block = MarkdownText(preformatted: [text], most: 9, longest: 999).markup
        #expect(block.components(separatedBy: "<").count == 3 && block.hasSuffix("\n</pre>"))
    }

    @Test("in a command to GitHub's runner a text cannot begin another command or a property", arguments: hostile)
    func commands(text: String) {
        let command = JobCommand(github: "error", [("file", text), ("title", text)], text: text)
        #expect(JobRunner.commands(in: command.line).count == 1)
        #expect(!command.line.utf8.contains(0x0A) && !command.line.utf8.contains(0x0D))
        #expect(command.line.unicodeScalars.allSatisfy(VisibleText.isSeen))
        let properties = command.line.dropFirst("::error ".count).prefix { $0 != ":" }
        #expect(properties.split(separator: ",").map { $0.prefix { $0 != "=" } } == ["file", "title"])
    }

    @Test("on a terminal and in a job's log a text is neither a control sequence nor a command", arguments: hostile)
    func terminal(text: String) {
        let shown = ("\(text)" as TerminalText).rendered(usesColor: true)
        #expect(shown.unicodeScalars.allSatisfy { VisibleText.isSeen($0) || $0 == "\t" })
        #expect(JobRunner.commands(in: shown).isEmpty)
    }

    @Test("markup of the same format is inserted unchanged, and once")
    func nesting() {
        let cell: HTMLText = "<td>\("a<b")</td>"
        let row: HTMLText = "<tr>\(cell)\(7)</tr>"
        #expect(row.markup == "<tr><td>a&lt;b</td>7</tr>")
        #expect([cell, cell].joined(separator: ", ").markup == "<td>a&lt;b</td>, <td>a&lt;b</td>")
        #expect((cell + "<br>").markup == "<td>a&lt;b</td><br>")
        // What a text of a run becomes is not markup, whatever type it had.
        let part = "x<y>"[...]
        #expect(("\(part)\(part.dropFirst())" as HTMLText).markup == "x&lt;y&gt;&lt;y&gt;")
    }

    @Test("each renderer converts its markup to a string in one place, where it returns the page")
    func onePlace() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources/Results/Reporting")
        let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        var places: [String: Int] = [:]
        for case let file as URL in files
        where file.pathExtension == "swift" && file.lastPathComponent != "Escaped.swift" {
            let count = try String(contentsOf: file, encoding: .utf8).matches(of: /\.markup\b/).count
            if count > 0 { places[file.lastPathComponent] = count }
        }
        #expect(
            places == [
                "HTMLHistory.swift": 1, "HTMLReport.swift": 1, "JUnitReport.swift": 1, "MarkdownSummary.swift": 1,
            ])
    }
}
