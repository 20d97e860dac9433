// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// The tests as a table, with filters for failed and skipped tests, and the slowest tests.
struct HTMLTests {
    private let report: RunReport
    private let failureID: [[String]: String]

    /// - Parameter failureID: The anchors of failures, by suite and test.
    init(_ report: RunReport, failureID: [[String]: String]) {
        self.report = report
        self.failureID = failureID
    }

    var body: HTMLText {
        let tests = report.tests
        guard !tests.isEmpty else { return "" }
        let longest = max(0.001, tests.compactMap(\.seconds).filter { $0.isFinite && $0 < 0x1p40 }.max() ?? 0)
        let suites = report.suites.filter { !$0.tests.isEmpty }.map { suite -> HTMLText in
            """
            <tbody><tr><th colspan="3">\(suite.name) <span class="soft">\(suite.kind)</span></th></tr>
            \(suite.tests.map { row($0, of: suite, longest: longest) }.joined(separator: "\n"))
            </tbody>
            """
        }
        let failed = tests.count(where: \.status.isFailure)
        return """
            <div class="card">
            \(choice("all", "All \(tests.count)", isChosen: true))
            \(choice("failed", "Failed \(failed)"))
            \(choice("skipped", "Skipped \(report.count(.skipped))"))
            <table>
            \(suites.joined(separator: "\n"))
            </table>
            \(slowest)
            </div>
            """
    }

    /// The style shows the rows of the selected choice.
    private func choice(_ kind: String, _ label: String, isChosen: Bool = false) -> HTMLText {
        let checked: HTMLText = isChosen ? " checked" : ""
        return """
            <input type="radio" name="show" id="show-\(kind)"\(checked)><label for="show-\(kind)">\(label)</label>
            """
    }

    private func row(_ test: TestResult, of suite: SuiteResult, longest: Double) -> HTMLText {
        let kinds = "test \(test.status.rawValue)" + (test.status.isFailure ? " failing" : "")
        var name: HTMLText = "<code>\(test.id)</code>"
        if let id = failureID[[suite.name, test.id]] { name = "<a href=\"#\(id)\">\(name)</a>" }
        if test.name != test.id { name += "<p class=\"soft\">\(test.name)</p>" }
        if let reason = test.reason { name += "<p class=\"soft\">\(reason)</p>" }
        for issue in test.reportedIssues where issue.isKnown {
            let circumstances = issue.circumstances.map { " (\($0))" } ?? ""
            name += "<p class=\"soft\">known: \(issue.message)\(circumstances)</p>"
        }
        // A failed test shows these elsewhere.
        if !test.status.isFailure, !test.kernelLog.isEmpty {
            let lines = HTMLText(lines: test.kernelLog, most: HTMLReport.mostLines, longest: HTMLReport.longestLine)
            name += "<details><summary>The kernel, while it ran</summary><pre class=\"wrap\">\n\(lines)</pre></details>"
        }
        let badge: HTMLText = "<span class=\"badge \(test.status.rawValue)\">\(test.status.words.short)</span>"
        return "<tr class=\"\(kinds)\"><td class=\"status\">\(badge)</td><td>\(name)</td>"
            + "<td class=\"time\">\(time(test.seconds, longest: longest))</td></tr>"
    }

    private func time(_ seconds: Double?, longest: Double) -> HTMLText {
        guard let seconds else { return "" }
        let share = seconds.isFinite && seconds > 0 ? min(1, seconds / longest) : 0
        let (x, width) = (Text.percent(1 - share), Text.percent(share))
        return """
            \(Text.seconds(seconds))<svg class="bar" aria-hidden="true">\
            <rect class="made" x="\(x)" width="\(width)" height="4"/></svg>
            """
    }

    private var slowest: HTMLText {
        let tests = report.slowest(HTMLReport.mostSlow)
        guard tests.count > 1 else { return "" }
        let rows = tests.map { timed -> HTMLText in
            "<tr><td><code>\(timed.test.id)</code></td><td class=\"time\">\(Text.seconds(timed.seconds))</td></tr>"
        }
        return "<details><summary>The slowest</summary><table><tbody>\n\(rows.joined(separator: "\n"))\n"
            + "</tbody></table></details>"
    }
}

/// A test with a possible time.
struct TimedTest {
    var test: TestResult
    var seconds: Double
}

extension RunReport {
    /// The tests that took longest, the slowest first. Tests without a time, or with an impossible one, are omitted.
    func slowest(_ count: Int) -> [TimedTest] {
        let timed = tests.compactMap { test in
            test.seconds.flatMap { $0.isFinite && $0 > 0 && $0 < 0x1p40 ? TimedTest(test: test, seconds: $0) : nil }
        }
        return Array(timed.sorted { $0.seconds > $1.seconds }.prefix(count))
    }
}
