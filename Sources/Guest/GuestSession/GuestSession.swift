// SPDX-License-Identifier: Apache-2.0
import CrashReports
import Diagnostics
import Glibc
import Processes
import Project
import ResultsModel
import Synchronization
import SystemPackage
import TestSession
import VirtualMachine

/// The time limits of a guest, in seconds.
package struct SessionLimits: Sendable, Hashable {
    /// From QEMU's start to init's first frame.
    package var boot: Double
    /// Without a byte on the console or the results port, after init's first frame. Init sends a frame each second
    /// while a program runs (`beat`), so this ends a guest that hangs, and `test` ends a test that hangs.
    package var silence: Double
    /// For one test.
    package var test: Double
    /// Without output of the test, after a crash in which the kernel ended a thread. Code that waits for that thread
    /// waits forever, and sends nothing; init's beats do not count.
    package var lostThread: Double = 10
    /// The same for a guest whose init has sent beats since then: the guest has had time to run, and its test did
    /// nothing.
    package var lostThreadOfLivingGuest: Double = 1
    /// For the whole run.
    package var run: Double
    /// Whether the first failure ends the run.
    package var failFast = false
    /// Whether tests continue after several guests with the same crash.
    package var keepsGoing = false
    /// Whether the memory of a guest that crashes is kept.
    package var keepsMemory = false
    /// For a guest that hangs to report its tasks.
    package var inspection: Double = 10

    /// Creates limits, each in seconds.
    package init(
        boot: Double, silence: Double, test: Double, run: Double, failFast: Bool = false, keepsGoing: Bool = false,
        inspection: Double = 10
    ) {
        self.boot = boot
        self.silence = silence
        self.test = test
        self.run = run
        self.failFast = failFast
        self.keepsGoing = keepsGoing
        self.inspection = inspection
    }
}

/// A limit that was reached.
package enum LimitReached: Sendable, Equatable {
    case boot(Double)
    case silence(Double)
    case test(String, Double)
    case run(Double)
    /// No output for this many seconds.
    case lostThread(String, Double)

    /// Whether the kernel has reported the cause, so that the guest need not be asked.
    var isExplained: Bool { code == .guestCrash }

    /// The exit status of the run.
    package var code: ExitStatus {
        if case .lostThread = self { .guestCrash } else { .timeout }
    }

    package var message: String {
        switch self {
        case .boot(let seconds): "the guest did not boot within \(format(seconds)) (timeouts.boot)"
        case .silence(let seconds): "the guest said nothing for \(format(seconds)) (timeouts.silence)"
        case .test(let name, let seconds): "\(name) ran for more than \(format(seconds)) (timeouts.test)"
        case .lostThread(let name, let seconds):
            "the kernel ended a thread of \(name), which said nothing for \(format(seconds)) after that"
        case .run(let seconds): "the guest ran for more than \(format(seconds)) (timeouts.run)"
        }
    }

    /// The message for a run: guests that ended in the same way are reported once, whichever test ran.
    var summary: String {
        guard case .lostThread(_, let seconds) = self else { return message }
        return "the kernel ended a thread of a test, which said nothing for \(format(seconds)) after that"
    }

    private func format(_ seconds: Double) -> String {
        seconds == seconds.rounded() ? "\(Int(seconds)) s" : "\(seconds) s"
    }
}

/// The result of a session.
package struct SessionResult: Sendable {
    package var outcome: SessionOutcome
    package var exit: MachineExit?
    package var limit: LimitReached?
    /// The state of the guest's processors when the limit was reached.
    package var processors: [ProcessorState] = []
    /// The kernel's answer to the inspection, as `BlockedTask.tasks` reads it.
    package var inspection: [ConsoleLine] = []
    /// Seconds from QEMU's start to init's first frame.
    package var bootSeconds: Double?
    /// Seconds that QEMU ran.
    package var machineSeconds: Double
    /// Why the console's log is incomplete; nil when it is complete.
    package var logObstacle: String?
    /// The result of reading the kernel's memory at the guest's end or at a limit; nil when it was not requested, or
    /// the machine had ended before.
    package var memory: KernelMemoryReading?
    /// Whether reading the memory was requested.
    var wantsMemory = false
}

/// Boots a machine, reads its output, and ends it after its last frame or at a limit.
package struct GuestSession: Sendable {
    package let machine: any Machine
    package let plan: SessionPlan
    package let limits: SessionLimits
    /// The path of the console's transcript.
    package let consoleLog: FilePath
    /// The client of the plan's interactive programs, if there is one.
    package var client: InteractiveClient?
    /// Called with the socket that waits for a debugger, if the machine waits for one.
    package var waitsForDebugger: (@Sendable (FilePath) -> Void)?
    /// Reads the kernel's state from the guest's memory; nil when it is not requested.
    package var memoryReader: KernelMemoryReader?
    /// The kernel's reports before the snapshot from which this guest is restored.
    package var bootReports: [Crash] = []

    /// The client of an interactive program. All callbacks run on the threads that read the guest, with no lock held:
    /// they may block, and the guest waits. The limits are still checked.
    package struct InteractiveClient: Sendable {
        /// Receives a function that sends bytes to the guest's init.
        package var connected: @Sendable (_ send: @escaping @Sendable ([UInt8]) -> Void) -> Void
        /// Called for each event of the program.
        package var interaction: @Sendable (Interaction) -> Void
        /// Called for each line of the console.
        package var line: @Sendable ([UInt8]) -> Void

        /// Creates a client from its three callbacks.
        package init(
            connected: @escaping @Sendable (_ send: @escaping @Sendable ([UInt8]) -> Void) -> Void,
            interaction: @escaping @Sendable (Interaction) -> Void, line: @escaping @Sendable ([UInt8]) -> Void
        ) {
            self.connected = connected
            self.interaction = interaction
            self.line = line
        }
    }

    private struct State {
        var console: ResultsDecoder
        var port = ResultsDecoder.port()
        var recorder: SessionRecorder
        var transcript: ConsoleTranscript
        /// The time of the last byte from the guest.
        var lastSign: ContinuousClock.Instant
        /// The time of the last output other than init's beats.
        var lastWord: ContinuousClock.Instant
        var booted: ContinuousClock.Instant?
        var testStarted: (name: String, at: ContinuousClock.Instant)?
        /// The running program, with its limit in seconds.
        var program: (name: String, seconds: Int, at: ContinuousClock.Instant)?
        var fatalCrash: ContinuousClock.Instant?
        /// Whether the kernel ended a thread since the test began.
        var hasLostThread = false
        /// Whether the running program cannot be killed.
        var isStuck = false
        /// The number of init's beats since then and since the test's last output.
        var beatsSinceWord = 0
        var ended: ContinuousClock.Instant?
        /// Sends bytes to the guest's init.
        var send: (@Sendable ([UInt8]) -> Void)?
        var hasFailure = false
        /// Whether the guest is being inspected: the kernel's answer, and its effects, are not results.
        var isInspected = false
        /// The kernel's console output during the inspection.
        var inspection: [ConsoleLine] = []
        /// The contents of the kernel's memory, once it has been read.
        var memory: KernelMemoryReading?
        /// The replies that init waits for on the console, if results are sent there, until the memory has been read.
        var heldReplies: [UInt8] = []
    }

    /// The most time that QEMU may take to exit after the guest has ended or panicked.
    private static let exitGrace: Duration = .seconds(10)

    /// The most lines to keep of a guest's answer to an inspection.
    private static let mostInspectionLines = 20_000

    /// The additional time after a program's limit, so that the guest's init can end the program first.
    private static let programGrace: Duration = .seconds(10)

    /// Runs the session.
    ///
    /// - Parameter onEvent: Called in order, on its own queue: however long a call takes, the guest is read and its
    ///   limits are checked. Every event has been delivered when this returns or throws.
    /// - Throws: `Failure` (`infrastructure`) when QEMU cannot be started; `CancellationError`.
    package func run(onEvent: @escaping @Sendable (SessionEvent) -> Void) async throws -> SessionResult {
        let events = EventQueue(onEvent)
        do {
            let result = try await run(events)
            await events.flush()
            return result
        } catch {
            await events.flush()
            throw error
        }
    }

    private func run(_ events: EventQueue<SessionEvent>) async throws -> SessionResult {
        let clock = ContinuousClock()
        let start = clock.now
        let transcript = try ConsoleTranscript(path: consoleLog)
        let box = SessionBox(
            State(
                console: .console(carriesResults: machine.hasResultsOnConsole),
                recorder: SessionRecorder(plan: plan), transcript: transcript, lastSign: start,
                lastWord: start))

        let inspector = MachineInspector()
        let client = client
        let memoryReader = memoryReader
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        let handlers = MachineHandlers(
            console: { bytes in
                let (items, replies) = box.state.withLock { state in
                    state.lastSign = clock.now
                    let items = state.console.consume(bytes)
                    let hadEnded = state.ended != nil
                    Self.handle(items, in: &state, at: clock.now, events)
                    state.transcript.flush()
                    var replies = state.console.takeReplies()
                    if memoryReader != nil, state.ended != nil, state.memory == nil {
                        // Init ends the machine once its last record is acknowledged.
                        state.heldReplies += replies
                        replies = []
                        if !hadEnded { end.yield() }
                    }
                    return (items, replies)
                }
                if let client { for case .line(let line) in items { client.line(line) } }
                return replies
            },
            results: { bytes in
                let (interaction, farewell) = box.state.withLock { state in
                    state.lastSign = clock.now
                    let hadEnded = state.ended != nil
                    Self.handle(state.port.consume(bytes), in: &state, at: clock.now, events)
                    return (state.recorder.takeInteraction(), hadEnded || state.ended == nil ? nil : state.send)
                }
                if let client { interaction.forEach(client.interaction) }
                if let farewell {
                    // Init waits for this, so nothing is in transit when the machine ends.
                    if memoryReader == nil { farewell(Self.farewell) } else { end.yield() }
                }
            }, inspector: inspector,
            connected: { send in
                box.state.withLock { $0.send = send }
                client?.connected(send)
            }, waitsForDebugger: waitsForDebugger)

        var exit: MachineExit?
        var limit: LimitReached?
        var processors: [ProcessorState] = []
        var isCutShort = false
        try await withThrowingTaskGroup(of: Ending.self) { group in
            group.addTask { .machine(try await machine.run(handlers)) }
            group.addTask { try await watch(box, from: start, clock) }
            if let memoryReader {
                group.addTask { await Self.readMemory(memoryReader, at: ends, inspector, box) }
            }
            defer { group.cancelAll() }
            var ending = try await group.next()
            if case .memoryRead? = ending { ending = try await group.next() }
            switch ending {
            case .machine(let status): exit = status
            case .limit(let reached):
                limit = reached
                // Before the inspection: its output goes into the guest's log.
                if let memoryReader {
                    let reading = await memoryReader.read(inspector)
                    box.state.withLock { $0.memory = reading }
                }
                box.state.withLock { $0.isInspected = true }
                // The report of a lost thread explains the limit; the processors are idle.
                if !reached.isExplained || limits.keepsMemory {
                    processors = await inspector.inspect(within: .seconds(limits.inspection))
                }
                group.cancelAll()
                // The cancellation ends QEMU; its last output is still handled before `run` returns.
                while let result = await group.nextResult() {
                    if case .failure(let error) = result, !(error is CancellationError) { throw error }
                }
            case .enough:
                isCutShort = true
            case .stuck, .memoryRead, nil:
                exit = .failed(.signaled(SIGKILL), message: "the machine did not exit after the guest had ended")
            }
        }
        try Task.checkCancellation()

        return box.state.withLock { state in
            Self.handle(state.console.finish(), in: &state, at: clock.now, events)
            if state.recorder.isBooted { Self.handle(state.port.finish(), in: &state, at: clock.now, events) }
            state.transcript.flush()
            if case .read(let memory)? = state.memory {
                for event in state.recorder.take(memory, boot: bootReports) { events.send(event) }
            }
            let (reason, status) =
                isCutShort
                ? ("the first failure ended the run (fail-fast)", TestStatus.notReported)
                : Self.explain(exit: exit, limit: limit, crashed: state.fatalCrash != nil)
            return SessionResult(
                outcome: state.recorder.finish(unreportedBecause: reason, runningStatus: status), exit: exit,
                limit: limit, processors: processors, inspection: state.inspection,
                bootSeconds: state.booted.map { Self.seconds($0 - start) },
                machineSeconds: Self.seconds(clock.now - start), logObstacle: state.transcript.obstacle,
                memory: state.memory, wantsMemory: memoryReader != nil)
        }
    }

    private enum Ending: Sendable {
        case machine(MachineExit)
        case limit(LimitReached)
        case stuck
        /// The kernel's memory has been read, or the guest ended before; the machine is still awaited.
        case memoryRead
        /// A test failed, and the run ends at the first failure.
        case enough
    }

    /// The message that init waits for after its end marker.
    private static let farewell = Array("bye\n".utf8)

    /// Reads the kernel's memory when the guest's end marker has arrived, and then lets the guest end.
    private static func readMemory(
        _ reader: KernelMemoryReader, at ends: AsyncStream<Void>, _ inspector: MachineInspector, _ box: SessionBox
    ) async -> Ending {
        guard await ends.first(where: { _ in true }) != nil else { return .memoryRead }
        let reading = await reader.read(inspector)
        // A machine that has ended before has no memory to read.
        guard !Task.isCancelled else { return .memoryRead }
        let (send, replies) = box.state.withLock { state in
            state.memory = reading
            defer { state.heldReplies = [] }
            return (state.send, state.heldReplies)
        }
        send?(farewell)
        if !replies.isEmpty { inspector.answerOnConsole(replies) }
        return .memoryRead
    }

    private final class SessionBox: Sendable {
        let state: Mutex<State>
        init(_ state: sending State) { self.state = Mutex(state) }
    }

    private static func handle(
        _ items: [ResultsDecoder.Item], in state: inout State, at now: ContinuousClock.Instant,
        _ events: EventQueue<SessionEvent>
    ) {
        for item in items {
            switch item {
            case .line(let line):
                state.transcript.append(line)
                if state.isInspected {
                    if state.inspection.count < mostInspectionLines { state.inspection.append(ConsoleLine(line)) }
                    continue
                }
            case .frame(let frame):
                // The kernel's answer to an inspection is in its log too.
                if state.isInspected, frame.kind == .log || frame.kind == .kernel { continue }
                follow(frame, in: &state, at: now)
            case .fault: break
            }
            if item.isBeat {
                state.beatsSinceWord += 1
            } else {
                state.lastWord = now
                state.beatsSinceWord = 0
            }
            for event in state.recorder.consume(item) {
                switch event {
                case .booted: state.booted = now
                case .testStarted(let id):
                    state.testStarted = (id, now)
                    state.hasLostThread = false
                case .testEnded(let test):
                    state.testStarted = nil
                    if test.status != .passed, test.status != .skipped { state.hasFailure = true }
                case .crashed(let crash):
                    if crash.isFatal { state.fatalCrash = now }
                    if crash.endsThread { state.hasLostThread = true }
                case .ended:
                    state.ended = now
                    state.testStarted = nil
                }
                events.send(event)
            }
        }
    }

    /// Records the running program. Init enforces its limit, but a program that is blocked in the kernel does not die.
    private static func follow(_ frame: Frame, in state: inout State, at now: ContinuousClock.Instant) {
        switch frame.kind {
        case .start:
            let programs = state.recorder.plannedPrograms
            guard let index = frame.text.split(separator: " ").first.flatMap({ Int($0) }),
                programs.indices.contains(index), programs[index].seconds > 0
            else { return }
            // Its modules are loaded and unloaded within its time.
            let seconds = programs[index].seconds + programs[index].modules.count * ModulePlan.longestSeconds
            state.program = (programs[index].name, seconds, now)
        case .stuck: state.isStuck = true
        case .stop, .end: (state.program, state.isStuck) = (nil, false)
        default: break
        }
    }

    /// Waits until a limit is reached. It checks ten times a second, which costs nothing and is exact enough.
    private func watch(_ box: SessionBox, from start: ContinuousClock.Instant, _ clock: ContinuousClock) async throws
        -> Ending
    {
        while true {
            try await Task.sleep(for: .milliseconds(100))
            let now = clock.now
            let ending: Ending? = box.state.withLock { state in
                if let over = state.ended ?? state.fatalCrash {
                    return now - over > Self.exitGrace ? .stuck : nil
                }
                if Self.seconds(now - start) > limits.run { return .limit(.run(limits.run)) }
                if state.booted == nil, Self.seconds(now - start) > limits.boot { return .limit(.boot(limits.boot)) }
                if let test = state.testStarted, Self.seconds(now - test.at) > limits.test {
                    return .limit(.test(test.name, limits.test))
                }
                if let program = state.program,
                    state.isStuck || now - program.at > .seconds(program.seconds) + Self.programGrace
                {
                    return .limit(.test(program.name, Double(program.seconds)))
                }
                // A quiet boot has a separate limit.
                let silence = state.booted == nil ? 0 : Self.seconds(now - state.lastSign)
                if silence > limits.silence { return .limit(.silence(limits.silence)) }
                if state.hasLostThread, let test = state.testStarted {
                    // One beat may have been on its way before the crash.
                    let limit = state.beatsSinceWord >= 2 ? limits.lostThreadOfLivingGuest : limits.lostThread
                    if Self.seconds(now - state.lastWord) > limit { return .limit(.lostThread(test.name, limit)) }
                }
                return limits.failFast && state.hasFailure ? .enough : nil
            }
            if let ending { return ending }
        }
    }

    /// Why tests did not report, and the status of the running test.
    private static func explain(
        exit: MachineExit?, limit: LimitReached?, crashed: Bool
    ) -> (reason: String?, running: TestStatus) {
        if let limit { return (limit.message, limit.code == .guestCrash ? .crashed : .timedOut) }
        switch exit {
        case .panicked: return ("the guest's kernel panicked", .crashed)
        case .reset:
            return (crashed ? "the guest's kernel panicked" : "the guest reset or switched itself off", .crashed)
        case .failed(let status, _): return ("the machine ended with \(status)", .notReported)
        case .finished where !crashed: return ("the guest ended while it ran", .failed)
        case .finished, nil: return (crashed ? "the guest's kernel panicked" : nil, crashed ? .crashed : .notReported)
        }
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
}

extension ResultsDecoder.Item {
    /// Whether it is only a sign of life.
    fileprivate var isBeat: Bool {
        if case .frame(let frame) = self { frame.kind == .beat } else { false }
    }
}

extension GuestSession {
    /// Prepares a session without an interactive client; the machine starts in `run`.
    package init(machine: any Machine, plan: SessionPlan, limits: SessionLimits, consoleLog: FilePath) {
        self.init(machine: machine, plan: plan, limits: limits, consoleLog: consoleLog, client: nil)
    }
}
