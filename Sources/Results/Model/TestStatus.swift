// SPDX-License-Identifier: Apache-2.0

/// How a test ended.
public enum TestStatus: String, Codable, Sendable, CaseIterable {
    /// It ran and nothing failed.
    case passed
    /// An expectation failed, or it threw.
    case failed
    /// It chose not to run.
    case skipped
    /// The guest's kernel crashed while it ran.
    case crashed
    /// It, or the guest, reached a limit while it ran.
    case timedOut
    /// It was planned and did not report.
    case notReported
    /// It passed in one try and failed in another. This is not a pass: a test that sometimes fails is broken.
    case flaky

    /// Whether it prevents a pass.
    public var isFailure: Bool { self != .passed && self != .skipped }

    /// The words for a status, in every output.
    public struct Words: Sendable, Equatable {
        /// At the beginning of a line on a terminal: `TIMEOUT`.
        public var mark: String
        /// In a word or two: `timed out`.
        public var short: String
        /// As the verb of a sentence about the test: `ran into its limit`.
        public var verb: String
        /// After a number of tests: `2 without result`.
        public var counted: String
    }

    /// Its words.
    public var words: Words {
        switch self {
        case .passed: Words(mark: "ok", short: "passed", verb: "passed", counted: "passed")
        case .failed: Words(mark: "FAIL", short: "failed", verb: "failed", counted: "failed")
        case .skipped: Words(mark: "skip", short: "skipped", verb: "was skipped", counted: "skipped")
        case .crashed: Words(mark: "CRASH", short: "crashed", verb: "crashed the kernel", counted: "crashed")
        case .timedOut: Words(mark: "TIMEOUT", short: "timed out", verb: "ran into its limit", counted: "timed out")
        case .notReported:
            Words(mark: "NO RESULT", short: "no result", verb: "did not report", counted: "without result")
        case .flaky: Words(mark: "FLAKY", short: "flaky", verb: "is flaky", counted: "flaky")
        }
    }
}
