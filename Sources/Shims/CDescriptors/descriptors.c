// SPDX-License-Identifier: Apache-2.0
// memfd_create and pipe2 are GNU extensions, which Swift's Glibc module does not show.
#define _GNU_SOURCE
#include "CDescriptors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int kbuild_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int kbuild_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }
