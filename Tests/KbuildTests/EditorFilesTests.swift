// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Authoring
import Foundation
import SystemPackage
import Testing
import Yams

@testable import kbuild

/// The files that `kbuild init --vscode` writes.
@Suite("files for editors", .timeLimit(.minutes(30)))
struct EditorFilesTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "kbuild-editor-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func text(_ name: String) throws -> String {
        try String(contentsOf: folder.appending(path: name), encoding: .utf8)
    }

    /// JSON with comments, which stand on lines of their own.
    private func json(_ name: String) throws -> [String: Any] {
        let lines = try text(name).split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("//") }
        let object = try JSONSerialization.jsonObject(with: Data(lines.joined(separator: "\n").utf8))
        return try #require(object as? [String: Any])
    }

    private func write() throws -> EditorFiles.Written {
        try EditorFiles.write(in: FilePath(folder.path(percentEncoded: false)))
    }

    @Test("each file is written once, and what exists stays as it is, a link without a target too")
    func written() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(
            at: folder.appending(path: ".vscode"), withIntermediateDirectories: true)
        try "mine".write(to: folder.appending(path: ".vscode/tasks.json"), atomically: true, encoding: .utf8)
        try FileManager.default.createSymbolicLink(
            atPath: folder.appending(path: ".clangd").path(percentEncoded: false), withDestinationPath: "nowhere")
        let first = try write()
        #expect(first.new == [".vscode/launch.json", ".vscode/c_cpp_properties.json"])
        #expect(first.kept == [".vscode/tasks.json", ".clangd"])
        #expect(try text(".vscode/tasks.json") == "mine")
        let again = try write()
        #expect(again.new == [])
        #expect(again.kept.count == 4)
    }

    @Test("the tasks run commands that kbuild knows, and the debugger's finds what the task links")
    func tasks() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        _ = try write()
        let tasks = try #require(try json(".vscode/tasks.json")["tasks"] as? [[String: Any]])
        #expect(tasks.count == 5)
        for task in tasks {
            #expect(task["command"] as? String == "kbuild")
            let words = try #require(task["args"] as? [String])
            #expect(throws: Never.self, "\(words)") { try Kbuild.parseAsRoot(words) }
        }
        let launch = try #require(try json(".vscode/launch.json")["configurations"] as? [[String: Any]]).first
        let before = try #require(launch?["preLaunchTask"] as? String)
        let task = try #require(tasks.first { $0["label"] as? String == before })
        let links = try #require((task["args"] as? [String])?.last)
        #expect(launch?["program"] as? String == "${workspaceFolder}/\(links)/vmlinux")
        #expect(launch?["miDebuggerServerAddress"] as? String == "${workspaceFolder}/\(links)/socket")
        let properties = try #require(try json(".vscode/c_cpp_properties.json")["configurations"] as? [[String: Any]])
        #expect(properties.first?["compileCommands"] as? String == "${workspaceFolder}/compile_commands.json")
        let clangd = try #require(try Yams.load(yaml: text(".clangd")) as? [String: [String: [String]]])
        #expect((clangd["CompileFlags"]?["Remove"]?.count ?? 0) > 5)
    }

    @Test("links are for a guest that waits")
    func links() {
        #expect(throws: (any Error).self) { try Kbuild.parseAsRoot(["debug", "--links", "x"]) }
        #expect(throws: Never.self) { try Kbuild.parseAsRoot(["debug", "--wait", "--links", "x"]) }
    }
}
