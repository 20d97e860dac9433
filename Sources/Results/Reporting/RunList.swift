// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// The kept runs, the newest first. docs/reference/run-list-schema.json describes its JSON.
public struct RunList: Codable, Sendable, Equatable {
    /// The version of the JSON form. It rises when a key changes its meaning or is removed; new keys may be added at
    /// any time.
    public static let currentSchemaVersion = 1

    /// A run.
    public struct Entry: Codable, Sendable, Equatable {
        /// Its place: -1 is the last run.
        public var place: Int
        /// Its name.
        public var id: String
        /// The file with its report.
        public var file: String
        /// When it started, in ISO 8601; this and the rest are nil when the report cannot be read.
        public var startedAt: String?
        /// Its verdict in a word.
        public var verdict: String?
        /// kbuild's exit code for it.
        public var exitCode: Int32?
        /// How long it took.
        public var seconds: Double?
        /// The number of tests with each status; statuses without tests are omitted.
        public var counts: [String: Int]?
        /// The profile.
        public var profile: String?
        /// The pattern for the selected tests; nil for all.
        public var filter: String?
        /// The kernel's version.
        public var kernel: String?

        /// Creates an entry.
        ///
        /// - Parameter report: Nil when it cannot be read.
        public init(place: Int, id: String, file: String, report: RunReport?) {
            self.place = place
            self.id = id
            self.file = file
            guard let report else { return }
            startedAt = report.startedAt
            verdict = report.verdict
            exitCode = report.exitCode
            seconds = report.seconds.isFinite ? report.seconds : 0
            counts = Dictionary(report.tests.map { ($0.status.rawValue, 1) }, uniquingKeysWith: +)
            profile = report.profile
            filter = report.filter
            kernel = report.kernel?.version
        }
    }

    /// The version of this form.
    public var schemaVersion = RunList.currentSchemaVersion
    /// The runs.
    public var runs: [Entry]

    /// Creates a list.
    public init(runs: [Entry]) {
        self.runs = runs
    }
}
