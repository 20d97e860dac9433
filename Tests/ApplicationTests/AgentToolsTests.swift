// SPDX-License-Identifier: Apache-2.0
import AgentServer
import Diagnostics
import Foundation
import Processes
import Reporting
import ResultsModel
import Synchronization
import SystemPackage
import Testing

@testable import Application

/// The command lines and the results of an agent's tools, with a function in place of kbuild.
@Suite("agent tools", .timeLimit(.minutes(30)))
struct AgentToolsTests {
    /// The answers of the server to one call, and the command lines that it started.
    private struct Answer {
        var result: JSONValue?
        var error: JSONValue?
        var commands: [[String]]
        /// The messages of progress notifications.
        var progress: [String]

        var text: String {
            guard case .array(let contents)? = result?["content"] else { return "" }
            return contents.first?["text"]?.text ?? ""
        }
    }

    /// Calls a tool through a server of the latest version.
    private func call(
        _ name: String, _ arguments: JSONValue, project: String? = nil, exit code: Int32 = 0, output: String = "",
        errors: String = ""
    ) async throws -> Answer {
        let commands = Mutex<[[String]]>([])
        let sent = Mutex<[JSONValue]>([])
        let recorder = Recorder(commands: commands, sent: sent)
        var runner = CommandRunner()
        runner.execution = .scripted { command in
            recorder.commands.withLock { $0.append(command.arguments) }
            return CommandResult(status: .exited(code), output: output, errors: errors)
        }
        let tools = AgentTools(executable: "/bin/true", project: project, folder: "/", runner: runner)
        let server = AgentServer(name: "kbuild", version: "1", instructions: "", tools: tools.tools) { line in
            if let message = try? JSONValue(parsing: Array(line.utf8)) { recorder.sent.withLock { $0.append(message) } }
        }
        let call: JSONValue = [
            "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": ["name": .string(name), "arguments": arguments, "_meta": ["progressToken": "p"]],
        ]
        let start: JSONValue = [
            "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": ["protocolVersion": "2025-06-18"],
        ]
        for message in [start, call] {
            await server.receive(LineSplitter.Line(bytes: Array(message.encoded.utf8), omitted: 0))
        }
        while !recorder.sent.withLock({ $0.contains { $0["id"] == 2 } }) { try await Task.sleep(for: .milliseconds(2)) }
        let messages = recorder.sent.withLock { $0 }
        let answer = messages.last { $0["id"] == 2 }
        return Answer(
            result: answer?["result"], error: answer?["error"], commands: recorder.commands.withLock { $0 },
            progress: messages.compactMap { $0["params"]?["message"]?.text })
    }

    private final class Recorder: Sendable {
        let commands: Mutex<[[String]]>
        let sent: Mutex<[JSONValue]>

        init(commands: consuming sending Mutex<[[String]]>, sent: consuming sending Mutex<[JSONValue]>) {
            self.commands = commands
            self.sent = sent
        }
    }

    private func reportLine(failing: Bool) throws -> String {
        var report = RunReport(startedAt: "2026-11-27T20:00:00Z", project: "/home/me/kernel")
        report.suites = [
            SuiteResult(
                name: "M", kind: "swift",
                tests: [
                    TestResult(id: "M.S/a()", name: "a()", status: failing ? .failed : .passed, reason: "it is odd")
                ])
        ]
        return try EventLines.line(report, time: 1.5)
    }

    @Test("run: the options of the command line, one word each, and the report as text")
    func run() async throws {
        let answer = try await call(
            "run",
            [
                "profile": "a b", "kernel": "--html=/etc/x", "machine": "q35", "timeout": "90s", "check": "memory",
                "coverage": true, "repeat": 3,
            ], project: "/home/me/kernel",
            output: #"{"event":"step-started","step":"compile"}"# + "\n" + (try reportLine(failing: false)) + "\n")
        #expect(
            answer.commands == [
                [
                    "run", "--no-progress", "--quiet", "--format=jsonl", "--project=/home/me/kernel", "--profile=a b",
                    "--kernel=--html=/etc/x", "--machine=q35", "--timeout=90s", "--check=memory", "--coverage",
                    "--repeat=3",
                ]
            ])
        #expect(answer.progress == ["compile"])
        #expect(answer.text.contains("PASSED"))
        #expect(answer.result?["isError"] == false)
        #expect(answer.result?["structuredContent"]?["exitCode"] == 0)
        #expect(answer.result?["structuredContent"]?["verdict"]?.text?.hasPrefix("PASSED") == true)
    }

    @Test("test: the pattern cannot become an option; a failed test is an answer, not an error")
    func test() async throws {
        let answer = try await call(
            "test", ["pattern": "--html=x"], exit: 1, output: try reportLine(failing: true) + "\n")
        #expect(
            answer.commands == [["test", "--no-progress", "--quiet", "--format=jsonl", "--", "--html=x"]])
        #expect(answer.text.contains("M.S/a()"))
        #expect(answer.text.contains("it is odd"))
        #expect(answer.result?["isError"] == false)
        #expect(answer.result?["structuredContent"]?["exitCode"] == 1)
        #expect(try await call("test", [:]).error?["code"] == -32602)
    }

    @Test("without a report the result is what kbuild said, and an error")
    func noReport() async throws {
        let answer = try await call("run", [:], exit: 2, errors: "error: there is no kbuild.yaml\nnext: kbuild init\n")
        #expect(answer.text == "error: there is no kbuild.yaml\nnext: kbuild init\n")
        #expect(answer.result?["isError"] == true)
    }

    @Test("command: after --, with a limit of time, and both streams in the result")
    func command() async throws {
        let answer = try await call(
            "command", ["command": ["sh", "-c", "echo a; exit 3"]], exit: 3, output: "a\n", errors: "b\n")
        #expect(
            answer.commands == [["shell", "--no-progress", "--timeout=5m", "--", "sh", "-c", "echo a; exit 3"]])
        #expect(answer.text == "exit code 3\nstandard output:\na\nstandard error:\nb\n")
        #expect(answer.result?["isError"] == false)
        #expect(try await call("command", ["command": []]).error?["code"] == -32602)
    }

    @Test("a result is bounded, and says how much was left out")
    func bounded() async throws {
        let output = String(repeating: "0123456789\n", count: 10_000)
        let answer = try await call("command", ["command": ["dmesg"], "maxBytes": 2000], output: output)
        #expect(answer.text.utf8.count < 2200)
        guard case .integer(let omitted)? = answer.result?["structuredContent"]?["omittedBytes"] else {
            Issue.record("no count")
            return
        }
        #expect(omitted >= output.utf8.count - 2000)
        #expect(answer.text.contains("[\(omitted) bytes left out]"))
    }

    @Test("report: a run, the list, a comparison; a path or an option is not a run")
    func report() async throws {
        #expect(try await call("report", [:]).commands == [["report"]])
        #expect(try await call("report", ["run": "-2"]).commands == [["report", "-2"]])
        #expect(try await call("report", ["list": true]).commands == [["report", "--list"]])
        #expect(
            try await call("report", ["compareWith": "-3", "run": "-1"]).commands == [
                ["report", "--compare", "-3", "-1"]
            ])
        for name in ["--html=x", "/etc/passwd", "a.json", "-x", "", "a b"] {
            let answer = try await call("report", ["run": .string(name)])
            #expect(answer.commands == [], "\(name)")
            #expect(answer.result?["isError"] == true, "\(name)")
        }
    }

    @Test("parse: a path, or a text that kbuild reads from a file which is gone afterwards")
    func parse() async throws {
        let byPath = try await call("parse", ["kind": "ktap", "path": "var/log/a.log"], output: "PASSED\n")
        #expect(byPath.commands == [["parse", "ktap", "--", "/var/log/a.log"]])
        let byText = try await call("parse", ["kind": "console", "text": "Kernel panic"], exit: 5)
        let words = try #require(byText.commands.first)
        #expect(words.dropLast() == ["parse", "console", "--"])
        #expect(!FileManager.default.fileExists(atPath: words.last ?? "/"))
        #expect(byText.result?["isError"] == false)
        for wrong: JSONValue in [["kind": "ktap"], ["kind": "ktap", "text": "a", "path": "b"]] {
            #expect(try await call("parse", wrong).result?["isError"] == true)
        }
    }

    @Test("syscall_check: the paths cannot become options")
    func syscallCheck() async throws {
        let answer = try await call(
            "syscall_check", ["paths": ["kernel/a", "--x"], "kernel": "linux-source-6.12"], exit: 3, output: "error\n")
        #expect(
            answer.commands == [
                ["syscall", "check", "--no-progress", "--quiet", "--kernel=linux-source-6.12", "--", "kernel/a", "--x"]
            ])
        #expect(answer.result?["isError"] == false)
    }

    @Test(
        "events become short messages of progress",
        arguments: [
            (#"{"event":"progress","step":"compile","text":"CC a.o","done":5}"#, "compile 5 CC a.o"),
            (#"{"event":"progress","step":"compile","text":"CC a.o","done":5,"total":9}"#, "compile 5 of 9 CC a.o"),
            (#"{"event":"test-ended","status":"failed","test":"a"}"#, "failed: a"),
            (#"{"event":"kernel-report","title":"WARNING in f"}"#, "kernel: WARNING in f"),
            (#"{"event":"note","text":"x"}"#, nil), ("not JSON", nil), (#"{"event":"progress","step":"compile"}"#, nil),
        ])
    func messages(line: String, message: String?) {
        #expect(AgentTools.message(of: line) == message)
    }
}

extension AgentToolsTests {
    @Test("docs/reference/mcp.md has every tool and parameter")
    func reference() throws {
        let page = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
            .pushing("docs/reference/mcp.md")
        let text = try String(contentsOfFile: page.string, encoding: .utf8)
        let tools = AgentTools(executable: "/bin/true", project: nil, folder: "/", runner: CommandRunner()).tools
        #expect(tools.count == 6)
        for tool in tools {
            #expect(text.contains("`\(tool.name)`"), "\(tool.name)")
            for parameter in tool.parameters { #expect(text.contains("`\(parameter.name)`"), "\(parameter.name)") }
        }
    }
}
