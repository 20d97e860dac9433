import Artifacts
import Diagnostics
import Foundation
import Reporting
import SystemPackage
import TestSession
import VirtualMachine

extension Pipeline {
    /// Runs the programs' tests in several guests and adds what they did to the report.
    func spread(
        _ programs: [ReadyProgram], plan: SessionPlan, share: FilePath, on machines: [MachineCandidate],
        symbolizer: CrashSymbolizer, in folder: FilePath, into report: inout RunReport
    ) async throws {
        let isAlone = project.isolation == .test
        let portions = GuestPortion.divide(programs, among: isAlone ? nil : project.guests)
        let snapshots =
            isAlone ? try await snapshots(for: portions, of: programs, share: share, on: machines, in: folder) : nil
        let log = log
        let (outcome, spread, width) = try await log.step("test") { progress in
            let width = self.width(for: portions.count, progress)
            let spread = try await run(
                portions, width: width, from: snapshots, on: machines, share: share, in: folder, progress)
            let whole = SessionOutcome.merging(
                zip(portions, spread.results).map { PartialOutcome(programs: $0.programs, outcome: $1.outcome) },
                plan: plan)
            let started = spread.results.compactMap(\.bootSeconds)
            let start = started.median.map { ", \(snapshots == nil ? "booted" : "woken") in \(Self.format($0))" } ?? ""
            let guests = "\(portions.count) guests\(start), \(width) at a time"
            return ((whole, spread, width), .made, "\(guests), \(Self.count(whole))")
        }
        report.machine = snapshots?.first?.value.reported.reported ?? machines.first?.reported
        report.guests = .init(
            count: portions.count, width: width, isFromSnapshot: snapshots != nil,
            medianStartSeconds: spread.results.compactMap(\.bootSeconds).median,
            medianSeconds: spread.results.map(\.machineSeconds).median)
        SessionReport.add(await symbolized(outcome, symbolizer), to: &report)
        // Guests that fail for one reason are one trouble, told of the first.
        var told: Set<String> = []
        for (portion, result) in zip(portions, spread.results) {
            for var trouble in SessionReport.troubles(of: result) where told.insert(trouble.message).inserted {
                trouble.details = (["in the guest of \(portion.name)"] + [trouble.details].compactMap { $0 })
                    .joined(separator: "\n")
                report.troubles.append(.init(trouble))
            }
        }
    }

    private func run(
        _ portions: [GuestPortion], width: Int, from snapshots: [Int?: ReadySnapshot]?, on machines: [MachineCandidate],
        share: FilePath, in folder: FilePath, _ progress: Diagnostics.Progress
    ) async throws -> SpreadSession.Outcome {
        guard let first = machines.first, let last = machines.last else {
            throw Failure(.infrastructure, "there is no machine to run on")
        }
        let wakeLimit = min(limits.boot, SessionLimits.wake)
        let held = Self.held(portions, snapshots)
        let session = SpreadSession(
            portions: portions, width: width, limits: limits, logs: folder.appending("guests")
        ) { index, isRepeat in
            let name = "plan-\(index)"
            // A held bundle is told what to run; whoever else wakes or boots reads its plan.
            if held[index] == nil {
                try writeAtomically(try portions[index].plan.encoded(), to: share.appending(name))
            }
            guard let snapshot = snapshots?[held[index]] else {
                let candidate = isRepeat ? last : first
                return (candidate.machine.adding(kernelArgument: "kbuild.plan=\(name)"), candidate.bootLimit)
            }
            var configuration = snapshot.configuration
            configuration.shares = first.configuration?.shares ?? []
            let machine = RestoredMachine(
                configuration, from: snapshot.snapshot,
                orders: held[index] == nil
                    ? WakeOrders(plan: name) : WakeOrders(filters: portions[index].patterns),
                runner: first.runner(for: snapshot.snapshot))
            return (machine, wakeLimit)
        }
        let log = log
        var outcome = try await session.run(onEvent: { log(.session($0)) }, note: progress)
        // A report's place is one in the log that the user is shown.
        for (index, before) in try joinLogs(of: session, to: folder.appending("console.log")).enumerated() {
            for crash in outcome.results[index].outcome.crashes.indices {
                outcome.results[index].outcome.crashes[crash].firstLine += before
                outcome.results[index].outcome.crashes[crash].lastLine += before
            }
        }
        return outcome
    }

    // MARK: Snapshots

    /// For each portion the place of the one bundle that it runs, which a guest can hold; nil for another portion.
    private static func held(_ portions: [GuestPortion]) -> [Int?] {
        portions.map { portion in
            guard portion.programs.count == 1, !portion.patterns.isEmpty else { return nil }
            return portion.programs[0]
        }
    }

    /// The same, as far as there are guests that hold a bundle.
    private static func held(_ portions: [GuestPortion], _ snapshots: [Int?: ReadySnapshot]?) -> [Int?] {
        held(portions).map { place in snapshots?[place] == nil ? nil : place }
    }

    /// The snapshots to wake the portions' guests from, by the program that they hold; nil where there cannot be any.
    private func snapshots(
        for portions: [GuestPortion], of programs: [ReadyProgram], share: FilePath, on machines: [MachineCandidate],
        in folder: FilePath
    ) async throws -> [Int?: ReadySnapshot]? {
        guard project.architecture != .um else { return nil }
        return try await log.step("snapshot") { progress in
            var snapshots: [Int?: ReadySnapshot] = [:]
            let holder = try await holder(progress)
            if let holder { try copyFile(holder, to: share.appending("holder.so")) }
            let held = Self.held(portions).map { holder == nil ? nil : $0 }
            let places = Set(held)
            for index in places.sorted(by: { ($0 ?? -1) < ($1 ?? -1) }) {
                var name: String?
                if let index {
                    let plan = SessionPlan(programs: [programs[index].selecting([]).planned])
                    name = "held-\(index)"
                    try writeAtomically(try plan.encoded(), to: share.appending("held-\(index)"))
                }
                let program = index.map { programs[$0] }
                guard
                    let snapshot = try await snapshot(
                        holding: program, plan: name, holder: share.appending("holder.so"), on: machines,
                        needed: places.count, in: folder,
                        progress)
                else {
                    progress(.note("each test's guest boots instead, which takes longer"))
                    return (nil, .failed, "none")
                }
                snapshots[index] = snapshot
            }
            let isHit = snapshots.values.allSatisfy(\.isHit)
            let names = snapshots.values.map { $0.snapshot.folder.lastComponent?.string ?? "" }.sorted()
            return (snapshots, isHit ? .hit : .made, names.joined(separator: ", "))
        }
    }

    /// The library that holds a bundle; nil where it cannot be made, and bundles are started anew for each test.
    private func holder(_ progress: Diagnostics.Progress) async throws -> FilePath? {
        let sources = project.rootfsDefinition.removingLastComponent().appending("holder")
        guard isFolder(sources) else { return nil }
        do {
            return try await programBuilder().holder(sources: sources)
        } catch let failure as Failure where failure.code == .build {
            // It calls what this toolchain's own test runners call, which another toolchain may name otherwise.
            progress(.note("test bundles cannot be held: \(failure.details ?? failure.message)"))
            return nil
        }
    }

    // MARK: Room

    /// Memory that QEMU itself takes beside its guest's, in MiB, with some to spare: 60 to 90 were seen.
    private static let overheadMegabytes = 128

    /// How many guests run at once: what was asked for, or one to a processor, as far as the host's memory goes.
    private func width(for guests: Int, _ progress: Diagnostics.Progress) -> Int {
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

    /// Makes one console log of all guests' logs, in the portions' order.
    ///
    /// - Returns: For each portion the lines before its first.
    private func joinLogs(of session: SpreadSession, to path: FilePath) throws -> [Int] {
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(
                path, .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o644))
        } catch let error as Errno {
            throw Failure(.infrastructure, "cannot write the console log \(path)", details: "\(error)")
        }
        defer { try? file.close() }
        var lines = 0
        return session.portions.enumerated().map { index, portion in
            let head = Array("==> guest \(index + 1): \(portion.name)\n".utf8)
            let log = (try? readBytes(session.log(of: index))) ?? []
            // A full disk loses the log, not the run.
            _ = try? file.writeAll(head + log)
            let before = lines + 1
            lines = before + log.count { $0 == 0x0A }
            return before
        }
    }
}

extension Array where Element == Double {
    /// The middle value; nil of none.
    var median: Double? {
        isEmpty ? nil : sorted()[count / 2]
    }
}
