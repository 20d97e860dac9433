// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Lines of a message or of a part of one, each with its number in the file.
struct NumberedLines {
    var lines: [Line] = []
    /// The numbers of `lines`; nil when they are consecutive from `first`, as in a text that was not encoded.
    var numbers: [Int]?
    /// The number of the first line, from 1.
    var first = 1

    func number(_ index: Int) -> Int {
        guard let numbers else { return first + index }
        return index < numbers.count ? numbers[index] : (numbers.last ?? first) + 1
    }

    subscript(range: Range<Int>) -> NumberedLines {
        NumberedLines(
            lines: Array(lines[range]), numbers: numbers.map { Array($0[range]) }, first: number(range.lowerBound))
    }

    mutating func append(_ other: NumberedLines) {
        if lines.isEmpty {
            self = other
            return
        }
        let own = numbers ?? lines.indices.map { first + $0 }
        numbers = own + (other.numbers ?? other.lines.indices.map { other.first + $0 })
        lines += other.lines
    }
}

/// A message of a mailbox, or a whole file that is not a mailbox, with its parts and transfer encodings decoded as by
/// `git mailinfo`.
struct MailMessage {
    /// The subject, unfolded and decoded; nil when there is none.
    var subject: String?
    /// The author of the patch: the `From:` line that begins the body, else the header's; nil when there is none.
    var author: String?
    /// The header's date; nil when there is none.
    var date: String?
    /// The identifier of the message, which shows that it is a duplicate; nil when there is none.
    var identifier: String?
    /// Whether it is a reply.
    var isAnswer: Bool
    /// The lines below the mail headers, or all lines if there are none.
    var body: NumberedLines
    /// The number in the file of the message's first line, from 1.
    var firstLineNumber: Int
    /// The types of the parts that contain no text of a patch.
    var skippedParts: [String] = []

    /// Splits a patch file at the `From ` lines of a mailbox.
    ///
    /// - Throws: `Failure` (`patch`) for an encoding that is not supported or is damaged.
    static func split(_ bytes: [UInt8], file: String) throws -> [MailMessage] {
        let lines = bytes.splitLines
        var starts: [Int] = []
        var closing: Int?
        for index in lines.indices where lines[index].first == UInt8(ascii: "F") && isSeparator(lines[index]) {
            // An attached patch, or a patch below a scissors line, begins in the same way.
            if let closing, index < closing { continue }
            if index > 0, !isMessageStart(lines, index) { continue }
            starts.append(index)
            closing = closingLine(lines, from: index)
        }
        if starts.first != 0 { starts.insert(0, at: 0) }
        var messages: [MailMessage] = []
        for (index, start) in starts.enumerated() {
            let end = index + 1 < starts.count ? starts[index + 1] : lines.count
            let part = lines[start..<end]
            // The text before the first separator is a message only if it is not blank.
            if index == 0, starts.count > 1, !part.contains(where: { !isBlank($0) }) { continue }
            messages.append(
                try MailMessage(NumberedLines(lines: Array(part), first: start + 1), file: file))
        }
        return messages
    }

    private static func isMessageStart(_ lines: [Line], _ index: Int) -> Bool {
        guard index + 1 < lines.count, MailHeaders.isHeader(lines[index + 1]) || isSeparator(lines[index + 1]) else {
            return false
        }
        let above = lines[..<index].last { !isBlank($0) }
        return above.map { !isScissors($0) } ?? true
    }

    /// The line that ends the parts of the message that begins at `start`; nil when there are no parts, or no end.
    private static func closingLine(_ lines: [Line], from start: Int) -> Int? {
        var index = start
        let headers = MailHeaders(lines, &index)
        guard let boundary = headers.boundary else { return nil }
        let closing = Array("--\(boundary)--".utf8)
        return lines[index...].firstIndex { $0.starts(with: closing) }
    }

    private init(_ lines: NumberedLines, file: String) throws {
        var index = 0
        let all = lines.lines
        while index < all.count, Self.isBlank(all[index]) { index += 1 }
        if index == all.count { index = 0 }
        firstLineNumber = lines.number(index)
        let headers = MailHeaders(all, &index)
        subject = headers["subject"].map(MailHeaders.decoded)
        identifier = headers["message-id"]
        isAnswer = headers["in-reply-to"] != nil
        body = NumberedLines()
        var reader = PartReader(file: file)
        try reader.read(lines[index..<all.count], headers, depth: 0)
        (body, skippedParts) = (reader.output, reader.skipped)
        if body.lines.isEmpty { body.first = lines.number(min(index, max(0, all.count - 1))) }
        if let inner = innerSubject { subject = inner }
        author = (ownAuthor ?? headers["from"]).map(MailHeaders.decoded)
        date = headers["date"]
    }

    /// A `From: ` line that begins the body: the author of a forwarded patch, as git writes it.
    private var ownAuthor: String? {
        let first = body.lines.first { !Self.isBlank($0) }
        guard let first, first.hasPrefix("From: ") else { return nil }
        return String(decoding: first.withoutNewline.dropFirst("From: ".utf8.count), as: UTF8.self).trimmed
    }

    /// The body above the diff and the line `---`, without the lines that replace headers.
    var explanation: String {
        guard subject != nil else { return "" }
        let end = body.lines.firstIndex { line in
            line.hasPrefix("diff ") || line.hasPrefix("--- ") || line.hasPrefix("Index: ")
                || line.withoutNewline.elementsEqual("---".utf8)
        }
        let lines = body.lines[..<(end ?? body.lines.count)].map { String(decoding: $0.withoutNewline, as: UTF8.self) }
        let inner = ownAuthor == nil ? lines[...] : lines.drop { $0.trimmed.isEmpty }.dropFirst()
        let text = inner.drop { $0.trimmed.isEmpty }
        return text.reversed().drop { $0.trimmed.isEmpty }.reversed().joined(separator: "\n")
    }

    /// The subject below a scissors line, which describes the patch better than the subject of the message around it.
    private var innerSubject: String? {
        guard var index = body.lines.firstIndex(where: Self.isScissors) else { return nil }
        index += 1
        while index < body.lines.count, Self.isBlank(body.lines[index]) { index += 1 }
        guard index < body.lines.count else { return nil }
        return MailHeaders(body.lines, &index)["subject"].map(MailHeaders.decoded)
    }

    static func isBlank(_ line: Line) -> Bool {
        line.allSatisfy { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }
    }

    /// Whether `8<`, `>8`, `%<` or `>%` is in a line.
    private static func holdsScissors(_ line: Line) -> Bool {
        line.withUnsafeBufferPointer { bytes in
            var previous: UInt8 = 0
            for byte in bytes {
                let isPair =
                    byte == UInt8(ascii: "<") && (previous == UInt8(ascii: "8") || previous == UInt8(ascii: "%"))
                    || previous == UInt8(ascii: ">") && (byte == UInt8(ascii: "8") || byte == UInt8(ascii: "%"))
                if isPair { return true }
                previous = byte
            }
            return false
        }
    }

    /// A line such as `--- 8< ---` or `-- >8 -- cut here --`, by the rule of `git mailinfo --scissors`.
    static func isScissors(_ line: Line) -> Bool {
        // Each line of a message is looked at, and nearly all of them end here.
        guard line.count < 204, holdsScissors(line) else { return false }
        let text = line.withoutNewline.filter { $0 != UInt8(ascii: "\r") }
        guard text.contains(UInt8(ascii: "-")), text.count < 200 else { return false }
        var (perforation, scissors, visible) = (0, false, 0)
        var isPerforated = false
        var index = text.startIndex
        var first: Int?
        var last = 0
        while index < text.endIndex {
            let byte = text[index]
            if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") {
                if isPerforated { perforation += 1 }
                index += 1
                continue
            }
            first = first ?? index
            last = index
            visible += 1
            if byte == UInt8(ascii: "-") {
                isPerforated = true
                perforation += 1
                index += 1
                continue
            }
            let mark = text[index...].prefix(2)
            if [">8", "8<", ">%", "%<"].contains(where: { mark.elementsEqual($0.utf8) }) {
                (isPerforated, scissors) = (true, true)
                perforation += 2
                visible += 1
                last = index + 1
                index += 2
                continue
            }
            isPerforated = false
            index += 1
        }
        guard scissors, let first else { return false }
        let width = last - first + 1
        return width > 8 - 1 && width < perforation * 3
    }

    /// `From SENDER DAY MONTH DATE HH:MM:SS YEAR`, as in mbox (RFC 4155). A hunk's lines cannot begin in this way, and
    /// a sentence that does has no time in it.
    static func isSeparator(_ line: Line) -> Bool {
        guard line.hasPrefix("From ") else { return false }
        let words = String(decoding: line.withoutNewline, as: UTF8.self).trimmed.split(separator: " ")
        let hasTime = words.contains {
            $0.split(separator: ":").count == 3 && $0.allSatisfy { $0 == ":" || $0.isNumber }
        }
        // git format-patch names the commit instead of the sender.
        let isOfCommit = words.count > 1 && [40, 64].contains(words[1].count) && words[1].allSatisfy(\.isHexDigit)
        return words.count >= 6 && hasTime && (isOfCommit || words.contains { $0.count == 4 && Int($0) != nil })
    }
}
