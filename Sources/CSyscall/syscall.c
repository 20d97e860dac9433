#define _GNU_SOURCE
#include "CSyscall.h"

#include <string.h>

intptr_t kbuild_syscall6(
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

const char *kbuild_errno_name(int code) {
    return strerrorname_np(code);
}
