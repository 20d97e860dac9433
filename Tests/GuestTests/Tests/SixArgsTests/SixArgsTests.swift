// SPDX-License-Identifier: Apache-2.0
import Foundation
import SyscallNumbers
import SyscallTesting
import Testing

@Suite("six_args and no_args")
struct SixArgsTests {
    @Test("every argument arrives complete and in its place")
    func whole() throws {
        let values: [UInt] = [0x1111_2222_3333_4444, .max, 0, 0x8000_0000_0000_0000, 0x7FFF_FFFF_FFFF_FFFF]
        // Not zeros: what the kernel has behind its copy may well be zeros.
        var seen = [UInt](repeating: 0xA5A5_A5A5_A5A5_A5A5, count: 7)
        var address: UInt = 0
        let count = try seen.withUnsafeMutableBytes { out in
            address = UInt(bitPattern: out.baseAddress)
            return try syscall(
                __NR_six_args, values[0], values[1], values[2], values[3], values[4], out.baseAddress)
        }
        #expect(count == 6)
        #expect(seen == values + [address, 0xA5A5_A5A5_A5A5_A5A5])
    }

    @Test("exactly six words are written; a page that ends before that is EFAULT")
    func guardPage() throws {
        let buffer = try GuardedBuffer(count: 6 * MemoryLayout<UInt>.size)
        let words = buffer.bytes.bindMemory(to: UInt.self)
        #expect(try syscall(__NR_six_args, 1, 2, 3, 4, 5, buffer.bytes.baseAddress) == 6)
        #expect(Array(words) == [1, 2, 3, 4, 5, UInt(bitPattern: buffer.bytes.baseAddress)])
        #expect(throws: Errno.EFAULT) {
            try syscall(__NR_six_args, 1, 2, 3, 4, 5, buffer.bytes.baseAddress.map { $0 + 1 })
        }
    }

    @Test("a bad address is EFAULT", arguments: BadPointer.allCases)
    func badAddress(pointer: BadPointer) {
        #expect(throws: Errno.EFAULT) { try syscall(__NR_six_args, 1, 2, 3, 4, 5, pointer.address) }
    }

    @Test("no_args returns the process ID, with any values in the registers")
    func noArguments() throws {
        #expect(try syscall(__NR_no_args) == Int(getpid()))
        #expect(try syscall(__NR_no_args, 1, 2, 3, 4, 5, 6) == Int(getpid()))
    }

    @Test("in a child process it is the child's id, not its parent's or its group's")
    func noArgumentsInChild() throws {
        // getpid is 39.
        let child = try ChildProcess { rawSyscall(__NR_no_args) == rawSyscall(39) ? 0 : 1 }
        #expect(try child.wait() == .exited(0))
    }

    @Test(
        "in a PID namespace it is the ID there",
        .enabled(if: access("/proc/self/ns/pid", F_OK) == 0, "this kernel has no namespaces of process ids"))
    func noArgumentsInNamespace() async throws {
        let ending = try await withCheckedThrowingContinuation { continuation in
            // The children of this thread only will be there.
            Thread {
                continuation.resume(
                    with: Result {
                        // unshare is 272, and 0x20000000 CLONE_NEWPID of linux/sched.h. The first process there has id
                        // 1.
                        try syscall(272, 0x2000_0000)
                        return try ChildProcess { rawSyscall(__NR_no_args) == 1 ? 0 : 1 }.wait()
                    })
            }.start()
        }
        #expect(ending == .exited(0))
    }

    @Test("it is the process's id on every thread, not the thread's")
    func noArgumentsOnThread() async throws {
        let (result, thread) = await withCheckedContinuation { continuation in
            Thread {
                // gettid is 186.
                continuation.resume(returning: (Result { try syscall(__NR_no_args) }, try? syscall(186)))
            }.start()
        }
        #expect(thread != Int(getpid()))
        #expect(try result.get() == Int(getpid()))
    }
}
