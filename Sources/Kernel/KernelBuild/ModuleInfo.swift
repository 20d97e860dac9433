// SPDX-License-Identifier: Apache-2.0

/// What a module's file says of itself: the `NAME=VALUE` strings of the section .modinfo (include/linux/module.h,
/// MODULE_INFO).
public struct ModuleInfo: Sendable, Equatable {
    /// The name by which the kernel knows the module.
    public var name: String
    /// The modules that it needs, by their names.
    public var dependencies: [String]
    /// The release and the options of its kernel.
    public var versionMagic: String?
    /// Its functions.
    public var functions: [Function] = []

    /// A function, by its place in the file.
    public struct Function: Sendable, Equatable {
        /// The section's name.
        public var section: String
        /// The offset in the section, in bytes.
        public var offset: UInt64
        /// The size in bytes.
        public var size: UInt64
        /// The function's name.
        public var name: String
    }

    /// The most functions that are read of a file.
    private static let mostFunctions = 100_000

    /// Reads a module's bytes; nil for a file that is not a 64-bit little-endian ELF file with that section.
    public init?(_ bytes: [UInt8]) {
        guard let sections = Sections(bytes), let section = sections.contents(of: ".modinfo") else { return nil }
        var values: [String: String] = [:]
        for text in section.split(separator: 0) {
            guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let key = String(decoding: text[..<equals], as: UTF8.self)
            if values[key] == nil { values[key] = String(decoding: text[(equals + 1)...], as: UTF8.self) }
        }
        guard let name = values["name"], !name.isEmpty else { return nil }
        self.name = name
        dependencies = (values["depends"] ?? "").split(separator: ",").map(String.init)
        versionMagic = values["vermagic"]
        functions = Self.functions(sections)
    }

    /// The functions of .symtab, whose entries are of the form Elf64_Sym.
    private static func functions(_ sections: Sections) -> [Function] {
        guard let table = sections.contents(of: ".symtab"), let names = sections.contents(of: ".strtab")
        else { return [] }
        let (entrySize, functionType) = (24, UInt8(2))
        var functions: [Function] = []
        for start in stride(from: table.startIndex, to: table.endIndex, by: entrySize)
        where start + entrySize <= table.endIndex && table[start + 4] & 0xF == functionType {
            guard functions.count < mostFunctions, let name = sections.number(start, 4), name < names.count,
                let index = sections.number(start + 6, 2), index > 0, let section = sections.name(of: index),
                let offset = sections.number(start + 8, 8), let size = sections.number(start + 16, 8)
            else { continue }
            functions.append(
                Function(
                    section: section, offset: UInt64(offset), size: UInt64(size),
                    name: String(decoding: names[(names.startIndex + name)...].prefix { $0 != 0 }, as: UTF8.self)))
        }
        return functions
    }
}

/// The sections of a 64-bit little-endian ELF file. The offsets are those of Elf64_Ehdr and Elf64_Shdr: see elf(5).
private struct Sections {
    private let bytes: [UInt8]
    private let table: Int
    private let entry: Int
    private let count: Int
    private var names: ArraySlice<UInt8> = []

    init?(_ bytes: [UInt8]) {
        self.bytes = bytes
        guard bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]), let table = Self.number(40, 8, in: bytes),
            let entry = Self.number(58, 2, in: bytes), entry >= 64, let count = Self.number(60, 2, in: bytes),
            let namesIndex = Self.number(62, 2, in: bytes), namesIndex < count, table <= bytes.count,
            count * entry <= bytes.count - table
        else { return nil }
        (self.table, self.entry, self.count) = (table, entry, count)
        guard let names = contents(at: namesIndex) else { return nil }
        self.names = names
    }

    private static func number(_ offset: Int, _ count: Int, in bytes: [UInt8]) -> Int? {
        guard offset >= 0, offset <= bytes.count - count else { return nil }
        var value: UInt64 = 0
        for index in 0..<count { value |= UInt64(bytes[offset + index]) << (8 * UInt64(index)) }
        return Int(exactly: value)
    }

    /// A number of some bytes at a place in the file; nil outside of the file.
    func number(_ offset: Int, _ count: Int) -> Int? { Self.number(offset, count, in: bytes) }

    private func contents(at index: Int) -> ArraySlice<UInt8>? {
        let header = table + index * entry
        guard let offset = number(header + 24, 8), let size = number(header + 32, 8), offset <= bytes.count,
            size <= bytes.count - offset
        else { return nil }
        return bytes[offset..<(offset + size)]
    }

    /// A section's name; nil for none.
    func name(of index: Int) -> String? {
        guard index < count, let name = number(table + index * entry, 4), name < names.count else { return nil }
        return String(decoding: names[(names.startIndex + name)...].prefix { $0 != 0 }, as: UTF8.self)
    }

    /// The contents of the first section with a name.
    func contents(of wanted: String) -> ArraySlice<UInt8>? {
        (0..<count).first { name(of: $0) == wanted }.flatMap(contents(at:))
    }
}
