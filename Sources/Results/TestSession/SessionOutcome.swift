// SPDX-License-Identifier: Apache-2.0
import CrashReports

/// What one test did.
public struct TestOutcome: Sendable, Equatable {
    /// How it ended.
    public enum Status: String, Sendable, CaseIterable {
        /// It ran and no expectation failed.
        case passed
        /// An expectation failed, or it threw.
        case failed
        /// It chose not to run.
        case skipped
        /// The guest's kernel crashed while it ran.
        case crashed
        /// It, or the guest, ran into a limit while it ran.
        case timedOut
        /// It was planned and nothing was heard of it.
        case notReported
        /// It passed in one try and not in another.
        case flaky
    }

    /// A failed expectation, or an error.
    public struct Issue: Sendable, Equatable {
        /// What was expected and what came.
        public var message: String
        /// The source file.
        public var file: String?
        /// The line in it, counted from 1.
        public var line: Int?
        /// Whether the test declares it as known, so that it does not fail.
        public var isKnown: Bool
        /// How often it came, with equal text at an equal place.
        public var count = 1
        /// The arguments of the cases in which it came, of each once, of very many the first.
        public var arguments: [String] = []

        /// Whether another is the same in the report.
        func isLike(_ other: Issue) -> Bool {
            line == other.line && isKnown == other.isKnown && file == other.file && message == other.message
        }

        /// Whether the arguments of a further case are to be kept.
        func hasRoom(for argument: String) -> Bool {
            arguments.count < TestCases.mostArguments && !arguments.contains(argument)
        }
    }

    /// The stable name, as `--list-tests` prints it.
    public var id: String
    /// The name for people.
    public var name: String
    /// How it ended.
    public var status: Status
    /// How long it ran, by the guest's clock.
    public var seconds: Double?
    /// Why it was skipped, or did not report.
    public var reason: String?
    /// How many of its cases were cancelled, when others ran.
    public var skippedCases = 0
    /// What it recorded.
    public var issues: [Issue] = [] { didSet { boundIssues() } }
    /// How many more there were.
    public internal(set) var omittedIssues = 0
    /// What the kernel said while it ran.
    public var kernelLog: [String] = []
    /// What it printed, where that is known by test.
    public var output: [String] = []

    /// The guest's monotonic clock at its start and end, in seconds.
    var started: Double?
    var ended: Double?
}

/// What one program did.
public struct ProgramOutcome: Sendable, Equatable {
    /// The program's name.
    public var name: String
    /// "swift-testing", "ktap", "ltp" or "exit-code".
    public var kind: String
    /// Its tests, in the order in which they ran.
    public var tests: [TestOutcome] = []
    /// What is wrong with the program's account of itself, beyond its tests. Each is a failure.
    public var problems: [String] = [] { didSet { boundProblems() } }
    /// How many more there were.
    public internal(set) var omittedProblems = 0
    /// What it did that is no failure and yet worth telling, such as a setting of the kernel's that was put back after it.
    public var notes: [String] = [] {
        didSet { SessionBounds.bound(notes: &notes) }
    }
    /// What it printed: the last lines.
    public var output: [String] = []
    /// How it ended, once it has.
    public var ending: ProgramEnding?
}

/// How a program in the guest ended.
public enum ProgramEnding: Sendable, Hashable {
    /// It called exit with this code.
    case exited(Int32)
    /// This signal ended it.
    case signaled(Int32)
    /// It ran into its limit.
    case timedOut
    /// It could not be started: why.
    case notStarted(String)

    /// Reads the words of rootfs/init/Program.swift.
    init?(_ text: String) {
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

/// What happened in a guest, from the first byte of its console to its end.
public struct SessionOutcome: Sendable, Equatable {
    /// The programs, in the order of the plan.
    public var programs: [ProgramOutcome]
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
        didSet { SessionBounds.bound(notes: &notes) }
    }
    /// Taint in the kernel's memory that says that something went wrong, of which the guest did not tell and which no report
    /// explains. Any makes the run fail.
    public var unexplainedTaint: KernelTaint = []
}
