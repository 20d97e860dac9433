// SPDX-License-Identifier: Apache-2.0
// What the probe's guest (payload.S) and its host side (kvm.c) agree on. Read by the assembler, so macros only.
#ifndef KBUILD_CHOST_PROBE_PAYLOAD_H
#define KBUILD_CHOST_PROBE_PAYLOAD_H

// Guest physical addresses, which are also its linear ones. The guest has GUEST_MEMORY bytes, all mapped.
#define GUEST_MEMORY 0x20000
#define PML4_PAGE 0x1000
#define PDPT_PAGE 0x2000
#define PD_PAGE 0x3000
#define PT_PAGE 0x4000
#define GDT_PAGE 0x5000
#define TSS_PAGE 0x6000
#define IDT_PAGE 0x7000
#define STACK_TOP 0x9000
#define TRAP_STACK_TOP 0xa000
#define USER_STACK_TOP 0xb000
#define FAULT_ADDRESS 0xc000
#define FAULT_PTE (PT_PAGE + (FAULT_ADDRESS >> 12) * 8)
#define PAYLOAD_ADDRESS 0x10000

// Segment selectors. USER_BASE is what sysretq adds 8 (stack) and 16 (code) to.
#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_BASE 0x13
#define USER_DATA 0x18
#define USER_CODE 0x20
#define TSS_SELECTOR 0x28

#define STAGE_PORT 0x80
#define DONE_PORT 0xf4
#define MAGIC 0x6b627569
#define USER_ARGUMENT 451

#define STAGE_ENTERED 1
#define STAGE_LGDT 2
#define STAGE_LTR 3
#define STAGE_LIDT 4
#define STAGE_BREAKPOINT 5
#define STAGE_PAGE_FAULT 6
#define STAGE_CONTROL_REGISTERS 7
#define STAGE_MSRS 8
#define STAGE_SYSCALL 9

#endif
