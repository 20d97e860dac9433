// SPDX-License-Identifier: Apache-2.0
import Foundation
import ProjectFixture
import SystemPackage
import Testing

/// `kbuild mcp` with a scripted client in place of an agent.
@Suite("kbuild mcp", .tags(.guest), .costly, .timeLimit(.minutes(60)))
struct AgentTests {
    /// A client that speaks with a server over pipes.
    private final class Client {
        private let process = Process()
        private let input = Pipe()
        private let output = Pipe()
        private var buffer = Data()
        /// The notifications that came before the last answer.
        private(set) var notifications: [[String: Any]] = []

        init(in folder: FilePath) throws {
            process.executableURL = URL(filePath: try Fixture.executable())
            process.arguments = ["mcp"]
            process.currentDirectoryURL = URL(filePath: folder.string)
            process.standardInput = input
            process.standardOutput = output
            try process.run()
        }

        var identifier: Int32 { process.processIdentifier }

        func send(_ text: String) throws { try input.fileHandleForWriting.write(contentsOf: Data((text + "\n").utf8)) }

        func send(_ message: [String: Any]) throws {
            let all = message.merging(["jsonrpc": "2.0"]) { $1 }
            try send(String(decoding: JSONSerialization.data(withJSONObject: all), as: UTF8.self))
        }

        /// The next message; nil at the end of the server's output.
        private func next() throws -> [String: Any]? {
            while true {
                if let end = buffer.firstIndex(of: 0x0A) {
                    let line = buffer[..<end]
                    buffer = Data(buffer[(end + 1)...])
                    return try #require(JSONSerialization.jsonObject(with: line) as? [String: Any])
                }
                let more = output.fileHandleForReading.availableData
                guard !more.isEmpty else { return nil }
                buffer += more
            }
        }

        /// The answer to a request.
        func answer(_ id: Int) throws -> [String: Any] {
            notifications = []
            while let message = try next() {
                if message["id"] as? Int == id { return message }
                notifications.append(message)
            }
            throw CocoaError(.fileReadUnknown)
        }

        /// Calls a tool and returns its result.
        func call(_ id: Int, _ name: String, _ arguments: [String: Any]) throws -> [String: Any] {
            try send([
                "id": id, "method": "tools/call",
                "params": ["name": name, "arguments": arguments, "_meta": ["progressToken": id]],
            ])
            return try #require(try answer(id)["result"] as? [String: Any])
        }

        /// Ends the input, and returns the exit code.
        func end() throws -> Int32 {
            try input.fileHandleForWriting.close()
            while try next() != nil {}
            process.waitUntilExit()
            return process.terminationStatus
        }
    }

    private func text(_ result: [String: Any]) -> String {
        ((result["content"] as? [[String: Any]])?.first?["text"] as? String) ?? ""
    }

    private func structured(_ result: [String: Any]) -> [String: Any] {
        result["structuredContent"] as? [String: Any] ?? [:]
    }

    @Test("a client tests, runs a command in the guest, reads the report, checks and parses")
    func session() throws {
        let fixture = try Fixture()
        let client = try Client(in: fixture.project)
        try client.send([
            "id": 1, "method": "initialize",
            "params": [
                "protocolVersion": "2025-06-18", "capabilities": [:], "clientInfo": ["name": "t", "version": "1"],
            ],
        ])
        let start = try #require(try client.answer(1)["result"] as? [String: Any])
        #expect(start["protocolVersion"] as? String == "2025-06-18")
        try client.send(["method": "notifications/initialized"])
        // A message that is not JSON is answered, and the server goes on.
        try client.send("nonsense")
        try client.send(["id": 2, "method": "tools/list"])
        let tools = try #require(try client.answer(2)["result"] as? [String: Any])["tools"] as? [[String: Any]]
        #expect(
            tools?.compactMap { $0["name"] as? String } == [
                "run", "test", "command", "report", "parse", "syscall_check",
            ])
        #expect((client.notifications.first?["error"] as? [String: Any])?["code"] as? Int == -32700)

        let tested = try client.call(3, "test", ["pattern": "MsgboxTests/"])
        #expect(structured(tested)["exitCode"] as? Int == 0, "\(text(tested))")
        #expect((structured(tested)["verdict"] as? String)?.hasPrefix("PASSED") == true)
        #expect(text(tested).contains("PASSED"))
        #expect(client.notifications.contains { $0["method"] as? String == "notifications/progress" })

        let command = try client.call(4, "command", ["command": ["sh", "-c", "uname -s; echo oops >&2; exit 3"]])
        #expect(structured(command)["exitCode"] as? Int == 3)
        #expect(text(command).contains("standard output:\nLinux\n"))
        #expect(text(command).contains("oops"))

        let report = try client.call(5, "report", [:])
        #expect(text(report).contains("PASSED"))
        let check = try client.call(6, "syscall_check", [:])
        #expect(structured(check)["exitCode"] as? Int == 0, "\(text(check))")
        let log = try client.call(
            7, "parse", ["kind": "console", "text": "[    1.000000] Kernel panic - not syncing: VFS: no root\n"])
        #expect(structured(log)["exitCode"] as? Int == 5)
        #expect(text(log).contains("kernel panic: VFS: no root"))
        let wrong = try client.call(8, "test", ["pattern": "no such test anywhere"])
        #expect(wrong["isError"] as? Bool == true)
        #expect(try client.end() == 0)
    }

    @Test("the end of input ends a call's guest, and then the server")
    func endOfInput() throws {
        let fixture = try Fixture()
        let client = try Client(in: fixture.project)
        try client.send(["id": 1, "method": "initialize", "params": ["protocolVersion": "2024-11-05"]])
        _ = try client.answer(1)
        let mark = "sleep 987654"
        try client.send([
            "id": 2, "method": "tools/call",
            "params": ["name": "command", "arguments": ["command": ["sh", "-c", mark]]],
        ])
        // The child has the command in its arguments.
        while Self.processes(with: mark).isEmpty { usleep(10_000) }
        #expect(try client.end() == 0)
        #expect(Self.processes(with: mark).isEmpty)
    }

    /// The processes with a text in their arguments.
    private static func processes(with text: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.filter { name in
            guard Int(name) != nil, let bytes = try? Data(contentsOf: URL(filePath: "/proc/\(name)/cmdline")) else {
                return false
            }
            return String(decoding: bytes, as: UTF8.self).contains(text)
        }
    }
}
