// SPDX-License-Identifier: Apache-2.0

/// The kind of a kernel's crash report.
public enum CrashKind: String, Sendable, Codable, CaseIterable {
    /// `Kernel panic`, for a reason without a separate kind.
    case panic
    /// PID 1 ended, which panics.
    case initKilled
    /// The stack protector found a canary overwritten.
    case stackProtector
    /// A kernel stack overflowed into its guard page, or its end was overwritten.
    case stackOverflow
    /// An access to unmapped memory.
    case pageFault
    /// An access near address 0.
    case nullPointer
    /// A general protection fault: on x86-64 mostly an address that is not canonical.
    case generalProtection
    /// A division by zero, or with a result that does not fit.
    case divideError
    /// An invalid instruction.
    case invalidOpcode
    /// A double fault.
    case doubleFault
    /// Another exception in kernel mode.
    case oops
    /// `BUG()`, or another report that begins with `BUG:`.
    case bug
    /// `WARN()`
    case warning
    /// The kernel address sanitizer.
    case kasan
    /// The kernel memory sanitizer.
    case kmsan
    /// The kernel concurrency sanitizer.
    case kcsan
    /// The undefined behaviour sanitizer.
    case ubsan
    /// The sampling memory error detector.
    case kfence
    /// The lock validator.
    case lockdep
    /// A spinlock or rwlock that is broken (CONFIG_DEBUG_SPINLOCK).
    case spinlock
    /// A function that may sleep, or the scheduler, was called where that is forbidden.
    case atomicSleep
    /// Read-copy update waits for a processor or a task.
    case rcuStall
    /// A processor did not schedule.
    case softLockup
    /// A processor did not even take interrupts.
    case hardLockup
    /// A work item does not end.
    case workqueueLockup
    /// A task sleeps forever.
    case hungTask
    /// A reference count is wrong.
    case refcount
    /// An object was used outside its lifetime (CONFIG_DEBUG_OBJECTS).
    case objectLifetime
    /// A linked list is broken (CONFIG_DEBUG_LIST).
    case listCorruption
    /// A copy to or from user space goes beyond its object (CONFIG_HARDENED_USERCOPY).
    case usercopy
    /// The slab allocator found a damaged object.
    case slab
    /// A page or a memory map is in an impossible state.
    case pageState
    /// kmemleak found memory that nothing points to.
    case memoryLeak
    /// The kernel killed a process to free memory.
    case outOfMemory
    /// The kernel rebooted unexpectedly.
    case unexpectedReboot
    /// The middle or the end of a report whose beginning is lost.
    case corrupted
    /// The kernel's taint shows an error, and no report explains it: see `KernelTaint`.
    case taint
    /// Unknown: from a report that another version of kbuild wrote.
    case unknown
}
