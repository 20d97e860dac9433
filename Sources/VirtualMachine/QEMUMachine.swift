import Artifacts
import Commands
import Diagnostics
import Glibc
import SystemPackage

/// What a running machine says, called on the threads that read its sockets.
public struct MachineHandlers: Sendable {
    /// Bytes from the serial console. What it returns is sent back to the guest's serial input.
    public var console: @Sendable ([UInt8]) -> [UInt8]
    /// Bytes from the results port.
    public var results: @Sendable ([UInt8]) -> Void

    /// Creates the handlers.
    public init(
        console: @escaping @Sendable ([UInt8]) -> [UInt8], results: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.console = console
        self.results = results
    }
}

/// How a machine ended.
public enum MachineExit: Sendable, Equatable {
    /// The guest's init ended it on purpose.
    case finished
    /// The guest's kernel panicked.
    case panicked
    /// The guest reset or switched itself off without init's sign: a triple fault, or a program that called reboot.
    case reset
    /// QEMU failed or was killed; its own words.
    case failed(ProcessStatus, message: String)
}

/// A guest in QEMU.
public struct QEMUMachine: Sendable {
    /// What QEMU is told.
    public let configuration: MachineConfiguration
    private let runner: CommandRunner

    /// Creates a machine; nothing runs yet.
    public init(_ configuration: MachineConfiguration, runner: CommandRunner) {
        self.configuration = configuration
        self.runner = runner
    }

    /// Boots the guest and returns when QEMU has ended and all it sent has been handled.
    ///
    /// Cancelling the task kills QEMU. Its sockets live in a private folder that is removed on every path.
    ///
    /// - Throws: `Failure` (`infrastructure`) when QEMU is missing or its sockets cannot be made;
    ///   `CancellationError`.
    public func run(_ handlers: MachineHandlers) async throws -> MachineExit {
        let folder = try Self.makePrivateFolder()
        defer { try? removeAll(folder) }
        let sockets = MachineSockets(folder: folder)
        let console = try SocketListener(path: sockets.console)
        let results = try SocketListener(path: sockets.results)
        console.start { [weak console] bytes in
            let reply = handlers.console(bytes)
            if !reply.isEmpty { console?.send(reply) }
        }
        results.start(onBytes: handlers.results)
        let outcome: Result<CommandResult, any Error>
        do {
            outcome = .success(try await runner.capture(configuration.command(sockets: sockets)))
        } catch {
            outcome = .failure(error)
        }
        await console.finish()
        await results.finish()
        return Self.interpret(try outcome.get())
    }

    static func interpret(_ result: CommandResult) -> MachineExit {
        switch result.status {
        case .exited(MachineConfiguration.exitCodeOfInit): return .finished
        case .exited(0): return .reset
        case .exited(MachineConfiguration.exitCodeOfPanic) where !result.errors.contains("qemu-system"):
            return .panicked
        default:
            return .failed(result.status, message: result.errors)
        }
    }

    /// A folder that only this user can enter, with a path short enough for sockets.
    private static func makePrivateFolder() throws(Failure) -> FilePath {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        // A socket's path has at most 107 bytes; the names below take up to 30.
        for parent in [base, "/tmp"] where parent.utf8.count < 75 {
            var template = Array("\(parent)/kbuild-XXXXXX".utf8CString)
            if mkdtemp(&template) != nil {
                return FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
        }
        throw Failure(
            .infrastructure, "cannot create a temporary folder in \(base)", details: String(cString: strerror(errno)))
    }
}
