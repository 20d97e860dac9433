// SPDX-License-Identifier: Apache-2.0
/// Makes seen what a terminal, a log or a browser would obey, or not show at all.
public enum VisibleText {
    /// A text in one line, with `\u{1B}` in place of each character that is not seen; line ends too. A tab stays.
    public static func line(_ text: String) -> String { escaped(text) }

    /// The same for a text of several lines. A line's end is LF or CR LF.
    public static func lines(_ text: String) -> String {
        guard needsEscape(text.utf8) else { return text }
        return parts(text).map(line).joined(separator: "\n")
    }

    /// JSON with `\u001B` in place of each character that is not seen: the same document.
    static func json(_ text: String) -> String {
        guard needsEscape(text.utf8) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar == "\n" || scalar == "\t" || isSeen(scalar) {
                result.append(scalar)
            } else {
                // What lies beyond U+FFFF is two of UTF-16's units (RFC 8259, section 7).
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: true)
                    let zeros = String(repeating: "0", count: 4 - digits.count)
                    result.append(contentsOf: "\\u\(zeros)\(digits)".unicodeScalars)
                }
            }
        }
        return String(result)
    }

    /// The lines of a text by its bytes: "\r\n" is one Character in Swift. One at its end begins no further line.
    public static func split(_ text: String) -> [String] {
        var lines = parts(text)
        if lines.count > 1, lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    private static func parts(_ text: String) -> [String] {
        text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            String(Substring(line.last == 0x0D ? line.dropLast() : line))
        }
    }

    /// Bytes as text: `\xFF` in place of each that is not part of UTF-8, so that it is seen and two are told apart.
    public static func decoded(_ bytes: some RandomAccessCollection<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var result = ""
        var index = bytes.startIndex
        while index < bytes.endIndex {
            // The first byte of a character tells its length (RFC 3629, section 3).
            let length =
                switch bytes[index] {
                case 0..<0x80: 1
                case 0xC2...0xDF: 2
                case 0xE0...0xEF: 3
                default: 4
                }
            let end = bytes.index(index, offsetBy: length, limitedBy: bytes.endIndex) ?? bytes.endIndex
            if let character = String(validating: bytes[index..<end], as: UTF8.self) {
                result += character
                index = end
            } else {
                result += hex(bytes[index])
                index = bytes.index(after: index)
            }
        }
        return result
    }

    /// A character, if it is seen as what it is; nil for one that a sink has to spell out.
    public static func isSeen(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value >= 0x20 }
        switch scalar.properties.generalCategory {
        // C0, DEL and C1; marks of direction and zero-width ones; U+2028 and U+2029; what no font has.
        case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .surrogate: return false
        // Such as variation selectors and fillers (Unicode, Default_Ignorable_Code_Point): nothing is to be seen of
        // them, and comparisons that go by a language's rules pass over them.
        default: return !scalar.properties.isDefaultIgnorableCodePoint
        }
    }

    /// How a character that is not seen is spelled out: `\u{1B}`.
    public static func spelled(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return "\\u{\(digits.count == 1 ? "0" : "")\(digits)}"
    }

    /// More combining marks than these on one character cover the lines around it. Vietnamese and Hebrew have up to
    /// three.
    private static let mostMarks = 4

    private static func escaped(_ text: String) -> String {
        guard needsEscape(text.utf8) else { return text }
        var result = String.UnicodeScalarView()
        var marks = 0
        var isEmoji = false
        for scalar in text.unicodeScalars {
            let isMark =
                scalar.value >= 0x300
                && [.nonspacingMark, .enclosingMark].contains(
                    scalar.properties.generalCategory)
            marks = isMark ? marks + 1 : 0
            // U+FE0F asks for the coloured form of an emoji, and does nothing else there.
            let isSelector = scalar.value == 0xFE0F && isEmoji
            isEmoji = scalar.value >= 0x203C && scalar.properties.isEmoji
            if scalar == "\t" || isSelector || marks <= mostMarks && isSeen(scalar) {
                result.append(scalar)
            } else {
                result.append(contentsOf: spelled(scalar).unicodeScalars)
            }
        }
        return String(result)
    }

    /// Whether there is anything but visible ASCII.
    private static func needsEscape(_ bytes: String.UTF8View) -> Bool {
        bytes.contains { $0 < 0x20 || $0 >= 0x7F }
    }

    private static func hex(_ byte: UInt8) -> String {
        "\\x\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))"
    }
}
