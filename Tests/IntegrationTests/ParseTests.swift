// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// `kbuild parse`, which needs no kernel.
@Suite("kbuild parse", .tags(.guest), .costly, .timeLimit(.minutes(60)))
struct ParseTests {
    private func parse(_ arguments: [String], _ text: String) async throws -> CommandResult {
        let script = "printf '%s' \"$1\" | \"$0\" parse \"${@:2}\""
        return try await CommandRunner().capture(
            Command("bash", ["-c", script, try Fixture.executable(), text] + arguments))
    }

    @Test("console: text, JSON and the exit code")
    func console() async throws {
        let text = "[    1.000000] Kernel panic - not syncing: VFS: no root\n"
        let plain = try await parse(["console", "-"], text)
        #expect(plain.status == .exited(5))
        #expect(plain.output.hasPrefix("CRASH kernel panic: VFS: no root\n"))
        #expect(plain.output.hasSuffix("CRASHED: 1 crash report in standard input\n"))
        let json = try await parse(["console", "-", "--format", "json"], text)
        #expect(json.output.contains(#""title" : "kernel panic: VFS: no root""#))
        #expect(try await parse(["console", "-"], "random: crng init done\n").status == .exited(0))
        #expect(try await parse(["console", "/no/such/log"], "").status == .exited(2))
    }

    @Test("ktap: text, JUnit and the exit code")
    func ktap() async throws {
        let junit = FilePath(NSTemporaryDirectory()).appending("kbuild-parse-\(UUID().uuidString).xml")
        defer { try? removeAll(junit) }
        let passed = try await parse(["ktap", "-", "--junit", junit.string], "KTAP version 1\n1..1\nok 1 a\n")
        #expect(passed.output.contains("ok log/a"))
        #expect(try readText(junit).contains("name=\"log/a\""))
        #expect(try await parse(["ktap", "-"], "KTAP version 1\n1..1\nok 1 a\n").status == .exited(0))
        #expect(try await parse(["ktap", "-"], "KTAP version 1\n1..1\nnot ok 1 a\n").status == .exited(1))
        #expect(try await parse(["ktap", "-"], "").status == .exited(7))
        #expect(try await parse(["ktap"], "").status == .exited(2))
    }
}
