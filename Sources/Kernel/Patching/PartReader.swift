// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation

/// Extracts the text of a message's parts, by the rules of MIME (RFC 2045 and 2046).
struct PartReader {
    let file: String
    /// The text of all parts that can hold a patch.
    private(set) var output = NumberedLines()
    /// The types of the other parts.
    private(set) var skipped: [String] = []

    init(file: String) { self.file = file }

    /// The most levels of nested parts; mail has three or four.
    private static let deepest = 20

    mutating func read(_ body: NumberedLines, _ headers: MailHeaders, depth: Int) throws {
        guard depth < Self.deepest else {
            throw Failure(
                .patch, "\(file):\(body.number(0)): the message has more than \(Self.deepest) levels of parts")
        }
        if let boundary = headers.boundary {
            try readParts(of: body, headers.type, boundary, depth)
        } else if headers.type == "message/rfc822" {
            var index = 0
            let inner = MailHeaders(body.lines, &index)
            try read(body[index..<body.lines.count], inner, depth: depth + 1)
        } else {
            try readText(body, headers)
        }
    }

    // MARK: Parts

    private mutating func readParts(
        of body: NumberedLines, _ type: String, _ boundary: String, _ depth: Int
    ) throws {
        var parts: [(headers: MailHeaders, body: NumberedLines)] = []
        let mark = Array("--\(boundary)".utf8)
        var start: Int?
        var isClosed = false
        func add(upTo end: Int) {
            guard var index = start else { return }
            let headers = MailHeaders(body.lines, &index)
            // The blank line below the headers belongs to the headers, and the blank line above the next boundary
            // belongs to the boundary.
            if index < end, MailMessage.isBlank(body.lines[index]) { index += 1 }
            parts.append((headers, body[min(index, end)..<end]))
        }
        for (index, line) in body.lines.enumerated() where line.first == UInt8(ascii: "-") {
            guard line.starts(with: mark) else { continue }
            let rest = line.dropFirst(mark.count).withoutNewline.filter { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }
            guard rest.isEmpty || rest.elementsEqual("--".utf8) else { continue }
            add(upTo: index)
            start = index + 1
            if !rest.isEmpty {
                isClosed = true
                start = nil
                break
            }
        }
        // A truncated message still has its last part, whose hunks show whether it is complete.
        if !isClosed { add(upTo: body.lines.count) }
        guard !parts.isEmpty else {
            throw Failure(
                .patch,
                "\(file):\(body.number(0)): the message has no part, though its header promises some between "
                    + "the lines --\(boundary)",
                nextStep: "save the message as it came (raw), with all of its lines")
        }
        switch type {
        case "multipart/alternative":
            let plain = parts.first { $0.headers.type == "text/plain" } ?? parts.first { $0.headers.boundary != nil }
            guard let plain else {
                skipped += parts.map(\.headers.type)
                return
            }
            try read(plain.body, plain.headers, depth: depth + 1)
        case "multipart/encrypted":
            throw Failure(
                .patch, "\(file):\(body.number(0)): the message is encrypted", nextStep: "decrypt it, and save its text"
            )
        default:
            for part in parts { try read(part.body, part.headers, depth: depth + 1) }
        }
    }

    // MARK: Text

    private mutating func readText(_ body: NumberedLines, _ headers: MailHeaders) throws {
        let type = headers.type
        let kind = type.split(separator: "/").first.map(String.init) ?? "text"
        let isSignature = type.hasSuffix("-signature") || type.hasSuffix("/pgp-keys")
        let isCalendar = type == "text/calendar"
        guard ["text", "application"].contains(kind), type != "text/html", !isSignature, !isCalendar else {
            skipped.append(type)
            return
        }
        var text = try decoded(body, headers)
        if kind == "application", text.lines.contains(where: { $0.contains(0) }) {
            skipped.append(type)
            return
        }
        if type == "text/plain", headers.parameter("format")?.lowercased() == "flowed" {
            text = FlowedText.undone(text, deletesSpaces: headers.parameter("delsp")?.lowercased() == "yes")
        }
        output.append(Self.withoutClearSignature(text))
    }

    private func decoded(_ body: NumberedLines, _ headers: MailHeaders) throws -> NumberedLines {
        let encoding = (headers["content-transfer-encoding"] ?? "").lowercased().trimmed
        switch encoding {
        case "quoted-printable": return Self.quotedPrintable(body)
        case "base64": return try base64(body, charset: headers.parameter("charset")?.lowercased() ?? "")
        case "", "7bit", "8bit", "binary": return body
        default:
            guard encoding.hasPrefix("x-") || encoding.hasPrefix("uu") else { return body }
            throw Failure(
                .patch,
                "\(file):\(body.number(0)): the message is encoded as \(encoding), which "
                    + "kbuild does not read", nextStep: "save the decoded patch as a file of its own")
        }
    }

    /// Decodes base64. A mailing list may have added its footer in plain text.
    private func base64(_ body: NumberedLines, charset: String) throws -> NumberedLines {
        var encoded: [UInt8] = []
        var index = 0
        while index < body.lines.count, encoded.last != UInt8(ascii: "=") {
            let text = body.lines[index].filter { ![0x20, 0x09, 0x0D, 0x0A].contains($0) }
            let isEncoded = text.allSatisfy { byte in
                (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte & 0xDF)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || Array("+/=".utf8).contains(byte)
            }
            guard isEncoded else { break }
            encoded += text
            index += 1
        }
        guard encoded.count % 4 == 0, let data = Data(base64Encoded: Data(encoded)) else {
            throw Failure(
                .patch,
                "\(file):\(body.number(min(index, max(0, body.lines.count - 1)))): "
                    + "the message's base64 text is damaged or cut off",
                nextStep: "save the raw message again")
        }
        var bytes = Array(data)
        if charset.hasPrefix("utf-16") {
            guard let text = Self.utf8(ofUTF16: bytes, isLittle: charset == "utf-16le") else {
                throw Failure(
                    .patch, "\(file):\(body.number(0)): the message's text is not the \(charset) that its header names",
                    nextStep: "save the raw message again")
            }
            bytes = text
        }
        if bytes.last != UInt8(ascii: "\n"), index < body.lines.count { bytes.append(UInt8(ascii: "\n")) }
        let lines = bytes.splitLines
        var output = NumberedLines(
            lines: lines, numbers: [Int](repeating: body.number(0), count: lines.count), first: body.number(0))
        if index < body.lines.count { output.append(body[index..<body.lines.count]) }
        return output
    }

    /// The text in UTF-8; nil when it is not UTF-16. Only base64 can hold UTF-16, which has zero bytes and bare
    /// line feeds.
    ///
    /// - Parameter isLittle: Whether the low byte comes first when there is no byte order mark (RFC 2781, section 4.3).
    private static func utf8(ofUTF16 bytes: [UInt8], isLittle: Bool) -> [UInt8]? {
        guard bytes.count % 2 == 0 else { return nil }
        var isLittle = isLittle
        var start = 2
        switch bytes.prefix(2) {
        case [0xFF, 0xFE]: isLittle = true
        case [0xFE, 0xFF]: isLittle = false
        default: start = 0
        }
        let units = stride(from: start, to: bytes.count, by: 2).map { index in
            let (first, second) = (UInt16(bytes[index]), UInt16(bytes[index + 1]))
            return isLittle ? second << 8 | first : first << 8 | second
        }
        return String(validating: units, as: UTF16.self).map { Array($0.utf8) }
    }

    /// Decodes quoted-printable (RFC 2045, section 6.7).
    private static func quotedPrintable(_ body: NumberedLines) -> NumberedLines {
        var output = NumberedLines(lines: [], numbers: [], first: body.first)
        var pending: [UInt8] = []
        var start: Int?
        for (index, line) in body.lines.enumerated() {
            var text = line.withoutNewline
            let isEnded = text.count < line.count
            let isReturned = text.last == UInt8(ascii: "\r")
            if isReturned { text = text.dropLast() }
            let isSoft = text.last == UInt8(ascii: "=")
            if isSoft { text = text.dropLast() }
            start = start ?? body.number(index)
            pending += quotedPrintable(text)
            if !isSoft {
                if isReturned { pending.append(UInt8(ascii: "\r")) }
                if isEnded { pending.append(UInt8(ascii: "\n")) }
                // An encoded line end, =0A, also ends a line.
                for line in pending.splitLines {
                    output.lines.append(line)
                    output.numbers?.append(start ?? 1)
                }
                (pending, start) = ([], nil)
            }
        }
        for line in pending.splitLines {
            output.lines.append(line)
            output.numbers?.append(start ?? 1)
        }
        return output
    }

    /// Decodes the escapes of a line without its end.
    static func quotedPrintable(_ text: ArraySlice<UInt8>) -> [UInt8] {
        func digit(_ byte: UInt8) -> UInt8? {
            Character(UnicodeScalar(byte)).hexDigitValue.map { UInt8($0) }
        }
        var output: [UInt8] = []
        output.reserveCapacity(text.count + 2)
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
        return output
    }

    /// Removes the dashes that a signature in the text adds before lines that begin with a dash (RFC 9580, section
    /// 7.2).
    private static func withoutClearSignature(_ text: NumberedLines) -> NumberedLines {
        guard let start = text.lines.firstIndex(where: { $0.hasPrefix("-----BEGIN PGP SIGNED MESSAGE-----") }),
            let end = text.lines[start...].firstIndex(where: { $0.hasPrefix("-----BEGIN PGP SIGNATURE-----") })
        else { return text }
        var text = text
        for index in start..<end where text.lines[index].hasPrefix("- ") {
            text.lines[index] = text.lines[index].dropFirst(2)
        }
        // Otherwise the signature's first line would be a line of the last hunk.
        text.lines[end] = text.lines[end].dropFirst(5)
        return text
    }
}

/// Decodes `format=flowed` (RFC 3676), in which mail programs send patches.
enum FlowedText {
    static func undone(_ text: NumberedLines, deletesSpaces: Bool) -> NumberedLines {
        let space = UInt8(ascii: " ")
        // A program that declares the format but does not stuff spaces leaves lines that begin with a single space.
        let isStuffed = !text.lines.contains {
            $0.first == space && ![space, 0x0A, 0x0D].contains($0.dropFirst().first ?? 0x0A)
        }
        guard isStuffed else { return text }
        var output = NumberedLines(lines: [], numbers: [], first: text.first)
        var isOpen = false
        for (index, line) in text.lines.enumerated() {
            let content = line.first == space ? line.dropFirst() : line
            if isOpen, let last = output.lines.indices.last, !isStart(of: content) {
                var before = output.lines[last].withoutNewline
                if before.last == UInt8(ascii: "\r") { before = before.dropLast() }
                if deletesSpaces { before = before.dropLast() }
                output.lines[last] = before + content
            } else {
                output.lines.append(content)
                output.numbers?.append(text.number(index))
            }
            var end = line.withoutNewline
            if end.last == UInt8(ascii: "\r") { end = end.dropLast() }
            isOpen = end.last == space && !end.elementsEqual("-- ".utf8) && end.count > 40
        }
        return output
    }

    /// Whether a line begins like a line of a patch, so that it does not continue the line above.
    private static func isStart(of line: Line) -> Bool {
        guard let first = line.first else { return true }
        return Array(" +-@\\\r\n\t".utf8).contains(first) || line.hasPrefix("diff ") || line.hasPrefix("index ")
    }
}
