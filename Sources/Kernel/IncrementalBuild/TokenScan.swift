// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Finds the files of a kernel that are affected by another value of some macros: those that name one, or a macro whose
/// definition names one, and so on.
struct TokenScan {
    /// Files that use one of the macros outside a definition.
    private(set) var users: Set<FilePath> = []
    /// The macros themselves, and all macros whose definitions name one of them.
    private(set) var macros: Set<String>

    /// Reads the files again until no new macros are found.
    ///
    /// - Parameter names: Identifiers to look for.
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be read; `CancellationError`.
    init(for names: Set<String>, in files: [FilePath]) throws {
        macros = names
        var new = names
        var buffer = ReadBuffer()
        while !new.isEmpty {
            let needles = new.sorted().map { Needle($0) }
            var found: Set<String> = []
            for file in files {
                try Task.checkCancellation()
                try buffer.read(file)
                buffer.withBytes { bytes in
                    for needle in needles {
                        Self.forEachIdentifier(needle, in: bytes) { position in
                            if let macro = Self.definedMacro(at: position, in: bytes) {
                                // The definition of the name itself is not a use of it.
                                if macro.utf8.elementsEqual(needle.bytes) { return }
                                found.insert(macro)
                            } else {
                                users.insert(file)
                            }
                        }
                    }
                }
            }
            new = found.subtracting(macros)
            macros.formUnion(new)
        }
    }

    private static func isIdentifier(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (byte >= 0x30 && byte <= 0x39) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
    }

    private static func forEachIdentifier(
        _ needle: Needle, in bytes: UnsafeRawBufferPointer, _ body: (Int) -> Void
    ) {
        var offset = 0
        while let start = needle.first(in: bytes, from: offset, to: bytes.count) {
            let end = start + needle.bytes.count
            offset = end
            let isWhole =
                (start == 0 || !isIdentifier(bytes[start - 1])) && (end == bytes.count || !isIdentifier(bytes[end]))
            if isWhole { body(start) }
        }
    }

    /// The macro that the line around a position defines, with lines that end in a backslash joined; nil elsewhere.
    private static func definedMacro(at position: Int, in bytes: UnsafeRawBufferPointer) -> String? {
        var start = position
        while start > 0 {
            if bytes[start - 1] == 0x0A, start < 2 || bytes[start - 2] != UInt8(ascii: "\\") { break }
            start -= 1
        }
        let line = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        // "#define NAME", "# define NAME(a, b) ..."; the match may be the name.
        let rest = line.drop { $0 == " " || $0 == "\t" }
        guard rest.first == "#" else { return nil }
        let directive = rest.dropFirst().drop { $0 == " " || $0 == "\t" }
        guard directive.hasPrefix("define") else { return nil }
        let tail = directive.dropFirst("define".count).drop { $0 == " " || $0 == "\t" }
        let name = tail.utf8.prefix { isIdentifier($0) }
        if !name.isEmpty { return String(Substring(name)) }
        // The match is the name.
        var end = position
        while end < bytes.count, isIdentifier(bytes[end]) { end += 1 }
        return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[position..<end]), as: UTF8.self)
    }
}
