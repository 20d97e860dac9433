// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The first lines of a report on a terminal, and the number of omitted entries. Entries beyond the bound are not even
/// rendered.
struct BoundedLines {
    private var lines: [TerminalText] = []
    private var characters = 0
    private var omitted = 0

    private var isFull: Bool {
        lines.count >= ReportBounds.mostTerminalLines || characters >= ReportBounds.mostTerminalCharacters
    }

    /// Adds the lines of a test, a problem or a crash report.
    mutating func add(_ entry: @autoclosure () -> [TerminalText]) {
        guard !isFull else {
            omitted += 1
            return
        }
        for line in entry() {
            guard !isFull else {
                omitted += 1
                return
            }
            lines.append(line)
            characters += line.count + 1
        }
    }

    /// The lines, and a line that reports omissions.
    var all: [TerminalText] {
        guard omitted > 0 else { return lines }
        let entries = "\(grouped(omitted)) more test\(omitted == 1 ? "" : "s"), problems or crash reports"
        return lines + ["... and \(entries) not shown, or not whole; `--format json` has them"]
    }
}

/// The size of a report and of a page. Omissions are counted and reported.
enum ReportBounds {
    /// The most bytes of texts from guests in a report, as JSON writes them.
    static let mostBytes = 16 << 20
    /// The most lines, and characters, of a report on a terminal.
    static let mostTerminalLines = 5_000
    static let mostTerminalCharacters = 1 << 20
}

extension TestResult {
    /// The issues, and a line with the number of omitted ones.
    var reportedIssues: [TestIssue] {
        guard omittedIssues > 0 else { return issues }
        let remark = "..." + cutRemark(omittedIssues, "issue").dropFirst(4)
        return issues + [.init(message: remark, isKnown: !status.isFailure)]
    }
}

extension SuiteResult {
    /// The problems, and a line with the number of omitted ones.
    var reportedProblems: [String] {
        guard omittedProblems > 0 else { return problems }
        return problems + ["..." + cutRemark(omittedProblems, "problem").dropFirst(4)]
    }
}

extension RunReport {
    /// Cuts texts of tests, programs and crash reports to a common limit. The texts of failed tests are cut last.
    /// Verdicts stay: no test, issue or problem is removed, except issues beside one that fails its test.
    public mutating func boundTexts() { boundTexts(to: ReportBounds.mostBytes) }

    mutating func boundTexts(to most: Int) {
        var room = TextRoom(left: most)
        for suite in suites.indices { room.cut(&suites[suite].problems, "problem") }
        for crash in crashes.indices { room.cut(&crashes[crash].lines, "line") }
        for isFirst in [true, false] {
            for suite in suites.indices {
                for test in suites[suite].tests.indices where suites[suite].tests[test].status.isFailure == isFirst {
                    room.cut(&suites[suite].tests[test])
                }
            }
        }
        for suite in suites.indices { room.cut(&suites[suite].output, "line") }
    }
}

/// The remaining space for texts.
private struct TextRoom {
    var left: Int
    /// The bytes to keep of a text when there is no space.
    private static let shortest = 200

    mutating func cut(_ text: inout String) {
        let cost = Self.cost(text)
        if cost > left { text = text.cut(toBytes: Self.shortest) }
        left -= min(cost, Self.cost(text))
    }

    /// Removes lines from the end, or cuts the texts of lines that must stay.
    mutating func cut(_ lines: inout [String], _ what: String) {
        guard what == "line" else {
            for index in lines.indices { cut(&lines[index]) }
            return
        }
        for index in lines.indices {
            let cost = Self.cost(lines[index])
            guard cost <= left else {
                let omitted = lines.count - index
                lines.removeLast(omitted)
                lines.append("..." + cutRemark(omitted, what).dropFirst(4))
                return
            }
            left -= cost
        }
    }

    mutating func cut(_ test: inout TestResult) {
        left -= Self.cost(test.id) + Self.cost(test.name)
        for index in test.issues.indices { cut(&test.issues[index].message) }
        if left <= 0, test.issues.count > 1 {
            let kept = test.issues.first { !$0.isKnown } ?? test.issues[0]
            test.omittedIssues += test.issues.count - 1
            test.issues = [kept]
        }
        cut(&test.kernelLog, "line")
        cut(&test.output, "line")
    }

    /// The bytes in JSON, with the indentation and the punctuation around.
    private static func cost(_ text: String) -> Int {
        text.utf8.reduce(24) { $0 + ($1 < 0x20 ? 6 : $1 == 0x22 || $1 == 0x5C ? 2 : 1) }
    }
}
