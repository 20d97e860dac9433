// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelMake
import Processes
import Project
import ResultsModel
import SystemPackage
import TestSession
import VirtualMachine

/// Composes the steps of a run: source > patch > configure > compile beside programs > rootfs, then snapshot > test.
///
/// Each step is a value that names its work. The executor performs the step, or records it for a dry run, so both use
/// one composition. Nil is a value that a dry run cannot know.
struct Pipeline: Sendable {
    let context: ProjectContext
    let executor: any StepExecutor

    private var project: Project { context.project }

    /// The parts of a guest, as far as they are known.
    struct Parts: Sendable {
        var accelerator: ChosenAccelerator?
        var patched: PatchedKernelArtifact?
        var kernel: BuiltKernel?
        var modules: ModuleSet?
        var root: RootFilesystemArtifact?
        var programs: ProgramSet?

        /// The inputs of a run; nil while one of them is not known.
        ///
        /// - Parameter folder: The run's folder.
        func inputs(in folder: FilePath, _ steps: KernelSteps) -> RunInputs? {
            guard let accelerator, let patched, let kernel, let modules, let root else { return nil }
            return RunInputs(
                folder: folder, accelerator: accelerator, patched: patched, kernel: kernel, modules: modules,
                root: root, programs: programs ?? ProgramSet(artifacts: [], isComplete: false),
                symbolizer: steps.symbolizer(of: kernel, patched, modules))
        }
    }

    /// The source with its patches.
    func patched(_ steps: KernelSteps) async throws -> PatchedKernelArtifact? {
        guard let pristine = try await executor.carryOut(steps.source()) else { return nil }
        return try await executor.carryOut(steps.patch(pristine))
    }

    /// A kernel and the modules that its guests can load; nil for what a dry run cannot know.
    struct KernelParts: Sendable {
        var kernel: BuiltKernel?
        var modules: ModuleSet?
    }

    /// Builds the kernel and the modules.
    func kernel(_ steps: KernelSteps, _ patched: PatchedKernelArtifact) async throws -> KernelParts {
        // Held since the tree was synchronized.
        defer { withExtendedLifetime(patched.lock) {} }
        let config = try await executor.carryOut(steps.configure(patched))
        let kernel = try await executor.carryOut(steps.compile(patched, config: config))
        if project.lint { _ = try await executor.carryOut(steps.lint(patched, kernel: kernel)) }
        let modules: ModuleSet?
        if project.modules.isEmpty {
            modules = try kernel.map(steps.kernelModules)
        } else {
            modules = try await executor.carryOut(steps.modules(patched, kernel: kernel))
        }
        return KernelParts(kernel: kernel, modules: modules)
    }

    /// Makes the parts that a guest needs.
    ///
    /// - Parameters:
    ///   - selection: The tests to build, and whether at least one is required.
    ///   - note: Called with early results, for the report of a run that fails later.
    /// - Throws: `Failure` with its own exit code; `CancellationError`.
    func parts(
        _ selection: RequestedTests, note: (PatchedKernelArtifact, _ buildLog: FilePath) -> Void = { _, _ in }
    ) async throws -> Parts {
        try context.checkBeforehand()
        try await context.checkDevices()
        if let kernel = project.prebuiltKernel {
            return try await prebuiltParts(PrebuiltKernelSteps(context: context, kernel: kernel), selection, note: note)
        }
        let machines = MachineSelection(context: context)
        if project.architecture != .um { _ = try await executor.find { try await machines.emulator() } }
        let kernelSteps = try await KernelSteps.make(context)
        let accelerator = try await executor.find { try await machines.decideAccelerator() }
        guard let patched = try await patched(kernelSteps) else { return Parts(accelerator: accelerator) }
        note(patched, kernelSteps.buildLog)
        try KUnitTests.checkOrigin(project, patched)
        let programSteps = ProgramSteps(kernelSteps, patched)
        try await executor.effect { try programSteps.numbers.write() }
        let rootSteps = RootFilesystemSteps(context: context, accelerator: accelerator?.accelerator ?? .tcg)
        // The first failure ends the others: a test that does not compile does not wait for the kernel.
        let (built, user) = try await executor.together {
            try await self.kernel(kernelSteps, patched)
        } _: {
            let programs = try await executor.carryOut(programSteps.programs(selection))
            // The root file system has the libraries that the programs need.
            let root = try await executor.carryOut(rootSteps.rootFilesystem(covering: programs?.dynamic))
            return UserParts(programs: programs, root: root)
        }
        if let kernel = built.kernel {
            try await executor.effect { try programSteps.checkConfiguration(kernel.config) }
        }
        let programs = try built.modules.flatMap { try user.programs?.loading($0, for: project) } ?? user.programs
        return Parts(
            accelerator: accelerator, patched: patched, kernel: built.kernel, modules: built.modules, root: user.root,
            programs: programs)
    }

    /// Makes the parts of a guest whose kernel exists already.
    private func prebuiltParts(
        _ steps: PrebuiltKernelSteps, _ selection: RequestedTests,
        note: (PatchedKernelArtifact, _ buildLog: FilePath) -> Void
    ) async throws -> Parts {
        let machines = MachineSelection(context: context)
        _ = try await executor.find { try await machines.emulator() }
        let accelerator = try await executor.find { try await machines.decideAccelerator() }
        guard let kernel = try await executor.carryOut(steps.source()) else { return Parts(accelerator: accelerator) }
        let patched = steps.patched(kernel)
        let kernelSteps = try await KernelSteps.make(context)
        note(patched, kernelSteps.buildLog)
        let programSteps = ProgramSteps(kernelSteps, patched)
        try await executor.effect { try programSteps.numbers.write() }
        let programs = try await executor.carryOut(programSteps.programs(selection))
        var rootSteps = RootFilesystemSteps(context: context, accelerator: accelerator?.accelerator ?? .tcg)
        rootSteps.bootModules = kernel.modules
        let root = try await executor.carryOut(rootSteps.rootFilesystem(covering: programs?.dynamic))
        var built = kernel.built
        built.bootModules = kernel.modules
        return Parts(
            accelerator: accelerator, patched: patched, kernel: built, modules: ModuleSet.none, root: root,
            programs: programs)
    }

    private struct UserParts: Sendable {
        var programs: ProgramSet?
        var root: RootFilesystemArtifact?
    }

    /// Makes everything that a guest needs.
    ///
    /// - Parameter folder: The run's folder.
    func prepare(
        in folder: FilePath, _ selection: RequestedTests,
        note: (PatchedKernelArtifact, _ buildLog: FilePath) -> Void = { _, _ in }
    ) async throws -> RunInputs {
        let parts = try await parts(selection, note: note)
        guard let inputs = parts.inputs(in: folder, try await KernelSteps.make(context)) else {
            throw Failure(.infrastructure, "a step ended without a result")
        }
        return inputs
    }

    /// The guests of a run, with the folders that they mount.
    func guests(for inputs: RunInputs) async throws -> RunGuests {
        let share = GuestShare.programs(in: inputs.folder)
        try await executor.effect {
            try GuestShare.layOut(inputs.programs.artifacts, config: inputs.kernel.config, in: share.path)
            try inputs.modules.layOut(in: share.path)
            // Creates the user's shared folders if they are missing.
            for share in project.shares { try createFolder(share.path) }
        }
        var request = GuestRequest(
            accelerator: inputs.accelerator, kernel: inputs.kernel, root: inputs.root.device,
            shares: [share] + context.userShares + HostRoot.shares(of: project),
            watchesFewFiles: !KernelSteps.watchedObjects(inputs.patched.overlay).isEmpty)
        if project.profilesCalls { request.profiledCalls = CallProfiling.names(inputs.patched.overlay).keys.sorted() }
        if let modules = inputs.kernel.bootModules {
            if !modules.hasBuiltInShares {
                // The guest has the programs on a disk.
                request.programs = share.path
                request.shares = modules.hasShares ? Array(request.shares.dropFirst()) : []
            }
            if modules.hasShares, let folder = modules.folder {
                request.shares.append(Share(tag: BootModules.tag, path: folder, isReadOnly: true))
            }
            if !modules.hasShares, !context.userShares.isEmpty {
                context.tools.progress(
                    .note(
                        "the kernel \(inputs.kernel.version) has no 9p, so the guest has none of the project's shares"))
            }
        }
        let guest = request
        let machines = try await executor.find { try await MachineSelection(context: context).machines(for: guest) }
        return RunGuests(
            programs: inputs.programs, machines: machines ?? [], share: share.path, folder: inputs.folder)
    }

    /// Makes the guests' snapshots; nil when they boot, or when a dry run cannot know.
    func snapshots(for guests: RunGuests) async throws -> SnapshotArtifacts? {
        guard project.isolation == .test, project.architecture != .um, guests.programs.isComplete else { return nil }
        // A disk with the programs is mounted in the guest from its beginning, so its guests boot.
        guard project.prebuiltKernel == nil else { return nil }
        return try await executor.carryOut(SnapshotSteps(context: context, guests: guests).snapshots())
    }

    /// Runs the tests in the guests.
    func tests(in guests: RunGuests, from snapshots: SnapshotArtifacts?, kernel: BuiltKernel) async throws
        -> TestResults?
    {
        let tests = TestSteps(context: context, guests: guests, kernel: kernel)
        return try await executor.carryOut(tests.tests(from: snapshots))
    }
}
