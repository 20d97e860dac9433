// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "calls.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/// The file's words of 64 bits: the form's version, the unit, the number of calls, the calls' numbers, and then the
/// buckets of each call. rootfs/init/CallTimes.swift creates the file and reads the buckets.
enum { VERSION = 1, WORDS_BEFORE_NUMBERS = 3, BUCKETS = 976 };

/// The units of a duration.
enum { NANOSECONDS = 0, TIME_STAMPS = 1 };

/// The mapped file; NULL when no call is timed. Children share it.
static uint64_t *times;

/// Runs before main, so that no call has to look for the file.
__attribute__((constructor)) static void open_times(void) {
    int descriptor = open("/dev/kbuild-calls", O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return;
    struct stat status;
    if (fstat(descriptor, &status) == 0 && status.st_size >= (off_t)(WORDS_BEFORE_NUMBERS * sizeof *times)) {
        size_t size = (size_t)status.st_size;
        uint64_t *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
        if (mapped != MAP_FAILED) {
            uint64_t words = WORDS_BEFORE_NUMBERS + mapped[2] * (1 + BUCKETS);
            if (mapped[0] == VERSION && mapped[2] <= size && words * sizeof *times <= size) times = mapped;
        }
    }
    close(descriptor);
}

uint64_t *kbuild_buckets_of_call(intptr_t number) {
    if (!times) return NULL;
    uint64_t count = times[2];
    for (uint64_t index = 0; index < count; index++) {
        if (times[WORDS_BEFORE_NUMBERS + index] == (uint64_t)number) {
            return times + WORDS_BEFORE_NUMBERS + count + index * BUCKETS;
        }
    }
    return NULL;
}

uint64_t kbuild_call_clock(void) {
    if (times && times[1] == TIME_STAMPS) return __builtin_ia32_rdtsc();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static unsigned bucket_of(uint64_t duration) {
    if (duration < 16) return (unsigned)duration;
    unsigned exponent = 63 - (unsigned)__builtin_clzll(duration);
    return (exponent - 3) * 16 + (unsigned)(duration >> (exponent - 4) & 15);
}

void kbuild_count_call(uint64_t *buckets, uint64_t duration) {
    __atomic_fetch_add(buckets + bucket_of(duration), 1, __ATOMIC_RELAXED);
}
