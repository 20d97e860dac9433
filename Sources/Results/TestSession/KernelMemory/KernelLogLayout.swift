// SPDX-License-Identifier: Apache-2.0
import CrashReports

/// The places of a kernel's taint and log in memory: the structures of kernel/printk/printk_ringbuffer.h in Linux 5.10
/// and later (read from 5.10, 6.1 and 6.12; a kernel whose symbols have other sizes is refused, and each record is
/// checked against its neighbours).
///
/// Sizes that differ between kernels come from the symbols' sizes in vmlinux. These do not give the order of the fields
/// at the start of each structure.
public struct KernelLogLayout: Sendable, Hashable {
    /// A symbol of vmlinux.
    public struct Symbol: Sendable, Hashable {
        /// Its address.
        public var address: UInt64
        /// Its size in bytes.
        public var size: UInt64

        /// Creates a symbol.
        public init(address: UInt64, size: UInt64) {
            self.address = address
            self.size = size
        }
    }

    /// Why a kernel's memory cannot be read: a sentence without its subject.
    public struct Obstacle: Error, Equatable {
        /// The reason.
        public var reason: String

        /// Creates an obstacle.
        public init(_ reason: String) { self.reason = reason }
    }

    /// The necessary symbols: the taint, the version's text, which checks the mapping, the pointer to the ring buffer,
    /// the first ring buffer, and its descriptors and records.
    public static let symbols: Set<String> = [
        "tainted_mask", "linux_banner", "prb", "printk_rb_static", "_printk_rb_static_descs", "_printk_rb_static_infos",
    ]

    private let taintedMask: UInt64
    private let banner: UInt64
    private let ringPointer: UInt64
    /// The size in bytes of a struct printk_ringbuffer.
    private let ringSize: Int
    /// The offset of the text_data_ring in it.
    private let dataRing: Int
    private let descriptorSize: Int
    private let infoSize: Int

    /// The beginning of the version's text.
    private static let bannerStart = Array("Linux version ".utf8)
    /// The most records to read, the newest: a log of 128 KB has at most 4096.
    static let mostRecords = 16_384
    /// The most bytes of text to read.
    static let mostText = 4 << 20

    /// Reads the addresses of a kernel's symbols.
    ///
    /// - Throws: `Obstacle` when symbols are missing or have sizes that no known kernel has.
    public init(_ symbols: [String: Symbol]) throws(Obstacle) {
        func symbol(_ name: String) throws(Obstacle) -> Symbol {
            guard let symbol = symbols[name] else { throw Obstacle("vmlinux has no single symbol \(name)") }
            return symbol
        }
        let taint = try symbol("tainted_mask")
        let pointer = try symbol("prb")
        let ring = try symbol("printk_rb_static")
        guard taint.size == 8, pointer.size == 8 else {
            throw Obstacle("tainted_mask has \(taint.size) bytes and prb \(pointer.size), where 8 are known")
        }
        // Linux 5.18 added last_finalized_id, later last_finalized_seq, after the ring's head_id and tail_id.
        switch ring.size {
        case 80: dataRing = 40
        case 88: dataRing = 48
        default: throw Obstacle("printk_rb_static has \(ring.size) bytes, where 80 and 88 are known")
        }
        ringSize = Int(ring.size)
        // Both tables have the same number of elements: a descriptor has three words.
        let descriptors = try symbol("_printk_rb_static_descs")
        let infos = try symbol("_printk_rb_static_infos")
        let count = descriptors.size / 24
        guard count > 0, count & (count - 1) == 0, descriptors.size % 24 == 0, infos.size % count == 0,
            (24...4096).contains(infos.size / count)
        else {
            throw Obstacle(
                "the log's tables have \(descriptors.size) and \(infos.size) bytes, which fit no known kernel")
        }
        (descriptorSize, infoSize) = (24, Int(infos.size / count))
        (taintedMask, ringPointer) = (taint.address, pointer.address)
        banner = try symbol("linux_banner").address
    }

    /// Reads the taint and the log.
    ///
    /// - Parameter read: Reads parts of the kernel's memory, given by address and length.
    /// - Throws: `Obstacle` when the memory does not contain a log; errors of `read`.
    public func read(
        _ read: ([(address: UInt64, count: Int)]) async throws -> [[UInt8]]
    ) async throws -> KernelMemory {
        func parts(_ ranges: [(address: UInt64, count: Int)]) async throws -> [[UInt8]] {
            let parts = try await read(ranges)
            guard parts.map(\.count) == ranges.map(\.count) else { throw Obstacle("not all of it came") }
            return parts
        }
        let first = try await parts([(banner, Self.bannerStart.count), (taintedMask, 8), (ringPointer, 8)])
        guard first[0] == Self.bannerStart else {
            throw Obstacle(
                "the kernel is not where its vmlinux says, as one that moves itself at boot is (CONFIG_RANDOMIZE_BASE)")
        }
        let taint = first[1].word(at: 0)
        let ring = try Ring(try await parts([(first[2].word(at: 0), ringSize)])[0], dataRing: dataRing)

        // The tables of the newest records, in two parts if they wrap.
        let count = min(ring.liveDescriptors, Self.mostRecords)
        let firstID = (ring.headID &- UInt64(count) &+ 1) & Ring.idMask
        let start = Int(firstID & (ring.descriptorCount - 1))
        let pieces = Self.wrapped(start, count, of: Int(ring.descriptorCount))
        let tables = try await parts(
            pieces.map { (ring.descriptors &+ UInt64($0.start * descriptorSize), $0.count * descriptorSize) }
                + pieces.map { (ring.infos &+ UInt64($0.start * infoSize), $0.count * infoSize) })
        let descriptors = tables[..<pieces.count].flatMap { $0 }
        let infos = tables[pieces.count...].flatMap { $0 }

        // The text up to the last record's end, as far back as the limit permits.
        let span = min(ring.headPosition &- ring.tailPosition, ring.dataSize, UInt64(Self.mostText))
        let textStart = ring.headPosition &- span
        let text = try await parts(
            Self.wrapped(Int(textStart & (ring.dataSize - 1)), Int(span), of: Int(ring.dataSize))
                .map { (ring.data &+ UInt64($0.start), $0.count) }
        ).flatMap { $0 }

        var records: [KernelLogRecord] = []
        var strange = 0
        for index in 0..<count {
            let state = descriptors.word(at: index * descriptorSize)
            let id = (firstID &+ UInt64(index)) & Ring.idMask
            // 1 is committed and 2 finalised; others are not written yet or no longer there (enum desc_state).
            guard state & Ring.idMask == id, [1, 2].contains(state >> 62) else { continue }
            let info = infos[(index * infoSize)..<((index + 1) * infoSize)]
            let begin = descriptors.word(at: index * descriptorSize + 8)
            let next = descriptors.word(at: index * descriptorSize + 16)
            guard let record = ring.record(id: id, info: Array(info), begin: begin, next: next, text, from: textStart)
            else {
                strange += 1
                continue
            }
            records.append(record)
        }
        // One or two may be written while they are read.
        guard strange * 4 <= records.count || strange < 3 else {
            throw Obstacle("the log's records contradict each other, so its structure is not a known one")
        }
        for (one, other) in zip(records, records.dropFirst()) where one.sequence >= other.sequence {
            throw Obstacle("the log's records are not in order, so its structure is not a known one")
        }
        return KernelMemory(taint: KernelTaint(rawValue: taint), records: records)
    }

    /// A range of a ring of `size` elements as one or two ranges.
    private static func wrapped(_ start: Int, _ count: Int, of size: Int) -> [(start: Int, count: Int)] {
        guard count > 0 else { return [] }
        let first = min(count, size - start)
        return [(start, first)] + (first < count ? [(0, count - first)] : [])
    }

    /// A struct printk_ringbuffer.
    private struct Ring {
        /// DESC_ID_MASK: the two highest bits are the state.
        static let idMask = UInt64.max >> 2

        var descriptorCount: UInt64
        var descriptors: UInt64
        var infos: UInt64
        var headID: UInt64
        var tailID: UInt64
        var dataSize: UInt64
        var data: UInt64
        var headPosition: UInt64
        var tailPosition: UInt64

        init(_ bytes: [UInt8], dataRing: Int) throws(Obstacle) {
            let countBits = bytes.word(at: 0) & 0xFFFF_FFFF
            let sizeBits = bytes.word(at: dataRing) & 0xFFFF_FFFF
            // CONFIG_LOG_BUF_SHIFT is 12 to 25, and log_buf_len= at most 2 GB; a record has 32 bytes on average.
            guard (5...26).contains(countBits), (10...31).contains(sizeBits) else {
                throw Obstacle("there is no log where vmlinux has one")
            }
            descriptorCount = 1 << countBits
            descriptors = bytes.word(at: 8)
            infos = bytes.word(at: 16)
            headID = bytes.word(at: 24) & Self.idMask
            tailID = bytes.word(at: 32) & Self.idMask
            dataSize = 1 << sizeBits
            data = bytes.word(at: dataRing + 8)
            headPosition = bytes.word(at: dataRing + 16)
            tailPosition = bytes.word(at: dataRing + 24)
            guard headPosition &- tailPosition <= dataSize, (headID &- tailID) & Self.idMask < descriptorCount else {
                throw Obstacle("the log's head and tail are too far apart")
            }
        }

        /// The number of descriptors from the tail to the head, both included.
        var liveDescriptors: Int { Int((headID &- tailID) & Self.idMask) + 1 }

        /// Reads a struct printk_info and its text; nil when they contradict the descriptor.
        func record(
            id: UInt64, info: [UInt8], begin: UInt64, next: UInt64, _ text: [UInt8], from textStart: UInt64
        ) -> KernelLogRecord? {
            let sequence = info.word(at: 0)
            // The numbers of records and descriptors rise together.
            guard sequence & (descriptorCount - 1) == id & (descriptorCount - 1) else { return nil }
            let length = Int(info[16]) | Int(info[17]) << 8
            let caller = UInt32(truncatingIfNeeded: info.word(at: 16) >> 32)
            var record = KernelLogRecord(
                sequence: sequence, nanoseconds: info.word(at: 8), facility: info[18], level: info[19] >> 5,
                caller: caller >> 31 == 1 ? .cpu(Int(caller & 0x7FFF_FFFF)) : .task(Int(caller)), text: [])
            // Bit 0 marks a record without text (LPOS_DATALESS).
            if begin & 1 == 1 { return record }
            // A block that does not fit after the others is at the ring's start (get_data in printk_ringbuffer.c). A
            // block that ends exactly at the ring's end is before it in kernels that put it there.
            let (mask, isWrapped) = (~(dataSize - 1), begin & ~(dataSize - 1) != next & ~(dataSize - 1))
            let block = isWrapped && next & mask != next ? next & mask : begin
            // Text beyond the limit is omitted; the text of a live record has not been overwritten.
            guard block &- textStart < UInt64(text.count) else {
                return text.count == KernelLogLayout.mostText ? record : nil
            }
            let offset = Int(block &- textStart)
            guard offset + 8 <= text.count, text.word(at: offset) == id, UInt64(length) <= next &- block,
                offset + 8 + length <= text.count
            else { return nil }
            record.text = Array(text[(offset + 8)..<(offset + 8 + length)])
            return record
        }
    }
}

extension [UInt8] {
    /// The little-endian word of eight bytes at `start`, which the caller has checked to be within the array.
    fileprivate func word(at start: Int) -> UInt64 {
        (0..<8).reduce(0) { $0 | UInt64(self[start + $1]) << (8 * UInt64($1)) }
    }
}
