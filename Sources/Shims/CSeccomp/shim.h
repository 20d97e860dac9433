// SPDX-License-Identifier: Apache-2.0
// libseccomp writes the filter of system calls for confined commands.
#ifndef KBUILD_CSECCOMP_H
#define KBUILD_CSECCOMP_H

#include <errno.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

// SCMP_ACT_ERRNO is a macro with an argument, which Swift does not import.
static inline unsigned int kbuild_seccomp_errno(unsigned short number) { return SCMP_ACT_ERRNO(number); }

// A file without a name, closed on exec. memfd_create(2) is declared only for _GNU_SOURCE.
static inline int kbuild_nameless_file(const char *name) { return (int)syscall(SYS_memfd_create, name, 1u); }

#endif
