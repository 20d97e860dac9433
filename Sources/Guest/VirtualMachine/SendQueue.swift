// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// An open descriptor with any number of users: it is closed once, when the last of them lets go of it. Its number
/// cannot be given to another file while somebody still uses it.
final class Descriptor: Sendable {
    /// The number.
    let number: Int32

    /// Takes an open descriptor over.
    init(owning number: Int32) {
        self.number = number
    }

    deinit { close(number) }
}

/// Bytes on their way to a peer, in the order in which they were handed over, whoever does that.
///
/// Nothing here blocks. What the peer does not take at once waits, and goes out when `flush` is called next.
final class SendQueue: Sendable {
    /// Writes some of the bytes; returns how many, or -1 with `errno` set, as send(2) does. It must not block.
    typealias Write = @Sendable (Int32, UnsafeRawBufferPointer) -> Int

    private enum Peer {
        /// Has not connected yet.
        case awaited
        case connected(Descriptor)
        case gone
    }

    private struct State {
        var peer = Peer.awaited
        /// What was not taken yet.
        var waiting: [UInt8] = []
        /// How much of it was.
        var sent = 0
    }

    private let state = Mutex(State())
    private let write: Write

    /// Creates a queue.
    ///
    /// - Parameter write: What sends.
    init(
        write: @escaping Write = { descriptor, bytes in
            Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
    ) {
        self.write = write
    }

    /// Adds bytes and sends what the peer takes.
    ///
    /// - Returns: Whether something waits for a peer that is there.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        state.withLock { state in
            if case .gone = state.peer { return false }
            state.waiting += bytes
            return flush(&state)
        }
    }

    /// Takes the peer's descriptor and sends it what has waited.
    ///
    /// - Returns: Whether something still waits.
    @discardableResult
    func connect(_ descriptor: Descriptor) -> Bool {
        state.withLock { state in
            state.peer = .connected(descriptor)
            return flush(&state)
        }
    }

    /// Sends what waits, as far as the peer takes it.
    ///
    /// - Returns: Whether something still waits.
    @discardableResult
    func flush() -> Bool { state.withLock { flush(&$0) } }

    /// Whether something waits for a peer that is there.
    var isWaiting: Bool {
        state.withLock { state in
            if case .connected = state.peer { !state.waiting.isEmpty } else { false }
        }
    }

    /// Lets go of the peer. What is sent from now on goes nowhere.
    func close() {
        state.withLock { state in
            state.peer = .gone
            (state.waiting, state.sent) = ([], 0)
        }
    }

    private func flush(_ state: inout State) -> Bool {
        guard case .connected(let descriptor) = state.peer else { return false }
        while state.sent < state.waiting.count {
            let count = state.waiting[state.sent...].withUnsafeBytes { write(descriptor.number, $0) }
            if count > 0 {
                state.sent += count
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN || errno == EWOULDBLOCK {
                return true
            } else {
                // The peer has gone. That it has is seen by whoever reads from it.
                state.peer = .gone
                break
            }
        }
        (state.waiting, state.sent) = ([], 0)
        return false
    }
}
