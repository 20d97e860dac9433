// What PID 1 needs of the C library: Embedded Swift has no Glibc module, and cannot call variadic functions.
#ifndef KBUILD_CINIT_H
#define KBUILD_CINIT_H

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static inline int kbuild_open(const char *path, int flags) { return open(path, flags, 0644); }
static inline int kbuild_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
static inline int kbuild_errno(void) { return errno; }
static inline void kbuild_set_errno(int value) { errno = value; }
static inline int kbuild_exited(int status) { return WIFEXITED(status); }
static inline int kbuild_exit_status(int status) { return WEXITSTATUS(status); }
static inline int kbuild_term_signal(int status) { return WTERMSIG(status); }
static inline int kbuild_set_nonblocking(int fd) { return fcntl(fd, F_SETFL, O_NONBLOCK); }
static inline const char *kbuild_entry_name(const struct dirent *entry) { return entry->d_name; }
static inline int64_t kbuild_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Values that the importer skips because their macros have casts or arithmetic.
static const int kbuild_sigchld = SIGCHLD;
static const int kbuild_sigkill = SIGKILL;

#endif
