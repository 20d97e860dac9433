import Artifacts
import Commands
import Diagnostics
import Synchronization
import SystemPackage

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder
import class Foundation.ProcessInfo

/// A built kernel.
public struct BuildResult: Sendable, Equatable {
    /// What is booted: bzImage, or user-mode Linux's executable.
    public var image: FilePath
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
}

/// Builds kernels with their own makefiles.
public struct KernelBuilder: Sendable {
    let runner: CommandRunner
    let progress: Progress
    let environment: [String: String]

    /// Creates a builder.
    ///
    /// - Parameter environment: kbuild's own environment, none of which is to reach make.
    public init(
        runner: CommandRunner, progress: Progress = .silent,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.runner = runner
        self.progress = progress
        self.environment = environment
    }

    /// The make command that `build` runs, for a dry run.
    public func command(_ make: KernelMake, targets: [String]? = nil) -> Command {
        make.command(targets ?? make.architecture.defaultTargets, environment: environment)
    }

    /// Builds a configured kernel, as far as it is not up to date.
    ///
    /// Progress counts objects: of as many as the output's first build had, or an estimate; a later build of the same
    /// output cannot be known beforehand and has no total. When the task is cancelled, or kbuild is killed, the next
    /// build goes on where this one stopped.
    ///
    /// - Parameters:
    ///   - targets: make's targets; nil for the architecture's image.
    ///   - log: Where all that make prints is kept; an earlier file is replaced.
    ///   - userFiles: The user's own files: for each path in the tree, the path that the user knows it by. Errors in them
    ///     come first.
    /// - Throws: `Failure` (`build`) with the compiler's diagnostics; `Failure` (`infrastructure`) when a tool is
    ///   missing; `CancellationError`.
    public func build(
        _ make: KernelMake, targets: [String]? = nil, log: FilePath, userFiles: [String: String] = [:]
    ) async throws -> BuildResult {
        for tool in ["make", make.compiler, "ld"] + (make.usesCcache ? ["ccache"] : []) { _ = try runner.locate(tool) }
        var state = BuildState(output: make.output)
        if state.isRunning {
            let removed = try StaleTargets.removeUnfinished(in: make.output)
            progress(.detail("the last build of \(make.output) did not end; \(removed) last targets are made again"))
        }
        try StaleTargets.removeOrphans(in: make)
        let total = state.isComplete ? nil : state.expectedSteps ?? Self.estimatedSteps(make.output)
        state.isRunning = true
        try state.write()

        let recorder = try Recorder(log: log, stepsBefore: state.isComplete ? 0 : state.steps, total: total, progress)
        let clock = ContinuousClock()
        let start = clock.now
        let status: ProcessStatus
        do {
            status = try await runner.stream(command(make, targets: targets)) { try recorder.record($0) }
        } catch {
            // make may have been killed amid a recipe: `isRunning` stays for the next build to see.
            if !state.isComplete { state.steps = recorder.stepsSoFar }
            try? state.write()
            throw error
        }
        let duration = clock.now - start
        state.isRunning = false
        if !state.isComplete { state.steps = recorder.stepsSoFar }
        guard status.isSuccess else {
            try state.write()
            throw failure(status, recorder.lines, make: make, log: log, userFiles: userFiles)
        }
        if !state.isComplete { state.expectedSteps = state.steps }
        state.isComplete = true
        try state.write()

        let image = make.output.pushing(FilePath(make.architecture.imagePath))
        let result = BuildResult(
            image: image, vmlinux: make.output.appending("vmlinux"), systemMap: make.output.appending("System.map"),
            config: make.output.appending(".config"), compiledObjects: recorder.compiledObjects,
            seconds: Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18)
        if targets == nil {
            for file in [result.image, result.vmlinux, result.systemMap] where !fileExists(file) {
                throw Failure(
                    .build, "make succeeded, but there is no \(file)", details: "the whole log: \(log)",
                    nextStep: "remove \(make.output) and build again")
            }
        }
        return result
    }

    private func failure(
        _ status: ProcessStatus, _ lines: [String], make: KernelMake, log: FilePath, userFiles: [String: String]
    ) -> Failure {
        let report = BuildLog.report(lines, make: make, userFiles: userFiles)
        return Failure(
            .build, "the kernel did not build (make: \(status))",
            details: report.details + "\nthe whole log: \(log)", nextStep: report.nextStep)
    }

    /// A first guess: tinyconfig with configs/base.config sets 690 options to y on 6.1 and takes 1741 counted steps.
    private static func estimatedSteps(_ output: FilePath) -> Int? {
        guard let text = try? readText(output.appending(".config")) else { return nil }
        let options = ConfigFile(parsing: text).values.values.count { $0 == .yes }
        return options * 5 / 2
    }
}

/// What kbuild remembers of an output folder between builds.
struct BuildState: Codable, Equatable {
    /// Set while make runs: found set by the next build, make was killed.
    var isRunning = false
    /// Whether a build was ever finished.
    var isComplete = false
    /// The counted steps so far, of the first build, however often it was interrupted.
    var steps = 0
    /// The counted steps of a whole build.
    var expectedSteps: Int?

    private var file: FilePath { FilePath(path) }
    private var path = ""

    private enum CodingKeys: CodingKey { case isRunning, isComplete, steps, expectedSteps }

    /// Reads the state of an output folder; one without is at its beginning.
    init(output: FilePath) {
        let file = output.appending(".kbuild-build.json")
        if let bytes = try? readBytes(file), let state = try? JSONDecoder().decode(BuildState.self, from: Data(bytes)) {
            self = state
        }
        path = file.string
    }

    /// Writes the state.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    func write() throws {
        try writeAtomically(try JSONEncoder().encode(self), to: file)
    }
}

/// Takes make's lines: into the log, to progress, and into memory for a failure's report.
private final class Recorder: Sendable {
    private struct State {
        var lines: [String] = []
        var steps: Int
        var total: Int?
        var compiled = 0
    }

    private let state: Mutex<State>
    private let log: FileDescriptor
    private let progress: Progress

    init(log: FilePath, stepsBefore: Int, total: Int?, _ progress: Progress) throws {
        try createFolder(log.removingLastComponent())
        do {
            self.log = try FileDescriptor.open(
                log, .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o644))
        } catch {
            throw Failure(.infrastructure, "cannot write the log \(log)", details: "\(error)")
        }
        state = Mutex(State(steps: stepsBefore, total: total))
        self.progress = progress
    }

    deinit { try? log.close() }

    var lines: [String] { state.withLock(\.lines) }
    var stepsSoFar: Int { state.withLock(\.steps) }
    var compiledObjects: Int { state.withLock(\.compiled) }

    func record(_ line: String) throws {
        do {
            _ = try log.writeAll(Array(line.utf8) + [UInt8(ascii: "\n")])
        } catch {
            throw Failure(.infrastructure, "cannot write the build's log", details: "\(error)")
        }
        let event: ProgressEvent? = state.withLock { state in
            guard let step = BuildStep(line: line) else {
                state.lines.append(line)
                return nil
            }
            if step.isCompilation { state.compiled += 1 }
            guard step.isCounted else { return nil }
            state.steps += 1
            return .advance(
                done: state.steps, total: state.total.map { max($0, state.steps) }, label: label(of: step))
        }
        if let event { progress(event) }
    }

    /// The tools that make builds for itself print whole paths; the last part tells enough.
    private func label(of step: BuildStep) -> String {
        guard step.target.hasPrefix("/"), let slash = step.target.lastIndex(of: "/") else { return String(step.target) }
        return String(step.target[step.target.index(after: slash)...])
    }
}
