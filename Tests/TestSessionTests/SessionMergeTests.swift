import Testing

@testable import TestSession

@Suite("What several guests did, as one")
struct SessionMergeTests {
    private let plan = SessionPlan(programs: [
        PlannedProgram(name: "a", arguments: ["/a"], resultsProtocol: .swiftTesting(expected: ["1", "2"])),
        PlannedProgram(name: "b", arguments: ["/b"], resultsProtocol: .exitCode),
    ])

    private func outcome(
        _ test: String, _ status: TestOutcome.Status, isComplete: Bool = true, output: [String] = []
    ) -> SessionOutcome {
        SessionOutcome(
            programs: [
                ProgramOutcome(
                    name: "?", kind: "?", tests: [TestOutcome(id: test, name: test, status: status)], output: output)
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

    @Test("one guest that did not end well makes the whole incomplete, and its output is kept")
    func incomplete() {
        let whole = SessionOutcome.merging(
            [
                PartialOutcome(programs: [0], outcome: outcome("1", .passed, output: ["fine"])),
                PartialOutcome(programs: [0], outcome: outcome("2", .crashed, isComplete: false, output: ["help"])),
            ], plan: plan)
        #expect(!whole.isComplete)
        #expect(whole.programs[0].output == ["fine", "help"])
    }

    @Test("what no guest has told of is not reported, and nothing at all is not complete")
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
}
