// SPDX-License-Identifier: Apache-2.0
import SyscallTesting
import Testing

/// The call with invalid lengths, and its use of the kernel's memory.
extension MemcpyStructTests {
    @Test(
        "a size is 64 bits wide: one with a small lower half is E2BIG",
        arguments: [1 << 32, 1 << 32 + 16, 1 << 63] as [UInt])
    func wideSize(size: UInt) throws {
        let memory = try LowMemory()
        #expect(throws: Errno.E2BIG) { try Entry.native.copy(memory.address, memory.address, size) }
    }

    @Test(
        "a 32-bit program's size is 32 bits wide: all of them count",
        .enabled(if: isInt80Available, "this kernel runs no 32-bit programs"),
        arguments: [1 << 21 + 16, 1 << 31 + 16, 0xFFFF_FFF0] as [UInt])
    func wideCompatSize(size: UInt) throws {
        let memory = try LowMemory()
        #expect(throws: Errno.E2BIG) { try Entry.compat.copy(memory.address, memory.address, size) }
    }

    @Test("the kernel's buffer is freed, whether the copy succeeds or not", arguments: Entry.available)
    func freed(entry: Entry) throws {
        let memory = try LowMemory()
        // NULL, and sixteen buffers of 1 MiB.
        let (bad, size): (UInt, UInt) = (0, UInt(Self.bound))
        let limit = 8 << 20
        let succeeding = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<16 { _ = try entry.copy(memory.address, memory.address, size) }
        }
        #expect(succeeding < limit)
        let failing = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<16 {
                #expect(throws: Errno.EFAULT) { try entry.copy(bad, memory.address, size) }
                #expect(throws: Errno.EFAULT) { try entry.copy(memory.address, bad, size) }
            }
        }
        #expect(failing < limit)
    }
}
