import Diagnostics
import Testing

@testable import Reporting

private func report(_ statuses: RunReport.Status...) -> RunReport {
    RunReport(
        startedAt: "2026-01-01T00:00:00Z", project: "/p",
        suites: [
            .init(
                name: "s", kind: "swift-testing",
                tests: statuses.enumerated().map { .init(id: "t\($0)", name: "t\($0)", status: $1) })
        ])
}

private func judged(_ report: RunReport) -> ExitCode? {
    var report = report
    report.judge()
    return ExitCode(rawValue: report.exitCode)
}

@Suite("The verdict")
struct VerdictTests {
    @Test(
        "one test decides as it ended",
        arguments: [
            (RunReport.Status.passed, ExitCode.success), (.failed, .testFailure), (.skipped, .infrastructure),
            (.crashed, .guestCrash), (.timedOut, .timeout), (.notReported, .testFailure), (.flaky, .testFailure),
        ])
    func single(status: RunReport.Status, code: ExitCode) {
        #expect(judged(report(status)) == code)
    }

    @Test("passes do not outweigh anything; skips do not weigh")
    func mixed() {
        #expect(judged(report(.passed, .skipped)) == .success)
        for status in RunReport.Status.allCases where status.isFailure {
            #expect(judged(report(.passed, status, .passed)) != .success)
        }
        #expect(judged(report()) == .infrastructure)
        #expect(judged(RunReport(startedAt: "", project: "")) == .infrastructure)
    }

    @Test("a suite's problem fails the run although its tests passed")
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

    @Test("every kind of trouble has its own code, even when all tests passed", arguments: ExitCode.allCases)
    func troubles(code: ExitCode) {
        var report = report(.passed)
        report.troubles = [.init(Failure(code, "no"))]
        #expect(judged(report) == code)
    }

    @Test("what came first decides: a crash before the limit and the broken channel that it caused")
    func precedence() {
        var report = report(.crashed, .notReported)
        report.troubles = [.init(Failure(.infrastructure, "cut")), .init(Failure(.timeout, "silent"))]
        #expect(judged(report) == .timeout)
        report.crashes = [.init(title: "kernel panic", isFatal: true, lines: [])]
        #expect(judged(report) == .guestCrash)
        report.troubles.append(.init(Failure(.interrupted, "stop")))
        #expect(judged(report) == .interrupted)
    }
}
