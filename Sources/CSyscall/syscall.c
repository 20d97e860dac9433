// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CSyscall.h"
#include "calls.h"

#include <string.h>
#include <unistd.h>

static inline intptr_t make_call(
    intptr_t number, intptr_t a, intptr_t b, intptr_t c, intptr_t d, intptr_t e, intptr_t f) {
    // The x86-64 calling convention for system calls: AMD64 ABI, appendix A.2.1.
    register intptr_t fourth __asm__("r10") = d;
    register intptr_t fifth __asm__("r8") = e;
    register intptr_t sixth __asm__("r9") = f;
    intptr_t result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

intptr_t kbuild_syscall6(
    intptr_t number, intptr_t a, intptr_t b, intptr_t c, intptr_t d, intptr_t e, intptr_t f) {
    uint64_t *buckets = kbuild_buckets_of_call(number);
    if (!buckets) return make_call(number, a, b, c, d, e, f);
    uint64_t start = kbuild_call_clock();
    intptr_t result = make_call(number, a, b, c, d, e, f);
    kbuild_count_call(buckets, kbuild_call_clock() - start);
    return result;
}

intptr_t kbuild_int80(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e) {
    // The registers are those of arch/x86/entry/entry_64_compat.S. Kernels before 4.17 cleared r8 to r11.
    int32_t result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "r8", "r9", "r10", "r11", "memory", "cc");
    return result;
}

int kbuild_fork(void) {
    return fork();
}

const char *kbuild_errno_name(int code) {
    return strerrorname_np(code);
}
