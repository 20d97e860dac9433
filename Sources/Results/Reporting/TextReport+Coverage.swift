// SPDX-License-Identifier: Apache-2.0
import Coverage
import Diagnostics

extension TextReport {
    /// The most lines shown that no test reached.
    static let mostUnreachedLines = 40

    /// What the tests reached: a table of the files, and then the lines that none reached, with their text.
    func coverage(_ report: CoverageReport) -> [TerminalText] {
        var rows = [["coverage", "lines", "branches", "functions"]]
        func row(_ name: String, _ tallies: CoverageTally...) -> [String] { [name] + tallies.map(Self.share) }
        for file in report.files {
            rows.append(row(file.path, file.lineTally, file.branchTally, file.functionTally))
        }
        if report.files.count != 1 { rows.append(row("all files", report.lines, report.branches, report.functions)) }
        var lines = table(rows)
        for gap in report.gaps ?? [] { lines += entry("note", .yellow, "coverage: \(gap)") }
        return lines + unreached(report)
    }

    private func unreached(_ report: CoverageReport) -> [TerminalText] {
        let missing = report.files.flatMap { file in
            file.lines.filter { $0.count == 0 }.map { line -> TerminalText in
                let text = file.text(ofLine: line.number).map { "  \($0)" } ?? ""
                return "\(file.path):\(line.number)\(text)"
            }
        }
        guard !missing.isEmpty else { return [] }
        let shown = isVerbose ? missing.count : Self.mostUnreachedLines
        var lines: [TerminalText] = ["never reached:"]
        lines += missing.prefix(shown).flatMap { body("  \($0)", hang: 4) }
        if missing.count > shown {
            lines += body("  ... and \(missing.count - shown) more lines: -v or --html FILE shows all")
        }
        return lines
    }

    /// "12 of 14, 85.7 %", or a dash of nothing.
    static func share(_ tally: CoverageTally) -> String {
        tally.percent.map { "\(tally.reached) of \(tally.total), \($0) %" } ?? "-"
    }
}
