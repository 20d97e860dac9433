// SPDX-License-Identifier: Apache-2.0
import CrashReports
import Fuzzing
import ResultsModel
import Testing

@testable import TestSession

/// The possible output of a compromised guest: damaged frames, and damaged records in complete frames.
@Suite("Damaged streams of a guest", .timeLimit(.minutes(30)))
struct GuestFuzzTests {
    private static func event(_ kind: String, _ rest: String = "") -> String {
        #"{"kind":"event","payload":{"kind":"\#(kind)","instant":{"absolute":1},"testID":"M.S/a()/B.swift:1:2"\#(rest)},"version":"6.3.0"}"#
    }

    private static let plan = SessionPlan(programs: [
        ProgramPlan(
            name: "suite", arguments: ["/suite"], resultsProtocol: .swiftTesting(expected: ["M.S/a()", "M.S/b()"])),
        ProgramPlan(name: "calls", arguments: ["/calls"], resultsProtocol: .ktap),
    ])

    /// A session that ends well: each frame's kind and payload.
    private static let session: [(kind: Frame.Kind, text: String)] = [
        (.hello, "release=6.1.0 tainted=0"), (.kernel, "1000 0 3 0 0"), (.start, "0 1000000000"),
        (
            .event,
            #"{"kind":"test","payload":{"kind":"function","id":"M.S/a()/B.swift:1:2","displayName":"a works"},"version":"6.3.0"}"#
        ),
        (.event, event("testStarted")),
        (
            .event,
            event(
                "issueRecorded",
                #","issue":{"isKnown":true,"isFailure":false},"messages":[{"symbol":"fail","text":"x == 1"}]"#)
        ), (.event, event("testEnded")), (.event, event("runEnded")), (.beat, ""), (.stop, "0 2000000000 exit 0"),
        (.note, "a setting was put back"), (.start, "1 3000000000"), (.output, "KTAP version 1\n1..1\nok 1 call\n"),
        (.stop, "1 4000000000 exit 0"), (.log, "6,1,1000,-;text\n"), (.end, "2"),
    ]

    private static func account(_ bytes: [UInt8], isConsole: Bool) -> SessionOutcome {
        var decoder = isConsole ? ResultsDecoder.console(carriesResults: true) : .port()
        var recorder = SessionRecorder(plan: plan)
        for item in decoder.consume(bytes) + decoder.finish() { _ = recorder.consume(item) }
        return recorder.finish()
    }

    /// The invariants of any session's result.
    private static func check(_ outcome: SessionOutcome, seed: UInt64) {
        #expect(outcome.programs.map(\.name) == ["suite", "calls"], "seed \(seed)")
        // An unreported planned test is in the result, as a failure.
        let suite = Set(outcome.programs[0].tests.map(\.id))
        #expect(suite.isSuperset(of: ["M.S/a()", "M.S/b()"]), "seed \(seed)")
        #expect(!outcome.programs[1].tests.isEmpty || !outcome.programs[1].problems.isEmpty, "seed \(seed)")
        // b never reports, so the session cannot pass.
        #expect(outcome.programs[0].tests.contains { $0.id == "M.S/b()" && $0.status != .passed }, "seed \(seed)")
    }

    @Test("damaged bytes never lose a planned test", arguments: [true, false], 0..<8 as Range<UInt64>)
    func bytes(isConsole: Bool, seed: UInt64) {
        let whole = Self.session.enumerated().flatMap { index, frame in
            Frame(sequence: index + 1, kind: frame.kind, payload: Array(frame.text.utf8)).encoded
        }
        var mutator = Mutator(seed: seed, of: [whole], words: ["\u{1E}", "[    1.000000] BUG: x\n", "event", "stop"])
        for _ in 0..<60 { Self.check(Self.account(mutator.next(), isConsole: isConsole), seed: seed) }
    }

    @Test("frames with damaged contents, in any order, never lose a planned test", arguments: 0..<8 as Range<UInt64>)
    func frames(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var mutators = Self.session.enumerated().map { index, frame in
            Mutator(
                seed: seed &* 100 + UInt64(index), of: [frame.text],
                words: ["9223372036854775807", "-1", "{", "}", "\"", "1e999", "null", "\\u0000", "testEnded"])
        }
        for _ in 0..<120 {
            var recorder = SessionRecorder(plan: Self.plan)
            for index in Self.session.indices {
                let roll = Int.random(in: 0..<8, using: &generator)
                if roll == 0 { continue }
                let other = roll == 1 ? Int.random(in: Self.session.indices, using: &generator) : index
                let payload = roll < 4 ? mutators[other].next() : Array(Self.session[other].text.utf8)
                _ = recorder.consume(.frame(Frame(sequence: 1, kind: Self.session[other].kind, payload: payload)))
            }
            Self.check(recorder.finish(), seed: seed)
        }
    }
}
