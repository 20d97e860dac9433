// SPDX-License-Identifier: Apache-2.0
import Coverage
import Diagnostics
import ResultsModel
import Testing

@testable import Reporting

@Suite("Coverage in reports", .timeLimit(.minutes(30)))
struct CoverageRenderingTests {
    /// A report of a file with a line that no test reached.
    static let coverage = CoverageReport(
        tests: ["M.S/good()", "<b>two</b>"],
        files: [
            CoveredFile(
                path: "kernel/call/call.c",
                lines: [
                    CoveredLine(number: 1, count: 3, tests: [0, 1]),
                    CoveredLine(number: 2, count: 3, branches: [3, 0], tests: [0, 1]),
                    CoveredLine(number: 3, count: 0),
                ], functions: [CoveredFunction(name: "call", firstLine: 1, lastLine: 3, count: 3)],
                source: ["long call(void) {", "\tif (a < b)", "\t\treturn -EINVAL;", "}"])
        ], minimumPercent: 90, gaps: ["other.c has no counters"])

    private func report() -> RunReport {
        var report = sample()
        report.coverage = Self.coverage
        return report
    }

    @Test("the terminal has a table, the unknown counts, and each unreached line with its text")
    func text() {
        let text = TextReport().render(report()).plain
        #expect(
            text.contains(
                """
                coverage                     lines       branches     functions
                kernel/call/call.c  2 of 3, 66.6 %  1 of 2, 50.0 %  1 of 1, 100.0 %
                """) || text.contains("kernel/call/call.c  2 of 3, 66.6 %  1 of 2, 50.0 %  1 of 1, 100.0 %"))
        #expect(text.contains("note coverage: other.c has no counters"))
        #expect(text.contains("never reached:\n  kernel/call/call.c:3  return -EINVAL;\n"))
    }

    @Test("of very many lines the first are shown, with the number of the others")
    func manyLines() {
        var report = report()
        report.coverage?.files[0].lines = (1...100).map { CoveredLine(number: $0, count: 0) }
        let text = TextReport().render(report).plain
        #expect(text.contains("call.c:40") && !text.contains("call.c:41"))
        #expect(text.contains("... and 60 more lines"))
        #expect(TextReport(isVerbose: true).render(report).plain.contains("call.c:100"))
    }

    @Test("the page links a line to its tests and a test to its lines, and no text in it is markup")
    func page() {
        let page = HTMLReport.render(report())
        #expect(page.contains("<tr id=\"cover-1-2\" class=\"partly\">"))
        #expect(page.contains("<tr id=\"cover-1-3\" class=\"missed\">"))
        #expect(page.contains("<a href=\"#cover-test-2\">&lt;b&gt;two&lt;/b&gt;</a>"))
        #expect(page.contains("<li id=\"cover-test-2\"><code>&lt;b&gt;two&lt;/b&gt;</code>"))
        #expect(page.contains("<a href=\"#cover-1-1\">1–2</a>"))
        #expect(page.contains("\tif (a &lt; b)"))
        #expect(!page.contains("<b>two"))
        #expect(!HTMLReport.render(sample()).contains("id=\"coverage\""))
    }

    @Test("its JSON form is read back unchanged")
    func json() throws {
        #expect(try JSONReport.parse(JSONReport.render(report())) == report())
    }

    @Test("too little coverage fails a passed run with the code of a failed test, and does not replace a worse code")
    func verdict() {
        var report = report()
        report.suites[0].tests.removeSubrange(1...)
        report.crashes = []
        #expect(report.exitCode == 0)
        report.errors = [.init(Failure(.testFailure, "coverage: 2 of 3 lines"))]
        #expect(report.exitCode == 1 && report.verdict == "failed")
        report.suites[0].tests[0].status = .timedOut
        #expect(report.exitCode == 6)
        report.suites[0].tests[0].status = .crashed
        #expect(report.exitCode == 5)
    }
}
