// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel
import Testing

@testable import Reporting

@Suite("Repetitions", .timeLimit(.minutes(30)))
struct RepetitionTests {
    /// A run whose tests ended so.
    private static func run(_ statuses: [String: TestStatus]) -> RunReport {
        var report = RunReport(startedAt: "2026-01-02T03:04:05Z", project: "/p")
        let tests = statuses.sorted { $0.key < $1.key }.map {
            TestResult(id: $0.key, name: $0.key, status: $0.value, reason: $0.value.isFailure ? "a reason" : nil)
        }
        report.suites = [SuiteResult(name: "suite", kind: "exit-code", tests: tests)]
        return report
    }

    /// Of three repetitions the second failed.
    static var repetitions: Repetitions {
        var repetitions = Repetitions(wanted: 4)
        for status in [TestStatus.passed, .failed, .passed] {
            repetitions.add(run(["good": .passed, "unsteady": status]))
        }
        return repetitions
    }

    @Test("each test's results are counted, with the first failed repetition")
    func counting() {
        let repetitions = Self.repetitions
        #expect(repetitions.count == 3 && repetitions.failed == 1 && repetitions.firstFailure == 2)
        #expect(repetitions.tests.map(\.id) == ["good", "unsteady"])
        #expect(repetitions.tests[1].outcomes == ["passed": 2, "failed": 1])
        #expect(repetitions.tests.map(\.failures) == [0, 1] && repetitions.tests[1].total == 3)
    }

    /// Compared with R's binom::binom.wilson, and with the closed forms at the ends: z^2 / (n + z^2).
    @Test(
        "Wilson's interval is correct for few trials, and at the ends",
        arguments: [
            (0, 20, 0.0, 16.113), (1, 10, 1.788, 40.415), (5, 10, 23.659, 76.341), (10, 10, 72.247, 100.0),
            (2, 20, 2.787, 30.104), (0, 1, 0.0, 79.345),
        ])
    func wilson(failures: Int, total: Int, lower: Double, upper: Double) throws {
        let interval = try #require(FailureRate(failures: failures, of: total).interval)
        #expect(abs(interval.lowerBound - lower) < 0.01 && abs(interval.upperBound - upper) < 0.01, "\(interval)")
        #expect(FailureRate(failures: 0, of: 0).interval == nil)
    }

    @Test("a report has the worst result of each test, and its exit code, for any order of the repetitions")
    func worst() throws {
        let runs = [
            Self.run(["a": .passed, "b": .failed]), Self.run(["a": .crashed, "b": .passed]),
            Self.run(["a": .failed, "b": .timedOut, "c": .passed]),
        ]
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            var whole = RunReport(startedAt: "", project: "/p")
            for (number, index) in order.enumerated() {
                whole.add(repetition: runs[index], number: number + 1, consoleLinesBefore: nil)
            }
            #expect(whole.suites.count == 1)
            let tests = Dictionary(uniqueKeysWithValues: whole.tests.map { ($0.id, $0.status) })
            #expect(tests == ["a": .crashed, "b": .timedOut, "c": .passed])
            #expect(whole.exitCode == 5)
        }
        var whole = runs[0]
        whole.add(repetition: runs[1], number: 2, consoleLinesBefore: nil)
        #expect(whole.tests.first { $0.id == "a" }?.reason == "in repetition 2: a reason")
    }

    @Test("every crash report is included with its place in the joined log, and each kind of error once")
    func crashes() {
        var one = Self.run(["a": .passed])
        one.crashes = [Crash(title: "WARNING in f", isFatal: false, test: "a", lines: ["x"])]
        one.crashes[0].firstLine = 3
        one.crashes[0].lastLine = 4
        one.errors = [.init(Failure(.timeout, "the guest was silent"))]
        var whole = RunReport(startedAt: "", project: "/p")
        whole.add(repetition: one, number: 1, consoleLinesBefore: 1)
        whole.add(repetition: one, number: 2, consoleLinesBefore: 10)
        whole.add(repetition: one, number: 3, consoleLinesBefore: nil)
        #expect(whole.crashes.map(\.firstLine) == [4, 13, 0])
        #expect(whole.errors.count == 1)
        // One report a kind.
        #expect(CrashGroup.groups(of: whole.crashes).count == 1)
    }

    @Test("the terminal has the rate with its interval, and a row for each test that did not always pass")
    func text() {
        var report = Self.run(["good": .passed, "unsteady": .failed])
        report.repetitions = Self.repetitions
        let text = TextReport().render(report).plain
        #expect(
            text.contains(
                """
                3 of 4 repetitions, 1 failed, the first in repetition 2: 33.3 % (95 % interval: 6.1 % to 79.2 %)
                test      passed  failed                     fails
                unsteady       2       1  33.3 % (6.1 % to 79.2 %)
                1 test never failed
                """))
        #expect(!TextReport().render(Self.run(["good": .passed])).plain.contains("repetition"))
    }

    @Test("the repetitions of two kernels are added")
    func kernels() {
        var both = Self.repetitions
        both.add(Self.repetitions, label: "races")
        #expect(both.count == 6 && both.wanted == 8 && both.failed == 2 && both.firstFailure == 2)
        #expect(both.tests.map(\.id) == ["good", "unsteady", "good [races]", "unsteady [races]"])
    }
}
