// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import SyscallTesting

@Suite("Raw system calls", .timeLimit(.minutes(5)))
struct SyscallTests {
    @Test("a result comes back, and arguments arrive in order")
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

    @Test("a string's own pointer is an argument, as C has it")
    func strings() throws {
        // access is 21, F_OK 0.
        #expect(try "/proc/self".withCString { try syscall(21, $0, 0) } == 0)
        #expect(throws: Errno(2)) { try "/no/such/file".withCString { try syscall(21, $0, 0) } }
    }

    @Test("six arguments arrive: mmap takes them all")
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

    @Test("narrow arguments are extended as C does it")
    func extensions() {
        #expect(Int32(-1).syscallArgument == -1)
        #expect(UInt32.max.syscallArgument == 0xFFFF_FFFF)
        #expect(UnsafeRawPointer?.none.syscallArgument == 0)
    }

    @Test("every bad pointer is refused by the kernel", arguments: BadPointer.allCases)
    func badPointers(pointer: BadPointer) {
        #expect(throws: Errno.EFAULT) { try syscall(293, pointer.address, 0) }
    }

    @Test("a guarded buffer is writable to its end and not a byte further", arguments: [1, 7, 4096])
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
