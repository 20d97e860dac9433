// The guest that the KVM probe runs: what the start of a kernel does, from descriptor tables to a system call.
//
// It begins in long mode with paging on (kvm.c builds the page tables) and is position independent. It writes the
// number of each stage that it has passed to port STAGE_PORT, and MAGIC to port DONE_PORT when it is through.

#if defined(__x86_64__) && defined(__linux__)

#include "payload.h"

    .section .rodata.kbuild_kvm_payload, "a", @progbits
    .balign 4096
    .globl kbuild_kvm_payload_start
    .globl kbuild_kvm_payload_end
    .hidden kbuild_kvm_payload_start
    .hidden kbuild_kvm_payload_end
    .code64

    .macro passed stage
    movb    $\stage, %al
    outb    %al, $STAGE_PORT
    .endm

    // An interrupt gate of the IDT at `%rdi` for vector `\vector`, at ring 0 or callable from ring `\ring`.
    .macro gate vector, handler, ring
    leaq    \handler(%rip), %rax
    movw    %ax, (\vector * 16)(%rdi)
    movw    $KERNEL_CODE, (\vector * 16 + 2)(%rdi)
    movw    $(0x8e00 | (\ring << 13)), (\vector * 16 + 4)(%rdi)
    shrq    $16, %rax
    movw    %ax, (\vector * 16 + 6)(%rdi)
    shrq    $16, %rax
    movl    %eax, (\vector * 16 + 8)(%rdi)
    movl    $0, (\vector * 16 + 12)(%rdi)
    .endm

kbuild_kvm_payload_start:
    movq    $STACK_TOP, %rsp
    passed  STAGE_ENTERED

    // A GDT of our own: null, kernel code and data, user data and code in the order that sysret wants, a TSS.
    movq    $GDT_PAGE, %rdi
    movq    $0, (%rdi)
    movabsq $0x00af9b000000ffff, %rax
    movq    %rax, KERNEL_CODE(%rdi)
    movabsq $0x00cf93000000ffff, %rax
    movq    %rax, KERNEL_DATA(%rdi)
    movabsq $0x00cff3000000ffff, %rax
    movq    %rax, USER_DATA(%rdi)
    movabsq $0x00affb000000ffff, %rax
    movq    %rax, USER_CODE(%rdi)
    // An available 64-bit TSS at TSS_PAGE, which lies below 16 MiB, with a limit of 0x67.
    movabsq $(0x0000890000000067 | (TSS_PAGE << 16)), %rax
    movq    %rax, TSS_SELECTOR(%rdi)
    movq    $0, (TSS_SELECTOR + 8)(%rdi)
    movq    $TSS_PAGE, %rsi
    movq    $TRAP_STACK_TOP, %rax
    movq    %rax, 4(%rsi)
    movw    $0x68, 102(%rsi)
    pushq   $GDT_PAGE
    subq    $2, %rsp
    movw    $(TSS_SELECTOR + 15), (%rsp)
    lgdt    (%rsp)
    addq    $10, %rsp
    movl    $KERNEL_DATA, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    pushq   $KERNEL_CODE
    leaq    1f(%rip), %rax
    pushq   %rax
    lretq
1:  passed  STAGE_LGDT
    movl    $TSS_SELECTOR, %eax
    ltr     %ax
    passed  STAGE_LTR

    movq    $IDT_PAGE, %rdi
    gate    3, breakpoint, 3
    gate    14, page_fault, 0
    pushq   $IDT_PAGE
    subq    $2, %rsp
    movw    $0xfff, (%rsp)
    lidt    (%rsp)
    addq    $10, %rsp
    passed  STAGE_LIDT

    xorl    %ebx, %ebx
    int3
    cmpl    $1, %ebx
    jne     failed
    passed  STAGE_BREAKPOINT

    // The page is not present; the handler makes it so, and the read is done again.
    movq    $FAULT_ADDRESS, %rdi
    movl    (%rdi), %eax
    cmpl    $2, %ebx
    jne     failed
    passed  STAGE_PAGE_FAULT

    movq    %cr3, %rax
    movq    %rax, %cr3
    movq    %cr4, %rax
    movq    %rax, %rcx
    xorq    $0x80, %rcx
    movq    %rcx, %cr4
    movq    %rax, %cr4
    passed  STAGE_CONTROL_REGISTERS

    // The registers of system calls: EFER.SCE, STAR, LSTAR, SFMASK.
    movl    $0xc0000080, %ecx
    rdmsr
    orl     $1, %eax
    wrmsr
    movl    $0xc0000081, %ecx
    xorl    %eax, %eax
    movl    $((USER_BASE << 16) | KERNEL_CODE), %edx
    wrmsr
    movl    $0xc0000082, %ecx
    leaq    system_call(%rip), %rax
    movq    %rax, %rdx
    shrq    $32, %rdx
    wrmsr
    movl    $0xc0000084, %ecx
    movl    $0x200, %eax
    xorl    %edx, %edx
    wrmsr
    movl    $0xc0000101, %ecx
    movl    $0x12345678, %eax
    movl    $0, %edx
    wrmsr
    rdmsr
    cmpl    $0x12345678, %eax
    jne     failed
    passed  STAGE_MSRS

    pushq   $(USER_DATA | 3)
    pushq   $USER_STACK_TOP
    pushq   $2
    pushq   $(USER_CODE | 3)
    leaq    user(%rip), %rax
    pushq   %rax
    iretq

user:
    // An exception from user mode switches to the TSS's stack; int3 is let through by its gate.
    int3
    movl    $USER_ARGUMENT, %edi
    syscall
    // sysretq came back.
    cmpl    $USER_ARGUMENT, %edi
    jne     user_failed
    movl    $(USER_ARGUMENT + 1), %edi
    syscall
user_failed:
    hlt

system_call:
    cmpl    $(USER_ARGUMENT + 1), %edi
    je      done
    cmpl    $USER_ARGUMENT, %edi
    jne     failed
    cmpl    $3, %ebx
    jne     failed
    passed  STAGE_SYSCALL
    sysretq

done:
    movl    $MAGIC, %eax
    outl    %eax, $DONE_PORT
failed:
    hlt
    jmp     failed

breakpoint:
    incl    %ebx
    iretq

page_fault:
    pushq   %rax
    movq    %cr2, %rax
    cmpq    $FAULT_ADDRESS, %rax
    jne     failed
    movq    $FAULT_PTE, %rax
    orq     $1, (%rax)
    movq    $FAULT_ADDRESS, %rax
    invlpg  (%rax)
    incl    %ebx
    popq    %rax
    addq    $8, %rsp
    iretq

kbuild_kvm_payload_end:

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", @progbits
#endif
