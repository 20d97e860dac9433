// SPDX-License-Identifier: Apache-2.0
// The message box's contract in short, told as KTAP: https://docs.kernel.org/dev-tools/ktap.html
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int number;

static void report(int passed, const char *name) {
    printf("%s %d %s\n", passed ? "ok" : "not ok", ++number, name);
}

int main(void) {
    char buffer[16] = "";
    puts("KTAP version 1\n1..3");
    while (syscall(__NR_dm510_msgbox_get, buffer, 0) >= 0) {
    }
    report(errno == ENODATA, "an empty box gives ENODATA");
    report(syscall(__NR_dm510_msgbox_put, "message", 7) == 0, "put returns 0");
    report(
        syscall(__NR_dm510_msgbox_get, buffer, sizeof buffer) == 7 && memcmp(buffer, "message", 7) == 0,
        "get returns the message");
    return 0;
}
