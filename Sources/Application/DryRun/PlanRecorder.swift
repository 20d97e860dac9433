// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import Reporting
import Synchronization

/// Records what steps would do, and does nothing.
///
/// The runner of its commands runs nothing either: a step that must ask a tool before it knows its work depends on that
/// command.
final class PlanRecorder: StepExecutor {
    private struct State {
        var steps: [RunPlan.Step] = []
        /// The steps whose results are not known beforehand.
        var unknown: [RunPlan.Step] = []
        /// Commands whose output is needed before the next step.
        var questions: [String] = []
    }

    private let state = Mutex(State())

    /// The steps of a run in order: those that were performed, and those that depend on unknown results.
    func steps(of names: [StepName]) -> [RunPlan.Step] {
        state.withLock { state in
            // Dependencies are transitive.
            let indirect = Set(state.unknown.flatMap(\.dependsOn))
            let missing = state.unknown.map(\.name).filter { !indirect.contains($0) }
            return names.map { name in
                state.steps.first { $0.name == name.rawValue }
                    ?? .init(name: name.rawValue, outcome: name == .test ? .always : .unknown, dependsOn: missing)
            }
        }
    }

    func carryOut<Result: Sendable>(_ step: Step<Result>) async throws -> Result? {
        var planned = RunPlan.Step(name: step.name.rawValue, outcome: .unknown)
        let answer = try await answered {
            let work = try await step.workOut(.silent)
            (planned.key, planned.inputs, planned.detail) = (work.key?.hex, work.inputs, work.detail)
            return try await work.forecast()
        }
        var expected: Result?
        switch answer {
        case .success(let forecast):
            planned.outcome = forecast.outcome
            planned.actions = forecast.actions
            planned.dependsOn = forecast.dependsOn
            planned.detail = forecast.detail ?? planned.detail
            expected = forecast.expected
        case .failure(let question): planned.dependsOn.append(question.command.description)
        }
        state.withLock { state in
            planned.dependsOn += state.questions
            state.questions = []
            state.steps.append(planned)
            if expected == nil { state.unknown.append(planned) }
        }
        return expected
    }

    func find<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result? {
        switch try await answered(body) {
        case .success(let result): return result
        case .failure(let question):
            state.withLock { $0.questions.append(question.command.description) }
            return nil
        }
    }

    func effect(_ body: @Sendable () async throws -> Void) async throws {}

    func together<First: Sendable, Second: Sendable>(
        _ first: @escaping @Sendable () async throws -> First, _ second: @escaping @Sendable () async throws -> Second
    ) async throws -> (First, Second) {
        (try await first(), try await second())
    }
}

/// The result of `body`, or the command that a dry run would have to run first.
func answered<Result>(_ body: () async throws -> Result) async throws -> Swift.Result<Result, CommandNotRun> {
    do {
        return .success(try await body())
    } catch let question as CommandNotRun {
        return .failure(question)
    }
}

extension RunPlan.Action {
    /// A command as `runner` would start it.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a tool is missing.
    init(_ command: Command, by runner: CommandRunner) throws {
        self = .command(try runner.planned(command).description)
    }
}
