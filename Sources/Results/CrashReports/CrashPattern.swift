// SPDX-License-Identifier: Apache-2.0
/// How a kind of report is recognised, titled and ended.
struct CrashPattern: Sendable {
    /// What its title begins with, before " in FUNCTION".
    enum Title: Sendable {
        /// These words.
        case fixed(String)
        /// What its first line says, with addresses and numbers taken out.
        case line
        /// The words after `BUG: KASAN: ` and the like up to " in ", behind this prefix.
        case sanitizer(String)
        /// The two functions of a data race, or the one.
        case race
        /// A warning's, which goes by the file that it is in.
        case warning
        /// `BUG: using F() in preemptible code`
        case preemptible
        /// `BUG: spinlock bad magic`
        case lock(String)
    }

    /// Where the function of a title is found. The first source that has one decides.
    enum Source: Sendable {
        /// The first symbol of the first line.
        case header
        /// The call trace, with the instruction pointer before it.
        case trace
        /// `at: symbol` in a line about a lock.
        case lock
        /// `caller is symbol`, `last function: name`, `workfn=name`.
        case named
        /// What was called through a table on the way to where the processor hangs.
        case stall
    }

    /// What ends it.
    enum End: Sendable {
        /// `---[ end trace`
        case mark
        /// A line of `=`, as at its beginning.
        case rule
        /// The end of its first call trace.
        case trace
        /// The first line that does not look like a part of it.
        case loose
        /// `---[ end Kernel panic`, or the end of the log.
        case panic
        /// A line that says which process was killed.
        case outOfMemory
    }

    /// What its first line is.
    enum Role: Sendable, Equatable {
        /// The headline.
        case header
        /// A line that precedes the headline; what comes of it without one.
        case prelude(whenAlone: Alone)
    }

    /// What becomes of a herald whose headline never comes.
    enum Alone: Sendable {
        /// It was nothing.
        case nothing
        /// It is what is left of a report.
        case corrupted
    }

    var kind: CrashKind
    var title: Title
    var sources: [Source] = []
    /// Functions that are not to blame, beside those that never are.
    var skip: [FrameFilter] = []
    var end: End = .mark
    var role: Role = .header
    var isFatal = false
    /// Why a report that begins so is not whole.
    var corruption: String?

    private static func oops(_ kind: CrashKind, _ title: String, isFatal: Bool = false) -> CrashPattern {
        CrashPattern(kind: kind, title: .fixed(title), sources: [.trace], isFatal: isFatal)
    }

    private static func lockdep(_ title: String) -> CrashPattern {
        CrashPattern(
            kind: .lockdep, title: .fixed(title), sources: [.lock, .trace], skip: [FrameFilter.scheduling], end: .trace)
    }

    private static func panic(_ kind: CrashKind, _ title: Title, _ sources: [Source] = []) -> CrashPattern {
        CrashPattern(kind: kind, title: title, sources: sources, end: .panic, isFatal: true)
    }

    /// What precedes the reason of a panic.
    static let panicMark = "Kernel panic - not syncing: "

    /// The openings, by what a line begins with. The first that fits decides, so the special ones come first.
    static let openings: [(opening: String, form: CrashPattern)] =
        panics + sanitizers + faults + lockReports + stalls + damages + heralds + [
            ("BUG: ", CrashPattern(kind: .bug, title: .line, end: .trace))
        ]

    private static let panics: [(String, CrashPattern)] = [
        (
            panicMark + "stack-protector: ",
            panic(.stackProtector, .fixed("kernel panic: stack is corrupted"), [.header, .trace])
        ),
        (
            panicMark + "corrupted stack end",
            panic(.stackOverflow, .fixed("kernel panic: corrupted stack end"), [.stall])
        ),
        (panicMark + "Attempted to kill init!", panic(.initKilled, .fixed("kernel panic: Attempted to kill init!"))),
        (panicMark + "Out of memory", panic(.outOfMemory, .line)),
        (panicMark + "System is deadlocked on memory", panic(.outOfMemory, .line)),
        (panicMark, panic(.panic, .line)),
        ("PANIC: double fault", oops(.doubleFault, "PANIC: double fault", isFatal: true)),
    ]

    private static let sanitizers: [(String, CrashPattern)] = {
        func free(_ title: String) -> CrashPattern {
            CrashPattern(
                kind: .kasan, title: .fixed(title), sources: [.trace], skip: [FrameFilter.allocators], end: .rule)
        }
        return [
            // The first line names the allocator's function; who frees twice is in the trace.
            ("BUG: KASAN: double-free in ", free("KASAN: double-free")),
            ("BUG: KASAN: double-free or invalid-free in ", free("KASAN: invalid-free")),
            ("BUG: KASAN: invalid-free in ", free("KASAN: invalid-free")),
            (
                "BUG: KASAN: ",
                CrashPattern(kind: .kasan, title: .sanitizer("KASAN: "), sources: [.header, .trace], end: .rule)
            ),
            (
                "BUG: KMSAN: ",
                CrashPattern(kind: .kmsan, title: .sanitizer("KMSAN: "), sources: [.header, .trace], end: .rule)
            ),
            ("BUG: KCSAN: ", CrashPattern(kind: .kcsan, title: .race, end: .rule)),
            (
                "BUG: KFENCE: ",
                CrashPattern(kind: .kfence, title: .sanitizer("KFENCE: "), sources: [.header, .trace], end: .rule)
            ),
            ("UBSAN: ", CrashPattern(kind: .ubsan, title: .sanitizer("UBSAN: "), sources: [.trace], end: .rule)),
        ]
    }()

    private static let faults: [(String, CrashPattern)] = [
        (
            "BUG: kernel NULL pointer dereference",
            oops(.nullPointer, "BUG: unable to handle kernel NULL pointer dereference")
        ),
        ("BUG: unable to handle page fault", oops(.pageFault, "BUG: unable to handle kernel paging request")),
        (
            "BUG: unable to handle kernel NULL pointer dereference",
            oops(.nullPointer, "BUG: unable to handle kernel NULL pointer dereference")
        ),
        (
            "BUG: unable to handle kernel paging request",
            oops(.pageFault, "BUG: unable to handle kernel paging request")
        ),
        ("kernel BUG at ", oops(.bug, "kernel BUG")),
        (
            "Kernel BUG at ",
            CrashPattern(kind: .bug, title: .fixed("kernel BUG"), sources: [.header, .trace])
        ),
    ]

    private static let lockReports: [(String, CrashPattern)] = {
        let sleep: (String) -> CrashPattern = { title in
            CrashPattern(
                kind: .atomicSleep, title: .fixed(title), sources: [.trace],
                skip: [FrameFilter.allocators, FrameFilter.scheduling], end: .trace)
        }
        return [
            ("WARNING: possible ", lockdep("possible deadlock")),
            ("WARNING: inconsistent lock state", lockdep("inconsistent lock state")),
            (
                "WARNING: suspicious RCU usage",
                CrashPattern(
                    kind: .lockdep, title: .fixed("WARNING: suspicious RCU usage"), sources: [.trace],
                    skip: [FrameFilter.rcu, FrameFilter.allocators], end: .trace)
            ),
            // The trace begins where the lock is released; the locks listed are others.
            (
                "WARNING: bad unlock balance detected!",
                CrashPattern(
                    kind: .lockdep, title: .fixed("WARNING: bad unlock balance"), sources: [.trace], end: .trace)
            ),
            (
                "WARNING: bad contention detected!",
                CrashPattern(
                    kind: .lockdep, title: .fixed("WARNING: bad contention"), sources: [.trace], end: .trace)
            ),
            (
                "WARNING: held lock freed!",
                CrashPattern(
                    kind: .lockdep, title: .fixed("WARNING: held lock freed"), sources: [.trace],
                    skip: [FrameFilter.allocators], end: .trace)
            ),
            ("WARNING: Nested lock was not taken", lockdep("WARNING: nested lock was not taken")),
            (
                "WARNING: lock held when returning to user space!",
                CrashPattern(
                    kind: .lockdep, title: .fixed("WARNING: lock held when returning to user space"),
                    sources: [.lock], end: .loose)
            ),
            ("WARNING: chain_key collision", lockdep("WARNING: chain_key collision")),
            ("[ BUG: Invalid wait context ]", lockdep("BUG: Invalid wait context")),
            (
                "INFO: trying to register non-static key",
                CrashPattern(
                    kind: .lockdep, title: .fixed("INFO: trying to register non-static key"), sources: [.trace],
                    end: .trace)
            ),
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
        let hung = FrameFilter.scheduling
        return [
            ("watchdog: BUG: soft lockup", stall(.softLockup, "BUG: soft lockup")),
            ("BUG: soft lockup", stall(.softLockup, "BUG: soft lockup")),
            ("NMI watchdog: Watchdog detected hard LOCKUP", hardLockup),
            ("watchdog: Watchdog detected hard LOCKUP", hardLockup),
            ("Watchdog detected hard LOCKUP", hardLockup),
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
                CrashPattern(
                    kind: .hungTask, title: .fixed("INFO: task hung"), sources: [.trace], skip: [hung], end: .trace)
            ),
        ]
    }()

    private static let damages: [(String, CrashPattern)] = {
        func line(_ kind: CrashKind, _ title: String, end: End) -> CrashPattern {
            CrashPattern(kind: kind, title: .fixed(title), end: end)
        }
        let leak = CrashPattern(
            kind: .memoryLeak, title: .fixed("memory leak"), sources: [.trace], skip: [FrameFilter.allocators],
            end: .loose)
        return [
            ("BUG: Bad page state", line(.pageState, "BUG: Bad page state", end: .trace)),
            ("BUG: Bad page map", line(.pageState, "BUG: Bad page map", end: .trace)),
            ("BUG: Bad page cache", line(.pageState, "BUG: Bad page cache", end: .trace)),
            ("BUG: Bad rss-counter state", line(.pageState, "BUG: Bad rss-counter state", end: .loose)),
            ("BUG: non-zero ", CrashPattern(kind: .pageState, title: .line, end: .loose)),
            ("BUG: MAX_", CrashPattern(kind: .lockdep, title: .line, end: .trace)),
            ("BUG: memory leak", leak),
            ("kmemleak: unreferenced object ", leak),
            ("unreferenced object 0x", leak),
        ]
    }()

    /// What stands before the headline.
    private static let heralds: [(String, CrashPattern)] = {
        func prelude(_ kind: CrashKind, _ title: String, _ skip: [FrameFilter] = []) -> CrashPattern {
            CrashPattern(
                kind: kind, title: .fixed(title), sources: [.trace], skip: skip, role: .prelude(whenAlone: .corrupted))
        }
        return [
            ("------------[ cut here ]------------", prelude(.corrupted, "corrupted report")),
            ("refcount_t: ", prelude(.refcount, "WARNING: refcount bug", [FrameFilter.counters])),
            ("ODEBUG: ", prelude(.objectLifetime, "WARNING: ODEBUG bug", [FrameFilter.objectUsers])),
            ("list_add corruption", prelude(.listCorruption, "BUG: corrupted list")),
            ("list_add double add", prelude(.listCorruption, "BUG: corrupted list")),
            ("list_del corruption", prelude(.listCorruption, "BUG: corrupted list")),
            ("usercopy: Kernel memory ", prelude(.usercopy, "BUG: bad usercopy", [FrameFilter.usercopy])),
        ]
    }()

    /// A line of `=`: a sanitizer's report or the lock validator's begins.
    static let rule = CrashPattern(
        kind: .corrupted, title: .fixed("corrupted report"), role: .prelude(whenAlone: .nothing))

    /// A process asks the kernel to end another. Whether for want of memory, or because its control group has as much as
    /// it may, shows at the end.
    static let outOfMemory = CrashPattern(
        kind: .outOfMemory, title: .fixed("Out of memory"), end: .outOfMemory, role: .prelude(whenAlone: .nothing))

    /// The openings that begin with a byte, so that a line that opens nothing costs a look at its first byte.
    private static let byFirstByte: [[(opening: [UInt8], form: CrashPattern)]] = {
        var table = [[(opening: [UInt8], form: CrashPattern)]](repeating: [], count: 256)
        for (opening, form) in openings {
            let bytes = Array(opening.utf8)
            if let first = bytes.first { table[Int(first)].append((bytes, form)) }
        }
        return table
    }()

    /// What a message opens; nil for nothing.
    static func opened(by message: String) -> CrashPattern? {
        guard let first = message.utf8.first else { return nil }
        for (opening, form) in byFirstByte[Int(first)] where message.utf8.starts(with: opening) {
            // The kind of stack stands between.
            if form.kind == .bug, message.position(of: " stack guard page was hit at ") != nil { return stackGuard }
            if form.kind == .bug, message.utf8.first == UInt8(ascii: "k") { return bug(message) }
            return isHarmless(message, form) ? nil : form
        }
        switch first {
        case UInt8(ascii: "="): return isRule(message) ? rule : nil
        case UInt8(ascii: "W"): return warning(message)
        case UInt8(ascii: "O") where message.hasPrefix("Out of memory: Killed process "):
            return CrashPattern(
                kind: .outOfMemory, title: .fixed("Out of memory"), end: .loose, corruption: "its beginning is lost")
        case UInt8(ascii: "B"):
            if let slab = slab(message) { return slab }
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

    /// `kernel BUG at FILE:LINE!`: some files are a checker's. Their path is relative to the folder that was built in.
    private static func bug(_ message: String) -> CrashPattern {
        if message.position(of: "lib/list_debug.c:") != nil {
            return CrashPattern(kind: .listCorruption, title: .fixed("BUG: corrupted list"), sources: [.trace])
        }
        if message.position(of: "mm/usercopy.c:") != nil {
            return CrashPattern(
                kind: .usercopy, title: .fixed("BUG: bad usercopy"), sources: [.trace], skip: [FrameFilter.usercopy])
        }
        return oops(.bug, "kernel BUG")
    }

    private static let stackGuard = oops(.stackOverflow, "BUG: stack guard page was hit")

    private static let cutHeader = CrashPattern(
        kind: .corrupted, title: .fixed("corrupted report"), sources: [.trace], end: .trace,
        corruption: "its first line is cut off")

    /// `WARNING: CPU: 0 PID: 1 at FILE:LINE symbol`, its form since 6.18, `WARNING: FILE:LINE at symbol, CPU#0: task/1`, or
    /// a report of the lock validator's whose first word varies. Others are a driver's words.
    private static func warning(_ message: String) -> CrashPattern? {
        guard message.hasPrefix("WARNING:") else { return nil }
        if message.hasPrefix("WARNING: CPU: ") || message.contains(" at ") && symbol(in: message) != nil {
            return CrashPattern(kind: .warning, title: .warning, sources: [.header, .trace])
        }
        if message.hasSuffix("-unsafe lock order detected") { return lockdep("possible deadlock") }
        if message.hasSuffix(" still has locks held!") {
            return CrashPattern(
                kind: .lockdep, title: .fixed("WARNING: still has locks held"), sources: [.lock, .trace], end: .trace)
        }
        if message == "WARNING:" { return cutHeader }
        return nil
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

    /// `divide error: 0000 [#1] SMP`; since 6.8 with `Oops: ` before it.
    private static func exception(_ message: String) -> CrashPattern? {
        guard let name = exceptionName(message) else { return nil }
        switch name {
        case "general protection fault": return oops(.generalProtection, name)
        case "divide error": return oops(.divideError, name)
        case "invalid opcode": return oops(.invalidOpcode, name)
        case "double fault": return oops(.doubleFault, name)
        case "stack segment": return oops(.oops, "stack segment fault")
        case "stack guard page": return stackGuard
        case "Oops":
            // Its first line said which access to what address.
            var form = oops(.oops, "Oops")
            form.corruption = "its first line is lost"
            return form
        default: return oops(.oops, cleaned(name))
        }
    }

    /// The name before `: 0000 [#1]`, as `__die_header` in arch/x86/kernel/dumpstack.c prints it.
    static func exceptionName(_ message: String) -> String? {
        guard message.utf8.prefix(400).contains(UInt8(ascii: "#")) else { return nil }
        let bytes = Array(message.utf8.prefix(400))
        guard let hash = bytes.firstIndex(of: UInt8(ascii: "#")), hash >= 8, bytes[hash - 1] == UInt8(ascii: "["),
            bytes[hash - 2] == UInt8(ascii: " "), hash + 1 < bytes.count, (0x30...0x39).contains(bytes[hash + 1])
        else { return nil }
        let code = bytes[(hash - 6)..<(hash - 2)]
        guard code.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }),
            bytes[hash - 8] == UInt8(ascii: ":"), bytes[hash - 7] == UInt8(ascii: " ")
        else { return nil }
        var name = String(decoding: bytes[..<(hash - 8)], as: UTF8.self)
        if name.hasPrefix("Oops: ") { name = String(name.dropFirst(6)) }
        // ", probably for non-canonical address 0xdead000000000100", ", maybe for address 0x8"
        if let comma = name.firstIndex(of: ",") { name = String(name[..<comma]) }
        return name.isEmpty ? nil : name
    }

    /// Whether a line is a rule: some reports begin and end with one.
    static func isRule(_ message: String) -> Bool {
        message.utf8.count >= 20 && message.utf8.allSatisfy { $0 == UInt8(ascii: "=") }
    }

    /// Lines that begin as a report does and are none.
    private static func isHarmless(_ message: String, _ form: CrashPattern) -> Bool {
        switch form.kind {
        case .hungTask:
            return !message.contains(" blocked for more than ") && !message.contains(" can't die for more than ")
        case .rcuStall: return !message.contains("stall")
        case .objectLifetime:
            return !["free", "init", "activate", "deactivate", "assert", "object ", "destroy"].contains {
                message.hasPrefix("ODEBUG: \($0)")
            }
        case .bug where message.hasPrefix("BUG: using "): return !message.contains(" in preemptible ")
        default: return false
        }
    }
}
