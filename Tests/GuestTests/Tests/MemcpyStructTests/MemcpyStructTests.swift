// SPDX-License-Identifier: Apache-2.0
import Glibc
import SyscallNumbers
import SyscallTesting
import Testing

/// Both programs' ways into the call: the 64-bit one with a struct of 24 bytes, and `int 0x80` with one of 12.
enum Entry: String, CaseIterable, Sendable {
    case native, compat

    /// The bytes of a pointer, and of an unsigned long.
    var wordSize: Int { self == .native ? 8 : 4 }
    var structSize: Int { 3 * wordSize }

    /// The entries that this kernel has.
    static var available: [Entry] { isInt80Available ? allCases : [.native] }

    func call(_ arguments: UnsafeRawPointer?) throws -> Int {
        switch self {
        case .native: try syscall(__NR_memcpy_struct, arguments)
        case .compat: try int80(__NR_ia32_memcpy_struct, arguments)
        }
    }

    /// Writes the struct in this entry's layout, at the end of what may be read: a kernel that reads the other, longer
    /// layout runs into the guard page.
    func arguments(_ source: UInt, _ destination: UInt, _ size: UInt) throws -> GuardedBuffer {
        let buffer = try GuardedBuffer(count: structSize, isLow: true)
        for (index, word) in [source, destination, size].enumerated() {
            switch self {
            case .native: buffer.bytes.storeBytes(of: word, toByteOffset: 8 * index, as: UInt.self)
            case .compat:
                let word = UInt32(truncatingIfNeeded: word)
                buffer.bytes.storeBytes(of: word, toByteOffset: 4 * index, as: UInt32.self)
            }
        }
        return buffer
    }

    func copy(_ source: UInt, _ destination: UInt, _ size: UInt) throws -> Int {
        let arguments = try arguments(source, destination, size)
        return try call(arguments.bytes.baseAddress.map { UnsafeRawPointer($0) })
    }
}

/// Memory below 4 GiB, which both entries can reach, as large as the call's bound and more.
final class LowMemory {
    static let size = 2 << 20
    private let base: UnsafeMutableRawPointer

    init() throws {
        let mapping = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0)
        guard let mapping, mapping != MAP_FAILED else { throw Errno(errno) }
        base = mapping
    }

    deinit { munmap(base, Self.size) }

    var bytes: UnsafeMutableRawBufferPointer { .init(start: base, count: Self.size) }
    var address: UInt { UInt(bitPattern: base) }

    // Loops over so many bytes take seconds in an emulated machine, so the C library does the work.

    /// Fills the first `count` bytes with a pattern that repeats at no power of two.
    func fill(_ count: Int) {
        let period = 251
        for index in 0..<min(count, period) { bytes[index] = UInt8(index) }
        var filled = period
        while filled < count {
            let more = min(filled, count - filled)
            memcpy(base + filled, base, more)
            filled += more
        }
    }

    /// Sets all bytes.
    func clear(to byte: UInt8) { memset(base, Int32(byte), Self.size) }

    /// Whether the first `count` bytes are the same as another's.
    func equals(_ other: LowMemory, count: Int) -> Bool { memcmp(base, other.base, count) == 0 }
}

@Suite("memcpy_struct")
struct MemcpyStructTests {
    /// The longest copy that the call accepts, as documented in kernel/memcpy-struct.
    static let bound = 1 << 20

    @Test(
        "exactly the requested bytes are copied",
        arguments: Entry.available, [1, 2, 12, 24, 4095, 4096, 4097, 100_000])
    func exactLength(entry: Entry, count: Int) throws {
        let (source, target) = (try LowMemory(), try LowMemory())
        source.fill(count)
        target.clear(to: 0xA5)
        #expect(try entry.copy(source.address, target.address, UInt(count)) == 0)
        #expect(target.equals(source, count: count))
        #expect(target.bytes[count..<(count + 16)].allSatisfy { $0 == 0xA5 })
    }

    @Test("the struct itself may be source or destination", arguments: Entry.available)
    func structIsDestination(entry: Entry) throws {
        let source = try LowMemory()
        source.fill(entry.structSize)
        let arguments = try entry.arguments(0, 0, 0)
        let own = UInt(bitPattern: arguments.bytes.baseAddress)
        let filled = try entry.arguments(source.address, own, UInt(entry.structSize))
        arguments.bytes.copyMemory(from: UnsafeRawBufferPointer(filled.bytes))
        #expect(try entry.call(arguments.bytes.baseAddress.map { UnsafeRawPointer($0) }) == 0)
        #expect(arguments.bytes.elementsEqual(source.bytes[..<entry.structSize]))
    }

    @Test("overlapping ranges are copied as if through a buffer", arguments: Entry.available, [-3, -1, 0, 1, 3])
    func overlap(entry: Entry, shift: Int) throws {
        let memory = try LowMemory()
        memory.fill(64)
        let expected = Array(memory.bytes[16..<48])
        let destination = UInt(bitPattern: Int(bitPattern: memory.address) + 16 + shift)
        #expect(try entry.copy(memory.address + 16, destination, 32) == 0)
        #expect(Array(memory.bytes[(16 + shift)..<(48 + shift)]) == expected)
    }

    @Test("a size of 0 succeeds without checking the addresses", arguments: Entry.available)
    func zeroLength(entry: Entry) throws {
        #expect(try entry.copy(0, 0, 0) == 0)
    }

    @Test("the documented bound is accepted; more is E2BIG", arguments: Entry.available)
    func bound(entry: Entry) throws {
        let (source, target) = (try LowMemory(), try LowMemory())
        source.fill(Self.bound + 1)
        #expect(try entry.copy(source.address, target.address, UInt(Self.bound)) == 0)
        #expect(target.equals(source, count: Self.bound))
        #expect(target.bytes[Self.bound] == 0)
        #expect(throws: Errno.E2BIG) { try entry.copy(source.address, target.address, UInt(Self.bound) + 1) }
        #expect(throws: Errno.E2BIG) { try entry.copy(source.address, target.address, .max) }
    }

    @Test("a struct that cannot be read is EFAULT", arguments: BadPointer.allCases)
    func badStruct(pointer: BadPointer) {
        #expect(throws: Errno.EFAULT) { try Entry.native.call(pointer.address.map { UnsafeRawPointer($0) }) }
    }

    @Test("a struct that runs into an unreadable page is EFAULT", arguments: Entry.available)
    func cutStruct(entry: Entry) throws {
        let memory = try LowMemory()
        for missing in [1, entry.wordSize, 2 * entry.wordSize] {
            let cut = try GuardedBuffer(count: entry.structSize - missing, isLow: true)
            let whole = try entry.arguments(memory.address, memory.address + 64, 1)
            cut.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole.bytes[..<cut.bytes.count]))
            #expect(throws: Errno.EFAULT) { try entry.call(cut.bytes.baseAddress.map { UnsafeRawPointer($0) }) }
        }
    }

    @Test("bad addresses in the struct are EFAULT", arguments: BadPointer.allCases)
    func badAddresses(pointer: BadPointer) throws {
        let memory = try LowMemory()
        let bad = UInt(bitPattern: pointer.address)
        #expect(throws: Errno.EFAULT) { try Entry.native.copy(memory.address, bad, 16) }
        memory.clear(to: 0xA5)
        #expect(throws: Errno.EFAULT) { try Entry.native.copy(bad, memory.address, 16) }
        #expect(memory.bytes[..<16].allSatisfy { $0 == 0xA5 })
    }

    @Test(
        "bad addresses in a 32-bit program's struct are EFAULT",
        .enabled(if: isInt80Available, "this kernel runs no 32-bit programs"),
        // NULL, the page after it, and the last of the 32-bit addresses, where no program has memory.
        arguments: [0, 0x800, 0xFFFF_F000] as [UInt])
    func badCompatAddresses(bad: UInt) throws {
        let memory = try LowMemory()
        #expect(throws: Errno.EFAULT) { try Entry.compat.copy(memory.address, bad, 16) }
        #expect(throws: Errno.EFAULT) { try Entry.compat.copy(bad, memory.address, 16) }
        #expect(throws: Errno.EFAULT) {
            try Entry.compat.call(UnsafeRawPointer(bitPattern: bad))
        }
    }

    @Test("read-only memory is not a valid destination, but may contain the struct", arguments: Entry.available)
    func readOnly(entry: Entry) throws {
        let (memory, target) = (try LowMemory(), try GuardedBuffer(count: 16, isLow: true))
        memory.fill(16)
        try target.makeReadOnly()
        let address = UInt(bitPattern: target.bytes.baseAddress)
        #expect(throws: Errno.EFAULT) { try entry.copy(memory.address, address, 16) }
        #expect(target.bytes.allSatisfy { $0 == 0 })
        let arguments = try entry.arguments(address, memory.address, 16)
        try arguments.makeReadOnly()
        #expect(try entry.call(arguments.bytes.baseAddress.map { UnsafeRawPointer($0) }) == 0)
        #expect(memory.bytes[..<16].allSatisfy { $0 == 0 })
    }

    @Test("a copy that runs into an unreadable or unwritable page is EFAULT", arguments: Entry.available)
    func pageBoundary(entry: Entry) throws {
        let (source, target) = (try GuardedBuffer(count: 100, isLow: true), try GuardedBuffer(count: 100, isLow: true))
        for index in 0..<100 { source.bytes[index] = UInt8(index) }
        let (from, to) = (UInt(bitPattern: source.bytes.baseAddress), UInt(bitPattern: target.bytes.baseAddress))
        #expect(try entry.copy(from, to, 100) == 0)
        #expect(target.bytes.elementsEqual(source.bytes))
        #expect(throws: Errno.EFAULT) { try entry.copy(from, to, 101) }
        #expect(throws: Errno.EFAULT) { try entry.copy(from, to + 1, 100) }
    }
}
