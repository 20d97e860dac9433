// SPDX-License-Identifier: Apache-2.0
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// `--coverage` with a real kernel: whose counts they are, and that they are gcov's.
@Suite("Coverage in guests", .serialized, .tags(.kernels), .costly, .timeLimit(.minutes(60)))
struct CoverageRunTests {
    let fixture: Fixture

    init() throws { fixture = try Fixture(name: "integration-coverage") }

    private static let call = """
        // SPDX-License-Identifier: GPL-2.0
        #include <linux/errno.h>
        #include <linux/panic.h>
        #include <linux/syscalls.h>

        static noinline long rounds(int number)
        {
        	long sum = 0;
        	int round;

        	for (round = 0; round < number; round++) {
        		sum += round; /* loop */
        		barrier();
        	}
        	return sum;
        }

        SYSCALL_DEFINE1(covered, int, number)
        {
        	if (number < 0)
        		return -EINVAL; /* negative */
        	if (number == 77)
        		panic("asked to"); /* panic */
        	if (number > 1000)
        		return -E2BIG; /* never */
        	return rounds(number); /* good */
        }

        """

    private func line(_ mark: String) throws -> Int {
        let lines = Self.call.split(separator: "\n", omittingEmptySubsequences: false)
        return try #require(lines.firstIndex { $0.contains("/* \(mark) */") }) + 1
    }

    private func write(_ coverage: String, tests: [String: String]) throws {
        try fixture.write("kernel/covered/covered.c", Self.call)
        try fixture.write(
            "kernel/covered/syscall.yaml",
            "folder: kernel\nsources: [covered.c]\nsyscalls:\n  - name: covered\n    arguments: [int number]\n")
        try fixture.write(
            "Tests/programs/covered.c",
            """
            #include <stdlib.h>
            #include <unistd.h>
            int main(int argc, char **argv) {
                for (int i = 1; i < argc; i++) syscall(__NR_covered, atoi(argv[i]));
                return 0;
            }

            """)
        let entries = tests.sorted { $0.key < $1.key }.map {
            "  - {c: Tests/programs/covered.c, name: \($0.key), arguments: [\($0.value)]}\n"
        }
        try fixture.write(
            "kbuild.yaml",
            """
            kernel:
              source: linux-source-6.1
              patches: [kernel/covered]
              config: [configs/base.config]
            rootfs: {type: initramfs, definition: rootfs/default.yaml}
            \(coverage)
            tests:
            \(entries.joined())
            """)
    }

    /// What a run's report has of the call's file.
    private func lines(_ run: Run) throws -> [[String: Any]] {
        let coverage = try #require(run.json["coverage"] as? [String: Any])
        let files = try #require(coverage["files"] as? [[String: Any]])
        #expect(files.map { $0["path"] as? String } == ["kernel/covered/covered.c"])
        return try #require(files.first?["lines"] as? [[String: Any]])
    }

    @Test("each test has its lines, the sum is gcov's to the count, and too few lines fail with 1")
    func counts() async throws {
        try write("coverage: {minimum: 95}", tests: ["good": "\"3\"", "more": "\"4\", \"-1\""])
        let run = try await fixture.report("run", "--lcov", "coverage.info")
        // The test of the panic and of what is too large are missing.
        #expect(run.exitCode == 1)
        #expect(run.tests == ["good": "passed", "more": "passed"])
        let coverage = try #require(run.json["coverage"] as? [String: Any])
        let tests = try #require(coverage["tests"] as? [String])
        let lines = try lines(run)
        func told(_ mark: String) throws -> (count: Int, tests: [String]) {
            let number = try line(mark)
            let line = try #require(lines.first { $0["number"] as? Int == number }, "\(mark)")
            return (line["count"] as? Int ?? -1, (line["tests"] as? [Int] ?? []).map { tests[$0] })
        }
        // Three rounds and four.
        #expect(try told("loop") == (7, ["good", "more"]))
        #expect(try told("negative") == (1, ["more"]))
        #expect(try told("good") == (2, ["good", "more"]))
        #expect(try told("never") == (0, []))
        #expect(try told("panic") == (0, []))

        // gcov by hand on the counters of the run.
        let artifacts = try #require(run.json["artifacts"] as? [String: Any])
        let folder = FilePath(try #require(artifacts["folder"] as? String)).appending("coverage")
        let text = try await CommandRunner().output(
            of: Command(
                "gcov", ["--stdout", "--branch-probabilities", "--branch-counts", "0.gcda"], workingDirectory: folder))
        var counts: [Int: Int] = [:]
        var branches: [Int] = []
        var isOwn = false
        for line in text.split(separator: "\n") {
            if let source = line.firstMatch(of: /0:Source:(.*)$/) { isOwn = source.1.hasSuffix("covered.c") }
            guard isOwn else { continue }
            if let code = line.firstMatch(of: /^ *(\d+|#####)\*?: *(\d+):/), let number = Int(code.2), number > 0 {
                counts[number] = Int(code.1) ?? 0
            }
            if let branch = line.firstMatch(of: /^branch +\d+ (?:taken (\d+)|never executed)/) {
                branches.append(branch.1.flatMap { Int($0) } ?? 0)
            }
        }
        #expect(counts.count > 8)
        #expect(
            Dictionary(uniqueKeysWithValues: lines.map { ($0["number"] as? Int ?? 0, $0["count"] as? Int ?? -1) })
                == counts)
        #expect(lines.flatMap { $0["branches"] as? [Int] ?? [] } == branches)
        let info = try fixture.text("coverage.info")
        #expect(info.contains("SF:kernel/covered/covered.c\n"))
        #expect(try info.contains("DA:\(line("loop")),7\n") && info.contains("DA:\(line("never")),0\n"))
    }

    @Test("a guest that panics leaves what was read before it, and the report says what is not known")
    func crash() async throws {
        try write("coverage: on", tests: ["a-good": "\"2\"", "b-panic": "\"77\"", "c-negative": "\"-1\""])
        let run = try await fixture.report("run")
        #expect(run.exitCode == 5)
        #expect(run.tests["b-panic"] == "crashed" && run.tests["c-negative"] == "passed")
        let coverage = try #require(run.json["coverage"] as? [String: Any])
        let gaps = try #require(coverage["gaps"] as? [String])
        #expect(gaps.count == 1 && gaps[0].contains("b-panic"))
        let lines = try lines(run)
        for (mark, count) in [("good", 1), ("negative", 1), ("panic", 0)] {
            let number = try line(mark)
            #expect(lines.first { $0["number"] as? Int == number }?["count"] as? Int == count, "\(mark)")
        }
    }
}
