// SPDX-License-Identifier: Apache-2.0
/// One result line with its parts: the diagnostics before it, the YAML block after it, its subtests.
public struct KTAPResult: Sendable, Equatable {
    /// The status of a test, after its directive and its subtests.
    public enum Status: String, Sendable, CaseIterable {
        /// `ok`.
        case passed
        /// `not ok`; or `ok` although a subtest failed, did not report, or there was none; or `# XPASS`.
        case failed
        /// `# SKIP`, on either kind of line (KTAP allows both).
        case skipped
        /// `# XFAIL` on either kind of line, or `not ok ... # TODO`: it failed as expected.
        case expectedFailure
        /// `# TIMEOUT`.
        case timedOut
        /// `# ERROR`: the test itself could not be performed.
        case error

        /// Whether it prevents a pass.
        public var isFailure: Bool {
            switch self {
            case .failed, .timedOut, .error: true
            case .passed, .skipped, .expectedFailure: false
            }
        }
    }

    /// The word after `#` in a result line (Linux, Documentation/dev-tools/ktap.rst; XPASS is kselftest.h's).
    public enum Directive: String, Sendable, CaseIterable {
        /// The test was not run.
        case skip = "SKIP"
        /// The test is known to fail.
        case todo = "TODO"
        /// The test failed as expected.
        case xfail = "XFAIL"
        /// The test passed although a failure was expected. kselftest counts it as a failure.
        case xpass = "XPASS"
        /// The test ran out of time.
        case timeout = "TIMEOUT"
        /// The test could not be performed.
        case error = "ERROR"
    }

    /// The number in the line; nil for TAP lines without one, and for results that never came.
    public var number: Int?
    /// The description, without the dash and the directive. May be empty.
    public var name: String
    /// How it ended.
    public var status: Status
    /// Whether the line itself said `ok`.
    public var isOK: Bool
    /// The directive.
    public var directive: Directive?
    /// The text after the directive, or any other remark after `#`.
    public var reason: String?
    /// N of kselftest's `# exit=N`.
    public var exitCode: Int?
    /// The lines before it that belong to no other result: comments without their `# `, and the test's output.
    public var diagnostics: [String]
    /// The lines of its TAP 13/14 YAML block, without the markers.
    public var yaml: [String]
    /// Its subtests.
    public var children: [KTAPResult]
    /// The number of subtests in its own plan.
    public var planned: Int?
    /// Its line in the stream, counted from 1.
    public var line: Int
    /// Whether a kernel message was in the middle of its line. Its name is without the message; its end may be missing.
    public var isTorn = false

    /// Creates a result, for an emitter or a test.
    public init(
        number: Int? = nil, name: String, status: Status, isOK: Bool? = nil, directive: Directive? = nil,
        reason: String? = nil, exitCode: Int? = nil, diagnostics: [String] = [], yaml: [String] = [],
        children: [KTAPResult] = [], planned: Int? = nil, line: Int = 0
    ) {
        self.number = number
        self.name = name
        self.status = status
        self.isOK = isOK ?? !status.isFailure
        self.directive = directive
        self.reason = reason
        self.exitCode = exitCode
        self.diagnostics = diagnostics
        self.yaml = yaml
        self.children = children
        self.planned = planned
        self.line = line
    }
}

/// An error in a stream.
public struct KTAPProblem: Sendable, Equatable, CustomStringConvertible {
    /// The kinds of errors.
    public enum Kind: String, Sendable, CaseIterable {
        /// No test at all, in the stream or in a subtest. Not a pass.
        case noTests
        /// Neither a version line nor a plan: this may not be KTAP, or its beginning is lost.
        case noHeader
        /// No plan in TAP, which requires one: a missing end would not be noticed.
        case missingPlan
        /// No plan in KTAP, where it is optional.
        case unplanned
        /// Two plans.
        case duplicatePlan
        /// Fewer results than in the plan, or a gap in the numbers.
        case missingResult
        /// A result beyond the plan.
        case unplannedResult
        /// The same number twice.
        case duplicateNumber
        /// A number before its turn, or after it.
        case outOfOrder
        /// A number that is 0 or too large.
        case badNumber
        /// A line that begins like a result but does not count as one: `not ok` without a number in KTAP, `notok 1`.
        case strayResult
        /// Subtests with no result of their parent after them.
        case missingParentResult
        /// A parent said `ok` although a subtest failed.
        case childFailed
        /// A word in capitals after `#` that no specification knows.
        case unknownDirective
        /// `Bail out!`
        case bailOut
        /// A YAML block with no end.
        case unterminatedYAML
        /// The last line has no newline: it may be incomplete.
        case unterminatedLine
        /// A result line longer than `KTAPLimits.lineBytes`.
        case longLine
        /// Subtests nested deeper than `KTAPLimits.depth`.
        case tooDeep
        /// More results than `KTAPLimits.results`.
        case tooManyResults
        /// A kernel message is in the middle of a result.
        case torn
        /// The verdict of `prove` on a file, or on all files, contradicts the results.
        case proveDisagrees

        /// Whether the results may be incomplete, or may not have passed.
        public var isError: Bool {
            switch self {
            case .noTests, .noHeader, .missingPlan, .duplicatePlan, .missingResult, .unplannedResult,
                .duplicateNumber, .badNumber, .strayResult, .missingParentResult, .bailOut, .tooDeep, .tooManyResults,
                .proveDisagrees:
                true
            case .unplanned, .outOfOrder, .childFailed, .unknownDirective, .unterminatedYAML, .unterminatedLine,
                .longLine, .torn:
                false
            }
        }
    }

    /// The kind of the error.
    public var kind: Kind
    /// Its line in the stream, counted from 1.
    public var line: Int
    /// The message.
    public var message: String

    /// Creates a problem.
    public init(kind: Kind, line: Int, message: String) {
        self.kind = kind
        self.line = line
        self.message = message
    }

    /// Whether the results may be incomplete, or may not have passed.
    public var isError: Bool { kind.isError }

    /// The problem as it is printed.
    public var description: String { "line \(line): \(message)" }
}

/// The results of a whole stream.
public struct KTAPDocument: Sendable, Equatable {
    /// The first line of a stream.
    public enum Version: Sendable, Hashable {
        /// `KTAP version N`.
        case ktap(Int)
        /// `TAP version N`.
        case tap(Int)
    }

    /// The number of tests with each status. A test is a result without subtests, or a result that fails though none of
    /// its subtests does.
    public struct Counts: Sendable, Equatable {
        /// The tests by status.
        public private(set) var byStatus: [KTAPResult.Status: Int] = [:]
        /// The number of tests with a status.
        public subscript(status: KTAPResult.Status) -> Int { byStatus[status] ?? 0 }
        /// The number of all tests.
        public var total: Int { byStatus.values.reduce(0, +) }
        /// The number of tests that prevent a pass.
        public var failures: Int { self[.failed] + self[.timedOut] + self[.error] }

        fileprivate mutating func add(_ results: [KTAPResult]) {
            for result in results {
                let before = failures
                add(result.children)
                if result.children.isEmpty || (result.status.isFailure && failures == before) {
                    byStatus[result.status, default: 0] += 1
                }
            }
        }
    }

    /// The first version line; nil for TAP 12, which has none.
    public var version: Version?
    /// The sum of the plans at the top; nil without a plan.
    public var planned: Int?
    /// The results at the top.
    public var results: [KTAPResult]
    /// The problems, in their order; at most `KTAPLimits.problems` of them.
    public var problems: [KTAPProblem]
    /// Whether any problem was an error, kept or not.
    public var hasErrors: Bool
    /// Lines after the last result.
    public var diagnostics: [String]
    /// Why the stream bailed out, "" without a reason; nil if it did not.
    public var bailOut: String?
    /// Why the plan `1..0 # SKIP` skipped everything.
    public var skipReason: String?

    /// The tests by status.
    public var counts: Counts {
        var counts = Counts()
        counts.add(results)
        return counts
    }

    /// Whether at least one test ran, none failed, and no results seem to be missing.
    public var isPass: Bool {
        let counts = counts
        return !hasErrors && counts.failures == 0 && counts[.passed] + counts[.expectedFailure] > 0
    }
}

/// The amount of a stream to keep, so that no input makes memory grow without bound.
public struct KTAPLimits: Sendable, Equatable {
    /// The bytes of a line; the rest of a longer one is dropped. kernel printk lines end at 1 KiB.
    public var lineBytes = 16 << 10
    /// The most levels of subtests. KUnit uses three.
    public var depth = 32
    /// The most results to keep; more are an error.
    public var results = 100_000
    /// The most diagnostic lines, and lines of YAML, to keep of one result: the last ones.
    public var diagnosticLines = 256
    /// The bytes of text to keep in all. Beyond it diagnostics are dropped, and names are cut to `clippedNameBytes`.
    public var textBytes = 16 << 20
    /// The most problems to keep.
    public var problems = 200
    /// The bytes of a name to keep once `textBytes` is used up.
    public var clippedNameBytes = 64

    /// The defaults.
    public init() {}
}
