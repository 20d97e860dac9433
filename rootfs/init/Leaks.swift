// SPDX-License-Identifier: Apache-2.0
import CInit

/// Looks for memory that the programs made the kernel leak, where the kernel has kmemleak (CONFIG_DEBUG_KMEMLEAK;
/// Documentation/dev-tools/kmemleak.rst).
enum Leaks {
    private static let file = "/sys/kernel/debug/kmemleak"
    private static let verbose = "/sys/module/kmemleak/parameters/verbose"

    /// Forgets what the boot seems to have left.
    static func forgetBoot() {
        guard access(file, W_OK) == 0 else { return }
        System.write(file, "scan\n")
        System.write(file, "clear\n")
        noteTime()
    }

    /// Says in the kernel's log how its jiffies and the clock of the tests go together: kmemleak says of leaked memory
    /// at how many jiffies it was allocated.
    static func noteTime() {
        for line in (System.read("/proc/timer_list") ?? []).lines() {
            let fields = words(line)
            guard fields.count == 2, fields[0] == "jiffies:", let jiffies = UInt64(fields[1]) else { continue }
            System.write("/dev/kmsg", "<6>kbuild: jiffies \(jiffies) at \(kbuild_monotonic())\n")
            return
        }
    }

    /// Has the kernel report leaks in its log, where the host finds them.
    ///
    /// It takes six seconds: kmemleak judges no memory that is younger than MSECS_MIN_AGE (5000) of mm/kmemleak.c, and
    /// takes two scans to be sure.
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
