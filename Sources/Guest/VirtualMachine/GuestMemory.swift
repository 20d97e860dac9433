// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import Processes
import SystemPackage

/// A part of the guest kernel's memory, by its address in the kernel.
public struct GuestMemoryRange: Sendable, Hashable {
    /// The first byte's address.
    public var address: UInt64
    /// How many bytes.
    public var count: Int

    /// Names a part.
    public init(_ address: UInt64, _ count: Int) {
        self.address = address
        self.count = count
    }

    /// The most bytes of one part: log buffers are a few hundred kilobytes.
    static let mostBytes = 16 << 20

    /// Where x86-64 maps the kernel's image (`__START_KERNEL_map`), and for 4 and 5 levels of page tables all of memory
    /// (`__PAGE_OFFSET_BASE_L4`, `_L5`), in arch/x86/include/asm/page_64_types.h; and the latest ends of these
    /// mappings.
    private static let mappings: [(start: UInt64, size: UInt64)] = [
        (0xFFFF_FFFF_8000_0000, 1 << 30), (0xFFFF_8880_0000_0000, 1 << 46), (0xFF11_0000_0000_0000, 1 << 55),
    ]

    /// The address in the machine's memory, for a kernel without address randomization; nil outside the mappings that
    /// are the same in every process. The processor's own page tables cannot be used: with page-table isolation the
    /// tables of a running program do not map the kernel.
    var physicalAddress: UInt64? {
        guard count > 0, count <= Self.mostBytes else { return nil }
        for mapping in Self.mappings where address >= mapping.start {
            let offset = address - mapping.start
            if offset < mapping.size, UInt64(count) <= mapping.size - offset { return offset }
        }
        return nil
    }
}

/// The result of reading the guest's memory.
public enum GuestMemoryAnswer: Sendable, Equatable {
    /// The bytes of each requested part.
    case bytes([[UInt8]])
    /// The reason why they could not be read.
    case unread(String)
}

extension QEMUMonitor {
    /// Reads parts of the guest's memory. QEMU writes them to a file of the machine's private folder, the only folder
    /// that it may write to (`pmemsave`): a monitor command that prints memory would take ten times as long.
    mutating func read(_ ranges: [GuestMemoryRange], _ links: MachineLinks) async throws -> GuestMemoryAnswer {
        struct Arguments: Encodable {
            var val: UInt64
            var size: Int
            var filename: String
        }
        let file = links.folder.appending("kernel-memory")
        var parts: [[UInt8]] = []
        for range in ranges {
            guard let address = range.physicalAddress else {
                return .unread(
                    "0x\(String(range.address, radix: 16)) is not an address in the kernel's image or memory map")
            }
            do {
                unlink(file.string)
                try await execute("pmemsave", Arguments(val: address, size: range.count, filename: file.string))
                parts.append(try Self.contents(of: file, count: range.count))
            } catch let failure as Failure {
                unlink(file.string)
                return .unread([failure.message, failure.details].compactMap { $0 }.joined(separator: ": "))
            }
        }
        unlink(file.string)
        return .bytes(parts)
    }

    /// Reads QEMU's file. A QEMU that a guest has taken over may have put anything there instead.
    private static func contents(of file: FilePath, count: Int) throws -> [UInt8] {
        do {
            let descriptor = try FileDescriptor.open(file, .readOnly, options: [.closeOnExec, .noFollow, .nonBlocking])
            return try descriptor.closeAfter {
                guard let status = FileStatus(ofDescriptor: descriptor.rawValue), status.isRegular, status.size == count
                else { throw Failure(.infrastructure, "QEMU did not write \(count) bytes of memory to \(file)") }
                return try GuestMemoryRange.bytes(count) {
                    try descriptor.read(fromAbsoluteOffset: Int64($0), into: $1)
                }
            }
        } catch let error as SystemPackage.Errno {
            throw Failure(.infrastructure, "cannot read \(file)", details: "\(error)")
        }
    }
}

extension GuestMemoryRange {
    /// Reads exactly `count` bytes, piece by piece.
    fileprivate static func bytes(
        _ count: Int, _ read: (Int, UnsafeMutableRawBufferPointer) throws -> Int
    ) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            while initialized < count {
                let some = try read(initialized, UnsafeMutableRawBufferPointer(rebasing: raw[initialized..<count]))
                guard some > 0 else { throw Failure(.infrastructure, "the memory ends after \(initialized) bytes") }
                initialized += some
            }
        }
    }
}

/// The process of a guest in user-mode Linux, found among the descendants of the process that kbuild started: a
/// supervisor and a sandbox may be between the two. Its kernel's data is its own data, at the addresses of its symbols.
struct UMLProcess {
    let id: Int32

    /// The most processes of one guest to search.
    private static let mostProcesses = 4096

    /// Finds the first process that runs `kernel` among those that `ancestor` started, itself included.
    ///
    /// - Parameter ancestor: kbuild's own process, or one of its children.
    /// - Parameter marker: A word of the guest's command line that no other guest has.
    init?(kernel: FilePath, marker: String, beneath ancestor: Int32 = getpid()) {
        guard let wanted = FileStatus(kernel, followsLink: true) else { return nil }
        var queue = Self.children(of: ancestor)
        var next = 0
        while next < queue.count, next < Self.mostProcesses {
            let process = queue[next]
            next += 1
            if let status = FileStatus("/proc/\(process)/exe", followsLink: true), status.isSameInode(as: wanted),
                let line = try? readBytes(FilePath("/proc/\(process)/cmdline")),
                line.split(separator: 0).contains(where: { $0.elementsEqual(marker.utf8) })
            {
                id = process
                return
            }
            queue += Self.children(of: process)
        }
        return nil
    }

    /// The children of all of a process's threads (CONFIG_PROC_CHILDREN).
    private static func children(of process: Int32) -> [Int32] {
        let threads = (try? namesInFolder(FilePath("/proc/\(process)/task"))) ?? []
        return threads.flatMap { thread in
            ((try? readText(FilePath("/proc/\(process)/task/\(thread)/children"))) ?? "").split(separator: " ")
                .compactMap { Int32($0) }
        }
    }

    /// Reads parts of its memory.
    func read(_ ranges: [GuestMemoryRange]) -> GuestMemoryAnswer {
        do {
            let descriptor = try FileDescriptor.open(FilePath("/proc/\(id)/mem"), .readOnly, options: .closeOnExec)
            return .bytes(
                try descriptor.closeAfter {
                    try ranges.map { range in
                        guard let start = Int64(exactly: range.address), range.count > 0,
                            range.count <= GuestMemoryRange.mostBytes
                        else { throw Failure(.infrastructure, "no address of a process: \(range.address)") }
                        return try GuestMemoryRange.bytes(range.count) {
                            try descriptor.read(fromAbsoluteOffset: start + Int64($0), into: $1)
                        }
                    }
                })
        } catch {
            return .unread("cannot read the memory of user-mode Linux's process \(id): \(error)")
        }
    }
}
