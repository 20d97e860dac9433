// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage
import Testing

@testable import RootFilesystem

@Suite("Symbols of an ELF file", .timeLimit(.minutes(30)))
struct ELFSymbolsTests {
    private func little(_ value: UInt64, _ bytes: Int) -> [UInt8] {
        (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }

    /// An ELF file with a symbol table of these symbols, at its end the section headers.
    private func file(_ symbols: [(name: String, info: UInt8, section: UInt64, address: UInt64, size: UInt64)])
        -> [UInt8]
    {
        var strings: [UInt8] = [0]
        var entries = [UInt8](repeating: 0, count: 24)
        for symbol in symbols {
            entries += little(UInt64(strings.count), 4) + [symbol.info, 0] + little(symbol.section, 2)
            entries += little(symbol.address, 8) + little(symbol.size, 8)
            strings += Array(symbol.name.utf8) + [0]
        }
        func section(type: UInt64, offset: Int, size: Int, link: UInt64) -> [UInt8] {
            little(0, 4) + little(type, 4) + little(0, 16) + little(UInt64(offset), 8) + little(UInt64(size), 8)
                + little(link, 4) + little(0, 20)
        }
        let body = 64 + strings.count + entries.count
        var header: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + little(0, 9) + little(2, 2) + little(62, 2)
        header += little(1, 4) + little(0, 16) + little(UInt64(body), 8) + little(0, 4) + little(64, 2)
        header += little(0, 4) + little(64, 2) + little(3, 2) + little(0, 2)
        return header + strings + entries + section(type: 0, offset: 0, size: 0, link: 0)
            + section(type: 3, offset: 64, size: strings.count, link: 0)
            + section(type: 2, offset: 64 + strings.count, size: entries.count, link: 1)
    }

    private let sample: [(name: String, info: UInt8, section: UInt64, address: UInt64, size: UInt64)] = [
        ("prb", 0x01, 3, 0xFFFF_FFFF_81A2_2370, 8), ("tainted_mask", 0x11, 4, 0xFFFF_FFFF_81CA_4DF8, 8),
        ("twice", 0x01, 3, 1, 1), ("twice", 0x01, 3, 2, 1), ("function", 0x12, 1, 9, 9), ("elsewhere", 0x10, 0, 0, 0),
    ]

    @Test("objects are found by their names; functions, ambiguous names and names of other files are not")
    func found() throws {
        let symbols = try ELFSymbols(
            ["prb", "tainted_mask", "twice", "function", "elsewhere", "mask", "none"], bytes: file(sample), path: "/v")
        #expect(symbols.symbols.count == 2)
        #expect(symbols.symbols["prb"] == .init(address: 0xFFFF_FFFF_81A2_2370, size: 8))
        #expect(symbols.symbols["tainted_mask"] == .init(address: 0xFFFF_FFFF_81CA_4DF8, size: 8))
    }

    @Test("a file with a cut or a changed byte anywhere is an error or has other symbols, but never a trap")
    func damaged() {
        let whole = file(sample)
        for length in 0..<whole.count {
            #expect(throws: Failure.self) { try ELFSymbols(["prb"], bytes: Array(whole.prefix(length)), path: "/v") }
        }
        for index in whole.indices {
            for value: UInt8 in [0, 0x7F, 0xFF] {
                var bytes = whole
                bytes[index] = value
                _ = try? ELFSymbols(["prb", "tainted_mask"], bytes: bytes, path: "/v")
            }
        }
    }
}
