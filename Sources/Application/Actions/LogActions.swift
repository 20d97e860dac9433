// SPDX-License-Identifier: Apache-2.0
import CrashReports
import Diagnostics
import GuestSession
import Processes
import Reporting
import ResultsModel
import SystemPackage
import TestSession
import TextInput

/// Reads logs from other sources, with the code that reads a live guest.
public enum LogActions {
    /// Finds the crash reports in a console log.
    ///
    /// - Parameters:
    ///   - path: The file; nil for standard input.
    ///   - vmlinux: The kernel that printed the log, for files and lines.
    ///   - progress: Called with the reason when there are no files and lines.
    /// - Throws: `Failure` (`usage`) when the log cannot be read, or when a tool for `vmlinux` fails;
    ///   `CancellationError`.
    public static func console(
        _ path: FilePath?, vmlinux: FilePath? = nil, progress: ProgressSink = .silent
    ) async throws -> LogReport {
        var parser = ConsoleLogParser()
        let count = try read(path) { parser.consume($0) }
        var crashes = parser.finish()
        if count > 0, crashes.isEmpty, !parser.isKernelLog {
            throw Failure(
                .infrastructure, "\(name(path)) is not a log that a kernel printed",
                details:
                    "\(count) bytes without a time stamp of the kernel or a tag of a system log, of which fewer than half "
                    + "of the lines begin with the name of a driver.",
                nextStep: "Look whether this is the log: head \(name(path))")
        }
        if crashes.isEmpty, parser.beginsInReport {
            throw Failure(
                .infrastructure, "\(name(path)) begins within a crash report, whose first lines are missing",
                details: "The kernel's buffer had wrapped when the log was taken, or the log was truncated.",
                nextStep: "Take the log from its beginning: journalctl -k -b, or the serial console's log")
        }
        if let vmlinux, !crashes.isEmpty {
            let runner = CommandRunner(supervisor: nil, progress: progress)
            let outcome = try await CrashSymbolizer(runner: runner, vmlinux: vmlinux, root: nil).symbolize(crashes)
            if let note = outcome.note { progress(.note(note)) }
            crashes = outcome.crashes
        }
        return LogReport(
            source: name(path), format: .console, isEmpty: count == 0, crashes: crashes)
    }

    /// Reads the results of a KTAP or TAP log.
    ///
    /// - Parameter path: The file; nil for standard input.
    /// - Throws: `Failure` (`usage`) when it cannot be read.
    public static func ktap(_ path: FilePath?) throws -> LogReport {
        // The tests' names begin with the log's.
        let stem = path?.lastComponent?.stem ?? "log"
        var parser = KTAPLogParser(name: stem)
        let count = try read(path) { parser.consume($0) }
        return LogReport(
            source: name(path), format: .ktap, isEmpty: count == 0, suites: [parser.finish()])
    }

    private static func name(_ path: FilePath?) -> String { path?.string ?? "standard input" }

    /// The most bytes of a compressed log. Logs that are not compressed have no limit.
    private static let longestLog = 4 << 30

    /// Passes a file to `body` in pieces, so that its size does not matter. Returns its length in bytes.
    private static func read(_ path: FilePath?, _ body: (ArraySlice<UInt8>) -> Void) throws(Failure) -> Int {
        try TextInput(name(path), as: "a log", limit: longestLog).stream(path, body)
    }
}
