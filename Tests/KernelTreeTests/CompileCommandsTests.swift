// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import SystemPackage
import Testing

@testable import IncrementalBuild

@Suite("compile_commands.json", .timeLimit(.minutes(30)))
struct CompileCommandsTests {
    @Test(
        "a record's command is read as by a shell, without cache and checks",
        arguments: [
            (
                "savedcmd_lib/x.o := ccache gcc -DA=\\#1 -c -o lib/x.o ../t/lib/x.c \n\nsource_lib/x.o := y\n",
                "gcc -DA=#1 -c -o lib/x.o ../t/lib/x.c"
            ),
            (
                "cmd_a.o := gcc -DB='$$x' -o a.o /t/a.S ; ./tools/objtool/objtool --x a.o\n",
                "gcc -DB='$x' -o a.o /t/a.S"
            ),
            ("savedcmd_a.o := ld -r -o a.o b.o c.o\n", nil), ("savedcmd_a.a := ar x.c\n", nil), ("", nil),
            ("something := gcc a.o := x.c\n", nil),
        ])
    func records(text: String, command: String?) {
        #expect(CompileCommands.compilation(inRecord: text)?.command == command)
    }

    @Test("sources have the user's paths: in the project, in the user's tree, or else in the built tree")
    func files() throws {
        let scratch = FilePath(FileManager.default.temporaryDirectory.path).appending("cc-\(UUID().uuidString)")
        defer { try? removeAll(scratch) }
        let (output, tree, origin) = (
            scratch.pushing("k/build/x"), scratch.pushing("k/tree"), scratch.appending("linux")
        )
        try createFolder(output.appending("lib"))
        try createFolder(origin.appending("lib"))
        try writeAtomically("", to: origin.pushing("lib/b.c"))
        for name in ["a", "b", "c"] {
            try writeAtomically(
                "savedcmd_lib/\(name).o := gcc -c -o lib/\(name).o ../../tree/lib/\(name).c\n",
                to: output.pushing(FilePath("lib/.\(name).o.cmd")))
        }
        try writeAtomically("savedcmd_lib/l.o := ld -o lib/l.o lib/a.o\n", to: output.pushing("lib/.l.o.cmd"))
        let commands = try CompileCommands(
            output: output, tree: tree, userFiles: ["lib/a.c": "/project/a.c"], origin: origin)
        #expect(Set(commands.entries.map(\.file)) == ["/project/a.c", "\(origin)/lib/b.c", "\(tree)/lib/c.c"])
        #expect(commands.entries.allSatisfy { $0.directory == output.string })
        #expect(commands.entries.contains { $0.command == "gcc -c -o lib/a.o /project/a.c" })
        #expect(commands.entries.contains { $0.command == "gcc -c -o lib/c.o ../../tree/lib/c.c" })
        let parsed = try JSONDecoder().decode([CompileCommands.Entry].self, from: Data(commands.rendered().utf8))
        #expect(parsed == commands.entries)
    }
}
