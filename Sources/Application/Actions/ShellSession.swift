// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CrashReports
import Diagnostics
import GuestSession
import KernelMake
import PatchedTree
import Processes
import Project
import Reporting
import ResultsModel
import RootFilesystem
import RunStore
import Synchronization
import Syscalls
import SystemPackage
import TestSession

/// An interactive program to run in the guest.
public struct ShellRequest: Sendable {
    /// The command and its arguments; nil for a shell.
    public var command: [String]?
    /// Whether it gets a terminal.
    public var isTerminal: Bool
    /// The kind of the terminal, as `TERM` names it.
    public var terminalName: String?
    /// The most seconds that the guest may run; nil for no limit.
    public var limit: Int?
    /// Where it begins; nil for the first share.
    var directory: String?
    /// The folders of PATH; nil for the usual ones of a guest.
    var path: String?
    /// Further variables of its environment.
    var environment: [String] = []

    /// Creates a request.
    public init(command: [String]?, isTerminal: Bool, terminalName: String? = nil, limit: Int? = nil) {
        self.command = command
        self.isTerminal = isTerminal
        self.terminalName = terminalName
        self.limit = limit
    }
}

/// The handlers of an interactive program's output.
public struct ShellHandlers: Sendable {
    /// The program is about to start: from now on the handler may send a terminal's size and forward input.
    public var started: @Sendable (GuestInput) -> Void
    /// The program's output. Returns whether anybody reads it.
    public var output: @Sendable ([UInt8]) -> Bool
    /// The program's standard error. Returns whether anybody reads it.
    public var errors: @Sendable ([UInt8]) -> Bool
    /// A line of the kernel's log, from the program's start on.
    public var kernelLine: @Sendable (String) -> Void

    /// Creates the handlers.
    public init(
        started: @escaping @Sendable (GuestInput) -> Void, output: @escaping @Sendable ([UInt8]) -> Bool,
        errors: @escaping @Sendable ([UInt8]) -> Bool, kernelLine: @escaping @Sendable (String) -> Void
    ) {
        self.started = started
        self.output = output
        self.errors = errors
        self.kernelLine = kernelLine
    }
}

/// The result of an interactive session.
public struct ShellResult: Sendable {
    /// Errors other than the program's own exit, the worst first.
    public var failures: [Failure] = []
    /// How the program ended; nil when it did not.
    public var ending: ProgramEnding?
    /// Whether the user ended the guest.
    public var wasHungUp = false

    /// kbuild's exit code: the code of an error, or else the program's own, with 128 + N for signal N.
    public var exitCode: Int32 {
        if let failure = failures.first { return failure.code.rawValue }
        if wasHungUp { return ExitStatus.interrupted.rawValue }
        return switch ending {
        case .exited(let code): code
        case .signaled(let number): 128 + number
        case .timedOut: ExitStatus.timeout.rawValue
        case .notStarted, nil: ExitStatus.infrastructure.rawValue
        }
    }
}

/// A guest of a run with an interactive shell or command.
public struct ShellSession: Sendable {
    private let context: ProjectContext
    private var project: Project { context.project }
    private var tools: ToolContext { context.tools }

    /// Prepares a session; nothing starts yet.
    public init(_ context: ProjectContext) { self.context = context }

    /// The most time that a guest may take to end after a hang-up.
    private static let hangUpGrace: Duration = .seconds(3)
    /// The plan that init runs when the kernel's command line names no other.
    private static let planName = "plan"

    /// Boots the guest of a run and connects a shell or a command in it to the handlers.
    ///
    /// - Throws: `Failure` with the exit code of the error that prevented the guest; `CancellationError`.
    public func run(_ request: ShellRequest, _ handlers: ShellHandlers) async throws -> ShellResult {
        guard project.machine.results != .serial else {
            throw Failure(
                .usage, "a shell needs a port of its own, and machine.results is serial",
                nextStep: "leave the key out, or add --results virtio")
        }
        let request = HostRoot.prepare(request, project: project, environment: context.environment)
        defer { tools.statCache.save() }
        let pipeline = Pipeline(context: context, executor: context.log)
        let prepared = try await pipeline.prepare(
            in: try context.history.newRun(tools.progress), RequestedTests(areNeeded: false))
        let programs = ShellFolder(prepared, project: project, request: request)
        var planned = programs.planned
        planned.modules = try prepared.modules.plan(project.modules.map(\.name))
        let plan = SessionPlan(programs: [planned])
        let guests = try await pipeline.guests(for: prepared)
        let machines = guests.machines
        try programs.write(to: guests.share)
        try writeAtomically(try plan.encoded(), to: guests.share.appending(Self.planName))

        let input = GuestInput()
        defer { input.finish() }
        let (starts, start) = AsyncStream.makeStream(of: Void.self)
        let hasStarted = Mutex(false)
        let client = GuestSession.InteractiveClient(
            connected: input.connect,
            interaction: { event in
                switch event {
                case .started:
                    hasStarted.withLock { $0 = true }
                    start.yield()
                case .output(let bytes): if !handlers.output(bytes) { input.close(stream: 1) }
                case .errors(let bytes): if !handlers.errors(bytes) { input.close(stream: 2) }
                case .ack(let count): input.ack(count)
                }
            },
            line: { bytes in
                guard hasStarted.withLock({ $0 }) else { return }
                handlers.kernelLine(String(decoding: bytes, as: UTF8.self))
            })
        var limits = context.limits
        (limits.silence, limits.test) = (.infinity, .infinity)
        limits.run = request.limit.map(Double.init) ?? .infinity

        let log = context.log
        enum Part: Sendable {
            case session(SessionResult)
            case started
            case stuck
        }
        var result = ShellResult()
        let memoryReader = KernelMemoryReader(vmlinux: prepared.kernel.vmlinux)
        let session = try await withThrowingTaskGroup(of: Part.self) { [limits] group -> SessionResult? in
            group.addTask {
                defer { start.finish() }
                let launcher = SessionLauncher(
                    plan: plan, consoleLog: prepared.consoleLog, client: client, memoryReader: memoryReader,
                    machine: { attempt in
                        guard attempt < machines.count else { return nil }
                        let candidate = machines[attempt]
                        return GuestMachine(
                            machine: candidate.machine, reported: candidate.reported, bootLimit: candidate.bootLimit)
                    })
                return .session(
                    try await launcher.run(
                        within: { limits }, onEvent: { log(.session($0)) }, note: tools.progress
                    ).result)
            }
            group.addTask {
                let isUp = try await log.perform(.boot) { _ in
                    let isUp = await starts.first { _ in true } != nil
                    return Performed(
                        result: isUp, outcome: isUp ? .made : .failed, detail: machines.first?.reported.type ?? "")
                }
                if isUp {
                    handlers.started(input)
                    input.go()
                }
                return .started
            }
            group.addTask {
                guard await input.hangUpRequests.first(where: { _ in true }) != nil else { return .started }
                input.end()
                try await Task.sleep(for: Self.hangUpGrace)
                return .stuck
            }
            defer { group.cancelAll() }
            while let part = try await group.next() {
                switch part {
                case .session(let session): return session
                case .started: continue
                case .stuck: return nil
                }
            }
            return nil
        }
        result.wasHungUp = input.wasHungUp
        guard let session else { return result }
        if let reason = session.unreadMemory { tools.progress(.note("the kernel's memory was not read: \(reason)")) }
        let outcome = await prepared.symbolized(session.outcome, tools.progress)
        result.ending = outcome.programs.first?.ending
        result.failures = failures(of: session, outcome, request, consoleLog: prepared.consoleLog)
        return result
    }

    /// Errors other than the program's own exit.
    private func failures(
        of session: SessionResult, _ outcome: SessionOutcome, _ request: ShellRequest, consoleLog: FilePath
    ) -> [Failure] {
        let crashes = outcome.crashes.filter { $0.isFatal || project.splats.fails(title: $0.title) }
        var failures = crashes.map { crash in
            Failure(
                .guestCrash, "the guest crashed: \(crash.title)",
                // A user at a terminal has seen the report when it appeared.
                details: request.isTerminal ? nil : crash.lines.prefix(60).joined(separator: "\n"),
                nextStep: "the console's log is \(consoleLog)")
        }
        failures += SessionReport.errors(of: session)
        // A module that could not be loaded or unloaded.
        let problems = outcome.programs.first?.problems ?? []
        failures += problems.filter { $0.hasPrefix("the module ") }.map { Failure(.testFailure, $0) }
        if case .notStarted(let reason) = outcome.programs.first?.ending, failures.isEmpty {
            failures.append(
                Failure(
                    .infrastructure, "the guest's shell /bin/sh could not be started: \(reason)",
                    nextStep: "have busybox in \(project.rootfsDefinition)"))
        }
        return failures
    }
}

/// The files of an interactive guest: programs by their names, the calls' numbers, and a greeting.
struct ShellFolder {
    /// The program to run.
    let planned: ProgramPlan
    private let programs: [ProgramArtifact]
    let script: String
    private let profile: String
    private let greeting: String

    private static let folder = GuestShare.programsFolder
    private static let scriptName = "shell"
    private static let profileName = "shell.rc"
    private static let greetingName = "motd"
    private static let binName = "bin"

    init(_ prepared: RunInputs, project: Project, request: ShellRequest) {
        self.init(
            syscalls: prepared.patched.overlay.syscalls, version: prepared.kernel.version,
            programs: prepared.programs.artifacts,
            shares: project.shares, request: request, hints: Self.hints(for: project))
    }

    /// What a user of the guest looks for in vain, and where it is to be had.
    static func hints(for project: Project) -> [String] {
        var hints: [String] = []
        if !project.network.isUser, project.architecture != .um {
            hints.append("There is no network; with --network user the guest reaches what the host reaches.")
        }
        if !project.modules.isEmpty {
            hints.append("Loaded modules: \(project.modules.map(\.name).joined(separator: ", ")).")
        }
        switch project.rootfsType {
        case .disk, .initramfs: hints.append("The tools are busybox's; --rootfs debian has strace, gdb and others.")
        case .debian:
            hints.append("The root is read-only, so apt cannot install anything: name packages in rootfs.packages.")
        case .host: break
        }
        return hints
    }

    init(
        syscalls: [RegisteredSyscall], version: String, programs: [ProgramArtifact], shares: [Project.SharedFolder],
        request: ShellRequest, hints: [String] = []
    ) {
        self.programs = programs
        let numbers = Self.variables(for: syscalls)
        planned = ProgramPlan(
            name: "shell", arguments: ["/bin/sh", "\(Self.folder)/\(Self.scriptName)"],
            environment: [
                "PATH=\(Self.folder)/\(Self.binName):\(request.path ?? "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")",
                "TERM=\(request.terminalName ?? "dumb")",
            ] + request.environment + numbers.map { "\($0.name)=\($0.number)" },
            resultsProtocol: .interactive(isTerminal: request.isTerminal)
        )
        let home: String
        if let directory = request.directory {
            // Who names a folder is not served in another.
            home = "cd \(Command.quoted(directory)) || exit 126"
        } else {
            home = shares.first.map { "cd \(Command.quoted($0.target)) 2>/dev/null || cd /tmp" } ?? "cd /tmp"
        }
        let action =
            request.command.map { "exec " + $0.map(Command.quoted).joined(separator: " ") }
                // Debian's sh has no line editing; busybox's has.
                ?? """
                [ -x /bin/bash ] && exec /bin/bash --rcfile \(Self.folder)/\(Self.profileName) -i
                ENV=\(Self.folder)/\(Self.profileName) exec /bin/sh -i
                """
        script = "\(home)\n\(action)\n"
        profile = """
            unset ENV
            PS1='kbuild:\\w# '
            cat \(Self.folder)/\(Self.greetingName)

            """
        greeting = Self.greeting(
            version: version, numbers: numbers, programs: programs, shares: shares, hints: hints)
    }

    /// A variable of the shell's environment with a call's number.
    struct NumberVariable {
        var name: String
        var number: Int
    }

    /// `NR_name` for each call that was added, and `NR_ia32_name` for programs that enter the kernel by `int 0x80`.
    static func variables(for syscalls: [RegisteredSyscall]) -> [NumberVariable] {
        syscalls.map {
            NumberVariable(name: "\($0.abi == .i386 ? "NR_ia32_" : "NR_")\($0.name)", number: $0.number)
        }
    }

    private static func greeting(
        version: String, numbers: [NumberVariable], programs: [ProgramArtifact], shares: [Project.SharedFolder],
        hints: [String]
    ) -> String {
        let native = numbers.filter { !$0.name.hasPrefix("NR_ia32_") }
        var lines = ["Linux \(version)"]
        if let first = native.first {
            let count = pluralized(native.count, "added system call")
            lines[0] += " with \(count): `env | grep NR_` lists the numbers, $\(first.name) is \(first.number)."
        }
        let names = names(of: programs)
        let commands = zip(programs, names).filter { $0.0.tests == nil }.map(\.1)
        let suites = zip(programs, names).filter { $0.0.tests != nil }.map(\.1)
        if !commands.isEmpty { lines.append("Programs: \(commands.joined(separator: ", ")).") }
        if !suites.isEmpty {
            lines.append("Suites: \(suites.map { "\($0) [--filter PATTERN]" }.joined(separator: ", ")).")
        }
        for share in shares {
            lines.append(
                "\(share.target) is \(share.path) of the host\(share.isWritable ? "" : ", to be read only").")
        }
        lines += hints
        lines.append("`exit` ends the guest; so does ~. at the beginning of a line (~? lists the escapes).")
        return lines.joined(separator: "\n") + "\n"
    }

    /// The names of the programs as commands: if several have the same name, all except the first get a number.
    static func names(of programs: [ProgramArtifact]) -> [String] {
        var taken: [String: Int] = [:]
        return programs.map { program in
            let path = FilePath(program.planned.name)
            let name = (program.tests == nil ? path.stem : path.lastComponent?.string) ?? "program"
            let count = (taken[name] ?? 0) + 1
            taken[name] = count
            return count == 1 ? name : "\(name)-\(count)"
        }
    }

    /// Writes the files to the share of test programs.
    func write(to share: FilePath) throws {
        let bin = share.appending(Self.binName)
        try createFolder(bin)
        for (program, name) in zip(programs, Self.names(of: programs)) {
            let target = bin.appending(name)
            if program.tests == nil {
                try GuestShare.place(program.executable, at: target)
            } else {
                try writeAtomically(
                    Array(Self.suiteScript(program).utf8), to: target, mode: FilePermissions(rawValue: 0o755))
            }
        }
        try writeAtomically(script, to: share.appending(Self.scriptName))
        try writeAtomically(profile, to: share.appending(Self.profileName))
        try writeAtomically(greeting, to: share.appending(Self.greetingName))
    }

    /// Runs the suites of a package: the project's selection, or the arguments' selection.
    static func suiteScript(_ program: ProgramArtifact) -> String {
        let arguments = program.planned.arguments
        let filters = arguments.firstIndex(of: ProgramArtifact.filterOption).map { arguments[$0...] } ?? []
        let start = "exec \(Self.folder)/\(program.fileName) --testing-library swift-testing --no-parallel"
        return """
            #!/bin/sh
            [ $# -gt 0 ] || set -- \(filters.map(Command.quoted).joined(separator: " "))
            \(start) "$@"

            """
    }
}
