// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Glibc
import Patching

/// A SYSCALL_DEFINE in a C file.
struct SyscallDefinition: Equatable {
    var name: String
    var isCompat: Bool
    /// The digit of SYSCALL_DEFINEn.
    var count: Int
    /// The text between the parentheses after the name: types and names in turn.
    var parameters: [String]
    /// Counted from 1.
    var line: Int

    var macro: String { "\(isCompat ? "COMPAT_" : "")SYSCALL_DEFINE\(count)" }
    var types: [String] { stride(from: 0, to: parameters.count, by: 2).map { parameters[$0] } }

    /// Finds the definitions of a C file, outside comments, strings and `#define` lines.
    static func scan(_ bytes: [UInt8]) -> [SyscallDefinition] {
        // Few files of a large patch define a call, and removing comments takes most of the time here.
        guard mentionsDefinition(bytes) else { return [] }
        let text = withoutComments(bytes)
        var definitions: [SyscallDefinition] = []
        var line = 1
        var index = 0
        var isDirective = false
        while index < text.count {
            let byte = text[index]
            if byte == UInt8(ascii: "\n") {
                isDirective = isDirective && index > 0 && text[index - 1] == UInt8(ascii: "\\")
                line += 1
            } else if byte == UInt8(ascii: "#") {
                isDirective = true
            } else if CIdentifier.isByte(byte) {
                let word = text[index...].prefix(while: CIdentifier.isByte)
                if !isDirective, let found = parse(word, after: text[word.endIndex...], line: line) {
                    definitions.append(found)
                }
                index = word.endIndex
                continue
            }
            index += 1
        }
        return definitions
    }

    private static func mentionsDefinition(_ bytes: [UInt8]) -> Bool {
        let word: StaticString = "SYSCALL_DEFINE"
        return bytes.withUnsafeBytes { text in
            // Its second letter is the rarest.
            var from = 1
            while from < text.count, let base = text.baseAddress,
                let found = memchr(base + from, Int32(UInt8(ascii: "Y")), text.count - from)
            {
                let start = UnsafeRawPointer(found) - base - 1
                if start + word.utf8CodeUnitCount <= text.count,
                    memcmp(base + start, word.utf8Start, word.utf8CodeUnitCount) == 0
                {
                    return true
                }
                from = start + 2
            }
            return false
        }
    }

    private static func parse(_ word: Line, after rest: Line, line: Int) -> SyscallDefinition? {
        guard word.first == UInt8(ascii: "S") || word.first == UInt8(ascii: "C") else { return nil }
        var macro = String(decoding: word, as: UTF8.self)[...]
        let isCompat = macro.hasPrefix("COMPAT_")
        if isCompat { macro = macro.dropFirst("COMPAT_".count) }
        guard macro.hasPrefix("SYSCALL_DEFINE"), let count = Int(macro.dropFirst("SYSCALL_DEFINE".count)),
            (0...6).contains(count)
        else { return nil }
        let open = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\n") }
        guard open.first == UInt8(ascii: "(") else { return nil }
        var depth = 0
        var parts: [[UInt8]] = [[]]
        scan: for byte in open {
            switch byte {
            case UInt8(ascii: "("):
                if depth > 0 { parts[parts.count - 1].append(byte) }
                depth += 1
            case UInt8(ascii: ")"):
                depth -= 1
                if depth == 0 { break scan }
                parts[parts.count - 1].append(byte)
            case UInt8(ascii: ",") where depth == 1: parts.append([])
            case UInt8(ascii: "\n"), UInt8(ascii: "\t"): parts[parts.count - 1].append(UInt8(ascii: " "))
            default: parts[parts.count - 1].append(byte)
            }
        }
        guard depth == 0 else { return nil }
        let words = parts.map { normalized(String(decoding: $0, as: UTF8.self)) }
        guard let name = words.first, CIdentifier(name) != nil else { return nil }
        return SyscallDefinition(
            name: name, isCompat: isCompat, count: count, parameters: Array(words.dropFirst()), line: line)
    }

    /// A type with one space between words and none around `*`, so that spellings can be compared.
    static func normalized(_ type: String) -> String {
        let words = type.split(separator: " ").joined(separator: " ")
        return words.split(separator: "*", omittingEmptySubsequences: false).map(\.trimmed).joined(separator: "*")
    }

    /// The bytes with comments and string contents blanked, and newlines kept so that lines can be counted.
    static func withoutComments(_ bytes: [UInt8]) -> [UInt8] {
        enum State { case code, line, block, string(UInt8) }
        var output = bytes
        var state = State.code
        var index = 0
        func next(_ byte: StaticString) -> Bool {
            index + 1 < bytes.count && byte.withUTF8Buffer { bytes[index] == $0[0] && bytes[index + 1] == $0[1] }
        }
        while index < bytes.count {
            let byte = bytes[index]
            var length = 1
            switch state {
            case .code:
                if next("//") {
                    state = .line
                } else if next("/*") {
                    (state, length) = (.block, 2)
                } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                    state = .string(byte)
                }
                if case .code = state {} else { output[index] = UInt8(ascii: " ") }
                if length == 2 { output[index + 1] = UInt8(ascii: " ") }
            case .line:
                if byte == UInt8(ascii: "\n") { state = .code } else { output[index] = UInt8(ascii: " ") }
            case .block:
                if next("*/") {
                    (state, length) = (.code, 2)
                    output[index + 1] = UInt8(ascii: " ")
                }
                if byte != UInt8(ascii: "\n") { output[index] = UInt8(ascii: " ") }
            case .string(let quote):
                if byte == UInt8(ascii: "\\"), index + 1 < bytes.count {
                    length = 2
                    if bytes[index + 1] != UInt8(ascii: "\n") { output[index + 1] = UInt8(ascii: " ") }
                } else if byte == quote || byte == UInt8(ascii: "\n") {
                    // A string ends with its line; an apostrophe in assembly must not swallow the rest.
                    state = .code
                }
                if byte != UInt8(ascii: "\n") { output[index] = UInt8(ascii: " ") }
            }
            index += length
        }
        return output
    }
}
