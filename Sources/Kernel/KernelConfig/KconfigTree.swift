// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelMake
import SystemPackage

/// The options that a kernel tree's Kconfig files define, in enough detail to explain why one cannot have a value.
///
/// kconfig itself decides on a configuration; this reader only explains its decision. The language:
/// Documentation/kbuild/kconfig-language.rst in the kernel.
struct KconfigTree: Sendable {
    /// One definition of an option; an option may have several, each with its own conditions.
    struct Definition: Sendable {
        /// The Kconfig file, relative to the tree, and the line.
        var place: String
        /// bool, tristate, string, int or hex; nil if another definition has the type.
        var type: String?
        /// Whether a user can set it.
        var hasPrompt = false
        /// The conditions of the option: its own `depends on`, and those of the menus, choices and ifs around it.
        var dependencies: [KconfigExpression] = []
        /// The conditions under which kconfig asks the user.
        var promptConditions: [KconfigExpression] = []
        /// The permitted numbers, by condition.
        var ranges: [Range] = []
        /// The choice that it is a member of.
        var choice: Int?
    }

    /// The minimum and the maximum of a number.
    struct Range: Sendable {
        var low: KconfigExpression
        var high: KconfigExpression
        var condition: KconfigExpression?
    }

    /// An option that sets another, with its condition.
    struct Selection: Sendable {
        var by: String
        var condition: KconfigExpression?
    }

    /// By option, without the prefix.
    private(set) var definitions: [String: [Definition]] = [:]
    /// By the selected option.
    private(set) var selections: [String: [Selection]] = [:]
    /// The members of each choice.
    private(set) var choices: [Int: [String]] = [:]

    /// The conditions that a menu, choice or `if` adds to the options in it.
    private struct Block {
        enum Kind { case menu, choice, condition }
        var kind: Kind
        var dependencies: [KconfigExpression] = []
        var promptConditions: [KconfigExpression] = []
        var choice: Int?
    }

    /// The entry that the following attribute lines belong to.
    private enum Subject { case option(String), block, other }

    private let read: @Sendable (String) -> String?
    private let variables: [String: String]
    private var blocks: [Block] = []
    private var subject = Subject.other
    private var depth = 0

    /// Reads the Kconfig files of a tree.
    ///
    /// - Parameters:
    ///   - variables: The variables that kconfig receives from make: SRCARCH and others.
    ///   - read: Returns the text of a file, given its path in the tree; nil when it does not exist.
    init(variables: [String: String], read: @escaping @Sendable (String) -> String?) {
        self.variables = variables
        self.read = read
        parse(file: "Kconfig")
    }

    private mutating func parse(file: String) {
        // No kernel nests its files this deep; a file that sources itself would recurse forever.
        guard depth < 50, let text = read(file) else { return }
        depth += 1
        defer { depth -= 1 }
        var lines = text.textLines(keepsEmpty: true)[...]
        var number = 0
        while var line = lines.popFirst() {
            number += 1
            let start = number
            var joined = ""
            while line.hasSuffix("\\"), let next = lines.popFirst() {
                joined += line.dropLast()
                line = next
                number += 1
            }
            joined += line
            let content = joined.trimmingBlanks
            if content == "help" || content == "---help---" {
                number += Self.skipHelp(&lines)
            } else if !content.isEmpty, !content.hasPrefix("#") {
                parse(content, place: "\(file):\(start)")
            }
        }
    }

    /// Skips a help text: it ends before the first line that is indented less than the text's first. Returns how many
    /// lines it has.
    private static func skipHelp(_ lines: inout ArraySlice<Substring>) -> Int {
        var skipped = 0
        var required: Int?
        while let line = lines.first {
            if !line.trimmingBlanks.isEmpty {
                let indent = line.prefix { $0 == " " || $0 == "\t" }
                    .reduce(0) { $1 == "\t" ? ($0 / 8 + 1) * 8 : $0 + 1 }
                guard indent > 0, indent >= required ?? 0 else { break }
                if required == nil { required = indent }
            }
            lines.removeFirst()
            skipped += 1
        }
        return skipped
    }

    private mutating func parse(_ content: Substring, place: String) {
        let tokens = KconfigToken.tokens(of: content)
        guard case .word(let keyword) = tokens.first else { return }
        let rest = tokens.dropFirst()
        switch keyword {
        case "config", "menuconfig":
            guard case .word(let name) = rest.first else { return }
            begin(name, place: place)
        case "source":
            if case .text(let path) = rest.first { parse(file: expand(path)) }
        case "if":
            blocks.append(Block(kind: .condition, dependencies: Self.list(KconfigParser.expression(rest))))
            subject = .other
        case "menu":
            blocks.append(Block(kind: .menu))
            subject = .block
        case "choice":
            let number = choices.count
            choices[number] = []
            blocks.append(Block(kind: .choice, choice: number))
            subject = .block
        case "endif", "endmenu", "endchoice":
            if !blocks.isEmpty { blocks.removeLast() }
            subject = .other
        case "comment", "mainmenu": subject = .other
        default: parseAttribute(keyword, rest)
        }
    }

    private mutating func begin(_ name: String, place: String) {
        var definition = Definition(place: place)
        for block in blocks {
            definition.dependencies += block.dependencies
            definition.promptConditions += block.promptConditions
            if let choice = block.choice { definition.choice = choice }
        }
        if let choice = definition.choice, choices[choice]?.contains(name) != true {
            choices[choice, default: []].append(name)
        }
        definitions[name, default: []].append(definition)
        subject = .option(name)
    }

    private mutating func parseAttribute(_ keyword: String, _ rest: ArraySlice<KconfigToken>) {
        let (before, condition) = Self.splitAtIf(rest)
        switch keyword {
        case "bool", "tristate", "string", "int", "hex", "prompt":
            amend { definition in
                if keyword != "prompt" { definition.type = keyword }
                guard !before.isEmpty else { return }
                definition.hasPrompt = true
                definition.promptConditions += Self.list(condition)
            }
        case "def_bool": amend { $0.type = "bool" }
        case "def_tristate": amend { $0.type = "tristate" }
        case "depends":
            let expressions = Self.list(KconfigParser.expression(rest.dropFirst()))
            amend { $0.dependencies += expressions }
            amendBlock { $0.dependencies += expressions }
        case "visible":
            amendBlock { $0.promptConditions += Self.list(condition) }
        case "range":
            if before.count == 2, let low = KconfigParser.expression(before.prefix(1)),
                let high = KconfigParser.expression(before.suffix(1))
            {
                amend { $0.ranges.append(Range(low: low, high: high, condition: condition)) }
            }
        case "select", "imply":
            // An implied option can still be turned off, so it explains no value.
            if keyword == "select", case .option(let by) = subject, case .word(let name) = before.first {
                selections[name, default: []].append(Selection(by: by, condition: condition))
            }
        default: break
        }
    }

    private static func list(_ expression: KconfigExpression?) -> [KconfigExpression] {
        expression.map { [$0] } ?? []
    }

    private static func splitAtIf(
        _ tokens: ArraySlice<KconfigToken>
    ) -> (ArraySlice<KconfigToken>, KconfigExpression?) {
        guard let index = tokens.firstIndex(of: .word("if")) else { return (tokens, nil) }
        return (tokens[..<index], KconfigParser.expression(tokens[(index + 1)...]))
    }

    private mutating func amend(_ change: (inout Definition) -> Void) {
        guard case .option(let name) = subject, var list = definitions[name], var last = list.popLast() else { return }
        change(&last)
        list.append(last)
        definitions[name] = list
    }

    private mutating func amendBlock(_ change: (inout Block) -> Void) {
        guard case .block = subject, var block = blocks.popLast() else { return }
        change(&block)
        blocks.append(block)
    }

    /// A `source` path with its variables replaced.
    private func expand(_ path: String) -> String {
        var result = path
        for (name, value) in variables { result = result.replacing("$(\(name))", with: value) }
        return result
    }
}

extension KconfigTree {
    /// Reads the Kconfig files below `tree`.
    init(tree: FilePath, architecture: KernelArchitecture) {
        self.init(variables: architecture.kconfigVariables) { try? readText(tree.pushing(FilePath($0))) }
    }

    /// Options with names similar to `name`, the most similar first.
    func similarNames(to name: String, limit: Int = 3) -> [String] {
        let target = Array(name.utf8)
        let scored: [(String, Int)] = definitions.keys.compactMap { candidate in
            // With 15,000 names, those with very different lengths are not compared.
            let isFar = abs(candidate.utf8.count - target.count) > 8
            let distance = isFar ? .max : editDistance(target, Array(candidate.utf8))
            // A name that contains the other is similar, however long the rest.
            if name.utf8.count >= 4, candidate.contains(name) || name.contains(candidate), candidate.utf8.count >= 4 {
                return (candidate, min(distance, 3))
            }
            return distance <= max(1, target.count / 4) ? (candidate, distance) : nil
        }
        return scored.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.prefix(limit).map(\.0)
    }
}
