// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import Processes
import SystemPackage
import Testing

@testable import VirtualMachine

@Suite("Saved and restored machines", .timeLimit(.minutes(30)))
struct SnapshotTests {
    private let configuration = MachineConfiguration(
        type: .microvm, accelerator: .tcg, memoryMegabytes: 256, cpus: 1, kernel: "/k", root: .disk("/r"), shares: [],
        results: .virtio)
    private let sockets = MachineSockets(folder: "/s")

    private func arguments(_ memory: MachineConfiguration.Memory) -> [String] {
        configuration.command(sockets: sockets, memory: memory).arguments
    }

    @Test("a saved machine's memory is a shared file, a restored one's a private view of it")
    func memory() {
        let snapshot = MachineSnapshot(folder: "/x,y")
        let saved = arguments(.saved(snapshot))
        let restored = arguments(.restored(snapshot))
        #expect(saved.contains("memory-backend-file,id=ram,size=256M,mem-path=/x,,y/memory,share=on"))
        #expect(restored.contains("memory-backend-file,id=ram,size=256M,mem-path=/x,,y/memory,share=off"))
        #expect(!saved.contains("-incoming"))
        #expect(restored.firstIndex(of: "-incoming").map { restored[$0 + 1] } == "defer")
        for arguments in [saved, restored] {
            #expect(arguments.contains { $0.hasPrefix("microvm,") && $0.hasSuffix(",memory-backend=ram") })
            #expect(arguments.contains("chardev=monitor,mode=control"))
        }
    }

    @Test("an ordinary machine has no memory file")
    func ordinary() {
        let arguments = arguments(.anonymous)
        #expect(!arguments.contains { $0.contains("memory-backend") })
    }

    @Test("a restored guest gets the time, 32 unique random bytes and its requests, with go as the last one")
    func command() throws {
        let command = ResumeCommand(plan: "plan-7", filters: ["^a", "b\nc"])
        let lines = String(decoding: command.encoded, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(lines.count == 6)
        let time = lines[0].split(separator: " ")
        #expect(abs(try #require(Double(time[1])) - Date().timeIntervalSince1970) < 60)
        #expect(lines[1].hasPrefix("seed "))
        #expect(lines[1].dropFirst(5).count == 64)
        #expect(Array(lines[2...]) == ["plan plan-7", "filter ^a", #"filter b\nc"#, "go"])
        #expect(command.encoded.last == 0x0A)
        #expect(ResumeCommand(plan: "p").encoded != ResumeCommand(plan: "p").encoded)
    }

    // MARK: The monitor

    /// QEMU's output, all available from the start.
    private func monitor(_ lines: String...) async throws -> QEMUMonitor {
        let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        for line in [#"{"QMP": {"version": {}, "capabilities": []}}"#, #"{"return": {}}"#] + lines {
            continuation.yield(Array(line.utf8))
        }
        continuation.finish()
        return try await QEMUMonitor(lines: stream) { _ in }
    }

    @Test("an event before a command's answer is kept for a later wait")
    func events() async throws {
        var monitor = try await monitor(
            #"{"event": "STOP", "timestamp": {}}"#, #"{"return": {}}"#,
            #"{"event": "MIGRATION", "data": {"status": "active"}}"#,
            #"{"event": "MIGRATION", "data": {"status": "completed"}}"#)
        try await monitor.execute("stop")
        #expect(try await monitor.wait(for: "STOP") == nil)
        #expect(try await monitor.wait(for: "MIGRATION", statuses: ["completed", "failed"]) == "completed")
    }

    @Test("a refusal is a failure with QEMU's message, distinct from the end of the connection")
    func refusal() async throws {
        var monitor = try await monitor(#"{"error": {"class": "GenericError", "desc": "not now"}}"#)
        let failure = await #expect(throws: Failure.self) { try await monitor.execute("migrate") }
        #expect(failure?.details == "not now")
        await #expect(throws: QEMUMonitor.Closed.self) { try await monitor.execute("cont") }
    }

    @Test("a line that is not JSON is a failure")
    func garbage() async throws {
        var monitor = try await monitor("hello")
        await #expect(throws: Failure.self) { try await monitor.execute("cont") }
    }
}
