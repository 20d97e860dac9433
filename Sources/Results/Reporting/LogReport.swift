// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The contents of a log from another source. docs/reference/log-schema.json describes its JSON.
public struct LogReport: Codable, Sendable, Equatable {
    /// The kind of contents.
    public enum Format: String, Codable, Sendable, CaseIterable {
        /// Crash reports in a kernel's console.
        case console
        /// Results in KTAP or TAP.
        case ktap
    }

    /// The version of the JSON form. It rises when a key changes its meaning or is removed; new keys may be added at
    /// any time.
    public static let currentSchemaVersion = 1

    /// The version of this form.
    public var schemaVersion = LogReport.currentSchemaVersion
    /// The log's path.
    public var source: String
    /// The kind of contents.
    public var format: Format
    /// Whether the log is empty.
    public var isEmpty: Bool
    /// The crash reports.
    public var crashes: [Crash]
    /// The tests, and the errors in the log.
    public var suites: [SuiteResult]

    /// Creates a report. Its exit code and its verdict are computed from its contents.
    public init(
        source: String, format: Format, isEmpty: Bool, crashes: [Crash] = [], suites: [SuiteResult] = []
    ) {
        self.source = source
        self.format = format
        self.isEmpty = isEmpty
        self.crashes = crashes
        self.suites = suites
    }

    /// kbuild's exit code, computed like a run's. An empty log has passed nothing.
    public var exitCode: Int32 { run(startedAt: "").exitCode }

    /// The exit code in a word, as in a run's report.
    public var verdict: String { run(startedAt: "").verdict }

    /// The log as a run, for renderers that only know runs. A console without crash reports counts as one passed test.
    ///
    /// - Parameter startedAt: The time of the run, in ISO 8601.
    public func run(startedAt: String) -> RunReport {
        var report = RunReport(startedAt: startedAt, project: source, suites: suites, crashes: crashes)
        if isEmpty {
            report.errors = [.init(Failure(.infrastructure, "\(source) is empty"))]
        } else if format == .ktap, suites.allSatisfy(\.tests.isEmpty) {
            report.errors = [.init(Failure(.infrastructure, "\(source) has no test result"))]
        } else if format == .console, crashes.isEmpty {
            let name = "no crash report"
            report.suites = [
                .init(name: source, kind: "console", tests: [.init(id: name, name: name, status: .passed)])
            ]
        }
        return report
    }

    /// The contents, in numbers.
    var summary: String {
        if isEmpty { return "\(source) is empty" }
        switch format {
        case .console:
            if crashes.isEmpty { return "no crash report in \(source)" }
            return "\(pluralized(crashes.count, "crash report")) in \(source)"
        case .ktap:
            let tests = suites.flatMap(\.tests)
            let counts = RunReport.counted([.passed, .failed, .timedOut, .skipped]) { status in
                tests.count { $0.status == status }
            }
            return counts.joined(separator: ", ") + " in \(source)"
        }
    }
}
