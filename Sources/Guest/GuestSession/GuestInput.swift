// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

import class Foundation.Thread

/// The size of a terminal.
public struct TerminalSize: Sendable, Hashable {
    /// Its lines.
    public var rows: Int
    /// Its characters in a line.
    public var columns: Int

    /// Creates a size.
    public init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
    }
}

/// The host's messages to an interactive program in the guest; rootfs/init/Shell.swift reads them.
///
/// A separate thread reads the input from a descriptor, no faster than the program consumes it: the amount in between
/// is bounded, so that all other messages are sent at once.
public final class GuestInput: Sendable {
    private struct State {
        var send: (@Sendable ([UInt8]) -> Void)?
        var isOver = false
        var isHungUp = false
    }

    private let state = Mutex(State())
    private let underway = Atomic<Int>(0)
    private let wakeRead: Int32
    private let wakeWrite: Int32
    private let hangUps: AsyncStream<Void>.Continuation
    /// Yields when the program should end.
    package let hangUpRequests: AsyncStream<Void>

    /// The most bytes of input that the program has not consumed. Twice that, in hexadecimal, fits into a socket's
    /// buffer.
    private static let window = 32 << 10
    private static let longestPiece = 8 << 10

    package init() {
        var ends: [Int32] = [-1, -1]
        // Without a pipe the thread below polls without result, and reads nothing.
        _ = pipe(&ends)
        for end in ends where end >= 0 {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (wakeRead, wakeWrite) = (ends[0], ends[1])
        (hangUpRequests, hangUps) = AsyncStream.makeStream()
    }

    deinit {
        Glibc.close(wakeRead)
        Glibc.close(wakeWrite)
    }

    // MARK: Messages

    /// Sends the terminal's size.
    public func resize(_ size: TerminalSize) { order("size \(size.rows) \(size.columns)") }

    /// Starts the program.
    package func go() { order("go") }

    /// Closes the program's standard output (1) or standard error (2), because its reader is gone.
    package func close(stream: Int32) { order("close-stream \(stream)") }

    /// Ends the program, and the guest with it.
    public func hangUp() {
        state.withLock { $0.isHungUp = true }
        hangUps.yield()
    }

    /// Whether `hangUp` was called.
    package var wasHungUp: Bool { state.withLock { $0.isHungUp } }

    /// Asks init to end the guest.
    package func end() { order("end") }

    /// The bytes of a message with input.
    package static func encoded(_ input: some Collection<UInt8>) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        var line = Array("in ".utf8)
        line.reserveCapacity(input.count * 2 + 4)
        for byte in input {
            line.append(digits[Int(byte >> 4)])
            line.append(digits[Int(byte & 15)])
        }
        return line + [0x0A]
    }

    private func order(_ text: String) { send(Array((text + "\n").utf8)) }

    private func send(_ bytes: [UInt8]) {
        let send = state.withLock { state in state.isOver ? nil : state.send }
        send?(bytes)
    }

    // MARK: The connection to the guest

    /// Connects a guest, which replaces another one that did not boot.
    package func connect(_ send: @escaping @Sendable ([UInt8]) -> Void) { state.withLock { $0.send = send } }

    /// Records that the program has consumed `count` bytes.
    package func ack(_ count: Int) {
        underway.subtract(count, ordering: .relaxed)
        wake()
    }

    /// Ends the thread; later messages are not sent.
    package func finish() {
        state.withLock { $0.isOver = true }
        hangUps.finish()
        wake()
    }

    private func wake() { _ = write(wakeWrite, [0], 1) }

    /// Reads a descriptor for the program from now on.
    ///
    /// - Parameter filter: Receives the bytes that were read, and returns the bytes for the program.
    public func forward(from descriptor: Int32, filter: @escaping @Sendable ([UInt8]) -> [UInt8]) {
        let thread = Thread { [self] in pump(descriptor, filter) }
        thread.name = "kbuild input"
        thread.start()
    }

    private func pump(_ descriptor: Int32, _ filter: ([UInt8]) -> [UInt8]) {
        while !state.withLock({ $0.isOver }) {
            let hasRoom = underway.load(ordering: .relaxed) < Self.window
            var waiting = [
                pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0),
                pollfd(fd: hasRoom ? descriptor : -1, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waiting, 2, -1) >= 0 || errno == EINTR else { return }
            if waiting[0].revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 64)
                _ = read(wakeRead, &bytes, bytes.count)
                continue
            }
            guard waiting[1].revents != 0 else { continue }
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: Self.longestPiece) { buffer, used in
                count = read(descriptor, buffer.baseAddress, buffer.count)
                used = max(0, count)
            }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { return order("eof") }
            let input = filter(bytes)
            guard !input.isEmpty else { continue }
            underway.add(input.count, ordering: .relaxed)
            send(Self.encoded(input))
        }
    }
}
