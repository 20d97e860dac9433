// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Foundation
import Glibc
import Synchronization
import Testing

@testable import kbuild

@Suite("Output queue", .timeLimit(.minutes(30)))
struct OutputQueueTests {
    /// A terminal that accepts nothing until it is released.
    private final class Terminal: Sendable {
        let gate = DispatchSemaphore(value: 0)
        let seen = Mutex<[String]>([])

        func take(_ descriptor: Int32, _ bytes: [UInt8]) {
            gate.wait()
            gate.signal()
            seen.withLock { $0.append("\(descriptor): \(String(decoding: bytes, as: UTF8.self))") }
        }
    }

    @Test("no caller waits for a stopped terminal, which later gets all results in order")
    func stopped() async {
        let terminal = Terminal()
        let queue = OutputQueue(write: terminal.take)
        for number in 0..<1000 { queue.add("\(number)", to: Int32(number % 2 + 1)) }
        #expect(!queue.isEmpty)
        #expect(terminal.seen.withLock { $0 } == [])
        terminal.gate.signal()
        await queue.flush()
        #expect(terminal.seen.withLock { $0 } == (0..<1000).map { "\($0 % 2 + 1): \($0)" })
        #expect(queue.isEmpty)
    }

    @Test(
        "progress beyond a bound is counted; results are kept; status lines are replaced by newer ones")
    func bounds() async {
        let terminal = Terminal()
        let queue = OutputQueue(write: terminal.take)
        queue.add("first", to: 2)
        queue.add(String(repeating: "x", count: OutputQueue.mostBytes + 1), to: 2, .progress)
        for _ in 0..<500 { queue.add("late", to: 2, .progress) }
        queue.add("result", to: 1)
        for number in 0..<500 { queue.add("status \(number)", to: 2, .status) }
        terminal.gate.signal()
        await queue.flush()
        let seen = terminal.seen.withLock { $0 }
        #expect(seen.first == "2: first")
        #expect(seen.contains("1: result"))
        #expect(!seen.contains("2: late"))
        #expect(seen.filter { $0.contains("500 lines of progress omitted") }.count == 1)
        #expect(seen.filter { $0.contains("status") } == ["2: status 499"])
    }

    @Test("after a signal the wait for a blocked reader is at most a second")
    func hurried() async {
        let terminal = Terminal()
        let queue = OutputQueue(write: terminal.take)
        queue.add(String(repeating: "x", count: OutputQueue.mostBytes + 1), to: 2)
        queue.hurry()
        queue.waitForRoom()
        await queue.flush()
        #expect(!queue.isEmpty)
        terminal.gate.signal()
    }

    @Test("a closed reader and a closed descriptor are not errors; a blocked pipe is waited for")
    func realDescriptors() async {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        let (reader, writer) = (ends[0], ends[1])
        let queue = OutputQueue()
        queue.add(String(repeating: "y", count: 300_000), to: writer)
        // Read on a separate thread: the tests' pool has as many threads as there are processors.
        let count = await withCheckedContinuation { continuation in
            Thread {
                var (total, buffer) = (0, [UInt8](repeating: 0, count: 4096))
                while total < 300_000 { total += max(0, read(reader, &buffer, buffer.count)) }
                continuation.resume(returning: total)
            }.start()
        }
        #expect(count == 300_000)
        close(reader)
        queue.add("nobody reads this", to: writer)
        queue.add("nor this", to: -1)
        await queue.flush()
        close(writer)
        #expect(queue.isEmpty)
    }

    @Test("a raw terminal gets carriage returns")
    func raw() {
        #expect(StandardStream.withCarriageReturns(Array("a\nb\n".utf8)) == Array("a\r\nb\r\n".utf8))
    }
}
