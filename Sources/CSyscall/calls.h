// SPDX-License-Identifier: Apache-2.0
// The durations of system calls, for `kbuild run --profile-calls`: counted in a file of the guest that exists only in
// such a run, so that other runs pay for one comparison.
#ifndef KBUILD_CALLS_H
#define KBUILD_CALLS_H

#include <stdint.h>

/// The buckets in which a call's durations are counted; NULL when the call is not timed.
uint64_t *kbuild_buckets_of_call(intptr_t number);

/// The clock for durations: nanoseconds, or, where QEMU counts instructions, the time-stamp counter.
uint64_t kbuild_call_clock(void);

/// Counts a duration. Threads and processes may do so at one time.
void kbuild_count_call(uint64_t *buckets, uint64_t duration);

#endif
