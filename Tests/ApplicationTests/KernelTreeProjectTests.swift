// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import ResultsModel
import SystemPackage
import Testing

@testable import Application
@testable import Project
@testable import Reporting

@Suite("A kernel tree without a project", .timeLimit(.minutes(30)))
struct KernelTreeProjectTests {
    private let scratch: FilePath
    private let environment: [String: String]

    init() throws {
        scratch = FilePath(FileManager.default.temporaryDirectory.path).appending("tree-\(UUID().uuidString)")
        environment = ["KBUILD_CACHE": scratch.appending("cache").string]
        try createFolder(scratch)
    }

    /// Creates the files by which a kernel tree is recognized.
    private func makeTree(_ name: String) throws -> FilePath {
        let tree = scratch.appending(name)
        for folder in ["arch", "init", "kernel/sched"] { try createFolder(tree.pushing(FilePath(folder))) }
        for file in ["Kbuild", "Kconfig", "init/main.c"] { try writeAtomically("\n", to: tree.pushing(FilePath(file))) }
        try writeAtomically(
            "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 3\nKBUILD_BUILTIN := y\n", to: tree.appending("Makefile"))
        return tree
    }

    @Test("it has a project in the cache, from any folder of the tree, and nothing is written to the tree")
    func locate() throws {
        defer { try? removeAll(scratch) }
        let tree = try makeTree("linux")
        let before = try namesInFolder(tree)
        let file = try Project.locate(nil, from: tree.pushing("kernel/sched"), environment: environment)
        #expect(file.starts(with: scratch.appending("cache")))
        #expect(try Project.locate(tree.string, from: "/", environment: environment) == file)
        #expect(try namesInFolder(tree) == before)
        let project = try Project.load(file)
        #expect(project.kernelTree == tree && project.place == tree && project.onlyBoots)
        #expect(project.kernel.source == tree.string)
        // Its author is the user of kbuild.
        #expect(!Provenance(of: project).hasForeignKernel)
        let selection = project.selecting("kselftest:timers")
        let (selftests, filter) = (selection.project, selection.filter)
        #expect(!selftests.onlyBoots && filter == nil)
    }

    @Test("a record of a tree beside a user's project file is ignored")
    func forgedRecord() throws {
        defer { try? removeAll(scratch) }
        let tree = try makeTree("linux")
        let folder = scratch.pushing("trees/project")
        try createFolder(folder)
        try writeAtomically("kernel: {source: \(tree)}\n", to: folder.appending("kbuild.yaml"))
        try writeAtomically(tree.string, to: folder.appending(".kernel-tree"))
        let project = try Project.load(folder.appending("kbuild.yaml"))
        #expect(project.kernelTree == nil && Provenance(of: project).hasForeignKernel)
    }

    @Test("the configuration starts from the tree's own .config, and a base on the command line has precedence")
    func ownConfiguration() throws {
        defer { try? removeAll(scratch) }
        let tree = try makeTree("linux")
        func load(_ overrides: ProjectOverride...) throws -> Project {
            try Project.load(try Project.locate(nil, from: tree, environment: environment), overrides: overrides)
        }
        func names(_ project: Project) -> [String?] { project.kernel.config.map { $0.file?.lastComponent?.string } }
        // Without one it is kbuild's own, the fastest to build and to boot.
        #expect(try load().kernel.base == .target("tinyconfig") && names(load()) == ["base.config"])
        let defconfig = try load(ProjectOverride(key: "kernel.base", value: "defconfig", flag: "--config"))
        #expect(defconfig.kernel.base == .target("defconfig") && names(defconfig) == ["guest.config"])
        try writeAtomically("CONFIG_A=y\n", to: tree.appending(".config"))
        let own = try load()
        #expect(own.kernel.base == .file(tree.appending(".config")) && names(own) == ["guest.config"])
        // Like the tree it belongs to the user, so it is not confined.
        #expect(!Provenance(of: own).hasForeignKernel)
        let added = try load(ProjectOverride(key: "kernel.config", .entry("kernel:debug"), flag: "--fragment"))
        #expect(added.kernel.config.count == 2 && added.kernel.config.last == .kernel("debug"))
        let fast = try load(ProjectOverride(key: "kernel.base", value: "tinyconfig", flag: "--config"))
        #expect(names(fast) == ["base.config"])
        // Without the file there is no base.
        try removeAll(tree.appending(".config"))
        #expect(try load().kernel.base == .target("tinyconfig"))
    }

    @Test("another source on the command line is foreign, as in any project")
    func otherSource() throws {
        defer { try? removeAll(scratch) }
        let file = try Project.locate(nil, from: try makeTree("linux"), environment: environment)
        let other = try makeTree("other")
        let project = try Project.load(
            file, overrides: [.init(key: "kernel.source", value: other.string, flag: "--kernel")])
        #expect(Provenance(of: project).hasForeignKernel)
    }

    @Test("a kbuild.yaml above or in the tree has precedence, and another folder has no project")
    func precedence() throws {
        defer { try? removeAll(scratch) }
        #expect(throws: Failure.self) { try Project.locate(nil, from: scratch, environment: environment) }
        let tree = try makeTree("linux")
        try writeAtomically("kernel: {source: linux}\n", to: scratch.appending("kbuild.yaml"))
        #expect(try Project.locate(nil, from: tree, environment: environment) == scratch.appending("kbuild.yaml"))
        try removeAll(scratch.appending("kbuild.yaml"))
        try removeAll(tree.appending("Kbuild"))
        #expect(throws: Failure.self) { try Project.locate(nil, from: tree, environment: environment) }
    }

    @Test("a clean boot is a separate verdict; a report of the kernel is a crash")
    func verdict() {
        var report = RunReport(startedAt: "", project: "/linux")
        report.isBootCheck = true
        report.suites = [
            .init(name: "boot", kind: "exit-code", tests: [.init(id: "boot", name: "boot", status: .passed)])
        ]
        #expect(report.exitCode == 0 && report.verdictWord == "BOOTED CLEAN")
        report.crashes = [
            .init(title: "WARNING in f", isFatal: false, lines: ["WARNING: CPU: 0"])
        ]
        #expect(report.exitCode == 5 && report.verdictWord == "CRASHED")
        report.crashes = []
        report.suites[0].tests[0].status = .notReported
        #expect(report.exitCode == 1 && report.verdictWord == "FAILED")
    }
}
