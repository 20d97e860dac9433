// SPDX-License-Identifier: Apache-2.0
import Artifacts
import GuestSession
import KernelSource
import Processes
import Reporting
import SystemPackage
import VirtualMachine

extension RunPlan.Step {
    init(
        _ name: String, _ outcome: RunPlan.Outcome, key: Digest? = nil, _ detail: String = "",
        actions: [RunPlan.Action] = [], dependsOn: [String] = []
    ) {
        self.init(
            name: name, outcome: outcome, key: key?.hex, detail: detail, dependsOn: dependsOn, actions: actions)
    }

    /// A step that cannot be planned because a command would have to be asked.
    init(_ name: String, _ detail: String = "", needing question: CommandNotRun) {
        self.init(name, .unknown, detail, dependsOn: [question.command.description])
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

extension Pipeline {
    /// What `run(filter:)` would do. Each step is asked for its key and its commands, which are those that it works with.
    ///
    /// The pipeline has to be made for a dry run, so that nothing can be run or changed by mistake.
    ///
    /// - Throws: `Failure` with the code with which a run would surely end, as for a patch that does not apply.
    public func plan(filter: String? = nil) async throws -> RunPlan {
        try checkBeforehand()
        var plan = RunPlan(project: project.folder.string, profile: project.profile)
        let kernelStep = KernelStep(pipeline: self, rules: try await confinement.rules()?.kernel)
        let pristine: KernelSourceArtifact?
        do {
            let planned = try await kernelStep.planSource()
            pristine = planned.pristine
            plan.steps.append(planned.step)
        } catch let question as CommandNotRun {
            pristine = nil
            plan.steps.append(.init("source", project.kernel.source, needing: question))
        }
        guard let pristine else {
            for name in ["patch", "configure", "compile", "programs", "rootfs", "test"] {
                plan.steps.append(.init(name, name == "test" ? .always : .unknown, dependsOn: ["source"]))
            }
            return plan
        }
        let build = try await kernelStep.planBuild(pristine)
        try KUnitTests.checkOrigin(project, build.patched)
        let programs = try await planPrograms(
            numbers: kernelStep.numbers(of: build.patched.overlay), filter: filter, of: build.patched)
        let root = try await planRootFilesystem(covering: programs.linked)
        plan.steps += build.steps + [programs.step, root.step]
        plan.steps += try await planTest(
            build.kernel, root.root, programs.ready, made: plan.steps.filter { $0.outcome != .hit }.map(\.name))
        return plan
    }

    /// The folder of a run that has not begun.
    private var nextRun: FilePath { history.folder.appending("TIME-PID-RANDOM") }

    /// What is to be done with what was made.
    ///
    /// - Parameter made: The steps whose results are not there.
    private func planTest(
        _ kernel: BuiltKernel?, _ root: RootDevice?, _ programs: [ProgramArtifact]?, made: [String]
    ) async throws -> [RunPlan.Step] {
        let isAlone = project.isolation == .test && project.architecture != .um
        var test = RunPlan.Step("test", .always)
        var steps: [RunPlan.Step] = []
        var needed: [String] = []
        if kernel == nil { needed.append("compile") }
        if root == nil { needed.append("rootfs") }
        do {
            guard let kernel, let root else {
                test.dependsOn = needed
                test.actions = [
                    .remark("the machine's command follows from the kernel's configuration and the root's place")
                ]
                if isAlone { steps.append(.init("snapshot", .unknown, dependsOn: made)) }
                return steps + [test]
            }
            let share = Share(tag: Self.programsTag, path: nextRun.appending("guest"), isReadOnly: true)
            let machines = try await machines(
                accelerator: try await decideAccelerator(), kernel: kernel, root: root, shares: [share] + userShares)
            if isAlone {
                if let programs, made.isEmpty {
                    steps.append(try await planSnapshots(programs, on: machines))
                } else {
                    steps.append(.init("snapshot", .unknown, dependsOn: made))
                }
            }
            if isAlone {
                test.actions = [.remark("each test's guest wakes from the snapshot; this is one that boots:")]
            } else if let guests = project.guests, guests > 1 {
                test.actions = [.remark("\(guests) guests share the tests; this is the first:")]
            }
            for (index, candidate) in machines.enumerated() {
                if index == 1 { test.actions.append(.remark("should the guest not get to init on that machine:")) }
                test.actions.append(try action(candidate))
            }
            test.actions.append(.remark("kbuild makes the folders in these commands, and listens to their sockets"))
        } catch let question as CommandNotRun {
            test.dependsOn.append(question.command.description)
        }
        return steps + [test]
    }

    /// What starts a machine.
    private func action(_ candidate: MachineCandidate) throws -> RunPlan.Action {
        let folder = MachineSockets.folderTemplate
        var runner = candidate.runner
        runner.sandbox?.writable.append(folder)
        let machine = candidate.machine.adding(kernelArgument: Self.planArgument(Self.planName(1)))
        return try RunPlan.Action(machine.command(in: folder), by: runner)
    }
}
