// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CrashReports
import Diagnostics
import GuestSession
import KernelConfig
import KernelMake
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

/// A guest that stands at its first instruction, and what a debugger needs to join it.
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

    /// What joins the guest by hand.
    public var command: Command { command(arguments: []) }

    private func command(arguments: [String]) -> Command {
        // A stranger's vmlinux may carry scripts of its own.
        Command(
            Self.debugger,
            ["-q", "-iex", "set auto-load no", "-x", commands.string] + arguments + [vmlinux.string])
    }

    /// Runs gdb on kbuild's own standard streams.
    ///
    /// - Parameter arguments: gdb's, after those by which it joins the guest: `-batch`, `-ex` and so on.
    /// - Throws: `Failure` (`infrastructure`) when there is no gdb; `CancellationError`.
    public func debug(arguments: [String]) async throws -> ProcessStatus {
        try await runner.runInteractively(command(arguments: arguments))
    }

    static let debugger = "gdb"
}

/// What happened in a guest under a debugger.
public struct DebugResult: Sendable {
    /// The tests that came to their ends.
    public var tests: [TestResult] = []
    /// The titles of the crash reports.
    public var crashes: [String] = []
}

/// Collects what happens in a guest.
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

    /// Boots the guest of a run so that a debugger can join it before its first instruction; the tests run in it,
    /// without limits on their time. Returns when the debugger has left, and the guest has ended with it.
    ///
    /// - Parameters:
    ///   - filter: A pattern for the tests; nil for all.
    ///   - goesOn: Whether the guest runs to the first breakpoint by itself.
    ///   - needsDebugger: Whether gdb itself is going to be run.
    ///   - join: Debugs; returns when it has left, with what it complained of. That counts unless the guest had ended:
    ///     gdb takes a machine that goes for an error.
    /// - Throws: `Failure` with the code of what kept the guest from being made; what `join` throws;
    ///   `CancellationError`.
    public func run(
        filter: String?, goesOn: Bool, needsDebugger: Bool,
        join: @escaping @Sendable (DebugTarget) async throws -> Failure?
    ) async throws -> DebugResult {
        guard context.project.architecture != .um else {
            throw Failure(
                .usage, "kbuild debug goes with QEMU; user-mode Linux has no gdb stub", nextStep: "add --machine auto")
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
        // What takes interrupts from a guest that is being looked at would be taken for its fault.
        var words = ["nowatchdog", GuestShare.planArgument(GuestShare.planName(1))]
        // vmlinux has the addresses of a kernel that does not move itself.
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
                let target = DebugTarget(
                    socket: socket, vmlinux: prepared.kernel.vmlinux, commands: commands, breakpoints: breakpoints,
                    console: prepared.consoleLog, runner: tools.runner)
                try writeAtomically(script(target, prepared, goesOn: goesOn), to: commands)
                return .debugger(try await join(target))
            }
            defer { group.cancelAll() }
            var hasEnded = false
            var complaint: Failure?
            while let part = try await group.next() {
                switch part {
                // One that has ended leaves the debugger to be read.
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

    /// How long a guest's end may take to be noticed after the debugger has noticed it.
    private static let endGrace: Duration = .seconds(2)

    /// The functions in which the added calls' own code begins, as `SYSCALL_DEFINEx` names them
    /// (include/linux/syscalls.h): those with arguments have a function that takes them with their types.
    private func entries(of overlay: TreeOverlay) -> [String] {
        let texts = overlay.files.values.compactMap { entry in
            if case .file(let file) = entry { String(decoding: file.bytes, as: UTF8.self) } else { nil }
        }
        return overlay.syscalls.filter { $0.abi != .i386 }.map { call in
            let hasNoArguments = texts.contains { $0.contains("SYSCALL_DEFINE0(\(call.name))") }
            return "\(hasNoArguments ? "__x64_sys_" : "__do_sys_")\(call.name)"
        }
    }

    /// gdb's commands to join the guest.
    private func script(_ target: DebugTarget, _ prepared: RunInputs, goesOn: Bool) -> String {
        var lines = ["set confirm off"]
        // The user's own files, not their copies in the kernel's tree.
        if let tree = prepared.symbolizer.root {
            for (path, own) in prepared.patched.overlay.userFiles.sorted(by: { $0.key < $1.key }) {
                lines.append("set substitute-path \(tree.pushing(FilePath(path))) \(own)")
            }
        }
        if let scripts = prepared.kernel.debuggerScripts { lines.append("source \(scripts)") }
        lines.append("target remote \(target.socket)")
        // By the processor: the kernel is not in memory yet.
        lines += target.breakpoints.map { "hbreak \($0)" }
        if goesOn { lines.append("continue") }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension SessionLimits {
    /// No limit at all: somebody looks at the guest, and takes the time that it takes.
    static let none = SessionLimits(boot: .infinity, silence: .infinity, test: .infinity, run: .infinity)
}
