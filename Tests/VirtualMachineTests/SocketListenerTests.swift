// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import VirtualMachine

/// Both ends of a stream.
private func socketPair() throws -> (Descriptor, Descriptor) {
    var ends: [Int32] = [-1, -1]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    return (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
}

/// Runs blocking work on a separate thread: the tests' pool has as many threads as there are processors.
private func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
        Thread { continuation.resume(returning: body()) }.start()
    }
}

/// Reads so many bytes.
private func read(_ count: Int, from descriptor: Descriptor) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
        var buffer = [UInt8](repeating: 0, count: min(1 << 16, count - bytes.count))
        let got = Glibc.read(descriptor.number, &buffer, buffer.count)
        guard got > 0 else { break }
        bytes += buffer[..<got]
    }
    return bytes
}

/// Four bytes with the sender and the number.
private func message(_ sender: Int, _ number: Int) -> [UInt8] {
    [UInt8(sender), UInt8(number >> 16 & 255), UInt8(number >> 8 & 255), UInt8(number & 255)]
}

@Suite("Send queue", .timeLimit(.minutes(30)))
struct SendQueueTests {
    @Test("bytes stay in order when each write accepts only a few of them, is interrupted or refused")
    func partialWrites() throws {
        let taken = Mutex<[UInt8]>([])
        let turn = Mutex(0)
        let queue = SendQueue { _, bytes in
            let now = turn.withLock { turn in
                turn += 1
                return turn
            }
            switch now % 4 {
            case 0:
                errno = EINTR
                return -1
            case 1:
                errno = EAGAIN
                return -1
            default:
                let count = min(3, bytes.count)
                taken.withLock { $0 += bytes.prefix(count) }
                return count
            }
        }
        let (near, far) = try socketPair()
        let all = (0..<200).map { UInt8($0) }
        #expect(queue.send(Array(all[..<50])) == false)
        queue.connect(near)
        for start in stride(from: 50, to: 200, by: 10) { queue.send(Array(all[start..<start + 10])) }
        while queue.flush() {}
        #expect(taken.withLock { $0 } == all)
        #expect(!queue.isWaiting)
        _ = far
    }

    @Test("bytes that wait for a full socket are sent before later ones of any thread")
    func order() async throws {
        let (near, far) = try socketPair()
        let queue = SendQueue()
        queue.send(message(9, 0))
        queue.connect(near)
        let (senders, each) = (4, 20_000)
        await withTaskGroup(of: Void.self) { group in
            for sender in 0..<senders {
                group.addTask { for number in 0..<each { queue.send(message(sender, number)) } }
            }
        }
        // More than the socket holds, so that some of it waits.
        #expect(queue.isWaiting)
        async let reader = onThread { read(4 + senders * each * 4, from: far) }
        while queue.flush() { try await Task.sleep(for: .milliseconds(1)) }
        let bytes = await reader
        #expect(bytes.count == 4 + senders * each * 4)
        var next = [Int](repeating: 0, count: 10)
        for start in stride(from: 0, to: bytes.count, by: 4) {
            let number = Int(bytes[start + 1]) << 16 | Int(bytes[start + 2]) << 8 | Int(bytes[start + 3])
            if number != next[Int(bytes[start])] {
                Issue.record("message \(number) of \(bytes[start]) came where \(next[Int(bytes[start])]) was due")
                return
            }
            next[Int(bytes[start])] += 1
        }
        #expect(next == [each, each, each, each, 0, 0, 0, 0, 0, 1])
    }

    @Test("a queue that is closed, or whose peer is gone, discards new bytes")
    func gone() throws {
        let (near, far) = try socketPair()
        let closed = SendQueue()
        closed.connect(near)
        closed.close()
        #expect(closed.send([1]) == false)
        let orphan = SendQueue()
        do {
            let (near, _) = try socketPair()
            orphan.connect(near)
        }
        #expect(orphan.send([1]) == false)
        #expect(orphan.send([2]) == false)
        _ = far
    }

    @Test("a descriptor is closed once, after its last user has released it, and not while it is used")
    func ownership() throws {
        let queue = SendQueue()
        let far = try connected()
        // Only the queue has the near end now.
        var waiting = pollfd(fd: far.number, events: Int16(POLLIN), revents: 0)
        #expect(poll(&waiting, 1, 0) == 0)
        queue.close()
        #expect(poll(&waiting, 1, 0) == 1 && waiting.revents & Int16(POLLHUP) != 0)

        func connected() throws -> Descriptor {
            let (near, far) = try socketPair()
            queue.connect(near)
            return far
        }
    }
}

@Suite("Socket listener", .timeLimit(.minutes(30)))
struct SocketListenerTests {
    private let path = FilePath("/tmp/kbuild-listener-\(getpid())-\(UInt32.random(in: 0 ... .max))")

    private func connect() throws -> Descriptor {
        let peer = Descriptor(owning: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.string.utf8)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(peer.number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
        return peer
    }

    @Test("bytes sent before the peer connected arrive first, and more than a socket's buffer arrives completely")
    func sending() async throws {
        defer { unlink(path.string) }
        let listener = try SocketListener(path: path)
        listener.start(onBytes: { _ in })
        listener.send(Array("first ".utf8))
        let peer = try connect()
        let bulk = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        // There is no reader yet: this must not block.
        listener.send(bulk)
        listener.send(Array(" last".utf8))
        let got = await onThread { read(6 + bulk.count + 5, from: peer) }
        #expect(got == Array("first ".utf8) + bulk + Array(" last".utf8))
        await listener.finish()
    }

    @Test("a peer's bytes before the end are read, and a concurrent send never reaches another file")
    func ending() async throws {
        for _ in 0..<20 {
            let listener = try SocketListener(path: path)
            let heard = Mutex<[UInt8]>([])
            listener.start(onBytes: { bytes in heard.withLock { $0 += bytes } })
            let peer = try connect()
            _ = write(peer.number, "bye", 3)
            let isOver = Atomic<Bool>(false)
            async let sender: Void = onThread {
                while !isOver.load(ordering: .relaxed) { listener.send([1, 2, 3]) }
            }
            while heard.withLock({ $0.count }) < 3 { try await Task.sleep(for: .milliseconds(1)) }
            await listener.finish()
            // The connection's descriptor number is free now; its next user must not be written to.
            let (near, far) = try socketPair()
            try await Task.sleep(for: .milliseconds(1))
            isOver.store(true, ordering: .relaxed)
            await sender
            var pending: Int32 = 0
            #expect(ioctl(near.number, UInt(FIONREAD), &pending) == 0 && pending == 0)
            #expect(ioctl(far.number, UInt(FIONREAD), &pending) == 0 && pending == 0)
            #expect(heard.withLock { $0 } == Array("bye".utf8))
            unlink(path.string)
        }
    }
}
