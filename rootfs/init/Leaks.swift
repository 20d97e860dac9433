// SPDX-License-Identifier: Apache-2.0
import CInit

/// Detects kernel memory that the programs leaked, if the kernel has kmemleak (CONFIG_DEBUG_KMEMLEAK;
/// Documentation/dev-tools/kmemleak.rst).
enum Leaks {
    private static let file = "/sys/kernel/debug/kmemleak"
    private static let verbose = "/sys/module/kmemleak/parameters/verbose"

    /// Clears the suspected leaks of the boot.
    static func forgetBoot() {
        guard access(file, W_OK) == 0 else { return }
        System.write(file, "scan\n")
        System.write(file, "clear\n")
        noteTime()
    }

    /// Writes the relation of the kernel's jiffies to the tests' clock to the kernel's log: kmemleak reports the
    /// jiffies at which leaked memory was allocated.
    static func noteTime() {
        for line in (System.read("/proc/timer_list") ?? []).lines() {
            let fields = words(line)
            guard fields.count == 2, fields[0] == "jiffies:", let jiffies = UInt64(fields[1]) else { continue }
            System.write("/dev/kmsg", "<6>kbuild: jiffies \(jiffies) at \(kbuild_monotonic())\n")
            return
        }
    }

    /// Makes the kernel report leaks in its log, for the host.
    ///
    /// This takes six seconds: kmemleak reports only memory older than MSECS_MIN_AGE (5000) of mm/kmemleak.c, and needs
    /// two scans.
    static func report() {
        guard access(file, W_OK) == 0 else { return }
        noteTime()
        System.write(verbose, "Y\n")
        var rest = timespec(tv_sec: 5, tv_nsec: 200_000_000)
        var left = timespec()
        while nanosleep(&rest, &left) != 0, kbuild_errno() == EINTR { rest = left }
        System.write(file, "scan\n")
        System.write(file, "scan\n")
    }
}
