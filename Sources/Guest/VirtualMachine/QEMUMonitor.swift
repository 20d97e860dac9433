// SPDX-License-Identifier: Apache-2.0
import Diagnostics

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// A conversation with QEMU over its machine protocol (QMP): JSON lines, each command answered in order, with events in
/// between. docs/interop/qmp-spec.txt of QEMU's sources describes it.
struct QEMUMonitor {
    /// A message from QEMU.
    private struct Message: Decodable {
        struct Problem: Decodable {
            var desc: String
        }
        struct EventData: Decodable {
            var status: String?
        }
        /// The text of an answer, or the status in it; other answers are not used.
        struct Text: Decodable {
            var value: String?

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                value = (try? container.decode(String.self)) ?? (try? container.decode(EventData.self))?.status
            }
        }
        /// Present in the answer to a successful command.
        var `return`: Text?
        /// Present in an event: its name.
        var event: String?
        var data: EventData?
        /// Present in the answer to a command that failed.
        var error: Problem?
    }

    private struct Request<Arguments: Encodable>: Encodable {
        var execute: String
        var arguments: Arguments
    }

    /// The connection is closed: QEMU has ended, and its exit status says why.
    struct Closed: Error {}

    private var lines: AsyncStream<[UInt8]>.Iterator
    private var events: [Message] = []
    private let send: @Sendable ([UInt8]) -> Void

    /// Opens a session.
    ///
    /// - Parameters:
    ///   - lines: QEMU's lines; they end with the connection.
    ///   - send: Sends the bytes of a command.
    /// - Throws: `Closed`; `Failure` (`infrastructure`) when QEMU refuses; `CancellationError`.
    init(lines: AsyncStream<[UInt8]>, send: @escaping @Sendable ([UInt8]) -> Void) async throws {
        self.lines = lines.makeAsyncIterator()
        self.send = send
        // QEMU greets first, and accepts only this command before it.
        _ = try await next()
        try await execute("qmp_capabilities")
    }

    /// Executes a command.
    ///
    /// - Parameters:
    ///   - command: Its name.
    ///   - arguments: Its arguments, of any type that JSON has.
    /// - Throws: As `init`.
    mutating func execute(_ command: String, _ arguments: some Encodable = [String: String]()) async throws {
        _ = try await ask(command, arguments)
    }

    /// Executes a command that answers with text or, as query-status does, with an object that has a status.
    ///
    /// - Returns: The text or the status; empty when the answer is neither.
    /// - Throws: As `init`.
    mutating func ask(_ command: String, _ arguments: some Encodable = [String: String]()) async throws -> String {
        send(try JSONEncoder().encode(Request(execute: command, arguments: arguments)) + [0x0A])
        while true {
            let message = try await next()
            if message.event != nil {
                events.append(message)
                continue
            }
            if let error = message.error {
                throw Failure(.infrastructure, "QEMU refused \(command)", details: error.desc)
            }
            return message.return?.value ?? ""
        }
    }

    /// Waits for an event that has arrived already or will arrive; returns its status, if it has one.
    ///
    /// - Throws: As `init`.
    mutating func wait(for name: String, statuses: Set<String>? = nil) async throws -> String? {
        func fits(_ message: Message) -> Bool {
            message.event == name && (statuses.map { $0.contains(message.data?.status ?? "") } ?? true)
        }
        if let index = events.firstIndex(where: fits) { return events.remove(at: index).data?.status }
        while true {
            let message = try await next()
            if fits(message) { return message.data?.status }
            if message.event != nil { events.append(message) }
        }
    }

    private mutating func next() async throws -> Message {
        guard let line = await lines.next() else {
            try Task.checkCancellation()
            throw Closed()
        }
        do {
            return try JSONDecoder().decode(Message.self, from: Data(line))
        } catch {
            throw Failure(
                .infrastructure, "QEMU's monitor sent invalid JSON",
                details: String(decoding: line.prefix(200), as: UTF8.self))
        }
    }
}
