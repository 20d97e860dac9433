// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// The title of a report.
struct CrashTitle {
    var text: String
    /// The function in it, or to blame.
    var function: String?
}

extension CrashPattern {
    /// Makes the title for a report.
    ///
    /// - Parameters:
    ///   - header: Its headline.
    ///   - facts: The facts in its other lines.
    func title(header: String, facts: ReportFacts) -> CrashTitle {
        let function = sources.lazy.compactMap { find($0, header, facts) }.first
        let ending = Self.ending(isStall ? function.map(Self.stallName) : function)
        switch title {
        case .fixed(let text): return CrashTitle(text: text + ending, function: function)
        case .line:
            // A panic for another reason has no function in its title, but its trace may name one.
            let blamed = function ?? Self.guilty(facts.mainTrace, skip)
            var text = header
            if text.hasPrefix(Self.panicMark) { text = "kernel panic: " + text.dropFirst(Self.panicMark.count) }
            return CrashTitle(text: cleaned(text) + ending, function: blamed)
        case .sanitizer(let prefix):
            let start = header.position(of: prefix)?.upperBound ?? header.startIndex
            var what = header[start...]
            if let end = what.position(of: " in ") { what = what[..<end.lowerBound] }
            // Its wording up to 5.10.
            if what.hasPrefix("Undefined behaviour") { what = "undefined-behaviour" }
            var text = prefix + cleaned(String(what))
            if kind == .kasan, let access = facts.access { text += " \(access)" }
            return CrashTitle(text: text + ending, function: function)
        case .race:
            let what = header.utf8.count > 12 ? String(decoding: Array(header.utf8)[12...], as: UTF8.self) : ""
            let functions = what.position(of: " in ").map { what[$0.upperBound...] } ?? ""
            let first = functions.split(separator: " ").first.map { String($0.prefix { $0 != "+" && $0 != "." }) }
            return CrashTitle(text: "KCSAN: " + cleaned(what), function: first)
        case .warning: return warningTitle(header, facts, function)
        case .preemptible:
            let callee = header.dropFirst("BUG: using ".count).prefix { $0 != " " }
            return CrashTitle(text: "BUG: using \(callee) in preemptible code" + ending, function: function)
        case .lock(let type):
            let words = header.dropFirst("BUG: \(type) ".count)
            let what = words.position(of: " on CPU#").map { words[..<$0.lowerBound] } ?? words
            return CrashTitle(text: "BUG: \(type) \(cleaned(String(what)))" + ending, function: function)
        case .rustPanic:
            return CrashTitle(text: cleaned(facts.rustMessage ?? "kernel BUG") + ending, function: function)
        }
    }

    /// The part of a title about a function: for a system call only its name, because each architecture and each entry
    /// into the kernel has its own wrapper.
    private static func ending(_ function: String?) -> String {
        guard let function else { return "" }
        for prefix in ["compat_SYSC_", "compat_SyS_", "SYSC_", "SyS_", "ksys_", "__se_sys_", "__se_compat_sys_"]
        where function.hasPrefix(prefix) && function.utf8.count > prefix.utf8.count {
            return " in \(function.dropFirst(prefix.count))"
        }
        return " in \(function)"
    }

    /// The same for a stall, which blames the whole system call: without the architecture.
    private static func stallName(_ function: String) -> String {
        for prefix in ["__x64_", "__ia32_", "__arm64_", "__riscv_", "__s390x_", "__powerpc_"]
        where function.hasPrefix(prefix) { return String(function.dropFirst(prefix.count)) }
        if function.hasPrefix("sys_") { return String(function.dropFirst("sys_".count)) }
        return function
    }

    /// A checker whose file a warning names, instead of the faulty function.
    private struct Checker {
        var file: String
        var title: String
        var skip: [FrameFilter] = []
    }

    private static let checkers: [Checker] = [
        Checker(file: "lib/refcount.c:", title: "WARNING: refcount bug", skip: [.counters]),
        Checker(file: "lib/debugobjects.c:", title: "WARNING: ODEBUG bug", skip: [.objectUsers, .allocators]),
        Checker(file: "lib/list_debug.c:", title: "BUG: corrupted list"),
        Checker(file: "lib/kobject.c:", title: "WARNING: kobject bug", skip: [.counters]),
        Checker(file: "mm/usercopy.c:", title: "WARNING: bad usercopy", skip: [.usercopy]),
        Checker(file: "kernel/locking/lockdep.c:", title: "WARNING: locking bug"),
        Checker(
            file: "fs/proc/generic.c:", title: "WARNING: proc registration bug",
            skip: [FrameFilter("proc_* __proc_* remove_proc_*")]),
    ]

    /// Warnings in some files belong to the checker, not to the checked function.
    private func warningTitle(
        _ header: String, _ facts: ReportFacts, _ function: String?
    ) -> CrashTitle {
        for checker in Self.checkers where header.position(of: checker.file) != nil {
            // Without a trace only the headline has a function.
            let blamed = Self.guilty(facts.mainTrace, skip + checker.skip) ?? find(.header, header, facts)
            return CrashTitle(text: checker.title + Self.ending(blamed), function: blamed)
        }
        let first = symbol(in: header).map { functionName($0) } ?? ""
        if [" mm/", "/mm/"].contains(where: { header.position(of: $0) != nil }) {
            let title: String? =
                if header.position(of: "mm/vmalloc.c:") != nil, first.hasPrefix("__vmalloc_node_range") {
                    "WARNING: zero-size vmalloc"
                } else if ["kmalloc", "kvmalloc", "vmalloc", "__kmalloc", "__vmalloc", "__kvmalloc"]
                    .contains(where: first.hasPrefix)
                {
                    "WARNING: kmalloc bug"
                } else {
                    nil
                }
            if let title {
                let blamed = Self.guilty(facts.mainTrace, skip + [.allocators])
                return CrashTitle(text: title + Self.ending(blamed), function: blamed)
            }
        }
        // The driver that submits wrongly is to blame; the core's function shows what it did.
        if first == "usb_submit_urb" {
            let submit = FrameFilter(
                "usb_submit_urb usb_start_wait_urb usb_bulk_msg usb_control_msg* usb_interrupt_msg")
            if let blamed = Self.guilty(facts.mainTrace, skip + [submit]) {
                return CrashTitle(text: "WARNING in \(blamed)/usb_submit_urb", function: blamed)
            }
        }
        return CrashTitle(text: "WARNING" + Self.ending(function), function: function)
    }

    /// The kind of a warning, according to its file.
    static func kind(ofWarning header: String) -> CrashKind {
        if header.position(of: "lib/refcount.c:") != nil { return .refcount }
        if header.position(of: "lib/debugobjects.c:") != nil { return .objectLifetime }
        if header.position(of: "lib/list_debug.c:") != nil { return .listCorruption }
        if header.position(of: "mm/usercopy.c:") != nil { return .usercopy }
        if header.position(of: "kernel/locking/lockdep.c:") != nil { return .lockdep }
        return .warning
    }

    private func find(_ source: Source, _ header: String, _ facts: ReportFacts) -> String? {
        switch source {
        case .header:
            guard let name = symbol(in: header).map({ functionName($0) }) else { return nil }
            return isHelper(name) ? nil : name
        case .trace:
            // If foreign lines cut a trace in two, its function to blame may be in the second part.
            return Self.guilty(facts.mainTrace, skip)
        case .lock:
            guard let name = facts.lockFunction, !isHelper(name) else { return nil }
            return name
        case .became:
            return facts.becameFunction
        case .named:
            guard let name = facts.namedFunction, !isHelper(name) else { return nil }
            return name
        case .stall:
            return facts.traces.lazy.compactMap { Self.dispatched($0) }.first
                ?? facts.traces.lazy.compactMap { Self.guilty($0, skip) }.first
        case .deepStack:
            return facts.traces.lazy.compactMap { Self.recursive($0) ?? Self.dispatched($0) }.first
                ?? Self.guilty(facts.mainTrace, skip)
        case .hang:
            return facts.traces.first.flatMap { Self.waitedFor($0) }
        }
    }

    private func isHelper(_ name: String) -> Bool {
        FrameFilter.common.contains(name) || skip.contains { $0.contains(name) }
    }

    /// The first function of a trace that may be to blame.
    private static func guilty(_ frames: [StackFrame], _ skip: [FrameFilter]) -> String? {
        for frame in frames where frame.isReliable {
            let name = frame.function
            if FrameFilter.common.contains(name) || skip.contains(where: { $0.contains(name) }) { continue }
            // No function below the entry of a system call is to blame.
            if FrameFilter.entries.contains(name) { return nil }
            return name
        }
        return nil
    }

    /// The function that was last called through a table before a processor hung.
    ///
    /// The processor is in a loop that spans several functions, so its current function differs between reports. The
    /// function called through a table of the kernel is the same.
    private static func dispatched(_ frames: [StackFrame]) -> String? {
        var reliable = frames.filter(\.isReliable)[...]
        // The frames beneath a timer's interrupt are the interrupted work.
        if let entry = reliable.firstIndex(where: { FrameFilter.timerInterrupts.contains($0.function) }) {
            reliable = reliable[entry...].drop { FrameFilter.timerInterrupts.contains($0.function) }
        }
        guard let entry = reliable.firstIndex(where: { FrameFilter.dispatchers.contains($0.function) }) else {
            return nil
        }
        // It waits for another processor.
        if reliable[entry].function.position(of: "smp_call_function") != nil { return "smp_call_function" }
        guard let name = reliable[..<entry].last(where: { !FrameFilter.dispatchTables.contains($0.function) })?.function
        else { return nil }
        return FrameFilter.waiting.contains(name) || FrameFilter.common.contains(name) ? nil : name
    }

    /// A function that called itself.
    private static func recursive(_ frames: [StackFrame]) -> String? {
        var last = ""
        var count = 0
        for frame in frames where frame.isReliable {
            count = frame.symbol == last ? count + 1 : 1
            last = frame.symbol
            if count >= 2 { return frame.function }
        }
        return nil
    }

    /// Whether the title blames a whole system call.
    private var isStall: Bool {
        sources.contains {
            switch $0 {
            case .stall, .deepStack: true
            default: false
            }
        }
    }

    /// The function in which a task that hangs waits. Grace periods and the lock of the network's configuration stop
    /// tasks everywhere in the kernel, so their caller is not useful.
    private static func waitedFor(_ frames: [StackFrame]) -> String? {
        let names = frames.lazy.filter(\.isReliable).map(\.function)
        for name in names {
            if name.hasPrefix("synchronize_rcu") || name.hasPrefix("synchronize_srcu")
                || name.hasPrefix("synchronize_net")
                || name.hasPrefix("synchronize_sched") || name.hasPrefix("__synchronize_srcu")
            {
                return "synchronize_rcu"
            }
            if name.hasPrefix("rtnl_lock") { return "rtnl_lock" }
            if FrameFilter.entries.contains(name) { break }
        }
        for name in names {
            if FrameFilter.entries.contains(name) { return nil }
            if FrameFilter.hanging.contains(name) || FrameFilter.scheduling.contains(name)
                || FrameFilter.common.contains(name)
            {
                continue
            }
            return name
        }
        return nil
    }
}

/// The facts in a report's lines after its headline.
struct ReportFacts: Sendable {
    /// `Read` or `Write`: KASAN's second line.
    var access: String?
    /// The function of the first `at: symbol`.
    var lockFunction: String?
    /// The function that a line names explicitly.
    var namedFunction: String?
    /// The function that took the first lock in an interrupt.
    var becameFunction: String?
    /// The message of a Rust panic.
    var rustMessage: String?
    /// The expected content of the next lines.
    var expectation = Expectation.nothing

    /// The content that a line announced.
    enum Expectation: Sendable {
        case nothing
        /// The trace of the place where a lock became unsafe in an interrupt.
        case becameTrace
        /// A Rust panic's message.
        case rustMessage
    }
    var cpu: Int?
    var task: String?
    var pid: Int?
    /// When leaked memory was allocated, in jiffies.
    var allocatedAt: UInt64?
    /// The call traces, each with the instruction pointer before it.
    var traces: [[StackFrame]] = []

    /// The most traces to keep of one report, and the most frames of one trace.
    static let mostTraces = 16
    /// A stack overflow has hundreds of frames, and its cause may be at the bottom.
    static let mostFrames = 1024
    /// The most frames of a report to pass on.
    static let mostKeptFrames = 256

    /// The trace of the fault.
    var mainTrace: [StackFrame] { traces.first ?? [] }
}

/// A text without the parts that differ between two reports of one fault: addresses, offsets of functions, numbers.
func cleaned(_ text: String) -> String {
    let words = text.utf8.prefix(400).split(separator: UInt8(ascii: " ")).map { bytes -> String in
        let word = Substring(bytes)
        let core = word.trimming { !$0.isLetter && !$0.isNumber && $0 != "_" }
        if let symbol = parseSymbol(core) { return word.replacing(core, functionName(symbol.name)) }
        if isAddress(core) { return word.replacing(core, "ADDR") }
        if core.utf8.count > 1, core.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            return word.replacing(core, "NUM")
        }
        return String(word)
    }
    return words.joined(separator: " ")
}

/// Whether a word is an address: `0x` and digits, or at least eight hexadecimal digits.
private func isAddress(_ word: Substring) -> Bool {
    if word.hasPrefix("0x") { return word.dropFirst(2).allSatisfy(\.isHexDigit) }
    return word.utf8.count >= 8 && word.allSatisfy(\.isHexDigit)
}

extension Substring {
    /// The text without the matching characters at both ends.
    fileprivate func trimming(_ fits: (Character) -> Bool) -> Substring {
        var text = drop(while: fits)
        while let last = text.last, fits(last) { text.removeLast() }
        return text
    }

    /// The text with a slice of it replaced.
    fileprivate func replacing(_ part: Substring, _ replacement: String) -> String {
        String(self[..<part.startIndex]) + replacement + String(self[part.endIndex...])
    }
}

extension StringProtocol {
    /// The position of a text in this one, by its bytes.
    func position(of text: String) -> Range<Index>? {
        let needle = text.utf8
        guard let first = needle.first else { return nil }
        var from = utf8.startIndex
        while let start = utf8[from...].firstIndex(of: first) {
            if utf8[start...].starts(with: needle) {
                return start..<utf8.index(start, offsetBy: needle.count)
            }
            from = utf8.index(after: start)
        }
        return nil
    }
}
