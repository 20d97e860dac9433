// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import SyscallTesting

@Suite("Raw system calls", .timeLimit(.minutes(30)))
struct SyscallTests {
    @Test("the result is returned, and arguments arrive in order")
    func results() throws {
        // x86-64 numbers from asm/unistd_64.h: getpid 39, write 1, pipe2 293, read 0.
        #expect(try syscall(39) == Int(getpid()))
        var ends: [Int32] = [0, 0]
        try ends.withUnsafeMutableBytes { _ = try syscall(293, $0.baseAddress, 0) }
        defer { ends.forEach { close($0) } }
        let message = Array("message".utf8)
        #expect(try message.withUnsafeBytes { try syscall(1, ends[1], $0.baseAddress, $0.count) } == 7)
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(try buffer.withUnsafeMutableBytes { try syscall(0, ends[0], $0.baseAddress, $0.count) } == 7)
        #expect(buffer.prefix(7) == message[...])
    }

    @Test("a string's pointer is an argument, as in C")
    func strings() throws {
        // access is 21, F_OK 0.
        #expect(try "/proc/self".withCString { try syscall(21, $0, 0) } == 0)
        #expect(throws: Errno(2)) { try "/no/such/file".withCString { try syscall(21, $0, 0) } }
    }

    @Test("arguments are written as in C: &variable, &array, arrays and strings, in any place")
    func asInC() throws {
        // pipe2 293, write 1, read 0, access 21, preadv 295, clock_gettime 228.
        var ends: [Int32] = [0, 0]
        try syscall(293, &ends, 0)
        defer { ends.forEach { close($0) } }
        #expect(try syscall(1, ends[1], "message", 7) == 7)
        var bytes = [UInt8](repeating: 0, count: 16)
        #expect(try syscall(0, ends[0], &bytes, bytes.count) == 7)
        #expect(Array(bytes.prefix(8)) == Array("message".utf8) + [0])
        #expect(try syscall(1, ends[1], [UInt8(1), 2, 3], 3) == 3)
        var number: UInt32 = 0
        #expect(try syscall(0, ends[0], &number, 4) == 3)
        #expect(number == 0x0003_0201)
        #expect(try syscall(21, "/proc/self", 0) == 0)
        #expect(throws: Errno.ENOENT) { try syscall(21, "/no/such/file", 0) }
        var time = timespec()
        try syscall(228, CLOCK_REALTIME, &time)
        #expect(time.tv_sec > 0)
        // A pointer in front of a pointer: getsockopt's kind, here with socketpair (53) and its protocol.
        var pair: [Int32] = [0, 0]
        try syscall(53, AF_UNIX, 1, 0, &pair)
        var (size, length): (Int32, UInt32) = (0, 4)
        // getsockopt 55, SOL_SOCKET 1, SO_TYPE 3.
        try syscall(55, pair[0], 1, 3, &size, &length)
        #expect((size, length) == (1, 4))
        pair.forEach { close($0) }
    }

    @Test("every name of Linux's headers exists, with its number and its symbol")
    func errnoNames() throws {
        #expect(Errno.ENOENT == Errno(2) && Errno.EWOULDBLOCK == Errno.EAGAIN)
        #expect(Errno.EHWPOISON.description == "EHWPOISON")
        let source = try text(
            of: #filePath.replacing(
                "Tests/SyscallTestingTests/SyscallTests.swift", with: "Sources/SyscallTesting/Errno+Names.swift"))
        // Where the headers are installed none is missing.
        for header in ["errno-base.h", "errno.h"] {
            guard let names = try? text(of: "/usr/include/asm-generic/\(header)") else { continue }
            for match in names.matches(of: /#define\s+(E[A-Z0-9]+)\s+(\d+)/) {
                #expect(source.contains("static let \(match.1) = Errno(\(match.2))"), "\(match.1)")
            }
        }
    }

    private func text(of path: String) throws -> String {
        let file = open(path, O_RDONLY)
        guard file >= 0 else { throw Errno(errno) }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = read(file, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    @Test("six arguments arrive: mmap uses all of them")
    func sixArguments() throws {
        // mmap is 9, munmap 11.
        let address = try syscall(9, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, Int32(-1), 0)
        try #require(address > 0)
        try syscall(11, address, 4096)
    }

    @Test("an error is thrown by its name")
    func errors() {
        #expect(throws: Errno.ENOSYS) { try syscall(4000) }
        #expect(throws: Errno.EFAULT) { try syscall(293, BadPointer.unmapped.address, 0) }
        #expect(Errno.EFAULT.description == "EFAULT")
        #expect(Errno(4095).description == "errno 4095")
        do {
            try syscall(4000)
            Issue.record("no such call exists")
        } catch Errno.EFAULT {
            Issue.record("the wrong error was caught")
        } catch Errno.ENOSYS {
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test("narrow arguments are extended as in C")
    func extensions() {
        #expect(Int32(-1).syscallArgument == -1)
        #expect(UInt32.max.syscallArgument == 0xFFFF_FFFF)
        #expect(UnsafeRawPointer?.none.syscallArgument == 0)
    }

    @Test("every bad pointer is refused by the kernel", arguments: BadPointer.allCases)
    func badPointers(pointer: BadPointer) {
        #expect(throws: Errno.EFAULT) { try syscall(293, pointer.address, 0) }
    }

    @Test("a guarded buffer is writable to its end but not a byte further", arguments: [1, 7, 4096])
    func guardedBuffer(count: Int) throws {
        let buffer = try GuardedBuffer(count: count)
        #expect(buffer.bytes.count == count)
        for index in 0..<count { buffer.bytes[index] = 0x5A }
        var ends: [Int32] = [0, 0]
        try ends.withUnsafeMutableBytes { _ = try syscall(293, $0.baseAddress, 0) }
        defer { ends.forEach { close($0) } }
        #expect(throws: Errno.EFAULT) { try syscall(1, ends[1], buffer.end, 1) }
    }

    @Test("a low buffer's addresses fit 32 bits")
    func lowBuffer() throws {
        let buffer = try GuardedBuffer(count: 8, isLow: true)
        #expect(UInt(bitPattern: buffer.end) < 1 << 32)
    }

    @Test("int 0x80 makes calls by their i386 numbers", .enabled(if: isInt80Available))
    func int80Calls() throws {
        // i386 numbers from asm/unistd_32.h: getpid 20, write 4; 4000 is none.
        #expect(try int80(20) == Int(getpid()))
        #expect(throws: Errno.ENOSYS) { try int80(4000) }
        #expect(throws: Errno.EBADF) { try int80(4, Int32(-1), 0, 0) }
    }
}
