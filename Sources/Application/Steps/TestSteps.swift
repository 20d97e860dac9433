// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import GuestSession
import KernelMake
import Processes
import Project
import Reporting
import ResultsModel
import Synchronization
import SystemPackage
import TestSession
import VirtualMachine

/// The results of a run's tests.
struct TestResults: Sendable {
    var outcome: SessionOutcome
    var guests: [GuestRun]
    /// How many guests ran at once.
    var maxConcurrentGuests: Int
    /// The number of shards.
    var shards: Int

    /// "booted in 0.98 s, 40 of 41 tests passed".
    var summary: String {
        let started = guests.compactMap(\.result.bootSeconds).median.map { "booted in \(format($0))" } ?? "did not boot"
        let tests = outcome.programs.flatMap(\.tests)
        let count = "\(tests.count { $0.status == .passed }) of \(tests.count) tests passed"
        guard guests.count > 1 else { return "\(started), \(count)" }
        let several = maxConcurrentGuests > 1 ? ", \(maxConcurrentGuests) at a time" : ""
        return "\(guests.count) guests, \(started)\(several), \(count)"
    }

    private func format(_ seconds: Double) -> String { "\((seconds * 100).rounded() / 100) s" }
}

/// The step that runs the tests in guests.
struct TestSteps: Sendable {
    let context: ProjectContext
    let guests: RunGuests
    let kernel: BuiltKernel

    /// Runs the tests.
    ///
    /// The step throws `Failure` (`infrastructure`) when no machine can be started.
    ///
    /// - Parameter snapshots: The snapshots from which guests are restored; nil if guests boot.
    func tests(from snapshots: SnapshotArtifacts?) -> Step<TestResults> {
        Step(.test) { _ in
            Work(
                forecast: { Forecast(outcome: .always, actions: try actions()) },
                perform: { progress in try await run(from: snapshots, progress) })
        }
    }

    private func run(from snapshots: SnapshotArtifacts?, _ progress: ProgressSink) async throws -> Performed<
        TestResults
    > {
        let isAlone = context.project.isolation == .test
        let shards = TestShard.shards(of: guests.programs.artifacts, among: isAlone ? nil : context.project.guests ?? 1)
        let maxConcurrentGuests = maxConcurrentGuests(for: shards.count, context.tools.progress)
        let limits = context.limits
        let source = GuestSource(
            share: guests.share, repetition: guests.repetition, machines: guests.machines, snapshots: snapshots?.places,
            resumeLimit: min(limits.boot, SessionLimits.resume), memory: try memoryFolder(in: guests.folder))
        let session = TestScheduler(
            programs: guests.programs.artifacts, shards: shards,
            rules: .init(maxConcurrentGuests: maxConcurrentGuests, limits: limits, retries: context.project.retries),
            folder: guests.folder,
            guests: .init(
                boots: snapshots?.boots ?? [], memoryReader: KernelMemoryReader(vmlinux: kernel.vmlinux),
                machine: source.machine))
        let log = context.log
        let ran = try await session.run(onEvent: { log(.session($0)) }, note: progress)
        let results = TestResults(
            outcome: ran.outcome, guests: ran.guests, maxConcurrentGuests: maxConcurrentGuests, shards: shards.count)
        return Performed(result: results, outcome: .made, detail: results.summary)
    }

    /// The commands that start the guests.
    private func actions() throws -> [RunPlan.Action] {
        var actions: [RunPlan.Action] = []
        if context.project.isolation == .test, context.project.architecture != .um {
            actions.append(.remark("each test's guest wakes from the snapshot; this is one that boots:"))
        } else if let count = context.project.guests, count > 1 {
            actions.append(.remark("\(count) guests share the tests; this is the first:"))
        }
        for (index, candidate) in guests.machines.enumerated() {
            if index == 1 { actions.append(.remark("should the guest not get to init on that machine:")) }
            let folder = MachineSockets.folderTemplate
            var runner = candidate.runner
            runner.sandbox?.writable.append(folder)
            let machine = candidate.machine.adding(
                kernelArgument: GuestShare.planArgument(GuestShare.planName(1)))
            actions.append(try RunPlan.Action(machine.command(in: folder), by: runner))
        }
        return actions + [.remark("kbuild makes the folders in these commands, and listens to their sockets")]
    }

    static let memoryName = "memory"

    /// Makes the folder for the memory of guests that crash; nil when it is not requested, or no machine can keep it.
    private func memoryFolder(in folder: FilePath) throws -> FilePath? {
        guard context.project.machine.keepsMemory else { return nil }
        guard context.project.architecture != .um else {
            context.tools.progress(
                .note("user-mode Linux cannot keep its guest's memory; machine.memory-dump goes with QEMU"))
            return nil
        }
        let memory = folder.appending(Self.memoryName)
        try createFolder(memory)
        return memory
    }

    // MARK: Host memory

    /// Memory that QEMU itself takes besides its guest's, in MiB, with a reserve: 60 to 90 were measured.
    private static let overheadMegabytes = 128

    /// How many guests run at once: the requested number, or one for each processor, as far as the host's memory
    /// permits.
    private func maxConcurrentGuests(for guests: Int, _ progress: Diagnostics.ProgressSink) -> Int {
        let wanted = min(guests, context.project.guests ?? ProcessInfo.processInfo.activeProcessorCount)
        guard let available = Self.availableMegabytes() else { return wanted }
        let room = Self.room(in: available, memoryMegabytes: context.project.machine.memoryMegabytes)
        if room < wanted, context.project.guests != nil {
            progress(
                .note(
                    "\(available) MB of memory are free, room for \(room) guests at once instead of \(wanted)"))
        }
        return min(wanted, room)
    }

    /// How many guests of this size fit: one for each processor, as far as the host's memory permits.
    static func guestsThatFit(memoryMegabytes: Int) -> Int {
        let processors = ProcessInfo.processInfo.activeProcessorCount
        guard let available = availableMegabytes() else { return processors }
        return min(processors, room(in: available, memoryMegabytes: memoryMegabytes))
    }

    /// How many guests fit into memory; at least one is tried.
    static func room(in available: Int, memoryMegabytes: Int) -> Int {
        max(1, available / (memoryMegabytes + overheadMegabytes))
    }

    /// The memory that Linux estimates to be usable without swapping; nil when it does not say.
    private static func availableMegabytes() -> Int? {
        let lines = ((try? readText("/proc/meminfo")) ?? "").textLines()
        let fields = lines.first { $0.hasPrefix("MemAvailable:") }?.split(separator: " ") ?? []
        return fields.count > 1 ? Int(fields[1]).map { $0 / 1024 } : nil
    }
}

/// Makes the machines of a run's guests.
private final class GuestSource: Sendable {
    /// The folder with the guests' plans.
    private let share: FilePath
    private let repetition: Int?
    private let machines: [MachineCandidate]
    /// By the program that a guest holds; nil if guests boot.
    private let snapshots: [Int?: SnapshotArtifact]?
    private let resumeLimit: Double
    /// The folder for the memory of guests that crash; nil when it is not requested.
    private let memory: FilePath?
    private let guests = Mutex(0)

    init(
        share: FilePath, repetition: Int?, machines: [MachineCandidate], snapshots: [Int?: SnapshotArtifact]?,
        resumeLimit: Double, memory: FilePath?
    ) {
        self.share = share
        self.repetition = repetition
        self.machines = machines
        self.snapshots = snapshots
        self.resumeLimit = resumeLimit
        self.memory = memory
    }

    func machine(for shard: TestShard, attempt: Int) throws -> GuestMachine? {
        if let snapshots { return try restored(shard, snapshots, attempt: attempt) }
        guard attempt < machines.count else { return nil }
        let candidate = machines[attempt]
        let number = nextNumber()
        var machine: any BootingMachine = candidate.machine
        if var configuration = candidate.configuration, let dump = memoryDump(number) {
            configuration.memoryDump = dump
            machine = QEMUMachine(configuration, runner: candidate.runner)
        }
        return GuestMachine(
            machine: machine.adding(kernelArgument: GuestShare.planArgument(try writePlan(shard, number))),
            reported: candidate.reported, bootLimit: candidate.bootLimit)
    }

    private func restored(
        _ shard: TestShard, _ snapshots: [Int?: SnapshotArtifact], attempt: Int
    ) throws -> GuestMachine? {
        let place = shard.heldProgram
        // A guest that holds the bundle receives its tests over the port; another guest reads its plan.
        let holding = place.flatMap { snapshots[$0] }
        guard attempt < 2, let snapshot = holding ?? snapshots[nil], let first = machines.first else { return nil }
        let number = nextNumber()
        let command =
            holding == nil
            ? ResumeCommand(plan: try writePlan(shard, number)) : ResumeCommand(filters: shard.patterns)
        var configuration = snapshot.configuration
        configuration.memoryDump = memoryDump(number)
        configuration.shares = first.configuration?.shares ?? []
        let machine = RestoredMachine(
            configuration, from: snapshot.snapshot, command: command, runner: first.runner(for: snapshot.snapshot))
        return GuestMachine(
            machine: machine, reported: snapshot.reported.reported, bootLimit: resumeLimit,
            bootReports: snapshot.bootReports)
    }

    /// Writes the shard's plan where the guest finds it; returns its name there.
    private func writePlan(_ shard: TestShard, _ number: Int) throws -> String {
        let name = GuestShare.planName(number, repetition: repetition)
        try writeAtomically(try shard.plan.encoded(), to: share.appending(name))
        return name
    }

    /// Guests are numbered from 1.
    private func nextNumber() -> Int {
        guests.withLock { guests in
            guests += 1
            return guests
        }
    }

    private func memoryDump(_ number: Int) -> FilePath? { memory?.appending("guest-\(number).elf") }
}

extension Array where Element == Double {
    /// The median; nil for an empty list.
    var median: Double? {
        isEmpty ? nil : sorted()[count / 2]
    }
}
