// SPDX-License-Identifier: Apache-2.0
extension CrashPattern {
    /// The title for a report.
    ///
    /// - Parameters:
    ///   - header: Its headline.
    ///   - facts: What its other lines told.
    /// - Returns: The title, and the function in it or to blame.
    func title(header: String, facts: ReportFacts) -> (title: String, function: String?) {
        let function = sources.lazy.compactMap { find($0, header, facts) }.first
        let ending = function.map { " in \($0)" } ?? ""
        switch title {
        case .fixed(let text): return (text + ending, function)
        case .line:
            // A panic for a reason of its own has no function in its title, but its trace may name one.
            let blamed = function ?? Self.guilty(facts.mainTrace, skip)
            var text = header
            if text.hasPrefix(Self.panicMark) { text = "kernel panic: " + text.dropFirst(Self.panicMark.count) }
            return (cleaned(text) + ending, blamed)
        case .sanitizer(let prefix):
            let start = header.position(of: prefix)?.upperBound ?? header.startIndex
            var what = header[start...]
            if let end = what.position(of: " in ") { what = what[..<end.lowerBound] }
            var text = prefix + cleaned(String(what))
            if kind == .kasan, let access = facts.access { text += " \(access)" }
            return (text + ending, function)
        case .race:
            let what = header.utf8.count > 12 ? String(decoding: Array(header.utf8)[12...], as: UTF8.self) : ""
            let functions = what.position(of: " in ").map { what[$0.upperBound...] } ?? ""
            let first = functions.split(separator: " ").first.map { String($0.prefix { $0 != "+" && $0 != "." }) }
            return ("KCSAN: " + cleaned(what), first)
        case .warning: return warningTitle(header, facts, function)
        case .preemptible:
            let callee = header.dropFirst("BUG: using ".count).prefix { $0 != " " }
            return ("BUG: using \(callee) in preemptible code" + ending, function)
        case .lock(let type):
            let words = header.dropFirst("BUG: \(type) ".count)
            let what = words.position(of: " on CPU#").map { words[..<$0.lowerBound] } ?? words
            return ("BUG: \(type) \(cleaned(String(what)))" + ending, function)
        }
    }

    /// Warnings of some files are the checker's, not the checked function's.
    private func warningTitle(
        _ header: String, _ facts: ReportFacts, _ function: String?
    ) -> (title: String, function: String?) {
        let checkers: [(file: String, title: String, skip: [FrameFilter])] = [
            ("lib/refcount.c:", "WARNING: refcount bug", [.counters]),
            ("lib/debugobjects.c:", "WARNING: ODEBUG bug", [.objectUsers, .allocators]),
            ("lib/list_debug.c:", "BUG: corrupted list", []),
            ("lib/kobject.c:", "WARNING: kobject bug", [.counters]),
            ("mm/usercopy.c:", "WARNING: bad usercopy", [.usercopy]),
            ("kernel/locking/lockdep.c:", "WARNING: locking bug", []),
            ("fs/proc/generic.c:", "WARNING: proc registration bug", [FrameFilter("proc_* __proc_*")]),
        ]
        for checker in checkers where header.position(of: checker.file) != nil {
            let blamed = Self.guilty(facts.mainTrace, skip + checker.skip)
            return (checker.title + (blamed.map { " in \($0)" } ?? ""), blamed)
        }
        let first = symbol(in: header).map { functionName($0) } ?? ""
        if [" mm/", "/mm/"].contains(where: { header.position(of: $0) != nil }),
            ["kmalloc", "kvmalloc", "vmalloc", "__kmalloc", "__vmalloc"].contains(where: first.hasPrefix)
        {
            let blamed = Self.guilty(facts.mainTrace, skip + [.allocators])
            return ("WARNING: kmalloc bug" + (blamed.map { " in \($0)" } ?? ""), blamed)
        }
        return ("WARNING" + (function.map { " in \($0)" } ?? ""), function)
    }

    /// The kind that a warning's file makes it.
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
            return FrameFilter.common.contains(name) || skip.contains { $0.contains(name) } ? nil : name
        case .trace:
            return Self.guilty(facts.mainTrace, skip)
        case .lock:
            guard let name = facts.lockFunction, !FrameFilter.common.contains(name) else { return nil }
            return name
        case .named:
            guard let name = facts.namedFunction, !FrameFilter.common.contains(name) else { return nil }
            return name
        case .stall:
            return facts.traces.lazy.compactMap { Self.dispatched($0) }.first
                ?? facts.traces.lazy.compactMap { Self.guilty($0, skip) }.first
        }
    }

    /// The first function of a trace that may be to blame.
    private static func guilty(_ frames: [StackFrame], _ skip: [FrameFilter]) -> String? {
        for frame in frames where frame.isReliable {
            let name = frame.function
            if FrameFilter.common.contains(name) || skip.contains(where: { $0.contains(name) }) { continue }
            // Below the entry of a system call there is nothing more to blame.
            if FrameFilter.dispatchers.contains(name) { return nil }
            return name
        }
        return nil
    }

    /// What was called through a table last before a processor got stuck.
    private static func dispatched(_ frames: [StackFrame]) -> String? {
        let reliable = frames.filter(\.isReliable)
        guard let entry = reliable.firstIndex(where: { FrameFilter.dispatchers.contains($0.function) }) else {
            return nil
        }
        return reliable[..<entry].last { !FrameFilter.dispatchTables.contains($0.function) }
            .map(\.function)
            .flatMap { FrameFilter.waiting.contains($0) || FrameFilter.common.contains($0) ? nil : $0 }
    }
}

/// What the lines of a report told beside its headline.
struct ReportFacts: Sendable {
    /// `Read` or `Write`: KASAN's second line.
    var access: String?
    /// The function of the first `at: symbol`.
    var lockFunction: String?
    /// The function that a line names outright.
    var namedFunction: String?
    var cpu: Int?
    var task: String?
    var pid: Int?
    /// The call traces, each with the instruction pointer before it.
    var traces: [[StackFrame]] = []

    /// The most traces kept of one report, and the most frames of one.
    static let mostTraces = 16
    /// The unwinder itself stops sooner.
    static let mostFrames = 256

    /// The trace of the fault.
    var mainTrace: [StackFrame] { traces.first ?? [] }
}

/// A text without what differs between two reports of one fault: addresses, offsets of functions, numbers.
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

/// Whether a word is an address: `0x` and digits, or eight hexadecimal digits and more.
private func isAddress(_ word: Substring) -> Bool {
    if word.hasPrefix("0x") { return word.dropFirst(2).allSatisfy(\.isHexDigit) }
    return word.utf8.count >= 8 && word.allSatisfy(\.isHexDigit)
}

extension Substring {
    /// The text without the characters at both ends that fit.
    fileprivate func trimming(_ fits: (Character) -> Bool) -> Substring {
        var text = drop(while: fits)
        while let last = text.last, fits(last) { text.removeLast() }
        return text
    }

    /// The text with a part of it, given as a slice of it, replaced.
    fileprivate func replacing(_ part: Substring, _ replacement: String) -> String {
        String(self[..<part.startIndex]) + replacement + String(self[part.endIndex...])
    }
}

extension StringProtocol {
    /// Where a text stands in this one, by its bytes.
    func position(of text: String) -> Range<Index>? {
        let needle = Array(text.utf8)
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
