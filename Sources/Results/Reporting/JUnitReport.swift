// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The report as JUnit XML, in the form that both Jenkins and GitLab read: every test case has a unique class name and
/// name, and times have at most three decimals.
///
/// The xunit plugin of Jenkins refuses a whole file for one attribute that its schema (junit-10.xsd) does not have: a
/// `testsuites` has no `skipped`, and a `testcase` no `file` and `line`. Places in the sources are in the texts.
public enum JUnitReport {
    /// Renders a report.
    public static func render(_ report: RunReport) -> String {
        var lines: [XMLText] = ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>"]
        var names = Names()
        var suites = report.suites.map { suite in (suite.name, cases(of: suite, &names), output(of: suite)) }
        let isExplained = suites.contains { $0.1.contains { $0.kind == .failure || $0.kind == .error } }
        let run = runCases(report, isExplained: isExplained, &names)
        if !run.isEmpty { suites.append(("kbuild", run, nil)) }
        let all = suites.flatMap(\.1)
        lines.append(
            "<testsuites name=\"kbuild\" \(counts(all, ofSuites: true)) time=\"\(time(report.seconds))\">")
        for (name, cases, output) in suites {
            let seconds = cases.reduce(0) { $0 + ($1.seconds.isFinite ? max(0, $1.seconds) : 0) }
            lines.append(
                "  <testsuite name=\"\(name.isEmpty ? "kbuild" : name)\" \(counts(cases)) time=\"\(time(seconds))\" "
                    + "timestamp=\"\(report.startedAt)\">")
            for testCase in cases { lines += testCase.lines }
            if let output { lines.append("    <system-out>\(printed(output))</system-out>") }
            lines.append("  </testsuite>")
        }
        lines.append("</testsuites>")
        return (lines.joined(separator: "\n") + "\n").markup
    }

    private enum Kind { case passed, failure, error, skipped }

    private struct Case {
        var kind: Kind
        var seconds: Double
        var lines: [XMLText]
    }

    /// The names used so far. GitLab drops a test case with the class and name of another.
    private struct Names {
        private var taken: Set<[XMLText]> = []

        /// The attributes for a class and a name; the name gets a number if it is taken.
        mutating func attributes(_ type: String, _ name: String) -> XMLText {
            // GitLab drops a case without a name.
            let (type, name) = (type.isEmpty ? "kbuild" : type, name.isEmpty ? "no name" : name)
            var unique = name
            var count = 1
            // The result of an XML parser counts, so texts that differ only in forbidden characters clash here.
            while !taken.insert([XMLText(type), XMLText(unique)]).inserted {
                count += 1
                unique = "\(name) #\(count)"
            }
            return "classname=\"\(type)\" name=\"\(unique)\""
        }
    }

    private static func cases(of suite: SuiteResult, _ names: inout Names) -> [Case] {
        var cases: [Case] = []
        for test in suite.tests {
            let kind: Kind =
                switch test.status {
                case .passed: .passed
                case .failed, .flaky: .failure
                case .skipped: .skipped
                case .crashed, .timedOut, .notReported: .error
                }
            var attributes = names.attributes(suite.name, test.id)
            attributes += " time=\"\(time(test.seconds ?? 0))\""
            let issues = test.reportedIssues.filter { !$0.isKnown }.map { issue -> String in
                let place = issue.file.map { "\($0)\(issue.line.map { ":\($0)" } ?? ""): " } ?? ""
                let circumstances = issue.circumstances.map { " (\($0))" } ?? ""
                return place + issue.message + circumstances + (issue.sourceText.map { "\n> \($0)" } ?? "")
            }
            let message = issues.first ?? test.reason ?? test.status.rawValue
            let text = (issues.isEmpty ? [message] : issues).joined(separator: "\n")
            cases.append(
                Case(
                    kind: kind, seconds: test.seconds ?? 0,
                    lines: render(
                        kind, attributes: attributes, type: test.status.rawValue, message: message, text: text,
                        output: test.kernelLog + test.output)))
        }
        for (index, problem) in suite.reportedProblems.enumerated() {
            let attributes = names.attributes(suite.name, "problem \(index + 1)") + " time=\"0.000\""
            cases.append(
                Case(
                    kind: .error, seconds: 0,
                    lines: render(
                        .error, attributes: attributes, type: "problem", message: problem, text: problem, output: [])))
        }
        return cases
    }

    /// Test cases for errors of the run as a whole, so that a reader of only the JUnit file sees that it failed. A
    /// splat that the project only warns of passes, with its text.
    private static func runCases(_ report: RunReport, isExplained: Bool, _ names: inout Names) -> [Case] {
        var items = report.crashes.map { crash -> (kind: Kind, name: String, text: String) in
            let kind: Kind = report.fails(crash) ? .error : .passed
            let known = crash.knownReason.map { ["known: \($0)"] } ?? []
            return (kind, crash.title, (known + crash.lines).joined(separator: "\n"))
        }
        items += report.errors.map { (.error, $0.message, $0.failure.description) }
        if report.exitCode != 0, !isExplained, !items.contains(where: { $0.kind == .error }) {
            items.append((.error, report.verdict, "no test passed"))
        }
        return items.enumerated().map { index, item in
            let attributes = names.attributes("kbuild", "run \(index + 1): \(item.name)") + " time=\"0.000\""
            return Case(
                kind: item.kind, seconds: 0,
                lines: render(
                    item.kind, attributes: attributes, type: "run", message: item.name, text: item.text,
                    output: item.kind == .passed ? [item.text] : []))
        }
    }

    private static func render(
        _ kind: Kind, attributes: XMLText, type: String, message: String, text: String, output: [String]
    ) -> [XMLText] {
        var children: [XMLText] = []
        switch kind {
        case .passed: break
        case .skipped: children.append("      <skipped message=\"\(message)\"/>")
        case .failure, .error:
            let element: XMLText = kind == .failure ? "failure" : "error"
            children.append(
                "      <\(element) type=\"\(type)\" message=\"\(message)\">\(text)</\(element)>")
        }
        if !output.isEmpty {
            children.append("      <system-out>\(printed(output))</system-out>")
        }
        if children.isEmpty { return ["    <testcase \(attributes)/>"] }
        return ["    <testcase \(attributes)>"] + children + ["    </testcase>"]
    }

    private static func output(of suite: SuiteResult) -> [String]? {
        suite.output.isEmpty ? nil : suite.output
    }

    /// A guest's output. GitLab, and a plugin of Jenkins, read `[[ATTACHMENT|PATH]]` in it as a command to show a file
    /// of the host, which a guest must not give.
    private static func printed(_ lines: [String]) -> XMLText {
        let text = lines.joined(separator: "\n").unicodeScalars
        return XMLText(
            String(text.replacing("[[ATTACHMENT|".unicodeScalars, with: "[ [ATTACHMENT|".unicodeScalars)))
    }

    private static func counts(_ cases: [Case], ofSuites: Bool = false) -> XMLText {
        func count(_ kind: Kind) -> Int { cases.count { $0.kind == kind } }
        let skipped: XMLText = ofSuites ? "" : " skipped=\"\(count(.skipped))\""
        return "tests=\"\(cases.count)\" failures=\"\(count(.failure))\" errors=\"\(count(.error))\"\(skipped)"
    }

    private static func time(_ seconds: Double) -> String { Text.milliseconds(seconds) }
}
