// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import Synchronization
import SystemPackage

import class Foundation.Thread

/// A Unix socket to which one peer connects, read on its own thread.
///
/// The thread calls the handler with each piece as it arrives and reads no further until the handler returns, so a
/// guest that floods its console is slowed down instead of filling the host's memory.
final class SocketListener: Sendable {
    private struct State {
        /// Whether only bytes that have already arrived are read.
        var isFinishing = false
        var isFinished = false
        var waiter: CheckedContinuation<Void, Never>?
        /// Why the peer could not be read.
        var failure: Failure?
    }

    private let listener: Descriptor
    private let wakeRead: Descriptor
    private let wakeWrite: Descriptor
    private let unsent: SendQueue
    private let state = Mutex(State())

    /// Why the peer, which may have connected, could not be read; nil when it could.
    var failure: Failure? { state.withLock { $0.failure } }

    /// Binds and listens at `path`.
    ///
    /// - Parameter queue: The queue for sent bytes.
    /// - Throws: `Failure` (`infrastructure`) when the path is too long for a socket or cannot be bound.
    init(path: FilePath, queue: SendQueue = SendQueue()) throws(Failure) {
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
        func failure() -> Failure {
            Failure(.infrastructure, "cannot listen on \(path)", details: errnoText())
        }
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw failure() }
        listener = Descriptor(owning: number)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0, listen(number, 1) == 0 else { throw failure() }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw failure() }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        wakeRead = Descriptor(owning: ends[0])
        wakeWrite = Descriptor(owning: ends[1])
        unsent = queue
    }

    /// Starts the thread. `onBytes` and, last, `onEnd` are called on it.
    func start(onBytes: @escaping @Sendable ([UInt8]) -> Void, onEnd: @escaping @Sendable () -> Void = {}) {
        let thread = Thread { [self] in
            serve(onBytes)
            unsent.close()
            let waiter = state.withLock { state in
                state.isFinished = true
                defer { state.waiter = nil }
                return state.waiter
            }
            onEnd()
            waiter?.resume()
        }
        thread.name = "kbuild socket"
        thread.start()
    }

    /// The most bytes to keep of a line of QEMU's monitor. Its longest answers, such as the machine's tree, have some
    /// 100 KB.
    private static let longestLine = 16 << 20

    /// Starts the thread. Each line goes to the continuation, which ends with the connection.
    func startLines(_ continuation: AsyncStream<[UInt8]>.Continuation) {
        let splitter = Mutex(LineSplitter(longest: Self.longestLine))
        start { bytes in
            var lines: [[UInt8]] = []
            splitter.withLock { splitter in splitter.consume(bytes[...]) { lines.append($0.bytes) } }
            // Only one thread calls this, so the lines stay in order.
            for line in lines { continuation.yield(line) }
        } onEnd: {
            continuation.finish()
        }
    }

    /// Sends bytes to the peer, after all earlier bytes, as soon as it has connected and accepts them. Never blocks.
    func send(_ bytes: [UInt8]) {
        // The thread sends the rest.
        if unsent.send(bytes) { wake() }
    }

    private func wake() { _ = write(wakeWrite.number, [0], 1) }

    /// Stops waiting for a peer that never connected, or has disconnected: bytes that it sent before are still read.
    func finish() async {
        state.withLock { $0.isFinishing = true }
        wake()
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
        guard let connection = accept() else { return }
        unsent.connect(connection)
        while true {
            // After `finish` only bytes that have already arrived are read: a peer that stays open would never end.
            guard waitForInput(connection) || hasInput(connection) else { return }
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, used in
                count = read(connection.number, buffer.baseAddress, buffer.count)
                used = max(0, count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            onBytes(bytes)
        }
    }

    /// Accepts the waiting peer. If there is no free descriptor, `failure` has the error.
    private func accept() -> Descriptor? {
        while true {
            let number = Glibc.accept(listener.number, nil, nil)
            if number >= 0 {
                _ = fcntl(number, F_SETFD, FD_CLOEXEC)
                return Descriptor(owning: number)
            }
            if errno == EINTR || errno == ECONNABORTED { continue }
            let failure = Failure(.infrastructure, "cannot accept the guest's connection", details: errnoText())
            state.withLock { $0.failure = failure }
            return nil
        }
    }

    /// Waits until there is something to read, and sends waiting bytes meanwhile; false when `finish` was called first.
    private func waitForInput(_ descriptor: Descriptor) -> Bool {
        while true {
            let events = POLLIN | (unsent.isWaiting ? POLLOUT : 0)
            var waiting = [
                pollfd(fd: descriptor.number, events: Int16(events), revents: 0),
                pollfd(fd: wakeRead.number, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waiting, 2, -1) >= 0 else {
                if errno == EINTR { continue }
                return false
            }
            if waiting[1].revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 64)
                _ = read(wakeRead.number, &bytes, bytes.count)
                if state.withLock({ $0.isFinishing }) { return false }
            }
            if waiting[0].revents & Int16(POLLOUT) != 0 { unsent.flush() }
            if waiting[0].revents & ~Int16(POLLOUT) != 0 { return true }
        }
    }

    private func hasInput(_ descriptor: Descriptor) -> Bool {
        var waiting = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }
}
