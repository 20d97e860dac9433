// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import CrashReports
@testable import TestSession

@Suite("Merged sessions of several guests", .timeLimit(.minutes(30)))
struct SessionMergeTests {
    private let plan = SessionPlan(programs: [
        ProgramPlan(name: "a", arguments: ["/a"], resultsProtocol: .swiftTesting(expected: ["1", "2"])),
        ProgramPlan(name: "b", arguments: ["/b"], resultsProtocol: .exitCode(skip: nil)),
    ])

    private func outcome(
        _ test: String, _ status: TestStatus, isComplete: Bool = true, output: [String] = []
    ) -> SessionOutcome {
        SessionOutcome(
            programs: [
                SuiteResult(
                    name: "?", kind: "?", tests: [TestResult(id: test, name: test, status: status)], output: output)
            ], crashes: [], faults: [], release: "6.1", isComplete: isComplete)
    }

    @Test("each program has its tests in the order of the plan, and keeps its own name")
    func order() {
        let whole = SessionOutcome.merging(
            [
                PartialOutcome(programs: [0], outcome: outcome("2", .failed)),
                PartialOutcome(programs: [1], outcome: outcome("b", .passed)),
                PartialOutcome(programs: [0], outcome: outcome("1", .passed)),
            ], plan: plan)
        #expect(whole.programs.map(\.name) == ["a", "b"])
        #expect(whole.programs.map(\.kind) == ["swift-testing", "exit-code"])
        #expect(whole.programs[0].tests.map(\.id) == ["1", "2"])
        #expect(whole.programs[1].tests.map(\.id) == ["b"])
        #expect(whole.release == "6.1")
        #expect(whole.isComplete)
    }

    @Test("one guest with a bad end makes the session incomplete, and its output is kept")
    func incomplete() {
        let whole = SessionOutcome.merging(
            [
                PartialOutcome(programs: [0], outcome: outcome("1", .passed, output: ["fine"])),
                PartialOutcome(programs: [0], outcome: outcome("2", .crashed, isComplete: false, output: ["help"])),
            ], plan: plan)
        #expect(!whole.isComplete)
        #expect(whole.programs[0].output == ["fine", "help"])
    }

    @Test("a test that no guest reported is unreported, and an empty session is not complete")
    func nothing() {
        let nothing = SessionOutcome.merging([], plan: plan)
        #expect(!nothing.isComplete)
        #expect(nothing.programs.map { $0.tests.map(\.status) } == [[.notReported, .notReported], [.notReported]])
        let part = PartialOutcome(programs: [0], outcome: outcome("2", .passed))
        let half = SessionOutcome.merging([part], plan: plan)
        #expect(half.programs[0].tests.map(\.id) == ["1", "2"])
        #expect(half.programs[0].tests.map(\.status) == [.notReported, .passed])
        #expect(half.programs[1].tests.map(\.status) == [.notReported])
    }

    @Test("the results of a following guest count for tests that another guest did not reach")
    func takenOver() {
        var first = outcome("1", .crashed, isComplete: false)
        first.programs[0].tests.append(TestResult(id: "2", name: "2", status: .notReported, reason: "it crashed"))
        let whole = SessionOutcome.merging(
            [
                PartialOutcome(programs: [0], outcome: first),
                PartialOutcome(programs: [0], outcome: outcome("2", .passed)),
            ], plan: plan)
        #expect(whole.programs[0].tests.map(\.id) == ["1", "2"])
        #expect(whole.programs[0].tests.map(\.status) == [.crashed, .passed])
    }

    @Test(
        "a test that passes in one try and not in another is flaky; any other test keeps its first result",
        arguments: [
            (TestStatus.failed, TestStatus.passed, TestStatus.flaky),
            (.crashed, .passed, .flaky), (.timedOut, .passed, .flaky), (.notReported, .passed, .flaky),
            (.passed, .failed, .flaky), (.flaky, .passed, .flaky), (.flaky, .failed, .flaky),
            (.failed, .failed, .failed),
            (.failed, .crashed, .failed), (.crashed, .failed, .crashed), (.failed, .skipped, .failed),
            (.skipped, .skipped, .skipped), (.passed, .passed, .passed), (.failed, .notReported, .failed),
            (.passed, .notReported, .passed),
        ])
    func retry(first: TestStatus, second: TestStatus, expected: TestStatus) {
        var whole = SessionOutcome.merging(
            [
                PartialOutcome(programs: [0], outcome: outcome("1", first)),
                PartialOutcome(programs: [0], outcome: outcome("2", .passed)),
            ], plan: plan)
        whole.take(retry: [PartialOutcome(programs: [0], outcome: outcome("1", second))], number: 2)
        #expect(whole.programs[0].tests.map(\.status) == [expected, .passed])
    }

    @Test("a retry's crashes, problems and faults are not lost")
    func retryKeepsEvidence() {
        var whole = SessionOutcome.merging(
            [PartialOutcome(programs: [0], outcome: outcome("1", .failed))], plan: plan)
        whole.programs[0].problems = ["it left"]
        var second = outcome("1", .passed)
        second.programs[0].problems = ["it left", "it left again"]
        second.faults = ["a frame is damaged"]
        second.crashes = [Crash(title: "WARNING in f", kind: .warning, isFatal: false, lines: [])]
        whole.take(retry: [PartialOutcome(programs: [0], outcome: second)], number: 2)
        #expect(whole.programs[0].tests.first?.reason == "it failed, and passed in try 2")
        #expect(whole.programs[0].problems == ["it left", "it left again"])
        #expect(whole.faults == ["a frame is damaged"])
        #expect(whole.crashes.map(\.title) == ["WARNING in f"])
    }
}
