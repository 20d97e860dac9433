// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import GuestSession
import Project
import Reporting
import Synchronization
import SystemPackage
import TestSession
import VirtualMachine

extension Pipeline {
    /// Runs the programs' tests and adds what they did to the report.
    ///
    /// - Throws: `Failure` (`infrastructure`) when no machine can be started; `CancellationError`.
    func runTests(
        _ programs: [ProgramArtifact], share: FilePath, on machines: [MachineCandidate], kernel: BuiltKernel,
        symbolizer: CrashSymbolizer,
        in folder: FilePath, into report: inout RunReport
    ) async throws {
        let isAlone = project.isolation == .test
        let portions = TestShard.divide(programs, among: isAlone ? nil : project.guests ?? 1)
        let snapshots =
            isAlone
            ? try await snapshots(for: portions, of: programs, share: share, on: machines, in: folder)
            : ReadySnapshots(places: nil, boots: [])
        let width = width(for: portions.count, tools.progress)
        let (outcome, guests) = try await log.step("test") { progress in
            let source = GuestSource(
                share: share, machines: machines, snapshots: snapshots.places,
                wakeLimit: min(limits.boot, SessionLimits.wake), memory: try memoryFolder(in: folder))
            let session = TestScheduler(
                programs: programs, portions: portions,
                rules: .init(width: width, limits: limits, retries: project.retries), folder: folder,
                guests: .init(
                    boots: snapshots.boots, memoryReader: KernelMemoryReader(vmlinux: kernel.vmlinux),
                    machine: source.machine))
            let log = log
            let (outcome, guests) = try await session.run(onEvent: { log(.session($0)) }, note: progress)
            return ((outcome, guests), .made, Self.summary(outcome, guests, width: width))
        }
        if let obstacle = guests.lazy.compactMap(\.result.logObstacle).first {
            tools.progress(.note("the console's log lacks a part: \(obstacle)"))
        }
        for note in outcome.notes { tools.progress(.note(note)) }
        let memory = folder.appending(Self.memoryName)
        if isFolder(memory) {
            let kept = try namesInFolder(memory).count
            if kept > 0 { report.artifacts.memory = memory.string }
            let lost = guests.count { $0.result.limit != nil || [.panicked, .reset].contains($0.result.exit) } - kept
            if lost > 0 { tools.progress(.note("the memory of \(lost) guests could not be kept in \(memory)")) }
        }
        if let reason = guests.lazy.compactMap({ $0.result.unreadMemory }).first {
            tools.progress(.note("the kernel's memory was not read: \(reason)"))
            report.unreadKernelMemory = reason
        }
        report.machine = guests.last?.machine ?? report.machine
        if !snapshots.boots.isEmpty { report.artifacts.bootConsoles = snapshots.boots.map(\.log.string) }
        if guests.count > 1 {
            report.guests = .init(
                count: guests.count, width: width, isFromSnapshot: snapshots.places != nil,
                medianStartSeconds: guests.compactMap(\.result.bootSeconds).median,
                medianSeconds: guests.map(\.result.machineSeconds).median)
        }
        SessionReport.add(await symbolized(outcome, symbolizer), to: &report)
        // Guests that fail for one reason are one trouble, told of the first; but each test that hung hung in its own place.
        var told: Set<String> = []
        for guest in guests {
            let evidence = await evidence(of: guest.result, kernel: kernel)
            for var trouble in SessionReport.troubles(of: guest.result, evidence: evidence)
            where told.insert(trouble.message + (evidence.isEmpty ? "" : trouble.details ?? "")).inserted {
                if portions.count > 1 {
                    trouble.details = (["in the guest of \(guest.portion.name)"] + [trouble.details].compactMap { $0 })
                        .joined(separator: "\n")
                }
                report.troubles.append(.init(trouble))
            }
        }
    }

    private static let memoryName = "memory"

    /// Makes the folder for the memory of guests that crash; nil when nobody wants it, or no machine can keep it.
    private func memoryFolder(in folder: FilePath) throws -> FilePath? {
        guard project.machine.keepsMemory else { return nil }
        guard project.architecture != .um else {
            tools.progress(.note("user-mode Linux cannot keep its guest's memory; machine.memory-dump goes with QEMU"))
            return nil
        }
        let memory = folder.appending(Self.memoryName)
        try createFolder(memory)
        return memory
    }

    /// "booted in 0.98 s, 40 of 41 tests passed".
    private static func summary(_ outcome: SessionOutcome, _ guests: [GuestRun], width: Int) -> String {
        let starts = guests.compactMap(\.result.bootSeconds)
        let started = starts.median.map { "booted in \(format($0))" } ?? "did not boot"
        guard guests.count > 1 else { return "\(started), \(count(outcome))" }
        let several = width > 1 ? ", \(width) at a time" : ""
        return "\(guests.count) guests, \(started)\(several), \(count(outcome))"
    }

    // MARK: Snapshots

    /// The snapshots to wake the portions' guests from, by the program that they hold; nil where there cannot be any.
    private func snapshots(
        for portions: [TestShard], of programs: [ProgramArtifact], share: FilePath, on machines: [MachineCandidate],
        in folder: FilePath
    ) async throws -> ReadySnapshots {
        guard project.architecture != .um else { return ReadySnapshots(places: nil, boots: []) }
        return try await log.step("snapshot") { progress in
            var snapshots: [Int?: ReadySnapshot] = [:]
            var boots: [SavedBoot] = []
            let holder = try await holder(progress)
            if let holder { try copyFile(holder, to: share.appending("holder.so")) }
            let held = portions.map { holder == nil ? nil : $0.heldProgram }
            let places = Set(held)
            for index in places.sorted(by: { ($0 ?? -1) < ($1 ?? -1) }) {
                var name: String?
                if let index {
                    let plan = SessionPlan(programs: [programs[index].selecting([]).planned])
                    name = Self.heldPlan(index)
                    try writeAtomically(try plan.encoded(), to: share.appending(Self.heldPlan(index)))
                }
                let program = index.map { programs[$0] }
                guard
                    let snapshot = try await snapshot(
                        holding: program, plan: name, holder: share.appending("holder.so"), on: machines,
                        needed: places.count, in: folder, boots: &boots, progress)
                else {
                    progress(.note("each test's guest boots instead, which takes longer"))
                    return (ReadySnapshots(places: nil, boots: boots), .failed, "none")
                }
                snapshots[index] = snapshot
            }
            let isHit = snapshots.values.allSatisfy(\.isHit)
            let names = snapshots.values.map { $0.snapshot.folder.lastComponent?.string ?? "" }.sorted()
            return (
                ReadySnapshots(places: snapshots, boots: boots), isHit ? .hit : .made, names.joined(separator: ", ")
            )
        }
    }

    /// The holder's sources lie beside the definition.
    var holderSources: FilePath { project.rootfsDefinition.removingLastComponent().appending("holder") }

    /// The library that holds a bundle; nil where it cannot be made, and bundles are started anew for each test.
    private func holder(_ progress: Diagnostics.ProgressSink) async throws -> FilePath? {
        let sources = holderSources
        guard isFolder(sources) else { return nil }
        do {
            return try await programBuilder().holder(sources: sources)
        } catch let failure as Failure where failure.code == .build {
            // It calls what this toolchain's own test runners call, which another toolchain may name otherwise.
            progress(.note("test bundles cannot be held: \(failure.details ?? failure.message)"))
            return nil
        }
    }

    /// The name of the plan of the guest with this number, from 1, on the share.
    static func planName(_ number: Int) -> String { "plan-\(number)" }

    /// What tells a guest its plan.
    static func planArgument(_ name: String) -> String { "kbuild.plan=\(name)" }

    // MARK: Room

    /// Memory that QEMU itself takes beside its guest's, in MiB, with some to spare: 60 to 90 were seen.
    private static let overheadMegabytes = 128

    /// How many guests run at once: what was asked for, or one to a processor, as far as the host's memory goes.
    private func width(for guests: Int, _ progress: Diagnostics.ProgressSink) -> Int {
        let wanted = min(guests, project.guests ?? ProcessInfo.processInfo.activeProcessorCount)
        guard let available = Self.availableMegabytes() else { return wanted }
        let room = max(1, available / (project.machine.memoryMegabytes + Self.overheadMegabytes))
        if room < wanted, project.guests != nil {
            progress(
                .note(
                    "\(available) MB of memory are free, room for \(room) guests at once instead of \(wanted)"))
        }
        return min(wanted, room)
    }

    /// What Linux reckons can be used without swapping; nil when it does not say.
    private static func availableMegabytes() -> Int? {
        let lines = ((try? readText("/proc/meminfo")) ?? "").split(separator: "\n")
        let fields = lines.first { $0.hasPrefix("MemAvailable:") }?.split(separator: " ") ?? []
        return fields.count > 1 ? Int(fields[1]).map { $0 / 1024 } : nil
    }
}

/// Makes the machines of a run's guests.
private final class GuestSource: Sendable {
    /// Where the guests find their plans.
    private let share: FilePath
    private let machines: [MachineCandidate]
    /// By the program that a guest holds; nil where guests boot.
    private let snapshots: [Int?: ReadySnapshot]?
    private let wakeLimit: Double
    /// Where the memory of guests that crash goes; nil when nobody wants it.
    private let memory: FilePath?
    private let guests = Mutex(0)

    init(
        share: FilePath, machines: [MachineCandidate], snapshots: [Int?: ReadySnapshot]?, wakeLimit: Double,
        memory: FilePath?
    ) {
        self.share = share
        self.machines = machines
        self.snapshots = snapshots
        self.wakeLimit = wakeLimit
        self.memory = memory
    }

    func machine(for portion: TestShard, attempt: Int) throws -> GuestMachine? {
        if let snapshots { return try woken(portion, snapshots, attempt: attempt) }
        guard attempt < machines.count else { return nil }
        let candidate = machines[attempt]
        let number = nextNumber()
        var machine: any BootingMachine = candidate.machine
        if var configuration = candidate.configuration, let dump = memoryDump(number) {
            configuration.memoryDump = dump
            machine = QEMUMachine(configuration, runner: candidate.runner)
        }
        return GuestMachine(
            machine: machine.adding(kernelArgument: Pipeline.planArgument(try writePlan(portion, number))),
            reported: candidate.reported, bootLimit: candidate.bootLimit)
    }

    private func woken(
        _ portion: TestShard, _ snapshots: [Int?: ReadySnapshot], attempt: Int
    ) throws -> GuestMachine? {
        let place = portion.heldProgram
        // A guest that holds the bundle is told which of its tests to run; another reads its plan.
        let holding = place.flatMap { snapshots[$0] }
        guard attempt < 2, let snapshot = holding ?? snapshots[nil], let first = machines.first else { return nil }
        let number = nextNumber()
        let orders =
            holding == nil
            ? ResumeCommand(plan: try writePlan(portion, number)) : ResumeCommand(filters: portion.patterns)
        var configuration = snapshot.configuration
        configuration.memoryDump = memoryDump(number)
        configuration.shares = first.configuration?.shares ?? []
        let machine = RestoredMachine(
            configuration, from: snapshot.snapshot, orders: orders, runner: first.runner(for: snapshot.snapshot))
        return GuestMachine(
            machine: machine, reported: snapshot.reported.reported, bootLimit: wakeLimit,
            bootReports: snapshot.bootReports)
    }

    /// Writes the portion's plan where the guest finds it; returns its name there.
    private func writePlan(_ portion: TestShard, _ number: Int) throws -> String {
        let name = Pipeline.planName(number)
        try writeAtomically(try portion.plan.encoded(), to: share.appending(name))
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
    /// The middle value; nil of none.
    var median: Double? {
        isEmpty ? nil : sorted()[count / 2]
    }
}
