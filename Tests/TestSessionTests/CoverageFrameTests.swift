// SPDX-License-Identifier: Apache-2.0
import Coverage
import ResultsModel
import Testing

@testable import TestSession

@Suite("Coverage frames", .timeLimit(.minutes(30)))
struct CoverageFrameTests {
    private struct Guest {
        var recorder: SessionRecorder

        init(_ programs: ProgramPlan...) { recorder = SessionRecorder(plan: SessionPlan(programs: programs)) }

        mutating func send(_ kind: Frame.Kind, _ text: String) {
            _ = recorder.consume(.frame(Frame(sequence: 1, kind: kind, payload: Array(text.utf8))))
        }

        mutating func count(_ value: String) { send(.coverage, "/o/a.gcda\n\(value)") }

        /// An event of a bundle.
        mutating func event(_ kind: String, _ test: String) {
            let id = "M.S/\(test)()/B.swift:1:2"
            if kind == "testStarted" {
                send(
                    .event,
                    #"{"kind":"test","payload":{"kind":"function","id":"\#(id)","displayName":"x"},"version":"6.3.0"}"#)
            }
            send(
                .event,
                #"{"kind":"event","payload":{"kind":"\#(kind)","instant":{"absolute":1},"testID":"\#(id)"},"version":"6.3.0"}"#
            )
        }
    }

    private let bundle = ProgramPlan(
        name: "bundle", arguments: ["/b"], resultsProtocol: .swiftTesting(expected: ["M.S/one()", "M.S/two()"]))
    private let program = ProgramPlan(name: "program", arguments: ["/p"], resultsProtocol: .exitCode(skip: nil))

    @Test("counters belong to the test that is about to end, to a program without known tests, and before that to none")
    func attribution() throws {
        var guest = Guest(program, bundle)
        guest.send(.hello, "version=1 release=6.1.0 cpus=2")
        guest.count("0")
        guest.send(.start, "0 1")
        guest.count("1")
        guest.send(.stop, "0 2 exit 0")
        guest.send(.start, "1 3")
        guest.event("testStarted", "one")
        guest.count("2")
        guest.event("testEnded", "one")
        guest.event("testStarted", "one")
        guest.event("testStarted", "two")
        guest.count("3")
        let counters = try #require(guest.recorder.finish().coverage.first)
        #expect(counters.samples.map(\.test) == [nil, "program", "M.S/one()", "bundle"])
        #expect(counters.samples.map(\.object) == Array(repeating: "/o/a.gcda", count: 4))
        #expect(counters.samples.map(\.bytes) == ["0", "1", "2", "3"].map { Array($0.utf8) })
        #expect(counters.cutShortIn == "M.S/two()")
    }

    @Test("a guest that reported everything is complete, and one without counters has none")
    func whole() {
        var guest = Guest(program)
        guest.send(.hello, "version=1 release=6.1.0 cpus=2")
        #expect(guest.recorder.finish().coverage.isEmpty)
        guest.count("0")
        guest.send(.start, "0 1")
        guest.send(.stop, "0 2 exit 0")
        guest.send(.end, "1")
        #expect(guest.recorder.finish().coverage.map(\.cutShortIn) == [nil])
    }

    @Test("a record without a path is a fault", arguments: ["", "\n", "no line feed"])
    func damaged(payload: String) {
        var guest = Guest(program)
        guest.send(.coverage, payload)
        #expect(guest.recorder.finish().faults == ["a record of coverage counters cannot be read"])
    }

    @Test("durations of calls belong to the test that is about to end, and those of several guests are added")
    func calls() {
        var guest = Guest(bundle)
        guest.send(.start, "0 1")
        guest.event("testStarted", "one")
        guest.send(.calls, "463 16:2 40:1")
        guest.event("testEnded", "one")
        guest.event("testStarted", "two")
        guest.send(.calls, "463 16:1")
        let times = guest.recorder.finish().callTimes
        #expect(times.durations[.init(test: "M.S/one()", number: 463)]?.counts == [16: 2, 40: 1])
        #expect(times.durations[.init(test: "M.S/two()", number: 463)]?.total == 1)
        let part = PartialOutcome(programs: [0], outcome: guest.recorder.finish())
        var whole = SessionOutcome.merging([part, part], plan: SessionPlan(programs: [bundle]))
        whole.take(retry: [part], number: 2)
        #expect(whole.callTimes.durations[.init(test: "M.S/two()", number: 463)]?.total == 3)
        guest.send(.calls, "none")
        #expect(guest.recorder.finish().faults == ["a record of calls' durations cannot be read"])
    }

    @Test("the counts of several guests are kept separate, including those of retries")
    func merging() {
        let plan = SessionPlan(programs: [program])
        func part(_ value: String) -> PartialOutcome {
            var guest = Guest(program)
            guest.count(value)
            return PartialOutcome(programs: [0], outcome: guest.recorder.finish())
        }
        var whole = SessionOutcome.merging([part("1"), part("2")], plan: plan)
        whole.take(retry: [part("3")], number: 2)
        #expect(whole.coverage.flatMap(\.samples).map(\.bytes) == ["1", "2", "3"].map { Array($0.utf8) })
    }
}
