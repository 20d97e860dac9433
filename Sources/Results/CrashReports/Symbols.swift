// SPDX-License-Identifier: Apache-2.0
/// `name+0xoff/0xsize`, as the kernel's %pS prints a symbol.
struct ParsedSymbol: Equatable {
    var name: String
    var offset: UInt64
    var size: UInt64
}

/// Reads a symbol that is all of `text`.
func parseSymbol(_ text: Substring) -> ParsedSymbol? {
    let bytes = text.utf8
    // No name is longer (KSYM_NAME_LEN is 512), and most words are no symbol.
    guard bytes.count < 600, let plus = bytes.firstIndex(of: UInt8(ascii: "+")) else { return nil }
    let name = text[..<plus]
    guard !name.isEmpty, name.utf8.allSatisfy(isSymbolByte) else { return nil }
    let numbers = text[bytes.index(after: plus)...].split(separator: "/", maxSplits: 1)
    guard let first = numbers.first, let offset = hexadecimal(first) else { return nil }
    // Without a size the symbol can be named, but not found.
    if numbers.count == 1 { return ParsedSymbol(name: String(name), offset: offset, size: 0) }
    guard let size = hexadecimal(numbers[1]) else { return nil }
    return ParsedSymbol(name: String(name), offset: offset, size: size)
}

/// The number that `0x` and at most sixteen digits stand for.
private func hexadecimal(_ text: Substring) -> UInt64? {
    guard text.hasPrefix("0x") else { return nil }
    let digits = text.dropFirst(2)
    guard (1...16).contains(digits.utf8.count), digits.first != "+", digits.first != "-" else { return nil }
    return UInt64(digits, radix: 16)
}

private func isSymbolByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "$"):
        true
    default: false
    }
}

/// The first symbol with an offset in a line.
func symbol(in line: String) -> String? {
    guard line.utf8.contains(UInt8(ascii: "+")) else { return nil }
    for bytes in line.utf8.prefix(2000).split(whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: ",") }) {
        if let symbol = parseSymbol(Substring(bytes)) { return symbol.name }
    }
    return nil
}

/// A symbol without the compiler's suffixes.
func functionName(_ symbol: String) -> String { String(symbol.prefix { $0 != "." }) }

extension StackFrame {
    /// Reads a line of a call trace: ` symbol+0x1/0x2`, ` ? symbol+0x1/0x2 [module]`, ` [<ffffffff81000000>] symbol+0x1/0x2`.
    /// nil for any other line.
    init?(line: Substring) {
        var words = line.utf8.prefix(1200).split(whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        )
        .map { Substring($0) }[...]
        while let first = words.first, first.hasPrefix("[<"), first.hasSuffix(">]") { words.removeFirst() }
        var isReliable = true
        if words.first == "?" {
            isReliable = false
            words.removeFirst()
        }
        guard let first = words.first, let symbol = parseSymbol(first) else { return nil }
        words.removeFirst()
        var module: String?
        // `[module]`, or `[module build-ID]`
        if let tag = words.first, tag.hasPrefix("[") {
            guard words.count <= 2, words.last?.hasSuffix("]") == true else { return nil }
            module = String(tag.dropFirst().prefix { $0 != "]" })
        } else if !words.isEmpty {
            return nil
        }
        self.init(
            symbol: symbol.name, offset: symbol.offset, size: symbol.size, module: module, isReliable: isReliable)
    }

    /// Reads the instruction pointer: `RIP: 0010:symbol+0x1/0x2`. nil for any other line, and for a program's.
    init?(instructionPointer line: String) {
        let marks = ["RIP: ", "EIP: ", "pc : "]
        guard let mark = marks.first(where: line.hasPrefix) else { return nil }
        var text = line.dropFirst(mark.count)
        // The code segment stands before the symbol on x86.
        if let colon = text.firstIndex(of: ":"), text[..<colon].allSatisfy(\.isHexDigit) {
            text = text[text.index(after: colon)...]
        }
        guard let frame = StackFrame(line: text) else { return nil }
        self = frame
        isInstructionPointer = true
    }
}
