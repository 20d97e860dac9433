// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel
import Testing

@testable import Reporting

/// A report with one failed test, whose issue came in several cases, and a report of the kernel's that is known.
private func report() -> RunReport {
    var issue = TestIssue(message: "Expectation failed: (n → 3) < 3", file: "/p/T.swift", line: 12)
    issue.count = 16
    issue.arguments = (1...10).map { "n → \($0) <b>" }
    issue.sourceText = "#expect(call(n) < 3) // <i>"
    var report = RunReport(
        startedAt: "", project: "/p",
        suites: [
            .init(
                name: "s", kind: "swift-testing",
                tests: [
                    .init(id: "M.S/param(n:)", name: "param", status: .failed, issues: [issue]),
                    .init(id: "M.S/some(n:)", name: "some", status: .passed, reason: "2 of 3 cases were cancelled"),
                ])
        ], crashes: [.init(title: "WARNING in f", isFatal: false, test: "M.S/some(n:)", lines: ["WARNING: f"])])
    report.suites[0].tests[1].skippedCases = 2
    report.crashes[0].knownReason = "bug <1>"
    return report
}

@Suite("Issues in every rendering", .timeLimit(.minutes(30)))
struct IssueTests {
    private let arguments =
        "16 times, with n → 1 <b>; n → 2 <b>; n → 3 <b>; n → 4 <b>; n → 5 <b>; n → 6 <b>; n → 7 <b>; n → 8 <b>; ..."

    @Test("the terminal shows the line, the number of failures and the values once")
    func text() {
        let lines = TextReport().render(report()).plain.split(separator: "\n").map(String.init)
        #expect(
            lines.prefix(5) == [
                "FAIL M.S/param(n:) \"param\"", "     /p/T.swift:12", "     > #expect(call(n) < 3) // <i>",
                "       Expectation failed: (n → 3) < 3", "       (\(arguments))",
            ])
        #expect(lines.contains("known WARNING in f (while M.S/some(n:) ran): bug <1>"))
        #expect(lines.last == "FAILED: 1 passed, 1 failed, 2 cases skipped in 0.00 s")
        #expect(TextReport().liveLine(for: report().tests[0]).plain.hasSuffix("(n → 3) < 3 (\(arguments))"))
    }

    @Test("so do HTML, JUnit, Markdown and GitHub's annotations, each with its escapes")
    func others() {
        let html = HTMLReport.render(report())
        #expect(html.contains("#expect(call(n) &lt; 3) // &lt;i&gt;"))
        #expect(html.contains("16 times, with n → 1 &lt;b&gt;; n → 2"))
        #expect(html.contains("known: bug &lt;1&gt;"))
        let junit = JUnitReport.render(report())
        #expect(junit.contains("(16 times, with n → 1 &lt;b&gt;;"))
        #expect(junit.contains("&#10;&gt; #expect(call(n) &lt; 3) // &lt;i&gt;</failure>"))
        #expect(junit.contains("failures=\"1\" errors=\"0\""))
        #expect(junit.contains("known: bug &lt;1&gt;"))
        let markdown = MarkdownSummary.render(report())
        #expect(markdown.contains("16 times") && !markdown.contains("<b>"))
        #expect(!markdown.contains("<i>"))
        let annotations = GitHubAnnotations.render(report()).map(\.line).joined(separator: "\n")
        #expect(annotations.contains("(n → 3) < 3%0A(16 times, with n → 1 <b>;"))
        #expect(annotations.contains("::notice title=WARNING in f::While M.S/some(n:) ran.%0Aknown: bug <1>"))
    }

    @Test("JSON has all of it, and is read back unchanged")
    func json() throws {
        #expect(try JSONReport.parse(JSONReport.render(report())) == report())
    }

    @Test("a known report does not fail the run when splats do; a fatal one does")
    func known() {
        var known = report()
        known.suites[0].tests.removeFirst()
        #expect(known.exitCode == Diagnostics.ExitStatus.success.rawValue)
        known.crashes[0].isFatal = true
        #expect(known.exitCode == Diagnostics.ExitStatus.guestCrash.rawValue)
        #expect(TextReport().render(known).plain.contains("CRASH WARNING in f"))
        #expect(JUnitReport.render(known).contains("errors=\"1\""))
    }
}
