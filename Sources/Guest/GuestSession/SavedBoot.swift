// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CrashReports
import ResultsModel
import SystemPackage
import TestSession

/// The boot of a guest that was to be saved. Each restored guest has had this boot, so the kernel's reports in it are
/// part of the report of each run that restores one, also when the guest could not be saved.
package struct SavedBoot: Sendable {
    /// The heading of its log.
    package var title: String
    /// Its console's log, in the run's folder.
    package var log: FilePath
    /// The kernel's reports, with their line numbers in that log.
    package var crashes: [Crash]

    /// Reads a log with the detector of a live console, so that a kept log is read by the current rules.
    package init(title: String, log: FilePath) throws {
        self.title = title
        self.log = log
        var detector = CrashDetector()
        var decoder = ResultsDecoder.console(carriesResults: false)
        for item in decoder.consume(try readBytes(log)) + decoder.finish() {
            // The transcript has the host's time before each line; a program's line has no other time stamp.
            if case .line(let line) = item { _ = detector.consume(ConsoleLine(line), runningTest: nil) }
        }
        _ = detector.finish()
        crashes = detector.crashes
        for index in crashes.indices { crashes[index].isAtBoot = true }
    }
}
