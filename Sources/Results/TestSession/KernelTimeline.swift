// SPDX-License-Identifier: Apache-2.0
import CrashReports
import ResultsModel

/// The kernel's messages, with the clock that matches their lines with the tests.
struct KernelTimeline: Sendable {
    /// The most lines to keep for matching with tests, of the console and of the log.
    static let mostLines = 100_000
    /// The most bytes of these lines.
    static let mostBytes = 32 << 20

    private var consoleLines: [ConsoleLine] = []
    private var consoleBytes = 0
    /// The records of the log, as lines; including those of programs.
    private var logLines: [ConsoleLine] = []
    private var logBytes = 0
    /// The next record of the log: a record that is repeated or out of order is not init's.
    private(set) var nextRecord: UInt64 = 0
    /// The kernel's clock at init's first frame, in seconds.
    private(set) var bootSeconds: Double?
    /// The guest's monotonic clock minus the kernel's time stamps, in seconds.
    private(set) var clockOffset: Double?
    /// Assigns a leak to the test during which its memory was allocated.
    private(set) var jiffies = JiffiesClock()

    /// Adds a line of the console.
    ///
    /// - Returns: The clocks' difference in nanoseconds, if this line has it.
    mutating func add(console line: ConsoleLine) -> Int64? {
        let offset = noteClock(line)
        if line.kernelSeconds != nil, consoleLines.count < Self.mostLines, consoleBytes < Self.mostBytes {
            consoleLines.append(line)
            consoleBytes += line.raw.utf8.count
        }
        return offset
    }

    /// Adds a record of the kernel's log, which must not be before `nextRecord`.
    ///
    /// - Returns: As for a line of the console.
    mutating func add(_ record: KernelRecord) -> Int64? {
        nextRecord = record.sequence + 1
        var offset: Int64?
        for line in record.lines {
            offset = noteClock(line) ?? offset
            guard logLines.count < Self.mostLines, logBytes < Self.mostBytes else { continue }
            logLines.append(line)
            logBytes += line.raw.utf8.count
        }
        return offset
    }

    /// Reads the line that matches the kernel's time stamps with the clock of the tests.
    private mutating func noteClock(_ line: ConsoleLine) -> Int64? {
        jiffies.read(line.message)
        let mark = "kbuild: clock "
        guard clockOffset == nil, let seconds = line.kernelSeconds, line.message.hasPrefix(mark),
            let clock = Int64(line.message.dropFirst(mark.count))
        else { return nil }
        clockOffset = Double(clock) / 1e9 - seconds
        bootSeconds = seconds
        return clock &- Int64(seconds * 1e9)
    }

    /// The time when a report began, on the kernel's clock.
    static func seconds(of crash: Crash) -> Double? {
        crash.lines.lazy.compactMap { ConsoleLine(Array($0.utf8)).kernelSeconds }.first
    }

    /// The test during which a report came, by the kernel's clock; nil if it is not known, or there is none.
    func test(at crash: Crash, in programs: [SuiteResult]) -> String? {
        guard let clockOffset, let seconds = Self.seconds(of: crash) else { return nil }
        let time = seconds + clockOffset
        return programs.lazy.flatMap(\.tests).first { test in
            test.started.map { $0 <= time && time <= test.ended ?? .infinity } ?? false
        }?.id
    }

    /// Gives each test the lines that the kernel printed between its start and its end.
    func attribute(to programs: inout [SuiteResult], isLogWhole: Bool) {
        guard let clockOffset else { return }
        // The log is complete even if the console was silenced or torn. The console may have records that were
        // withheld. Tests with overlapping times have the same lines, and a guest may claim any times.
        var room = SessionBounds.mostKernelLogBytes
        // Sorted once, so that each test costs a search and its own lines.
        let lines = (isLogWhole && logLines.count >= consoleLines.count ? logLines : consoleLines).compactMap { line in
            line.kernelSeconds.map { (seconds: $0 + clockOffset, text: line.raw) }
        }.enumerated().sorted { ($0.element.seconds, $0.offset) < ($1.element.seconds, $1.offset) }.map(\.element)
        for program in programs.indices {
            for index in programs[program].tests.indices {
                guard let started = programs[program].tests[index].started else { continue }
                let ended = max(started, programs[program].tests[index].ended ?? .infinity)
                var low = 0
                var high = lines.count
                while low < high {
                    let middle = (low + high) / 2
                    if lines[middle].seconds < started { low = middle + 1 } else { high = middle }
                }
                var log: [String] = []
                for line in lines[low...].prefix(while: { $0.seconds <= ended }).prefix(500) {
                    room -= line.text.utf8.count
                    guard room > 0 else {
                        log.append("kbuild: the rest is left out here; the console's log has it")
                        break
                    }
                    log.append(line.text)
                }
                programs[program].tests[index].kernelLog = log
            }
        }
    }
}
