// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    /// `kbuild shell`, with real guests. A part of the other suite, since all share one project.
    @Suite("kbuild shell", .serialized)
    struct Shell {
        let fixture: Fixture
        private let marker: String

        init() throws {
            fixture = try Fixture()
            // A word on the guest kernel's command line that no other process has.
            marker = "kbuild.marker=\(UUID().uuidString)"
            try fixture.edit(
                "kbuild.yaml", replacing: "\n  cpus: 2\n", with: "\n  cpus: 2\n  command-line: \(marker)\n")
        }

        /// Runs kbuild with pipes for its standard streams.
        private func shell(_ arguments: [String], input: String = "") async throws -> CommandResult {
            // The runner's children read nothing, so the input comes by a file.
            let file = fixture.project.appending("input")
            try writeAtomically(input, to: file)
            defer { try? removeAll(file) }
            let words = ([try Fixture.executable(), "shell", "--quiet"] + arguments).map(Command.quoted)
            let result = try await CommandRunner().capture(
                Command(
                    "sh", ["-c", "cat input | \(words.joined(separator: " "))"], workingDirectory: fixture.project))
            let output = result.output.count > 1000 ? "...\n" : result.output
            print("$ \(words.dropFirst().joined(separator: " "))\n\(result.errors)\(output)=> \(result.status)")
            #expect(try Fixture.processes(containing: marker).isEmpty)
            return result
        }

        // MARK: A command

        @Test("--: standard output and error stay separate, and the exit code is the command's")
        func command() async throws {
            let result = try await shell(["--", "sh", "-c", "echo out; echo err >&2; exit 7"])
            #expect(result == CommandResult(status: .exited(7), output: "out\n", errors: "err\n"))
        }

        @Test("--: arguments stay separate, and a signal is 128 + N")
        func arguments() async throws {
            let result = try await shell(
                [
                    "--", "sh", "-c", "printf '[%s]' \"$@\"; kill -KILL $$", "sh", "two words", "it's", "a\nb", "",
                    "$HOME",
                ])
            #expect(result.output == "[two words][it's][a\nb][][$HOME]")
            #expect(result.status == .exited(137))
            #expect(try await shell(["--", "no-such-program"]).status == .exited(127))
        }

        @Test("--: standard input is piped to its end, also when it is long and read slowly")
        func input() async throws {
            let text = (0..<40_000).map { "line \($0) ~.\n" }.joined()
            let result = try await shell(["--", "sh", "-c", "sleep 1; cat; echo end"], input: text)
            #expect(result.status == .exited(0))
            #expect(result.output == text + "end\n")
            // Nobody has to read it.
            #expect(try await shell(["--", "true"], input: text).status == .exited(0))
        }

        @Test("--: the command gets a broken pipe when the reader closes")
        func brokenPipe() async throws {
            let executable = Command.quoted(try Fixture.executable())
            let result = try await CommandRunner().capture(
                Command(
                    "sh", ["-c", "{ \(executable) shell -q -- yes; echo \"code $?\" >&2; } | head -n 1"],
                    workingDirectory: fixture.project))
            #expect(result.output == "y\n")
            #expect(result.errors.contains("code 141\n"), "\(result.errors)")
            #expect(try Fixture.processes(containing: marker).isEmpty)
        }

        @Test("--: a slow reader gets a long output completely, and the exit code is still the command's")
        func slowReader() async throws {
            let executable = Command.quoted(try Fixture.executable())
            let reader =
                "while dd bs=16k count=1 >piece 2>/dev/null; test -s piece; do cat piece >>output; sleep 0.05; done"
            let file = fixture.project.appending("output")
            try removeAll(file)
            defer { for name in ["output", "piece"] { try? removeAll(fixture.project.appending(name)) } }
            let result = try await CommandRunner().capture(
                Command(
                    "sh", ["-c", "{ \(executable) shell -q -- seq 100000; echo \"code $?\" >&2; } | { \(reader); }"],
                    workingDirectory: fixture.project))
            #expect(result.errors.contains("code 0\n"), "\(result.errors)")
            #expect(try readText(file) == (1...100_000).map { "\($0)\n" }.joined())
        }

        @Test("--: the guest has the shares, the programs, the numbers and the kernel")
        func surroundings() async throws {
            try fixture.write("shared/from-host", "of the host")
            let script = """
                pwd; cat from-host; echo ' of the guest' > from-guest
                msgbox_put hello >/dev/null && msgbox_get 5
                echo $NR_dm510_msgbox_put; uname -r
                """
            let result = try await shell(["--", "sh", "-c", script])
            let version = try #require(result.output.split(separator: "\n").last)
            #expect(result.output == "/root/host_folder\nof the hosthello\n451\n\(version)\n")
            #expect(version.hasPrefix("6.1."))
            #expect(try readText(fixture.project.pushing("shared/from-guest")) == " of the guest\n")
            // The suites, with the options of Swift Testing.
            let suite = try await shell(["--", "GuestTests", "--filter", "CaesarTests"])
            #expect(suite.status == .exited(0))
            #expect((suite.output + suite.errors).contains("passed"))
        }

        @Test("--: the same in user-mode Linux")
        func userModeLinux() async throws {
            let result = try await shell(
                ["--machine", "uml", "--", "sh", "-c", "cat; echo err >&2; exit 9"], input: "in\n")
            #expect(result == CommandResult(status: .exited(9), output: "in\n", errors: "err\n"))
        }

        @Test("--: a panic is exit 5 with the report on standard error")
        func panic() async throws {
            let result = try await shell(["--", "sh", "-c", "echo before; echo c > /proc/sysrq-trigger; sleep 60"])
            #expect(result.status == .exited(5))
            #expect(result.output == "before\n")
            #expect(result.errors.contains("error: the guest crashed: kernel panic: sysrq triggered crash"))
        }

        @Test("--: a limit is exit 6")
        func limit() async throws {
            let result = try await shell(["--timeout", "5s", "--", "sleep", "1000"])
            #expect(result.status == .exited(6))
            #expect(result.errors.contains("the guest ran for more than 5 s"))
        }

        @Test("without a terminal a shell is refused with exit 2 and the next step; so is one without a port")
        func refusals() async throws {
            let result = try await shell([])
            #expect(result.status == .exited(2))
            #expect(result.errors.contains("needs a terminal"))
            #expect(result.errors.contains("next: run a command without one: kbuild shell -- COMMAND"))
            let serial = try await shell(["--results", "serial", "--", "true"])
            #expect(serial.status == .exited(2))
            #expect(serial.errors.contains("next: "))
        }

        @Test("a killed kbuild leaves no QEMU")
        func killed() async throws {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: try Fixture.executable())
            process.arguments = ["shell", "--", "sh", "-c", "echo up; sleep 1000"]
            process.currentDirectoryURL = URL(fileURLWithPath: fixture.project.string)
            let pipe = Pipe()
            (process.standardInput, process.standardOutput) = (FileHandle.nullDevice, pipe)
            try process.run()
            #expect(try pipe.fileHandleForReading.read(upToCount: 3) == Data("up\n".utf8))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            #expect(try await Fixture.lastingProcesses(containing: marker) == [])
        }

        // MARK: A terminal

        private func terminal(_ arguments: String...) async throws -> PseudoTerminal {
            let terminal = try PseudoTerminal(rows: 33, columns: 101)
            try terminal.start(["shell"] + arguments, for: fixture.project.string)
            return terminal
        }

        @Test("a session: greeting, job control, the interrupt key, the window's size, and the exit code")
        func session() async throws {
            let terminal = try await terminal()
            let before = terminal.settings
            try await terminal.wait(for: "10 added system calls")
            try await terminal.wait(for: "# ")
            #expect(terminal.settings != before)

            terminal.type("stty size\r")
            try await terminal.wait(for: "33 101\r\n")
            // What is typed comes back too, so that it must not hold what is waited for.
            terminal.type("sh -c 'echo re\"\"ady; exec sleep 1000'\r")
            try await terminal.wait(for: "ready\r\n")
            terminal.type("\u{3}")
            try await terminal.wait(for: "# ")
            terminal.type("echo co\"\"de $?\r")
            try await terminal.wait(for: "code 130\r\n")
            terminal.type("sh -c 'echo go\"\"ing; exec sleep 1000'\r")
            try await terminal.wait(for: "going\r\n")
            terminal.type("\u{1A}")
            try await terminal.wait(for: "Stopped")
            terminal.type("kill -9 %1; fg; jobs; echo no mo\"\"re\r")
            try await terminal.wait(for: "no more\r\n")

            terminal.resize(rows: 44, columns: 122)
            terminal.type("until [ \"$(stty size)\" = '44 122' ]; do sleep 0.1; done; echo res\"\"ized\r")
            try await terminal.wait(for: "resized\r\n")
            // A message of the kernel's shows.
            terminal.type("echo '<3>from the ker''nel' > /dev/kmsg\r")
            try await terminal.wait(for: "from the kernel")
            terminal.type("exit 3\r")
            #expect(try await terminal.exitCode() == 3)
            #expect(terminal.settings == before)
            #expect(try Fixture.processes(containing: marker).isEmpty)
        }

        @Test("escapes: ~? helps, ~~ is a tilde, ~. ends the guest with exit 130")
        func escapes() async throws {
            let terminal = try await terminal()
            let before = terminal.settings
            try await terminal.wait(for: "# ")
            terminal.type("~?")
            try await terminal.wait(for: "~.   end the guest")
            terminal.type("\r~~echo\r")
            try await terminal.wait(for: "~echo: not found")
            terminal.type("echo a~.b\r")
            try await terminal.wait(for: "a~.b\r\na~.b\r\n")
            terminal.type("sleep 1000\r~.")
            #expect(try await terminal.exitCode() == 130)
            #expect(terminal.settings == before)
            #expect(try Fixture.processes(containing: marker).isEmpty)
        }

        /// What ends a session from elsewhere.
        enum End: CaseIterable {
            case terminated, hungUp, panic, deadMachine, poweroff
        }

        @Test("the terminal is restored and QEMU has ended after any end of the session", arguments: End.allCases)
        func restored(end: End) async throws {
            let terminal = try await terminal()
            let before = terminal.settings
            try await terminal.wait(for: "# ")
            #expect(terminal.settings != before)
            let expected: Int32
            switch end {
            case .terminated:
                terminal.signal(SIGTERM)
                expected = 143
            case .hungUp:
                terminal.signal(SIGHUP)
                expected = 129
            case .panic:
                terminal.type("echo c > /proc/sysrq-trigger\r")
                expected = 5
            case .deadMachine:
                // The supervisor has the same words on its command line, and is not the machine.
                let machine = try Fixture.processes(containing: marker)
                    .first { !$0.contains(CommandRunner.superviseArgument) }
                kill(try #require(machine?.split(separator: " ").first.flatMap { pid_t($0) }), SIGKILL)
                expected = 7
            case .poweroff:
                terminal.type("poweroff\r")
                expected = 0
            }
            #expect(try await terminal.exitCode() == expected)
            #expect(terminal.settings == before)
            #expect(try Fixture.processes(containing: marker).isEmpty)
            if end == .panic {
                #expect(String(decoding: terminal.output, as: UTF8.self).contains("sysrq triggered crash"))
            }
        }

        @Test("run --shell-on-failure: the report, then a shell; the exit code is the run's")
        func shellOnFailure() async throws {
            try fixture.edit(
                "kbuild.yaml", replacing: "tests:\n  - swift: Tests/GuestTests",
                with: "tests:\n  - {c: Tests/programs/fails.c}\n  - swift: Tests/GuestTests")
            try fixture.write("Tests/programs/fails.c", "int main(void) { return 1; }\n")
            let terminal = try PseudoTerminal(rows: 24, columns: 80)
            try terminal.start(["test", "^fails$", "--shell-on-failure"], for: fixture.project.string)
            try await terminal.wait(for: "0 passed, 1 failed")
            try await terminal.wait(for: "# ")
            terminal.type("exit\r")
            #expect(try await terminal.exitCode() == 1)
            let piped = try await fixture.kbuild("test", "^fails$", "--shell-on-failure")
            #expect(piped.status == .exited(1))
            #expect(piped.errors.contains("no shell: "))
        }
    }
}
