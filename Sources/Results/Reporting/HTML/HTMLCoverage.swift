// SPDX-License-Identifier: Apache-2.0
import Coverage
import Diagnostics

/// What the tests reached: a table of the files, the source of each with its counts, and the tests with the lines that
/// they reached. A line leads to its tests and a test to its lines.
struct HTMLCoverage {
    private let report: CoverageReport

    /// The most lines of source that are shown of a file, and the most of all files.
    private static let mostLines = 5000

    init?(_ report: CoverageReport?) {
        guard let report else { return nil }
        self.report = report
    }

    var body: HTMLText {
        let notes = (report.gaps ?? []).map { "<p>\($0)</p>" as HTMLText }
        let parts = notes + [table] + report.files.indices.map(source) + [tests]
        return "<div class=\"card coverage\">\n\(parts.joined(separator: "\n"))\n</div>"
    }

    private var table: HTMLText {
        func row(_ name: HTMLText, _ tallies: CoverageTally...) -> HTMLText {
            let cells = tallies.map { "<td>\(TextReport.share($0))</td>" as HTMLText }
            return "<tr><td>\(name)</td>\(cells.joined())</tr>"
        }
        var rows = report.files.enumerated().map { index, file in
            row(
                "<a href=\"#cover-\(index + 1)\"><code>\(file.path)</code></a>", file.lineTally, file.branchTally,
                file.functionTally)
        }
        if report.files.count != 1 { rows.append(row("all files", report.lines, report.branches, report.functions)) }
        return """
            <table>
            <thead><tr><th>file</th><th>lines</th><th>branches</th><th>functions</th></tr></thead>
            <tbody>
            \(rows.joined(separator: "\n"))
            </tbody>
            </table>
            """
    }

    /// A file's text, with counts where there is code.
    private func source(_ index: Int) -> HTMLText {
        let file = report.files[index]
        let lines = Dictionary(file.lines.map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
        let last = max(file.source?.count ?? 0, file.lines.last?.number ?? 0)
        let rows = (1...max(1, min(last, Self.mostLines))).map { number -> HTMLText in
            let text = file.source.flatMap { $0.indices.contains(number - 1) ? $0[number - 1] : nil } ?? ""
            let code: HTMLText = "<td><code>\(text)</code></td>"
            guard let line = lines[number] else { return "<tr><td>\(number)</td><td></td><td></td>\(code)</tr>" }
            let taken = line.branches.count { $0 > 0 }
            let ways: HTMLText = line.branches.isEmpty ? "" : "\(taken)/\(line.branches.count)"
            let kind: HTMLText = line.count == 0 ? "missed" : taken < line.branches.count ? "partly" : "reached"
            let id: HTMLText = "cover-\(index + 1)-\(number)"
            return
                "<tr id=\"\(id)\" class=\"\(kind)\"><td>\(number)</td><td>\(count(line))</td><td>\(ways)</td>\(code)</tr>"
        }
        let more: HTMLText = last > Self.mostLines ? "<p>… \(last - Self.mostLines) more lines.</p>" : ""
        return """
            <details id="cover-\(index + 1)" open><summary><code>\(file.path)</code></summary>
            <div class="wide"><table class="source">
            <thead><tr><th>line</th><th>count</th><th>branches</th><th></th></tr></thead>
            <tbody>
            \(rows.joined(separator: "\n"))
            </tbody>
            </table></div>\(more)
            </details>
            """
    }

    /// How often a line was reached, and by which tests.
    private func count(_ line: CoveredLine) -> HTMLText {
        guard !line.tests.isEmpty else { return "\(line.count)" }
        let links = line.tests.filter(report.tests.indices.contains).map { test -> HTMLText in
            "<li><a href=\"#cover-test-\(test + 1)\">\(report.tests[test])</a></li>"
        }
        return "<details><summary>\(line.count)</summary><ul>\(links.joined())</ul></details>"
    }

    /// The tests, each with the lines that it reached.
    private var tests: HTMLText {
        guard !report.tests.isEmpty else { return "" }
        let items = report.tests.indices.map { test -> HTMLText in
            let files = report.files.enumerated().compactMap { index, file -> HTMLText? in
                let links = Self.ranges(file.lines.map { $0.tests.contains(test) ? $0.number : nil }).map {
                    "<a href=\"#cover-\(index + 1)-\($0.lowerBound)\">\(Self.text($0))</a>" as HTMLText
                }
                return links.isEmpty ? nil : "<br><code>\(file.path)</code> \(links.joined(separator: ", "))"
            }
            return "<li id=\"cover-test-\(test + 1)\"><code>\(report.tests[test])</code>\(files.joined())</li>"
        }
        return "<h3>Lines by test</h3>\n<ul>\n\(items.joined(separator: "\n"))\n</ul>"
    }

    private static func text(_ range: ClosedRange<Int>) -> String {
        range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)–\(range.upperBound)"
    }

    /// Numbers that follow each other in a list as ranges; nil breaks one.
    private static func ranges(_ numbers: [Int?]) -> [ClosedRange<Int>] {
        var ranges: [ClosedRange<Int>] = []
        var isOpen = false
        for number in numbers {
            guard let number else {
                isOpen = false
                continue
            }
            if isOpen, let last = ranges.last {
                ranges[ranges.count - 1] = last.lowerBound...number
            } else {
                ranges.append(number...number)
            }
            isOpen = true
        }
        return ranges
    }
}
