// SPDX-License-Identifier: Apache-2.0
import CHostProbe

/// The processor's time-stamp counter. A guest without a timer to measure it needs its frequency from the host.
public enum TimeStampCounter {
    /// Measures the counter's frequency against the host's clock for 20 ms, which is exact to a few parts in a million.
    ///
    /// - Returns: The frequency in kHz; nil on processors without the counter.
    /// - Throws: `CancellationError`.
    public static func kilohertz() async throws -> Int? {
        let first = kbuild_tsc_sample()
        try await Task.sleep(for: .milliseconds(20))
        let last = kbuild_tsc_sample()
        guard last.ticks > first.ticks, last.nanoseconds > first.nanoseconds else { return nil }
        return Int(Double(last.ticks - first.ticks) * 1e6 / Double(last.nanoseconds - first.nanoseconds))
    }
}
