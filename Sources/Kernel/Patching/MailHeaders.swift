// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation

/// The headers of a message, or of a part of one.
struct MailHeaders {
    /// By name in lower case, unfolded.
    private var values: [String: String] = [:]

    subscript(name: String) -> String? { values[name] }

    /// Reads headers from `index`, and moves it to the first line below them. Skips lines that are not headers.
    init(_ lines: [Line], _ index: inout Int) {
        guard index < lines.count else { return }
        let start = index
        if MailMessage.isSeparator(lines[index]) { index += 1 }
        var name: String?
        while index < lines.count {
            let text = lines[index].withoutNewline
            if MailMessage.isBlank(lines[index]) { break }
            if text.first == UInt8(ascii: " ") || text.first == UInt8(ascii: "\t") {
                guard let name else { break }
                values[name, default: ""] += " " + String(decoding: text, as: UTF8.self).trimmed
            } else if Self.isHeader(lines[index]), let colon = text.firstIndex(of: UInt8(ascii: ":")) {
                let key = String(decoding: text[..<colon], as: UTF8.self).lowercased()
                name = key
                values[key] = String(decoding: text[(colon + 1)...], as: UTF8.self).trimmed
            } else if lines[index].hasPrefix(">From ") || (index == start + 1 && MailMessage.isSeparator(lines[index]))
            {
                name = nil
            } else {
                break
            }
            index += 1
        }
    }

    /// Whether a line looks like `Name: value`: any visible characters before the colon (RFC 5322, section 2.2).
    static func isHeader(_ line: Line) -> Bool {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else { return false }
        return line[..<colon].allSatisfy { (33...126).contains($0) }
    }

    // MARK: Content

    /// The content type in lower case, such as "text/plain".
    var type: String {
        let value = values["content-type"] ?? "text/plain"
        return (value.split(separator: ";").first.map(String.init) ?? "text/plain").trimmed.lowercased()
    }

    /// A parameter of the content's type; nil when there is none.
    func parameter(_ name: String) -> String? {
        guard let value = values["content-type"] else { return nil }
        var rest = Substring(value)[...]
        while let semicolon = rest.firstIndex(of: ";") {
            rest = rest[rest.index(after: semicolon)...].drop { $0 == " " || $0 == "\t" }
            guard let equals = rest.firstIndex(of: "=") else { return nil }
            let key = String(rest[..<equals]).trimmed.lowercased()
            var content = rest[rest.index(after: equals)...].drop { $0 == " " }
            let text: Substring
            if content.first == "\"" {
                content = content.dropFirst()
                text = content.prefix { $0 != "\"" }
                rest = content[text.endIndex...]
            } else {
                text = content.prefix { $0 != ";" && $0 != " " }
                rest = content[text.endIndex...]
            }
            if key == name { return String(text) }
        }
        return nil
    }

    /// The text that separates the parts; nil for content with one part.
    var boundary: String? {
        guard type.hasPrefix("multipart/"), let text = parameter("boundary"), !text.isEmpty else { return nil }
        return text
    }

    /// Decodes encoded words, `=?utf-8?q?text?=` (RFC 2047). A damaged word stays unchanged.
    static func decoded(_ text: String) -> String {
        var output = ""
        var rest = Substring(text)
        var isAfterWord = false
        while let start = rest.range(of: "=?") {
            let fields = rest[start.upperBound...].split(
                separator: "?", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, let end = fields[2].range(of: "?="),
                let word = word(String(fields[2][..<end.lowerBound]), charset: fields[0], form: fields[1])
            else {
                output += rest[..<start.upperBound]
                rest = rest[start.upperBound...]
                isAfterWord = false
                continue
            }
            // Blanks between two encoded words only separate them.
            let before = rest[..<start.lowerBound]
            if !isAfterWord || !before.allSatisfy({ $0 == " " || $0 == "\t" }) { output += before }
            output += word
            rest = rest[end.upperBound...]
            isAfterWord = true
        }
        return output + rest
    }

    private static func word(_ text: String, charset: Substring, form: Substring) -> String? {
        let bytes: [UInt8]
        switch form.lowercased() {
        case "b":
            guard let data = Data(base64Encoded: text) else { return nil }
            bytes = Array(data)
        case "q":
            bytes = PartReader.quotedPrintable(ArraySlice(text.utf8.map { $0 == UInt8(ascii: "_") ? 0x20 : $0 }))
        default: return nil
        }
        switch charset.lowercased().split(separator: "*").first {
        case "iso-8859-1", "iso-8859-15", "latin1", "windows-1252":
            return String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
        default: return String(decoding: bytes, as: UTF8.self)
        }
    }
}
