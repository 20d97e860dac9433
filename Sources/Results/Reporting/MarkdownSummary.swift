// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The report as GitHub's Markdown, for a job's summary. Texts from the guest are code, with every mark of Markdown and
/// HTML escaped.
public enum MarkdownSummary {
    /// GitHub refuses a step's summary of more than 1 MiB; another tool's may come before this one.
    static let mostBytes = 512 << 10
    /// The most failed tests, and crash reports, to list.
    static let mostFailures = 100
    /// The most characters of a message in the table.
    static let longestMessage = 500
    /// The most lines of a log, and characters of a line.
    static let mostLogLines = 60
    static let longestLine = 500
    /// The number of slowest tests to list.
    static let mostSlow = 5

    /// Renders a report.
    public static func render(_ report: RunReport) -> String {
        var size = 0
        var parts: [MarkdownText] = []
        var isCut = false
        // The most important sections come first, so that the bound removes less important ones.
        let sections = [
            [head(report)], failures(report), crashes(report), [repetitions(report)], coverage(report),
            [calls(report)], logs(report), [slowest(report), about(report)],
        ]
        for part in sections.joined() where !part.isEmpty {
            guard size + part.byteCount < mostBytes else {
                isCut = true
                continue
            }
            size += part.byteCount
            parts.append(part)
        }
        if isCut { parts.append("Some of the report has no room here; `--html` and `--format json` have it whole.") }
        return (parts.joined(separator: "\n\n") + "\n").markup
    }

    private static func head(_ report: RunReport) -> MarkdownText {
        var lines: [MarkdownText] = ["## kbuild: \(report.verdictWord)", ""]
        let counts = TestStatus.allCases.filter {
            report.count($0) > 0 || $0 == .passed || $0 == .failed || $0 == .skipped
        }
        lines += [
            row(counts.map { MarkdownText($0.words.short) } + ["time"]),
            row(Array(repeating: "---", count: counts.count + 1)),
            row(counts.map { "\(report.count($0))" } + [MarkdownText(seconds: report.seconds)]), "",
        ]
        var facts: [MarkdownText] = [report.machineLine].compactMap { $0.map { MarkdownText(code: $0) } }
        if let profile = report.profile { facts.append("profile \(MarkdownText(code: profile))") }
        if let filter = report.filter { facts.append("tests that match \(MarkdownText(code: filter))") }
        if !report.syscalls.isEmpty {
            facts.append(
                MarkdownText(code: report.syscalls.map { "\($0.name) = \($0.number)" }.joined(separator: ", ")))
        }
        if !facts.isEmpty { lines.append(facts.joined(separator: "; ")) }
        return lines.joined(separator: "\n")
    }

    private static func failures(_ report: RunReport) -> [MarkdownText] {
        var parts = report.errors.map { error -> MarkdownText in
            var text: MarkdownText = "**Error:** \(MarkdownText(code: error.message))"
            if let details = error.details, !details.isEmpty { text += "\n\n" + block(Text.lines(details)) }
            if let next = error.nextStep { text += "\n\nNext: \(next)" }
            return text
        }
        let tests = report.tests.filter(\.status.isFailure)
        let problems = report.suites.flatMap { suite in suite.reportedProblems.map { (suite.name, $0) } }
        if !tests.isEmpty || !problems.isEmpty {
            let title = [row(["test", "how", "message"]), row(["---", "---", "---"])]
            let rows =
                problems.prefix(mostFailures).map { row([MarkdownText(code: $0), "problem", cut($1)]) }
                + tests.prefix(mostFailures).map {
                    row([
                        MarkdownText(code: $0.id), MarkdownText($0.status.words.short), message($0, in: report.project),
                    ])
                }
            let table: [MarkdownText] = ["### Failing tests", ""] + title + rows
            parts.append(table.joined(separator: "\n"))
            let more = tests.count + problems.count - rows.count
            if more > 0 { parts.append("… and \(more) more.") }
        } else if report.exitCode != ExitStatus.success.rawValue, report.crashes.isEmpty, parts.isEmpty {
            parts.append("No test passed.")
        }
        return parts
    }

    /// The message of a failed test, after its place.
    private static func message(_ test: TestResult, in project: String) -> MarkdownText {
        let issues = test.issues.filter { !$0.isKnown }.prefix(3).map { issue -> MarkdownText in
            let base = project.hasSuffix("/") ? project : project + "/"
            let place = issue.file.map { file -> MarkdownText in
                let name = file.hasPrefix(base) ? String(file.dropFirst(base.count)) : file
                return "\(MarkdownText(code: name + (issue.line.map { ":\($0)" } ?? "")))<br>"
            }
            let source = issue.sourceText.map {
                "\(MarkdownText(code: Text.cut($0, to: longestMessage)))<br>" as MarkdownText
            }
            let circumstances = issue.circumstances.map { "<br>\(cut($0))" as MarkdownText }
            return "\(place ?? "")\(source ?? "")\(cut(issue.message))\(circumstances ?? "")"
        }
        let reason = test.reason.map { [cut($0)] } ?? []
        return (reason + issues).joined(separator: "<br>")
    }

    /// A message's first lines, each as code.
    private static func cut(_ message: String) -> MarkdownText {
        let lines = Text.lines(Text.cut(message, to: longestMessage))
        return lines.filter { !$0.isEmpty }.map { MarkdownText(code: $0) }.joined(separator: "<br>")
    }

    private static func crashes(_ report: RunReport) -> [MarkdownText] {
        guard !report.crashes.isEmpty else { return [] }
        let items = report.crashes.prefix(mostFailures).map { crash -> MarkdownText in
            let moment = crash.moment { MarkdownText(code: $0) }
            var item: MarkdownText = "- \(MarkdownText(code: crash.title))"
            if !moment.isEmpty { item += " \(moment)" }
            if let reason = crash.knownReason { item += " (known: \(MarkdownText(code: reason)))" }
            return item
        }
        let more: [MarkdownText] =
            report.crashes.count > mostFailures ? ["", "… and \(report.crashes.count - mostFailures) more."] : []
        return [(["### Crash reports", ""] + items + more).joined(separator: "\n")]
    }

    /// The logs of crashes, failed tests and programs that failed as a whole, each folded.
    private static func logs(_ report: RunReport) -> [MarkdownText] {
        let crashes = report.crashes.prefix(mostFailures).map { crash in
            let places = crash.frames.flatMap { frame in
                frame.locations.map { "\($0.file):\($0.line) in \($0.function)" }
            }
            return folded(crash.title, (places.isEmpty ? [] : places + [""]) + crash.lines)
        }
        let tests = report.tests.filter { $0.status.isFailure && !($0.kernelLog + $0.output).isEmpty }
        let suites = report.suites.filter { suite in
            !suite.output.isEmpty && (!suite.problems.isEmpty || suite.tests.contains(where: \.status.isFailure))
        }
        return crashes
            + tests.prefix(mostFailures).map { folded("Log of \($0.id)", $0.kernelLog + $0.output) }
            + suites.map { folded("What \($0.name) printed last", $0.output.suffix(mostLogLines)) }
    }

    private static func slowest(_ report: RunReport) -> MarkdownText {
        let tests = report.slowest(mostSlow)
        guard tests.count > 1 else { return "" }
        let rows = tests.map { row([MarkdownText(code: $0.test.id), MarkdownText(seconds: $0.seconds)]) }
        return (["### Slowest tests", "", row(["test", "time"]), row(["---", "---:"])] + rows).joined(separator: "\n")
    }

    private static func about(_ report: RunReport) -> MarkdownText {
        var facts = report.steps.map { (name: "step \($0.name)", value: "\($0.outcome), \(Text.seconds($0.seconds))") }
        func add(_ name: String, _ value: String?) {
            if let value { facts.append((name, value)) }
        }
        add("kbuild", report.kbuildVersion)
        add("kernel", report.kernel?.source)
        add("compiler", report.kernel?.compiler)
        add("QEMU", report.machine?.qemuVersion)
        add("accelerator", report.machine.map { "\($0.accelerator): \($0.acceleratorReason)" })
        add("host", report.host)
        add("command", report.commandLine)
        add("files", report.artifacts.folder)
        guard !facts.isEmpty else { return "" }
        let rows = facts.map { row([MarkdownText($0.name), MarkdownText(code: $0.value)]) }
        let table = ([row(["", ""]), row(["---", "---"])] + rows).joined(separator: "\n")
        // The blank lines let Markdown begin and end within the element.
        return "<details><summary>Steps, versions and files</summary>\n\n\(table)\n\n</details>"
    }

    static func row(_ cells: [MarkdownText]) -> MarkdownText { "| \(cells.joined(separator: " | ")) |" }

    static func folded(_ title: String, _ lines: some Sequence<String>) -> MarkdownText {
        "<details><summary>\(MarkdownText(code: title))</summary>\n\n\(block(Array(lines)))\n\n</details>"
    }

    private static func block(_ lines: [String]) -> MarkdownText {
        MarkdownText(preformatted: lines, most: mostLogLines, longest: longestLine)
    }
}
