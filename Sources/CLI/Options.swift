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

/// How results are printed on standard output.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
}

/// Forms of annotations that a CI service reads from a job's output.
enum AnnotationFormat: String, ExpressibleByArgument, CaseIterable {
    case github
}

/// Where the project is and how much to say: every verb has these.
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

    /// - Parameter isTerse: Whether steps that go as they always go, and notes, are left out unless `--verbose` is
    ///   given.
    /// - Parameter jobLog: The CI job's log that standard error goes to; nil for none.
    func makeConsole(isTerse: Bool = false, jobLog: JobLog? = nil) -> Console {
        Console(
            verbosity: verbosity, noProgress: noProgress || jobLog != nil, isTerse: isTerse && !verbose,
            jobLog: jobLog ?? .plain)
    }
}

/// What is built.
struct BuildOptions: ParsableArguments {
    @Option(
        help: "The kernel: a Debian package (linux-source-6.1), a folder, a tarball, or git+URL#REF.",
        completion: .found { $0.kernels })
    var kernel: String?

    @Option(
        help: "The machine: auto, microvm, q35, pc, or uml (user-mode Linux, which has its own kernel).",
        completion: .choices(ofKey: "machine.type"))
    var machine: String?

    @Option(help: "How many lines of context at each end of a patch's hunk may differ, 0 to 3. (default: 0)")
    var fuzz: Int?

    @Option(help: "How many jobs make may run at once. (default: the number of processors)")
    var jobs: Int?

    @Option(
        help: """
            Turn on the kernel's checkers: memory, races, locks, leaks, stack, undefined, or all. Each set of checkers has its \
            own kernel, races and memory need two kernels, and runs are slower.
            """, completion: .list(Checker.allCases.map(\.rawValue) + [Checker.allWord]))
    var check: String?

    @Option(
        help: "Confine code that runs on the host: auto (for inputs from outside the project), on or off.",
        completion: .choices(ofKey: "sandbox"))
    var sandbox: String?

    @Flag(
        name: .customLong("verify-build"),
        help: "After a narrow build also run a plain make, which must build the same kernel.")
    var verifyBuild = false

    @Flag(
        name: .customLong("no-narrow"),
        help: "Always run a plain make, also when only C files or the system-call tables changed.")
    var noIncremental = false

    func validate() throws {
        if verifyBuild, noIncremental { throw ValidationError("--verify-build and --no-narrow exclude each other") }
    }

    var scope: BuildScope { noIncremental ? .whole : verifyBuild ? .verified : .narrow }

    var overrides: [ProjectOverride] {
        [
            kernel.map { ProjectOverride(key: "kernel.source", value: $0, flag: "--kernel") },
            machine.map { ProjectOverride(key: "machine.type", value: $0, flag: "--machine") },
            fuzz.map { ProjectOverride(key: "kernel.fuzz", value: String($0), flag: "--fuzz") },
            jobs.map { ProjectOverride(key: "kernel.jobs", value: String($0), flag: "--jobs") },
            check.map { ProjectOverride(key: "check", value: $0, flag: "--check") },
            sandbox.map { ProjectOverride(key: "sandbox", value: $0, flag: "--sandbox") },
        ].compactMap { $0 }
    }
}

/// Where it runs.
struct MachineOptions: ParsableArguments {
    @Option(
        help: "The accelerator: auto (KVM if it works, else TCG), kvm or tcg.",
        completion: .choices(ofKey: "machine.accel"))
    var accel: String?

    @Option(help: "Guest memory, such as 512M or 2G.")
    var memory: String?

    @Option(help: "Virtual CPUs.")
    var cpus: Int?

    @Option(help: "The root file system: disk, initramfs or debian.", completion: .choices(ofKey: "rootfs.type"))
    var rootfs: String?

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
        ]
        return pairs.compactMap { value, key, flag in
            value.map { ProjectOverride(key: key, value: $0, flag: flag) }
        }
    }
}

/// The files that are made of a report.
struct FileOptions: ParsableArguments {
    @Option(help: "Write the report as one HTML page to this file.", completion: .file())
    var html: String?

    @Option(help: "Write the results as JUnit XML to this file.", completion: .file())
    var junit: String?

    @Option(help: "Write a summary in Markdown to this file.", completion: .file())
    var summary: String?

    var files: ReportFiles { ReportFiles(html: html, junit: junit, summary: summary) }
}

/// Where it runs, and what is made of the results.
struct RunOptions: ParsableArguments {
    @OptionGroup var machine: MachineOptions

    @Option(help: "Print the report as text or json.")
    var format: OutputFormat = .text

    @OptionGroup var output: FileOptions

    @Option(
        help: "Also print failures as annotations, and add the summary to the job's ($GITHUB_STEP_SUMMARY): github.")
    var annotations: AnnotationFormat?

    var overrides: [ProjectOverride] { machine.overrides }
}

/// How a run goes about it.
struct RunModes: ParsableArguments {
    @Flag(help: "When tests fail, open a shell in a fresh guest after the report.")
    var shellOnFailure = false

    @Flag(help: "Add the options that the project's collections of selftests need to the kernel's configuration.")
    var addConfig = false

    @Flag(help: "Print the steps of the run with their exact commands; run nothing and change nothing.")
    var dryRun = false

    @Flag(
        help: """
            For a CI job: no live status line; JUnit, JSON, a page and logs in the folder kbuild-report; groups in the job's log; \
            annotations if GITHUB_ACTIONS is set.
            """)
    var ci = false

    func validate() throws {
        if shellOnFailure, ci { throw ValidationError("--shell-on-failure and --ci exclude each other") }
        if dryRun, shellOnFailure { throw ValidationError("--dry-run and --shell-on-failure exclude each other") }
    }

    /// The CI job's log; nil outside of one.
    var jobLog: JobLog? { ci ? JobLog(environment: ProcessInfo.processInfo.environment) : nil }
    /// What a CI job keeps; nil outside of one.
    var folder: ReportFolder? { ci ? ReportFolder(in: FilePath(FileManager.default.currentDirectoryPath)) : nil }
}

extension CompletionKind {
    /// What is found in the project, or on this machine, when the shell asks.
    static func found(_ candidates: @escaping @Sendable (Completions) -> [String]) -> CompletionKind {
        .custom { words, index, _ in
            let found = candidates(
                Completions(
                    words: words, index: index, in: FilePath(FileManager.default.currentDirectoryPath),
                    environment: ProcessInfo.processInfo.environment))
            return Completions.harmless(found).compactMap(quoted)
        }
    }

    /// A candidate as the shell that asks takes it for itself; nil when there is no way.
    private static func quoted(_ candidate: String) -> String? {
        let isBelowHome = candidate.hasPrefix("~")
        return switch CompletionShell.requesting {
        // It would put the folder in the tilde's place, and then find that this is not what was typed.
        case .some(.bash): isBelowHome ? "\\" + candidate : candidate
        // It has a description after a colon, and quotes the tilde.
        case .some(.zsh): isBelowHome ? nil : candidate.replacing(":", with: "\\:")
        default: candidate
        }
    }

    /// The words that a key of the project file may hold.
    static func choices(ofKey key: String) -> CompletionKind { .list(Completions.choices(ofKey: key)) }
}
