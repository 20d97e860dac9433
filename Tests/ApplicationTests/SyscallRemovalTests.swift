// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import Testing

@testable import Application
@testable import Authoring
@testable import Project

@Suite("syscall remove", .timeLimit(.minutes(30)))
struct SyscallRemovalTests {
    private static let spec = """
        # Two calls.
        folder: kernel
        sources: [box.c]
        syscalls:
          - name: box_put
            arguments:
              - int a
            # Of box_put.
            number: { "6.1": 451 }

          # Of the list.
          - name: "box_get"  # the second
            arguments: []
          - {name: box, arguments: []}

        """

    @Test("an entry is removed with everything indented below it, and nothing else is")
    func entries() {
        let lines = Self.spec.textLines(keepsEmpty: true).map(String.init)
        func without(_ range: Range<Int>) -> String {
            (lines[..<range.lowerBound] + lines[range.upperBound...]).joined(separator: "\n")
        }
        #expect(SyscallRemoval.inSpec(Self.spec, name: "box_put") == without(4..<9))
        #expect(SyscallRemoval.inSpec(Self.spec, name: "box_get") == without(11..<13))
        #expect(SyscallRemoval.inSpec(Self.spec, name: "box") == without(13..<14))
        for name in ["bo", "box_", "get", ""] {
            #expect(SyscallRemoval.inSpec(Self.spec, name: name) == nil, "\(name)")
        }
        let crlf = Self.spec.replacingOccurrences(of: "\n", with: "\r\n")
        #expect(
            SyscallRemoval.inSpec(crlf, name: "box") == without(13..<14).replacingOccurrences(of: "\n", with: "\r\n"))
        // An entry that shares its lines with others cannot be removed.
        #expect(SyscallRemoval.inSpec("syscalls: [{name: box, arguments: []}]\n", name: "box") == nil)
    }

    private func actions(_ scratch: FilePath) throws -> SyscallActions {
        SyscallActions(
            try ProjectContext(
                project: Project.load(scratch.appending("kbuild.yaml")),
                environment: ["KBUILD_CACHE": scratch.appending("cache").string], supervisor: nil, onEvent: { _ in }))
    }

    @Test("a call is removed from the spec, the last call's folder from the project file, and no file is deleted")
    func actions() throws {
        let scratch = FilePath(FileManager.default.temporaryDirectory.path).appending("remove-\(UUID().uuidString)")
        defer { try? removeAll(scratch) }
        try createFolder(scratch.pushing("kernel/box"))
        try createFolder(scratch.pushing("kernel/other"))
        let project = "kernel:\n  patches:\n    - kernel/box # mine\n    - ./kernel/other\n"
        let other = "folder: kernel\nsources: [other.c]\nsyscalls:\n  - name: other\n    arguments: []\n"
        for (name, text) in [
            ("kbuild.yaml", project), ("kernel/box/syscall.yaml", Self.spec), ("kernel/other/syscall.yaml", other),
            ("kernel/box/box.c", "SYSCALL_DEFINE0(box)\n{\n}\nSYSCALL_DEFINE0(box_get)\n{\n}\n"),
            ("kernel/other/other.c", "SYSCALL_DEFINE0(other)\n{\n}\n"),
        ] {
            try writeAtomically(text, to: scratch.pushing(FilePath(name)))
        }
        let removed = try actions(scratch).remove("box_get")
        #expect(removed.files.count == 1 && removed.files[0].hasPrefix("kernel/box/syscall.yaml"))
        #expect(removed.mentions == ["kernel/box/box.c"])
        #expect(try !readText(scratch.pushing("kernel/box/syscall.yaml")).contains("box_get"))
        let unknown = #expect(throws: Failure.self) { try actions(scratch).remove("box_get") }
        #expect(unknown?.code == .usage)

        let last = try actions(scratch).remove("other")
        #expect(last.mentions == ["kernel/other/other.c"])
        #expect(try readText(scratch.appending("kbuild.yaml")) == "kernel:\n  patches:\n    - kernel/box # mine\n")
        #expect(fileExists(scratch.pushing("kernel/other/other.c")))
        // The project's only source stays, because a project needs one.
        _ = try actions(scratch).remove("box")
        let before = try readText(scratch.appending("kbuild.yaml"))
        let only = #expect(throws: Failure.self) { try actions(scratch).remove("box_put") }
        #expect(only?.code == .usage && only?.nextStep?.contains("kernel: patches:") == true)
        #expect(try readText(scratch.appending("kbuild.yaml")) == before)
    }
}
