// SPDX-License-Identifier: Apache-2.0
import KernelMake
import Project
import Reporting
import ResultsModel
import RunStore
import SystemPackage

/// What `kbuild run --dry-run` prints: the steps of a run, from the same composition, with a recorder as the executor.
public struct RunPlanner: Sendable {
    private let context: ProjectContext

    /// - Parameter context: Made for a dry run, so that nothing can be run or changed by mistake.
    public init(_ context: ProjectContext) { self.context = context }

    /// What a run would do.
    ///
    /// - Parameter filter: A pattern for the tests; nil for all.
    /// - Throws: `Failure` with the exit code of a failure that is certain to occur in a run, as for a patch that does
    ///   not apply.
    public func plan(filter: String? = nil) async throws -> RunPlan {
        let recorder = PlanRecorder()
        let pipeline = Pipeline(context: context, executor: recorder)
        let parts = try await pipeline.parts(RequestedTests(filter: filter))
        // The folder of a run that has not begun.
        let folder = context.history.folder.appending("TIME-PID-RANDOM")
        if let inputs = parts.inputs(in: folder, try await KernelSteps.make(context)) {
            let guests = try await pipeline.guests(for: inputs)
            let snapshots = try await pipeline.snapshots(for: guests)
            _ = try await pipeline.tests(in: guests, from: snapshots, kernel: inputs.kernel)
        }
        return RunPlan(
            project: context.project.place.string, profile: context.project.profile,
            steps: recorder.steps(of: names))
    }

    /// The steps of a run of this project.
    private var names: [StepName] {
        let resumesGuests =
            context.project.isolation == .test && context.project.architecture != .um
            && context.project.prebuiltKernel == nil
        return StepName.allCases.filter { name in
            switch name {
            case .boot: false
            case .snapshot: resumesGuests
            case .lint: context.project.lint
            case .patch, .configure, .compile: context.project.prebuiltKernel == nil
            case .modules: !context.project.modules.isEmpty
            default: true
            }
        }
    }
}
