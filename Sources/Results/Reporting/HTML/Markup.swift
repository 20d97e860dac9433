// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Texts of a guest's, or of a user's, made to stand in a page as they are.
enum Markup {
    /// Text for an element or an attribute in double quotes of HTML. What is not seen is spelled out, as on a
    /// terminal, except line ends and tabs: marks that change the direction of text could disguise it.
    static func html(_ text: String) -> String {
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

    /// Lines for a `pre` element of HTML, the first ones of very many.
    static func html(_ lines: [String], most: Int, longest: Int) -> String {
        var shown = lines.prefix(most).map { html(Text.cut($0, to: longest)) }
        if lines.count > most { shown.append("… \(lines.count - most) more lines") }
        return shown.joined(separator: "\n")
    }

    /// Text in a line or a table's cell of GitHub's Markdown: every ASCII mark is a character reference, which never
    /// stands for a mark of Markdown (CommonMark 0.31, section 2.5), and a line's end is a blank.
    static func markdown(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", " ": result.append(scalar)
            case "\n", "\r", "\t": result.append(" ")
            case "!"..."~": result.append(contentsOf: "&#\(scalar.value);".unicodeScalars)
            case _ where VisibleText.isSeen(scalar): result.append(scalar)
            default: result.append(contentsOf: markdown(VisibleText.spelled(scalar)).unicodeScalars)
            }
        }
        return String(result)
    }

    /// The same as code, in which GitHub makes no links of names and numbers.
    static func code(_ text: String) -> String { text.isEmpty ? "" : "<code>\(markdown(text))</code>" }
}
