// SPDX-License-Identifier: Apache-2.0
import ProjectFixture
import Testing

/// The calls as course texts publish them: each defect must get its verdict. Those that need the kernel's checkers
/// share one kernel except the call's own files, so they stand together, and the one that changes a prototype comes
/// last.
@Suite("Calls as published", .serialized, .tags(.guest), .costly, .timeLimit(.minutes(60)))
struct AsPublishedTests {
    let fixture: Fixture

    init() throws {
        fixture = try Fixture()
    }

    private func titles(_ run: Run) -> [String] {
        (run.json["crashes"] as? [[String: Any]] ?? []).compactMap { $0["title"] as? String }
    }

    // MARK: In an ordinary kernel

    @Test("silly_copy without its bound: the stack protector's panic, with the test that ran")
    func smashedStack() async throws {
        let run = try await fixture.report("run", "--profile", "silly-copy-as-published")
        #expect(run.exitCode == 5)
        #expect(run.tests["SillyCopyTests.SillyCopyTests/copies(count:)"] == "passed")
        #expect(run.tests["SillyCopyTests.SillyCopyTests/tooLong(count:)"] == "crashed")
        #expect(titles(run).contains { $0.hasPrefix("kernel panic: stack is corrupted in ") })
    }

    @Test("the message box without a lock: messages are lost, or the kernel crashes or hangs; never a pass")
    func noLock() async throws {
        var run = try await fixture.report("run", "--profile", "msgbox-as-published")
        // On a busy host the guest's CPUs may hardly run at the same time, and then a race is not run.
        for _ in 0..<4 where run.exitCode == 0 {
            run = try await fixture.report("run", "--profile", "msgbox-as-published")
        }
        #expect([1, 5, 6].contains(run.exitCode))
        #expect(run.tests.count == 3)
        #expect(run.tests.values.contains { ["failed", "crashed", "timedOut"].contains($0) })
    }

    // MARK: In a kernel with every checker

    @Test(
        "memcpy without freeing on EFAULT: kmemleak names the call that allocated",
        .tags(.kernels))
    func leak() async throws {
        let run = try await fixture.report("run", "--profile", "memcpy-as-published")
        #expect(run.exitCode == 5)
        #expect(run.tests["LeakTests.LeakTests/failures()"] == "failed")
        #expect(titles(run).allSatisfy { $0.contains(/^memory leak in (__(do|x64)_sys_)?memcpy$/) }, "\(titles(run))")
        #expect(!titles(run).isEmpty)
    }

    @Test(
        "the message box without a lock: KASAN names the call that uses or frees a message twice",
        .tags(.kernels))
    func doubleFree() async throws {
        let run = try await fixture.report("run", "--profile", "msgbox-as-published-kasan")
        #expect(run.exitCode == 5)
        // Which of its symptoms the race shows first is chance: a message may be freed twice, read after it was freed,
        // read when its memory belongs to a shorter one by now (slab-out-of-bounds), or be NULL (a general protection
        // fault under KASAN). The entry point's name depends on what the compiler inlines.
        let symptoms =
            /^(KASAN: (double-free|slab-use-after-free|use-after-free|slab-out-of-bounds)|general protection fault).* in (__(do|x64)_sys_)?dm510_msgbox_get$/
        #expect(titles(run).contains { $0.contains(symptoms) }, "\(titles(run))")
    }

    @Test(
        "the strict box that copies with interrupts off: sleeping in invalid context",
        .tags(.kernels))
    func sleeping() async throws {
        let run = try await fixture.report("run", "--profile", "msgbox-strict-as-published")
        #expect(run.exitCode == 5)
        #expect(
            titles(run).contains { $0.hasPrefix("BUG: sleeping function called from invalid context in ") },
            "\(titles(run))")
    }
}
