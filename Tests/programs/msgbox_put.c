// SPDX-License-Identifier: Apache-2.0
// msgbox_put TEXT: puts TEXT into the kernel's message box.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: msgbox_put TEXT\n");
        return 2;
    }
    if (syscall(__NR_dm510_msgbox_put, argv[1], strlen(argv[1])) != 0) {
        fprintf(stderr, "msgbox_put: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}
