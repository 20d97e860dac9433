// SPDX-License-Identifier: Apache-2.0
import ProjectFixture
import Testing

/// Mistakes planted in a call, each of which passes its test in a kernel without checkers.
///
/// They are not run with `--check all` in one go: what a double free does to a kernel without KASAN, such as that for
/// races, is not known.
@Suite("Checkers in guests", .serialized, .tags(.kernels), .costly, .timeLimit(.minutes(60)))
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
        try fixture.write(
            "kbuild.yaml",
            """
            kernel:
              source: linux-source-6.1
              patches: [kernel/planted]
              config: [configs/base.config]
            rootfs: {type: initramfs, definition: rootfs/default.yaml}
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

            """)
    }

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

    @Test("each mistake is found by its checker, put down to its test, and at the user's own line")
    func planted() async throws {
        try plant()
        let run = try await fixture.report("run", "--check", "memory,locks,leaks,stack,undefined")
        #expect(run.exitCode == 5)
        #expect(try namings(/^BUG: stack guard page was hit in deep$/, of: "deep-stack", in: run) > 0)
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

    @Test("a counter without a lock is a race with two stacks, both in the user's own line")
    func race() async throws {
        try plant()
        let run = try await fixture.report("test", "no-lock", "--check", "races")
        #expect(run.exitCode == 5)
        #expect(try namings(/^KCSAN: data-race in count_without_lock/, of: "no-lock", in: run) >= 2)
    }
}
