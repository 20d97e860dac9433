// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Glibc
import Synchronization
import SystemPackage

/// The state of a guest's processor at one moment.
public struct ProcessorState: Sendable, Equatable {
    /// Its number.
    public var index: Int
    /// The address of its next instruction.
    public var address: UInt64
    /// Whether it ran a program, not the kernel.
    public var isInProgram: Bool
    /// Whether interrupts are on.
    public var takesInterrupts: Bool
    /// Whether it was idle and waited for an interrupt.
    public var isHalted: Bool

    /// Creates a state.
    public init(index: Int, address: UInt64, isInProgram: Bool, takesInterrupts: Bool, isHalted: Bool) {
        self.index = index
        self.address = address
        self.isInProgram = isInProgram
        self.takesInterrupts = takesInterrupts
        self.isHalted = isHalted
    }

    /// Parses the output of QEMU's `info registers -a`: for each processor a line `CPU#0`, and among its registers
    /// `RIP=ffffffff81000000 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1` (target/i386/cpu-dump.c).
    static func parse(_ registers: String) -> [ProcessorState] {
        var states: [ProcessorState] = []
        var index: Int?
        for line in registers.textLines() {
            if line.hasPrefix("CPU#") {
                index = Int(line.dropFirst(4).prefix { $0.isNumber })
                continue
            }
            let fields = Dictionary(
                line.split(separator: " ").compactMap { word -> (Substring, Substring)? in
                    let parts = word.split(separator: "=", maxSplits: 1)
                    return parts.count == 2 ? (parts[0], parts[1]) : nil
                }, uniquingKeysWith: { first, _ in first })
            guard let processor = index, let address = fields["RIP"].flatMap({ UInt64($0, radix: 16) }),
                let flags = fields["RFL"].flatMap({ UInt64($0, radix: 16) }), let level = fields["CPL"]
            else { continue }
            states.append(
                ProcessorState(
                    index: processor, address: address, isInProgram: level == "3",
                    // Bit 9 of RFLAGS is IF.
                    takesInterrupts: flags & 0x200 != 0, isHalted: fields["HLT"] == "1"))
            index = nil
        }
        return states
    }
}

/// Asks a running machine for the state of its guest, before kbuild ends a silent guest, and for the contents of its
/// kernel's memory.
public final class MachineInspector: Sendable {
    /// A request to the machine.
    enum Request: Sendable {
        case inspect(AsyncStream<[ProcessorState]>.Continuation)
        case read([GuestMemoryRange], AsyncStream<GuestMemoryAnswer>.Continuation)
        /// Send bytes to the guest's console input.
        case answer([UInt8])
    }

    /// The requests for the machine to answer.
    let requests: AsyncStream<Request>
    private let continuation: AsyncStream<Request>.Continuation
    private let isServed = Mutex(false)
    private let answers = Mutex(SysrqAnswers())

    /// The letters of sysrq after which the kernel prints what is asked, and one more that only prints a line of help:
    /// once this line has arrived, all before it has too.
    static let lastLetter = UInt8(ascii: "h")

    /// The most time without a byte on the console before an answer: a guest with interrupts off never answers.
    static let mostSilence: Duration = .seconds(2)

    /// Creates an inspector for one machine.
    public init() {
        (requests, continuation) = AsyncStream.makeStream()
    }

    /// Makes the kernel print the state of its processors and tasks on its console, and reads the processors'
    /// registers.
    ///
    /// - Parameter limit: The longest time to wait.
    /// - Returns: The processors' states; none when the machine cannot answer, or does not answer in time.
    public func inspect(within limit: Duration) async -> [ProcessorState] {
        await ask(within: limit) { .inspect($0) } ?? []
    }

    /// Reads parts of the guest kernel's memory.
    ///
    /// - Parameters:
    ///   - ranges: The parts, by their addresses in the kernel.
    ///   - limit: The longest time to wait.
    public func read(_ ranges: [GuestMemoryRange], within limit: Duration) async -> GuestMemoryAnswer {
        guard isServed.withLock({ $0 }) else { return .unread("this machine does not let its memory be read") }
        return await ask(within: limit) { .read(ranges, $0) }
            ?? .unread("QEMU did not return the guest's memory within \(limit.components.seconds) s")
    }

    /// Sends bytes to the guest's console input, after the earlier requests.
    public func answerOnConsole(_ bytes: [UInt8]) { continuation.yield(.answer(bytes)) }

    private func ask<Answer: Sendable>(
        within limit: Duration, _ request: (AsyncStream<Answer>.Continuation) -> Request
    ) async -> Answer? {
        guard isServed.withLock({ $0 }) else { return nil }
        let (replies, reply) = AsyncStream.makeStream(of: Answer.self)
        continuation.yield(request(reply))
        return await withTaskGroup(of: Answer?.self) { group in
            group.addTask { await replies.first { _ in true } }
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    /// Records that a machine answers from now on.
    func serve() { isServed.withLock { $0 = true } }

    // MARK: The kernel's answers on the console

    /// Sees bytes of the guest's console.
    func hear(_ bytes: [UInt8]) { answers.withLock { $0.hear(bytes, at: .now) } }

    /// Asks the kernel for its state, letter by letter, each when the kernel has begun to answer the one before, and
    /// waits until all of the last answer has arrived.
    ///
    /// - Parameters:
    ///   - letters: The letters of sysrq.
    ///   - silence: The most time without a byte on the console.
    ///   - send: Sends a letter; false when that is not possible.
    /// - Returns: Whether the kernel answered all of them.
    /// - Throws: Errors of `send`; `CancellationError`.
    @discardableResult
    func ask(
        _ letters: some Sequence<UInt8>, silence: Duration = mostSilence, _ send: (UInt8) async throws -> Bool
    ) async throws -> Bool {
        answers.withLock { $0.begin(at: .now) }
        defer { answers.withLock { $0.isAwaited = false } }
        for (index, letter) in (Array(letters) + [Self.lastLetter]).enumerated() {
            guard try await send(letter), try await hasAnswered(index + 1, silence) else { return false }
        }
        return true
    }

    private func hasAnswered(_ number: Int, _ silence: Duration) async throws -> Bool {
        let pause: Duration = .milliseconds(10)
        var quiet: Duration = .zero
        var last = answers.withLock { $0.lastByte }
        while true {
            let (count, now) = answers.withLock { ($0.count, $0.lastByte) }
            if count >= number { return true }
            // Pauses count, not the clock: on a host that hardly runs this task the guest hardly runs either.
            quiet = now == last ? quiet + pause : .zero
            last = now
            if quiet > silence { return false }
            try await Task.sleep(for: pause)
        }
    }
}

/// Counts the kernel's answers to sysrq on a console: each begins with a line `sysrq: Show ...`, and the kernel says
/// `sysrq: ` too where it does not know a letter or does not allow it (drivers/tty/sysrq.c).
struct SysrqAnswers: Sendable {
    private static let mark = Array("sysrq: ".utf8)

    /// Whether an answer is awaited: the console of a guest that is not asked is not searched.
    var isAwaited = false
    /// The number of answers that have begun.
    private(set) var count = 0
    /// The time of the last byte, or of the first question.
    private(set) var lastByte: ContinuousClock.Instant = .now
    /// The last bytes, which may be the beginning of a mark.
    private var tail: [UInt8] = []

    mutating func begin(at now: ContinuousClock.Instant) {
        (isAwaited, count, lastByte, tail) = (true, 0, now, [])
    }

    mutating func hear(_ bytes: [UInt8], at now: ContinuousClock.Instant) {
        guard isAwaited, !bytes.isEmpty else { return }
        lastByte = now
        let text = tail + bytes
        var start = text.startIndex
        while let found = text[start...].firstRange(of: Self.mark) {
            count += 1
            start = found.upperBound
        }
        // Too short for a mark that was counted.
        tail = Array(text[start...].suffix(Self.mark.count - 1))
    }
}

extension QEMUMonitor {
    /// The letters of sysrq that make the kernel print its state: the backtraces of busy processors, the tasks in
    /// uninterruptible sleep, the held locks if lockdep is on, and all tasks (Documentation/admin-guide/sysrq.rst).
    private static let sysrqLetters = "lwdt"

    /// Makes the kernel print its state, reads the registers and, if requested, writes the guest's memory to a file.
    private mutating func inspect(
        _ inspector: MachineInspector, _ links: MachineLinks, dump: FilePath?
    ) async throws -> [ProcessorState] {
        let registers = try await ask("human-monitor-command", ["command-line": "info registers -a"])
        // First, before sysrq's own work overwrites it.
        if let dump { try await keepMemory(in: dump) }
        try await inspector.ask(Self.sysrqLetters.utf8) { letter in
            // On a serial console a break and a letter are the magic SysRq key. The break is in the device before the
            // letter is sent.
            try await execute("chardev-send-break", ["id": "console"])
            links.sendToConsole([letter])
            return true
        }
        return ProcessorState.parse(registers)
    }

    /// Writes all of the guest's memory, as an ELF core file with physical addresses and the processors' registers. If
    /// there is not enough space, there is no file: the guest's output so far is worth more than its memory.
    private mutating func keepMemory(in file: FilePath) async throws {
        struct Request: Encodable {
            var paging = false
            var `protocol`: String
        }
        do {
            try await execute("dump-guest-memory", Request(protocol: "file:\(file)"))
        } catch is Failure {
            unlink(file.string)
        }
    }

    /// Serves a running machine until it ends: answers an inspector's requests, and keeps the memory of a guest that
    /// crashed, if requested.
    ///
    /// - Parameter dump: The file for the memory; nil when it is not requested.
    /// - Returns: How the guest ended, if this function ended the machine.
    /// - Throws: As `execute`.
    mutating func watch(
        _ inspector: MachineInspector?, _ links: MachineLinks, dump: FilePath?
    ) async throws -> MachineExit? {
        guard inspector != nil || dump != nil else { return nil }
        let (turns, turn) = AsyncStream.makeStream(of: MachineInspector.Request?.self)
        inspector?.serve()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            if let inspector {
                group.addTask { for await request in inspector.requests { turn.yield(request) } }
            }
            if dump != nil {
                group.addTask {
                    // Often enough: a guest that has crashed does nothing more.
                    while !Task.isCancelled {
                        try await Task.sleep(for: .milliseconds(250))
                        turn.yield(nil)
                    }
                }
            }
            defer { group.cancelAll() }
            for await request in turns {
                if let request, let inspector {
                    switch request {
                    case .inspect(let reply):
                        reply.yield(try await inspect(inspector, links, dump: dump))
                        reply.finish()
                    case .read(let ranges, let reply):
                        reply.yield(try await read(ranges, links))
                        reply.finish()
                    case .answer(let bytes): links.sendToConsole(bytes)
                    }
                } else if let dump, let exit = try await crash() {
                    try await keepMemory(in: dump)
                    // QEMU may end before it has answered.
                    do { try await execute("quit") } catch is Closed {}
                    return exit
                }
            }
            try Task.checkCancellation()
            return nil
        }
    }

    /// How the guest of a machine that pauses at its end has ended; nil while it runs (RunState in
    /// qapi/run-state.json).
    private mutating func crash() async throws -> MachineExit? {
        switch try await ask("query-status") {
        case "guest-panicked": .panicked
        case "shutdown": .reset
        default: nil
        }
    }
}
