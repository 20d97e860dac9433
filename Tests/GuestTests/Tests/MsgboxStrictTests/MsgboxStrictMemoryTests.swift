// SPDX-License-Identifier: Apache-2.0
import SyscallNumbers
import SyscallTesting
import Testing

/// Messages of no bytes and of too many, and that none of them stays in the kernel.
extension MsgboxStrictTests {
    @Test("an empty message is a message, and fits an empty buffer")
    func zeroLength() throws {
        try Self.put("underneath")
        var byte: UInt8 = 0xA5
        #expect(try Self.put(&byte, 0) == 0)
        #expect(try Self.get(&byte, 0) == 0)
        #expect(try Self.put(&byte, 0) == 0)
        #expect(try Self.get(&byte, 1) == 0)
        #expect(byte == 0xA5)
        #expect(throws: Errno.EMSGSIZE) { try Self.get(&byte, 0) }
        #expect(try Self.get() == "underneath")
    }

    @Test("a message without memory for it is EADDRNOTAVAIL, and the kernel logs no warning")
    func memory() throws {
        var byte: UInt8 = 0
        let log = try kernelMessages {
            #expect(throws: Errno.EADDRNOTAVAIL) { try Self.put(&byte, .max) }
        }
        // 4 is KERN_WARNING.
        #expect(log.filter { $0.level <= 4 } == [])
        #expect(throws: Errno.ENODATA) { try Self.get() }
    }

    @Test("a message that was taken or refused is freed")
    func freed() throws {
        let message = [UInt8](repeating: 7, count: 1 << 20)
        var buffer = message
        let count = Int32(message.count)
        // Sixteen messages of 1 MiB.
        let limit = 8 << 20
        let taken = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<16 {
                _ = try Self.put(message, count)
                _ = try Self.get(&buffer, count)
            }
        }
        #expect(taken < limit)
        let bad = BadPointer.unmapped.address
        let refused = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<16 {
                #expect(throws: Errno.EFAULT) { try Self.put(bad.map { UnsafeRawPointer($0) }, count) }
            }
        }
        #expect(refused < limit)
    }

    @Test("an empty message is freed when it is taken")
    func emptyFreed() throws {
        var byte: UInt8 = 0
        // 32,768 messages of no bytes take 32 bytes each.
        let limit = 512 << 10
        let growth = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<32_768 {
                _ = try Self.put(&byte, 0)
                _ = try Self.get(&byte, 0)
            }
        }
        #expect(growth < limit)
    }
}
