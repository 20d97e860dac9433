// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Everything that a run came to: what was built, where it ran, what each test did. Every output format is a pure
/// function of it. docs/reference/report-schema.json describes its JSON.
public struct RunReport: Codable, Sendable, Equatable {
    /// The version of the JSON form. It rises when a key changes its meaning or goes; new keys may come at any time.
    public static let currentSchemaVersion = 1

    /// How a test ended.
    public enum Status: String, Codable, Sendable, CaseIterable {
        /// It ran and nothing failed.
        case passed
        /// An expectation failed.
        case failed
        /// It chose not to run.
        case skipped
        /// The guest's kernel crashed under it.
        case crashed
        /// A limit was reached while it ran.
        case timedOut
        /// It was planned and never heard of.
        case notReported
        /// It failed, and passed when it was tried again. Not a pass: what fails now and then is broken.
        case flaky

        /// Whether it stands in the way of a pass.
        public var isFailure: Bool { self != .passed && self != .skipped }
    }

    /// The kernel under test.
    public struct Kernel: Codable, Sendable, Equatable {
        /// Where it came from, as the user named it.
        public var source: String
        /// Its version.
        public var version: String
        /// What `uname -r` says in the guest.
        public var release: String?
        /// The digest of all that it was built from: equal for equal kernels.
        public var identity: String?
        /// The compiler that built it, in its own words.
        public var compiler: String?

        /// Creates a kernel.
        public init(source: String, version: String, release: String? = nil, identity: String? = nil) {
            self.source = source
            self.version = version
            self.release = release
            self.identity = identity
        }
    }

    /// The machine that it ran on.
    public struct Machine: Codable, Sendable, Equatable {
        /// The board.
        public var type: String
        /// kvm or tcg; none for user-mode Linux.
        public var accelerator: String
        /// Why that accelerator.
        public var acceleratorReason: String
        /// Memory in MiB.
        public var memoryMegabytes: Int
        /// Virtual CPUs.
        public var cpus: Int
        /// disk or initramfs.
        public var rootfs: String
        /// virtio, serial or ttyS0.
        public var results: String
        /// QEMU's version.
        public var qemuVersion: String?

        /// Creates a machine.
        public init(
            type: String, accelerator: String, acceleratorReason: String, memoryMegabytes: Int, cpus: Int,
            rootfs: String, results: String, qemuVersion: String? = nil
        ) {
            self.type = type
            self.accelerator = accelerator
            self.acceleratorReason = acceleratorReason
            self.memoryMegabytes = memoryMegabytes
            self.cpus = cpus
            self.rootfs = rootfs
            self.results = results
            self.qemuVersion = qemuVersion
        }
    }

    /// How the tests were spread over guests, when there was more than one.
    public struct Guests: Codable, Sendable, Equatable {
        /// Guests that ran in all.
        public var count: Int
        /// Guests that ran at once.
        public var width: Int
        /// Whether they woke from a snapshot instead of booting.
        public var isFromSnapshot: Bool
        /// The median of the seconds from a machine's start to its guest's first word.
        public var medianStartSeconds: Double?
        /// The median of the seconds that a machine ran.
        public var medianSeconds: Double?

        /// Creates an account of guests.
        public init(
            count: Int, width: Int, isFromSnapshot: Bool, medianStartSeconds: Double? = nil,
            medianSeconds: Double? = nil
        ) {
            self.count = count
            self.width = width
            self.isFromSnapshot = isFromSnapshot
            self.medianStartSeconds = medianStartSeconds
            self.medianSeconds = medianSeconds
        }
    }

    /// A system call that the patches add.
    public struct Syscall: Codable, Sendable, Equatable {
        /// Its name.
        public var name: String
        /// Its number in the x86-64 table.
        public var number: Int

        /// Creates a system call.
        public init(name: String, number: Int) {
            self.name = name
            self.number = number
        }
    }

    /// A step of the run.
    public struct Step: Codable, Sendable, Equatable {
        /// Its name.
        public var name: String
        /// hit: the result was there already; made: it worked; failed.
        public var outcome: String
        /// How long it took. Steps overlap, so their sum may exceed the run's time.
        public var seconds: Double
        /// What it came to.
        public var detail: String
        /// When it began: seconds after the run did; nil in a report of a kbuild that did not say.
        public var startSeconds: Double?

        /// Creates a step.
        public init(name: String, outcome: String, seconds: Double, detail: String, startSeconds: Double? = nil) {
            self.name = name
            self.outcome = outcome
            self.seconds = seconds
            self.detail = detail
            self.startSeconds = startSeconds
        }
    }

    /// A failed expectation, or an error.
    public struct Issue: Codable, Sendable, Equatable {
        /// What was expected and what came.
        public var message: String
        /// The source file.
        public var file: String?
        /// The line, counted from 1.
        public var line: Int?
        /// Whether the test declares it as known.
        public var isKnown: Bool
        /// How often it came in this test, with equal text at an equal place; nil for once.
        public var count: Int?
        /// The arguments of the cases in which it came, each once, of very many the first; nil where the test is not
        /// parameterized.
        public var arguments: [String]?
        /// The text of the line, from the project's own file, without the blanks around it; nil where it could not be read.
        public var sourceText: String?

        /// Creates an issue.
        public init(message: String, file: String? = nil, line: Int? = nil, isKnown: Bool = false) {
            self.message = message
            self.file = file
            self.line = line
            self.isKnown = isKnown
        }
    }

    /// What a test did.
    public struct Test: Codable, Sendable, Equatable {
        /// Its stable name.
        public var id: String
        /// Its name for people.
        public var name: String
        /// How it ended.
        public var status: Status
        /// How long it ran, by the guest's clock.
        public var seconds: Double?
        /// Why it was skipped, or did not report.
        public var reason: String?
        /// How many of its cases were cancelled while others ran; nil for none.
        public var skippedCases: Int?
        /// What it recorded.
        public var issues: [Issue]
        /// How many more issues there were than are kept; nil for none.
        public var omittedIssues: Int?
        /// What the kernel said while it ran.
        public var kernelLog: [String]
        /// What it printed, where that is known by test.
        public var output: [String]

        /// Creates a test.
        public init(
            id: String, name: String, status: Status, seconds: Double? = nil, reason: String? = nil,
            issues: [Issue] = [], kernelLog: [String] = [], output: [String] = []
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
    }

    /// What a program with tests did.
    public struct Suite: Codable, Sendable, Equatable {
        /// The program's name.
        public var name: String
        /// swift-testing, ktap or exit-code.
        public var kind: String
        /// Its tests in the order in which they ran.
        public var tests: [Test]
        /// What is wrong with its account of itself. Each is a failure.
        public var problems: [String]
        /// How many more problems there were than are kept; nil for none.
        public var omittedProblems: Int?
        /// The last lines that it printed.
        public var output: [String]
        /// What it did that is no failure and yet worth telling, such as a setting of the kernel's that was put back after
        /// it; nil when there is nothing.
        public var notes: [String]?

        /// Creates a suite.
        public init(
            name: String, kind: String, tests: [Test], problems: [String] = [], output: [String] = [],
            notes: [String] = []
        ) {
            self.name = name
            self.kind = kind
            self.tests = tests
            self.problems = problems
            self.output = output
            self.notes = notes.isEmpty ? nil : notes
        }
    }

    /// A crash report of the guest's kernel.
    public struct Crash: Codable, Sendable, Equatable {
        /// A place in the sources.
        public struct Location: Codable, Sendable, Equatable {
            /// The function as the source names it.
            public var function: String
            /// The file, relative to the kernel's tree where that is known.
            public var file: String
            /// The line, counted from 1.
            public var line: Int
            /// The text of the line, from the project's own file, without the blanks around it; nil where it could not be
            /// read.
            public var sourceText: String?

            /// Creates a place.
            public init(function: String, file: String, line: Int) {
                self.function = function
                self.file = file
                self.line = line
            }
        }

        /// A function of the call trace.
        public struct Frame: Codable, Sendable, Equatable {
            /// The symbol, with the compiler's suffixes.
            public var symbol: String
            /// The distance from its start in bytes.
            public var offset: UInt64
            /// Its size in bytes, up to the next symbol.
            public var size: UInt64
            /// The module that it is in; nil for the kernel itself.
            public var module: String?
            /// Whether the unwinder is sure of it.
            public var isReliable: Bool
            /// Its place in the sources and those of the functions into which it was inlined, the innermost first; empty
            /// where vmlinux has no debug information.
            public var locations: [Location]

            /// Creates a frame.
            public init(
                symbol: String, offset: UInt64, size: UInt64, module: String? = nil, isReliable: Bool = true,
                locations: [Location] = []
            ) {
                self.symbol = symbol
                self.offset = offset
                self.size = size
                self.module = module
                self.isReliable = isReliable
                self.locations = locations
            }
        }

        /// A title that is the same for the same fault.
        public var title: String
        /// What it is about, in a word: `kasan`, `nullPointer`, `lockdep` and so on.
        public var kind: String?
        /// Whether the kernel could not go on.
        public var isFatal: Bool
        /// The test that was running.
        public var test: String?
        /// Whether it came while the guest booted; absent when it did not.
        public var isAtBoot: Bool?
        /// Whether the console never showed it, and kbuild found it in the kernel's memory; absent when it was shown.
        public var isFromMemory: Bool?
        /// The function to blame, where one is named.
        public var function: String?
        /// The processor.
        public var cpu: Int?
        /// The task's name.
        public var task: String?
        /// The task's number.
        public var pid: Int?
        /// Why the project expects it, by the entry of `splats:` that names it; nil for a report that is not expected.
        public var knownReason: String?
        /// Why the report is not whole: its beginning or its end is lost. nil when it is.
        public var corruption: String?
        /// The call trace that tells most, from the fault outwards.
        public var frames: [Frame]?
        /// The report's first line in the console, counted from 1.
        public var firstLine: Int?
        /// Its last line.
        public var lastLine: Int?
        /// The report, line by line.
        public var lines: [String]

        /// When it came and where it was found, as it stands in a sentence: "while TEST ran", "at boot"; nil when there is
        /// nothing to say.
        public var moment: String? {
            guard !momentParts.isEmpty else { return nil }
            return momentParts.map { part in
                switch part {
                case .words(let words): words.description
                case .test(let name): name
                }
            }.joined()
        }

        /// A part of the sentence that `moment` is.
        enum MomentPart {
            /// Words of kbuild's.
            case words(StaticString)
            /// The name of a test, which is not kbuild's.
            case test(String)
        }

        /// `moment` in parts, for a format of its own; empty when there is nothing to say.
        var momentParts: [MomentPart] {
            var parts: [MomentPart] = []
            if let test {
                parts = [.words("while "), .test(test), .words(" ran")]
            } else if isAtBoot == true {
                parts = [.words("at boot")]
            }
            if isFromMemory == true {
                if !parts.isEmpty { parts.append(.words(", ")) }
                parts.append(.words("hidden from the console, found in the kernel's memory"))
            }
            return parts
        }

        /// Creates a crash.
        public init(title: String, isFatal: Bool, test: String? = nil, lines: [String]) {
            self.title = title
            self.isFatal = isFatal
            self.test = test
            self.lines = lines
        }
    }

    /// Why a run could not be carried out, or not to its end.
    public struct RunError: Codable, Sendable, Equatable {
        /// The exit code that it stands for.
        public var code: Int32
        /// What went wrong.
        public var message: String
        /// The evidence.
        public var details: String?
        /// What to do about it.
        public var nextStep: String?

        /// The most bytes kept of a message, and of the evidence.
        static let longestMessage = 4 << 10
        static let longestDetails = 64 << 10

        /// Takes over a failure.
        public init(_ failure: Failure) {
            code = failure.code.rawValue
            message = Text.cut(failure.message, bytes: Self.longestMessage)
            details = failure.details.map { Text.cut($0, bytes: Self.longestDetails) }
            nextStep = failure.nextStep
        }

        /// The failure again.
        public var failure: Failure {
            Failure(
                ExitStatus(rawValue: code) ?? .infrastructure, message, details: details, nextStep: nextStep)
        }
    }

    /// Files that the run left behind.
    public struct Artifacts: Codable, Sendable, Equatable {
        /// The run's folder.
        public var folder: String?
        /// The console's transcript.
        public var console: String?
        /// The logs of the consoles while the guests booted that others woke from; they are at the head of `console` too.
        public var bootConsoles: [String]?
        /// The full log of make.
        public var buildLog: String?
        /// The folder with the memory of guests that crashed or hung, as ELF core files.
        public var memory: String?

        /// Creates the list.
        public init(
            folder: String? = nil, console: String? = nil, buildLog: String? = nil, memory: String? = nil
        ) {
            self.folder = folder
            self.console = console
            self.buildLog = buildLog
            self.memory = memory
        }
    }

    /// The version of this form.
    public var schemaVersion = RunReport.currentSchemaVersion
    /// When it started, in ISO 8601.
    public var startedAt: String
    /// How long it took.
    public var seconds: Double
    /// The project's folder.
    public var project: String
    /// The profile.
    public var profile: String?
    /// The pattern for the tests that were to run; nil for all.
    public var filter: String?
    /// kbuild's version.
    public var kbuildVersion: String?
    /// What kbuild ran on: the name and release of its kernel, and the processor.
    public var host: String?
    /// How kbuild was called, as it could be pasted into a shell.
    public var commandLine: String?
    /// The effective project file, as `kbuild config --show` prints it.
    public var configuration: String?
    /// The commands that kbuild ran, in order; of very many the first.
    public var commands: [String]?
    /// The kernel.
    public var kernel: Kernel?
    /// The machine.
    public var machine: Machine?
    /// The guests, when there was more than one.
    public var guests: Guests?
    /// The system calls that the patches add.
    public var syscalls: [Syscall]
    /// The steps.
    public var steps: [Step]
    /// Why the memory of a guest's kernel was not read at its end, to compare it with what the guest said; absent when
    /// that of each guest was read that ended by itself or at a limit.
    public var unreadKernelMemory: String?
    /// Whether the one thing to find out was whether the kernel boots and reports nothing.
    public var isBootCheck: Bool?
    /// What the tests did.
    public var suites: [Suite]
    /// What the kernel reported.
    public var crashes: [Crash]
    /// Whether a crash that is not fatal fails the run.
    public var splatsFail: Bool
    /// What went wrong with the run itself, the most telling first.
    public var troubles: [RunError]
    /// Files that it left.
    public var artifacts: Artifacts

    /// Creates a report. Its exit code and its verdict are computed from what it holds, at any time.
    public init(
        startedAt: String, seconds: Double = 0, project: String, profile: String? = nil, kernel: Kernel? = nil,
        machine: Machine? = nil, syscalls: [Syscall] = [], steps: [Step] = [], suites: [Suite] = [],
        crashes: [Crash] = [], splatsFail: Bool = true, troubles: [RunError] = [], artifacts: Artifacts = Artifacts()
    ) {
        self.startedAt = startedAt
        self.seconds = seconds
        self.project = project
        self.profile = profile
        self.kernel = kernel
        self.machine = machine
        self.syscalls = syscalls
        self.steps = steps
        self.suites = suites
        self.crashes = crashes
        self.splatsFail = splatsFail
        self.troubles = troubles
        self.artifacts = artifacts
    }
}

extension RunReport {
    /// Every test of every suite.
    public var tests: [Test] { suites.flatMap(\.tests) }

    /// Whether a crash report fails the run: a fatal one always does, another unless the project knows it or only warns.
    public func fails(_ crash: Crash) -> Bool { crash.isFatal || splatsFail && crash.knownReason == nil }

    /// How many tests ended in a way.
    public func count(_ status: Status) -> Int { tests.count { $0.status == status } }

    /// Notes that the user interrupted the run, unless the report says so already.
    public mutating func noteInterruption() {
        guard exitCode != ExitStatus.interrupted.rawValue else { return }
        troubles.append(.init(Failure(.interrupted, "interrupted")))
    }

    /// kbuild's exit code for the run, computed from the rest of the report and never stored, so that the two cannot
    /// contradict each other.
    ///
    /// The first that applies decides: an interruption, a crash of the guest, a limit, trouble with the run itself, a
    /// test that crashed or ran into its limit, a suite that holds no test, a failed, flaky or unreported test, and last
    /// whether any test ran at all. A crash comes before the limit and the broken channel that it causes.
    public var exitCode: Int32 { judgement.rawValue }

    /// The exit code in a word: passed, failed, crashed, timed-out, or the kind of trouble.
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
        let codes = troubles.map { ExitStatus(rawValue: $0.code) ?? .infrastructure }
        if codes.contains(.interrupted) { return .interrupted }
        if crashes.contains(where: fails) { return .guestCrash }
        if codes.contains(.guestCrash) { return .guestCrash }
        if codes.contains(.timeout) { return .timeout }
        if let code = codes.first(where: { $0 != .success }) { return code }
        if tests.contains(where: { $0.status == .crashed }) { return .guestCrash }
        if tests.contains(where: { $0.status == .timedOut }) { return .timeout }
        // An empty bundle beside suites that passed is a bundle that did not run.
        if suites.contains(where: { $0.tests.isEmpty && $0.problems.isEmpty }) { return .infrastructure }
        if tests.contains(where: \.status.isFailure) || suites.contains(where: { !$0.problems.isEmpty }) {
            return .testFailure
        }
        return count(.passed) > 0 ? .success : .infrastructure
    }
}

extension RunReport.Issue {
    /// The most arguments that a person is shown; the JSON report has more.
    static let mostArguments = 8

    /// "16 times, with n → 1; n → 2": how often it came and in which cases; nil for once in a test without arguments.
    var circumstances: String? {
        var parts: [String] = []
        if let count, count > 1 { parts.append("\(count) times") }
        if let arguments, !arguments.isEmpty {
            let shown = arguments.prefix(Self.mostArguments).joined(separator: "; ")
            parts.append("with \(shown)" + (arguments.count > Self.mostArguments ? "; ..." : ""))
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}
