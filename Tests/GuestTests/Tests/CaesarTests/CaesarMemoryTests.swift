// SPDX-License-Identifier: Apache-2.0
import SyscallNumbers
import SyscallTesting
import Testing

/// That the kernel's buffer is given back, and given back once.
extension CaesarTests {
    /// How a call ends after it has allocated.
    enum Ending: CaseIterable, Sendable {
        case success, unreadable, tooLong, unwritable

        func call() {
            var output: UInt8 = 0
            let bad = BadPointer.unmapped.address
            let input = [UInt8](repeating: 120, count: self == .tooLong ? CaesarTests.bound + 1 : 0) + [0]
            input.withUnsafeBytes { input in
                withUnsafeMutableBytes(of: &output) { output in
                    let (source, target) = (input.baseAddress, output.baseAddress)
                    let expected: Errno?
                    switch self {
                    case .success: expected = nil
                    case .unreadable, .unwritable: expected = .EFAULT
                    case .tooLong: expected = .E2BIG
                    }
                    do throws(Errno) {
                        switch self {
                        case .success, .tooLong: try syscall(__NR_caesar, source, target, 0, 1)
                        case .unreadable: try syscall(__NR_caesar, bad, target, 0, 1)
                        case .unwritable: try syscall(__NR_caesar, source, bad, 0, 1)
                        }
                        if expected != nil { Issue.record("the call succeeded") }
                    } catch {
                        if error != expected { Issue.record(error) }
                    }
                }
            }
        }
    }

    @Test("the kernel's buffer is freed after every end of the call", arguments: Ending.allCases)
    func freed(ending: Ending) throws {
        // 4096 buffers of 4 KiB.
        let limit = 8 << 20
        let growth = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<4096 { ending.call() }
        }
        #expect(growth < limit)
    }

    @Test("it is freed once, or two messages of a queue would share it", arguments: Ending.allCases)
    func freedOnce(ending: Ending) throws {
        // x86-64 numbers from asm/unistd_64.h. A message of System V has a header of 48 bytes (struct msg_msg in
        // linux/msg.h), so that one of 4048 bytes takes memory of the same size as caesar's buffer.
        let (msgget, msgsnd, msgrcv, msgctl): (Int32, Int32, Int32, Int32) = (68, 69, 70, 71)
        let size = 4096 - 48
        // IPC_PRIVATE is 0.
        let queue = try syscall(msgget, 0, 0o600)
        // IPC_RMID is 0.
        defer { _ = try? syscall(msgctl, queue, 0, 0) }
        // Many times: the freed memory is found again only on the processor that freed it.
        for _ in 0..<50 {
            ending.call()
            for type in [1, 2] {
                // struct msgbuf: a long that is the type, then the bytes.
                let message = [type] + [Int](repeating: type, count: size / 8)
                try message.withUnsafeBytes { _ = try syscall(msgsnd, queue, $0.baseAddress, size, 0) }
            }
            for type in [1, 2] {
                var message = [Int](repeating: 0, count: 1 + size / 8)
                let length = try message.withUnsafeMutableBytes {
                    try syscall(msgrcv, queue, $0.baseAddress, size, type, 0)
                }
                try #require(length == size)
                try #require(message.allSatisfy { $0 == type })
            }
        }
    }
}
