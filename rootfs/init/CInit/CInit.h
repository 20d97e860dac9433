// SPDX-License-Identifier: Apache-2.0
// The parts of the C library that PID 1 needs: Embedded Swift has no Glibc module, and cannot call variadic functions.
#ifndef KBUILD_CINIT_H
#define KBUILD_CINIT_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <sys/io.h>
#endif
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static inline int kbuild_open(const char *path, int flags) { return open(path, flags, 0644); }
// Loads a module; one that is loaded already is no error. 0 or -1.
static inline int kbuild_load_module(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    long result = syscall(SYS_finit_module, fd, "", 0);
    int error = errno;
    close(fd);
    errno = error;
    return result == 0 || error == EEXIST ? 0 : -1;
}
// Writes a byte to an I/O port of the machine, if this process may.
static inline void kbuild_write_port(uint16_t port, uint8_t value) {
#if defined(__x86_64__) || defined(__i386__)
    if (ioperm(port, 1, 1) == 0) outb(value, port);
#else
    (void)port;
    (void)value;
#endif
}
static inline int kbuild_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
static inline int kbuild_errno(void) { return errno; }
static inline void kbuild_set_errno(int value) { errno = value; }
static inline int kbuild_exited(int status) { return WIFEXITED(status); }
static inline int kbuild_exit_status(int status) { return WEXITSTATUS(status); }
static inline int kbuild_term_signal(int status) { return WTERMSIG(status); }
static inline int kbuild_set_nonblocking(int fd) { return fcntl(fd, F_SETFL, O_NONBLOCK); }
// Limits a pipe to one packet: a write waits until the previous packet was read (pipe(7), O_DIRECT). Returns 0 on
// success.
static inline int kbuild_hold_one_packet(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0) return -1;
    return fcntl(fd, F_SETPIPE_SZ, 4096) < 0 ? -1 : 0;
}
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

// Adds secret random bytes to the kernel's pool and reseeds it. Returns 0 on success.
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

// Creates a pseudo-terminal, writes the name of the programs' end to `name` and returns the other end, or -1.
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
        // Erase removes a whole character.
        settings.c_iflag |= IUTF8;
        tcsetattr(fd, TCSANOW, &settings);
    }
    return fd;
}

static inline int kbuild_contains(const uint8_t *bytes, size_t count, const char *text) {
    return memmem(bytes, count, text, strlen(text)) != NULL;
}

// The type of a path under /proc/sys: 1 for a folder, 2 for a setting that can be read and written, 0 for anything
// else.
static inline int kbuild_setting_kind(const char *path) {
    struct stat status;
    if (lstat(path, &status) != 0) return 0;
    if (S_ISDIR(status.st_mode)) return 1;
    return S_ISREG(status.st_mode) && (status.st_mode & 0400) && (status.st_mode & 0200) ? 2 : 0;
}

// Brings up the loopback interface, which then has 127.0.0.1 (inetdev_event in net/ipv4/devinet.c). 0 or -1.
static inline int kbuild_bring_up_loopback(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct ifreq request = {.ifr_name = "lo"};
    int result = ioctl(fd, SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP;
    if (result == 0) result = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return result;
}

static inline struct sockaddr kbuild_address(const char *text) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(text)};
    struct sockaddr generic;
    memcpy(&generic, &address, sizeof generic);
    return generic;
}

// Gives an interface an address and a default gateway, and brings it up. 0 or -1.
static inline int kbuild_set_up_interface(const char *name, const char *address, const char *mask, const char *gateway) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_addr = kbuild_address(address);
    int result = ioctl(fd, SIOCSIFADDR, &request);
    request.ifr_netmask = kbuild_address(mask);
    if (result == 0) result = ioctl(fd, SIOCSIFNETMASK, &request);
    if (result == 0) result = ioctl(fd, SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP;
    if (result == 0) result = ioctl(fd, SIOCSIFFLAGS, &request);
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    route.rt_dst = route.rt_genmask = kbuild_address("0.0.0.0");
    route.rt_gateway = kbuild_address(gateway);
    if (result == 0) result = ioctl(fd, SIOCADDRT, &route);
    close(fd);
    return result;
}

// Whether the kernel has a kind of namespace: "pid" or "ipc".
static inline int kbuild_has_namespace(const char *kind) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    return access(path, F_OK) == 0;
}

// The message from the keeper of a program's namespaces to init, by a pipe.
struct kbuild_account {
    // 0: the program ended, and value is its status in waitpid's form. 1: it could not be started, and value is the
    // error.
    int kind;
    int value;
};

static inline void kbuild_tell(int pipe, int kind, int value) {
    struct kbuild_account account = {kind, value};
    (void)!write(pipe, &account, sizeof account);
}

// Reads the message; 0 when there is none.
static inline int kbuild_read_account(int pipe, struct kbuild_account *account) {
    return read(pipe, account, sizeof *account) == sizeof *account;
}

// Starts a child with the same process ID in its own namespace and in its parent's, if that ID is free: then a system
// call that uses current->pid agrees with a test that calls getpid(), as without namespaces.
static inline pid_t kbuild_fork_as(pid_t wanted) {
    for (pid_t number = wanted; wanted > 1 && number < wanted + 16; number++) {
        pid_t numbers[2] = {number, number};
        struct {
            uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size;
        } arguments = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)numbers, .set_tid_size = 2};
        pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
        if (child >= 0) return child;
        if (errno != EEXIST) break;
    }
    return fork();
}

// Mounts fresh folders for the files that programs leave, and a /proc of the namespace's own processes, in this
// process's mount namespace. 0 or -1.
static inline int kbuild_mount_apart(int has_pids) {
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return -1;
    if (mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777") != 0) return -1;
    if (mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777") != 0 && errno != ENOENT) return -1;
    if (mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0 && errno != ENOENT) return -1;
    // The message queues of the program's own namespace, if the kernel has them.
    (void)mount("mqueue", "/dev/mqueue", "mqueue", 0, NULL);
    return has_pids ? mount("proc", "/proc", "proc", 0, NULL) : 0;
}

// Starts a program in its own namespaces: mounts and, if the kernel has them, process IDs and IPC. The returned child
// is their keeper: it makes the program's private mounts, starts the program in its own session, adopts orphans, and
// writes to the pipe how the program ended. When the keeper ends, everything that the program left is gone. Returns -1
// with errno set.
//
// streams: the program's descriptors 0 to 3; -1 skips a descriptor.
static inline pid_t kbuild_spawn_apart(
    char *const arguments[], char *const environment[], const int streams[4], int account) {
    int has_pids = kbuild_has_namespace("pid");
    unsigned long flags = SIGCHLD | CLONE_NEWNS;
    if (has_pids) flags |= CLONE_NEWPID;
    if (kbuild_has_namespace("ipc")) flags |= CLONE_NEWIPC;
    pid_t keeper = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (keeper != 0) return keeper;

    // The keeper's process ID outside of its namespace, read while /proc is still the outer one.
    char number[16] = "";
    pid_t outside = readlink("/proc/self", number, sizeof number - 1) > 0 ? atoi(number) : 0;
    if (kbuild_mount_apart(has_pids) != 0) {
        kbuild_tell(account, 1, errno);
        _exit(1);
    }
    pid_t program = has_pids && outside > 0 ? kbuild_fork_as(outside + 1) : fork();
    if (program == 0) {
        setsid();
        int failed = 0;
        // Above all of the target numbers.
        int high[4];
        for (int i = 0; i < 4; i++) high[i] = streams[i] < 0 ? -1 : fcntl(streams[i], F_DUPFD_CLOEXEC, 10);
        for (int i = 0; i < 4; i++) {
            if (streams[i] >= 0 && (high[i] < 0 || dup2(high[i], i) < 0)) failed = 1;
        }
        if (!failed && chdir("/tmp") == 0) execve(arguments[0], arguments, environment);
        kbuild_tell(account, 1, errno);
        _exit(127);
    }
    if (program < 0) {
        kbuild_tell(account, 1, errno);
        _exit(1);
    }
    // Pipes that only the program and its children may hold open.
    if (account > 0) syscall(SYS_close_range, 0, account - 1, 0);
    syscall(SYS_close_range, account + 1, ~0U, 0);
    for (;;) {
        int status;
        pid_t ended = waitpid(-1, &status, 0);
        if (ended == program) {
            kbuild_tell(account, 0, status);
            _exit(0);
        }
        if (ended < 0 && errno != EINTR) _exit(1);
    }
}

// Starts a child that loads the module in the file `name`, or unloads the module of that name. It exits with 0 or errno.
// Returns -1 with errno set.
static inline pid_t kbuild_start_module_call(const char *name, const char *parameters, int unloads) {
    pid_t child = fork();
    if (child != 0) return child;
    long result;
    if (unloads) {
        result = syscall(SYS_delete_module, name, O_NONBLOCK);
    } else {
        int file = open(name, O_RDONLY | O_CLOEXEC);
        if (file < 0) _exit(errno);
        result = syscall(SYS_finit_module, file, parameters, 0);
    }
    _exit(result == 0 ? 0 : errno);
}

// Values that the importer skips because their macros have casts or arithmetic.
static const int kbuild_sigchld = SIGCHLD;
static const int kbuild_sigkill = SIGKILL;
static const int kbuild_sighup = SIGHUP;
static const int kbuild_sigint = SIGINT;
static const int kbuild_sigterm = SIGTERM;
static const int kbuild_sigusr1 = SIGUSR1;
static const int kbuild_sigusr2 = SIGUSR2;

#endif
