// SPDX-License-Identifier: Apache-2.0
/// The names in a Makefile of kbuild's, in the order in which make reads its assignments: `obj-y += a.o` above a later
/// `obj-y = b.o` names nothing any more.
///
/// A name outside of an assignment, and one in a variable of any name, counts: a Makefile has many ways to build a
/// file. What an `ifdef`, `ifeq` and so on holds is taken to be read, and an assignment there discards nothing.
struct MakefileNames {
    /// Where names were discarded.
    struct Discard: Equatable {
        /// The line that assigns the variable anew, counted from 1.
        var line: Int
        /// The variable.
        var variable: String
    }

    /// The names that are left at the end.
    private(set) var names: Set<String> = []
    /// The names that an assignment took out of their variable, and that nothing names after it.
    private(set) var discarded: [String: Discard] = [:]

    /// Reads a Makefile's lines.
    init(_ lines: [String]) {
        var values: [String: [String]] = [:]
        var depth = 0
        var index = 0
        while index < lines.count {
            let number = index + 1
            // A line that ends in a backslash goes on, comments included.
            var text = lines[index]
            while text.hasSuffix("\\"), index + 1 < lines.count {
                index += 1
                text = text.dropLast() + " " + lines[index]
            }
            index += 1
            if let comment = text.firstIndex(of: "#") { text = String(text[..<comment]) }
            let words = Self.words(text)
            switch words.first {
            case "ifdef", "ifndef", "ifeq", "ifneq": depth += 1
            case "endif": depth = max(0, depth - 1)
            default: break
            }
            guard let assignment = Assignment(text) else {
                names.formUnion(words)
                continue
            }
            let old = values[assignment.variable] ?? []
            let new = Self.words(assignment.value)
            switch assignment.effect {
            case .sets where depth == 0 && !assignment.keepsItsValue:
                for name in old where !new.contains(name) {
                    discarded[name] = Discard(line: number, variable: assignment.variable)
                }
                values[assignment.variable] = new
            case .setsUnlessSet where !old.isEmpty: break
            default: values[assignment.variable] = old + new
            }
        }
        names.formUnion(values.values.joined())
        for name in names { discarded[name] = nil }
    }

    private static func words(_ text: String) -> [String] {
        text.split(whereSeparator: { " \t=:\\".contains($0) }).map(String.init)
    }

    /// `NAME = VALUE` and its kin (GNU make manual, "Setting Variables").
    private struct Assignment {
        enum Effect { case sets, adds, setsUnlessSet }
        var variable: String
        var effect: Effect
        var value: String

        init?(_ text: String) {
            // A recipe's line is the shell's.
            guard !text.hasPrefix("\t"), let sign = text.firstIndex(of: "=") else { return nil }
            var left = text[..<sign]
            switch left.last {
            case "+": effect = .adds
            case "?": effect = .setsUnlessSet
            default: effect = .sets
            }
            left = left.prefix { !"+?:!".contains($0) }
            let words = left.split(whereSeparator: { $0 == " " || $0 == "\t" }).filter {
                $0 != "override" && $0 != "export"
            }
            guard words.count == 1, let name = words.first else { return nil }
            variable = String(name)
            value = String(text[text.index(after: sign)...])
        }

        /// Whether the value names the variable itself, as in `obj-y := $(obj-y) a.o`.
        var keepsItsValue: Bool { value.contains("$(\(variable))") || value.contains("${\(variable)}") }
    }
}
