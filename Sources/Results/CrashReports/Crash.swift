// SPDX-License-Identifier: Apache-2.0
/// What a crash report of the kernel's is about.
public enum CrashKind: String, Sendable, Codable, CaseIterable {
    /// `Kernel panic`, for a reason that has no kind of its own.
    case panic
    /// PID 1 ended, which panics.
    case initKilled
    /// The stack protector found a canary overwritten.
    case stackProtector
    /// A kernel stack ran over into its guard page, or its end was overwritten.
    case stackOverflow
    /// An access to memory that is not mapped.
    case pageFault
    /// An access near address 0.
    case nullPointer
    /// A general protection fault: on x86-64 mostly an address that is not canonical.
    case generalProtection
    /// A division by zero, or one whose result does not fit.
    case divideError
    /// An instruction that there is not.
    case invalidOpcode
    /// A double fault.
    case doubleFault
    /// Another exception in kernel mode.
    case oops
    /// `BUG()`, or another report that begins with `BUG:`.
    case bug
    /// `WARN()`
    case warning
    /// The kernel address sanitizer.
    case kasan
    /// The kernel memory sanitizer.
    case kmsan
    /// The kernel concurrency sanitizer.
    case kcsan
    /// The undefined behaviour sanitizer.
    case ubsan
    /// The sampling memory error detector.
    case kfence
    /// The lock validator.
    case lockdep
    /// A spinlock or rwlock that is broken (CONFIG_DEBUG_SPINLOCK).
    case spinlock
    /// A function that may sleep was called where that is forbidden, or the scheduler was.
    case atomicSleep
    /// Read-copy update waits for a processor or a task.
    case rcuStall
    /// A processor did not schedule.
    case softLockup
    /// A processor did not even take interrupts.
    case hardLockup
    /// A work item does not end.
    case workqueueLockup
    /// A task sleeps without end.
    case hungTask
    /// A reference count went wrong.
    case refcount
    /// An object's life went wrong (CONFIG_DEBUG_OBJECTS).
    case objectLifetime
    /// A linked list is broken (CONFIG_DEBUG_LIST).
    case listCorruption
    /// A copy to or from user space goes beyond its object (CONFIG_HARDENED_USERCOPY).
    case usercopy
    /// The slab allocator found an object damaged.
    case slab
    /// A page or a memory map is in a state that it cannot be in.
    case pageState
    /// kmemleak found memory that nothing points to.
    case memoryLeak
    /// The kernel ended a process to get memory.
    case outOfMemory
    /// The kernel started again though nobody had asked for it.
    case unexpectedReboot
    /// The middle or the end of a report whose beginning is lost.
    case corrupted
    /// The kernel's taint says that something went wrong, and no report says what: see `KernelTaint`.
    case taint
}

/// One function of a call trace.
public struct StackFrame: Sendable, Equatable {
    /// A place in the sources.
    public struct Location: Sendable, Equatable {
        /// The function as the source names it.
        public var function: String
        /// The file, relative to the kernel's tree where that is known.
        public var file: String
        /// The line, counted from 1.
        public var line: Int

        /// Creates a place.
        public init(function: String, file: String, line: Int) {
            self.function = function
            self.file = file
            self.line = line
        }
    }

    /// The symbol, with the compiler's suffixes such as `.isra.0`.
    public var symbol: String
    /// The distance from the symbol's start in bytes.
    public var offset: UInt64
    /// The symbol's size in bytes as kallsyms knows it: up to the next symbol. With it two functions of one name can be told
    /// apart, and a vmlinux of another build is found out.
    public var size: UInt64
    /// The module that it is in; nil for the kernel itself.
    public var module: String?
    /// Whether the unwinder is sure of it: it marks the others with `?`.
    public var isReliable: Bool
    /// Whether this is where the processor was, and not where it was to return to.
    public var isInstructionPointer: Bool
    /// Its place in the sources, and those of the functions into which it was inlined; the innermost first. Empty until it
    /// is symbolised.
    public var locations: [Location] = []

    /// The function without the compiler's suffixes, which name copies of one function; of Rust and C++ by its path in the
    /// source.
    public var function: String { functionName(symbol) }

    /// Creates a frame.
    public init(
        symbol: String, offset: UInt64, size: UInt64, module: String? = nil, isReliable: Bool = true,
        isInstructionPointer: Bool = false
    ) {
        self.symbol = symbol
        self.offset = offset
        self.size = size
        self.module = module
        self.isReliable = isReliable
        self.isInstructionPointer = isInstructionPointer
    }
}

/// A report of the kernel's that something is badly wrong.
public struct Crash: Sendable, Equatable {
    /// A title that is the same for the same fault: no addresses, numbers of processes or offsets. Worded as syzkaller
    /// words it, so that it can be looked up.
    public var title: String
    /// What it is about.
    public var kind: CrashKind
    /// Whether the kernel cannot have gone on.
    public var isFatal: Bool
    /// Whether the kernel ends the thread that it happened in, and that alone: the process may go on, and wait for it.
    public var endsThread: Bool {
        if isFatal { return false }
        switch kind {
        case .pageFault, .nullPointer, .generalProtection, .divideError, .invalidOpcode, .oops, .usercopy: return true
        // Other reports of this kind go on.
        case .bug: return title.hasPrefix("kernel BUG")
        default: return false
        }
    }
    /// The report, line by line.
    public var lines: [String]
    /// The test that was running.
    public var test: String?
    /// Whether it came while the guest booted, before its init spoke.
    public var isAtBoot = false
    /// Whether it was found in the kernel's memory alone: the console never showed it, and its lines are none of the console's.
    public var isFromMemory = false
    /// The function to blame, where one is named.
    public var function: String?
    /// The processor.
    public var cpu: Int?
    /// The task's name.
    public var task: String?
    /// The task's number.
    public var pid: Int?
    /// Why the report cannot be trusted to be whole: its beginning or its end is lost, or lines became one. nil when it is
    /// whole.
    public var corruption: String?
    /// The call trace that tells most, from the fault outwards.
    public var frames: [StackFrame] = []
    /// The lines of the console that it spans, counted from 1; 0 when it was not on the console but only in the kernel's
    /// log, as init read it. Lines of others may lie between.
    public var firstLine: Int
    /// The last of them.
    public var lastLine: Int

    /// Creates a report.
    package init(
        title: String, kind: CrashKind, isFatal: Bool, lines: [String], test: String? = nil, function: String? = nil,
        cpu: Int? = nil, task: String? = nil, pid: Int? = nil, corruption: String? = nil, firstLine: Int, lastLine: Int
    ) {
        self.title = title
        self.kind = kind
        self.isFatal = isFatal
        self.lines = lines
        self.test = test
        self.function = function
        self.cpu = cpu
        self.task = task
        self.pid = pid
        self.corruption = corruption
        self.firstLine = firstLine
        self.lastLine = lastLine
    }

    /// Whether it was on the console.
    public var isOnConsole: Bool { firstLine > 0 }
}
