// SPDX-License-Identifier: Apache-2.0
/// A table in Markdown, with its columns aligned so that it reads well as text too.
public struct Table: Sendable {
    private var rows: [[String]]
    /// Beyond this many columns alignment makes lines longer and nothing clearer.
    private static let widest = 40

    /// Starts a table.
    public init(_ header: [String]) {
        rows = [header]
    }

    /// Adds a row; missing cells are empty, surplus ones are dropped.
    public mutating func add(_ cells: [String]) {
        let padded = cells + Array(repeating: "", count: max(0, rows[0].count - cells.count))
        // A bar would end the cell, a newline the row.
        rows.append(
            padded.prefix(rows[0].count).map { cell in
                cell.split(separator: "\n").joined(separator: " ").split(
                    separator: "|", omittingEmptySubsequences: false
                ).joined(separator: "\\|")
            })
    }

    /// The lines of the table.
    public var text: String {
        let widths = rows[0].indices.map { column in min(Self.widest, rows.map { $0[column].count }.max() ?? 0) }
        var lines = rows.map { row in
            "| "
                + zip(row, widths).map { $0 + String(repeating: " ", count: max(0, $1 - $0.count)) }.joined(
                    separator: " | ")
                + " |"
        }
        lines.insert("|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|", at: 1)
        return lines.joined(separator: "\n")
    }
}
