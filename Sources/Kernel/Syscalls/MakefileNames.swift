// SPDX-License-Identifier: Apache-2.0
/// The names in a Makefile of Kbuild's, in the order in which make reads its assignments: `obj-y += a.o` above a later
/// `obj-y = b.o` has no effect.
///
/// A name outside an assignment, and a name in a variable of any name, counts: a Makefile has many ways to build a
/// file. The contents of an `ifdef`, `ifeq` and so on are regarded as read, and an assignment there discards nothing.
struct MakefileNames {
    /// The assignment that discards names.
    struct Discard: Equatable {
        /// The line that assigns the variable again, counted from 1.
        var line: Int
        /// The variable.
        var variable: String
    }

    /// The names that remain at the end.
    private(set) var names: Set<String> = []
    /// The names that an assignment removed from their variable, and that no later line names.
    private(set) var discarded: [String: Discard] = [:]

    /// Reads a Makefile's lines.
    init(_ lines: [String]) {
        var values: [String: [String]] = [:]
        var depth = 0
        var index = 0
        while index < lines.count {
            let number = index + 1
            // A line that ends in a backslash continues, also in comments.
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

    /// `NAME = VALUE` and similar forms (GNU make manual, "Setting Variables").
    private struct Assignment {
        enum Effect { case sets, adds, setsUnlessSet }
        var variable: String
        var effect: Effect
        var value: String

        init?(_ text: String) {
            // A recipe's line belongs to the shell.
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
