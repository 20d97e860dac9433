// SPDX-License-Identifier: Apache-2.0
import SyscallNumbers
import SyscallTesting
import Testing

/// How much goes into the box, and that none of it stays in the kernel.
extension MsgboxTests {
    /// The longest message, as documented in kernel/msgbox.
    static let bound = 1 << 20

    @Test("the documented bound is accepted; one byte more is ENOMEM")
    func bound() throws {
        let message = [UInt8](repeating: 7, count: Self.bound + 1)
        #expect(try Msgbox.put(message, Self.bound) == 0)
        #expect(throws: Errno.ENOMEM) { try Msgbox.put(message, Self.bound + 1) }
        // Told as yes or no: to print two arrays of a million bytes takes longer than a test may.
        let isWhole = try Msgbox.get(capacity: Self.bound + 1) == Array(message.dropLast())
        #expect(isWhole)
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
    }

    @Test(
        "a length is 64 bits wide: put refuses one with a small lower half, get copies the whole message",
        arguments: [1 << 32, 1 << 32 + 1, Int.max])
    func wideLength(length: Int) throws {
        var byte: UInt8 = 7
        #expect(throws: Errno.ENOMEM) { try Msgbox.put(&byte, length) }
        #expect(throws: Errno.ENODATA) { try Msgbox.get() }
        try Msgbox.put([1, 2, 3])
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(try buffer.withUnsafeMutableBytes { try Msgbox.get($0.baseAddress, length) } == 3)
        #expect(buffer.prefix(3) == [1, 2, 3])
    }

    @Test("putting NULL is EFAULT with any length", arguments: [0, 1, bound + 1, -1, Int.min])
    func putNullFirst(length: Int) {
        #expect(throws: Errno.EFAULT) { try Msgbox.put(nil, length) }
    }

    @Test("a message that was taken, lost or refused is freed")
    func freed() throws {
        let message = [UInt8](repeating: 7, count: Self.bound)
        var buffer = message
        let bad = BadPointer.unmapped.address
        // Sixteen messages of 1 MiB.
        let limit = 8 << 20
        let taken = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<16 {
                try Msgbox.put(message)
                try buffer.withUnsafeMutableBytes { _ = try Msgbox.get($0.baseAddress, $0.count) }
            }
        }
        #expect(taken < limit)
        let lost = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<16 {
                try Msgbox.put(message)
                #expect(throws: Errno.EFAULT) { try Msgbox.get(bad, Self.bound) }
            }
        }
        #expect(lost < limit)
        let refused = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<16 {
                #expect(throws: Errno.EFAULT) { try Msgbox.put(bad.map { UnsafeRawPointer($0) }, Self.bound) }
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
                try Msgbox.put(&byte, 0)
                try Msgbox.get(&byte, 1)
            }
        }
        #expect(growth < limit)
    }
}
