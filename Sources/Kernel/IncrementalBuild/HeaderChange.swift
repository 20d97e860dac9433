// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// The change of a header that nearly every file of the kernel includes and hardly one uses: the calls' numbers, which
/// are generated from the tables, and their prototypes.
package struct HeaderChange: Equatable {
    /// Names that were added, removed or changed in the header. A file is affected if it contains one of them, as a
    /// word or put together from parts.
    var names: Set<String> = []
    /// Macros that depend on the whole tables, such as `__NR_syscalls`.
    var macros: Set<String> = []
    /// The text after the change in a hand-written header, which now has other line numbers.
    var shifted = ""
    /// Whether files include it for its lines, so that any change affects all of them.
    var isList = false

    /// The headers, by their names in `asm`; their sources are in arch/x86/entry/syscalls.
    static func isGeneratedHeader(_ name: String) -> Bool {
        name.hasSuffix(".h") && (name.hasPrefix("unistd_") || name.hasPrefix("syscalls_"))
    }
    /// The hand-written headers with prototypes.
    package static let prototypeHeaders = ["include/linux/syscalls.h", "include/linux/compat.h"]

    /// Compares two states of a header; nil for another kind of difference.
    init?(path: String, from old: String, to new: String) {
        let before = old.split(separator: "\n", omittingEmptySubsequences: false)
        let after = new.split(separator: "\n", omittingEmptySubsequences: false)
        if Self.prototypeHeaders.contains(where: path.hasSuffix) {
            guard comparePrototypes(before, after) else { return nil }
            return
        }
        let name = path.split(separator: "/").last ?? ""
        guard Self.isGeneratedHeader(String(name)) else { return nil }
        if name.hasPrefix("syscalls_") {
            // Lines with a macro that each file defines differently.
            isList = true
            return
        }
        for line in Set(before).symmetricDifference(after) where !line.isEmpty {
            let words = line.split(separator: " ", maxSplits: 2)
            guard words.count == 3, words[0] == "#define", words[1].hasPrefix("__NR_"), Self.isNumber(words[2]) else {
                return nil
            }
            if words[1].hasSuffix("syscalls") {
                macros.insert(String(words[1]))
            } else {
                names.insert(Self.callName(words[1]))
            }
        }
        // The same lines in another order, or a repeated line, would be another kind of change.
        guard Set(before.filter { $0.hasPrefix("#define") }).count == before.count(where: { $0.hasPrefix("#define") }),
            Set(after.filter { $0.hasPrefix("#define") }).count == after.count(where: { $0.hasPrefix("#define") })
        else { return nil }
    }

    /// Whether a text is a number, possibly with the mark of the x32 ABI.
    private static func isNumber(_ text: Substring) -> Bool {
        let mark = "(__X32_SYSCALL_BIT + "
        return Int(text) != nil
            || (text.hasPrefix(mark) && text.hasSuffix(")") && Int(text.dropFirst(mark.count).dropLast()) != nil)
    }

    /// The call in the name of a number's macro: a file that uses the macro must contain this part in some form.
    private static func callName(_ macro: Substring) -> String {
        var name = macro.dropFirst("__NR_".count)
        for prefix in ["ia32_", "x32_"] where name.hasPrefix(prefix) { name = name.dropFirst(prefix.count) }
        return String(name)
    }

    /// Finds the single block of declarations that was added, removed, or replaced; false for another kind of change.
    private mutating func comparePrototypes(_ before: [Substring], _ after: [Substring]) -> Bool {
        var start = 0
        while start < before.count, start < after.count, before[start] == after[start] { start += 1 }
        var end = 0
        while end < before.count - start, end < after.count - start,
            before[before.count - 1 - end] == after[after.count - 1 - end]
        {
            end += 1
        }
        for block in [before[start..<(before.count - end)], after[start..<(after.count - end)]] {
            let text = block.joined(separator: " ")
            for statement in text.split(separator: ";", omittingEmptySubsequences: true) {
                let statement = statement.drop { $0 == " " || $0 == "\t" }
                if statement.isEmpty { continue }
                guard let name = Self.declared(statement) else { return false }
                names.insert(name)
            }
        }
        shifted = after[(after.count - end)...].joined(separator: "\n")
        return true
    }

    /// Whether the first parenthesis is closed by the last character.
    private static func endsWithParameters(_ statement: Substring) -> Bool {
        var depth = 0
        for (index, character) in zip(statement.indices, statement) {
            if character == "(" { depth += 1 }
            guard character == ")" else { continue }
            depth -= 1
            if depth == 0 { return statement.index(after: index) == statement.endIndex }
        }
        return false
    }

    /// The declaration in a statement that does nothing else: a call's function, or a struct or union by its tag.
    private static func declared(_ statement: Substring) -> String? {
        let isPlain = statement.allSatisfy { $0.isLetter || $0.isNumber || " \t_*(),[]".contains($0) }
        guard isPlain else { return nil }
        let words = statement.split { $0 == " " || $0 == "\t" }
        if words.count == 2, ["struct", "union"].contains(words[0]) { return String(words[1]) }
        guard words.starts(with: ["asmlinkage", "long"]), words.count > 2, endsWithParameters(statement) else {
            return nil
        }
        for prefix in ["compat_sys_", "sys_"] where words[2].hasPrefix(prefix) {
            let name = words[2].dropFirst(prefix.count).prefix { $0 != "(" }
            return name.isEmpty ? nil : String(name)
        }
        return nil
    }
}
