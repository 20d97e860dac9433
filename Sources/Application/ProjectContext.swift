// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import GuestSession
import KernelBuild
import KernelMake
import Processes
import Project
import RootFilesystem
import RunStore
import SystemPackage
import VirtualMachine

/// How much of the kernel a build visits after a small change.
public typealias BuildScope = KernelBuild.BuildScope

/// A function in place of the tools, so that tests of steps run no tools.
public struct ToolSubstitute: Sendable {
    /// The folders that are searched for tools, as in PATH.
    var searchPath: String
    /// Returns the output and the exit status of a command.
    var run: @Sendable (Command) async throws -> CommandResult
}

/// A project in use: its values, its part of the cache, the tools, and progress output. Steps and actions share it.
public struct ProjectContext: Sendable {
    /// The project.
    public let project: Project
    let tools: ToolContext
    let log: StepLog
    let environment: [String: String]
    /// The project's part of the cache.
    let projectCache: FilePath
    let confinement: Confinement
    let history: RunHistory
    /// Protects the entries taken from the cache against removal.
    private var use: CacheUse?
    /// How much of the kernel a build visits after a small change.
    public var buildScope = BuildScope.incremental
    /// The most seconds that a guest which hangs is asked for its state.
    var inspectionLimit: Double = 10
    /// kbuild's own arguments, for the report; empty when they are not known.
    public var arguments: [String] = []

    /// Prepares the context without running anything.
    ///
    /// - Parameters:
    ///   - supervisor: The kbuild executable, which supervises the started processes.
    ///   - isDryRun: Whether the context is for a `RunPlanner` alone: then nothing can be run or changed by mistake.
    ///   - substitute: The function in place of the tools, in tests.
    ///   - onEvent: Called with each event, from any thread.
    /// - Throws: `Failure` (`usage`) when the cache's place is unknown.
    public init(
        project: Project, environment: [String: String], supervisor: FilePath?, isDryRun: Bool = false,
        substitute: ToolSubstitute? = nil, onEvent: @escaping @Sendable (StepEvent) -> Void
    ) throws {
        // A kernel has one set; a caller with several sets makes a context for each.
        let project = project.checkerSets.first ?? project
        self.project = project
        self.environment = environment
        let layout = try CacheLayout(environment: environment)
        if isDryRun { try layout.checkIsOwn() } else { try layout.prepare() }
        let log = StepLog(onEvent)
        let progress = ProgressSink { log(.progress(nil, $0)) }
        var store = ArtifactStore(layout: layout, statCache: StatCache(file: layout.statCache))
        store.isReadOnly = isDryRun
        var runner = CommandRunner(supervisor: supervisor, progress: progress)
        if let substitute {
            runner.execution = .scripted(substitute.run)
            runner.searchPath = substitute.searchPath
        }
        if isDryRun { runner.execution = .nothing }
        tools = ToolContext(layout: layout, store: store, runner: runner, progress: progress, isDryRun: isDryRun)
        self.log = log
        projectCache = layout.folder(ofProject: project.folder)
        history = RunHistory(layout: layout, project: project.folder)
        confinement = Confinement(project: project, tools: tools, name: projectCache.string)
    }

    /// Records that the project uses the cache: until the context is released, `kbuild clean` refuses, and entries that
    /// the project has taken from the cache are not removed.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the cache cannot be written; `CancellationError`.
    public mutating func enterCache() async throws {
        let command = (arguments.isEmpty ? ["kbuild"] : Array(arguments.prefix(2))).joined(separator: " ")
        use = try await CacheUse.begin(
            tools.layout, project: project.folder, command: command, progress: tools.progress)
    }

    /// Removes cache entries above the limit; see `CacheActions.pruneAfterRun`.
    public func pruneCache() async {
        // Entries that this run needs are in use meanwhile.
        defer { withExtendedLifetime(use) {} }
        await CacheActions(layout: tools.layout, environment: environment).pruneAfterRun(progress: tools.progress)
    }

    /// Whose code decides the result of a build under `rules`: part of the key of every published result.
    ///
    /// Two projects never share results of confined builds, because their authors differ; within a project the keys
    /// include all foreign inputs.
    func trust(under rules: Confinement.Rules?) -> TrustLevel { TrustLevel(under: rules, in: projectCache) }

    /// The builder of programs for the guest.
    func programBuilder() async throws -> GuestProgramBuilder {
        GuestProgramBuilder(
            tools: tools, project: project.folder, projectCache: projectCache, rules: try await confinement.rules(),
            jobs: project.kernel.jobs)
    }

    /// All output of the last make.
    var buildLog: FilePath { projectCache.appending("build.log") }

    /// How many recipes of make run at once.
    var jobs: Int { project.kernel.jobs ?? ProcessInfo.processInfo.activeProcessorCount }

    /// A path as the user knows it: relative to the project's folder.
    func shown(_ path: FilePath) -> String {
        var name = path
        return name.removePrefix(project.folder) && !name.isEmpty ? name.string : path.string
    }

    /// Whether a note was not shown in the last day.
    ///
    /// - Parameter isOfProject: Whether it is about this project, and news in another.
    func isNews(_ note: String, isOfProject: Bool = false) -> Bool {
        let day = 86_400.0
        let place = isOfProject ? projectCache : tools.layout.root
        let file = place.appending("noted-\(Digest.of(note).short)")
        if let status = FileStatus(file),
            abs(Date().timeIntervalSince1970 - Double(status.modified / 1_000_000_000)) < day
        {
            return false
        }
        // Another step reports a cache that cannot be written.
        if !tools.isDryRun { try? writeAtomically("", to: file) }
        return true
    }

    // MARK: Checks before any work

    /// Checks requirements of later steps.
    ///
    /// - Throws: `Failure`: `usage` when the project names missing files; `infrastructure` when QEMU is missing.
    func checkBeforehand() throws {
        try checkFiles()
        if project.architecture != .um { _ = try tools.runner.locate("qemu-system-x86_64") }
        try checkLint()
    }

    /// Finds missing files that the project names, before any work.
    func checkFiles(forKernelOnly: Bool = false) throws {
        var missing: [String] = []
        func note(_ key: String, _ path: FilePath) {
            let folder = path.removingLastComponent()
            let near = guess(for: path.lastComponent?.string ?? "", among: (try? namesInFolder(folder)) ?? [])
            missing.append("\(ProjectLoader.place(of: path, in: project))\(key): \(path)\(near)")
        }
        for patch in project.kernel.patches where !fileExists(patch) { note("kernel.patches", patch) }
        for fragment in project.configFragments where !fileExists(fragment) {
            note("kernel.\(project.architecture == .um ? "uml-config" : "config")", fragment)
        }
        for module in project.modules where !isFolder(module.path) { note("modules", module.path) }
        for test in project.tests where !forKernelOnly {
            switch test {
            case .swift(let package, _, _, _): if !isFolder(package) { note("tests", package) }
            // They are in the kernel's tree; a later step reports a missing one.
            case .kselftest, .kunit: break
            case .program(let program): if !fileExists(program.path) { note("tests", program.path) }
            }
        }
        for case .file(let disk, _) in project.disks where !forKernelOnly && !fileExists(disk) { note("disks", disk) }
        if !forKernelOnly, !fileExists(project.rootfsDefinition) {
            note("rootfs.definition", project.rootfsDefinition)
        }
        guard missing.isEmpty else {
            throw Failure(
                .usage, "\(project.file) names files that are not there", details: missing.joined(separator: "\n"),
                nextStep: "create them, or correct the paths, which are relative to the project file")
        }
    }

    // MARK: The project file's values for guests

    var limits: SessionLimits {
        var limits = SessionLimits(
            boot: Double(project.limits.boot), silence: Double(project.limits.silence),
            test: Double(project.limits.test), run: Double(project.limits.run), failFast: project.failFast,
            keepsGoing: project.keepsGoing,
            // A slow disk takes a minute for a gigabyte.
            inspection: inspectionLimit
                + (project.machine.keepsMemory ? Double(project.machine.memoryMegabytes) / 16 : 0))
        limits.keepsMemory = project.machine.keepsMemory
        return limits
    }

    /// The user's shared folders.
    var userShares: [Share] {
        let definition = try? RootFilesystemDefinition.load(project.rootfsDefinition)
        let foreign = Provenance(of: project, rootfsFiles: definition?.hostFiles ?? []).foreign
        let keepsModes = Self.keepsModes(project, hasForeignInput: !foreign.isEmpty, user: geteuid())
        return project.shares.enumerated().map { index, share in
            Share(
                tag: GuestShare.tag(ofShare: index), path: share.path, isReadOnly: !share.isWritable,
                keepsModes: keepsModes)
        }
    }

    /// Whether what a guest writes to a shared folder keeps its modes and links on the host.
    ///
    /// A guest of untrusted code could leave links that lead elsewhere, and root's guest setuid files and devices of
    /// root. The host's root as the guest's is only given to trusted code, and its user works in the folder.
    static func keepsModes(_ project: Project, hasForeignInput: Bool, user: UInt32) -> Bool {
        project.rootfsType == .host || !hasForeignInput && project.sandbox != .on && user != 0
    }
}
