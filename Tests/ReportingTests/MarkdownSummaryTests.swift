// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel
import Testing

@testable import Reporting

@Suite("Summary in Markdown", .timeLimit(.minutes(30)))
struct MarkdownSummaryTests {
    @Test("it counts, lists failing tests with their messages, crash reports and the slowest tests, and folds the rest")
    func content() {
        var report = sample()
        report.suites[0].output = ["printed last"]
        let text = MarkdownSummary.render(report)
        for part in [
            "## kbuild: CRASHED", "| passed | failed | skipped | no result | time |", "| 1 | 1 | 1 | 1 | 12.35 s |",
            "### Failing tests",
            "<code>M&#46;S&#47;bad&#40;&#41;</code> | failed | <code>T&#46;swift&#58;12</code><br>",
            "<code>Expectation failed&#58; a &#61;&#61; b</code> |", "<code>the guest panicked</code>",
            "### Crash reports", "- <code>WARNING in f</code> while",
            "<details><summary><code>WARNING in f</code>",
            "kernel/f.c:12 in g", "[ 1.1] trace", "### Slowest tests", "[    1.0] the kernel&#39;s word",
            "printed last",
            "<code>gcc 12&#46;2&#46;0</code>",
        ] { #expect(text.contains(part), "\(part)") }
        #expect(text.hasSuffix("\n"))
    }

    @Test("a pass is short")
    func pass() {
        let report = RunReport(
            startedAt: "", seconds: 1, project: "/p",
            suites: [.init(name: "s", kind: "ktap", tests: [.init(id: "t", name: "t", status: .passed)])])
        var judged = report
        #expect(
            MarkdownSummary.render(judged) == """
                ## kbuild: PASSED

                | passed | failed | skipped | time |
                | --- | --- | --- | --- |
                | 1 | 0 | 0 | 1.00 s |

                """ + "\n")
        judged.suites = []
        #expect(MarkdownSummary.render(judged).contains("No test passed."))
    }

    /// The lines with the marks that Markdown and HTML could see: those of table cells, tags and code. Lines within
    /// `pre` are HTML alone.
    private func marks(_ text: String) -> [String] {
        var isInBlock = false
        return text.split(separator: "\n", omittingEmptySubsequences: false).compactMap { line in
            if line == "<pre>" { isInBlock = true }
            if line == "</pre>" { isInBlock = false }
            let marks = isInBlock ? "<>\"'" : "|<>`*_[]()!~#@\\-:/.\"'"
            // A character reference is never a mark.
            let rest = line.replacing(/&#?[a-z0-9]+;/.matchingSemantics(.unicodeScalar), with: "")
            let seen = String(String.UnicodeScalarView(rest.unicodeScalars.filter(marks.unicodeScalars.contains)))
            // A text in a block may have any number of lines.
            return isInBlock && seen.isEmpty ? nil : seen
        }
    }

    @Test(
        "no text breaks out of its cell, its line or its block",
        arguments: nastyTexts + [
            "a | b | c", "|---|", "`code` ``` ~~~", "# heading", "**bold** _it_ [x](javascript:y) ![i](u)",
            "@user #12 :tada:", "</pre>\n<script>x</script>\n\n| a |", "<details>", "\\| a",
            "www.example.org https://example.org", "    indented",
            "- item", "1. item", "[[a]]: b", "$x$", "&#124; &#60;b&#62;",
        ])
    func untrusted(text: String) {
        func render(_ text: String) -> String {
            var (report, _) = report(of: text)
            // How many lines a message has is its own affair.
            report.seconds = 3
            return MarkdownSummary.render(report)
        }
        let single = text.replacingOccurrences(of: "\r\n", with: "\n").replacingOccurrences(of: "\n", with: " ")
        #expect(marks(render(single)) == marks(render("text")), "\(render(single))")
        // Several lines make a message of several codes, and no tag else.
        let found = render(text)
        let tags = Set(found.matches(of: /<\/?([^>]*)>/).map { String($0.1) })
        #expect(tags.isSubset(of: ["code", "br", "details", "summary", "pre"]), "\(tags)")
        let rows = found.replacing(/<pre>\n[^<]*\n<\/pre>/, with: "").split(separator: "\n")
            .filter { $0.hasPrefix("| ") }
        #expect(rows.allSatisfy { $0.hasSuffix(" |") })
    }

    @Test("its size is limited, and it names the omitted parts")
    func size() {
        var report = sample()
        report.suites[0].tests = (0..<5000).map { index in
            .init(
                id: "test \(index)", name: "t", status: .failed,
                issues: [.init(message: String(repeating: "|", count: 10_000))],
                kernelLog: Array(repeating: String(repeating: "<", count: 1000), count: 1000))
        }
        let text = MarkdownSummary.render(report)
        #expect(text.utf8.count < 600 << 10)
        #expect(text.contains("4900 more"))
        #expect(text.contains("has no room here"))
        #expect(text.contains("### Failing tests"))
    }
}
