// SPDX-License-Identifier: Apache-2.0
/// Escapes text that a CI service would execute as a command when it reads a job's output.
///
/// The services search for these, whatever else is in the line:
/// - GitHub Actions (actions/runner, ActionCommand.cs): `::NAME ...::` at the start of a line, after blanks of any
///   kind; `##[NAME ...]` anywhere in it. An unknown name is not a command, but the set of names changes, so every name
///   is escaped.
/// - Azure Pipelines: `##vso[`, `##[`; TeamCity: `##teamcity[`.
/// - GitLab: `section_start:` and `section_end:`, which also need a control character.
///
/// One character of each is written as an escape such as `\u{3A}`. All output is escaped, inside a job or not: a job
/// may later print a file that was written elsewhere. Only kbuild's own commands are not escaped: see `JobCommand` in
/// Reporting.
struct CommandGuard {
    /// Whether the line has only blanks so far.
    private var isAtStart = true
    /// Whether the last character was a single colon at the start of the line.
    private var isAfterColon = false
    /// The last characters, one fewer than the longest mark: `section_start`, `##teamcity`.
    private var word: [UInt8] = []
    private static let longestWord = 16

    /// The next part of a text, with the start of each command escaped.
    mutating func harmless(_ text: String, form: TerminalText.Form) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if isMark(scalar) {
                result.append(contentsOf: Self.spelled(scalar, form: form).unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    /// Records the character, and returns whether a command would begin with it.
    private mutating func isMark(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == "\n" {
            self = CommandGuard()
            return false
        }
        defer { remember(scalar) }
        switch scalar {
        case ":":
            return isAfterColon || word.ends(with: "section_start") || word.ends(with: "section_end")
        case "[":
            guard let last = word.lastIndex(of: UInt8(ascii: "#")), last > 0 else { return false }
            return word[last - 1] == UInt8(ascii: "#")
        default: return false
        }
    }

    private mutating func remember(_ scalar: Unicode.Scalar) {
        isAfterColon = isAtStart && scalar == ":"
        if !scalar.properties.isWhitespace { isAtStart = false }
        let isWord = scalar.isASCII && (scalar == "#" || scalar == "_" || scalar.properties.isAlphabetic)
        if isWord, let byte = UInt8(exactly: scalar.value) {
            if word.count == Self.longestWord { word.removeFirst() }
            word.append(scalar.properties.isUppercase ? byte | 0x20 : byte)
        } else {
            word.removeAll(keepingCapacity: true)
        }
    }

    private static func spelled(_ scalar: Unicode.Scalar, form: TerminalText.Form) -> String {
        switch form {
        case .plain: VisibleText.spelled(scalar)
        // Both are ASCII.
        case .json: "\\u00\(String(scalar.value, radix: 16, uppercase: true))"
        }
    }
}

extension [UInt8] {
    fileprivate func ends(with text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && suffix(text.utf8CodeUnitCount).elementsEqual(text.description.utf8)
    }
}
