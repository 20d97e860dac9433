// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import FoundationXML
import ResultsModel
import Testing

@testable import Reporting

private func report(_ tests: [TestResult], problems: [String] = []) -> RunReport {
    RunReport(
        startedAt: "2026-01-02T03:04:05Z", seconds: 1, project: "/p",
        suites: [.init(name: "suite", kind: "swift-testing", tests: tests, problems: problems)])
}

private func failing(_ message: String, file: String? = nil, line: Int? = nil) -> TestResult {
    .init(
        id: "M.S/bad()", name: "bad", status: .failed, seconds: 1.5,
        issues: [
            .init(message: "known", isKnown: true), .init(message: message, file: file, line: line),
        ])
}

/// The `testcase` elements, and `failure` and `error` elements, of a JUnit file that must be well-formed.
private func junit(_ report: RunReport) throws -> (cases: [[String: String]], faults: Int) {
    final class Reader: NSObject, XMLParserDelegate {
        var cases: [[String: String]] = []
        var faults = 0
        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String] = [:]
        ) {
            if name == "testcase" { cases.append(attributes) }
            if name == "failure" || name == "error" { faults += 1 }
        }
    }
    let parser = XMLParser(data: Data(JUnitReport.render(report).utf8))
    let reader = Reader()
    parser.delegate = reader
    try #require(parser.parse())
    return (reader.cases, reader.faults)
}

@Suite("GitHub annotations", .timeLimit(.minutes(30)))
struct GitHubAnnotationsTests {
    @Test("a failure has its line, a path of the repository and its escaped text")
    func failure() {
        let text = GitHubAnnotations.render(
            report([failing("100% wrong:\n a, b\r\n::error::forged", file: "/p/Tests/T.swift", line: 12)]))
        #expect(
            text.map(\.line) == [
                "::error file=Tests/T.swift,line=12,title=suite%3A M.S/bad() failed::"
                    + "100%25 wrong:%0A a, b%0A::error::forged"
            ])
    }

    @Test("everything that fails the run has an annotation, and a pass has none")
    func everything() {
        #expect(GitHubAnnotations.render(report([.init(id: "a", name: "a", status: .passed)])).isEmpty)
        #expect(
            GitHubAnnotations.render(report([])).first?.line.hasPrefix("::error title=kbuild::infrastructure-failed")
                == true)
        for status in TestStatus.allCases where status.isFailure {
            let commands = GitHubAnnotations.render(report([.init(id: "a", name: "a", status: status)]))
            #expect(commands.first?.line.hasPrefix("::error ") == true)
        }
        var report = report([.init(id: "a", name: "a", status: .passed)], problems: ["cut off"])
        report.crashes = [.init(title: "WARNING in f", isFatal: false, test: "a", lines: ["one", "two"])]
        report.errors = [.init(Failure(.infrastructure, "QEMU died", nextStep: "run with -v"))]
        #expect(
            GitHubAnnotations.render(report).map(\.line).joined(separator: "\n") == """
                ::error title=suite::cut off
                ::error title=WARNING in f::While a ran.%0Aone%0Atwo
                ::error title=kbuild::error: QEMU died%0Anext: run with -v
                """)
        report.splatsFail = false
        #expect(GitHubAnnotations.render(report).contains { $0.line.hasPrefix("::warning title=WARNING in f") })
    }
}

@Suite("Data from a guest", .timeLimit(.minutes(30)))
struct UntrustedTextTests {
    @Test("an invalid time does not break a report", arguments: [Double.nan, .infinity, -.infinity, 1e308, -1])
    func absurdTimes(seconds: Double) throws {
        var test = failing("no")
        test.seconds = seconds
        var report = report([test])
        report.seconds = seconds
        report.steps = [.init(name: "test", outcome: "made", seconds: seconds, detail: "")]
        #expect(try junit(report).cases.first?["time"] == "0.000")
        #expect(TextReport().render(report).plain.contains("1 failed in 0.00 s"))
        #expect(TextReport().liveLine(for: test).plain == "FAIL M.S/bad() (0.00 s): no")
        #expect(
            try JSONReport.parse(JSONReport.render(report)).suites == JSONReport.parse(JSONReport.render(report)).suites
        )
    }

    @Test("no test's output can send commands to the terminal")
    func controlCharacters() {
        let nasty = "a\u{1B}[2J\u{9B}1m\u{7F}\u{202E}b\tc"
        var test = failing(nasty, file: nasty)
        test.id = nasty
        test.name = nasty + "!"
        test.reason = nasty
        test.kernelLog = [nasty]
        var report = report([test], problems: [nasty])
        report.suites[0].output = [nasty]
        report.crashes = [.init(title: nasty, isFatal: true, test: nasty, lines: [nasty])]
        report.errors = [.init(Failure(.infrastructure, nasty, details: nasty))]
        let text = (TextReport().render(report) + TextReport().liveLine(for: test)).rendered()
        let controls = text.unicodeScalars.filter {
            $0 != "\n" && $0 != "\t" && $0.properties.generalCategory == .control
        }
        #expect(controls.isEmpty)
        #expect(!text.unicodeScalars.contains("\u{202E}"))
        #expect(text.contains(#"a\u{1B}[2J\u{9B}1m\u{7F}\u{202E}b    c"#))
    }

    @Test("lines are wrapped to the width without loss", arguments: [1, 20, 33, 80])
    func width(width: Int) {
        let words = (0..<200).map { "word\($0)" }.joined(separator: " ")
        var test = failing(words)
        test.kernelLog = [String(repeating: "x", count: 300)]
        let text = TextReport(width: width).render(report([test])).plain
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= max(20, width) })
        let letters = text.filter { $0.isLetter || $0.isNumber }
        #expect(letters.contains(words.filter { $0 != " " }))
        #expect(letters.contains(String(repeating: "x", count: 300)))
        let live = TextReport(width: width).liveLine(for: test).plain
        #expect(live.count == max(20, width))
        #expect(live.hasSuffix("…"))
    }

    @Test("a very long line is cut")
    func longLine() {
        let text = TextReport(width: 80).render(report([failing(String(repeating: "y", count: 1_000_000))])).plain
        #expect(text.count < 10_000)
    }

    @Test("colour surrounds only the first word")
    func color() {
        let live = TextReport().liveLine(for: .init(id: "a", name: "a", status: .passed, seconds: 0.25))
        #expect(live.rendered(usesColor: true) == "\u{1B}[32mok\u{1B}[0m a (0.25 s)")
    }
}

@Suite("JUnit names", .timeLimit(.minutes(30)))
struct JUnitNameTests {
    @Test("no two cases have the same class and name, with any names of tests")
    func unique() throws {
        let ids = ["a", "a", "a #2", "a #2", "problem 1", "\u{0}", "\u{1}", "a"]
        var report = report(ids.map { .init(id: $0, name: $0, status: .passed) }, problems: ["x"])
        report.suites.append(report.suites[0])
        let cases = try junit(report).cases
        #expect(Set(cases).count == cases.count)
        #expect(cases.count == 18)
    }

    @Test("a run that did not pass has a failed case")
    func emptyRun() throws {
        #expect(try junit(report([])).faults == 1)
        #expect(try junit(report([.init(id: "a", name: "a", status: .skipped)])).faults == 1)
        #expect(try junit(report([.init(id: "a", name: "a", status: .passed)])).faults == 0)
    }

    @Test("a splat that the project only warns of is not an error")
    func warning() throws {
        var report = report([.init(id: "a", name: "a", status: .passed)])
        report.crashes = [.init(title: "WARNING in f", isFatal: false, lines: ["text"])]
        report.splatsFail = false
        #expect(report.exitCode == 0)
        let result = try junit(report)
        #expect(result.faults == 0)
        #expect(result.cases.count == 2)
    }

    @Test("an empty suite beside a passed one is not a pass, and neither is a flaky test")
    func verdicts() {
        var report = report([.init(id: "a", name: "a", status: .passed)])
        report.suites.append(.init(name: "empty", kind: "swift-testing", tests: []))
        #expect(report.verdict == "infrastructure-failed")
        report.suites[1].tests = [.init(id: "b", name: "b", status: .flaky)]
        #expect(report.verdict == "failed")
    }
}
