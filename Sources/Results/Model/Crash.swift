// SPDX-License-Identifier: Apache-2.0

/// A kernel report of a serious fault.
public struct Crash: Codable, Sendable, Equatable {
    /// A title that is the same for the same fault: without addresses, process IDs or offsets. Worded as syzkaller
    /// does, so that it can be looked up.
    public var title: String
    /// The kind of the fault.
    public var kind: CrashKind
    /// Whether the kernel cannot have continued.
    public var isFatal: Bool
    /// Whether the kernel ends only the thread of the fault: the process may continue, and wait for the thread.
    public var endsThread: Bool {
        if isFatal { return false }
        switch kind {
        case .pageFault, .nullPointer, .generalProtection, .divideError, .invalidOpcode, .oops, .usercopy: return true
        // After other reports of this kind the kernel continues.
        case .bug: return title.hasPrefix("kernel BUG")
        default: return false
        }
    }
    /// The report, line by line.
    public var lines: [String]
    /// The running test.
    public var test: String?
    /// Whether it came during the guest's boot, before init's first frame.
    public var isAtBoot = false
    /// Whether it was found only in the kernel's memory: the console never showed it, and its lines are not lines of
    /// the console.
    public var isFromMemory = false
    /// The function to blame, if one is named.
    public var function: String?
    /// The processor.
    public var cpu: Int?
    /// The task's name.
    public var task: String?
    /// The task's process ID.
    public var pid: Int?
    /// When leaked memory was allocated, in the kernel's jiffies, for each object; empty for other reports, and not
    /// part of a run's report.
    package var allocations: [UInt64] = []
    /// Why the report may be incomplete: its beginning or its end is lost, or lines were joined. nil when it is
    /// complete.
    public var corruption: String?
    /// The most useful call trace, from the fault outwards.
    public var frames: [StackFrame] = []
    /// Its first line on the console, counted from 1; 0 when it was not on the console but only in the kernel's log
    /// that init read. Lines of other programs may be in between.
    public var firstLine = 0
    /// Its last line on the console.
    public var lastLine = 0
    /// Why the project expects it, from the entry of `splats:` that names it; nil for an unexpected report.
    public var knownReason: String?

    /// Creates a report.
    public init(
        title: String, kind: CrashKind = .unknown, isFatal: Bool, test: String? = nil, lines: [String]
    ) {
        self.title = title
        self.kind = kind
        self.isFatal = isFatal
        self.test = test
        self.lines = lines
    }

    /// Whether it was on the console.
    public var isOnConsole: Bool { firstLine > 0 }

    private enum CodingKeys: String, CodingKey {
        case title, kind, isFatal, test, isAtBoot, isFromMemory, function, cpu, task, pid, knownReason, corruption,
            frames
        case firstLine, lastLine, lines
    }

    /// Reads a crash report of a run's report.
    ///
    /// - Throws: DecodingError for another form.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        title = try container.decode(String.self, forKey: .title)
        kind = CrashKind(rawValue: try container.decode(.kind, whenMissing: "")) ?? .unknown
        isFatal = try container.decode(Bool.self, forKey: .isFatal)
        test = try container.decodeIfPresent(String.self, forKey: .test)
        isAtBoot = try container.decode(.isAtBoot, whenMissing: false)
        isFromMemory = try container.decode(.isFromMemory, whenMissing: false)
        function = try container.decodeIfPresent(String.self, forKey: .function)
        cpu = try container.decodeIfPresent(Int.self, forKey: .cpu)
        task = try container.decodeIfPresent(String.self, forKey: .task)
        pid = try container.decodeIfPresent(Int.self, forKey: .pid)
        knownReason = try container.decodeIfPresent(String.self, forKey: .knownReason)
        corruption = try container.decodeIfPresent(String.self, forKey: .corruption)
        frames = try container.decode(.frames, whenMissing: [])
        firstLine = try container.decode(.firstLine, whenMissing: 0)
        lastLine = try container.decode(.lastLine, whenMissing: 0)
        lines = try container.decode([String].self, forKey: .lines)
    }

    /// Writes a crash report of a run's report.
    ///
    /// - Throws: The encoder's errors.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(title, forKey: .title)
        try container.encode(kind, forKey: .kind, unless: .unknown)
        try container.encode(isFatal, forKey: .isFatal)
        try container.encodeIfPresent(test, forKey: .test)
        try container.encode(isAtBoot, forKey: .isAtBoot, unless: false)
        try container.encode(isFromMemory, forKey: .isFromMemory, unless: false)
        try container.encodeIfPresent(function, forKey: .function)
        try container.encodeIfPresent(cpu, forKey: .cpu)
        try container.encodeIfPresent(task, forKey: .task)
        try container.encodeIfPresent(pid, forKey: .pid)
        try container.encodeIfPresent(knownReason, forKey: .knownReason)
        try container.encodeIfPresent(corruption, forKey: .corruption)
        try container.encode(frames, forKey: .frames)
        try container.encode(firstLine, forKey: .firstLine, unless: 0)
        try container.encode(lastLine, forKey: .lastLine, unless: 0)
        try container.encode(lines, forKey: .lines)
    }
}
