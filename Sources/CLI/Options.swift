// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation
import KernelBuild
import Project
import Reporting
import RunStore
import SystemPackage

/// The form of results on standard output.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
}

/// The form of a run's results on standard output.
enum ReportFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json, jsonl, b4
}

/// Forms of annotations that a CI service reads from a job's output.
enum AnnotationFormat: String, ExpressibleByArgument, CaseIterable {
    case github
}

/// The options of every verb: the project and the amount of output.
struct CommonOptions: ParsableArguments {
    @Option(
        name: .customLong("project"),
        help: "The folder that holds kbuild.yaml, or the file itself. (default: search upwards from here)",
        completion: .file())
    var project: String?

    @Option(help: "The profile of kbuild.yaml to use.", completion: .found { $0.profiles })
    var profile: String?

    @Flag(name: .shortAndLong, help: "Show every command in a form that can be pasted into a shell.")
    var verbose = false

    @Flag(name: .shortAndLong, help: "Print only the verdict and errors.")
    var quiet = false

    @Flag(name: .customLong("no-progress"), help: "Show no live status line.")
    var noProgress = false

    func validate() throws {
        if verbose, quiet { throw ValidationError("--verbose and --quiet exclude each other") }
    }

    var verbosity: Console.Verbosity { quiet ? .quiet : verbose ? .verbose : .normal }

    /// - Parameter isTerse: Whether routine steps and notes are omitted without `--verbose`.
    /// - Parameter jobLog: The CI job's log that standard error goes to; nil for none.
    /// - Parameter streamsEvents: Whether events go to standard output as lines of JSON.
    func makeConsole(isTerse: Bool = false, jobLog: JobLog? = nil, streamsEvents: Bool = false) -> Console {
        Console(
            verbosity: verbosity, noProgress: noProgress || jobLog != nil, isTerse: isTerse && !verbose,
            jobLog: jobLog ?? .plain, streamsEvents: streamsEvents)
    }
}

/// The options for what is built.
struct BuildOptions: ParsableArguments {
    @Option(
        help: """
            The kernel: a Debian package (linux-source-6.1), a folder, a tarball, or git+URL#REF; or a built one, which is only \
            booted: a release of /boot, a path of vmlinuz-RELEASE, or a linux-image-*.deb.
            """,
        completion: .found { $0.kernels })
    var kernel: String?

    @Flag(
        help: """
            Run make in the kernel tree itself, with its .config as it is, and boot the result. (default: kbuild builds a copy \
            of the tree, with the options that a guest needs)
            """)
    var inTree = false

    @Option(
        help: """
            The base of the kernel's configuration: tinyconfig, defconfig, allnoconfig, localmodconfig, or a file such as \
            /boot/config-6.1.0-56-amd64. (default: in a kernel tree its .config, if there is one)
            """, completion: .file())
    var config: String?

    @Option(
        help: """
            A configuration fragment for the base: a file, kernel:NAME (kernel/configs/NAME.config), kselftest:NAME, or \
            kbuild:suites (what test suites expect of a guest). May be repeated.
            """, completion: .file())
    var fragment: [String] = []

    @Option(
        name: .customLong("set"),
        help: "A kernel option, such as CONFIG_KASAN=y, which is set with its dependencies. May be repeated.")
    var setOptions: [String] = []

    @Option(
        help: """
            A folder with a kernel module's Kbuild file, which is built for this kernel and loaded in the guest. May be \
            repeated.
            """, completion: .directory)
    var module: [String] = []

    @Option(
        help: "The machine: auto, microvm, q35, pc, or uml (user-mode Linux, which has its own kernel).",
        completion: .choices(ofKey: "machine.type"))
    var machine: String?

    @Option(help: "How many lines of context at each end of a patch's hunk may differ, 0 to 3. (default: 0)")
    var fuzz: Int?

    @Option(help: "How many jobs make and SwiftPM may run at once. (default: the number of processors)")
    var jobs: Int?

    @Option(
        help: """
            Turn on the kernel's checkers: memory, races, locks, leaks, stack, undefined, or all. Each set of checkers has its \
            own kernel, races and memory need two kernels, and runs are slower.
            """, completion: .list(Checker.allCases.map(\.rawValue) + [Checker.allWord]))
    var check: String?

    @Flag(
        help: """
            Collect coverage of the project's C files: the lines, branches and functions that the tests reach, by gcov. Takes a \
            kernel of its own.
            """)
    var coverage = false

    @Flag(
        help: """
            Have sparse and checkpatch read the project's own C files after the kernel is built. What they report is shown as the             compiler's warnings are, and with `warnings: fail` it fails the run.
            """)
    var lint = false

    @Option(
        help: "Confine code that runs on the host: auto (for inputs from outside the project), on or off.",
        completion: .choices(ofKey: "sandbox"))
    var sandbox: String?

    @Flag(
        name: .customLong("verify-build"),
        help: "After an incremental build also run a plain make, which must build the same kernel.")
    var verifyBuild = false

    @Flag(
        name: .customLong("no-incremental"),
        help: "Always run a plain make, also when only C files or the system-call tables changed.")
    var noIncremental = false

    func validate() throws {
        if verifyBuild, noIncremental {
            throw ValidationError("--verify-build and --no-incremental exclude each other")
        }
        if inTree, verifyBuild || noIncremental || fuzz != nil {
            throw ValidationError(
                "--in-tree goes without --verify-build, --no-incremental and --fuzz: it runs the tree's own make")
        }
        if inTree, kernel != nil || config != nil || !fragment.isEmpty {
            throw ValidationError(
                "--in-tree goes without --kernel, --config and --fragment: it builds the tree as it is")
        }
    }

    var scope: BuildScope { noIncremental ? .whole : verifyBuild ? .verified : .incremental }

    var overrides: [ProjectOverride] {
        [
            kernel.map { ProjectOverride(key: "kernel.source", value: Self.kernel($0), flag: "--kernel") },
            inTree ? ProjectOverride.inTree : nil,
            machine.map { ProjectOverride(key: "machine.type", value: $0, flag: "--machine") },
            fuzz.map { ProjectOverride(key: "kernel.fuzz", value: String($0), flag: "--fuzz") },
            jobs.map { ProjectOverride(key: "kernel.jobs", value: String($0), flag: "--jobs") },
            check.map { ProjectOverride(key: "check", value: $0, flag: "--check") },
            coverage ? ProjectOverride(key: "coverage.collect", value: "on", flag: "--coverage") : nil,
            lint ? ProjectOverride(key: "lint", value: "on", flag: "--lint") : nil,
            sandbox.map { ProjectOverride(key: "sandbox", value: $0, flag: "--sandbox") },
            config.map { ProjectOverride(key: "kernel.base", value: Self.base($0), flag: "--config") },
        ].compactMap { $0 } + configuration
    }
}

extension BuildOptions {
    /// The options on top of the configuration's base.
    private var configuration: [ProjectOverride] {
        fragment.map { name in
            let isFile = Project.Fragment(named: name) == nil
            return ProjectOverride(key: "kernel.config", .entry(isFile ? fromHere(name) : name), flag: "--fragment")
        } + setOptions.map { ProjectOverride(key: "kernel.options", .entry($0), flag: "--set") }
            + module.map { ProjectOverride(key: "modules", .fields(["path": fromHere($0)]), flag: "--module") }
    }

    /// A built kernel is a file of the host; another source is relative to the project, as in the project file.
    private static func kernel(_ text: String) -> String {
        Project.builtKernel(text, from: FilePath(FileManager.default.currentDirectoryPath)) ?? text
    }

    private static func base(_ name: String) -> String { Project.Base.words.contains(name) ? name : fromHere(name) }
}

/// A path of the command line, which is relative to the working directory and not to the project file.
func fromHere(_ path: String) -> String {
    FilePath(FileManager.default.currentDirectoryPath).pushing(FilePath(path)).lexicallyNormalized().string
}

/// The options for the machine.
struct MachineOptions: ParsableArguments {
    @Option(
        help: "The accelerator: auto (KVM if it works, else TCG), kvm or tcg.",
        completion: .choices(ofKey: "machine.accel"))
    var accel: String?

    @Option(help: "Guest memory, such as 512M or 2G.")
    var memory: String?

    @Option(help: "Virtual CPUs.")
    var cpus: Int?

    @Option(
        name: .customLong("append"),
        help: "Words for the kernel's command line, after the project's. May be repeated.")
    var kernelArguments: [String] = []

    @Option(
        help: """
            An additional disk: a size such as 2G for an empty disk, or a file, which the guest writes to only if it \
            is FILE:rw. May be repeated.
            """, completion: .file())
    var disk: [String] = []

    @Option(
        help: "user: the guest reaches the same networks as the host. (default: none)",
        completion: .choices(ofKey: "network.type"))
    var network: String?

    @Option(
        help:
            "A port of 127.0.0.1 that leads to one of the guest's, such as 2222:22. May be repeated; implies a network."
    )
    var forward: [String] = []

    @Option(help: "The number of NUMA nodes that share memory and CPUs. (default: 1)")
    var numa: Int?

    @Option(
        name: .customLong("qemu-arg"), parsing: .unconditionalSingleValue,
        help: "A QEMU option with its value, such as '-device virtio-rng-pci'. May be repeated.")
    var emulatorOptions: [String] = []

    @Option(
        help: "The root file system: disk, initramfs, debian, or host (the host's own, which is not written to).",
        completion: .choices(ofKey: "rootfs.type"))
    var rootfs: String?

    @Option(
        name: .customLong("rw"),
        help: "A folder of the host that the guest has at the same path and may write to. May be repeated.",
        completion: .directory)
    var writableFolders: [String] = []

    @Option(
        help: "The folder in which a shell or command begins. (default with --rootfs host: the working directory)")
    var cwd: String?

    @Flag(help: "With --rootfs host, do not hide keys, tokens and browsers' folders from the guest.")
    var withSecrets = false

    @Option(
        help: "How results leave the guest: auto, virtio (their own port) or serial (framed on the console).",
        completion: .choices(ofKey: "machine.results"))
    var results: String?

    @Option(
        help: "none: all tests share a guest. test: each test has its own guest, restored from a snapshot.",
        completion: .choices(ofKey: "isolate"))
    var isolate: String?

    @Option(help: "How many guests run at once and share the tests. (default: 1; with --isolate test all processors)")
    var guests: Int?

    @Option(help: "How often to repeat a failed test. A test that then passes is flaky, which is not a pass.")
    var retries: Int?

    @Flag(help: "End the run at the first failure.")
    var failFast = false

    @Flag(help: "Continue when three guests have ended with the same crash.")
    var keepGoing = false

    @Flag(help: "Keep the memory of a guest that crashes or hangs, as an ELF core file in the run's folder.")
    var memoryDump = false

    @Option(help: "The time limit for the guests, such as 90s or 5m.")
    var timeout: String?

    var overrides: [ProjectOverride] {
        let pairs: [(String?, String, String)] = [
            (accel, "machine.accel", "--accel"), (memory, "machine.memory", "--memory"),
            (cpus.map { String($0) }, "machine.cpus", "--cpus"), (rootfs, "rootfs.type", "--rootfs"),
            (results, "machine.results", "--results"), (isolate, "isolate", "--isolate"),
            (guests.map { String($0) }, "guests", "--guests"),
            (retries.map { String($0) }, "retries", "--retries"), (timeout, "timeouts.run", "--timeout"),
            (failFast ? "on" : nil, "fail-fast", "--fail-fast"),
            (keepGoing ? "on" : nil, "keep-going", "--keep-going"),
            (memoryDump ? "on" : nil, "machine.memory-dump", "--memory-dump"),
            (withSecrets ? "on" : nil, "rootfs.secrets", "--with-secrets"),
            (
                cwd ?? (rootfs == Project.RootFilesystemType.host.rawValue ? fromHere(".") : nil), "rootfs.directory",
                "--cwd"
            ),
            (network, "network.type", "--network"), (numa.map { String($0) }, "machine.numa", "--numa"),
        ]
        return pairs.compactMap { value, key, flag in
            value.map { ProjectOverride(key: key, value: $0, flag: flag) }
        } + devices
    }

    /// The options that add to the project's lists.
    private var devices: [ProjectOverride] {
        kernelArguments.map { ProjectOverride(key: "machine.command-line", .words($0), flag: "--append") }
            + writableFolders.map(fromHere).map { folder in
                ProjectOverride(
                    key: "shares", .fields(["path": folder, "target": folder, "writable": "on"]), flag: "--rw")
            }
            + disk.map { ProjectOverride(key: "disks", .fields(Self.disk($0)), flag: "--disk") }
            + forward.map { ProjectOverride(key: "network.forward", .entry($0), flag: "--forward") }
            + emulatorOptions.map { ProjectOverride(key: "machine.qemu-options", .entry($0), flag: "--qemu-arg") }
    }

    /// A disk in the project file's form.
    static func disk(_ text: String) -> [String: String] {
        if megabytes(in: text) != nil { return ["size": text] }
        let suffix = ":rw"
        guard text.hasSuffix(suffix) else { return ["file": fromHere(text)] }
        return ["file": fromHere(String(text.dropLast(suffix.count))), "writable": "on"]
    }
}

/// The files made from a report.
struct FileOptions: ParsableArguments {
    @Option(help: "Write the report as one HTML page to this file.", completion: .file())
    var html: String?

    @Option(help: "Write the results as JUnit XML to this file.", completion: .file())
    var junit: String?

    @Option(help: "Write a summary in Markdown to this file.", completion: .file())
    var summary: String?

    @Option(
        help: "Write the coverage to this file in lcov's format; with run and test --coverage goes with it.",
        completion: .file())
    var lcov: String?

    @Option(
        help: "Write the coverage to this file in Cobertura's format; with run and test --coverage goes with it.",
        completion: .file())
    var cobertura: String?

    var files: ReportFiles {
        ReportFiles(html: html, junit: junit, summary: summary, lcov: lcov, cobertura: cobertura)
    }

    /// A coverage file enables the collection of coverage.
    var overrides: [ProjectOverride] {
        [(lcov, "--lcov"), (cobertura, "--cobertura")].filter { $0.0 != nil }.map {
            ProjectOverride(key: "coverage.collect", value: "on", flag: $0.1)
        }
    }
}

/// The options for the machine and the output of results.
struct RunOptions: ParsableArguments {
    @OptionGroup var machine: MachineOptions

    @Option(
        help: "Print the report as text, json, jsonl (events while it runs) or b4 (which b4's review reads as a check)."
    )
    var format: ReportFormat = .text

    @OptionGroup var output: FileOptions

    @Flag(
        help: """
            Count what each added call costs by test, and compare with the last run: instructions under TCG, where the \
            guest then has one CPU, else time.
            """)
    var profileCalls = false

    @Option(
        help: "Also print failures as annotations, and add the summary to the job's ($GITHUB_STEP_SUMMARY): github.")
    var annotations: AnnotationFormat?

    var overrides: [ProjectOverride] {
        machine.overrides + output.overrides
            + (profileCalls ? [ProjectOverride(key: "profile-calls", value: "on", flag: "--profile-calls")] : [])
    }
}

/// Patches from the command line.
struct MailOptions: ParsableArguments {
    @Option(
        help: """
            Patches to apply after the project's: a mailbox or a patch file, or - for standard input. Without a project they \
            apply to --kernel.
            """, completion: .file())
    var mbox: String?

    /// The flag's name, which distinguishes standard input from a file of that name.
    static let flag = "--mbox"
    /// The name of standard input.
    static let standardInput = "-"

    var overrides: [ProjectOverride] {
        let file = mbox.map { $0 == Self.standardInput ? $0 : fromHere($0) }
        return file.map { [ProjectOverride(key: "kernel.patches", .entry($0), flag: Self.flag)] } ?? []
    }
}

/// The options for the course of a run.
struct RunModes: ParsableArguments {
    @OptionGroup var mail: MailOptions

    @Flag(help: "When tests fail, open a shell in a fresh guest after the report.")
    var shellOnFailure = false

    @Flag(
        help: """
            Add the options that the project's tests need to the kernel's configuration: those of each collection of \
            selftests, and kbuild:suites for programs of LTP.
            """)
    var addConfig = false

    @Flag(help: "Run with the first patch alone, then with the first two, and so on, until one does not pass.")
    var eachPatch = false

    @Flag(
        help: """
            Exit with the codes of git bisect run: 0 good, 1 bad, 125 when the commit does not build, 128 and more when \
            nothing was tested.
            """)
    var bisect = false

    @Flag(help: "Print the steps of the run with their exact commands; run nothing and change nothing.")
    var dryRun = false

    @Flag(
        help: """
            For a CI job: no live status line; JUnit, JSON, a page and logs in the folder kbuild-report; groups in the job's log; \
            annotations if GITHUB_ACTIONS is set.
            """)
    var ci = false

    @Option(
        name: .customLong("repeat"),
        help: "Run the tests so many times, each time in new guests, and say how often they fail.")
    var repetitions: Int?

    @Flag(help: "Repeat the tests until a repetition fails.")
    var untilFail = false

    @Option(name: .customLong("for"), help: "Repeat the tests for so long, such as 90s or 10m.")
    var repeatTime: String?

    /// The number of runs of the tests; nil for one.
    var repeating: RepeatRequest? {
        RepeatRequest(count: repetitions, seconds: repeatTime.flatMap(seconds(in:)), untilFailure: untilFail)
    }

    func validate() throws {
        if let repetitions, repetitions < 1 { throw ValidationError("--repeat needs a number from 1 on") }
        if let repeatTime, seconds(in: repeatTime) == nil {
            throw ValidationError("--for needs a time such as 90s, 10m or 1h, not \(repeatTime)")
        }
        if dryRun, repeating != nil {
            throw ValidationError("--dry-run goes with neither --repeat nor --until-fail nor --for")
        }
        if shellOnFailure, ci { throw ValidationError("--shell-on-failure and --ci exclude each other") }
        if dryRun, shellOnFailure { throw ValidationError("--dry-run and --shell-on-failure exclude each other") }
        if dryRun, eachPatch { throw ValidationError("--dry-run and --each-patch exclude each other") }
    }

    /// The CI job's log; nil outside of one.
    var jobLog: JobLog? { ci ? JobLog(environment: ProcessInfo.processInfo.environment) : nil }
    /// The report folder of a CI job; nil outside of a job.
    var folder: ReportFolder? { ci ? ReportFolder(in: FilePath(FileManager.default.currentDirectoryPath)) : nil }
}

extension CompletionKind {
    /// The shell's completions from the project or this machine.
    static func found(_ candidates: @escaping @Sendable (Completions) -> [String]) -> CompletionKind {
        .custom { words, index, _ in
            let found = candidates(
                Completions(
                    words: words, index: index, in: FilePath(FileManager.default.currentDirectoryPath),
                    environment: ProcessInfo.processInfo.environment))
            return Completions.harmless(found).compactMap(quoted)
        }
    }

    /// A candidate, quoted for the shell in use; nil when it cannot be quoted.
    private static func quoted(_ candidate: String) -> String? {
        let isBelowHome = candidate.hasPrefix("~")
        return switch CompletionShell.requesting {
        // The shell would expand the tilde, and the result would no longer match the typed text.
        case .some(.bash): isBelowHome ? "\\" + candidate : candidate
        // The shell separates a description by a colon, and quotes the tilde.
        case .some(.zsh): isBelowHome ? nil : candidate.replacing(":", with: "\\:")
        default: candidate
        }
    }

    /// The allowed words of a key of the project file.
    static func choices(ofKey key: String) -> CompletionKind { .list(Completions.choices(ofKey: key)) }
}
