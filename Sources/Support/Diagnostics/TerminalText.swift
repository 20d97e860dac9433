// SPDX-License-Identifier: Apache-2.0
/// Text that is safe to print to a terminal or to a CI job's log.
///
/// kbuild prints only this type. Literals are kbuild's own text; every interpolated or converted string is escaped,
/// whatever its source: a guest, a patch, a log, another report, a tool. No initializer takes an unescaped string, so
/// none can reach a terminal. Colours are stored beside the text and become control sequences only when it is rendered.
///
///     let line: TerminalText = "applies  \(patch.name)"     // the name is escaped
///     let word = TerminalText("FAIL").painted(.red)
///     console.log("\(word) \(test.id)")                     // the word stays red
public struct TerminalText: Sendable, Equatable {
    /// A colour of the terminal (ECMA-48 SGR).
    public enum Paint: String, Sendable {
        /// For errors.
        case red = "31"
        /// For success.
        case green = "32"
        /// For warnings.
        case yellow = "33"
        /// For secondary text.
        case faint = "2"
    }

    /// The notation of an escaped character.
    enum Form: Sendable {
        /// `\u{1B}`, for a reader.
        case plain
        /// `\u001B`, which a JSON parser reads as the character itself.
        case json
    }

    /// A part in one colour, already escaped.
    struct Span: Sendable, Equatable {
        var text: String
        var paint: Paint?
        var form = Form.plain
    }

    private(set) var spans: [Span]

    private init(spans: [Span]) {
        self.spans = spans.filter { !$0.text.isEmpty }
    }

    /// A text in one line: line ends are escaped as other control characters are, so that the text cannot begin a new
    /// line.
    public init(_ text: some StringProtocol) {
        self.init(spans: [Span(text: VisibleText.line(String(text)))])
    }

    /// A text of several lines: a tool's output, a help page. Its line ends stay.
    public init(lines text: some StringProtocol) {
        self.init(spans: [Span(text: VisibleText.lines(String(text)))])
    }

    /// JSON, with unsafe characters escaped in JSON's notation, so that its value does not change.
    public init(json text: String) {
        self.init(spans: [Span(text: VisibleText.json(text), form: .json)])
    }

    /// The same text in a colour; parts with a colour keep theirs.
    public func painted(_ paint: Paint?) -> TerminalText {
        TerminalText(spans: spans.map { Span(text: $0.text, paint: $0.paint ?? paint, form: $0.form) })
    }

    /// Two texts, joined.
    public static func + (left: TerminalText, right: TerminalText) -> TerminalText {
        TerminalText(spans: left.spans + right.spans)
    }

    /// Adds a text.
    public static func += (left: inout TerminalText, right: TerminalText) { left.spans += right.spans }

    /// Whether the text is empty.
    public var isEmpty: Bool { spans.isEmpty }

    /// The text without colours.
    public var plain: String { spans.map(\.text).joined() }

    /// The number of characters.
    public var count: Int { spans.reduce(0) { $0 + $1.text.count } }

    /// The text with blanks added at its end.
    public func padded(to width: Int) -> TerminalText {
        self + TerminalText(String(repeating: " ", count: max(0, width - count)))
    }

    /// The first characters.
    public func prefix(_ most: Int) -> TerminalText {
        var left = max(0, most)
        var result: [Span] = []
        for var span in spans where left > 0 {
            span.text = String(span.text.prefix(left))
            left -= span.text.count
            result.append(span)
        }
        return TerminalText(spans: result)
    }

    /// Its lines.
    public var lines: [TerminalText] {
        var lines: [[Span]] = [[]]
        for span in spans {
            for (index, part) in span.text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
                if index > 0 { lines.append([]) }
                lines[lines.count - 1].append(Span(text: String(Substring(part)), paint: span.paint, form: span.form))
            }
        }
        return lines.map { TerminalText(spans: $0) }
    }

    /// The text, cut with an ellipsis when it has more characters than `most`.
    public func cut(to most: Int) -> TerminalText {
        // A character has at least one byte.
        guard spans.reduce(0, { $0 + $1.text.utf8.count }) > most, count > most else { return self }
        return prefix(most) + "…"
    }

    /// A line broken at blanks, where there are any, so that no part is wider than `width`; the parts after the first
    /// are indented as the first is, and by `hang` more. Tabs become four blanks.
    public func wrapped(width: Int?, hang: Int = 0) -> [TerminalText] {
        let line = withoutTabs
        guard let width, line.count > width else { return [line] }
        struct Cell {
            var character: Character
            var paint: Paint?
        }
        let cells = line.spans.flatMap { span in span.text.map { Cell(character: $0, paint: span.paint) } }
        func text(_ cells: ArraySlice<Cell>) -> TerminalText {
            var spans: [Span] = []
            for cell in cells {
                if let last = spans.indices.last, spans[last].paint == cell.paint {
                    spans[last].text.append(cell.character)
                } else {
                    spans.append(Span(text: String(cell.character), paint: cell.paint))
                }
            }
            return TerminalText(spans: spans)
        }
        let margin = cells.prefix { $0.character == " " || $0.character == "|" }.map(\.character)
        let indent = String((margin + Array(repeating: " ", count: hang)).prefix(width / 2))
        var parts: [TerminalText] = []
        var start = cells.startIndex
        while start < cells.endIndex {
            let prefix: TerminalText = parts.isEmpty ? "" : "\(indent)"
            let room = width - prefix.count
            guard cells.endIndex - start > room else {
                parts.append(prefix + text(cells[start...]))
                break
            }
            let head = cells[start..<(start + room)]
            let floor = parts.isEmpty ? start + indent.count : start
            if let blank = head.lastIndex(where: { $0.character == " " }), blank > floor {
                parts.append(prefix + text(cells[start..<blank]))
                start = blank + 1
            } else {
                parts.append(prefix + text(head))
                start = head.endIndex
            }
        }
        return parts
    }

    private var withoutTabs: TerminalText {
        guard spans.contains(where: { $0.text.utf8.contains(0x09) }) else { return self }
        return TerminalText(
            spans: spans.map { Span(text: $0.text.replacing("\t", with: "    "), paint: $0.paint, form: $0.form) })
    }

    /// The text as it is written to a terminal or a log. None of its lines is a command to a CI service.
    public func rendered(usesColor: Bool = false) -> String {
        var guardian = CommandGuard()
        var result = ""
        for span in spans {
            let text = guardian.harmless(span.text, form: span.form)
            if usesColor, let paint = span.paint {
                result += "\u{1B}[\(paint.rawValue)m\(text)\u{1B}[0m"
            } else {
                result += text
            }
        }
        return result
    }
}

extension TerminalText: ExpressibleByStringInterpolation {
    /// Collects the parts of a literal.
    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var spans: [Span] = []

        /// Begins with nothing.
        public init(literalCapacity: Int, interpolationCount: Int) {}

        /// A literal part. Its line ends stay.
        public mutating func appendLiteral(_ literal: StaticString) {
            spans.append(Span(text: VisibleText.lines(literal.description)))
        }

        /// A text, which keeps its colours.
        public mutating func appendInterpolation(_ text: TerminalText) { spans += text.spans }

        /// A string, which is escaped to one line.
        public mutating func appendInterpolation(_ text: some StringProtocol) { spans += TerminalText(text).spans }

        /// A number.
        public mutating func appendInterpolation(_ number: some BinaryInteger) { spans.append(Span(text: "\(number)")) }

        /// Any other value, whose description is escaped as a string is.
        public mutating func appendInterpolation(_ value: some CustomStringConvertible) {
            spans += TerminalText(value.description).spans
        }
    }

    /// A literal with interpolated values.
    public init(stringInterpolation: StringInterpolation) { self.init(spans: stringInterpolation.spans) }

    /// A literal.
    public init(stringLiteral value: StaticString) {
        self.init(spans: [Span(text: VisibleText.lines(value.description))])
    }
}

extension Sequence<TerminalText> {
    /// The texts, joined.
    public func joined(separator: TerminalText = "\n") -> TerminalText {
        var result = TerminalText("")
        for (index, text) in enumerated() {
            if index > 0 { result += separator }
            result += text
        }
        return result
    }
}

extension Failure {
    /// The most lines of evidence that are printed, and the most characters of a line.
    private static let mostDetailLines = 200
    private static let longestLine = 2000

    /// The whole failure as it is printed, without a trailing newline. The lines after the first are indented, so that
    /// the evidence cannot be mistaken for kbuild's own messages.
    public var terminalText: TerminalText {
        func line(_ text: String) -> TerminalText { TerminalText(text).cut(to: Self.longestLine) }
        func block(_ text: String) -> TerminalText {
            let lines = VisibleText.split(text)
            var shown = lines.prefix(Self.mostDetailLines).map { "  \(line($0))" as TerminalText }
            if lines.count > shown.count {
                shown.append("  ...\(cutRemark(lines.count - shown.count, "line").dropFirst(4))")
            }
            return shown.joined()
        }
        func paragraph(_ label: TerminalText, _ text: String) -> TerminalText {
            let lines = VisibleText.split(text)
            let rest = lines.dropFirst().prefix(Self.mostDetailLines).map { "  \(line($0))" as TerminalText }
            return ([label + line(lines.first ?? "")] + rest).joined()
        }
        var parts = [paragraph("error: ", message)]
        if let details, !details.isEmpty { parts.append(block(details)) }
        if let nextStep { parts.append(paragraph("next: ", nextStep)) }
        return parts.joined()
    }
}
