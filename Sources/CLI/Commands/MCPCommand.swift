// SPDX-License-Identifier: Apache-2.0
import AgentServer
import Application
import ArgumentParser
import Diagnostics
import Foundation
import Glibc
import Processes
import Project
import SystemPackage

struct MCPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mcp", abstract: "Serve an agent over standard streams (Model Context Protocol).",
        discussion: """
            An agent's program starts this command and calls its tools: run, test, command (in the guest), report, parse and \
            syscall_check. Each call runs kbuild as a child. Nothing outside of the project and kbuild's cache is written, \
            and the text of a result is bounded. The end of standard input ends the server and its children. The \
            configuration of a client:

              {"mcpServers": {"kbuild": {"command": "kbuild", "args": ["mcp", "--project", "/home/me/my-kernel"]}}}

            Examples:

              kbuild mcp
              kbuild mcp --project my-kernel
            """)

    @Option(
        name: .customLong("project"),
        help: "The folder that holds kbuild.yaml, or the file itself. (default: search upwards from here)",
        completion: .file())
    var project: String?

    func run() async throws {
        guard let executable = ownExecutable() else {
            throw Failure(.infrastructure, "kbuild cannot find its own executable, which it runs for each call")
        }
        let tools = AgentTools(
            executable: executable, project: project.map(fromHere),
            folder: FilePath(FileManager.default.currentDirectoryPath), runner: CommandRunner(supervisor: executable))
        let server = AgentServer(
            name: "kbuild", version: kbuildVersion, instructions: AgentTools.instructions, tools: tools.tools
        ) { message in
            StandardStream.output.write(TerminalText(json: message))
        }
        let input = Self.standardInput()
        try await interruptible {
            var splitter = LineSplitter(longest: AgentServer.longestMessage)
            for await bytes in input {
                var lines: [LineSplitter.Line] = []
                splitter.consume(bytes[...]) { lines.append($0) }
                for line in lines { await server.receive(line) }
            }
            var rest: [LineSplitter.Line] = []
            splitter.finish { rest.append($0) }
            for line in rest { await server.receive(line) }
            await server.finish()
        }
    }

    /// The bytes of standard input, until its end. A thread of its own reads them, because reading blocks.
    private static func standardInput() -> AsyncStream<[UInt8]> {
        let (bytes, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = read(STDIN_FILENO, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                continuation.yield(Array(buffer[..<count]))
                // A client that does not read its answers is not read either.
                OutputQueue.standard.waitForRoom()
            }
            continuation.finish()
        }
        return bytes
    }
}
