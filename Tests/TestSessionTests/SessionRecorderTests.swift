// SPDX-License-Identifier: Apache-2.0
import CrashReports
import ResultsModel
import Testing

@testable import TestSession

/// Feeds a recorder as a guest would, with the sequence numbers kept.
private struct Guest {
    var recorder: SessionRecorder
    var events: [SessionEvent] = []

    init(_ programs: ProgramPlan...) {
        recorder = SessionRecorder(plan: SessionPlan(programs: programs))
    }

    mutating func send(_ kind: Frame.Kind, _ text: String) {
        events += recorder.consume(.frame(Frame(sequence: 1, kind: kind, payload: Array(text.utf8))))
    }

    mutating func console(_ line: String) {
        events += recorder.consume(.line(Array(line.utf8)))
    }

    mutating func declare(_ test: String) {
        send(
            .event,
            #"{"kind":"test","payload":{"kind":"function","id":"\#(Self.id(test))","displayName":"\#(test) works"},"version":"6.3.0"}"#
        )
    }

    mutating func event(_ kind: String, _ test: String? = nil, at instant: Double = 1, extra: String = "") {
        let testID = test.map { #","testID":"\#(Self.id($0))""# } ?? ""
        send(
            .event,
            #"{"kind":"event","payload":{"kind":"\#(kind)","instant":{"absolute":\#(instant)}\#(testID)\#(extra)},"version":"6.3.0"}"#
        )
    }

    mutating func run(_ test: String) {
        event("testStarted", test)
        event("testEnded", test, at: 2)
    }

    mutating func issue(_ test: String, known: Bool = false) {
        event(
            "issueRecorded", test,
            extra:
                #","issue":{"isKnown":\#(known),"isFailure":\#(!known),"sourceLocation":{"filePath":"/a/B.swift","line":7}},"messages":[{"symbol":"fail","text":"Expectation failed: x == 1"}]"#
        )
    }

    mutating func issue(_ test: String?, known: Bool = false, text: String) {
        event(
            "issueRecorded", test,
            extra: #","issue":{"isKnown":\#(known)},"messages":[{"symbol":"fail","text":"\#(text)"}]"#)
    }

    static func id(_ test: String) -> String { "M.S/\(test)()/B.swift:1:2" }
}

private let bundle = ProgramPlan(
    name: "bundle", arguments: ["/b"], resultsProtocol: .swiftTesting(expected: ["M.S/one()", "M.S/two()"]))

@Suite("Session recorder", .timeLimit(.minutes(30)))
struct SessionRecorderTests {
    /// A session in which both tests pass.
    private func passing() -> Guest {
        var guest = Guest(bundle)
        guest.send(.hello, "version=1 release=6.1.0 cpus=2")
        guest.send(.start, "0 1000000000")
        guest.declare("one")
        guest.declare("two")
        guest.event("runStarted")
        guest.run("one")
        guest.run("two")
        return guest
    }

    private func finish(_ guest: inout Guest, ending: String = "exit 0") -> SessionOutcome {
        guest.event("runEnded")
        guest.send(.stop, "0 2000000000 \(ending)")
        guest.send(.end, "1")
        return guest.recorder.finish()
    }

    @Test("a whole session is complete and has each test's result")
    func complete() {
        var guest = passing()
        let outcome = finish(&guest)
        #expect(outcome.isComplete)
        #expect(outcome.release == "6.1.0")
        #expect(outcome.faults.isEmpty)
        #expect(outcome.programs[0].problems.isEmpty)
        #expect(outcome.programs[0].tests.map(\.id) == ["M.S/one()", "M.S/two()"])
        #expect(outcome.programs[0].tests.map(\.status) == [.passed, .passed])
        #expect(outcome.programs[0].tests.map(\.seconds) == [1, 1])
        #expect(guest.events.contains(.testStarted(id: "M.S/one()")))
    }

    @Test("a failed expectation fails its test, with its text and place; a known issue does not")
    func issues() {
        var guest = Guest(bundle)
        guest.send(.hello, "release=6.1.0")
        guest.send(.start, "0 0")
        guest.declare("one")
        guest.declare("two")
        guest.event("testStarted", "one")
        guest.issue("one")
        guest.event("testEnded", "one")
        guest.event("testStarted", "two")
        guest.issue("two", known: true)
        guest.event("testEnded", "two")
        let outcome = finish(&guest, ending: "exit 1")
        #expect(outcome.programs[0].tests.map(\.status) == [.failed, .passed])
        let issue = outcome.programs[0].tests[0].issues[0]
        #expect(issue.message == "Expectation failed: x == 1")
        #expect(issue.file == "/a/B.swift")
        #expect(issue.line == 7)
        #expect(outcome.programs[0].problems.isEmpty)
    }

    @Test("a planned test that is never reported is named")
    func notReported() {
        var guest = Guest(bundle)
        guest.send(.hello, "release=6.1.0")
        guest.send(.start, "0 0")
        guest.declare("one")
        guest.run("one")
        let outcome = finish(&guest)
        #expect(outcome.programs[0].tests.map(\.id) == ["M.S/one()", "M.S/two()"])
        #expect(outcome.programs[0].tests[1].status == .notReported)
        // It stays wrong if another guest runs that test.
        #expect(outcome.programs[0].problems == ["its run ended without M.S/two()"])
    }

    @Test("a test that calls exit(0) fails, and its program's end is a problem")
    func callsExit() {
        var guest = Guest(bundle)
        guest.send(.hello, "release=6.1.0")
        guest.send(.start, "0 0")
        guest.declare("one")
        guest.declare("two")
        guest.event("testStarted", "one")
        guest.send(.stop, "0 2000000000 exit 0")
        guest.send(.end, "1")
        let outcome = guest.recorder.finish()
        #expect(outcome.programs[0].tests.map(\.status) == [.failed, .notReported])
        #expect(outcome.programs[0].problems.count == 1)
    }

    @Test(
        "an exit code that contradicts the events is a problem",
        arguments: ["exit 1", "exit 69", "signal 11", "failed No such file or directory"])
    func exitCodeDisagrees(ending: String) {
        var guest = passing()
        let outcome = finish(&guest, ending: ending)
        #expect(!outcome.programs[0].problems.isEmpty)
    }

    @Test("exit code 0 after a failed test is a problem too")
    func exitZeroAfterFailure() {
        var guest = Guest(bundle)
        guest.send(.start, "0 0")
        guest.declare("one")
        guest.event("testStarted", "one")
        guest.issue("one")
        guest.event("testEnded", "one")
        #expect(!finish(&guest).programs[0].problems.isEmpty)
    }

    @Test("without the end marker, or with another count, the session is not complete")
    func endMarker() {
        var cut = passing()
        #expect(!cut.recorder.finish().isComplete)
        var wrong = passing()
        wrong.event("runEnded")
        wrong.send(.stop, "0 2 exit 0")
        wrong.send(.end, "2")
        #expect(!wrong.recorder.finish().isComplete)
        var early = passing()
        early.send(.end, "1")
        let outcome = early.recorder.finish()
        #expect(!outcome.isComplete)
        #expect(!outcome.faults.isEmpty)
    }

    @Test("records after the end, out of turn or from the wrong program are faults")
    func outOfTurn() {
        var after = passing()
        _ = finish(&after)
        after.run("one")
        #expect(!after.recorder.finish().faults.isEmpty)
        var before = Guest(bundle)
        before.run("one")
        #expect(!before.recorder.finish().faults.isEmpty)
        var jump = Guest(bundle, bundle)
        jump.send(.start, "1 0")
        #expect(!jump.recorder.finish().faults.isEmpty)
        var twice = Guest(bundle)
        twice.send(.hello, "release=1")
        twice.send(.hello, "release=1")
        #expect(!twice.recorder.finish().faults.isEmpty)
    }

    @Test("a test that runs without being planned is a problem")
    func unplanned() {
        var guest = passing()
        guest.declare("three")
        guest.run("three")
        #expect(!finish(&guest).programs[0].problems.isEmpty)
    }

    @Test("a test that starts or ends a second time is a problem, and its first result is kept")
    func invented() {
        var guest = Guest(bundle)
        guest.send(.hello, "version=1 release=6.1.0 cpus=2")
        guest.send(.start, "0 1000000000")
        guest.declare("one")
        guest.declare("two")
        guest.event("testStarted", "one")
        guest.issue("one")
        guest.event("testEnded", "one", at: 2)
        // What a test that wants another to pass might write.
        guest.event("testEnded", "one", at: 3)
        guest.run("two")
        guest.run("two")
        let outcome = finish(&guest, ending: "exit 1")
        #expect(outcome.programs[0].tests.map(\.status) == [.failed, .passed])
        #expect(
            outcome.programs[0].problems == [
                "M.S/one() ended twice", "M.S/two() started twice", "M.S/two() ended twice",
            ])
    }

    @Test("a run that ends, or reports its end, while a test is running fails that test")
    func endedInTheMiddle() {
        var guest = Guest(bundle)
        guest.send(.hello, "version=1 release=6.1.0 cpus=2")
        guest.send(.start, "0 1000000000")
        guest.declare("one")
        guest.declare("two")
        guest.run("two")
        guest.event("testStarted", "one")
        let outcome = finish(&guest)
        #expect(outcome.programs[0].tests.map(\.status) == [.failed, .passed])
        #expect(outcome.programs[0].problems == ["its run ended while a test was running"])
    }

    @Test("an issue after its test's end also fails the test")
    func lateIssue() {
        var guest = passing()
        guest.issue("one")
        let outcome = finish(&guest, ending: "exit 1")
        #expect(outcome.programs[0].tests.map(\.status) == [.failed, .passed])
    }

    @Test("tests that a filter left out are not listed")
    func filteredOut() {
        var guest = passing()
        guest.declare("three")
        let outcome = finish(&guest)
        #expect(outcome.programs[0].tests.count == 2)
        #expect(outcome.programs[0].problems.isEmpty)
    }

    @Test("a crash is assigned to the running test, which did not pass")
    func crash() {
        var guest = Guest(bundle)
        guest.send(.hello, "release=6.1.0")
        guest.send(.start, "0 0")
        guest.declare("one")
        guest.declare("two")
        guest.event("testStarted", "one")
        guest.console("[    5.000000][    T1] Kernel panic - not syncing: Fatal exception in interrupt")
        let outcome = guest.recorder.finish(unreportedBecause: "the guest's kernel panicked", runningStatus: .crashed)
        #expect(outcome.crashes.count == 1)
        #expect(outcome.crashes[0].isFatal)
        #expect(outcome.crashes[0].test == "M.S/one()")
        #expect(outcome.programs[0].tests.map(\.status) == [.crashed, .notReported])
        #expect(outcome.programs[0].tests[1].reason == "the guest's kernel panicked")
        #expect(!outcome.isComplete)
    }

    @Test("the kernel's lines go to the test that ran when it printed them")
    func kernelLog() {
        var guest = Guest(bundle)
        guest.send(.hello, "release=6.1.0")
        guest.console("[    1.000000][    T1] kbuild: clock 1500000000")
        guest.send(.start, "0 0")
        guest.declare("one")
        guest.declare("two")
        guest.event("testStarted", "one", at: 10)
        guest.event("testEnded", "one", at: 11)
        guest.event("testStarted", "two", at: 12)
        guest.event("testEnded", "two", at: 13)
        guest.console("[   10.000000][   T50] during one")
        guest.console("[   11.000000][   T50] between")
        guest.console("[   12.000000][   T50] during two")
        guest.console("no time stamp")
        let outcome = finish(&guest)
        #expect(outcome.programs[0].tests[0].kernelLog == ["[   10.000000][   T50] during one"])
        #expect(outcome.programs[0].tests[1].kernelLog == ["[   12.000000][   T50] during two"])
    }

    @Test(
        "an exit code is a verdict: 4 is a skip only for selftests, and elsewhere only the project's code is",
        arguments: [
            (ProgramProtocol.exitCode(skip: nil), "exit 0", TestStatus.passed),
            (.exitCode(skip: nil), "exit 4", .failed), (.exitCode(skip: nil), "exit 32", .failed),
            (.exitCode(skip: nil), "exit 1", .failed), (.exitCode(skip: nil), "signal 6", .failed),
            (.exitCode(skip: nil), "timeout", .timedOut), (.exitCode(skip: 4), "exit 4", .skipped),
            (.exitCode(skip: 77), "exit 77", .skipped), (.exitCode(skip: 77), "exit 4", .failed),
            (.exitCode(skip: 4), "signal 4", .failed), (.kselftest, "exit 4", .skipped),
            (.kselftest, "exit 32", .failed),
        ])
    func exitCode(resultsProtocol: ProgramProtocol, ending: String, status: TestStatus) {
        var guest = Guest(ProgramPlan(name: "put", arguments: ["/put"], resultsProtocol: resultsProtocol))
        guest.send(.hello, "release=6.1.0")
        guest.send(.start, "0 0")
        guest.send(.output, "said\nthis\n")
        guest.send(.stop, "0 2500000000 \(ending)")
        guest.send(.end, "1")
        let outcome = guest.recorder.finish()
        #expect(outcome.isComplete)
        #expect(outcome.programs[0].tests.map(\.status) == [status])
        #expect(outcome.programs[0].tests[0].output == ["said", "this"])
        #expect(outcome.programs[0].tests[0].seconds == 2.5)
    }

    @Test("a plan lists the programs, and refuses texts that its format cannot contain")
    func plan() throws {
        let plan = SessionPlan(programs: [
            ProgramPlan(
                name: "a", arguments: ["/a", "b c"], environment: ["X=1"], seconds: 9,
                resultsProtocol: .exitCode(skip: nil)), bundle,
        ])
        #expect(
            try plan.encoded() == """
                kbuild-plan 1
                program output 9
                arg /a
                arg b c
                env X=1
                end
                program swift 0
                arg /b
                end
                done

                """)
        let broken = ProgramPlan(name: "n", arguments: ["/a", "b\ndone"], resultsProtocol: .exitCode(skip: nil))
        #expect(throws: (any Error).self) { try SessionPlan(programs: [broken]).encoded() }
    }
}

/// A guest that floods the host. What is kept is bounded and counted, and no verdict changes for it.
@Suite("Floods", .timeLimit(.minutes(30)))
struct FloodTests {
    private func guest() -> Guest {
        var guest = Guest(bundle)
        guest.send(.hello, "version=1 release=6.1.0 cpus=2")
        guest.send(.start, "0 1000000000")
        guest.declare("one")
        guest.declare("two")
        guest.event("runStarted")
        return guest
    }

    private func finish(_ guest: inout Guest) -> SessionOutcome {
        guest.event("runEnded")
        guest.send(.stop, "0 2000000000 exit 1")
        guest.send(.end, "1")
        return guest.recorder.finish()
    }

    private func bytes(_ outcome: SessionOutcome) -> Int {
        let programs = outcome.programs.map { program in
            program.tests.flatMap(\.issues).reduce(0) { $0 + $1.message.utf8.count }
                + (program.problems + program.output).reduce(0) { $0 + $1.utf8.count }
        }
        return programs.reduce(0, +) + outcome.faults.reduce(0) { $0 + $1.utf8.count }
    }

    @Test("30 MB of a test's issues take little memory, and are counted; the test fails")
    func issues() {
        var guest = guest()
        guest.event("testStarted", "one")
        let text = String(repeating: "x", count: 30_000)
        for number in 0..<1000 { guest.issue("one", text: "\(number % 10)\(number / 10 % 10)\(number / 100)" + text) }
        guest.event("testEnded", "one", at: 2)
        guest.run("two")
        let outcome = finish(&guest)
        let test = outcome.programs[0].tests[0]
        #expect(test.status == .failed)
        #expect(test.issues.count == 100)
        #expect(test.omittedIssues == 900)
        #expect(test.issues[0].message.hasSuffix("x ... and 13,619 more bytes not shown"))
        #expect(bytes(outcome) < 400_000)
        #expect(outcome.programs[0].tests[1].status == .passed)
    }

    @Test("the one issue that fails a test is kept after any number of known ones")
    func knownIssues() {
        var guest = guest()
        guest.event("testStarted", "one")
        for number in 0..<300 { guest.issue("one", known: true, text: "known \(number)") }
        guest.issue("one", text: "real")
        for number in 300..<600 { guest.issue("one", known: true, text: "known \(number)") }
        guest.event("testEnded", "one", at: 2)
        guest.run("two")
        let test = finish(&guest).programs[0].tests[0]
        #expect(test.status == .failed)
        #expect(test.issues.contains { $0.message == "real" && !$0.isKnown })
        #expect(test.issues.count + test.omittedIssues == 601)
    }

    @Test("unreadable records, and issues without a test, are problems, of which a hundred are kept")
    func problems() {
        var guest = guest()
        for _ in 0..<5000 { guest.send(.event, "no JSON") }
        for _ in 0..<50 { guest.issue(nil, text: String(repeating: "y", count: 50_000)) }
        guest.run("one")
        guest.run("two")
        let outcome = finish(&guest)
        #expect(outcome.programs[0].problems.count == 100)
        #expect(outcome.programs[0].omittedProblems >= 4950)
        #expect(bytes(outcome) < 500_000)
    }

    @Test("faults of a session are counted beyond a hundred")
    func faults() {
        var guest = guest()
        for _ in 0..<5000 { guest.send(.error, "no") }
        let outcome = finish(&guest)
        #expect(outcome.faults.count == 101)
        #expect(outcome.faults.last == "... and 4,900 more faults not shown")
    }

    @Test(
        "tests that are described without an end, or have endless names, are a problem; planned ones then did not report"
    )
    func tests() {
        var guest = guest()
        for number in 0..<300 { guest.declare(String(repeating: "n", count: 100_000) + "\(number)") }
        guest.run("one")
        guest.run("two")
        let outcome = finish(&guest)
        #expect(outcome.programs[0].problems.contains { $0.hasPrefix("it describes more than 50000 tests") })
        #expect(outcome.programs[0].tests.map(\.id) == ["M.S/one()", "M.S/two()"])
    }

    @Test("the last lines of a program's output are kept, and the beginning of each")
    func output() {
        var guest = guest()
        guest.send(.output, String(repeating: "z", count: 900_000) + "\n")
        for number in 0..<1000 { guest.send(.output, "line \(number)\r\n") }
        guest.send(.output, String(repeating: "q", count: 900_000))
        guest.run("one")
        guest.run("two")
        let output = finish(&guest).programs[0].output
        #expect(output.count == 200)
        #expect(output[0] == "line 801")
        #expect(output.last?.hasSuffix("q ... and 895,904 more bytes not shown") == true)
    }

    @Test("at most a hundred notes of a program and of the guest are kept, each shortened, and the last one says so")
    func notes() {
        var guest = Guest(ProgramPlan(name: "p", arguments: ["/p"], resultsProtocol: .exitCode(skip: nil)))
        guest.send(.hello, "release=6.1.0")
        for _ in 0..<3000 { guest.send(.note, String(repeating: "n", count: 20_000)) }
        guest.send(.start, "0 0")
        for _ in 0..<3000 { guest.send(.note, String(repeating: "m", count: 20_000)) }
        guest.send(.stop, "0 1 exit 0")
        guest.send(.end, "1")
        let outcome = guest.recorder.finish()
        for notes in [outcome.notes, outcome.programs[0].notes] {
            #expect(notes.count == 100)
            #expect(notes.last == "... and more notes not shown")
            #expect(notes[0].hasSuffix(" more bytes not shown"))
            #expect(notes.reduce(0) { $0 + $1.utf8.count } < 500_000)
        }
        #expect(outcome.programs[0].tests.map(\.status) == [.passed])
    }

    @Test("a program that prints results endlessly does not pass, with that reason")
    func results() {
        var guest = Guest(ProgramPlan(name: "p", arguments: ["/p"], resultsProtocol: .ktap))
        guest.send(.hello, "release=6.1.0")
        guest.send(.start, "0 0")
        guest.send(.output, "KTAP version 1\n")
        let lines = String(repeating: "ok 1 a\n", count: 10_000)
        for _ in 0..<300 { guest.send(.output, lines) }
        guest.send(.stop, "0 1 exit 0")
        guest.send(.end, "1")
        let program = guest.recorder.finish().programs[0]
        #expect(program.tests.count <= 100_000)
        #expect(program.problems.count <= 100 && program.omittedProblems > 0)
        #expect(program.problems.contains { $0.contains("more than 100000 results") } || program.omittedProblems > 0)
        #expect(program.problems.allSatisfy { $0.utf8.count < 5000 })
    }

    @Test("the kernel's log for tests has a limit, which is named; one test gets at most 500 lines")
    func kernelLog() {
        let names = (0..<40).map { "t\($0)" }
        var guest = Guest(
            ProgramPlan(
                name: "bundle", arguments: ["/b"],
                resultsProtocol: .swiftTesting(expected: names.map { "M.S/\($0)()" })))
        guest.send(.hello, "version=1 release=6.1.0 cpus=2")
        guest.console("[    0.000000] kbuild: clock 0")
        for number in 0..<700 { guest.console("[    1.\(100_000 + number)] \(String(repeating: "k", count: 900))") }
        guest.send(.start, "0 0")
        for name in names { guest.declare(name) }
        guest.event("runStarted")
        // They claim to have run at one time, so that each has a right to all of the lines.
        for name in names {
            guest.event("testStarted", name, at: 0)
            guest.event("testEnded", name, at: 1000)
        }
        let logs = finish(&guest).programs[0].tests.map(\.kernelLog)
        #expect(logs.first?.count == 500)
        #expect(logs.joined().reduce(0) { $0 + $1.utf8.count } < 9 << 20)
        #expect(logs.last == ["kbuild: the rest is left out here; the console's log has it"])
    }
}
