// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing
import VirtualMachine

@testable import GuestSession
@testable import TestSession

@Suite("Guests that end with the same crash", .timeLimit(.minutes(5)))
struct CrashTallyTests {
    private func result(_ title: String, fatal: Bool = true, limit: LimitReached? = nil) -> SessionResult {
        let crash = Crash(title: title, kind: .nullPointer, isFatal: fatal, lines: [])
        let outcome = SessionOutcome(programs: [], crashes: [crash], faults: [], release: "6.1", isComplete: false)
        return SessionResult(outcome: outcome, exit: nil, limit: limit, machineSeconds: 1)
    }

    @Test("the third equal crash ends the run, told once")
    func third() {
        let tally = CrashTally(isOn: true)
        #expect(tally.count(result("a")) == nil)
        #expect(tally.count(result("b")) == nil)
        #expect(tally.count(result("a")) == nil)
        #expect(tally.reason == nil)
        #expect(tally.count(result("a")) == "3 guests ended with the same crash: a")
        #expect(tally.count(result("a")) == nil)
        #expect(tally.reason != nil)
    }

    @Test("a thread that the kernel ended counts; a report that a guest got over does not, nor does a limit")
    func kinds() {
        let tally = CrashTally(isOn: true)
        for _ in 0..<5 { #expect(tally.count(result("WARNING in f", fatal: false)) == nil) }
        for _ in 0..<5 { #expect(tally.count(result("INFO: hung task", fatal: false, limit: .test("t", 1))) == nil) }
        for _ in 0..<2 { #expect(tally.count(result("oops", fatal: false, limit: .lostThread("t", 1))) == nil) }
        #expect(tally.count(result("oops", fatal: false, limit: .lostThread("t", 1))) != nil)
    }

    @Test("with --keep-going nothing ends it")
    func keepGoing() {
        let tally = CrashTally(isOn: false)
        for _ in 0..<9 { #expect(tally.count(result("a")) == nil) }
        #expect(tally.reason == nil)
    }
}
