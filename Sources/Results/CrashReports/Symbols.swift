// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// `name+0xoff/0xsize`, in the form of the kernel's %pS.
struct ParsedSymbol: Equatable {
    var name: String
    var offset: UInt64
    var size: UInt64
}

/// Parses a symbol that is the whole of `text`.
func parseSymbol(_ text: Substring) -> ParsedSymbol? {
    // Warnings up to 4.12 print parentheses after a function.
    let text = text.hasSuffix("()") ? text.dropLast(2) : text
    let bytes = text.utf8
    // No name is longer (KSYM_NAME_LEN is 512), and most words are not symbols.
    guard bytes.count < 600, let plus = bytes.firstIndex(of: UInt8(ascii: "+")) else { return nil }
    let name = text[..<plus]
    guard !name.isEmpty, name.utf8.allSatisfy(isSymbolByte) else { return nil }
    let numbers = text[bytes.index(after: plus)...].split(separator: "/", maxSplits: 1)
    guard let first = numbers.first, let offset = hexadecimal(first) else { return nil }
    // Without a size the symbol has a name, but cannot be found.
    if numbers.count == 1 { return ParsedSymbol(name: String(name), offset: offset, size: 0) }
    guard let size = hexadecimal(numbers[1]) else { return nil }
    return ParsedSymbol(name: String(name), offset: offset, size: size)
}

/// The number after `0x`, with at most sixteen digits.
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

/// A symbol without the compiler's suffixes; for Rust and C++ its path in the source.
func functionName(_ symbol: String) -> String {
    let name = symbol.prefix { $0 != "." }
    return MangledName.path(of: name) ?? String(name)
}

/// The words of a line, separated by blanks and tabs; only the first 1,200 bytes and 16 words are read.
func words(of line: Substring) -> [Substring] {
    line.utf8.prefix(1200)
        .split(maxSplits: 16, whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") })
        .map { Substring($0) }
}

extension StackFrame {
    /// Parses a line of a call trace. nil for any other line.
    ///
    /// The forms are ` symbol+0x1/0x2`, ` ? symbol+0x1/0x2 [module]`, ` [<ffffffff81000000>] symbol+0x1/0x2`, with the
    /// name of a stack before it (x86 up to 4.13), `[c000000000001000] [c000000000002000] symbol+0x1/0x2 (unreliable)`
    /// (ppc64), `([<0000000000100000>] symbol+0x1/0x2)` (s390),
    /// `[<80100000>] (callee) from [<80100004>] (symbol+0x1/0x2)` and ` callee from symbol+0x1/0x2` (arm); and those of
    /// scripts that add places: ` symbol+0x1/0x2 file.c:1`, ` symbol file.h:2 [inline]` and ` symbol (file.c:1)`.
    init?(line: Substring) {
        var words = Self.withoutMarks(words(of: line))
        var isReliable = true
        if words.first == "?" {
            isReliable = false
            words.removeFirst()
            words = Self.withoutMarks(Array(words))
        }
        // The calling function: the called one has no offset there, and is the previous frame in the trace.
        if let from = words.firstIndex(of: "from"), from == words.startIndex + 1, words.count >= 3 {
            words = Self.withoutMarks(Array(words[(from + 1)...]))
            guard let caller = words.first.map(Self.withoutParentheses) else { return nil }
            words[words.startIndex] = caller
        }
        guard let first = words.popFirst() else { return nil }
        if let symbol = parseSymbol(first) {
            guard let rest = Self.remainder(words) else { return nil }
            self.init(
                symbol: symbol.name, offset: symbol.offset, size: symbol.size, module: rest.module,
                isReliable: isReliable && rest.isReliable)
            if let place = rest.place {
                locations = [Location(function: functionName(symbol.name), file: place.file, line: place.line)]
            }
            return
        }
        // Without an offset only a script's frame counts, which has the function's place.
        guard first.utf8.count < 600, first.utf8.allSatisfy(isSymbolByte), let rest = Self.remainder(words),
            let place = rest.place
        else { return nil }
        self.init(symbol: String(first), offset: 0, size: 0, module: rest.module, isReliable: isReliable)
        locations = [Location(function: functionName(String(first)), file: place.file, line: place.line)]
    }

    /// Parses the instruction pointer: `RIP: 0010:symbol+0x1/0x2`,
    /// `RIP: 0010:[<ffffffff81000000>]  [<ffffffff81000000>] symbol+0x1/0x2`, `EIP: symbol+0x1/0x2`,
    /// `pc : symbol+0x1/0x2`, `PC is at symbol+0x1/0x2`, `epc : symbol+0x1/0x2`,
    /// `NIP [c000000000001000] symbol+0x1/0x2`, `Krnl PSW : 0704c00180000000 0000000000100000 (symbol+0x1/0x2)` and
    /// `   ERA: 9000000000200000 symbol+0x1/0x2`. nil for any other line, and for a program's.
    init?(instructionPointer line: String) {
        guard let mark = Self.pointerMarks.first(where: line.hasPrefix) else { return nil }
        var text = line.dropFirst(mark.count)
        // On x86 the code segment is before the symbol.
        if let colon = text.firstIndex(of: ":"), text[..<colon].allSatisfy(\.isHexDigit) {
            text = text[text.index(after: colon)...]
        }
        if let frame = StackFrame(line: text) {
            self = frame
        } else {
            // Other registers may follow.
            let symbols = CrashReports.words(of: text).lazy.map(Self.withoutParentheses).compactMap { parseSymbol($0) }
            guard let symbol = symbols.first else { return nil }
            self.init(symbol: symbol.name, offset: symbol.offset, size: symbol.size)
        }
        isInstructionPointer = true
    }

    private static let pointerMarks = [
        "RIP: ", "EIP: ", "EIP is at ", "IP: ", "pc : ", "PC is at ", "epc : ", "epc   : ", "NIP [", "Krnl PSW : ",
        "   ERA: ", "ERA   : ",
    ]

    /// Words without the marks before a symbol: addresses in brackets, and the name of a stack in angles.
    private static func withoutMarks(_ words: [Substring]) -> ArraySlice<Substring> {
        var words = words[...]
        while let first = words.first {
            if first == "[<", let end = words.prefix(4).firstIndex(of: ">]") {
                words = words[(end + 1)...]
                continue
            }
            let bare = first.hasPrefix("(") ? first.dropFirst() : first
            let isAddress =
                bare.hasPrefix("[<") && bare.hasSuffix(">]")
                || bare.hasPrefix("[") && bare.hasSuffix("]") && bare.utf8.count >= 10
                    && bare.dropFirst().dropLast().allSatisfy(\.isHexDigit)
            let isStack = first.hasPrefix("<") && first.hasSuffix(">") && first.utf8.count <= 12
            guard isAddress || isStack else { break }
            words.removeFirst()
            // s390 prints a whole frame in parentheses.
            if bare.startIndex != first.startIndex, let symbol = words.first, symbol.hasSuffix(")") {
                words[words.startIndex] = symbol.dropLast()
            }
        }
        return words
    }

    private static func withoutParentheses(_ word: Substring) -> Substring {
        word.hasPrefix("(") && word.hasSuffix(")") ? word.dropFirst().dropLast() : word
    }

    /// The text that may follow a symbol: `[module]`, `[module build-ID]`, `(unreliable)`, `(P)`, `file.c:1`,
    /// `file.c:1 [inline]`, `(file.c:1 (discriminator 2))`. nil for anything else.
    private static func remainder(
        _ words: ArraySlice<Substring>
    ) -> (module: String?, place: (file: String, line: Int)?, isReliable: Bool)? {
        var words = words
        var module: String?
        var place: (file: String, line: Int)?
        var isReliable = true
        var depth = 0
        while let word = words.popFirst() {
            if depth > 0 || word.hasPrefix("(") {
                if depth == 0, word == "(unreliable)" { isReliable = false }
                depth += word.count { $0 == "(" } - word.count { $0 == ")" }
                if place == nil { place = Self.place(word.drop { $0 == "(" }) }
            } else if word == "[inline]" {
                continue
            } else if word.hasPrefix("[") {
                module = String(word.dropFirst().prefix { $0 != "]" })
                if word.hasSuffix("]") { continue }
                guard let identifier = words.popFirst(), identifier.hasSuffix("]") else { return nil }
            } else {
                guard place == nil, let found = Self.place(word) else { return nil }
                place = found
            }
        }
        return (module, place, isReliable)
    }

    /// Parses `file.c:12`, possibly followed by a closing parenthesis.
    private static func place(_ word: Substring) -> (file: String, line: Int)? {
        let parts = word.split(separator: ":", maxSplits: 2)
        guard parts.count >= 2, let file = parts.first, file.contains(".") || file.contains("/") else { return nil }
        let digits = parts[1].prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty, digits.utf8.count < 9, let line = Int(digits) else { return nil }
        let rest = parts[1].dropFirst(digits.count)
        guard rest.allSatisfy({ $0 == ")" }) else { return nil }
        return (String(file), line)
    }
}
