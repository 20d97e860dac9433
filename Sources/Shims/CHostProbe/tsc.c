// SPDX-License-Identifier: Apache-2.0
#include "CHostProbe.h"

#include <time.h>

struct kbuild_tsc_sample kbuild_tsc_sample(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    unsigned long long ticks = 0;
#ifdef __x86_64__
    ticks = __builtin_ia32_rdtsc();
#endif
    return (struct kbuild_tsc_sample){ticks, now.tv_sec * 1000000000LL + now.tv_nsec};
}
