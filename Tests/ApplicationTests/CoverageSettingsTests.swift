// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import KernelConfig
import SystemPackage
import Testing

@testable import Application
@testable import Project

@Suite("Coverage settings", .timeLimit(.minutes(30)))
struct CoverageSettingsTests {
    private func load(_ text: String, isAsked: Bool = false) throws -> Project {
        try Project.load(
            text: text, file: "/p/kbuild.yaml", profile: nil,
            overrides: isAsked ? [.init(key: "coverage.collect", value: "on", flag: "--coverage")] : [])
    }

    @Test("the flag and the project file enable coverage; the project file also sets the files and the minimum")
    func forms() throws {
        #expect(try load("{}\n").coverage == nil)
        #expect(try load("coverage: off\n").coverage == nil)
        #expect(try load("coverage: on\n").coverage == CoverageSettings())
        #expect(try load("{}\n", isAsked: true).coverage == CoverageSettings())
        #expect(try load("coverage: off\n", isAsked: true).coverage == CoverageSettings())
        let text = "coverage: {minimum: 90, files: [kernel/signal.c], collect: off}\n"
        #expect(try load(text).coverage == nil)
        let asked = CoverageSettings(minimumPercent: 90, files: ["kernel/signal.c"])
        #expect(try load(text, isAsked: true).coverage == asked)
        #expect(try load("coverage: {minimum: 90, files: [kernel/signal.c]}\n").coverage == asked)
    }

    @Test(
        "impossible settings are refused",
        arguments: [
            "coverage: {minimum: 101}\n", "coverage: {files: [kernel/signal.h]}\n", "coverage: {files: [/etc/a.c]}\n",
            "coverage: {files: [../a.c]}\n", "coverage: 90\n", "coverage: {least: 3}\n",
            "coverage: on\nmachine: {type: uml}\nkernel: {uml-config: [a.config]}\n",
        ])
    func errors(text: String) {
        #expect(#expect(throws: Failure.self) { try load(text) }?.code == .usage)
    }

    @Test("the printed project can be read again")
    func rendered() throws {
        for text in ["coverage: on\n", "coverage: {minimum: 75, files: [kernel/a.c, mm/b.c]}\n"] {
            let project = try load(text)
            #expect(try load(project.rendered()).coverage == project.coverage)
        }
    }

    @Test("the first of two kernels has coverage, and so does a single kernel with races")
    func kernels() throws {
        let sets = try load("check: all\ncoverage: on\n").checkerSets
        #expect(sets.map { $0.coverage != nil } == [true, false])
        #expect(try load("check: races\ncoverage: on\n").checkerSets.map { $0.coverage != nil } == [true])
    }

    @Test("its fragment is valid, and does not instrument any object")
    func fragment() throws {
        let entries = try ConfigFragment(parsing: CoverageSettings.fragment, file: "coverage").entries
        #expect(entries.contains { $0.name == "GCOV_KERNEL" } || entries.contains { $0.name == "CONFIG_GCOV_KERNEL" })
        #expect(CoverageSettings.fragment.contains("# CONFIG_GCOV_PROFILE_ALL is not set"))
    }

    @Test("the objects of C files have make's names, and names with a meaning in a makefile are refused")
    func objects() {
        #expect(KernelSteps.objects(of: ["kernel/a/b.c", "mm/c-d.c", "x/$(shell id).c"]) == ["b.o", "c-d.o"])
        #expect(CoverageNotes.name(of: "kernel/a/b.c") == "kernel,a,b.gcno")
    }
}
