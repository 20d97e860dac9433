// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CHostProbe.h"

#include <stdio.h>

#if defined(__x86_64__) && defined(__linux__)

#include "payload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

extern const unsigned char kbuild_kvm_payload_start[];
extern const unsigned char kbuild_kvm_payload_end[];

// Present, writable, reachable from user mode: every page, because the payload's user part lies among the others.
#define PAGE_FLAGS 7UL

// KVM_GET_SUPPORTED_CPUID needs the size of the array; current CPUs fill about 60 entries.
#define CPUID_ENTRIES 256

static volatile sig_atomic_t limit_reached;
static struct kvm_run *volatile running;

static void on_alarm(int signal) {
    (void)signal;
    limit_reached = 1;
    // Closes the race with an alarm just before KVM_RUN, which then returns at once.
    if (running) running->immediate_exit = 1;
}

static const char *after(int stage) {
    static const char *const names[] = {
        "its first instruction", "entering the guest", "lgdt", "ltr", "lidt", "int3", "a page fault",
        "CR3 and CR4 writes", "MSR writes", "syscall from user mode",
    };
    return stage >= 0 && stage < (int)(sizeof(names) / sizeof(names[0])) ? names[stage] : "an unknown stage";
}

static const char *during(int stage) {
    return after(stage < STAGE_SYSCALL ? stage + 1 : STAGE_SYSCALL);
}

static void build_memory(unsigned char *memory) {
    uint64_t *table = (uint64_t *)(memory + PML4_PAGE);
    table[0] = PDPT_PAGE | PAGE_FLAGS;
    table = (uint64_t *)(memory + PDPT_PAGE);
    table[0] = PD_PAGE | PAGE_FLAGS;
    table = (uint64_t *)(memory + PD_PAGE);
    table[0] = PT_PAGE | PAGE_FLAGS;
    table = (uint64_t *)(memory + PT_PAGE);
    for (uint64_t address = 0; address < GUEST_MEMORY; address += 0x1000)
        table[address >> 12] = address | PAGE_FLAGS;
    table[FAULT_ADDRESS >> 12] &= ~1UL;
    memcpy(memory + PAYLOAD_ADDRESS, kbuild_kvm_payload_start, kbuild_kvm_payload_end - kbuild_kvm_payload_start);
}

// Long mode with flat segments, as a 64-bit boot loader would leave it.
static int enter_long_mode(int vcpu) {
    struct kvm_sregs sregs;
    if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0) return -1;
    struct kvm_segment code = {
        .limit = 0xffffffff, .selector = KERNEL_CODE, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1,
    };
    struct kvm_segment data = {
        .limit = 0xffffffff, .selector = KERNEL_DATA, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1,
    };
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr3 = PML4_PAGE;
    sregs.cr4 = 0x20;        // PAE
    sregs.cr0 = 0x80010031;  // PG, WP, NE, ET, PE
    sregs.efer = 0x500;      // LMA, LME
    struct kvm_regs regs = {.rip = PAYLOAD_ADDRESS, .rsp = STACK_TOP, .rflags = 2};
    return ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0 ? -1 : 0;
}

static int copy_cpuid(int kvm, int vcpu) {
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
    if (!cpuid) return -1;
    cpuid->nent = CPUID_ENTRIES;
    int result = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
    if (result == 0) result = ioctl(vcpu, KVM_SET_CPUID2, cpuid);
    free(cpuid);
    return result;
}

// Runs the guest to its end, and returns the outcome and its reason.
static enum kbuild_kvm_outcome run_guest(int vcpu, struct kvm_run *run, char *reason, unsigned long size) {
    int stage = 0;
    // The guest exits once for each stage. More exits mean that it is out of control.
    for (int exits = 0; exits < 1000; exits++) {
        int result = ioctl(vcpu, KVM_RUN, 0);
        if (limit_reached) {
            snprintf(reason, size, "the guest hung during %s", during(stage));
            return KBUILD_KVM_BROKEN;
        }
        if (result < 0) {
            if (errno == EINTR || errno == EAGAIN) continue;
            snprintf(reason, size, "KVM_RUN failed during %s: %s", during(stage), strerror(errno));
            return KBUILD_KVM_BROKEN;
        }
        switch (run->exit_reason) {
        case KVM_EXIT_IO: {
            const unsigned char *data = (const unsigned char *)run + run->io.data_offset;
            if (run->io.direction != KVM_EXIT_IO_OUT) break;
            if (run->io.port == STAGE_PORT && run->io.size == 1) {
                if (*data != stage + 1) {
                    snprintf(reason, size, "the guest reported stage %d after stage %d", *data, stage);
                    return KBUILD_KVM_BROKEN;
                }
                stage = *data;
                continue;
            }
            if (run->io.port == DONE_PORT && run->io.size == 4) {
                uint32_t value;
                memcpy(&value, data, sizeof(value));
                if (value == MAGIC && stage == STAGE_SYSCALL) return KBUILD_KVM_WORKS;
                snprintf(reason, size, "the guest ended with the wrong value %#x after %s", value, after(stage));
                return KBUILD_KVM_BROKEN;
            }
            break;
        }
        case KVM_EXIT_INTERNAL_ERROR:
            snprintf(reason, size, "KVM_EXIT_INTERNAL_ERROR, suberror %u, during %s", run->internal.suberror,
                     during(stage));
            return KBUILD_KVM_BROKEN;
        case KVM_EXIT_SHUTDOWN:
            snprintf(reason, size, "KVM_EXIT_SHUTDOWN (a triple fault) during %s", during(stage));
            return KBUILD_KVM_BROKEN;
        case KVM_EXIT_FAIL_ENTRY:
            snprintf(reason, size, "KVM_EXIT_FAIL_ENTRY, hardware reason %#llx, during %s",
                     (unsigned long long)run->fail_entry.hardware_entry_failure_reason, during(stage));
            return KBUILD_KVM_BROKEN;
        case KVM_EXIT_HLT:
            snprintf(reason, size, "the guest saw a wrong result of %s", during(stage));
            return KBUILD_KVM_BROKEN;
        default:
            break;
        }
        snprintf(reason, size, "unexpected exit %u during %s", run->exit_reason, during(stage));
        return KBUILD_KVM_BROKEN;
    }
    snprintf(reason, size, "the guest left again and again during %s", during(stage));
    return KBUILD_KVM_BROKEN;
}

enum kbuild_kvm_outcome kbuild_kvm_probe(unsigned seconds, char *reason, unsigned long size) {
    if (size > 0) reason[0] = 0;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0) {
        snprintf(reason, size, "cannot open /dev/kvm: %s", strerror(errno));
        return KBUILD_KVM_ABSENT;
    }
    int version = ioctl(kvm, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        snprintf(reason, size, "KVM speaks version %d of its interface, not %d", version, KVM_API_VERSION);
        return KBUILD_KVM_BROKEN;
    }

    // Each call sets its own name first, so that the failed one is known.
    const char *call = "KVM_CREATE_VM";
    int machine = ioctl(kvm, KVM_CREATE_VM, 0);
    if (machine < 0) goto failed;
    // The place of KVM's own TSS on Intel's CPUs: just below the BIOS, as in every user of KVM.
    call = "KVM_SET_TSS_ADDR";
    if (ioctl(machine, KVM_SET_TSS_ADDR, 0xfffbd000UL) < 0) goto failed;
    call = "mmap";
    unsigned char *memory =
        mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) goto failed;
    build_memory(memory);
    struct kvm_userspace_memory_region region = {.memory_size = GUEST_MEMORY, .userspace_addr = (uint64_t)memory};
    call = "KVM_SET_USER_MEMORY_REGION";
    if (ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) < 0) goto failed;
    call = "KVM_CREATE_VCPU";
    int vcpu = ioctl(machine, KVM_CREATE_VCPU, 0);
    if (vcpu < 0) goto failed;
    call = "KVM_SET_CPUID2";
    if (copy_cpuid(kvm, vcpu) < 0) goto failed;
    call = "KVM_SET_SREGS";
    if (enter_long_mode(vcpu) < 0) goto failed;
    call = "KVM_GET_VCPU_MMAP_SIZE";
    int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_size < (int)sizeof(struct kvm_run)) goto failed;
    call = "mmap";
    struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED) goto failed;

    running = run;
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval limit = {.it_value = {.tv_sec = seconds}};
    setitimer(ITIMER_REAL, &limit, NULL);
    enum kbuild_kvm_outcome outcome = run_guest(vcpu, run, reason, size);
    struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    // The descriptors and mappings go with the process, which has nothing else to do.
    return outcome;

failed:
    snprintf(reason, size, "%s failed: %s", call, strerror(errno));
    return KBUILD_KVM_BROKEN;
}

#else

enum kbuild_kvm_outcome kbuild_kvm_probe(unsigned seconds, char *reason, unsigned long size) {
    (void)seconds;
    snprintf(reason, size, "the probe knows x86-64 Linux only");
    return KBUILD_KVM_ABSENT;
}

#endif
