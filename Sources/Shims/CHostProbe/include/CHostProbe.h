// SPDX-License-Identifier: Apache-2.0
#ifndef KBUILD_CHOST_PROBE_H
#define KBUILD_CHOST_PROBE_H

/// The result of a small guest under KVM.
enum kbuild_kvm_outcome {
    /// The guest did everything that a kernel's start does, and reported it.
    KBUILD_KVM_WORKS = 0,
    /// This user cannot open KVM.
    KBUILD_KVM_ABSENT = 1,
    /// KVM exists, but the guest did not finish.
    KBUILD_KVM_BROKEN = 2,
};

/// Runs a guest of one virtual CPU under KVM that loads its own descriptor tables, takes an exception and a page
/// fault, writes control and model-specific registers, enters user mode and makes a system call.
///
/// Blocks for at most `seconds`, for which it uses SIGALRM, so it must run in a separate process. `reason` gets one
/// line without a newline, at most `size` bytes with its terminating zero; it is empty when KVM works.
enum kbuild_kvm_outcome kbuild_kvm_probe(unsigned seconds, char *reason, unsigned long size);

/// The processor's time-stamp counter and CLOCK_MONOTONIC_RAW, in nanoseconds, read together. The counter is 0 on
/// processors other than x86.
struct kbuild_tsc_sample {
    unsigned long long ticks;
    long long nanoseconds;
};

/// Takes a sample; two samples determine the counter's frequency.
struct kbuild_tsc_sample kbuild_tsc_sample(void);

#endif
