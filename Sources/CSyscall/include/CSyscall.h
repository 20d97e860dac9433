// SPDX-License-Identifier: Apache-2.0
#ifndef KBUILD_CSYSCALL_H
#define KBUILD_CSYSCALL_H

#include <stdint.h>

/// Makes the x86-64 system call `number` with six arguments and returns what the kernel left in rax: the result, or
/// a negated errno. The C library's syscall() is variadic, which Swift cannot call, and it folds errno away.
intptr_t kbuild_syscall6(
    intptr_t number, intptr_t a, intptr_t b, intptr_t c, intptr_t d, intptr_t e, intptr_t f);

/// Makes the i386 system call `number` by `int $0x80`, which a 64-bit process may do as well, and returns what the
/// kernel left in eax, sign-extended: the result, or a negated errno. Addresses must lie below 4 GiB.
intptr_t kbuild_int80(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e);

/// fork(2), which Swift has no name for: returns 0 in the child, the child's process id in the parent, or -1 with errno.
int kbuild_fork(void);

/// The symbolic name of an error number, such as "EFAULT"; NULL for one that the C library does not know.
const char *kbuild_errno_name(int code);

#endif
