// SPDX-License-Identifier: Apache-2.0
#ifndef KBUILD_CDESCRIPTORS_H
#define KBUILD_CDESCRIPTORS_H

/// Creates a file that exists only in memory and is closed on exec. Returns its descriptor, or -1 with errno set.
int kbuild_memory_file(const char *name);

/// Creates a pipe whose two ends are closed on exec. Returns 0, or -1 with errno set.
int kbuild_pipe(int ends[2]);

#endif
