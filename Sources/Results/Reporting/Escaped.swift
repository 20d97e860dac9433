// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// A format in which some characters are markup.
protocol MarkupFormat: Sendable {
    /// The text in the format's escaped form.
    static func escaped(_ text: String) -> String
}

/// Markup of one format. A literal is markup; every interpolated or converted string is escaped, whatever its origin: a
/// guest, a patch, a log, another host's report. Markup of another format cannot be interpolated.
///
/// The renderers build their pages only from this type, so that no text gets into a page without the escaper of its
/// format:
///
///     let cell: HTMLText = "<td>\(test.name)</td>"      // the name is escaped
///     let row: HTMLText = "<tr>\(cell)</tr>"            // the cell is not escaped again
///
/// `markup` is read only where a page is finished.
struct Escaped<Format: MarkupFormat>: Sendable, Hashable {
    /// The markup, for a file.
    private(set) var markup: String

    private init(markup: String) { self.markup = markup }

    /// Escapes a text.
    init(_ text: some StringProtocol) { markup = Format.escaped(String(text)) }

    /// Seconds for display: digits, a dot and an s, which are markup in no format.
    init(seconds: Double) { markup = Text.seconds(seconds) }

    /// Whether there is nothing.
    var isEmpty: Bool { markup.isEmpty }

    /// The length in bytes of UTF-8.
    var byteCount: Int { markup.utf8.count }

    /// Concatenates two parts.
    static func + (left: Escaped, right: Escaped) -> Escaped { Escaped(markup: left.markup + right.markup) }

    /// Adds more.
    static func += (left: inout Escaped, right: Escaped) { left.markup += right.markup }
}

extension Escaped: ExpressibleByStringInterpolation {
    /// Collects the parts of a literal.
    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var markup = ""

        init(literalCapacity: Int, interpolationCount: Int) { markup.reserveCapacity(literalCapacity) }

        /// The source's own text. `StaticString`, so that no text of a run can be taken for it.
        mutating func appendLiteral(_ literal: StaticString) { markup += literal.description }

        /// Markup of the same format.
        mutating func appendInterpolation(_ part: Escaped) { markup += part.markup }

        /// A string, which is escaped.
        mutating func appendInterpolation(_ text: some StringProtocol) { markup += Format.escaped(String(text)) }

        /// A number.
        mutating func appendInterpolation(_ number: some BinaryInteger) { markup += "\(number)" }
    }

    /// The source's own text, with the interpolated parts.
    init(stringInterpolation: StringInterpolation) { markup = stringInterpolation.markup }

    /// What the source says.
    init(stringLiteral value: StaticString) { markup = value.description }
}

/// A file of the page that is compiled in.
enum PageFile {
    case style
    case script

    /// Its text.
    var text: String {
        switch self {
        case .style: String(decoding: PackageResources.page_css, as: UTF8.self)
        case .script: String(decoding: PackageResources.page_js, as: UTF8.self)
        }
    }
}

extension Escaped where Format == HTML {
    /// A file of this package, which is markup like a literal.
    init(file: PageFile) { self.init(markup: file.text) }
}

extension Sequence {
    /// Concatenates parts.
    func joined<Format>(separator: Escaped<Format> = "") -> Escaped<Format> where Element == Escaped<Format> {
        var result: Escaped<Format> = ""
        for (index, part) in enumerated() {
            if index > 0 { result += separator }
            result += part
        }
        return result
    }
}

extension Crash {
    /// `moment` as markup; empty when nothing is known.
    ///
    /// - Parameter quoting: Makes markup of the test's name.
    func moment<Format>(_ quoting: (String) -> Escaped<Format>) -> Escaped<Format> {
        momentParts.map { part in
            switch part {
            case .words(let words): Escaped(stringLiteral: words)
            case .test(let name): quoting(name)
            }
        }.joined()
    }
}

/// HTML, in an element or an attribute in double quotes. Invisible characters are spelled out, as on a terminal, except
/// line ends and tabs: marks that change the direction of text could disguise it.
enum HTML: MarkupFormat {
    static func escaped(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result.append(contentsOf: "&amp;".unicodeScalars)
            case "<": result.append(contentsOf: "&lt;".unicodeScalars)
            case ">": result.append(contentsOf: "&gt;".unicodeScalars)
            case "\"": result.append(contentsOf: "&quot;".unicodeScalars)
            case "'": result.append(contentsOf: "&#39;".unicodeScalars)
            case "\n", "\t": result.append(scalar)
            case _ where VisibleText.isSeen(scalar): result.append(scalar)
            default: result.append(contentsOf: VisibleText.spelled(scalar).unicodeScalars)
            }
        }
        return String(result)
    }
}

/// HTML.
typealias HTMLText = Escaped<HTML>

extension HTMLText {
    /// Lines for a `pre` element; only the first if there are very many.
    init(lines: [String], most: Int, longest: Int) {
        var shown = lines.prefix(most).map { HTMLText(Text.cut($0, to: longest)) }
        if lines.count > most { shown.append("… \(lines.count - most) more lines") }
        self = shown.joined(separator: "\n")
    }
}

/// A line or a table's cell of GitHub's Markdown: every ASCII punctuation mark is a character reference, which is never
/// read as Markdown (CommonMark 0.31, section 2.5), and a line's end is a blank.
enum Markdown: MarkupFormat {
    static func escaped(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", " ": result.append(scalar)
            case "\n", "\r", "\t": result.append(" ")
            case "!"..."~": result.append(contentsOf: "&#\(scalar.value);".unicodeScalars)
            case _ where VisibleText.isSeen(scalar): result.append(scalar)
            default: result.append(contentsOf: escaped(VisibleText.spelled(scalar)).unicodeScalars)
            }
        }
        return String(result)
    }
}

/// GitHub's Markdown.
typealias MarkdownText = Escaped<Markdown>

extension MarkdownText {
    /// A text as code, in which GitHub makes no links of names and numbers; nothing for an empty one.
    init(code text: some StringProtocol) { self = text.isEmpty ? "" : "<code>\(text)</code>" }

    /// Unchanged lines; only the first if there are very many: a Markdown block that began with `<pre>` ends only with
    /// `</pre>` (CommonMark 0.31, section 4.6), and no text contains that after it is escaped for HTML.
    init(preformatted lines: [String], most: Int, longest: Int) {
        self.init(markup: "<pre>\n\(HTMLText(lines: lines, most: most, longest: longest).markup)\n</pre>")
    }
}

/// XML 1.0, in an element or an attribute in double quotes: forbidden and invisible characters are spelled out.
enum XML: MarkupFormat {
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\n": result += "&#10;"
            case "\t": result += "&#9;"
            case "\r": result += "&#13;"
            // All visible characters are valid in XML (section 2.2, Char).
            case _ where VisibleText.isSeen(scalar): result.unicodeScalars.append(scalar)
            default: result += VisibleText.spelled(scalar)
            }
        }
        return result
    }
}

/// XML.
typealias XMLText = Escaped<XML>
