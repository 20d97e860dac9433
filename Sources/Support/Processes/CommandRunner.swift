// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import Subprocess
import SystemPackage

/// How a process ended.
public enum ProcessStatus: Sendable, Hashable, CustomStringConvertible {
    /// The process called exit with this code.
    case exited(Int32)
    /// This signal ended the process.
    case signaled(Int32)

    /// Whether the process exited with code 0.
    public var isSuccess: Bool { self == .exited(0) }

    /// "exit code N" or "signal N".
    public var description: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .signaled(let signal): "signal \(signal)"
        }
    }
}

/// The result of a finished command.
public struct CommandResult: Sendable, Equatable {
    /// How the command ended.
    public var status: ProcessStatus
    /// All of its standard output.
    public var output: String
    /// All of its standard error.
    public var errors: String

    /// Creates a result.
    public init(status: ProcessStatus, output: String, errors: String) {
        self.status = status
        self.output = output
        self.errors = errors
    }
}

/// How commands are executed.
public enum CommandExecution: Sendable {
    /// Each command is run as a process.
    case processes
    /// No command is run, as in a dry run: a caller that needs a result gets `CommandNotRun` instead.
    case nothing
    /// A function takes the place of the tools, so that tests run none.
    case scripted(@Sendable (Command) async throws -> CommandResult)

    /// The function of a scripted execution.
    var script: (@Sendable (Command) async throws -> CommandResult)? {
        if case .scripted(let script) = self { script } else { nil }
    }
}

/// A command that a dry run would have to run to continue.
public struct CommandNotRun: Error {
    /// The command as it would have been started.
    public var command: Command
}

/// Runs commands: the only place in kbuild that starts processes.
///
/// Every child gets its own session, so that cancelling the task ends it together with its descendants. With a
/// supervisor the children also end when kbuild itself is killed and cannot clean up.
public struct CommandRunner: Sendable {
    /// The kbuild executable to run as `kbuild __supervise`; nil runs children directly.
    public var supervisor: FilePath?
    /// Receives each command, for `--verbose`.
    public var progress: ProgressSink
    /// The search path for tools; nil for the PATH variable.
    public var searchPath: String?
    /// The whole environment of unconfined commands, except the variables that a command sets itself; nil for kbuild's
    /// own.
    public var environment: [String: String]?
    /// The sandbox of every command; nil for trusted commands.
    public var sandbox: Sandbox?
    /// The most that commands may write to the disk; nil for no limit.
    public var quota: FolderQuota?
    /// How commands are executed.
    public var execution = CommandExecution.processes
    /// The time that a cancelled command has to end by itself, after SIGTERM.
    public var grace: Duration = .milliseconds(500)

    /// Whether this is a dry run.
    public var runsNothing: Bool { if case .nothing = execution { true } else { false } }

    /// The most bytes of a line of a command's output that are passed on. Lines of compilers and linkers have some
    /// thousands.
    public static let longestLine = 1 << 20

    /// The first argument that makes the kbuild executable supervise a command.
    public static let superviseArgument = "__supervise"
    /// The option before each socket or file that the supervisor opens for the command.
    public static let descriptorArgument = "--descriptor"
    /// The option before the name of the filter of system calls that the supervisor writes for the command.
    public static let filterArgument = "--system-call-filter"

    /// Creates a runner.
    public init(supervisor: FilePath? = nil, progress: ProgressSink = .silent, searchPath: String? = nil) {
        self.supervisor = supervisor
        self.progress = progress
        self.searchPath = searchPath
    }

    /// The same runner for commands that run untrusted code.
    public func confined(by sandbox: Sandbox?) -> CommandRunner {
        var runner = self
        runner.sandbox = sandbox
        return runner
    }

    /// The same runner for a command that, if confined, may write to one more folder.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the folder cannot be given to the command's user.
    public func writing(to folder: FilePath) throws(Failure) -> CommandRunner {
        guard sandbox != nil else { return self }
        var runner = self
        runner.sandbox?.writable.append(folder)
        try runner.sandbox?.chown(folder)
        return runner
    }

    /// The same runner with a limit on what commands write to the disk.
    public func limited(by quota: FolderQuota) -> CommandRunner {
        var runner = self
        runner.quota = quota
        return runner
    }

    /// The command as it would be started, in the sandbox if there is one.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a tool is missing.
    public func planned(_ command: Command) throws -> Command { try confined(command).command }

    /// The reason that commands cannot be confined on this machine; nil when they can.
    ///
    /// - Throws: `CancellationError`.
    public func obstacleToSandbox(user: UInt32?) async throws -> Failure? {
        do {
            let probe = Sandbox(identity: user, limits: .machine, ownsFolders: false)
            let result = try await confined(by: probe).capture(Command("true"))
            guard !result.status.isSuccess else { return nil }
            return Failure(
                .infrastructure, "commands cannot be confined here (bwrap: \(result.status))",
                details: result.errors + result.output,
                nextStep: "let users have namespaces (sysctl user.max_user_namespaces and, on Debian, "
                    + "kernel.unprivileged_userns_clone=1), or start the container with them")
        } catch let failure as Failure {
            return failure
        }
    }

    private var path: String {
        searchPath ?? getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    }

    /// The path of `tool`, looked up as in a shell.
    ///
    /// - Throws: `Failure` (`infrastructure`) that names the Debian package when the tool is missing.
    public func locate(_ tool: String) throws(Failure) -> FilePath {
        if tool.contains("/") {
            if access(tool, X_OK) == 0 { return FilePath(tool) }
            throw Failure(.infrastructure, "\(tool) is missing or not executable")
        }
        for directory in path.split(separator: ":") {
            let candidate = FilePath(String(directory)).appending(tool)
            if access(candidate.string, X_OK) == 0 { return candidate }
        }
        // Debian installs mke2fs and similar tools in folders that are not in an ordinary user's PATH.
        for directory in ["/usr/sbin", "/sbin"] where searchPath == nil {
            let candidate = FilePath(directory).appending(tool)
            if access(candidate.string, X_OK) == 0 { return candidate }
        }
        let package = Self.debianPackage(of: tool)
        throw Failure(
            .infrastructure, "\(tool) is not on PATH",
            nextStep: (package.map { "apt-get install \($0)" } ?? "install \(tool)")
                + "; `kbuild doctor` looks for all that is needed")
    }

    /// The Debian package that contains `tool`, if known.
    public static func debianPackage(of tool: String) -> String? { DebianPackage.byTool[tool] }

    /// Runs a command to its end and collects its output.
    ///
    /// - Parameter limit: The most bytes collected of each stream.
    /// - Throws: `Failure` when the tool is missing or prints more than `limit`; `CancellationError` when the task
    ///   is cancelled. A non-zero exit is a result, not an error.
    public func capture(_ command: Command, limit: Int = 64 << 20) async throws -> CommandResult {
        if let script = execution.script { return try await script(try planned(command)) }
        return try await watched(command) { try await captureUnwatched(command, limit: limit) }
    }

    private func captureUnwatched(_ command: Command, limit: Int) async throws -> CommandResult {
        let configuration = try configuration(for: command)
        do {
            if supervisor == nil {
                let result = try await run(
                    configuration, input: .none, output: .string(limit: limit), error: .string(limit: limit))
                try Task.checkCancellation()
                return CommandResult(
                    status: ProcessStatus(result.terminationStatus), output: result.standardOutput,
                    errors: result.standardError)
            }
            let result = try await run(
                configuration, input: .inputWriter, output: .sequence, error: .sequence
            ) { execution in
                async let errors = Self.collect(execution.standardError, limit: limit, of: command.tool)
                let output = try await Self.collect(execution.standardOutput, limit: limit, of: command.tool)
                return (output, try await errors)
            }
            try Task.checkCancellation()
            let (output, errors) = result.closureResult
            return CommandResult(
                status: supervised(result.terminationStatus), output: output, errors: errors)
        } catch let error as SubprocessError {
            throw Failure(.infrastructure, "\(command.tool) could not be run", details: "\(error)")
        }
    }

    /// Runs a command to its end and passes on each line of its merged output and errors as it arrives.
    ///
    /// - Parameter onLine: Called in order with each line, without its end, with malformed UTF-8 escaped, and cut, with
    ///   a remark, when it has more bytes than `longestLine`.
    /// - Throws: As `capture(_:limit:)`, and what `onLine` throws, after ending the command.
    @discardableResult
    public func stream(
        _ command: Command, onLine: @escaping @Sendable (String) throws -> Void
    ) async throws -> ProcessStatus {
        if let script = execution.script {
            let result = try await script(try planned(command))
            for line in (result.output + result.errors).textLines() { try onLine(String(line)) }
            return result.status
        }
        return try await watched(command) { try await streamUnwatched(command, onLine: onLine) }
    }

    private func streamUnwatched(
        _ command: Command, onLine: @escaping @Sendable (String) throws -> Void
    ) async throws -> ProcessStatus {
        let configuration = try configuration(for: command)
        let limit = sandbox?.limits.outputBytes ?? .max
        do {
            let result = try await run(
                configuration, input: .inputWriter, output: .sequence, error: .combinedWithOutput
            ) { execution in
                if supervisor == nil { try await execution.standardInputWriter.finish() }
                var splitter = LineSplitter(longest: Self.longestLine)
                var count = 0
                for try await buffer in execution.standardOutput {
                    count += buffer.count
                    if count > limit {
                        throw Failure(.build, "\(command.tool) printed more than \(limit >> 20) MB in the sandbox")
                    }
                    try splitter.consume(buffer.withUnsafeBytes { [UInt8]($0) }[...]) { try onLine($0.text) }
                }
                try splitter.finish { try onLine($0.text) }
            }
            try Task.checkCancellation()
            return supervisor == nil ? ProcessStatus(result.terminationStatus) : supervised(result.terminationStatus)
        } catch let error as SubprocessError {
            throw Failure(.infrastructure, "\(command.tool) could not be run", details: "\(error)")
        }
    }

    /// Runs a command to its end and passes on its output and its errors as they arrive, of any size.
    ///
    /// - Parameters:
    ///   - onOutput: Called in order with the bytes of standard output.
    ///   - onErrors: Called in order with the bytes of standard error, concurrently with `onOutput`.
    /// - Throws: As `capture(_:limit:)`.
    public func follow(
        _ command: Command, onOutput: @escaping @Sendable ([UInt8]) -> Void,
        onErrors: @escaping @Sendable ([UInt8]) -> Void
    ) async throws -> ProcessStatus {
        if let script = execution.script {
            let result = try await script(try planned(command))
            onOutput(Array(result.output.utf8))
            onErrors(Array(result.errors.utf8))
            return result.status
        }
        return try await watched(command) {
            let configuration = try configuration(for: command)
            do {
                let result = try await run(
                    configuration, input: .inputWriter, output: .sequence, error: .sequence
                ) { execution in
                    if supervisor == nil { try await execution.standardInputWriter.finish() }
                    async let errors: Void = Self.passOn(execution.standardError, to: onErrors)
                    try await Self.passOn(execution.standardOutput, to: onOutput)
                    try await errors
                }
                try Task.checkCancellation()
                return supervisor == nil
                    ? ProcessStatus(result.terminationStatus) : supervised(result.terminationStatus)
            } catch let error as SubprocessError {
                throw Failure(.infrastructure, "\(command.tool) could not be run", details: "\(error)")
            }
        }
    }

    private static func passOn(
        _ stream: SubprocessOutputSequence, to body: @Sendable ([UInt8]) -> Void
    ) async throws {
        for try await buffer in stream { body(buffer.withUnsafeBytes { [UInt8]($0) }) }
    }

    /// Runs an interactive command, which has kbuild's standard streams and terminal until it ends. The terminal's
    /// signals are for the command; kbuild must not end by them.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the tool is missing; `CancellationError` when the task is cancelled,
    ///   after the command has been ended.
    public func runInteractively(_ command: Command) async throws -> ProcessStatus {
        let executable = try locate(command.tool)
        progress(.command(command.description))
        var options = PlatformOptions()
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .milliseconds(500))]
        do {
            let result = try await run(
                .path(executable), arguments: Arguments(command.arguments), environment: .inherit,
                workingDirectory: command.workingDirectory, platformOptions: options,
                input: .fileDescriptor(.standardInput, closeAfterSpawningProcess: false),
                output: .fileDescriptor(.standardOutput, closeAfterSpawningProcess: false),
                error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false))
            try Task.checkCancellation()
            return ProcessStatus(result.terminationStatus)
        } catch let error as SubprocessError {
            throw Failure(.infrastructure, "\(command.tool) could not be run", details: "\(error)")
        }
    }

    /// Runs a command and returns its output without the final newline.
    ///
    /// - Throws: As `capture(_:limit:)`, and `Failure` with the code `code` when it does not exit with 0.
    public func output(of command: Command, failingWith code: ExitStatus = .infrastructure) async throws -> String {
        let result = try await capture(command)
        guard result.status.isSuccess else {
            throw Failure(
                code, "\(command.tool) failed (\(result.status))",
                details: [command.description, result.errors, result.output].filter { !$0.isEmpty }
                    .joined(separator: "\n"))
        }
        return result.output.hasSuffix("\n") ? String(result.output.dropLast()) : result.output
    }

    /// Runs a command and watches the limits that all its processes share.
    private func watched<Result: Sendable>(
        _ command: Command, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        guard !runsNothing else { throw CommandNotRun(command: try planned(command)) }
        guard sandbox != nil || quota != nil else { return try await body() }
        try sandbox?.prepare()
        let quotas = [quota, sandbox?.quota].compactMap { $0 }
        let deadline = sandbox?.limits.seconds.map { ContinuousClock.now + .seconds($0) }
        let result = try await withThrowingTaskGroup(of: Result.self) { group in
            group.addTask { try await body() }
            group.addTask {
                let clock = ContinuousClock()
                var pause = Duration.milliseconds(500)
                while true {
                    try await Task.sleep(for: pause)
                    let duration = try clock.measure { for quota in quotas { try quota.check() } }
                    // The check takes at most a twentieth of the time, for any number of files.
                    pause = max(.milliseconds(500), duration * 20)
                    if let deadline, ContinuousClock.now > deadline { throw Sandbox.outOfTime }
                }
            }
            // When the watch finishes first, the command is ended before this function returns.
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
        try sandbox?.inspect()
        for quota in quotas { try quota.check() }
        return result
    }

    /// The command as it is started, in the sandbox if there is one.
    private func confined(_ command: Command) throws -> (command: Command, executable: FilePath) {
        let executable = try locate(command.tool)
        guard var sandbox else { return (command, executable) }
        if let real = resolvedPath(executable), let root = Sandbox.installation(of: real) {
            sandbox.readable.append(root)
        }
        for tool in ["bwrap", "prlimit"] + (sandbox.identity == nil ? [] : ["setpriv"]) { _ = try locate(tool) }
        let wrapped = sandbox.wrapping(command, executable: executable, path: path)
        return (wrapped, try locate(wrapped.tool))
    }

    private func configuration(for command: Command) throws -> Configuration {
        let (command, executable) = try confined(command)
        progress(.command(command.description))
        var changes: [Environment.Key: String?] = [:]
        for (name, value) in command.environment {
            guard let key = Environment.Key(rawValue: name) else { continue }
            changes[key] = .some(value)
        }
        var environment = Environment.inherit
        if let own = self.environment {
            let pairs = own.compactMap { name, value in Environment.Key(rawValue: name).map { ($0, value) } }
            environment = .custom(Dictionary(pairs, uniquingKeysWith: { $1 }))
        }
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: grace),
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .milliseconds(100)),
        ]
        guard supervisor != nil || (command.descriptors.isEmpty && command.systemCallFilter == nil) else {
            throw Failure(.infrastructure, "kbuild cannot find its own executable to open descriptors with")
        }
        let descriptors =
            command.descriptors.flatMap { [Self.descriptorArgument, $0.string] }
            + (command.systemCallFilter.map { [Self.filterArgument, $0.rawValue] } ?? [])
        let supervised = supervisor.map {
            ($0, [Self.superviseArgument] + descriptors + [executable.string] + command.arguments)
        }
        return Configuration(
            executable: .path(supervised?.0 ?? executable),
            arguments: Arguments(supervised?.1 ?? command.arguments),
            environment: environment.updating(changes),
            workingDirectory: command.workingDirectory,
            platformOptions: options)
    }

    private static func collect(
        _ stream: SubprocessOutputSequence, limit: Int, of tool: String
    ) async throws -> String {
        var bytes: [UInt8] = []
        for try await buffer in stream {
            buffer.withUnsafeBytes { bytes.append(contentsOf: $0) }
            if bytes.count > limit {
                throw Failure(.infrastructure, "\(tool) printed more than \(limit) bytes")
            }
        }
        return VisibleText.decoded(bytes)
    }

    /// The supervisor reports a signal as 128 + N, as shells do.
    private func supervised(_ status: TerminationStatus) -> ProcessStatus {
        switch ProcessStatus(status) {
        case .exited(let code) where code > 128 && code < 192: .signaled(code - 128)
        case let other: other
        }
    }
}

extension ProcessStatus {
    init(_ status: TerminationStatus) {
        switch status {
        case .exited(let code): self = .exited(Int32(code))
        case .signaled(let signal): self = .signaled(Int32(signal))
        }
    }
}
