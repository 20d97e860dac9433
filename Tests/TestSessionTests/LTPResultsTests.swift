// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import TestSession

@Suite("Results of the Linux Test Project", .timeLimit(.minutes(30)))
struct LTPResultsTests {
    private func run(_ output: String, _ ending: String) -> SessionOutcome {
        let program = ProgramPlan(name: "open01", arguments: ["/bin/open01"], resultsProtocol: .ltp)
        var recorder = SessionRecorder(plan: SessionPlan(programs: [program]))
        for (kind, text) in [
            (Frame.Kind.start, "0 1000000000"), (.output, output), (.stop, "0 2000000000 \(ending)"), (.end, "1"),
        ] {
            _ = recorder.consume(.frame(Frame(sequence: 1, kind: kind, payload: Array(text.utf8))))
        }
        return recorder.finish()
    }

    @Test(
        "the exit code's bits and the lines determine a test's result",
        arguments: [
            ("open01.c:53: TPASS: sticky bit is set\n", "exit 0", TestStatus.passed, 0),
            ("open01.c:53: \u{1B}[1;32mTPASS: \u{1B}[0mfine\n", "exit 0", .passed, 0),
            ("open01    1  TPASS  :  fine\n", "exit 0", .passed, 0),
            ("cat01 1 TPASS: cat works\n", "exit 0", .passed, 0),
            ("x.c:5: TPASS: a\nx.c:6: TCONF: no such call\n", "exit 0", .passed, 0),
            ("x.c:6: TCONF: no such call\n", "exit 32", .skipped, 0),
            ("x.c:6: TCONF: no such call\n", "exit 0", .skipped, 0),
            ("", "exit 32", .skipped, 0),
            ("x.c:5: TPASS: a\nx.c:6: TFAIL: b\n", "exit 1", .failed, 0),
            ("x.c:5: TBROK: c\n", "exit 2", .failed, 0),
            ("x.c:5: TWARN: d\n", "exit 4", .failed, 0),
            ("x.c:6: TCONF: e\n", "exit 33", .failed, 0),
            ("", "exit 3", .failed, 0),
            ("x.c:5: TPASS: a\n", "exit 8", .failed, 0),
            ("x.c:5: TPASS: a\n", "signal 11", .failed, 0),
            ("x.c:5: TPASS: a\n", "timeout", .timedOut, 0),
            // What contradicts itself is a failure of its own.
            ("x.c:5: TPASS: a\nx.c:6: TFAIL: b\n", "exit 0", .failed, 1),
            ("x.c:5: TPASS: a\nx.c:6: TBROK: b\n", "exit 32", .failed, 1),
            ("", "exit 0", .failed, 1),
            ("x.c:5: TINFO: Timeout per run is 0h 00m 30s\n", "exit 0", .failed, 1),
            ("TPASS is what this prose says: TPASS\n", "exit 0", .failed, 1),
        ])
    func verdicts(output: String, ending: String, status: TestStatus, problems: Int) throws {
        let program = try #require(run(output, ending).programs.first)
        #expect(program.tests.map(\.status) == [status])
        #expect(program.problems.count == problems, "\(program.problems)")
        #expect(program.kind == "ltp")
    }

    @Test("each failure is an issue with its file and line, and a skip has its reason")
    func issues() throws {
        let output =
            "tst_test.c:1560: TINFO: Timeout\nopen02.c:31: TFAIL: open() failed: EINVAL (22)\n"
            + "open02    3  TBROK  :  open02.c:77: mkdir failed\nscript 2 TWARN: left files\n"
        let test = try #require(run(output, "exit 7").programs.first?.tests.first)
        #expect(
            test.issues.map(\.message)
                == ["TFAIL: open() failed: EINVAL (22)", "TBROK: mkdir failed", "TWARN: left files"])
        #expect(test.issues.map(\.file) == ["open02.c", "open02.c", nil])
        #expect(test.issues.map(\.line) == [31, 77, nil])
        #expect(test.reason == "error: the test itself broke (TFAIL, TBROK, TWARN)")
        let skipped = try #require(run("x.c:6: TCONF: needs CONFIG_MEMCG\n", "exit 32").programs.first?.tests.first)
        #expect(skipped.reason == "needs CONFIG_MEMCG")
    }
}
