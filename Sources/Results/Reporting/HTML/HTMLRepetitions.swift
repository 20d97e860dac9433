// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// How often the tests failed when they were repeated.
struct HTMLRepetitions {
    private let repetitions: Repetitions

    /// The most tests in the table.
    private static let mostTests = 500

    init?(_ repetitions: Repetitions?) {
        guard let repetitions else { return nil }
        self.repetitions = repetitions
    }

    var body: HTMLText {
        let unsteady = repetitions.tests.filter { $0.failures > 0 }
        let shown = unsteady.prefix(Self.mostTests)
        let statuses = TestStatus.allCases.filter { status in shown.contains { $0.count(status) > 0 } }
        var parts: [HTMLText] = ["<p>\(TextReport.sentence(repetitions))</p>"]
        if !shown.isEmpty {
            let heads = statuses.map { "<th>\($0.words.short)</th>" as HTMLText }
            let rows = shown.map { test -> HTMLText in
                let cells = statuses.map { "<td>\(test.count($0))</td>" as HTMLText }
                return
                    "<tr><td><code>\(test.id)</code></td>\(cells.joined())<td>\(TextReport.rate(test.rate))</td></tr>"
            }
            parts.append(
                """
                <table>
                <thead><tr><th>test</th>\(heads.joined())<th>fails</th></tr></thead>
                <tbody>
                \(rows.joined(separator: "\n"))
                </tbody>
                </table>
                """)
        }
        let steady = repetitions.tests.count - unsteady.count
        if steady > 0 { parts.append("<p>\(pluralized(steady, "test")) never failed</p>") }
        return "<div class=\"card\">\n\(parts.joined(separator: "\n"))\n</div>"
    }
}
