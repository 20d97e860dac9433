// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A text file that the executable carries and fills in: the pieces of a scaffold, each in the language that it is
/// written in.
///
/// A line `@@ NAME` begins a section, which ends before the next such line; what is above the first one is a comment.
/// `{{KEY}}` stands for a value. A line of nothing else is replaced by the value's lines, and by none if it is empty.
package struct Template<Section: RawRepresentable<String> & CaseIterable & Sendable>: Sendable {
    /// The lines of each section, by the section's name.
    package let sections: [String: [String]]

    /// Takes a file apart.
    package init(_ bytes: [UInt8]) {
        var sections: [String: [String]] = [:]
        var name: String?
        var lines = String(decoding: bytes, as: UTF8.self).textLines(keepsEmpty: true)
        // Behind the last newline.
        if lines.last == "" { lines.removeLast() }
        for line in lines {
            if line.hasPrefix("@@ ") {
                name = String(line.dropFirst(3))
            } else if let name {
                sections[name, default: []].append(String(line))
            }
        }
        self.sections = sections
    }

    /// A section's lines with its values.
    package func lines(_ section: Section, _ values: [String: String] = [:]) -> [String] {
        (sections[section.rawValue] ?? []).flatMap { line -> [String] in
            if let key = Self.onlyKey(line), let value = values[key] {
                return value.isEmpty ? [] : value.textLines(keepsEmpty: true).map(String.init)
            }
            return [Self.filled(line, values)]
        }
    }

    /// A section as text, each line with its newline.
    package func text(_ section: Section, _ values: [String: String] = [:]) -> String {
        lines(section, values).map { $0 + "\n" }.joined()
    }

    /// The key of a line that is nothing but `{{KEY}}`.
    private static func onlyKey(_ line: String) -> String? {
        guard line.hasPrefix("{{"), line.hasSuffix("}}") else { return nil }
        let key = line.dropFirst(2).dropLast(2)
        return key.contains("{") || key.contains("}") ? nil : String(key)
    }

    /// A line with its values. A value is not searched for keys: it is a name of the user's.
    private static func filled(_ line: String, _ values: [String: String]) -> String {
        var result = ""
        var rest = Substring(line)
        while let start = rest.firstRange(of: "{{"), let end = rest[start.upperBound...].firstRange(of: "}}") {
            result += rest[..<start.lowerBound]
            let key = String(rest[start.upperBound..<end.lowerBound])
            result += values[key] ?? "{{\(key)}}"
            rest = rest[end.upperBound...]
        }
        return result + rest
    }
}

extension [String] {
    /// The lines as a value of a template.
    package var joinedLines: String { joined(separator: "\n") }
}
