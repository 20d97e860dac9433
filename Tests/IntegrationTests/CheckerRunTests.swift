// SPDX-License-Identifier: Apache-2.0
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// Mistakes planted in a call, each of which passes its test in a kernel without checkers.
///
/// They are not run with `--check all` in one go: what a double free does to a kernel without KASAN, such as that for
/// races, is not known.
///
/// The same kernel counts coverage, so that one more kernel is enough for both.
@Suite("Checkers and coverage in guests", .serialized, .tags(.kernels), .costly, .timeLimit(.minutes(60)))
struct CheckerRunTests {
    let fixture: Fixture

    init() throws {
        fixture = try Fixture(name: "integration-checkers")
    }

    /// A comment `here: TEST` marks the line that the report of a test has to name.
    private static let call = """
        // SPDX-License-Identifier: GPL-2.0
        #include <linux/errno.h>
        #include <linux/slab.h>
        #include <linux/spinlock.h>
        #include <linux/syscalls.h>
        #include <linux/uaccess.h>

        static DEFINE_SPINLOCK(lock);
        static int count;
        static int table[8];
        /* What the compiler may not see through. */
        static volatile int zero;

        static noinline long use_after_free(void)
        {
        	char *bytes = kmalloc(64, GFP_KERNEL);

        	if (!bytes)
        		return -ENOMEM;
        	OPTIMIZER_HIDE_VAR(bytes);
        	kfree(bytes);
        	return READ_ONCE(bytes[zero]) & 0; /* here: use-after-free */
        }

        static noinline long free_twice(void)
        {
        	char *bytes = kmalloc(64, GFP_KERNEL);

        	if (!bytes)
        		return -ENOMEM;
        	kfree(bytes);
        	OPTIMIZER_HIDE_VAR(bytes);
        	kfree(bytes); /* here: double-free */
        	return 0;
        }

        static noinline long leak(void)
        {
        	char *bytes = kmalloc(200, GFP_KERNEL); /* here: leak */

        	if (!bytes)
        		return -ENOMEM;
        	bytes[zero] = 1;
        	OPTIMIZER_HIDE_VAR(bytes);
        	return bytes ? 0 : 1;
        }

        static noinline long copy_under_lock(char __user *to)
        {
        	char byte = 1;
        	long result = 0;

        	spin_lock(&lock);
        	if (copy_to_user(to, &byte, 1)) /* here: copy-under-lock */
        		result = -EFAULT;
        	spin_unlock(&lock);
        	return result;
        }

        static noinline long count_without_lock(void)
        {
        	int round;

        	for (round = 0; round < 1000; round++) {
        		count++; /* here: no-lock */
        		barrier();
        	}
        	return 0;
        }

        static noinline int deep(int depth, int width)
        {
        	volatile char frame[512];

        	frame[depth & 511] = (char)width;
        	if (depth == 0)
        		return frame[0];
        	return deep(depth - 1, width) + frame[depth & 511]; /* here: deep-stack */
        }

        SYSCALL_DEFINE3(planted, int, kind, int, number, char __user *, to)
        {
        	switch (kind) {
        	case 0:
        		return use_after_free();
        	case 1:
        		return free_twice();
        	case 2:
        		return leak();
        	case 3:
        		return copy_under_lock(to);
        	case 4:
        		return count_without_lock();
        	case 5:
        		return deep(number, 1) & 0;
        	case 6:
        		return READ_ONCE(table[number]) & 0; /* here: out-of-bounds */
        	default:
        		return -EINVAL;
        	}
        }

        """

    private static let covered = """
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
        		return -EINVAL;
        	if (number == 77)
        		panic("asked to"); /* panic */
        	if (number > 1000)
        		return -E2BIG;
        	return rounds(number); /* good */
        }

        """

    private static let file = "kernel/planted/planted.c"

    /// `kernel/planted/planted.c:LINE` of the line that the report of a test has to name.
    private func place(of test: String) throws -> String {
        let lines = Self.call.split(separator: "\n", omittingEmptySubsequences: false)
        let line = try #require(lines.firstIndex { $0.contains("/* here: \(test) */") })
        return "\(Self.file):\(line + 1)"
    }

    private func plant() throws {
        try fixture.write(Self.file, Self.call)
        try fixture.write(
            "kernel/planted/syscall.yaml",
            """
            folder: kernel
            sources: [planted.c]
            syscalls:
              - name: planted
                arguments: [int kind, int number, char __user *to]

            """)
        try fixture.write("kernel/covered/covered.c", Self.covered)
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
        try fixture.write(
            "kbuild.yaml",
            """
            kernel:
              source: linux-source-6.1
              patches: [kernel/planted, kernel/covered]
              config: [configs/base.config]
            rootfs: {type: initramfs, definition: rootfs/default.yaml}
            coverage: {minimum: 95, collect: off}
            # The first ends its guest, and a guest that crashes is not asked for leaks: the others run in another.
            tests:
              - {c: Tests/programs/planted.c, name: deep-stack, arguments: ["5", "100"]}
              - {c: Tests/programs/planted.c, name: use-after-free, arguments: ["0", "0"]}
              - {c: Tests/programs/planted.c, name: double-free, arguments: ["1", "0"]}
              - {c: Tests/programs/planted.c, name: leak, arguments: ["2", "0"]}
              - {c: Tests/programs/planted.c, name: copy-under-lock, arguments: ["3", "0"]}
              - {c: Tests/programs/planted.c, name: no-lock, arguments: ["4", "0", "50"]}
              - {c: Tests/programs/planted.c, name: out-of-bounds, arguments: ["6", "9"]}
              - {c: Tests/programs/planted.c, name: clean, arguments: ["6", "0"]}
              - {c: Tests/programs/covered.c, name: three, arguments: ["3"]}
              - {c: Tests/programs/covered.c, name: four, arguments: ["4", "-1"]}
              - {c: Tests/programs/covered.c, name: panic, arguments: ["77"]}

            """)
    }

    /// All that go into one kernel with KASAN.
    private static let checkers = "memory,locks,leaks,stack,undefined"

    /// The reports of a run that came in the time of a test.
    private func reports(_ test: String, in run: Run) -> [[String: Any]] {
        (run.json["crashes"] as? [[String: Any]] ?? []).filter { $0["test"] as? String == test }
    }

    /// How often the lines of a test's reports with such a title name the line that is marked for the test.
    private func namings(_ title: Regex<Substring>, of test: String, in run: Run) throws -> Int {
        let place = try place(of: test)
        let told = reports(test, in: run).filter { ($0["title"] as? String)?.contains(title) == true }
        let lines: [String] = told.flatMap { ($0["lines"] as? [String]) ?? [] }
        return lines.count { $0.contains(place) }
    }

    @Test("each bug is found by its checker, and assigned to its test and to the user's line")
    func planted() async throws {
        try plant()
        let run = try await fixture.report("test", "[-]|leak|clean", "--check", Self.checkers, "--coverage")
        #expect(run.exitCode == 5)
        // The console may show it before the message about the first program's start arrives, so it may not belong to a
        // test.
        #expect(run.crashes.contains("BUG: stack guard page was hit in deep"))
        #expect(run.tests["deep-stack"] == "crashed")
        #expect(
            try namings(/^KASAN: (?:slab-)?use-after-free Read in use_after_free$/, of: "use-after-free", in: run) > 0)
        #expect(try namings(/^KASAN: (?:double-free|invalid-free) in free_twice$/, of: "double-free", in: run) > 0)
        #expect(try namings(/^memory leak in leak$/, of: "leak", in: run) > 0)
        #expect(
            try namings(
                /^BUG: sleeping function called from invalid context in copy_under_lock$/, of: "copy-under-lock",
                in: run) > 0)
        #expect(
            try namings(/^UBSAN: array-index-out-of-bounds in (?:__do_sys_)?planted$/, of: "out-of-bounds", in: run) > 0
        )
        #expect(
            try namings(/^KASAN: global-out-of-bounds Read in (?:__do_sys_)?planted$/, of: "out-of-bounds", in: run) > 0
        )
        // No checker of these sees a missing lock, and none complains of a call that is right.
        #expect(reports("no-lock", in: run).isEmpty && reports("clean", in: run).isEmpty)
        #expect(run.tests["no-lock"] == "passed" && run.tests["clean"] == "passed")
    }

    @Test("a counter without a lock is a race with two stacks, both in the user's line", .tags(.long))
    func race() async throws {
        try plant()
        let run = try await fixture.report("test", "no-lock", "--check", "races")
        #expect(run.exitCode == 5)
        #expect(try namings(/^KCSAN: data-race in count_without_lock/, of: "no-lock", in: run) >= 2)
    }

    // MARK: Coverage

    private func line(_ mark: String) throws -> Int {
        let lines = Self.covered.split(separator: "\n", omittingEmptySubsequences: false)
        return try #require(lines.firstIndex { $0.contains("/* \(mark) */") }) + 1
    }

    /// What a run's report has of the covered call's file.
    private func lines(_ run: Run) throws -> [[String: Any]] {
        let coverage = try #require(run.json["coverage"] as? [String: Any])
        let files = try #require(coverage["files"] as? [[String: Any]])
        #expect(files.map { $0["path"] as? String } == ["kernel/covered/covered.c", "kernel/planted/planted.c"])
        return try #require(files.first?["lines"] as? [[String: Any]])
    }

    /// What the report says of the line with a mark.
    private struct Told: Equatable {
        var count: Int
        var tests: [String]
    }

    private func told(_ mark: String, _ run: Run) throws -> Told {
        let coverage = try #require(run.json["coverage"] as? [String: Any])
        let tests = try #require(coverage["tests"] as? [String])
        let number = try line(mark)
        let line = try #require(try lines(run).first { $0["number"] as? Int == number }, "\(mark)")
        return Told(
            count: line["count"] as? Int ?? -1, tests: (line["tests"] as? [Int] ?? []).map { tests[$0] })
    }

    @Test("each test has its lines, a panic's are marked as unknown, and the sums equal gcov's")
    func coverage() async throws {
        try plant()
        let run = try await fixture.report(
            "test", "^(three|four|panic)$", "--check", Self.checkers, "--lcov", "coverage.info")
        #expect(run.exitCode == 5)
        #expect(run.tests == ["three": "passed", "four": "passed", "panic": "crashed"])
        #expect(try told("loop", run) == Told(count: 7, tests: ["three", "four"]))
        #expect(try told("good", run) == Told(count: 2, tests: ["three", "four"]))
        // The guest took it along.
        #expect(try told("panic", run) == Told(count: 0, tests: []))
        let coverage = try #require(run.json["coverage"] as? [String: Any])
        let gaps = try #require(coverage["gaps"] as? [String])
        #expect(gaps.contains { $0.contains("while panic ran") })
        #expect(gaps.contains { $0.contains("coverage.minimum is not judged") })
        try await compareWithGcov(run)
        let info = try fixture.text("coverage.info")
        #expect(info.contains("SF:kernel/covered/covered.c\n"))
        #expect(try info.contains("DA:\(line("loop")),7\n") && info.contains("DA:\(line("panic")),0\n"))
    }

    /// Holds the counts of a run against what gcov itself says of the run's counters in its form for a person.
    private func compareWithGcov(_ run: Run) async throws {
        let artifacts = try #require(run.json["artifacts"] as? [String: Any])
        let folder = FilePath(try #require(artifacts["folder"] as? String)).appending("coverage")
        // The sums of the objects come first, by their names.
        let text = try await CommandRunner().output(
            of: Command("gcov", ["--no-output", "--branch-probabilities", "0.gcda"], workingDirectory: folder))
        let told = try #require(
            text.firstMatch(of: /covered\.c'\nLines executed:([0-9.]+)% of (\d+)/), "\(text)")
        let lines = try lines(run)
        #expect(Int(told.2) == lines.count)
        let share = 100 * Double(lines.count { $0["count"] as? Int != 0 }) / Double(lines.count)
        #expect(abs((Double(told.1) ?? -1) - share) < 0.01, "\(text)")
    }

    @Test("too few lines end a run of all tests with exit code 1", .tags(.long))
    func minimum() async throws {
        try plant()
        let text = try fixture.text("kbuild.yaml")
        let end = try #require(text.range(of: "# The first ends"))
        try fixture.write(
            "kbuild.yaml", text[..<end.lowerBound] + "tests: [{c: Tests/programs/covered.c, arguments: [\"3\"]}]\n")
        let run = try await fixture.report("run", "--check", Self.checkers, "--coverage")
        #expect(run.exitCode == 1)
        #expect(run.tests == ["covered": "passed"])
        let errors = try #require(run.json["errors"] as? [[String: Any]])
        #expect((errors.first?["message"] as? String)?.contains("coverage.minimum asks for 95 %") == true)
    }
}
