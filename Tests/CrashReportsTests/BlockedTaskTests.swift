// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import CrashReports

@Suite("Tasks of a hanging guest", .timeLimit(.minutes(30)))
struct BlockedTaskTests {
    private func lines(_ text: String) -> [ConsoleLine] {
        text.split(separator: "\n").map { ConsoleLine(Array("[   11.550790][    C0] \($0)".utf8)) }
    }

    /// Linux 6.1's report on a call that locks a mutex twice.
    private static let mutex = """
        sysrq: Show Blocked State
        task:oot.default-qos state:D stack:0     pid:37    ppid:34     flags:0x00004002
        Call Trace:
         <TASK>
         __schedule+0x3ec/0x449
         schedule+0x7d/0xaa
         schedule_preempt_disabled+0x9/0xb
         __mutex_lock.constprop.0+0x14d/0x21a
         ? handle_mm_fault+0x4c/0xd1
         __do_sys_hello_there+0x28/0x84
         do_syscall_64+0x39/0x46
         entry_SYSCALL_64_after_hwframe+0x4b/0xb5
        RIP: 0033:0x564a11e27126
         </TASK>
        sysrq: Show State
        task:init            state:S stack:0     pid:1     ppid:0      flags:0x00000002
        Call Trace:
         __schedule+0x3ec/0x449
         do_sys_poll+0x3ca/0x4a8
        task:kworker/u4:1    state:R  running task     stack:0     pid:21    ppid:2      flags:0x00004000
        Call Trace:
         worker_thread+0x1/0x2
        task:waiter          state:S stack:0     pid:40    ppid:34     flags:0x00000002
        Call Trace:
         __schedule+0x3ec/0x449
         __do_sys_hello_there+0x30/0x84
        """

    @Test(
        "a task in a mutex has its stack, without unreliable frames; a task that sleeps in the call counts too"
    )
    func mutex() throws {
        let tasks = BlockedTask.tasks(in: lines(Self.mutex), calls: ["hello_there"])
        #expect(tasks.map(\.name) == ["oot.default-qos", "waiter"])
        let first = try #require(tasks.first)
        #expect((first.pid, first.state) == (37, "D"))
        #expect(first.waitsIn?.function == "__mutex_lock")
        #expect(!first.frames.contains { $0.symbol == "handle_mm_fault" })
        #expect(first.frames.contains { $0.symbol == "__do_sys_hello_there" && $0.offset == 0x28 })
        // Without the call's name the sleeping task cannot be distinguished from others.
        #expect(BlockedTask.tasks(in: lines(Self.mutex), calls: []).map(\.pid) == [37])
    }

    @Test("a spinning processor has its stack; an idle one is not reported")
    func spinning() {
        let text = """
            sysrq: Show backtrace of all active CPUs
            NMI backtrace for cpu 1
            CPU: 1 PID: 41 Comm: probe Not tainted 6.1.192 #1
            RIP: 0010:native_queued_spin_lock_slowpath+0x44/0x180
            Call Trace:
             _raw_spin_lock+0x1e/0x20
             __do_sys_probe+0x30/0x70
            CPU: 0 PID: 0 Comm: swapper/0 Not tainted 6.1.192 #1
            RIP: 0010:default_idle+0xb/0x10
            Call Trace:
             do_idle+0x1/0x2
            """
        let tasks = BlockedTask.tasks(in: lines(text), calls: [])
        #expect(tasks.map(\.name) == ["probe"])
        #expect(tasks.first?.waitsIn?.symbol == "native_queued_spin_lock_slowpath")
        #expect(tasks.first?.frames.count == 3)
    }

    @Test(
        "a spinning task is named by its own function, not by the interrupt in which the kernel answered",
        arguments: ["asm_common_interrupt", "asm_sysvec_apic_timer_interrupt", "asm_sysvec_call_function_single"])
    func interrupted(entry: String) throws {
        func text(_ registers: String) -> String {
            """
            sysrq: Show State
            task:spinner         state:R  running task     stack:0     pid:37    ppid:34     flags:0x00004008
            Call Trace:
             <IRQ>
             sched_show_task.cold+0xb8/0xf6
             show_state_filter+0x55/0xb4
             sysrq_handle_showstate+0xc/0x14
             __handle_sysrq.cold+0x45/0x125
             serial8250_rx_chars+0x73/0x13b
             handle_irq_event+0x34/0x6a
             __common_interrupt+0x3c/0x91
             common_interrupt+0x78/0x90
             </IRQ>
             <TASK>
             \(entry)+0x22/0x40
            \(registers) __do_sys_spin+0x17/0x20
             do_syscall_64+0x39/0x46
             entry_SYSCALL_64_after_hwframe+0x4b/0xb5
            RIP: 0033:0x564a11e27126
             </TASK>

            """
        }
        let registers = "RIP: 0010:turn+0x5/0x9\nRSP: 0018:ffffc900 EFLAGS: 00000246\nCode: eb fe\n"
        let spinning = try #require(BlockedTask.tasks(in: lines(text(registers)), calls: ["spin"]).first)
        #expect(spinning.isRunning)
        #expect(spinning.waitsIn?.function == "turn")
        #expect(
            spinning.frames.map(\.symbol) == [
                "turn", "__do_sys_spin", "do_syscall_64", "entry_SYSCALL_64_after_hwframe",
            ])
        // Where the registers are missing, the caller is still its own.
        let torn = try #require(BlockedTask.tasks(in: lines(text("")), calls: ["spin"]).first)
        #expect(torn.waitsIn?.function == "__do_sys_spin")
    }

    @Test("a task of which only the interrupt is known is named by the interrupt")
    func interruptAlone() throws {
        let text = """
            task:spinner         state:D  stack:0     pid:37    ppid:34     flags:0x00004008
             show_state_filter+0x55/0xb4
             asm_common_interrupt+0x22/0x40
            """
        let task = try #require(BlockedTask.tasks(in: lines(text), calls: []).first)
        #expect(task.frames.map(\.symbol) == ["show_state_filter", "asm_common_interrupt"])
    }

    @Test("with lockdep each lock has the place where it was taken")
    func locks() throws {
        let text =
            Self.mutex + """

                sysrq: Show Locks Held
                Showing all locks held in the system:
                1 lock held by oot.default-qos/37:
                 #0: ffffffff82a5b0a8 (lock.0){+.+.}-{3:3}, at: __do_sys_hello_there+0x1c/0x84
                2 locks held by sh/50:
                 #0: ffff888003a5b0a8 (&tty->ldisc_sem){++++}-{0:0}, at: ldsem_down_read+0x1/0x2
                """
        let task = try #require(BlockedTask.tasks(in: lines(text), calls: []).first)
        #expect(task.locks.map(\.name) == ["lock.0"])
        #expect(task.locks.first?.takenAt.offset == 0x1c)
    }

    @Test(
        "lines of another form are ignored",
        arguments: [
            "task:", "task: state:", "task:x state:D pid:", "task:x state:D stack:0 pid:99999999999999999999",
            "CPU: 1 PID: x Comm: y",
            "1 lock held by x:", "1 lock held by x/y:", " #0: (", "CPU: 0 PID: 5 Comm:",
        ])
    func malformed(line: String) {
        #expect(BlockedTask.tasks(in: lines(line + "\n x+0x1/0x2"), calls: ["x"]).allSatisfy { $0.frames.count <= 1 })
    }
}
