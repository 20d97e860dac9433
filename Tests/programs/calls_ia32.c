// SPDX-License-Identifier: Apache-2.0
// The calls that 32-bit programs have, from a 32-bit program, told as KTAP: https://docs.kernel.org/dev-tools/ktap.html
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifndef __i386__
#error "this program is for i386: say bits: 32"
#endif

struct memcpy_struct {
    const void *src;
    void *dst;
    unsigned long size;
};
_Static_assert(sizeof(struct memcpy_struct) == 12, "the layout that the compat entry reads");

// The gate itself, and not syscall(), which may enter the kernel another way.
static long int80(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "cc");
    return result;
}

static long call_struct(const void *src, void *dst, unsigned long size) {
    struct memcpy_struct args = {src, dst, size};
    return int80(__NR_memcpy_struct, (long)&args, 0, 0);
}

static long call_memcpy(const void *src, void *dst, unsigned long size) {
    return int80(__NR_memcpy, (long)src, (long)dst, (long)size);
}

static int number, failures;

static void report(int passed, const char *name) {
    if (!passed) ++failures;
    printf("%s %d %s\n", passed ? "ok" : "not ok", ++number, name);
}

int main(void) {
    const char text[] = "thirty-two bits";
    char copy[sizeof text + 1];
    long result;

    puts("KTAP version 1\n1..10");

    memset(copy, 0x5A, sizeof copy);
    result = call_struct(text, copy, sizeof text);
    report(result == 0 && memcmp(copy, text, sizeof text) == 0, "memcpy_struct copies what a 12-byte struct says");
    report(copy[sizeof text] == 0x5A, "memcpy_struct writes nothing beyond");
    report(call_struct(text, copy, (1UL << 20) + 1) == -E2BIG, "memcpy_struct refuses more than its bound");
    report(call_struct(NULL, copy, 1) == -EFAULT, "memcpy_struct refuses a bad source");
    report(int80(__NR_memcpy_struct, 0, 0, 0) == -EFAULT, "memcpy_struct refuses a bad struct");

    memset(copy, 0, sizeof copy);
    result = call_memcpy(text, copy, sizeof text);
    report(result == 0 && memcmp(copy, text, sizeof text) == 0, "memcpy copies");
    report(call_memcpy(text, copy, -1UL) == -E2BIG, "memcpy refuses a negative length");

    while (int80(__NR_dm510_msgbox_get, (long)copy, 0, 0) >= 0) {
    }
    report(int80(__NR_dm510_msgbox_get, (long)copy, 1, 0) == -ENODATA, "an empty box gives ENODATA");
    report(int80(__NR_dm510_msgbox_put, (long)text, sizeof text, 0) == 0, "put returns 0");
    memset(copy, 0, sizeof copy);
    result = int80(__NR_dm510_msgbox_get, (long)copy, sizeof copy, 0);
    report(result == sizeof text && memcmp(copy, text, sizeof text) == 0, "get returns the message");
    return failures != 0;
}
