// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A parameter of a tool.
public struct AgentParameter: Sendable {
    /// The values that it takes.
    public enum Kind: Sendable, Equatable {
        case text
        case choice([String])
        case flag
        case integer(ClosedRange<Int>)
        /// A list of texts, with at least so many.
        case texts(atLeast: Int)
    }

    /// Its name.
    public var name: String
    /// Its values.
    public var kind: Kind
    /// What it means.
    public var summary: String
    /// Whether a call must have it.
    public var isRequired: Bool

    /// Creates a parameter.
    public init(_ name: String, _ kind: Kind, _ summary: String, isRequired: Bool = false) {
        (self.name, self.kind, self.summary, self.isRequired) = (name, kind, summary, isRequired)
    }

    /// Its JSON schema.
    var schema: JSONValue {
        var members: [String: JSONValue] = ["description": .string(summary)]
        switch kind {
        case .text: members["type"] = "string"
        case .choice(let words):
            members["type"] = "string"
            members["enum"] = .array(words.map { .string($0) })
        case .flag: members["type"] = "boolean"
        case .integer(let range):
            members["type"] = "integer"
            members["minimum"] = .integer(range.lowerBound)
            members["maximum"] = .integer(range.upperBound)
        case .texts(let least):
            members["type"] = "array"
            members["items"] = ["type": "string"]
            members["minItems"] = .integer(least)
        }
        return .object(members)
    }

    /// Why a value is not one of its values; nil if it is.
    func problem(with value: JSONValue) -> String? {
        // No argument of a process can hold a NUL.
        func isText(_ value: JSONValue) -> Bool { value.text.map { !$0.utf8.contains(0) } ?? false }
        return switch kind {
        case .text: isText(value) ? nil : "\(name) must be a string without NUL"
        case .choice(let words):
            words.contains(value.text ?? "") ? nil : "\(name) must be one of \(words.joined(separator: ", "))"
        case .flag: if case .bool = value { nil } else { "\(name) must be true or false" }
        case .integer(let range):
            if case .integer(let number) = value, range.contains(number) {
                nil
            } else {
                "\(name) must be an integer from \(range.lowerBound) to \(range.upperBound)"
            }
        case .texts(let least):
            if case .array(let values) = value, values.count >= least, values.allSatisfy(isText) {
                nil
            } else {
                "\(name) must be a list of at least \(pluralized(least, "string")), none with NUL"
            }
        }
    }
}

/// The arguments of a call, checked against the tool's parameters.
public struct AgentArguments: Sendable {
    private let values: [String: JSONValue]

    /// Checks a call's arguments. Null stands for a missing argument.
    ///
    /// - Throws: `Failure` (`usage`) that names the argument.
    init(_ value: JSONValue?, for parameters: [AgentParameter]) throws(Failure) {
        var given: [String: JSONValue] = [:]
        switch value {
        case .object(let members): given = members.filter { $0.value != .null }
        case nil, .null: break
        default: throw Failure(.usage, "the arguments must be an object")
        }
        for name in given.keys.sorted() where !parameters.contains(where: { $0.name == name }) {
            throw Failure(.usage, "there is no parameter \(name)\(guess(for: name, among: parameters.map(\.name)))")
        }
        for parameter in parameters {
            guard let argument = given[parameter.name] else {
                if parameter.isRequired { throw Failure(.usage, "\(parameter.name) is missing") }
                continue
            }
            if let problem = parameter.problem(with: argument) { throw Failure(.usage, problem) }
        }
        values = given
    }

    /// A text; nil if it was not given.
    public func text(_ name: String) -> String? { values[name]?.text }
    /// A flag; false if it was not given.
    public func flag(_ name: String) -> Bool { values[name] == .bool(true) }
    /// A number; nil if it was not given.
    public func integer(_ name: String) -> Int? {
        if case .integer(let number)? = values[name] { number } else { nil }
    }
    /// A list; empty if it was not given.
    public func texts(_ name: String) -> [String] {
        if case .array(let values)? = values[name] { values.compactMap(\.text) } else { [] }
    }
}

/// The result of a call.
public struct AgentResult: Sendable, Equatable {
    /// What the agent reads, already shortened.
    public var text: String
    /// kbuild's exit code, or that of the command in the guest; nil when nothing ran.
    public var exitCode: Int?
    /// The verdict in one line, where there is one.
    public var verdict: String?
    /// The number of bytes left out of the text.
    public var omittedBytes: Int
    /// Whether the call gave no result: a wrong argument, a missing tool.
    public var isError: Bool

    /// Creates a result.
    public init(
        _ text: String, exitCode: Int? = nil, verdict: String? = nil, omittedBytes: Int = 0, isError: Bool = false
    ) {
        (self.text, self.exitCode, self.verdict) = (text, exitCode, verdict)
        (self.omittedBytes, self.isError) = (omittedBytes, isError)
    }

    /// The fields of the result that are not text.
    var structured: JSONValue {
        var members: [String: JSONValue] = ["omittedBytes": .integer(omittedBytes)]
        members["exitCode"] = exitCode.map { .integer($0) }
        members["verdict"] = verdict.map { .string($0) }
        return .object(members)
    }

    /// The JSON schema of these fields.
    static let schema: JSONValue = [
        "type": "object",
        "properties": [
            "exitCode": ["type": "integer", "description": "kbuild's exit code, or that of the command in the guest"],
            "verdict": ["type": "string", "description": "the verdict in one line"],
            "omittedBytes": ["type": "integer", "description": "the number of bytes left out of the text"],
        ],
        "required": ["omittedBytes"],
    ]
}

/// How far a call is.
public struct AgentProgress: Sendable, Equatable {
    /// A short text.
    public var message: String

    /// Creates a remark.
    public init(_ message: String) { self.message = message }
}

/// A tool that an agent can call.
public struct AgentTool: Sendable {
    /// Its name, by which it is called.
    public var name: String
    /// What it does and returns.
    public var summary: String
    /// Its parameters.
    public var parameters: [AgentParameter]
    /// Whether it changes nothing.
    public var isReadOnly: Bool
    /// Carries out a call. It throws `Failure` when there is no result, and `CancellationError`.
    public var call: @Sendable (AgentArguments, @escaping @Sendable (AgentProgress) -> Void) async throws -> AgentResult

    /// Creates a tool.
    public init(
        _ name: String, _ summary: String, parameters: [AgentParameter], isReadOnly: Bool,
        call:
            @escaping @Sendable (AgentArguments, @escaping @Sendable (AgentProgress) -> Void) async throws ->
            AgentResult
    ) {
        (self.name, self.summary, self.parameters) = (name, summary, parameters)
        (self.isReadOnly, self.call) = (isReadOnly, call)
    }

    /// The tool's entry in the list of tools.
    func entry(for version: ProtocolVersion) -> JSONValue {
        var schema: [String: JSONValue] = [
            "type": "object", "additionalProperties": false,
            "properties": .object(
                Dictionary(parameters.map { ($0.name, $0.schema) }, uniquingKeysWith: { first, _ in first })),
        ]
        let required = parameters.filter(\.isRequired).map { JSONValue.string($0.name) }
        if !required.isEmpty { schema["required"] = .array(required) }
        var members: [String: JSONValue] = [
            "name": .string(name), "description": .string(summary), "inputSchema": .object(schema),
        ]
        if version >= .v2025_03_26 {
            members["annotations"] = [
                "readOnlyHint": .bool(isReadOnly), "destructiveHint": false, "openWorldHint": false,
            ]
        }
        if version >= .v2025_06_18 { members["outputSchema"] = AgentResult.schema }
        return .object(members)
    }
}

/// The versions of the Model Context Protocol that kbuild speaks.
public enum ProtocolVersion: String, Sendable, CaseIterable, Comparable {
    case v2024_11_05 = "2024-11-05"
    /// Adds annotations of tools, the message of a progress notification, and batches of messages.
    case v2025_03_26 = "2025-03-26"
    /// Adds structured results, and removes batches.
    case v2025_06_18 = "2025-06-18"

    /// The version that is offered to a client with an unknown one.
    static let latest = v2025_06_18

    /// The order of the dates.
    public static func < (left: ProtocolVersion, right: ProtocolVersion) -> Bool { left.rawValue < right.rawValue }
}
