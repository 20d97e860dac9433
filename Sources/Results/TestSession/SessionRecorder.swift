// SPDX-License-Identifier: Apache-2.0
import CrashReports
import Diagnostics
import Foundation
import KTAP

/// What the recorder tells as it goes.
public enum SessionEvent: Sendable, Equatable {
    /// The guest is up and its init talks; the kernel's release.
    case booted(release: String)
    /// A test started.
    case testStarted(id: String)
    /// A test ended.
    case testEnded(TestOutcome)
    /// The kernel reported a crash.
    case crashed(Crash)
    /// The guest's end marker came.
    case ended
}

/// What a program does that somebody talks with.
public enum Interaction: Sendable, Equatable {
    /// It is about to start, and waits for the word.
    case started
    /// It printed this to its standard output or its terminal.
    case output([UInt8])
    /// It printed this to its standard error.
    case errors([UInt8])
    /// So many bytes of its input are out of the way.
    case took(Int)
}

/// Builds the account of a session from what the guest sends: a pure state machine, fed bytes in order.
///
/// It trusts nothing that is missing. A planned test that did not report failed; a stream that did not end with its
/// end marker is a fault; so are a record out of order and an exit code at odds with the results.
public struct SessionRecorder: Sendable {
    private let plan: SessionPlan
    private var programs: [ProgramOutcome]
    private var testIndex: [String: Int] = [:]
    private var current: Int?
    private var expectedNext = 0
    private var runEnded = false
    private var runningTests: [String] = []
    /// What the running program's tests told of their cases, by the place of the test.
    private var cases: [Int: TestCases] = [:]
    private var output: [UInt8] = []
    private(set) var outputWasCut = false
    private var programStarted: Double?
    private var detector = CrashDetector()
    private var faults: [String] = [] {
        didSet {
            guard faults.count > SessionBounds.mostProblems else { return }
            omittedFaults += faults.count - SessionBounds.mostProblems
            faults.removeLast(faults.count - SessionBounds.mostProblems)
        }
    }
    private var omittedFaults = 0
    /// How many bytes of names and of issues' messages there is still room for.
    private var nameBytesLeft = SessionBounds.mostNameBytes
    private var messageBytesLeft: Int
    private var release: String?
    private var endCount: Int?
    private var consoleLines: [ConsoleLine] = []
    private var consoleBytes = 0
    /// The kernel's clock when init first spoke, in seconds.
    private var bootSeconds: Double?
    /// What the host has found in the kernel's memory.
    private var memory: KernelMemoryJudgement?
    private var interaction: [Interaction] = []
    /// Holds the kernel's log and taint, as init reads them, against the console.
    private var witness = KernelWitness()
    /// The records of the log, as lines; those of programs too.
    private var logLines: [ConsoleLine] = []
    private var logBytes = 0
    /// How far the log has got: a record that comes again or out of order is none of init's.
    private var nextRecord: UInt64 = 0
    /// What init says for the user about the guest.
    private var notes: [String] = [] {
        didSet { SessionBounds.bound(notes: &notes) }
    }
    /// The guest's monotonic clock less the kernel's time stamps, in seconds.
    private var clockOffset: Double?

    /// The most bytes kept of what a program prints; KTAP output beyond it is a fault.
    static let longestOutput = 16 << 20
    /// The most console lines kept to be matched with tests.
    static let mostConsoleLines = 100_000
    /// The most bytes of them.
    static let mostConsoleBytes = 32 << 20

    /// Creates a recorder for a plan.
    public init(plan: SessionPlan) {
        self.plan = plan
        let tests = plan.programs.reduce(0) { count, program in
            guard case .swiftTesting(let expected) = program.resultsProtocol else { return count + 1 }
            return count + expected.count
        }
        messageBytesLeft = min(SessionBounds.mostMessageBytes, SessionBounds.messageBytesOfTest * (tests + 1))
        programs = plan.programs.map { program in
            switch program.resultsProtocol {
            case .swiftTesting: ProgramOutcome(name: program.name, kind: "swift-testing")
            case .ktap, .kselftest: ProgramOutcome(name: program.name, kind: "ktap")
            case .ltp: ProgramOutcome(name: program.name, kind: "ltp")
            case .exitCode: ProgramOutcome(name: program.name, kind: "exit-code")
            case .interactive: ProgramOutcome(name: program.name, kind: "interactive")
            }
        }
    }

    /// The most lines kept of what a program prints.
    static let mostOutputLines = 200

    /// The account before anything has happened.
    var emptyOutcome: SessionOutcome {
        SessionOutcome(programs: programs, crashes: [], faults: [], release: nil, isComplete: false)
    }

    /// Whether the guest has said hello.
    public var isBooted: Bool { release != nil }

    /// The test that runs now, or the program when its tests are not known one by one.
    public var runningTest: String? {
        runningTests.last.map(listedName(ofTestID:)) ?? current.map { plan.programs[$0].name }
    }

    /// Takes in what a results port or a console brought.
    public mutating func consume(_ item: ResultsDecoder.Item) -> [SessionEvent] {
        switch item {
        case .frame(let frame): return consume(frame)
        case .line(let bytes): return consume(ConsoleLine(bytes))
        case .fault(let text):
            faults.append(text)
            return []
        }
    }

    private mutating func consume(_ line: ConsoleLine) -> [SessionEvent] {
        noteClock(line)
        if line.kernelSeconds != nil, consoleLines.count < Self.mostConsoleLines, consoleBytes < Self.mostConsoleBytes {
            consoleLines.append(line)
            consoleBytes += line.raw.utf8.count
        }
        // The detector sees every line of the log, because it counts them.
        return tell(detector.consume(line, runningTest: runningTest))
    }

    /// Takes in records of the kernel's log.
    private mutating func consumeLog(_ frame: Frame) -> [SessionEvent] {
        guard let records = KernelRecord.records(of: frame.payload) else {
            faults.append("a record of the kernel's log cannot be read")
            return []
        }
        var crashes: [Crash] = []
        for record in records {
            guard record.sequence >= nextRecord else {
                faults.append("record \(record.sequence) of the kernel's log came after record \(nextRecord - 1)")
                return tell(crashes)
            }
            nextRecord = record.sequence + 1
            for line in record.lines {
                noteClock(line)
                guard logLines.count < Self.mostConsoleLines, logBytes < Self.mostConsoleBytes else { continue }
                logLines.append(line)
                logBytes += line.raw.utf8.count
            }
            crashes += witness.consume(record, runningTest: runningTest)
        }
        return tell(crashes)
    }

    /// Tells of crashes, each once though the console and the log both have it.
    private mutating func tell(_ crashes: [Crash]) -> [SessionEvent] {
        crashes.isEmpty ? [] : witness.news(crashes).map { .crashed($0) }
    }

    /// Takes the line by which the kernel's time stamps are matched with the clock of the tests.
    private mutating func noteClock(_ line: ConsoleLine) {
        let mark = "kbuild: clock "
        guard clockOffset == nil, let seconds = line.kernelSeconds, line.message.hasPrefix(mark),
            let clock = Int64(line.message.dropFirst(mark.count))
        else { return }
        clockOffset = Double(clock) / 1e9 - seconds
        witness.clockOffset = clock &- Int64(seconds * 1e9)
        bootSeconds = seconds
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
            return consumeEvent(frame)
        case .torn:
            if let current { programs[current].problems.append("its event stream ends in the middle of a record") }
            return []
        case .output where isInteractive:
            interaction.append(.output(frame.payload))
            return []
        case .errors, .took:
            guard isInteractive else {
                faults.append("a program that nobody talks with answered")
                return []
            }
            interaction.append(frame.kind == .errors ? .errors(frame.payload) : .took(Int(frame.text) ?? 0))
            return []
        case .output:
            if output.count < Self.longestOutput { output += frame.payload } else { outputWasCut = true }
            return []
        case .stop:
            return stop(frame)
        case .end:
            endCount = Int(frame.text)
            if current != nil { faults.append("the guest ended in the middle of a program") }
            return [.ended]
        case .error:
            faults.append("the guest's init: \(frame.text)")
            return []
        case .kernel:
            consumeSample(frame)
            return []
        case .log: return consumeLog(frame)
        case .note:
            if let current { programs[current].notes.append(frame.text) } else { notes.append(frame.text) }
            return []
        case .beat: return []
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
        testIndex = [:]
        runningTests = []
        cases = [:]
        runEnded = false
        output = []
        outputWasCut = false
        if isInteractive { interaction.append(.started) }
    }

    private var isInteractive: Bool {
        guard let current, case .interactive = plan.programs[current].resultsProtocol else { return false }
        return true
    }

    /// Takes what an interactive program has done since this was last asked for.
    public mutating func takeInteraction() -> [Interaction] {
        defer { interaction = [] }
        return interaction
    }

    /// What the program has printed so far.
    var programOutput: [UInt8] { output }

    /// The last lines of it that are not empty.
    var lastOutputLines: [String] {
        SessionBounds.lastLines(of: Array(output.suffix(1 << 16)), most: Self.mostOutputLines).filter { !$0.isEmpty }
    }

    /// The programs that the guest is to run.
    public var plannedPrograms: [ProgramPlan] { plan.programs }

    func plannedName(_ index: Int) -> String { plan.programs[index].name }

    /// Takes over the tests of a program that tells them all at its end.
    mutating func finishProgram(
        _ index: Int, tests: [TestOutcome], problems: [String], ended: Double
    ) -> [SessionEvent] {
        // Which of them the kernel spoke during is not known, so all have the program's time.
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
        var events: [SessionEvent] = []
        if ending.hasPrefix("failed ") {
            programs[current].problems.append("it could not be started: \(ending.dropFirst(7))")
        } else if ending == "timeout" {
            programs[current].problems.append("it ran into its limit of \(plan.programs[current].seconds) s")
        }
        switch plan.programs[current].resultsProtocol {
        case .swiftTesting: checkSwiftTesting(current, ending: ending)
        case .exitCode(let skip): events = judgeExitCode(current, ending: ending, ended: ended, skipCode: skip)
        case .ktap: events = judgeKTAP(current, ending: ending, ended: ended)
        case .ltp:
            // A limit is told by the test's own status.
            if ending == "timeout" { programs[current].problems = [] }
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
        runningTests = []
        return events
    }

    /// The bundle's exit code must agree with its events: 0 when all passed, not 0 when not.
    private mutating func checkSwiftTesting(_ index: Int, ending: String) {
        if ending == "timeout" {
            for id in runningTests {
                finishRunning(id, in: index, as: .timedOut, reason: "the program ran into its limit")
            }
            return
        }
        if runEnded, case .swiftTesting(let expected) = plan.programs[index].resultsProtocol {
            // Another guest may run them yet; that this one passed them over is wrong all the same.
            let told = Set(programs[index].tests.filter { $0.status != .notReported }.map(\.id))
                .union(runningTests.compactMap { testIndex[$0] }.map { programs[index].tests[$0].id })
            let missing = expected.filter { !told.contains($0) }
            if let first = missing.first {
                let others = missing.count > 1 ? " and \(missing.count - 1) more" : ""
                programs[index].problems.append("its run ended without \(first)\(others)")
            }
        }
        let anyFailed = programs[index].tests.contains { $0.status == .failed }
        if !runEnded {
            programs[index].problems.append("it ended (\(ending)) before its run had ended")
            for id in runningTests {
                finishRunning(id, in: index, as: .failed, reason: "the program ended (\(ending)) while this test ran")
            }
        } else if !runningTests.isEmpty {
            programs[index].problems.append("its run ended while a test was running")
            for id in runningTests {
                finishRunning(id, in: index, as: .failed, reason: "the run ended while this test ran")
            }
        } else if ending == "exit 0", anyFailed {
            programs[index].problems.append("it exited with 0 although a test failed")
        } else if ending != "exit 0", !anyFailed {
            programs[index].problems.append("it ended with \(ending) although no test failed")
        }
    }

    private mutating func finishRunning(
        _ id: String, in index: Int, as status: TestOutcome.Status, reason: String
    ) {
        guard let test = testIndex[id] else { return }
        programs[index].tests[test].status = status
        programs[index].tests[test].reason = reason
    }

    /// - Parameter skipCode: The exit code that means "skipped"; nil where every code but 0 is a failure.
    private mutating func judgeExitCode(
        _ index: Int, ending: String, ended: Double, skipCode: Int32?
    ) -> [SessionEvent] {
        let status: TestOutcome.Status
        switch ending {
        case "exit 0": status = .passed
        case "timeout": status = .timedOut
        case _ where skipCode.map { ending == "exit \($0)" } ?? false: status = .skipped
        default: status = .failed
        }
        let name = plan.programs[index].name
        var test = TestOutcome(id: name, name: name, status: status)
        test.started = programStarted
        test.ended = ended
        test.seconds = programStarted.map { ended - $0 }
        if status == .skipped, let skipCode { test.reason = "it exited with \(skipCode), its code for skipped" }
        if status == .failed {
            test.issues = [.init(message: "the program ended with \(ending)", file: nil, line: nil, isKnown: false)]
        }
        test.output = lastOutputLines
        programs[index].tests = [test]
        // A limit is told by the test's own status.
        if status == .timedOut { programs[index].problems = [] }
        return [.testEnded(test)]
    }

    private mutating func consumeEvent(_ frame: Frame) -> [SessionEvent] {
        guard let current, case .swiftTesting = plan.programs[current].resultsProtocol else {
            faults.append("an event came while no Swift Testing bundle ran")
            return []
        }
        guard let record = try? JSONDecoder().decode(SwiftTestingRecord.self, from: Data(frame.payload)) else {
            programs[current].problems.append("a record of its event stream cannot be read")
            return []
        }
        let payload = record.payload
        if record.kind == "test" {
            if payload.kind == "function", let id = payload.id {
                // A second description would take the results of the first.
                guard testIndex[id] == nil else {
                    programs[current].problems.append("\(listedName(ofTestID: id)) was described twice")
                    return []
                }
                let name = SessionBounds.cut(
                    payload.displayName ?? payload.name ?? "", to: SessionBounds.longestProblem)
                // What is not kept here has not reported, which is a failure.
                guard hasRoom(forNames: 2 * id.utf8.count + name.utf8.count, in: current) else { return [] }
                testIndex[id] = programs[current].tests.count
                if payload.isParameterized == true {
                    cases[programs[current].tests.count] = TestCases(isExpected: true)
                }
                let listed = listedName(ofTestID: id)
                programs[current].tests.append(
                    TestOutcome(id: listed, name: name.isEmpty ? listed : name, status: .notReported))
            }
            return []
        }
        guard SwiftTestingRecord.eventKinds.contains(payload.kind) else {
            programs[current].problems.append(
                "its event stream has an event that kbuild does not know: \(payload.kind)")
            return []
        }
        if payload.kind == "runEnded" {
            runEnded = true
            return []
        }
        if payload.kind == "issueRecorded" {
            recordIssue(payload, in: current)
            return []
        }
        guard let id = payload.testID, let index = testIndex[id] else { return [] }
        let test = programs[current].tests[index]
        switch payload.kind {
        case "testStarted":
            // Each runs once. One that does so again is another's invention.
            if test.started != nil { programs[current].problems.append("\(test.id) started twice") }
            programs[current].tests[index].started = payload.instant?.absolute
            guard runningTests.count < SessionBounds.mostRunning else {
                programs[current].problems.append("more than \(SessionBounds.mostRunning) tests ran at one time")
                return []
            }
            runningTests.append(id)
            return [.testStarted(id: test.id)]
        case "testSkipped":
            guard test.started == nil, test.status == .notReported else {
                programs[current].problems.append("\(test.id) was skipped after it had started")
                return []
            }
            programs[current].tests[index].status = .skipped
            programs[current].tests[index].reason = payload.messages?.map(\.text).joined(separator: "; ")
            return [.testEnded(programs[current].tests[index])]
        case "testCaseStarted":
            cases[index, default: TestCases()].start(payload.messages?.first?.text ?? "")
            return []
        case "testCaseEnded":
            cases[index, default: TestCases()].end()
            return []
        case "testCaseCancelled":
            cases[index, default: TestCases()].cancel()
            return []
        case "testCancelled":
            cases[index, default: TestCases()].isTestCancelled = true
            return []
        case "testEnded":
            runningTests.removeAll { $0 == id }
            guard test.started != nil, test.ended == nil else {
                let what = test.started == nil ? "ended without having started" : "ended twice"
                programs[current].problems.append("\(test.id) \(what)")
                return []
            }
            end(index, in: current, payload)
            return [.testEnded(programs[current].tests[index])]
        default:
            return []
        }
    }

    /// Takes note of a further test of a bundle; false when there are too many.
    private mutating func hasRoom(forNames bytes: Int, in current: Int) -> Bool {
        guard bytes <= nameBytesLeft, programs[current].tests.count < SessionBounds.mostTests else {
            programs[current].problems.append(
                "it describes more than \(SessionBounds.mostTests) tests, or their names have more than "
                    + "\(SessionBounds.mostNameBytes >> 20) MB")
            return false
        }
        nameBytesLeft -= bytes
        return true
    }

    /// What there is room for of an issue's message.
    private mutating func kept(message: String) -> String {
        let room = min(SessionBounds.longestMessage, max(SessionBounds.shortestCut, messageBytesLeft))
        let text = SessionBounds.cut(message, to: room)
        messageBytesLeft -= text.utf8.count
        return text
    }

    /// Judges a test that has ended. It passed only if nothing says otherwise: an issue, a case that did not end, a
    /// cancellation, or the library's own word for how it ended.
    private mutating func end(_ index: Int, in current: Int, _ payload: SwiftTestingRecord.Payload) {
        var test = programs[current].tests[index]
        let cases = cases[index] ?? TestCases()
        let word = payload.messages?.first
        test.ended = payload.instant?.absolute
        if let started = test.started, let ended = test.ended { test.seconds = ended - started }
        test.skippedCases = cases.cancelled
        if cases.started == 0 { test.skippedCases = 0 }
        if test.issues.contains(where: { !$0.isKnown }) {
            test.status = .failed
            test.reason = cases.cancellation
        } else if cases.isAllCancelled || word?.symbol == "skip" {
            test.status = .skipped
            test.skippedCases = 0
            test.reason = cases.cancellation ?? word?.text ?? "it was cancelled"
        } else if let flaw = cases.flaw ?? Self.flaw(endingWith: word?.symbol) {
            test.status = .failed
            test.issues.append(.init(message: flaw, file: nil, line: nil, isKnown: false))
        } else {
            test.status = .passed
            test.reason = cases.cancellation
        }
        programs[current].tests[index] = test
    }

    /// What is wrong with a test without an issue whose end has this symbol; nil when nothing is.
    private static func flaw(endingWith symbol: String?) -> String? {
        switch symbol {
        case nil, "pass", "passWithKnownIssue", "passWithWarnings": nil
        case "fail": "its end says that it failed, and no issue of it came"
        case let symbol?: "its end has the symbol \(symbol), which kbuild does not know"
        }
    }

    private mutating func recordIssue(_ payload: SwiftTestingRecord.Payload, in current: Int) {
        let message = (payload.messages ?? []).map(\.text).joined(separator: "\n")
        var issue = TestOutcome.Issue(
            message: SessionBounds.cut(message, to: SessionBounds.longestMessage),
            file: payload.issue?.sourceLocation?.filePath ?? payload.issue?.sourceLocation?.fileID,
            line: payload.issue?.sourceLocation?.line,
            isKnown: payload.issue?.isKnown == true || payload.issue?.isFailure == false)
        if let id = payload.testID, let index = testIndex[id] {
            let argument = cases[index]?.current
            // A test keeps few issues, so that looking through them costs little.
            if let place = programs[current].tests[index].issues.firstIndex(where: { $0.isLike(issue) }) {
                programs[current].tests[index].issues[place].count += 1
                if let argument, programs[current].tests[index].issues[place].hasRoom(for: argument) {
                    programs[current].tests[index].issues[place].arguments.append(kept(message: argument))
                }
            } else {
                issue.message = kept(message: message)
                if let argument { issue.arguments = [kept(message: argument)] }
                programs[current].tests[index].issues.append(issue)
            }
            // A thread that outlives its test may still find it wanting.
            if !issue.isKnown, programs[current].tests[index].ended != nil {
                programs[current].tests[index].status = .failed
            }
        } else if !issue.isKnown {
            // An issue outside every test function: a suite's, or one from a thread that outlived its test.
            programs[current].problems.append(kept(message: message))
        }
    }

    /// Closes the account.
    ///
    /// - Parameter reason: Why tests that did not report could not, when that is known: a crash, a limit.
    public mutating func finish(
        unreportedBecause reason: String? = nil, runningStatus: TestOutcome.Status = .notReported
    ) -> SessionOutcome {
        if let current {
            for id in runningTests { finishRunning(id, in: current, as: runningStatus, reason: reason ?? "") }
            if runningTests.isEmpty, case .swiftTesting = plan.programs[current].resultsProtocol {
            } else if testIndex.isEmpty {
                let name = plan.programs[current].name
                programs[current].tests = [TestOutcome(id: name, name: name, status: runningStatus, reason: reason)]
            }
        }
        for index in programs.indices { addUnreported(to: index, reason: reason) }
        attributeKernelLog()
        _ = detector.finish()
        let isComplete = endCount == plan.programs.count && expectedNext == plan.programs.count && current == nil
        var crashes = witness.crashes(console: detector.crashes).map { crash in
            var crash = crash
            crash.isAtBoot = crash.test == nil && isAtBoot(crash)
            return crash
        }
        let told = omittedFaults == 0 ? faults : faults + ["..." + cutRemark(omittedFaults, "fault").dropFirst(4)]
        crashes += (memory?.crashes ?? []).map(placed)
        return SessionOutcome(
            programs: programs, crashes: crashes, faults: told, release: release, isComplete: isComplete,
            evidence: witness.samples.last?.evidence, lostLog: witness.lostLog, notes: notes,
            unexplainedTaint: memory?.unexplainedTaint ?? [])
    }

    /// Takes what the host has read of the kernel's memory, once all has come that the guest had to say.
    ///
    /// - Parameter boot: What the kernel reported before the guest was saved that this one woke from.
    public mutating func take(_ memory: KernelMemory, boot: [Crash] = []) -> [SessionEvent] {
        var soFar = witness
        let judgement = KernelMemoryJudgement(
            memory, told: witness.samples.last?.evidence, before: witness.taintBefore,
            reports: boot + soFar.crashes(console: detector.crashes))
        faults += judgement.faults
        self.memory = judgement
        return judgement.crashes.map { .crashed(placed($0)) }
    }

    /// A report of the kernel's memory with the test in whose time it came.
    private func placed(_ crash: Crash) -> Crash {
        var crash = crash
        (crash.firstLine, crash.lastLine) = (0, 0)
        crash.isFromMemory = true
        crash.isAtBoot = isAtBoot(crash)
        guard !crash.isAtBoot, let clockOffset, let seconds = Self.seconds(of: crash) else { return crash }
        let time = seconds + clockOffset
        crash.test =
            programs.lazy.flatMap(\.tests).first { test in
                test.started.map { $0 <= time && time <= test.ended ?? .infinity } ?? false
            }?.id
        return crash
    }

    /// Whether a report is of the time before init first spoke.
    private func isAtBoot(_ crash: Crash) -> Bool {
        guard let bootSeconds else { return !isBooted }
        return Self.seconds(of: crash).map { $0 < bootSeconds } ?? false
    }

    /// When a report began, by the kernel's clock.
    private static func seconds(of crash: Crash) -> Double? {
        crash.lines.lazy.compactMap { ConsoleLine(Array($0.utf8)).kernelSeconds }.first
    }

    private mutating func addUnreported(to index: Int, reason: String?) {
        switch plan.programs[index].resultsProtocol {
        case .swiftTesting(let expected):
            let reported = Set(programs[index].tests.map(\.id))
            for id in expected where !reported.contains(id) {
                programs[index].tests.append(TestOutcome(id: id, name: id, status: .notReported, reason: reason))
            }
            // A bundle also describes the tests that a filter leaves out.
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
                programs[index].tests = [TestOutcome(id: name, name: name, status: .notReported, reason: reason)]
            }
        }
    }

    /// Gives each test the lines that the kernel printed between its start and its end.
    private mutating func attributeKernelLog() {
        guard let clockOffset else { return }
        // The log is whole where the console was silenced or torn. What is withheld of it the console may have.
        let isWhole = witness.samples.last.map { $0.evidence.withheldRecords == 0 } ?? false
        // Tests whose times overlap have the same lines, and a guest may claim any times.
        var room = SessionBounds.mostKernelLogBytes
        // Sorted once, so that each test costs a search and its own lines.
        let lines = (isWhole && logLines.count >= consoleLines.count ? logLines : consoleLines).compactMap { line in
            line.kernelSeconds.map { (seconds: $0 + clockOffset, text: line.raw) }
        }.enumerated().sorted { ($0.element.seconds, $0.offset) < ($1.element.seconds, $1.offset) }.map(\.element)
        for program in programs.indices {
            for index in programs[program].tests.indices {
                guard let started = programs[program].tests[index].started else { continue }
                let ended = max(started, programs[program].tests[index].ended ?? .infinity)
                var low = 0
                var high = lines.count
                while low < high {
                    let middle = (low + high) / 2
                    if lines[middle].seconds < started { low = middle + 1 } else { high = middle }
                }
                var log: [String] = []
                for line in lines[low...].prefix(while: { $0.seconds <= ended }).prefix(500) {
                    room -= line.text.utf8.count
                    guard room > 0 else {
                        log.append("kbuild: the rest is left out here; the console's log has it")
                        break
                    }
                    log.append(line.text)
                }
                programs[program].tests[index].kernelLog = log
            }
        }
    }
}
