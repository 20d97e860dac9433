// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import TestSession

@Suite("KTAP logs", .timeLimit(.minutes(30)))
struct KTAPLogTests {
    private func read(_ text: String) -> SuiteResult {
        var parser = KTAPLogParser(name: "log")
        parser.consume(Array(text.utf8)[...])
        return parser.finish()
    }

    @Test("tests are named by their path, and reported separately")
    func names() {
        let outcome = read("KTAP version 1\n1..2\n  1..2\n  ok 1 a\n  not ok 2 a\nnot ok 1 s\nok 2 # SKIP x\n")
        #expect(outcome.tests.map(\.id) == ["log/s/a", "log/s/a #2", "log/2"])
        #expect(outcome.tests.map(\.status) == [.passed, .failed, .skipped])
        #expect(outcome.problems.isEmpty)
        #expect(!read("KTAP version 1\n1..2\nok 1 a\n").problems.isEmpty)
    }

    @Test("a parent's long name does not multiply by its children")
    func longNames() {
        let children = (1...5000).map { "  ok \($0) x\n" }.joined()
        let name = String(repeating: "n", count: 15_000)
        let outcome = read("KTAP version 1\n1..1\n\(children)ok 1 \(name)\n")
        #expect(outcome.tests.count == 5000)
        #expect(outcome.tests.reduce(0) { $0 + $1.id.utf8.count } < 5000 * 600)
    }
}

@Suite("Selftests' results", .timeLimit(.minutes(30)))
struct SelftestJudgementTests {
    @Test(
        "a selftest is judged by its KTAP, unless it counts its results and prints none",
        arguments: [
            ("", false), ("all fine\n", false), ("TAP version 13\n1..1\nok 1 a\n", true),
            ("1..0 # SKIP no such call\n", true), ("TAP version 13\n1..3\n", true),
            ("TAP version 13\n1..3\nPASS\n# Totals: pass:3 fail:0 xfail:0 xpass:0 skip:0 error:0\n", false),
            ("TAP version 13\n1..3\nPASS\n# Totals: pass:2 fail:0 xfail:0 xpass:0 skip:0 error:0\n", true),
            ("TAP version 13\n1..3\nPASS\n# Totals: pass:3 fail:1 xfail:0 xpass:0 skip:0 error:0\n", true),
        ])
    func judges(output: String, isJudge: Bool) {
        #expect(KTAPSuite.judges(Array(output.utf8)) == isJudge)
    }
}
