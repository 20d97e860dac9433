// SPDX-License-Identifier: Apache-2.0
// msgbox_get N: takes the newest message out of the kernel's message box and prints at most N bytes of it.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char *end;
    long limit = argc == 2 ? strtol(argv[1], &end, 10) : -1;
    if (argc != 2 || *argv[1] == '\0' || *end != '\0' || limit < 0 || limit > 1 << 20) {
        fprintf(stderr, "usage: msgbox_get N, with N from 0 to %d\n", 1 << 20);
        return 2;
    }
    char *buffer = malloc(limit > 0 ? limit : 1);
    if (buffer == NULL) return 1;
    long length = syscall(__NR_dm510_msgbox_get, buffer, limit);
    if (length < 0) {
        fprintf(stderr, "msgbox_get: %s\n", strerror(errno));
        return 1;
    }
    fwrite(buffer, 1, length < limit ? length : limit, stdout);
    putchar('\n');
    return 0;
}
