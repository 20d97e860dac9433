// SPDX-License-Identifier: Apache-2.0
import CrashReports
import ResultsModel

/// Judges a kernel by more than its console: by the records of its log, which init reads where no program can silence
/// or imitate them, and by its taint.
///
/// A report in both the console and the log is one report. A report that only the log has was hidden from the console.
/// An error bit of the taint that no report explains is a report of its own kind, `taint`.
struct KernelWitness: Sendable {
    /// A sample of the kernel's state, and the test during which it was taken.
    struct Sample: Sendable {
        var evidence: KernelEvidence
        /// The test or program that ran.
        var test: String?
    }

    /// Reads the log's records; their lines are certainly the kernel's.
    private var detector = CrashDetector()
    private(set) var samples: [Sample] = []
    /// The taint that the guest had when it was saved; empty if it booted.
    var taintBefore: KernelTaint = []
    /// The guest's monotonic clock minus the kernel's time stamps, in nanoseconds; nil when it is not known.
    var clockOffset: Int64?
    /// A report that was already reported, with the marks of its lines.
    private struct KnownReport {
        var marks: Set<Mark>
        var isFatal: Bool
    }

    /// The reports that were already reported.
    private var reported: [KnownReport] = []

    /// A line of the kernel's log by its invariants in every source: its time, to the microsecond, and its text.
    private struct Mark: Hashable {
        var microseconds: Int
        var message: String

        init?(_ line: ConsoleLine) {
            guard let seconds = line.kernelSeconds else { return nil }
            microseconds = Int((seconds * 1_000_000).rounded())
            message = line.message
        }
    }

    /// Consumes a record.
    ///
    /// - Returns: New crashes.
    mutating func consume(_ record: KernelRecord, runningTest: String?) -> [Crash] {
        guard record.isKernels else { return [] }
        return record.lines.flatMap { detector.consume($0, runningTest: runningTest) }.map(Self.offConsole)
    }

    /// Consumes a sample.
    mutating func consume(_ evidence: KernelEvidence, runningTest: String?) {
        samples.append(Sample(evidence: evidence, test: runningTest))
    }

    /// The new ones among the crashes of the console or the log.
    mutating func news(_ crashes: [Crash]) -> [Crash] {
        crashes.filter { crash in
            let marks = Self.marks(of: crash)
            if let known = reported.firstIndex(where: { !$0.marks.isDisjoint(with: marks) }) {
                reported[known].marks.formUnion(marks)
                guard crash.isFatal, !reported[known].isFatal else { return false }
                reported[known].isFatal = true
                return true
            }
            reported.append(KnownReport(marks: marks, isFatal: crash.isFatal))
            return true
        }
    }

    /// All crashes of a session; those of the console are reported first.
    ///
    /// - Parameter console: The console's crashes.
    mutating func crashes(console: [Crash]) -> [Crash] {
        _ = detector.finish()
        let log = detector.crashes.map(Self.offConsole)
        let crashes = Self.merged(console, log)
        return crashes + unexplained(by: crashes, log: log)
    }

    private static func offConsole(_ crash: Crash) -> Crash {
        var crash = crash
        (crash.firstLine, crash.lastLine) = (0, 0)
        return crash
    }

    private static func marks(of crash: Crash) -> Set<Mark> {
        Set(crash.lines.compactMap { Mark(ConsoleLine(Array($0.utf8))) })
    }

    /// The tests during which parts of the log were lost: overwritten before init read them, or more than init sends.
    var lostLog: [LostLog] {
        var lost: [LostLog] = []
        var before: UInt64 = 0
        for sample in samples {
            let now = sample.evidence.lostRecords + sample.evidence.withheldRecords
            if now > before { lost.append(LostLog(records: now - before, test: sample.test)) }
            before = max(before, now)
        }
        return lost
    }

    // MARK: Two sources

    /// Merges the crashes of two sources of the same kernel.
    private static func merged(_ console: [Crash], _ log: [Crash]) -> [Crash] {
        var groups: [(console: [Crash], log: [Crash], marks: Set<Mark>)] = console.map { ([$0], [], marks(of: $0)) }
        for crash in log {
            let marks = marks(of: crash)
            var group: (console: [Crash], log: [Crash], marks: Set<Mark>) = ([], [crash], marks)
            var place = groups.endIndex
            for index in groups.indices.reversed() where !groups[index].marks.isDisjoint(with: marks) {
                group = (
                    groups[index].console + group.console, groups[index].log + group.log,
                    group.marks.union(groups[index].marks)
                )
                groups.remove(at: index)
                place = index
            }
            if place == groups.endIndex, group.console.isEmpty {
                // By the kernel's clock.
                let time = group.marks.map(\.microseconds).min() ?? .max
                place = groups.firstIndex { ($0.marks.map(\.microseconds).min() ?? .max) > time } ?? groups.endIndex
            }
            groups.insert(group, at: min(place, groups.endIndex))
        }
        return groups.flatMap { preferred($0.console, $0.log) }
    }

    /// Chooses between two reports of the same crash. The console has the last messages of a kernel that died. The log
    /// is not torn, and it arrives in order with the tests, while the console may be ahead of the results port.
    private static func preferred(_ console: [Crash], _ log: [Crash]) -> [Crash] {
        guard let firstInLog = log.first else { return console }
        guard let firstOnConsole = console.first else { return log }
        let hasLastWords = console.contains { $0.isFatal } && !log.contains { $0.isFatal }
        let isTornLog = log.contains { $0.corruption != nil } && console.allSatisfy { $0.corruption == nil }
        if hasLastWords || isTornLog {
            return console.enumerated().map { index, crash in
                var crash = crash
                crash.test = (index < log.count ? log[index] : firstInLog).test ?? crash.test
                return crash
            }
        }
        return log.enumerated().map { index, crash in
            var crash = crash
            let place = index < console.count ? console[index] : firstOnConsole
            (crash.firstLine, crash.lastLine) = (place.firstLine, place.lastLine)
            return crash
        }
    }

    // MARK: Taint

    /// The most difference between the clocks of a sample and of a record, in nanoseconds: a bit is set after its
    /// report is printed, which takes time on an emulated console.
    private static let slack: Int64 = 2_000_000_000
    /// The same if the difference of the two clocks is known: a report comes before its bit. A program takes longer to
    /// start, so the next program's report explains nothing.
    private static let knownSlack: Int64 = 20_000_000

    /// The error bits without a report that explains them, as crashes.
    private func unexplained(by crashes: [Crash], log: [Crash]) -> [Crash] {
        var found: [Crash] = []
        var before = taintBefore
        var previous: Sample?
        // A report that only the console has, although the whole log was read, may be a program's forgery. The last
        // messages of a kernel that died are only on the console.
        let isWhole =
            samples.last.map { last in
                last.evidence.lastSequence != nil && last.evidence.lostRecords == 0
                    && last.evidence.withheldRecords == 0
            } ?? false
        let witnesses = isWhole ? crashes.filter { $0.isFatal } + log : crashes
        // A corrupted report may have been of any kind. A report that explained the bits of its own time explains no
        // later bits: otherwise another program's crash could hide behind it.
        var spent: Set<Int> = []
        for sample in samples {
            var explaining: Set<Int> = []
            for bit in sample.evidence.taint.subtracting(before).errors.bits {
                let explanations = witnesses.indices.filter { index in
                    !spent.contains(index) && bit.isExplained(by: witnesses[index].kind)
                        && fits(witnesses[index], between: previous, and: sample)
                }
                if explanations.isEmpty { found.append(Self.crash(bit, from: previous, to: sample)) }
                explaining.formUnion(explanations)
            }
            spent.formUnion(explaining.filter { witnesses[$0].kind == .corrupted && hasTime(witnesses[$0]) })
            before.formUnion(sample.evidence.taint)
            previous = sample
        }
        return found
    }

    /// Whether the time of a report is known.
    private func hasTime(_ crash: Crash) -> Bool { !Self.marks(of: crash).isEmpty }

    /// Whether a report belongs to the time between two samples, as far as that is known: the clock of the kernel's log
    /// begins some time before the monotonic clock, and both advance in a running guest.
    private func fits(_ crash: Crash, between previous: Sample?, and sample: Sample) -> Bool {
        let times = Self.marks(of: crash).map { Int64($0.microseconds) * 1000 &+ (clockOffset ?? 0) }
        guard let first = times.min(), let last = times.max() else { return true }
        let start = previous?.evidence.clock ?? 0
        // The two clocks drift apart, by less than a thousandth.
        let slack = clockOffset == nil ? Self.slack : Self.knownSlack + max(0, sample.evidence.clock / 1000)
        return first <= sample.evidence.clock + slack && last >= start - Self.slack
    }

    private static func crash(_ bit: KernelTaint, from previous: Sample?, to sample: Sample) -> Crash {
        func time(_ sample: Sample) -> String {
            let seconds = Double(sample.evidence.clock) / 1e9
            return "\((seconds * 1000).rounded() / 1000) s"
        }
        let since = previous.map { "at \(time($0))" } ?? "at the start"
        return Crash(
            title: "kernel tainted: \(bit.description), without a report", kind: .taint, isFatal: false,
            test: sample.test,
            lines: [
                "taint \(previous?.evidence.taint.rawValue ?? 0) \(since), \(sample.evidence.taint.rawValue) at \(time(sample))",
                "No report in the kernel's log or on the console says why.",
            ])
    }
}

extension KernelTaint {
    /// Whether a report of a kind sets this bit, so that the bit adds nothing to it. Sources: the callers of
    /// add_taint() in Linux 6.1 and 6.12.
    func isExplained(by kind: CrashKind) -> Bool {
        switch kind {
        // These set no bit.
        case .memoryLeak, .hungTask, .rcuStall, .workqueueLockup, .outOfMemory, .unexpectedReboot, .spinlock, .taint,
            .unknown:
            return false
        // The lost part may be of any kind.
        case .corrupted, .panic: return true
        case .softLockup, .hardLockup: return self == .softLockup
        case .kasan, .kmsan, .kfence, .slab, .pageState: return self == .badPage || self == .warning
        case .warning, .refcount, .objectLifetime, .atomicSleep, .ubsan, .kcsan, .lockdep: return self == .warning
        case .initKilled, .stackProtector, .stackOverflow, .pageFault, .nullPointer, .generalProtection, .divideError,
            .invalidOpcode, .doubleFault, .oops, .bug, .listCorruption, .usercopy:
            // One or two warnings may come before a fault in a broken structure.
            return self == .died || self == .warning
        }
    }
}

/// Records of the kernel's log that were not read.
public struct LostLog: Sendable, Equatable {
    /// How many.
    public var records: UInt64
    /// The test or program during which they were lost; nil before the first and between two.
    public var test: String?

    /// Creates an account of lost records.
    public init(records: UInt64, test: String?) {
        self.records = records
        self.test = test
    }
}
