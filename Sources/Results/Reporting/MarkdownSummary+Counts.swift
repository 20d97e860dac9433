// SPDX-License-Identifier: Apache-2.0
import Coverage
import Diagnostics
import ResultsModel

/// What was counted during the tests: repetitions, coverage, and the cost of calls.
extension MarkdownSummary {
    /// The most rows in a table of counts.
    static let mostRows = 40

    /// How often the tests failed when they were repeated; nothing when they ran once.
    static func repetitions(_ report: RunReport) -> MarkdownText {
        guard let repetitions = report.repetitions else { return "" }
        let unsteady = repetitions.tests.filter { $0.failures > 0 }
        let shown = unsteady.prefix(mostRows)
        let statuses = TestStatus.allCases.filter { status in
            status == .passed || shown.contains { $0.count(status) > 0 }
        }
        var lines: [MarkdownText] = ["### Repetitions", "", "\(TextReport.sentence(repetitions))"]
        if !shown.isEmpty {
            lines += ["", row(["test"] + statuses.map { MarkdownText($0.words.short) } + ["fails"])]
            lines.append(row(["---"] + Array(repeating: "---:", count: statuses.count + 1)))
            lines += shown.map { test in
                row([code(test.id)] + statuses.map { "\(test.count($0))" } + ["\(TextReport.rate(test.rate))"])
            }
        }
        if unsteady.count > shown.count { lines += ["", "… and \(unsteady.count - shown.count) more tests."] }
        let steady = repetitions.tests.count - unsteady.count
        if steady > 0 { lines += ["", "\(pluralized(steady, "test")) never failed."] }
        return lines.joined(separator: "\n")
    }

    /// The coverage of the files, and the lines that no test reached, folded.
    static func coverage(_ report: RunReport) -> [MarkdownText] {
        guard let coverage = report.coverage else { return [] }
        func cells(_ name: MarkdownText, _ tallies: CoverageTally...) -> MarkdownText {
            row([name] + tallies.map { "\(TextReport.share($0))" })
        }
        var lines: [MarkdownText] = [
            "### Coverage", "", row(["file", "lines", "branches", "functions"]),
            row(["---", "---:", "---:", "---:"]),
        ]
        lines += coverage.files.prefix(mostRows).map {
            cells(code($0.path), $0.lineTally, $0.branchTally, $0.functionTally)
        }
        if coverage.files.count != 1 {
            lines.append(cells("all files", coverage.lines, coverage.branches, coverage.functions))
        }
        for gap in (coverage.gaps ?? []).prefix(mostRows) { lines += ["", "\(gap)."] }
        let missing = coverage.files.flatMap { file in
            file.lines.filter { $0.count == 0 }.map {
                "\(file.path):\($0.number)  \(file.text(ofLine: $0.number) ?? "")"
            }
        }
        let table = lines.joined(separator: "\n")
        return missing.isEmpty
            ? [table] : [table, folded("Never reached: \(pluralized(missing.count, "line"))", missing)]
    }

    /// The calls that became slower than in the last run.
    static func calls(_ report: RunReport) -> MarkdownText {
        guard let profile = report.callProfile, !profile.slower.isEmpty else { return "" }
        let lines: [MarkdownText] = ["### Calls that became slower", ""]
        let items = profile.slower.prefix(mostRows).map { "- \(TextReport.change($0, in: profile))" as MarkdownText }
        return (lines + items).joined(separator: "\n")
    }

    private static func code(_ text: String) -> MarkdownText { MarkdownText(code: text) }
}
