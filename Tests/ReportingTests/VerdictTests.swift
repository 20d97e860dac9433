// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel
import Testing

@testable import Reporting

private func report(_ statuses: TestStatus...) -> RunReport {
    RunReport(
        startedAt: "2026-01-01T00:00:00Z", project: "/p",
        suites: [
            .init(
                name: "s", kind: "swift-testing",
                tests: statuses.enumerated().map { .init(id: "t\($0)", name: "t\($0)", status: $1) })
        ])
}

private func judged(_ report: RunReport) -> Diagnostics.ExitStatus? {
    Diagnostics.ExitStatus(rawValue: report.exitCode)
}

@Suite("The verdict", .timeLimit(.minutes(30)))
struct VerdictTests {
    @Test("a plan for two kernels has the additional steps of the second")
    func otherPlan() {
        func plan(_ kernel: String) -> RunPlan {
            RunPlan(
                project: "/p",
                steps: [
                    .init(name: "rootfs", outcome: .hit), .init(name: "compile", outcome: .miss, key: kernel),
                    .init(name: "test", outcome: .always, dependsOn: ["compile"]),
                ])
        }
        var both = plan("1")
        both.add(plan("2"), label: "races")
        #expect(both.steps.map(\.name) == ["rootfs", "compile", "test", "compile [races]", "test [races]"])
        #expect(both.steps.last?.dependsOn == ["compile [races]"])
    }

    @Test("another kernel's results are in the same verdict, with distinct test names, and places after the first's")
    func otherKernel() {
        var whole = sample()
        whole.crashes = []
        for suite in whole.suites.indices {
            for test in whole.suites[suite].tests.indices { whole.suites[suite].tests[test].status = .passed }
        }
        let first = whole
        #expect(first.exitCode == 0)
        whole.add(sample(), label: "races", consoleLinesBefore: 100)
        #expect(whole.exitCode == 5)
        #expect(whole.suites.map(\.name) == ["suite", "suite [races]"])
        #expect(Set(whole.tests.map(\.id)).count == 8)
        #expect(whole.crashes.map(\.test) == ["M.S/bad() [races]"])
        #expect(whole.crashes.map(\.firstLine) == [107])
        #expect(whole.steps.map(\.name) == ["compile", "test", "compile [races]", "test [races]"])
        #expect(whole.seconds > first.seconds)
        var failed = first
        var broken = sample()
        broken.crashes = []
        broken.suites = []
        broken.errors = [.init(.init(.build, "the kernel does not compile"))]
        failed.add(broken, label: "races", consoleLinesBefore: 0)
        #expect(failed.exitCode == 4)
        // The tests of one kernel do not stand in for those that the other did not run.
        for isFirst in [true, false] {
            var empty = report(.skipped)
            #expect(empty.exitCode == 7)
            var good = report(.passed)
            if isFirst { empty.add(good, label: "races", consoleLinesBefore: 0) }
            good.add(report(.skipped), label: "races", consoleLinesBefore: 0)
            #expect((isFirst ? empty : good).exitCode == 7)
            #expect((isFirst ? empty : good).errors.count == 1)
        }
        var both = report(.passed)
        both.add(report(.passed), label: "races", consoleLinesBefore: 0)
        #expect(both.exitCode == 0 && both.errors.isEmpty)
    }

    @Test(
        "the result of a single test determines the verdict",
        arguments: [
            (TestStatus.passed, Diagnostics.ExitStatus.success), (.failed, .testFailure),
            (.skipped, .infrastructure),
            (.crashed, .guestCrash), (.timedOut, .timeout), (.notReported, .testFailure), (.flaky, .testFailure),
        ])
    func single(status: TestStatus, code: Diagnostics.ExitStatus) {
        #expect(judged(report(status)) == code)
    }

    @Test("a pass never outweighs another result; a skip does not count")
    func mixed() {
        #expect(judged(report(.passed, .skipped)) == .success)
        for status in TestStatus.allCases where status.isFailure {
            #expect(judged(report(.passed, status, .passed)) != .success)
        }
        #expect(judged(report()) == .infrastructure)
        #expect(judged(RunReport(startedAt: "", project: "")) == .infrastructure)
    }

    @Test("a suite's problem fails the run even if its tests passed")
    func problems() {
        var report = report(.passed)
        report.suites[0].problems = ["it exited with 1"]
        #expect(judged(report) == .testFailure)
    }

    @Test("a crash that is not fatal fails the run, unless the project says otherwise")
    func splats() {
        var report = report(.passed)
        report.crashes = [.init(title: "WARNING in f", isFatal: false, lines: [])]
        #expect(judged(report) == .guestCrash)
        report.splatsFail = false
        #expect(judged(report) == .success)
        report.crashes[0].isFatal = true
        #expect(judged(report) == .guestCrash)
    }

    @Test("the exit code always follows the report's contents")
    func computed() {
        var report = report(.passed)
        #expect(report.exitCode == 0)
        #expect(report.verdict == "passed")
        report.errors.append(.init(Failure(.infrastructure, "cannot write the JUnit file")))
        #expect(report.exitCode == 7)
        #expect(report.verdict == "infrastructure-failed")
        report.noteInterruption()
        report.noteInterruption()
        #expect(report.exitCode == 130)
        #expect(report.errors.count == 2)
        report.errors = []
        report.suites = []
        #expect(report.exitCode == 7)
    }

    /// The JSON of a report with another claim in place of its own.
    private func claiming(_ code: Int32?, _ verdict: String, in report: RunReport) throws -> String {
        let lines = try JSONReport.render(report).split(separator: "\n").compactMap { line -> String? in
            if line.hasPrefix("  \"exitCode\"") { return code.map { "  \"exitCode\" : \($0)," } }
            if line.hasPrefix("  \"verdict\"") { return "  \"verdict\" : \"\(verdict)\"" }
            return String(line)
        }
        return lines.joined(separator: "\n")
    }

    @Test("a report from elsewhere cannot claim a pass, and one that claims a failure without evidence is not a pass")
    func claims() throws {
        let failed = report(.passed, .failed)
        #expect(try JSONReport.parse(JSONReport.render(failed)) == failed)
        #expect(try JSONReport.parse(claiming(0, "passed", in: failed)).exitCode == 1)
        // Nothing ran at all.
        #expect(try JSONReport.parse(claiming(0, "passed", in: report())).verdict == "infrastructure-failed")
        let cut = try JSONReport.parse(claiming(5, "crashed", in: report(.passed)))
        #expect(cut.exitCode == 5)
        #expect(cut.errors.first?.message.contains("exit code 5") == true)
        #expect(try JSONReport.parse(claiming(139, "?", in: report(.passed))).exitCode == 7)
        #expect(throws: DecodingError.self) { try JSONReport.parse(claiming(nil, "passed", in: report(.passed))) }
    }

    @Test(
        "every kind of error has its own code, even when all tests passed", arguments: Diagnostics.ExitStatus.allCases
    )
    func errors(code: Diagnostics.ExitStatus) {
        var report = report(.passed)
        report.errors = [.init(Failure(code, "no"))]
        #expect(judged(report) == code)
    }

    @Test("the first event determines the verdict: a crash before the time limit and broken channel that it caused")
    func precedence() {
        var report = report(.crashed, .notReported)
        report.errors = [.init(Failure(.infrastructure, "cut")), .init(Failure(.timeout, "silent"))]
        #expect(judged(report) == .timeout)
        report.crashes = [.init(title: "kernel panic", isFatal: true, lines: [])]
        #expect(judged(report) == .guestCrash)
        report.errors.append(.init(Failure(.interrupted, "stop")))
        #expect(judged(report) == .interrupted)
    }
}
