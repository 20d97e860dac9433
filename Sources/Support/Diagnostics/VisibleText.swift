// SPDX-License-Identifier: Apache-2.0
/// Escapes characters that a terminal, a log or a browser would interpret or not show.
public enum VisibleText {
    /// A text in one line, with each invisible character, including line ends, as `\u{1B}`. A tab stays.
    public static func line(_ text: String) -> String { escaped(text) }

    /// The same for a text of several lines. A line's end is LF or CR LF.
    public static func lines(_ text: String) -> String {
        guard needsEscape(text.utf8) else { return text }
        return parts(text).map(line).joined(separator: "\n")
    }

    /// JSON with each invisible character as `\u001B`: the same document.
    static func json(_ text: String) -> String {
        guard needsEscape(text.utf8) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar == "\n" || scalar == "\t" || isSeen(scalar) {
                result.append(scalar)
            } else {
                // Characters beyond U+FFFF are two UTF-16 units (RFC 8259, section 7).
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: true)
                    let zeros = String(repeating: "0", count: 4 - digits.count)
                    result.append(contentsOf: "\\u\(zeros)\(digits)".unicodeScalars)
                }
            }
        }
        return String(result)
    }

    /// The lines of a text by its bytes: "\r\n" is one Character in Swift. A line end at the end of the text does not
    /// begin another line.
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

    /// Bytes as text, with `\xFF` in place of each byte that is not part of UTF-8, so that different bytes stay
    /// distinct.
    public static func decoded(_ bytes: some RandomAccessCollection<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var result = ""
        var index = bytes.startIndex
        while index < bytes.endIndex {
            // The first byte of a character determines its length (RFC 3629, section 3).
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

    /// The character when it is visible and unambiguous; nil when it has to be escaped.
    public static func isSeen(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value >= 0x20 }
        switch scalar.properties.generalCategory {
        // C0, DEL and C1; direction marks and zero-width characters; U+2028 and U+2029; characters that no font has.
        case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .surrogate: return false
        // Such as variation selectors and fillers (Unicode, Default_Ignorable_Code_Point): they are invisible, and
        // comparisons by a language's rules ignore them.
        default: return !scalar.properties.isDefaultIgnorableCodePoint
        }
    }

    /// The escape of an invisible character: `\u{1B}`.
    public static func spelled(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return "\\u{\(digits.count == 1 ? "0" : "")\(digits)}"
    }

    /// The most combining marks on one character: more would cover the lines around it. Vietnamese and Hebrew have up
    /// to three.
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
            // After an emoji, U+FE0F only selects its coloured form.
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
