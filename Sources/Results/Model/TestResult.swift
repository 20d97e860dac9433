// SPDX-License-Identifier: Apache-2.0

/// The result of one test.
public struct TestResult: Codable, Sendable, Equatable {
    /// The stable name, as `--list-tests` prints it.
    public var id: String
    /// The name for people.
    public var name: String
    /// How it ended.
    public var status: TestStatus
    /// How long it ran, by the guest's clock.
    public var seconds: Double?
    /// Why it was skipped, or did not report.
    public var reason: String?
    /// The number of cancelled cases, if other cases ran.
    public var skippedCases = 0
    /// Its issues.
    public var issues: [TestIssue] = [] { didSet { boundIssues() } }
    /// The number of issues that were omitted.
    public package(set) var omittedIssues = 0
    /// The kernel's messages while it ran.
    public var kernelLog: [String] = []
    /// Its output, if that is known for each test.
    public var output: [String] = []
    /// The guest's monotonic clock at its start, in seconds; not in a report, whose reader does not have this clock.
    package var started: Double?
    /// The same at its end.
    package var ended: Double?

    /// Creates a test's result.
    public init(
        id: String, name: String, status: TestStatus, seconds: Double? = nil, reason: String? = nil,
        issues: [TestIssue] = [], kernelLog: [String] = [], output: [String] = []
    ) {
        self.id = id
        self.name = name
        self.status = status
        self.seconds = seconds
        self.reason = reason
        self.issues = issues
        self.kernelLog = kernelLog
        self.output = output
    }

    private enum CodingKeys: String, CodingKey {
        case id, name, status, seconds, reason, skippedCases, issues, omittedIssues, kernelLog, output
    }

    /// Reads a test of a report.
    ///
    /// - Throws: DecodingError for another form.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(String.self, forKey: .id)
        name = try container.decode(String.self, forKey: .name)
        status = try container.decode(TestStatus.self, forKey: .status)
        seconds = try container.decodeIfPresent(Double.self, forKey: .seconds)
        reason = try container.decodeIfPresent(String.self, forKey: .reason)
        skippedCases = try container.decode(.skippedCases, whenMissing: 0)
        issues = try container.decode([TestIssue].self, forKey: .issues)
        omittedIssues = try container.decode(.omittedIssues, whenMissing: 0)
        kernelLog = try container.decode([String].self, forKey: .kernelLog)
        output = try container.decode([String].self, forKey: .output)
    }

    /// Writes a test of a report.
    ///
    /// - Throws: The encoder's errors.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(name, forKey: .name)
        try container.encode(status, forKey: .status)
        try container.encodeIfPresent(seconds, forKey: .seconds)
        try container.encodeIfPresent(reason, forKey: .reason)
        try container.encode(skippedCases, forKey: .skippedCases, unless: 0)
        try container.encode(issues, forKey: .issues)
        try container.encode(omittedIssues, forKey: .omittedIssues, unless: 0)
        try container.encode(kernelLog, forKey: .kernelLog)
        try container.encode(output, forKey: .output)
    }

    /// Omits issues beyond the bound, but never the first one that fails the test.
    private mutating func boundIssues() {
        while issues.count > ResultBounds.mostIssues {
            let kept = issues.dropLast()
            let isFirstFailure = issues.last?.isKnown == false && kept.allSatisfy(\.isKnown)
            issues.remove(at: isFirstFailure ? issues.count - 2 : issues.count - 1)
            omittedIssues += 1
        }
    }
}
