// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Processes

/// Converts a file's bytes, in pieces, to UTF-8 by its byte order mark, after checking that its beginning is text.
struct TextDecoder {
    private enum Encoding { case bytes, utf16(isBig: Bool), utf32(isBig: Bool) }

    private let input: TextInput
    /// The beginning, kept until it is long enough to check; nil afterwards.
    private var head: [UInt8]? = []
    private var encoding = Encoding.bytes
    /// The bytes of an incomplete unit, which the next piece completes.
    private var rest: [UInt8] = []
    /// The high surrogate of a UTF-16 pair.
    private var highHalf: UInt32?

    /// The number of bytes that are checked: more than an HTML page has before its first tag.
    private static let headBytes = 1024

    init(_ input: TextInput) { self.input = input }

    mutating func consume(_ chunk: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) throws -> Void) throws {
        guard var head else { return try decode(chunk, body) }
        head += chunk
        guard head.count >= Self.headBytes else {
            self.head = head
            return
        }
        try begin(head, body)
    }

    mutating func finish(_ body: (ArraySlice<UInt8>) throws -> Void) throws {
        if let head { try begin(head, body) }
        guard rest.isEmpty, highHalf == nil else {
            throw Failure(input.code, "\(input.name) is \(encodingName) and ends within a character: it is cut off")
        }
    }

    private var encodingName: String {
        switch encoding {
        case .bytes: "UTF-8"
        case .utf16: "UTF-16"
        case .utf32: "UTF-32"
        }
    }

    private mutating func begin(_ head: [UInt8], _ body: (ArraySlice<UInt8>) throws -> Void) throws {
        self.head = nil
        let skipped: Int
        if head.starts(with: [0xEF, 0xBB, 0xBF]) {
            skipped = 3
        } else if head.starts(with: [0xFF, 0xFE, 0, 0]) {
            (encoding, skipped) = (.utf32(isBig: false), 4)
        } else if head.starts(with: [0, 0, 0xFE, 0xFF]) {
            (encoding, skipped) = (.utf32(isBig: true), 4)
        } else if head.starts(with: [0xFF, 0xFE]) {
            (encoding, skipped) = (.utf16(isBig: false), 2)
        } else if head.starts(with: [0xFE, 0xFF]) {
            (encoding, skipped) = (.utf16(isBig: true), 2)
        } else {
            skipped = 0
            try refuseOtherThanText(head[...])
        }
        var first: [UInt8] = []
        try decode(head[skipped...]) { first += $0 }
        try refusePage(first[...])
        if !first.isEmpty { try body(first[...]) }
    }

    private mutating func decode(_ chunk: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) throws -> Void) throws {
        let (width, isBig): (Int, Bool)
        switch encoding {
        case .bytes:
            if !chunk.isEmpty { try body(chunk) }
            return
        case .utf16(let big): (width, isBig) = (2, big)
        case .utf32(let big): (width, isBig) = (4, big)
        }
        let bytes = rest + chunk
        let whole = bytes.count / width * width
        rest = Array(bytes[whole...])
        var output: [UInt8] = []
        output.reserveCapacity(whole)
        for start in stride(from: 0, to: whole, by: width) {
            let unit = bytes[start..<(start + width)]
            let value = (isBig ? Array(unit) : unit.reversed()).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            try append(value, to: &output)
        }
        if !output.isEmpty { try body(output[...]) }
    }

    private mutating func append(_ value: UInt32, to output: inout [UInt8]) throws {
        var value = value
        if case .utf16 = encoding {
            if let high = highHalf {
                guard (0xDC00...0xDFFF).contains(value) else { throw damaged }
                value = 0x10000 + (high - 0xD800) << 10 + (value - 0xDC00)
                highHalf = nil
            } else if (0xD800...0xDBFF).contains(value) {
                highHalf = value
                return
            }
        }
        guard let scalar = Unicode.Scalar(value) else { throw damaged }
        if value < 0x80 { output.append(UInt8(value)) } else { output += UTF8.encode(scalar) ?? .init() }
    }

    private var damaged: Failure {
        Failure(
            input.code, "\(input.name) is \(encodingName) by its byte order mark, and damaged",
            nextStep: "save it as UTF-8")
    }

    // MARK: Other kinds of files

    /// The magic bytes of other kinds of files.
    private static let signatures: [(bytes: [UInt8], name: String, step: String)] = [
        (Array("PK\u{3}\u{4}".utf8), "a ZIP archive", "unpack it"),
        ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "a 7z archive", "unpack it"),
        (Array("Rar!".utf8), "a RAR archive", "unpack it"),
        ([0x04, 0x22, 0x4D, 0x18], "compressed by lz4", "decompress it: `lz4 -d`"),
        ([0x1F, 0x9D], "compressed by compress", "decompress it: `gzip -d`"),
        ([0x5D, 0, 0], "compressed by lzma", "decompress it: `xz -d --format=lzma`"),
        (Array("%PDF-".utf8), "a PDF file", "give the text itself"),
        (Array("{\\rtf".utf8), "an RTF document", "save it as plain text"),
        ([0x7F] + Array("ELF".utf8), "an ELF program", "give the text file"),
        ([0x89] + Array("PNG".utf8), "a picture", "give the text itself"),
        (Array("# v2 git bundle".utf8), "a git bundle", "fetch from it, and use `git format-patch`"),
        (Array("# v3 git bundle".utf8), "a git bundle", "fetch from it, and use `git format-patch`"),
        (Array("version https://git-lfs".utf8), "a pointer of Git LFS", "fetch the file: `git lfs pull`"),
    ]

    private func refuseOtherThanText(_ head: ArraySlice<UInt8>) throws {
        if let signature = Self.signatures.first(where: { head.starts(with: $0.bytes) }) {
            throw Failure(
                input.code, "\(input.name) is \(signature.name), not \(input.purpose)", nextStep: signature.step)
        }
        if let format = CompressionFormat(head: head) {
            throw Failure(
                input.code, "\(input.name) was compressed twice, the second time by \(format.rawValue)",
                nextStep: "decompress it once by hand")
        }
        if head.dropFirst(257).starts(with: Array("ustar".utf8)) {
            throw Failure(input.code, "\(input.name) is a tar archive, not \(input.purpose)", nextStep: "unpack it")
        }
        // ASCII in UTF-16 has a zero in every second byte. A text in UTF-8 has no zero byte.
        let pairs = head.count / 2
        guard pairs >= 4 else { return }
        let even = stride(from: head.startIndex, to: head.startIndex + pairs * 2, by: 2).count { head[$0] == 0 }
        let odd = stride(from: head.startIndex + 1, to: head.startIndex + pairs * 2, by: 2).count { head[$0] == 0 }
        if max(even, odd) * 4 >= pairs * 3, min(even, odd) * 4 <= pairs {
            throw Failure(
                input.code, "\(input.name) is UTF-16 without a byte order mark",
                nextStep: "save it as UTF-8: `iconv -f UTF-16\(odd > even ? "LE" : "BE") -t UTF-8`")
        }
    }

    private func refusePage(_ head: ArraySlice<UInt8>) throws {
        let start = head.drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) }.prefix(200)
        let text = String(decoding: start, as: UTF8.self).lowercased()
        let isPage =
            text.hasPrefix("<!doctype html") || text.hasPrefix("<html") || text.hasPrefix("<head")
            || (text.hasPrefix("<?xml") && text.contains("<html")) || (text.hasPrefix("<!--") && text.contains("<html"))
        guard isPage else { return }
        throw Failure(
            input.code, "\(input.name) is an HTML page, not \(input.purpose)",
            nextStep: "download the raw file: of a commit on GitHub or GitLab append .patch to the address, "
                + "of a mail archive take its \"raw\" or \"mbox\" link")
    }
}
