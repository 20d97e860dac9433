// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import CrashReports

/// Reports as other architectures print them, in the words of their arch/*/kernel and arch/*/mm.
@Suite("Reports of other architectures", .timeLimit(.minutes(30)))
struct ArchitectureTests {
    private func titles(_ text: String) -> [String] {
        detect(
            lines: text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init),
            trust: .allUntilStamped
        )
        .map(\.title)
    }

    @Test("arm64: an oops, which includes its panic, and BUG()")
    func arm64() {
        let oops = """
            Unable to handle kernel paging request at virtual address dead000000000108
            Mem abort info:
              ESR = 0x0000000096000044
            Internal error: Oops: 0000000096000044 [#1] PREEMPT SMP
            CPU: 3 UID: 0 PID: 55 Comm: pusher Not tainted 6.12.9 #1
            pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
            pc : ring_unlink+0x24/0x60
            lr : ring_unlink+0x20/0x60
            sp : ffff80000ae3be40
            Call trace:
             ring_unlink+0x24/0x60 (P)
             __arm64_sys_ring_pop+0x1c/0x28
             invoke_syscall+0x48/0x114
            Code: f9400800 d65f03c0 d503201f f9400800 (f9400801)
            ---[ end trace 0000000000000000 ]---
            Kernel panic - not syncing: Oops: Fatal exception
            """
        #expect(titles(oops) == ["BUG: unable to handle kernel paging request in ring_unlink"])
        let bug = """
            ------------[ cut here ]------------
            kernel BUG at kernel/ring.c:31!
            Internal error: Oops - BUG: 00000000f2000800 [#1] PREEMPT SMP
            CPU: 3 PID: 55 Comm: pusher Not tainted 6.6.30 #1
            pc : ring_push+0x24/0x60
            Call trace:
             ring_push+0x24/0x60
             __arm64_sys_ring_push+0x1c/0x28
             invoke_syscall+0x48/0x114
            ---[ end trace 0000000000000000 ]---
            """
        #expect(titles(bug) == ["kernel BUG in ring_push"])
    }

    @Test("arm: frames that name their caller, with addresses and without")
    func arm() {
        let oops = """
            8<--- cut here ---
            Unable to handle kernel NULL pointer dereference at virtual address 00000008 when read
            [00000008] *pgd=00000000
            Internal error: Oops: 5 [#1] SMP ARM
            CPU: 0 PID: 55 Comm: pusher Not tainted 6.6.30 #1
            PC is at strlen+0x10/0x20
            LR is at ring_name+0x14/0x38
            pc : [<8015df40>]    lr : [<801559ec>]    psr: 60000093
            Backtrace:
            [<8015df30>] (strlen) from [<801559ec>] (ring_name+0x14/0x38)
             r5:00000001 r4:80100000
            [<801559d8>] (ring_name) from [<80155eb8>] (sys_ring_name+0x64/0x3a4)
            [<80155e54>] (sys_ring_name) from [<80101000>] (ret_fast_syscall+0x0/0x54)
            ---[ end trace 0000000000000000 ]---
            """
        #expect(titles(oops) == ["BUG: unable to handle kernel NULL pointer dereference in ring_name"])
        let bare = """
            Unable to handle kernel paging request at virtual address fee00001
            Internal error: Oops: 805 [#1] SMP ARM
            PC is at memcpy+0x10/0x20
             memcpy from ring_copy+0x14/0x38
             ring_copy from ret_fast_syscall+0x0/0x1c
            ---[ end trace 0000000000000000 ]---
            """
        #expect(titles(bare).count == 1)
    }

    @Test("RISC-V, s390, ppc64, LoongArch and i386")
    func others() {
        let riscv = """
            Unable to handle kernel paging request at virtual address dead000000000108
            Oops [#1]
            CPU: 2 PID: 55 Comm: pusher Not tainted 6.6.30 #1
            epc : ring_unlink+0x14/0x38
             ra : ring_pop+0x1c/0x28
            [<ffffffff80012345>] ring_unlink+0x14/0x38
            [<ffffffff80012399>] do_trap_ecall_u+0x1c/0x28
            ---[ end trace 0000000000000000 ]---
            """
        #expect(titles(riscv) == ["BUG: unable to handle kernel paging request in ring_unlink"])
        let s390 = """
            Unable to handle kernel pointer dereference in virtual kernel address space
            Failing address: 0000000000000000 TEID: 0000000000000483
            Oops: 0004 ilc:2 [#1] SMP
            CPU: 1 PID: 55 Comm: pusher Not tainted 6.6.30 #1
            Krnl PSW : 0704c00180000000 0000000000100a2e (ring_unlink+0x2e/0x60)
                       R:0 T:1 IO:1 EX:1 Key:0 M:1 W:0 P:0 AS:3 CC:0 PM:0 RI:0 EA:3
            Call Trace:
             [<0000000000100a2e>] ring_unlink+0x2e/0x60
            ([<0000000000100a10>] ring_unlink+0x10/0x60)
             [<0000000000200b20>] __do_syscall+0x1d0/0x200
            Last Breaking-Event-Address:
             [<0000000000100a00>] ring_unlink+0x0/0x60
            """
        #expect(titles(s390) == ["BUG: unable to handle kernel paging request in ring_unlink"])
        let ppc = """
            BUG: Kernel NULL pointer dereference on read at 0x00000008
            Faulting instruction address: 0xc000000000aa1234
            Oops: Kernel access of bad area, sig: 11 [#1]
            LE PAGE_SIZE=64K MMU=Radix SMP NR_CPUS=2048 NUMA pSeries
            CPU: 0 PID: 55 Comm: pusher Not tainted 6.6.30 #1
            NIP:  c000000000aa1234 LR: c000000000aa1220 CTR: 0000000000000000
            NIP [c000000000aa1234] ring_unlink+0x34/0x80
            LR [c000000000aa1220] ring_unlink+0x20/0x80
            Call Trace:
            [c00000000a1b3d00] [c000000000aa1220] ring_unlink+0x20/0x80 (unreliable)
            [c00000000a1b3d40] [c00000000002d0f4] system_call_exception+0x134/0x260
            ---[ end trace 0000000000000000 ]---
            """
        #expect(titles(ppc) == ["BUG: unable to handle kernel NULL pointer dereference in ring_unlink"])
        // LoongArch and MIPS name the processor first.
        let loongarch = """
            CPU 11 Unable to handle kernel paging request at virtual address 0000000000000108, era == 90000000002218c4, ra == 9000000000222118
            Oops[#1]:
            CPU: 11 PID: 55 Comm: pusher Not tainted 6.8.0 #1
               ra: 9000000000222118 ring_pop+0x58/0xa0
              ERA: 90000000002218c4 ring_unlink+0x14/0x70
            Call Trace:
            [<90000000002218c4>] ring_unlink+0x14/0x70
            [<9000000000222118>] ring_pop+0x58/0xa0
            [<9000000000223000>] do_syscall+0x78/0x90
            ---[ end trace 0000000000000000 ]---
            """
        #expect(titles(loongarch) == ["BUG: unable to handle kernel paging request in ring_unlink"])
        #expect(titles("CPU 11 is now offline\nCPU: Physical Processor ID: 0\n").isEmpty)
        let i386 = """
            BUG: unable to handle kernel NULL pointer dereference at 00000010
            IP: ring_unlink+0x12/0x40
            Oops: 0000 [#1] SMP
            CPU: 0 PID: 55 Comm: pusher Not tainted 4.4.300 #1
            EIP: 0060:[<c10a1234>] EFLAGS: 00010246 CPU: 0
            EIP is at ring_unlink+0x12/0x40
            Call Trace:
             [<c10a1300>] ? ring_pop+0x10/0x20
             [<c10a1310>] SyS_ring_pop+0x10/0x20
            ---[ end trace 0123456789abcdef ]---
            """
        #expect(titles(i386) == ["BUG: unable to handle kernel NULL pointer dereference in ring_unlink"])
    }

    @Test("a Rust panic is titled by its message, with the path of the function")
    func rust() {
        let panic = """
            rust_kernel: panicked at samples/ring.rs:12:5:
            index out of bounds: the len is 4 but the index is 9
            ------------[ cut here ]------------
            kernel BUG at rust/helpers/bug.c:7!
            Oops: invalid opcode: 0000 [#1] SMP NOPTI
            CPU: 1 UID: 0 PID: 55 Comm: pusher Not tainted 6.16.0 #1
            RIP: 0010:rust_helper_BUG+0x9/0x10
            Call Trace:
             <TASK>
             _RNvNtCs43vyB533jt3_4core9panicking9panic_fmt+0x84/0x90
             _RNvNtCsabc_4ring5queue4push+0x5d/0x60
             do_syscall_64+0x9e/0x1a0
             </TASK>
            ---[ end trace 0000000000000000 ]---
            """
        #expect(titles(panic) == ["index out of bounds: the len is 4 but the index is 9 in ring::queue::push"])
    }

    @Test(
        "mangled names are demangled",
        arguments: [
            ("_RNvNtCsabc_4ring5queue4push", "ring::queue::push"),
            ("_RNvMNtC4ring5queueNtB2_5Queue4take", "ring::queue::Queue::take"),
            ("_ZN4ring5queue4push17h0123456789abcdefE", "ring::queue::push"), ("_Z8add_ringii", "add_ring"),
            ("_Ring", "_Ring"), ("_R", "_R"), ("_RNv", "_RNv"), ("_RB_", "_RB_"), ("_ZN", "_ZN"),
            ("plain.isra.0", "plain"),
        ])
    func mangled(symbol: String, name: String) {
        #expect(functionName(symbol) == name)
    }

    @Test("a hung task is blamed on what it waits for; a stall on the function called through a table")
    func waits() {
        func hung(_ frames: String) -> String {
            "INFO: task pusher:55 blocked for more than 120 seconds.\nCall Trace:\n <TASK>\n __schedule+0x1/0x2\n"
                + " schedule+0x1/0x2\n" + frames + "\n do_syscall_64+0x1/0x2\n </TASK>"
        }
        #expect(
            titles(hung(" __mutex_lock+0x1/0x2\n rtnl_lock+0x1/0x2\n ring_open+0x1/0x2")) == [
                "INFO: task hung in rtnl_lock"
            ])
        #expect(
            titles(hung(" synchronize_rcu_expedited+0x1/0x2\n ring_free+0x1/0x2")) == [
                "INFO: task hung in synchronize_rcu"
            ])
        #expect(
            titles(hung(" rwsem_down_write_slowpath+0x1/0x2\n down_write+0x1/0x2\n ring_free+0x1/0x2")) == [
                "INFO: task hung in ring_free"
            ])
        let stall = """
            rcu: INFO: rcu_preempt self-detected stall on CPU
            CPU: 0 PID: 55 Comm: pusher Not tainted 6.6.30 #1
            RIP: 0010:ring_walk+0x1/0x2
            Call Trace:
             <IRQ>
             rcu_sched_clock_irq+0x1/0x2
             sysvec_apic_timer_interrupt+0x1/0x2
             </IRQ>
             <TASK>
             asm_sysvec_apic_timer_interrupt+0x1/0x2
            RIP: 0010:ring_walk+0x1/0x2
             ring_ioctl+0x1/0x2
             __x64_sys_ioctl+0x1/0x2
             do_syscall_64+0x1/0x2
             </TASK>
            """
        #expect(titles(stall) == ["INFO: rcu detected stall in ring_ioctl"])
    }
}
