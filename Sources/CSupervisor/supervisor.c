#define _GNU_SOURCE
#include "CSupervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int exit_code(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int kbuild_supervise(char *const argv[]) {
    pid_t parent = getpid();
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
        int null = open("/dev/null", O_RDONLY);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0) _exit(127);
        if (null != STDIN_FILENO) close(null);
        execvp(argv[0], argv);
        fprintf(stderr, "kbuild: cannot run %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }

    // The supervisor keeps its copies of standard output and error open until it ends: whoever reads them to their
    // end, and lets go of the lifeline then, cannot do so while the child is still on its way out.
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd watched[2] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = pidfd, .events = POLLIN},
    };
    for (;;) {
        int status;
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child) return exit_code(status);
        // Without pidfd_open (before Linux 5.3) the child is polled for.
        int ready = poll(watched, 2, pidfd < 0 ? 50 : -1);
        if (ready < 0 && errno != EINTR) return 127;
        if (watched[0].revents) {
            char byte;
            if (read(STDIN_FILENO, &byte, 1) == 0) kill(0, SIGKILL);
        }
    }
}
