import Foundation

/// A report of the kernel's that something is badly wrong.
public struct Crash: Sendable, Equatable {
    /// A title that is the same for the same fault: no addresses, numbers of processes or offsets.
    public var title: String
    /// Whether the kernel cannot have gone on.
    public var isFatal: Bool
    /// The report, line by line.
    public var lines: [String]
    /// The test that was running.
    public var test: String?
}

/// Finds crash reports in the lines of a console, as they come. Titles are worded as syzkaller words them, so that they
/// can be looked up.
public struct CrashDetector: Sendable {
    /// Reports found so far.
    public private(set) var crashes: [Crash] = []

    /// The most lines kept of one report.
    static let longestReport = 120
    /// The most reports kept; a kernel that goes on warning says nothing new.
    static let mostReports = 100

    /// A kind of report.
    private struct Kind: Sendable {
        /// What its first line begins with.
        var opening: String
        /// Its title; nil for the first line itself.
        var title: String?
        /// Where the function of its title is found.
        var function: Function = .none
        var isFatal = false

        enum Function: Sendable {
            /// The title has none.
            case none
            /// The word before "+0x" in the first line, after this text.
            case after(String)
            /// The instruction pointer.
            case instructionPointer
            /// The first frame of the call trace that is not part of the reporting itself.
            case trace
        }
    }

    private static let panic = "Kernel panic - not syncing: "
    private static let kmemleak = "kmemleak: "

    /// The first that fits decides.
    private static let kinds: [Kind] = [
        Kind(opening: panic, title: nil, isFatal: true),
        // The first line names the allocator's function; who frees twice is in the trace.
        Kind(opening: "BUG: KASAN: double-free in ", title: "KASAN: double-free", function: .trace),
        Kind(opening: "BUG: KASAN: invalid-free in ", title: "KASAN: invalid-free", function: .trace),
        Kind(opening: "BUG: KASAN: ", title: nil, function: .after(" in ")),
        Kind(opening: "BUG: KCSAN: ", title: nil),
        Kind(opening: "BUG: KFENCE: ", title: nil, function: .after(" in ")),
        Kind(opening: "UBSAN: ", title: nil, function: .trace),
        Kind(
            opening: "BUG: kernel NULL pointer dereference",
            title: "BUG: unable to handle kernel NULL pointer dereference", function: .instructionPointer),
        Kind(
            opening: "BUG: unable to handle page fault",
            title: "BUG: unable to handle kernel paging request", function: .instructionPointer),
        Kind(
            opening: "general protection fault", title: "general protection fault", function: .instructionPointer),
        Kind(opening: "divide error: ", title: "divide error", function: .instructionPointer),
        Kind(opening: "kernel BUG at ", title: "kernel BUG", function: .instructionPointer),
        Kind(opening: "stack segment: ", title: "stack segment fault", function: .instructionPointer),
        Kind(opening: "double fault: ", title: "double fault", function: .instructionPointer),
        Kind(opening: "PANIC: double fault", title: "double fault", function: .instructionPointer, isFatal: true),
        Kind(
            opening: "BUG: sleeping function called from invalid context",
            title: "BUG: sleeping function called from invalid context", function: .trace),
        Kind(opening: "BUG: scheduling while atomic", title: "BUG: scheduling while atomic", function: .trace),
        Kind(opening: "watchdog: BUG: soft lockup", title: "BUG: soft lockup", function: .instructionPointer),
        Kind(opening: "NMI watchdog: Watchdog detected hard LOCKUP", title: "BUG: hard lockup"),
        Kind(opening: "rcu: INFO: ", title: "INFO: rcu detected stall", function: .instructionPointer),
        Kind(opening: "INFO: rcu", title: "INFO: rcu detected stall", function: .instructionPointer),
        Kind(opening: "INFO: task ", title: "INFO: task hung", function: .trace),
        Kind(opening: "WARNING: possible ", title: "possible deadlock", function: .trace),
        Kind(opening: "WARNING: inconsistent lock state", title: "inconsistent lock state", function: .trace),
        Kind(opening: "WARNING: suspicious RCU usage", title: "WARNING: suspicious RCU usage", function: .trace),
        Kind(opening: "WARNING: bad unlock balance", title: "WARNING: bad unlock balance", function: .trace),
        Kind(opening: "WARNING: CPU: ", title: "WARNING", function: .after(" at ")),
        Kind(opening: "refcount_t: ", title: "refcount bug", function: .trace),
        Kind(opening: "ODEBUG: ", title: "ODEBUG bug", function: .trace),
        Kind(opening: "list_add corruption", title: "list_add corruption", function: .trace),
        Kind(opening: "list_del corruption", title: "list_del corruption", function: .trace),
        Kind(opening: "usercopy: ", title: "usercopy bug", function: .trace),
        Kind(opening: "kmemleak: unreferenced object ", title: "memory leak", function: .trace),
        Kind(opening: "kmemleak: ", title: "memory leak"),
        Kind(opening: "Out of memory: ", title: "Out of memory"),
        Kind(opening: "BUG: ", title: nil),
        Kind(opening: "Oops: ", title: "Oops", function: .instructionPointer),
    ]

    /// Frames that report a fault instead of having it.
    private static let boilerplate = [
        "dump_stack", "show_stack", "print_", "kasan_", "__kasan", "check_memory_region", "__asan_", "panic", "__warn",
        "report_bug", "handle_bug", "exc_", "asm_", "fixup_", "__might_", "___might_", "might_", "__stack_chk",
        "lock_acquire", "__lock_acquire", "lockdep_", "_raw_spin_", "schedule", "__schedule", "preempt_", "mem",
        "refcount_", "debug_", "__list_", "__ubsan", "ubsan_", "handle_overflow", "die", "page_fault_oops", "__die",
        "rcu_", "usercopy_", "__check_object", "check_noncircular", "validate_chain", "copy_to_user", "copy_from_user",
        "_copy_", "__schedule_bug", "kmemleak_", "create_object", "kmalloc", "__kmalloc", "kmem_cache_",
        "__kmem_cache_", "slab_", "__slab_", "___slab_", "kvmalloc", "__kvmalloc", "vmalloc", "__vmalloc", "krealloc",
        "kfree", "kvfree", "vfree", "____kasan",
    ]

    /// The report that is open: how many lines it may still have, and how its title is completed.
    private var linesLeft = 0
    private var pending: Kind.Function = .none
    private var isInTrace = false

    /// Creates a detector that has seen nothing.
    public init() {}

    /// Takes in a line; returns the crash that it opens, if it does.
    public mutating func consume(_ line: ConsoleLine, runningTest: String?) -> Crash? {
        // A line without a time stamp is not the kernel's: programs may print what they like.
        guard line.kernelSeconds != nil else { return nil }
        let message = line.message
        if let kind = Self.kinds.first(where: { message.hasPrefix($0.opening) }), !Self.isHarmless(message) {
            // One scan may report the same leak hundreds of times, so all of its reports are one.
            let isSameScan = message.hasPrefix(Self.kmemleak) && crashes.last?.title.hasPrefix("memory leak") == true
            if isSameScan || linesLeft > 0 && Self.continues(message) {
                append(line)
                if kind.isFatal { crashes[crashes.count - 1].isFatal = true }
                return nil
            }
            return open(kind, line, runningTest: runningTest)
        }
        append(line)
        return nil
    }

    private mutating func open(_ kind: Kind, _ line: ConsoleLine, runningTest: String?) -> Crash? {
        guard crashes.count < Self.mostReports || kind.isFatal else { return nil }
        var title = kind.title ?? Self.title(of: line.message)
        pending = kind.function
        isInTrace = false
        if case .after(let text) = kind.function {
            pending = .none
            if let function = Self.function(in: line.message, after: text) {
                if kind.title != nil { title += " in \(function)" }
            }
        }
        let crash = Crash(title: title, isFatal: kind.isFatal, lines: [line.raw], test: runningTest)
        crashes.append(crash)
        linesLeft = Self.longestReport - 1
        return crash
    }

    private mutating func append(_ line: ConsoleLine) {
        guard linesLeft > 0 else { return }
        let last = crashes.count - 1
        crashes[last].lines.append(line.raw)
        linesLeft -= 1
        var title = crashes[last].title
        complete(&title, with: line.message)
        crashes[last].title = title
        if line.message.hasPrefix("---[ end") { linesLeft = 0 }
    }

    /// Adds to a title what a later line of its report tells.
    private mutating func complete(_ title: inout String, with message: String) {
        if title.hasPrefix("KASAN: "), !title.contains(" Read in "), !title.contains(" Write in ") {
            for access in ["Read", "Write"] where message.hasPrefix("\(access) of size ") {
                if let range = title.range(of: " in ") { title.replaceSubrange(range, with: " \(access) in ") }
            }
        }
        switch pending {
        case .instructionPointer:
            // "RIP: 0010:function+0x10/0x20"; segment 0033 is a program's, not the kernel's.
            guard message.hasPrefix("RIP: 0010:"), let function = Self.symbol(message.dropFirst(10)) else { return }
            title += " in \(function)"
            pending = .none
        case .trace:
            // kmemleak puts its name before every line, and each frame's address before its symbol.
            let isLeak = message.hasPrefix(Self.kmemleak)
            let line = (isLeak ? message.dropFirst(Self.kmemleak.count) : message[...]).drop { $0 == " " }
            if ["Call Trace:", "stack backtrace:", "backtrace"].contains(where: line.hasPrefix) { isInTrace = true }
            guard isInTrace, !line.contains("? ") else { return }
            let frame = line.hasPrefix("[<") ? line.drop { $0 != "]" }.dropFirst(2) : line
            guard let function = Self.symbol(frame), !Self.boilerplate.contains(where: { function.hasPrefix($0) })
            else {
                return
            }
            title += " in \(function)"
            pending = .none
        case .none, .after: break
        }
    }

    /// Whether an opening is a part of the report that is open already.
    private static func continues(_ message: String) -> Bool {
        if message.hasPrefix("Oops: ") || message.hasPrefix("refcount_t: ") { return true }
        // What panics because of an oops, or of a setting, adds nothing to the report before it.
        guard message.hasPrefix(panic) else { return false }
        let reason = message.dropFirst(panic.count)
        return ["Fatal exception", "panic_on_warn set", "kernel.panic_on_warn", "kasan.fault=panic", "KASAN:"]
            .contains { reason.hasPrefix($0) }
    }

    private static func isHarmless(_ message: String) -> Bool {
        message.hasPrefix(kmemleak) && !message.hasPrefix(kmemleak + "unreferenced object ") && !isLeakCount(message)
    }

    private static func isLeakCount(_ message: String) -> Bool {
        message.hasPrefix(kmemleak) && message.contains("new suspected memory leaks")
    }

    /// The title that a first line itself gives.
    static func title(of message: String) -> String {
        var text = message
        if text.hasPrefix(panic) { text = "kernel panic: " + text.dropFirst(panic.count) }
        for prefix in ["BUG: KASAN: ", "BUG: KCSAN: ", "BUG: KFENCE: "] where text.hasPrefix(prefix) {
            text = String(text.dropFirst(5))
        }
        let words = text.split(separator: " ").map { word -> String in
            var word = String(word)
            if let offset = word.range(of: "+0x") { word = String(word[..<offset.lowerBound]) }
            let digits = word.drop { $0 == "0" || $0 == "x" }
            return word.hasPrefix("0x") || (digits.count >= 8 && digits.allSatisfy(\.isHexDigit)) ? "ADDR" : word
        }
        return words.joined(separator: " ")
    }

    /// The function that stands before "+0x" in `message` behind `text`.
    private static func function(in message: String, after text: String) -> String? {
        guard let start = message.range(of: text) else { return nil }
        return message[start.upperBound...].split(separator: " ").lazy.compactMap { symbol($0) }.first
    }

    /// The name in "name+0x10/0x20"; nil for anything else.
    private static func symbol(_ text: some StringProtocol) -> String? {
        guard let offset = text.range(of: "+0x") else { return nil }
        let name = text[..<offset.lowerBound]
        guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || "_.$".contains($0) }) else { return nil }
        // The compiler's suffixes name copies of one function.
        return String(name.prefix { $0 != "." })
    }
}
