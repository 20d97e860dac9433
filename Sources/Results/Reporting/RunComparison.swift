// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The differences between a run and an earlier one. docs/reference/comparison-schema.json describes its JSON.
public struct RunComparison: Codable, Sendable, Equatable {
    /// The version of the JSON form. It rises when a key changes its meaning or is removed; new keys may be added at
    /// any time.
    public static let currentSchemaVersion = 1

    /// One of the two runs.
    public struct Run: Codable, Sendable, Equatable {
        /// The name that the user knows.
        public var id: String
        /// When it started, in ISO 8601.
        public var startedAt: String
        /// Its verdict in a word.
        public var verdict: String
        /// kbuild's exit code for it.
        public var exitCode: Int32
        /// How long it took.
        public var seconds: Double
        /// The profile.
        public var profile: String?
        /// The pattern for the selected tests; nil for all.
        public var filter: String?
        /// The kernel's version.
        public var kernel: String?
    }

    /// A changed test.
    public struct Change: Codable, Sendable, Equatable {
        /// Its suite.
        public var suite: String
        /// Its stable name.
        public var id: String
        /// Its status in the earlier run; nil when it was not in that run.
        public var before: TestStatus?
        /// Its status in the later run; nil when it is not in that run.
        public var after: TestStatus?
        /// Its time in the earlier run.
        public var secondsBefore: Double?
        /// Its time in the later run.
        public var secondsAfter: Double?
        /// The later run's message about its failure.
        public var message: String?
    }

    /// The least difference in time to report. Both values must be reached: the times of short tests vary by
    /// themselves, and an additional second is not a change in a long test.
    public struct Threshold: Codable, Sendable, Equatable {
        /// The difference as a share of the shorter time: 0.5 is half as much again.
        public var relative: Double
        /// The difference in seconds.
        public var seconds: Double

        /// Creates a threshold.
        public init(relative: Double = 0.5, seconds: Double = 0.1) {
            self.relative = relative
            self.seconds = seconds
        }
    }

    /// The version of this form.
    public var schemaVersion = RunComparison.currentSchemaVersion
    /// The earlier run.
    public var base: Run
    /// The later run.
    public var head: Run
    /// Whether the later run has a failure that the earlier one did not have.
    public var isWorse: Bool
    /// The least difference in time to report.
    public var threshold: Threshold
    /// Tests that fail now, and did not fail or did not exist before.
    public var newlyFailing: [Change] = []
    /// Tests that failed before and pass now.
    public var fixed: [Change] = []
    /// Tests that fail in both.
    public var stillFailing: [Change] = []
    /// Tests that were not there before and do not fail.
    public var new: [Change] = []
    /// Tests that no longer exist.
    public var gone: [Change] = []
    /// Tests that ran before and are skipped now.
    public var newlySkipped: [Change] = []
    /// Tests that passed in both and take longer now, the greatest difference first.
    public var slower: [Change] = []
    /// Tests that passed in both and take less time now, the greatest difference first.
    public var faster: [Change] = []
    /// Crash reports, by title, that fail the later run and did not come in the earlier one.
    public var newCrashes: [String] = []
    /// Crash reports, by title, that came only in the earlier run.
    public var goneCrashes: [String] = []
    /// Other errors of the later run, or of its programs, that the earlier one did not have.
    public var newProblems: [String] = []

    /// A run's report and the name of the run.
    public struct IdentifiedReport: Sendable {
        /// The run's id.
        public var id: String
        /// Its report.
        public var report: RunReport

        /// Names a report.
        public init(id: String, report: RunReport) {
            self.id = id
            self.report = report
        }
    }

    /// Compares two reports.
    ///
    /// - Parameters:
    ///   - base: The earlier run and its name.
    ///   - head: The later one.
    ///   - threshold: The least difference in time to report.
    public init(
        base: IdentifiedReport, head: IdentifiedReport, threshold: Threshold = Threshold()
    ) {
        self.base = Run(base.id, base.report)
        self.head = Run(head.id, head.report)
        self.threshold = threshold
        isWorse = false
        compareTests(Self.keyed(base.report), Self.keyed(head.report))
        compareRest(base.report, head.report)
        // A run without any verdict may contain nothing new.
        let hasExplanation = !newlyFailing.isEmpty || !newCrashes.isEmpty || !newProblems.isEmpty
        isWorse = hasExplanation || base.report.exitCode == 0 && head.report.exitCode != 0
    }

    /// A test in one of the runs. Two tests may share a name: the first is compared with the first.
    private struct Key: Hashable {
        var suite: String
        var id: String
        var occurrence: Int
    }

    /// A test with its place in the run.
    private struct KeyedTest {
        var key: Key
        var test: TestResult
    }

    private static func keyed(_ report: RunReport) -> [KeyedTest] {
        var counts: [[String]: Int] = [:]
        return report.suites.flatMap { suite in
            suite.tests.map { test in
                let occurrence = counts[[suite.name, test.id], default: 0]
                counts[[suite.name, test.id]] = occurrence + 1
                return KeyedTest(key: Key(suite: suite.name, id: test.id, occurrence: occurrence), test: test)
            }
        }
    }

    private mutating func compareTests(_ base: [KeyedTest], _ head: [KeyedTest]) {
        let before = Dictionary(base.map { ($0.key, $0.test) }, uniquingKeysWith: { first, _ in first })
        let after = Set(head.map(\.key))
        for entry in head { add(entry.key, before[entry.key], entry.test) }
        for entry in base where !after.contains(entry.key) {
            let test = entry.test
            gone.append(
                Change(
                    suite: entry.key.suite, id: entry.key.id, before: test.status, secondsBefore: test.seconds?.ifSane))
        }
        func difference(_ change: Change) -> Double {
            abs((change.secondsAfter ?? 0) - (change.secondsBefore ?? 0))
        }
        slower.sort { difference($0) > difference($1) }
        faster.sort { difference($0) > difference($1) }
    }

    private mutating func add(_ key: Key, _ before: TestResult?, _ after: TestResult) {
        var change = Change(
            suite: key.suite, id: key.id, before: before?.status, after: after.status,
            secondsBefore: before?.seconds?.ifSane, secondsAfter: after.seconds?.ifSane)
        if after.status.isFailure {
            change.message = after.issues.first { !$0.isKnown }?.message ?? after.reason
            if before?.status.isFailure == true { stillFailing.append(change) } else { newlyFailing.append(change) }
        } else if before == nil {
            new.append(change)
        } else if after.status == .skipped {
            if before?.status != .skipped { newlySkipped.append(change) }
        } else if before?.status.isFailure == true {
            fixed.append(change)
        } else if before?.status == .passed, let old = change.secondsBefore, let now = change.secondsAfter {
            let difference = abs(now - old)
            guard difference >= threshold.seconds, difference >= threshold.relative * min(old, now) else { return }
            if now > old { slower.append(change) } else { faster.append(change) }
        }
    }

    private mutating func compareRest(_ base: RunReport, _ head: RunReport) {
        // A crash that only warns does not fail a run.
        func failing(_ report: RunReport) -> [String] {
            report.crashes.filter { $0.isFatal || report.splatsFail }.map(\.title).unique
        }
        let known = Set(failing(base))
        newCrashes = failing(head).filter { !known.contains($0) }
        let now = Set(head.crashes.map(\.title))
        goneCrashes = base.crashes.map(\.title).unique.filter { !now.contains($0) }
        func problems(_ report: RunReport) -> [String] {
            report.errors.map(\.message)
                + report.suites.flatMap { suite in suite.problems.map { "\(suite.name): \($0)" } }
                + report.suites.filter { $0.tests.isEmpty && $0.problems.isEmpty }.map { "\($0.name): no tests" }
        }
        let old = Set(problems(base))
        newProblems = problems(head).unique.filter { !old.contains($0) }
    }

    /// 0, or 1 when there is a new failure.
    public var exitCode: Int32 { (isWorse ? ExitStatus.testFailure : .success).rawValue }
}

extension RunComparison.Run {
    fileprivate init(_ id: String, _ report: RunReport) {
        self.id = id
        startedAt = report.startedAt
        verdict = report.verdict
        exitCode = report.exitCode
        seconds = report.seconds.ifSane ?? 0
        profile = report.profile
        filter = report.filter
        kernel = report.kernel?.version
    }
}

extension Double {
    /// The value, if it is a possible time of a test.
    fileprivate var ifSane: Double? { isFinite && self >= 0 && self < 0x1p40 ? self : nil }
}

extension Array where Element: Hashable {
    /// Each element once, in order.
    fileprivate var unique: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
