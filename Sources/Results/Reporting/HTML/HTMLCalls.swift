// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The cost of the project's calls: a table with a bar for each median beside the one of the earlier run.
struct HTMLCalls {
    private let profile: CallProfile

    /// The most rows in the table.
    private static let mostRows = 500

    init?(_ profile: CallProfile?) {
        guard let profile else { return nil }
        self.profile = profile
    }

    var body: HTMLText {
        var parts: [HTMLText] = ["<p>\(TextReport.sentence(profile))</p>"]
        let slower = profile.slower.prefix(Self.mostRows)
        if !slower.isEmpty {
            let items = slower.map { "<li>\(TextReport.change($0, in: profile))</li>" as HTMLText }
            parts.append("<h3>Slower</h3>\n<ul>\n\(items.joined(separator: "\n"))\n</ul>")
        }
        if !profile.entries.isEmpty { parts.append(table) }
        let more = profile.entries.count - Self.mostRows
        if more > 0 { parts.append("<p>… \(more) more rows.</p>") }
        return "<div class=\"card calls\">\n\(parts.joined(separator: "\n"))\n</div>"
    }

    private var table: HTMLText {
        let largest = profile.entries.flatMap { [$0.cost.median, $0.before?.median ?? 0] }.max() ?? 0
        let rows = profile.entries.prefix(Self.mostRows).map { entry -> HTMLText in
            let cost = entry.cost
            let cells = [cost.count, cost.median, cost.percentile90, cost.percentile99, cost.most].map {
                "<td>\(grouped($0))</td>" as HTMLText
            }
            let before = entry.before.map { grouped($0.median) } ?? "-"
            let mark: HTMLText = entry.isSlower ? " <span class=\"badge\">\(TextReport.times(entry.factor))</span>" : ""
            return """
                <tr><td><code>\(entry.call)</code></td><td><code>\(entry.test)</code>\(bars(entry, of: largest))</td>\
                \(cells.joined())<td>\(before)\(mark)</td></tr>
                """
        }
        return """
            <div class="wide"><table>
            <thead><tr><th>call</th><th>test</th><th>calls</th><th>median</th><th>90 %</th><th>99 %</th>\
            <th>most</th><th>before</th></tr></thead>
            <tbody>
            \(rows.joined(separator: "\n"))
            </tbody>
            </table></div>
            """
    }

    /// The median in this run, and below it the earlier one.
    private func bars(_ entry: CallProfile.Entry, of largest: Int) -> HTMLText {
        guard largest > 0 else { return "" }
        func bar(_ value: Int, _ kind: HTMLText) -> HTMLText {
            let width = Text.percent(Double(value) / Double(largest))
            return """
                <svg class="bar" aria-hidden="true"><rect class="\(kind)" width="\(width)" height="4"/></svg>
                """
        }
        let before = entry.before.map { bar($0.median, "hit") } ?? ""
        return bar(entry.cost.median, entry.isSlower ? "failed" : "made") + before
    }
}
