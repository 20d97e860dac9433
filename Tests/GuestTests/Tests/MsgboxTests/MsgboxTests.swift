// SPDX-License-Identifier: Apache-2.0
import Foundation
import MsgboxExchange
import Synchronization
import SyscallNumbers
import SyscallTesting
import Testing

@Suite("msgbox", .serialized)
struct MsgboxTests {
    init() throws {
        try Msgbox.drain()
    }

    @Test("getting from an empty box fails with ENODATA, whatever the buffer")
    func emptyBox() throws {
        var byte: UInt8 = 0
        #expect(throws: Errno.ENODATA) { try Msgbox.get(&byte, 1) }
        for pointer in BadPointer.allCases {
            #expect(throws: Errno.ENODATA, "\(pointer)") { try Msgbox.get(pointer.address, 1) }
        }
    }

    @Test("a message is returned unchanged", arguments: [1, 2, 7, 64, 255, 1000, 4096, 20_000])
    func roundTrip(length: Int) throws {
        let message = (0..<length).map { _ in UInt8.random(in: 0...255) }
        try Msgbox.put(message)
        #expect(try Msgbox.get(capacity: length) == message)
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
    }

    @Test("put returns 0 and get the message's length")
    func results() throws {
        let message = Array("hello".utf8)
        let stored = try message.withUnsafeBytes { try Msgbox.put($0.baseAddress, $0.count) }
        #expect(stored == 0)
        var buffer = [UInt8](repeating: 0, count: 64)
        let length = try buffer.withUnsafeMutableBytes { try Msgbox.get($0.baseAddress, $0.count) }
        #expect(length == message.count)
    }

    @Test("messages are returned last in, first out")
    func order() throws {
        let messages = (0..<20).map { Array("message \($0)".utf8) }
        for message in messages { try Msgbox.put(message) }
        for message in messages.reversed() { #expect(try Msgbox.get() == message) }
    }

    @Test("a short buffer gets the message's start; the rest is lost and the full length returned")
    func shortBuffer() throws {
        try Msgbox.put(Array("underneath".utf8))
        try Msgbox.put(Array("abcdefgh".utf8))
        var buffer = [UInt8](repeating: 0xA5, count: 8)
        let length = try buffer.withUnsafeMutableBytes { try Msgbox.get($0.baseAddress, 3) }
        #expect(length == 8)
        #expect(buffer == Array("abc".utf8) + [UInt8](repeating: 0xA5, count: 5))
        #expect(try Msgbox.get() == Array("underneath".utf8))
    }

    @Test("in a long buffer only the message's length is written")
    func longBuffer() throws {
        try Msgbox.put([1, 2, 3])
        var buffer = [UInt8](repeating: 0xA5, count: 64)
        #expect(try buffer.withUnsafeMutableBytes { try Msgbox.get($0.baseAddress, $0.count) } == 3)
        #expect(buffer == [1, 2, 3] + [UInt8](repeating: 0xA5, count: 61))
    }

    @Test("an empty message is a message")
    func zeroLength() throws {
        try Msgbox.put([9])
        var byte: UInt8 = 0xA5
        #expect(try Msgbox.put(&byte, 0) == 0)
        #expect(try Msgbox.get(&byte, 1) == 0)
        #expect(byte == 0xA5)
        #expect(try Msgbox.get() == [9])
    }

    @Test("putting from a bad address fails with EFAULT and stores nothing", arguments: BadPointer.allCases)
    func putFromBadAddress(pointer: BadPointer) throws {
        #expect(throws: Errno.EFAULT) { try Msgbox.put(pointer.address.map { UnsafeRawPointer($0) }, 16) }
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
    }

    @Test("NULL is refused even with a length of 0")
    func putNull() throws {
        #expect(throws: Errno.EFAULT) { try Msgbox.put(nil, 0) }
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
    }

    @Test("putting from a buffer that runs into an unreadable page fails with EFAULT")
    func putAcrossGuardPage() throws {
        let buffer = try GuardedBuffer(count: 16)
        #expect(throws: Errno.EFAULT) { try Msgbox.put(buffer.bytes.baseAddress, 17) }
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
        #expect(try Msgbox.put(buffer.bytes.baseAddress, 16) == 0)
        #expect(try Msgbox.get().count == 16)
    }

    @Test("getting into NULL fails with EFAULT, and the message stays")
    func getIntoNull() throws {
        try Msgbox.put([1])
        #expect(throws: Errno.EFAULT) { try Msgbox.get(nil, 1) }
        #expect(throws: Errno.EFAULT) { try Msgbox.get(nil, 0) }
        #expect(try Msgbox.get() == [1])
    }

    @Test(
        "getting into a bad address fails with EFAULT and loses the message",
        arguments: BadPointer.allCases.filter { $0 != .null })
    func getIntoBadAddress(pointer: BadPointer) throws {
        try Msgbox.put([1])
        try Msgbox.put([2])
        #expect(throws: Errno.EFAULT) { try Msgbox.get(pointer.address, 1) }
        #expect(try Msgbox.get() == [1])
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
    }

    @Test("read-only memory can be put from, but not got into")
    func readOnlyMemory() throws {
        let buffer = try GuardedBuffer(count: 4)
        buffer.bytes.copyBytes(from: [1, 2, 3, 4])
        try buffer.makeReadOnly()
        #expect(try Msgbox.put(buffer.bytes.baseAddress, 4) == 0)
        #expect(try Msgbox.get() == [1, 2, 3, 4])
        try Msgbox.put([9])
        #expect(throws: Errno.EFAULT) { try Msgbox.get(buffer.bytes.baseAddress, 4) }
        #expect(Array(buffer.bytes) == [1, 2, 3, 4])
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
    }

    @Test("getting a message that runs into an unwritable page fails with EFAULT; one that fits does not")
    func getAcrossGuardPage() throws {
        let buffer = try GuardedBuffer(count: 4)
        try Msgbox.put([1, 2, 3, 4])
        #expect(try Msgbox.get(buffer.bytes.baseAddress, 4096) == 4)
        #expect(Array(buffer.bytes) == [1, 2, 3, 4])
        try Msgbox.put([1, 2, 3, 4, 5])
        #expect(throws: Errno.EFAULT) { try Msgbox.get(buffer.bytes.baseAddress, 4096) }
    }

    @Test(
        "a negative length is read as a very large one: put fails with ENOMEM, get copies the whole message",
        arguments: [-1, Int.min])
    func negativeLength(length: Int) throws {
        var byte: UInt8 = 7
        #expect(throws: Errno.ENOMEM) { try Msgbox.put(&byte, length) }
        try Msgbox.put([1, 2, 3])
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(try buffer.withUnsafeMutableBytes { try Msgbox.get($0.baseAddress, length) } == 3)
        #expect(buffer.prefix(3) == [1, 2, 3])
    }

    @Test("the box still works after every kind of failure")
    func worksAfterFailures() throws {
        try Msgbox.put([1])
        _ = try? Msgbox.put(nil, 4)
        _ = try? Msgbox.put(BadPointer.kernel.address.map { UnsafeRawPointer($0) }, 4)
        var byte: UInt8 = 0
        _ = try? Msgbox.put(&byte, -1)
        #expect(try Msgbox.get() == [1])
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
        try Msgbox.put([2])
        #expect(try Msgbox.get() == [2])
    }

    @Test("three threads that put and three that get at once lose no message and get none twice")
    func concurrentThreads() throws {
        let (putters, getters, messagesEach) = (3, 3, 4000)
        let received = Mutex<[String: Int]>([:])
        let failures = Mutex<[String]>([])
        let ready = Atomic(0)
        let putting = Atomic(putters)
        let done = DispatchGroup()
        func start(_ body: @escaping @Sendable () throws -> Void) {
            done.enter()
            let thread = Thread {
                // All begin together, or the first is through before the last one starts.
                ready.add(1, ordering: .sequentiallyConsistent)
                while ready.load(ordering: .sequentiallyConsistent) < putters + getters { sched_yield() }
                do { try body() } catch { failures.withLock { $0.append("\(error)") } }
                done.leave()
            }
            thread.start()
        }
        for putter in 0..<putters {
            start {
                defer { putting.subtract(1, ordering: .sequentiallyConsistent) }
                for index in 0..<messagesEach { try Msgbox.put(Array("\(putter)-\(index)".utf8)) }
            }
        }
        for _ in 0..<getters {
            start {
                var mine: [String: Int] = [:]
                defer { received.withLock { $0.merge(mine, uniquingKeysWith: +) } }
                while true {
                    let isLast = putting.load(ordering: .sequentiallyConsistent) == 0
                    do {
                        mine[String(decoding: try Msgbox.get(capacity: 64), as: UTF8.self), default: 0] += 1
                    } catch Errno.ENODATA {
                        // Empty after the last put: whatever is missing now is lost.
                        if isLast { return }
                        sched_yield()
                    }
                }
            }
        }
        done.wait()
        #expect(failures.withLock { $0 } == [])
        let counts = received.withLock { $0 }
        #expect(counts.count == putters * messagesEach)
        #expect(counts.filter { $0.value != 1 }.isEmpty)
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
    }

    @Test("three processes that empty a full box together get every message exactly once")
    func concurrentGets() throws {
        let exchange = try MsgboxExchange(putters: 1, getters: 3, messagesEach: 12_000, isFullFirst: true)
        #expect(exchange.endings == Array(repeating: .exited(0), count: 4))
        #expect(exchange.wrong == 0)
    }

    @Test("three processes that put and three that get at once: every message exactly once")
    func exchangeBetweenProcesses() throws {
        let exchange = try MsgboxExchange(putters: 3, getters: 3, messagesEach: 4000)
        #expect(exchange.endings == Array(repeating: .exited(0), count: 6))
        #expect(exchange.wrong == 0)
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
    }
}
