// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import SystemPackage

/// A file's bytes in memory, in a buffer that is reused for the next file.
struct ReadBuffer {
    private var bytes: [UInt8]
    private(set) var count = 0

    /// Creates a buffer, which grows.
    ///
    /// - Parameter size: The size of the files, as far as it is known.
    init(expecting size: Int = 1 << 18) { bytes = [UInt8](repeating: 0, count: max(size, 255) + 1) }

    /// Calls `body` with the bytes.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }

    mutating func read(_ path: FilePath) throws {
        let descriptor = open(path.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(.infrastructure, "cannot read \(path)", details: errnoText()) }
        defer { close(descriptor) }
        count = 0
        while true {
            if count == bytes.count { bytes += [UInt8](repeating: 0, count: bytes.count) }
            let got = bytes.withUnsafeMutableBytes { raw in
                Glibc.read(descriptor, raw.baseAddress.map { $0 + count }, raw.count - count)
            }
            guard got >= 0 else { throw Failure(.infrastructure, "cannot read \(path)", details: errnoText()) }
            if got == 0 { return }
            count += got
        }
    }

    /// Calls `body` with each word that is `needle`, or a path that ends with the component `needle`.
    func forEachWord(endingWith needle: Needle, _ body: (String) -> Void) {
        bytes.withUnsafeBytes { raw in
            var offset = 0
            while let start = needle.first(in: raw, from: offset, to: count) {
                let end = start + needle.bytes.count
                offset = end
                guard end == count || Self.isBoundary(raw[end]) else { continue }
                var first = start
                while first > 0, !Self.isBoundary(raw[first - 1]) { first -= 1 }
                guard first == start || raw[start - 1] == UInt8(ascii: "/") else { continue }
                body(String(decoding: UnsafeRawBufferPointer(rebasing: raw[first..<end]), as: UTF8.self))
            }
        }
    }

    /// Bytes that cannot be part of a path in a record: blanks, and the separators of the shell and of make.
    private static func isBoundary(_ byte: UInt8) -> Bool {
        switch byte {
        case 0...0x20, UInt8(ascii: "\\"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "\""), UInt8(ascii: "'"),
            UInt8(ascii: ";"), UInt8(ascii: ","), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "|"):
            true
        default: false
        }
    }
}

/// Bytes to search for, by Horspool's method: most of the haystack is never read.
struct Needle: Sendable {
    let bytes: [UInt8]
    /// How far to advance when the last byte compared is this one.
    private var skips: [Int]

    init(_ text: String) {
        bytes = Array(text.utf8)
        skips = [Int](repeating: max(bytes.count, 1), count: 256)
        for (index, byte) in bytes.enumerated().dropLast() { skips[Int(byte)] = bytes.count - 1 - index }
    }

    /// Where the bytes first occur; nil when they do not.
    func first(in haystack: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Int? {
        guard let last = bytes.last, let base = haystack.baseAddress else { return nil }
        return bytes.withUnsafeBufferPointer { needle in
            skips.withUnsafeBufferPointer { skips in
                var position = start + needle.count - 1
                while position < end {
                    let byte = haystack[position]
                    let candidate = position - needle.count + 1
                    if byte == last, let own = needle.baseAddress, memcmp(base + candidate, own, needle.count) == 0 {
                        return candidate
                    }
                    position += skips[Int(byte)]
                }
                return nil
            }
        }
    }
}
