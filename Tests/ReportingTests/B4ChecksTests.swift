// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel
import Testing

@testable import Reporting

@Suite("The list for b4's review", .timeLimit(.minutes(30)))
struct B4ChecksTests {
    private func report(_ tests: [TestResult]) -> RunReport {
        var report = RunReport(startedAt: "", project: "/p")
        report.kernel = .init(source: "/linux", version: "6.12.3")
        report.suites = [.init(name: "calls", kind: "ktap", tests: tests)]
        return report
    }

    private func test(_ name: String, _ status: TestStatus) -> TestResult {
        .init(id: name, name: name, status: status)
    }

    @Test("a passed run is one entry; a clean boot is named")
    func passed() throws {
        var report = report([test("a", .passed), test("b", .passed)])
        #expect(
            B4Checks.checks(of: report) == [
                .init(tool: "kbuild", status: .pass, summary: "passed: 2 tests of 2 passed on Linux 6.12.3")
            ])
        report.isBootCheck = true
        #expect(B4Checks.checks(of: report)[0].summary == "booted clean on Linux 6.12.3")
        let parsed = try JSONSerialization.jsonObject(with: Data(B4Checks.render(report).utf8)) as? [[String: String]]
        #expect(parsed?.count == 1 && parsed?[0]["status"] == "pass" && parsed?[0]["tool"] == "kbuild")
    }

    @Test("failures are listed with their reasons, kernel reports with their lines")
    func failed() {
        var failing = test("a", .failed)
        failing.issues = [.init(message: "1 is not 2"), .init(message: "known", isKnown: true)]
        var report = report([failing, test("b", .passed)])
        report.crashes = [.init(title: "WARNING in f", isFatal: false, lines: ["one", "two"])]
        let checks = B4Checks.checks(of: report)
        #expect(checks.map(\.status) == [.fail, .fail, .fail])
        #expect(checks.map(\.tool) == ["kbuild", "kbuild/kernel", "kbuild/test"])
        #expect(checks[1].summary == "WARNING in f" && checks[1].details == "one\ntwo")
        #expect(checks[2].summary.hasPrefix("calls: a ") && checks[2].details == "1 is not 2")
        // A report that does not fail the run is a warning.
        report.splatsFail = false
        #expect(B4Checks.checks(of: report)[1].status == .warn)
    }

    @Test("an error of the patches fails them; an error of the testing machine does not")
    func errors() {
        for (code, status) in [
            (ExitStatus.patch, "fail"), (.build, "fail"), (.infrastructure, "warn"), (.usage, "warn"),
        ] {
            var report = report([])
            report.suites = []
            report.errors = [.init(Failure(code, "it went wrong", details: "where"))]
            let checks = B4Checks.checks(of: report)
            #expect(checks.map(\.status.rawValue) == [status, status])
            #expect(checks.last?.summary == "it went wrong" && checks.last?.details == "where")
        }
    }

    @Test("entries and their lines are limited, and the rest is counted")
    func bounds() {
        var report = report((0..<80).map { test("t\($0)", .failed) })
        report.crashes = [.init(title: "x", isFatal: true, lines: (0..<100).map { "line \($0)" })]
        let checks = B4Checks.checks(of: report)
        #expect(checks.count == 52 && checks.last?.summary == "31 more entries are in kbuild's own report")
        #expect(checks[1].details?.hasSuffix("\n... and 60 more lines") == true)
    }
}
