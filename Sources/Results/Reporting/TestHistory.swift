// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The outcomes of tests in the kept runs. docs/reference/history-schema.json describes its JSON.
public struct TestHistory: Codable, Sendable, Equatable {
    /// The version of the JSON form. It rises when a key changes its meaning or is removed; new keys may be added at
    /// any time.
    public static let currentSchemaVersion = 1

    /// A run with its report.
    public struct Run: Sendable {
        /// The run's name.
        public var id: String
        /// Its report.
        public var report: RunReport

        /// Creates a run.
        public init(id: String, report: RunReport) {
            self.id = id
            self.report = report
        }
    }

    /// A test in a run.
    public struct Entry: Codable, Sendable, Equatable {
        /// The run's place: -1 is the last run.
        public var place: Int
        /// The run's name.
        public var run: String
        /// When the run started, in ISO 8601.
        public var startedAt: String
        /// The test's result, the worst of all repetitions.
        public var status: TestStatus
        /// The number of repetitions with each result; nil when the test ran once.
        public var outcomes: [String: Int]?
        /// How long the test took.
        public var seconds: Double?
        /// The kernel's version.
        public var kernel: String?
        /// The profile.
        public var profile: String?
        /// The first line about its failure.
        public var message: String?

        /// How often it ran.
        public var total: Int { outcomes?.values.reduce(0, +) ?? 1 }
        /// How often it prevented a pass.
        public var failures: Int {
            guard let outcomes else { return status.isFailure ? 1 : 0 }
            return TestStatus.allCases.filter(\.isFailure).reduce(0) { $0 + (outcomes[$1.rawValue] ?? 0) }
        }
    }

    /// A test.
    public struct Test: Codable, Sendable, Equatable {
        /// The test's ID.
        public var id: String
        /// The runs that have it, the newest first.
        public var entries: [Entry]
        /// The first run of the last series of failures; nil when it never failed.
        public private(set) var firstBad: String?
        /// The last run in which it passed before that; nil when none did.
        public private(set) var lastGood: String?

        /// Creates a test's history.
        ///
        /// - Parameter entries: The newest first.
        public init(id: String, entries: [Entry]) {
            self.id = id
            self.entries = entries
            // A skipped test says nothing about what it tests.
            let telling = entries.filter { $0.status != .skipped }
            guard let last = telling.firstIndex(where: { $0.status.isFailure }) else { return }
            let series = telling[last...].prefix { $0.status.isFailure }
            firstBad = series.last?.run
            if series.endIndex < telling.endIndex { lastGood = telling[series.endIndex].run }
        }

        /// How often it failed of all times that it ran.
        public var rate: FailureRate {
            let telling = entries.filter { $0.status != .skipped }
            return FailureRate(
                failures: telling.reduce(0) { $0 + $1.failures }, of: telling.reduce(0) { $0 + $1.total })
        }

        /// How often its result differed from that of the run before: many changes show a test that is flaky, a single
        /// one shows a defect.
        public var changes: Int {
            let results = entries.filter { $0.status != .skipped }.map(\.status.isFailure)
            return zip(results, results.dropFirst()).count { $0 != $1 }
        }
    }

    /// The version of this form.
    public var schemaVersion = TestHistory.currentSchemaVersion
    /// The name, or the part of a name, that was asked for.
    public var wanted: String
    /// How many runs were read.
    public var runs: Int
    /// The tests, by their names.
    public var tests: [Test]

    /// Searches runs for tests.
    ///
    /// - Parameters:
    ///   - wanted: A test's ID or name, or else a part of it in any case.
    ///   - runs: The runs, the newest first, with their names.
    public init(of wanted: String, in runs: [Run]) {
        self.wanted = wanted
        self.runs = runs.count
        var known: [String: [Entry]] = [:]
        let names = Set(runs.flatMap { $0.report.tests.flatMap { [$0.id, $0.name] } })
        let part = wanted.lowercased()
        func isWanted(_ test: TestResult) -> Bool {
            if names.contains(wanted) { return test.id == wanted || test.name == wanted }
            return test.id.lowercased().contains(part) || test.name.lowercased().contains(part)
        }
        for (index, run) in runs.enumerated() {
            let repeated = Dictionary(
                (run.report.repetitions?.tests ?? []).map { ($0.id, $0.outcomes) },
                uniquingKeysWith: { first, _ in first })
            for test in run.report.tests where isWanted(test) {
                known[test.id, default: []].append(
                    Entry(
                        place: -index - 1, run: run.id, startedAt: run.report.startedAt, status: test.status,
                        outcomes: repeated[test.id],
                        seconds: test.seconds.flatMap { $0.isFinite ? $0 : nil }, kernel: run.report.kernel?.version,
                        profile: run.report.profile, message: Self.message(of: test, in: run.report)))
            }
        }
        tests = known.sorted { $0.key < $1.key }.map { Test(id: $0.key, entries: $0.value) }
    }

    private static func message(of test: TestResult, in report: RunReport) -> String? {
        guard test.status.isFailure else { return nil }
        let crash = report.crashes.first { $0.test == test.id }?.title
        let text = crash ?? test.issues.first { !$0.isKnown }?.message ?? test.reason
        return text.flatMap { Text.lines($0).first { !$0.isEmpty } }.map { Text.cut($0, to: longestMessage) }
    }

    private static let longestMessage = 300
}

extension TestHistory.Test {
    /// "9 runs, 2 failed: 22.2 % (95 % interval: 6.3 % to 54.7 %); its result changed 3 times".
    var summary: String {
        let rate = rate
        let isRepeated = entries.contains { $0.outcomes != nil }
        let repeated = isRepeated ? " with \(pluralized(rate.total, "repetition"))" : ""
        var text =
            "\(pluralized(entries.count, "run"))\(repeated), \(rate.failures) failed: \(TextReport.rate(rate, names: "95 % interval: "))"
        if changes > 0 { text += "; its result changed \(pluralized(changes, "time"))" }
        return text
    }

    /// "first bad run: RUN (-3); the run before, OTHER (-4), was the last good one".
    var firstBadSentence: String? {
        guard let firstBad else { return nil }
        func named(_ run: String) -> String {
            run + (entries.first { $0.run == run }.map { " (\($0.place))" } ?? "")
        }
        let isPast = entries.first { $0.status != .skipped }?.status.isFailure == false
        let good = lastGood.map { "; it last passed before in \(named($0))" } ?? "; no kept run before it passed"
        return "first bad run\(isPast ? " of the last failures" : ""): \(named(firstBad))\(good)"
    }
}

extension TextReport {
    /// The most tests of a history to show.
    static let mostHistories = 20

    /// Renders the outcomes of tests in the kept runs, a table for each test, without a final newline.
    public func render(_ history: TestHistory) -> TerminalText {
        guard !history.tests.isEmpty else {
            return "none of \(pluralized(history.runs, "kept run")) has a test \(history.wanted)"
        }
        var lines: [TerminalText] = []
        for test in history.tests.prefix(Self.mostHistories) {
            if !lines.isEmpty { lines.append("") }
            lines += body("\(test.id): \(test.summary)")
            if let sentence = test.firstBadSentence { lines += body("\(sentence)") }
            let width = test.entries.map { $0.status.words.mark.count }.max() ?? 0
            for entry in test.entries {
                let place = String(entry.place)
                let gap = String(repeating: " ", count: max(0, 3 - place.count))
                let paint: Paint =
                    entry.status.isFailure ? .red : entry.status == .skipped ? .yellow : .green
                let mark = TerminalText(entry.status.words.mark).padded(to: width).painted(paint)
                let facts = Self.facts(of: entry).joined(separator: ", ")
                lines += body("\(gap)\(place)  \(entry.run)  \(mark)  \(facts)", hang: 5)
            }
        }
        let more = history.tests.count - Self.mostHistories
        if more > 0 { lines += ["", "... and \(pluralized(more, "more test")): --format json has all"] }
        return lines.joined()
    }

    /// What is known about a test in a run, besides its result.
    static func facts(of entry: TestHistory.Entry) -> [String] {
        var facts: [String] = []
        if entry.outcomes != nil { facts.append("\(entry.failures) of \(entry.total) failed") }
        if let seconds = entry.seconds { facts.append(format(seconds)) }
        if let kernel = entry.kernel { facts.append("Linux \(kernel)") }
        if let profile = entry.profile { facts.append("profile \(profile)") }
        if let message = entry.message { facts.append(message) }
        return facts
    }
}
