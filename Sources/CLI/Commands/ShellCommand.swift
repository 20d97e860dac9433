// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Dispatch
import Foundation
import Glibc
import GuestSession
import Project
import Synchronization
import SystemPackage

struct ShellCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "Boot the guest of a run and open a shell in it, or run a command there.",
        discussion: """
            The kernel, the root file system, the shares and the machine are those of kbuild run. The shell begins in the first \
            shared folder; the test programs are on PATH, and the added calls' numbers are in NR_name. Ctrl-C goes to \
            the guest; ~. at the beginning of a line ends the guest, and ~? lists other escapes.

            A command after -- runs instead of the shell. Its standard streams are kbuild's own, and kbuild exits with its code, \
            or with 128 + N when signal N ended it. When the guest crashes, reaches a limit or cannot be made, the code is \
            that of kbuild run, and standard error says so. Examples:

              kbuild shell
              kbuild shell -- uname -a
              kbuild shell -- sh -c 'msgbox_put hello && msgbox_get 5'
              tar c . | kbuild shell -q -- tar t
            """)

    @Argument(help: "A command and its arguments, after --.", completion: .found { $0.programs })
    var command: [String] = []

    @Flag(name: [.customShort("t"), .customLong("tty")], help: "Give the command a terminal.")
    var tty = false

    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions
    @OptionGroup var mail: MailOptions
    @OptionGroup var machine: MachineOptions

    func run() async throws {
        let isTerminal = command.isEmpty || tty
        guard Terminal.isThere || !isTerminal else { throw GuestShell.noTerminal }
        let project = try loadProject(common, build.overrides + machine.overrides + mail.overrides)
        // A shell has no time limit, unless one was requested.
        let isLimited = !command.isEmpty || machine.timeout != nil
        try await GuestShell.run(command, in: project, common, build, isTerminal: isTerminal, isLimited: isLimited)
    }
}

/// Connects this process's terminal, or its standard streams, to a program in a guest.
struct GuestShell {
    /// Runs a command, or by default a shell, in a guest of the project.
    static func run(
        _ command: [String], in project: Project, _ common: CommonOptions, _ build: BuildOptions, isTerminal: Bool,
        isLimited: Bool
    ) async throws {
        let console = common.makeConsole(isTerse: !command.isEmpty)
        try await GuestShell(
            session: ShellSession(try await makeContext(project, console, build)), console: console,
            request: GuestShell.request(
                command: command.isEmpty ? nil : command, isTerminal: isTerminal,
                limit: isLimited ? project.limits.run : nil)
        ).run()
    }

    let session: ShellSession
    let console: Console
    let request: ShellRequest

    static let noTerminal = Failure(
        .usage, "a shell needs a terminal, and standard input or output is not a terminal",
        nextStep: "run a command without one: kbuild shell -- COMMAND ARGUMENTS")

    static func request(command: [String]?, isTerminal: Bool, limit: Int?) -> ShellRequest {
        ShellRequest(
            command: command, isTerminal: isTerminal,
            terminalName: isTerminal ? ProcessInfo.processInfo.environment["TERM"] : nil, limit: limit)
    }

    /// Boots the guest and returns when the program has ended.
    ///
    /// - Throws: `CommandFailure` with the exit code, unless that is 0; what `ShellSession.run` throws.
    func run() async throws {
        let output = OutputDescriptor(STDOUT_FILENO)
        let errors = OutputDescriptor(STDERR_FILENO)
        let link = request.isTerminal ? TerminalLink(console) : nil
        let console = console
        let handlers = ShellHandlers(
            started: { input in
                console.finish()
                if let link { link.takeOver(input) } else { input.forward(from: STDIN_FILENO) { $0 } }
            },
            output: { bytes in
                link?.follow(bytes)
                return output.write(bytes)
            }, errors: { errors.write($0) },
            kernelLine: { line in
                link?.show(kernelLine: line)
                // The output of the kernel and of the program is limited to the terminal's speed.
                OutputQueue.standard.waitForRoom()
            })
        defer { link?.release() }
        let (session, request) = (session, request)
        let result: ShellResult
        do {
            result = try await interruptible {
                try await withTaskCancellationHandler {
                    try await session.run(request, handlers)
                } onCancel: {
                    output.abandon()
                    errors.abandon()
                }
            }
        } catch let interruption as CommandFailure {
            link?.release()
            console.finish()
            console.log("interrupted")
            throw interruption
        }
        link?.release()
        console.finish()
        for failure in result.failures { console.log(failure) }
        if result.exitCode != 0 { throw CommandFailure(code: result.exitCode) }
    }
}

/// The user's terminal as the terminal of a program in the guest.
private final class TerminalLink: Sendable {
    private let console: Console
    private let showsKernel = Mutex(true)
    /// Whether the cursor is known to be at the beginning of a line.
    private let isAtLineStart = Mutex(true)
    private let filter = Mutex(EscapeFilter())
    private let resizes = Mutex<(any DispatchSourceSignal)?>(nil)

    init(_ console: Console) {
        self.console = console
    }

    /// Gives the terminal to the guest.
    func takeOver(_ input: GuestInput) {
        resizes.withLock { resizes in
            let source = DispatchSource.makeSignalSource(signal: SIGWINCH, queue: .global())
            source.setEventHandler { Terminal.size.map(input.resize) }
            source.activate()
            resizes = source
        }
        Terminal.size.map(input.resize)
        Terminal.makeRaw()
        input.forward(from: STDIN_FILENO) { [self] in take($0, for: input) }
    }

    /// Takes the terminal back.
    func release() {
        resizes.withLock { $0?.cancel() }
        Terminal.restore()
    }

    /// Records the program's output.
    func follow(_ output: [UInt8]) { isAtLineStart.withLock { $0 = output.last == 0x0A } }

    /// A line of the kernel, dimmed, between the program's output.
    func show(kernelLine line: String) {
        guard showsKernel.withLock({ $0 }), !line.contains("kbuild: clock ") else { return }
        let start: TerminalText = isAtLineStart.withLock { isAtStart in
            defer { isAtStart = true }
            return isAtStart ? "" : "\n"
        }
        console.log("\(start)\(TerminalText(line).painted(.faint))")
    }

    private func take(_ bytes: [UInt8], for input: GuestInput) -> [UInt8] {
        var plain: [UInt8] = []
        for action in filter.withLock({ $0.consume(bytes) }) {
            switch action {
            case .send(let bytes): plain += bytes
            case .end:
                console.log("~. ends the guest")
                input.hangUp()
            case .help: console.log("~?\n\(TerminalText(lines: EscapeFilter.help))")
            case .toggleKernelMessages:
                let shows = showsKernel.withLock { shows in
                    shows.toggle()
                    return shows
                }
                console.log("~k: the kernel's messages are \(shows ? "shown" : "not shown")")
            case .suspend:
                Terminal.suspend()
                Terminal.size.map(input.resize)
            }
        }
        return plain
    }
}

/// A standard stream for the raw output of a program in the guest, as with ssh, at the speed of its reader.
private final class OutputDescriptor: Sendable {
    private let descriptor: Int32
    private let isAbandoned = Atomic<Bool>(false)

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Gives up on a reader that does not read, so that the guest can be ended.
    func abandon() { isAbandoned.store(true, ordering: .relaxed) }

    /// Writes all bytes, after kbuild's own earlier output; false when the reader is gone.
    func write(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !OutputQueue.standard.isEmpty, !isAbandoned.load(ordering: .relaxed) { usleep(1000) }
        while !rest.isEmpty {
            if isAbandoned.load(ordering: .relaxed) { return true }
            var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&waiting, 1, 200) > 0 else { continue }
            // A pipe that is ready accepts at least this many bytes at once (pipe(7): PIPE_BUF).
            let count = rest.prefix(4096).withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                return false
            }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
