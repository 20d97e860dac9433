// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Project
import Synchronization
import TestSession

/// How a step got its result.
public enum StepOutcome: String, Sendable {
    /// The result existed already.
    case hit
    /// The step did its work.
    case made
    /// The step failed.
    case failed
    /// The step was cancelled, because another step failed or the run was interrupted.
    case cancelled
}

/// What steps report while they run.
public enum StepEvent: Sendable {
    /// A step starts.
    case stepStarted(StepName)
    /// A step ended: its outcome, its time in seconds, and a few words on its result.
    case stepFinished(StepName, StepOutcome, seconds: Double, detail: String)
    /// Something within the named step, or outside all steps.
    case progress(StepName?, ProgressEvent)
    /// Something within the guest.
    case session(SessionEvent)
}

/// A step that has ended.
struct FinishedStep: Sendable, Equatable {
    var name: StepName
    var outcome: StepOutcome
    var start: ContinuousClock.Instant
    var seconds: Double
    var detail: String
}

/// Times steps, reports them, and remembers them in the order of their start, with the commands that were run.
final class StepLog: Sendable {
    /// The most commands to remember: a guest for each test is a command for each.
    private static let mostCommands = 100
    /// The most characters to remember of one command.
    private static let longestCommand = 4000

    private struct State {
        var order: [StepName] = []
        var finished: [StepName: FinishedStep] = [:]
        var commands: [String] = []
    }

    private let state = Mutex(State())
    private let sink: @Sendable (StepEvent) -> Void

    init(_ sink: @escaping @Sendable (StepEvent) -> Void) {
        self.sink = sink
    }

    /// The steps that have ended.
    var steps: [FinishedStep] {
        state.withLock { state in state.order.compactMap { state.finished[$0] } }
    }

    /// The commands that were run, in order.
    var commands: [String] { state.withLock { $0.commands } }

    func callAsFunction(_ event: StepEvent) {
        if case .progress(_, .command(let text)) = event {
            state.withLock { state in
                guard state.commands.count < Self.mostCommands else { return }
                let isLong = text.count > Self.longestCommand
                state.commands.append(isLong ? text.prefix(Self.longestCommand) + "…" : text)
            }
        }
        sink(event)
    }

    /// Performs `body` as a step.
    func perform<Result: Sendable>(
        _ name: StepName, _ body: (ProgressSink) async throws -> Performed<Result>
    ) async throws -> Result {
        let clock = ContinuousClock()
        let start = clock.now
        // The tests of a run may be repeated, several times at a time: that is one step.
        state.withLock { if !$0.order.contains(name) { $0.order.append(name) } }
        sink(.stepStarted(name))
        func finish(_ outcome: StepOutcome, _ detail: String) {
            let duration = (clock.now - start).components
            let seconds = Double(duration.seconds) + Double(duration.attoseconds) / 1e18
            let step = FinishedStep(name: name, outcome: outcome, start: start, seconds: seconds, detail: detail)
            state.withLock { state in
                guard var known = state.finished[name] else { return state.finished[name] = step }
                let whole = (clock.now - known.start).components
                known.seconds = Double(whole.seconds) + Double(whole.attoseconds) / 1e18
                // The failure of one cancels the others.
                if known.outcome != .failed { (known.outcome, known.detail) = (outcome, detail) }
                state.finished[name] = known
            }
            sink(.stepFinished(name, outcome, seconds: seconds, detail: detail))
        }
        do {
            let performed = try await body(ProgressSink { [sink] event in sink(.progress(name, event)) })
            finish(performed.outcome, performed.detail)
            return performed.result
        } catch is CancellationError {
            finish(.cancelled, "another step failed, or the run was interrupted")
            throw CancellationError()
        } catch {
            finish(.failed, (error as? Failure)?.message ?? "\(error)")
            throw error
        }
    }
}

/// The result of one of two tasks.
private enum Either<First: Sendable, Second: Sendable>: Sendable {
    case first(First)
    case second(Second)
}

extension StepLog: StepExecutor {
    func carryOut<Result: Sendable>(_ step: Step<Result>) async throws -> Result? { try await result(of: step) }

    /// Performs a step and returns its result.
    func result<Result: Sendable>(of step: Step<Result>) async throws -> Result {
        try await perform(step.name) { progress in
            let work = try await step.workOut(progress)
            guard let result = work.result else { return try await work.perform(progress) }
            return Performed(result: result, outcome: .hit, detail: work.detail)
        }
    }

    func find<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result? {
        try await body()
    }

    func effect(_ body: @Sendable () async throws -> Void) async throws { try await body() }

    func together<First: Sendable, Second: Sendable>(
        _ first: @escaping @Sendable () async throws -> First, _ second: @escaping @Sendable () async throws -> Second
    ) async throws -> (First, Second) {
        try await withThrowingTaskGroup(of: Either<First, Second>.self) { group in
            group.addTask { .first(try await first()) }
            group.addTask { .second(try await second()) }
            var results: (first: First?, second: Second?)
            // The first error ends the group, which cancels the other task.
            for try await part in group {
                switch part {
                case .first(let result): results.first = result
                case .second(let result): results.second = result
                }
            }
            guard let first = results.first, let second = results.second else { throw CancellationError() }
            return (first, second)
        }
    }
}
