// SPDX-License-Identifier: Apache-2.0
import Coverage
import Diagnostics

/// The result of a run: what was built, where it ran, what each test did. Every output format is a pure function of it.
/// docs/reference/report-schema.json describes its JSON.
public struct RunReport: Codable, Sendable, Equatable {
    /// The version of the JSON form. It rises when a key changes its meaning or is removed; new keys may be added at
    /// any time.
    public static let currentSchemaVersion = 1

    /// The kernel under test.
    public struct Kernel: Codable, Sendable, Equatable {
        /// Its source, as the user named it.
        public var source: String
        /// Its version.
        public var version: String
        /// The output of `uname -r` in the guest.
        public var release: String?
        /// The digest of all its inputs: equal for equal kernels.
        public var identity: String?
        /// The compiler that built it, by its own name.
        public var compiler: String?
        /// The file of a kernel that kbuild did not build; nil for one that it built.
        public var prebuilt: String?

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
        /// Why that accelerator was chosen.
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

    /// The distribution of the tests among guests, if there was more than one.
    public struct Guests: Codable, Sendable, Equatable {
        /// Guests that ran in all.
        public var count: Int
        /// Guests that ran at once.
        public var maxConcurrentGuests: Int
        /// Whether they were restored from a snapshot instead of booting.
        public var isFromSnapshot: Bool
        /// The median of the seconds from a machine's start to its guest's first frame.
        public var medianStartSeconds: Double?
        /// The median of the seconds that a machine ran.
        public var medianSeconds: Double?

        /// Creates a summary of guests.
        public init(
            count: Int, maxConcurrentGuests: Int, isFromSnapshot: Bool, medianStartSeconds: Double? = nil,
            medianSeconds: Double? = nil
        ) {
            self.count = count
            self.maxConcurrentGuests = maxConcurrentGuests
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
        /// hit: the result existed already; made: the step did its work; failed.
        public var outcome: String
        /// How long it took. Steps overlap, so their sum may exceed the run's time.
        public var seconds: Double
        /// A few words on the result.
        public var detail: String
        /// When it began, in seconds after the run's start; nil in a report of an older kbuild.
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

    /// Why a run could not be performed, or not completely.
    public struct RunError: Codable, Sendable, Equatable {
        /// Its exit code.
        public var code: Int32
        /// The error.
        public var message: String
        /// The evidence.
        public var details: String?
        /// The next step for the user.
        public var nextStep: String?

        /// The most bytes to keep of a message, and of the evidence.
        static let longestMessage = 4 << 10
        static let longestDetails = 64 << 10

        /// Converts a failure.
        public init(_ failure: Failure) {
            code = failure.code.rawValue
            message = failure.message.cut(toBytes: Self.longestMessage)
            details = failure.details.map { $0.cut(toBytes: Self.longestDetails) }
            nextStep = failure.nextStep
        }

        /// The failure.
        public var failure: Failure {
            Failure(
                ExitStatus(rawValue: code) ?? .infrastructure, message, details: details, nextStep: nextStep)
        }
    }

    /// The files that the run left.
    public struct Artifacts: Codable, Sendable, Equatable {
        /// The run's folder.
        public var folder: String?
        /// The console's transcript.
        public var console: String?
        /// The console logs of the boots from which guests were restored; they are also at the beginning of `console`.
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
    /// The pattern for the selected tests; nil for all.
    public var filter: String?
    /// kbuild's version.
    public var kbuildVersion: String?
    /// The host of kbuild: the name and release of its kernel, and the processor.
    public var host: String?
    /// kbuild's command line, in a form that can be pasted into a shell.
    public var commandLine: String?
    /// The effective project file, as `kbuild config --show` prints it.
    public var configuration: String?
    /// The commands that kbuild ran, in order; only the first if there are very many.
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
    /// Why the memory of a guest's kernel was not read at its end, to compare it with the guest's reports; absent when
    /// it was read for each guest that ended by itself or at a limit.
    public var unreadKernelMemory: String?
    /// Whether the run only tested that the kernel boots and reports nothing.
    public var isBootCheck: Bool?
    /// The results of the tests.
    public var suites: [SuiteResult]
    /// What the tests reached of the project's C files; nil when that was not asked for, or could not be found out.
    public var coverage: CoverageReport?
    /// What the added calls cost, by test; nil when that was not asked for.
    public var callProfile: CallProfile?
    /// How often the tests ended in which way; nil when they ran once.
    public var repetitions: Repetitions?
    /// The kernel's reports.
    public var crashes: [Crash]
    /// Whether a crash that is not fatal fails the run.
    public var splatsFail: Bool
    /// The errors of the run itself, the most useful first.
    public var errors: [RunError]
    /// Its files.
    public var artifacts: Artifacts

    /// Creates a report. Its exit code and its verdict are computed from its contents, at any time.
    public init(
        startedAt: String, seconds: Double = 0, project: String, profile: String? = nil, kernel: Kernel? = nil,
        machine: Machine? = nil, syscalls: [Syscall] = [], steps: [Step] = [], suites: [SuiteResult] = [],
        crashes: [Crash] = [], splatsFail: Bool = true, errors: [RunError] = [], artifacts: Artifacts = Artifacts()
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
        self.errors = errors
        self.artifacts = artifacts
    }
}
