// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import KernelMake

/// One of the kernel's own checkers, which a run may turn on: `check:` in the project file, `--check` on the command
/// line.
///
/// Options and their meaning are those of Documentation/dev-tools of Linux 6.1.
public enum Checker: String, Sendable, CaseIterable {
    /// Accesses out of bounds and to freed memory (KASAN), and copies that leave their object.
    case memory
    /// Accesses to shared data without a lock (KCSAN).
    case races
    /// Locks in the wrong order, and sleeping where that is forbidden (lockdep).
    case locks
    /// Memory that is no longer referenced (kmemleak).
    case leaks
    /// Overflow of the kernel's stack.
    case stack
    /// Indexes beyond an array, shifts that are too large, values outside of their type (UBSAN).
    case undefined

    /// The word for all checkers.
    public static let allWord = "all"

    /// The options that the checker needs, on top of the project's own.
    package var fragment: String {
        switch self {
        case .memory:
            """
            CONFIG_DEBUG_KERNEL=y
            CONFIG_SLUB=y
            # CONFIG_SLUB_TINY is not set
            CONFIG_SLUB_DEBUG=y
            CONFIG_KASAN=y
            CONFIG_KASAN_GENERIC=y
            CONFIG_KASAN_OUTLINE=y
            CONFIG_KASAN_STACK=y
            CONFIG_KASAN_VMALLOC=y
            CONFIG_HARDENED_USERCOPY=y
            CONFIG_STACKTRACE=y
            # Redzones make frames larger than tinyconfig's limit.
            CONFIG_FRAME_WARN=2048

            """
        case .races:
            """
            CONFIG_DEBUG_KERNEL=y
            CONFIG_KCSAN=y
            CONFIG_KCSAN_EARLY_ENABLE=y
            # CONFIG_KCSAN_SELFTEST is not set
            # A race that goes on for a whole test is one report and not thousands, and the next test has its own.
            CONFIG_KCSAN_REPORT_ONCE_IN_MS=200
            # It needs the barriers of the whole kernel to be watched; see KernelSteps.variables.
            # CONFIG_KCSAN_WEAK_MEMORY is not set
            CONFIG_STACKTRACE=y
            CONFIG_FRAME_WARN=2048

            """
        case .locks:
            """
            CONFIG_DEBUG_KERNEL=y
            CONFIG_PROVE_LOCKING=y
            CONFIG_DEBUG_ATOMIC_SLEEP=y
            CONFIG_DEBUG_LIST=y
            CONFIG_STACKTRACE=y

            """
        case .leaks:
            """
            CONFIG_DEBUG_KERNEL=y
            CONFIG_DEBUG_FS=y
            CONFIG_SLUB=y
            # CONFIG_SLUB_TINY is not set
            CONFIG_DEBUG_KMEMLEAK=y
            CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE=16000
            # CONFIG_DEBUG_KMEMLEAK_DEFAULT_OFF is not set
            # CONFIG_DEBUG_KMEMLEAK_AUTO_SCAN is not set
            CONFIG_STACKTRACE=y

            """
        case .stack:
            """
            CONFIG_DEBUG_KERNEL=y
            # A guard page behind each stack.
            CONFIG_VMAP_STACK=y
            CONFIG_SCHED_STACK_END_CHECK=y
            CONFIG_STACKPROTECTOR=y
            CONFIG_STACKPROTECTOR_STRONG=y

            """
        case .undefined:
            """
            CONFIG_UBSAN=y
            CONFIG_UBSAN_BOUNDS=y
            CONFIG_UBSAN_SHIFT=y
            CONFIG_UBSAN_BOOL=y
            CONFIG_UBSAN_ENUM=y
            CONFIG_UBSAN_SANITIZE_ALL=y

            """
        }
    }

    /// The factor for time limits: twice the measured cost under TCG.
    var timeFactor: Int {
        switch self {
        case .memory, .leaks: 3
        case .races: 6
        case .locks: 2
        case .stack, .undefined: 1
        }
    }

    /// The words that it adds to the kernel's command line.
    ///
    /// - Parameter fewFiles: Whether KCSAN watches only a few of the kernel's files, for which it can set more
    ///   watchpoints.
    package func kernelArguments(watchingFewFiles fewFiles: Bool) -> [String] {
        switch self {
        // Without it KASAN reports only the first fault, and none in later tests (mm/kasan/report.c).
        case .memory: ["kasan_multi_shot"]
        // Without these words, KCSAN sets a watchpoint at each 4000th access for 80 microseconds (lib/Kconfig.kcsan),
        // and a test of a call may be over by then.
        case .races:
            fewFiles
                ? ["kcsan.skip_watch=50", "kcsan.udelay_task=1000"] : ["kcsan.skip_watch=200", "kcsan.udelay_task=200"]
        // Scans take tens of seconds with KASAN under TCG, so init runs kmemleak only when the project checks for
        // leaks.
        case .leaks: ["kbuild.leaks=on"]
        case .locks, .stack, .undefined: []
        }
    }

    /// The least memory of a guest, in MiB.
    var memoryMegabytes: Int {
        switch self {
        case .memory, .races, .leaks: 1024
        case .locks, .stack, .undefined: 0
        }
    }

    /// Reads `memory,locks` or a list of such words.
    ///
    /// - Returns: The checkers in the order of this type, each once.
    /// - Throws: `Failure` (`usage`) for an unknown word.
    static func parse(_ words: [String]) throws(Failure) -> [Checker] {
        var chosen: Set<Checker> = []
        for word in words.flatMap({ $0.split(separator: ",") }).map({ $0.trimmed }) where !word.isEmpty {
            if word == allWord {
                chosen.formUnion(allCases)
                continue
            }
            guard let checker = Checker(rawValue: word) else {
                let known = allCases.map(\.rawValue) + [allWord]
                let near = guess(for: word, among: known)
                throw Failure(
                    .usage, "there is no checker \(word)\(near)", nextStep: "choose of \(known.joined(separator: ", "))"
                )
            }
            chosen.insert(checker)
        }
        return allCases.filter(chosen.contains)
    }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}

extension Project {
    /// The project, once for each kernel that its checkers need: KASAN and KCSAN exclude each other
    /// (lib/Kconfig.kcsan), so `memory` and `races` need two.
    public var checkerSets: [Project] {
        guard checks.contains(.memory), checks.contains(.races) else { return [self] }
        return [checks.filter { $0 != .races }, [.races]].map { checks in
            var project = self
            project.checks = checks
            // The same tests reach the same lines, so one kernel is enough for coverage. The files are the same for
            // lint. The second kernel's calls would have costs of their own under the same names.
            if checks == [.races] {
                (project.coverage, project.lint, project.profilesCalls) = (nil, false, false)
            }
            return project
        }
    }

    /// The names of the checkers, for messages.
    public var checkerNames: String { checks.map(\.rawValue).joined(separator: ", ") }

    /// The factor for all time limits, because of the checkers' cost.
    var timeFactor: Int { checks.map(\.timeFactor).max() ?? 1 }

    /// A time limit with the checkers' factor, in seconds.
    package func scaled(_ seconds: Int) -> Int { seconds * timeFactor }

    /// `timeouts` with the checkers' factor.
    public var limits: Timeouts {
        var limits = timeouts
        limits.boot = scaled(limits.boot)
        limits.silence = scaled(limits.silence)
        limits.test = scaled(limits.test)
        if !hasRunLimitOfCommandLine { limits.run = scaled(limits.run) }
        return limits
    }

    /// The project with the memory that its checkers need.
    func adjustedForCheckers() throws(Failure) -> Project {
        guard !checks.isEmpty else { return self }
        guard architecture != .um else {
            throw Failure(
                .usage, "checkers go with QEMU, not with user-mode Linux",
                nextStep: "leave out --check or --machine uml")
        }
        var project = self
        let least = checks.map(\.memoryMegabytes).max() ?? 0
        project.machine.memoryMegabytes = max(machine.memoryMegabytes, least)
        return project
    }
}
