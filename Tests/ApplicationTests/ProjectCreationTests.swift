// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import Testing

@testable import Authoring
@testable import Project

@Suite("A new project")
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

    @Test("it is complete and loads, and what it carries is what this repository has")
    func complete() throws {
        defer { try? removeAll(folder) }
        let created = try ProjectCreation.create(in: folder, source: nil)
        #expect(created.entries.contains("kernel/"))
        #expect(created.entries.contains("kbuild.yaml"))
        let project = try Project.load(folder.appending("kbuild.yaml"), profile: nil, overrides: [])
        for path in project.kernel.patches + project.kernel.config + project.kernel.umlConfig {
            #expect(fileExists(path), "\(path)")
        }
        #expect(project.tests.count == 1)
        for name in ["initramfs", "uml"] {
            _ = try Project.load(folder.appending("kbuild.yaml"), profile: name, overrides: [])
        }
        let repository = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        for name in ["rootfs", "Sources/SyscallTesting", "Sources/CSyscall"] {
            let original = repository.pushing(FilePath(name))
            let copy = folder.pushing(FilePath(name))
            #expect(try files(in: copy) == files(in: original))
            for file in try files(in: original) {
                let path = FilePath(file)
                #expect(try readBytes(copy.pushing(path)) == readBytes(original.pushing(path)), "\(name)/\(file)")
            }
        }
        #expect(try !files(in: folder).contains { $0.contains(".kbuild-init") })
    }

    @Test("a folder with something in it is refused with the next step, and left as it is")
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
        // A fresh git repository is as good as empty.
        try createFolder(folder.appending(".git"))
        _ = try ProjectCreation.create(in: folder, source: "git+https://example.org/linux.git#v6.1")
        let project = try Project.load(folder.appending("kbuild.yaml"), profile: nil, overrides: [])
        #expect(project.kernel.source == "git+https://example.org/linux.git#v6.1")
    }
}
