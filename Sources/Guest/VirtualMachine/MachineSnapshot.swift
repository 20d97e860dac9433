// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import Processes
import Synchronization
import SystemPackage

/// A machine that was saved while its guest waited, in its own folder: the guest's memory, as one sparse file of the
/// same size, and the state of the processors and devices.
///
/// Restored machines map the memory privately, so nothing is read or copied before it is touched, and the disk blocks
/// that the saved guest had read are in the host's page cache once for all of them (QEMU's capability x-ignore-shared).
public struct MachineSnapshot: Sendable, Hashable {
    /// The folder.
    public var folder: FilePath

    /// Names a snapshot, whether it exists or not.
    public init(folder: FilePath) {
        self.folder = folder
    }

    /// The guest's memory.
    public var memory: FilePath { folder.appending("memory") }
    /// The state of everything else.
    public var state: FilePath { folder.appending("state") }
    /// The log of the console while the guest booted.
    public var console: FilePath { folder.appending("console.log") }

    /// The kernel argument that makes init wait for a snapshot; its value is the plan whose program init holds.
    public static let holdOption = "kbuild.hold"
}

/// The commands for a restored guest; rootfs/init/Snapshot.swift reads them.
public struct ResumeCommand: Sendable, Hashable {
    /// The plan to run, by its name on the share of test programs.
    public var plan: String?
    /// Patterns for the tests that the held program runs.
    public var filters: [String]

    /// Creates a command.
    public init(plan: String? = nil, filters: [String] = []) {
        self.plan = plan
        self.filters = filters
    }

    /// The lines, with the current time and new random bytes.
    var encoded: [UInt8] {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var random = SystemRandomNumberGenerator()
        let seed = (0..<4).map { _ in
            let digits = String(random.next(), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        var lines = ["time \(now.tv_sec) \(now.tv_nsec)", "seed \(seed.joined())"]
        if let plan { lines.append("plan \(plan)") }
        // An escaped newline means the same in a pattern.
        lines += filters.map {
            "filter " + $0.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
        }
        return Array((lines + ["go", ""]).joined(separator: "\n").utf8)
    }
}

extension QEMUMachine {
    /// Boots a guest and saves the machine when the guest is ready.
    ///
    /// - Parameters:
    ///   - snapshot: Its folder, which must exist and be empty.
    ///   - whenReady: Returns when init has reported that the guest is ready.
    /// - Returns: Nil when it was saved; how the machine ended if it ended before.
    /// - Throws: `Failure` (`infrastructure`) when QEMU cannot be started or refuses to save; errors of `whenReady`;
    ///   `CancellationError`.
    public func save(
        to snapshot: MachineSnapshot, _ handlers: MachineHandlers,
        whenReady: @escaping @Sendable () async throws -> Void
    ) async throws -> MachineExit? {
        let result = try await runMachine(handlers, runner: runner, savesState: true) { links in
            var monitor = try await links.monitor()
            try await whenReady()
            try await monitor.execute("stop")
            try await monitor.shareMemory()
            // QEMU may start no program to write with, and in a sandbox may write no file: it sends the state.
            try await monitor.execute("migrate", ["uri": "unix:\(links.sockets.state)"])
            guard try await monitor.wait(for: "MIGRATION", statuses: ["completed", "failed"]) == "completed" else {
                throw Failure(.infrastructure, "QEMU could not save the machine")
            }
            // QEMU closes the connection when it has sent everything.
            let state = await links.deviceState()
            try writeAtomically(state, to: snapshot.state)
            try await monitor.execute("quit")
        } command: { _, sockets in
            try sockets.createScratchDisks(configuration.disks.map(\.scratchMegabytes))
            return configuration.command(sockets: sockets, memory: .saved(snapshot))
        }
        return result.status.isSuccess && fileExists(snapshot.state) ? nil : Self.interpret(result)
    }
}

extension QEMUMonitor {
    /// Excludes the guest's memory, which is a file, from the saved state, and requests progress events.
    fileprivate mutating func shareMemory() async throws {
        struct Capability: Encodable {
            var capability: String
            var state = true
        }
        try await execute(
            "migrate-set-capabilities",
            ["capabilities": [Capability(capability: "x-ignore-shared"), Capability(capability: "events")]])
    }
}

/// A guest that is restored from a snapshot.
public struct RestoredMachine: Machine {
    /// The machine that was saved, except for its shared folders.
    public let configuration: MachineConfiguration
    /// The snapshot.
    public let snapshot: MachineSnapshot
    /// The guest's commands.
    public let command: ResumeCommand
    private let runner: CommandRunner

    /// Creates a machine; nothing runs yet.
    public init(
        _ configuration: MachineConfiguration, from snapshot: MachineSnapshot, command: ResumeCommand,
        runner: CommandRunner
    ) {
        self.configuration = configuration
        self.snapshot = snapshot
        self.command = command
        self.runner = runner
    }

    /// Never: a guest receives its commands over a results port.
    public var hasResultsOnConsole: Bool { false }

    /// Restores the guest and returns when QEMU has ended.
    public func run(_ handlers: MachineHandlers) async throws -> MachineExit {
        let crash = Mutex<MachineExit?>(nil)
        let keeping = try configuration.memoryDump.map { try runner.writing(to: $0.removingLastComponent()) } ?? runner
        let result = try await runMachine(handlers, runner: keeping) { links in
            var monitor = try await links.monitor()
            try await monitor.shareMemory()
            try await monitor.execute("migrate-incoming", ["uri": "fd:\(MachineConfiguration.stateDescriptor)"])
            guard try await monitor.wait(for: "MIGRATION", statuses: ["completed", "failed"]) == "completed" else {
                throw Failure(.infrastructure, "QEMU could not restore the machine from \(snapshot.folder)")
            }
            // The machine was stopped when it was saved, and is still stopped.
            try await monitor.execute("cont")
            links.sendToGuest(command.encoded)
            let exit = try await monitor.watch(handlers.inspector, links, dump: configuration.memoryDump)
            crash.withLock { $0 = exit }
        } command: { _, sockets in
            try sockets.createScratchDisks(configuration.disks.map(\.scratchMegabytes))
            return configuration.command(sockets: sockets, memory: .restored(snapshot))
        }
        return crash.withLock { $0 } ?? QEMUMachine.interpret(result)
    }
}
