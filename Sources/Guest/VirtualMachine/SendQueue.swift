// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// An open descriptor with any number of users: it is closed once, when the last user releases it. Its number cannot be
/// reused for another file while it has a user.
final class Descriptor: Sendable {
    /// The number.
    let number: Int32

    /// Takes ownership of an open descriptor.
    init(owning number: Int32) {
        self.number = number
    }

    deinit { close(number) }
}

/// Bytes for a peer, in the order in which any thread adds them.
///
/// Nothing here blocks. Bytes that the peer does not accept at once wait for the next `flush`.
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
        /// The bytes that were not accepted yet.
        var waiting: [UInt8] = []
        /// How many of them were accepted.
        var sent = 0
    }

    private let state = Mutex(State())
    private let write: Write

    /// Creates a queue.
    ///
    /// - Parameter write: Sends bytes.
    init(
        write: @escaping Write = { descriptor, bytes in
            Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
    ) {
        self.write = write
    }

    /// Adds bytes and sends those that the peer accepts.
    ///
    /// - Returns: Whether bytes wait for a connected peer.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        state.withLock { state in
            if case .gone = state.peer { return false }
            state.waiting += bytes
            return flush(&state)
        }
    }

    /// Takes the peer's descriptor and sends the waiting bytes.
    ///
    /// - Returns: Whether bytes still wait.
    @discardableResult
    func connect(_ descriptor: Descriptor) -> Bool {
        state.withLock { state in
            state.peer = .connected(descriptor)
            return flush(&state)
        }
    }

    /// Sends the waiting bytes, as far as the peer accepts them.
    ///
    /// - Returns: Whether bytes still wait.
    @discardableResult
    func flush() -> Bool { state.withLock { flush(&$0) } }

    /// Whether bytes wait for a connected peer.
    var isWaiting: Bool {
        state.withLock { state in
            if case .connected = state.peer { !state.waiting.isEmpty } else { false }
        }
    }

    /// Disconnects the peer. Later bytes are discarded.
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
                // The peer has disconnected; its reader notices that.
                state.peer = .gone
                break
            }
        }
        (state.waiting, state.sent) = ([], 0)
        return false
    }
}
