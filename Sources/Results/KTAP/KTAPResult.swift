// SPDX-License-Identifier: Apache-2.0
/// One result line with what belongs to it: its diagnostics before it, its YAML block after it, its subtests.
public struct KTAPResult: Sendable, Equatable {
    /// How a test ended, after its directive and its subtests have had their say.
    public enum Status: String, Sendable, CaseIterable {
        /// `ok`.
        case passed
        /// `not ok`; or `ok` although a subtest failed, did not report, or there was none; or `# XPASS`.
        case failed
        /// `# SKIP`, on either kind of line (KTAP allows both).
        case skipped
        /// `# XFAIL` on either kind of line, or `not ok ... # TODO`: it failed as it was expected to.
        case expectedFailure
        /// `# TIMEOUT`.
        case timedOut
        /// `# ERROR`: the test itself could not be carried out.
        case error

        /// Whether it stands in the way of a pass.
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
        /// The test could not be carried out.
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
    /// What follows the directive, or any other remark after `#`.
    public var reason: String?
    /// N of kselftest's `# exit=N`.
    public var exitCode: Int?
    /// The lines before it that belong to no other result: comments without their `# `, and the test's output.
    public var diagnostics: [String]
    /// The lines of its TAP 13/14 YAML block, without the markers.
    public var yaml: [String]
    /// Its subtests.
    public var children: [KTAPResult]
    /// How many subtests its own plan promised.
    public var planned: Int?
    /// Its line in the stream, counted from 1.
    public var line: Int
    /// Whether a kernel message stood in the middle of its line. Its name is without the message; its end may be
    /// missing.
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

/// Something in a stream that is not as it should be.
public struct KTAPProblem: Sendable, Equatable, CustomStringConvertible {
    /// What is wrong.
    public enum Kind: String, Sendable, CaseIterable {
        /// No test at all, in the stream or in a subtest. Not a pass.
        case noTests
        /// Neither a version line nor a plan: this may be no KTAP, or its beginning is lost.
        case noHeader
        /// No plan in TAP, which demands one: an end that was cut off would not show.
        case missingPlan
        /// No plan in KTAP, where it is optional.
        case unplanned
        /// Two plans.
        case duplicatePlan
        /// Fewer results than the plan promised, or a gap in the numbers.
        case missingResult
        /// A result beyond the plan.
        case unplannedResult
        /// The same number twice.
        case duplicateNumber
        /// A number before its turn, or after it.
        case outOfOrder
        /// A number that is 0, or too large to be one.
        case badNumber
        /// A line that begins like a result and is not counted as one: `not ok` without a number in KTAP, `notok 1`.
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
        /// The last line has no newline: it may be cut off.
        case unterminatedLine
        /// A result line longer than `KTAPLimits.lineBytes`.
        case longLine
        /// Subtests nested deeper than `KTAPLimits.depth`.
        case tooDeep
        /// More results than `KTAPLimits.results`.
        case tooManyResults
        /// A kernel message stands in the middle of a result.
        case torn
        /// `prove` says of a file, or of all, what the results do not show.
        case proveDisagrees

        /// Whether the results cannot be trusted to be all that there should be, or to have passed.
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

    /// What is wrong.
    public var kind: Kind
    /// Where, as a line of the stream counted from 1.
    public var line: Int
    /// In words.
    public var message: String

    /// Creates a problem.
    public init(kind: Kind, line: Int, message: String) {
        self.kind = kind
        self.line = line
        self.message = message
    }

    /// Whether the results cannot be trusted to be all that there should be, or to have passed.
    public var isError: Bool { kind.isError }

    /// The problem as it is printed.
    public var description: String { "line \(line): \(message)" }
}

/// What a whole stream came to.
public struct KTAPDocument: Sendable, Equatable {
    /// The first line of a stream.
    public enum Version: Sendable, Hashable {
        /// `KTAP version N`.
        case ktap(Int)
        /// `TAP version N`.
        case tap(Int)
    }

    /// How many tests ended in a way. A test is a result with no subtests, or one that fails though none of its
    /// subtests does.
    public struct Counts: Sendable, Equatable {
        /// The tests by status.
        public private(set) var byStatus: [KTAPResult.Status: Int] = [:]
        /// How many ended so.
        public subscript(status: KTAPResult.Status) -> Int { byStatus[status] ?? 0 }
        /// How many there are.
        public var total: Int { byStatus.values.reduce(0, +) }
        /// How many stand in the way of a pass.
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
    /// What the plans at the top promised together; nil without a plan.
    public var planned: Int?
    /// The results at the top.
    public var results: [KTAPResult]
    /// What is wrong, in the order found; at most `KTAPLimits.problems` of them.
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

    /// Whether at least one test ran, none failed, and nothing hints at results that are missing.
    public var isPass: Bool {
        let counts = counts
        return !hasErrors && counts.failures == 0 && counts[.passed] + counts[.expectedFailure] > 0
    }
}

/// How much of a stream is kept, so that no input makes memory grow without bound.
public struct KTAPLimits: Sendable, Equatable {
    /// The bytes of a line; the rest of a longer one is dropped. kernel printk lines end at 1 KiB.
    public var lineBytes = 16 << 10
    /// How deep subtests nest. KUnit uses three levels.
    public var depth = 32
    /// How many results are kept; more are an error.
    public var results = 100_000
    /// How many diagnostic lines, and lines of YAML, one result keeps: the last ones.
    public var diagnosticLines = 256
    /// The bytes of text kept in all. Beyond it diagnostics are dropped, and names cut to `clippedNameBytes`.
    public var textBytes = 16 << 20
    /// How many problems are kept.
    public var problems = 200
    /// What remains of a name once `textBytes` is spent.
    public var clippedNameBytes = 64

    /// The defaults.
    public init() {}
}
