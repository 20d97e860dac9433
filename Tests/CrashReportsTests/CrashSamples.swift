// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import CrashReports

/// A report as a kernel prints it, and the expected result.
struct CrashSample: Sendable, CustomTestStringConvertible {
    var name: String
    var title: String
    var kind: CrashKind
    var function: String?
    var task: String? = "probe"
    var pid: Int? = 42
    var cpu: Int? = 1
    var isFatal = false
    /// The report without time stamps.
    var text: String

    var testDescription: String { name }

    /// The lines as a console shows them.
    func console(from start: Double = 1, caller: String? = "T42") -> [String] {
        stamped(text, from: start, caller: caller)
    }
}

/// Puts before each line what printk does (`print_time` and `print_caller` in kernel/printk/printk.c).
func stamped(_ text: String, from start: Double = 1, caller: String? = "T42") -> [String] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.enumerated().map { index, line in
        stamp(start + Double(index) / 10_000, caller: caller) + line
    }
}

func stamp(_ seconds: Double, caller: String? = "T42") -> String {
    func padded(_ text: String, _ width: Int, _ filler: String = " ") -> String {
        String(repeating: filler, count: max(0, width - text.count)) + text
    }
    let micros = Int((seconds * 1_000_000).rounded())
    let time = padded(String(micros / 1_000_000), 5) + "." + padded(String(micros % 1_000_000), 6, "0")
    return "[\(time)]" + (caller.map { "[\(padded($0, 6))]" } ?? "") + " "
}

private let task61 = "CPU: 1 PID: 42 Comm: probe Not tainted 6.1.192 #1"
private let task612 = """
    CPU: 1 UID: 0 PID: 42 Comm: probe Not tainted 6.12.57 #1
    Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2 04/01/2014
    """
private let registers = """
    Code: 48 8b 45 e8 48 c7 c7 00 10 00 00 e8 00 00 00 00 <48> 8b 00 5d c3
    RSP: 0018:ffffc900001cbf00 EFLAGS: 00010246
    RAX: 0000000000000000 RBX: ffffc900001cbf58 RCX: 0000000000000000
    RDX: 0000000000000000 RSI: 00000000004c2010 RDI: 0000000000000040
    R13: 0000000000000000 R14: 0000000000000000 R15: 0000000000000000
    FS:  000000000063a3c0(0000) GS:ffff88803ed00000(0000) knlGS:0000000000000000
    CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
    CR2: 0000000000000000 CR3: 0000000003a1c000 CR4: 00000000000006e0
    """
/// From the entry of the system call outwards.
private let entry = """
     __x64_sys_probe+0x1d/0x30
     do_syscall_64+0x3b/0x90
     entry_SYSCALL_64_after_hwframe+0x64/0xce
    RIP: 0033:0x401e2d
    Code: ff c3 66 2e 0f 1f 84 00 00 00 00 00 90 f3 0f 1e fa <48> 3d 01 f0 ff ff
    RSP: 002b:00007ffd6a3c3b08 EFLAGS: 00000246 ORIG_RAX: 00000000000001c3
    RAX: ffffffffffffffda RBX: 00000000004004f0 RCX: 0000000000401e2d
    R13: 0000000000000000 R14: 00000000004c0018 R15: 0000000000000000
     </TASK>
    """
private let entry612 = """
     __do_sys_probe+0x1d/0x30
     x64_sys_call+0x1a2f/0x2150
     do_syscall_64+0x4b/0x110
     entry_SYSCALL_64_after_hwframe+0x76/0x7e
    RIP: 0033:0x401e2d
     </TASK>
    """
private let dump = """
    Call Trace:
     <TASK>
     dump_stack_lvl+0x33/0x42
    """

private let oopses: [CrashSample] = [
    .init(
        name: "NULL pointer, 6.1", title: "BUG: unable to handle kernel NULL pointer dereference in follow_list",
        kind: .nullPointer, function: "follow_list",
        text: """
            BUG: kernel NULL pointer dereference, address: 0000000000000008
            #PF: supervisor read access in kernel mode
            #PF: error_code(0x0000) - not-present page
            PGD 3a1d067 P4D 3a1d067 PUD 3a1e067 PMD 0 
            Oops: 0000 [#1] PREEMPT SMP NOPTI
            \(task61)
            RIP: 0010:follow_list.constprop.0+0x12/0x40
            \(registers)
            Call Trace:
             <TASK>
             ? __die_body.cold+0x1a/0x1f
             ? page_fault_oops+0xd1/0x2a0
             ? exc_page_fault+0x62/0x150
             ? asm_exc_page_fault+0x22/0x30
             ? follow_list.constprop.0+0x12/0x40
            \(entry)
            Modules linked in:
            CR2: 0000000000000008
            ---[ end trace 0000000000000000 ]---
            RIP: 0010:follow_list.constprop.0+0x12/0x40
            \(registers)
            note: probe[42] exited with irqs disabled
            """),
    .init(
        name: "page fault, 6.12", title: "BUG: unable to handle kernel paging request in __do_sys_probe",
        kind: .pageFault, function: "__do_sys_probe",
        text: """
            BUG: unable to handle page fault for address: ffffc90000153f20
            #PF: supervisor write access in kernel mode
            #PF: error_code(0x0002) - not-present page
            PGD 1000067 P4D 1000067 PUD 11c0067 PMD 0
            Oops: Oops: 0002 [#1] PREEMPT SMP KASAN NOPTI
            \(task612)
            RIP: 0010:memcpy_orig+0x54/0x130
            \(registers)
            Call Trace:
             <TASK>
             ? show_regs+0x5c/0x70
             ? asm_exc_page_fault+0x27/0x30
             ? memcpy_orig+0x54/0x130
            \(entry612)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "general protection fault, 6.1", title: "general protection fault in take_message",
        kind: .generalProtection, function: "take_message",
        text: """
            general protection fault, probably for non-canonical address 0xdffffc0000000001: 0000 [#1] PREEMPT SMP KASAN
            KASAN: null-ptr-deref in range [0x0000000000000008-0x000000000000000f]
            \(task61)
            RIP: 0010:take_message+0x7d/0x175
            \(registers)
            Call Trace:
             <TASK>
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "general protection fault, 6.12", title: "general protection fault in take_message",
        kind: .generalProtection, function: "take_message",
        text: """
            Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] PREEMPT SMP
            \(task612)
            RIP: 0010:take_message+0x7d/0x175
            Call Trace:
             <TASK>
            \(entry612)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "divide error, 6.1", title: "divide error in share_out", kind: .divideError, function: "share_out",
        text: """
            divide error: 0000 [#1] PREEMPT SMP
            \(task61)
            RIP: 0010:share_out+0x9/0x20
            Call Trace:
             <TASK>
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "divide error, 6.12", title: "divide error in share_out", kind: .divideError, function: "share_out",
        text: """
            Oops: divide error: 0000 [#1] SMP
            \(task612)
            RIP: 0010:share_out+0x9/0x20
            Call Trace:
             <TASK>
            \(entry612)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "BUG(), 6.1", title: "kernel BUG in take_message", kind: .bug, function: "take_message",
        text: """
            ------------[ cut here ]------------
            kernel BUG at kernel/probe.c:77!
            invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
            \(task61)
            RIP: 0010:take_message+0x7d/0x175
            Call Trace:
             <TASK>
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "BUG(), 6.12", title: "kernel BUG in take_message", kind: .bug, function: "take_message",
        text: """
            ------------[ cut here ]------------
            kernel BUG at kernel/probe.c:77!
            Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
            \(task612)
            RIP: 0010:take_message+0x7d/0x175
            Call Trace:
             <TASK>
            \(entry612)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "double fault", title: "PANIC: double fault in recurse", kind: .doubleFault, function: "recurse",
        isFatal: true,
        text: """
            PANIC: double fault, error_code: 0x0
            double fault: 0000 [#1] PREEMPT SMP
            \(task61)
            RIP: 0010:recurse+0x5/0x30
            Call Trace:
             <#DF>
             ? die+0x2b/0x50
             </#DF>
             <TASK>
             recurse+0x1f/0x30
            \(entry)
            ---[ end trace 0000000000000000 ]---
            RIP: 0010:recurse+0x5/0x30
            Kernel panic - not syncing: Fatal exception in interrupt
            ---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---
            """),
    .init(
        name: "stack guard page", title: "BUG: stack guard page was hit in recurse", kind: .stackOverflow,
        function: "recurse",
        text: """
            BUG: TASK stack guard page was hit at ffffc900001c7ff8 (stack is ffffc900001c8000..ffffc900001cc000)
            stack guard page: 0000 [#1] PREEMPT SMP
            \(task61)
            RIP: 0010:recurse+0x5/0x30
            Call Trace:
             <#DF>
             </#DF>
             <TASK>
             recurse+0x1f/0x30
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "list corruption that is BUG()", title: "BUG: corrupted list in drop_message", kind: .listCorruption,
        function: "drop_message",
        text: """
            list_del corruption, ffff888003c1a000->next is LIST_POISON1 (dead000000000100)
            ------------[ cut here ]------------
            kernel BUG at ../../tree/lib/list_debug.c:56!
            invalid opcode: 0000 [#1] PREEMPT SMP
            \(task61)
            RIP: 0010:__list_del_entry_valid.cold+0x23/0x6f
            Call Trace:
             <TASK>
             drop_message+0x20/0x80
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "usercopy", title: "BUG: bad usercopy in __x64_sys_probe", kind: .usercopy,
        function: "__x64_sys_probe",
        text: """
            usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size 128)!
            ------------[ cut here ]------------
            kernel BUG at ../../tree/mm/usercopy.c:102!
            invalid opcode: 0000 [#1] PREEMPT SMP
            \(task61)
            RIP: 0010:usercopy_abort+0x6c/0x80
            Call Trace:
             <TASK>
             __check_heap_object+0xe3/0x120
             __check_object_size+0x1c1/0x2e0
             _copy_to_user+0x20/0x60
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
]

private let warnings: [CrashSample] = [
    .init(
        name: "WARN, 6.1", title: "WARNING in take_message", kind: .warning, function: "take_message",
        text: """
            ------------[ cut here ]------------
            WARNING: CPU: 1 PID: 42 at kernel/probe.c:31 take_message+0x7d/0x175
            Modules linked in:
            \(task61)
            RIP: 0010:take_message+0x7d/0x175
            \(registers)
            Call Trace:
             <TASK>
             ? __warn+0x79/0xc0
             ? report_bug+0xea/0x170
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "WARN with a message, as 6.18 words it", title: "WARNING in take_message", kind: .warning,
        function: "take_message",
        text: """
            ------------[ cut here ]------------
            the box holds 7 messages
            and more than it can
            WARNING: kernel/probe.c:31 at take_message+0x7d/0x175, CPU#1: probe/42
            \(task612)
            RIP: 0010:take_message+0x7d/0x175
            Call Trace:
             <TASK>
            \(entry612)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "WARN in the exception tables", title: "WARNING in take_message", kind: .warning,
        function: "take_message",
        text: """
            ------------[ cut here ]------------
            General protection fault in user access. Non-canonical address?
            WARNING: CPU: 1 PID: 42 at ../../tree/arch/x86/mm/extable.c:142 fixup_exception+0xf6/0x311
            \(task61)
            RIP: 0010:fixup_exception+0xf6/0x311
            Call Trace:
             <TASK>
             gp_try_fixup_and_notify+0x1d/0x5a
             exc_general_protection+0x84/0x2a0
             asm_exc_general_protection+0x22/0x30
            RIP: 0010:copy_user_short_string+0x2c/0x40
            \(registers)
             take_message+0x31/0x90
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "kmalloc of too much", title: "WARNING: kmalloc bug in take_message", kind: .warning,
        function: "take_message",
        text: """
            ------------[ cut here ]------------
            WARNING: CPU: 1 PID: 42 at ../../tree/mm/util.c:596 kvmalloc_node+0xc9/0xd0
            \(task61)
            RIP: 0010:kvmalloc_node+0xc9/0xd0
            Call Trace:
             <TASK>
             take_message+0x31/0x90
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "refcount", title: "WARNING: refcount bug in drop_message", kind: .refcount, function: "drop_message",
        text: """
            ------------[ cut here ]------------
            refcount_t: underflow; use-after-free.
            WARNING: CPU: 1 PID: 42 at ../../tree/lib/refcount.c:28 refcount_warn_saturate+0xba/0x110
            Modules linked in:
            \(task61)
            RIP: 0010:refcount_warn_saturate+0xba/0x110
            Call Trace:
             <TASK>
             ? refcount_warn_saturate+0xba/0x110
             drop_message+0x44/0x80
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "ODEBUG", title: "WARNING: ODEBUG bug in drop_message", kind: .objectLifetime,
        function: "drop_message",
        text: """
            ------------[ cut here ]------------
            ODEBUG: free active (active state 0) object: ffff888003d5a0c8 object type: timer_list hint: expire+0x0/0x30
            WARNING: CPU: 1 PID: 42 at lib/debugobjects.c:518 debug_print_object+0x6d/0x90
            \(task612)
            RIP: 0010:debug_print_object+0x6d/0x90
            Call Trace:
             <TASK>
             __debug_check_no_obj_freed+0x16a/0x1b0
             kfree+0x9f/0x2a0
             drop_message+0x44/0x80
            \(entry612)
            ---[ end trace 0000000000000000 ]---
            """),
    .init(
        name: "list corruption that is WARN()", title: "BUG: corrupted list in add_message", kind: .listCorruption,
        function: "add_message",
        text: """
            ------------[ cut here ]------------
            list_add corruption. prev->next should be next (ffffffff82a0b4c0), but was ffff888003c1a000. (prev=ffff888003c1a000).
            WARNING: CPU: 1 PID: 42 at lib/list_debug.c:30 __list_add_valid+0x84/0xa0
            \(task61)
            RIP: 0010:__list_add_valid+0x84/0xa0
            Call Trace:
             <TASK>
             add_message+0x20/0x80
            \(entry)
            ---[ end trace 0000000000000000 ]---
            """),
]

private let sanitizers: [CrashSample] = [
    .init(
        name: "KASAN slab-out-of-bounds", title: "KASAN: slab-out-of-bounds Read in read_table", kind: .kasan,
        function: "read_table",
        text: """
            ==================================================================
            BUG: KASAN: slab-out-of-bounds in read_table+0x81/0xa0
            Read of size 8 at addr ffff888004a3c008 by task probe/42

            \(task61)
            Call Trace:
             <TASK>
             dump_stack_lvl+0x33/0x42
             print_report+0x16a/0x47e
             kasan_report+0xb4/0x130
             read_table+0x81/0xa0
            \(entry)

            Allocated by task 42:
             kasan_save_stack+0x1e/0x40
             kasan_set_track+0x21/0x30
             __kasan_kmalloc+0x77/0x90
             make_table+0x2b/0x60

            The buggy address belongs to the object at ffff888004a3c000
             which belongs to the cache kmalloc-8 of size 8
            The buggy address is located 0 bytes to the right of
             8-byte region [ffff888004a3c000, ffff888004a3c008)

            The buggy address belongs to the physical page:
            page:00000000b0d7b9b4 refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x4a3c
            flags: 0x4000000000000200(slab|zone=1)
            page dumped because: kasan: bad access detected

            Memory state around the buggy address:
             ffff888004a3bf00: fc fc fc fc fc fc fc fc fc fc fc fc fc fc fc fc
            >ffff888004a3c000: 00 fc fc fc fc fc fc fc fc fc fc fc fc fc fc fc
                                  ^
             ffff888004a3c080: fc fc fc fc fc fc fc fc fc fc fc fc fc fc fc fc
            ==================================================================
            Disabling lock debugging due to kernel taint
            """),
    .init(
        name: "KASAN in a helper", title: "KASAN: slab-use-after-free Write in __do_sys_probe", kind: .kasan,
        function: "__do_sys_probe",
        text: """
            ==================================================================
            BUG: KASAN: slab-use-after-free in _copy_from_user+0x2d/0x80
            Write of size 64 at addr ffff888004a3c000 by task probe/42

            \(task612)
            \(dump)
             print_report+0xce/0x660
             kasan_report+0xc6/0x100
             kasan_check_range+0x105/0x1b0
             _copy_from_user+0x2d/0x80
            \(entry612)

            Freed by task 41:
             kfree+0x121/0x380
             forget+0x2b/0x60
            ==================================================================
            """),
    .init(
        name: "KASAN double-free", title: "KASAN: double-free in drop_message", kind: .kasan,
        function: "drop_message",
        text: """
            ==================================================================
            BUG: KASAN: double-free in kfree+0x121/0x380
            Free of addr ffff888004a3c000 by task probe/42

            \(task612)
            \(dump)
             kasan_report_invalid_free+0xaf/0xe0
             ____kasan_slab_free+0x12f/0x170
             kfree+0x121/0x380
             drop_message+0x2b/0x60
            \(entry612)
            ==================================================================
            """),
    .init(
        name: "KASAN double-free, 6.0 words", title: "KASAN: invalid-free in drop_message", kind: .kasan,
        function: "drop_message",
        text: """
            ==================================================================
            BUG: KASAN: double-free or invalid-free in kfree+0x121/0x380

            \(task61)
            \(dump)
             kfree+0x121/0x380
             drop_message+0x2b/0x60
            \(entry)
            ==================================================================
            """),
    .init(
        name: "KASAN user-memory-access", title: "KASAN: user-memory-access Write in poke", kind: .kasan,
        function: "poke",
        text: """
            ==================================================================
            BUG: KASAN: user-memory-access in poke+0x11/0x40
            Write of size 4 at addr 00007ffd6a3c3b08 by task probe/42

            \(task61)
            \(dump)
             kasan_report+0xb4/0x130
             poke+0x11/0x40
            \(entry)
            ==================================================================
            """),
    .init(
        name: "KASAN stack-out-of-bounds", title: "KASAN: stack-out-of-bounds Write in fill", kind: .kasan,
        function: "fill",
        text: """
            ==================================================================
            BUG: KASAN: stack-out-of-bounds in fill+0x11/0x40
            Write of size 1 at addr ffffc900001cbf20 by task probe/42

            \(task61)
            \(dump)
             fill+0x11/0x40
            \(entry)

            The buggy address belongs to stack of task probe/42
             and is located at offset 48 in frame:
             __x64_sys_probe+0x0/0x30

            This frame has 1 object:
             [32, 48) 'buffer'
            ==================================================================
            """),
    .init(
        name: "KCSAN data race", title: "KCSAN: data-race in get_message / put_message", kind: .kcsan,
        function: "get_message",
        text: """
            ==================================================================
            BUG: KCSAN: data-race in get_message / put_message

            write to 0xffffffff82a0b4c0 of 8 bytes by task 42 on cpu 1:
             put_message+0x20/0x60
             __x64_sys_put+0x12/0x20

            read to 0xffffffff82a0b4c0 of 8 bytes by task 43 on cpu 0:
             get_message+0x31/0x90
             __x64_sys_get+0x12/0x20

            value changed: 0x0000000000000001 -> 0x0000000000000002

            Reported by Kernel Concurrency Sanitizer on:
            CPU: 1 PID: 42 Comm: probe Not tainted 6.1.192 #1
            ==================================================================
            """),
    .init(
        name: "KCSAN unknown origin", title: "KCSAN: data-race in get_message", kind: .kcsan,
        function: "get_message",
        text: """
            ==================================================================
            BUG: KCSAN: data-race in get_message+0x31/0x90

            race at unknown origin, with read to 0xffffffff82a0b4c0 of 8 bytes by task 42 on cpu 1:
             get_message+0x31/0x90

            Reported by Kernel Concurrency Sanitizer on:
            \(task61)
            ==================================================================
            """),
    .init(
        name: "KFENCE out-of-bounds", title: "KFENCE: out-of-bounds read in read_table", kind: .kfence,
        function: "read_table",
        text: """
            ==================================================================
            BUG: KFENCE: out-of-bounds read in read_table+0x81/0xa0

            Out-of-bounds read at 0x00000000e4a1d3b6 (32B right of kfence-#72):
             read_table+0x81/0xa0
             __x64_sys_probe+0x1d/0x30

            kfence-#72: 0x0000000028bd3bd2-0x00000000b5ff4ad4, size=32, cache=kmalloc-32

            allocated by task 42 on cpu 1 at 17.016911s:
             make_table+0x2b/0x60

            \(task61)
            ==================================================================
            """),
    .init(
        name: "KFENCE memory corruption", title: "KFENCE: memory corruption in drop_message", kind: .kfence,
        function: "drop_message",
        text: """
            ==================================================================
            BUG: KFENCE: memory corruption in drop_message+0x44/0x80

            Corrupted memory at 0x00000000a84ae8fc [ ! . . . . . . . . . . . . . . . ] (in kfence-#69):
             drop_message+0x44/0x80

            \(task612)
            ==================================================================
            """),
    .init(
        name: "KFENCE invalid free", title: "KFENCE: invalid free in drop_message", kind: .kfence,
        function: "drop_message",
        text: """
            ==================================================================
            BUG: KFENCE: invalid free in drop_message+0x44/0x80

            Invalid free of 0x00000000a84ae8fc (in kfence-#69):
             drop_message+0x44/0x80

            \(task612)
            ==================================================================
            """),
    .init(
        name: "KMSAN", title: "KMSAN: uninit-value in read_table", kind: .kmsan, function: "read_table",
        text: """
            =====================================================
            BUG: KMSAN: uninit-value in read_table+0x81/0xa0
             read_table+0x81/0xa0
             __x64_sys_probe+0x1d/0x30

            Local variable flags created at:
             __x64_sys_probe+0x10/0x30

            \(task612)
            =====================================================
            """),
    .init(
        name: "UBSAN, 6.1", title: "UBSAN: array-index-out-of-bounds in pick", kind: .ubsan, function: "pick",
        text: """
            ================================================================================
            UBSAN: array-index-out-of-bounds in kernel/probe.c:19:12
            index 8 is out of range for type 'int [8]'
            \(task61)
            \(dump)
             ubsan_epilogue+0x5/0x40
             __ubsan_handle_out_of_bounds.cold+0x43/0x48
             pick+0x2e/0x40
            \(entry)
            ================================================================================
            """),
    .init(
        name: "UBSAN, 6.12", title: "UBSAN: shift-out-of-bounds in pick", kind: .ubsan, function: "pick",
        text: """
            ------------[ cut here ]------------
            UBSAN: shift-out-of-bounds in kernel/probe.c:20:9
            shift exponent 64 is too large for 64-bit type 'long unsigned int'
            \(task612)
            \(dump)
             ubsan_epilogue+0x5/0x40
             __ubsan_handle_shift_out_of_bounds+0x14b/0x1b0
             pick+0x2e/0x40
            \(entry612)
            ---[ end trace ]---
            """),
    .init(
        name: "slab poison", title: "BUG: slab: Poison overwritten in drop_message", kind: .slab,
        function: "drop_message",
        text: """
            =============================================================================
            BUG kmalloc-64 (Not tainted): Poison overwritten
            -----------------------------------------------------------------------------

            0xffff888003c1a000-0xffff888003c1a007 @offset=0. First byte 0x41 instead of 0x6b
            Slab 0xffffea00000f0680 objects=32 used=1 fp=0xffff888003c1a000 flags=0x200(slab|zone=0)
            \(task61)
            \(dump)
             check_bytes_and_report.cold+0x72/0x9b
             check_object+0x1b1/0x280
             free_debug_processing+0x1bf/0x2c0
             kfree+0x9f/0x2a0
             drop_message+0x44/0x80
            \(entry)
            """),
]

private let lockReports: [CrashSample] = [
    .init(
        name: "circular locking", title: "possible deadlock in put_message", kind: .lockdep, function: "put_message",
        text: """

            ======================================================
            WARNING: possible circular locking dependency detected
            6.1.192 #1 Not tainted
            ------------------------------------------------------
            probe/42 is trying to acquire lock:
            ffffffff82a0b4c0 (lock_b){+.+.}-{2:2}, at: put_message+0x20/0x60

            but task is already holding lock:
            ffffffff82a0b480 (lock_a){+.+.}-{2:2}, at: __x64_sys_probe+0x15/0x30

            which lock already depends on the new lock.


            the existing dependency chain (in reverse order) is:

            -> #1 (lock_a){+.+.}-{2:2}:
                   _raw_spin_lock+0x2b/0x40
                   get_message+0x31/0x90
                   do_syscall_64+0x3b/0x90

            -> #0 (lock_b){+.+.}-{2:2}:
                   __lock_acquire+0x131a/0x2770
                   put_message+0x20/0x60

            other info that might help us debug this:

             Possible unsafe locking scenario:

                   CPU0                    CPU1
                   ----                    ----
              lock(lock_a);
                                           lock(lock_b);
                                           lock(lock_a);
              lock(lock_b);

             *** DEADLOCK ***

            1 lock held by probe/42:
             #0: ffffffff82a0b480 (lock_a){+.+.}-{2:2}, at: __x64_sys_probe+0x15/0x30

            stack backtrace:
            \(task61)
            \(dump)
             check_noncircular+0x132/0x150
             __lock_acquire+0x131a/0x2770
             lock_acquire+0xc3/0x2b0
             _raw_spin_lock+0x2b/0x40
             put_message+0x20/0x60
            \(entry)
            """),
    .init(
        name: "recursive locking", title: "possible deadlock in put_message", kind: .lockdep,
        function: "put_message",
        text: """

            ============================================
            WARNING: possible recursive locking detected
            6.12.57 #1 Not tainted
            --------------------------------------------
            probe/42 is trying to acquire lock:
            ffff888003c1a018 (&box->lock){+.+.}-{4:4}, at: put_message+0x20/0x60

            but task is already holding lock:
            ffff888003c1b018 (&box->lock){+.+.}-{4:4}, at: __do_sys_probe+0x15/0x30

            other info that might help us debug this:
            stack backtrace:
            \(task612)
            \(dump)
             print_deadlock_bug+0x1a1/0x1d0
             __mutex_lock+0x97/0xc60
             put_message+0x20/0x60
            \(entry612)
            """),
    .init(
        name: "irq-unsafe order", title: "possible deadlock in put_message", kind: .lockdep, function: "put_message",
        text: """

            =====================================================
            WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected
            6.1.192 #1 Not tainted
            -----------------------------------------------------
            probe/42 [HC0[0]:SC0[0]:HE0:SE1] is trying to acquire:
            ffffffff82a0b4c0 (lock_b){+.+.}-{2:2}, at: put_message+0x20/0x60

            stack backtrace:
            \(task61)
            \(dump)
             put_message+0x20/0x60
            \(entry)
            """),
    .init(
        name: "inconsistent state", title: "inconsistent lock state in on_tick", kind: .lockdep, function: "on_tick",
        text: """

            ================================
            WARNING: inconsistent lock state
            6.1.192 #1 Not tainted
            --------------------------------
            inconsistent {HARDIRQ-ON-W} -> {IN-HARDIRQ-W} usage.
            probe/42 [HC1[1]:SC0[0]:HE0:SE1] takes:
            ffffffff82a0b4c0 (lock_b){?.+.}-{2:2}, at: on_tick+0x20/0x60
            {HARDIRQ-ON-W} state was registered at:
              lock_acquire+0xc3/0x2b0
              put_message+0x20/0x60
            irq event stamp: 1234
            hardirqs last  enabled at (1233): [<ffffffff81001234>] asm_sysvec_apic_timer_interrupt+0x16/0x20

            stack backtrace:
            \(task61)
            Call Trace:
             <IRQ>
             dump_stack_lvl+0x33/0x42
             mark_lock.part.0+0x8a1/0xd50
             _raw_spin_lock+0x2b/0x40
             on_tick+0x20/0x60
             </IRQ>
             <TASK>
             asm_sysvec_apic_timer_interrupt+0x16/0x20
            \(entry)
            """),
    .init(
        name: "suspicious RCU", title: "WARNING: suspicious RCU usage in find_box", kind: .lockdep,
        function: "find_box",
        text: """

            =============================
            WARNING: suspicious RCU usage
            6.1.192 #1 Not tainted
            -----------------------------
            kernel/probe.c:55 suspicious rcu_dereference_check() usage!

            other info that might help us debug this:


            rcu_scheduler_active = 2, debug_locks = 1
            no locks held by probe/42.

            stack backtrace:
            \(task61)
            \(dump)
             lockdep_rcu_suspicious+0x140/0x1d0
             find_box+0x41/0x60
            \(entry)
            """),
    .init(
        name: "unlock balance", title: "WARNING: bad unlock balance in put_message", kind: .lockdep,
        function: "put_message",
        text: """

            =====================================
            WARNING: bad unlock balance detected!
            6.1.192 #1 Not tainted
            -------------------------------------
            probe/42 is trying to release lock (lock_a) at:
            [<ffffffff81234567>] put_message+0x50/0x60
            but there are no more locks to release!

            other info that might help us debug this:
            no locks held by probe/42.

            stack backtrace:
            \(task61)
            \(dump)
             print_unlock_imbalance_bug+0xf5/0x110
             lock_release+0x21f/0x2f0
             _raw_spin_unlock+0x1a/0x40
             put_message+0x50/0x60
            \(entry)
            """),
    .init(
        name: "held lock freed", title: "WARNING: held lock freed in __x64_sys_probe", kind: .lockdep,
        function: "__x64_sys_probe",
        text: """

            =========================
            WARNING: held lock freed!
            6.1.192 #1 Not tainted
            -------------------------
            probe/42 is freeing memory ffff888003c1a000-ffff888003c1a03f, with a lock still held there!
            ffff888003c1a018 (&box->lock){+.+.}-{3:3}, at: __x64_sys_probe+0x15/0x30
            1 lock held by probe/42:
             #0: ffff888003c1a018 (&box->lock){+.+.}-{3:3}, at: __x64_sys_probe+0x15/0x30

            stack backtrace:
            \(task61)
            \(dump)
             debug_check_no_locks_freed.cold+0x9f/0xa4
             slab_free_freelist_hook+0x62/0x170
             kfree+0x9f/0x2a0
             drop_message+0x44/0x80
            \(entry)
            """),
    .init(
        name: "lock held at the return to user space",
        title: "WARNING: lock held when returning to user space in __x64_sys_probe", kind: .lockdep,
        function: "__x64_sys_probe", task: nil, cpu: nil,
        text: """

            ================================================
            WARNING: lock held when returning to user space!
            6.1.192 #1 Not tainted
            ------------------------------------------------
            probe/42 is leaving the kernel with locks still held!
            1 lock held by probe/42:
             #0: ffff888003c1a018 (&box->lock){+.+.}-{3:3}, at: __x64_sys_probe+0x15/0x30
            """),
    .init(
        name: "still has locks", title: "WARNING: still has locks held in __x64_sys_probe", kind: .lockdep,
        function: "__x64_sys_probe",
        text: """

            ====================================
            WARNING: probe/42 still has locks held!
            6.1.192 #1 Not tainted
            ------------------------------------
            1 lock held by probe/42:
             #0: ffff888003c1a018 (&box->lock){+.+.}-{3:3}, at: __x64_sys_probe+0x15/0x30

            stack backtrace:
            \(task61)
            \(dump)
             do_exit+0x8e/0xa80
            \(entry)
            """),
    .init(
        name: "nested lock", title: "WARNING: nested lock was not taken in put_message", kind: .lockdep,
        function: "put_message",
        text: """

            ==================================
            WARNING: Nested lock was not taken
            6.1.192 #1 Not tainted
            ----------------------------------
            probe/42 is trying to lock:
            ffff888003c1a018 (&box->lock){+.+.}-{3:3}, at: put_message+0x50/0x60

            stack backtrace:
            \(task61)
            \(dump)
             put_message+0x50/0x60
            \(entry)
            """),
    .init(
        name: "wait context", title: "WARNING: locking bug in put_message", kind: .lockdep,
        function: "put_message",
        text: """

            =============================
            [ BUG: Invalid wait context ]
            6.1.192 #1 Not tainted
            -----------------------------
            probe/42 is trying to lock:
            ffff888003c1a018 (&box->lock){+.+.}-{3:3}, at: put_message+0x50/0x60
            other info that might help us debug this:
            context-{4:4}
            stack backtrace:
            \(task61)
            \(dump)
             put_message+0x50/0x60
            \(entry)
            """),
    .init(
        name: "non-static key", title: "INFO: trying to register non-static key in put_message", kind: .lockdep,
        function: "put_message",
        text: """
            INFO: trying to register non-static key.
            The code is fine but needs lockdep annotation, or maybe
            you didn't initialize this object before use?
            turning off the locking correctness validator.
            \(task61)
            \(dump)
             register_lock_class+0x48c/0x4c0
             __lock_acquire+0x5f/0x2770
             _raw_spin_lock+0x2b/0x40
             put_message+0x50/0x60
            \(entry)
            """),
    .init(
        name: "spinlock", title: "BUG: spinlock bad magic in put_message", kind: .spinlock, function: "put_message",
        text: """
            BUG: spinlock bad magic on CPU#1, probe/42
             lock: 0xffff888003c1a018, .magic: 00000000, .owner: <none>/-1, .owner_cpu: 0
            \(task61)
            \(dump)
             do_raw_spin_lock+0x6c/0xb0
             put_message+0x50/0x60
            \(entry)
            """),
    .init(
        name: "sleeping in atomic", title: "BUG: sleeping function called from invalid context in put_message",
        kind: .atomicSleep, function: "put_message",
        text: """
            BUG: sleeping function called from invalid context at include/linux/sched/mm.h:306
            in_atomic(): 1, irqs_disabled(): 1, non_block: 0, pid: 42, name: probe
            preempt_count: 1, expected: 0
            RCU nest depth: 0, expected: 0
            1 lock held by probe/42:
             #0: ffffffff82a0b480 (lock_a){....}-{2:2}, at: put_message+0x15/0x60
            irq event stamp: 1234
            Preemption disabled at:
            [<ffffffff81234567>] put_message+0x15/0x60
            \(task61)
            \(dump)
             __might_resched.cold+0xf4/0x12f
             __kmem_cache_alloc_node+0x241/0x2c0
             __kmalloc+0x4e/0x150
             put_message+0x50/0x60
            \(entry)
            """),
    .init(
        name: "scheduling while atomic", title: "BUG: scheduling while atomic in put_message",
        kind: .atomicSleep, function: "put_message",
        text: """
            BUG: scheduling while atomic: probe/42/0x00000002
            Modules linked in:
            \(task61)
            \(dump)
             __schedule_bug+0x52/0x60
             __schedule+0x6b9/0x950
             schedule+0x5e/0xd0
             schedule_timeout+0x8b/0x100
             put_message+0x50/0x60
            \(entry)
            """),
    .init(
        name: "preemptible", title: "BUG: using smp_processor_id() in preemptible code in put_message", kind: .bug,
        function: "put_message",
        text: """
            BUG: using smp_processor_id() in preemptible [00000000] code: probe/42
            caller is put_message+0x11/0x60
            \(task61)
            \(dump)
             check_preemption_disabled+0xd2/0xe0
             put_message+0x11/0x60
            \(entry)
            """),
]

private let stalls: [CrashSample] = [
    .init(
        name: "soft lockup", title: "BUG: soft lockup in sys_probe", kind: .softLockup,
        function: "__x64_sys_probe",
        text: """
            watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [probe:42]
            Modules linked in:
            \(task61)
            RIP: 0010:delay_tsc+0x2b/0x60
            \(registers)
            Call Trace:
             <TASK>
             spin_for_ever+0x11/0x20
            \(entry)
            """),
    .init(
        name: "hard lockup, 6.12", title: "BUG: hard lockup in __do_sys_probe", kind: .hardLockup,
        function: "__do_sys_probe",
        text: """
            watchdog: Watchdog detected hard LOCKUP on cpu 1
            Modules linked in:
            \(task612)
            RIP: 0010:spin_for_ever+0x7/0x20
            \(registers)
            Call Trace:
             <TASK>
            \(entry612)
            """),
    .init(
        name: "RCU self-detected stall, 6.1", title: "INFO: rcu detected stall in sys_probe", kind: .rcuStall,
        function: "__x64_sys_probe",
        text: """
            rcu: INFO: rcu_preempt self-detected stall on CPU
            rcu: \t1-....: (5249 ticks this GP) idle=0b1c/1/0x4000000000000000 softirq=311/311 fqs=2613
            \t(t=5250 jiffies g=-799 q=11 ncpus=2)
            rcu: rcu_preempt kthread starved for 5250 jiffies! g-799 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x0 ->cpu=1
            rcu: \tUnless rcu_preempt kthread gets sufficient CPU time, OOM is now expected behavior.
            rcu: RCU grace-period kthread stack dump:
            task:rcu_preempt     state:R stack:14616 pid:15    ppid:2      flags:0x00004000
            Call Trace:
             <TASK>
             __schedule+0x2c2/0x950
             schedule+0x5e/0xd0
             schedule_timeout+0x8b/0x100
             rcu_gp_fqs_loop+0x107/0x540
             rcu_gp_kthread+0x121/0x1b0
             kthread+0xd9/0x100
             ret_from_fork+0x22/0x30
             </TASK>
            NMI backtrace for cpu 1
            \(task61)
            Call Trace:
             <IRQ>
             dump_stack_lvl+0x33/0x42
             nmi_cpu_backtrace.cold+0x30/0x70
             rcu_dump_cpu_stacks+0xa4/0xe0
             rcu_sched_clock_irq.cold+0x42f/0x5c4
             asm_sysvec_apic_timer_interrupt+0x16/0x20
             </IRQ>
             <TASK>
            RIP: 0010:spin_for_ever+0x7/0x20
            \(registers)
            \(entry)
            """),
    .init(
        name: "hung task", title: "INFO: task hung in take_message", kind: .hungTask, function: "take_message",
        cpu: nil,
        text: """
            INFO: task probe:42 blocked for more than 122 seconds.
                  Not tainted 6.1.192 #1
            "echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
            task:probe           state:D stack:14224 pid:42    ppid:1      flags:0x00004002
            Call Trace:
             <TASK>
             __schedule+0x2c2/0x950
             schedule+0x5e/0xd0
             schedule_preempt_disabled+0x14/0x30
             __mutex_lock.constprop.0+0x3b4/0x700
             take_message+0x31/0x90
            \(entry)

            Showing all locks held in the system:
            1 lock held by khungtaskd/27:
             #0: ffffffff82a5e4e0 (rcu_read_lock){....}-{1:2}, at: debug_show_all_locks+0x15/0x183

            =============================================
            """),
    .init(
        name: "workqueue lockup", title: "BUG: workqueue lockup", kind: .workqueueLockup, function: nil, task: nil,
        cpu: nil,
        text: """
            BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 33s!
            Showing busy workqueues and worker pools:
            workqueue events: flags=0x0
              pwq 2: cpus=1 node=0 flags=0x0 nice=0 active=1/256 refcnt=2
            """),
    .init(
        name: "workqueue leaked", title: "BUG: workqueue leaked lock or atomic in on_work", kind: .bug,
        function: "on_work",
        text: """
            BUG: workqueue leaked atomic, lock or RCU: kworker/1:1[42]
                 preempt=0x00000001 lock=0->0 RCU=0->0 workfn=on_work
            \(task612)
            \(dump)
             process_one_work+0x3ac/0x5e0
             worker_thread+0x1c5/0x3a0
             kthread+0xd9/0x100
             </TASK>
            """),
]

private let memory: [CrashSample] = [
    .init(
        name: "bad page state", title: "BUG: Bad page state in __x64_sys_probe", kind: .pageState,
        function: "__x64_sys_probe",
        text: """
            BUG: Bad page state in process probe  pfn:03c1a
            page:00000000b0d7b9b4 refcount:-1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x3c1a
            page dumped because: nonzero _refcount
            \(task61)
            \(dump)
             bad_page.cold+0x63/0x8f
            \(entry)
            """),
    .init(
        name: "rss counter", title: "BUG: Bad rss-counter state", kind: .pageState, function: nil, task: nil, cpu: nil,
        text: "BUG: Bad rss-counter state mm:00000000b0d7b9b4 type:MM_ANONPAGES val:2"),
    .init(
        name: "page tables left", title: "BUG: non-zero pgtables_bytes on freeing mm: NUM", kind: .pageState,
        function: nil, task: nil, cpu: nil, text: "BUG: non-zero pgtables_bytes on freeing mm: 4096"),
    .init(
        name: "memory leak, 6.12", title: "memory leak in __do_sys_probe", kind: .memoryLeak,
        function: "__do_sys_probe", cpu: nil,
        text: """
            kmemleak: unreferenced object 0xffff888101a2b3c0 (size 64):
            kmemleak:   comm "probe", pid 42, jiffies 4294941234
            kmemleak:   hex dump (first 32 bytes):
            kmemleak:     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
            kmemleak:   backtrace (crc 5a0b2b3c):
            kmemleak:     __kmalloc_noprof+0x4e/0x150
            kmemleak:     kvmalloc_node+0x51/0xd0
            kmemleak:     __do_sys_probe+0x8a/0x110
            kmemleak:     do_syscall_64+0x3b/0x90
            """),
    .init(
        name: "out of memory", title: "Out of memory", kind: .outOfMemory, function: nil,
        text: """
            probe invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0
            \(task61)
            \(dump)
             dump_header+0x45/0x1a0
             out_of_memory+0x1e5/0x4e0
            \(entry)
            Mem-Info:
            active_anon:0 inactive_anon:20533 isolated_anon:0
            Tasks state (memory values in pages):
            [  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
            [     42]     0    42    90000    88000   720896        0             0 probe
            oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=probe
            Out of memory: Killed process 42 (probe) total-vm:360000kB, anon-rss:352000kB, file-rss:0kB, shmem-rss:0kB
            oom_reaper: reaped process 42 (probe), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB
            """),
]

private let panics: [CrashSample] = [
    .init(
        name: "stack protector", title: "kernel panic: stack is corrupted in fill", kind: .stackProtector,
        function: "fill", isFatal: true,
        text: """
            Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: fill+0x68/0x6f
            \(task61)
            \(dump)
             panic+0x105/0x2b2
             __stack_chk_fail+0x10/0x10
            \(entry)
            Kernel Offset: disabled
            ---[ end Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: fill+0x68/0x6f ]---
            """),
    .init(
        name: "init killed", title: "kernel panic: Attempted to kill init!", kind: .initKilled, function: nil,
        isFatal: true,
        text: """
            Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009
            \(task61)
            \(dump)
             panic+0x105/0x2b2
             do_exit.cold+0x15/0x15
            \(entry)
            Rebooting in 1 seconds..
            """),
    .init(
        name: "no root", title: "kernel panic: VFS: Unable to mount root fs on unknown-block(0,0)", kind: .panic,
        function: "mount_block_root", isFatal: true,
        text: """
            Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
            \(task61)
            \(dump)
             panic+0x105/0x2b2
             mount_block_root+0x15c/0x204
             kernel_init+0x15/0x120
             ret_from_fork+0x22/0x30
             </TASK>
            ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---
            """),
    .init(
        name: "user-mode Linux", title: "kernel panic: Kernel mode fault at addr ADDR, ip ADDR", kind: .panic,
        function: "follow_list", cpu: 0, isFatal: true,
        text: """
            Kernel panic - not syncing: Kernel mode fault at addr 0x8, ip 0x60041f3e
            CPU: 0 PID: 42 Comm: probe Not tainted 6.1.192 #1
            Stack:
             6386be60 60041f3e 00000000 00000000
            Call Trace:
             [<60041f3e>] ? follow_list+0x12/0x40
             [<60041f60>] follow_list+0x12/0x40
             [<6001d2b4>] handle_syscall+0x84/0xb0
            """),
    .init(
        name: "deadlocked on memory", title: "kernel panic: System is deadlocked on memory", kind: .outOfMemory,
        function: "out_of_memory", isFatal: true,
        text: """
            Kernel panic - not syncing: System is deadlocked on memory
            \(task61)
            \(dump)
             panic+0x105/0x2b2
             out_of_memory+0x1e5/0x4e0
            \(entry)
            ---[ end Kernel panic - not syncing: System is deadlocked on memory ]---
            """),
]

/// Every kind of report that is known.
let crashSamples = oopses + warnings + sanitizers + lockReports + stalls + memory + panics
