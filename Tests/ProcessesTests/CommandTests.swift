// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import Processes

@Suite("Commands", .timeLimit(.minutes(30)))
struct CommandTests {
    @Test(
        "words are quoted for a shell if necessary",
        arguments: [
            ("plain-1.0_/=,:+@%", "plain-1.0_/=,:+@%"), ("", "''"), ("two words", "'two words'"),
            ("it's", "'it'\\''s'"), ("$HOME", "'$HOME'"), ("a\nb", "'a\nb'"), ("über", "'über'"),
        ])
    func quoting(word: String, quoted: String) {
        #expect(Command.quoted(word) == quoted)
    }

    @Test("a command is printed so that it can be pasted")
    func description() {
        let command = Command(
            "make", ["O=out dir", "all"], environment: ["LC_ALL": "C", "A": "b c"], workingDirectory: "/tmp/x y")
        #expect(command.description == "(cd '/tmp/x y' && A='b c' LC_ALL=C make 'O=out dir' all)")
        #expect(Command("x", environment: ["GONE": String?.none]).description == "env -u GONE x")
    }

    @Test("a shell reads a printed command unchanged", arguments: ["a b", "it's", "\"x\"", "*", "a\\b", "\n"])
    func roundTrip(word: String) async throws {
        let printed = Command("printf", ["%s", word]).description
        let result = try await CommandRunner().capture(Command("sh", ["-c", printed]))
        #expect(result.output == word)
    }
}

@Suite("Running commands", .timeLimit(.minutes(30)))
struct CommandRunnerTests {
    let runner = CommandRunner()

    @Test("a runner for a dry run reports the command, in its sandbox if there is one")
    func dryRun() async throws {
        let file = FilePath(FileManager.default.temporaryDirectory.path).appending("kbuild-\(UUID().uuidString)")
        let command = Command("touch", [file.string])
        var dry = runner
        dry.execution = .nothing
        let question = await #expect(throws: CommandNotRun.self) { _ = try await dry.capture(command) }
        #expect(question?.command == command)
        await #expect(throws: CommandNotRun.self) { try await dry.stream(command) { _ in } }
        #expect(access(file.string, F_OK) != 0)
        #expect(try dry.planned(command) == command)
        let wrapped = try dry.confined(by: Sandbox()).planned(command)
        #expect(wrapped.arguments.contains("bwrap"))
        await #expect(throws: Failure.self) { _ = try await dry.capture(Command("no-such-tool-anywhere")) }
    }

    @Test("output, errors and exit code are returned separately")
    func capture() async throws {
        let result = try await runner.capture(Command("sh", ["-c", "echo out; echo err >&2; exit 3"]))
        #expect(result == CommandResult(status: .exited(3), output: "out\n", errors: "err\n"))
        #expect(try await runner.capture(Command("sh", ["-c", "kill -9 $$"])).status == .signaled(9))
    }

    @Test("variables are set and removed, and the command runs in its folder")
    func environment() async throws {
        let command = Command(
            "sh", ["-c", "echo \"$A-${HOME-unset}\"; pwd"], environment: ["A": "1", "HOME": String?.none],
            workingDirectory: "/usr")
        #expect(try await runner.output(of: command) == "1-unset\n/usr")
    }

    @Test("lines arrive as they are written, including long and malformed ones")
    func stream() async throws {
        let lines = Mutex<[String]>([])
        let script = "echo one; echo two >&2; head -c 300000 /dev/zero | tr '\\0' x; echo; printf 'a\\377b\\r\\nlast'"
        let status = try await runner.stream(Command("sh", ["-c", script])) { line in lines.withLock { $0.append(line) }
        }
        #expect(status.isSuccess)
        let seen = lines.withLock { $0 }
        #expect(seen.count == 5)
        #expect(seen[2].utf8.count == 300_000)
        #expect(seen[3] == #"a\xFFb"#)
        #expect(seen[4] == "last")
    }

    @Test("at most a mebibyte of an endless line is kept, and the rest is counted")
    func longLine() async throws {
        let lines = Mutex<[String]>([])
        let script = "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo after"
        try await runner.stream(Command("sh", ["-c", script])) { line in lines.withLock { $0.append(line) } }
        let seen = lines.withLock { $0 }
        #expect(seen.count == 2)
        #expect(seen[0].hasPrefix("xxx"))
        #expect(seen[0].hasSuffix("x ... and 3,951,424 more bytes not shown"))
        #expect(seen[0].utf8.count < CommandRunner.longestLine + 100)
        #expect(seen[1] == "after")
    }

    @Test("a missing tool is reported with its package")
    func missing() async {
        let runner = CommandRunner(searchPath: "/nonexistent")
        let failure = await #expect(throws: Failure.self) {
            _ = try await runner.capture(Command("qemu-system-x86_64"))
        }
        #expect(failure?.code == .infrastructure)
        #expect(failure?.nextStep?.hasPrefix("apt-get install qemu-system-x86; `kbuild doctor`") == true)
    }

    @Test("cancelling ends the command with all its descendants")
    func cancellation() async throws {
        let file = FilePath(NSTemporaryDirectory()).appending("kbuild-test-\(UUID().uuidString)")
        defer { unlink(file.string) }
        let task = Task {
            try await CommandRunner().capture(Command("sh", ["-c", "sleep 300 & echo $! > '\(file)'; wait"]))
        }
        var child: pid_t = 0
        while child == 0 {
            try await Task.sleep(for: .milliseconds(20))
            let text = try? String(contentsOfFile: file.string, encoding: .utf8)
            child = text.flatMap { pid_t($0.trimmingCharacters(in: .whitespacesAndNewlines)) } ?? 0
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        // The grandchild belongs to init now, which may take a moment to reap it.
        for _ in 0..<100 where kill(child, 0) == 0 { try await Task.sleep(for: .milliseconds(20)) }
        #expect(kill(child, 0) != 0)
    }
}
