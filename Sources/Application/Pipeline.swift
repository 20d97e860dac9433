// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import GuestSession
import KernelBuild
import Processes
import Project
import Reporting
import RunStore
import SystemPackage
import TestSession
import VirtualMachine

/// How far make walks after a small change.
public typealias BuildScope = KernelBuild.BuildScope

/// All that a guest needs, made and in place.
struct RunInputs: Sendable {
    /// The run's own folder, for logs and what the guest reads.
    var folder: FilePath
    var accelerator: (accelerator: Accelerator, reason: String)
    var patched: PatchedKernelArtifact
    var kernel: BuiltKernel
    var root: ReadyRootFilesystem
    var programs: [ProgramArtifact]
    var symbolizer: CrashSymbolizer

    /// The console's log.
    var consoleLog: FilePath { folder.appending("console.log") }
}

/// Carries a project from its patches to a report: source > patch > configure > compile > rootfs > boot > test.
///
/// Steps that do not need each other's results run at the same time.
public struct Pipeline: Sendable {
    /// What is built from.
    public let project: Project
    let tools: StepContext
    let log: StepLog
    private let environment: [String: String]
    let projectCache: FilePath
    let confinement: Confinement
    let history: RunHistory
    /// Keeps what the pipeline takes from the cache from being removed.
    private var use: CacheUse?
    /// How far make walks after a small change.
    public var buildScope = BuildScope.narrow
    /// How kbuild was called, for the report; empty when that is not known.
    public var arguments: [String] = []

    /// Prepares a pipeline; nothing runs yet.
    ///
    /// - Parameters:
    ///   - supervisor: The kbuild executable, which guards the processes that the pipeline starts.
    ///   - isDryRun: Whether it is made for `plan` alone: then it can run nothing and change nothing.
    ///   - onEvent: Told what goes on, from any thread.
    /// - Throws: `Failure` (`usage`) when there is no place for the cache.
    public init(
        project: Project, environment: [String: String], supervisor: FilePath?, isDryRun: Bool = false,
        onEvent: @escaping @Sendable (PipelineEvent) -> Void
    ) throws {
        self.project = project
        self.environment = environment
        let layout = try CacheLayout(environment: environment)
        if isDryRun { try layout.checkIsOwn() } else { try layout.prepare() }
        let log = StepLog(onEvent)
        let progress = ProgressSink { log(.progress(nil, $0)) }
        var store = ArtifactStore(layout: layout, statCache: StatCache(file: layout.statCache))
        store.isReadOnly = isDryRun
        var runner = CommandRunner(supervisor: supervisor, progress: progress)
        runner.runsNothing = isDryRun
        tools = StepContext(layout: layout, store: store, runner: runner, progress: progress, isDryRun: isDryRun)
        self.log = log
        projectCache = layout.folder(ofProject: project.folder)
        history = RunHistory(layout: layout, project: project.folder)
        confinement = Confinement(project: project, tools: tools, name: projectCache.string)
    }

    /// Records that the project is at work in the cache: from now on until the pipeline is gone, `kbuild clean` refuses and
    /// what the pipeline takes from the cache is not removed.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the cache cannot be written; `CancellationError`.
    public mutating func enterCache() async throws {
        let command = (arguments.isEmpty ? ["kbuild"] : Array(arguments.prefix(2))).joined(separator: " ")
        use = try await CacheUse.begin(
            tools.layout, project: project.folder, command: command, progress: tools.progress)
    }

    /// Removes what is too much in the cache; see `CacheActions.pruneAfterRun`.
    public func pruneCache() async {
        // What this very run needs is in use meanwhile.
        defer { withExtendedLifetime(use) {} }
        await CacheActions(layout: tools.layout, environment: environment).pruneAfterRun(progress: tools.progress)
    }

    // MARK: What verbs do

    /// Everything: build, boot, test. Never throws: what goes wrong is in the report. Whoever has written all that is made
    /// of the report calls `keep` then.
    ///
    /// - Parameter filter: A pattern for the tests to run; nil for all.
    public func run(filter: String? = nil) async -> RunReport {
        let clock = ContinuousClock()
        let start = clock.now
        var report = RunReport(
            startedAt: Date().formatted(.iso8601), project: project.folder.string, profile: project.profile,
            splatsFail: project.splats.isStrict)
        describe(filter: filter, in: &report)
        do {
            // First, so that a run which cannot begin is kept as well.
            let folder = try history.newRun(tools.progress)
            report.artifacts.folder = folder.string
            try await run(filter: filter, in: folder, into: &report)
        } catch let failure as Failure {
            report.troubles.append(.init(failure))
        } catch is CancellationError {
            report.troubles.append(.init(Failure(.interrupted, "interrupted")))
        } catch {
            report.troubles.append(.init(Failure(.infrastructure, "\(error)")))
        }
        report.steps = log.steps.map {
            .init(
                name: $0.name, outcome: $0.outcome.rawValue, seconds: $0.seconds, detail: $0.detail,
                startSeconds: Self.seconds($0.start - start))
        }
        report.commands = log.commands
        report.seconds = Self.seconds(clock.now - start)
        SourceLines.add(to: &report, project: project)
        let policy = ResultPolicy(skips: project.skips, splats: project.splats)
        for note in policy.apply(to: &report) { tools.progress(.note(note)) }
        tools.statCache.save()
        return report
    }

    /// Keeps a run's report for `kbuild report`, in place of one that was kept of the same run. It has to be what the
    /// process ends with, so that this comes after everything that can still fail.
    public func keep(_ report: RunReport) { history.keep(report, tools.progress) }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    /// What is known of a run before it begins.
    private func describe(filter: String?, in report: inout RunReport) {
        report.filter = filter
        report.kbuildVersion = kbuildVersion
        report.commandLine = arguments.isEmpty ? nil : arguments.map(Command.quoted).joined(separator: " ")
        report.configuration = project.rendered()
        var names = utsname()
        if uname(&names) == 0 {
            report.host = [text(&names.sysname), text(&names.release), text(&names.machine)].joined(separator: " ")
        }
        func text<Characters>(_ characters: inout Characters) -> String {
            withUnsafeBytes(of: &characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
    }

    /// Builds the kernel and returns where it is.
    ///
    /// - Throws: `Failure` with the code of what went wrong.
    public func buildKernel() async throws -> BuiltKernel {
        defer { tools.statCache.save() }
        return try await KernelStep(pipeline: self, rules: try await confinement.rules()?.kernel, wantsImage: true)
            .build()
    }

    /// Builds the root file system and returns where it is.
    ///
    /// - Throws: `Failure` with the code of what went wrong.
    public func buildRootFilesystem() async throws -> FilePath {
        defer { tools.statCache.save() }
        let accelerator = try await decideAccelerator()
        return try await rootFilesystem(accelerator: accelerator.accelerator, covering: []).path
    }

    // MARK: The run

    /// Makes all that a guest needs.
    ///
    /// - Parameters:
    ///   - folder: The run's folder.
    ///   - filter: A pattern for the tests.
    ///   - needsTests: Whether it is an error to have none.
    ///   - note: Told what is known early, for the report of a run that fails later.
    func prepare(
        in folder: FilePath, filter: String?, needsTests: Bool,
        note: (PatchedKernelArtifact, _ buildLog: FilePath) -> Void = { _, _ in }
    ) async throws -> RunInputs {
        try checkBeforehand()
        if project.architecture != .um { _ = try await emulator() }
        let rules = try await confinement.rules()?.kernel
        let accelerator = try await decideAccelerator()
        let kernelStep = KernelStep(pipeline: self, rules: rules)
        let patched = try await kernelStep.patch()
        note(patched, kernelStep.buildLog)
        try KUnitTests.checkOrigin(project, patched)
        let (kernel, root, programs) = try await build(
            kernelStep, patched, accelerator: accelerator.accelerator, filter: filter, needsTests: needsTests)
        try KUnitTests.check(project.tests, config: kernel.config)
        let kselftests = Kselftests(pipeline: self, rules: rules, patched: patched)
        for case .kselftest(let collection, _) in project.tests {
            try kselftests.hint(collection, config: kernel.config)
        }
        return RunInputs(
            folder: folder, accelerator: accelerator, patched: patched, kernel: kernel, root: root, programs: programs,
            symbolizer: CrashSymbolizer(
                runner: tools.runner.confined(by: rules?.build(readable: [kernel.vmlinux], writable: [])),
                vmlinux: kernel.vmlinux,
                root: kernelStep.folder(for: patched.pristine).appending("tree")))
    }

    /// What is surely needed later is looked for before anything is built.
    func checkBeforehand() throws {
        try checkFiles()
        if project.architecture != .um { _ = try tools.runner.locate("qemu-system-x86_64") }
    }

    /// The machines for what was prepared, with the share of test programs and the user's.
    func machines(for prepared: RunInputs, sharing share: Share) async throws -> [MachineCandidate] {
        // The user's shared folders are created where they are missing.
        for share in project.shares { try createFolder(share.path) }
        return try await machines(
            accelerator: prepared.accelerator, kernel: prepared.kernel, root: prepared.root.device,
            shares: [share] + userShares)
    }

    private func run(filter: String?, in folder: FilePath, into report: inout RunReport) async throws {
        let prepared = try await prepare(in: folder, filter: filter, needsTests: true) { patched, buildLog in
            report.kernel = .init(source: project.kernel.source, version: patched.pristine.version)
            report.kernel?.identity = patched.pristine.identity.hex
            report.syscalls = patched.overlay.syscalls.filter { $0.abi != .i386 }
                .map { .init(name: $0.name.text, number: $0.number) }
            report.artifacts.buildLog = buildLog.string
        }
        report.kernel?.compiler = prepared.kernel.compiler
        let (programs, symbolizer) = (prepared.programs, prepared.symbolizer)
        let share = try layOut(programs, config: prepared.kernel.config, in: folder)
        let machines = try await machines(for: prepared, sharing: share)
        report.machine = machines.first?.reported
        report.artifacts.console = prepared.consoleLog.string
        try await runTests(
            programs, share: share.path, on: machines, kernel: prepared.kernel, symbolizer: symbolizer, in: folder,
            into: &report)
        report.suites += try skippedPrograms(filter: filter)
    }

    /// The outcome with files and lines in its crash reports, where the kernel has debug information. A report without
    /// them is as true, so that nothing here fails a run.
    func symbolized(_ outcome: SessionOutcome, _ symbolizer: CrashSymbolizer) async -> SessionOutcome {
        guard !outcome.crashes.isEmpty else { return outcome }
        var outcome = outcome
        do {
            let symbolized = try await symbolizer.symbolize(outcome.crashes)
            outcome.crashes = symbolized.crashes
            if let note = symbolized.note { tools.progress(.detail("crash reports have no files and lines: \(note)")) }
        } catch {
            tools.progress(.note("crash reports have no files and lines: \(error)"))
        }
        return outcome
    }

    /// "40 of 41 tests passed".
    static func count(_ outcome: SessionOutcome) -> String {
        let tests = outcome.programs.flatMap(\.tests)
        return "\(tests.count { $0.status == .passed }) of \(tests.count) tests passed"
    }

    /// Makes the three parts that a guest needs, at the same time. The first to fail ends the others: nobody waits for
    /// a kernel to learn that a test does not compile.
    private func build(
        _ kernelStep: KernelStep, _ patched: PatchedKernelArtifact, accelerator: Accelerator, filter: String?,
        needsTests: Bool
    ) async throws -> (BuiltKernel, ReadyRootFilesystem, [ProgramArtifact]) {
        enum Part: Sendable {
            case kernel(BuiltKernel)
            case user([ProgramArtifact], ReadyRootFilesystem)
        }
        let numbers = kernelStep.numbers(of: patched.overlay)
        try numbers.write()
        return try await withThrowingTaskGroup(of: Part.self) { group in
            group.addTask { .kernel(try await kernelStep.compile(patched)) }
            group.addTask {
                // The root file system has the libraries that the programs need.
                let programs = try await programs(
                    numbers: numbers, filter: filter, of: patched, needsTests: needsTests)
                let root = try await rootFilesystem(
                    accelerator: accelerator, covering: programs.filter { !$0.isStatic }.map(\.executable))
                return .user(programs, root)
            }
            var parts: (kernel: BuiltKernel?, root: ReadyRootFilesystem?, programs: [ProgramArtifact]?)
            for try await part in group {
                switch part {
                case .kernel(let kernel): parts.kernel = kernel
                case .user(let programs, let root): (parts.programs, parts.root) = (programs, root)
                }
            }
            guard let kernel = parts.kernel, let root = parts.root, let programs = parts.programs else {
                throw Failure(.infrastructure, "a step ended without a result")
            }
            return (kernel, root, programs)
        }
    }

    static func format(_ seconds: Double) -> String {
        "\((seconds * 100).rounded() / 100) s"
    }

    /// Finds files that the project names and that are not there, before any work.
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
        for test in project.tests where !forKernelOnly {
            switch test {
            case .swift(let package, _, _, _): if !isFolder(package) { note("tests", package) }
            // The kernel's tree has them, or says that it has not.
            case .kselftest, .kunit: break
            case .program(let program): if !fileExists(program.path) { note("tests", program.path) }
            }
        }
        if !forKernelOnly, !fileExists(project.rootfsDefinition) {
            note("rootfs.definition", project.rootfsDefinition)
        }
        guard missing.isEmpty else {
            throw Failure(
                .usage, "\(project.file) names files that are not there", details: missing.joined(separator: "\n"),
                nextStep: "create them, or correct the paths, which are relative to the project file")
        }
    }

    var limits: SessionLimits {
        SessionLimits(
            boot: Double(project.timeouts.boot), silence: Double(project.timeouts.silence),
            test: Double(project.timeouts.test), run: Double(project.timeouts.run), failFast: project.failFast,
            // A slow disk takes a minute for a gigabyte.
            inspection: 10 + (project.machine.keepsMemory ? Double(project.machine.memoryMegabytes) / 16 : 0))
    }

    /// The user's shared folders.
    var userShares: [Share] {
        project.shares.enumerated().map { index, share in
            Share(tag: Self.shareTag(index), path: share.path, isReadOnly: !share.isWritable)
        }
    }

    /// The mount tag of a user's share. A tag has at most 31 bytes, so paths do not serve.
    static func shareTag(_ index: Int) -> String { "shared\(index)" }
    /// The mount tag of the test programs.
    static let programsTag = "programs"
    /// Where the guest mounts the test programs.
    static let programsFolder = "/kbuild/programs"

}
