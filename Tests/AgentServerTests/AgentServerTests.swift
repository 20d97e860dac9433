// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Fuzzing
import Synchronization
import Testing

@testable import AgentServer

/// The Model Context Protocol, spoken by a scripted client to a server whose tools are functions.
@Suite("agent server", .timeLimit(.minutes(30)))
struct AgentServerTests {
    /// What the server sent.
    private final class Client: Sendable {
        private let messages = Mutex<[JSONValue]>([])

        func take(_ line: String) {
            // A message is one line of JSON: what is not one is a null here, which no test expects.
            let isLine = !line.utf8.contains(0x0A)
            let message = isLine ? (try? JSONValue(parsing: Array(line.utf8))) ?? .null : .null
            messages.withLock { $0.append(message) }
        }

        var all: [JSONValue] { messages.withLock { $0 } }

        /// Waits for so many messages. The suite's limit of time ends an endless wait.
        func wait(for count: Int) async throws -> [JSONValue] {
            while all.count < count { try await Task.sleep(for: .milliseconds(2)) }
            return all
        }
    }

    /// Lets a tool wait until the test lets it go on, or until its call is cancelled.
    private final class Gate: Sendable {
        private let isOpen = Atomic<Bool>(false)
        let begun = Atomic<Int>(0)
        let cancelled = Atomic<Int>(0)

        func open() { isOpen.store(true, ordering: .sequentiallyConsistent) }

        func pass() async throws {
            begun.add(1, ordering: .sequentiallyConsistent)
            while !isOpen.load(ordering: .sequentiallyConsistent) {
                do {
                    try await Task.sleep(for: .milliseconds(2))
                } catch {
                    cancelled.add(1, ordering: .sequentiallyConsistent)
                    throw error
                }
            }
        }
    }

    private let client = Client()
    private let gate = Gate()

    private func server() -> AgentServer {
        let gate = gate
        return AgentServer(
            name: "kbuild", version: "1.2", instructions: "advice",
            tools: [
                AgentTool(
                    "echo", "Returns its text.",
                    parameters: [
                        .init("text", .text, "The text.", isRequired: true),
                        .init("count", .integer(1...3), "How often."),
                        .init("kind", .choice(["a", "b"]), "The kind."), .init("loud", .flag, "Whether loud."),
                        .init("words", .texts(atLeast: 1), "More."),
                    ], isReadOnly: true
                ) { arguments, progress in
                    progress(AgentProgress("halfway"))
                    let text = String(repeating: arguments.text("text") ?? "", count: arguments.integer("count") ?? 1)
                    let words = arguments.texts("words").joined(separator: "+")
                    return AgentResult(
                        text + words + (arguments.flag("loud") ? "!" : ""), exitCode: 0, verdict: "PASSED",
                        omittedBytes: 3)
                },
                AgentTool("wait", "Waits.", parameters: [], isReadOnly: false) { _, _ in
                    try await gate.pass()
                    return AgentResult("done")
                },
                AgentTool("fail", "Fails.", parameters: [], isReadOnly: false) { _, _ in
                    throw Failure(.usage, "there is no project", nextStep: "kbuild init")
                },
            ], send: { [client] in client.take($0) })
    }

    private func send(_ text: String, to server: AgentServer) async {
        await server.receive(LineSplitter.Line(bytes: Array(text.utf8), omitted: 0))
    }

    /// A server after its first messages, which the client does not keep.
    private func session(_ version: String = "2025-06-18") async -> AgentServer {
        let server = server()
        await send(
            #"{"jsonrpc":"2.0","id":"first","method":"initialize","params":{"protocolVersion":"\#(version)","capabilities":{}}}"#,
            to: server)
        await send(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, to: server)
        return server
    }

    private func errorCode(_ message: JSONValue?) -> JSONValue? { message?["error"]?["code"] }

    @Test(
        "initialize agrees on a known version, and offers the latest for another",
        arguments: [
            ("2024-11-05", "2024-11-05"), ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"),
            ("1999-01-01", "2025-06-18"),
        ])
    func initialize(wanted: String, agreed: String) async throws {
        _ = await session(wanted)
        // The notification is not answered.
        #expect(client.all.count == 1)
        let answer = try #require(client.all.first)
        #expect(answer["id"] == "first")
        #expect(answer["jsonrpc"] == "2.0")
        #expect(answer["result"]?["protocolVersion"]?.text == agreed)
        #expect(answer["result"]?["capabilities"] == ["tools": [:]])
        #expect(answer["result"]?["serverInfo"] == ["name": "kbuild", "version": "1.2"])
        #expect(answer["result"]?["instructions"] == "advice")
    }

    @Test("tools are listed with their schemas, as the agreed version has them")
    func list() async throws {
        let server = await session()
        await send(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, to: server)
        let answer = try #require(client.all.last)
        guard case .array(let tools)? = answer["result"]?["tools"] else {
            Issue.record("no list")
            return
        }
        #expect(tools.map { $0["name"]?.text } == ["echo", "wait", "fail"])
        let schema = try #require(tools[0]["inputSchema"])
        #expect(schema["type"] == "object")
        #expect(schema["required"] == ["text"])
        #expect(schema["additionalProperties"] == false)
        #expect(
            schema["properties"]?["count"] == [
                "type": "integer", "minimum": 1, "maximum": 3, "description": "How often.",
            ])
        #expect(schema["properties"]?["kind"]?["enum"] == ["a", "b"])
        #expect(schema["properties"]?["words"]?["items"] == ["type": "string"])
        #expect(tools[0]["annotations"]?["readOnlyHint"] == true)
        #expect(tools[0]["outputSchema"]?["required"] == ["omittedBytes"])
        #expect(tools[1]["inputSchema"]?["required"] == nil)

        let old = await self.session("2024-11-05")
        await send(#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#, to: old)
        guard case .array(let plain)? = client.all.last?["result"]?["tools"] else {
            Issue.record("no list")
            return
        }
        #expect(plain[0]["annotations"] == nil)
        #expect(plain[0]["outputSchema"] == nil)
    }

    @Test("a call's result is text, and structured content where the version has it")
    func call() async throws {
        let server = await session()
        await send(
            #"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":"ab\n","count":2,"words":["x","y"],"loud":true,"kind":null}}}"#,
            to: server)
        let answer = try await client.wait(for: 2)[1]
        #expect(answer["id"] == 7)
        #expect(answer["result"]?["content"] == [["type": "text", "text": "ab\nab\nx+y!"]])
        #expect(answer["result"]?["isError"] == false)
        #expect(answer["result"]?["structuredContent"] == ["exitCode": 0, "verdict": "PASSED", "omittedBytes": 3])

        let old = await self.session("2025-03-26")
        await send(
            #"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a"}}}"#,
            to: old)
        #expect(try await client.wait(for: 4)[3]["result"]?["structuredContent"] == nil)
    }

    @Test("a tool's failure is a result that says so, with the next step")
    func failure() async throws {
        let server = await session()
        await send(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fail"}}"#, to: server)
        let result = try #require(try await client.wait(for: 2)[1]["result"])
        #expect(result["isError"] == true)
        #expect(result["structuredContent"]?["exitCode"] == 2)
        guard case .array(let contents)? = result["content"] else {
            Issue.record("no content")
            return
        }
        #expect(contents.first?["text"] == "error: there is no project\nnext: kbuild init")
    }

    @Test("progress is sent before the answer to who asked for it, with a text where the version has one")
    func progress() async throws {
        let server = await session()
        await send(
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a"},"_meta":{"progressToken":"t"}}}"#,
            to: server)
        let messages = try await client.wait(for: 3)
        #expect(messages[1]["method"] == "notifications/progress")
        #expect(messages[1]["params"] == ["progressToken": "t", "progress": 1, "message": "halfway"])
        #expect(messages[1]["id"] == nil)
        #expect(messages[2]["id"] == 1)

        let old = await self.session("2024-11-05")
        await send(
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a"},"_meta":{"progressToken":5}}}"#,
            to: old)
        #expect(try await client.wait(for: 6)[4]["params"] == ["progressToken": 5, "progress": 1])
    }

    @Test("a cancelled call ends and is not answered; others go on, and the server answers meanwhile")
    func cancellation() async throws {
        let server = await session()
        for id in [1, 2] {
            await send(#"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"wait"}}"#, to: server)
        }
        while gate.begun.load(ordering: .sequentiallyConsistent) < 2 { try await Task.sleep(for: .milliseconds(2)) }
        await send(#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#, to: server)
        #expect(client.all.last == ["jsonrpc": "2.0", "id": 3, "result": [:]])
        // The number of a running call cannot be used again.
        await send(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, to: server)
        #expect(errorCode(client.all.last) == -32600)
        await send(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#, to: server)
        await send(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#, to: server)
        while gate.cancelled.load(ordering: .sequentiallyConsistent) < 1 { try await Task.sleep(for: .milliseconds(2)) }
        gate.open()
        #expect(try await client.wait(for: 4)[3]["id"] == 2)
        await server.finish()
        #expect(client.all.count == 4)
    }

    @Test("the end of input cancels every call, and returns when they have ended")
    func end() async throws {
        let server = await session()
        for id in 1...3 {
            await send(#"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"wait"}}"#, to: server)
        }
        while gate.begun.load(ordering: .sequentiallyConsistent) < 3 { try await Task.sleep(for: .milliseconds(2)) }
        await server.finish()
        #expect(gate.cancelled.load(ordering: .sequentiallyConsistent) == 3)
        #expect(client.all.count == 1)
    }

    @Test("more calls than can run at once are answered as busy")
    func busy() async throws {
        let server = await session()
        for id in 1...(AgentServer.mostCalls + 1) {
            await send(#"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"wait"}}"#, to: server)
        }
        let answer = try await client.wait(for: 2)[1]
        #expect(answer["id"] == .integer(AgentServer.mostCalls + 1))
        #expect(answer["result"]?["isError"] == true)
        await server.finish()
    }

    @Test(
        "a wrong message is answered with the error's code",
        arguments: [
            ("{", -32700, JSONValue.null), ("nonsense", -32700, .null), (#"{"a":"\#u{1}"}"#, -32700, .null),
            ("7", -32600, .null), ("[]", -32600, .null),
            (#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, .null),
            (#"{"id":1,"method":"ping"}"#, -32600, 1), (#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600, 1),
            (#"{"jsonrpc":"2.0","id":1}"#, -32600, 1), (#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600, 1),
            (#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, .null),
            (#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, .null),
            (#"{"jsonrpc":"2.0","id":"a","method":"resources/list"}"#, -32601, "a"),
            (#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#, -32600, 1),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}"#, -32602, 1),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, -32602, 1),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}"#, -32602, 1),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ecko"}}"#, -32602, 1),
            (#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#, -32602, 1),
        ] as [(String, Int, JSONValue)])
    func wrongMessages(text: String, code: Int, id: JSONValue) async throws {
        let server = await session()
        await send(text, to: server)
        #expect(client.all.count == 2)
        let answer = try #require(client.all.last)
        #expect(errorCode(answer) == .integer(code))
        #expect(answer["id"] == id)
        #expect(answer["error"]?["message"]?.text?.isEmpty == false)
        // The server goes on.
        await send(#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#, to: server)
        #expect(client.all.last?["result"] == [:])
    }

    @Test(
        "a wrong argument is named",
        arguments: [
            (#"{"text":1}"#, "text must be a string"), (#"{"text":"a\u0000b"}"#, "text must be a string without NUL"),
            (#"{"text":"a","count":4}"#, "count must be an integer from 1 to 3"),
            (#"{"text":"a","count":1.5}"#, "count must be an integer"),
            (#"{"text":"a","kind":"c"}"#, "kind must be one of a, b"),
            (#"{"text":"a","loud":"yes"}"#, "loud must be true or false"),
            (#"{"text":"a","words":[]}"#, "words must be a list of at least 1 string"),
            (#"{"text":"a","words":[1]}"#, "words must be a list"),
            (#"{"text":"a","wrds":["x"]}"#, "no parameter wrds"),
            ("{}", "text is missing"), (#""text""#, "the arguments must be an object"),
        ])
    func wrongArguments(arguments: String, message: String) async throws {
        let server = await session()
        await send(
            #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":\#(arguments)}}"#,
            to: server)
        #expect(errorCode(client.all.last) == -32602)
        #expect(client.all.last?["error"]?["message"]?.text?.contains(message) == true)
    }

    @Test("before initialize only a ping is answered")
    func order() async throws {
        let server = server()
        await send(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, to: server)
        #expect(client.all.last?["result"] == [:])
        await send(#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#, to: server)
        #expect(errorCode(client.all.last) == -32600)
        await send(#"{"jsonrpc":"2.0","id":3,"method":"initialize","params":{}}"#, to: server)
        #expect(errorCode(client.all.last) == -32602)
    }

    @Test("answers, notifications, blank lines and unknown notifications are not answered")
    func silence() async throws {
        let server = await session()
        for text in [
            "", "  \t", #"{"jsonrpc":"2.0","id":1,"result":{}}"#, #"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#,
            #"{"jsonrpc":"2.0","method":"notifications/other"}"#,
            #"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
        ] {
            await send(text, to: server)
        }
        #expect(client.all.count == 1)
    }

    @Test("a batch of 2025-03-26 is answered by one array, when its calls have ended")
    func batch() async throws {
        let server = await session("2025-03-26")
        await send(
            #"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}},{"jsonrpc":"2.0","id":2,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/other"},5]"#,
            to: server)
        #expect(client.all.count == 1)
        gate.open()
        guard case .array(let answers) = try await client.wait(for: 2)[1] else {
            Issue.record("no array")
            return
        }
        #expect(answers.compactMap { $0["id"] } == [2, .null, 1])
        // A batch of notifications is not answered at all.
        await send(#"[{"jsonrpc":"2.0","method":"notifications/other"}]"#, to: server)
        await server.finish()
        #expect(client.all.count == 2)
    }

    @Test("a message beyond the limit is refused, and the next one is read")
    func tooLong() async throws {
        let server = await session()
        await server.receive(LineSplitter.Line(bytes: Array(#"{"jsonrpc":"2.0""#.utf8), omitted: 10))
        #expect(errorCode(client.all.last) == -32700)
        await send(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, to: server)
        #expect(client.all.last?["id"] == 1)
    }

    @Test("damaged messages are answered by at most one message each, and never end the server")
    func damaged() async throws {
        let server = await session("2025-03-26")
        gate.open()
        var mutator = Mutator(
            seed: 18,
            of: [
                #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"a","count":2}}}"#,
                #"{"jsonrpc":"2.0","id":"x","method":"tools/list","params":{}}"#,
                #"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]"#,
                #"{"jsonrpc":"2.0","id":3,"result":{"a":[1,-2.5e3,true,null,"\u00e9\ud83d\ude00"]}}"#,
            ], words: ["{", "}", "[", "]", "\"", ":", ",", "null", "1e999", "\\u", "\\ud800", "[[[[[[[[", "-"])
        for _ in 0..<3000 {
            await server.receive(LineSplitter.Line(bytes: mutator.next().filter { $0 != 0x0A }, omitted: 0))
        }
        await server.finish()
        let count = client.all.count
        #expect(count > 2000 && count <= 3001)
        #expect(!client.all.contains(.null))
        await send(#"{"jsonrpc":"2.0","id":"end","method":"ping"}"#, to: server)
        #expect(client.all.last?["id"] == "end")
    }
}
