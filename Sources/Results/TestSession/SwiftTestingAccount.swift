// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel

/// The results of Swift Testing bundles, recorded from their event streams, one bundle after the other.
struct SwiftTestingAccount: Sendable {
    /// The index of each described test among the program's.
    private var testIndex: [String: Int] = [:]
    private var runEnded = false
    /// The running tests, by their ids in the stream, the latest last.
    private(set) var runningTests: [String] = []
    /// The cases of each test, by the test's index.
    private var cases: [Int: TestCases] = [:]
    /// The remaining space for names and for issues' messages, in bytes, for all bundles.
    private var nameBytesLeft = SessionBounds.mostNameBytes
    private var messageBytesLeft: Int

    /// Prepares for a session with this number of planned tests.
    init(plannedTests: Int) {
        messageBytesLeft = min(
            SessionBounds.mostMessageBytes, SessionBounds.messageBytesOfTest * (plannedTests + 1))
    }

    /// Whether the bundle has described no test.
    var isEmpty: Bool { testIndex.isEmpty }

    /// A bundle starts.
    mutating func begin() {
        testIndex = [:]
        runningTests = []
        cases = [:]
        runEnded = false
    }

    /// The bundle has ended, and none of its tests runs any more.
    mutating func end() {
        runningTests = []
    }

    /// The bundle's exit code must agree with its events: 0 when all passed, another code when not.
    func check(_ program: inout SuiteResult, ending: String, expected: [String]) {
        if ending == "timeout" {
            finishRunning(of: &program, as: .timedOut, reason: "the program ran into its limit")
            return
        }
        if runEnded {
            // Another guest may still run them; but this guest must not skip them.
            let reported = Set(program.tests.filter { $0.status != .notReported }.map(\.id))
                .union(runningTests.compactMap { testIndex[$0] }.map { program.tests[$0].id })
            let missing = expected.filter { !reported.contains($0) }
            if let first = missing.first {
                let others = missing.count > 1 ? " and \(missing.count - 1) more" : ""
                program.problems.append("its run ended without \(first)\(others)")
            }
        }
        let anyFailed = program.tests.contains { $0.status == .failed }
        if !runEnded {
            program.problems.append("it ended (\(ending)) before its run had ended")
            finishRunning(of: &program, as: .failed, reason: "the program ended (\(ending)) while this test ran")
        } else if !runningTests.isEmpty {
            program.problems.append("its run ended while a test was running")
            finishRunning(of: &program, as: .failed, reason: "the run ended while this test ran")
        } else if ending == "exit 0", anyFailed {
            program.problems.append("it exited with 0 although a test failed")
        } else if ending != "exit 0", !anyFailed {
            program.problems.append("it ended with \(ending) although no test failed")
        }
    }

    /// Sets the status of the running tests.
    func finishRunning(of program: inout SuiteResult, as status: TestStatus, reason: String) {
        for index in runningTests.compactMap({ testIndex[$0] }) {
            program.tests[index].status = status
            program.tests[index].reason = reason
        }
    }

    /// Consumes a record of the program's event stream.
    mutating func consume(_ record: [UInt8], of program: inout SuiteResult) -> [SessionEvent] {
        guard let record = try? JSONDecoder().decode(SwiftTestingRecord.self, from: Data(record)) else {
            program.problems.append("a record of its event stream cannot be read")
            return []
        }
        let payload = record.payload
        if record.kind == "test" {
            if payload.kind == "function", let id = payload.id {
                // A second description would replace the results of the first.
                guard testIndex[id] == nil else {
                    program.problems.append("\(listedName(ofTestID: id)) was described twice")
                    return []
                }
                let name = (payload.displayName ?? payload.name ?? "").cut(toBytes: ResultBounds.longestProblem)
                // A test that is not kept here has not reported, which is a failure.
                guard hasRoom(forNames: 2 * id.utf8.count + name.utf8.count, of: &program) else { return [] }
                testIndex[id] = program.tests.count
                if payload.isParameterized == true {
                    cases[program.tests.count] = TestCases(isExpected: true)
                }
                let listed = listedName(ofTestID: id)
                program.tests.append(
                    TestResult(id: listed, name: name.isEmpty ? listed : name, status: .notReported))
            }
            return []
        }
        guard SwiftTestingRecord.eventKinds.contains(payload.kind) else {
            program.problems.append(
                "its event stream has an event that kbuild does not know: \(payload.kind)")
            return []
        }
        if payload.kind == "runEnded" {
            runEnded = true
            return []
        }
        if payload.kind == "issueRecorded" {
            recordIssue(payload, of: &program)
            return []
        }
        guard let id = payload.testID, let index = testIndex[id] else { return [] }
        let test = program.tests[index]
        switch payload.kind {
        case "testStarted":
            // Each test runs once. A second start is a forgery.
            if test.started != nil { program.problems.append("\(test.id) started twice") }
            program.tests[index].started = payload.instant?.absolute
            guard runningTests.count < SessionBounds.mostRunning else {
                program.problems.append("more than \(SessionBounds.mostRunning) tests ran at one time")
                return []
            }
            runningTests.append(id)
            return [.testStarted(id: test.id)]
        case "testSkipped":
            guard test.started == nil, test.status == .notReported else {
                program.problems.append("\(test.id) was skipped after it had started")
                return []
            }
            program.tests[index].status = .skipped
            program.tests[index].reason = payload.messages?.map(\.text).joined(separator: "; ")
            return [.testEnded(program.tests[index])]
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
                program.problems.append("\(test.id) \(what)")
                return []
            }
            end(index, of: &program, payload)
            return [.testEnded(program.tests[index])]
        default:
            return []
        }
    }

    /// Reserves space for another test of a bundle; false when there are too many.
    private mutating func hasRoom(forNames bytes: Int, of program: inout SuiteResult) -> Bool {
        guard bytes <= nameBytesLeft, program.tests.count < SessionBounds.mostTests else {
            program.problems.append(
                "it describes more than \(SessionBounds.mostTests) tests, or their names have more than "
                    + "\(SessionBounds.mostNameBytes >> 20) MB")
            return false
        }
        nameBytesLeft -= bytes
        return true
    }

    /// The part of an issue's message for which there is space.
    private mutating func kept(message: String) -> String {
        let room = min(SessionBounds.longestMessage, max(SessionBounds.shortestCut, messageBytesLeft))
        let text = message.cut(toBytes: room)
        messageBytesLeft -= text.utf8.count
        return text
    }

    /// Judges a test that has ended. It passed only if nothing contradicts that: an issue, a case that did not end, a
    /// cancellation, or the library's own status.
    private mutating func end(
        _ index: Int, of program: inout SuiteResult, _ payload: SwiftTestingRecord.Payload
    ) {
        var test = program.tests[index]
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
        program.tests[index] = test
    }

    /// The error of a test without an issue whose end has this symbol; nil when there is none.
    private static func flaw(endingWith symbol: String?) -> String? {
        switch symbol {
        case nil, "pass", "passWithKnownIssue", "passWithWarnings": nil
        case "fail": "its end says that it failed, and no issue of it came"
        case let symbol?: "its end has the symbol \(symbol), which kbuild does not know"
        }
    }

    private mutating func recordIssue(_ payload: SwiftTestingRecord.Payload, of program: inout SuiteResult) {
        let message = (payload.messages ?? []).map(\.text).joined(separator: "\n")
        var issue = TestIssue(
            message: message.cut(toBytes: SessionBounds.longestMessage),
            file: payload.issue?.sourceLocation?.filePath ?? payload.issue?.sourceLocation?.fileID,
            line: payload.issue?.sourceLocation?.line,
            isKnown: payload.issue?.isKnown == true || payload.issue?.isFailure == false)
        if let id = payload.testID, let index = testIndex[id] {
            let argument = cases[index]?.current
            // A test keeps few issues, so a search through them is cheap.
            if let place = program.tests[index].issues.firstIndex(where: { $0.isLike(issue) }) {
                program.tests[index].issues[place].count += 1
                if let argument, program.tests[index].issues[place].hasRoom(for: argument) {
                    program.tests[index].issues[place].arguments.append(kept(message: argument))
                }
            } else {
                issue.message = kept(message: message)
                if let argument { issue.arguments = [kept(message: argument)] }
                program.tests[index].issues.append(issue)
            }
            // A thread that outlives its test may still record an issue for it.
            if !issue.isKnown, program.tests[index].ended != nil {
                program.tests[index].status = .failed
            }
        } else if !issue.isKnown {
            // An issue outside every test function: a suite's, or from a thread that outlived its test.
            program.problems.append(kept(message: message))
        }
    }
}
