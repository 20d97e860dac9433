// SPDX-License-Identifier: Apache-2.0
// The C library calls a program's main function through this function (glibc's csu/libc-start.c). The definition
// of a preloaded library takes precedence.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

extern int kbuild_harness_main(void);

typedef int (*main_function)(int, char **, char **);

static int hold(int argc, char **argv, char **environment) {
    (void)argc, (void)argv, (void)environment;
    return kbuild_harness_main();
}

int __libc_start_main(
    main_function main, int argc, char **argv, main_function init, void (*fini)(void), void (*rtld_fini)(void),
    void *stack_end) {
    int (*real)(main_function, int, char **, main_function, void (*)(void), void (*)(void), void *) =
        dlsym(RTLD_NEXT, "__libc_start_main");
    if (real == NULL) abort();
    return real(getenv("KBUILD_HOLD") != NULL ? hold : main, argc, argv, init, fini, rtld_fini, stack_end);
}
