// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import IncrementalBuild
import KernelConfig
import KernelMake
import Processes
import Synchronization
import SystemPackage

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// One call of make, from the output's last state to the next.
struct MakeRun {
    let builder: KernelBuilder
    let make: KernelMake
    let targets: [String]?
    let log: FilePath
    let userFiles: [String: String]

    /// The most compiler warnings to show.
    private static let mostWarnings = 20

    private var progress: ProgressSink { builder.progress }

    /// Runs a plain make.
    ///
    /// - Throws: As `KernelBuilder.build`.
    func whole() async throws -> BuildResult {
        var state = BuildState(output: make.output)
        if state.isRunning {
            let removed = try StaleTargets.removeUnfinished(in: make.output)
            progress(.detail("the last build of \(make.output) did not end; \(removed) last targets are made again"))
        }
        try StaleTargets.removeOrphans(in: make)
        let isFromNothing = !state.isComplete && state.steps == 0
        let estimate = state.isComplete ? nil : Self.estimatedSteps(make.output)
        let total =
            state.isComplete ? nil : state.expectedSteps ?? estimate.map { builder.pace?.steps(estimate: $0) ?? $0 }
        let recorder = try Recorder(
            log: log, stepsBefore: state.isComplete ? 0 : state.steps, total: total,
            pace: isFromNothing ? builder.pace : nil, progress)
        let (status, seconds) = try await run(&state, recorder, builder.command(make, targets: targets))
        guard status.isSuccess else { throw failure(status, recorder.lines) }
        var result = try result(recorder, seconds: seconds, isIncremental: false)
        if isFromNothing, let estimate { result.pace = BuildPace(times: recorder.times, expectedSteps: estimate) }
        return result
    }

    /// Runs make only through the folders of an incremental build.
    ///
    /// - Parameter hasImage: Whether the image is made, in addition to vmlinux.
    /// - Returns: Nil when it failed for another reason than an error in a source; a plain make will report it.
    /// - Throws: As `KernelBuilder.build`.
    func incremental(_ incremental: IncrementalMake, hasImage: Bool) async throws -> BuildResult? {
        let command = builder.command(
            make, targets: make.architecture.targets(withImage: hasImage),
            makefile: try incremental.write(to: make.output))
        guard var result = try await short(command, hasImage: hasImage) else { return nil }
        // The link assembles its own tables each time.
        result.compiledObjects = incremental.objects.count { result.madeTargets.contains("CC \($0)") }
        return result
    }

    /// Runs the commands of an incremental build without make.
    ///
    /// - Returns: As `incremental(_:)`.
    /// - Throws: As `KernelBuilder.build`.
    func replay(_ replay: CommandReplay, of incremental: IncrementalMake) async throws -> BuildResult? {
        try replay.write(to: make.output)
        guard var result = try await short(builder.replayCommand(make), hasImage: replay.makesImage) else { return nil }
        result.compiledObjects = incremental.objects.count
        result.isReplayed = true
        return result
    }

    private func short(_ command: Command, hasImage: Bool) async throws -> BuildResult? {
        var state = BuildState(output: make.output)
        let recorder = try Recorder(log: log, stepsBefore: 0, total: nil, progress)
        let (status, seconds) = try await run(&state, recorder, command)
        guard status.isSuccess else {
            // A full make would fail with the same compiler or linker error, only later.
            let report = BuildLog.report(recorder.lines, make: make, userFiles: userFiles)
            if report.isSourceError { throw failure(status, recorder.lines) }
            return nil
        }
        return try result(recorder, seconds: seconds, isIncremental: true, hasImage: hasImage)
    }

    private func run(
        _ state: inout BuildState, _ recorder: Recorder, _ command: Command
    ) async throws -> (ProcessStatus, seconds: Double) {
        state.isRunning = true
        try state.write()
        let clock = ContinuousClock()
        let start = clock.now
        let status: ProcessStatus
        do {
            status = try await builder.runner.stream(command) { try recorder.record($0) }
        } catch {
            // make may have been killed during a recipe: the next build finds `isRunning` still set.
            if !state.isComplete { state.steps = recorder.stepsSoFar }
            try? state.write()
            throw error
        }
        let duration = (clock.now - start).components
        state.isRunning = false
        if !state.isComplete { state.steps = recorder.stepsSoFar }
        if status.isSuccess {
            if !state.isComplete { state.expectedSteps = state.steps }
            state.isComplete = true
        }
        try state.write()
        return (status, Double(duration.seconds) + Double(duration.attoseconds) / 1e18)
    }

    private func result(
        _ recorder: Recorder, seconds: Double, isIncremental: Bool, hasImage: Bool = true
    ) throws -> BuildResult {
        let output = make.output
        let warnings = BuildLog.warnings(recorder.lines, make: make, userFiles: userFiles)
        for warning in warnings.prefix(Self.mostWarnings) { progress(.note(warning)) }
        if warnings.count > Self.mostWarnings {
            progress(.note("\(warnings.count - Self.mostWarnings) more warnings of your files are in \(log)"))
        }
        let result = BuildResult(
            image: hasImage ? output.pushing(FilePath(make.architecture.imagePath)) : nil,
            vmlinux: output.appending("vmlinux"),
            systemMap: output.appending("System.map"), config: output.appending(".config"),
            compiledObjects: recorder.compiledObjects, seconds: seconds, isIncremental: isIncremental,
            madeTargets: recorder.madeTargets)
        if targets == nil {
            for file in result.files where !fileExists(file) {
                throw Failure(
                    .build, "make succeeded, but there is no \(file)", details: "the whole log: \(log)",
                    nextStep: "remove \(output) and build again")
            }
        }
        return result
    }

    private func failure(_ status: ProcessStatus, _ lines: [String]) -> Failure {
        let report = BuildLog.report(lines, make: make, userFiles: userFiles)
        // An exit code adds nothing; a signal may indicate that memory ran out.
        var message = "the kernel did not build"
        if case .signaled = status { message += " (make: \(status))" }
        return Failure(
            .build, message,
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
    /// Set while make runs: if the next build finds it set, make was killed.
    var isRunning = false
    /// Whether a build has ever finished.
    var isComplete = false
    /// The counted steps so far of the first build, over all its interruptions.
    var steps = 0
    /// The counted steps of a whole build.
    var expectedSteps: Int?

    private var file: FilePath { FilePath(path) }
    private var path = ""

    private enum CodingKeys: CodingKey { case isRunning, isComplete, steps, expectedSteps }

    private static func file(of output: FilePath) -> FilePath { output.appending(".kbuild-build.json") }

    /// Whether an output folder has a state.
    static func exists(output: FilePath) -> Bool { fileExists(file(of: output)) }

    /// Reads the state of an output folder; a folder without a state has the initial one.
    init(output: FilePath) {
        let file = Self.file(of: output)
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

/// The lines of a build that a failure's report searches: the first lines, which have the first error, and the last
/// lines, in which make gives up. The log on disk has all lines.
struct BuildLines {
    /// The most bytes kept of the first lines.
    static let mostBytes = 8 << 20
    /// The most lines kept at the end, and the most bytes of each.
    static let mostLast = 100
    static let longestLast = 16 << 10

    private var first: [String] = []
    private var bytes = 0
    private var last: [String] = []
    private(set) var omitted = 0

    mutating func append(_ line: String) {
        guard bytes >= Self.mostBytes else {
            first.append(line)
            // A string's own storage; otherwise empty lines would be free.
            bytes += line.utf8.count + 16
            return
        }
        last.append(line.utf8.count > Self.longestLast ? String(line.prefix(Self.longestLast / 4)) + "…" : line)
        // Dropping half at a time keeps a flood of lines linear.
        guard last.count >= 2 * Self.mostLast else { return }
        last.removeFirst(Self.mostLast)
        omitted += Self.mostLast
    }

    var all: [String] {
        omitted == 0 ? first + last : first + ["kbuild:" + cutRemark(omitted, "line")] + last
    }
}

/// Receives make's lines: for the log, for progress, and in memory for a failure's report.
private final class Recorder: Sendable {
    private struct State {
        var lines = BuildLines()
        var steps: Int
        var total: Int?
        var compiled = 0
        var made: [String] = []
        /// The seconds from the start to each counted step.
        var times: [Double] = []
    }

    /// The most targets that are remembered. The kernel with every option set has some 30,000 objects.
    private static let mostTargets = 200_000

    private let state: Mutex<State>
    private let log: FileDescriptor
    private let progress: ProgressSink
    private let pace: BuildPace?
    private let start = ContinuousClock.now

    init(
        log: FilePath, stepsBefore: Int, total: Int?, pace: BuildPace? = nil, _ progress: ProgressSink
    ) throws {
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
        self.pace = pace
    }

    deinit { try? log.close() }

    var times: [Double] { state.withLock(\.times) }

    var lines: [String] { state.withLock(\.lines.all) }
    var stepsSoFar: Int { state.withLock(\.steps) }
    var compiledObjects: Int { state.withLock(\.compiled) }
    var madeTargets: [String] { state.withLock(\.made) }

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
            if !step.isRoutine, state.made.count < Self.mostTargets { state.made.append("\(step.tool) \(step.target)") }
            guard step.isCounted else { return nil }
            state.steps += 1
            let elapsed = (ContinuousClock.now - start) / .seconds(1)
            if state.times.count < Self.mostTargets { state.times.append(elapsed) }
            let total = state.total.map { max($0, state.steps) }
            var label = label(of: step)
            if let total, let left = pace?.secondsLeft(done: state.steps, of: total, after: elapsed) {
                label += ", " + BuildPace.words(left)
            }
            return .advance(done: state.steps, total: total, label: label)
        }
        if let event { progress(event) }
    }

    /// The tools that make builds for itself print whole paths; the last part is enough.
    private func label(of step: BuildStep) -> String {
        guard step.target.hasPrefix("/"), let slash = step.target.lastIndex(of: "/") else { return String(step.target) }
        return String(step.target[step.target.index(after: slash)...])
    }
}
