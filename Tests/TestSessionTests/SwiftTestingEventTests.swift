// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import TestSession

/// Events as Swift 6.3.1 writes them, for the tests of one bundle. Each test has its own line in P.swift.
private struct Bundle {
    private var recorder: SessionRecorder
    private var ids: [String: String] = [:]

    /// - Parameter tests: Their names: `plain()`, `param(n:)`.
    init(_ tests: String...) {
        recorder = SessionRecorder(
            plan: SessionPlan(programs: [
                ProgramPlan(
                    name: "bundle", arguments: ["/b"], resultsProtocol: .swiftTesting(expected: tests.map { "P.\($0)" })
                )
            ]))
        send(.hello, "release=6.1.0")
        send(.start, "0 0")
        for (index, test) in tests.enumerated() {
            let id = "P.\(test)/P.swift:\(index + 2):2"
            ids[test] = id
            send(
                .event,
                #"{"kind":"test","payload":{"id":"\#(id)","isParameterized":\#(!test.hasSuffix("()")),"kind":"function","name":"\#(test)"},"version":"6.3.0"}"#
            )
        }
        event("runStarted")
    }

    private mutating func send(_ kind: Frame.Kind, _ text: String) {
        _ = recorder.consume(.frame(Frame(sequence: 1, kind: kind, payload: Array(text.utf8))))
    }

    mutating func event(
        _ kind: String, _ test: String? = nil, _ symbol: String? = nil, _ text: String = "", extra: String = ""
    ) {
        let id = test.map { #","testID":"\#(ids[$0] ?? "")""# } ?? ""
        let messages = symbol.map { #"{"symbol":"\#($0)","text":"\#(text)"}"# } ?? ""
        send(
            .event,
            #"{"kind":"event","payload":{"instant":{"absolute":1},"kind":"\#(kind)","messages":[\#(messages)]\#(id)\#(extra)},"version":"6.3.0"}"#
        )
    }

    mutating func start(_ test: String) { event("testStarted", test, "default", "Test \(test) started.") }

    mutating func end(_ test: String, _ symbol: String = "pass", _ text: String = "ended") {
        event("testEnded", test, symbol, text)
    }

    /// Starts and ends a case, with what happens in between.
    mutating func runCase(
        _ test: String, _ arguments: String, count: Int = 1, _ body: (inout Bundle) -> Void = { _ in }
    ) {
        event(
            "testCaseStarted", test, "default",
            "Test case passing \(count) argument\(count == 1 ? "" : "s") \(arguments.replacing("\"", with: "\\\"")) to \(test) started."
        )
        body(&self)
        event("testCaseEnded", test)
    }

    mutating func issue(
        _ test: String, _ text: String, line: Int = 7, extra: String = #""isFailure":true,"isKnown":false"#
    ) {
        event(
            "issueRecorded", test, "fail", text,
            extra: #","issue":{\#(extra),"sourceLocation":{"filePath":"/p/P.swift","line":\#(line)}}"#)
    }

    mutating func finish(_ ending: String = "exit 0") -> SuiteResult {
        event("runEnded")
        send(.stop, "0 2000000000 \(ending)")
        send(.end, "1")
        return recorder.finish().programs[0]
    }
}

@Suite("Swift Testing's events", .timeLimit(.minutes(30)))
struct SwiftTestingEventTests {
    @Test("a test that cancels itself is skipped, with its reason; one that failed before has failed")
    func cancelledTests() {
        var bundle = Bundle("cancels()", "late()", "traits(n:)")
        bundle.start("cancels()")
        bundle.event("testCancelled", "cancels()")
        bundle.event("testCaseCancelled", "cancels()")
        bundle.end("cancels()", "skip", "Test cancels() was cancelled after 0.001 seconds: not here")
        bundle.start("late()")
        bundle.issue("late()", "Expectation failed: 1 == 2")
        bundle.event("testCancelled", "late()")
        bundle.event("testCaseCancelled", "late()")
        bundle.end("late()", "fail")
        // Before its first case.
        bundle.start("traits(n:)")
        bundle.event("testCancelled", "traits(n:)")
        bundle.end("traits(n:)", "skip", "was cancelled")
        let program = bundle.finish("exit 1")
        #expect(program.tests.map(\.status) == [.skipped, .failed, .skipped])
        #expect(program.tests[0].reason == "Test cancels() was cancelled after 0.001 seconds: not here")
        #expect(program.problems.isEmpty)
    }

    @Test("cancelled cases are counted and named; a test all of whose cases were cancelled is skipped")
    func cancelledCases() {
        var bundle = Bundle("some(n:)", "all(n:)")
        bundle.start("some(n:)")
        bundle.runCase("some(n:)", "n → 1")
        bundle.runCase("some(n:)", "n → 2") { $0.event("testCaseCancelled", "some(n:)") }
        bundle.end("some(n:)")
        bundle.start("all(n:)")
        bundle.runCase("all(n:)", "n → 1") { $0.event("testCaseCancelled", "all(n:)") }
        bundle.runCase("all(n:)", "n → 2") { $0.event("testCaseCancelled", "all(n:)") }
        bundle.end("all(n:)")
        let program = bundle.finish()
        #expect(program.tests.map(\.status) == [.passed, .skipped])
        #expect(program.tests[0].reason == "1 of 2 cases was cancelled: n → 2")
        #expect(program.tests[0].skippedCases == 1)
        #expect(program.tests[1].reason == "2 of 2 cases were cancelled: n → 1; n → 2")
        #expect(program.problems.isEmpty)
    }

    @Test("a test without a case, and one with a case that did not end, have not passed")
    func missingCases() {
        var bundle = Bundle("none(n:)", "open(n:)")
        bundle.start("none(n:)")
        bundle.end("none(n:)")
        bundle.start("open(n:)")
        bundle.event(
            "testCaseStarted", "open(n:)", "default", "Test case passing 1 argument n → 1 to open(n:) started.")
        bundle.end("open(n:)")
        let program = bundle.finish("exit 1")
        #expect(program.tests.map(\.status) == [.failed, .failed])
        #expect(program.tests[0].issues.map(\.message) == ["none of its cases ran"])
        #expect(program.tests[1].issues.map(\.message) == ["1 of its cases started and 0 ended"])
    }

    @Test(
        "the library's own result of a test counts",
        arguments: [
            ("pass", TestStatus.passed), ("passWithKnownIssue", .passed), ("skip", .skipped), ("fail", .failed),
            ("melted", .failed),
        ])
    func symbols(symbol: String, status: TestStatus) {
        var bundle = Bundle("plain()")
        bundle.start("plain()")
        bundle.end("plain()", symbol)
        #expect(bundle.finish(status == .failed ? "exit 1" : "exit 0").tests.map(\.status) == [status])
    }

    @Test("an event of an unknown kind is a problem, and a skip cannot take back a failure")
    func strangeEvents() {
        var bundle = Bundle("plain()")
        bundle.start("plain()")
        bundle.issue("plain()", "Expectation failed")
        bundle.event("testPostponed", "plain()")
        bundle.end("plain()", "fail")
        bundle.event("testSkipped", "plain()", "skip", "never mind")
        let program = bundle.finish("exit 1")
        #expect(program.tests.map(\.status) == [.failed])
        #expect(
            program.problems == [
                "its event stream has an event that kbuild does not know: testPostponed",
                "P.plain() was skipped after it had started",
            ])
    }

    @Test("a warning and a known issue do not fail a test; a known issue that did not occur does")
    func milderIssues() {
        var bundle = Bundle("warns()", "known()", "gone()")
        bundle.start("warns()")
        bundle.issue("warns()", "Issue recorded", extra: #""isFailure":false,"isKnown":false,"severity":"warning""#)
        bundle.end("warns()")
        bundle.start("known()")
        bundle.issue("known()", "Expectation failed", extra: #""isFailure":false,"isKnown":true"#)
        bundle.end("known()", "passWithKnownIssue")
        bundle.start("gone()")
        bundle.issue("gone()", "Known issue was not recorded")
        bundle.end("gone()", "fail")
        #expect(bundle.finish("exit 1").tests.map(\.status) == [.passed, .passed, .failed])
    }

    @Test("equal issues are one, with their number and their cases")
    func equalIssues() {
        var bundle = Bundle("param(s:n:)", "loop()")
        bundle.start("param(s:n:)")
        for number in 1...30 {
            bundle.runCase("param(s:n:)", #"s → "a to b", n → \#(number)"#, count: 2) {
                $0.issue("param(s:n:)", "Expectation failed: call()")
            }
        }
        bundle.runCase("param(s:n:)", #"s → "", n → 99"#, count: 2) {
            $0.issue("param(s:n:)", "Expectation failed: call()", line: 8)
        }
        bundle.end("param(s:n:)", "fail")
        bundle.start("loop()")
        for _ in 1...3 { bundle.issue("loop()", "Expectation failed: call()") }
        bundle.end("loop()", "fail")
        let program = bundle.finish("exit 1")
        #expect(program.tests[0].issues.map(\.count) == [30, 1])
        #expect(program.tests[0].issues[0].arguments.count == TestCases.mostArguments)
        #expect(program.tests[0].issues[0].arguments.first == #"s → "a to b", n → 1"#)
        #expect(program.tests[0].issues[1].arguments == [#"s → "", n → 99"#])
        #expect(program.tests[1].issues.map(\.count) == [3])
        #expect(program.tests[1].issues[0].arguments.isEmpty)
    }

    @Test("a case's text of another form is kept unchanged, and a long one is shortened")
    func caseTexts() {
        #expect(TestCases.arguments(in: "Case 7 begins") == "Case 7 begins")
        #expect(TestCases.arguments(in: #"Test case passing 1 argument n → 1 to "to be" started."#) == "n → 1")
        let long = TestCases.arguments(
            in: "Test case passing 1 argument \(String(repeating: "x", count: 9000)) to f(n:) started.")
        #expect(long.count == TestCases.longestArguments + 1)
    }
}
