// SPDX-License-Identifier: Apache-2.0
import Coverage
import ResultsModel

/// The outcome of a guest, from the first byte of its console to its end.
public struct SessionOutcome: Sendable, Equatable {
    /// The programs, in the order of the plan.
    public var programs: [SuiteResult]
    /// The kernel's reports.
    public var crashes: [Crash]
    /// The errors of the session as a whole. Each fails the run.
    public var faults: [String]
    /// The kernel's release, once the guest sent `hello`.
    public var release: String?
    /// Whether the guest's end marker arrived, with the right count of programs.
    public var isComplete: Bool
    /// The last sample that init sent of the kernel's state; nil when none came.
    public var evidence: KernelEvidence?
    /// Parts of the kernel's log that were not read. Their contents are not known.
    public var lostLog: [LostLog] = []
    /// The counters of each guest, where coverage was asked for.
    public var coverage: [GuestCounters] = []
    /// The durations of the project's calls, if they were asked for.
    public var callTimes = CallTimes()
    /// Notes of the guest's init for the user; none of them is a failure.
    public var notes: [String] = [] {
        didSet { ResultBounds.bound(notes: &notes) }
    }
    /// Taint in the kernel's memory that indicates an error, that the guest did not report, and that no report
    /// explains. Any bit fails the run.
    public var unexplainedTaint: KernelTaint = []
}
