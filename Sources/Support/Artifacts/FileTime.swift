// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A time in nanoseconds since the epoch.
package func nanoseconds(_ time: timespec) -> Int64 {
    Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// The current time in nanoseconds since the epoch, by the precise clock. The kernel stamps files by the coarse clock,
/// which is never ahead of the precise one, so this time is later than that of any existing file.
package func nanosecondsNow() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}
