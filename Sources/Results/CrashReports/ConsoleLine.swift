// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A line of the serial console, with what the kernel put before its text.
public struct ConsoleLine: Equatable, Sendable {
    /// Who printed a line (CONFIG_PRINTK_CALLER): a task, or a processor outside of any task.
    public enum Caller: Hashable, Sendable {
        /// `T` and the task's number.
        case task(Int)
        /// `C` and the processor's number: an interrupt handler, or an NMI.
        case cpu(Int)
    }

    /// By what a line shows that the kernel printed it.
    public enum Mark: Sendable, Equatable {
        /// By nothing.
        case none
        /// By a time stamp of printk's or dmesg's.
        case timeStamp
        /// By a system log's `kernel: `.
        case systemLog
    }

    /// The line as it came, with malformed UTF-8 spelled out; at most `longest` bytes of it.
    public var raw: String
    /// The kernel's time stamp in seconds since its start (CONFIG_PRINTK_TIME), if there is one.
    public var kernelSeconds: Double?
    /// Who printed it, where the kernel says so.
    public var caller: Caller?
    /// The line without its time stamp and caller, what preceded them, and escape sequences.
    public var message: String
    /// By what the line shows that it is the kernel's.
    public var mark: Mark

    /// The most bytes of a line that are looked at. A line of printk's has at most 2 KiB with its prefix
    /// (PRINTK_MESSAGE_MAX in kernel/printk/internal.h); another program may have put as much before it.
    public static let longest = 8 << 10

    /// How far into a line its time stamp is looked for: behind what a system log, a CI service, or a program that had
    /// not finished its own line put there.
    private static let furthestStamp = 512

    /// Reads a line: `[    1.234567] text`, `[    1.234567][   T12] text`, either behind other text, or text alone.
    public init(_ bytes: [UInt8]) {
        let kept = bytes.prefix(Self.longest)
        raw = VisibleText.decoded(kept)
        let line = kept.contains(0x1B) ? Self.withoutEscapes(kept) : kept
        mark = .none
        var reader = PrefixReader(bytes: line)
        if reader.readLeadingStamp() || reader.findStamp(within: Self.furthestStamp) {
            mark = .timeStamp
        } else if reader.findSystemLog(within: Self.furthestStamp) {
            mark = .systemLog
        }
        kernelSeconds = reader.seconds
        caller = reader.caller
        message = mark == .none ? String(decoding: line, as: UTF8.self) : String(decoding: reader.rest, as: UTF8.self)
    }

    /// Where in a message another time stamp stands: two lines became one. nil when there is none.
    static func secondStamp(in message: String) -> String.Index? {
        let bytes = Array(message.utf8)
        var reader = PrefixReader(bytes: bytes[...])
        guard reader.findStamp(within: bytes.count) else { return nil }
        return message.utf8.index(message.utf8.startIndex, offsetBy: reader.stampStart)
    }

    /// A line without the control sequences that colour it (ECMA-48: ESC `[`, parameters, a final byte).
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
            let isSequence = bytes[index] == UInt8(ascii: "[")
            index += 1
            guard isSequence else { continue }
            while index < bytes.endIndex, !(0x40...0x7E).contains(bytes[index]) { index += 1 }
            index += 1
        }
        return plain[...]
    }
}

/// Reads what stands before a line's text.
private struct PrefixReader {
    let bytes: ArraySlice<UInt8>
    var seconds: Double?
    var caller: ConsoleLine.Caller?
    var rest: ArraySlice<UInt8>
    /// Where the stamp that was found begins, from the start of the line.
    var stampStart = 0

    init(bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        rest = bytes
    }

    /// Reads a stamp at the start: printk's level `<4>`, then `[    1.234567]`, or what `dmesg -T` and `dmesg -d` put there.
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
        return readStamp(at: start, isStrict: false) || readDate(at: start)
    }

    /// Looks for a stamp as printk writes it, with six decimals.
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

    /// Looks for the tag of a system log.
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
        // A stamp has twelve digits or so; what is longer is none.
        let window = bytes[(start + 1)...].prefix(32)
        var index = window.startIndex
        while index < window.endIndex, window[index] == UInt8(ascii: " ") { index += 1 }
        // `dmesg -d` shows the time since the line before.
        let isDifference = index < window.endIndex && window[index] == UInt8(ascii: "+") && !isStrict
        if isDifference { index += 1 }
        let whole = window[index...].prefix { Self.isDigit($0) }
        guard (1...9).contains(whole.count), whole.endIndex < window.endIndex,
            window[whole.endIndex] == UInt8(ascii: ".")
        else { return false }
        let decimals = window[(whole.endIndex + 1)...].prefix { Self.isDigit($0) }
        guard isStrict ? decimals.count == 6 : (1...9).contains(decimals.count), decimals.endIndex < window.endIndex,
            window[decimals.endIndex] == UInt8(ascii: "]")
        else { return false }
        if !isDifference {
            var scale = 1.0
            for _ in decimals { scale *= 10 }
            seconds = Double(Self.number(whole)) + Double(Self.number(decimals)) / scale
        }
        rest = bytes[(decimals.endIndex + 1)...]
        readCaller()
        if rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
        return true
    }

    /// `[Fri Nov 21 07:15:33 2025]`
    private mutating func readDate(at start: Int) -> Bool {
        guard start + 26 <= bytes.endIndex, bytes[start] == UInt8(ascii: "["), bytes[start + 25] == UInt8(ascii: "]")
        else { return false }
        let text = bytes[(start + 1)..<(start + 25)]
        guard text.count(where: { $0 == UInt8(ascii: ":") }) == 2, text.suffix(4).allSatisfy(Self.isDigit) else {
            return false
        }
        rest = bytes[(start + 26)...]
        readCaller()
        if rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
        return true
    }

    /// `[  T123]` or `[    C1]`
    private mutating func readCaller() {
        guard rest.first == UInt8(ascii: "[") else { return }
        let inner = rest.dropFirst().prefix(16).drop { $0 == UInt8(ascii: " ") }
        guard let kind = inner.first, kind == UInt8(ascii: "T") || kind == UInt8(ascii: "C") else { return }
        let digits = inner.dropFirst().prefix { Self.isDigit($0) }
        guard (1...10).contains(digits.count), digits.endIndex < rest.endIndex,
            rest[digits.endIndex] == UInt8(ascii: "]")
        else { return }
        let number = Self.number(digits)
        caller = kind == UInt8(ascii: "T") ? .task(number) : .cpu(number)
        rest = rest[(digits.endIndex + 1)...]
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    /// The number that at most ten digits stand for.
    private static func number(_ digits: ArraySlice<UInt8>) -> Int { digits.reduce(0) { $0 * 10 + Int($1 - 0x30) } }
}
