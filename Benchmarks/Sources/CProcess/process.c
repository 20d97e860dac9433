// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CProcess.h"

#include <sys/syscall.h>
#include <unistd.h>

int bench_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int bench_add_chdir(posix_spawn_file_actions_t *actions, const char *folder)
{
	return posix_spawn_file_actions_addchdir_np(actions, folder);
}
