// SPDX-License-Identifier: Apache-2.0
/// Removes the prefixes of tools that keep logs from the kernel's lines: the time at which a host or a CI service read
/// them, the formats of dmesg, of the system journal and of /dev/kmsg, and those of test services.
///
/// Sources: print_record() in sys-utils/dmesg.c of util-linux; journalctl(1) and systemd.journal-fields(7);
/// Documentation/ABI/testing/dev-kmsg; the runner's, GitLab's and Jenkins' raw logs; LAVA's output.yaml.
struct LogPrefix {
    /// The writer of a line.
    enum Source {
        /// Unknown.
        case unknown
        /// The kernel: the log contains only its lines.
        case kernel
        /// A program, according to the log.
        case other
    }

    /// The line without its prefix.
    var text: ArraySlice<UInt8>
    var source = Source.unknown

    /// The most marks to remove from a line, one after the other: a job's time, its step, the host's time.
    private static let mostMarks = 5
    /// The most bytes of a mark in brackets: a date in the words of any language.
    private static let longestBracket = 80

    /// Parses a line.
    init(_ line: ArraySlice<UInt8>) {
        text = line
        // Terminals return to a line's start before they print the next one.
        text = text.drop { $0 == Self.carriageReturn }
        if readStructured() { return }
        for _ in 0..<Self.mostMarks {
            guard source == .unknown,
                readJobColumns() || readSyslogProtocol() || readHostTime() || readSystemLogTime() || readFacility()
                    || readRecord() || readDmesg()
            else { break }
        }
    }

    // MARK: Text

    /// `2026-01-02T03:04:05.678Z text`, also in brackets, with a blank instead of the `T`, without the date, and with
    /// GitLab's mark of a stream after it (`00O `, `01E+`).
    private mutating func readHostTime() -> Bool {
        var reader = ByteReader(text)
        let isBracketed = reader.take("[")
        let hasDate = reader.takeDate()
        if hasDate { guard reader.take("T") || reader.take(" ") else { return false } }
        guard reader.takeTime() else { return false }
        let decimals = reader.takeDecimals()
        let hasZone = reader.takeZone()
        if isBracketed {
            guard reader.take("]") else { return false }
        } else {
            // A time of day without date and decimals is more likely part of a program's text.
            guard hasDate || decimals != nil else { return false }
        }
        guard reader.isAtEnd || reader.takeSeparator() else { return false }
        // Only `dmesg --time-format iso` has a comma, six decimals and a zone.
        if !isBracketed, hasDate, hasZone, decimals?.isComma == true, decimals?.count == 6 { source = .kernel }
        if hasZone, reader.takeStreamMark() {}
        text = reader.rest
        return true
    }

    /// `<4>1 2026-01-02T03:04:05.678+01:00 host kernel - - - text`, the syslog protocol (RFC 5424, section 6), also
    /// without the priority.
    private mutating func readSyslogProtocol() -> Bool {
        var reader = ByteReader(text)
        if reader.take("<") { guard reader.takeNumber(digits: 3) != nil, reader.take(">") else { return false } }
        guard reader.take("1"), reader.take(" ") else { return false }
        if !reader.take("-") {
            guard reader.takeDate(), reader.take("T"), reader.takeTime() else { return false }
            _ = reader.takeDecimals()
            guard reader.takeZone() else { return false }
        }
        // The host, the program, its process and the kind of the message.
        var words: [ArraySlice<UInt8>] = []
        for _ in 0..<4 {
            guard reader.take(" "), let word = reader.takeWord() else { return false }
            words.append(word)
        }
        guard reader.take(" "), reader.takeStructuredData() else { return false }
        guard reader.isAtEnd || reader.take(" ") else { return false }
        source = words[1].elementsEqual("kernel".utf8) ? .kernel : .other
        // The mark of UTF-8 before a text in it.
        text = reader.rest.starts(with: [0xEF, 0xBB, 0xBF]) ? reader.rest.dropFirst(3) : reader.rest
        return true
    }

    /// `Feb  3 10:11:12  text`: the rest of a system log's line from which a user removed the host and `kernel:`, with
    /// the blanks around them.
    private mutating func readSystemLogTime() -> Bool {
        guard text.count > 16, Self.months.contains(where: { text.starts(with: $0.utf8) }) else { return false }
        var reader = ByteReader(text.dropFirst(4))
        _ = reader.take(" ")
        guard reader.takeNumber(digits: 2) != nil, reader.take(" "), reader.takeTime(), reader.take(" "),
            reader.take(" ")
        else { return false }
        text = reader.rest
        return true
    }

    private static let months = [
        "Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec ",
    ]

    /// `job<TAB>step<TAB>` before a time, as GitHub's command line tool prints a job's log.
    private mutating func readJobColumns() -> Bool {
        guard let first = text.prefix(200).firstIndex(of: Self.tab),
            let second = text[(first + 1)...].prefix(200).firstIndex(of: Self.tab)
        else { return false }
        var reader = ByteReader(text[(second + 1)...])
        guard reader.takeDate(), reader.take("T") else { return false }
        text = text[(second + 1)...]
        return true
    }

    /// `kern  :warn  : text` of `dmesg -x`.
    private mutating func readFacility() -> Bool {
        let head = text.prefix(16)
        guard let colon = head.firstIndex(of: Self.colon), colon - text.startIndex >= 3,
            let second = text[(colon + 1)...].prefix(10).firstIndex(of: Self.colon)
        else { return false }
        let facility = String(decoding: text[..<colon].filter { $0 != Self.space }, as: UTF8.self)
        let level = String(decoding: text[(colon + 1)..<second].filter { $0 != Self.space }, as: UTF8.self)
        guard Self.facilities.contains(facility), Self.levels.contains(level), second + 1 < text.endIndex,
            text[second + 1] == Self.space
        else { return false }
        source = facility == "kern" ? .kernel : .other
        text = text[(second + 2)...]
        // The time is in between.
        var inner = LogPrefix(unmarked: text)
        if inner.readDmesg() || inner.readHostTime() { text = inner.text }
        return true
    }

    private init(unmarked text: ArraySlice<UInt8>) {
        self.text = text
    }

    /// `4,339,5140900,-,caller=T1;text` of /dev/kmsg; netconsole adds the kernel's release before it.
    private mutating func readRecord() -> Bool {
        guard let first = text.first, Self.isDigit(first), let end = text.prefix(160).firstIndex(of: UInt8(ascii: ";"))
        else { return false }
        var head = text[..<end]
        if !head.prefix(while: { $0 != Self.comma }).allSatisfy(Self.isDigit),
            let comma = head.firstIndex(of: Self.comma)
        {
            head = head[(comma + 1)...]
        }
        guard let record = KernelRecord(Array(head) + text[end...]), let line = record.lines.first else { return false }
        source = record.isKernels ? .kernel : .other
        text = ArraySlice(line.raw.utf8)
        return true
    }

    /// The time stamps of dmesg that printk does not have: `[Feb  3 10:11] `, `[  +0.000003] ` and `[  +0,000003] ` of
    /// -H, `[Tue Feb  3 10:11:12 2026] ` of -T in any language, `[<    0.000003>] ` of -d; `<4>` of -r without times.
    private mutating func readDmesg() -> Bool {
        var reader = ByteReader(text)
        if reader.take("<") {
            guard let level = reader.takeNumber(digits: 3), reader.take(">") else { return false }
            // A program wrote a record with a facility.
            source = level < 8 ? .kernel : .other
            text = reader.rest
            var inner = LogPrefix(unmarked: text)
            if inner.readDmesg() { text = inner.text }
            return true
        }
        guard reader.take("[") else { return false }
        let inner = reader.rest.prefix(Self.longestBracket)
        guard let end = inner.firstIndex(of: UInt8(ascii: "]")) else { return false }
        let mark = inner[..<end]
        guard Self.isDifference(mark) || Self.holdsTimeOfDay(mark) else { return false }
        var rest = ByteReader(text[(end + 1)...])
        guard rest.isAtEnd || rest.take(" ") || rest.rest.first == UInt8(ascii: "[") else { return false }
        source = .kernel
        text = rest.rest
        return true
    }

    /// `  +0.000003`, `<    0.000003>`
    private static func isDifference(_ mark: ArraySlice<UInt8>) -> Bool {
        var digits = mark.drop { $0 == space }
        if digits.first == UInt8(ascii: "+") {
            digits = digits.dropFirst()
        } else if digits.first == UInt8(ascii: "<"), digits.last == UInt8(ascii: ">") {
            digits = digits.dropFirst().dropLast().drop { $0 == space }
        } else {
            return false
        }
        let whole = digits.prefix { isDigit($0) }
        let rest = digits[whole.endIndex...]
        guard !whole.isEmpty, let point = rest.first, point == UInt8(ascii: ".") || point == comma else { return false }
        let decimals = rest.dropFirst()
        return (1...9).contains(decimals.count) && decimals.allSatisfy(isDigit)
    }

    /// Whether a text contains a time of day, `10:11:12` anywhere or `10:11` at its end, with a word or a date beside
    /// it.
    private static func holdsTimeOfDay(_ mark: ArraySlice<UInt8>) -> Bool {
        guard mark.count >= 9 else { return false }
        for index in mark.indices where mark[index] == colon {
            let before = mark[..<index].suffix(2)
            let after = mark[(index + 1)...].prefix(2)
            guard before.last.map(isDigit) == true, after.count == 2, after.allSatisfy(isDigit) else { continue }
            if after.endIndex == mark.endIndex { return before.startIndex > mark.startIndex }
            if mark[after.endIndex] == colon {
                let seconds = mark[(after.endIndex + 1)...].prefix(2)
                return seconds.count == 2 && seconds.allSatisfy(isDigit)
            }
        }
        return false
    }

    private static let facilities: Set<String> = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "local0",
        "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ]
    private static let levels: Set<String> = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"]

    // MARK: Structured logs

    /// A line of `journalctl -o json`, of `dmesg -J`, or of LAVA's output.yaml.
    private mutating func readStructured() -> Bool {
        let body = text.drop { $0 == Self.space || $0 == Self.tab }
        guard let first = body.first else { return false }
        if first == UInt8(ascii: "{") {
            guard let message = StructuredText.value(of: "MESSAGE", in: body) else { return false }
            let transport = StructuredText.value(of: "_TRANSPORT", in: body)
            source = transport.map { $0.elementsEqual("kernel".utf8) ? .kernel : .other } ?? .unknown
            text = message[...]
            return true
        }
        if first == UInt8(ascii: "-"), body.dropFirst().first == Self.space {
            let mapping = body.dropFirst(2)
            guard mapping.first == UInt8(ascii: "{"), let message = StructuredText.value(of: "msg", in: mapping),
                let level = StructuredText.value(of: "lvl", in: mapping)
            else { return false }
            // The dispatcher's own lines have other levels.
            let isTarget = level.elementsEqual("target".utf8) || level.elementsEqual("feedback".utf8)
            source = isTarget ? .unknown : .other
            text = message[...]
            if isTarget {
                let inner = LogPrefix(text)
                (text, source) = (inner.text, inner.source)
            }
            return true
        }
        if first == UInt8(ascii: "\""), body.starts(with: #""msg":"#.utf8),
            let message = StructuredText.value(of: "msg", in: body)
        {
            source = .kernel
            text = message[...]
            return true
        }
        return false
    }

    private static let carriageReturn = UInt8(ascii: "\r")
    private static let space = UInt8(ascii: " ")
    private static let tab = UInt8(ascii: "\t")
    private static let colon = UInt8(ascii: ":")
    private static let comma = UInt8(ascii: ",")

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
}

/// Reads a line from its start.
private struct ByteReader {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        rest = bytes
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// The bytes up to a blank.
    mutating func takeWord() -> ArraySlice<UInt8>? {
        let word = rest.prefix { $0 != UInt8(ascii: " ") }
        guard !word.isEmpty else { return nil }
        rest = rest[word.endIndex...]
        return word
    }

    /// `-`, or elements `[name key="value"]`, in whose values a backslash escapes quotes and brackets.
    mutating func takeStructuredData() -> Bool {
        if take("-") { return true }
        guard rest.first == UInt8(ascii: "[") else { return false }
        while take("[") {
            var (isQuoted, isEscaped) = (false, false)
            guard
                let end = rest.firstIndex(where: { byte in
                    defer { isEscaped = !isEscaped && byte == UInt8(ascii: "\\") }
                    if isEscaped { return false }
                    if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
                    return byte == UInt8(ascii: "]") && !isQuoted
                })
            else { return false }
            rest = rest[(end + 1)...]
        }
        return true
    }

    /// A number with at most `most` digits.
    mutating func takeNumber(digits most: Int, exactly count: Int? = nil) -> Int? {
        let digits = rest.prefix(most + 1).prefix { $0 >= 0x30 && $0 <= 0x39 }
        guard !digits.isEmpty, digits.count <= most, count.map({ $0 == digits.count }) ?? true else { return nil }
        rest = rest[digits.endIndex...]
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    /// `2026-01-02`
    mutating func takeDate() -> Bool {
        let start = rest
        guard takeNumber(digits: 4, exactly: 4) != nil, take("-"), takeNumber(digits: 2, exactly: 2) != nil, take("-"),
            takeNumber(digits: 2, exactly: 2) != nil
        else {
            rest = start
            return false
        }
        return true
    }

    /// `03:04:05`
    mutating func takeTime() -> Bool {
        let start = rest
        guard takeNumber(digits: 2, exactly: 2) != nil, take(":"), takeNumber(digits: 2, exactly: 2) != nil, take(":"),
            takeNumber(digits: 2, exactly: 2) != nil
        else {
            rest = start
            return false
        }
        return true
    }

    /// The decimals after whole seconds.
    struct Decimals {
        var count: Int
        var isComma: Bool
    }

    /// `.678` or `,678`
    mutating func takeDecimals() -> Decimals? {
        guard let mark = rest.first, mark == UInt8(ascii: ".") || mark == UInt8(ascii: ",") else { return nil }
        let digits = rest.dropFirst().prefix { $0 >= 0x30 && $0 <= 0x39 }
        guard (1...9).contains(digits.count) else { return nil }
        rest = rest[digits.endIndex...]
        return Decimals(count: digits.count, isComma: mark == UInt8(ascii: ","))
    }

    /// `Z`, `+01:00` or `+0100`
    mutating func takeZone() -> Bool {
        if take("Z") { return true }
        let start = rest
        guard take("+") || take("-"), takeNumber(digits: 4) != nil else {
            rest = start
            return false
        }
        if take(":"), takeNumber(digits: 2, exactly: 2) == nil { rest = start }
        return rest.startIndex != start.startIndex
    }

    /// The separator between a time and the text: one blank, because the text may begin with more; before it a colon or
    /// an angle.
    mutating func takeSeparator() -> Bool {
        if take(" ") {
            if rest.starts(with: "> ".utf8) || rest.starts(with: "| ".utf8) { rest = rest.dropFirst(2) }
            return true
        }
        if take(":") { return take(" ") }
        if take("\t") { return true }
        // There is no separator between two brackets.
        return rest.first == UInt8(ascii: "[")
    }

    /// `00O `, `01E+`: the stream of a GitLab job, and whether the line continues.
    mutating func takeStreamMark() -> Bool {
        let head = Array(rest.prefix(4))
        guard head.count == 4, head[0...1].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            head[2] == UInt8(ascii: "O") || head[2] == UInt8(ascii: "E"),
            head[3] == UInt8(ascii: " ") || head[3] == UInt8(ascii: "+")
        else { return false }
        rest = rest.dropFirst(4)
        return true
    }
}

/// Values in a line of JSON, or of YAML's mappings in braces.
enum StructuredText {
    /// The text of a key, unescaped; nil when the key is missing, or has no text.
    ///
    /// Only the forms of the journal, dmesg and LAVA are supported: strings in either kind of quotes, and arrays of
    /// bytes.
    static func value(of key: String, in line: ArraySlice<UInt8>) -> [UInt8]? {
        for quoted in ["\"\(key)\"", "'\(key)'", key] {
            guard var index = end(of: Array(quoted.utf8), in: line) else { continue }
            while index < line.endIndex, line[index] == UInt8(ascii: " ") { index += 1 }
            guard index < line.endIndex, line[index] == UInt8(ascii: ":") else { continue }
            index += 1
            while index < line.endIndex, line[index] == UInt8(ascii: " ") { index += 1 }
            guard index < line.endIndex else { return nil }
            switch line[index] {
            case UInt8(ascii: "\""): return string(line[(index + 1)...])
            case UInt8(ascii: "'"): return singleQuoted(line[(index + 1)...])
            case UInt8(ascii: "["): return bytes(line[(index + 1)...])
            default: return Array(line[index...].prefix { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "}") })
            }
        }
        return nil
    }

    private static func end(of needle: [UInt8], in line: ArraySlice<UInt8>) -> Int? {
        guard let first = needle.first else { return nil }
        var index = line.startIndex
        while index + needle.count <= line.endIndex {
            if line[index] == first, line[index...].starts(with: needle) {
                let before = index > line.startIndex ? line[index - 1] : UInt8(ascii: "{")
                if [UInt8(ascii: "{"), UInt8(ascii: ","), UInt8(ascii: " ")].contains(before)
                    || index == line.startIndex
                {
                    return index + needle.count
                }
            }
            index += 1
        }
        return nil
    }

    private static func string(_ line: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var index = line.startIndex
        while index < line.endIndex, line[index] != UInt8(ascii: "\"") {
            guard line[index] == UInt8(ascii: "\\"), index + 1 < line.endIndex else {
                result.append(line[index])
                index += 1
                continue
            }
            index += 2
            switch line[index - 1] {
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "e"): result.append(0x1B)
            case UInt8(ascii: "x"):
                guard let value = hexadecimal(line[index...], 2) else { break }
                result.append(UInt8(truncatingIfNeeded: value))
                index += 2
            case UInt8(ascii: "u"):
                guard let value = hexadecimal(line[index...], 4) else { break }
                index += 4
                // Halves of surrogate pairs do not occur in the kernel's text.
                if let scalar = Unicode.Scalar(value) { result += Array(String(Character(scalar)).utf8) }
            default: result.append(line[index - 1])
            }
        }
        return result
    }

    private static func singleQuoted(_ line: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var index = line.startIndex
        while index < line.endIndex {
            if line[index] == UInt8(ascii: "'") {
                // Two quotes are an escaped one.
                guard index + 1 < line.endIndex, line[index + 1] == UInt8(ascii: "'") else { break }
                index += 1
            }
            result.append(line[index])
            index += 1
        }
        return result
    }

    /// The journal writes text with control characters as an array of bytes.
    private static func bytes(_ line: ArraySlice<UInt8>) -> [UInt8]? {
        let numbers = line.prefix { $0 != UInt8(ascii: "]") }.split(separator: UInt8(ascii: ","))
        let values = numbers.map { UInt8(String(decoding: $0.filter { $0 != UInt8(ascii: " ") }, as: UTF8.self)) }
        return values.contains(nil) ? nil : values.compactMap { $0 }
    }

    private static func hexadecimal(_ line: ArraySlice<UInt8>, _ digits: Int) -> UInt32? {
        guard line.count >= digits else { return nil }
        return UInt32(String(decoding: line.prefix(digits), as: UTF8.self), radix: 16)
    }
}
