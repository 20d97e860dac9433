// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import Processes
import Synchronization
import SystemPackage

/// A machine boots a kernel and ends.
public protocol Machine: Sendable {
    /// Whether test results are framed on the console, among the kernel's messages.
    var hasResultsOnConsole: Bool { get }

    /// Boots the guest and returns when it has ended and all its output has been handled.
    ///
    /// Cancelling the task kills the machine, which leaves no processes or files on any path.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the machine cannot be started; `CancellationError`.
    func run(_ handlers: MachineHandlers) async throws -> MachineExit
}

/// A machine whose guest boots and reads the kernel's command line.
public protocol BootingMachine: Machine {
    /// The same machine with a word added to the kernel's command line, before the user's.
    func adding(kernelArgument word: String) -> Self

    /// The command that starts it, with its sockets in `folder`.
    func command(in folder: FilePath) -> Command
}

/// The handlers of a running machine's output, called on the threads that read its sockets.
public struct MachineHandlers: Sendable {
    /// Bytes from the console. The returned bytes are sent to the guest's console input.
    public var console: @Sendable ([UInt8]) -> [UInt8]
    /// Bytes from the results port.
    public var results: @Sendable ([UInt8]) -> Void
    /// Asks for the guest's state. A machine that cannot answer ignores it.
    public var inspector: MachineInspector?
    /// Called once before the machine starts, with a function that sends bytes to the guest's end of the results port.
    public var connected: @Sendable (_ send: @escaping @Sendable ([UInt8]) -> Void) -> Void
    /// Called with the socket that waits for a debugger, once it waits.
    public var waitsForDebugger: (@Sendable (_ socket: FilePath) -> Void)?

    /// Creates the handlers.
    public init(
        console: @escaping @Sendable ([UInt8]) -> [UInt8], results: @escaping @Sendable ([UInt8]) -> Void,
        inspector: MachineInspector? = nil,
        connected: @escaping @Sendable (_ send: @escaping @Sendable ([UInt8]) -> Void) -> Void = { _ in },
        waitsForDebugger: (@Sendable (_ socket: FilePath) -> Void)? = nil
    ) {
        self.console = console
        self.results = results
        self.inspector = inspector
        self.connected = connected
        self.waitsForDebugger = waitsForDebugger
    }
}

/// How a machine ended.
public enum MachineExit: Sendable, Equatable {
    /// The guest's init ended it on purpose.
    case finished
    /// The guest's kernel panicked.
    case panicked
    /// The guest reset or powered off without init's exit code: a triple fault, or a program that called reboot.
    case reset
    /// The machine's process failed or was killed; its own message.
    case failed(ProcessStatus, message: String)
}

/// The sockets that a machine's process connects to as it starts.
public struct MachineSockets: Sendable, Hashable {
    /// The console.
    public var console: FilePath
    /// The results port; unused when results are on the console.
    public var results: FilePath
    /// QEMU's monitor, if kbuild uses it.
    public var monitor: FilePath
    /// The socket to which QEMU sends the state of a machine that is saved.
    var state: FilePath
    /// The socket at which QEMU waits for a debugger.
    public var debugger: FilePath

    /// The name of the private folder of a machine's sockets, as a template of mkdtemp(3).
    public static var folderTemplate: FilePath { FilePath(folderTemplates.first ?? "/tmp") }

    static var folderTemplates: [String] {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        // A socket's path has at most 107 bytes; the names below take up to 30.
        return [base, "/tmp"].filter { $0.utf8.count < 75 }.map { "\($0)/kbuild-XXXXXX" }
    }

    /// The name of the console's socket; every machine has one.
    static let consoleName = "console"

    /// The folder of the files of scratch disks, beside the sockets.
    var folder: FilePath

    /// The file of a scratch disk.
    func scratchDisk(_ index: Int) -> FilePath { folder.appending("disk\(index)") }

    /// Creates the files of scratch disks: sparse, so that they take only the space that the guest writes.
    ///
    /// - Parameter megabytes: The disks' sizes; nil for a disk that is not a scratch disk.
    /// - Throws: `Failure` (`infrastructure`) when one cannot be created.
    func createScratchDisks(_ megabytes: [Int?]) throws(Failure) {
        for (index, size) in megabytes.enumerated() {
            guard let size else { continue }
            let path = scratchDisk(index)
            do {
                let file = try FileDescriptor.open(
                    path, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
                    permissions: [.ownerRead, .ownerWrite])
                try file.closeAfter {
                    guard ftruncate(file.rawValue, off_t(size) << 20) == 0 else { throw Errno(rawValue: errno) }
                }
            } catch {
                throw Failure(
                    .infrastructure, "cannot create the scratch disk \(path) of \(size) MiB", details: "\(error)")
            }
        }
    }

    /// The sockets' names within a private folder.
    public init(folder: FilePath) {
        self.folder = folder
        monitor = folder.appending("monitor")
        state = folder.appending("state")
        debugger = folder.appending("debugger")
        console = folder.appending(Self.consoleName)
        results = folder.appending("results")
    }
}

/// The connections to a running machine.
struct MachineLinks: Sendable {
    fileprivate var lines: AsyncStream<[UInt8]>
    fileprivate var sendToMonitor: @Sendable ([UInt8]) -> Void
    /// Sends bytes to the guest's console input.
    var sendToConsole: @Sendable ([UInt8]) -> Void
    /// Sends bytes to the guest's end of the results port.
    var sendToGuest: @Sendable ([UInt8]) -> Void
    /// The machine's private folder.
    var folder: FilePath
    /// The sockets in it.
    var sockets: MachineSockets
    /// The state that QEMU has sent to its socket. Called once QEMU has reported completion.
    var deviceState: @Sendable () async -> [UInt8]

    /// Connects to QEMU's monitor, once.
    func monitor() async throws -> QEMUMonitor {
        try await QEMUMonitor(lines: lines, send: sendToMonitor)
    }
}

/// Runs a machine's process with its sockets in a private folder, which is removed on every path.
///
/// - Parameters:
///   - savesState: Whether QEMU will send the machine's state.
///   - control: Communicates with QEMU meanwhile; when it throws, the machine is killed.
///   - command: Makes the command for a folder.
/// - Throws: `Failure` (`infrastructure`) when the sockets cannot be made or the tool is missing; errors of `control`;
///   `CancellationError`.
func runMachine(
    _ handlers: MachineHandlers, runner: CommandRunner, savesState: Bool = false,
    control: (@Sendable (MachineLinks) async throws -> Void)? = nil,
    command: (FilePath, MachineSockets) throws -> Command
) async throws -> CommandResult {
    let privateFolder = try PrivateFolder()
    defer { privateFolder.remove() }
    let folder = privateFolder.path
    let sockets = MachineSockets(folder: folder)
    let console = try SocketListener(path: sockets.console)
    let results = try SocketListener(path: sockets.results)
    let monitor = try control.map { _ in try SocketListener(path: sockets.monitor) }
    let state = savesState ? try SocketListener(path: sockets.state) : nil
    let command = try command(folder, sockets)
    let runner = try runner.writing(to: folder)
    console.start { [weak console] bytes in
        let reply = handlers.console(bytes)
        // After the handler: who waits for this answer finds it handled.
        handlers.inspector?.hear(bytes)
        if !reply.isEmpty { console?.send(reply) }
    }
    results.start(onBytes: handlers.results)
    handlers.connected { [weak results] in results?.send($0) }
    let (lines, continuation) = AsyncStream.makeStream(of: [UInt8].self)
    monitor?.startLines(continuation)
    let saved = Mutex<[UInt8]>([])
    state?.start(onBytes: { bytes in saved.withLock { $0 += bytes } })
    let outcome: Result<CommandResult, any Error>
    do {
        let links = MachineLinks(
            lines: lines, sendToMonitor: { [weak monitor] in monitor?.send($0) },
            sendToConsole: { [weak console] in console?.send($0) },
            sendToGuest: { [weak results] in results?.send($0) }, folder: folder, sockets: sockets,
            deviceState: { [weak state] in
                await state?.finish()
                return saved.withLock { $0 }
            })
        outcome = .success(try await run(command, runner, control, links))
    } catch {
        outcome = .failure(error)
    }
    await console.finish()
    await results.finish()
    await monitor?.finish()
    await state?.finish()
    let result = try outcome.get()
    // If the output could not be read, its absence says nothing about the guest.
    if let failure = [console, results, monitor, state].compactMap({ $0?.failure }).first { throw failure }
    return result
}

/// Runs a command, while `control` communicates with it.
private func run(
    _ command: Command, _ runner: CommandRunner, _ control: (@Sendable (MachineLinks) async throws -> Void)?,
    _ links: MachineLinks
) async throws -> CommandResult {
    guard let control else { return try await runner.capture(command) }
    return try await withThrowingTaskGroup(of: CommandResult?.self) { group in
        group.addTask { try await runner.capture(command) }
        group.addTask {
            // The process's exit status is more useful than a closed connection.
            do { try await control(links) } catch is QEMUMonitor.Closed {}
            return nil
        }
        defer { group.cancelAll() }
        while let result = try await group.next() {
            if let result { return result }
        }
        throw CancellationError()
    }
}
