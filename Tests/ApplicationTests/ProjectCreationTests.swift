// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import Testing

@testable import Application
@testable import Authoring
@testable import Project

@Suite("A new project", .timeLimit(.minutes(30)))
struct ProjectCreationTests {
    private let folder: FilePath

    init() {
        folder = FilePath(FileManager.default.temporaryDirectory.path(percentEncoded: false))
            .appending("kbuild-\(UUID().uuidString)")
    }

    private func files(in folder: FilePath, below prefix: String = "") throws -> [String] {
        try namesInFolder(folder).flatMap { name -> [String] in
            let path = folder.appending(name)
            return isFolder(path) ? try files(in: path, below: prefix + name + "/") : [prefix + name]
        }.sorted()
    }

    private static let repository = FilePath(#filePath).removingLastComponent().removingLastComponent()
        .removingLastComponent()

    /// The files under version control: kbuild writes the others.
    private func ownFiles() throws -> [String] { try files(in: folder).filter { !$0.hasPrefix(".kbuild/") } }

    private func load(_ profile: String? = nil) throws -> Project {
        try Project.load(folder.appending("kbuild.yaml"), profile: profile, overrides: [])
    }

    @Test("it has eight files, can be loaded, and finds the other files in the folder that kbuild writes")
    func complete() throws {
        defer { try? removeAll(folder) }
        let created = try ProjectCreation.create(in: folder, source: nil)
        #expect(created.entries.contains("kernel/"))
        #expect(created.entries.contains("kbuild.yaml"))
        #expect(
            try ownFiles() == [
                ".gitignore", "README.md", "Tests/GuestTests/Package.swift",
                "Tests/GuestTests/Tests/HelloThereTests/HelloThereTests.swift", "kbuild.yaml",
                "kernel/hello_there/README.md", "kernel/hello_there/hello_there.c", "kernel/hello_there/syscall.yaml",
            ])
        let project = try load()
        for path in project.kernel.patches + (project.kernel.config + project.kernel.umlConfig).compactMap(\.file) + [
            project.rootfsDefinition
        ] {
            #expect(fileExists(path), "\(path)")
        }
        #expect(project.tests.count == 1)
        for name in ["initramfs", "uml"] { _ = try load(name) }
        for name in ["rootfs", "Sources/SyscallTesting", "Sources/CSyscall"] {
            let original = Self.repository.pushing(FilePath(name))
            let copy = folder.appending(".kbuild").pushing(FilePath(name))
            // Documentation is for the repository's readers.
            let sources = try files(in: original).filter { !$0.contains(".docc/") }
            #expect(try files(in: copy) == sources)
            for file in sources {
                let path = FilePath(file)
                #expect(try readBytes(copy.pushing(path)) == readBytes(original.pushing(path)), "\(name)/\(file)")
            }
        }
        #expect(try !files(in: folder).contains { $0.contains(".kbuild-init") })
        // kbuild's own files are not foreign to a project; otherwise its build would be confined.
        let foreign = Provenance(of: project).foreign.filter { $0.kind != .kernelSource }
        #expect(foreign.isEmpty, "\(foreign)")
    }

    @Test("the folder that kbuild writes is restored: changed, missing, additional files, and links in place of files")
    func restores() throws {
        defer { try? removeAll(folder) }
        _ = try ProjectCreation.create(in: folder, source: nil)
        let support = folder.appending(".kbuild")
        let before = try files(in: support)
        let sources = support.pushing("Sources/SyscallTesting")
        let base = support.pushing("configs/base.config")
        let text = try readText(base)
        let elsewhere = folder.appending("mine")
        try writeAtomically("mine", to: elsewhere)
        try writeAtomically("CONFIG_MODULES=y\n", to: base)
        try writeAtomically("let x = 1\n", to: sources.appending("Additional.swift"))
        try removeAll(sources.appending("Syscall.swift"))
        try FileManager.default.createSymbolicLink(
            atPath: sources.appending("Syscall.swift").string, withDestinationPath: elsewhere.string)
        try removeAll(support.appending("rootfs"))
        try FileManager.default.createSymbolicLink(
            atPath: support.appending("rootfs").string, withDestinationPath: folder.string)
        try SupportFolder.refresh(for: load())
        #expect(try files(in: support) == before)
        #expect(try readText(base) == text)
        #expect(try readText(elsewhere) == "mine")
        #expect(throws: (any Error).self) { try symbolicLinkTarget(sources.appending("Syscall.swift")) }
        // Equal files are not written, so that nothing is built again.
        let stamp = try FileManager.default.attributesOfItem(atPath: base.string)[.systemFileNumber] as? Int
        try SupportFolder.refresh(for: load())
        #expect(try FileManager.default.attributesOfItem(atPath: base.string)[.systemFileNumber] as? Int == stamp)
    }

    @Test("a link in place of the folder that kbuild writes is refused, and its target is not changed")
    func refusesLink() throws {
        defer { try? removeAll(folder) }
        _ = try ProjectCreation.create(in: folder, source: nil)
        let support = folder.appending(".kbuild")
        try removeAll(support)
        try createFolder(folder.appending("other"))
        try FileManager.default.createSymbolicLink(atPath: support.string, withDestinationPath: "other")
        let failure = #expect(throws: Failure.self) { try SupportFolder.refresh(for: load()) }
        #expect(failure?.code == .usage)
        #expect(failure?.message.contains("\(support)") == true)
        #expect(try namesInFolder(folder.appending("other")).isEmpty)
    }

    @Test("a folder of that name that kbuild did not write is refused and not changed", arguments: ["", "*\n"])
    func refusesForeignFolder(ignored: String) throws {
        defer { try? removeAll(folder) }
        _ = try ProjectCreation.create(in: folder, source: nil)
        let support = folder.appending(".kbuild")
        try removeAll(support)
        try createFolder(support.appending("configs"))
        try writeAtomically("mine", to: support.pushing("configs/notes"))
        if !ignored.isEmpty { try writeAtomically(ignored, to: support.appending(".gitignore")) }
        let failure = #expect(throws: Failure.self) { try SupportFolder.refresh(for: load()) }
        #expect(failure?.code == .usage)
        #expect(failure?.message.contains("was not written by kbuild") == true)
        #expect(try readText(support.pushing("configs/notes")) == "mine")
    }

    @Test("a project with its own files, as earlier versions made them, does not get kbuild's folder")
    func oldShape() throws {
        defer { try? removeAll(folder) }
        try createFolder(folder.appending("rootfs"))
        try createFolder(folder.pushing("Tests/GuestTests"))
        try writeAtomically("busybox: /bin/busybox\n", to: folder.pushing("rootfs/default.yaml"))
        try writeAtomically(
            "kernel: {config: [configs/base.config]}\ntests: [{swift: Tests/GuestTests}]\n",
            to: folder.appending("kbuild.yaml"))
        try writeAtomically(
            ".package(name: \"kbuild\", path: \"../..\")\n", to: folder.pushing("Tests/GuestTests/Package.swift"))
        let project = try load()
        #expect(project.rootfsDefinition == folder.pushing("rootfs/default.yaml"))
        try SupportFolder.refresh(for: project)
        #expect(!fileExists(folder.appending(".kbuild")))
        // Any one of the three is enough to get it.
        try writeAtomically(
            ".package(name: \"kbuild\", path: \"../../.kbuild\")\n",
            to: folder.pushing("Tests/GuestTests/Package.swift"))
        try SupportFolder.refresh(for: load())
        #expect(fileExists(folder.pushing(".kbuild/Sources/SyscallTesting/Syscall.swift")))
        try removeAll(folder.appending(".kbuild"))
        try removeAll(folder.appending("Tests"))
        try removeAll(folder.appending("rootfs"))
        try SupportFolder.refresh(for: load())
        #expect(fileExists(folder.pushing(".kbuild/rootfs/init/Init.swift")))
    }

    @Test("a folder that is not empty is refused with the next step, and is not changed")
    func refuses() throws {
        defer { try? removeAll(folder) }
        try createFolder(folder)
        try writeAtomically("mine", to: folder.appending("notes"))
        let failure = #expect(throws: Failure.self) { try ProjectCreation.create(in: folder, source: nil) }
        #expect(failure?.code == .usage)
        #expect(failure?.nextStep?.contains("kbuild init NAME") == true)
        #expect(try files(in: folder) == ["notes"])
        let file = #expect(throws: Failure.self) {
            try ProjectCreation.create(in: folder.appending("notes"), source: nil)
        }
        #expect(file?.code == .usage)
    }

    @Test("a bad kernel source is refused before anything is written; a good one is in the project file")
    func source() throws {
        defer { try? removeAll(folder) }
        let failure = #expect(throws: Failure.self) { try ProjectCreation.create(in: folder, source: "nothing") }
        #expect(failure?.code == .usage)
        #expect(!fileExists(folder))
        // A fresh git repository counts as empty.
        try createFolder(folder.appending(".git"))
        _ = try ProjectCreation.create(in: folder, source: "git+https://example.org/linux.git#v6.1")
        let project = try Project.load(folder.appending("kbuild.yaml"), profile: nil, overrides: [])
        #expect(project.kernel.source == "git+https://example.org/linux.git#v6.1")
    }
}
