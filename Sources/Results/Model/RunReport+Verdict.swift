// SPDX-License-Identifier: Apache-2.0
import Diagnostics

extension RunReport {
    /// Every test of every suite.
    public var tests: [TestResult] { suites.flatMap(\.tests) }

    /// Whether a crash report fails the run: a fatal one always does, another does unless the project knows it or only
    /// warns.
    public func fails(_ crash: Crash) -> Bool { crash.isFatal || splatsFail && crash.knownReason == nil }

    /// The number of tests with a status.
    public func count(_ status: TestStatus) -> Int { tests.count { $0.status == status } }

    /// Records that the user interrupted the run, unless the report has that already.
    public mutating func noteInterruption() {
        guard exitCode != ExitStatus.interrupted.rawValue else { return }
        errors.append(.init(Failure(.interrupted, "interrupted")))
    }

    /// kbuild's exit code for the run, computed from the rest of the report and never stored, so that the two cannot
    /// contradict each other.
    ///
    /// The first that applies decides: an interruption, a crash of the guest, a limit, an error of the run itself, a
    /// test that crashed or reached its limit, a suite without tests, a failed, flaky or unreported test, and last
    /// whether any test ran at all. A crash comes before the limit and the broken channel that it causes.
    public var exitCode: Int32 { judgement.rawValue }

    /// The exit code in a word: passed, failed, crashed, timed-out, or the kind of error.
    public var verdict: String { Self.verdict(of: judgement) }

    private static func verdict(of code: ExitStatus) -> String {
        switch code {
        case .success: "passed"
        case .testFailure: "failed"
        case .usage: "usage-error"
        case .patch: "patch-failed"
        case .build: "build-failed"
        case .guestCrash: "crashed"
        case .timeout: "timed-out"
        case .infrastructure: "infrastructure-failed"
        case .interrupted: "interrupted"
        }
    }

    private var judgement: ExitStatus {
        let codes = errors.map { ExitStatus(rawValue: $0.code) ?? .infrastructure }
        if codes.contains(.interrupted) { return .interrupted }
        if crashes.contains(where: fails) { return .guestCrash }
        if codes.contains(.guestCrash) { return .guestCrash }
        if codes.contains(.timeout) { return .timeout }
        // Too little coverage is an error with the code of a failed test, and counts as one.
        if let code = codes.first(where: { ![.success, .testFailure].contains($0) }) { return code }
        if tests.contains(where: { $0.status == .crashed }) { return .guestCrash }
        if tests.contains(where: { $0.status == .timedOut }) { return .timeout }
        // An empty bundle beside passed suites is a bundle that did not run.
        if suites.contains(where: { $0.tests.isEmpty && $0.problems.isEmpty }) { return .infrastructure }
        if codes.contains(.testFailure) || tests.contains(where: \.status.isFailure)
            || suites.contains(where: { !$0.problems.isEmpty })
        {
            return .testFailure
        }
        return count(.passed) > 0 ? .success : .infrastructure
    }
}
