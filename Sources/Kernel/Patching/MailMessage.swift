// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation

/// A message of a mailbox, or a whole file that is none, with its transfer encoding undone.
struct MailMessage {
    /// The subject with its folded lines joined; nil when there is none.
    var subject: String?
    /// The lines below the mail headers, or all lines where there are none.
    var lines: [Line]
    /// The number in the file of the first of `lines`, from 1.
    var firstLineNumber: Int

    /// Whether this is the introduction to a series, `[PATCH 0/3]`, which by its nature holds no diff.
    var isCoverLetter: Bool {
        guard let subject, subject.hasPrefix("["), let end = subject.firstIndex(of: "]") else { return false }
        return subject[..<end].split(whereSeparator: { $0 == " " || $0 == "[" }).contains { word in
            let numbers = word.split(separator: "/")
            return numbers.count == 2 && Int(numbers[0]) == 0 && Int(numbers[1]) != nil
        }
    }

    /// Splits a patch file at the `From ` lines of a mailbox.
    ///
    /// - Throws: `Failure` (`patch`) for an encoding that kbuild does not read.
    static func split(_ bytes: [UInt8], file: String) throws -> [MailMessage] {
        let lines = bytes.splitLines
        var starts = lines.indices.filter { isSeparator(lines[$0]) }
        if starts.first != 0 { starts.insert(0, at: 0) }
        var messages: [MailMessage] = []
        for (index, start) in starts.enumerated() {
            let end = index + 1 < starts.count ? starts[index + 1] : lines.count
            let part = Array(lines[start..<end])
            // What stands before the first separator is a message only if it says something.
            if index == 0, starts.count > 1, !part.contains(where: { !isBlank($0) }) { continue }
            messages.append(try MailMessage(part, firstLineNumber: start + 1, file: file))
        }
        return messages
    }

    private init(_ lines: [Line], firstLineNumber: Int, file: String) throws {
        var index = 0
        var headers: [String: String] = [:]
        if let first = lines.first, Self.isSeparator(first) || Self.isHeader(first) {
            if Self.isSeparator(first) { index = 1 }
            var name: String?
            while index < lines.count, !Self.isBlank(lines[index]) {
                let text = lines[index].withoutNewline
                if text.first == UInt8(ascii: " ") || text.first == UInt8(ascii: "\t") {
                    if let name { headers[name, default: ""] += " " + String(decoding: text, as: UTF8.self).trimmed }
                } else if Self.isHeader(lines[index]), let colon = text.firstIndex(of: UInt8(ascii: ":")) {
                    let key = String(decoding: text[..<colon], as: UTF8.self).lowercased()
                    name = key
                    headers[key] = String(decoding: text[(colon + 1)...], as: UTF8.self).trimmed
                } else {
                    break
                }
                index += 1
            }
        }
        subject = headers["subject"]
        self.firstLineNumber = firstLineNumber + index
        self.lines = Array(lines[index...])
        if let type = headers["content-type"]?.lowercased(), type.hasPrefix("multipart/") {
            throw Failure(
                .patch, "\(file):\(firstLineNumber): the message has several MIME parts",
                nextStep: "save the attached patch as a file of its own")
        }
        switch headers["content-transfer-encoding"]?.lowercased() {
        case "quoted-printable":
            self.lines = Self.decodeQuotedPrintable(self.lines).splitLines
        case "base64":
            guard let data = Data(base64Encoded: Data(self.lines.joined()), options: .ignoreUnknownCharacters) else {
                throw Failure(.patch, "\(file):\(self.firstLineNumber): the message's base64 text is damaged")
            }
            self.lines = Array(data).splitLines
        default: break
        }
        stripCarriageReturns()
    }

    /// A mail program or an editor may have turned every line end into CR LF. The diff's own header lines tell: git
    /// never ends those in CR, while the lines of a hunk may end so when the file itself does.
    private mutating func stripCarriageReturns() {
        let structure = lines.filter { line in
            line.hasPrefix("diff --git ") || line.hasPrefix("--- ") || line.hasPrefix("+++ ") || line.hasPrefix("@@ -")
        }
        guard !structure.isEmpty, structure.allSatisfy({ $0.withoutNewline.last == UInt8(ascii: "\r") }) else { return }
        lines = lines.map { line in
            guard line.withoutNewline.last == UInt8(ascii: "\r") else { return line }
            return line.withoutNewline.dropLast() + (line.last == UInt8(ascii: "\n") ? [UInt8(ascii: "\n")] : [])
        }
    }

    private static func isBlank(_ line: Line) -> Bool {
        line.allSatisfy { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }
    }

    /// `From SENDER DAY MONTH DATE HH:MM:SS YEAR`, as mbox has it (RFC 4155). A hunk's lines cannot begin so, and a
    /// sentence that happens to has no time in it.
    static func isSeparator(_ line: Line) -> Bool {
        guard line.hasPrefix("From ") else { return false }
        let words = String(decoding: line.withoutNewline, as: UTF8.self).trimmed.split(separator: " ")
        let hasTime = words.contains {
            $0.split(separator: ":").count == 3 && $0.allSatisfy { $0 == ":" || $0.isNumber }
        }
        return words.count >= 6 && hasTime && words.contains { $0.count == 4 && Int($0) != nil }
    }

    /// Whether a line looks like `Name: value`.
    private static func isHeader(_ line: Line) -> Bool {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else { return false }
        return line[..<colon].allSatisfy { byte in
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte & 0xDF) || byte == UInt8(ascii: "-")
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
    }

    /// Undoes quoted-printable (RFC 2045, section 6.7).
    private static func decodeQuotedPrintable(_ lines: [Line]) -> [UInt8] {
        func digit(_ byte: UInt8) -> UInt8? {
            Character(UnicodeScalar(byte)).hexDigitValue.map { UInt8($0) }
        }
        var output: [UInt8] = []
        for line in lines {
            var text = line.withoutNewline
            let isCarriageReturned = text.last == UInt8(ascii: "\r")
            if isCarriageReturned { text = text.dropLast() }
            let isSoft = text.last == UInt8(ascii: "=")
            if isSoft { text = text.dropLast() }
            var index = text.startIndex
            while index < text.endIndex {
                if text[index] == UInt8(ascii: "="), index + 2 < text.endIndex, let high = digit(text[index + 1]),
                    let low = digit(text[index + 2])
                {
                    output.append(high << 4 | low)
                    index += 3
                } else {
                    output.append(text[index])
                    index += 1
                }
            }
            if !isSoft {
                if isCarriageReturned { output.append(UInt8(ascii: "\r")) }
                output.append(UInt8(ascii: "\n"))
            }
        }
        return output
    }
}
