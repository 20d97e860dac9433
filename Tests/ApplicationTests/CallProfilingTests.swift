// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import SystemPackage
import Testing

@testable import Application
@testable import Project

@Suite("Profiling calls", .timeLimit(.minutes(30)))
struct CallProfilingTests {
    private func load(_ text: String, isAsked: Bool = false) throws -> Project {
        try Project.load(
            text: text, file: "/p/kbuild.yaml", profile: nil,
            overrides: isAsked ? [.init(key: "profile-calls", value: "on", flag: "--profile-calls")] : [])
    }

    @Test("the flag and the project file ask for it, and the printed project can be read again")
    func forms() throws {
        #expect(try !load("{}\n").profilesCalls)
        #expect(try load("profile-calls: on\n").profilesCalls)
        #expect(try load("profile-calls: off\n", isAsked: true).profilesCalls)
        #expect(try load(load("profile-calls: on\n").rendered()).profilesCalls)
    }

    @Test("the first of two kernels has the profile, and so does a single kernel with races")
    func kernels() throws {
        #expect(try load("check: all\nprofile-calls: on\n").checkerSets.map(\.profilesCalls) == [true, false])
        #expect(try load("check: races\nprofile-calls: on\n").checkerSets.map(\.profilesCalls) == [true])
    }

    @Test("costs with checkers or coverage are compared only with their like")
    func conditions() throws {
        #expect(try CallProfiling.conditions(load("profile-calls: on\n")).isEmpty)
        let text = "check: [locks, leaks]\ncoverage: on\n"
        #expect(try CallProfiling.conditions(load(text)) == ["check locks", "check leaks", "coverage"])
    }

    @Test("costs are instructions where the processor is emulated, and init is told the calls' numbers")
    func units() {
        func machine(_ accelerator: String) -> RunReport.Machine {
            .init(
                type: "q35", accelerator: accelerator, acceleratorReason: "", memoryMegabytes: 1, cpus: 1, rootfs: "",
                results: "")
        }
        #expect(CallProfiling.unit(machine("tcg")) == .instructions)
        #expect(
            CallProfiling.unit(machine("kvm")) == .nanoseconds && CallProfiling.unit(machine("none")) == .nanoseconds)
        #expect(CallProfiling.kernelArguments([], unit: .instructions).isEmpty)
        #expect(
            CallProfiling.kernelArguments([463, 470], unit: .instructions) == ["kbuild.calls=instructions,463,470"])
        #expect(CallProfiling.kernelArguments([463], unit: .nanoseconds) == ["kbuild.calls=time,463"])
    }
}
