// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The result of one program with tests.
public struct SuiteResult: Codable, Sendable, Equatable {
    /// The program's name.
    public var name: String
    /// `swift-testing`, `ktap`, `ltp`, `exit-code` or `interactive`.
    public var kind: String
    /// Its tests, in the order in which they ran.
    public var tests: [TestResult] = []
    /// The errors in the program's results, beyond its tests. Each is a failure.
    public var problems: [String] = [] { didSet { boundProblems() } }
    /// The number of problems that were omitted.
    public package(set) var omittedProblems = 0
    /// The last lines that it printed.
    public var output: [String] = []
    /// Notes on the program that are not failures, such as a kernel setting that was restored after it.
    public var notes: [String] = [] {
        didSet { ResultBounds.bound(notes: &notes) }
    }
    /// How it ended; nil before that, and not in a report, whose problems and tests follow from it.
    public var ending: ProgramEnding?

    /// Creates a suite's result.
    public init(
        name: String, kind: String, tests: [TestResult] = [], problems: [String] = [], output: [String] = [],
        notes: [String] = []
    ) {
        self.name = name
        self.kind = kind
        self.tests = tests
        self.problems = problems
        self.output = output
        self.notes = notes
    }

    private enum CodingKeys: String, CodingKey {
        case name, kind, tests, problems, omittedProblems, output, notes
    }

    /// Reads a suite of a report.
    ///
    /// - Throws: DecodingError for another form.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        kind = try container.decode(String.self, forKey: .kind)
        tests = try container.decode([TestResult].self, forKey: .tests)
        problems = try container.decode([String].self, forKey: .problems)
        omittedProblems = try container.decode(.omittedProblems, whenMissing: 0)
        output = try container.decode([String].self, forKey: .output)
        notes = try container.decode(.notes, whenMissing: [])
    }

    /// Writes a suite of a report.
    ///
    /// - Throws: The encoder's errors.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(kind, forKey: .kind)
        try container.encode(tests, forKey: .tests)
        try container.encode(problems, forKey: .problems)
        try container.encode(omittedProblems, forKey: .omittedProblems, unless: 0)
        try container.encode(output, forKey: .output)
        try container.encode(notes, forKey: .notes, unless: [])
    }

    /// Omits problems beyond the bound, and the end of a very long one.
    private mutating func boundProblems() {
        if let last = problems.last, last.utf8.count > ResultBounds.longestProblem + 100 {
            problems[problems.count - 1] = last.cut(toBytes: ResultBounds.longestProblem)
        }
        guard problems.count > ResultBounds.mostProblems else { return }
        omittedProblems += problems.count - ResultBounds.mostProblems
        problems.removeLast(problems.count - ResultBounds.mostProblems)
    }
}

/// How a program in the guest ended.
public enum ProgramEnding: Sendable, Hashable {
    /// It called exit with this code.
    case exited(Int32)
    /// This signal ended it.
    case signaled(Int32)
    /// It reached its limit.
    case timedOut
    /// It could not be started, with the reason.
    case notStarted(String)

    /// Parses the words of rootfs/init/Program.swift.
    package init?(_ text: String) {
        let fields = text.split(separator: " ", maxSplits: 1).map(String.init)
        switch (fields.first, fields.count > 1 ? Int32(fields[1]) : nil) {
        case ("exit", let code?): self = .exited(code)
        case ("signal", let number?): self = .signaled(number)
        case ("timeout", _): self = .timedOut
        case ("failed", _): self = .notStarted(fields.count > 1 ? fields[1] : "")
        default: return nil
        }
    }
}
