// SPDX-License-Identifier: Apache-2.0
/// Keeps text from being a command to the service that runs a CI job and reads what the job prints.
///
/// What the services look for, whatever else stands in the line:
/// - GitHub Actions (actions/runner, ActionCommand.cs): `::NAME ...::` at the start of a line, after blanks of any
///   kind; `##[NAME ...]` anywhere in it. A name that is not known makes no command, but names come and go, so none is
///   relied on.
/// - Azure Pipelines: `##vso[`, `##[`; TeamCity: `##teamcity[`.
/// - GitLab: `section_start:` and `section_end:`, which also need a control character.
///
/// One character of each is spelled out as `\u{3A}`. All that is printed passes here, whether it runs in a job or not:
/// what is printed to a file today may be shown in a job tomorrow. kbuild's own commands do not: see `JobCommand` in
/// Reporting.
struct CommandGuard {
    /// Whether only blanks stand before, in this line.
    private var isAtStart = true
    /// Whether the line begins with one colon, and that was the last character.
    private var isAfterColon = false
    /// The last characters, of which the longest mark looked for is one more than this many: `section_start`,
    /// `##teamcity`.
    private var word: [UInt8] = []
    private static let longestWord = 16

    /// The next part of a text, with what would make a command spelled out.
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

    /// Whether a command would begin with this character, and takes note of it.
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
