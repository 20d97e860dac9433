// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel
import Testing

@testable import Reporting

@Suite("History of tests", .timeLimit(.minutes(30)))
struct TestHistoryTests {
    private static func run(_ id: String, _ statuses: [String: TestStatus]) -> TestHistory.Run {
        var report = RunReport(startedAt: "2026-01-02T03:04:05Z", project: "/p", profile: "debug")
        let tests = statuses.sorted { $0.key < $1.key }.map {
            TestResult(
                id: $0.key, name: "name of \($0.key)", status: $0.value, seconds: 0.5,
                reason: $0.value.isFailure ? "a <reason>" : nil)
        }
        report.suites = [SuiteResult(name: "suite", kind: "exit-code", tests: tests)]
        return .init(id: id, report: report)
    }

    /// Five runs, the newest first: one/a failed in the last two, and the skip between them says nothing.
    static let history = TestHistory(
        of: "one/",
        in: [
            run("r5", ["M.one/a()": .failed, "M.one/b()": .passed]), run("r4", ["M.one/a()": .skipped]),
            run("r3", ["M.one/a()": .crashed, "M.two/c()": .failed]), run("r2", ["M.one/a()": .passed]),
            run("r1", ["M.one/a()": .failed]),
        ])

    @Test("a part of a name selects tests in any case, and a whole name selects one")
    func selection() {
        let runs = [Self.run("r1", ["M.one/a()": .passed, "M.one/a()b": .passed, "M.two/c()": .passed])]
        #expect(TestHistory(of: "ONE", in: runs).tests.map(\.id) == ["M.one/a()", "M.one/a()b"])
        #expect(TestHistory(of: "M.one/a()", in: runs).tests.map(\.id) == ["M.one/a()"])
        #expect(TestHistory(of: "name of M.two/c()", in: runs).tests.map(\.id) == ["M.two/c()"])
        #expect(TestHistory(of: "three", in: runs).tests.isEmpty)
    }

    @Test("the first bad run begins the last series of failures, whatever was skipped in it")
    func firstBad() throws {
        let test = try #require(Self.history.tests.first)
        #expect(test.id == "M.one/a()" && test.entries.map(\.run) == ["r5", "r4", "r3", "r2", "r1"])
        #expect(test.firstBad == "r3" && test.lastGood == "r2")
        #expect(test.rate == FailureRate(failures: 3, of: 4) && test.changes == 2)
        #expect(test.firstBadSentence == "first bad run: r3 (-3); it last passed before in r2 (-4)")
        let always = TestHistory(of: "t", in: [Self.run("r2", ["t": .failed]), Self.run("r1", ["t": .failed])]).tests
        #expect(always.first?.firstBadSentence == "first bad run: r1 (-2); no kept run before it passed")
        let past = TestHistory(of: "t", in: [Self.run("r2", ["t": .passed]), Self.run("r1", ["t": .failed])]).tests
        #expect(past.first?.firstBadSentence?.hasPrefix("first bad run of the last failures: r1 (-2)") == true)
        let never = TestHistory(of: "t", in: [Self.run("r1", ["t": .passed])]).tests
        #expect(never.first?.firstBad == nil && never.first?.firstBadSentence == nil)
    }

    @Test("repetitions of a run count one by one")
    func repetitions() throws {
        var run = Self.run("r1", ["t": .failed])
        var repetitions = Repetitions(wanted: 4)
        for status in [TestStatus.passed, .passed, .passed, .failed] {
            repetitions.add(Self.run("", ["t": status]).report)
        }
        run.report.repetitions = repetitions
        let history = TestHistory(of: "t", in: [Self.run("r2", ["t": .passed]), run])
        let test = try #require(history.tests.first)
        #expect(test.rate == FailureRate(failures: 1, of: 5))
        #expect(TextReport().render(history).plain.contains("FAIL  1 of 4 failed, 0.50 s"))
        #expect(test.summary.hasPrefix("2 runs with 5 repetitions, 1 failed: 20.0 %"))
    }

    @Test("the terminal has a line for each run, with why it failed")
    func text() {
        let text = TextReport().render(Self.history).plain
        #expect(text.hasPrefix("M.one/a(): 5 runs, 3 failed: 75.0 % (95 % interval: "))
        #expect(text.contains("\n -1  r5  FAIL   0.50 s, profile debug, a <reason>\n"))
        #expect(text.contains("\n -2  r4  skip   0.50 s, profile debug\n"))
        #expect(text.contains("\n -3  r3  CRASH  0.50 s"))
        #expect(text.contains("\n\nM.one/b(): 1 run, 0 failed: 0.0 %"))
        #expect(!text.contains("two/c"))
    }

    @Test("the page has a picture with a column for each run, the oldest first, and no text in it is markup")
    func page() throws {
        let page = HTMLHistory.render(Self.history)
        let titles = page.components(separatedBy: "<title>").dropFirst(2).map { $0.components(separatedBy: ":")[0] }
        #expect(titles.prefix(5) == ["r1", "r2", "r3", "r4", "r5"])
        #expect(page.contains("a &lt;reason&gt;") && !page.contains("<reason>"))
        // The mark of the first bad run is below its column, the third.
        #expect(page.contains("<rect class=\"made\" x=\"28\" y=\"42\""))
        #expect(page.contains("<code>r3</code> <span class=\"soft\">first bad run</span>"))
        #expect(!page.contains("<script"))
    }

    @Test("its JSON form is read back unchanged")
    func json() throws {
        let data = try JSONEncoder().encode(Self.history)
        #expect(try JSONDecoder().decode(TestHistory.self, from: data) == Self.history)
    }
}
