// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import ResultsModel
import Testing

@testable import Reporting

/// A tag of a page: its name, and its attributes' names and values.
private struct Tag: Equatable {
    var name: String
    var attributes: [String]
    var values: [String]
}

/// The tags of a page, read as a browser's tokenizer does (WHATWG HTML, section 13.2.5), with no tags in script and
/// style.
private func tags(_ page: String) throws -> [Tag] {
    var tags: [Tag] = []
    let bytes = Array(page.utf8)
    var at = 0
    func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte & 0xDF) }
    while let start = bytes[at...].firstIndex(of: UInt8(ascii: "<")) {
        at = start + 1
        guard at < bytes.count else { break }
        let isTag = isLetter(bytes[at]) || bytes[at] == UInt8(ascii: "/") || bytes[at] == UInt8(ascii: "!")
        guard isTag || bytes[at] == UInt8(ascii: "?") else { continue }
        // The tag's text, quotes minded.
        var quote: UInt8?
        var end = at
        while end < bytes.count, quote != nil || bytes[end] != UInt8(ascii: ">") {
            if let open = quote {
                if bytes[end] == open { quote = nil }
            } else if bytes[end] == UInt8(ascii: "\"") || bytes[end] == UInt8(ascii: "'") {
                quote = bytes[end]
            }
            end += 1
        }
        try #require(end < bytes.count)
        let text = String(decoding: bytes[at..<end], as: UTF8.self)
        let attributes = text.matches(of: /([^\s"'=<>\/]+)=("[^"]*"|'[^']*'|[^\s"'>]*)/)
        let name = String(text.prefix { !$0.isWhitespace })
        tags.append(
            Tag(name: name, attributes: attributes.map { String($0.1) }, values: attributes.map { String($0.2) }))
        at = end + 1
        if ["script", "style"].contains(name.lowercased()) {
            let close = Array("</\(name.lowercased())".utf8)
            at = try #require(bytes[at...].firstRange(of: close)?.lowerBound)
        }
    }
    return tags
}

@Suite("HTML report", .timeLimit(.minutes(30)))
struct HTMLReportTests {
    private let page = HTMLReport.render(
        sample(),
        console: ConsoleExcerpt(text: (1...20).map { "console line \($0)" }.joined(separator: "\n")))

    @Test("it has the verdict, steps, tests, failures with kernel messages and the trace, the console, and the rest")
    func content() {
        for part in [
            "<h1>CRASHED</h1>", "1 passed, 1 failed, 1 without result, 1 skipped in 12.35 s", "M.S/good()",
            "Expectation failed: a == b", "/p/T.swift:12", "the guest panicked", "[    1.0] the kernel&#39;s word",
            "WARNING in f", "[ 1.1] trace", "f.isra.0+0x10/0x20 [m]", "kernel/f.c:12", "in <code>g</code>",
            "not whole: its end is missing", "href=\"#crash-1\"", "id=\"crash-1\"", "console line 20", "call = 451",
            "compile hit", "test 3.50 s", "gcc 12.2.0", "QEMU emulator version 7.2", "kbuild test M.S",
            "qemu-system-x86_64 -M q35", "source: linux-source-6.1", "Linux 6.1 x86_64",
        ] { #expect(page.contains(part), "\(part)") }
    }

    @Test("every tag is closed, and every link leads to a place in the page")
    func wellFormed() throws {
        let empty: Set<String> = ["!DOCTYPE", "meta", "input", "br"]
        var open: [String] = []
        let tags = try tags(page)
        for tag in tags where !empty.contains(tag.name) {
            if tag.name.hasPrefix("/") {
                #expect(open.popLast() == String(tag.name.dropFirst()))
            } else if !["line", "rect"].contains(tag.name) {
                open.append(tag.name)
            }
        }
        #expect(open.isEmpty)
        func values(_ attribute: String) -> [String] {
            tags.flatMap { tag in
                zip(tag.attributes, tag.values).filter { $0.0 == attribute }
                    .map { $0.1.trimmingCharacters(in: ["\""]) }
            }
        }
        let ids = values("id")
        #expect(Set(ids).count == ids.count)
        for link in values("href") { #expect(link.hasPrefix("#") && ids.contains(String(link.dropFirst())), "\(link)") }
        for label in values("for") { #expect(ids.contains(label)) }
    }

    @Test("it needs no other file, and its content policy does not let it load or run anything else")
    func selfContained() throws {
        for part in ["http:", "https:", "src=", "url(", "@import", "<link", "<iframe", "<img", "innerHTML", "eval("] {
            #expect(!page.contains(part), "\(part)")
        }
        for text in [HTMLPage.style.markup, HTMLPage.script.markup] { #expect(!text.contains("</")) }
        // What a browser works out of the text of the element.
        for (text, source) in [(HTMLPage.style, "style-src"), (HTMLPage.script, "script-src")] {
            let hex = Array(Digest.of(text.markup).hex)
            let bytes = stride(from: 0, to: hex.count, by: 2).map { UInt8(String(hex[$0...($0 + 1)]), radix: 16) }
            let digest = Data(bytes.compactMap { $0 }).base64EncodedString()
            #expect(page.contains("\(source) 'sha256-\(digest)'; "))
        }
        #expect(page.contains("<style>\(HTMLPage.style.markup)</style>"))
        #expect(page.contains("<script>\(HTMLPage.script.markup)</script>"))
        #expect(page.contains("content=\"default-src 'none'; "))
    }

    @Test("no text of a guest becomes a tag or an attribute, or gets into the script", arguments: nastyTexts)
    func untrusted(text: String) throws {
        func page(_ text: String) -> String {
            let (report, console) = report(of: text)
            return HTMLReport.render(report, console: console)
        }
        // The same report of a harmless text has the same markup.
        let harmless = try tags(page("text"))
        let found = try tags(page(text))
        #expect(found.map(\.name) == harmless.map(\.name))
        #expect(found.map(\.attributes) == harmless.map(\.attributes))
        let values = zip(found, harmless).filter { $0.values != $1.values }
        // A texts stands in no attribute.
        #expect(values.isEmpty, "\(values)")
        #expect(page(text).contains("<script>\(HTMLPage.script.markup)</script>\n</body>"))
        let controls = page(text).unicodeScalars.filter {
            $0 != "\n" && $0 != "\t" && $0.properties.generalCategory == .control
        }
        #expect(controls.isEmpty)
        #expect(!page(text).unicodeScalars.contains("\u{202E}"))
    }

    @Test("the tokenizer of these tests detects unescaped text")
    func tokenizer() throws {
        #expect(try tags("<p>&lt;b&gt; < 3</p>").map(\.name) == ["p", "/p"])
        #expect(try tags("<p title=\"<b>\"><b onclick=x>").map(\.name) == ["p", "b"])
        #expect(try tags("<p title=\"<b>\"><b onclick=x>").last?.attributes == ["onclick"])
        #expect(try tags("<script>if (a < b) c</script>").map(\.name) == ["script", "/script"])
    }

    @Test("the console's parts contain every line once, also for nested crash reports")
    func console() throws {
        var report = sample()
        report.crashes = (0..<3).map { _ in report.crashes[0] }
        for (index, range) in [(3, 6), (5, 8), (1200, 1300)].enumerated() {
            report.crashes[index].firstLine = range.0
            report.crashes[index].lastLine = range.1
        }
        let lines = (1...1250).map { "line \($0) <" }
        let body = HTMLConsole(report, ConsoleExcerpt(text: lines.joined(separator: "\r\n") + "\r\n")).body.markup
        let texts = body.matches(of: /<pre[^>]*>\n([^<]*)<\/pre>/).flatMap { $0.1.split(separator: "\n") }
        #expect(texts.map(String.init) == lines.map { $0.replacingOccurrences(of: "<", with: "&lt;") })
        for id in 1...3 { #expect(body.contains("id=\"crash-\(id)\"")) }
        #expect(body.matches(of: /class="crash"/).count == 2)
        // A report from before the excerpt has no place in it.
        let late = HTMLConsole(report, ConsoleExcerpt(text: "end", firstLine: 1250, omittedBytes: 5)).body.markup
        #expect(!late.contains("id=\"crash-"))
        #expect(late.contains("From line 1250"))
    }

    @Test("invalid times, no steps, no tests and thousands of tests also give a page")
    func extremes() throws {
        var report = sample()
        report.seconds = .nan
        report.steps = [Double.nan, .infinity, -1, 1e308].map {
            .init(name: "s", outcome: "made", seconds: $0, detail: "", startSeconds: $0)
        }
        report.suites[0].tests = (0..<3000).map {
            .init(id: "t\($0)", name: "t", status: .failed, seconds: $0 % 2 == 0 ? .nan : 1e300)
        }
        report.suites[0].tests[0].kernelLog = Array(repeating: String(repeating: "x", count: 10_000), count: 1000)
        let page = HTMLReport.render(report)
        #expect(page.utf8.count < 8 << 20)
        #expect(!page.contains("nan") && !page.contains("inf%"))
        #expect(page.contains("2800 more tests failed"))
        #expect(page.contains("500 more lines"))
        report.suites = []
        report.steps = []
        report.crashes = []
        #expect(HTMLReport.render(report).contains("No test passed."))
    }

    @Test("a run without the times of its steps has a remark")
    func oldReport() {
        var report = sample()
        for index in report.steps.indices { report.steps[index].startSeconds = nil }
        #expect(HTMLReport.render(report).contains("When some steps began is not known"))
    }
}
