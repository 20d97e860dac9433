// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// The result of one of several guests that shared a plan's tests.
public struct PartialOutcome: Sendable {
    /// For each of its programs, the index of the program in the whole plan.
    public var programs: [Int]
    /// Its outcome.
    public var outcome: SessionOutcome

    /// Creates a part.
    public init(programs: [Int], outcome: SessionOutcome) {
        self.programs = programs
        self.outcome = outcome
    }
}

extension SessionOutcome {
    /// Merges the outcomes of the guests, in the plan's order, whichever ended first.
    ///
    /// - Parameters:
    ///   - parts: The guests, in an order in which each comes after the guests whose tests it took over.
    ///   - plan: The whole plan.
    public static func merging(_ parts: [PartialOutcome], plan: SessionPlan) -> SessionOutcome {
        var whole = SessionRecorder(plan: plan).emptyOutcome
        whole.isComplete = !parts.isEmpty
        for part in parts {
            for (place, program) in zip(part.programs, part.outcome.programs) {
                // A guest that took over another's remaining tests decides on them.
                let reported = Set(program.tests.map(\.id))
                whole.programs[place].tests.removeAll { $0.status == .notReported && reported.contains($0.id) }
                whole.programs[place].tests += program.tests
                whole.programs[place].problems += program.problems
                whole.programs[place].notes += program.notes.filter { !whole.programs[place].notes.contains($0) }
                whole.programs[place].omittedProblems += program.omittedProblems
                // The last lines of the last guest would hide those of the failed one.
                let isTelling = !program.problems.isEmpty || program.tests.contains { $0.status != .passed }
                if isTelling || whole.programs[place].output.isEmpty {
                    whole.programs[place].output += program.output
                }
            }
            whole.crashes += part.outcome.crashes
            whole.faults += part.outcome.faults
            whole.coverage += part.outcome.coverage
            whole.callTimes.add(part.outcome.callTimes)
            whole.notes += part.outcome.notes.filter { !whole.notes.contains($0) }
            whole.release = whole.release ?? part.outcome.release
            whole.isComplete = whole.isComplete && part.outcome.isComplete
        }
        for index in whole.programs.indices {
            var tests = whole.programs[index].tests
            switch plan.programs[index].resultsProtocol {
            case .swiftTesting(let expected):
                // A test that no guest reported did not pass.
                let reported = Set(tests.map(\.id))
                tests += expected.filter { !reported.contains($0) }.map {
                    TestResult(id: $0, name: $0, status: .notReported)
                }
                // A bundle runs its tests in its own order, which depends on the selection.
                let places = Dictionary(zip(expected, expected.indices), uniquingKeysWith: { first, _ in first })
                tests.sort { (places[$0.id] ?? expected.count, $0.id) < (places[$1.id] ?? expected.count, $1.id) }
            case .ktap, .exitCode, .kselftest, .ltp, .interactive:
                if tests.isEmpty, whole.programs[index].problems.isEmpty {
                    let name = plan.programs[index].name
                    tests = [TestResult(id: name, name: name, status: .notReported)]
                }
            }
            whole.programs[index].tests = tests
            whole.programs[index].output = Array(whole.programs[index].output.suffix(SessionRecorder.mostOutputLines))
        }
        return whole
    }

    /// Adds the reason to each test that did not report, unless a guest gave another.
    public mutating func explainUnreported(_ reason: String) {
        for program in programs.indices {
            for test in programs[program].tests.indices where programs[program].tests[test].status == .notReported {
                programs[program].tests[test].reason = reason
            }
        }
    }

    /// Adds the results of repeated tests. A test that passed in one try and failed in another is flaky, and so are
    /// tests of its program that ran with it and had another result; the results of the first try are kept.
    ///
    /// - Parameters:
    ///   - retry: The guests that repeated them.
    ///   - number: The number of the try; the first run is 1.
    public mutating func take(retry parts: [PartialOutcome], number: Int) {
        for part in parts {
            for (place, program) in zip(part.programs, part.outcome.programs) {
                for test in program.tests where test.status != .notReported {
                    guard let index = programs[place].tests.firstIndex(where: { $0.id == test.id }) else { continue }
                    programs[place].tests[index].take(retry: test, number: number)
                }
                programs[place].problems += program.problems.filter { !programs[place].problems.contains($0) }
                programs[place].omittedProblems += program.omittedProblems
            }
            crashes += part.outcome.crashes
            faults += part.outcome.faults
            coverage += part.outcome.coverage
            callTimes.add(part.outcome.callTimes)
        }
    }
}

extension TestResult {
    fileprivate mutating func take(retry: TestResult, number: Int) {
        let first = reason.map { ": \($0)" } ?? ""
        if retry.status == .passed, status.isWorthAnotherTry {
            reason = "it \(status.words.verb)\(first), and passed in try \(number)"
        } else if retry.status.isWorthAnotherTry, status == .passed {
            reason = "it passed at first and \(retry.status.words.verb) in try \(number)"
            issues += retry.issues
            omittedIssues += retry.omittedIssues
        } else {
            return
        }
        status = .flaky
    }
}

extension TestStatus {
    /// Whether another try may have a result that counts.
    fileprivate var isWorthAnotherTry: Bool { isFailure && self != .flaky }
}
