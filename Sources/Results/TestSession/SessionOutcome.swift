// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// What happened in a guest, from the first byte of its console to its end.
public struct SessionOutcome: Sendable, Equatable {
    /// The programs, in the order of the plan.
    public var programs: [SuiteResult]
    /// What the kernel reported.
    public var crashes: [Crash]
    /// What is wrong with the session as a whole. Each makes the run fail.
    public var faults: [String]
    /// The kernel's release, once the guest said hello.
    public var release: String?
    /// Whether the guest's end marker came, with the right count of programs.
    public var isComplete: Bool
    /// The last sample that init sent of the kernel's state; nil when none came.
    public var evidence: KernelEvidence?
    /// Parts of the kernel's log that were not read. What they said is not known.
    public var lostLog: [LostLog] = []
    /// What the guest's init says for the user about the guest; none of it a failure.
    public var notes: [String] = [] {
        didSet { ResultBounds.bound(notes: &notes) }
    }
    /// Taint in the kernel's memory that says that something went wrong, of which the guest did not tell and which no
    /// report explains. Any makes the run fail.
    public var unexplainedTaint: KernelTaint = []
}
