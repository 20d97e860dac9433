// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Fuzzing
import KernelMake
import Processes
import SystemPackage
import Testing

@testable import KernelBuild

@Suite("sparse and checkpatch", .timeLimit(.minutes(30)))
struct LintTests {
    private func findings(_ text: String, of tool: LintTool, in folder: FilePath) -> [LintFinding] {
        LintOutput(tree: "/p/tree", folder: folder).findings(text.textLines(), of: tool)
    }

    @Test("sparse's findings have their file, place and whole message, each once")
    func sparse() {
        let text = """
            /p/tree/kernel/x.c:34:42: warning: incorrect type in argument 2 (different address spaces)
            /p/tree/kernel/x.c:34:42:    expected void const *from
            /p/tree/kernel/x.c:34:42:    got char const [noderef] __user *from
            ../tree/kernel/x.c:40:5: warning: symbol 'x_count' was not declared. Should it be static?
            ../tree/kernel/x.c:40:5: warning: symbol 'x_count' was not declared. Should it be static?
            ./include/generated/y.h:3:1: error: bad integer constant expression
            /p/tree/kernel/x.c: note: in included file:
            """
        let found = findings(text, of: .sparse, in: "/p/out")
        #expect(
            found.map { $0.text(file: "mine/\($0.file)") } == [
                "mine/kernel/x.c:34:42: warning: incorrect type in argument 2 (different address spaces): "
                    + "expected void const *from, got char const [noderef] __user *from [sparse]",
                "mine/kernel/x.c:40:5: warning: symbol 'x_count' was not declared. Should it be static? [sparse]",
                "mine/./include/generated/y.h:3:1: error: bad integer constant expression [sparse]",
            ])
    }

    @Test("checkpatch's findings have their file, line, severity and rule")
    func checkpatch() {
        let text = """
            kernel/x.c:9: ERROR:CODE_INDENT: code indent should use tabs where possible
            kernel/x.c:12: WARNING:LONG_LINE: line length of 120 exceeds 100 columns
            kernel/x.c:14: CHECK:SPACING: spaces preferred around that '+': a+b
            Use of uninitialized value in pattern match at scripts/checkpatch.pl line 1
            """
        let found = findings(text, of: .checkpatch, in: "/p/tree")
        #expect(
            found.map { $0.text(file: $0.file) } == [
                "kernel/x.c:9: error: code indent should use tabs where possible [checkpatch CODE_INDENT]",
                "kernel/x.c:12: warning: line length of 120 exceeds 100 columns [checkpatch LONG_LINE]",
                "kernel/x.c:14: warning: spaces preferred around that '+': a+b [checkpatch SPACING]",
            ])
    }

    @Test("damaged output of a tool is read without harm, and a place is never line 0", arguments: 0..<200)
    func damaged(seed: Int) {
        let text = """
            /p/tree/kernel/x.c:34:42: warning: incorrect type
            /p/tree/kernel/x.c:34:42:    expected void const *from
            kernel/x.c:12: WARNING:LONG_LINE: line length of 120 exceeds 100 columns
            """
        var mutator = Mutator(seed: UInt64(seed), of: [text], words: [":", "warning:", "-1", "0"])
        let damaged = String(decoding: mutator.next(), as: UTF8.self)
        for tool in LintTool.allCases {
            for finding in findings(damaged, of: tool, in: "/p/out") {
                #expect(finding.line > 0, "seed \(seed)")
                #expect(!finding.text(file: "x").contains("\n"), "seed \(seed)")
            }
        }
    }

    @Test("sparse gets the options of the compilation, and neither tool gets a name to write to")
    func commands() throws {
        let output = FilePath(FileManager.default.temporaryDirectory.path).appending("lint-\(UUID().uuidString)")
        defer { try? removeAll(output) }
        try createFolder(output.appending("kernel"))
        try writeAtomically(
            #"savedcmd_kernel/x.o := ccache gcc -Wp,-MMD,kernel/.x.o.d -nostdinc -I./include "#
                + #"-DKBUILD_MODNAME='"x"' -DHASH=\"$(pound)\" -c -o kernel/x.o /p/tree/kernel/x.c ; "#
                + "./tools/objtool/objtool kernel/x.o\n", to: output.pushing("kernel/.x.o.cmd"))
        let make = KernelMake(tree: "/p/tree", output: output, usesCcache: true)
        let lint = SourceLint(runner: CommandRunner(), make: make, source: "/p/source")
        let sparse = try #require(lint.commands(for: "kernel/x.c").sparse)
        #expect(sparse.tool == "sparse" && sparse.workingDirectory == output)
        #expect(
            Array(sparse.arguments.suffix(5)) == [
                "-nostdinc", "-I./include", #"-DKBUILD_MODNAME="x""#, ##"-DHASH="#""##, "/p/tree/kernel/x.c",
            ])
        #expect(!sparse.arguments.contains { $0 == "-o" || $0 == "-c" || $0 == "kernel/x.o" || $0.contains("-MMD") })
        #expect(sparse.arguments.contains("--arch=x86"))
        let checkpatch = lint.commands(for: "kernel/x.h").checkpatch
        #expect(checkpatch.arguments.first == "/p/source/scripts/checkpatch.pl")
        #expect(checkpatch.arguments.contains("--root=/p/tree") && checkpatch.arguments.last == "kernel/x.h")
        #expect(lint.commands(for: "kernel/x.h").sparse == nil)
        #expect(lint.commands(for: "kernel/never.c").sparse == nil)
    }

    @Test(
        "a command that a shell would run or expand is not one for sparse",
        arguments: [
            "gcc $HOME x.c", "gcc `id` x.c", "gcc x.c; id", "gcc x.c > y", "gcc \"$(id)\" x.c", "gcc 'x.c",
            "gcc x.c \\",
        ])
    func shellWords(text: String) {
        #expect(ShellWords.split(text) == nil)
    }

    @Test("a tool that fails without a report is an error, and one that reports is not")
    func failing() async throws {
        func findings(_ result: CommandResult) async throws -> [LintFinding] {
            var runner = CommandRunner()
            runner.execution = .scripted { _ in result }
            let make = KernelMake(tree: "/p/tree", output: "/p/out")
            let lint = SourceLint(runner: runner, make: make, source: "/p/source")
            return try await lint.findings(by: lint.commands(for: "kernel/x.c"))
        }
        let report = "kernel/x.c:12: WARNING:LONG_LINE: line length of 120 exceeds 100 columns\n"
        #expect(try await findings(.init(status: .exited(1), output: report, errors: "")).count == 1)
        #expect(try await findings(.init(status: .exited(0), output: "", errors: "")).isEmpty)
        for status in [ProcessStatus.exited(1), .exited(2), .signaled(11)] {
            await #expect(throws: (any Error).self) {
                try await findings(.init(status: status, output: "", errors: "Can't locate"))
            }
        }
        await #expect(throws: (any Error).self) {
            try await findings(.init(status: .signaled(9), output: report, errors: ""))
        }
    }
}
