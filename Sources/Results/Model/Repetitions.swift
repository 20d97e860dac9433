// SPDX-License-Identifier: Apache-2.0

/// The results of repeated tests: the number of each result.
public struct Repetitions: Codable, Sendable, Equatable {
    /// A test, with the number of each of its results.
    public struct Test: Codable, Sendable, Equatable {
        /// The test's ID.
        public var id: String
        /// The number of repetitions by result; only results that occurred.
        public var outcomes: [String: Int]

        /// The number of repetitions with a result.
        public func count(_ status: TestStatus) -> Int { outcomes[status.rawValue] ?? 0 }
        /// The number of repetitions in which it prevented a pass.
        public var failures: Int { TestStatus.allCases.filter(\.isFailure).reduce(0) { $0 + count($1) } }
        /// The number of repetitions in which it was reported or missing.
        public var total: Int { outcomes.values.reduce(0, +) }
        /// The rate of its failures.
        public var rate: FailureRate { FailureRate(failures: failures, of: total) }
    }

    /// The number of completed repetitions.
    public private(set) var count = 0
    /// The number of requested repetitions; nil for as many as the time allows.
    public var wanted: Int?
    /// The number of repetitions that did not pass.
    public private(set) var failed = 0
    /// The first repetition that did not pass, counted from 1.
    public private(set) var firstFailure: Int?
    /// The tests, in the order in which they were first reported.
    public private(set) var tests: [Test] = []

    /// Creates an empty count.
    public init(wanted: Int? = nil) { self.wanted = wanted }

    /// The rate of failed repetitions.
    public var rate: FailureRate { FailureRate(failures: failed, of: count) }

    /// Counts a repetition.
    public mutating func add(_ report: RunReport) {
        count += 1
        if report.exitCode != 0 {
            failed += 1
            firstFailure = firstFailure ?? count
        }
        var places = Dictionary(
            tests.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        for test in report.tests {
            let place = places[test.id] ?? tests.count
            if place == tests.count { tests.append(Test(id: test.id, outcomes: [:])) }
            places[test.id] = place
            tests[place].outcomes[test.status.rawValue, default: 0] += 1
        }
    }

    /// Adds the repetitions in another kernel.
    ///
    /// - Parameter label: The suffix of the names of its tests.
    public mutating func add(_ other: Repetitions, label: String) {
        if let first = other.firstFailure { firstFailure = firstFailure ?? count + first }
        count += other.count
        failed += other.failed
        wanted = wanted.flatMap { own in other.wanted.map { own + $0 } }
        tests += other.tests.map { Test(id: "\($0.id) [\(label)]", outcomes: $0.outcomes) }
    }
}

/// A rate of failures, and its bounds with a confidence of 95 %.
public struct FailureRate: Sendable, Equatable {
    /// The number of failures.
    public let failures: Int
    /// The number of trials.
    public let total: Int

    /// Creates a rate.
    public init(failures: Int, of total: Int) {
        self.failures = failures
        self.total = total
    }

    /// The share in percent; nil without a trial.
    public var percent: Double? { total == 0 ? nil : 100 * Double(failures) / Double(total) }

    /// Wilson's score interval in percent, which is also valid for few trials and for rates near 0 (E. B. Wilson,
    /// Journal of the American Statistical Association 22, 1927); nil without a trial.
    public var interval: ClosedRange<Double>? {
        guard total > 0 else { return nil }
        // 1.96 standard deviations contain 95 % of a normal distribution.
        let (n, z) = (Double(total), 1.959_964)
        let p = Double(failures) / n
        let middle = p + z * z / (2 * n)
        let half = z * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
        let divisor = 1 + z * z / n
        // Rounding may move a bound out of the valid range.
        let lower = failures == 0 ? 0 : max(0, (middle - half) / divisor)
        let upper = failures == total ? 1 : min(1, (middle + half) / divisor)
        return 100 * lower...100 * upper
    }
}

extension RunReport {
    /// Adds the results of another repetition of the same run, so that each test has its worst result, and every kernel
    /// report is included.
    ///
    /// - Parameters:
    ///   - other: The repetition's report.
    ///   - number: The number of the repetition, from 1.
    ///   - lines: The number of lines in the console's log before the other's; nil when the log does not contain the
    ///     other's.
    public mutating func add(repetition other: RunReport, number: Int, consoleLinesBefore lines: Int?) {
        for suite in other.suites {
            guard let place = suites.firstIndex(where: { $0.name == suite.name }) else {
                suites.append(suite)
                continue
            }
            for test in suite.tests {
                guard let index = suites[place].tests.firstIndex(where: { $0.id == test.id }) else {
                    suites[place].tests.append(test)
                    continue
                }
                guard test.status.severity > suites[place].tests[index].status.severity else { continue }
                suites[place].tests[index] = test
                let reason = test.reason.map { ": \($0)" } ?? ""
                suites[place].tests[index].reason = "in repetition \(number)\(reason)"
                suites[place].output = suite.output
            }
            suites[place].problems += suite.problems.filter { !suites[place].problems.contains($0) }
            suites[place].notes += suite.notes.filter { !suites[place].notes.contains($0) }
        }
        crashes += other.crashes.map { crash in
            var crash = crash
            guard crash.isOnConsole else { return crash }
            crash.firstLine = lines.map { crash.firstLine + $0 } ?? 0
            crash.lastLine = lines.map { crash.lastLine + $0 } ?? 0
            return crash
        }
        for error in other.errors where !errors.contains(error) { errors.append(error) }
        machine = other.machine ?? machine
        guests = other.guests ?? guests
        unreadKernelMemory = unreadKernelMemory ?? other.unreadKernelMemory
    }
}

extension TestStatus {
    /// Orders results from a pass to the worst, as exit codes are ordered.
    fileprivate var severity: Int {
        switch self {
        case .passed: 0
        case .skipped: 1
        case .flaky: 2
        case .notReported: 3
        case .failed: 4
        case .timedOut: 5
        case .crashed: 6
        }
    }
}
