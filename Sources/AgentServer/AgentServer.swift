// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Synchronization

/// A server of the Model Context Protocol: it receives messages of JSON-RPC 2.0 and sends the answers.
///
/// It does no I/O: the caller passes on each line of the client, in order, and prints what the server sends. A wrong
/// message is answered with an error, whatever it is. Calls run concurrently with each other and with other messages.
public actor AgentServer {
    /// The codes of JSON-RPC 2.0.
    enum ErrorCode: Int {
        case parse = -32700
        case invalidRequest = -32600
        case unknownMethod = -32601
        case invalidParameters = -32602
        case `internal` = -32603
    }

    /// An error for the client.
    struct MessageError: Error, Equatable {
        var code: ErrorCode
        var message: String

        init(_ code: ErrorCode, _ message: String) { (self.code, self.message) = (code, message) }
    }

    /// The receiver of a request's answer: the client itself, or the batch that the request came in.
    private enum Destination {
        case client
        case batch(Int)

        var isBatch: Bool { if case .batch = self { true } else { false } }
    }

    /// The answers of a batch, which are sent together.
    private struct Batch {
        var pending: Int
        var answers: [JSONValue] = []
    }

    private struct Call {
        var task: Task<Void, Never>
        var destination: Destination
    }

    /// The most bytes of a message.
    public static let longestMessage = 8 << 20
    /// The most calls that run at once. Each may start a compiler or a guest.
    static let mostCalls = 4

    private let name: String
    private let softwareVersion: String
    private let instructions: String
    private let tools: [AgentTool]
    private let send: @Sendable (String) -> Void
    /// The version that was agreed upon; nil before.
    private var version: ProtocolVersion?
    private var calls: [JSONValue.Identifier: Call] = [:]
    private var batches: [Int: Batch] = [:]
    private var lastBatch = 0

    /// Creates a server.
    ///
    /// - Parameters:
    ///   - name: The server's name for clients.
    ///   - version: Its version.
    ///   - instructions: Advice on the tools, for the agent.
    ///   - send: Receives each message to the client, one line without its end. Called in order, from any thread.
    public init(
        name: String, version: String, instructions: String, tools: [AgentTool],
        send: @escaping @Sendable (String) -> Void
    ) {
        (self.name, softwareVersion, self.instructions) = (name, version, instructions)
        (self.tools, self.send) = (tools, send)
    }

    // MARK: Messages

    /// Handles a line of the client. Returns before calls of tools have ended.
    public func receive(_ line: LineSplitter.Line) {
        guard line.omitted == 0 else {
            return refuse(.init(.parse, "the message has more than \(Self.longestMessage >> 20) MB"))
        }
        // A blank line is no message.
        guard line.bytes.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { return }
        let message: JSONValue
        do {
            message = try JSONValue(parsing: line.bytes)
        } catch {
            return refuse(.init(.parse, error.message))
        }
        guard case .array(let messages) = message else { return handle(message, for: .client) }
        guard version == .v2025_03_26, !messages.isEmpty else {
            return refuse(.init(.invalidRequest, "expected one message, not an array of messages"))
        }
        lastBatch += 1
        let batch = lastBatch
        // One more than its messages, so that it is not complete before all are begun.
        batches[batch] = Batch(pending: messages.count + 1)
        for message in messages { handle(message, for: .batch(batch)) }
        finishPart(of: batch, with: nil)
    }

    /// Ends all calls, and returns when they have ended.
    public func finish() async {
        let running = calls.values.map(\.task)
        for task in running { task.cancel() }
        for task in running { await task.value }
    }

    private func refuse(_ error: MessageError) { answer(nil, .failure(error), to: .client) }

    private func handle(_ message: JSONValue, for destination: Destination) {
        guard case .object(let members) = message else {
            return answer(nil, .failure(.init(.invalidRequest, "a message is an object")), to: destination)
        }
        let id = JSONValue.Identifier(members["id"])
        func refuse(_ text: String) { answer(id, .failure(.init(.invalidRequest, text)), to: destination) }
        guard members["jsonrpc"]?.text == "2.0" else { return refuse("expected \"jsonrpc\": \"2.0\"") }
        guard let method = members["method"] else {
            // An answer: this server asks for nothing.
            let isAnswer = members["result"] != nil || members["error"] != nil
            return isAnswer ? ignore(destination) : refuse("the message has no method")
        }
        guard let method = method.text else { return refuse("the method is not a string") }
        guard members["id"] != nil else {
            notice(method, members["params"])
            return ignore(destination)
        }
        guard let id else { return refuse("the id must be a string or an integer") }
        guard calls[id] == nil else { return refuse("a call with this id is running") }
        do {
            if method == "tools/call" { return try begin(id, members["params"], for: destination) }
            answer(
                id, .success(try reply(to: method, members["params"], isInBatch: destination.isBatch)), to: destination)
        } catch {
            answer(id, .failure(error), to: destination)
        }
    }

    private func notice(_ method: String, _ parameters: JSONValue?) {
        // Other notifications need no action.
        guard method == "notifications/cancelled", let id = JSONValue.Identifier(parameters?["requestId"]),
            let call = calls[id]
        else { return }
        // It counts as running until its guest and its compilers have ended.
        call.task.cancel()
    }

    private func reply(
        to method: String, _ parameters: JSONValue?, isInBatch: Bool
    ) throws(MessageError) -> JSONValue {
        switch method {
        case "ping": return [:]
        case "initialize":
            guard !isInBatch else { throw .init(.invalidRequest, "initialize is a message of its own") }
            return try initialize(parameters)
        case "tools/list":
            let version = try agreedVersion()
            if let cursor = parameters?["cursor"], cursor != .null {
                throw .init(.invalidParameters, "the list of tools has one page")
            }
            return ["tools": .array(tools.map { $0.entry(for: version) })]
        default: throw .init(.unknownMethod, "there is no method \(method)")
        }
    }

    private func initialize(_ parameters: JSONValue?) throws(MessageError) -> JSONValue {
        guard version == nil else { throw .init(.invalidRequest, "the session is initialized already") }
        guard let wanted = parameters?["protocolVersion"]?.text else {
            throw .init(.invalidParameters, "protocolVersion is missing")
        }
        let version = ProtocolVersion(rawValue: wanted) ?? .latest
        self.version = version
        return [
            "protocolVersion": .string(version.rawValue), "capabilities": ["tools": [:]],
            "serverInfo": ["name": .string(name), "version": .string(softwareVersion)],
            "instructions": .string(instructions),
        ]
    }

    private func agreedVersion() throws(MessageError) -> ProtocolVersion {
        guard let version else { throw .init(.invalidRequest, "send initialize first") }
        return version
    }

    // MARK: Calls

    private func begin(
        _ id: JSONValue.Identifier, _ parameters: JSONValue?, for destination: Destination
    ) throws(MessageError) {
        let version = try agreedVersion()
        guard let name = parameters?["name"]?.text else { throw .init(.invalidParameters, "name is missing") }
        guard let tool = tools.first(where: { $0.name == name }) else {
            throw .init(.invalidParameters, "there is no tool \(name)\(guess(for: name, among: tools.map(\.name)))")
        }
        let arguments: AgentArguments
        do {
            arguments = try AgentArguments(parameters?["arguments"], for: tool.parameters)
        } catch {
            throw .init(.invalidParameters, "\(name): \(error.message)")
        }
        guard calls.count < Self.mostCalls else {
            let busy = AgentResult(
                "\(pluralized(Self.mostCalls, "call")) are running; call \(name) again when one has ended",
                isError: true)
            return answer(id, .success(rendered(busy, for: version)), to: destination)
        }
        let reporter = ProgressReporter(
            token: JSONValue.Identifier(parameters?["_meta"]?["progressToken"]),
            hasMessage: version >= .v2025_03_26, send: send)
        let task = Task {
            let outcome: Result<AgentResult, any Error>
            do {
                outcome = .success(try await tool.call(arguments) { reporter.report($0) })
            } catch {
                outcome = .failure(error)
            }
            end(id, outcome, for: version)
        }
        calls[id] = Call(task: task, destination: destination)
    }

    /// Answers a call that has ended. A cancelled call gets no answer.
    private func end(
        _ id: JSONValue.Identifier, _ outcome: Result<AgentResult, any Error>, for version: ProtocolVersion
    ) {
        guard let call = calls.removeValue(forKey: id) else { return }
        guard !Task.isCancelled else { return ignore(call.destination) }
        let result: AgentResult
        switch outcome {
        case .success(let value): result = value
        case .failure(let failure as Failure):
            result = AgentResult(failure.terminalText.plain, exitCode: Int(failure.code.rawValue), isError: true)
        case .failure(let error): result = AgentResult("\(error)", isError: true)
        }
        answer(id, .success(rendered(result, for: version)), to: call.destination)
    }

    private func rendered(_ result: AgentResult, for version: ProtocolVersion) -> JSONValue {
        var members: [String: JSONValue] = [
            "content": [["type": "text", "text": .string(result.text)]], "isError": .bool(result.isError),
        ]
        if version >= .v2025_06_18 { members["structuredContent"] = result.structured }
        return .object(members)
    }

    // MARK: Answers

    private func answer(
        _ id: JSONValue.Identifier?, _ outcome: Result<JSONValue, MessageError>, to destination: Destination
    ) {
        var members: [String: JSONValue] = ["jsonrpc": "2.0", "id": id?.value ?? .null]
        switch outcome {
        case .success(let result): members["result"] = result
        case .failure(let error):
            members["error"] = ["code": .integer(error.code.rawValue), "message": .string(error.message)]
        }
        switch destination {
        case .client: send(JSONValue.object(members).encoded)
        case .batch(let number): finishPart(of: number, with: .object(members))
        }
    }

    /// A message that gets no answer.
    private func ignore(_ destination: Destination) {
        if case .batch(let number) = destination { finishPart(of: number, with: nil) }
    }

    private func finishPart(of number: Int, with answer: JSONValue?) {
        guard var batch = batches[number] else { return }
        batch.pending -= 1
        if let answer { batch.answers.append(answer) }
        batches[number] = batch.pending > 0 ? batch : nil
        if batch.pending == 0, !batch.answers.isEmpty { send(JSONValue.array(batch.answers).encoded) }
    }
}

extension JSONValue {
    /// The identifier of a request, or the token of its progress.
    enum Identifier: Hashable {
        case number(Int)
        case text(String)

        /// Nil for another value.
        init?(_ value: JSONValue?) {
            switch value {
            case .integer(let number): self = .number(number)
            case .string(let text): self = .text(text)
            default: return nil
            }
        }

        /// The value in a message.
        var value: JSONValue {
            switch self {
            case .number(let number): .integer(number)
            case .text(let text): .string(text)
            }
        }
    }
}

/// Sends the progress of a call to a client that has asked for it.
private final class ProgressReporter: Sendable {
    private let token: JSONValue.Identifier?
    private let hasMessage: Bool
    private let send: @Sendable (String) -> Void
    private let state = Mutex((count: 0, last: ContinuousClock.Instant?.none))

    /// The time between two notifications. Clients show each of them.
    private static let pause: Duration = .milliseconds(250)

    init(token: JSONValue.Identifier?, hasMessage: Bool, send: @escaping @Sendable (String) -> Void) {
        (self.token, self.hasMessage, self.send) = (token, hasMessage, send)
    }

    /// Sends a remark, unless the last one was sent just before.
    func report(_ progress: AgentProgress) {
        guard let token else { return }
        let count = state.withLock { state -> Int? in
            state.count += 1
            let now = ContinuousClock.now
            if let last = state.last, now - last < Self.pause { return nil }
            state.last = now
            return state.count
        }
        guard let count else { return }
        // The protocol wants a number that grows; the whole is not known beforehand.
        var parameters: [String: JSONValue] = ["progressToken": token.value, "progress": .integer(count)]
        if hasMessage { parameters["message"] = .string(progress.message) }
        send(
            JSONValue.object([
                "jsonrpc": "2.0", "method": "notifications/progress", "params": .object(parameters),
            ]).encoded)
    }
}
