// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import Testing

@testable import Application
@testable import Project

@Suite("Provenance of inputs", .timeLimit(.minutes(30)))
struct ProvenanceTests {
    private let root: FilePath
    private var home: FilePath { root.appending("project") }
    private var outside: FilePath { root.appending("elsewhere") }

    init() throws {
        root = FilePath(NSTemporaryDirectory()).appending("kbuild-provenance-\(UUID().uuidString)")
        for path in [
            "project/kernel/a/1.patch", "project/linux/Kconfig", "project/tests/suite/Package.swift",
            "project/tests/one.c", "project/rootfs/default.yaml", "project/rootfs/init/Init.swift", "project/x.config",
            "elsewhere/1.patch", "elsewhere/linux/Kconfig", "elsewhere/suite/Package.swift", "elsewhere/one.c",
            "elsewhere/rootfs/default.yaml", "elsewhere/rootfs/init/Init.swift", "elsewhere/x.config",
            "elsewhere/header.h", "elsewhere/linux.tar.xz",
        ] {
            let file = root.pushing(FilePath(path))
            try createFolder(file.removingLastComponent())
            try writeAtomically("\n", to: file)
        }
    }

    /// The remarks on a project with these lines in its file.
    private func remarks(_ yaml: String, rootfsFiles: [FilePath] = []) throws -> [String] {
        defer { try? removeAll(root) }
        return try provenance(yaml, rootfsFiles: rootfsFiles).foreign.compactMap(\.remark)
    }

    private func provenance(_ yaml: String, rootfsFiles: [FilePath] = []) throws -> Provenance {
        let project = try Project.load(
            text: yaml, file: home.appending("kbuild.yaml"), profile: nil, overrides: [])
        return Provenance(of: project, rootfsFiles: rootfsFiles)
    }

    private func link(_ name: String, to target: String) throws {
        try #require(symlink(target, home.pushing(FilePath(name)).string) == 0)
    }

    /// A project with only its own files, beside a source that the test names.
    private static let own = """
        kernel: {source: ./linux, patches: [kernel/a], config: [x.config]}
        tests: [{swift: tests/suite}, {c: tests/one.c}]

        """

    @Test("a project with only its own files has no foreign input")
    func nothing() throws { #expect(try remarks(Self.own).isEmpty) }

    @Test(
        "a foreign file may be a link within its folder, to the project or the system, but not to other host files")
    func linkedPrograms() throws {
        defer { try? removeAll(root) }
        func check(_ name: String, _ target: FilePath, sandbox: String = "auto") throws {
            let link = root.pushing(FilePath(name))
            try removeAll(link)
            try #require(symlink(target.string, link.string) == 0)
            let project = try Project.load(
                text: "sandbox: \(sandbox)\n", file: home.appending("kbuild.yaml"), profile: nil, overrides: [])
            try Provenance.checkLink(.testProgram, link, of: project)
        }
        try check("elsewhere/suite/run", outside.pushing("suite/Package.swift"))
        try check("elsewhere/suite/run", home.pushing("tests/one.c"))
        try check("elsewhere/suite/run", "/usr/bin/env")
        let failure = #expect(throws: Failure.self) {
            try check("elsewhere/suite/run", outside.appending("header.h"))
        }
        #expect(failure?.code == .usage)
        try check("elsewhere/suite/run", outside.appending("header.h"), sandbox: "off")
        // The user's own links may lead anywhere; then their targets are foreign.
        try check("project/tests/run", outside.appending("header.h"))
    }

    @Test(
        "a file outside of the folder is foreign, and the remark names it",
        arguments: [
            ("kernel/a", "../elsewhere/1.patch", "the patch"),
            ("./linux", "../elsewhere/linux", "the kernel source"),
            ("./linux", "../elsewhere/linux.tar.xz", "the kernel source"),
            ("x.config", "../elsewhere/x.config", "the configuration fragment"),
            ("tests/suite", "../elsewhere/suite", "the test package"),
            ("tests/one.c", "../elsewhere/one.c", "the test program"),
        ])
    func outsideOfTheFolder(own: String, foreign: String, kind: String) throws {
        let found = try remarks(Self.own.replacing(own, with: foreign))
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix(kind) == true)
        #expect(found.first?.contains(FilePath(foreign).lastComponent?.string ?? "?") == true)
        #expect(found.first?.hasSuffix("is from outside of the project") == true)
    }

    @Test("a link anywhere does not make its target the project's own")
    func links() throws {
        try removeAll(home.pushing("kernel/a"))
        try link("kernel/a", to: outside.string)
        try link("tests/suite/Sources", to: outside.string)
        try link("tests/header.h", to: outside.appending("header.h").string)
        let found = try remarks(Self.own)
        #expect(found.count == 3)
        #expect(found.contains { $0.hasPrefix("the patch") })
        #expect(found.contains { $0.hasPrefix("the test package") && $0.contains("suite/Sources, a link") })
        #expect(found.contains { $0.hasPrefix("the test program") && $0.contains("header.h beside it") })
    }

    @Test("a link within the project belongs to the project")
    func innerLinks() throws {
        try link("tests/suite/Sources", to: "../../kernel")
        try link("patches", to: "kernel/a")
        #expect(try remarks(Self.own.replacing("kernel/a", with: "patches")).isEmpty)
    }

    @Test("a git repository is foreign, wherever it is")
    func git() throws {
        let provenance = try provenance(Self.own.replacing("./linux", with: "\"git+./linux#main\""))
        defer { try? removeAll(root) }
        #expect(provenance.foreign.map(\.remark) == ["the kernel source git+./linux#main comes from a git repository"])
        #expect(provenance.hasForeignKernel)
        #expect(!provenance.hasForeignNumbers)
    }

    @Test("an outside definition of the root file system is foreign, with its init, and must not name host files")
    func rootfs() throws {
        let yaml = Self.own + "rootfs: {definition: ../elsewhere/rootfs/default.yaml}\n"
        let provenance = try provenance(yaml)
        #expect(provenance.foreign.map(\.kind) == [.rootfsDefinition, .initSources])
        #expect(!provenance.isTrusted(outside.pushing("rootfs/init")))
        let definition = outside.pushing("rootfs/default.yaml")
        let secret = home.appending("x.config")
        let failure = #expect(throws: Failure.self) { try provenance.checkFiles(named: [secret], by: definition) }
        #expect(failure?.code == .usage)
        #expect(throws: Failure.self) { try provenance.checkFiles(named: ["/etc/passwd"], by: definition) }
        try provenance.checkFiles(named: [outside.pushing("rootfs/init/Init.swift")], by: definition)
        // The project's own may name what it likes.
        try provenance.checkFiles(named: [secret, "/etc/passwd"], by: home.pushing("rootfs/default.yaml"))
        #expect(try remarks(Self.own, rootfsFiles: [outside.appending("one.c"), secret]).count == 1)
    }

    @Test("a test package that depends on an outside package is foreign, also indirectly")
    func dependencies() throws {
        try createFolder(home.pushing("lib"))
        try writeAtomically(
            ".package(name: \"lib\", path: \"../../lib\")", to: home.pushing("tests/suite/Package.swift"))
        try writeAtomically(".package(path: \"../../elsewhere\")", to: home.pushing("lib/Package.swift"))
        let provenance = try provenance(Self.own)
        #expect(provenance.foreign.first?.remark?.contains("depends on") == true)
        #expect(!provenance.isTrusted(home.pushing("tests/suite")))
        try writeAtomically("\n", to: home.pushing("lib/Package.swift"))
        #expect(try remarks(Self.own).isEmpty)
    }

    @Test("only system files that only root can change, and archives that a package lists, are trusted")
    func system() throws {
        defer { try? removeAll(root) }
        #expect(Provenance.isOfSystem(Provenance.resolved("/bin/sh")))
        #expect(!Provenance.isOfSystem("/etc/passwd"))
        #expect(!Provenance.isOfSystem("/usr/local/bin/x"))
        #expect(!Provenance.isOfSystem(outside.appending("one.c")))
        #expect(!Provenance.isOfSystem("/usr/src/put-there-by-hand.tar.xz"))
        for name in ["linux-source-6.1", "linux-source-6.12"] {
            let archive = FilePath("/usr/src/\(name).tar.xz")
            guard fileExists(archive) else { continue }
            #expect(Provenance.isOfSystem(archive), "\(name)")
            #expect(try remarks(Self.own.replacing("./linux", with: name)).isEmpty)
        }
        // Every user can write to /tmp.
        #expect(!Provenance.onlyRootChanges("/tmp"))
    }

    @Test("the generated numbers make their users as foreign as the patch; own tests are trusted with own patches")
    func numbers() throws {
        defer { try? removeAll(root) }
        func rules(_ yaml: String) throws -> Confinement.Rules {
            Confinement.Rules(user: nil, provenance: try provenance(yaml), coversAll: false)
        }
        let suite = home.pushing("tests/suite")
        let patched = try rules(Self.own.replacing("kernel/a", with: "../elsewhere/1.patch"))
        #expect(patched.kernel != nil)
        #expect(patched.covering(suite, includingNumbers: true) != nil)
        #expect(patched.covering(suite, includingNumbers: false) == nil)
        let tested = try rules(Self.own.replacing("tests/one.c", with: "../elsewhere/one.c"))
        #expect(tested.kernel == nil)
        #expect(tested.covering(suite, includingNumbers: true) == nil)
        #expect(tested.covering(outside.appending("one.c"), includingNumbers: true) != nil)
    }

    @Test("the message names one input of each kind, and the number of the others")
    func said() throws {
        let yaml = Self.own.replacing("[kernel/a]", with: "[../elsewhere/1.patch, ../elsewhere/header.h]")
            .replacing("x.config", with: "../elsewhere/x.config")
        let lines = Confinement.remarks(on: try provenance(yaml).foreign)
        try? removeAll(root)
        #expect(lines.count == 2)
        #expect(lines.first?.hasSuffix("1.patch is from outside of the project (and 1 more like it)") == true)
    }
}
