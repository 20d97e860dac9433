// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

extension TextReport {
    /// The most tests in the table of repetitions.
    static let mostRepeatedTests = 40

    /// How often the run failed, and each test that did not always pass by how it ended.
    func repetitions(_ repetitions: Repetitions) -> [TerminalText] {
        let unsteady = repetitions.tests.filter { $0.failures > 0 }
        let shown = isVerbose ? unsteady : Array(unsteady.prefix(Self.mostRepeatedTests))
        let statuses = TestStatus.allCases.filter { status in
            status == .passed || shown.contains { $0.count(status) > 0 }
        }
        var lines = body("\(Self.sentence(repetitions))")
        if !shown.isEmpty {
            var rows = [["test"] + statuses.map(\.words.short) + ["fails"]]
            rows += shown.map { test in
                [test.id] + statuses.map { "\(test.count($0))" } + [Self.rate(test.rate)]
            }
            lines += table(rows)
        }
        if unsteady.count > shown.count {
            lines += body("... and \(unsteady.count - shown.count) more tests: -v shows all")
        }
        let steady = repetitions.tests.count - unsteady.count
        if steady > 0 { lines += body("\(pluralized(steady, "test")) never failed") }
        return lines
    }

    /// "20 of 20 repetitions, 2 failed, the first in repetition 7: 10.0 % (95 % interval: 2.8 % to 30.1 %)".
    static func sentence(_ repetitions: Repetitions) -> String {
        let wanted = repetitions.wanted.map { "\(repetitions.count) of \(pluralized($0, "repetition"))" }
        var text = wanted ?? pluralized(repetitions.count, "repetition")
        text += ", \(repetitions.failed) failed"
        if let first = repetitions.firstFailure { text += ", the first in repetition \(first)" }
        return text + ": \(rate(repetitions.rate, names: "95 % interval: "))"
    }

    /// "10.0 % (2.8 % to 30.1 %)".
    static func rate(_ rate: FailureRate, names: String = "") -> String {
        guard let percent = rate.percent, let interval = rate.interval else { return "-" }
        func text(_ value: Double) -> String { "\((value * 10).rounded() / 10) %" }
        return "\(text(percent)) (\(names)\(text(interval.lowerBound)) to \(text(interval.upperBound)))"
    }

    /// Rows of cells in columns: the first to the left, the others to the right.
    func table(_ rows: [[String]]) -> [TerminalText] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.flatMap { row -> [TerminalText] in
            let cells = row.enumerated().map { column, cell in
                let blanks = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + blanks : blanks + cell
            }
            return body("\(cells.joined(separator: "  "))")
        }
    }
}
