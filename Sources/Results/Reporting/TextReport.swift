// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The summary at the end of a run.
public struct TextReport: Sendable {
    /// The width in columns at which lines are broken; nil for unbroken lines.
    public var width: Int?
    /// Whether crash reports are shown line by line, with registers and code bytes.
    public var isVerbose = false

    /// The most kernel log lines to show of one test, and of one crash.
    static let mostLogLines = 30

    /// The most frames of a crash to show with their places.
    static let mostFrames = 12
    /// The most tests to list after "and in 7 more tests", and with one reason for not running.
    static let mostNames = 8
    /// The most lines of a crash report without registers, and where the report has the source's own line as well.
    static let mostTellingLines = 16
    static let mostLinesBesideSource = 3
    /// The most frames with their places where the first ones show the source's own line.
    static let mostFramesOfSource = 3
    /// The most system calls to list with their numbers.
    static let mostCalls = 4

    /// The most characters to show of one line; the JSON report has the whole line.
    static let longestLine = 2000
    /// The least width that is used: narrower text cannot be read.
    static let narrowest = 20

    /// Creates a renderer.
    public init(width: Int? = nil, isVerbose: Bool = false) {
        self.width = width.map { max($0, Self.narrowest) }
        self.isVerbose = isVerbose
    }

    /// One line for a test that has just ended, cut to the width:
    /// `FAIL M.S/bad() (1.50 s): Expectation failed: a == b`.
    public func liveLine(for test: TestResult) -> TerminalText {
        let (word, paint) = (test.status.words.mark, Self.paint(for: test.status))
        var text: TerminalText = "\(test.id)"
        if let seconds = test.seconds { text += " (\(Self.format(seconds)))" }
        if test.status != .passed {
            let issue = test.issues.first { !$0.isKnown }
            let first = issue?.message ?? test.reason
            if let line = first?.textLines().first { text += ": \(line)" }
            if let circumstances = issue?.circumstances { text += " (\(circumstances))" }
        }
        let room = (width ?? .max) - word.count - 1
        if text.count > room { text = text.prefix(max(0, room - 1)) + "…" }
        return "\(TerminalText(word).painted(paint)) \(text)"
    }

    /// Colours.
    public typealias Paint = TerminalText.Paint

    private static func paint(for status: TestStatus) -> Paint {
        switch status {
        case .passed: .green
        case .skipped: .yellow
        case .failed, .crashed, .timedOut, .notReported, .flaky: .red
        }
    }

    /// Renders a report, without a final newline.
    ///
    /// - Parameter showsErrors: Whether to include the run's errors; false if they were printed already.
    public func render(_ report: RunReport, showsErrors: Bool = true) -> TerminalText {
        var shown = BoundedLines()
        let groups = CrashGroup.groups(of: report.crashes)
        let crashed = Dictionary(grouping: report.crashes.filter { $0.test != nil }, by: { $0.test ?? "" })
        for suite in report.suites {
            let bare = Dictionary(grouping: suite.tests.filter(\.isBare), by: \.reason)
            var reported: Set<String?> = []
            for test in suite.tests where test.status.isFailure {
                if let alike = bare[test.reason], test.isBare, alike.count > 1 {
                    if reported.insert(test.reason).inserted { shown.add(describe(alike)) }
                } else if !isExplained(test, by: crashed) {
                    shown.add(describe(test, crashes: crashed[test.id] ?? []))
                }
            }
            for problem in suite.reportedProblems { shown.add(entry("FAIL", .red, "\(suite.name): \(problem)")) }
            for note in suite.notes { shown.add(entry("note", .yellow, "\(suite.name): \(note)")) }
            let hasFailure = suite.tests.contains(where: \.status.isFailure)
            if !suite.problems.isEmpty || suite.kind != "swift-testing" && hasFailure {
                let output = suite.output.suffix(Self.mostLogLines)
                // A kernel's report ends a line of the program that was not there.
                if output.contains(where: { !$0.allSatisfy(\.isWhitespace) }) {
                    shown.add(output.flatMap { body("     | \($0)") })
                }
            }
        }
        for group in groups { shown.add(describe(group, in: report)) }
        for error in report.errors where showsErrors {
            shown.add(body(lines: error.failure.terminalText))
        }
        var lines = shown.all
        if !lines.isEmpty { lines.append("") }
        if let coverage = report.coverage { lines += self.coverage(coverage) + [""] }
        if let profile = report.callProfile { lines += calls(profile) + [""] }
        if let repetitions = report.repetitions { lines += self.repetitions(repetitions) + [""] }
        lines += summary(report)
        return lines.joined()
    }

    /// A coloured word and a text, as lines broken at the width.
    ///
    /// - Parameter indent: Blanks before each line.
    public func entry(
        _ word: TerminalText, _ paint: Paint?, _ text: TerminalText, indent: TerminalText = ""
    ) -> [TerminalText] {
        body("\(indent)\(word.painted(paint)) \(text)", hang: 4)
    }

    /// A line of text, broken at the width.
    ///
    /// - Parameter hang: Blanks before its later parts, beyond its own.
    func body(_ line: TerminalText, hang: Int = 0) -> [TerminalText] {
        line.cut(to: Self.longestLine).wrapped(width: width, hang: hang)
    }

    /// Lines of text, each broken at the width.
    func body(lines text: TerminalText) -> [TerminalText] { text.lines.flatMap { body($0) } }

    /// Why a crash report is incomplete, and its places in the sources.
    private func places(of crash: Crash) -> [TerminalText] {
        var lines: [TerminalText] = []
        if let corruption = crash.corruption { lines += body("     the report is not whole: \(corruption)") }
        let frames = crash.frames.filter { $0.isReliable && !$0.locations.isEmpty }
        // A path is not broken, so that it can be copied and clicked.
        var last: StackFrame.Location?
        let most = isVerbose || !crash.isExplainedBySource ? Self.mostFrames : Self.mostFramesOfSource
        for location in frames.prefix(most).flatMap(\.tellingLocations) where location != last {
            // A recursion is in the same place many times.
            last = location
            lines.append("     \(location.file):\(location.line) in \(location.function)")
            if let text = location.sourceText { lines += body("     > \(text)") }
        }
        return lines
    }

    private func describe(_ group: CrashGroup, in report: RunReport) -> [TerminalText] {
        let crash = report.crashes[group.first]
        let remarks = [crash.moment, group.remark].compactMap { $0 }.joined(separator: ", ")
        let moment = remarks.isEmpty ? "" : " (\(remarks))"
        if let reason = crash.knownReason, !report.fails(crash) {
            return entry("known", .yellow, "\(crash.title)\(moment): \(reason)")
        }
        var lines = entry("CRASH", .red, "\(crash.title)\(moment)") + places(of: crash)
        let all = isVerbose ? crash.lines : crash.tellingLines.folded
        let usual = crash.isExplainedBySource ? Self.mostLinesBesideSource : Self.mostTellingLines
        let most = isVerbose ? Self.mostLogLines : usual
        lines += all.prefix(most).flatMap { body("     | \($0)") }
        if all.count > most {
            let place = isVerbose ? "in the console log" : "with kbuild report -v"
            lines += body("     | ... \(pluralized(all.count - most, "more line")) \(place)")
        }
        if !group.laterTests.isEmpty { lines += body("     also in \(Self.names(group.laterTests))", hang: 5) }
        return lines
    }

    private static func names(_ names: [String]) -> String {
        let shown = names.prefix(mostNames).joined(separator: ", ")
        return names.count > mostNames ? "\(shown) and \(names.count - mostNames) more" : shown
    }

    /// Whether a test has no information except the crash during the test, which is shown.
    private func isExplained(_ test: TestResult, by crashed: [String: [Crash]]) -> Bool {
        test.status == .crashed && crashed[test.id] != nil && test.reportedIssues.allSatisfy(\.isKnown)
    }

    /// Tests that have no information except the reason why they did not report.
    private func describe(_ tests: [TestResult]) -> [TerminalText] {
        let reason = tests.first?.reason.map { ": \($0)" } ?? ""
        return entry("NO RESULT", .red, "\(tests.count) tests\(reason)")
            + body("     \(Self.names(tests.map(\.id)))", hang: 0)
    }

    private func describe(_ test: TestResult, crashes: [Crash] = []) -> [TerminalText] {
        let (word, paint) = (test.status.words.mark, Self.paint(for: test.status))
        let name: TerminalText = test.name == test.id ? "" : " \"\(test.name)\""
        var lines = entry(TerminalText(word), paint, "\(test.id)\(name)")
        if let reason = test.reason { lines += body("     \(reason)") }
        for issue in test.reportedIssues where !issue.isKnown {
            // A path is not broken, so that it can be copied and clicked.
            if let file = issue.file {
                lines.append("     \(file)\(issue.line.map { ":\($0)" } ?? "")")
            }
            if let text = issue.sourceText { lines += body("     > \(text)") }
            lines += Text.lines(issue.message).filter { !$0.isEmpty }.flatMap { body("       \($0)") }
            if let circumstances = issue.circumstances { lines += body("       (\(circumstances))") }
        }
        // Lines of a crash report are shown there, and its registers are printed again after its end.
        let reported = Set(isVerbose ? [] : crashes.flatMap(\.lines))
        let log = test.kernelLog.filter { line in
            !reported.contains(line) && (reported.isEmpty || !Crash.isOfRegisters(line))
        }
        if !log.isEmpty {
            lines += body("     the kernel, meanwhile:")
            lines += log.prefix(Self.mostLogLines).flatMap { body("     | \($0)") }
        }
        return lines
    }

    /// Renders the results of a log, without a final newline: for a console each whole crash report, for a KTAP log
    /// each test.
    public func render(_ report: LogReport) -> TerminalText {
        var shown = BoundedLines()
        for crash in report.crashes {
            shown.add(
                entry("CRASH", .red, "\(crash.title)")
                    + body("     \(Self.facts(of: crash).joined(separator: ", "))")
                    + crash.lines.flatMap { body("     | \($0)") } + places(of: crash))
        }
        for suite in report.suites {
            for test in suite.tests { shown.add(test.status.isFailure ? describe(test) : [liveLine(for: test)]) }
            for problem in suite.reportedProblems { shown.add(entry("FAIL", .red, "\(problem)")) }
        }
        return (shown.all + [verdict(report)]).joined()
    }

    /// The verdict on a log with its counts.
    public func verdict(_ report: LogReport) -> TerminalText {
        let isGood = report.exitCode == ExitStatus.success.rawValue
        let word = Text.verdict(report.verdict) + ":"
        return entry("\(word)", isGood ? .green : .red, "\(report.summary)").joined()
    }

    private static func facts(of crash: Crash) -> [String] {
        var facts = crash.kind == .unknown ? [] : [crash.kind.rawValue]
        if crash.isOnConsole { facts.append("lines \(crash.firstLine) to \(crash.lastLine)") }
        if let function = crash.function { facts.append("function \(function)") }
        if let cpu = crash.cpu { facts.append("CPU \(cpu)") }
        if let task = crash.task { facts.append("task \(task)") }
        if let pid = crash.pid { facts.append("PID \(pid)") }
        if crash.isFatal { facts.append("fatal") }
        return facts
    }

    private func summary(_ report: RunReport) -> [TerminalText] {
        var lines: [TerminalText] = []
        if var text = report.machineLine {
            if !report.syscalls.isEmpty {
                text += "; " + calls(report.syscalls)
            }
            lines += body("\(text)")
        }
        if !report.steps.isEmpty {
            lines += packed(
                report.steps.map { "\($0.name) \($0.outcome == "hit" ? "hit" : Self.format($0.seconds))" })
        }
        lines += verdictLines(report)
        let isGood = report.exitCode == ExitStatus.success.rawValue
        if !isGood, let console = report.artifacts.console { lines.append("console: \(console)") }
        if let memory = report.artifacts.memory { lines.append("memory: \(memory)") }
        if report.exitCode == ExitStatus.build.rawValue, let log = report.artifacts.buildLog {
            lines.append("build log: \(log)")
        }
        return lines
    }

    /// The calls with their numbers; of many only the range of the numbers.
    private func calls(_ calls: [RunReport.Syscall]) -> String {
        let numbers = calls.map(\.number)
        guard !isVerbose, calls.count > Self.mostCalls, let first = numbers.min(), let last = numbers.max() else {
            return calls.map { "\($0.name) = \($0.number)" }.joined(separator: ", ")
        }
        return "\(calls.count) system calls, \(first) to \(last)"
    }

    /// Short texts in as few lines as the width permits; only a text that is wider by itself is broken.
    private func packed(_ texts: [String]) -> [TerminalText] {
        var lines: [String] = []
        for text in texts {
            if let last = lines.last, last.count + text.count + 3 <= width ?? .max {
                lines[lines.count - 1] = "\(last) · \(text)"
            } else {
                lines.append(text)
            }
        }
        return lines.flatMap { body("\($0)") }
    }

    /// The verdict with its counts, in one line unless the terminal is narrow.
    public func verdict(_ report: RunReport) -> TerminalText { verdictLines(report).joined() }

    private func verdictLines(_ report: RunReport) -> [TerminalText] {
        let isGood = report.exitCode == ExitStatus.success.rawValue
        // The only test of a boot check adds nothing to the verdict.
        let what = report.isBootCheck == true ? report.kernel.map { "Linux \($0.version)" } ?? "" : report.counts
        return entry(
            "\(report.verdictWord):", isGood ? .green : .red,
            "\(what) in \(Self.format(report.seconds))\(report.prebuiltRemark)")
    }

    static func format(_ seconds: Double) -> String { Text.seconds(seconds) }
}

extension StackFrame {
    /// Its places without those that the macro SYSCALL_DEFINE makes around a call's own code
    /// (arch/x86/include/asm/syscall_wrapper.h), which are at the call's first line.
    var tellingLocations: [StackFrame.Location] {
        let telling = locations.filter { place in
            !["__se_sys_", "__x64_sys_", "__ia32_sys_"].contains(where: place.function.hasPrefix)
        }
        return telling.isEmpty ? Array(locations.prefix(1)) : telling
    }
}

extension Crash {
    /// The kinds whose reports tell a story of several places, such as where memory was freed or a lock was taken.
    private static let kindsWithStory: Set<CrashKind> = [
        .kasan, .kmsan, .kcsan, .kfence, .lockdep, .memoryLeak, .slab, .hungTask, .rcuStall, .objectLifetime,
    ]

    /// Whether the line of a source file is known that explains the report better than the kernel's words.
    var isExplainedBySource: Bool {
        !Self.kindsWithStory.contains(kind)
            && frames.contains { $0.isReliable && $0.locations.contains { $0.sourceText != nil } }
    }
}

extension TestResult {
    /// Whether it has no information except that it did not report.
    var isBare: Bool { status == .notReported && issues.isEmpty && kernelLog.isEmpty && output.isEmpty }
}

extension [String] {
    /// The lines, with consecutive equal lines replaced by one line that counts them.
    fileprivate var folded: [String] {
        var lines: [String] = []
        var again = 0
        for (index, line) in enumerated() {
            guard index > 0, line == self[index - 1] else {
                if again > 0 { lines.append("... the same \(again) more time\(again == 1 ? "" : "s")") }
                again = 0
                lines.append(line)
                continue
            }
            again += 1
        }
        if again > 0 { lines.append("... the same \(again) more time\(again == 1 ? "" : "s")") }
        return lines
    }
}
