// SPDX-License-Identifier: Apache-2.0
// planted KIND NUMBER: makes the kernel's mistake of that kind, from two threads where it takes two.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int kind, number;
static char byte[16];

static void *call(void *rounds) {
    for (long round = 0; round < (long)rounds; round++)
        if (syscall(__NR_planted, kind, number, byte) != 0) return "failed";
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    kind = atoi(argv[1]);
    number = atoi(argv[2]);
    if (argc == 3) return call((void *)1L) == NULL ? 0 : 1;
    pthread_t other;
    void *result = NULL;
    if (pthread_create(&other, NULL, call, (void *)atol(argv[3])) != 0) return 3;
    if (call((void *)atol(argv[3])) != NULL) return 1;
    pthread_join(other, &result);
    return result == NULL ? 0 : 1;
}
