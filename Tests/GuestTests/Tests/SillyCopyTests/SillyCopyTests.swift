// SPDX-License-Identifier: Apache-2.0
import SyscallNumbers
import SyscallTesting
import Testing

@Suite("silly_copy", .serialized)
struct SillyCopyTests {
    private func copy(_ source: UnsafeRawPointer?, _ target: UnsafeMutableRawPointer?, _ count: Int) throws -> Int {
        try syscall(__NR_silly_copy, source, target, count)
    }

    @Test("up to the size of a long is copied, and the count returned", arguments: 0...8)
    func copies(count: Int) throws {
        let source: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
        var target = [UInt8](repeating: 0xA5, count: 16)
        #expect(try copy(source, &target, count) == count)
        // Not with `source`: a call that copies the other way would have changed that.
        #expect(target == (0..<count).map { UInt8($0 + 1) } + [UInt8](repeating: 0xA5, count: 16 - count))
    }

    @Test("a bad address is EFAULT", arguments: BadPointer.allCases)
    func badAddresses(pointer: BadPointer) {
        var buffer = [UInt8](repeating: 0, count: 8)
        #expect(throws: Errno.EFAULT) { try copy(pointer.address.map { UnsafeRawPointer($0) }, &buffer, 8) }
        #expect(throws: Errno.EFAULT) { try copy([1, 2, 3, 4, 5, 6, 7, 8] as [UInt8], pointer.address, 8) }
    }

    @Test("a copy of 0 bytes does not check its addresses", arguments: BadPointer.allCases)
    func noBytes(pointer: BadPointer) throws {
        #expect(try copy(pointer.address.map { UnsafeRawPointer($0) }, pointer.address, 0) == 0)
    }

    @Test("no byte after the count is read or written", arguments: 1...8)
    func guardPages(count: Int) throws {
        let source = try GuardedBuffer(count: count)
        let target = try GuardedBuffer(count: count)
        for index in 0..<count { source.bytes[index] = UInt8(0x10 + index) }
        #expect(try copy(source.bytes.baseAddress, target.bytes.baseAddress, count) == count)
        #expect(Array(target.bytes) == (0..<count).map { UInt8(0x10 + $0) })
        guard count < 8 else { return }
        var bytes = [UInt8](repeating: 0, count: 8)
        #expect(throws: Errno.EFAULT) { try copy(source.bytes.baseAddress, &bytes, count + 1) }
        #expect(throws: Errno.EFAULT) { try copy(bytes, target.bytes.baseAddress, count + 1) }
    }

    @Test("more is EINVAL with any addresses", arguments: [9, 16, 64, 256, 1 << 32, -1, Int.min, Int.max])
    func tooLong(count: Int) {
        let source = [UInt8](repeating: 0x41, count: 256)
        var target = [UInt8](repeating: 0xA5, count: 256)
        #expect(throws: Errno.EINVAL) { try copy(source, &target, count) }
        #expect(target.allSatisfy { $0 == 0xA5 })
        #expect(throws: Errno.EINVAL) { try copy(nil, nil, count) }
    }
}
