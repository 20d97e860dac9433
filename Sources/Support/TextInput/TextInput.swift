// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CDescriptors
import Diagnostics
import Glibc
import Processes
import SystemPackage

/// Reads a text file from the user: a patch, a mailbox, a fragment, a project file, a log.
///
/// Such a file may be compressed, begin with a byte order mark, be UTF-16, or not be text, such as the HTML page around
/// the file to download. Known encodings are decoded here, for all readers; anything else is a failure that names the
/// cause.
public struct TextInput: Sendable {
    /// The file's name, for messages.
    public var name: String
    /// What the file should be, such as "a patch", for messages.
    public var purpose: String
    /// The exit status of failures.
    public var code: ExitStatus
    /// The most bytes of a file, compressed or not. The largest patch of a kernel release has less than a quarter of
    /// this.
    public var limit: Int

    /// Creates a reader.
    public init(_ name: String, as purpose: String, code: ExitStatus = .usage, limit: Int = 256 << 20) {
        (self.name, self.purpose, self.code, self.limit) = (name, purpose, code, limit)
    }

    /// The bytes read at once.
    private static let chunkBytes = 64 << 10

    /// The file's contents: decompressed, without a byte order mark, UTF-16 and UTF-32 as UTF-8. Line ends are as in
    /// the file.
    ///
    /// - Throws: `Failure` with `code` when the file cannot be read or is not text.
    public func bytes(of path: FilePath) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        try withFile(path) { file in
            _ = try stream(file, limit: limit) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    /// The same for contents that were read already.
    ///
    /// - Throws: `Failure` with `code`.
    public func bytes(decoding raw: [UInt8]) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        do {
            if let format = CompressionFormat(head: raw.prefix(16)) {
                var decoder = TextDecoder(self)
                let file = try memoryFile(raw)
                try file.closeAfter {
                    try Decompressor(name: name, code: code, limit: limit).expand(file, format) { chunk in
                        try decoder.consume(chunk) { bytes.append(contentsOf: $0) }
                    }
                }
                try decoder.finish { bytes.append(contentsOf: $0) }
            } else {
                var decoder = TextDecoder(self)
                try decoder.consume(raw[...]) { bytes.append(contentsOf: $0) }
                try decoder.finish { bytes.append(contentsOf: $0) }
            }
        } catch {
            throw failure(error)
        }
        return bytes
    }

    /// The file's contents as text whose lines end in LF, for formats in which the kind of line end does not matter.
    ///
    /// - Throws: `Failure` with `code` when the file cannot be read or has a line that is not text, which it names.
    public func text(of path: FilePath) throws(Failure) -> String {
        try text(from: try bytes(of: path))
    }

    /// The same for contents that were read already.
    ///
    /// - Throws: `Failure` with `code`.
    public func text(decoding raw: [UInt8]) throws(Failure) -> String {
        try text(from: try bytes(decoding: raw))
    }

    /// Passes on a file's contents in pieces, so that its size does not matter.
    ///
    /// - Parameter path: The file; nil for standard input.
    /// - Returns: The number of bytes passed on.
    /// - Throws: `Failure` with `code`, and what `body` throws.
    public func stream(_ path: FilePath?, _ body: (ArraySlice<UInt8>) throws -> Void) throws(Failure) -> Int {
        var count = 0
        if let path {
            try withFile(path, isStream: true) { count = try stream($0, limit: nil, body) }
        } else {
            do {
                count = try stream(.standardInput, limit: nil, body)
            } catch {
                throw failure(error)
            }
        }
        return count
    }

    // MARK: Reading

    /// - Parameter isStream: Whether a named pipe is allowed, as for a log that another program still writes.
    private func withFile(
        _ path: FilePath, isStream: Bool = false, _ body: (FileDescriptor) throws -> Void
    ) throws(Failure) {
        do {
            // A shell's `<(command)` is a pipe that already has a writer.
            let isOpen = path.string.hasPrefix("/dev/fd/") || path.string.hasPrefix("/proc/self/fd/")
            let file =
                isStream || isOpen
                ? try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
                : try openRegularFile(path, failingWith: code)
            try file.closeAfter { try body(file) }
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ error: any Error) -> Failure {
        if let failure = error as? Failure { return failure }
        return Failure(code, "cannot read \(name)", details: "\(error)")
    }

    private func stream(
        _ file: FileDescriptor, limit: Int?, _ body: (ArraySlice<UInt8>) throws -> Void
    ) throws -> Int {
        var total = 0
        func count(_ chunk: ArraySlice<UInt8>) throws {
            total += chunk.count
            if let limit, total > limit { throw tooLarge(limit) }
            try body(chunk)
        }
        var decoder = TextDecoder(self)
        var head: [UInt8] = []
        // A pipe may deliver the first bytes one at a time.
        while head.count < 16, case let chunk = try Self.chunk(file), !chunk.isEmpty { head += chunk }
        if let format = CompressionFormat(head: head) {
            let copy = try compressed(file, head: head)
            try copy.closeAfter {
                try Decompressor(name: name, code: code, limit: limit ?? self.limit).expand(copy, format) { chunk in
                    try decoder.consume(chunk, count)
                }
            }
        } else {
            try decoder.consume(head[...], count)
            while case let chunk = try Self.chunk(file), !chunk.isEmpty { try decoder.consume(chunk, count) }
        }
        try decoder.finish(count)
        return total
    }

    private static func chunk(_ file: FileDescriptor) throws -> ArraySlice<UInt8> {
        let bytes = try [UInt8](unsafeUninitializedCapacity: chunkBytes) { buffer, count in
            count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
        }
        return bytes[...]
    }

    /// The whole compressed file in memory: its beginning was read already, and standard input cannot go back.
    private func compressed(_ file: FileDescriptor, head: [UInt8]) throws -> FileDescriptor {
        var bytes = head
        while case let chunk = try Self.chunk(file), !chunk.isEmpty {
            bytes += chunk
            if bytes.count > limit { throw tooLarge(limit) }
        }
        return try memoryFile(bytes)
    }

    private func memoryFile(_ bytes: [UInt8]) throws -> FileDescriptor {
        let number = kbuild_memory_file("kbuild-text-input")
        guard number >= 0 else { throw Errno(rawValue: errno) }
        let file = FileDescriptor(rawValue: number)
        do {
            try file.writeAll(bytes)
            try file.seek(offset: 0, from: .start)
        } catch {
            try? file.close()
            throw error
        }
        return file
    }

    private func tooLarge(_ limit: Int) -> Failure {
        Failure(code, "\(name) has more than \(limit >> 20) MB, which \(purpose) never has")
    }

    // MARK: Lines

    private func text(from bytes: [UInt8]) throws(Failure) -> String {
        let bytes = bytes.last == 0x1A ? bytes.dropLast() : bytes[...]
        let (cr, lf) = (UInt8(ascii: "\r"), UInt8(ascii: "\n"))
        // Only CR: Mac OS before X. In a file with an LF, a single CR is a mistake.
        let hasOnlyReturns = !bytes.contains(lf) && bytes.contains(cr)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var line = 1
        var start = bytes.startIndex
        while start < bytes.endIndex {
            let end = bytes[start...].firstIndex(of: hasOnlyReturns ? cr : lf) ?? bytes.endIndex
            var content = bytes[start..<end]
            while content.last == cr { content = content.dropLast() }
            if content.contains(cr) {
                throw Failure(
                    code, "\(name):\(line): the line has a carriage return (CR) in its middle",
                    nextStep: "save the file with LF line ends: `sed -i 's/\\r//g' FILE`")
            }
            if content.contains(0) {
                throw Failure(code, "\(name):\(line): the line has a NUL byte, so the file is not text")
            }
            if String(validating: content, as: UTF8.self) != nil {
                output += content
            } else {
                output += try latin1(content, line)
            }
            if end < bytes.endIndex { output.append(lf) }
            start = end + 1
            line += 1
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// A comment that is not UTF-8 is read as Latin-1, because it does not matter; a value could be changed by that.
    private func latin1(_ line: ArraySlice<UInt8>, _ number: Int) throws(Failure) -> [UInt8] {
        let first = line.firstIndex { $0 >= 0x80 } ?? line.endIndex
        let before = line[..<first]
        let isComment =
            before.first { $0 != 0x20 && $0 != 0x09 } == UInt8(ascii: "#")
            || before.indices.dropFirst().contains {
                before[$0] == UInt8(ascii: "#") && [0x20, 0x09].contains(before[$0 - 1])
            }
        guard isComment else {
            throw Failure(
                code,
                "\(name):\(number): the line is not UTF-8: "
                    + "byte 0x\(String(line[first], radix: 16)) in column \(first - line.startIndex + 1)",
                nextStep: "save the file as UTF-8; for Latin-1: `iconv -f latin1 -t utf8`")
        }
        return line.flatMap { $0 < 0x80 ? [$0] : [0xC0 | $0 >> 6, 0x80 | $0 & 0x3F] }
    }
}
