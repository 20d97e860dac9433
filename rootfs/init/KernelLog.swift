// SPDX-License-Identifier: Apache-2.0
import CInit

/// What the kernel says, read where no program can silence, tear or imitate it: the records of /dev/kmsg, and the
/// taint.
///
/// The kernel numbers its records from 0 without gaps, and says which facility each is of: what a program writes to
/// /dev/kmsg is never of the kernel's own, 0 (kernel/printk/printk.c, devkmsg_write). The descriptors are opened before
/// any program runs, so that nothing mounted later stands before them. The host compares what comes by this way with
/// the console.
///
/// - `log` frames carry records as /dev/kmsg has them, one a line, without their dictionaries.
/// - `kernel` frames carry `CLOCK TAINT SEQUENCE LOST WITHHELD`: the monotonic clock in nanoseconds,
///   /proc/sys/kernel/tainted, the number of the last record that was read (`-` when there is not a log), how many were
///   overwritten before they were read, and how many were read and not sent.
struct KernelLog {
    /// To be polled: readable when there is a record.
    let descriptor: Int32
    private let taintDescriptor: Int32
    /// The number that the next record has unless some are lost.
    private var next: UInt64 = 0
    private var lost: UInt64 = 0
    private var withheld: UInt64 = 0
    /// How many more bytes of records may be sent.
    private var budget = 16 << 20
    /// The counters of the project's objects; nil where nobody asked for coverage.
    var coverage: CoverageCounters?
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: longestRecord)

    /// A record has at most 8 KiB here (CONSOLE_EXT_LOG_MAX, PRINTK_MESSAGE_MAX in kernel/printk/internal.h).
    private static let longestRecord = 16 << 10
    /// Records are sent in pieces of some such size.
    private static let piece = 16 << 10
    /// So many records are read at a time, so that a kernel that prints without end does not keep init from the rest.
    private static let mostAtOnce = 20_000
    /// On the console the kernel's records take as long as its own printing of them does, so only these levels and
    /// lower ones are sent: warnings (KERN_WARNING), of which reports are made.
    private static let highestLevelOnConsole: UInt64 = 4

    init() {
        self.init(
            records: kbuild_open("/dev/kmsg", O_RDONLY | O_CLOEXEC | O_NONBLOCK),
            taint: kbuild_open("/proc/sys/kernel/tainted", O_RDONLY | O_CLOEXEC))
    }

    /// - Parameters:
    ///   - records: Gives one record a read, as /dev/kmsg does, and does not wait.
    ///   - taint: Gives the taint in decimal digits.
    init(records: Int32, taint: Int32) {
        descriptor = records
        taintDescriptor = taint
    }

    /// Sends what the kernel has printed since this was last done.
    mutating func forward(_ channel: inout Channel) {
        guard descriptor >= 0 else { return }
        var records: [UInt8] = []
        for _ in 0..<Self.mostAtOnce {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0 {
                // EPIPE: what comes next was overwritten; the following read has the oldest record that is left.
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

    /// Sends what the kernel has printed, and then its taint and the state of its log; before that the counters of the
    /// project's objects, where coverage was asked for.
    ///
    /// - Parameter capturing: Whether the counters are read now, and not as they were last read.
    mutating func sample(_ channel: inout Channel, capturing: Bool = true) {
        if capturing { coverage?.capture() }
        coverage?.send(&channel)
        // The taint comes last: the kernel prints a report and then sets the bit.
        forward(&channel)
        let sequence = next == 0 ? "-" : "\(next - 1)"
        channel.send("kernel", "\(kbuild_monotonic()) \(taint) \(sequence) \(lost) \(withheld)")
    }

    /// The taint; 0 when the kernel does not say (CONFIG_PROC_SYSCTL).
    var taint: UInt64 {
        var digits: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        return withUnsafeMutableBytes(of: &digits) { bytes in
            let count = pread(taintDescriptor, bytes.baseAddress, bytes.count, 0)
            guard count > 0 else { return 0 }
            return Self.number(UnsafeRawBufferPointer(rebasing: bytes[..<count]).bindMemory(to: UInt8.self), from: 0)
                .value
        }
    }

    /// Takes in a record: `PREFIX,SEQUENCE,MICROSECONDS,FLAGS[,...];TEXT`, a line feed, and a dictionary.
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

    /// Reads decimal digits; `end` is the place behind the last.
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

/// What the kernel prints, and how: a program may have changed it, and the next one's reports must not suffer.
enum Printing {
    private static let rateLimits = ["/proc/sys/kernel/printk_ratelimit", "/proc/sys/kernel/printk_ratelimit_burst"]

    /// The rate limits that the kernel started with.
    static func currentRateLimits() -> [(path: String, value: [UInt8])] {
        rateLimits.compactMap { path in System.read(path).map { (path, $0) } }
    }

    /// All levels go to the console, lines have time stamps, and the rate limits are what they were.
    static func reset(rateLimits: [(path: String, value: [UInt8])]) {
        // 8: SYSLOG_ACTION_CONSOLE_LEVEL (include/linux/syslog.h).
        klogctl(8, nil, 8)
        System.write("/sys/module/printk/parameters/time", "1\n")
        for (path, value) in rateLimits { System.write(path, value.text()) }
        System.write("/proc/sys/kernel/printk_delay", "0\n")
    }
}
