// SPDX-License-Identifier: Apache-2.0
import Coverage
import CrashReports
import Diagnostics
import KTAP
import ResultsModel

/// Records the outcome of a session from the guest's output: a pure state machine that consumes bytes in order.
///
/// Missing information is never trusted. A planned test that did not report failed; a stream that did not end with its
/// end marker is a fault, and so are a record out of order and an exit code that contradicts the results.
public struct SessionRecorder: Sendable {
    private let plan: SessionPlan
    private var programs: [SuiteResult]
    private var current: Int?
    private var expectedNext = 0
    /// The results so far of the running Swift Testing bundle.
    private var bundle: SwiftTestingAccount
    private var output: [UInt8] = []
    private(set) var outputWasCut = false
    private var programStarted: Double?
    private var detector = CrashDetector()
    private var faults: [String] = [] {
        didSet {
            guard faults.count > ResultBounds.mostProblems else { return }
            omittedFaults += faults.count - ResultBounds.mostProblems
            faults.removeLast(faults.count - ResultBounds.mostProblems)
        }
    }
    private var omittedFaults = 0
    private var release: String?
    private var endCount: Int?
    /// The kernel's messages, with their times.
    private var timeline = KernelTimeline()
    /// The judgement of the kernel's memory.
    private var memory: KernelMemoryJudgement?
    private var interaction: [Interaction] = []
    /// Compares the kernel's log and taint, as init reads them, with the console.
    private var witness = KernelWitness()
    /// Init's notes for the user about the guest.
    private var notes: [String] = [] {
        didSet { ResultBounds.bound(notes: &notes) }
    }

    /// The kernel modules of the plan.
    private var modules = ModuleAccount()

    /// What the project's objects have counted, and how many bytes that takes.
    private var counters = GuestCounters()
    private var counterBytes = 0
    /// The durations of the project's calls.
    private var callTimes = CallTimes()

    /// The most bytes to keep of a program's output; KTAP output beyond it is a fault.
    static let longestOutput = 16 << 20

    /// Creates a recorder for a plan.
    public init(plan: SessionPlan) {
        self.plan = plan
        let tests = plan.programs.reduce(0) { count, program in
            guard case .swiftTesting(let expected) = program.resultsProtocol else { return count + 1 }
            return count + expected.count
        }
        bundle = SwiftTestingAccount(plannedTests: tests)
        programs = plan.programs.map { program in
            switch program.resultsProtocol {
            case .swiftTesting: SuiteResult(name: program.name, kind: "swift-testing")
            case .ktap, .kselftest: SuiteResult(name: program.name, kind: "ktap")
            case .ltp: SuiteResult(name: program.name, kind: "ltp")
            case .exitCode: SuiteResult(name: program.name, kind: "exit-code")
            case .interactive: SuiteResult(name: program.name, kind: "interactive")
            }
        }
    }

    /// The most lines to keep of a program's output.
    static let mostOutputLines = 200

    /// The initial outcome.
    var emptyOutcome: SessionOutcome {
        SessionOutcome(programs: programs, crashes: [], faults: [], release: nil, isComplete: false)
    }

    /// Whether the guest has sent `hello`.
    public var isBooted: Bool { release != nil }

    /// The running test, or the program when its tests are not known one by one.
    public var runningTest: String? {
        bundle.runningTests.last.map(listedName(ofTestID:)) ?? current.map { plan.programs[$0].name }
    }

    /// Consumes an item from a results port or a console.
    public mutating func consume(_ item: ResultsDecoder.Item) -> [SessionEvent] {
        switch item {
        case .frame(let frame): return consume(frame)
        case .line(let bytes): return consume(ConsoleLine(modules.naming(bytes, plan: plan)))
        case .fault(let text):
            faults.append(text)
            return []
        }
    }

    private mutating func consume(_ line: ConsoleLine) -> [SessionEvent] {
        if let offset = timeline.add(console: line) { witness.clockOffset = offset }
        // The detector needs every line of the log, because it counts them.
        return tell(detector.consume(line, runningTest: runningTest))
    }

    /// Consumes records of the kernel's log.
    private mutating func consumeLog(_ frame: Frame) -> [SessionEvent] {
        guard let records = KernelRecord.records(of: modules.naming(frame.payload, plan: plan)) else {
            faults.append("a record of the kernel's log cannot be read")
            return []
        }
        var crashes: [Crash] = []
        for record in records {
            guard record.sequence >= timeline.nextRecord else {
                faults.append(
                    "record \(record.sequence) of the kernel's log came after record \(timeline.nextRecord - 1)")
                return tell(crashes)
            }
            if let offset = timeline.add(record) { witness.clockOffset = offset }
            crashes += witness.consume(record, runningTest: runningTest)
        }
        return tell(crashes)
    }

    /// Reports crashes, each once even if the console and the log both have it.
    private mutating func tell(_ crashes: [Crash]) -> [SessionEvent] {
        crashes.isEmpty ? [] : witness.news(crashes).map { .crashed($0) }
    }

    /// Takes in the counters of an object, which count for the test that is about to end.
    private mutating func consumeCounters(_ frame: Frame) {
        guard let end = frame.payload.firstIndex(of: 0x0A), end > 0 else {
            faults.append("a record of coverage counters cannot be read")
            return
        }
        counterBytes += frame.payload.count
        guard counterBytes <= SessionBounds.mostCounterBytes else {
            counters.isBounded = true
            return
        }
        counters.samples.append(
            CounterSample(
                test: ownerOfCounters, object: String(decoding: frame.payload[..<end], as: UTF8.self),
                bytes: Array(frame.payload[(end + 1)...])))
    }

    /// The owner of the counts since the last event: of several tests at once none has the counters to itself.
    private var ownerOfCounters: String? {
        bundle.runningTests.count == 1 ? runningTest : current.map { plan.programs[$0].name }
    }

    /// Takes in durations of a call, which count for the test that is about to end.
    private mutating func consumeCalls(_ frame: Frame) {
        guard callTimes.add(frame.text, of: ownerOfCounters ?? RunCounters.bootName) else {
            faults.append("a record of calls' durations cannot be read")
            return
        }
    }

    private mutating func consumeModule(_ frame: Frame) {
        guard let record = ModuleRecord(payload: frame.text) else {
            faults.append("a record of a kernel module cannot be read")
            return
        }
        guard let problem = modules.consume(record) else { return }
        if let current { programs[current].problems.append(problem) } else { faults.append(problem) }
    }

    private mutating func consumeSample(_ frame: Frame) {
        guard let sample = KernelEvidence(payload: frame.text) else {
            faults.append("a sample of the kernel's state cannot be read")
            return
        }
        if sample.lastSequence == nil, release != nil, witness.samples.isEmpty {
            faults.append("the kernel keeps no log that can be read at /dev/kmsg: it needs CONFIG_PRINTK=y")
        }
        witness.consume(sample, runningTest: runningTest)
    }

    private mutating func consume(_ frame: Frame) -> [SessionEvent] {
        if endCount != nil {
            faults.append("the guest went on after its end marker")
            return []
        }
        switch frame.kind {
        case .ready:
            faults.append("the guest went to sleep")
            return []
        case .hello:
            let fields = frame.text.split(separator: " ").map { $0.split(separator: "=", maxSplits: 1) }
            let release = fields.first { $0.first == "release" && $0.count == 2 }.map { String($0[1]) } ?? "unknown"
            if self.release != nil { faults.append("the guest said hello twice") }
            self.release = release
            let tainted = fields.first { $0.first == "tainted" && $0.count == 2 }.flatMap { UInt64($0[1]) }
            witness.taintBefore = KernelTaint(rawValue: tainted ?? 0)
            return [.booted(release: release)]
        case .start:
            start(frame)
            return []
        case .event:
            guard let current, case .swiftTesting = plan.programs[current].resultsProtocol else {
                faults.append("an event came while no Swift Testing bundle ran")
                return []
            }
            return bundle.consume(frame.payload, of: &programs[current])
        case .truncated:
            if let current { programs[current].problems.append("its event stream ends in the middle of a record") }
            return []
        case .output where isInteractive:
            interaction.append(.output(frame.payload))
            return []
        case .errors, .ack:
            guard isInteractive else {
                faults.append("protocol error: interactive frame from a non-interactive program")
                return []
            }
            interaction.append(frame.kind == .errors ? .errors(frame.payload) : .ack(Int(frame.text) ?? 0))
            return []
        case .output:
            if output.count < Self.longestOutput { output += frame.payload } else { outputWasCut = true }
            return []
        case .stop:
            return stop(frame)
        case .module:
            consumeModule(frame)
            return []
        case .end:
            endCount = Int(frame.text)
            if let leftover = modules.leftover { faults.append(leftover) }
            if current != nil { faults.append("the guest ended in the middle of a program") }
            return [.ended]
        case .error:
            faults.append("the guest's init: \(frame.text)")
            return []
        case .kernel:
            consumeSample(frame)
            return []
        case .log: return consumeLog(frame)
        case .coverage:
            consumeCounters(frame)
            return []
        case .calls:
            consumeCalls(frame)
            return []
        case .note:
            if let current { programs[current].notes.append(frame.text) } else { notes.append(frame.text) }
            return []
        // The session ends the guest for it.
        case .beat, .stuck: return []
        }
    }

    private mutating func start(_ frame: Frame) {
        let fields = frame.text.split(separator: " ").compactMap { Int64($0) }
        guard fields.count == 2, current == nil, fields[0] == expectedNext, expectedNext < programs.count else {
            faults.append("a program started out of turn")
            return
        }
        current = expectedNext
        expectedNext += 1
        programStarted = Double(fields[1]) / 1e9
        bundle.begin()
        modules.beginProgram()
        output = []
        outputWasCut = false
        if isInteractive { interaction.append(.started) }
    }

    private var isInteractive: Bool {
        guard let current, case .interactive = plan.programs[current].resultsProtocol else { return false }
        return true
    }

    /// Returns and clears the new events of an interactive program.
    public mutating func takeInteraction() -> [Interaction] {
        defer { interaction = [] }
        return interaction
    }

    /// The program's output so far.
    var programOutput: [UInt8] { output }

    /// Its last lines that are not empty.
    var lastOutputLines: [String] {
        SessionBounds.lastLines(of: Array(output.suffix(1 << 16)), most: Self.mostOutputLines).filter { !$0.isEmpty }
    }

    /// The programs of the plan.
    public var plannedPrograms: [ProgramPlan] { plan.programs }

    func plannedName(_ index: Int) -> String { plan.programs[index].name }

    /// Adds the tests of a program that reports all of them at its end.
    mutating func finishProgram(
        _ index: Int, tests: [TestResult], problems: [String], ended: Double
    ) -> [SessionEvent] {
        // The kernel's messages cannot be assigned to single tests, so all tests have the program's time.
        programs[index].tests = tests.map { test in
            var test = test
            test.started = programStarted
            test.ended = ended
            return test
        }
        programs[index].problems += problems
        return programs[index].tests.map { .testEnded($0) }
    }

    private mutating func stop(_ frame: Frame) -> [SessionEvent] {
        let fields = frame.text.split(separator: " ", maxSplits: 2)
        guard fields.count == 3, let current, Int(fields[0]) == current, let clock = Int64(fields[1]) else {
            faults.append("a program ended that was not running")
            return []
        }
        let ending = String(fields[2])
        let ended = Double(clock) / 1e9
        programs[current].ending = ProgramEnding(ending)
        if let obstacle = modules.obstacle(for: plan.programs[current]) {
            programs[current].problems.append(obstacle)
        }
        var events: [SessionEvent] = []
        if ending.hasPrefix("failed ") {
            programs[current].problems.append("it could not be started: \(ending.dropFirst(7))")
        } else if ending == "timeout" {
            programs[current].problems.append(limitProblem(of: current))
        }
        switch plan.programs[current].resultsProtocol {
        case .swiftTesting(let expected): bundle.check(&programs[current], ending: ending, expected: expected)
        case .exitCode(let skip): events = judgeExitCode(current, ending: ending, ended: ended, skipCode: skip)
        case .ktap: events = judgeKTAP(current, ending: ending, ended: ended)
        case .ltp:
            // The test's own status reports a limit.
            if ending == "timeout" { removeLimitProblem(of: current) }
            events = judgeLTP(current, ending: ending, ended: ended)
        case .kselftest:
            events =
                KTAPSuite.judges(programOutput)
                ? judgeKTAP(current, ending: ending, ended: ended, isKselftest: true)
                : judgeExitCode(current, ending: ending, ended: ended, skipCode: ProgramProtocol.kselftestSkip)
        case .interactive: break
        }
        programs[current].output = SessionBounds.lastLines(of: output, most: Self.mostOutputLines)
        self.current = nil
        bundle.end()
        return events
    }

    private func limitProblem(of index: Int) -> String {
        "it ran into its limit of \(plan.programs[index].seconds) s"
    }

    private mutating func removeLimitProblem(of index: Int) {
        let problem = limitProblem(of: index)
        programs[index].problems.removeAll { $0 == problem }
    }

    /// - Parameter skipCode: The exit code that means "skipped"; nil if every code except 0 is a failure.
    private mutating func judgeExitCode(
        _ index: Int, ending: String, ended: Double, skipCode: Int32?
    ) -> [SessionEvent] {
        let status: TestStatus
        switch ending {
        case "exit 0": status = .passed
        case "timeout": status = .timedOut
        case _ where skipCode.map { ending == "exit \($0)" } ?? false: status = .skipped
        default: status = .failed
        }
        let name = plan.programs[index].name
        var test = TestResult(id: name, name: name, status: status)
        test.started = programStarted
        test.ended = ended
        test.seconds = programStarted.map { ended - $0 }
        if status == .skipped, let skipCode { test.reason = "it exited with \(skipCode), its code for skipped" }
        if status == .failed {
            test.issues = [.init(message: "the program ended with \(ending)", file: nil, line: nil, isKnown: false)]
        }
        test.output = lastOutputLines
        programs[index].tests = [test]
        // The test's own status reports a limit.
        if status == .timedOut { removeLimitProblem(of: index) }
        return [.testEnded(test)]
    }

    /// Completes the outcome.
    ///
    /// - Parameter reason: Why tests did not report, when that is known: a crash, a limit.
    public mutating func finish(
        unreportedBecause reason: String? = nil, runningStatus: TestStatus = .notReported
    ) -> SessionOutcome {
        let lastRunning = runningTest
        if let current {
            bundle.finishRunning(of: &programs[current], as: runningStatus, reason: reason ?? "")
            if bundle.runningTests.isEmpty, case .swiftTesting = plan.programs[current].resultsProtocol {
            } else if bundle.isEmpty {
                let name = plan.programs[current].name
                programs[current].tests = [TestResult(id: name, name: name, status: runningStatus, reason: reason)]
            }
        }
        for index in programs.indices { addUnreported(to: index, reason: reason) }
        timeline.attribute(
            to: &programs, isLogWhole: witness.samples.last.map { $0.evidence.withheldRecords == 0 } ?? false)
        _ = detector.finish()
        let isComplete = endCount == plan.programs.count && expectedNext == plan.programs.count && current == nil
        var crashes = witness.crashes(console: detector.crashes).flatMap {
            timeline.jiffies.leaks(of: $0, in: programs)
        }.map { crash in
            var crash = crash
            crash.isAtBoot = crash.test == nil && isAtBoot(crash)
            return crash
        }
        let reported = omittedFaults == 0 ? faults : faults + ["..." + cutRemark(omittedFaults, "fault").dropFirst(4)]
        crashes += (memory?.crashes ?? []).map(placed)
        var outcome = SessionOutcome(
            programs: programs, crashes: crashes, faults: reported, release: release, isComplete: isComplete,
            evidence: witness.samples.last?.evidence, lostLog: witness.lostLog, notes: notes,
            unexplainedTaint: memory?.unexplainedTaint ?? [])
        if !counters.samples.isEmpty {
            counters.cutShortIn = isComplete ? nil : lastRunning ?? "no program"
            outcome.coverage = [counters]
        }
        outcome.callTimes = callTimes
        return outcome
    }

    /// Adds the host's reading of the kernel's memory, after all output of the guest.
    ///
    /// - Parameter boot: The kernel's reports before the snapshot from which this guest was restored.
    public mutating func take(_ memory: KernelMemory, boot: [Crash] = []) -> [SessionEvent] {
        var soFar = witness
        let judgement = KernelMemoryJudgement(
            memory, reported: witness.samples.last?.evidence, before: witness.taintBefore,
            reports: boot + soFar.crashes(console: detector.crashes))
        faults += judgement.faults
        self.memory = judgement
        return judgement.crashes.map { .crashed(placed($0)) }
    }

    /// A report of the kernel's memory, with the test during which it came.
    private func placed(_ crash: Crash) -> Crash {
        var crash = crash
        (crash.firstLine, crash.lastLine) = (0, 0)
        crash.isFromMemory = true
        crash.isAtBoot = isAtBoot(crash)
        if !crash.isAtBoot { crash.test = timeline.test(at: crash, in: programs) ?? crash.test }
        return crash
    }

    /// Whether a report is from before init's first frame.
    private func isAtBoot(_ crash: Crash) -> Bool {
        guard let bootSeconds = timeline.bootSeconds else { return !isBooted }
        return KernelTimeline.seconds(of: crash).map { $0 < bootSeconds } ?? false
    }

    private mutating func addUnreported(to index: Int, reason: String?) {
        switch plan.programs[index].resultsProtocol {
        case .swiftTesting(let expected):
            let reported = Set(programs[index].tests.map(\.id))
            for id in expected where !reported.contains(id) {
                programs[index].tests.append(TestResult(id: id, name: id, status: .notReported, reason: reason))
            }
            // A bundle also describes the tests that a filter excludes.
            let planned = Set(expected)
            programs[index].tests.removeAll { $0.status == .notReported && !planned.contains($0.id) }
            for test in programs[index].tests.indices where programs[index].tests[test].status == .notReported {
                programs[index].tests[test].reason = programs[index].tests[test].reason ?? reason
            }
            for test in programs[index].tests where !planned.contains(test.id) {
                programs[index].problems.append("\(test.id) ran without being planned")
            }
        case .interactive: break
        case .ktap, .exitCode, .kselftest, .ltp:
            if programs[index].tests.isEmpty, programs[index].problems.isEmpty {
                let name = plan.programs[index].name
                programs[index].tests = [TestResult(id: name, name: name, status: .notReported, reason: reason)]
            }
        }
    }
}
