// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import TestSession

/// What init says of kernel modules, and the verdict that follows.
@Suite("modules in a session", .timeLimit(.minutes(30)))
struct ModuleRecordTests {
    private static let ring = ModulePlan(name: "ring", path: "/m/ring.ko", parameters: ["size=4"])

    private static func program(_ name: String, _ modules: ModulePlan...) -> ProgramPlan {
        var program = ProgramPlan(name: name, arguments: ["/\(name)"], resultsProtocol: .exitCode(skip: nil))
        program.modules = modules
        return program
    }

    /// The outcome of a session with two programs, the first of which has the module.
    private func outcome(_ frames: (Frame.Kind, String)...) -> SessionOutcome {
        var recorder = SessionRecorder(plan: SessionPlan(programs: [Self.program("a", Self.ring), Self.program("b")]))
        for (kind, text) in [(.hello, "release=6.1 tainted=0")] + frames + [(Frame.Kind.end, "2")] {
            _ = recorder.consume(.frame(Frame(sequence: 1, kind: kind, payload: Array(text.utf8))))
        }
        return recorder.finish()
    }

    private static let second: [(Frame.Kind, String)] = [(.start, "1 30"), (.stop, "1 40 exit 0")]

    @Test("a module that was loaded and unloaded is no problem")
    func whole() {
        let outcome = outcome(
            (.start, "0 10"), (.module, "loaded ring .text=ffffffffc0000000 .init.text=ffffffffc0010000"),
            (.module, "unloaded ring"), (.stop, "0 20 exit 0"), Self.second[0], Self.second[1])
        #expect(outcome.isComplete && outcome.faults.isEmpty)
        #expect(outcome.programs.allSatisfy { $0.problems.isEmpty && $0.tests.map(\.status) == [.passed] })
    }

    @Test("a module that cannot be loaded or unloaded is a problem of the program that ran")
    func failures() {
        let loading = outcome(
            (.start, "0 10"), (.module, "failed ring the module ring could not be loaded: Invalid argument"),
            (.stop, "0 20 failed the module ring could not be loaded: Invalid argument"), Self.second[0],
            Self.second[1])
        #expect(loading.programs[0].problems.first == "the module ring could not be loaded: Invalid argument")
        #expect(!loading.programs[0].problems.contains("the module ring was not loaded"))
        #expect(loading.programs[0].tests.map(\.status) == [.failed] && loading.programs[1].problems.isEmpty)
        let unloading = outcome(
            (.start, "0 10"), (.module, "loaded ring"), (.module, "failed ring it was still in use"),
            (.stop, "0 20 exit 0"), Self.second[0], Self.second[1])
        #expect(unloading.programs[0].problems == ["it was still in use"])
        #expect(unloading.faults.isEmpty)
    }

    @Test("the problem outlasts a program that ran into its limit")
    func limit() {
        let outcome = outcome(
            (.start, "0 10"), (.module, "loaded ring"), (.module, "failed ring it was still in use"),
            (.stop, "0 20 timeout"), Self.second[0], Self.second[1])
        #expect(outcome.programs[0].problems == ["it was still in use"])
        #expect(outcome.programs[0].tests.map(\.status) == [.timedOut])
    }

    @Test("silence about a module is never a pass")
    func silence() {
        let never = outcome((.start, "0 10"), (.stop, "0 20 exit 0"), Self.second[0], Self.second[1])
        #expect(never.programs[0].problems == ["the module ring was not loaded"])
        let left = outcome(
            (.start, "0 10"), (.module, "loaded ring"), (.stop, "0 20 exit 0"), Self.second[0], Self.second[1])
        #expect(left.faults == ["the module ring was not unloaded"])
        let odd = outcome(
            (.start, "0 10"), (.module, "unloaded ring"), (.module, "loaded ring"), (.module, "unloaded ring"),
            (.stop, "0 20 exit 0"), Self.second[0], Self.second[1])
        #expect(odd.programs[0].problems == ["the module ring was unloaded without having been loaded"])
    }

    @Test("a module that was unloaded behind one program was not there for the next, and one that stayed was")
    func eachProgram() {
        func problems(_ between: [(Frame.Kind, String)], _ last: [(Frame.Kind, String)]) -> [[String]] {
            let plan = SessionPlan(programs: [Self.program("a", Self.ring), Self.program("b", Self.ring)])
            var recorder = SessionRecorder(plan: plan)
            let frames: [(Frame.Kind, String)] =
                [(.hello, "release=6.1 tainted=0"), (.start, "0 10"), (.module, "loaded ring")] + between
                + [(.stop, "0 20 exit 0"), (.start, "1 30")] + last + [(.stop, "1 40 exit 0"), (.end, "2")]
            for (kind, text) in frames {
                _ = recorder.consume(.frame(Frame(sequence: 1, kind: kind, payload: Array(text.utf8))))
            }
            let outcome = recorder.finish()
            #expect(outcome.faults.isEmpty)
            return outcome.programs.map(\.problems)
        }
        let unloaded: (Frame.Kind, String) = (.module, "unloaded ring")
        #expect(problems([], [unloaded]) == [[], []])
        #expect(problems([unloaded], [(.module, "loaded ring"), unloaded]) == [[], []])
        #expect(problems([unloaded], []) == [[], ["the module ring was not loaded"]])
    }

    @Test(
        "a record in another form is a fault",
        arguments: [
            "", "loaded", "loaded ", "loaded ring .text", "loaded ring .text=x", "unloaded ring now", "failed ring",
        ])
    func damaged(payload: String) {
        #expect(ModuleRecord(payload: payload) == nil)
        #expect(outcome((.module, payload)).faults.contains("a record of a kernel module cannot be read"))
    }

    @Test("addresses in a module that is gone are named by the host")
    func naming() throws {
        var ring = Self.ring
        ring.functions = [
            ModuleFunction(section: ".init.text", offset: 0, size: 0x40, name: "init_module"),
            ModuleFunction(section: ".text", offset: 0x10, size: 0x20, name: "ring_open"),
        ]
        let plan = SessionPlan(programs: [Self.program("a", ring)])
        var account = ModuleAccount()
        let text =
            "   [<00000000d1c8d2c5>] 0xffffffffc0000014\n 0xffffffffc0010040 0xffffffffc0000008 x0xffffffffc0000014"
        func named() -> String { String(decoding: account.naming(Array(text.utf8), plan: plan), as: UTF8.self) }
        #expect(named() == text)
        let record = ModuleRecord(payload: "loaded ring .text=ffffffffc0000000 .init.text=ffffffffc0010000")
        #expect(account.consume(try #require(record)) == nil)
        #expect(account.consume(.unloaded("ring")) == nil)
        #expect(
            named() == "   [<00000000d1c8d2c5>] ring_open+0x4/0x20 [ring]\n init_module+0x40/0x40 [ring] "
                + "0xffffffffc0000008 x0xffffffffc0000014")
    }

    @Test("the plan names modules with their parameters, and takes no newline")
    func plan() throws {
        #expect(
            try SessionPlan(programs: [Self.program("a", Self.ring)]).encoded()
                == "kbuild-plan 1\nprogram output 0\nmodule ring /m/ring.ko size=4\narg /a\nend\ndone\n")
        var bad = Self.ring
        bad.parameters = ["a=1\nend"]
        #expect(throws: (any Error).self) { try SessionPlan(programs: [Self.program("a", bad)]).encoded() }
    }
}
