// SPDX-License-Identifier: Apache-2.0
/// Renames a system call in the texts of a project. Only names of the call are changed, not a helper of the C file
/// whose name begins with the call's.
package struct SyscallRename {
    private let old: String
    private let new: String

    /// Renames `old`, a C identifier, to `new`, another one.
    package init(_ old: String, to new: String) { (self.old, self.new) = (old, new) }

    /// A spec: the call's `name:`.
    package func inSpec(_ text: String) -> String {
        // The CR of CR LF is kept.
        text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map(String.init).map { line in
            line.contains("name:")
                ? replacing(in: line, after: ["", "name:", "\"", "'", "{name:"]) : line
        }.joined(separator: "\n")
    }

    /// A C file: the names in `SYSCALL_DEFINEn(` and `COMPAT_SYSCALL_DEFINEn(`.
    package func inSource(_ text: String) -> String {
        replacing(in: text, after: (0...6).map { "SYSCALL_DEFINE\($0)(" })
    }

    /// A suite: `__NR_name` and `__NR_ia32_name`.
    package func inSuite(_ text: String) -> String { replacing(in: text, after: ["__NR_", "__NR_ia32_"]) }

    /// A page: the call's name as a word.
    package func inContract(_ text: String) -> String { replacing(in: text, after: [""]) }

    /// Replaces each `old` that follows one of `marks` as a whole word. A mark may end in a part of a word, and blanks
    /// may follow it.
    private func replacing(in text: String, after marks: [String]) -> String {
        var result = ""
        var rest = text[...]
        while let found = rest.firstRange(of: old) {
            let before = result + rest[..<found.lowerBound]
            let after = rest[found.upperBound...].first
            let isEnd = after.map { !Self.isWord($0) } ?? true
            let trimmed = before.reversed().drop { $0 == " " }.reversed()
            let isMarked = marks.contains { mark in
                mark.isEmpty ? before.last.map { !Self.isWord($0) } ?? true : String(trimmed).hasSuffix(mark)
            }
            result = before + (isEnd && isMarked ? new : old)
            rest = rest[found.upperBound...]
        }
        return result + rest
    }

    private static func isWord(_ character: Character) -> Bool {
        character == "_" || character.isASCII && (character.isLetter || character.isNumber)
    }
}
