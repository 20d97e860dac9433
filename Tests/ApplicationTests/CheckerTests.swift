// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import KernelConfig
import SystemPackage
import Testing

@testable import Project

@Suite("Checkers", .timeLimit(.minutes(30)))
struct CheckerTests {
    private func load(_ text: String, _ flag: String? = nil) throws -> Project {
        try Project.load(
            text: text, file: "/p/kbuild.yaml", profile: nil,
            overrides: flag.map { [.init(key: "check", value: $0, flag: "--check")] } ?? [])
    }

    @Test(
        "the value is a word, a list of words, or all",
        arguments: [
            ("check: memory\n", [Checker.memory]), ("check: \"locks, memory\"\n", [.memory, .locks]),
            ("check: [leaks, locks, leaks]\n", [.locks, .leaks]), ("check: all\n", Checker.allCases), ("{}\n", []),
        ])
    func words(text: String, checks: [Checker]) throws {
        #expect(try load(text).checks == checks)
        #expect(try load("check: races\n", "locks,stack").checks == [.locks, .stack])
    }

    @Test("memory and races together need two kernels; any other set needs one")
    func kernels() throws {
        func sets(_ words: String) throws -> [[Checker]] { try load("{}\n", words).checkerSets.map(\.checks) }
        #expect(try sets("memory,races") == [[.memory], [.races]])
        #expect(try sets("all") == [[.memory, .locks, .leaks, .stack, .undefined], [.races]])
        #expect(try sets("races,locks") == [[.races, .locks]])
        #expect(try sets("memory,locks") == [[.memory, .locks]])
        #expect(try load("{}\n").checkerSets.map(\.checks) == [[]])
    }

    @Test("an unknown checker gets a suggestion, and user-mode Linux supports none")

    func errors() {
        let unknown = #expect(throws: Failure.self) { try load("check: memmory\n") }
        #expect(unknown?.message.contains("did you mean memory?") == true)
        #expect(unknown?.code == .usage)
        #expect(throws: Failure.self) {
            try load("check: locks\nmachine: {type: uml}\nkernel: {uml-config: [a.config]}\n")
        }
    }

    @Test("only limits and memory grow with the checkers' cost")
    func costs() throws {
        let plain = try load("{}\n")
        let checked = try load("{}\n", "memory")
        #expect(checked.limits.test == plain.timeouts.test * 3 && checked.limits.boot == plain.timeouts.boot * 3)
        #expect(checked.scaled(20) == 60)
        #expect(plain.limits == plain.timeouts)
        // The project's values are not scaled, so that a report's configuration is read again unchanged.
        #expect(checked.timeouts == plain.timeouts)
        #expect(checked.machine.memoryMegabytes == 1024)
        #expect(try load("machine: {memory: 2G}\n", "memory").machine.memoryMegabytes == 2048)
        #expect(try load("{}\n", "stack").limits == plain.timeouts)
    }

    @Test("a limit on the command line is not scaled, and one in the project file is")
    func typedLimit() throws {
        let typed = try Project.load(
            text: "check: memory\ntimeouts: {run: 20}\n", file: "/p/kbuild.yaml", profile: nil,
            overrides: [.init(key: "timeouts.run", value: "90", flag: "--timeout")])
        #expect(typed.limits.run == 90 && typed.limits.test == typed.timeouts.test * 3)
        #expect(try load("check: memory\ntimeouts: {run: 20}\n").limits.run == 60)
    }

    @Test("KASAN continues after its first report, and KCSAN sets more watchpoints for few files than for many")
    func commandLine() {
        #expect(Checker.memory.kernelArguments(watchingFewFiles: true) == ["kasan_multi_shot"])
        let few = Checker.races.kernelArguments(watchingFewFiles: true)
        let all = Checker.races.kernelArguments(watchingFewFiles: false)
        #expect(few != all && few.allSatisfy { $0.hasPrefix("kcsan.") } && few.count == all.count)
        #expect(Checker.leaks.kernelArguments(watchingFewFiles: false) == ["kbuild.leaks=on"])
    }

    @Test("each fragment is valid", arguments: Checker.allCases)
    func fragments(checker: Checker) throws {
        let fragment = try ConfigFragment(parsing: checker.fragment, file: checker.rawValue)
        #expect(!fragment.entries.isEmpty)
        #expect(Set(fragment.entries.map(\.name)).count == fragment.entries.count)
    }

    @Test("the printed project can be read again")
    func rendered() throws {
        let project = try load("check: [locks, stack]\n")
        #expect(try load(project.rendered()).checks == project.checks)
        let limits = try load("check: memory\n")
        #expect(try load(limits.rendered()).limits == limits.limits)
    }
}
