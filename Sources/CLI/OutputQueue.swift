// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc
import Synchronization

/// The queue of output for standard output and standard error.
///
/// Printing only adds to the queue, and one thread writes it, in order. A stopped terminal (Ctrl-S) or pager blocks
/// only that thread. Results are never omitted; progress is omitted when too much of it is waiting.
final class OutputQueue: Sendable {
    /// The queue of this process's standard streams.
    static let standard = OutputQueue()

    /// The priority of a text.
    enum Kind: Sendable {
        /// A result, an error, a test's line: always written.
        case result
        /// Progress: omitted while `mostBytes` wait.
        case progress
        /// The status line: the next one replaces one that is not written yet.
        case status
    }

    private enum Piece {
        case text(Int32, [UInt8], Kind)
        /// Marks where progress was omitted; the number of lines is known when the mark is written.
        case omission(Int32)
    }

    private struct State {
        var pieces: [Piece] = []
        /// The bytes that wait or are being written.
        var bytes = 0
        var isWriting = false
        /// The lines of progress omitted at the waiting mark; nil while there is no mark.
        var omitted: Int?
        var isHurried = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// The most waiting bytes before progress is omitted. A screen holds some 10 kB.
    static let mostBytes = 1 << 20
    /// The time for a reader after a signal to end kbuild.
    private static let hurriedGrace = DispatchTimeInterval.seconds(1)

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "kbuild output")
    private let sink: @Sendable (Int32, [UInt8]) -> Void

    /// Creates a queue.
    ///
    /// - Parameter write: Writes bytes to a descriptor; may block.
    init(write: @escaping @Sendable (Int32, [UInt8]) -> Void = StandardStream.writeBlocking) {
        sink = write
    }

    /// Adds a text to the output for a descriptor.
    func add(_ text: String, to descriptor: Int32, _ kind: Kind = .result) {
        let bytes = Array(text.utf8)
        let isIdle = state.withLock { state in
            if kind == .progress, state.bytes > Self.mostBytes {
                if state.omitted == nil { state.pieces.append(.omission(descriptor)) }
                state.omitted = (state.omitted ?? 0) + 1
                return false
            }
            if kind == .status, case .text(descriptor, let old, .status) = state.pieces.last {
                state.pieces.removeLast()
                state.bytes -= old.count
            }
            state.pieces.append(.text(descriptor, bytes, kind))
            state.bytes += bytes.count
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if isIdle { queue.async { self.drain() } }
    }

    /// Whether everything has been written.
    var isEmpty: Bool { state.withLock { !$0.isWriting } }

    /// Waits until everything that was added has been written, but at most one second after `hurry`.
    func flush() async {
        await withCheckedContinuation { continuation in
            let (isIdle, isHurried) = state.withLock { state in
                if state.isWriting { state.waiters.append(continuation) }
                return (!state.isWriting, state.isHurried)
            }
            if isIdle { continuation.resume() }
            if isHurried { releaseSoon() }
        }
    }

    /// Waits until there is room in the queue, so that endless output is limited to the reader's speed. Blocks the
    /// thread; returns at once after `hurry`.
    func waitForRoom() {
        while state.withLock({ $0.bytes > Self.mostBytes && !$0.isHurried }) { usleep(10_000) }
    }

    /// Ends long waits: a signal has asked kbuild to end, and the reader may be gone.
    func hurry() {
        state.withLock { $0.isHurried = true }
        releaseSoon()
    }

    private func releaseSoon() {
        DispatchQueue.global().asyncAfter(deadline: .now() + Self.hurriedGrace) { self.release() }
    }

    private func release() {
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    private func drain() {
        while true {
            let pieces: [Piece]? = state.withLock { state in
                guard !state.pieces.isEmpty else {
                    state.isWriting = false
                    return nil
                }
                defer { state.pieces = [] }
                return state.pieces
            }
            guard let pieces else { return release() }
            for piece in pieces {
                switch piece {
                case .text(let descriptor, let bytes, _):
                    sink(descriptor, bytes)
                    state.withLock { $0.bytes -= bytes.count }
                case .omission(let descriptor):
                    let count = state.withLock { state in
                        defer { state.omitted = nil }
                        return state.omitted ?? 0
                    }
                    let lines = count == 1 ? "1 line" : "\(count) lines"
                    sink(descriptor, Array("  (\(lines) of progress omitted: the reader was too slow)\n".utf8))
                }
            }
        }
    }
}
