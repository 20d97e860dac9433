// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import TestSession
import Testing

@testable import Application
@testable import Authoring
@testable import KernelBuild
@testable import Project

private func load(_ text: String, _ overrides: ProjectOverride...) throws -> Project {
    try Project.load(text: text, file: "/p/kbuild.yaml", profile: nil, overrides: overrides)
}

/// Kernel modules in the project file, their scaffold, and the order in which a guest loads them.
@Suite("modules of a project", .timeLimit(.minutes(30)))
struct ModuleProjectTests {
    private static let text = """
        modules:
          - {path: modules/ring, parameters: [size=4, mode=a]}
          - path: /elsewhere/other
        tests:
          - {c: a.c, modules: [ring]}
          - {c: b.c, modules: []}
          - {c: c.c}
        """

    @Test("modules are read; a test has those that it names, or all")
    func keys() throws {
        let project = try load(Self.text)
        #expect(project.modules.map(\.path) == ["/p/modules/ring", "/elsewhere/other"])
        #expect(project.modules[0].parameters == ["size=4", "mode=a"])
        #expect((0..<3).map(project.moduleNames(ofTest:)) == [["ring"], [], ["ring", "other"]])
        #expect(project.namesModules)
        // What is printed is the same project.
        let again = try load(project.rendered())
        #expect(again.modules == project.modules && again.testModules == project.testModules)
        let some = project.keepingTests { if case .program(let program) = $0 { program.name != "a" } else { false } }
        #expect((0..<2).map(some.moduleNames(ofTest:)) == [[], ["ring", "other"]])
        #expect(try !load("tests: [{c: a.c}]").namesModules)
    }

    @Test("a module of the command line is one more")
    func override() throws {
        let flag = ProjectOverride(key: "modules", .fields(["path": "/home/me/mine"]), flag: "--module")
        #expect(try load(Self.text, flag).modules.map(\.name) == ["ring", "other", "mine"])
        #expect(try load("{}\n", flag).moduleNames(ofTest: 0) == ["mine"])
    }

    @Test(
        "errors have their place",
        arguments: [
            ("modules: [{parameters: [a=1]}]", "modules[0] needs path"),
            ("modules: [{path: 'a b'}]", "does not end in a name"),
            ("modules: [{path: x/my-ring}, {path: y/my_ring}]", "modules[1] has the name of modules[0]"),
            ("modules: [{path: a, parameters: [size]}]", "is not NAME=VALUE"),
            ("modules: [{path: a, parameters: ['a=1 b']}]", "is not NAME=VALUE"),
            ("tests: [{c: a.c, modules: ['x y']}]", "tests[0].modules has x y"),
            ("modules: [{path: a, name: b}]", "unknown key modules[0].name"),
        ])
    func errors(text: String, message: String) throws {
        let failure = #expect(throws: Failure.self) { try load(text) }
        #expect(failure?.code == .usage)
        #expect(failure?.message.hasPrefix("/p/kbuild.yaml:1:") == true)
        #expect(failure?.message.contains(message) == true, "\(failure?.message ?? "")")
    }

    // MARK: The scaffold

    @Test("a module is added to a project's file, whichever lists it has")
    func editor() throws {
        func adding(_ text: String) throws -> String {
            var editor = ProjectFileEditor(file: "/p/kbuild.yaml", text: text)
            try editor.addModule("modules/ring", testedBy: "Tests/programs/ring.c", named: "ring")
            return editor.text
        }
        let module = "{path: modules/ring}"
        let test = "{c: Tests/programs/ring.c, name: ring, protocol: ktap, modules: [ring]}"
        #expect(
            try adding("machine: {cpus: 1}\n")
                == "machine: {cpus: 1}\n\nmodules:\n  - \(module)\n\ntests:\n  - \(test)\n")
        #expect(
            try adding("# mine\nmodules:\n  - path: a  # one\ntests: [{c: x.c}]\n")
                == "# mine\nmodules:\n  - path: a  # one\n  - \(module)\ntests: [{c: x.c}, \(test)]\n")
        let failure = #expect(throws: Failure.self) { try adding("modules: [{path: other/ring}]\n") }
        #expect(failure?.code == .usage)
    }

    @Test("the files of a scaffold have each place filled in")
    func scaffold() throws {
        for isDevice in [false, true] {
            let scaffold = try ModuleScaffold(name: "ring_2", isDevice: isDevice)
            let texts = [scaffold.kbuild, scaffold.source, scaffold.program, scaffold.tests] + [scaffold.header ?? ""]
            for text in texts { #expect(!text.contains("{{") && !text.contains("@@"), "\(text)") }
            #expect(scaffold.kbuild.hasSuffix("obj-m := ring_2.o\n"))
            #expect(scaffold.suite == "Ring2ModuleTests" && scaffold.tests.contains("struct Ring2ModuleTests {"))
            #expect((scaffold.header != nil) == isDevice)
            // The program's plan is as long as its results.
            let planned = scaffold.program.contains("1..1") ? 1 : 9
            #expect(scaffold.program.ranges(of: "\tcheck(").count == (isDevice ? planned : 0))
        }
        for name in ["Ring", "2ring", "my-ring", "", "a b", String(repeating: "a", count: 41)] {
            #expect(throws: Failure.self, "\(name)") { try ModuleScaffold(name: name, isDevice: true) }
        }
    }

    @Test("the command writes the files and the keys, and refuses names that are taken")
    func creation() throws {
        let folder = FilePath(FileManager.default.temporaryDirectory.path).appending("module-\(UUID().uuidString)")
        defer { try? removeAll(folder) }
        let file = folder.appending("kbuild.yaml")
        try createFolder(folder)
        try writeAtomically("tests: []\n", to: file)
        let created = try ModuleCreation(try Project.load(file)).create("ring", isDevice: true)
        #expect(created.files.count == 5 && created.nextCommand == "kbuild test '^ring$'")
        let project = try Project.load(file)
        #expect(project.modules.map(\.path) == [folder.pushing("modules/ring")])
        #expect(project.moduleNames(ofTest: 0) == ["ring"])
        for name in ["modules/ring/Kbuild", "modules/ring/ring.c", "modules/ring/ring.h", "Tests/programs/ring.c"] {
            #expect(fileExists(folder.pushing(FilePath(name))), "\(name)")
        }
        #expect(throws: Failure.self) { try ModuleCreation(project).create("ring", isDevice: false) }
        #expect(
            try ModuleSources(project.modules[0], of: project).files.keys.sorted() == ["Kbuild", "ring.c", "ring.h"])
    }

    // MARK: Sources

    @Test("what make has left in a folder is no source; a changed file alone is copied, and a removed one starts anew")
    func sources() throws {
        let folder = FilePath(FileManager.default.temporaryDirectory.path).appending("module-\(UUID().uuidString)")
        defer { try? removeAll(folder) }
        let own = folder.pushing("modules/ring")
        try createFolder(own.appending("sub"))
        try writeAtomically("tests: []\nmodules: [{path: modules/ring}]\n", to: folder.appending("kbuild.yaml"))
        let project = try Project.load(folder.appending("kbuild.yaml"))
        let failure = #expect(throws: Failure.self) { try ModuleSources(project.modules[0], of: project) }
        #expect(failure?.message.contains("no Kbuild file") == true)
        for name in [
            "Makefile", "ring.c", "sub/part.c", "ring.o", "ring.ko", "ring.mod.c", ".ring.o.cmd", "modules.order",
            "Module.symvers",
        ] { try writeAtomically(name, to: own.pushing(FilePath(name))) }
        func sources() throws -> ModuleSources { try ModuleSources(project.modules[0], of: project) }
        #expect(try sources().files.keys.sorted() == ["Makefile", "ring.c", "sub/part.c"])
        let digest = try sources().digest(StatCache(file: nil))
        let copy = folder.appending("copy")
        try sources().copy(to: copy)
        #expect(try readText(copy.pushing("sub/part.c")) == "sub/part.c")
        try writeAtomically("object", to: copy.appending("ring.o"))
        func time(_ name: String) throws -> Int64 {
            let attributes = try FileManager.default.attributesOfItem(atPath: copy.appending(name).string)
            return Int64((try #require(attributes[.modificationDate] as? Date)).timeIntervalSince1970 * 1e6)
        }
        let before = try time("Makefile")
        try writeAtomically("changed", to: own.appending("ring.c"))
        try sources().copy(to: copy)
        #expect(try readText(copy.appending("ring.c")) == "changed" && fileExists(copy.appending("ring.o")))
        #expect(try time("Makefile") == before)
        #expect(try sources().digest(StatCache(file: nil)) != digest)
        try removeAll(own.pushing("sub/part.c"))
        try sources().copy(to: copy)
        #expect(!fileExists(copy.appending("ring.o")) && !fileExists(copy.pushing("sub/part.c")))
    }

    // MARK: The order of loading

    private func object(_ name: String, needs: [String] = []) throws -> ModuleObject {
        let info = try #require(ModuleInfo(ModuleFile.bytes("name=\(name)\0depends=\(needs.joined(separator: ","))\0")))
        return ModuleObject(info: info, file: FilePath("/\(name).ko"), symbols: nil, guestPath: "x/\(name).ko")
    }

    @Test("modules come after those that they need, of the project and of the kernel, each once")
    func order() throws {
        let folder = FilePath(FileManager.default.temporaryDirectory.path).appending("module-\(UUID().uuidString)")
        defer { try? removeAll(folder) }
        try createFolder(folder)
        try writeAtomically(
            "kernel/c.ko: kernel/b.ko kernel/a-1.ko\nkernel/b.ko: kernel/a-1.ko\nkernel/a-1.ko:\n",
            to: folder.appending("modules.dep"))
        var set = ModuleSet()
        set.kernelTree = folder
        func module(_ name: String, _ parameters: [String] = [], _ objects: ModuleObject...) -> BuiltModule {
            BuiltModule(module: .init(path: FilePath("/m/\(name)"), parameters: parameters), objects: objects)
        }
        set.built = [
            module("ring", ["size=4"], try object("ring", needs: ["base", "b"])),
            module("base", [], try object("base")),
        ]
        let plan = try set.plan(["ring", "base", "c"])
        #expect(plan.map(\.name) == ["base", "a_1", "b", "ring", "c"])
        #expect(plan[3].parameters == ["size=4"])
        #expect(plan[3].path == "/kbuild/programs/modules/x/ring.ko")
        #expect(plan[1].path == "/kbuild/programs/kernel-modules/kernel/a-1.ko")
        #expect(try set.plan(["a-1"]).map(\.name) == ["a_1"])
        let failure = #expect(throws: Failure.self) { try set.plan(["rign"]) }
        #expect(failure?.message.contains("did you mean ring") == true)
        set.built = [module("x", [], try object("x", needs: ["y"])), module("y", [], try object("y", needs: ["x"]))]
        #expect(throws: Failure.self) { try set.plan(["x"]) }
    }
}

/// A module's file with a section .modinfo and nothing else.
enum ModuleFile {
    static func bytes(_ information: String) -> [UInt8] {
        let names = Array("\0.modinfo\0.shstrtab\0".utf8)
        let contents = Array(information.utf8)
        func number(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 0xFF) } }
        func section(_ name: Int, at offset: Int, size: Int) -> [UInt8] {
            number(name, 4) + number(1, 4) + number(0, 16) + number(offset, 8) + number(size, 8) + number(0, 24)
        }
        let table = 64 + names.count + contents.count
        let header =
            [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0] + number(0, 8) + number(1, 2) + number(62, 2) + number(1, 4)
            + number(0, 16) + number(table, 8) + number(0, 4) + number(64, 2) + number(0, 4) + number(64, 2)
            + number(3, 2) + number(2, 2)
        return header + names + contents + section(0, at: 0, size: 0)
            + section(1, at: 64 + names.count, size: contents.count) + section(10, at: 64, size: names.count)
    }
}
