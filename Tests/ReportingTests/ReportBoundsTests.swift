// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel
import Testing

@testable import Reporting

/// Reports of floods: each rendering is bounded, and says what it leaves out.
@Suite("Bounds of a report", .timeLimit(.minutes(30)))
struct ReportBoundsTests {
    private func flood(issues: Int, tests: Int, bytes: Int) -> RunReport {
        let text = String(repeating: "x", count: bytes)
        let failed = (0..<tests).map { index in
            var test = TestResult(
                id: "M.S/t\(index)()", name: "t", status: .failed, seconds: 1,
                issues: Array(repeating: .init(message: text), count: issues), kernelLog: [text, text], output: [text])
            test.omittedIssues = 4211
            return test
        }
        var suite = SuiteResult(
            name: "suite", kind: "swift-testing", tests: failed, problems: [text], output: [text])
        suite.omittedProblems = 299_900
        return RunReport(startedAt: "2026-01-02T03:04:05Z", seconds: 1, project: "/p", suites: [suite])
    }

    @Test("omissions are named in every rendering, and are a number in JSON")
    func said() throws {
        let report = flood(issues: 1, tests: 1, bytes: 10)
        for text in [
            TextReport().render(report).plain, HTMLReport.render(report), JUnitReport.render(report),
            GitHubAnnotations.render(report).map(\.line).joined(),
        ] {
            #expect(text.contains("... and 4,211 more issues not shown"))
            #expect(text.contains("... and 299,900 more problems not shown"))
        }
        let json = try JSONReport.render(report)
        #expect(json.contains("\"omittedIssues\" : 4211"))
        #expect(json.contains("\"omittedProblems\" : 299900"))
        #expect(try JSONReport.parse(json).suites == report.suites)
    }

    @Test("the texts of all tests together are limited; each test keeps its failure")
    func texts() throws {
        var report = flood(issues: 20, tests: 60, bytes: 50_000)
        let before = report.exitCode
        report.boundTexts(to: 1 << 20)
        #expect(try JSONReport.render(report).utf8.count < 2 << 20)
        #expect(report.exitCode == before)
        #expect(report.tests.allSatisfy { !$0.issues.isEmpty && $0.status == .failed })
        #expect(report.tests.allSatisfy { $0.issues.count + $0.omittedIssues == 20 + 4211 })
        #expect(report.tests.last?.issues.first?.message.contains("more bytes not shown") == true)
        #expect(report.tests.last?.kernelLog == ["... and 2 more lines not shown"])
        // Within the limit nothing is touched.
        var small = flood(issues: 2, tests: 2, bytes: 100)
        small.boundTexts()
        #expect(small == flood(issues: 2, tests: 2, bytes: 100))
    }

    @Test("control characters count with their length in JSON")
    func controls() throws {
        var report = flood(issues: 1, tests: 1, bytes: 1)
        report.suites[0].tests[0].output = Array(repeating: String(repeating: "\u{1}", count: 1000), count: 1000)
        report.boundTexts(to: 1 << 20)
        #expect(try JSONReport.render(report).utf8.count < 2 << 20)
    }

    @Test("a terminal and annotations get the beginning of a text, and the length of the rest")
    func terminal() {
        let report = flood(issues: 20, tests: 600, bytes: 3_000)
        let text = TextReport(width: 80).render(report).plain
        #expect(text.utf8.count < 3 << 20)
        #expect(text.contains(/\.\.\. and [\d,]+ more tests, problems or crash reports not shown/))
        #expect(text.hasSuffix("FAILED: 0 passed, 600 failed in 1.00 s"))
        let commands = GitHubAnnotations.render(report)
        #expect(commands.count == 51)
        #expect(commands.last?.line.hasPrefix("::warning title=kbuild::... and ") == true)
        #expect(commands.allSatisfy { $0.line.utf8.count < 20_000 })
    }

    @Test("an error's evidence has a limit on lines and on each line, on the terminal and in the report")
    func evidence() {
        let line = String(repeating: "y", count: 1 << 20)
        let failure = Failure(
            .build, "no", details: (Array(repeating: "z", count: 1000) + [line]).joined(separator: "\n"))
        let lines = failure.terminalText.plain.split(separator: "\n")
        #expect(lines.count == 202)
        #expect(lines.last == "  ... and 801 more lines not shown")
        #expect(Failure(.build, "no", details: line).terminalText.plain.utf8.count < 2100)
        #expect(RunReport.RunError(failure).details?.utf8.count ?? 0 < 66_000)
        #expect(RunReport.RunError(failure).details?.hasSuffix("more bytes not shown") == true)
    }
}
