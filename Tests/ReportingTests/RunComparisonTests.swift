// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel
import Testing

@testable import Reporting

private func run(_ tests: [TestResult], change: (inout RunReport) -> Void = { _ in }) -> RunReport {
    var report = RunReport(
        startedAt: "2026-01-02T03:04:05Z", seconds: 1, project: "/p",
        suites: [.init(name: "s", kind: "swift-testing", tests: tests)])
    change(&report)
    return report
}

private func test(_ id: String, _ status: TestStatus = .passed, _ seconds: Double? = nil) -> TestResult {
    .init(id: id, name: id, status: status, seconds: seconds)
}

private func compare(_ base: RunReport, _ head: RunReport) -> RunComparison {
    RunComparison(base: .init(id: "a", report: base), head: .init(id: "b", report: head))
}

@Suite("Comparison of two runs", .timeLimit(.minutes(30)))
struct RunComparisonTests {
    @Test("every test is in at most one list, by its results in both runs")
    func places() {
        let base = run([
            test("breaks"), test("mends", .failed), test("stays", .crashed), test("goes", .failed), test("skips"),
            test("hides", .failed), test("same"), test("later", .skipped),
        ])
        let head = run([
            test("breaks", .timedOut), test("mends"), test("stays", .failed), test("comes"), test("skips", .skipped),
            test("hides", .skipped), test("same"), test("later"), test("fresh failure", .flaky),
        ])
        let result = compare(base, head)
        #expect(result.newlyFailing.map(\.id) == ["breaks", "fresh failure"])
        #expect(result.newlyFailing.map(\.before) == [.passed, nil])
        #expect(result.fixed.map(\.id) == ["mends"])
        #expect(result.stillFailing.map(\.id) == ["stays"])
        #expect(result.new.map(\.id) == ["comes"])
        #expect(result.gone.map(\.id) == ["goes"])
        #expect(result.newlySkipped.map(\.id) == ["skips", "hides"])
        #expect(result.isWorse)
        #expect(result.exitCode == 1)
        let text = TextReport().render(result).plain
        for part in [
            "A: a (2026-01-02T03:04:05Z", "newly failing: 2\n  breaks: passed -> timed out",
            "  fresh failure: not there -> flaky", "fixed: 1\n  mends: failed -> passed", "gone: 1\n  goes: failed",
            "WORSE: 2 newly failing, 1 still failing, 1 fixed, 2 newly skipped, 1 new, 1 gone",
        ] { #expect(text.contains(part), "\(part)") }
    }

    @Test("an equal run is not worse, also when both fail")
    func equal() {
        for report in [run([test("a")]), run([test("a", .failed)]), run([]), sample()] {
            let result = compare(report, report)
            #expect(!result.isWorse)
            #expect(result.exitCode == 0)
            #expect(result.newProblems.isEmpty && result.newCrashes.isEmpty && result.gone.isEmpty)
        }
        #expect(
            TextReport().render(compare(run([test("a")]), run([test("a")]))).plain.hasSuffix(
                "NO WORSE: 0 newly failing"))
    }

    @Test("a time is a change when both thresholds are reached, and only for tests that passed in both runs")
    func times() {
        let base = run([
            test("short", .passed, 0.01), test("long", .passed, 100), test("slower", .passed, 0.2),
            test("faster", .passed, 4), test("failed", .failed, 1), test("none"), test("absurd", .passed, .nan),
            test("far slower", .passed, 1),
        ])
        let head = run([
            test("short", .passed, 0.09), test("long", .passed, 120), test("slower", .passed, 0.5),
            test("faster", .passed, 2), test("failed", .passed, 9), test("none", .passed, 5),
            test("absurd", .passed, 5), test("far slower", .passed, 3),
        ])
        let result = compare(base, head)
        #expect(result.slower.map(\.id) == ["far slower", "slower"])
        #expect(result.faster.map(\.id) == ["faster"])
        #expect(!result.isWorse)
        let strict = RunComparison(
            base: .init(id: "a", report: base), head: .init(id: "b", report: head),
            threshold: .init(relative: 0.1, seconds: 0.05))
        #expect(strict.slower.map(\.id) == ["long", "far slower", "slower", "short"])
        #expect(TextReport().render(result).plain.contains("slower: 2\n  far slower: 1.00 s -> 3.00 s"))
    }

    @Test("tests that share a name are compared in order")
    func twins() {
        let result = compare(run([test("a"), test("a", .failed)]), run([test("a"), test("a", .failed), test("a")]))
        #expect(result.newlyFailing.isEmpty)
        #expect(result.stillFailing.count == 1)
        #expect(result.new.count == 1)
    }

    @Test("the run's own errors also count: a run that did not reach its tests is always worse")
    func rest() {
        let good = run([test("a")])
        let broken = run([]) { $0.errors = [.init(Failure(.build, "the kernel does not compile"))] }
        #expect(compare(good, broken).newProblems == ["the kernel does not compile", "s: no tests"])
        #expect(compare(good, broken).isWorse)
        #expect(compare(good, broken).gone.count == 1)
        #expect(!compare(broken, good).isWorse)
        let crashed = run([test("a")]) { $0.crashes = [.init(title: "WARNING in f", isFatal: false, lines: [])] }
        #expect(compare(good, crashed).newCrashes == ["WARNING in f"])
        #expect(compare(good, crashed).isWorse)
        #expect(compare(crashed, good).goneCrashes == ["WARNING in f"])
        let warned = run([test("a")]) {
            $0.crashes = crashed.crashes
            $0.splatsFail = false
        }
        #expect(!compare(good, warned).isWorse)
        #expect(compare(warned, crashed).isWorse)
        let cut = run([test("a")]) { $0.suites[0].problems = ["cut off"] }
        #expect(compare(good, cut).newProblems == ["s: cut off"])
        let skipped = run([test("a", .skipped)])
        #expect(compare(good, skipped).isWorse)
    }

    @Test("no text of a test can send commands to the terminal")
    func controls() {
        let nasty = "a\u{1B}[2J\u{9B}b\nc"
        let head = run([
            .init(id: nasty, name: nasty, status: .failed, issues: [.init(message: nasty)])
        ]) { $0.profile = nasty }
        let list = RunList(runs: [.init(place: -1, id: nasty, file: nasty, report: head)])
        let text = (TextReport().render(compare(run([]), head)) + TextReport().render(list)).plain
        #expect(!text.unicodeScalars.contains { $0 != "\n" && $0.properties.generalCategory == .control })
    }

    @Test("a list has a line for each run, including unreadable ones")
    func list() {
        let list = RunList(runs: [
            .init(place: -1, id: "one", file: "/one", report: sample()),
            .init(place: -2, id: "two", file: "/two", report: nil),
        ])
        #expect(
            TextReport().render(list).plain == """
                 -1  one  crashed     1 passed, 1 failed, 1 skipped, 1 no result, 12.35 s, Linux 6.1.192, profile fast, \
                tests that match M.S
                 -2  two  unreadable \(" ")
                """)
        #expect(TextReport().render(RunList(runs: [])).plain == "no run is kept")
    }
}
