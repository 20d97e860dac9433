// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// Finds the crash reports in a console log from any source, with the reader of a live console.
public struct ConsoleLogParser: Sendable {
    private var splitter = LineSplitter(longest: ConsoleLine.longest + 1)
    private var reader = Reader()
    private var records = StoredRecords()

    /// Whether a kernel printed the log: a line is marked as the kernel's, or most lines look like unmarked kernel
    /// lines.
    public var isKernelLog: Bool { reader.isKernelLog }

    /// Whether the log begins within a report, without the headline: the kernel's buffer had wrapped, or the log was
    /// cut.
    public var beginsInReport: Bool { reader.beginsInReport }

    /// Creates a parser at the start of a log.
    public init() {}

    /// Consumes the next bytes.
    public mutating func consume(_ bytes: ArraySlice<UInt8>) {
        splitter.consume(bytes) { line in records.take(line.bytes) { reader.take($0) } }
    }

    /// Ends the log.
    ///
    /// - Returns: The reports in the order in which they began, with their lines in the log.
    public mutating func finish() -> [Crash] {
        splitter.finish { line in records.take(line.bytes) { reader.take($0) } }
        records.finish { reader.take($0) }
        return reader.finish()
    }
}

/// Puts the parts of a log that pstore kept into their order.
///
/// The kernel writes the end of its log first, as part 1, because memory may run out before it has written all
/// (kmsg_dump_get_buffer and pstore_dump in fs/pstore/platform.c). The files of the parts, printed in the order of
/// their names, tell the log backwards. Each begins with a line such as `Oops#1 Part3`.
private struct StoredRecords: Sendable {
    /// A part, with its first line.
    private struct Part {
        var number: Int
        var lines: [[UInt8]]
    }

    /// The dump that is being read, such as `Oops#1`; nil outside of a dump.
    private var dump: ArraySlice<UInt8>?
    private var parts: [Part] = []
    private var byteCount = 0
    /// A dump is as large as the kernel's log, at most 32 MB (LOG_BUF_SHIFT); more is not one.
    private static let mostBytes = 32 << 20

    /// Takes a line; `body` gets the lines that are in order.
    mutating func take(_ line: [UInt8], _ body: ([UInt8]) -> Void) {
        if let header = Header(line) {
            if header.dump != dump { finish(body) }
            dump = header.dump
            parts.append(Part(number: header.number, lines: [line]))
        } else if dump != nil, !parts.isEmpty {
            parts[parts.count - 1].lines.append(line)
        } else {
            return body(line)
        }
        byteCount += line.count
        if byteCount > Self.mostBytes { finish(body) }
    }

    /// Ends the dump.
    mutating func finish(_ body: ([UInt8]) -> Void) {
        // Parts of one number, as of two dumps, stay in the order in which they came.
        let sorted = parts.enumerated().sorted {
            ($1.element.number, $0.offset) < ($0.element.number, $1.offset)
        }
        for part in sorted { part.element.lines.forEach(body) }
        (dump, parts, byteCount) = (nil, [], 0)
    }

    /// The line with which a part begins, such as `Oops#1 Part3`.
    private struct Header {
        /// The dump that the part is of: `Oops#1`.
        let dump: ArraySlice<UInt8>
        /// The part's number, from 1.
        let number: Int

        /// The reasons for a dump (kmsg_dump_reason_str).
        private static let reasons = ["Panic#", "Oops#", "Emergency#", "Shutdown#", "Unknown#"]

        init?(_ line: [UInt8]) {
            guard line.count < 40, Self.reasons.contains(where: { line.starts(with: $0.utf8) }) else { return nil }
            let words = line.filter { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
                .split(separator: UInt8(ascii: " "))
            guard words.count == 2, words[1].starts(with: "Part".utf8),
                let number = Int(String(decoding: words[1].dropFirst(4), as: UTF8.self)), number > 0
            else { return nil }
            (dump, self.number) = (words[0], number)
        }
    }
}

/// Reads the lines of a log.
private struct Reader: Sendable {
    private var detector = CrashDetector(trust: .allUntilStamped)
    private var isMarked = false
    /// The number of lines that are not empty, and the number of those that look like unmarked kernel lines.
    private var lineCounts = (all: 0, likely: 0)

    /// The first line that is marked as the kernel's, and the first unmarked line.
    private var firsts: (marked: String?, unmarked: String?)

    var beginsInReport: Bool { (firsts.marked ?? firsts.unmarked).map(Self.isWithinReport) ?? false }

    /// Whether a line only occurs after a report's headline: a register, a trace's beginning, a frame, the mark of the
    /// end.
    private static func isWithinReport(_ message: String) -> Bool {
        var text = Substring(message).drop { $0 == " " }
        let heads = [
            "Call Trace:", "Call trace:", "Backtrace:", "<TASK>", "RIP: 00", "RSP: 00", "---[ end trace ", "CR2: ",
        ]
        if heads.contains(where: text.hasPrefix) { return true }
        if text.hasPrefix("? ") { text = text.dropFirst(2) }
        return text.prefix { $0 != " " }.contains("+0x") && parseSymbol(text.prefix { $0 != " " }) != nil
    }

    /// Prose contains lines such as `note: text`, so a single unmarked line proves nothing.
    var isKernelLog: Bool { isMarked || lineCounts.likely > 0 && 2 * lineCounts.likely >= lineCounts.all }

    mutating func take(_ bytes: [UInt8]) {
        var isFirst = true
        for line in ConsoleLine.lines(ofLog: bytes) {
            if firsts.marked == nil { noteFirst(line) }
            if !isMarked { count(line) }
            _ = detector.consume(line, runningTest: nil, isSameLine: !isFirst)
            isFirst = false
        }
    }

    mutating func finish() -> [Crash] {
        _ = detector.finish()
        return detector.crashes
    }

    private mutating func noteFirst(_ line: ConsoleLine) {
        guard line.message.contains(where: { $0 != " " }) else { return }
        switch line.mark {
        case .timeStamp, .systemLog: firsts.marked = line.message
        case .none: firsts.unmarked = firsts.unmarked ?? line.message
        case .program: break
        }
    }

    private mutating func count(_ line: ConsoleLine) {
        switch line.mark {
        case .timeStamp, .systemLog: isMarked = true
        case .program: break
        case .none:
            if line.message.hasPrefix("Linux version ") { isMarked = true }
            if line.message.utf8.allSatisfy({ $0 == UInt8(ascii: " ") }) { break }
            lineCounts.all += 1
            if Self.mayBeKernels(line.message) { lineCounts.likely += 1 }
        }
    }

    /// Whether a line begins like an unmarked kernel line: with the name of a part of the kernel or of a device, and a
    /// colon.
    private static func mayBeKernels(_ message: String) -> Bool {
        if CrashReportBuilder.looksLikePart(message) { return true }
        let head = message.utf8.prefix(48)
        guard let colon = head.firstIndex(of: UInt8(ascii: ":")), colon != head.startIndex,
            message.utf8[colon...].starts(with: ": ".utf8)
        else { return false }
        let name = message.utf8[..<colon]
        let isName = name.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: " _-./():,@[]#".utf8.contains(byte)
            }
        }
        let hasLetter = name.contains { $0 >= UInt8(ascii: "A") }
        // A server's error response in place of a file.
        let isAnswer = ["error", "fatal", "message", "status", "code"].contains(
            String(decoding: name, as: UTF8.self).lowercased())
        return isName && hasLetter && !isAnswer
    }
}
