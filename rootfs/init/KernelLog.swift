// SPDX-License-Identifier: Apache-2.0
import CInit

/// The kernel's messages from /dev/kmsg, where no program can suppress, truncate or forge them, and the taint.
///
/// The kernel numbers its records from 0 without gaps, and each has a facility: a record that a program writes to
/// /dev/kmsg never has the kernel's, 0 (kernel/printk/printk.c, devkmsg_write). The descriptors are opened before any
/// program runs, so that a later mount cannot hide the files. The host compares these records with the console.
///
/// - `log` frames contain records in the form of /dev/kmsg, one on each line, without their dictionaries.
/// - `kernel` frames contain `CLOCK TAINT SEQUENCE LOST WITHHELD`: the monotonic clock in nanoseconds,
///   /proc/sys/kernel/tainted, the number of the last record that was read (`-` without a log), the number of records
///   that were overwritten before they were read, and of those that were read and not sent.
struct KernelLog {
    /// The descriptor to poll: readable when there is a record.
    let descriptor: Int32
    private let taintDescriptor: Int32
    /// The number of the next record, unless records are lost.
    private var next: UInt64 = 0
    private var lost: UInt64 = 0
    private var withheld: UInt64 = 0
    /// The bytes of records that may still be sent.
    private var budget = 16 << 20
    /// The counters of the project's objects; nil without coverage.
    var coverage: CoverageCounters?
    /// The durations of the project's calls; nil unless they are requested.
    var calls: CallTimes?
    /// Whether counters are read at each event of a program, which then waits until they were read.
    var isStepped: Bool { coverage != nil || calls != nil }
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: longestRecord)

    /// A record has at most 8 KiB here (CONSOLE_EXT_LOG_MAX, PRINTK_MESSAGE_MAX in kernel/printk/internal.h).
    private static let longestRecord = 16 << 10
    /// Records are sent in pieces of about this size.
    private static let piece = 16 << 10
    /// The most records read at a time, so that a kernel that prints endlessly does not block init.
    private static let mostAtOnce = 20_000
    /// On the console sending a record takes as long as the kernel's printing of it, so only records of this level and
    /// more severe ones are sent: warnings (KERN_WARNING), of which reports consist.
    private static let highestLevelOnConsole: UInt64 = 4

    init() {
        self.init(
            records: kbuild_open("/dev/kmsg", O_RDONLY | O_CLOEXEC | O_NONBLOCK),
            taint: kbuild_open("/proc/sys/kernel/tainted", O_RDONLY | O_CLOEXEC))
    }

    /// - Parameters:
    ///   - records: Returns one record for each read, as /dev/kmsg does, without waiting.
    ///   - taint: Returns the taint in decimal digits.
    init(records: Int32, taint: Int32) {
        descriptor = records
        taintDescriptor = taint
    }

    /// Sends the kernel's new records.
    mutating func forward(_ channel: inout Channel) {
        guard descriptor >= 0 else { return }
        var records: [UInt8] = []
        for _ in 0..<Self.mostAtOnce {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0 {
                // EPIPE: the next records were overwritten; the following read returns the oldest remaining one.
                if kbuild_errno() == EINTR || kbuild_errno() == EPIPE { continue }
                break
            }
            if count == 0 { break }
            take(UnsafeBufferPointer(rebasing: buffer[..<count]), into: &records, isConsole: channel.isAcknowledged)
            if records.count >= Self.piece {
                channel.send("log", records)
                records = []
            }
        }
        if !records.isEmpty { channel.send("log", records) }
    }

    /// Reads the counters.
    mutating func capture() {
        coverage?.capture()
        calls?.capture()
    }

    /// Sends the counters of the project's objects and the durations of its calls, if they are requested, then the
    /// kernel's new records, then its taint and the state of its log.
    ///
    /// - Parameter capturing: Whether the counters are read now; otherwise the values last read are sent.
    mutating func sample(_ channel: inout Channel, capturing: Bool = true) {
        if capturing { capture() }
        coverage?.send(&channel)
        calls?.send(&channel)
        // The taint is last, because the kernel prints a report and then sets the bit.
        forward(&channel)
        let sequence = next == 0 ? "-" : "\(next - 1)"
        channel.send("kernel", "\(kbuild_monotonic()) \(taint) \(sequence) \(lost) \(withheld)")
    }

    /// The taint; 0 when the kernel does not provide it (CONFIG_PROC_SYSCTL).
    var taint: UInt64 {
        var digits: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        return withUnsafeMutableBytes(of: &digits) { bytes in
            let count = pread(taintDescriptor, bytes.baseAddress, bytes.count, 0)
            guard count > 0 else { return 0 }
            return Self.number(UnsafeRawBufferPointer(rebasing: bytes[..<count]).bindMemory(to: UInt8.self), from: 0)
                .value
        }
    }

    /// Processes a record: `PREFIX,SEQUENCE,MICROSECONDS,FLAGS[,...];TEXT`, a line feed, and a dictionary.
    private mutating func take(_ record: UnsafeBufferPointer<UInt8>, into records: inout [UInt8], isConsole: Bool) {
        let prefix = Self.number(record, from: 0)
        let sequence = Self.number(record, from: prefix.end + 1)
        if sequence.value > next { lost += sequence.value - next }
        next = sequence.value + 1
        if isConsole, prefix.value & 7 > Self.highestLevelOnConsole { return }
        let length = (record.firstIndex(of: UInt8(ascii: "\n")) ?? record.count - 1) + 1
        guard budget >= length else {
            withheld += 1
            return
        }
        budget -= length
        records += UnsafeBufferPointer(rebasing: record[..<length])
    }

    /// Reads decimal digits; `end` is the place after the last.
    private static func number(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> (value: UInt64, end: Int) {
        var value: UInt64 = 0
        var index = start
        while index < bytes.count, bytes[index] >= 0x30, bytes[index] <= 0x39 {
            value = value &* 10 &+ UInt64(bytes[index] - 0x30)
            index += 1
        }
        return (value, index)
    }
}

/// The kernel's printing settings, which are restored after each program, so that a program cannot suppress the next
/// one's reports.
enum Printing {
    private static let rateLimits = ["/proc/sys/kernel/printk_ratelimit", "/proc/sys/kernel/printk_ratelimit_burst"]

    /// The kernel's original rate limits.
    static func currentRateLimits() -> [(path: String, value: [UInt8])] {
        rateLimits.compactMap { path in System.read(path).map { (path, $0) } }
    }

    /// Sends all levels to the console, with time stamps, and restores the rate limits.
    static func reset(rateLimits: [(path: String, value: [UInt8])]) {
        // 8: SYSLOG_ACTION_CONSOLE_LEVEL (include/linux/syslog.h).
        klogctl(8, nil, 8)
        System.write("/sys/module/printk/parameters/time", "1\n")
        for (path, value) in rateLimits { System.write(path, value.text()) }
        System.write("/proc/sys/kernel/printk_delay", "0\n")
    }
}
