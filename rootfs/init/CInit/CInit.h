// What PID 1 needs of the C library: Embedded Swift has no Glibc module, and cannot call variadic functions.
#ifndef KBUILD_CINIT_H
#define KBUILD_CINIT_H

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
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
static inline int kbuild_set_blocking(int fd) { return fcntl(fd, F_SETFL, 0); }
static inline const char *kbuild_entry_name(const struct dirent *entry) { return entry->d_name; }
static inline int64_t kbuild_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int kbuild_set_clock(int64_t seconds, int64_t nanoseconds) {
    struct timespec now = {.tv_sec = seconds, .tv_nsec = nanoseconds};
    return clock_settime(CLOCK_REALTIME, &now);
}

static inline int64_t kbuild_free_memory(void) {
    struct sysinfo information;
    return sysinfo(&information) == 0 ? (int64_t)information.freeram * information.mem_unit : 0;
}

// Adds random bytes that nobody else knows to the kernel's and draws new keys from them all. 0 when that was done.
static inline int kbuild_reseed(const void *bytes, uint32_t count) {
    struct {
        struct rand_pool_info info;
        uint8_t bytes[64];
    } pool = {.info = {.entropy_count = (int)count * 8, .buf_size = (int)count}};
    if (count < 32 || count > sizeof pool.bytes) {
        errno = EINVAL;
        return -1;
    }
    memcpy(pool.bytes, bytes, count);
    int random = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    if (random < 0) return -1;
    int result = ioctl(random, RNDADDENTROPY, &pool);
    if (result == 0) result = ioctl(random, RNDRESEEDCRNG);
    close(random);
    return result;
}

static inline int kbuild_set_terminal_size(int fd, uint16_t rows, uint16_t columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(fd, TIOCSWINSZ, &size);
}

// Makes a terminal, writes the name of the end for programs to `name` and returns the other end, or -1.
static inline int kbuild_open_terminal(char *name, size_t size) {
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int locked = 0;
    unsigned number;
    if (fd < 0) return -1;
    if (ioctl(fd, TIOCSPTLCK, &locked) != 0 || ioctl(fd, TIOCGPTN, &number) != 0) {
        close(fd);
        return -1;
    }
    snprintf(name, size, "/dev/pts/%u", number);
    struct termios settings;
    if (tcgetattr(fd, &settings) == 0) {
        // Erasing takes away a whole character.
        settings.c_iflag |= IUTF8;
        tcsetattr(fd, TCSANOW, &settings);
    }
    return fd;
}

// Values that the importer skips because their macros have casts or arithmetic.
static const int kbuild_sigchld = SIGCHLD;
static const int kbuild_sigkill = SIGKILL;
static const int kbuild_sigterm = SIGTERM;
static const int kbuild_sigusr1 = SIGUSR1;
static const int kbuild_sigusr2 = SIGUSR2;

#endif
