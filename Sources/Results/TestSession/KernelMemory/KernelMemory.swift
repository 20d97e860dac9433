// SPDX-License-Identifier: Apache-2.0
import CrashReports
import ResultsModel

/// A record of the kernel's log in the kernel's memory.
public struct KernelLogRecord: Sendable, Equatable {
    /// Its number: the kernel counts records from 0 without gaps.
    public var sequence: UInt64
    /// The time when it was written, on the kernel's clock.
    public var nanoseconds: UInt64
    /// The writer: 0 is the kernel. A program that writes to /dev/kmsg cannot choose 0 (devkmsg_write in
    /// kernel/printk/printk.c).
    public var facility: UInt8
    /// Its severity, 0 to 7.
    public var level: UInt8
    /// The task or processor.
    public var caller: ConsoleLine.Caller
    /// Its text: one or more lines.
    public var text: [UInt8]

    /// Creates a record.
    public init(
        sequence: UInt64, nanoseconds: UInt64, facility: UInt8 = 0, level: UInt8 = 4,
        caller: ConsoleLine.Caller = .task(1), text: [UInt8]
    ) {
        self.sequence = sequence
        self.nanoseconds = nanoseconds
        self.facility = facility
        self.level = level
        self.caller = caller
        self.text = text
    }

    /// The lines in the console's form.
    var lines: [ConsoleLine] {
        let microseconds = String(nanoseconds / 1000 % 1_000_000)
        let seconds = String(nanoseconds / 1_000_000_000)
        func padded(_ text: String, _ width: Int, _ fill: String) -> String {
            String(repeating: fill, count: max(0, width - text.utf8.count)) + text
        }
        let who =
            switch caller {
            case .task(let number): "T\(number)"
            case .cpu(let number): "C\(number)"
            }
        let prefix = "[\(padded(seconds, 5, " ")).\(padded(microseconds, 6, "0"))][\(padded(who, 6, " "))] "
        return text.split(separator: 0x0A, omittingEmptySubsequences: false).map {
            ConsoleLine(Array(prefix.utf8) + $0)
        }
    }
}

/// The host's reading of the kernel's memory, which no program can change.
public struct KernelMemory: Sendable, Equatable {
    /// The kernel's taint.
    public var taint: KernelTaint
    /// The records that its log still contains, in order.
    public var records: [KernelLogRecord]

    /// Creates a reading.
    public init(taint: KernelTaint, records: [KernelLogRecord]) {
        self.taint = taint
        self.records = records
    }
}

/// The result of reading the kernel's memory.
public enum KernelMemoryReading: Sendable, Equatable {
    /// The contents.
    case read(KernelMemory)
    /// The reason why it could not be read, as a sentence without its subject.
    case unread(String)
}

/// Compares the kernel's memory with the guest's reports.
struct KernelMemoryJudgement {
    /// Reports that are in the log and were never shown.
    var crashes: [Crash] = []
    /// Taint that indicates an error, and that no report explains.
    var unexplainedTaint: KernelTaint = []
    /// Impossible statements of the guest.
    var faults: [String] = []

    /// - Parameters:
    ///   - memory: The host's reading.
    ///   - told: The guest's last sample; nil when it sent none.
    ///   - before: The taint that the guest reports from the time when it was saved.
    ///   - reports: The crash reports that are known from the console, from init, and from the boot before a snapshot.
    init(_ memory: KernelMemory, reported: KernelEvidence?, before: KernelTaint = [], reports: [Crash]) {
        var detector = CrashDetector()
        for record in memory.records where record.facility == 0 {
            for line in record.lines { _ = detector.consume(line, runningTest: nil) }
        }
        _ = detector.finish()
        let titles = Set(reports.map(\.title))
        let known = reports.reduce(into: Set<String>()) { $0.formUnion(Self.marks(of: $1)) }
        crashes = detector.crashes.filter { crash in
            // The middle of a report whose beginning is no longer in the log begins no report. A line that was merely
            // shown is not a report: a program can print one with the right time to imitate it.
            crash.kind != .corrupted && !titles.contains(crash.title) && known.isDisjoint(with: Self.marks(of: crash))
        }
        let explained = (reports + crashes).reduce(into: KernelTaint()) { taint, crash in
            taint.formUnion(KernelTaint(memory.taint.bits.filter { $0.isExplained(by: crash.kind) }))
        }
        // A bit that the guest reported, and that was set since its start, is judged with the guest's sample.
        let judged = reported?.taint.subtracting(before) ?? []
        unexplainedTaint = memory.taint.errors.subtracting(explained).subtracting(judged)
        guard let reported else { return }
        // Bits and numbers only rise, and the host read them later. A bit that a report explains may be younger than
        // the sample.
        let missing = memory.taint.errors.subtracting(reported.taint).subtracting(explained)
        if !missing.isEmpty {
            faults.append("the guest does not report the taint \(missing.letters), which is in the kernel's memory")
        }
        let invented = reported.taint.subtracting(memory.taint)
        if !invented.isEmpty {
            faults.append("the guest reports the taint \(invented.letters), which is not in the kernel's memory")
        }
        let last = memory.records.last?.sequence
        if let claimed = reported.lastSequence, claimed > last ?? 0 {
            faults.append(
                "the guest reports record \(claimed) of the kernel's log, and the last in the kernel's memory is "
                    + (last.map { "\($0)" } ?? "not there"))
        }
    }

    /// The lines of a report by their times, to the microsecond, and their texts, which are the same in every source.
    private static func marks(of crash: Crash) -> Set<String> {
        Set(
            crash.lines.compactMap { text in
                let line = ConsoleLine(Array(text.utf8))
                return line.kernelSeconds.map { "\(Int64(($0 * 1e6).rounded())) \(line.message)" }
            })
    }
}
