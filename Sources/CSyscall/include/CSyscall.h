#ifndef KBUILD_CSYSCALL_H
#define KBUILD_CSYSCALL_H

#include <stdint.h>

/// Makes the x86-64 system call `number` with six arguments and returns what the kernel left in rax: the result, or
/// a negated errno. The C library's syscall() is variadic, which Swift cannot call, and it folds errno away.
intptr_t kbuild_syscall6(
    intptr_t number, intptr_t a, intptr_t b, intptr_t c, intptr_t d, intptr_t e, intptr_t f);

/// The symbolic name of an error number, such as "EFAULT"; NULL for one that the C library does not know.
const char *kbuild_errno_name(int code);

#endif
