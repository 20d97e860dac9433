// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CrashReports
import Diagnostics
import GuestSession
import KernelConfig
import KernelMake
import KernelSource
import PatchedTree
import Patching
import Processes
import Project
import ResultsModel
import RunStore
import Synchronization
import Syscalls
import SystemPackage
import TestSession
import VirtualMachine

/// A guest that is stopped at its first instruction, and the files that a debugger needs to connect.
public struct DebugTarget: Sendable {
    /// The socket of QEMU's gdb stub.
    public var socket: FilePath
    /// The kernel with its debug information.
    public var vmlinux: FilePath
    /// A file of gdb's commands: where the sources are, the kernel's own commands, the connection, the breakpoints.
    public var commands: FilePath
    /// The functions at whose entry the guest stops.
    public var breakpoints: [String]
    /// The console's log.
    public var console: FilePath
    let runner: CommandRunner
    /// gdb's commands before it connects: where the sources are, and the kernel's own commands.
    var setup: [String] = []

    /// The command that connects gdb by hand.
    public var command: Command { command(arguments: []) }

    private func command(arguments: [String]) -> Command {
        // A foreign vmlinux may contain scripts.
        Command(
            Self.debugger,
            ["-q", "-iex", "set auto-load no", "-x", commands.string] + arguments + [vmlinux.string])
    }

    /// Runs gdb on kbuild's own standard streams.
    ///
    /// - Parameter arguments: gdb's, after those that connect it: `-batch`, `-ex` and so on.
    /// - Throws: `Failure` (`infrastructure`) when there is no gdb; `CancellationError`.
    public func debug(arguments: [String]) async throws -> ProcessStatus {
        try await runner.runInteractively(command(arguments: arguments))
    }

    static let debugger = "gdb"

    /// gdb's commands that set the breakpoints.
    var breakpointCommands: [String] { breakpoints.map { "hbreak \($0)" } }
}

/// The result of a guest under a debugger.
public struct DebugResult: Sendable {
    /// The tests that ended.
    public var tests: [TestResult] = []
    /// The titles of the crash reports.
    public var crashes: [String] = []
}

/// Collects the events of a guest.
private final class DebugEvents: Sendable {
    let result = Mutex(DebugResult())

    func note(_ event: SessionEvent) {
        result.withLock { result in
            switch event {
            case .testEnded(let test): result.tests.append(test)
            case .crashed(let crash): result.crashes.append(crash.title)
            default: break
            }
        }
    }
}

/// A guest of a run under a debugger.
public struct DebugSession: Sendable {
    private let context: ProjectContext
    private var tools: ToolContext { context.tools }

    /// Prepares a session; nothing starts yet.
    public init(_ context: ProjectContext) { self.context = context }

    /// Boots the guest of a run so that a debugger can connect before its first instruction; the tests run in it,
    /// without time limits. Returns when the debugger has quit, and the guest has ended with it.
    ///
    /// - Parameters:
    ///   - filter: A pattern for the tests; nil for all.
    ///   - goesOn: Whether the guest runs to the first breakpoint by itself.
    ///   - needsDebugger: Whether kbuild runs gdb itself.
    ///   - join: Debugs; returns the debugger's error when it has quit. The error counts unless the guest had ended:
    ///     gdb reports a machine that ends as an error.
    /// - Throws: `Failure` with the exit code of the error that prevented the guest; errors of `join`;
    ///   `CancellationError`.
    public func run(
        filter: String?, goesOn: Bool, needsDebugger: Bool,
        join: @escaping @Sendable (DebugTarget) async throws -> Failure?
    ) async throws -> DebugResult {
        guard context.project.architecture != .um else {
            throw Failure(
                .usage, "kbuild debug goes with QEMU; user-mode Linux has no gdb stub", nextStep: "add --machine auto")
        }
        if let kernel = context.project.prebuiltKernel {
            throw Failure(
                .usage,
                "kbuild debug needs a kernel that kbuild builds, with debug information, and \(kernel) is not one",
                nextStep: kernel.isInTree ? "leave out --in-tree" : "leave out --kernel, or name a source")
        }
        if needsDebugger { _ = try tools.runner.locate(DebugTarget.debugger) }
        defer { tools.statCache.save() }
        let pipeline = Pipeline(context: context, executor: context.log)
        let prepared = try await pipeline.prepare(
            in: try context.history.newRun(tools.progress),
            RequestedTests(filter: filter, areNeeded: filter != nil))
        let guests = try await pipeline.guests(for: prepared)
        guard let candidate = guests.machines.first, var configuration = candidate.configuration
        else { throw Failure(.infrastructure, "there is no machine to run on") }
        configuration.waitsForDebugger = true
        // A stopped guest receives no timer interrupts; its watchdogs would report that as a fault.
        var words = ["nowatchdog", GuestShare.planArgument(GuestShare.planName(1))]
        // vmlinux has the addresses of a kernel without address randomization.
        if try BootFeatures(config: prepared.kernel.config).movesItself { words.append("nokaslr") }
        configuration.kernelArguments.insert(contentsOf: words, at: 0)

        var plan = TestShard(all: prepared.programs.artifacts).plan
        for index in plan.programs.indices { plan.programs[index].seconds = 0 }
        try writeAtomically(try plan.encoded(), to: guests.share.appending(GuestShare.planName(1)))
        let events = DebugEvents()
        let (sockets, socket) = AsyncStream.makeStream(of: FilePath.self)
        var session = GuestSession(
            machine: QEMUMachine(configuration, runner: candidate.runner), plan: plan, limits: .none,
            consoleLog: prepared.consoleLog)
        session.waitsForDebugger = { socket.yield($0) }
        let breakpoints = entries(of: prepared.patched.overlay)

        enum Part: Sendable {
            case guest
            case debugger(Failure?)
            case noGuest
        }
        try await withThrowingTaskGroup(of: Part.self) { [session] group in
            group.addTask {
                defer { socket.finish() }
                let result = try await session.run { event in
                    events.note(event)
                }
                if case .failed(let status, let message) = result.exit, result.bootSeconds == nil {
                    throw Failure(.infrastructure, "the machine ended with \(status)", details: message)
                }
                return .guest
            }
            group.addTask {
                guard let socket = await sockets.first(where: { _ in true }) else { return .debugger(nil) }
                let commands = prepared.folder.appending("debug.gdb")
                var target = DebugTarget(
                    socket: socket, vmlinux: prepared.kernel.vmlinux, commands: commands, breakpoints: breakpoints,
                    console: prepared.consoleLog, runner: tools.runner)
                target.setup = setup(prepared)
                try writeAtomically(script(target, goesOn: goesOn), to: commands)
                return .debugger(try await join(target))
            }
            defer { group.cancelAll() }
            var hasEnded = false
            var complaint: Failure?
            while let part = try await group.next() {
                switch part {
                // When the guest has ended, the debugger's output is still read.
                case .guest:
                    hasEnded = true
                    if complaint != nil { return }
                case .debugger(let failure):
                    guard let failure, !hasEnded else { return }
                    complaint = failure
                    group.addTask {
                        try await Task.sleep(for: Self.endGrace)
                        return .noGuest
                    }
                case .noGuest: if let complaint { throw complaint }
                }
            }
        }
        return events.result.withLock { $0 }
    }

    /// The most time between the debugger's notice of the guest's end and kbuild's.
    private static let endGrace: Duration = .seconds(2)

    /// The functions in which the added calls' own code begins, as `SYSCALL_DEFINEx` names them
    /// (include/linux/syscalls.h): a call with arguments has a function that takes them with their types.
    private func entries(of overlay: TreeOverlay) -> [String] {
        let texts = overlay.files.values.compactMap { entry in
            if case .file(let file) = entry { String(decoding: file.bytes, as: UTF8.self) } else { nil }
        }
        return overlay.syscalls.filter { $0.abi != .i386 }.map { call in
            let hasNoArguments = texts.contains { $0.contains("SYSCALL_DEFINE0(\(call.name))") }
            return "\(hasNoArguments ? "__x64_sys_" : "__do_sys_")\(call.name)"
        }
    }

    /// gdb's commands before it connects to the guest.
    private func setup(_ prepared: RunInputs) -> [String] {
        var lines: [String] = []
        // The user's own files, not their copies in the kernel's tree.
        if let tree = prepared.symbolizer.root {
            for (path, own) in prepared.userFiles.sorted(by: { $0.key < $1.key }) {
                lines.append("set substitute-path \(tree.pushing(FilePath(path))) \(own)")
            }
        }
        if let scripts = prepared.kernel.debuggerScripts {
            // The folder of a stored kernel holds what was published and nothing else.
            lines += ["python import sys; sys.dont_write_bytecode = True", "source \(scripts)"]
        }
        return lines
    }

    /// gdb's commands that connect to the guest.
    private func script(_ target: DebugTarget, goesOn: Bool) -> String {
        var lines = ["set confirm off"] + target.setup + ["target remote \(target.socket)"]
        // Hardware breakpoints: the kernel is not in memory yet.
        lines += target.breakpointCommands
        if goesOn { lines.append("continue") }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension SessionLimits {
    /// No limit at all: a person inspects the guest, and takes any time.
    static let none = SessionLimits(boot: .infinity, silence: .infinity, test: .infinity, run: .infinity)
}
