// SPDX-License-Identifier: Apache-2.0
import Foundation
import MsgboxExchange
import Synchronization
import SyscallNumbers
import SyscallTesting
import Testing

/// The suite of kernel/msgbox-strict, which has the names of kernel/msgbox: it runs with the profile msgbox-strict.
@Suite("msgbox-strict", .serialized)
struct MsgboxStrictTests {
    init() throws {
        var scratch = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            do {
                try scratch.withUnsafeMutableBytes { _ = try Self.get($0.baseAddress, Int32($0.count)) }
            } catch Errno.ENODATA {
                return
            }
        }
    }

    static func put(_ address: UnsafeRawPointer?, _ length: Int32) throws -> Int {
        try syscall(__NR_dm510_msgbox_put, address, length)
    }

    static func get(_ address: UnsafeMutableRawPointer?, _ length: Int32) throws -> Int {
        try syscall(__NR_dm510_msgbox_get, address, length)
    }

    static func put(_ text: String) throws {
        let bytes = Array(text.utf8)
        let result = try bytes.withUnsafeBytes { try put($0.baseAddress, Int32($0.count)) }
        #expect(result == 0)
    }

    static func get(capacity: Int = 256) throws -> String {
        var buffer = [UInt8](repeating: 0, count: capacity)
        let length = try buffer.withUnsafeMutableBytes { try get($0.baseAddress, Int32($0.count)) }
        return String(decoding: buffer[..<length], as: UTF8.self)
    }

    @Test("NULL is EINVAL with any length", arguments: [0, 1, 10, -1, Int32.min])
    func null(length: Int32) {
        #expect(throws: Errno.EINVAL) { try Self.put(nil, length) }
        #expect(throws: Errno.EINVAL) { try Self.get(nil, length) }
    }

    @Test("a negative length is EINVAL", arguments: [Int32(-1), -100, .min])
    func negative(length: Int32) {
        var byte: UInt8 = 0
        #expect(throws: Errno.EINVAL) { try Self.put(&byte, length) }
        #expect(throws: Errno.EINVAL) { try Self.get(&byte, length) }
    }

    @Test("the length counts, not the end of the string", arguments: [4, 5, 6])
    func lengths(length: Int) throws {
        let bytes = Array("hello\u{0}tail".utf8)
        _ = try bytes.withUnsafeBytes { try Self.put($0.baseAddress, Int32(length)) }
        #expect(try Self.get() == String(decoding: bytes[..<length], as: UTF8.self))
    }

    @Test("an empty box is ENODATA")
    func empty() {
        #expect(throws: Errno.ENODATA) { try Self.get() }
    }

    @Test("a buffer that is too small is EMSGSIZE; the message stays and nothing is written")
    func tooSmall() throws {
        try Self.put("message")
        var buffer = [UInt8](repeating: 0xA5, count: 6)
        #expect(throws: Errno.EMSGSIZE) {
            try buffer.withUnsafeMutableBytes { try Self.get($0.baseAddress, Int32($0.count)) }
        }
        #expect(buffer.allSatisfy { $0 == 0xA5 })
        #expect(try Self.get(capacity: 7) == "message")
    }

    @Test("in a long buffer only the message's length is written")
    func longBuffer() throws {
        try Self.put("abc")
        var buffer = [UInt8](repeating: 0xA5, count: 16)
        #expect(try buffer.withUnsafeMutableBytes { try Self.get($0.baseAddress, 16) } == 3)
        #expect(buffer == Array("abc".utf8) + [UInt8](repeating: 0xA5, count: 13))
    }

    @Test(
        "a bad address is EFAULT; a message that cannot be delivered stays",
        arguments: BadPointer.allCases.filter { $0 != .null })
    func badAddress(pointer: BadPointer) throws {
        #expect(throws: Errno.EFAULT) { try Self.put(pointer.address.map { UnsafeRawPointer($0) }, 8) }
        #expect(throws: Errno.ENODATA) { try Self.get() }
        try Self.put("kept")
        #expect(throws: Errno.EFAULT) { try Self.get(pointer.address, 64) }
        #expect(try Self.get() == "kept")
    }

    @Test("read-only memory can be put from, but not got into; the message stays")
    func readOnlyMemory() throws {
        let buffer = try GuardedBuffer(count: 4)
        try buffer.makeReadOnly()
        #expect(try Self.put(buffer.bytes.baseAddress.map { UnsafeRawPointer($0) }, 4) == 0)
        #expect(throws: Errno.EFAULT) { try Self.get(buffer.bytes.baseAddress, 4) }
        #expect(try Self.get() == "\0\0\0\0")
    }

    @Test("twenty words are returned in reverse order")
    func order() throws {
        let words = (1...20).map { "word\($0)" }
        for word in words { try Self.put(word) }
        for word in words.reversed() { #expect(try Self.get() == word) }
        #expect(throws: Errno.ENODATA) { try Self.get() }
    }

    /// Runs `bodies` on threads of their own, all begun together, and waits for them.
    private func together(_ bodies: [@Sendable () throws -> Void]) {
        let failures = Mutex<[String]>([])
        let ready = Atomic(0)
        let done = DispatchGroup()
        let count = bodies.count
        for body in bodies {
            done.enter()
            Thread {
                ready.add(1, ordering: .sequentiallyConsistent)
                while ready.load(ordering: .sequentiallyConsistent) < count { sched_yield() }
                do { try body() } catch { failures.withLock { $0.append("\(error)") } }
                done.leave()
            }.start()
        }
        done.wait()
        #expect(failures.withLock { $0 } == [])
    }

    /// Puts a number as a message of its bytes. It neither makes strings nor expects anything: where no KVM is, that
    /// takes longer by far than the call.
    private static func put(number: Int) throws {
        let result = try withUnsafeBytes(of: number) { try put($0.baseAddress, Int32($0.count)) }
        if result != 0 { Issue.record("put returned \(result)") }
    }

    private static func getNumber() throws -> Int {
        var number = 0
        let length = try withUnsafeMutableBytes(of: &number) { try get($0.baseAddress, Int32($0.count)) }
        if length != MemoryLayout<Int>.size { Issue.record("get returned \(length)") }
        return number
    }

    /// Takes out everything until the box is empty after `isLast` was true; returns how often each message came.
    private static func drain(while isLast: () -> Bool) throws -> [Int: Int] {
        var seen: [Int: Int] = [:]
        while true {
            let wasLast = isLast()
            do {
                seen[try getNumber(), default: 0] += 1
            } catch Errno.ENODATA {
                if wasLast { return seen }
                sched_yield()
            }
        }
    }

    @Test("one thread gets exactly the messages that 200 threads put, 1,000 each", arguments: [200, 1])
    func drained(threads: Int) throws {
        let messagesEach = 200_000 / 200
        together(
            (0..<threads).map { thread in
                { for index in 0..<messagesEach { try Self.put(number: thread * messagesEach + index) } }
            })
        let seen = try Self.drain { true }
        #expect(seen.count == threads * messagesEach)
        #expect(seen.values.allSatisfy { $0 == 1 })
    }

    @Test("three threads that put and three that get at once: every message exactly once")
    func exchange() throws {
        let (putters, messagesEach) = (3, 4000)
        let putting = Atomic(putters)
        let received = Mutex<[Int: Int]>([:])
        let putBodies: [@Sendable () throws -> Void] = (0..<putters).map { putter in
            {
                defer { putting.subtract(1, ordering: .sequentiallyConsistent) }
                for index in 0..<messagesEach { try Self.put(number: putter * messagesEach + index) }
            }
        }
        let getBodies: [@Sendable () throws -> Void] = (0..<3).map { _ in
            {
                let mine = try Self.drain { putting.load(ordering: .sequentiallyConsistent) == 0 }
                received.withLock { $0.merge(mine, uniquingKeysWith: +) }
            }
        }
        together(putBodies + getBodies)
        let seen = received.withLock { $0 }
        #expect(seen.count == putters * messagesEach)
        #expect(seen.values.allSatisfy { $0 == 1 })
        #expect(throws: Errno.ENODATA) { try Self.get() }
    }

    @Test("three processes that put and three that get at once: every message exactly once")
    func exchangeBetweenProcesses() throws {
        let exchange = try MsgboxExchange(putters: 3, getters: 3, messagesEach: 4000)
        #expect(exchange.endings == Array(repeating: .exited(0), count: 6))
        #expect(exchange.wrong == 0)
        #expect(throws: Errno.ENODATA) { try Self.get() }
    }
}
