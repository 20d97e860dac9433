// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// How a kind of report is recognised, titled and ended. `openings` is the table.
struct CrashPattern: Sendable {
    /// The beginning of its title, before " in FUNCTION".
    enum Title: Sendable {
        /// These words.
        case fixed(String)
        /// Its first line, without addresses and numbers.
        case line
        /// The words after `BUG: KASAN: ` and similar up to " in ", after this prefix.
        case sanitizer(String)
        /// The two functions of a data race, or the single one.
        case race
        /// A warning, which is titled by its file.
        case warning
        /// `BUG: using F() in preemptible code`
        case preemptible
        /// `BUG: spinlock bad magic`
        case lock(String)
        /// The message of a Rust panic.
        case rustPanic
    }

    /// The source of the function in a title. The first source that has one decides.
    enum Source: Sendable {
        /// The first symbol of the first line.
        case header
        /// The call trace, with the instruction pointer before it.
        case trace
        /// `at: symbol` in a line about a lock.
        case lock
        /// `caller is symbol`, `last function: name`, `workfn=name`.
        case named
        /// The function that was called through a table before the processor hung.
        case stall
        /// The same for a stack overflow, whose functions repeat.
        case deepStack
        /// The function in which a sleeping task waits.
        case hang
        /// The place where a lock was first taken in an interrupt.
        case became
    }

    /// The end of a report.
    enum End: Sendable {
        /// `---[ end trace`
        case mark
        /// A line of `=`, as at its beginning.
        case rule
        /// The end of its first call trace.
        case trace
        /// The first line that does not look like part of it.
        case loose
        /// `---[ end Kernel panic`, or the end of the log.
        case panic
        /// A line that names the killed process.
        case outOfMemory
    }

    /// The role of its first line.
    enum Role: Sendable, Equatable {
        /// The headline.
        case header
        /// A line before the headline, with the result if the headline is missing.
        case prelude(whenOrphaned: OrphanResult)
    }

    /// The result of a prelude whose headline never comes.
    enum OrphanResult: Sendable {
        /// No report.
        case nothing
        /// The remains of a report.
        case corrupted
    }

    var kind: CrashKind
    var title: Title
    var sources: [Source] = []
    /// Functions that are not to blame, in addition to the common ones.
    var skip: [FrameFilter] = []
    var end: End = .mark
    var role: Role = .header
    var isFatal = false
    /// Why a report that begins in this way is incomplete.
    var corruption: String?

    private static func oops(_ kind: CrashKind, _ title: String, isFatal: Bool = false) -> CrashPattern {
        CrashPattern(kind: kind, title: .fixed(title), sources: [.trace], isFatal: isFatal)
    }

    private static func lockdep(_ title: String, _ sources: [Source] = [.lock, .trace]) -> CrashPattern {
        CrashPattern(
            kind: .lockdep, title: .fixed(title), sources: sources,
            skip: [FrameFilter.scheduling, FrameFilter("*_dec_and_lock* iput dput")],
            end: .trace)
    }

    /// A report of the lock validator that blames a function in the call trace.
    private static func lockTrace(_ title: String, _ skip: [FrameFilter] = []) -> CrashPattern {
        CrashPattern(kind: .lockdep, title: .fixed(title), sources: [.trace], skip: skip, end: .trace)
    }

    private static func panic(_ kind: CrashKind, _ title: Title, _ sources: [Source] = []) -> CrashPattern {
        CrashPattern(kind: kind, title: title, sources: sources, end: .panic, isFatal: true)
    }

    /// The text before the reason of a panic.
    static let panicMark = "Kernel panic - not syncing: "

    /// The openings, by the beginning of a line. The first match decides, so the special ones come first.
    private static let openings: [(opening: String, form: CrashPattern)] =
        panics + sanitizers + faults + lockReports + stalls + damages + preludes + [
            ("BUG: ", CrashPattern(kind: .bug, title: .line, end: .trace))
        ]

    private static let panics: [(String, CrashPattern)] = [
        (
            panicMark + "stack-protector: ",
            panic(.stackProtector, .fixed("kernel panic: stack is corrupted"), [.header, .trace])
        ),
        (
            panicMark + "corrupted stack end",
            panic(.stackOverflow, .fixed("kernel panic: corrupted stack end"), [.deepStack])
        ),
        (panicMark + "Attempted to kill init!", panic(.initKilled, .fixed("kernel panic: Attempted to kill init!"))),
        (panicMark + "Out of memory", panic(.outOfMemory, .line)),
        (panicMark + "System is deadlocked on memory", panic(.outOfMemory, .line)),
        (
            "Insufficient stack space to handle exception!",
            panic(.stackOverflow, .fixed("kernel stack overflow"), [.deepStack])
        ),
        (panicMark + "kernel stack overflow", panic(.stackOverflow, .fixed("kernel stack overflow"), [.deepStack])),
        (panicMark, panic(.panic, .line)),
        ("PANIC: double fault", oops(.doubleFault, "PANIC: double fault", isFatal: true)),
    ]

    private static let sanitizers: [(String, CrashPattern)] = {
        func free(_ title: String) -> CrashPattern {
            CrashPattern(
                kind: .kasan, title: .fixed(title), sources: [.trace], skip: [FrameFilter.allocators], end: .rule)
        }
        return [
            // The first line names the allocator's function; the caller that frees twice is in the trace.
            ("BUG: KASAN: double-free in ", free("KASAN: double-free")),
            ("BUG: KASAN: double-free or invalid-free in ", free("KASAN: invalid-free")),
            ("BUG: KASAN: invalid-free in ", free("KASAN: invalid-free")),
            (
                "BUG: KASAN: ",
                CrashPattern(kind: .kasan, title: .sanitizer("KASAN: "), sources: [.header, .trace], end: .rule)
            ),
            (
                "BUG: KMSAN: ",
                CrashPattern(
                    kind: .kmsan, title: .sanitizer("KMSAN: "), sources: [.header, .trace],
                    skip: [FrameFilter.ciphers], end: .rule)
            ),
            ("BUG: KCSAN: ", CrashPattern(kind: .kcsan, title: .race, end: .rule)),
            (
                "BUG: KFENCE: ",
                CrashPattern(kind: .kfence, title: .sanitizer("KFENCE: "), sources: [.header, .trace], end: .rule)
            ),
            ("UBSAN: ", CrashPattern(kind: .ubsan, title: .sanitizer("UBSAN: "), sources: [.trace], end: .rule)),
        ]
    }()

    private static let faults: [(String, CrashPattern)] = {
        let null = oops(.nullPointer, "BUG: unable to handle kernel NULL pointer dereference")
        let page = oops(.pageFault, "BUG: unable to handle kernel paging request")
        let user = oops(.pageFault, "BUG: unable to handle kernel access to user memory")
        let unhandled = oops(.oops, "Unhandled fault")
        return [
            // x86
            ("BUG: kernel NULL pointer dereference", null),
            ("BUG: unable to handle page fault", page),
            ("BUG: unable to handle kernel NULL pointer dereference", null),
            ("BUG: unable to handle kernel paging request", page),
            // arm64, arm, RISC-V, LoongArch, MIPS
            ("Unable to handle kernel NULL pointer dereference", null),
            ("Unable to handle kernel paging request", page),
            ("Unable to handle kernel access to user memory", user),
            ("Unable to handle kernel read from unreadable memory", page),
            ("Unable to handle kernel write to read-only memory", page),
            ("Unable to handle kernel execute ", page),
            ("Unhandled fault: ", unhandled),
            ("Unhandled fault at ", unhandled),
            ("Unhandled prefetch abort: ", unhandled),
            // s390
            ("Unable to handle kernel pointer dereference", page),
            // ppc64
            ("BUG: Kernel NULL pointer dereference", null),
            ("Kernel NULL pointer dereference", null),
            ("BUG: Unable to handle kernel data access", page),
            ("BUG: Unable to handle kernel instruction fetch", page),
            ("Unable to handle kernel instruction fetch", page),
            ("Kernel attempted to ", page),
            ("kernel BUG at ", oops(.bug, "kernel BUG")),
            (
                "Kernel BUG at ",
                CrashPattern(kind: .bug, title: .fixed("kernel BUG"), sources: [.header, .trace])
            ),
        ]
    }()

    private static let lockReports: [(String, CrashPattern)] = {
        let sleep: (String) -> CrashPattern = { title in
            CrashPattern(
                kind: .atomicSleep, title: .fixed(title), sources: [.trace],
                skip: [FrameFilter.allocators, FrameFilter.scheduling], end: .trace)
        }
        let allocators = [FrameFilter.allocators]
        let inContext = CrashPattern(
            kind: .lockdep, title: .fixed("WARNING: locking bug"), sources: [.trace], skip: [FrameFilter.scheduling],
            end: .trace)
        var reports: [(String, CrashPattern)] = [
            (
                "WARNING: suspicious RCU usage",
                lockTrace("WARNING: suspicious RCU usage", [FrameFilter.rcu, FrameFilter.allocators])
            ),
            (
                "INFO: suspicious RCU usage",
                lockTrace("suspicious RCU usage", [FrameFilter.rcu, FrameFilter.allocators])
            ),
            (
                "INFO: trying to register non-static key",
                lockTrace("INFO: trying to register non-static key", [FrameFilter.scheduling])
            ),
        ]
        // Up to 4.11 a report's headline was in brackets, with the words that later became `WARNING`.
        for (word, old) in [("WARNING", "WARNING"), ("BUG", "BUG"), ("INFO", "WARNING")] {
            reports += [
                ("\(word): possible ", lockdep("possible deadlock")),
                ("\(word): inconsistent lock state", lockdep("inconsistent lock state")),
                // The trace begins where the lock is released; the listed locks are others.
                ("\(word): bad unlock balance detected!", lockTrace("\(old): bad unlock balance")),
                ("\(word): bad contention detected!", lockTrace("\(old): bad contention")),
                (
                    "\(word): held lock freed!",
                    CrashPattern(
                        kind: .lockdep, title: .fixed("\(old): held lock freed"), sources: [.lock, .trace],
                        skip: allocators, end: .trace)
                ),
                ("\(word): Nested lock was not taken", lockdep("\(old): nested lock was not taken", [.trace, .lock])),
                (
                    "\(word): lock held when returning to user space!",
                    CrashPattern(
                        kind: .lockdep, title: .fixed("\(old): lock held when returning to user space"),
                        sources: [.lock], end: .loose)
                ),
                ("\(word): chain_key collision", lockdep("\(old): chain_key collision")),
                ("\(word): Invalid wait context", inContext),
            ]
        }
        // Other reports that begin with `INFO: possible` come from drivers.
        reports.removeAll { $0.0 == "INFO: possible " || $0.0 == "BUG: possible " }
        reports += ["circular locking", "recursive locking", "irq lock inversion", "irq-unsafe"].map {
            ("INFO: possible \($0)", lockdep("possible deadlock"))
        }
        return reports + [
            (
                "BUG: sleeping function called from invalid context",
                sleep("BUG: sleeping function called from invalid context")
            ),
            ("BUG: scheduling while atomic", sleep("BUG: scheduling while atomic")),
            ("BUG: scheduling in a non-blocking section", sleep("BUG: scheduling in a non-blocking section")),
            ("BUG: assuming atomic context", sleep("BUG: assuming atomic context")),
            (
                "BUG: using ",
                CrashPattern(kind: .bug, title: .preemptible, sources: [.named, .trace], end: .trace)
            ),
            ("BUG: spinlock ", CrashPattern(kind: .spinlock, title: .lock("spinlock"), sources: [.trace], end: .trace)),
            ("BUG: rwlock ", CrashPattern(kind: .spinlock, title: .lock("rwlock"), sources: [.trace], end: .trace)),
        ]
    }()

    private static let stalls: [(String, CrashPattern)] = {
        func stall(_ kind: CrashKind, _ title: String) -> CrashPattern {
            CrashPattern(
                kind: kind, title: .fixed(title), sources: [.stall], skip: [FrameFilter.waiting], end: .trace)
        }
        let hardLockup = stall(.hardLockup, "BUG: hard lockup")
        return [
            ("watchdog: BUG: soft lockup", stall(.softLockup, "BUG: soft lockup")),
            ("BUG: soft lockup", stall(.softLockup, "BUG: soft lockup")),
            ("NMI watchdog: Watchdog detected hard LOCKUP", hardLockup),
            ("watchdog: Watchdog detected hard LOCKUP", hardLockup),
            ("Watchdog detected hard LOCKUP", hardLockup),
            ("watchdog: CPU", hardLockup),
            (
                "BUG: workqueue lockup",
                CrashPattern(kind: .workqueueLockup, title: .fixed("BUG: workqueue lockup"), end: .loose)
            ),
            (
                "BUG: workqueue leaked ",
                CrashPattern(
                    kind: .bug, title: .fixed("BUG: workqueue leaked lock or atomic"), sources: [.named, .trace],
                    end: .trace)
            ),
            ("rcu: INFO: rcu", stall(.rcuStall, "INFO: rcu detected stall")),
            ("INFO: rcu", stall(.rcuStall, "INFO: rcu detected stall")),
            (
                "INFO: task ",
                CrashPattern(kind: .hungTask, title: .fixed("INFO: task hung"), sources: [.hang], end: .trace)
            ),
        ]
    }()

    private static let damages: [(String, CrashPattern)] = {
        func line(_ kind: CrashKind, _ title: String, end: End) -> CrashPattern {
            CrashPattern(kind: kind, title: .fixed(title), end: end)
        }
        func page(_ title: String) -> CrashPattern {
            CrashPattern(
                kind: .pageState, title: .fixed(title), sources: [.trace], skip: [FrameFilter.allocators], end: .trace)
        }
        let leak = CrashPattern(
            kind: .memoryLeak, title: .fixed("memory leak"), sources: [.trace],
            skip: [FrameFilter.allocators, FrameFilter.objectMakers], end: .loose)
        return [
            ("BUG: Bad page state", page("BUG: Bad page state")),
            ("BUG: Bad page map", page("BUG: Bad page map")),
            ("BUG: Bad page cache", page("BUG: Bad page cache")),
            ("BUG: Dentry ", line(.bug, "BUG: Dentry still in use in unmount", end: .mark)),
            (
                "VFS: Busy inodes after unmount",
                line(.bug, "VFS: Busy inodes after unmount (use-after-free)", end: .loose)
            ),
            ("WARNING: kernel stack ", line(.warning, "WARNING: kernel stack regs has bad value", end: .loose)),
            ("BUG: Bad rss-counter state", line(.pageState, "BUG: Bad rss-counter state", end: .loose)),
            ("BUG: non-zero ", CrashPattern(kind: .pageState, title: .line, end: .loose)),
            ("BUG: MAX_", CrashPattern(kind: .lockdep, title: .line, end: .trace)),
            ("BUG: memory leak", leak),
            ("kmemleak: unreferenced object ", leak),
            ("unreferenced object 0x", leak),
        ]
    }()

    /// The lines before the headline.
    private static let preludes: [(String, CrashPattern)] = {
        func prelude(_ kind: CrashKind, _ title: String, _ skip: [FrameFilter] = []) -> CrashPattern {
            CrashPattern(
                kind: kind, title: .fixed(title), sources: [.trace], skip: skip,
                role: .prelude(whenOrphaned: .corrupted))
        }
        return [
            ("------------[ cut here ]------------", prelude(.corrupted, "corrupted report")),
            (
                "rust_kernel: panicked at ",
                CrashPattern(
                    kind: .bug, title: .rustPanic, sources: [.trace], role: .prelude(whenOrphaned: .corrupted))
            ),
            ("refcount_t: ", prelude(.refcount, "WARNING: refcount bug", [FrameFilter.counters])),
            (
                "ODEBUG: ",
                prelude(.objectLifetime, "WARNING: ODEBUG bug", [FrameFilter.objectUsers, FrameFilter.allocators])
            ),
            ("list_add corruption", prelude(.listCorruption, "BUG: corrupted list")),
            ("list_add double add", prelude(.listCorruption, "BUG: corrupted list")),
            ("list_del corruption", prelude(.listCorruption, "BUG: corrupted list")),
            ("usercopy: Kernel memory ", prelude(.usercopy, "BUG: bad usercopy", [FrameFilter.usercopy])),
        ]
    }()

    /// A line of `=`: a sanitizer's report or the lock validator's begins.
    static let rule = CrashPattern(
        kind: .corrupted, title: .fixed("corrupted report"), role: .prelude(whenOrphaned: .nothing))

    /// A process makes the kernel kill another. The end shows whether memory ran out or its control group reached its
    /// limit.
    static let outOfMemory = CrashPattern(
        kind: .outOfMemory, title: .fixed("Out of memory"), end: .outOfMemory, role: .prelude(whenOrphaned: .nothing))

    /// The openings by their first byte, so that other lines cost only a look at their first byte.
    private static let byFirstByte: [[(opening: [UInt8], form: CrashPattern)]] = {
        var table = [[(opening: [UInt8], form: CrashPattern)]](repeating: [], count: 256)
        for (opening, form) in openings {
            let bytes = Array(opening.utf8)
            if let first = bytes.first { table[Int(first)].append((bytes, form)) }
        }
        return table
    }()

    /// `CPU 2 Unable to handle kernel paging request at ...` without the processor, as LoongArch and MIPS print it
    /// (do_page_fault of arch/loongarch/mm/fault.c and arch/mips/mm/fault.c); nil for another message.
    private static func faultOfProcessor(_ message: String) -> String? {
        guard message.hasPrefix("CPU ") else { return nil }
        let rest = message.utf8.dropFirst("CPU ".utf8.count)
        let fault = rest.drop { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard fault.startIndex != rest.startIndex, fault.starts(with: " Unable to handle kernel ".utf8) else {
            return nil
        }
        return String(Substring(fault.dropFirst()))
    }

    /// The form of a report that a message begins; nil for none.
    static func opened(by message: String) -> CrashPattern? {
        guard let first = message.utf8.first else { return nil }
        if first == UInt8(ascii: "["), let message = unbracketed(message) {
            return ["BUG: ", "INFO: ", "WARNING: "].contains(where: message.hasPrefix) ? opened(by: message) : nil
        }
        for (opening, form) in byFirstByte[Int(first)] where message.utf8.starts(with: opening) {
            // The kind of stack is in between.
            if form.kind == .bug, message.position(of: " stack guard page was hit at ") != nil { return stackGuard }
            if form.kind == .bug, message.utf8.first == UInt8(ascii: "k") { return bug(message) }
            if let report = lockOrder(message) { return report }
            return isHarmless(message, form) ? nil : form
        }
        switch first {
        case UInt8(ascii: "="): return isRule(message) ? rule : nil
        case UInt8(ascii: "C"):
            if let fault = faultOfProcessor(message) { return opened(by: fault) }
        case UInt8(ascii: "W"): return warning(message)
        case UInt8(ascii: "O") where message.hasPrefix("Out of memory: Killed process "):
            return CrashPattern(
                kind: .outOfMemory, title: .fixed("Out of memory"), end: .loose, corruption: "its beginning is lost")
        case UInt8(ascii: "B"):
            if let slab = slab(message) { return slab }
            if let report = lockOrder(message) { return report }
            if message == "BUG:" || message == "BUG" { return cutHeader }
        case UInt8(ascii: "I") where message == "INFO:": return cutHeader
        case UInt8(ascii: "k") where message.hasPrefix("kmemleak: ") && message.contains("new suspected memory leaks"):
            return CrashPattern(kind: .memoryLeak, title: .fixed("memory leak"), end: .loose)
        default: break
        }
        if let exception = exception(message) { return exception }
        if message.position(of: "invoked oom-killer: ") != nil { return outOfMemory }
        return nil
    }

    /// `kernel BUG at FILE:LINE!`: some files belong to a checker. Their path is relative to the build folder.
    private static func bug(_ message: String) -> CrashPattern {
        if message.position(of: "rust/helpers") != nil {
            return CrashPattern(kind: .bug, title: .rustPanic, sources: [.trace])
        }
        if message.position(of: "lib/list_debug.c:") != nil {
            return CrashPattern(
                kind: .listCorruption, title: .fixed("BUG: corrupted list"), sources: [.trace],
                skip: [FrameFilter.scheduling])
        }
        if message.position(of: "mm/usercopy.c:") != nil {
            return CrashPattern(
                kind: .usercopy, title: .fixed("BUG: bad usercopy"), sources: [.trace], skip: [FrameFilter.usercopy])
        }
        return oops(.bug, "kernel BUG")
    }

    private static let stackGuard = CrashPattern(
        kind: .stackOverflow, title: .fixed("BUG: stack guard page was hit"), sources: [.deepStack])

    private static let cutHeader = CrashPattern(
        kind: .corrupted, title: .fixed("corrupted report"), sources: [.trace], end: .trace,
        corruption: "its first line is cut off")

    /// `WARNING: CPU: 0 PID: 1 at FILE:LINE symbol`, its form since 6.18,
    /// `WARNING: FILE:LINE at symbol, CPU#0: task/1`, or a report of the lock validator with a variable first word.
    /// Other warnings are a driver's messages.
    private static func warning(_ message: String) -> CrashPattern? {
        guard message.hasPrefix("WARNING:") else { return nil }
        // Since 6.18 a program counter outside any function is a bare number.
        if message.hasPrefix("WARNING: CPU: ")
            || message.contains(" at ") && (symbol(in: message) != nil || message.position(of: ", CPU#") != nil)
        {
            return CrashPattern(
                kind: .warning, title: .warning, sources: [.header, .trace],
                skip: [FrameFilter.allocators, FrameFilter.removal, FrameFilter.scheduling])
        }
        if let report = lockOrder(message) { return report }
        if message == "WARNING:" { return cutHeader }
        return nil
    }

    /// Headlines of the lock validator with variable first words:
    /// `WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected`, `BUG: probe/42 still has locks held!`.
    private static func lockOrder(_ message: String) -> CrashPattern? {
        if message.hasSuffix("-unsafe lock order detected") {
            return lockdep("possible deadlock", [.became, .lock, .trace])
        }
        guard message.hasSuffix(" still has locks held!") else { return nil }
        let word = message.prefix { $0 != ":" }
        return CrashPattern(
            kind: .lockdep, title: .fixed("\(word): still has locks held"), sources: [.lock, .trace], end: .trace)
    }

    /// Removes the brackets from a headline of the lock validator up to 4.11.
    private static func unbracketed(_ message: String) -> String? {
        guard message.hasPrefix("[ "), message.hasSuffix(" ]") else { return nil }
        return String(message.dropFirst(2).dropLast(2))
    }

    /// `BUG kmalloc-64 (Not tainted): Poison overwritten`
    private static func slab(_ message: String) -> CrashPattern? {
        guard message.hasPrefix("BUG "), message.contains("tainted") || message.contains("Tainted"),
            let colon = message.position(of: "): ")
        else { return nil }
        let what = message[colon.upperBound...].prefix { $0 != "@" && $0 != ":" }
        return CrashPattern(
            kind: .slab, title: .fixed("BUG: slab: " + cleaned(String(what))), sources: [.trace],
            skip: [FrameFilter.allocators], end: .trace)
    }

    /// `divide error: 0000 [#1] SMP`; since 6.8 with `Oops: ` before it; other architectures have their own words.
    private static func exception(_ message: String) -> CrashPattern? {
        guard let name = exceptionName(message) else { return nil }
        switch name {
        case "general protection fault": return oops(.generalProtection, name)
        case "divide error", "divide_error": return oops(.divideError, "divide error")
        case "invalid opcode": return oops(.invalidOpcode, name)
        case "double fault": return oops(.doubleFault, name)
        case "stack segment": return oops(.oops, "stack segment fault")
        case "stack guard page": return stackGuard
        case "Oops":
            // Its first line named the access and the address.
            var form = oops(.oops, "Oops")
            form.corruption = "its first line is lost"
            return form
        case "Oops - BUG", "Kernel BUG": return oops(.bug, "kernel BUG")
        case "Oops - undefined instruction", "Oops - Undefined instruction", "Oops - illegal instruction":
            return oops(.invalidOpcode, cleaned(name))
        default: return oops(.oops, cleaned(name))
        }
    }

    /// The name before `: 0000 [#1]`, as `__die_header` in arch/x86/kernel/dumpstack.c prints it. arm and arm64 print
    /// `Internal error: ` before it (arch/arm64/kernel/traps.c), RISC-V and LoongArch have no number (`Oops [#1]`,
    /// `Oops[#1]:`), s390 has `0004 ilc:2 [#1]`, ppc64 `Oops: Kernel access of bad area, sig: 11 [#1]`. Words of the
    /// message that are not part of the name, such as numbers, are omitted.
    static func exceptionName(_ message: String) -> String? {
        guard message.utf8.prefix(400).contains(UInt8(ascii: "#")) else { return nil }
        let bytes = Array(message.utf8.prefix(400))
        guard let hash = bytes.firstIndex(of: UInt8(ascii: "#")), hash >= 5, bytes[hash - 1] == UInt8(ascii: "["),
            hash + 1 < bytes.count, (0x30...0x39).contains(bytes[hash + 1])
        else { return nil }
        let digits = bytes[(hash + 1)...].prefix { (0x30...0x39).contains($0) }
        guard digits.endIndex < bytes.count, bytes[digits.endIndex] == UInt8(ascii: "]") else { return nil }
        var name = String(decoding: bytes[..<(hash - 1)], as: UTF8.self)
        while name.hasSuffix(" ") { name.removeLast() }
        if name == "Oops" || name == "Oops - BUG" || name == "Kernel BUG" { return name }
        let isInternal = name.hasPrefix("Internal error: ")
        if isInternal { name.removeFirst("Internal error: ".count) }
        // "kernel BUG at lib/x.c:1" of RISC-V has its own line; the rest names the exception.
        guard let colon = name.lastIndex(of: ":") else { return isInternal && !name.isEmpty ? name : nil }
        let code = name[name.index(after: colon)...].drop { $0 == " " }
        if name.hasPrefix("Oops: "), code.allSatisfy(\.isNumber), name[..<colon].hasSuffix(", sig") {
            // "Oops: Kernel access of bad area, sig: 11"; the line before it names the access.
            return "Oops"
        }
        if name.hasPrefix("Oops: "), name[..<colon].hasSuffix(" ilc") { return "Oops" }
        guard
            code.isEmpty
                || code.utf8.count <= 16 && code.allSatisfy(\.isHexDigit) && (isInternal || code.utf8.count == 4)
        else { return nil }
        name = String(name[..<colon])
        if name.hasPrefix("Oops: ") { name = String(name.dropFirst(6)) }
        // ", probably for non-canonical address 0xdead000000000100", ", maybe for address 0x8"
        if let comma = name.firstIndex(of: ",") { name = String(name[..<comma]) }
        return name.isEmpty ? (isInternal ? "Oops" : nil) : name
    }

    /// Whether a line is a rule: some reports begin and end with one.
    static func isRule(_ message: String) -> Bool {
        message.utf8.count >= 20 && message.utf8.allSatisfy { $0 == UInt8(ascii: "=") }
    }

    /// Lines that begin like a report but are not one.
    private static func isHarmless(_ message: String, _ form: CrashPattern) -> Bool {
        switch form.kind {
        case .hungTask:
            return !message.contains(" blocked for more than ") && !message.contains(" can't die for more than ")
        case .rcuStall: return !message.contains("stall")
        // "watchdog: CPU1: Watchdog detected hard LOCKUP on cpu 1", since 6.17.
        case .hardLockup: return message.position(of: "detected hard LOCKUP") == nil
        case .bug where message.hasPrefix("BUG: Dentry "): return message.position(of: " still in use ") == nil
        case .warning where message.hasPrefix("WARNING: kernel stack "):
            return message.position(of: " has bad ") == nil
        case .pageFault where message.hasPrefix("Kernel attempted to "):
            return message.position(of: " user page ") == nil && message.position(of: " exec-protected page ") == nil
        case .objectLifetime:
            return !["free", "init", "activate", "deactivate", "assert", "object ", "destroy"].contains {
                message.hasPrefix("ODEBUG: \($0)")
            }
        case .bug where message.hasPrefix("BUG: using "): return !message.contains(" in preemptible ")
        default: return false
        }
    }
}
