// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CrashReports
import ResultsModel
import SystemPackage
import TestSession

/// The boot of a guest that was to be saved. Each guest that wakes has that boot behind it, so what the kernel reported
/// in it is in the report of each run that wakes one, and so it is when the guest could not be saved.
package struct SavedBoot: Sendable {
    /// What its log is headed with.
    package var title: String
    /// Its console's log, in the run's folder.
    package var log: FilePath
    /// What the kernel reported, with its lines counted in that log.
    package var crashes: [Crash]

    /// Reads a log: the same detector as that of a live console, so that a kept log is read by today's rules.
    package init(title: String, log: FilePath) throws {
        self.title = title
        self.log = log
        var detector = CrashDetector()
        var decoder = ResultsDecoder.console(carriesResults: false)
        for item in decoder.consume(try readBytes(log)) + decoder.finish() {
            // The transcript has the host's time before each line; a program's line has no other stamp.
            if case .line(let line) = item { _ = detector.consume(ConsoleLine(line), runningTest: nil) }
        }
        _ = detector.finish()
        crashes = detector.crashes
        for index in crashes.indices { crashes[index].isAtBoot = true }
    }
}
