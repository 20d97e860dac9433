// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Dispatch
import Foundation
import ResultsModel
import Synchronization
import SystemPackage
import Testing
import VirtualMachine

@testable import GuestSession
@testable import Project
@testable import TestSession

/// A guest that sends given frames, and then waits until its machine is ended.
private struct SilentMachine: Machine {
    let hasResultsOnConsole = false
    var frames: [(Frame.Kind, String)]
    /// Whether it ends by itself after its last frame.
    var ends = false
    /// Called when its machine is ended from outside.
    var onKill: @Sendable () -> Void = {}

    func run(_ handlers: MachineHandlers) async throws -> MachineExit {
        try await withTaskCancellationHandler {
            // On a separate thread, as for a machine's sockets, because the handlers may block.
            await withCheckedContinuation { continuation in
                Thread {
                    for (index, (kind, text)) in frames.enumerated() {
                        handlers.results(Frame(sequence: index + 1, kind: kind, payload: Array(text.utf8)).encoded)
                        _ = handlers.console(Array("line \(index)\n".utf8))
                    }
                    continuation.resume()
                }.start()
            }
            if !ends { try await Task.sleep(for: .seconds(600)) }
            return .finished
        } onCancel: {
            onKill()
        }
    }
}

@Suite("Guest session", .timeLimit(.minutes(30)))
struct GuestSessionTests {
    private let program = ProgramPlan(name: "put", arguments: ["/put"], resultsProtocol: .exitCode(skip: nil))
    private let log = FilePath(NSTemporaryDirectory()).appending("kbuild-session-\(UUID().uuidString).log")

    private func session(_ machine: SilentMachine, silence: Double, seconds: Int = 0) -> GuestSession {
        var program = program
        program.seconds = seconds
        return GuestSession(
            machine: machine, plan: SessionPlan(programs: [program]),
            // Only the limit on silence must be reached, on a host of any speed.
            limits: SessionLimits(boot: 600, silence: silence, test: 600, run: 600, inspection: 0.1), consoleLog: log)
    }

    private static let frames: [(Frame.Kind, String)] = [
        (.hello, "init=1 release=6.1 kernel=Linux"), (.start, "0 1"), (.stop, "0 2 exit 0"), (.end, "1"),
    ]

    /// The events' names, in order.
    private final class Seen: Sendable {
        let names = Mutex<[String]>([])

        func note(_ event: SessionEvent) {
            let name =
                switch event {
                case .booted: "booted"
                case .testStarted: "started"
                case .testEnded: "ended"
                case .crashed: "crashed"
                case .ended: "end"
                }
            names.withLock { $0.append(name) }
        }
    }

    @Test("a blocked sink does not stop a limit: the machine is ended, and later every event arrives in order")
    func blockedSink() async throws {
        defer { unlink(log.string) }
        let seen = Seen()
        let gate = DispatchSemaphore(value: 0)
        // The guest hangs in its program. Only the machine's end, which the watch causes, releases the sink.
        let machine = SilentMachine(frames: Array(Self.frames.prefix(2)), onKill: { gate.signal() })
        let result = try await session(machine, silence: 0.5).run { event in
            gate.wait()
            gate.signal()
            seen.note(event)
        }
        #expect(result.limit == .silence(0.5))
        #expect(seen.names.withLock { $0 } == ["booted"])
    }

    @Test("a healthy guest with a blocked sink does not time out, and all its events are delivered")
    func healthy() async throws {
        defer { unlink(log.string) }
        let seen = Seen()
        let session = session(SilentMachine(frames: Self.frames, ends: true), silence: 0.3)
        let result = try await session.run { event in
            // Longer than the silence limit, for each event.
            usleep(400_000)
            seen.note(event)
        }
        #expect(result.limit == nil)
        #expect(result.exit == .finished)
        #expect(result.outcome.programs.flatMap(\.tests).map(\.status) == [.passed])
        #expect(seen.names.withLock { $0 } == ["booted", "ended", "end"])
    }

    @Test("a program that was killed and stays in the kernel ends its guest, long before its limit by the host's clock")
    func stuck() async throws {
        defer { unlink(log.string) }
        let machine = SilentMachine(frames: Array(Self.frames.prefix(2)) + [(.stuck, "0")])
        let result = try await session(machine, silence: 600, seconds: 300).run { _ in }
        #expect(result.limit == .test("put", 300))
        #expect(result.outcome.programs.flatMap(\.tests).map(\.status) == [.timedOut])
    }

    @Test("a client that does not return delays the guest, but not a limit")
    func slowClient() async throws {
        defer { unlink(log.string) }
        let gate = DispatchSemaphore(value: 0)
        var session = session(
            SilentMachine(frames: Array(Self.frames.prefix(2)), onKill: { gate.signal() }), silence: 0.5)
        let lines = Mutex<Int>(0)
        session.client = .init(
            connected: { _ in }, interaction: { _ in },
            line: { _ in
                gate.wait()
                gate.signal()
                lines.withLock { $0 += 1 }
            })
        let result = try await session.run { _ in }
        #expect(result.limit == .silence(0.5))
        // It gets every line nevertheless.
        #expect(lines.withLock { $0 } == 2)
    }
}

@Suite("Event queue", .timeLimit(.minutes(30)))
struct EventQueueTests {
    @Test("events of many threads are delivered one at a time, each thread's in order, and all before a flush returns")
    func order() async {
        let seen = Mutex<[(Int, Int)]>([])
        let inside = Atomic<Int>(0)
        let queue = EventQueue<(Int, Int)> { event in
            #expect(inside.add(1, ordering: .relaxed).newValue == 1)
            seen.withLock { $0.append(event) }
            inside.subtract(1, ordering: .relaxed)
        }
        await withTaskGroup(of: Void.self) { group in
            for sender in 0..<8 {
                group.addTask { for number in 0..<500 { queue.send((sender, number)) } }
            }
        }
        await queue.flush()
        let events = seen.withLock { $0 }
        #expect(events.count == 4000)
        for sender in 0..<8 { #expect(events.filter { $0.0 == sender }.map(\.1) == Array(0..<500)) }
        await queue.flush()
    }

    @Test("a sink may send, and an empty queue is flushed at once")
    func nested() async {
        let seen = Mutex<[Int]>([])
        let queue = Mutex<EventQueue<Int>?>(nil)
        let inner = EventQueue<Int> { number in
            seen.withLock { $0.append(number) }
            if number > 0 { queue.withLock { $0 }?.send(number - 1) }
        }
        queue.withLock { $0 = inner }
        await inner.flush()
        inner.send(3)
        while seen.withLock({ $0.count }) < 4 { await inner.flush() }
        #expect(seen.withLock { $0 } == [3, 2, 1, 0])
        queue.withLock { $0 = nil }
    }
}
