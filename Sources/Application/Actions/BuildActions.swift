// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import GuestSession
import IncrementalBuild
import KernelMake
import KernelSource
import PatchedTree
import Project
import ResultsModel
import SystemPackage
import TestSession

/// The compilations of a kernel, written for editors.
public struct WrittenCompileCommands: Sendable {
    /// The kernel.
    public var kernel: BuiltKernel
    /// The file.
    public var file: FilePath
    /// The number of its entries.
    public var count: Int
}

/// Builds a part of a run: `kbuild build`, `kbuild configure`, `kbuild rootfs` and `kbuild test --list`.
public struct BuildActions: Sendable {
    private let context: ProjectContext
    private var tools: ToolContext { context.tools }

    /// Prepares the actions without running anything.
    public init(_ context: ProjectContext) { self.context = context }

    /// Builds the kernel and returns it.
    ///
    /// - Throws: `Failure` with its own exit code.
    public func kernel() async throws -> BuiltKernel {
        try context.checkFiles(forKernelOnly: true)
        try context.checkLint()
        defer { tools.statCache.save() }
        if let kernel = context.project.prebuiltKernel, kernel.isInTree {
            return try await context.log.result(of: PrebuiltKernelSteps(context: context, kernel: kernel).source())
                .built
        }
        let steps = try await KernelSteps.make(context, wantsImage: true)
        let patched = try await patched(steps)
        let pipeline = Pipeline(context: context, executor: context.log)
        guard let kernel = try await pipeline.kernel(steps, patched).kernel else {
            throw Failure(.infrastructure, "the build ended without a kernel")
        }
        return kernel
    }

    /// The name of the file that editors read compilations from.
    private static let databaseName = "compile_commands.json"

    /// Builds the kernel and writes its compilations for editors: into the project's folder, or the kernel tree.
    ///
    /// - Returns: The kernel, the file and the number of its entries.
    /// - Throws: `Failure` with its own exit code; `usage` for a kernel whose makefiles are not trusted: an editor
    ///   would take options from them.
    public func compileCommands() async throws -> WrittenCompileCommands {
        try context.checkFiles(forKernelOnly: true)
        defer { tools.statCache.save() }
        var steps = try await KernelSteps.make(context)
        steps.wantsOutput = true
        guard steps.rules == nil else {
            throw Failure(
                .usage,
                "no \(Self.databaseName) is made of a kernel with code from outside of the project: an editor "
                    + "would take options of its makefiles", nextStep: "trust that code: --sandbox off")
        }
        let patched = try await patched(steps)
        defer { withExtendedLifetime(patched.lock) {} }
        let config = try await context.log.result(of: steps.configure(patched))
        let kernel = try await context.log.result(of: steps.compile(patched, config: config))
        let commands = try CompileCommands(
            output: steps.make(patched).output, tree: steps.tree(patched.pristine),
            userFiles: patched.overlay.userFiles, origin: context.project.kernelTree)
        let file = context.project.place.appending(Self.databaseName)
        try writeAtomically(try commands.rendered(), to: file)
        return WrittenCompileCommands(kernel: kernel, file: file, count: commands.entries.count)
    }

    /// Configures the kernel.
    ///
    /// - Returns: The path of its `.config`.
    /// - Throws: `Failure` with its own exit code.
    public func configuration() async throws -> FilePath {
        try context.checkFiles(forKernelOnly: true)
        defer { tools.statCache.save() }
        let steps = try await KernelSteps.make(context)
        let patched = try await patched(steps)
        // Held since the tree was synchronized.
        defer { withExtendedLifetime(patched.lock) {} }
        if patched.artifact == nil { try patched.pristine.verify() }
        return try await context.log.result(of: steps.configure(patched))
    }

    /// Builds the root file system and returns its path.
    ///
    /// - Throws: `Failure` with its own exit code.
    public func rootFilesystem() async throws -> FilePath {
        defer { tools.statCache.save() }
        let accelerator = try await MachineSelection(context: context).decideAccelerator()
        let steps = RootFilesystemSteps(context: context, accelerator: accelerator.accelerator)
        return try await context.log.result(of: steps.rootFilesystem(covering: [])).path
    }

    /// The names of the tests that a pattern selects, as reports use them.
    ///
    /// - Throws: `Failure` with its own exit code.
    public func testNames(filter: String?) async throws -> [String] {
        try context.checkFiles()
        defer { tools.statCache.save() }
        let kernelSteps = try await KernelSteps.make(context)
        let steps = ProgramSteps(kernelSteps, try await patched(kernelSteps))
        try steps.numbers.write()
        let programs = try await context.log.result(of: steps.programs(RequestedTests(filter: filter)))
        return programs.artifacts.flatMap { $0.tests ?? [$0.planned.name] }
    }

    private func patched(_ steps: KernelSteps) async throws -> PatchedKernelArtifact {
        let log = context.log
        return try await log.result(of: steps.patch(try await log.result(of: steps.source())))
    }
}
