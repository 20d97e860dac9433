/// What one of several guests that shared a plan's tests did.
public struct PartialOutcome: Sendable {
    /// For each of its programs, which program of the whole plan it stands for.
    public var programs: [Int]
    /// What happened in it.
    public var outcome: SessionOutcome

    /// Creates a part.
    public init(programs: [Int], outcome: SessionOutcome) {
        self.programs = programs
        self.outcome = outcome
    }
}

extension SessionOutcome {
    /// Puts together what the guests did, in the plan's order, whichever ended first.
    ///
    /// - Parameter plan: The whole plan.
    public static func merging(_ parts: [PartialOutcome], plan: SessionPlan) -> SessionOutcome {
        var whole = SessionRecorder(plan: plan).emptyOutcome
        whole.isComplete = !parts.isEmpty
        for part in parts {
            for (place, program) in zip(part.programs, part.outcome.programs) {
                whole.programs[place].tests += program.tests
                whole.programs[place].problems += program.problems
                // The last lines of the last guest would hide those of the one that failed.
                let isTelling = !program.problems.isEmpty || program.tests.contains { $0.status != .passed }
                if isTelling || whole.programs[place].output.isEmpty {
                    whole.programs[place].output += program.output
                }
            }
            whole.crashes += part.outcome.crashes
            whole.faults += part.outcome.faults
            whole.release = whole.release ?? part.outcome.release
            whole.isComplete = whole.isComplete && part.outcome.isComplete
        }
        for index in whole.programs.indices {
            // A bundle runs its tests in an order of its own, which depends on which they are.
            if case .swiftTesting(let expected) = plan.programs[index].resultsProtocol {
                let places = Dictionary(zip(expected, expected.indices), uniquingKeysWith: { first, _ in first })
                whole.programs[index].tests.sort {
                    (places[$0.id] ?? expected.count, $0.id) < (places[$1.id] ?? expected.count, $1.id)
                }
            }
            whole.programs[index].output = Array(whole.programs[index].output.suffix(SessionRecorder.mostOutputLines))
        }
        return whole
    }
}
