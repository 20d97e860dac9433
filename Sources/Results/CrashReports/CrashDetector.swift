// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// Finds crash reports in the lines of a console, as they arrive. Titles are worded as syzkaller does, so that they can
/// be looked up.
///
/// The lines of each caller (CONFIG_PRINTK_CALLER) are read separately, so that simultaneous output of two processors
/// is not mixed. Without callers all lines count as one caller's.
public struct CrashDetector: Sendable {
    /// The lines that are accepted as the kernel's.
    public enum Trust: Sendable {
        /// Those with a time stamp: a live console, where programs may print anything.
        case stampedLines
        /// All, until the first with a time stamp: a log from another source, whose kernel may have been built without
        /// them.
        case allUntilStamped
    }

    /// The most reports to keep; repeated warnings of a kernel add nothing. The same number of fatal reports is kept in
    /// addition.
    static let mostReports = 100
    /// The most reports to read at the same time.
    static let mostOpen = 32
    /// Seconds of the kernel's clock within which a panic is assigned to the report before it.
    static let longestFall = 60.0

    /// The caller whose lines form a report; nil if the kernel does not name it.
    private typealias Key = ConsoleLine.Caller?

    private let trust: Trust
    private var open: [Key: CrashReportBuilder] = [:]
    private var closed: [CrashReportBuilder] = []
    /// The last report of a caller, as an index of `closed`.
    private var latest: [Key: Int] = [:]
    /// Callers whose lines belong to another's report: processors that print a requested backtrace.
    private var lent: [ConsoleLine.Caller: Key] = [:]
    /// The reported leaks: their indexes in `closed` by their titles.
    private var leaks: [String: Int] = [:]
    private var lineNumber = 0
    private var sawStamp = false
    private var hasBooted = false
    /// The hashes of the first boot's lines with a time stamp: a log that is printed again repeats them.
    private var bootLines: Set<Int> = []
    /// A second boot, which may be the log printed again.
    private var doubtfulStart: (line: ConsoleLine, number: Int, test: String?, isExplained: Bool)?
    /// The headlines of all reports with their times: if both are repeated, the log was printed again.
    private var headlines: Set<Int> = []

    /// The most lines of a boot to remember.
    static let mostBootLines = 4096
    private var expectsReboot = false
    /// Whether reports are omitted; then one report has that remark.
    private var isCut = false

    /// Creates a detector that has seen nothing.
    public init(trust: Trust = .stampedLines) {
        self.trust = trust
    }

    /// The reports so far, in the order in which they began, including unfinished ones.
    public var crashes: [Crash] {
        let pending = open.values.filter { !$0.isNothing && !isKnownLeak($0) }
        return (closed.map { $0.crash(isOver: true) } + pending.map { $0.crash(isOver: false) })
            .sorted { $0.firstLine < $1.firstLine }
    }

    /// Consumes a line.
    ///
    /// - Returns: The reports that now have a title, each once; and again a report that turned out to be fatal.
    public mutating func consume(_ line: ConsoleLine, runningTest: String?) -> [Crash] {
        consume(line, runningTest: runningTest, isSameLine: false)
    }

    /// Consumes a line, which may be one of several on the same line of a log.
    mutating func consume(_ line: ConsoleLine, runningTest: String?, isSameLine: Bool) -> [Crash] {
        if !isSameLine { lineNumber += 1 }
        guard isKernels(line) else { return [] }
        var reported: [Crash] = []
        let key = reader(of: line)
        if noteBoot(line, runningTest, &reported) { return reported }
        if let report = open[key], report.hasExpired(at: line.kernelSeconds) { close(key, &reported) }

        let message = line.message
        let opened = CrashPattern.opened(by: message)
        if let opened, opened.isFatal, takeConsequence(line, key, runningTest, &reported) { return reported }
        if var report = open.removeValue(forKey: key) {
            if let opened {
                take(line, opening: opened, in: &report, key, runningTest, &reported)
            } else {
                switch report.take(line, number: lineNumber) {
                case .taken, .passed:
                    tell(&report, &reported)
                    open[key] = report
                case .refused: store(&report, key, &reported)
                }
            }
            return reported
        }
        if let opened {
            begin(opened, line, key, runningTest, &reported)
        } else {
            lend(line)
        }
        return reported
    }

    /// Ends the log: unfinished reports stay incomplete.
    ///
    /// - Returns: The reports that were not returned yet.
    public mutating func finish() -> [Crash] {
        var reported: [Crash] = []
        if let start = doubtfulStart {
            doubtfulStart = nil
            if !start.isExplained { tellReboot(start.line, start.number, start.test, &reported) }
        }
        let keys = open.sorted { $0.value.firstLine < $1.value.firstLine }.map(\.key)
        for key in keys { close(key, &reported) }
        return reported
    }

    // MARK: Lines

    private mutating func isKernels(_ line: ConsoleLine) -> Bool {
        switch (line.mark, trust) {
        case (.timeStamp, _):
            sawStamp = true
            return true
        case (.systemLog, .allUntilStamped): return true
        case (.none, .allUntilStamped): return !sawStamp
        case (.program, _), (_, .stampedLines): return false
        }
    }

    /// The caller whose report a line belongs to.
    private func reader(of line: ConsoleLine) -> Key {
        guard let caller = line.caller else { return nil }
        if open[caller] == nil, let key = lent[caller], open[key] != nil { return key }
        return caller
    }

    /// A processor that prints a requested backtrace prints it into the requester's report.
    private mutating func lend(_ line: ConsoleLine) {
        guard let caller = line.caller, line.message.hasPrefix("NMI backtrace for cpu ") else { return }
        let askers = open.filter { [.rcuStall, .hardLockup, .softLockup, .hungTask].contains($0.value.form.kind) }
        guard let asker = askers.max(by: { $0.value.lastLine < $1.value.lastLine })?.key else { return }
        if lent.count >= Self.mostOpen { lent = [:] }
        lent[caller] = asker
        guard var report = open.removeValue(forKey: asker) else { return }
        _ = report.take(line, number: lineNumber)
        open[asker] = report
    }

    /// Detects a boot of the kernel, and whether it was expected.
    private mutating func noteBoot(_ line: ConsoleLine, _ test: String?, _ reported: inout [Crash]) -> Bool {
        let message = line.message
        if trust == .allUntilStamped { settleStart(line, &reported) }
        guard let first = message.utf8.first, first == UInt8(ascii: "L") || first == UInt8(ascii: "r") else {
            return false
        }
        if message.hasPrefix("reboot: ") {
            expectsReboot = true
            return false
        }
        guard message.hasPrefix("Linux version "), (line.kernelSeconds ?? 0) < 1 else { return false }
        defer {
            hasBooted = true
            expectsReboot = false
        }
        guard hasBooted else { return false }
        reported += finish()
        let isExplained = expectsReboot || closed.contains { $0.isFatal }
        latest = [:]
        lent = [:]
        if trust == .allUntilStamped, !bootLines.isEmpty {
            doubtfulStart = (line, lineNumber, test, isExplained)
            return true
        }
        if !isExplained { tellReboot(line, lineNumber, test, &reported) }
        return true
    }

    /// Decides whether the kernel booted again, or its log was printed again: then its times are the same to the
    /// microsecond.
    private mutating func settleStart(_ line: ConsoleLine, _ reported: inout [Crash]) {
        guard doubtfulStart != nil || bootLines.count < Self.mostBootLines, let seconds = line.kernelSeconds,
            seconds > 0
        else { return }
        let hash = Self.identity(seconds, line.message)
        if let start = doubtfulStart {
            doubtfulStart = nil
            guard !bootLines.contains(hash) else { return }
            if !start.isExplained { tellReboot(start.line, start.number, start.test, &reported) }
            bootLines = []
        }
        if bootLines.count < Self.mostBootLines { bootLines.insert(hash) }
    }

    private static func identity(_ seconds: Double, _ message: String) -> Int {
        var hasher = Hasher()
        hasher.combine(seconds)
        hasher.combine(message)
        return hasher.finalize()
    }

    private mutating func tellReboot(_ line: ConsoleLine, _ number: Int, _ test: String?, _ reported: inout [Crash]) {
        let form = CrashPattern(
            kind: .unexpectedReboot, title: .fixed("unexpected kernel reboot"), end: .loose, isFatal: true)
        var report = CrashReportBuilder(form: form, line: line, number: number, test: test)
        store(&report, nil, &reported)
    }

    // MARK: Reports

    /// Reports, once, that reports are omitted. This is a report itself: if the project expected a hundred of them, an
    /// unexpected one could hide behind them.
    private mutating func tellCut(_ line: ConsoleLine, _ test: String?, _ reported: inout [Crash]) {
        guard !isCut else { return }
        isCut = true
        let form = CrashPattern(
            kind: .corrupted,
            title: .fixed("more than \(Self.mostReports) crash reports, of which the rest is not shown"),
            end: .loose)
        var report = CrashReportBuilder(form: form, line: line, number: lineNumber, test: test)
        // The caller's next lines belong to a report that is not kept.
        let before = latest
        store(&report, nil, &reported)
        latest = before
    }

    private mutating func begin(
        _ form: CrashPattern, _ line: ConsoleLine, _ key: Key, _ test: String?, _ reported: inout [Crash]
    ) {
        if form.kind == .memoryLeak, line.message.hasPrefix("kmemleak: "), form.sources.isEmpty,
            let last = closed.lastIndex(where: { $0.form.kind == .memoryLeak })
        {
            // The count at the end of a scan adds nothing to its reports.
            closed[last].append(line, number: lineNumber)
            return
        }
        guard closed.count + open.count < (form.isFatal ? 2 * Self.mostReports : Self.mostReports) else {
            tellCut(line, test, &reported)
            return
        }
        if open.count >= Self.mostOpen, let oldest = open.min(by: { $0.value.lastLine < $1.value.lastLine })?.key {
            close(oldest, &reported)
        }
        var report = CrashReportBuilder(form: form, line: line, number: lineNumber, test: test)
        if form.role == .header { noteHeadline(of: &report, line) }
        tell(&report, &reported)
        open[key] = report
    }

    /// Marks a report that was read before: the same words at the same microsecond. A log with the console and a dmesg
    /// at its end has each report twice.
    private mutating func noteHeadline(of report: inout CrashReportBuilder, _ line: ConsoleLine) {
        guard trust == .allUntilStamped, let seconds = line.kernelSeconds else { return }
        report.isReplay = !headlines.insert(Self.identity(seconds, line.message)).inserted
    }

    private mutating func take(
        _ line: ConsoleLine, opening form: CrashPattern, in report: inout CrashReportBuilder, _ key: Key,
        _ test: String?,
        _ reported: inout [Crash]
    ) {
        if report.isPrelude, form.role == .header, report.form.kind != .outOfMemory {
            report.promote(to: form, line, number: lineNumber)
            noteHeadline(of: &report, line)
        } else if report.isPrelude, form.role != .header, report.form.kind != .outOfMemory {
            // A rule is followed by `cut here` or similar; the more useful of two preludes stays.
            if report.form.kind == .corrupted {
                report.promote(to: form, line, number: lineNumber)
            } else {
                _ = report.take(line, number: lineNumber)
            }
        } else if report.continues(with: form, line.message) {
            if report.take(line, number: lineNumber) == .refused {
                store(&report, key, &reported)
                begin(form, line, key, test, &reported)
                return
            }
        } else {
            store(&report, key, &reported)
            begin(form, line, key, test, &reported)
            return
        }
        tell(&report, &reported)
        open[key] = report
    }

    /// Assigns a panic to the report before it, if the panic only follows from that report.
    private mutating func takeConsequence(
        _ line: ConsoleLine, _ key: Key, _ test: String?, _ reported: inout [Crash]
    ) -> Bool {
        guard line.message.hasPrefix(CrashPattern.panicMark) else { return false }
        let reason = line.message.dropFirst(CrashPattern.panicMark.count)
        let killsInit = reason.hasPrefix("Attempted to kill init!")
        guard killsInit || Self.isConsequence(reason) else { return false }
        if let report = open[key], report.isPrelude { close(key, &reported) }
        if var report = open[key] {
            if !killsInit || Self.kills(report, key) {
                report.takePanic(line, number: lineNumber)
                tell(&report, &reported, again: true)
                open[key] = report
                return true
            }
        } else if let index = latest[key], index < closed.count, !closed[index].isFatal,
            !killsInit || Self.kills(closed[index], key)
        {
            let fall = (line.kernelSeconds ?? 0) - (closed[index].lastSeconds ?? 0)
            if fall <= Self.longestFall {
                var report = closed.remove(at: index)
                leaks = leaks.compactMapValues { $0 == index ? nil : $0 > index ? $0 - 1 : $0 }
                latest = latest.compactMapValues { $0 == index ? nil : $0 > index ? $0 - 1 : $0 }
                report.takePanic(line, number: lineNumber)
                tell(&report, &reported, again: true)
                open[key] = report
                return true
            }
        }
        guard !killsInit else { return false }
        // The report of its cause is lost.
        let title = CrashPattern.panicMark + Self.cause(reason)
        let form = CrashPattern(
            kind: .panic, title: .line, end: .panic, isFatal: true, corruption: "its first lines are lost")
        var headed = line
        headed.message = title
        if open[key] != nil { close(key, &reported) }
        begin(form, headed, key, test, &reported)
        return true
    }

    private static let consequences = [
        "Fatal exception", "panic_on_warn set", "kasan.fault=panic", "kmsan.panic set", "hung_task: blocked tasks",
        "softlockup: hung tasks", "Hard LOCKUP", "RCU Stall", "Oopsed too often", "Machine halted",
        "panic_on_taint set", "Aiee, killing interrupt handler!", "Attempted to kill the idle task!",
        "Oops failed to kill thread", "scheduling while atomic", "kernel stack overflow",
    ]

    private static func isConsequence(_ reason: Substring) -> Bool {
        consequences.contains { reason.hasPrefix($0) } || reason.position(of: ": panic_on_warn set") != nil
            || reason.position(of: ": system warned too often") != nil || reason.hasSuffix(" stack guard hit")
            || reason.position(of: ": Fatal exception") != nil
    }

    /// The reason without variable parts: since 6.2 the name of the checker is before it.
    private static func cause(_ reason: Substring) -> String {
        if reason.position(of: "panic_on_warn set") != nil { return "panic_on_warn set" }
        if reason.position(of: "Fatal exception") != nil { return "Fatal exception" }
        return String(reason)
    }

    /// Whether a report killed PID 1: an oops ends its task.
    private static func kills(_ report: CrashReportBuilder, _ key: Key) -> Bool {
        let isOops = [
            CrashKind.pageFault, .nullPointer, .generalProtection, .divideError, .invalidOpcode, .doubleFault, .oops,
            .bug,
            .listCorruption, .usercopy,
        ].contains(report.form.kind)
        return isOops && (key == .task(1) || report.crash(isOver: false).pid == 1)
    }

    private mutating func close(_ key: Key, _ reported: inout [Crash]) {
        guard var report = open.removeValue(forKey: key) else { return }
        store(&report, key, &reported)
    }

    private mutating func store(_ report: inout CrashReportBuilder, _ key: Key, _ reported: inout [Crash]) {
        if report.isNothing { return }
        if report.form.kind == .memoryLeak {
            let crash = report.crash(isOver: true)
            if let known = leaks[crash.title] {
                closed[known].addAllocations(crash.allocations)
                return
            }
            leaks[crash.title] = closed.count
        }
        if !report.isAnnounced {
            report.isAnnounced = true
            reported.append(report.crash(isOver: true))
        }
        closed.append(report)
        // A caller that dies prints nothing more; a few callers are enough to assign a panic to its cause.
        if latest.count > 4 * Self.mostOpen { latest = [:] }
        latest[key] = closed.count - 1
    }

    /// Whether a leak was reported: one scan may find the same leak hundreds of times.
    private func isKnownLeak(_ report: CrashReportBuilder) -> Bool {
        report.form.kind == .memoryLeak && leaks[report.crash(isOver: false).title] != nil
    }

    private func tell(_ report: inout CrashReportBuilder, _ reported: inout [Crash], again: Bool = false) {
        guard again || !report.isAnnounced && report.isReported, !isKnownLeak(report) else { return }
        report.isAnnounced = true
        reported.append(report.crash(isOver: false))
    }
}
