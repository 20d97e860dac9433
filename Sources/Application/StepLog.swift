// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Project
import Synchronization
import TestSession

/// How a step came to its result.
public enum StepOutcome: String, Sendable {
    /// Its result was there already.
    case hit
    /// It did its work.
    case made
    /// It failed.
    case failed
    /// It was cut off, since another step failed or the run was interrupted.
    case cancelled
}

/// What a pipeline tells while it runs.
public enum PipelineEvent: Sendable {
    /// A step starts.
    case stepStarted(String)
    /// A step ended: how, after how many seconds, and what it came to in a few words.
    case stepFinished(String, StepOutcome, seconds: Double, detail: String)
    /// Something within the named step, or outside all steps.
    case progress(String?, ProgressEvent)
    /// Something within the guest.
    case session(SessionEvent)
}

/// A step that has ended.
struct FinishedStep: Sendable, Equatable {
    var name: String
    var outcome: StepOutcome
    var start: ContinuousClock.Instant
    var seconds: Double
    var detail: String
}

/// Times steps, tells of them, and remembers them in the order in which they began, and the commands that were run.
final class StepLog: Sendable {
    /// More commands than these are not remembered: a guest to each test is a command to each.
    private static let mostCommands = 100
    /// The characters that are remembered of one.
    private static let longestCommand = 4000

    private struct State {
        var order: [String] = []
        var finished: [String: FinishedStep] = [:]
        var commands: [String] = []
    }

    private let state = Mutex(State())
    private let sink: @Sendable (PipelineEvent) -> Void

    init(_ sink: @escaping @Sendable (PipelineEvent) -> Void) {
        self.sink = sink
    }

    /// The steps that have ended.
    var steps: [FinishedStep] {
        state.withLock { state in state.order.compactMap { state.finished[$0] } }
    }

    /// The commands that were run, in order.
    var commands: [String] { state.withLock { $0.commands } }

    func callAsFunction(_ event: PipelineEvent) {
        if case .progress(_, .command(let text)) = event {
            state.withLock { state in
                guard state.commands.count < Self.mostCommands else { return }
                let isLong = text.count > Self.longestCommand
                state.commands.append(isLong ? text.prefix(Self.longestCommand) + "…" : text)
            }
        }
        sink(event)
    }

    /// Runs a step.
    ///
    /// - Parameter body: Returns the result, how it came about, and what it is in a few words.
    func step<Result: Sendable>(
        _ name: String, body: (ProgressSink) async throws -> (Result, StepOutcome, String)
    ) async throws -> Result {
        let clock = ContinuousClock()
        let start = clock.now
        state.withLock { $0.order.append(name) }
        sink(.stepStarted(name))
        func finish(_ outcome: StepOutcome, _ detail: String) {
            let duration = (clock.now - start).components
            let seconds = Double(duration.seconds) + Double(duration.attoseconds) / 1e18
            let step = FinishedStep(name: name, outcome: outcome, start: start, seconds: seconds, detail: detail)
            state.withLock { $0.finished[name] = step }
            sink(.stepFinished(name, outcome, seconds: seconds, detail: detail))
        }
        do {
            let (result, outcome, detail) = try await body(
                ProgressSink { [sink] event in sink(.progress(name, event)) })
            finish(outcome, detail)
            return result
        } catch is CancellationError {
            finish(.cancelled, "another step failed, or the run was interrupted")
            throw CancellationError()
        } catch {
            finish(.failed, (error as? Failure)?.message ?? "\(error)")
            throw error
        }
    }
}
