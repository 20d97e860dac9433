// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage

/// Some of the objects in an ELF file's symbol table. A hostile author may have made the file, so every offset, size
/// and count is compared with the file before it is used.
public struct ELFSymbols: Sendable, Hashable {
    /// A symbol's place.
    public struct Symbol: Sendable, Hashable {
        /// Its address (st_value).
        public var address: UInt64
        /// Its size in bytes (st_size).
        public var size: UInt64
    }

    /// The symbols that were found, by name. A name with two places is omitted.
    public private(set) var symbols: [String: Symbol] = [:]

    /// SHT_SYMTAB, and the sizes of a section header and a symbol: see elf(5).
    private static let symbolTable: UInt64 = 2
    private static let sectionSize: UInt64 = 64
    private static let symbolSize = 24

    /// Looks names up in a file's symbol table.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be read, is not a 64-bit little-endian ELF file, has no
    ///   symbol table, or points outside itself.
    public init(_ names: Set<String>, in path: FilePath) throws(Failure) {
        self = try ELFFile.Source.reading(path) { (source) throws(Failure) in try ELFSymbols(names, source) }
    }

    /// Looks names up in the bytes of a file. `path` is named in errors.
    init(_ names: Set<String>, bytes: [UInt8], path: FilePath) throws(Failure) {
        try self.init(
            names,
            ELFFile.Source(size: UInt64(bytes.count), path: path) { offset, buffer in
                let part = bytes[Int(offset)..<min(bytes.count, Int(offset) + buffer.count)]
                buffer.copyBytes(from: part)
                return part.count
            })
    }

    private init(_ names: Set<String>, _ source: ELFFile.Source) throws(Failure) {
        let header = try source.bytes(at: 0, count: 64)
        guard header.starts(with: [0x7F, 0x45, 0x4C, 0x46]), header[4] == 2, header[5] == 1 else {
            throw source.damaged("it is not a 64-bit little-endian ELF file")
        }
        let count = header.number(at: 60, bytes: 2)
        guard header.number(at: 58, bytes: 2) == Self.sectionSize else {
            throw source.damaged("its section headers have another size than \(Self.sectionSize)")
        }
        let table = try source.bytes(at: header.number(at: 40, bytes: 8), count: Self.sectionSize * count)
        func section(_ index: Int) -> (type: UInt64, offset: UInt64, size: UInt64, link: Int) {
            let start = index * Int(Self.sectionSize)
            return (
                table.number(at: start + 4, bytes: 4), table.number(at: start + 24, bytes: 8),
                table.number(at: start + 32, bytes: 8), Int(table.number(at: start + 40, bytes: 4))
            )
        }
        guard let symbolTable = (0..<Int(count)).lazy.map(section).first(where: { $0.type == Self.symbolTable }) else {
            throw source.damaged("it has no symbol table")
        }
        guard symbolTable.link < Int(count) else { throw source.damaged("its symbols' names lie in no section") }
        let strings = section(symbolTable.link)
        let entries = try source.bytes(at: symbolTable.offset, count: symbolTable.size)
        let text = try source.bytes(at: strings.offset, count: strings.size)
        find(names, in: entries, named: text)
    }

    /// A kernel has tens of thousands of symbols, so a name's first byte is compared first.
    private mutating func find(_ names: Set<String>, in entries: [UInt8], named text: [UInt8]) {
        let wanted = Dictionary(grouping: names.map { (name: $0, bytes: Array($0.utf8)) }) { $0.bytes.first ?? 0 }
        var places: [String: Set<Symbol>] = [:]
        entries.withUnsafeBytes { entries in
            text.withUnsafeBytes { text in
                for start in stride(from: 0, through: entries.count - Self.symbolSize, by: Self.symbolSize) {
                    let name = Int(entries.loadUnaligned(fromByteOffset: start, as: UInt32.self).littleEndian)
                    guard name < text.count, let candidates = wanted[text[name]] else { continue }
                    // SHN_UNDEF is a symbol of another file; functions (STT_FUNC), sections and files are not needed.
                    let section = entries.loadUnaligned(fromByteOffset: start + 6, as: UInt16.self).littleEndian
                    guard section != 0, [0, 1].contains(entries[start + 4] & 0xF) else { continue }
                    for candidate in candidates {
                        let end = name + candidate.bytes.count
                        guard end < text.count, text[end] == 0, text[name..<end].elementsEqual(candidate.bytes) else {
                            continue
                        }
                        places[candidate.name, default: []].insert(
                            Symbol(
                                address: entries.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self).littleEndian,
                                size: entries.loadUnaligned(fromByteOffset: start + 16, as: UInt64.self).littleEndian))
                    }
                }
            }
        }
        symbols = places.compactMapValues { $0.count == 1 ? $0.first : nil }
    }
}
