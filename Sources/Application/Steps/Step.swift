// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Reporting

/// The steps of a run, in the order in which a report lists them.
public enum StepName: String, Sendable, CaseIterable {
    /// The kernel's source is in the cache.
    case source
    /// The patches are applied to the project's tree.
    case patch
    /// The kernel has a configuration.
    case configure
    /// The kernel is built.
    case compile
    /// sparse and checkpatch have read the project's own C files.
    case lint
    /// The project's kernel modules are built.
    case modules
    /// The test programs are built.
    case programs
    /// The root file system is made.
    case rootfs
    /// Guests are saved, ready to run one test each.
    case snapshot
    /// The guest of `kbuild shell` is up.
    case boot
    /// The tests have run.
    case test
}

/// A step of a run as a value: its executor decides whether the work is done (`StepLog`) or only recorded
/// (`PlanRecorder`).
struct Step<Result: Sendable>: Sendable {
    let name: StepName
    /// Finds the work to do; changes nothing.
    let workOut: @Sendable (ProgressSink) async throws -> Work<Result>

    init(_ name: StepName, workOut: @escaping @Sendable (ProgressSink) async throws -> Work<Result>) {
        self.name = name
        self.workOut = workOut
    }
}

/// The work of a step, with all its inputs.
struct Work<Result: Sendable>: Sendable {
    /// The digest of all inputs of the result, if the result is stored under it.
    var key: Digest?
    /// The names of the key's inputs.
    var inputs: [String] = []
    /// A few words on the result.
    var detail = ""
    /// The result, if it exists already.
    var result: Result?
    /// Predicts the work: its commands, which are those that `perform` runs, and its result as far as it is known.
    var forecast: @Sendable () async throws -> Forecast<Result>
    /// Does the work.
    var perform: @Sendable (ProgressSink) async throws -> Performed<Result>

    /// Work to do.
    init(
        key: Digest? = nil, detail: String = "", forecast: @escaping @Sendable () async throws -> Forecast<Result>,
        perform: @escaping @Sendable (ProgressSink) async throws -> Performed<Result>
    ) {
        (self.key, self.detail, self.forecast, self.perform) = (key, detail, forecast, perform)
    }

    /// Work that was done earlier.
    static func found(_ result: Result, key: Digest? = nil, _ detail: String = "") -> Work {
        var work = Work(
            key: key, detail: detail, forecast: { Forecast(outcome: .hit, expected: result) },
            perform: { _ in Performed(result: result, outcome: .hit, detail: detail) })
        work.result = result
        return work
    }

    /// The same work, with the key under which its result is stored, and the names of the key's inputs.
    func filed(under key: ArtifactKey) -> Work {
        var work = self
        (work.key, work.inputs) = (key.digest, key.inputs)
        return work
    }
}

/// The result of a step's work.
struct Performed<Result: Sendable>: Sendable {
    var result: Result
    var outcome: StepOutcome
    /// A few words on the result.
    var detail: String
}

/// What a step would do.
struct Forecast<Result: Sendable>: Sendable {
    var outcome = RunPlan.Outcome.miss
    /// The result as far as it is known without the work; its files need not exist.
    var expected: Result?
    /// The commands and kbuild's own actions, in order.
    var actions: [RunPlan.Action] = []
    /// Steps, or commands, whose results decide the work.
    var dependsOn: [String] = []
    /// A few words on the result, if more is known than before the work.
    var detail: String?
}

/// Performs steps, or records what they would do.
protocol StepExecutor: Sendable {
    /// Performs a step.
    ///
    /// - Returns: Its result; nil in a dry run if it is not known before the work is done.
    /// - Throws: The step's errors.
    func carryOut<Result: Sendable>(_ step: Step<Result>) async throws -> Result?

    /// Runs a look-up that belongs to no step.
    ///
    /// - Returns: Nil in a dry run if a command would have to run first.
    func find<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result?

    /// Performs an action that belongs to no step; a dry run omits it.
    func effect(_ body: @Sendable () async throws -> Void) async throws

    /// Runs two functions concurrently if possible. The first failure ends the other.
    func together<First: Sendable, Second: Sendable>(
        _ first: @escaping @Sendable () async throws -> First, _ second: @escaping @Sendable () async throws -> Second
    ) async throws -> (First, Second)
}
