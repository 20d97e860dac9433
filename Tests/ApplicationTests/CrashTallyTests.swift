// SPDX-License-Identifier: Apache-2.0
import CrashReports
import ResultsModel
import Testing
import VirtualMachine

@testable import GuestSession
@testable import TestSession

@Suite("Guests that end with the same crash", .timeLimit(.minutes(30)))
struct CrashTallyTests {
    private func result(_ title: String, fatal: Bool = true, limit: LimitReached? = nil) -> SessionResult {
        let crash = Crash(title: title, kind: .nullPointer, isFatal: fatal, lines: [])
        let outcome = SessionOutcome(programs: [], crashes: [crash], faults: [], release: "6.1", isComplete: false)
        return SessionResult(outcome: outcome, exit: nil, limit: limit, machineSeconds: 1)
    }

    @Test("the third equal crash ends the run, with one message")
    func third() {
        let tally = CrashTally(isOn: true)
        #expect(tally.count(result("a")) == nil)
        #expect(tally.count(result("b")) == nil)
        #expect(tally.count(result("a")) == nil)
        #expect(tally.reason == nil)
        #expect(tally.count(result("a")) == "3 guests ended with the same crash: a")
        #expect(tally.count(result("a")) == nil)
        #expect(tally.reason != nil)
    }

    @Test("a thread that the kernel ended counts; a report that a guest survived and a time limit do not")
    func kinds() {
        let tally = CrashTally(isOn: true)
        for _ in 0..<5 { #expect(tally.count(result("WARNING in f", fatal: false)) == nil) }
        for _ in 0..<5 { #expect(tally.count(result("INFO: hung task", fatal: false, limit: .test("t", 1))) == nil) }
        for _ in 0..<2 { #expect(tally.count(result("oops", fatal: false, limit: .lostThread("t", 1))) == nil) }
        #expect(tally.count(result("oops", fatal: false, limit: .lostThread("t", 1))) != nil)
    }

    private func hang(_ text: String) -> SessionResult {
        var result = result("", fatal: false, limit: .test("t", 1))
        result.outcome.crashes = []
        result.inspection = text.split(separator: "\n").map { ConsoleLine(Array("[    1.5][    C0] \($0)".utf8)) }
        return result
    }

    @Test("two hangs at one place in the kernel end the run; programs in endless loops have no common place")
    func hangs() {
        func blocked(_ function: String) -> SessionResult {
            hang(
                """
                sysrq: Show Blocked State
                task:program         state:D stack:0     pid:37    ppid:34     flags:0x00004002
                Call Trace:
                 <TASK>
                 schedule+0x7d/0xaa
                 __mutex_lock.constprop.0+0x14d/0x21a
                 \(function)+0x28/0x84
                 do_syscall_64+0x39/0x46
                 </TASK>
                """)
        }
        let tally = CrashTally(isOn: true)
        #expect(tally.count(blocked("__do_sys_a")) == nil)
        #expect(tally.count(blocked("__do_sys_b")) == nil)
        #expect(tally.count(blocked("__do_sys_a")) == "2 guests hung in the same place: __mutex_lock")

        let loops = CrashTally(isOn: true)
        for name in ["one", "other", "third"] {
            let loop = hang(
                """
                sysrq: Show backtrace of all active CPUs
                NMI backtrace for cpu 0
                CPU: 0 PID: 41 Comm: \(name) Not tainted 6.1.192 #1
                Call Trace:
                 <IRQ>
                 nmi_cpu_backtrace+0x1/0x2
                 __handle_sysrq+0x1/0x2
                 serial8250_interrupt+0x1/0x2
                 common_interrupt+0x1/0x2
                 </IRQ>
                 asm_common_interrupt+0x1/0x2
                """)
            #expect(loops.count(loop) == nil)
        }
        // The kernel may answer without a stack.
        #expect(loops.count(hang("CPU: 0 PID: 41 Comm: one Not tainted 6.1.192 #1")) == nil)
        #expect(loops.count(hang("CPU: 0 PID: 41 Comm: one Not tainted 6.1.192 #1")) == nil)
        #expect(loops.reason == nil)
    }

    @Test("with --keep-going no crash ends the run")
    func keepGoing() {
        let tally = CrashTally(isOn: false)
        for _ in 0..<9 { #expect(tally.count(result("a")) == nil) }
        #expect(tally.reason == nil)
    }
}
