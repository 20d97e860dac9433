// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A line of the serial console, with the kernel's prefix.
public struct ConsoleLine: Equatable, Sendable {
    /// The writer of a line (CONFIG_PRINTK_CALLER): a task, or a processor outside any task.
    public enum Caller: Hashable, Sendable {
        /// `T` and the task's number.
        case task(Int)
        /// `C` and the processor's number: an interrupt handler, or an NMI.
        case cpu(Int)
    }

    /// How a line shows that the kernel printed it.
    public enum Mark: Sendable, Equatable {
        /// It does not.
        case none
        /// By a time stamp of printk or dmesg.
        case timeStamp
        /// By a system log's `kernel: `, or the format of a tool that prints the kernel's log.
        case systemLog
        /// It is a program's line, according to the log.
        case program
    }

    /// The source of a line.
    public enum Origin: Sendable {
        /// The serial console of a guest, where programs print as well, and only printk's own time stamps count.
        case console
        /// A log from any source, which other tools may have written.
        case log
    }

    /// The original line, with malformed UTF-8 escaped; at most `longest` bytes of it.
    public var raw: String
    /// The kernel's time stamp in seconds since its start (CONFIG_PRINTK_TIME), if there is one.
    public var kernelSeconds: Double?
    /// The writer, if the kernel names it.
    public var caller: Caller?
    /// The line without its time stamp and caller, the text before them, and escape sequences.
    public var message: String
    /// How the line shows that it is the kernel's.
    public var mark: Mark

    /// The most bytes of a line to read. A line of printk has at most 2 KiB with its prefix (PRINTK_MESSAGE_MAX in
    /// kernel/printk/internal.h); another program may have written as much before it.
    public static let longest = 8 << 10

    /// The furthest position of a time stamp in a line: after the prefix of a system log or a CI service, or a
    /// program's unfinished line.
    private static let furthestStamp = 512

    /// Parses a line: `[    1.234567] text`, `[    1.234567][   T12] text`, either after other text, or text alone.
    public init(_ bytes: [UInt8], from origin: Origin = .console) {
        let kept = bytes.prefix(Self.longest)
        let line = kept.contains(0x1B) ? Self.withoutEscapes(kept) : kept
        self.init(raw: VisibleText.decoded(kept), line: line, source: .unknown, from: origin)
    }

    /// Parses a line of a log from any source; the journal joins several lines of the kernel.
    static func lines(ofLog bytes: [UInt8]) -> [ConsoleLine] {
        let kept = bytes.prefix(longest)
        let raw = VisibleText.decoded(kept)
        var line = kept.contains(0x1B) ? withoutEscapes(kept) : kept
        while line.last == UInt8(ascii: "\r") { line.removeLast() }
        // A terminal shows the text after the last carriage return.
        if let shown = line.lastIndex(of: UInt8(ascii: "\r")) { line = line[(shown + 1)...] }
        let prefix = LogPrefix(line)
        guard prefix.text.contains(0x0A) else {
            return [ConsoleLine(raw: raw, line: prefix.text, source: prefix.source, from: .log)]
        }
        return prefix.text.split(separator: 0x0A, omittingEmptySubsequences: false)
            .map { ConsoleLine(raw: raw, line: $0, source: prefix.source, from: .log) }
    }

    private init(raw: String, line: ArraySlice<UInt8>, source: LogPrefix.Source, from origin: Origin) {
        self.raw = raw
        mark = source == .kernel ? .systemLog : source == .other ? .program : .none
        var reader = PrefixReader(bytes: line)
        if reader.readLeadingStamp() || source != .kernel && reader.findStamp(within: Self.furthestStamp) {
            if mark == .none { mark = .timeStamp }
        } else if mark == .none, reader.findSystemLog(within: Self.furthestStamp) {
            mark = .systemLog
        }
        // `journalctl -o short-monotonic` has the journal's time stamp, the host and the tag.
        if origin == .log, mark == .timeStamp, reader.dropTag() { mark = .systemLog }
        kernelSeconds = reader.seconds
        caller = reader.caller
        var text = mark == .none || mark == .program ? line : reader.rest
        // A prompt has no line end.
        if origin == .log, mark == .none { text = Self.withoutIndentation(Self.withoutPrompt(text)) }
        message = String(decoding: text, as: UTF8.self)
    }

    /// Removes the indentation of a report's headline, or of a line with a name and a colon, that was added when the
    /// log was pasted. Other lines keep their blanks, which distinguish the frames of a trace.
    private static func withoutIndentation(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let text = line.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard text.startIndex != line.startIndex else { return line }
        let message = String(decoding: text, as: UTF8.self)
        let isNamed = message.prefix { $0 != " " }.last == ":" || message.hasPrefix("Call Trace:")
        let isPart = isNamed && CrashReportBuilder.looksLikePart(message)
        return isPart || CrashPattern.opened(by: message) != nil ? text : line
    }

    /// A line without `HOST login: `, after which the kernel printed.
    private static func withoutPrompt(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let prompt = Array(" login: ".utf8)
        let head = line.prefix(64)
        guard let blank = head.firstIndex(of: UInt8(ascii: " ")), line[blank...].starts(with: prompt) else {
            return line
        }
        return line[(blank + prompt.count)...]
    }

    /// The position of another time stamp in a message: two lines were joined. nil when there is none.
    static func secondStamp(in message: String) -> String.Index? {
        let bytes = Array(message.utf8)
        var reader = PrefixReader(bytes: bytes[...])
        guard reader.findStamp(within: bytes.count) else { return nil }
        return message.utf8.index(message.utf8.startIndex, offsetBy: reader.stampStart)
    }

    /// A line without a terminal's control sequences (ECMA-48): ESC `[`, parameters, a final byte; ESC `]` up to BEL or
    /// ESC `\\`; ESC with a designator of a character set and the set; ESC and another byte.
    private static func withoutEscapes(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var plain: [UInt8] = []
        plain.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            guard bytes[index] == 0x1B else {
                plain.append(bytes[index])
                index += 1
                continue
            }
            index += 1
            guard index < bytes.endIndex else { break }
            let kind = bytes[index]
            index += 1
            switch kind {
            case UInt8(ascii: "["):
                while index < bytes.endIndex, !(0x40...0x7E).contains(bytes[index]) { index += 1 }
                index += 1
            case UInt8(ascii: "]"), UInt8(ascii: "P"), UInt8(ascii: "_"), UInt8(ascii: "^"):
                while index < bytes.endIndex, bytes[index] != 0x07, bytes[index] != 0x1B { index += 1 }
                if index < bytes.endIndex, bytes[index] == 0x1B { index += 1 }
                index += 1
            case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "#"),
                UInt8(ascii: "%"):
                index += 1
            default: break
            }
        }
        return plain[...]
    }
}

/// Parses the text before a line's message.
private struct PrefixReader {
    let bytes: ArraySlice<UInt8>
    var seconds: Double?
    var caller: ConsoleLine.Caller?
    var rest: ArraySlice<UInt8>
    /// The position of the time stamp, from the start of the line.
    var stampStart = 0

    init(bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        rest = bytes
    }

    /// Parses a time stamp at the start: printk's level `<4>`, then `[    1.234567]`, or
    /// `[    1.234567 <    0.000003>]` of `dmesg -d`.
    mutating func readLeadingStamp() -> Bool {
        var start = bytes.startIndex
        if start < bytes.endIndex, bytes[start] == UInt8(ascii: "<") {
            let digits = bytes[(start + 1)...].prefix { Self.isDigit($0) }
            if (1...3).contains(digits.count), digits.endIndex < bytes.endIndex,
                bytes[digits.endIndex] == UInt8(ascii: ">")
            {
                start = digits.endIndex + 1
            }
        }
        return readStamp(at: start, isStrict: false)
    }

    /// Searches for a time stamp in printk's form, with six decimals.
    mutating func findStamp(within limit: Int) -> Bool {
        let end = min(bytes.endIndex, bytes.startIndex + limit)
        var index = bytes.startIndex
        while index < end {
            if bytes[index] == UInt8(ascii: "["), readStamp(at: index, isStrict: true) {
                stampStart = index - bytes.startIndex
                return true
            }
            index += 1
        }
        return false
    }

    /// Searches for the tag of a system log.
    mutating func findSystemLog(within limit: Int) -> Bool {
        let tag = Array("kernel: ".utf8)
        let end = min(bytes.endIndex, bytes.startIndex + limit)
        var index = bytes.startIndex
        while index + tag.count <= end {
            let isWord = index == bytes.startIndex || bytes[index - 1] == UInt8(ascii: " ")
            if bytes[index] == tag[0], isWord, bytes[index...].starts(with: tag) {
                rest = bytes[(index + tag.count)...]
                return true
            }
            index += 1
        }
        return false
    }

    private mutating func readStamp(at start: Int, isStrict: Bool) -> Bool {
        guard start < bytes.endIndex, bytes[start] == UInt8(ascii: "[") else { return false }
        // A time stamp has about twelve digits; longer text is not a time stamp.
        let window = bytes[(start + 1)...].prefix(48)
        var index = window.startIndex
        while index < window.endIndex, window[index] == UInt8(ascii: " ") { index += 1 }
        let whole = window[index...].prefix { Self.isDigit($0) }
        guard (1...9).contains(whole.count), whole.endIndex < window.endIndex,
            window[whole.endIndex] == UInt8(ascii: ".")
        else { return false }
        let decimals = window[(whole.endIndex + 1)...].prefix { Self.isDigit($0) }
        guard isStrict ? decimals.count == 6 : (1...9).contains(decimals.count), decimals.endIndex < window.endIndex
        else { return false }
        var end = decimals.endIndex
        // `dmesg -d` also shows the time since the previous line.
        if window[end...].starts(with: " <".utf8), let angle = window[end...].firstIndex(of: UInt8(ascii: ">")),
            window[(end + 2)..<angle].allSatisfy({
                Self.isDigit($0) || $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: ".")
            })
        {
            end = angle + 1
        }
        guard end < window.endIndex, window[end] == UInt8(ascii: "]") else { return false }
        var scale = 1.0
        for _ in decimals { scale *= 10 }
        seconds = Double(Self.number(whole)) + Double(Self.number(decimals)) / scale
        rest = bytes[(end + 1)...]
        readCaller()
        if rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
        return true
    }

    /// Removes `HOST kernel: ` from the text after a time stamp. Returns whether it was there.
    mutating func dropTag() -> Bool {
        let head = rest.prefix(80)
        guard let blank = head.firstIndex(of: UInt8(ascii: " ")), blank > head.startIndex,
            rest[blank...].starts(with: " kernel: ".utf8),
            head[..<blank].allSatisfy({ $0 != UInt8(ascii: ":") })
        else { return false }
        rest = rest[(blank + " kernel: ".utf8.count)...]
        return true
    }

    /// `[  T123]` or `[    C1]`, or ` (T123)` of kernels with the patch's first version (syzkaller's of 2018).
    private mutating func readCaller() {
        let isOld = rest.starts(with: " (".utf8)
        let end = UInt8(ascii: isOld ? ")" : "]")
        let rest = isOld ? self.rest.dropFirst() : self.rest
        guard rest.first == UInt8(ascii: isOld ? "(" : "[") else { return }
        let inner = rest.dropFirst().prefix(16).drop { $0 == UInt8(ascii: " ") }
        guard let kind = inner.first, kind == UInt8(ascii: "T") || kind == UInt8(ascii: "C") else { return }
        let digits = inner.dropFirst().prefix { Self.isDigit($0) }
        guard (1...10).contains(digits.count), digits.endIndex < rest.endIndex,
            rest[digits.endIndex] == end
        else { return }
        let number = Self.number(digits)
        caller = kind == UInt8(ascii: "T") ? .task(number) : .cpu(number)
        self.rest = rest[(digits.endIndex + 1)...]
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    /// The number in at most ten digits.
    private static func number(_ digits: ArraySlice<UInt8>) -> Int { digits.reduce(0) { $0 * 10 + Int($1 - 0x30) } }
}
