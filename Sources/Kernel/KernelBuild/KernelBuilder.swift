// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import IncrementalBuild
import KernelMake
import PatchedTree
import Processes
import SystemPackage

import class Foundation.ProcessInfo

/// A built kernel.
public struct BuildResult: Sendable, Equatable {
    /// The file to boot: bzImage, or user-mode Linux's executable; nil when it was not requested, and so not made.
    public var image: FilePath?
    /// The kernel as an ELF file, with symbols.
    public var vmlinux: FilePath
    /// The addresses of its symbols.
    public var systemMap: FilePath
    /// The configuration that it was built from.
    public var config: FilePath
    /// How many objects were compiled or assembled; 0 when all were up to date.
    public var compiledObjects: Int
    /// The time that make took, in seconds.
    public var seconds: Double
    /// How many objects were not compiled because a change of the calls' tables does not affect them.
    public var sparedObjects = 0
    /// Whether make visited only the folders that a change of C files affects.
    public var isIncremental: Bool
    /// Whether an incremental build ran make's own commands from its records, without make.
    public var isReplayed = false
    /// Whether a plain make has confirmed an incremental build.
    public var isVerified = false
    /// The course of a build from nothing, by which the end of the next one is estimated; nil for another build.
    public var pace: BuildPace?
    /// The result's files.
    var files: [FilePath] { [image, vmlinux, systemMap].compactMap { $0 } }
    /// The targets that make made, except those that it makes each time.
    var madeTargets: [String] = []
}

/// A builder's plan.
public struct BuildPlan: Sendable, Equatable {
    /// The commands, in order.
    public var commands: [Command]
    /// Why these commands are run.
    public var remark: String?
    /// Whether the image is made, in addition to vmlinux.
    public var makesImage = true
}

/// How much of the kernel make visits after a small change.
public enum BuildScope: Sendable, Hashable {
    /// Only the folders that the change of C files affects, when nothing else changed; else a plain make.
    case incremental
    /// As `incremental`, and a plain make afterwards must find nothing to do.
    case verified
    /// A plain make.
    case whole
}

/// Builds kernels with their own makefiles.
public struct KernelBuilder: Sendable {
    let runner: CommandRunner
    let progress: ProgressSink
    private let environment: [String: String]
    /// The course of the last build from nothing; nil when there was none.
    public var pace: BuildPace?

    /// Creates a builder.
    ///
    /// - Parameter environment: kbuild's own environment; none of it may reach make.
    public init(
        runner: CommandRunner, progress: ProgressSink = .silent,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.runner = runner
        self.progress = progress
        self.environment = environment
    }

    /// What `build` would do; nothing is changed.
    ///
    /// - Parameters:
    ///   - scope: How much make visits.
    ///   - needsImage: Whether the image is requested, in addition to vmlinux.
    ///   - tree: The pending changes to the tree; nil when make begins with an empty output.
    /// - Throws: `Failure` (`infrastructure`) when the output cannot be read.
    public func plan(
        _ make: KernelMake, scope: BuildScope, needsImage: Bool = true, tree: WorkTree.PlannedSynchronization?
    ) throws -> BuildPlan {
        let whole = command(make)
        guard let tree, scope != .whole else {
            return BuildPlan(commands: [whole], remark: scope == .whole ? "a plain make, as asked for" : nil)
        }
        let buildSnapshot = buildSnapshot(make, record: tree.record)
        switch try incrementalBuild(make, to: buildSnapshot) {
        case .success(let incremental):
            if let replay = incremental.replay, replay.makesImage || !needsImage || scope == .verified {
                let makesImage = replay.makesImage || scope == .verified
                let command = replayCommand(make)
                return BuildPlan(
                    commands: scope == .verified ? [command, whole] : [command],
                    remark:
                        "make's own commands for \(incremental.objects.joined(separator: ", ")) and what it goes into; "
                        + "kbuild writes the script", makesImage: makesImage)
            }
            let makesImage = needsImage || scope == .verified
            let short = command(
                make, targets: make.architecture.targets(withImage: makesImage),
                makefile: IncrementalMake.path(in: make.output))
            return BuildPlan(
                commands: scope == .verified ? [short, whole] : [short],
                remark: "an incremental make, of \(incremental.objects.joined(separator: ", ")); "
                    + "kbuild writes \(IncrementalMake.path(in: make.output)) for it", makesImage: makesImage)
        case .failure(let obstacle):
            guard tablesChanged(make, to: buildSnapshot) != nil else {
                return BuildPlan(commands: [whole], remark: "a plain make: \(obstacle.reason)")
            }
            let remark =
                "a plain make: \(obstacle.reason); before the second command kbuild spares objects that the change of the "
                + "calls' tables does not concern"
            let commands = [command(make, targets: Self.preparation), whole]
            return BuildPlan(commands: scope == .verified ? commands + [whole] : commands, remark: remark)
        }
    }

    /// The plain make command that `build` runs.
    public func command(_ make: KernelMake, targets: [String]? = nil) -> Command {
        command(make, targets: targets, makefile: nil)
    }

    func command(_ make: KernelMake, targets: [String]?, makefile: FilePath?) -> Command {
        make.command(targets ?? make.architecture.defaultTargets, environment: environment, makefile: makefile)
    }

    /// The command that runs a replay's script.
    func replayCommand(_ make: KernelMake) -> Command {
        Command(
            "env", ["-i", "PATH=\(environment["PATH"] ?? "")", "sh", "./\(CommandReplay.scriptName)"],
            workingDirectory: make.output)
    }

    /// Builds a configured kernel, as far as it is not up to date.
    ///
    /// Progress counts objects: as many as the output's first build had, or an estimate; the number in a later build of
    /// the same output is not known beforehand, so it has no total. When the task is cancelled, or kbuild is killed,
    /// the next build continues where this one stopped.
    ///
    /// - Parameters:
    ///   - targets: make's targets; nil for the architecture's image.
    ///   - needsImage: Whether the image is requested, in addition to vmlinux. It may be made even if not.
    ///   - scope: How much make visits. An incremental build needs an output that was built through a `WorkTree`
    ///     before.
    ///   - log: The file for all output of make; an earlier file is replaced.
    ///   - userFiles: The user's own files: for each path in the tree, the path that the user knows. Errors in them
    ///     come first.
    /// - Throws: `Failure` (`build`) with the compiler's diagnostics, or when a plain make does not confirm an
    ///   incremental build; `Failure` (`infrastructure`) when a tool is missing; `CancellationError`.
    public func build(
        _ make: KernelMake, targets: [String]? = nil, scope: BuildScope = .incremental, needsImage: Bool = true,
        log: FilePath, userFiles: [String: String] = [:]
    ) async throws -> BuildResult {
        for tool in ["make", make.compiler, "ld"] + (make.usesCcache ? ["ccache"] : []) { _ = try runner.locate(tool) }
        let run = MakeRun(builder: self, make: make, targets: targets, log: log, userFiles: userFiles)
        if targets == nil, scope != .whole, let incremental = try incrementalBuild(make) {
            if let replay = incremental.replay, replay.makesImage || !needsImage || scope == .verified {
                if let result = try await run.replay(replay, of: incremental) {
                    try buildSnapshot(make)?.save(output: make.output)
                    return scope == .verified ? try await verify(result, by: run) : result
                }
                progress(.detail("make: the replay of its commands failed"))
            }
            if let result = try await run.incremental(incremental, hasImage: needsImage || scope == .verified) {
                try buildSnapshot(make)?.save(output: make.output)
                return scope == .verified ? try await verify(result, by: run) : result
            }
            progress(.detail("a plain make: the incremental one failed, and not for an error in a source"))
        }
        // The link's environment may change with this make.
        try removeAll(make.output.appending(IncrementalLink.environmentName))
        let spared = targets == nil && scope != .whole ? try await spareObjects(make, log: log) : []
        var result = try await run.whole()
        result.sparedObjects = spared.count
        guard targets == nil else { return result }
        if scope == .verified, !spared.isEmpty { result = try await verify(result, spared: spared, by: run) }
        try UnaffectedObjects.keepHeaders(of: make)
        try buildSnapshot(make)?.save(output: make.output)
        return result
    }

    /// Whether a build in an output folder has finished, so that another output may start from it.
    public static func isFinished(_ output: FilePath) -> Bool {
        let state = BuildState(output: output)
        return state.isComplete && !state.isRunning && OutputRecord.load(output: output) != nil
    }

    /// Whether make was ever started in an output folder.
    public static func hasBegun(_ output: FilePath) -> Bool { BuildState.exists(output: output) }

    /// Makes an output folder as a copy of a finished one. The caller ensures that no other process builds in either of
    /// them meanwhile, and that the original's tree matches its record.
    ///
    /// - Parameters:
    ///   - make: The build of the new output; existing files there are replaced.
    ///   - origin: How the finished one was built.
    /// - Returns: How many objects were left out, for make to compile.
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be read or written; `CancellationError`. The folder is
    ///   then as it was.
    public func startOutput(of make: KernelMake, from origin: KernelMake) throws -> Int {
        let temporary = FilePath("\(make.output).new-\(UInt32.random(in: 0 ... .max))")
        defer { try? removeAll(temporary) }
        try createFolder(make.output.removingLastComponent())
        let leftOut = try OutputCopy(from: origin, to: make).write(to: temporary)
        try removeAll(make.output)
        guard rename(temporary.string, make.output.string) == 0 else {
            throw Failure(.infrastructure, "cannot create \(make.output)", details: errnoText())
        }
        try BuildSnapshot.move(from: origin, command(origin), to: make, command(make), runner: runner)
        return leftOut.count
    }

    /// The sources of the numbers and prototypes of system calls in the tree.
    private static func isOfTables(_ path: String) -> Bool {
        path.hasSuffix(".tbl") || HeaderChange.prototypeHeaders.contains(path)
    }

    /// When the calls' tables changed, finds the objects that are not affected, and keeps make from compiling them.
    private func spareObjects(_ make: KernelMake, log: FilePath) async throws -> [String] {
        guard let (old, new) = tablesChanged(make, to: buildSnapshot(make)) else { return [] }
        // The headers that follow from the tables must be made before they are compared.
        let prepare = MakeRun(builder: self, make: make, targets: Self.preparation, log: log, userFiles: [:])
        do {
            _ = try await prepare.whole()
        } catch let failure as Failure where failure.code == .build {
            // The build itself will fail for the same reason, with a better report.
            return []
        }
        let objects = try UnaffectedObjects(make, from: old, to: new)?.touch() ?? []
        if !objects.isEmpty {
            progress(.detail("skipping \(objects.count) objects that do not use the changed system-call tables"))
        }
        return objects
    }

    /// make's target for the headers that follow from the tables.
    private static let preparation = ["prepare"]

    /// The old and the new state of the output, when the calls' tables differ.
    private func tablesChanged(_ make: KernelMake, to new: BuildSnapshot?) -> (old: BuildSnapshot, new: BuildSnapshot)?
    {
        let state = BuildState(output: make.output)
        guard state.isComplete, !state.isRunning, let old = BuildSnapshot.load(output: make.output), let new,
            Set(old.files.keys).union(new.files.keys)
                .contains(where: { Self.isOfTables($0) && old.files[$0] != new.files[$0] })
        else { return nil }
        return (old, new)
    }

    /// Makes make compile the skipped objects as well, which must give the same kernel.
    private func verify(_ result: BuildResult, spared: [String], by run: MakeRun) async throws -> BuildResult {
        let files = result.files
        let before = try files.map(Digest.ofFile)
        try UnaffectedObjects.age(spared, in: run.make)
        let whole = try await run.whole()
        let after = try files.map(Digest.ofFile)
        let differences = zip(files, zip(before, after)).filter { $0.1.0 != $0.1.1 }.map { "differs: \($0.0)" }
        guard differences.isEmpty else { throw Self.disagreement(differences) }
        var result = result
        result.isVerified = true
        result.seconds += whole.seconds
        return result
    }

    private static func disagreement(_ differences: [String]) -> Failure {
        Failure(
            .build, "a plain make does not agree with the short build", details: differences.joined(separator: "\n"),
            nextStep: "use --no-incremental, and report this with the change that you made: it is an error of kbuild")
    }

    private func buildSnapshot(_ make: KernelMake, record: OutputRecord? = nil) -> BuildSnapshot? {
        BuildSnapshot(of: make, command: command(make), runner: runner, record: record)
    }

    /// The incremental build; nil when a plain make is necessary.
    private func incrementalBuild(_ make: KernelMake) throws -> IncrementalMake? {
        switch try incrementalBuild(make, to: buildSnapshot(make)) {
        case .success(let incremental):
            progress(.detail("an incremental make: \(incremental.objects.joined(separator: ", "))"))
            return incremental
        case .failure(let obstacle):
            progress(.detail("a plain make: \(obstacle.reason)"))
            return nil
        }
    }

    private func incrementalBuild(
        _ make: KernelMake, to buildSnapshot: BuildSnapshot?
    ) throws -> Result<IncrementalMake, IncrementalMake.Obstacle> {
        let state = BuildState(output: make.output)
        guard state.isComplete, !state.isRunning else {
            return .failure(.init(reason: "no build of \(make.output) has come to its end"))
        }
        do {
            return .success(try IncrementalMake(make, from: .load(output: make.output), to: buildSnapshot))
        } catch let obstacle as IncrementalMake.Obstacle {
            return .failure(obstacle)
        }
    }

    /// Runs a plain make after an incremental build, which must change nothing.
    private func verify(_ incremental: BuildResult, by run: MakeRun) async throws -> BuildResult {
        let files = incremental.files
        let before = try files.map(Digest.ofFile)
        let whole = try await run.whole()
        let after = try files.map(Digest.ofFile)
        var differences = zip(files, zip(before, after)).filter { $0.1.0 != $0.1.1 }.map { "differs: \($0.0)" }
        // A replay leaves the image to make.
        let made = whole.madeTargets.filter { target in
            incremental.image != nil || !run.make.architecture.isOfImage(target.drop { $0 != " " }.dropFirst())
        }
        if !made.isEmpty { differences.append("made again: \(made.prefix(20).joined(separator: ", "))") }
        guard differences.isEmpty else { throw Self.disagreement(differences) }
        var result = incremental
        result.image = whole.image
        result.isVerified = true
        result.seconds += whole.seconds
        return result
    }
}
