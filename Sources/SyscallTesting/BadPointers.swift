// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Invalid addresses of different kinds, which a system call must refuse with EFAULT.
public enum BadPointer: String, CaseIterable, Sendable, CustomStringConvertible {
    /// NULL.
    case null
    /// An unmapped page of the process.
    case unmapped
    /// An address in the kernel's half.
    case kernel
    /// An address that is not canonical: bits 48 to 63 do not repeat bit 47.
    case nonCanonical

    /// The address.
    public var address: UnsafeMutableRawPointer? {
        switch self {
        case .null: nil
        // The first page is never mapped: vm.mmap_min_addr keeps it free.
        case .unmapped: UnsafeMutableRawPointer(bitPattern: 0x800)
        // The start of the direct mapping (Documentation/arch/x86/x86_64/mm.rst).
        case .kernel: UnsafeMutableRawPointer(bitPattern: UInt(0xFFFF_8880_0000_0000))
        case .nonCanonical: UnsafeMutableRawPointer(bitPattern: 0x0000_8000_0000_0000)
        }
    }

    /// The case's name.
    public var description: String { rawValue }
}

/// Two pages of memory, of which the second is inaccessible, so that an access to one byte too many always faults.
public final class GuardedBuffer {
    private let mapping: UnsafeMutableRawPointer
    private let page: Int
    /// The usable bytes, which end at the guard page.
    public let bytes: UnsafeMutableRawBufferPointer

    /// Maps a buffer of `count` bytes (at most a page) that ends at a guard page.
    ///
    /// - Parameters:
    ///   - count: Usable bytes.
    ///   - isLow: Whether its addresses must fit 32 bits, as `int80` needs them.
    /// - Throws: `Errno` when the memory cannot be mapped.
    public init(count: Int, isLow: Bool = false) throws(Errno) {
        page = sysconf(Int32(_SC_PAGESIZE))
        precondition(count <= page, "a guarded buffer holds at most a page")
        guard
            let mapping = mmap(
                nil, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (isLow ? MAP_32BIT : 0), -1, 0),
            mapping != MAP_FAILED
        else { throw Errno(errno) }
        guard mprotect(mapping + page, page, PROT_NONE) == 0 else {
            let code = errno
            munmap(mapping, 2 * page)
            throw Errno(code)
        }
        self.mapping = mapping
        bytes = UnsafeMutableRawBufferPointer(start: mapping + page - count, count: count)
    }

    deinit {
        munmap(mapping, 2 * page)
    }

    /// Makes the usable bytes read-only, so that a call can read them but must not change them.
    ///
    /// - Throws: `Errno` when the kernel refuses.
    public func makeReadOnly() throws(Errno) {
        guard mprotect(mapping, page, PROT_READ) == 0 else { throw Errno(errno) }
    }

    /// The first address after the usable bytes: an access to it faults.
    public var end: UnsafeMutableRawPointer { mapping + page }
}
