// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// A report that is being read: consumes its lines, collects their facts, and detects its end.
struct CrashReportBuilder: Sendable {
    /// Whether a line is part of the report, and whether more lines may follow.
    enum Answer: Equatable {
        case taken
        /// The line is not part of it, but the report may continue: other callers print between its lines.
        case passed
        /// The line is not part of it: the report had ended before.
        case refused
    }

    private enum State {
        /// Its end has not come yet.
        case body
        /// It is complete; only registers, or the last lines of a panic, may follow.
        case tail
    }

    private(set) var form: CrashPattern
    private(set) var header: String
    private(set) var lines: [String] = []
    private(set) var firstLine: Int
    private(set) var lastLine: Int
    private(set) var lastSeconds: Double?
    private let test: String?
    /// When more memory was allocated that leaked in the same place, in jiffies.
    private var furtherAllocations: [UInt64] = []
    private let caller: ConsoleLine.Caller?
    private var facts = ReportFacts()
    private var state = State.body
    private var isComplete = false
    private var isCut = false
    private var keptBytes = 0
    private var corruption: String?
    private(set) var isFatal: Bool
    /// Whether it was reported.
    var isAnnounced = false
    /// The number of lines since its first, kept or not.
    private(set) var lineCount = 0
    /// Whether the exception has been named; an oops names it in its second line or so.
    private var namesException: Bool
    private var trace = TraceReader()
    /// Consecutive lines of other callers within the last trace.
    private var foreignLines = 0

    /// The most consecutive lines of other callers, in a trace without a marked end, that do not end it.
    static let mostForeignLines = 4
    /// The most lines to keep of a report. The lock validator's longest have a few hundred.
    static let mostLines = 1500
    /// The most bytes to keep of a report.
    static let mostBytes = 256 << 10
    /// The most lines between a prelude and its headline. An out-of-memory report lists every process in between.
    static let longestPrelude = 60
    /// The most lines without a call trace in a report that need not have one.
    static let longestWait = 30
    /// Seconds of the kernel's clock without a line after which a report has ended. The kernel waits 10 s for
    /// backtraces of other processors (lib/nmi_backtrace.c).
    static let longestPause = 30.0
    /// The same for a complete report.
    static let longestTailPause = 5.0

    init(form: CrashPattern, line: ConsoleLine, number: Int, test: String?) {
        self.form = form
        header = line.message
        firstLine = number
        lastLine = number
        self.test = test
        caller = line.caller
        isFatal = form.isFatal
        namesException = CrashPattern.exceptionName(line.message) != nil
        setHeader(line.message)
        keep(line, number)
        facts.read(line.message)
    }

    var isPrelude: Bool { form.role != .header }
    /// Whether a list of all locks follows, which a rule ends.
    private var listsLocks = false
    /// Whether it was read before: the log was printed again.
    var isReplay = false
    /// Whether it turned out to be harmless.
    private var isDismissed = false
    /// Whether it would contain nothing useful if it ended now.
    var isNothing: Bool {
        if isDismissed || isReplay { return true }
        // The list of processes shows that the kernel was about to kill one.
        if case .prelude(whenOrphaned: .nothing) = form.role { return form.kind != .outOfMemory || lineCount < 20 }
        return false
    }

    private mutating func setHeader(_ message: String) {
        header = message
        // Two lines that were joined: the title is in the first.
        if let second = ConsoleLine.secondStamp(in: message) {
            header = String(message[..<second])
            corruption = "its first line holds another"
        }
        if let reason = form.corruption { corruption = reason }
        if form.kind == .warning { form.kind = CrashPattern.kind(ofWarning: header) }
        trace.isImplicit = [.kcsan, .kmsan, .kfence].contains(form.kind)
    }

    /// Turns a prelude into the report of its headline.
    mutating func promote(to form: CrashPattern, _ line: ConsoleLine, number: Int) {
        // The prelude's kind is better than a bare `kernel BUG at`: for a list, its own words name the kind.
        self.form = form
        corruption = nil
        isFatal = form.isFatal
        namesException = CrashPattern.exceptionName(line.message) != nil
        setHeader(line.message)
        keep(line, number)
        facts.read(line.message)
    }

    /// Whether an opening is a line of this report and not a new report.
    func continues(with opened: CrashPattern, _ message: String) -> Bool {
        // A list of processes ends with the killed one.
        if isPrelude, form.kind == .outOfMemory { return opened.kind == .outOfMemory }
        if state == .tail, listsLocks, CrashPattern.isRule(message) { return true }
        // An oops and `BUG()` name the exception after their cause.
        if CrashPattern.exceptionName(message) != nil {
            return state == .body && !namesException
                && [.pageFault, .nullPointer, .bug, .doubleFault, .stackOverflow, .listCorruption, .usercopy, .oops]
                    .contains(form.kind)
                && !isPrelude
        }
        if state == .body, form.kind == .memoryLeak, message.hasPrefix("unreferenced object"), lineCount == 1 {
            return header == "BUG: memory leak"
        }
        if case .prelude = opened.role, state == .body {
            // The end of a sanitizer's report, and the lines of a warning after its headline.
            if opened.kind == .corrupted, CrashPattern.isRule(message) { return true }
            return !isPrelude && opened.kind != .corrupted && !form.endsByTrace
        }
        // A script that adds places names the innermost of several inlined functions first.
        if state == .body, form.kind == opened.kind, [.kmsan, .kasan, .kfence].contains(form.kind), lineCount <= 8,
            lines.last.map({ $0.hasSuffix("[inline]") }) == true
        {
            return true
        }
        // Dumps within a report: the state of other processors, and reports of read-copy update about its own thread.
        if state == .body, form.kind == .rcuStall, opened.kind == .rcuStall { return true }
        return false
    }

    /// Adds a panic that this report caused.
    mutating func takePanic(_ line: ConsoleLine, number: Int) {
        isFatal = true
        isComplete = true
        state = .body
        form.end = .panic
        namesException = true
        keep(line, number)
    }

    /// Whether so much time has passed that it has ended.
    func hasExpired(at seconds: Double?) -> Bool {
        guard let lastSeconds, let seconds else { return false }
        if form.end == .panic { return false }
        return seconds - lastSeconds > (state == .body ? Self.longestPause : Self.longestTailPause)
    }

    mutating func take(_ line: ConsoleLine, number: Int) -> Answer {
        let message = line.message
        if isPrelude, form.kind != .outOfMemory, lineCount >= Self.longestPrelude { return .refused }
        if case .prelude(whenOrphaned: .nothing) = form.role, form.kind == .corrupted, lineCount > 3 { return .refused }
        switch state {
        case .tail:
            // More traces may come: of other processors, or of a lock's holder.
            let step = trace.take(message)
            if step != .going { storeTrace() }
            guard Self.looksLikePart(message) else {
                foreignLines += 1
                return trace.isSuspended && foreignLines <= Self.mostForeignLines ? .passed : .refused
            }
            foreignLines = 0
            keep(line, number)
            facts.read(message)
            return .taken
        case .body:
            if form.end == .loose, !continuesLoosely(message) {
                isComplete = true
                return .refused
            }
            // Not every `BUG:` has a trace; a later trace is not its own.
            if form.end == .trace, form.sources.isEmpty, facts.traces.isEmpty, lineCount > Self.longestWait,
                !trace.isInTrace, !Self.looksLikePart(message)
            {
                isComplete = true
                return .refused
            }
            let step = trace.take(message)
            if step == .endedBefore, form.end == .trace, !Self.looksLikePart(message) {
                end()
                foreignLines = 1
                return trace.isSuspended ? .passed : .refused
            }
            keep(line, number)
            facts.read(message)
            if step != .going { storeTrace() }
            if form.end == .trace, step != .going { end() }
            switch form.end {
            case .mark: if message.hasPrefix("---[ end trace") { end() }
            case .rule:
                let isUBSANMark = form.kind == .ubsan && message.hasPrefix("---[ end trace")
                if CrashPattern.isRule(message) && !isPrelude || isUBSANMark { end() }
            case .panic: if message.hasPrefix("---[ end Kernel panic") || message.hasPrefix("Rebooting in") { end() }
            case .outOfMemory: takeOutOfMemory(message)
            case .trace, .loose: break
            }
            return .taken
        }
    }

    private mutating func takeOutOfMemory(_ message: String) {
        if message.hasPrefix("Out of memory: Killed process ") || message.hasPrefix("Out of memory and no killable") {
            form.role = .header
            end()
        } else if message.hasPrefix("Memory cgroup out of memory: ") {
            // Reaching a control group's limit is not an error.
            state = .tail
            isDismissed = true
        }
    }

    private mutating func end() {
        storeTrace()
        isComplete = true
        state = .tail
    }

    private mutating func storeTrace() { Self.store(&trace, in: &facts) }

    private static func store(_ trace: inout TraceReader, in facts: inout ReportFacts) {
        let isContinuation = trace.isContinuation
        guard let frames = trace.finished() else { return }
        if isContinuation, !facts.traces.isEmpty {
            let room = max(0, ReportFacts.mostFrames - facts.traces[facts.traces.count - 1].count)
            facts.traces[facts.traces.count - 1] += frames.prefix(room)
        } else if facts.traces.count < ReportFacts.mostTraces {
            facts.traces.append(frames)
        }
    }

    private func continuesLoosely(_ message: String) -> Bool {
        if form.kind == .memoryLeak {
            return message.hasPrefix("kmemleak:  ") || message.hasPrefix(" ")
                || message.hasPrefix("unreferenced object")
                    && lineCount == 1
        }
        return Self.looksLikePart(message) || message.contains("is leaving the kernel with locks still held")
    }

    private mutating func keep(_ line: ConsoleLine, _ number: Int) {
        lineCount += 1
        lastLine = number
        if let seconds = line.kernelSeconds { lastSeconds = seconds }
        guard lines.count < Self.mostLines, keptBytes < Self.mostBytes else {
            isCut = true
            return
        }
        keptBytes += line.raw.utf8.count
        lines.append(line.raw)
        if line.message.hasPrefix("Showing all locks held") { listsLocks = true }
    }

    /// Appends a line that belongs to the report although another caller printed it, or the report had ended.
    mutating func append(_ line: ConsoleLine, number: Int) {
        keep(line, number)
    }

    /// Whether there is enough for its title.
    var isReported: Bool {
        if isReplay { return false }
        if isFatal { return true }
        guard state == .tail, !isPrelude else { return false }
        // A later trace may show the stalled task.
        if case .stall? = form.sources.first { return crash(isOver: false).function != nil }
        return true
    }

    /// Adds the times when more memory was allocated that leaked in the same place.
    mutating func addAllocations(_ times: [UInt64]) {
        furtherAllocations += times.prefix(Self.mostAllocations - min(furtherAllocations.count, Self.mostAllocations))
    }

    /// The most times to keep of one place.
    private static let mostAllocations = 1000

    /// The report so far.
    ///
    /// - Parameter isOver: Whether it has ended, so that missing parts are lost.
    func crash(isOver: Bool) -> Crash {
        var facts = facts
        var reader = trace
        Self.store(&reader, in: &facts)
        let title = form.title(header: header, facts: facts)
        var corruption = corruption
        if isOver, corruption == nil {
            if isPrelude {
                corruption = "its headline is missing"
            } else if !isComplete {
                switch form.end {
                case .mark, .rule: corruption = "its end is missing"
                case .trace: corruption = lacksTrace(facts) ? "it has no call trace" : nil
                case .loose, .panic, .outOfMemory: break
                }
            } else if form.end == .trace, lacksTrace(facts) {
                corruption = "it has no call trace"
            }
            if isCut { corruption = corruption ?? "it is longer than what is kept of it" }
        }
        var crash = Crash(title: title.text, kind: form.kind, isFatal: isFatal, test: test, lines: lines)
        crash.function = title.function
        (crash.cpu, crash.task, crash.pid) = (facts.cpu, facts.task, facts.pid)
        crash.corruption = corruption
        (crash.firstLine, crash.lastLine) = (firstLine, lastLine)
        crash.allocations = [facts.allocatedAt].compactMap(\.self) + furtherAllocations
        crash.frames = Array(bestTrace(facts, title.function).prefix(ReportFacts.mostKeptFrames))
        switch caller {
        case .cpu(let number): crash.cpu = crash.cpu ?? number
        case .task(let number): crash.pid = crash.pid ?? number
        case nil: break
        }
        return crash
    }

    /// Whether the trace is missing that a report of this form always has.
    private func lacksTrace(_ facts: ReportFacts) -> Bool { facts.traces.isEmpty && !form.sources.isEmpty }

    /// The trace with the function of the title.
    private func bestTrace(_ facts: ReportFacts, _ function: String?) -> [StackFrame] {
        facts.traces.first { $0.contains { $0.isReliable && $0.function == function } } ?? facts.mainTrace
    }

    /// Whether a line after a report's end, or between its traces, looks like part of a report.
    static func looksLikePart(_ message: String) -> Bool {
        guard let first = message.utf8.first else { return true }
        if first == UInt8(ascii: " ") || first == UInt8(ascii: "\t") { return true }
        // Frames of architectures that do not indent them.
        if first == UInt8(ascii: "["), message.hasPrefix("[<") || message.hasPrefix("[c0") { return true }
        if partsByFirstByte[Int(first)].contains(where: { message.utf8.starts(with: $0) }) { return true }
        // "2 locks held by init/1:", "6.1.192 #1 Not tainted"
        if (0x30...0x39).contains(first) {
            return [" held by ", "Not tainted", "Tainted: "].contains { message.position(of: $0) != nil }
        }
        // "RAX: 0000000000000000 RBX: ..."
        let head = message.utf8.prefix(5)
        return head.count >= 4 && first == UInt8(ascii: "R") && head.dropFirst(3).first == UInt8(ascii: ":")
    }

    private static let partsByFirstByte: [[[UInt8]]] = {
        let parts = [
            "CPU: ", "Hardware name:", "Call Trace:", "Call trace:", "Code: ", "RIP: ", "EIP: ", "RSP: ", "R08: ",
            "R09: ",
            "FS: ", "GS: ", "CS: ", "CR2: ", "DR0: ", "DR3: ", "DR6: ", "PKRU: ", "Modules linked in:", "Tainted: ",
            "Workqueue: ", "irq event stamp:", "hardirqs last ", "softirqs last ", "Preemption disabled at:",
            "INFO: lockdep is turned off", "Sending NMI from CPU", "NMI backtrace for cpu", "Showing all locks held",
            "no locks held by ", "stack backtrace:", "note: ", "---[ end ", "Kernel Offset: ", "Rebooting in ",
            "Dumping ftrace buffer", "task:", "rcu: ", "other info that", "-> #", "====", "----", "#PF: ", "PGD ",
            "Oops: ", "in_atomic(): ", "preempt_count: ", "RCU nest depth: ", "context-{", "Allocated by task",
            "Freed by task", "The buggy address", "page:", "page_type:", "flags: ", "raw: ", "page dumped because:",
            "Memory state around", ">ffff", "Read of size", "Write of size", "Stack:", "Showing busy workqueues",
            "workqueue ", "pool ", "Pid: ", "to a ", "and interrupt", "Last potentially related", "Task dump for CPU",
            "All QSes seen", "Offline CPU", "Possible timer handling", "Fixing recursive fault", "BUG: spinlock",
            "ODEBUG: ", "kworker/", "caller is ", "oom_reaper: ", "read to ", "write to ", "value changed:",
            "Disabling lock debugging", "page last ", "page_owner tracks", "page allocated via", "pstate:", "sp : ",
            "lr : ", "pc : ",
            "PC is at", "LR is at", "Backtrace:", "Process ", "Internal error:", "Mem abort info:", "Data abort info:",
        ]
        var table = [[[UInt8]]](repeating: [], count: 256)
        for part in parts {
            let bytes = Array(part.utf8)
            if let first = bytes.first { table[Int(first)].append(bytes) }
        }
        return table
    }()
}

extension CrashPattern {
    fileprivate var endsByTrace: Bool {
        if case .trace = end { return true }
        return false
    }
}

/// Reads call traces from a report's lines.
struct TraceReader: Sendable {
    /// The effect of a line on a trace.
    enum Step: Equatable {
        /// The trace continues.
        case going
        /// The trace ended with the line before.
        case endedBefore
        /// The trace ended with this line.
        case endedHere
    }

    /// Whether frames without a heading are a trace: some sanitizers print them in this way.
    var isImplicit = false
    private var frames: [StackFrame] = []
    private(set) var isInTrace = false
    /// Whether a foreign line interrupted a trace, so that frames without a heading continue it.
    private(set) var isSuspended = false
    /// Whether the frames continue the previous trace.
    private(set) var isContinuation = false

    mutating func take(_ message: String) -> Step {
        // kmemleak prints its name before every line.
        var text = message[...]
        if text.hasPrefix("kmemleak: ") { text = text.dropFirst("kmemleak: ".count) }
        if let pointer = StackFrame(instructionPointer: message) {
            add(pointer)
            return .going
        }
        if Self.isHeading(text) {
            isInTrace = true
            isSuspended = false
            return .going
        }
        // arm prints some traces without a heading.
        if isInTrace || isImplicit || isSuspended || text.hasPrefix("[<") && text.position(of: ") from [<") != nil,
            Self.mayBeFrame(text), let frame = StackFrame(line: text)
        {
            if isSuspended {
                isSuspended = false
                isContinuation = true
            }
            isInTrace = true
            add(frame)
            return .going
        }
        guard isInTrace else {
            // The heading of another part of the report, such as "Allocated by task 42:", begins another trace.
            if text.hasSuffix(":") { isSuspended = false }
            return .going
        }
        if message == " </TASK>" {
            isInTrace = false
            return .endedHere
        }
        if Self.isWithinTrace(message) { return .going }
        isInTrace = false
        isSuspended =
            !text.hasSuffix(":") && !isImplicit && !CrashPattern.isRule(message) && !message.hasPrefix("---[ end")
        return .endedBefore
    }

    /// Whether a line begins like a line with a frame.
    private static func mayBeFrame(_ text: Substring) -> Bool {
        switch text.utf8.first {
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "["): true
        // "([<0000000000100000>] symbol+0x1/0x2)" of s390
        case UInt8(ascii: "("): text.hasPrefix("([<")
        default: false
        }
    }

    private mutating func add(_ frame: StackFrame) {
        if frames.count < ReportFacts.mostFrames { frames.append(frame) }
    }

    /// Returns and clears the frames so far; nil when there are none.
    mutating func finished() -> [StackFrame]? {
        defer {
            frames = []
            isInTrace = false
            isContinuation = false
        }
        return frames.isEmpty ? nil : frames
    }

    private static func isHeading(_ text: Substring) -> Bool {
        let text = text.drop { $0 == " " }
        return ["Call Trace:", "Call trace:", "Backtrace:", "backtrace:", "backtrace (", "page last allocated via "]
            .contains(where: text.hasPrefix)
    }

    /// Names of stacks, and the registers at the place where one stack interrupted another.
    private static func isWithinTrace(_ message: String) -> Bool {
        if message.hasPrefix(" <") || message.hasPrefix(" </") { return true }
        if ["RIP: ", "Code: ", "Exception stack(", "lr : ", "LR [", "--- ", "Last Breaking-Event-Address"].contains(
            where: message.hasPrefix)
        {
            return true
        }
        // arm: " r5:00000001 r4:80100000", "8000: 00000000 00000001"; s390: "#0000000000100000: ..."
        if message.hasPrefix(" r"), message.utf8.contains(UInt8(ascii: ":")) { return true }
        if let colon = message.utf8.prefix(10).firstIndex(of: UInt8(ascii: ":")), colon != message.startIndex,
            message[..<colon].allSatisfy({ $0.isHexDigit || $0 == "+" })
        {
            return true
        }
        let head = message.utf8.prefix(5)
        guard head.count == 5, let first = head.first else { return false }
        return (first == UInt8(ascii: "R") || first == UInt8(ascii: "F") || first == UInt8(ascii: "C"))
            && (head.dropFirst(2).first == UInt8(ascii: ":") || head.dropFirst(3).first == UInt8(ascii: ":"))
    }
}

extension ReportFacts {
    /// Reads the facts in a line about the access, the lock, the processor and the task.
    mutating func read(_ message: String) {
        let bytes = message.utf8
        guard bytes.count >= 8, bytes.count < 1200 else { return }
        readExpected(message)
        if access == nil {
            if message.hasPrefix("Read of size ") {
                access = "Read"
            } else if message.hasPrefix("Write of size ") {
                access = "Write"
            } else if message.hasPrefix("Read at addr ") {
                // Hardware tags give no size.
                access = "Read"
            } else if message.hasPrefix("Write at addr ") {
                access = "Write"
            }
        }
        if lockFunction == nil, let at = message.position(of: "at: ") {
            let rest = message[at.upperBound...].drop { $0 == " " }
            lockFunction = rest.split(separator: " ").lazy.compactMap { parseSymbol($0) }.first.map {
                functionName($0.name)
            }
        }
        if namedFunction == nil { readNamed(message) }
        readPlace(message)
    }

    /// Reads the line that an earlier line announced.
    private mutating func readExpected(_ message: String) {
        switch expectation {
        case .nothing: break
        case .rustMessage:
            rustMessage = message
            expectation = .nothing
        case .becameTrace:
            guard let frame = StackFrame(line: message[...]) else {
                expectation = .nothing
                break
            }
            if becameFunction == nil, frame.isReliable, !FrameFilter.common.contains(frame.function) {
                becameFunction = frame.function
                expectation = .nothing
            }
        }
        if message.hasPrefix("... which became "), becameFunction == nil { expectation = .becameTrace }
        if rustMessage == nil, let start = message.position(of: "rust_kernel: panicked at ") {
            // Up to Rust 1.72 the message was in quotes on the same line.
            let rest = message[start.upperBound...]
            if rest.first == "'", let end = rest.dropFirst().firstIndex(of: "'") {
                rustMessage = String(rest[rest.index(after: rest.startIndex)..<end])
            } else {
                expectation = .rustMessage
            }
        }
    }

    private mutating func readNamed(_ message: String) {
        for mark in ["caller is ", "last function: ", "workfn="] {
            guard let start = message.position(of: mark) else { continue }
            let name = message[start.upperBound...].prefix { $0 != "+" && $0 != " " }
            if !name.isEmpty { namedFunction = functionName(String(name)) }
        }
    }

    private mutating func readPlace(_ message: String) {
        // "CPU: 1 PID: 42 Comm: tests Not tainted", since 6.12 with "UID: 0" in between; a warning's "CPU: 0 PID: 46
        // at".
        if let start = message.position(of: "CPU: ") {
            let number = Self.number(message[start.upperBound...])
            if cpu == nil { cpu = number }
            if pid == nil, let start = message.position(of: "PID: ") { pid = Self.number(message[start.upperBound...]) }
            if task == nil, let start = message.position(of: "Comm: ") {
                let rest = message[start.upperBound...]
                let end = [" Not tainted", " Tainted: ", " Kdump: "].compactMap { rest.position(of: $0)?.lowerBound }
                    .min()
                task = String(rest[..<(end ?? rest.endIndex)])
            }
        } else if cpu == nil, let start = message.position(of: "CPU#") ?? message.position(of: " on cpu ") {
            cpu = Self.number(message[start.upperBound...])
        }
        guard task == nil else { return }
        if let start = message.position(of: " by task ") {
            setTask(message[start.upperBound...])
        } else if message.hasPrefix("INFO: task "), let end = message.position(of: " blocked for ") {
            setTask(message[message.index(message.startIndex, offsetBy: 11)..<end.lowerBound], separator: ":")
        } else if message.hasPrefix("watchdog: BUG: soft lockup"), let start = message.position(of: "s! [") {
            setTask(message[start.upperBound...].prefix { $0 != "]" }, separator: ":")
        } else if let end = message.position(of: " is trying to ") {
            setTask(message[..<end.lowerBound])
        } else if let start = message.position(of: "  comm \"") {
            task = String(message[start.upperBound...].prefix { $0 != "\"" })
            if let start = message.position(of: ", jiffies ") {
                allocatedAt = UInt64(message[start.upperBound...].prefix { $0.isASCII && $0.isNumber })
            }
            if let start = message.position(of: "pid ") { pid = Self.number(message[start.upperBound...]) }
        } else if let start = message.position(of: ", pid: "), let name = message.position(of: ", name: ") {
            pid = Self.number(message[start.upperBound...])
            task = String(message[name.upperBound...])
        }
    }

    /// Parses `name/number` or `name:number`.
    private mutating func setTask(_ text: Substring, separator: Character = "/") {
        guard let mark = text.lastIndex(of: separator) else { return }
        guard let number = Self.number(text[text.index(after: mark)...]) else { return }
        task = String(text[..<mark])
        if pid == nil { pid = number }
    }

    /// The number at a text's start.
    private static func number(_ text: Substring) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        return digits.utf8.count <= 10 ? Int(digits) : nil
    }
}
