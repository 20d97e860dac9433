import Diagnostics

/// The summary that a person reads when a run has ended.
public struct TextReport: Sendable {
    /// Whether to use the terminal's colours (ECMA-48 SGR).
    public var usesColor: Bool

    /// The most kernel log lines shown of one test, and of one crash.
    static let mostLogLines = 30

    /// Creates a renderer.
    public init(usesColor: Bool = false) {
        self.usesColor = usesColor
    }

    /// Renders a report, without a newline at its end.
    public func render(_ report: RunReport) -> String {
        var lines: [String] = []
        for suite in report.suites {
            for test in suite.tests where test.status.isFailure { lines += describe(test, in: suite) }
            for problem in suite.problems { lines.append(red("FAIL ") + "\(suite.name): \(problem)") }
            if !suite.problems.isEmpty || suite.kind != "swift-testing" && suite.tests.contains(where: \.status.isFailure) {
                lines += suite.output.suffix(Self.mostLogLines).map { "     | \($0)" }
            }
        }
        for crash in report.crashes {
            let running = crash.test.map { " (while \($0) ran)" } ?? ""
            lines.append(red("CRASH ") + crash.title + running)
            lines += crash.lines.prefix(Self.mostLogLines).map { "     | \($0)" }
            if crash.lines.count > Self.mostLogLines {
                lines.append("     | ... \(crash.lines.count - Self.mostLogLines) more lines in the console log")
            }
        }
        for trouble in report.troubles { lines += trouble.failure.description.split(separator: "\n").map(String.init) }
        if !lines.isEmpty { lines.append("") }
        lines += summary(report)
        return lines.joined(separator: "\n")
    }

    private func describe(_ test: RunReport.Test, in suite: RunReport.Suite) -> [String] {
        let word =
            switch test.status {
            case .crashed: "CRASH"
            case .timedOut: "TIMEOUT"
            case .notReported: "NO RESULT"
            default: "FAIL"
            }
        let name = test.name == test.id ? "" : " \"\(test.name)\""
        var lines = [red(word) + " \(test.id)\(name)"]
        if let reason = test.reason { lines.append("     \(reason)") }
        for issue in test.issues where !issue.isKnown {
            if let file = issue.file { lines.append("     \(file)\(issue.line.map { ":\($0)" } ?? "")") }
            lines += issue.message.split(separator: "\n").map { "       \($0)" }
        }
        if !test.kernelLog.isEmpty {
            lines.append("     the kernel, meanwhile:")
            lines += test.kernelLog.prefix(Self.mostLogLines).map { "     | \($0)" }
        }
        return lines
    }

    private func summary(_ report: RunReport) -> [String] {
        var lines: [String] = []
        if let kernel = report.kernel {
            var text = "Linux \(kernel.version)"
            if let machine = report.machine {
                text += " on \(machine.type), \(machine.accelerator.uppercased()), \(machine.cpus) CPUs, "
                text += "\(machine.memoryMegabytes) MB"
            }
            if !report.syscalls.isEmpty {
                text += "; " + report.syscalls.map { "\($0.name) = \($0.number)" }.joined(separator: ", ")
            }
            lines.append(text)
        }
        if !report.steps.isEmpty {
            lines.append(
                report.steps.map { step in
                    "\(step.name) \(step.outcome == "hit" ? "hit" : Self.format(step.seconds))"
                }.joined(separator: " · "))
        }
        var counts: [String] = []
        for (status, word) in [
            (RunReport.Status.passed, "passed"), (.failed, "failed"), (.crashed, "crashed"), (.timedOut, "timed out"),
            (.notReported, "without result"), (.skipped, "skipped"),
        ] where report.count(status) > 0 || status == .passed || status == .failed {
            counts.append("\(report.count(status)) \(word)")
        }
        let isGood = report.exitCode == ExitCode.success.rawValue
        let verdict = report.verdict.replacingDashes.uppercased()
        lines.append(
            (isGood ? green(verdict) : red(verdict)) + ": \(counts.joined(separator: ", ")) in "
                + Self.format(report.seconds))
        if !isGood, let console = report.artifacts.console { lines.append("console: \(console)") }
        if report.exitCode == ExitCode.build.rawValue, let log = report.artifacts.buildLog {
            lines.append("build log: \(log)")
        }
        return lines
    }

    private func red(_ text: String) -> String { usesColor ? "\u{1B}[31m\(text)\u{1B}[0m" : text }
    private func green(_ text: String) -> String { usesColor ? "\u{1B}[32m\(text)\u{1B}[0m" : text }

    static func format(_ seconds: Double) -> String {
        let hundredths = Int((seconds * 100).rounded())
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) s"
    }
}

extension String {
    fileprivate var replacingDashes: String { String(map { $0 == "-" ? " " : $0 }) }
}
