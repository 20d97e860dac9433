// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import Reporting
import ResultsModel
import SystemPackage
import TestSession
import Testing

@testable import Application
@testable import Project

@Suite("Logs from elsewhere", .timeLimit(.minutes(30)))
struct LogActionsTests {
    private func temporaryFolder(_ name: String) throws -> FilePath {
        let folder = FilePath(NSTemporaryDirectory()).appending("kbuild-\(name)-\(UUID().uuidString)")
        try createFolder(folder)
        return folder
    }

    private func withLog<Result>(_ text: String, _ body: (FilePath) async throws -> Result) async throws -> Result {
        let folder = try temporaryFolder("log-actions")
        defer { try? removeAll(folder) }
        let file = folder.appending("a.log")
        try writeAtomically(text, to: file)
        return try await body(file)
    }

    private let oops = """
        [    1.000000][   T42] BUG: kernel NULL pointer dereference, address: 0000000000000008
        [    1.000100][   T42] Oops: 0000 [#1] PREEMPT SMP
        [    1.000200][   T42] CPU: 1 PID: 42 Comm: probe Not tainted 6.1.192 #1
        a program's line
        [    1.000300][   T42] RIP: 0010:follow_list+0x12/0x40
        [    1.000400][   T42] ---[ end trace 0000000000000000 ]---

        """

    @Test("a console's crash reports have their lines")
    func console() async throws {
        try await withLog("hello\n" + oops) { file in
            let report = try await LogActions.console(file)
            #expect(report.exitCode == 5)
            let crash = try #require(report.crashes.first)
            #expect(report.crashes.count == 1)
            #expect(crash.title == "BUG: unable to handle kernel NULL pointer dereference in follow_list")
            #expect(crash.kind == .nullPointer)
            #expect(crash.function == "follow_list")
            #expect(crash.firstLine == 2)
            #expect(crash.lastLine == 7)
            #expect(crash.lines.count == 5)
            #expect(crash.corruption == nil)
            #expect(crash.frames.map(\.symbol) == ["follow_list"])
        }
        let clean = try await withLog("random: crng init done\n") { try await LogActions.console($0).exitCode }
        #expect(clean == 0)
        let empty = try await withLog("") { try await LogActions.console($0).exitCode }
        #expect(empty == 7)
        await #expect(throws: Failure.self) { _ = try await LogActions.console("/no/such/log") }
    }

    @Test(
        "a KTAP log is judged as in a guest",
        arguments: [
            ("KTAP version 1\n1..1\nok 1 a\n", 0, ["a/a"]), ("KTAP version 1\n1..1\nnot ok 1 a\n", 1, ["a/a"]),
            ("KTAP version 1\n1..2\nok 1 a\n", 1, ["a/a"]), ("nothing of the kind\n", 7, []), ("", 7, []),
            ("1..0 # SKIP no device\n", 7, ["a"]), ("1..1\nnot ok 1 a # TIMEOUT 45 seconds\n", 6, ["a/a"]),
            ("1..2\nnot ok 1 a # TIMEOUT\nnot ok 2 b\n", 6, ["a/a", "a/b"]),
            ("KTAP version 1\n1..1\nok 1 a\nnot ok b\n", 1, ["a/a"]), ("1..1\nok 1 a # SKIP\n", 7, ["a/a"]),
            ("[    1.0] KTAP version 1\n[    1.1] 1..1\n[    1.2]   ok 1 x\n[    1.3] ok 1 a\n", 0, ["a/a/x"]),
        ])
    func ktap(text: String, code: Int32, names: [String]) async throws {
        try await withLog(text) { file in
            let report = try LogActions.ktap(file)
            #expect(report.exitCode == code)
            #expect(report.suites.flatMap(\.tests).map(\.id) == names)
        }
    }

    @Test("frames get files and lines only from the vmlinux that ran")
    func symbols() async throws {
        let folder = try temporaryFolder("symbols")
        defer { try? removeAll(folder) }
        let source = folder.appending("kernel.c")
        let program = folder.appending("vmlinux")
        try writeAtomically(
            """
            static int calls;
            static inline __attribute__((always_inline)) void count(int by)
            {
                calls += by;
            }
            void probe(int by)
            {
                count(by);
            }
            void after(void) {}
            int main(void) { probe(1); after(); return 0; }

            """, to: source)
        let runner = CommandRunner()
        _ = try await runner.output(of: Command("gcc", ["-g", "-O1", "-no-pie", "-o", program.string, source.string]))
        let symbols = try await runner.output(of: Command("nm", ["-n", program.string])).split(separator: "\n")
        let probe = try #require(symbols.firstIndex { $0.hasSuffix(" probe") })
        let addresses = symbols[probe...(probe + 1)].compactMap { UInt64($0.prefix { $0 != " " }, radix: 16) }
        try #require(addresses.count == 2)
        let size = String(addresses[1] - addresses[0], radix: 16)
        func log(size: String) -> String {
            "[    1.000000] BUG: x\n[    1.000000] RIP: 0010:probe+0x0/0x\(size)\n[    1.000000] Call Trace:\n"
                + "[    1.000000]  probe+0x0/0x\(size)\n[    1.000000]  </TASK>\n"
        }
        try await withLog(log(size: size)) { file in
            let report = try await LogActions.console(file, vmlinux: program)
            let locations = try #require(report.crashes.first?.frames.first).locations
            #expect(locations.map(\.function) == ["count", "probe"])
            #expect(locations.map(\.line) == [4, 8])
            #expect(locations.allSatisfy { $0.file.hasSuffix("kernel.c") })
        }
        try await withLog(log(size: "1" + size)) { file in
            let report = try await LogActions.console(file, vmlinux: program)
            #expect(report.crashes.first?.frames.allSatisfy { $0.locations.isEmpty } == true)
        }
    }
}
