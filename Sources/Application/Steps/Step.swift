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

/// A step of a run as a value: who carries it out decides whether its work is done (`StepLog`) or only written down
/// (`PlanRecorder`).
struct Step<Result: Sendable>: Sendable {
    let name: StepName
    /// Works out what there is to do; changes nothing.
    let workOut: @Sendable (ProgressSink) async throws -> Work<Result>

    init(_ name: StepName, workOut: @escaping @Sendable (ProgressSink) async throws -> Work<Result>) {
        self.name = name
        self.workOut = workOut
    }
}

/// What a step has to do, with all that goes into it.
struct Work<Result: Sendable>: Sendable {
    /// The digest of all that goes into the result, where it is filed under one that is known.
    var key: Digest?
    /// The names of what goes into the key.
    var inputs: [String] = []
    /// What the result is, in a few words.
    var detail = ""
    /// The result, when it is there already.
    var result: Result?
    /// What the work will be: its commands, which are those that `perform` runs, and its result as far as that is
    /// known.
    var forecast: @Sendable () async throws -> Forecast<Result>
    /// Does the work.
    var perform: @Sendable (ProgressSink) async throws -> Performed<Result>

    /// Work that is to be done.
    init(
        key: Digest? = nil, detail: String = "", forecast: @escaping @Sendable () async throws -> Forecast<Result>,
        perform: @escaping @Sendable (ProgressSink) async throws -> Performed<Result>
    ) {
        (self.key, self.detail, self.forecast, self.perform) = (key, detail, forecast, perform)
    }

    /// Work that was done before.
    static func found(_ result: Result, key: Digest? = nil, _ detail: String = "") -> Work {
        var work = Work(
            key: key, detail: detail, forecast: { Forecast(outcome: .hit, expected: result) },
            perform: { _ in Performed(result: result, outcome: .hit, detail: detail) })
        work.result = result
        return work
    }

    /// The same work, with the key that its result is filed under and the names of what is in that.
    func filed(under key: ArtifactKey) -> Work {
        var work = self
        (work.key, work.inputs) = (key.digest, key.inputs)
        return work
    }
}

/// What the work of a step comes to.
struct Performed<Result: Sendable>: Sendable {
    var result: Result
    var outcome: StepOutcome
    /// What the result is, in a few words.
    var detail: String
}

/// What a step would do.
struct Forecast<Result: Sendable>: Sendable {
    var outcome = RunPlan.Outcome.miss
    /// The result as far as it is known without the work; its files need not be there.
    var expected: Result?
    /// The commands and what kbuild does itself, in order.
    var actions: [RunPlan.Action] = []
    /// Steps, or commands, whose results decide what is to be done.
    var dependsOn: [String] = []
    /// What the result is, in a few words, where more is known than the work says.
    var detail: String?
}

/// Carries out steps, or writes down what they would do.
protocol StepExecutor: Sendable {
    /// Carries out a step.
    ///
    /// - Returns: Its result; nil in a dry run where that is not known before the work is done.
    /// - Throws: What the step throws.
    func carryOut<Result: Sendable>(_ step: Step<Result>) async throws -> Result?

    /// Finds something out that belongs to no step.
    ///
    /// - Returns: Nil in a dry run when a command would have to be asked.
    func find<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result?

    /// Does something that belongs to no step and is left out in a dry run.
    func effect(_ body: @Sendable () async throws -> Void) async throws

    /// Does two things at the same time where that is possible. The first to fail ends the other.
    func together<First: Sendable, Second: Sendable>(
        _ first: @escaping @Sendable () async throws -> First, _ second: @escaping @Sendable () async throws -> Second
    ) async throws -> (First, Second)
}
