// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Glibc
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// What a person sees of the failures of a first hour, on a terminal of 80 columns and 24 lines: the project is that of
/// `RunTests`.
extension RunTests {
    /// A terminal's size, as the oldest have it.
    private static let (rows, columns) = (24, 80)

    /// Runs kbuild on a terminal.
    ///
    /// - Returns: Its exit code and the lines of its screen. Paths of the fixture are replaced by a user's.
    private func screen(
        _ arguments: [String], in folder: FilePath? = nil
    ) async throws -> (code: Int32, lines: [String]) {
        let terminal = try PseudoTerminal(rows: Self.rows, columns: Self.columns)
        try terminal.start(arguments, in: (folder ?? fixture.project).string)
        let code = try await terminal.exitCode()
        let cache = fixture.project.removingLastComponent().removingLastComponent().string
        let lines = terminal.screen.map { line in
            line.replacingOccurrences(of: fixture.project.string, with: "/home/me/box")
                .replacingOccurrences(of: cache, with: "/home/me/.cache/kbuild")
        }
        print("$ kbuild \(arguments.joined(separator: " "))\n\(lines.joined(separator: "\n"))\n=> \(code)")
        return (code, lines)
    }

    /// Runs kbuild on a terminal, and compares its exit code and its screen.
    private func expect(
        _ arguments: [String], exits code: Int32, is name: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let run = try await screen(arguments)
        #expect(run.code == code, sourceLocation: sourceLocation)
        try check(run.lines, is: name, sourceLocation: sourceLocation)
    }

    /// Compares a screen with a file of Golden. Numbers and times differ between runs, and the board and the lines of
    /// kbuild's steps between machines; lines may be broken elsewhere, because paths differ in length.
    private func check(_ lines: [String], is name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let height = lines.reduce(0) { $0 + max(1, ($1.count + Self.columns - 1) / Self.columns) }
        // The last line is the prompt's.
        #expect(height < Self.rows, "\(name) takes \(height) lines", sourceLocation: sourceLocation)
        let steps = "source|patch|configure|compile|lint|rootfs|programs|boot|snapshot|test"
        let step = try Regex("^ *(\\w+ +)?(\(steps)) +(hit|made|failed|[0-9.]+ s)")
        let text = lines.filter { $0.firstMatch(of: step) == nil }.map(Self.normalized).joined(separator: "\n") + "\n"
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name).txt")
        if ProcessInfo.processInfo.environment["KBUILD_WRITE_GOLDEN"] == "1" {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        let expected = try #require(
            String(data: Data(contentsOf: file), encoding: .utf8), "Golden/\(name).txt is not there")
        #expect(Self.words(text) == Self.words(expected), "\(name) is now\n\(text)", sourceLocation: sourceLocation)
    }

    private static func words(_ text: String) -> [Substring] { text.split { $0.isWhitespace } }

    /// A line with N for what differs between runs. Lines of the project's own files stay.
    private static func normalized(_ line: String) -> String {
        line.replacing(#/on [a-z0-9]+, (TCG|KVM), /#, with: "on BOARD, ")
            .replacing(/\/home\/me\/\.cache\/\S+/, with: "/home/me/.cache/...")
            .replacing(/unused_[a-h]{8}/, with: "unused_NAME")
            .replacing(/\b(0x)?[0-9a-f]{8,16}\b/, with: "N")
            .replacing(/((caesar\.c|Tests\.swift)(:[0-9]+)+)|(0x)?\b[0-9][0-9a-f.]*\b/) { match in
                match.1.map(String.init) ?? "N"
            }
    }

    /// Makes programs the only tests, each of which makes one call, and has that call do what `body` says when its
    /// operation is 200.
    private func haveCaesar(_ body: String, test limit: Int? = nil) throws {
        try fixture.faults("pass")
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "\tif (op != CAESAR_ENCRYPT",
            with: "\(body)\tif (op != CAESAR_ENCRYPT")
        try fixture.write(
            "Tests/programs/rotate.c",
            """
            #include <unistd.h>

            int main(int argc, char **argv) {
                char text[2] = "a";
                int operation = argc > 1 ? 200 : 0;
                return syscall(__NR_caesar, text, text, operation, 1) == 0 ? 0 : 1;
            }

            """)
        let tests = ["first: []", "second: [fault]", "third: []"].map { entry in
            let parts = entry.split(separator: ":").map { $0.trimmingCharacters(in: .whitespaces) }
            return "  - {c: Tests/programs/rotate.c, name: \(parts[0]), arguments: \(parts[1])}\n"
        }
        try fixture.edit("kbuild.yaml", replacing: "\ntests:\n", with: "\ntests:\n" + tests.joined())
        if let limit { try fixture.edit("kbuild.yaml", replacing: "test: 300", with: "test: \(limit)") }
    }

    @Test("first hour: a NULL pointer, with the line of the user's own file, fits on a screen")
    func nullPointer() async throws {
        try haveCaesar("\tif (op == 200)\n\t\t*(volatile char *)NULL = 1;\n")
        _ = try await fixture.kbuild("test", "pass")
        try await expect(["run"], exits: 5, is: "null-pointer")
    }

    @Test("first hour: a lock that is taken twice, with both places, fits on a screen")
    func lockedTwice() async throws {
        let twice = String(repeating: "\t\tmutex_lock(&caesar_lock);\n", count: 2)
        try haveCaesar("\tif (op == 200) {\n\(twice)\t}\n", test: 3)
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "SYSCALL_DEFINE4(",
            with: "static DEFINE_MUTEX(caesar_lock);\n\nSYSCALL_DEFINE4(")
        _ = try await fixture.kbuild("test", "pass")
        try await expect(["run"], exits: 6, is: "locked-twice")
    }

    @Test("first hour: an error of the compiler, a warning, and a warning that fails the run each fit on a screen")
    func compilerMessages() async throws {
        // The first build of a cache, and of a day, has notes of its own.
        try fixture.faults("pass")
        _ = try await fixture.kbuild("run")
        try haveCaesar("\tif (op == 200)\n\t\treturn 0\n")
        try await expect(["run"], exits: 4, is: "compile-error")

        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "\tif (op == 200)\n\t\treturn 0\n",
            with: "\tif (op == 200) {\n\t\tint spare;\n\t}\n")
        _ = try await fixture.kbuild("test", "pass")
        // A name that no earlier run compiled: the compiler warns only when it runs.
        let name = String((0..<8).map { _ in "abcdefgh".randomElement() ?? "a" })
        try fixture.edit("kernel/caesar/caesar.c", replacing: "int spare;", with: "int unused_\(name);")
        try await expect(["run"], exits: 1, is: "compiler-warning")

        try fixture.write("kbuild.yaml", try fixture.text("kbuild.yaml") + "\nwarnings: fail\n")
        try await expect(["run"], exits: 4, is: "warning-fails")
    }

    @Test("first hour: a failing expectation among nine tests fits on a screen")
    func failingExpectation() async throws {
        try onlyTheSuite()
        let passing = (1...8).map { "@Test func rotates\($0)() { #expect(\($0) + 1 == \($0 + 1)) }\n" }.joined()
        try replaceSuite(
            with: """
                import SyscallNumbers
                import SyscallTesting
                import Testing

                \(passing)
                @Test("a letter is rotated by one")
                func wrong() throws {
                    var text = [UInt8](repeating: 0, count: 8)
                    try syscall(__NR_caesar, "a", &text, 0, 1)
                    #expect(text[0] == UInt8(ascii: "c"))
                }
                """)
        _ = try await fixture.kbuild("test", "rotates1")
        try await expect(["run"], exits: 1, is: "failing-expectation")
    }

    @Test("first hour: a KTAP program that ends before its plan fits on a screen")
    func shortPlan() async throws {
        try fixture.faults("pass")
        try fixture.write(
            "Tests/programs/short.c",
            """
            #include <stdio.h>
            int main(void) {
                puts("KTAP version 1\\n1..5\\nok 1 put\\nok 2 get\\nok 3 order");
                return 0;
            }

            """)
        try fixture.edit(
            "kbuild.yaml", replacing: "\ntests:\n",
            with: "\ntests:\n  - {c: Tests/programs/short.c, protocol: ktap}\n")
        _ = try await fixture.kbuild("test", "pass")
        try await expect(["run"], exits: 1, is: "short-plan")
    }

    @Test("first hour: a misspelt test, a misspelt command and a folder without a project fit on a screen")
    func misspelt() async throws {
        try fixture.faults("first", "second")
        _ = try await fixture.kbuild("run")
        try await expect(["test", "secnod"], exits: 2, is: "misspelt-test")
        try await expect(["hlep"], exits: 2, is: "misspelt-command")
        let empty = FilePath(NSTemporaryDirectory()).appending("kbuild-hour-\(UUID().uuidString)")
        try createFolder(empty)
        defer { try? removeAll(empty) }
        let missing = try await screen(["run"], in: empty)
        #expect(missing.code == 2)
        let lines = missing.lines.map { $0.replacingOccurrences(of: empty.string, with: "/home/me/empty") }
        try check(lines, is: "no-project")
    }
}
