// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The report as one HTML file: it loads nothing, and text from the guest is never markup or part of the script.
public struct HTMLReport: Sendable {
    /// The most lines to show of a text, and the most characters of a line; the JSON report has the whole text.
    static let mostLines = 500
    static let longestLine = 4000
    /// The most failed tests to show with all their information.
    static let mostFailures = 200
    /// The number of slowest tests to list.
    static let mostSlow = 10

    let report: RunReport
    let console: ConsoleExcerpt?

    /// Renders a report.
    ///
    /// - Parameter console: The console's log; nil when there is none.
    public static func render(_ report: RunReport, console: ConsoleExcerpt? = nil) -> String {
        HTMLReport(report: report, console: console).page.markup
    }

    private var isGood: Bool { report.exitCode == ExitStatus.success.rawValue }

    private var page: HTMLText {
        let sections: [(id: String, title: String, body: HTMLText)] = [
            ("failures", "Failures", failures), ("timeline", "Timeline", HTMLTimeline(report).body),
            ("tests", "Tests", HTMLTests(report, failureID: failureIDs).body),
            ("repetitions", "Repetitions", HTMLRepetitions(report.repetitions)?.body ?? ""),
            ("coverage", "Coverage", HTMLCoverage(report.coverage)?.body ?? ""),
            ("calls", "Cost of the calls", HTMLCalls(report.callProfile)?.body ?? ""),
            ("log", "Console", HTMLConsole(report, console).body), ("about", "About this run", about),
        ].filter { !$0.body.isEmpty }
        let name = report.project.split(separator: "/").last.map(String.init) ?? report.project
        let title = "\(report.verdictWord): \(name)"
        let links: [HTMLText] = sections.map { "<a href=\"#\($0.id)\">\($0.title)</a>" }
        let kind: HTMLText = isGood ? " class=\"good\"" : ""
        let bodies: [HTMLText] = sections.map {
            "<section id=\"\($0.id)\">\n<h2>\($0.title)</h2>\n\($0.body)\n</section>"
        }
        return """
            <!DOCTYPE html>
            <html lang="en">
            \(HTMLPage.head(title: title))
            <body>
            <header\(kind)>
            <h1>\(report.verdictWord)</h1>
            \(head)
            <nav>\(links.joined(separator: "\n"))</nav>
            </header>
            \(bodies.joined(separator: "\n"))
            <script>\(HTMLPage.script)</script>
            </body>
            </html>

            """
    }

    // MARK: The head

    private var head: HTMLText {
        var lines = ["\(report.counts) in \(Text.seconds(report.seconds))"]
        lines += [report.machineLine].compactMap { $0 }
        if !report.syscalls.isEmpty {
            lines.append(report.syscalls.map { "\($0.name) = \($0.number)" }.joined(separator: ", "))
        }
        var place = report.project
        if let profile = report.profile { place += ", profile \(profile)" }
        if let filter = report.filter { place += ", tests that match \(filter)" }
        lines.append("\(place), \(report.startedAt)")
        return lines.enumerated().map { index, line -> HTMLText in
            index == 0 ? "<p>\(line)</p>\(share)" : "<p class=\"soft\">\(line)</p>"
        }.joined(separator: "\n")
    }

    /// The number of tests with each status, as a bar.
    private var share: HTMLText {
        let tests = report.tests
        guard !tests.isEmpty else { return "" }
        var start = 0.0
        let parts: [(kind: String, count: Int)] = [
            ("failed", tests.count { $0.status.isFailure }), ("skipped", report.count(.skipped)),
            ("passed", report.count(.passed)),
        ]
        let bars = parts.filter { $0.count > 0 }.map { kind, count -> HTMLText in
            let width = Double(count) / Double(tests.count)
            defer { start += width }
            return """
                <rect class="\(kind)" x="\(Text.percent(start))" width="\(Text.percent(width))" height="10"/>
                """
        }
        return "\n<svg class=\"share\" aria-hidden=\"true\">\(bars.joined())</svg>"
    }

    // MARK: Failures

    private struct FailedTest {
        var suite: String
        var test: TestResult
    }

    private var failedTests: [FailedTest] {
        report.suites.flatMap { suite in
            suite.tests.filter(\.status.isFailure).map { FailedTest(suite: suite.name, test: $0) }
        }
    }

    /// The anchors of the failures that are shown, by suite and test.
    private var failureIDs: [[String]: String] {
        let pairs = failedTests.prefix(Self.mostFailures).enumerated().map {
            ([$1.suite, $1.test.id], "failure-\($0 + 1)")
        }
        return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
    }

    private var failures: HTMLText {
        let failed = failedTests.map(\.test)
        let shown = failed.prefix(Self.mostFailures).enumerated().map { (id: "failure-\($0 + 1)", test: $1) }
        let groups = CrashGroup.groups(of: report.crashes)
        var reported: Set<Int> = []
        var crashed: [HTMLText] = []
        var tests: [HTMLText] = []
        for (id, test) in shown where !isBare(test) {
            let own = groups.filter { report.crashes[$0.first].test == test.id && !reported.contains($0.first) }
            reported.formUnion(own.map(\.first))
            let article = failure(test, id: id, crashes: own)
            if own.isEmpty { tests.append(article) } else { crashed.append(article) }
        }
        let crashes = groups.filter { !reported.contains($0.first) }.map(crash)
        // Causes come first, and their effects last.
        var parts = crashes + crashed + tests + report.errors.map(runError) + report.suites.flatMap(programs)
        let bare = shown.filter { isBare($0.test) }
        for reason in bare.map(\.test.reason).reduce(into: [String?](), { if !$0.contains($1) { $0.append($1) } }) {
            parts.append(missing(bare.filter { $0.test.reason == reason }, reason: reason))
        }
        if failed.count > shown.count { parts.append("<p>… \(failed.count - shown.count) more tests failed.</p>") }
        if parts.isEmpty, !isGood { parts.append("<article><p>No test passed.</p></article>") }
        return parts.joined(separator: "\n")
    }

    /// Whether a test has no information except that it did not report.
    private func isBare(_ test: TestResult) -> Bool {
        test.status == .notReported && test.issues.isEmpty && test.kernelLog.isEmpty && test.output.isEmpty
            && !report.crashes.contains { $0.test == test.id }
    }

    private func missing(_ tests: [(id: String, test: TestResult)], reason: String?) -> HTMLText {
        let items = tests.map { id, test -> HTMLText in
            let name: HTMLText = test.name == test.id ? "" : " <span class=\"soft\">\(test.name)</span>"
            return "<li id=\"\(id)\"><code>\(test.id)</code>\(name)</li>"
        }
        let count = tests.count == 1 ? "1 test" : "\(tests.count) tests"
        return article(
            "\(badge(TestStatus.notReported.words.short, "")) \(count)",
            [paragraph(reason), "<ul>\n\(items.joined(separator: "\n"))\n</ul>"])
    }

    /// The errors in a program's results, and its last output if there are any.
    private func programs(_ suite: SuiteResult) -> [HTMLText] {
        var parts = suite.reportedProblems.map { problem in
            article("\(badge("problem", "")) \(suite.name)", [wrapped([problem])])
        }
        let hasFailure = suite.tests.contains(where: \.status.isFailure)
        if !suite.output.isEmpty, !suite.problems.isEmpty || hasFailure {
            parts.append(folded("What \(suite.name) printed last", suite.output))
        }
        return parts
    }

    private func crash(_ group: CrashGroup) -> HTMLText {
        let index = group.first
        let crash = report.crashes[index]
        let isMild = !report.fails(crash)
        let known = isMild ? paragraph(crash.knownReason.map { "known: \($0)" }) : ""
        let moment = crash.moment { "<code>\($0)</code>" as HTMLText }
        let running: HTMLText = moment.isEmpty ? "" : "<p>\(moment)</p>"
        return article(
            "\(badge(known.isEmpty ? "crash" : "known", isMild ? "mild" : "")) \(crash.title)",
            [known, running, repetitions(of: group), facts(of: index), account(of: crash)],
            isMild: isMild)
    }

    private func runError(_ error: RunReport.RunError) -> HTMLText {
        var parts: [HTMLText] = []
        if let details = error.details, !details.isEmpty {
            parts.append(wrapped(Text.lines(details)))
        }
        if let next = error.nextStep { parts.append("<p>Next: \(next)</p>") }
        return article("\(badge("error", "")) \(error.message)", parts)
    }

    /// The other tests with the same kernel report.
    private func repetitions(of group: CrashGroup) -> HTMLText {
        guard let remark = group.remark else { return "" }
        guard !group.laterTests.isEmpty else { return "<p>\(remark)</p>" }
        let items = group.laterTests.prefix(Self.mostFailures).map { "<li><code>\($0)</code></li>" as HTMLText }
        return "<details><summary>\(remark)</summary><ul>\(items.joined(separator: "\n"))</ul></details>"
    }

    /// The lines that explain a crash, and its whole report a click away.
    private func account(of crash: Crash) -> HTMLText {
        let telling = crash.tellingLines
        guard !telling.isEmpty, telling.count < crash.lines.count else {
            return pair(log: crash.lines, named: "Kernel log", crash: crash)
        }
        return pair(log: telling, named: "Kernel log", crash: crash)
            + folded("The whole report, with registers and code bytes", crash.lines)
    }

    private func failure(_ test: TestResult, id: String, crashes: [CrashGroup]) -> HTMLText {
        var parts: [HTMLText] = []
        if test.name != test.id { parts.append("<p class=\"soft\">\(test.name)</p>") }
        if let reason = test.reason { parts.append("<p>\(reason)</p>") }
        for issue in test.reportedIssues where !issue.isKnown {
            if let file = issue.file {
                parts.append("<p><code>\(file + (issue.line.map { ":\($0)" } ?? ""))</code></p>")
            }
            if let text = issue.sourceText { parts.append(wrapped([text])) }
            parts.append(wrapped(Text.lines(issue.message)))
            parts.append(paragraph(issue.circumstances))
        }
        for group in crashes {
            let crash = report.crashes[group.first]
            parts.append("<h4>\(crash.title)</h4>\(repetitions(of: group))\(facts(of: group.first))")
            parts.append(account(of: crash))
        }
        if !test.kernelLog.isEmpty {
            let isBesides = !crashes.isEmpty
            parts.append(
                isBesides
                    ? folded("All that the kernel said while it ran", test.kernelLog)
                    : pair(log: test.kernelLog, named: "The kernel, while it ran", crash: nil))
        }
        if !test.output.isEmpty { parts.append(folded("What it printed", test.output)) }
        let time: HTMLText = test.seconds.map { " <span class=\"soft\">\(Text.seconds($0))</span>" } ?? ""
        return article(
            "\(badge(test.status.words.short, test.status.rawValue)) \(test.id)\(time)", parts, id: id)
    }

    /// The facts of a crash, and its place in the console.
    private func facts(of index: Int) -> HTMLText {
        let crash = report.crashes[index]
        var facts = crash.isFatal ? ["fatal"] : []
        if let function = crash.function { facts.append("in \(function)") }
        if let cpu = crash.cpu { facts.append("CPU \(cpu)") }
        if let task = crash.task { facts.append("task \(task)\(crash.pid.map { ", PID \($0)" } ?? "")") }
        if let corruption = crash.corruption { facts.append("not whole: \(corruption)") }
        var text = HTMLText(facts.joined(separator: ", "))
        if crash.isOnConsole, let console, crash.firstLine >= console.firstLine {
            let line = crash.firstLine
            if !text.isEmpty { text += ", " }
            text += "<a href=\"#crash-\(index + 1)\">line \(line) of the console</a>"
        }
        return text.isEmpty ? "" : "<p class=\"soft\">\(text)</p>"
    }

    /// The kernel's messages and the call trace with its places in the sources, side by side if there is space.
    private func pair(log: [String], named name: String, crash: Crash?) -> HTMLText {
        let frames = crash?.frames ?? []
        let only: HTMLText = frames.isEmpty ? " class=\"only\"" : ""
        var text: HTMLText = "<div class=\"pair\">\n<div\(only)><h4>\(name)</h4>\(block(log))</div>"
        if !frames.isEmpty {
            let items = frames.map(frame).joined(separator: "\n")
            text += "\n<div><h4>Call trace</h4><ol class=\"trace\">\n\(items)</ol></div>"
        }
        return text + "\n</div>"
    }

    private func frame(_ frame: StackFrame) -> HTMLText {
        let module = frame.module.map { " [\($0)]" } ?? ""
        let offsets = "+0x\(String(frame.offset, radix: 16))/0x\(String(frame.size, radix: 16))"
        let doubt: HTMLText = frame.isReliable ? "" : " class=\"doubtful\""
        let places = frame.locations.map { place -> HTMLText in
            let function: HTMLText = place.function == frame.symbol ? "" : " in <code>\(place.function)</code>"
            let source: HTMLText = place.sourceText.map { "<br><code>&gt; \($0)</code>" } ?? ""
            return "<br><code class=\"soft\">\(place.file):\(place.line)</code>\(function)\(source)"
        }
        let name = (frame.isReliable ? "" : "? ") + frame.symbol + offsets + module
        return "<li\(doubt)><code>\(name)</code>\(places.joined())</li>"
    }

    // MARK: About

    private var about: HTMLText {
        var facts: [(HTMLText, String?)] = [
            ("kbuild", report.kbuildVersion), ("kernel", report.kernel?.source),
            ("kernel's release", report.kernel?.release), ("kernel's digest", report.kernel?.identity),
            ("compiler", report.kernel?.compiler),
        ]
        if let machine = report.machine {
            facts += [
                ("QEMU", machine.qemuVersion), ("accelerator", "\(machine.accelerator): \(machine.acceleratorReason)"),
                ("root file system", machine.rootfs), ("results", machine.results),
            ]
        }
        if let guests = report.guests {
            var text = "\(guests.count), \(guests.maxConcurrentGuests) at a time, "
            text += guests.isFromSnapshot ? "from a snapshot" : "booted"
            if let seconds = guests.medianStartSeconds { text += ", started in \(Text.seconds(seconds)) (median)" }
            facts.append(("guests", text))
        }
        facts += [
            ("host", report.host), ("command", report.commandLine), ("files", report.artifacts.folder),
            ("make's log", report.artifacts.buildLog),
        ]
        let rows = facts.compactMap { name, value -> HTMLText? in
            value.map { "<tr><th class=\"key\">\(name)</th><td>\($0)</td></tr>" }
        }
        var parts: [HTMLText] = [
            "<div class=\"card\"><table><tbody>\n\(rows.joined(separator: "\n"))\n</tbody></table></div>"
        ]
        if let configuration = report.configuration {
            parts.append(folded("Configuration", Text.lines(configuration)))
        }
        if let commands = report.commands, !commands.isEmpty { parts.append(folded("Commands", commands)) }
        return parts.joined(separator: "\n")
    }

    // MARK: Parts

    private func article(_ title: HTMLText, _ parts: [HTMLText], id: String? = nil, isMild: Bool = false) -> HTMLText {
        let anchor: HTMLText = id.map { " id=\"\($0)\"" } ?? ""
        let kind: HTMLText = isMild ? " class=\"mild\"" : ""
        let body = parts.filter { !$0.isEmpty }.joined(separator: "\n")
        return "<article\(anchor)\(kind)>\n<h3>\(title)</h3>\n\(body)\n</article>"
    }

    private func badge(_ word: String, _ kind: String) -> HTMLText { "<span class=\"badge \(kind)\">\(word)</span>" }

    private func paragraph(_ text: String?) -> HTMLText { text.map { "<p>\($0)</p>" } ?? "" }

    private func block(_ lines: [String]) -> HTMLText { "<pre>\n\(text(lines))</pre>" }

    private func wrapped(_ lines: [String]) -> HTMLText { "<pre class=\"wrap\">\n\(text(lines))</pre>" }

    private func folded(_ title: String, _ lines: [String]) -> HTMLText {
        "<details><summary>\(title)</summary>\(wrapped(lines))</details>"
    }

    private func text(_ lines: [String]) -> HTMLText {
        HTMLText(lines: lines, most: Self.mostLines, longest: Self.longestLine)
    }
}
