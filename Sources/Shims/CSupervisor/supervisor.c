// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CSupervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FIRST_DESCRIPTOR = 3,
    // Files are opened above this descriptor, so that moving one to its place cannot close another.
    OUT_OF_THE_WAY = 100,
};

static int exit_code(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void fail(const char *what) {
    fprintf(stderr, "kbuild: %s: %s\n", what, strerror(errno));
    _exit(127);
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int low = socket(AF_UNIX, SOCK_STREAM, 0);
    int high = fcntl(low, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    close(low);
    if (connect(high, (struct sockaddr *)&address, sizeof address) != 0) return -1;
    return high;
}

static int open_file(const char *path) {
    int low = open(path, O_RDONLY | O_CLOEXEC);
    if (low < 0) return -1;
    int high = fcntl(low, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    close(low);
    return high;
}

static int open_path(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) return -1;
    return S_ISSOCK(status.st_mode) ? connect_to(path) : open_file(path);
}

static void run_child(char *const argv[], char *const paths[], const sigset_t *mask) {
    int count = 0;
    int opened[16];
    for (; paths[count] != NULL; count++) {
        if (count == (int)(sizeof opened / sizeof *opened)) _exit(127);
        opened[count] = open_path(paths[count]);
        if (opened[count] < 0) fail(paths[count]);
    }
    for (int index = 0; index < count; index++)
        if (dup2(opened[index], FIRST_DESCRIPTOR + index) < 0) fail("dup2");
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0) fail("/dev/null");
    if (null != STDIN_FILENO) close(null);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(argv[0], argv);
    fail(argv[0]);
}

// Ends the processes that the child left in its own session, such as user-mode Linux's; our own process group is not
// affected. The child must not have been reaped, or its process ID could be another process's.
static void kill_own_session(pid_t child) {
    if (getsid(child) == child) kill(-child, SIGKILL);
}

int kbuild_supervise(char *const argv[], char *const paths[]) {
    pid_t parent = getpid();
    sigset_t terminate, before;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    sigprocmask(SIG_BLOCK, &terminate, &before);
    pid_t child = fork();
    if (child < 0) {
        perror("kbuild: fork");
        return 127;
    }
    if (child == 0) {
        // The supervisor has one thread, so the death signal, which follows the thread that forked, cannot
        // fire early. The check closes the race with a supervisor that died before prctl.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(127);
        run_child(argv, paths, &before);
    }

    // The supervisor keeps its copies of standard output and error open until it ends: a reader that closes the
    // lifeline at their end cannot do so before the child has ended.
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd watched[3] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = pidfd, .events = POLLIN},
        {.fd = signalfd(-1, &terminate, SFD_CLOEXEC), .events = POLLIN},
    };
    for (;;) {
        siginfo_t ended = {0};
        if (waitid(P_PID, child, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == child) {
            kill_own_session(child);
            int status;
            waitpid(child, &status, 0);
            return exit_code(status);
        }
        // Without pidfd_open (before Linux 5.3) the child is polled.
        int ready = poll(watched, 3, pidfd < 0 ? 50 : -1);
        if (ready < 0 && errno != EINTR) return 127;
        if (watched[0].revents) {
            char byte;
            if (read(STDIN_FILENO, &byte, 1) == 0) {
                kill_own_session(child);
                kill(0, SIGKILL);
            }
        }
        if (watched[2].revents) {
            // A signal to the group has reached a child in it; a child in its own session has nothing to clean up.
            struct signalfd_siginfo signal;
            if (read(watched[2].fd, &signal, sizeof signal) < 0) continue;
            kill_own_session(child);
        }
    }
}
