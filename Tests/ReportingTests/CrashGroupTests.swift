// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel
import Testing

@testable import Reporting

@Suite("Crash reports of one fault", .timeLimit(.minutes(30)))
struct CrashGroupTests {
    /// As Linux 6.1 prints it, with everything around it.
    private static let lines = """
        [    2.035935][   T37] BUG: kernel NULL pointer dereference, address: 0000000000000000
        [    2.036360][   T37] #PF: supervisor write access in kernel mode
        [    2.036516][   T37] #PF: error_code(0x0002) - not-present page
        [    2.036699][   T37] PGD 0 P4D 0
        [    2.036958][   T37] Oops: 0002 [#1] SMP
        [    2.037812][   T37] CPU: 0 PID: 37 Comm: probe Not tainted 6.1.192 #1
        [    2.037812][   T37] RIP: 0010:__x64_sys_probe+0xc/0x20
        [    2.037812][   T37] Code: 00 75 07 48 c7 c3 ea ff ff ff <89> 04 25 00 00 00 00
        [    2.037812][   T37] RSP: 0018:ffffc9000013ff40 EFLAGS: 00000202
        [    2.037812][   T37] RAX: 0000000000000001 RBX: ffffc9000013ff58 RCX: 0000000000000000
        [    2.037812][   T37] R10: 0000000000000000 R11: 0000000000000000 R12: 0000000000000000
        [    2.037812][   T37] FS:  00007f(0000) GS:ffff(0000) knlGS:0000000000000000
        [    2.037812][   T37] CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
        [    2.037812][   T37] CR2: 0000000000000000 CR3: 0000000002 CR4: 00000000000006f0
        [    2.037812][   T37] Call Trace:
        [    2.037812][   T37]  <TASK>
        [    2.037812][   T37]  do_syscall_64+0x3b/0x90
        [    2.037812][   T37]  ? exc_page_fault+0x10/0x20
        [    2.037812][   T37]  entry_SYSCALL_64_after_hwframe+0x63/0xcd
        [    2.037812][   T37] RIP: 0033:0x7f0000000000
        [    2.037812][   T37] ---[ end trace 0000000000000000 ]---
        [    2.037812][   T37] RIP: 0010:__x64_sys_probe+0xc/0x20
        """.split(separator: "\n").map(String.init)

    private func crash(in test: String?, offset: UInt64 = 12) -> Crash {
        var crash = Crash(title: "BUG: NULL in probe", isFatal: false, test: test, lines: Self.lines)
        crash.kind = .nullPointer
        crash.frames = [
            .init(
                symbol: "__x64_sys_probe", offset: offset, size: 32,
                locations: [.init(function: "__do_sys_probe", file: "kernel/probe/probe.c", line: 9)])
        ]
        crash.frames[0].locations[0].sourceText = "*pointer = number;"
        return crash
    }

    private func report(_ count: Int) -> RunReport {
        let tests = (0..<count).map {
            TestResult(
                id: "S/t\($0)()", name: "test \($0)", status: .crashed, reason: "the kernel ended a thread",
                kernelLog: Self.lines)
        }
        return RunReport(
            startedAt: "2026-01-02T03:04:05Z", project: "/p",
            suites: [.init(name: "S", kind: "swift-testing", tests: tests)], crashes: tests.map { crash(in: $0.id) })
    }

    @Test("a recursion is one place and one line that counts the others; with -v the report is complete")
    func recursion() {
        var report = report(1)
        let frame = report.crashes[0].frames[0]
        report.crashes[0].frames = Array(repeating: frame, count: 5)
        report.crashes[0].lines =
            ["BUG: stack guard page was hit", "Call Trace:"]
            + Array(repeating: " deep+0x47/0x6b", count: 5) + [" __x64_sys_probe+0x1/0x2"]
        let text = TextReport().render(report).rendered()
        #expect(text.split(separator: "\n").count { $0.contains("probe.c:9") } == 1)
        #expect(text.contains("... the same 4 more times"))
        #expect(text.split(separator: "\n").count { $0.contains("deep+0x47") } == 1)
        let whole = TextReport(isVerbose: true).render(report).rendered()
        #expect(whole.split(separator: "\n").count { $0.contains("deep+0x47") } == 5)
    }

    @Test("equal reports are one group; another place, kind or title is another group")
    func groups() {
        var other = crash(in: "e", offset: 13)
        other.title = "BUG: NULL in probe"
        let groups = CrashGroup.groups(of: [
            crash(in: "a"), crash(in: "b"), other, crash(in: "a"), crash(in: "c"), crash(in: nil),
        ])
        #expect(groups.map(\.indices) == [[0, 1, 3, 4, 5], [2]])
        #expect(groups[0].laterTests == ["b", "c"])
        #expect(groups[0].remark == "and in 2 more tests")
        #expect(groups[1].remark == nil)
        #expect(CrashGroup.groups(of: [crash(in: "a"), crash(in: "a")]).first?.remark == "and 1 more time")
        #expect(CrashGroup.groups(of: [crash(in: "a"), crash(in: "b")]).first?.remark == "and in 1 more test")
    }

    @Test("the short form of a report has no registers, code bytes, time stamps or unreliable functions")
    func tellingLines() {
        #expect(
            crash(in: nil).tellingLines == [
                "BUG: kernel NULL pointer dereference, address: 0000000000000000",
                "#PF: supervisor write access in kernel mode",
                "CPU: 0 PID: 37 Comm: probe Not tainted 6.1.192 #1", "RIP: 0010:__x64_sys_probe+0xc/0x20",
                " do_syscall_64+0x3b/0x90", " entry_SYSCALL_64_after_hwframe+0x63/0xcd",
            ])
        var sanitizer = crash(in: nil)
        sanitizer.lines = [
            "[ 1.0] BUG: KASAN: use-after-free in f+0x1/0x2", "[ 1.0] Read of size 1 at addr ffff888 by task a/1",
            "[ 1.0] ", "[ 1.0] The buggy address belongs to the object at ffff888", "[ 1.0] Freed by task 1:",
        ]
        // Lines about memory are not registers.
        #expect(sanitizer.tellingLines.count == 4)
    }

    @Test("eight tests with the same fault are one report of half a screen, which names the tests; -v has every line")
    func text() {
        let text = TextReport(width: 80).render(report(8)).plain
        #expect(text.split(separator: "\n", omittingEmptySubsequences: false).count <= 24, "\(text)")
        for part in ["and in 7 more tests", "kernel/probe/probe.c:9", "> *pointer = number;", "S/t7()", "CRASHED: "] {
            #expect(text.contains(part), "\(part)")
        }
        #expect(text.components(separatedBy: "CRASH ").count == 2)
        #expect(!text.contains("RAX") && !text.contains("Code:"))
        let verbose = TextReport(width: 80, isVerbose: true).render(report(8)).plain
        #expect(verbose.contains("RAX") && verbose.contains("Code:"))
    }

    @Test("beside the source's line a crash takes few lines, and says where the rest is; a story of places keeps all")
    func fewLines() {
        let short = TextReport(width: 80).render(report(1)).plain
        #expect(short.contains("| ... 3 more lines with kbuild report -v"), "\(short)")
        var sanitizer = report(1)
        sanitizer.crashes[0].kind = .kasan
        let long = TextReport(width: 80).render(sanitizer).plain
        #expect(long.contains("entry_SYSCALL_64_after_hwframe") && !long.contains("more lines"), "\(long)")
        var unknown = report(1)
        unknown.crashes[0].frames[0].locations[0].sourceText = nil
        #expect(TextReport(width: 80).render(unknown).plain.contains("entry_SYSCALL_64_after_hwframe"))
    }

    @Test("of many calls only the range of the numbers is shown; -v lists them")
    func manyCalls() {
        var report = report(1)
        report.kernel = .init(source: "linux-source-6.1", version: "6.1")
        report.syscalls = (0..<5).map { .init(name: "call_\($0)", number: 451 + $0) }
        #expect(TextReport(width: 80).render(report).plain.contains("; 5 system calls, 451 to 455"))
        let verbose = TextReport(isVerbose: true).render(report).plain
        #expect(verbose.contains("call_0 = 451, call_1 = 452"))
        report.syscalls.removeLast()
        #expect(TextReport(width: 80).render(report).plain.contains("call_3 = 454"))
    }

    @Test("a test that also failed keeps its issue, and the kernel's lines outside of crash reports")
    func failedBesides() {
        var report = report(2)
        report.suites[0].tests[1].status = .failed
        report.suites[0].tests[1].issues = [.init(message: "Expectation failed: a == b", file: "/p/T.swift", line: 12)]
        report.suites[0].tests[1].kernelLog.append("[ 3.0] probe: a word of its own")
        let text = TextReport().render(report).plain
        #expect(text.contains("FAIL S/t1()") && text.contains("Expectation failed: a == b"))
        #expect(text.contains("a word of its own"))
        #expect(!text.contains("RAX"))
    }

    @Test("tests that did not run for the same reason are reported once")
    func notRun() {
        var report = report(1)
        report.suites[0].tests += (1..<30).map {
            .init(id: "S/t\($0)()", name: "t", status: .notReported, reason: "3 guests ended with the same crash")
        }
        let text = TextReport().render(report).plain
        #expect(text.contains("NO RESULT 29 tests: 3 guests ended with the same crash"))
        #expect(text.contains("and 21 more"))
        #expect(text.components(separatedBy: "NO RESULT").count == 2)
    }

    @Test(
        "a page begins with the crash, has folded registers, and does not show later errors before them"
    )
    func page() throws {
        var report = report(3)
        report.errors = [.init(.init(.guestCrash, "an error", details: "CPU 0: idle"))]
        let page = HTMLReport.render(report)
        let failures = try #require(page.range(of: "<h2>Failures</h2>"))
        let rest = page[failures.upperBound...]
        let title = try #require(rest.range(of: "BUG: NULL in probe"))
        let error = try #require(rest.range(of: "CPU 0: idle"))
        let registers = try #require(rest.range(of: "RAX: "))
        let click = try #require(rest.range(of: "<details>"))
        #expect(title.lowerBound < error.lowerBound)
        #expect(click.lowerBound < registers.lowerBound)
        #expect(rest.components(separatedBy: "<h4>BUG: NULL in probe</h4>").count == 2)
        #expect(rest.contains("and in 2 more tests") && rest.contains("*pointer = number;"))
    }
}
