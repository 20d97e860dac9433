// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import CrashReports
@testable import TestSession

/// A kernel's memory as a table of regions, with a log of few records.
private struct FakeKernel {
    /// A record to be written.
    struct Record {
        var text: String
        var nanoseconds: UInt64
        var facility: UInt8 = 0
        var caller: UInt32 = 1
    }

    static let countBits = 5
    static let sizeBits = 10
    static let infoSize = 88
    static let image: UInt64 = 0xFFFF_FFFF_8100_0000

    var bytes: [UInt8] = []
    let symbols: [String: KernelLogLayout.Symbol]

    /// - Parameter ringSize: 88, or 80 for the kernels before 5.18.
    init(_ records: [Record], taint: UInt64 = 0, ringSize: Int = 88) {
        let count = 1 << Self.countBits
        let dataSize = UInt64(1) << Self.sizeBits
        let (banner, mask, pointer, ring) = (0, 64, 72, 80)
        let (descriptors, infos) = (ring + 88, ring + 88 + count * 24)
        let data = infos + count * Self.infoSize
        var memory = [UInt8](repeating: 0, count: data + Int(dataSize))
        func put(_ value: UInt64, _ size: Int, at place: Int) {
            for byte in 0..<size { memory[place + byte] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte))) }
        }
        for (index, byte) in "Linux version 6.1.0 (me)\n".utf8.enumerated() { memory[banner + index] = byte }
        put(taint, 8, at: mask)
        put(Self.image + UInt64(ring), 8, at: pointer)

        // As printk_ringbuffer.h's DESC0_ID and BLK0_LPOS, from which both count up and wrap.
        let idMask = UInt64.max >> 2
        let first = (0 &- UInt64(count + 1)) & idMask
        var id = first
        var tail = first
        var position = 0 &- dataSize
        var tailPosition = position
        put(3 << 62 | id, 8, at: descriptors + (count - 1) * 24)
        var blocks: [(id: UInt64, next: UInt64)] = []
        for (sequence, record) in records.enumerated() {
            id = (id + 1) & idMask
            let index = Int(id) & (count - 1)
            let length = record.text.utf8.count
            let size = UInt64((length + 8 + 7) / 8 * 8)
            let begin = position
            var next = position &+ size
            var block = begin
            if begin & ~(dataSize - 1) != next & ~(dataSize - 1) {
                block = next & ~(dataSize - 1)
                next = block &+ size
            }
            position = next
            blocks.append((id, next))
            while position &- tailPosition > dataSize || (id &- tail) & idMask >= UInt64(count) {
                guard let oldest = blocks.first else { break }
                tailPosition = oldest.next
                tail = (oldest.id + 1) & idMask
                blocks.removeFirst()
            }
            put(2 << 62 | id, 8, at: descriptors + index * 24)
            put(begin, 8, at: descriptors + index * 24 + 8)
            put(next, 8, at: descriptors + index * 24 + 16)
            let info = infos + index * Self.infoSize
            put(UInt64(sequence), 8, at: info)
            put(record.nanoseconds, 8, at: info + 8)
            put(UInt64(length), 2, at: info + 16)
            put(UInt64(record.facility), 1, at: info + 18)
            put(4 << 5, 1, at: info + 19)
            put(UInt64(record.caller), 4, at: info + 20)
            let place = data + Int(block & (dataSize - 1))
            put(id, 8, at: place)
            for (offset, byte) in record.text.utf8.enumerated() { memory[place + 8 + offset] = byte }
        }
        let dataRing = ring + ringSize - 40
        put(UInt64(Self.countBits), 4, at: ring)
        put(Self.image + UInt64(descriptors), 8, at: ring + 8)
        put(Self.image + UInt64(infos), 8, at: ring + 16)
        put(id, 8, at: ring + 24)
        put(tail, 8, at: ring + 32)
        put(UInt64(Self.sizeBits), 4, at: dataRing)
        put(Self.image + UInt64(data), 8, at: dataRing + 8)
        put(position, 8, at: dataRing + 16)
        put(tailPosition, 8, at: dataRing + 24)
        bytes = memory
        func symbol(_ place: Int, _ size: Int) -> KernelLogLayout.Symbol {
            .init(address: Self.image + UInt64(place), size: UInt64(size))
        }
        symbols = [
            "linux_banner": symbol(banner, 26), "tainted_mask": symbol(mask, 8), "prb": symbol(pointer, 8),
            "printk_rb_static": symbol(ring, ringSize), "_printk_rb_static_descs": symbol(descriptors, count * 24),
            "_printk_rb_static_infos": symbol(infos, count * Self.infoSize),
        ]
    }

    func read() async throws -> KernelMemory {
        try await KernelLogLayout(symbols).read { ranges in
            try ranges.map { range in
                let start = range.address &- Self.image
                guard start <= UInt64(bytes.count), range.count >= 0, range.count <= bytes.count - Int(start) else {
                    throw KernelLogLayout.Obstacle("outside")
                }
                return Array(bytes[Int(start)..<(Int(start) + range.count)])
            }
        }
    }
}

@Suite("The kernel's memory", .timeLimit(.minutes(30)))
struct KernelMemoryTests {
    @Test("the taint and the records of a log are read, with both sizes of the ring's structure", arguments: [80, 88])
    func read(ringSize: Int) async throws {
        let memory = try await FakeKernel(
            [
                .init(text: "Linux version 6.1.0", nanoseconds: 0, caller: 0),
                .init(
                    text: "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2", nanoseconds: 1_234_567_890, caller: 0x8000_0001),
                .init(text: "one\ntwo", nanoseconds: 12_000_001_999, facility: 1, caller: 34),
            ], taint: 512, ringSize: ringSize
        ).read()
        #expect(memory.taint == .warning)
        #expect(memory.records.map(\.sequence) == [0, 1, 2])
        #expect(memory.records.map(\.facility) == [0, 0, 1])
        #expect(memory.records.map(\.level) == [4, 4, 4])
        #expect(
            memory.records.flatMap(\.lines).map(\.raw) == [
                "[    0.000000][    T0] Linux version 6.1.0",
                "[    1.234567][    C1] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2",
                "[   12.000001][   T34] one", "[   12.000001][   T34] two",
            ])
    }

    @Test("the last records of a ring that wrapped many times are read, complete and in order")
    func wrapped() async throws {
        for total in (1...60) + [100, 177, 250, 300] {
            let texts = (0..<total).map { "record \($0) " + String(repeating: "x", count: $0 * 7 % 61) }
            let memory = try await FakeKernel(texts.map { .init(text: $0, nanoseconds: 1) }).read()
            let read = memory.records.map { String(decoding: $0.text, as: UTF8.self) }
            #expect(!read.isEmpty && read == Array(texts.suffix(read.count)), "\(total)")
            #expect(memory.records.last?.sequence == UInt64(total - 1))
            #expect(read.count >= min(total, 10))
        }
    }

    @Test("an empty log has no records; a kernel at another address than vmlinux, or unknown structures, are refused")
    func refused() async throws {
        #expect(try await FakeKernel([]).read().records.isEmpty)
        var moved = FakeKernel([])
        moved.bytes[0] = 0
        await #expect(throws: KernelLogLayout.Obstacle.self) { try await moved.read() }
        for name in KernelLogLayout.symbols {
            var symbols = FakeKernel([]).symbols
            symbols[name] = nil
            #expect(throws: KernelLogLayout.Obstacle.self) { try KernelLogLayout(symbols) }
        }
        for (name, size) in [
            ("printk_rb_static", 96), ("tainted_mask", 4), ("_printk_rb_static_infos", 100),
            ("_printk_rb_static_descs", 0),
        ] as [(String, UInt64)] {
            var symbols = FakeKernel([]).symbols
            symbols[name]?.size = size
            #expect(throws: KernelLogLayout.Obstacle.self, "\(name)") { try KernelLogLayout(symbols) }
        }
        // Other kernels' records: their numbers do not fit the descriptors'.
        var other = FakeKernel((0..<20).map { .init(text: "record \($0)", nanoseconds: 1) })
        let infos = Int((other.symbols["_printk_rb_static_infos"]?.address ?? 0) - FakeKernel.image)
        for index in 0..<20 { other.bytes[infos + index * FakeKernel.infoSize] = 0xFF }
        await #expect(throws: KernelLogLayout.Obstacle.self) { try await other.read() }
    }

    @Test("memory with any changed byte gives records or an obstacle, and never a trap")
    func damaged() async throws {
        let kernel = FakeKernel((0..<40).map { .init(text: "record \($0)", nanoseconds: 1) })
        var refused = 0
        // The structures; the text may be anything.
        for index in stride(from: 64, to: kernel.bytes.count - 1024, by: 5) {
            for value: UInt8 in [0, 0x7F, 0xFF] {
                var damaged = kernel
                damaged.bytes[index] = value
                do { _ = try await damaged.read() } catch { refused += 1 }
            }
        }
        #expect(refused > 20)
    }

    // MARK: Judgement

    private static let warning = [
        "------------[ cut here ]------------", "caesar: checked",
        "WARNING: CPU: 0 PID: 34 at kernel/caesar.c:20 caesar_check+0x1/0x2",
        "Modules linked in:", "CPU: 0 PID: 34 Comm: hide Not tainted 6.1.0 #1", "RIP: 0010:caesar_check+0x1/0x2",
        "Call Trace:",
        " <TASK>", " caesar_check+0x1/0x2", " </TASK>", "---[ end trace 0000000000000000 ]---",
    ]

    private func records(
        _ lines: [String], from sequence: UInt64 = 5, facility: UInt8 = 0, caller: ConsoleLine.Caller = .task(34)
    ) -> [KernelLogRecord] {
        lines.enumerated().map { index, line in
            KernelLogRecord(
                sequence: sequence + UInt64(index), nanoseconds: 2_000_000_000 + UInt64(index) * 1000,
                facility: facility,
                caller: caller, text: Array(line.utf8))
        }
    }

    /// A guest whose one program passes, with some lines on its console.
    private func guest(_ console: [String] = [], reported: (taint: UInt64, last: String)? = nil) -> SessionRecorder {
        var recorder = SessionRecorder(
            plan: SessionPlan(programs: [
                ProgramPlan(name: "hide", arguments: ["/h"], resultsProtocol: .exitCode(skip: nil))
            ]))
        func send(_ kind: Frame.Kind, _ text: String) {
            _ = recorder.consume(.frame(Frame(sequence: 1, kind: kind, payload: Array(text.utf8))))
        }
        send(.hello, "release=6.1.0")
        _ = recorder.consume(.line(Array("[    1.000000][    T1] kbuild: clock 1500000000".utf8)))
        send(.start, "0 2000000000")
        for line in console { _ = recorder.consume(.line(Array(line.utf8))) }
        send(.stop, "0 3000000000 exit 0")
        if let reported { send(.kernel, "3000000000 \(reported.taint) \(reported.last) 0 0") }
        send(.end, "1")
        return recorder
    }

    @Test("a warning that the console never showed is reported with the test that ran at that time")
    func hidden() throws {
        var recorder = guest()
        let events = recorder.take(KernelMemory(taint: .warning, records: records(Self.warning)))
        #expect(events.count == 1)
        let outcome = recorder.finish()
        let crash = try #require(outcome.crashes.first)
        #expect(outcome.crashes.count == 1)
        #expect(crash.title == "WARNING in caesar_check")
        #expect(crash.isFromMemory)
        #expect(crash.test == "hide")
        #expect(outcome.unexplainedTaint.isEmpty)
    }

    @Test("a warning that the console showed, completely or without its first line, is reported once")
    func shown() {
        let records = records(Self.warning)
        for dropped in [0, 1] {
            var recorder = guest(records.flatMap(\.lines).dropFirst(dropped).map(\.raw))
            #expect(recorder.take(KernelMemory(taint: .warning, records: records)).isEmpty)
            let outcome = recorder.finish()
            #expect(outcome.crashes.map(\.title) == ["WARNING in caesar_check"])
            #expect(outcome.crashes.allSatisfy { !$0.isFromMemory })
            #expect(outcome.unexplainedTaint.isEmpty)
        }
    }

    @Test("a warning of the boot before a snapshot belongs to that boot, and one that was not seen is reported")
    func boot() {
        let records = records(Self.warning).map { record in
            var record = record
            record.nanoseconds -= 1_500_000_000
            return record
        }
        let memory = KernelMemory(taint: .warning, records: records)
        var first = guest()
        _ = first.take(memory)
        let crashes = first.finish().crashes
        #expect(crashes.map(\.isAtBoot) == [true])
        var woken = guest()
        #expect(woken.take(memory, boot: crashes).isEmpty)
        let outcome = woken.finish()
        #expect(outcome.crashes.isEmpty)
        #expect(outcome.unexplainedTaint.isEmpty)
    }

    @Test("a program's records in the kernel's log are not a report")
    func imitated() {
        var recorder = guest()
        #expect(recorder.take(KernelMemory(taint: [], records: records(Self.warning, facility: 1))).isEmpty)
        #expect(recorder.finish().crashes.isEmpty)
    }

    @Test("a taint without a report fails the run; a taint by the kernel's configuration does not")
    func taint() {
        var recorder = guest()
        _ = recorder.take(KernelMemory(taint: [.warning, .badPage], records: []))
        #expect(recorder.finish().unexplainedTaint == [.warning, .badPage])
        var module = guest()
        _ = module.take(KernelMemory(taint: KernelTaint(rawValue: 1 << 12 | 1 << 18), records: []))
        let outcome = module.finish()
        #expect(outcome.unexplainedTaint.isEmpty)
        #expect(outcome.faults.isEmpty)
    }

    @Test("a guest that reports less or more than is in its memory cannot be trusted")
    func lies() {
        let log = records(["one", "two"])
        func faults(_ taint: KernelTaint, reported: (UInt64, String)) -> [String] {
            var recorder = guest(reported: (reported.0, reported.1))
            _ = recorder.take(KernelMemory(taint: taint, records: log))
            return recorder.finish().faults
        }
        #expect(faults([], reported: (0, "6")) == [])
        #expect(faults([], reported: (0, "5")) == [])
        #expect(faults([], reported: (0, "7")).count == 1)
        #expect(faults(.warning, reported: (0, "6")).count == 1)
        #expect(faults([], reported: (512, "6")).count == 1)
    }
}
