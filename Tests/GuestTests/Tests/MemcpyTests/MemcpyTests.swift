// SPDX-License-Identifier: Apache-2.0
import SyscallNumbers
import SyscallTesting
import Testing

@Suite("memcpy")
struct MemcpyTests {
    /// The longest copy that the call accepts, as documented in kernel/memcpy.
    static let bound = 1 << 20

    @discardableResult
    private func copy(
        _ source: UnsafeRawPointer?, _ destination: UnsafeMutableRawPointer?, _ count: Int
    ) throws -> Int {
        try syscall(__NR_memcpy, source, destination, count)
    }

    /// Where two arrays differ first. To print them takes longer than a test may, when they have a million bytes.
    private func difference(_ actual: [UInt8], _ expected: [UInt8]) -> Int? {
        actual == expected
            ? nil : zip(actual, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? -1
    }

    @Test("ten integers arrive")
    func tenIntegers() throws {
        // Random, so that nothing can have been there before; the copy of the source is for a call that changes it.
        let expected: [Int32] = (0..<10).map { _ in .random(in: .min ... .max) }
        let source = expected.map { $0 }
        var target = [Int32](repeating: 0, count: 10)
        let result = try source.withUnsafeBytes { from in
            try target.withUnsafeMutableBytes { try copy(from.baseAddress, $0.baseAddress, from.count) }
        }
        #expect(result == 0)
        #expect(target == expected)
    }

    @Test("exactly the requested bytes are written", arguments: [1, 2, 63, 4095, 4096, 4097, 100_000])
    func exactLength(count: Int) throws {
        let source = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }
        var target = [UInt8](repeating: 0xA5, count: count + 16)
        try source.withUnsafeBytes { from in
            _ = try target.withUnsafeMutableBytes { try copy(from.baseAddress, $0.baseAddress, count) }
        }
        #expect(difference(target, source + [UInt8](repeating: 0xA5, count: 16)) == nil)
    }

    @Test(
        "a length of 0 succeeds, writes nothing and does not check the pointers", arguments: BadPointer.allCases)
    func zeroLength(pointer: BadPointer) throws {
        var target: [UInt8] = [0xA5]
        #expect(try copy([1] as [UInt8], &target, 0) == 0)
        #expect(try copy(pointer.address.map { UnsafeRawPointer($0) }, &target, 0) == 0)
        #expect(target == [0xA5])
        #expect(try copy([1] as [UInt8], pointer.address, 0) == 0)
    }

    @Test("overlapping ranges are copied as if through a buffer", arguments: [-3, -1, 0, 1, 3])
    func overlap(shift: Int) throws {
        var bytes = (0..<64).map { UInt8($0) }
        let expected = Array(bytes[16..<48])
        try bytes.withUnsafeMutableBytes { buffer in
            let base = try #require(buffer.baseAddress)
            _ = try copy(base + 16, base + 16 + shift, 32)
        }
        #expect(Array(bytes[(16 + shift)..<(48 + shift)]) == expected)
    }

    @Test("a copy may cross pages and end at one")
    func pageBoundary() throws {
        let source = try GuardedBuffer(count: 100)
        let target = try GuardedBuffer(count: 100)
        for index in 0..<100 { source.bytes[index] = UInt8(index) }
        #expect(try copy(source.bytes.baseAddress, target.bytes.baseAddress, 100) == 0)
        #expect(Array(target.bytes) == (0..<100).map { UInt8($0) })
        #expect(throws: Errno.EFAULT) { try copy(source.bytes.baseAddress, target.bytes.baseAddress, 101) }
    }

    @Test("a bad source fails with EFAULT", arguments: BadPointer.allCases)
    func badSource(pointer: BadPointer) throws {
        var target = [UInt8](repeating: 0xA5, count: 16)
        #expect(throws: Errno.EFAULT) {
            try copy(pointer.address.map { UnsafeRawPointer($0) }, &target, 16)
        }
        #expect(target == [UInt8](repeating: 0xA5, count: 16))
    }

    @Test("a bad destination fails with EFAULT", arguments: BadPointer.allCases)
    func badDestination(pointer: BadPointer) throws {
        let source = [UInt8](repeating: 1, count: 16)
        #expect(throws: Errno.EFAULT) { try copy(source, pointer.address, 16) }
    }

    @Test("read-only memory is not a valid destination: EFAULT")
    func readOnlyDestination() throws {
        let target = try GuardedBuffer(count: 16)
        try target.makeReadOnly()
        let source = [UInt8](repeating: 1, count: 16)
        #expect(throws: Errno.EFAULT) { try copy(source, target.bytes.baseAddress, 16) }
        #expect(target.bytes.allSatisfy { $0 == 0 })
        var copied = [UInt8](repeating: 1, count: 16)
        #expect(try copy(target.bytes.baseAddress, &copied, 16) == 0)
        #expect(copied.allSatisfy { $0 == 0 })
    }

    @Test("the documented bound is accepted; one byte more is E2BIG")
    func bound() throws {
        let source = [UInt8](repeating: 7, count: Self.bound + 1)
        var target = [UInt8](repeating: 0, count: Self.bound + 1)
        #expect(try copy(source, &target, Self.bound) == 0)
        #expect(difference(target, [UInt8](repeating: 7, count: Self.bound) + [0]) == nil)
        #expect(throws: Errno.E2BIG) { try copy(source, &target, Self.bound + 1) }
        // Lengths whose lower half, or whose sign, makes them look short.
        for count in [-1, .min, .max, 1 << 32, 1 << 32 + 16] {
            #expect(throws: Errno.E2BIG, "\(count)") { try copy(source, &target, count) }
        }
        #expect(difference(target, [UInt8](repeating: 7, count: Self.bound) + [0]) == nil)
    }

    @Test("the bound is checked before the pointers", arguments: BadPointer.allCases)
    func boundFirst(pointer: BadPointer) {
        let address = pointer.address
        #expect(throws: Errno.E2BIG) { try copy(address.map { UnsafeRawPointer($0) }, address, Self.bound + 1) }
    }

    @Test("the kernel's buffer is freed, whether the copy succeeds or not")
    func freed() throws {
        let source = [UInt8](repeating: 7, count: Self.bound)
        var target = source
        let bad = BadPointer.unmapped.address
        // Sixteen buffers of 1 MiB.
        let limit = 8 << 20
        let succeeding = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<16 { _ = try copy(source, &target, Self.bound) }
        }
        #expect(succeeding < limit)
        let failing = try kernelMemoryGrowth(limit: limit) {
            for _ in 0..<16 {
                #expect(throws: Errno.EFAULT) { try copy(bad.map { UnsafeRawPointer($0) }, &target, Self.bound) }
                #expect(throws: Errno.EFAULT) { try copy(source, bad, Self.bound) }
            }
        }
        #expect(failing < limit)
    }
}
