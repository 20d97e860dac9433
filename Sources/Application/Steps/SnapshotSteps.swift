// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CrashReports
import Diagnostics
import FileSystem
import Glibc
import GuestSession
import Processes
import Project
import Reporting
import ResultsModel
import Synchronization
import SystemPackage
import TestSession
import VirtualMachine

/// A saved machine, from which guests are restored.
struct SnapshotArtifact: Sendable {
    var snapshot: MachineSnapshot
    /// The machine that was saved.
    var configuration: MachineConfiguration
    var reported: MachineCandidate
    var isHit: Bool
    /// The kernel's reports before the machine was saved.
    var bootReports: [Crash]
}

/// The snapshots from which a run restores its guests.
struct SnapshotArtifacts: Sendable {
    /// By the program that the guest holds; nil if no snapshot could be made, and guests boot.
    var places: [Int?: SnapshotArtifact]?
    /// All boots that were needed, including those that could not be saved.
    var boots: [SavedBoot]
}

extension MachineCandidate {
    /// The runner of a machine that is saved or restored: QEMU opens the memory's file for writing, though a restored
    /// machine has a private view of it.
    func runner(for snapshot: MachineSnapshot) -> CommandRunner {
        var runner = runner
        runner.sandbox?.writable.append(snapshot.folder)
        return runner
    }
}

/// The step that saves guests that are ready to run one test each.
struct SnapshotSteps: Sendable {
    let context: ProjectContext
    let guests: RunGuests

    private var tools: ToolContext { context.tools }
    private var machines: [MachineCandidate] { guests.machines }

    /// The most snapshots to keep for a project; each takes as much disk space as its guest has used of its memory.
    private static let keptSnapshots = 6

    /// Finds or makes the snapshots, by the program that their guests hold. There may be none: guests boot then.
    ///
    /// The step throws `Failure` (`infrastructure`) when files cannot be written.
    func snapshots() -> Step<SnapshotArtifacts> {
        Step(.snapshot) { _ in Work(forecast: forecast, perform: perform) }
    }

    /// The programs that guests hold, in order; nil for a guest that holds none.
    private func heldPrograms(hasHarness: Bool) -> [Int?] {
        let held = TestShard.shards(of: guests.programs.artifacts, among: nil).map { hasHarness ? $0.heldProgram : nil }
        return Set(held).sorted { ($0 ?? -1) < ($1 ?? -1) }
    }

    @Sendable private func perform(_ progress: ProgressSink) async throws -> Performed<SnapshotArtifacts> {
        var snapshots: [Int?: SnapshotArtifact] = [:]
        var boots: [SavedBoot] = []
        if let obstacle = machines.first?.configuration?.obstacleToSaving {
            progress(.note("\(obstacle); each test's guest boots instead, which takes longer"))
            return Performed(result: SnapshotArtifacts(places: nil, boots: []), outcome: .failed, detail: "none")
        }
        var harness = try await harness(progress)
        if let made = harness {
            let place = guests.share.appending(GuestShare.harnessName)
            try copyFile(made, to: place)
            harness = place
        }
        let held = heldPrograms(hasHarness: harness != nil)
        for index in held {
            if let index {
                let plan = SessionPlan(programs: [guests.programs.artifacts[index].selecting([]).planned])
                try writeAtomically(try plan.encoded(), to: guests.share.appending(GuestShare.heldPlan(index)))
            }
            let found = try await snapshot(
                holding: index, harness: harness, needed: held.count, boots: &boots, progress)
            guard let found else {
                progress(.note("each test's guest boots instead, which takes longer"))
                return Performed(result: SnapshotArtifacts(places: nil, boots: boots), outcome: .failed, detail: "none")
            }
            snapshots[index] = found
        }
        let names = snapshots.values.map { $0.snapshot.folder.lastComponent?.string ?? "" }.sorted()
        return Performed(
            result: SnapshotArtifacts(places: snapshots, boots: boots),
            outcome: snapshots.values.allSatisfy(\.isHit) ? .hit : .made, detail: names.joined(separator: ", "))
    }

    @Sendable private func forecast() async throws -> Forecast<SnapshotArtifacts> {
        let expected = SnapshotArtifacts(places: nil, boots: [])
        let sources = harnessSources
        let builder = try await context.programBuilder()
        let recipe = isFolder(sources) ? try builder.harnessRecipe(sources: sources) : nil
        if let recipe, !recipe.isMade {
            return Forecast(
                expected: expected,
                actions: try builder.actions(of: recipe) + [
                    .remark("kbuild boots a guest and saves it once it is ready")
                ])
        }
        let harness = recipe?.path
        let trust = context.trust(under: try await context.confinement.rules())
        var forecast = Forecast(outcome: .hit, expected: expected)
        for index in heldPrograms(hasHarness: harness != nil) {
            let places = try machines.compactMap { try place($0, holding: index, harness: harness, trust: trust) }
            guard let key = places.first?.key else { continue }
            let snapshot = MachineSnapshot(folder: snapshotsFolder.appending(key.short))
            if isIntact(snapshot) { continue }
            forecast.outcome = .miss
            forecast.actions.append(.remark("kbuild boots a guest and saves it once it is ready: \(snapshot.folder)"))
        }
        return forecast
    }

    /// Finds or makes the snapshot of a guest that is ready to run tests.
    ///
    /// - Parameters:
    ///   - program: The bundle that the guest holds; nil for a guest that holds none.
    ///   - harness: The library that holds it.
    ///   - needed: How many snapshots this run uses.
    ///   - boots: Receives the boots that were needed.
    /// - Returns: Nil when no machine could be saved; a note has given the reason to the user.
    /// - Throws: `Failure` (`infrastructure`) when the files cannot be written; `CancellationError`.
    private func snapshot(
        holding program: Int?, harness: FilePath?, needed: Int, boots: inout [SavedBoot], _ progress: ProgressSink
    ) async throws -> SnapshotArtifact? {
        let folder = guests.folder
        let trust = context.trust(under: try await context.confinement.rules())
        for candidate in machines {
            guard let place = try place(candidate, holding: program, harness: harness, trust: trust) else { continue }
            let (configuration, key) = (place.configuration, place.key)
            let home = snapshotsFolder
            let snapshot = MachineSnapshot(folder: home.appending(key.short))
            func ready(isHit: Bool, after boot: SavedBoot) -> SnapshotArtifact {
                boots.append(boot)
                return SnapshotArtifact(
                    snapshot: snapshot, configuration: configuration, reported: candidate, isHit: isHit,
                    bootReports: boot.crashes)
            }
            let lock = try await FileLock.acquire("snapshot-\(key.short)", in: tools.layout, progress: progress)
            defer { withExtendedLifetime(lock) {} }
            // One log for each boot of the run.
            let log = folder.appending("console-snapshot\(boots.isEmpty ? "" : "-\(boots.count + 1)").log")
            let title = "the boot before the snapshot \(key.short)"
            if isIntact(snapshot) {
                try removeAll(log)
                try copyFile(snapshot.console, to: log)
                let boot = try SavedBoot(title: title, log: log)
                // The time by which the oldest snapshots are found.
                utimes(snapshot.folder.string, nil)
                return ready(isHit: true, after: boot)
            }
            try createFolder(home)
            try removeAll(snapshot.folder)
            try removeOldSnapshots(in: home, keeping: max(Self.keptSnapshots, needed) - 1)
            try createFolder(snapshot.folder)
            do {
                let runner = candidate.runner(for: snapshot)
                try runner.sandbox?.chown(snapshot.folder)
                try await save(snapshot, configuration, by: runner, within: candidate.bootLimit, log: log)
                try copyFile(log, to: snapshot.console)
                try writeAtomically(seal(snapshot), to: sealFile(snapshot))
                return ready(isHit: false, after: try SavedBoot(title: title, log: log))
            } catch let failure as Failure {
                try removeAll(snapshot.folder)
                // A boot that fails once in ten times may succeed in the guests that now boot instead.
                if fileExists(log) {
                    boots.append(
                        try SavedBoot(title: "a boot on \(candidate.reported.type) that was not saved", log: log))
                }
                let reason = [failure.message, failure.details].compactMap { $0 }.joined(separator: ": ")
                progress(.note("no snapshot on \(candidate.reported.type): \(reason)"))
            }
        }
        return nil
    }

    /// The harness's sources are beside the definition.
    private var harnessSources: FilePath {
        context.project.rootfsDefinition.removingLastComponent().appending("snapshot-harness")
    }

    /// The library that holds a bundle; nil if it cannot be made, and bundles are started again for each test.
    private func harness(_ progress: Diagnostics.ProgressSink) async throws -> FilePath? {
        let sources = harnessSources
        guard isFolder(sources) else { return nil }
        do {
            let builder = try await context.programBuilder()
            return try await builder.make(try builder.harnessRecipe(sources: sources))
        } catch let failure as Failure where failure.code == .build {
            // It calls functions of this toolchain's own test runners, which another toolchain may name differently.
            progress(.note("test bundles cannot be held: \(failure.details ?? failure.message)"))
            return nil
        }
    }

    private var snapshotsFolder: FilePath { context.projectCache.appending("snapshots") }

    /// The configuration of a machine to save, and the key of its snapshot.
    private struct Place {
        var configuration: MachineConfiguration
        var key: Digest
    }

    /// - Returns: Nil for a machine that cannot be saved.
    private func place(
        _ candidate: MachineCandidate, holding program: Int?, harness: FilePath?, trust: TrustLevel
    ) throws -> Place? {
        guard var configuration = candidate.configuration, configuration.results == .virtio else { return nil }
        let plan = program.map { GuestShare.heldPlan($0) }
        configuration.kernelArguments.insert("\(MachineSnapshot.holdOption)=\(plan ?? "none")", at: 0)
        var key = try key(configuration, user: candidate.runner.sandbox?.identity, trust: trust)
        if let program, let harness {
            let held = guests.programs.artifacts[program]
            key.add("program", try tools.statCache.digest(of: held.executable))
            key.add("plan", try SessionPlan(programs: [held.selecting([]).planned]).encoded())
            key.add("snapshot-harness", try tools.statCache.digest(of: harness))
        }
        return Place(configuration: configuration, key: key.key.digest)
    }

    /// The key of a saved guest: all its inputs. It has contents, not paths, and not the small difference between two
    /// measurements of the same counter.
    private func key(
        _ configuration: MachineConfiguration, user: UInt32?, trust: TrustLevel
    ) throws -> KeyBuilder {
        var key = KeyBuilder(step: "snapshot", version: 3, trust: trust)
        key.add("kernel", try tools.statCache.digest(of: configuration.kernel))
        var plain = configuration
        plain.kernel = "kernel"
        switch configuration.root {
        case .disk(let path):
            key.add("root", try tools.statCache.digest(of: path))
            plain.root = .disk("root")
        case .initramfs(let path):
            key.add("root", try tools.statCache.digest(of: path))
            plain.root = .initramfs("root")
        }
        plain.shares = configuration.shares.map { Share(tag: $0.tag, path: "share", isReadOnly: $0.isReadOnly) }
        plain.timeStampKilohertz = configuration.timeStampKilohertz.map { ($0 + 5000) / 10000 }
        let command = plain.command(
            sockets: MachineSockets(folder: "sockets"), memory: .saved(MachineSnapshot(folder: "snapshot")))
        key.add("command", command.description)
        key.add("qemu", try tools.digest(ofTool: command.tool))
        key.add("processor", Self.processor())
        // A restored machine's user must be able to open the saved machine's file.
        key.add("user", user.map { "\($0)" } ?? "own")
        return key
    }

    /// The host's processor, which QEMU passes on in part.
    private static func processor() -> String {
        let lines = ((try? readText("/proc/cpuinfo")) ?? "").textLines()
        return ["model name", "flags"].compactMap { name in lines.first { $0.hasPrefix(name) } }
            .joined(separator: "\n")
    }

    /// Boots a guest and saves it once it is ready.
    private func save(
        _ snapshot: MachineSnapshot, _ configuration: MachineConfiguration, by runner: CommandRunner,
        within limit: Double, log path: FilePath
    ) async throws {
        let log = GuestLog(try ConsoleTranscript(path: path))
        // On every path: the end of a failed boot's log is the most useful.
        defer { log.finish() }
        let (ready, continuation) = AsyncStream.makeStream(of: Frame.self)
        let handlers = MachineHandlers(
            console: { bytes in
                log.console(bytes)
                return []
            }, results: { bytes in for frame in log.results(bytes) { continuation.yield(frame) } })
        let exit: MachineExit?? = try await withThrowingTaskGroup(of: MachineExit??.self) { group in
            group.addTask {
                .some(
                    try await QEMUMachine(configuration, runner: runner).save(to: snapshot, handlers) {
                        // The kernel's earlier records come first.
                        let last = await ready.first { ![.log, .kernel, .note, .module].contains($0.kind) }
                        guard last?.kind == .ready else {
                            throw Failure(.infrastructure, "the guest did not get ready", details: log.lastWords)
                        }
                    })
            }
            group.addTask {
                try await Task.sleep(for: .seconds(limit))
                return .none
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .none
        }
        switch exit {
        case .some(nil): return
        case .some(let exit?):
            throw Failure(.infrastructure, "the guest ended before it slept (\(exit))", details: log.lastWords)
        case .none: throw Failure(.infrastructure, "the guest did not sleep within \(Int(limit)) s")
        }
    }

    // MARK: Keeping

    private func sealFile(_ snapshot: MachineSnapshot) -> FilePath { snapshot.folder.appending("seal") }

    /// The contents of a complete snapshot's seal file. It is written last, so a snapshot without it was interrupted.
    private func seal(_ snapshot: MachineSnapshot) -> String {
        [snapshot.memory, snapshot.state, snapshot.console].map { path in
            guard let status = FileStatus(path) else { return "missing" }
            return "\(status.inode) \(status.size) \(status.modified)"
        }.joined(separator: "\n")
    }

    private func isIntact(_ snapshot: MachineSnapshot) -> Bool {
        guard let text = try? readText(sealFile(snapshot)) else { return false }
        return text == seal(snapshot) && !text.contains("missing")
    }

    /// Makes room for one more snapshot. A guest that is being restored from an old one has it open already.
    private func removeOldSnapshots(in home: FilePath, keeping count: Int) throws {
        func age(_ folder: FilePath) -> Int64 { FileStatus(folder)?.modified ?? 0 }
        let folders = try namesInFolder(home).map { home.appending($0) }.sorted { age($0) < age($1) }
        for folder in folders.dropLast(count) { try removeAll(folder) }
    }
}

/// The frames of a guest before it is saved.
private final class GuestLog: Sendable {
    private struct State {
        var transcript: ConsoleTranscript
        var console = ResultsDecoder.console(carriesResults: false)
        var port = ResultsDecoder.port()
        var words: [String] = []
    }

    private let state: Mutex<State>

    init(_ transcript: sending ConsoleTranscript) {
        state = Mutex(State(transcript: transcript))
    }

    var lastWords: String { state.withLock { $0.words.suffix(10).joined(separator: "\n") } }

    func console(_ bytes: [UInt8]) {
        state.withLock { state in
            for case .line(let line) in state.console.consume(bytes) {
                state.transcript.append(line)
                state.words.append(String(decoding: line, as: UTF8.self))
            }
            state.transcript.flush()
        }
    }

    /// Writes an unfinished last line.
    func finish() {
        state.withLock { state in
            for case .line(let line) in state.console.finish() { state.transcript.append(line) }
            state.transcript.flush()
        }
    }

    func results(_ bytes: [UInt8]) -> [Frame] {
        state.withLock { state in
            state.port.consume(bytes).compactMap { item in
                guard case .frame(let frame) = item else { return nil }
                if frame.kind == .error { state.words.append(frame.text) }
                return frame
            }
        }
    }
}
