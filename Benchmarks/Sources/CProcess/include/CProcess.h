// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <spawn.h>
#include <sys/types.h>

/* pidfd_open(2), which becomes readable when the process ends; -1 with errno set when it fails. */
int bench_pidfd_open(pid_t pid);

/* posix_spawn_file_actions_addchdir_np(3): the child starts in this folder. Returns an error's number, or 0. */
int bench_add_chdir(posix_spawn_file_actions_t *actions, const char *folder);
