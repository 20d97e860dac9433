import Diagnostics
import Glibc
import Synchronization
import SystemPackage

import class Foundation.Thread

/// A Unix socket that one peer connects to, read on a thread of its own.
///
/// The thread calls the handler with each piece as it comes and reads no further until that returns, so a guest that
/// floods its console is slowed down instead of filling the host's memory.
final class SocketListener: Sendable {
    private struct State {
        var connection: Int32 = -1
        /// What was sent before the peer had connected.
        var unsent: [UInt8] = []
        var isFinished = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let listener: Int32
    private let wakeRead: Int32
    private let wakeWrite: Int32
    private let state = Mutex(State())

    /// Binds and listens at `path`.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the path is too long for a socket or cannot be bound.
    init(path: FilePath) throws(Failure) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.string.utf8)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < capacity else {
            throw Failure(
                .infrastructure, "the socket path \(path) is longer than \(capacity - 1) bytes",
                nextStep: "set TMPDIR to a shorter path")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        var pipeEnds: [Int32] = [-1, -1]
        guard descriptor >= 0, result == 0, listen(descriptor, 1) == 0, pipe(&pipeEnds) == 0 else {
            let reason = String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw Failure(.infrastructure, "cannot listen on \(path)", details: reason)
        }
        for end in pipeEnds { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        listener = descriptor
        wakeRead = pipeEnds[0]
        wakeWrite = pipeEnds[1]
    }

    deinit {
        close(listener)
        close(wakeRead)
        close(wakeWrite)
    }

    /// Starts the thread. `onBytes` and, last, `onEnd` are called on it.
    func start(onBytes: @escaping @Sendable ([UInt8]) -> Void, onEnd: @escaping @Sendable () -> Void = {}) {
        let thread = Thread { [self] in
            serve(onBytes)
            let (connection, waiter) = state.withLock { state in
                state.isFinished = true
                defer {
                    state.waiter = nil
                    state.connection = -1
                }
                return (state.connection, state.waiter)
            }
            if connection >= 0 { close(connection) }
            onEnd()
            waiter?.resume()
        }
        thread.name = "kbuild socket"
        thread.start()
    }

    /// The most bytes kept of a line of QEMU's monitor. Its longest answers, such as the machine's tree, have some 100 KB.
    private static let longestLine = 16 << 20

    /// Starts the thread. Each line goes to the continuation, which ends with the connection.
    func startLines(_ continuation: AsyncStream<[UInt8]>.Continuation) {
        let splitter = Mutex(LineSplitter(longest: Self.longestLine))
        start { bytes in
            splitter.withLock { splitter in
                splitter.consume(bytes[...]) { continuation.yield($0.bytes) }
            }
        } onEnd: {
            continuation.finish()
        }
    }

    /// Sends bytes to the peer, at once or as soon as it has connected. Meant for short messages.
    func send(_ bytes: [UInt8]) {
        let connection = state.withLock { state in
            if state.connection < 0, !state.isFinished { state.unsent += bytes }
            return state.connection
        }
        if connection >= 0 { Self.send(bytes, to: connection) }
    }

    private static func send(_ bytes: [UInt8], to connection: Int32) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    connection, $0.baseAddress.map { $0 + offset }, bytes.count - offset, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            offset += count
        }
    }

    /// Gives up on a peer that never connected, or has gone: what it sent before is still read.
    func finish() async {
        _ = write(wakeWrite, [0], 1)
        await withCheckedContinuation { continuation in
            let isFinished = state.withLock { state in
                if !state.isFinished { state.waiter = continuation }
                return state.isFinished
            }
            if isFinished { continuation.resume() }
        }
    }

    private func serve(_ onBytes: ([UInt8]) -> Void) {
        guard waitForInput(listener) || hasInput(listener) else { return }
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else { return }
        _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
        let unsent = state.withLock { state in
            state.connection = connection
            defer { state.unsent = [] }
            return state.unsent
        }
        Self.send(unsent, to: connection)
        while true {
            // After `finish` only what has already arrived is read: a peer that stays open would never end.
            guard waitForInput(connection) || hasInput(connection) else { return }
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, used in
                count = read(connection, buffer.baseAddress, buffer.count)
                used = max(0, count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            onBytes(bytes)
        }
    }

    /// Waits until there is something to read; false when `finish` was called first.
    private func waitForInput(_ descriptor: Int32) -> Bool {
        var waiting = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&waiting, 2, -1) < 0, errno == EINTR {}
        return waiting[1].revents == 0
    }

    private func hasInput(_ descriptor: Int32) -> Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }
}
