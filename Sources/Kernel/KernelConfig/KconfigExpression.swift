// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A condition in the Kconfig language, as after `depends on` and `if`.
indirect enum KconfigExpression: Sendable, Hashable {
    /// An option, or one of the constants y, m and n.
    case symbol(String)
    /// A text in quotes.
    case text(String)
    /// `$(...)`, which kconfig computes by running programs.
    case macro(String)
    case comparison(KconfigExpression, Comparison, KconfigExpression)
    case not(KconfigExpression)
    case and(KconfigExpression, KconfigExpression)
    case or(KconfigExpression, KconfigExpression)

    enum Comparison: String, Sendable {
        case equal = "="
        case different = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
    }

    /// kconfig's three truth values, in their order: `&&` is the minimum of two, `||` the maximum.
    enum Tristate: Int, Sendable, Comparable, CustomStringConvertible {
        case no = 0
        case module = 1
        case yes = 2

        static func < (left: Tristate, right: Tristate) -> Bool { left.rawValue < right.rawValue }
        var description: String { ["n", "m", "y"][rawValue] }
        var inverted: Tristate { Tristate(rawValue: 2 - rawValue) ?? .no }
    }

    /// The truth value under a configuration; nil when it depends on a macro.
    func value(in config: ConfigFile) -> Tristate? {
        switch self {
        case .symbol(let name):
            switch Self.constant(name) ?? config[name] {
            case .yes: return .yes
            case .module: return .module
            default: return .no
            }
        case .text(let text): return text == "y" ? .yes : text == "m" ? .module : .no
        case .macro: return nil
        case .not(let operand): return operand.value(in: config)?.inverted
        case .and(let left, let right):
            let values = [left.value(in: config), right.value(in: config)]
            if values.contains(.no) { return .no }
            return values[0].flatMap { left in values[1].map { min(left, $0) } }
        case .or(let left, let right):
            let values = [left.value(in: config), right.value(in: config)]
            if values.contains(.yes) { return .yes }
            return values[0].flatMap { left in values[1].map { max(left, $0) } }
        case .comparison(let left, let comparison, let right):
            guard let left = left.operandText(in: config), let right = right.operandText(in: config) else { return nil }
            return Self.compare(left, comparison, right) ? .yes : .no
        }
    }

    private static func constant(_ name: String) -> ConfigValue? {
        switch name {
        case "y": .yes
        case "m": .module
        case "n": .no
        default: nil
        }
    }

    /// The text of an operand in a comparison; nil for a macro.
    func operandText(in config: ConfigFile) -> String? {
        switch self {
        case .text(let text): return text
        case .symbol(let name):
            if let constant = Self.constant(name) { return constant.description }
            // kconfig reads a name that is not an option as a text: numbers are written in this way.
            guard let value = config.values[name] else { return ConfigValue.integer(name) != nil ? name : "n" }
            if case .string(let text) = value { return text }
            return value.description
        default: return nil
        }
    }

    private static func compare(_ left: String, _ comparison: Comparison, _ right: String) -> Bool {
        let order: Int
        if let left = ConfigValue.integer(left), let right = ConfigValue.integer(right) {
            order = left < right ? -1 : left == right ? 0 : 1
        } else {
            order = left < right ? -1 : left == right ? 0 : 1
        }
        return switch comparison {
        case .equal: order == 0
        case .different: order != 0
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .greater: order > 0
        case .greaterOrEqual: order >= 0
        }
    }

    /// The parts joined by `&&`, each of which must hold.
    var conjuncts: [KconfigExpression] {
        if case .and(let left, let right) = self { return left.conjuncts + right.conjuncts }
        return [self]
    }

    /// The options that the condition mentions, in order.
    var symbols: [String] {
        switch self {
        case .symbol(let name): Self.constant(name) == nil && ConfigValue.integer(name) == nil ? [name] : []
        case .text, .macro: []
        case .not(let operand): operand.symbols
        case .comparison(let left, _, let right), .and(let left, let right), .or(let left, let right):
            left.symbols + right.symbols
        }
    }
}

extension KconfigExpression: CustomStringConvertible {
    /// The condition as Kconfig files write it.
    var description: String { text(inside: 0) }

    private func text(inside precedence: Int) -> String {
        func wrapped(_ own: Int, _ text: String) -> String { own < precedence ? "(\(text))" : text }
        return switch self {
        case .symbol(let name): name
        case .text(let text): "\"\(text)\""
        case .macro(let text): text
        case .not(let operand): "!" + operand.text(inside: 4)
        case .comparison(let left, let comparison, let right):
            wrapped(3, "\(left.text(inside: 4)) \(comparison.rawValue) \(right.text(inside: 4))")
        case .and(let left, let right): wrapped(2, "\(left.text(inside: 2)) && \(right.text(inside: 2))")
        case .or(let left, let right): wrapped(1, "\(left.text(inside: 1)) || \(right.text(inside: 1))")
        }
    }
}

/// Splits a line of a Kconfig file into words and operators.
enum KconfigToken: Sendable, Hashable {
    case word(String)
    case text(String)
    case macro(String)
    case symbol(String)

    /// The tokens of a line, up to a comment.
    static func tokens(of line: some StringProtocol) -> [KconfigToken] {
        var tokens: [KconfigToken] = []
        var rest = Substring(line)
        while let character = rest.first {
            switch character {
            case " ", "\t", "\r": rest.removeFirst()
            case "#": return tokens
            case "\"", "'":
                rest.removeFirst()
                var text = ""
                while let next = rest.popFirst(), next != character {
                    if next == "\\", let escaped = rest.popFirst() { text.append(escaped) } else { text.append(next) }
                }
                tokens.append(.text(text))
            case "$" where rest.dropFirst().first == "(":
                var depth = 0
                let end =
                    rest.dropFirst().firstIndex { next in
                        if next == "(" { depth += 1 }
                        if next == ")" { depth -= 1 }
                        return depth == 0
                    }
                let macro = rest[..<(end.map(rest.index(after:)) ?? rest.endIndex)]
                tokens.append(.macro(String(macro)))
                rest = rest[macro.endIndex...]
            default:
                if let sign = ["&&", "||", "!=", "<=", ">=", "=", "<", ">", "!", "(", ")"].first(where: rest.hasPrefix)
                {
                    tokens.append(.symbol(sign))
                    rest = rest.dropFirst(sign.count)
                } else {
                    let word = rest.prefix { !" \t\r#\"'$&|!<>=()".contains($0) }
                    // A single & or $ belongs to no token.
                    if word.isEmpty { rest.removeFirst() } else { tokens.append(.word(String(word))) }
                    rest = rest.dropFirst(word.count)
                }
            }
        }
        return tokens
    }
}

/// A recursive-descent parser; from a malformed condition it returns the part that could be parsed, because a message
/// that explains less is better than none.
struct KconfigParser {
    private var tokens: ArraySlice<KconfigToken>

    /// Parses the tokens of a condition; nil when there is none.
    static func expression(_ tokens: some Sequence<KconfigToken>) -> KconfigExpression? {
        var parser = KconfigParser(tokens: Array(tokens)[...])
        return parser.or()
    }

    private mutating func or() -> KconfigExpression? {
        guard var left = and() else { return nil }
        while take("||"), let right = and() { left = .or(left, right) }
        return left
    }

    private mutating func and() -> KconfigExpression? {
        guard var left = comparison() else { return nil }
        while take("&&"), let right = comparison() { left = .and(left, right) }
        return left
    }

    private mutating func comparison() -> KconfigExpression? {
        guard let left = operand() else { return nil }
        guard case .symbol(let sign) = tokens.first, let comparison = KconfigExpression.Comparison(rawValue: sign)
        else {
            return left
        }
        tokens.removeFirst()
        return operand().map { .comparison(left, comparison, $0) }
    }

    private mutating func operand() -> KconfigExpression? {
        if take("!") { return operand().map { .not($0) } }
        if take("(") {
            let inner = or()
            _ = take(")")
            return inner
        }
        switch tokens.first {
        case .word(let name):
            tokens.removeFirst()
            return .symbol(name)
        case .text(let text):
            tokens.removeFirst()
            return .text(text)
        case .macro(let text):
            tokens.removeFirst()
            return .macro(text)
        case .symbol, nil: return nil
        }
    }

    private mutating func take(_ sign: String) -> Bool {
        guard tokens.first == .symbol(sign) else { return false }
        tokens.removeFirst()
        return true
    }
}
