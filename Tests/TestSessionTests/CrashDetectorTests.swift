import Testing

@testable import TestSession

/// Feeds lines as the kernel prints them, with a time stamp before each.
private func detect(_ text: String, stamped: Bool = true) -> [Crash] {
    var detector = CrashDetector()
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        let raw = stamped ? "[    1.00000\(index % 10)][   T42] \(line)" : String(line)
        _ = detector.consume(ConsoleLine(Array(raw.utf8)), runningTest: "a test")
    }
    return detector.crashes
}

private let trace = """
    CPU: 1 PID: 42 Comm: tests Not tainted 6.1.0 #1
    RIP: 0010:guilty_function.constprop.0+0x7d/0x175
    Code: 41 83
    Call Trace:
     <TASK>
     dump_stack_lvl+0x33/0x42
     ? guessed_function+0x1/0x2
     guilty_function+0x32/0x6f
     do_syscall_64+0x39/0x46
    RIP: 0033:0x55c4444c94f6
    ---[ end trace 0000000000000000 ]---
    """

@Suite("Crash detector")
struct CrashDetectorTests {
    @Test(
        "each kind of report has its title",
        arguments: [
            (
                "BUG: kernel NULL pointer dereference, address: 0000000000000008",
                "BUG: unable to handle kernel NULL pointer dereference in guilty_function"
            ),
            (
                "BUG: unable to handle page fault for address: ffffc90000153f20",
                "BUG: unable to handle kernel paging request in guilty_function"
            ),
            (
                "general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] PREEMPT SMP",
                "general protection fault in guilty_function"
            ),
            ("divide error: 0000 [#1] SMP", "divide error in guilty_function"),
            ("kernel BUG at mm/slub.c:435!", "kernel BUG in guilty_function"),
            (
                "WARNING: CPU: 0 PID: 46 at mm/slab_common.c:904 free_large_kmalloc+0x2a/0x50",
                "WARNING in free_large_kmalloc"
            ),
            (
                "BUG: sleeping function called from invalid context at mm/memory.c:5700",
                "BUG: sleeping function called from invalid context in guilty_function"
            ),
            ("watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [tests:42]", "BUG: soft lockup in guilty_function"),
            ("rcu: INFO: rcu_preempt self-detected stall on CPU", "INFO: rcu detected stall in guilty_function"),
            ("INFO: task tests:42 blocked for more than 122 seconds.", "INFO: task hung in guilty_function"),
            ("WARNING: possible circular locking dependency detected", "possible deadlock in guilty_function"),
            ("BUG: KASAN: double-free in kfree+0x10/0x20", "KASAN: double-free in guilty_function"),
            (
                "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: f+0x68/0x6f",
                "kernel panic: stack-protector: Kernel stack is corrupted in: f"
            ),
            (
                "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009",
                "kernel panic: Attempted to kill init! exitcode=0x00000009"
            ),
            ("kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)", "memory leak"),
        ])
    func titles(opening: String, title: String) {
        let crashes = detect(opening + "\n" + trace)
        #expect(crashes.map(\.title) == [title])
        #expect(crashes.first?.test == "a test")
        #expect(crashes.first?.isFatal == opening.hasPrefix("Kernel panic"))
        #expect(crashes.first?.lines.count == 12)
    }

    @Test("the leaks of a scan are one report, titled by who allocated; the count is not one more")
    func leaks() {
        let crashes = detect(
            """
            kmemleak: unreferenced object 0xffff888101a2b3c0 (size 64):
            kmemleak:   comm "tests.xctest", pid 77, jiffies 4294941234 (age 6.120s)
            kmemleak:   hex dump (first 32 bytes):
            kmemleak:     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
            kmemleak:   backtrace:
            kmemleak:     [<00000000d1c8d2c5>] __kmalloc_node+0x4e/0x150
            kmemleak:     [<00000000b0ab6f1d>] kvmalloc_node+0x51/0xd0
            kmemleak:     [<0000000066e0a1f6>] __do_sys_memcpy+0x8a/0x110
            kmemleak:     [<00000000f0d9a2c4>] do_syscall_64+0x3b/0x90
            kmemleak: unreferenced object 0xffff888101a2b400 (size 64):
            kmemleak:   comm "tests.xctest", pid 77, jiffies 4294941239 (age 6.100s)
            kmemleak:   backtrace (crc 5a0b2b3c):
            kmemleak:     [<00000000d1c8d2c5>] __kmalloc+0x4e/0x150
            kmemleak:     [<00000000b0ab6f1d>] guilty_function+0x51/0xd0
            kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
            """)
        #expect(crashes.map(\.title) == ["memory leak in __do_sys_memcpy"])
        #expect(crashes.first?.lines.count == 15)
        #expect(crashes.first?.lines.last?.contains("2 new suspected") == true)
    }

    @Test("a KASAN report tells the access")
    func kasan() {
        let crashes = detect(
            "BUG: KASAN: slab-out-of-bounds in f+0x10/0x20\nRead of size 8 at addr ffff888004a3c008 by task tests/42\n"
                + trace)
        #expect(crashes.map(\.title) == ["KASAN: slab-out-of-bounds Read in f"])
    }

    @Test("a panic that follows an oops makes that fatal; one of its own is a report")
    func panics() {
        let oops = detect(
            "BUG: kernel NULL pointer dereference, address: 0\nOops: 0000 [#1] SMP\nRIP: 0010:f+0x1/0x2\n"
                + "Kernel panic - not syncing: Fatal exception in interrupt")
        #expect(oops.map(\.title) == ["BUG: unable to handle kernel NULL pointer dereference in f"])
        #expect(oops[0].isFatal)
        let other = detect("WARNING: CPU: 0 PID: 1 at f.c:1 f+0x1/0x2\nKernel panic - not syncing: VFS: no root")
        #expect(other.map(\.title) == ["WARNING in f", "kernel panic: VFS: no root"])
        #expect(other.map(\.isFatal) == [false, true])
    }

    @Test("two reports are two, whether or not the first was finished")
    func several() {
        let crashes = detect(
            "general protection fault: 0000 [#1]\nRIP: 0010:f+0x1/0x2\n---[ end trace 0 ]---\nharmless\n"
                + "general protection fault: 0000 [#2]\nBUG: unable to handle page fault for address: 0\nRIP: 0010:g+0x1/0x2"
        )
        #expect(
            crashes.map(\.title) == [
                "general protection fault in f", "general protection fault",
                "BUG: unable to handle kernel paging request in g",
            ])
        #expect(!crashes[0].lines.contains { $0.contains("harmless") })
    }

    @Test(
        "what only looks like a crash is none",
        arguments: [
            "kmemleak: Kernel memory leak detector initialized (mem pool available: 15742)",
            "Warning: unable to open an initial console.", "ACPI BIOS Error (bug): Could not resolve symbol",
            "INFO: NMI handler (perf_event_nmi_handler) took too long to run", "tests[42]: segfault at 0 ip 0",
            "the text BUG: in the middle", "Oops, no colon",
        ])
    func lookAlikes(line: String) {
        #expect(detect(line).isEmpty)
    }

    @Test("what a program prints on the console is not the kernel's word")
    func programs() {
        #expect(detect("Kernel panic - not syncing: says a test\n" + trace, stamped: false).isEmpty)
    }

    @Test("memory stays bounded")
    func bounds() {
        let endless = detect("WARNING: CPU: 0 PID: 1 at f.c:1 f+0x1/0x2\n" + String(repeating: "more\n", count: 10_000))
        #expect(endless[0].lines.count <= CrashDetector.longestReport)
        let many = detect(String(repeating: "WARNING: CPU: 0 PID: 1 at f.c:1 f+0x1/0x2\n---[ end trace\n", count: 1000))
        #expect(many.count <= CrashDetector.mostReports)
        let last = detect(
            String(repeating: "BUG: x\n---[ end trace\n", count: 1000) + "Kernel panic - not syncing: at last")
        #expect(last.last?.isFatal == true)
    }
}
