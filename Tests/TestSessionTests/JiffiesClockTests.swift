// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import TestSession

@Suite("Jiffies", .timeLimit(.minutes(30)))
struct JiffiesClockTests {
    private func leak(at jiffies: UInt64...) -> Crash {
        var crash = Crash(
            title: "memory leak in f", kind: .memoryLeak, isFatal: false, test: "last", lines: ["x"])
        crash.allocations = jiffies
        return crash
    }

    private func program(_ name: String, _ tests: (String, Double, Double)...) -> SuiteResult {
        var program = SuiteResult(name: name, kind: "swift-testing")
        program.tests = tests.map { id, started, ended in
            var test = TestResult(id: id, name: id, status: .passed)
            (test.started, test.ended) = (started, ended)
            return test
        }
        return program
    }

    /// 250 jiffies a second; the kernel counts from five minutes before 2^32.
    private func clock() -> JiffiesClock {
        var clock = JiffiesClock()
        clock.read("kbuild: jiffies 4294892296 at 2000000000")
        clock.read("another line")
        clock.read("kbuild: jiffies 4294894796 at 12000000000")
        return clock
    }

    @Test("a leak is assigned to the test in whose time it was allocated, or to each of several")
    func tests() {
        let programs = [
            program("a", ("a/one", 3, 4), ("a/two", 4.5, 5)), program("b", ("b", 6, 7)),
            program("ktap", ("ktap/1", 8, 9), ("ktap/2", 8, 9)),
        ]
        func reported(_ jiffies: UInt64...) -> [String?] {
            var crash = leak()
            crash.allocations = jiffies
            return clock().leaks(of: crash, in: programs).map(\.test)
        }
        #expect(reported(4_294_892_296 + 375) == ["a/one"])
        #expect(reported(4_294_892_296 + 700, 4_294_892_296 + 1125, 4_294_892_296 + 701) == ["a/two", "b"])
        // Which of a KTAP program's tests ran is not known.
        #expect(reported(4_294_892_296 + 1625) == ["ktap"])
        // A jiffy late is late enough for no other test.
        #expect(reported(4_294_892_296 + 1253) == ["b"])
        // Of no test, and of the boot.
        #expect(reported(4_294_892_296 + 2300) == ["last"])
        #expect(reported(4_294_892_296 - 300) == ["last"])
        #expect(reported() == ["last"])
    }

    @Test("without two valid samples no time is known")
    func unknown() {
        var clock = JiffiesClock()
        #expect(clock.seconds(at: 5) == nil)
        for line in [
            "kbuild: jiffies 1 at 5", "kbuild: jiffies", "kbuild: jiffies 2 at",
            "kbuild: jiffies 99999999999999999999 at 1",
            "kbuild: jiffies -1 at 2", "kbuild: jiffies 0 at 9",
        ] { clock.read(line) }
        #expect(clock.seconds(at: 5) == nil)
        #expect(clock.leaks(of: leak(at: 1), in: [program("a", ("a", 0, 1))]).map(\.test) == ["last"])
    }

    @Test("other reports are not changed")
    func others() {
        var crash = leak(at: 4_294_892_296 + 375)
        crash.kind = .kasan
        #expect(clock().leaks(of: crash, in: [program("a", ("a/one", 3, 4))]).map(\.test) == ["last"])
    }
}
