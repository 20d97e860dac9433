// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The outcomes of tests in the kept runs as one HTML file: for each test a picture with a bar for each run, the oldest
/// to the left, and the table of the runs.
public struct HTMLHistory: Sendable {
    private let history: TestHistory

    /// The most tests to show.
    private static let mostTests = 200
    /// The size of the picture, in which each run has a column.
    private static let column = 14
    private static let height = 40

    /// Renders a history.
    public static func render(_ history: TestHistory) -> String { HTMLHistory(history: history).page.markup }

    private var page: HTMLText {
        let shown = history.tests.prefix(Self.mostTests)
        let isGood = history.tests.allSatisfy { $0.entries.first?.status.isFailure != true }
        let kind: HTMLText = isGood ? " class=\"good\"" : ""
        var parts = shown.map(section)
        if history.tests.isEmpty { parts.append("<p>No kept run has such a test.</p>") }
        if history.tests.count > shown.count {
            parts.append("<p>… \(history.tests.count - shown.count) more tests.</p>")
        }
        return """
            <!DOCTYPE html>
            <html lang="en">
            \(HTMLPage.head(title: "History of \(history.wanted)"))
            <body>
            <header\(kind)>
            <h1>\(history.wanted)</h1>
            <p>\(pluralized(history.tests.count, "test")) in \(pluralized(history.runs, "kept run"))</p>
            </header>
            \(parts.joined(separator: "\n"))
            </body>
            </html>

            """
    }

    private func section(_ test: TestHistory.Test) -> HTMLText {
        let sentence: HTMLText = test.firstBadSentence.map { "\n<p>\($0)</p>" } ?? ""
        let rows = test.entries.map { entry -> HTMLText in
            let bad: HTMLText = entry.run == test.firstBad ? " <span class=\"soft\">first bad run</span>" : ""
            return """
                <tr><td>\(entry.place)</td><td><code>\(entry.run)</code>\(bad)</td>\
                <td><span class="badge \(Self.kind(of: entry))">\(entry.status.words.short)</span></td>\
                <td>\(TextReport.facts(of: entry).joined(separator: ", "))</td></tr>
                """
        }
        return """
            <section>
            <h2>\(test.id)</h2>
            <div class="card">
            <p>\(test.summary)</p>\(sentence)
            \(picture(test))
            <table>
            <thead><tr><th>run</th><th>name</th><th>result</th><th></th></tr></thead>
            <tbody>
            \(rows.joined(separator: "\n"))
            </tbody>
            </table>
            </div>
            </section>
            """
    }

    /// A column for each run, red to the share of repetitions that failed, and a mark below the first bad run.
    private func picture(_ test: TestHistory.Test) -> HTMLText {
        let entries = Array(test.entries.reversed())
        let columns = entries.enumerated().map { index, entry -> HTMLText in
            let x = index * Self.column
            let share = entry.total == 0 ? 0 : Double(entry.failures) / Double(entry.total)
            // A single failure of very many repetitions is still visible.
            let bad = entry.failures == 0 ? 0 : max(3, Int((share * Double(Self.height)).rounded()))
            let good: HTMLText = entry.status == .skipped ? "skipped" : "passed"
            let title: HTMLText = "<title>\(entry.run): \(entry.status.words.short)</title>"
            var bars: HTMLText = ""
            if bad < Self.height {
                bars += """
                    <rect class="\(good)" x="\(x)" y="\(bad)" width="\(Self.column - 2)" height="\(Self.height - bad)"/>
                    """
            }
            if bad > 0 {
                bars += "<rect class=\"failed\" x=\"\(x)\" y=\"0\" width=\"\(Self.column - 2)\" height=\"\(bad)\"/>"
            }
            if entry.run == test.firstBad {
                bars += """
                    <rect class="made" x="\(x)" y="\(Self.height + 2)" width="\(Self.column - 2)" height="3"/>
                    """
            }
            return "<g>\(title)\(bars)</g>"
        }
        let width = max(1, entries.count) * Self.column
        return """
            <svg class="history" role="img" aria-label="\(test.summary)" viewBox="0 0 \(width) \(Self.height + 6)" \
            width="\(width)" height="\(Self.height + 6)">\(columns.joined())</svg>
            """
    }

    /// The class of a result, which has its colour.
    private static func kind(of entry: TestHistory.Entry) -> HTMLText {
        switch entry.status {
        case .passed: "passed"
        case .skipped: "skipped"
        case .failed, .crashed, .timedOut, .notReported, .flaky: "failed"
        }
    }
}
