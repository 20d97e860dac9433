// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// A lock that a task holds.
public struct HeldLock: Sendable, Equatable {
    /// Its name in lockdep.
    public var name: String
    /// The place where it was taken.
    public var takenAt: StackFrame
}

/// A task of a guest that hangs, from the kernel's output for sysrq (Documentation/admin-guide/sysrq.rst: `l`
/// processors, `w` blocked tasks, `t` all tasks, `d` locks).
public struct BlockedTask: Sendable, Equatable {
    /// The task's name.
    public var name: String
    /// The task's process ID.
    public var pid: Int
    /// Its state: `D`, `S` or another letter of the kernel's (sched/core.c, task_state_to_char); `running` for a task
    /// that ran on a processor.
    public var state: String
    /// Its stack, from the innermost function outwards; only frames that the unwinder is certain of.
    public var frames: [StackFrame]
    /// The locks that it holds, if the kernel has lockdep; the oldest first.
    public var locks: [HeldLock] = []

    /// Creates a task.
    public init(name: String, pid: Int, state: String, frames: [StackFrame] = []) {
        self.name = name
        self.pid = pid
        self.state = state
        self.frames = frames
    }

    /// Functions of every waiting task: the scheduler's and the locks' own, and interrupts.
    private static let waiting = [
        "__schedule", "schedule", "schedule_preempt_disabled", "schedule_timeout", "preempt_schedule", "io_schedule",
        "context_switch",
    ]

    /// The frame that shows what it waits in: `__mutex_lock`, `native_queued_spin_lock_slowpath`, `msleep`.
    public var waitsIn: StackFrame? { frames.first { !Self.waiting.contains($0.function) } }

    /// Whether it is in a system call. The stack of a program in its own loop only has the frames of the sysrq
    /// interrupt, which are the same for every program.
    public var isInSystemCall: Bool {
        frames.contains { frame in
            [
                "__x64_sys_", "__ia32_sys_", "__do_sys_", "__se_sys_", "do_syscall_64", "do_int80_syscall_32",
                "entry_SYSCALL_",
            ]
            .contains(where: frame.symbol.hasPrefix)
        }
    }

    /// The state of a task that ran on a processor. The kernel's letter R also means a task that could run.
    public static let running = "running"

    /// The most tasks to read, and the most frames of one task.
    private static let mostTasks = 5_000
    private static let mostFrames = 40

    /// Parses the kernel's output after sysrq. A guest may print anything; lines in another form are ignored.
    ///
    /// - Parameters:
    ///   - lines: The console's lines since then.
    ///   - calls: The names of the system calls that the project adds. A task in one of them is included in any state.
    /// - Returns: The tasks in uninterruptible sleep, the tasks in a call of the project, and the tasks on busy
    ///   processors; each once.
    public static func tasks(in lines: [ConsoleLine], calls: Set<String>) -> [BlockedTask] {
        var all: [BlockedTask] = []
        var locks: [Int: [HeldLock]] = [:]
        var current: BlockedTask?
        var holder: Int?
        func end() {
            if var task = current, all.count < mostTasks {
                task.dropInterrupt()
                all.append(task)
            }
            current = nil
        }
        for line in lines {
            let text = line.message
            if text.hasPrefix("sysrq: ") {
                end()
                holder = nil
            } else if let task = BlockedTask(heading: text) ?? BlockedTask(processor: text) {
                end()
                current = task
            } else if let pid = lockHolder(text) {
                end()
                holder = pid
            } else if let pid = holder {
                if let lock = heldLock(text) { locks[pid, default: []].append(lock) }
            } else if current != nil, (current?.frames.count ?? 0) < mostFrames {
                if let frame = StackFrame(instructionPointer: text), frame.size > 0,
                    current?.frames.last.map(\.isInterruptEntry) != false
                {
                    // What came before is the interrupt in which the kernel answered.
                    current?.frames = [frame]
                } else if text.hasPrefix(" "), let frame = StackFrame(line: text[...]), frame.isReliable {
                    current?.frames.append(frame)
                }
            }
        }
        end()
        var seen: Set<Int> = []
        // The sysrq interrupt's frames are above the processor's earlier ones; a task's own stack is better.
        return (all.filter { $0.state != running } + all.filter { $0.state == running }).filter { task in
            !task.frames.isEmpty && task.isTelling(calls) && seen.insert(task.pid).inserted
        }.map { task in
            var task = task
            task.locks = locks[task.pid] ?? []
            return task
        }
    }

    /// Leaves out the frames of an interrupt, where the task's own follow: the kernel answers in an interrupt of the
    /// task that a processor is at work for.
    private mutating func dropInterrupt() {
        guard let entry = frames.lastIndex(where: \.isInterruptEntry), entry + 1 < frames.count else { return }
        frames.removeFirst(entry + 1)
    }

    /// Whether a processor is at work for it, or could be.
    public var isRunning: Bool { state == Self.running || state == "R" }

    /// Whether it blocks the guest's end, and is not one that always waits.
    private func isTelling(_ calls: Set<String>) -> Bool {
        let isInCall = frames.contains { frame in
            ["__do_sys_", "__se_sys_", "__x64_sys_", "__ia32_sys_", "sys_"].contains { prefix in
                frame.function.hasPrefix(prefix) && calls.contains(String(frame.function.dropFirst(prefix.count)))
            }
        }
        return isInCall || state == "D" || state == Self.running && pid != 0
    }

    /// Parses `task:NAME            state:D stack:0     pid:37    ppid:34     flags:0x00004002`.
    private init?(heading: String) {
        guard heading.hasPrefix("task:"), let mark = heading.firstRange(of: " state:"),
            let number = heading[mark.upperBound...].firstRange(of: " pid:"),
            let state = heading[mark.upperBound...].first, state.isLetter,
            let pid = Int(heading[number.upperBound...].drop { $0 == " " }.prefix { $0.isASCII && $0.isNumber })
        else { return nil }
        let name = heading[..<mark.lowerBound].dropFirst("task:".count)
        self.init(name: String(name.reversed().drop { $0 == " " }.reversed()), pid: pid, state: String(state))
    }

    /// Parses `CPU: 1 PID: 37 Comm: NAME Not tainted 6.1.192 #1`, of a processor's backtrace.
    private init?(processor text: String) {
        guard text.hasPrefix("CPU: "), let mark = text.firstRange(of: " PID: "),
            let name = text.firstRange(of: " Comm: "),
            let pid = Int(text[mark.upperBound...].prefix { $0.isASCII && $0.isNumber })
        else { return nil }
        let rest = text[name.upperBound...]
        let end = [" Not tainted", " Tainted: "].lazy.compactMap { rest.firstRange(of: $0)?.lowerBound }.first
        self.init(name: String(rest[..<(end ?? rest.endIndex)]), pid: pid, state: Self.running)
    }

    /// Parses `2 locks held by NAME/37:` and `1 lock held by NAME/37:` (kernel/locking/lockdep.c).
    private static func lockHolder(_ text: String) -> Int? {
        guard let mark = text.firstRange(of: " held by "), text.hasSuffix(":"),
            let slash = text.lastIndex(of: "/"), mark.upperBound < slash
        else { return nil }
        return Int(text[text.index(after: slash)...].dropLast())
    }

    /// Parses ` #0: ffff888003a5b0a8 (lock){+.+.}-{3:3}, at: __do_sys_probe+0x28/0x84`.
    private static func heldLock(_ text: String) -> HeldLock? {
        guard let at = text.firstRange(of: ", at: "), let open = text.firstIndex(of: "("),
            let close = text[open...].firstRange(of: "){")?.lowerBound,
            let frame = StackFrame(line: text[at.upperBound...])
        else { return nil }
        return HeldLock(name: String(text[text.index(after: open)..<close]), takenAt: frame)
    }
}

extension StackFrame {
    /// Whether it is where an interrupt entered the kernel (arch/x86/entry/entry_64.S,
    /// arch/x86/include/asm/idtentry.h).
    fileprivate var isInterruptEntry: Bool {
        symbol.hasPrefix("asm_sysvec_") || symbol == "asm_common_interrupt" || symbol == "asm_exc_nmi"
    }
}
