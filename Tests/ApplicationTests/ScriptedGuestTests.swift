// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CrashReports
import Diagnostics
import Foundation
import GuestSession
import Processes
import ResultsModel
import Synchronization
import SystemPackage
import TestSession
import Testing
import VirtualMachine

@testable import Application
@testable import Project

/// The steps that start guests, with a function in place of QEMU.
@Suite("steps with scripted guests", .timeLimit(.minutes(30)))
struct ScriptedGuestTests {
    private let scratch: FilePath
    private let events = Events()

    /// What was said meanwhile.
    private final class Events: Sendable {
        let texts = Mutex<[String]>([])
    }

    init() throws {
        // Short: sockets are below it.
        scratch = FilePath("/tmp/guests-\(UUID().uuidString.prefix(8))")
        for (name, text) in [
            ("bin/qemu-system-x86_64", "qemu"), ("bin/kbuild", "kbuild"), ("image", "a kernel"), ("root", "a disk"),
            ("linux/Makefile", "VERSION = 5\nPATCHLEVEL = 19\nSUBLEVEL = 7\n"), ("linux/Kbuild", "\n"),
            ("kbuild.yaml", "kernel: {source: ./linux}\ntests: [{c: one.c}, {c: two.c}]\n"),
            ("one.c", "int main(void) { return 0; }\n"), ("two.c", "int main(void) { return 0; }\n"),
        ] {
            try write(name, text)
        }
    }

    private func write(_ name: String, _ text: String) throws {
        let path = scratch.pushing(FilePath(name))
        try createFolder(path.removingLastComponent())
        try writeAtomically(Array(text.utf8), to: path, mode: .ownerReadWriteExecute)
    }

    private func context(_ emulator: ScriptedEmulator, isolation: Project.Isolation? = nil, guests: Int = 1) throws
        -> ProjectContext
    {
        var project = try Project.load(scratch.appending("kbuild.yaml"))
        if let isolation { project.isolation = isolation }
        project.guests = guests
        return try ProjectContext(
            project: project, environment: ["KBUILD_CACHE": scratch.appending("cache").string, "PATH": "/usr/bin"],
            supervisor: scratch.pushing("bin/kbuild"), isDryRun: false,
            substitute: ToolSubstitute(searchPath: scratch.appending("bin").string) { await emulator.run($0) },
            onEvent: { [events] event in events.texts.withLock { $0.append("\(event)") } })
    }

    private func configuration(_ type: MachineType) -> MachineConfiguration {
        MachineConfiguration(
            type: type, accelerator: .tcg, memoryMegabytes: 64, cpus: 1, kernel: scratch.appending("image"),
            root: .disk(scratch.appending("root")), shares: [], results: .virtio)
    }

    /// Two programs, and the boards to try.
    private func guests(_ context: ProjectContext, _ boards: MachineType...) throws -> RunGuests {
        let folder = scratch.appending("run")
        let share = folder.appending("guest")
        try createFolder(share)
        let programs = ["one", "two"].map { name in
            ProgramArtifact(
                planned: ProgramPlan(name: name, arguments: ["/\(name)"], resultsProtocol: .exitCode(skip: nil)),
                executable: scratch.appending("image"), fileName: name, isStatic: true)
        }
        let machines = boards.map { type in
            let configuration = configuration(type)
            return MachineCandidate(
                machine: QEMUMachine(configuration, runner: context.tools.runner),
                reported: RunReport.Machine(
                    type: type.rawValue, accelerator: "tcg", acceleratorReason: "", memoryMegabytes: 64, cpus: 1,
                    rootfs: "disk", results: "virtio", qemuVersion: nil),
                bootLimit: 600, configuration: configuration, runner: context.tools.runner)
        }
        return RunGuests(programs: ProgramSet(artifacts: programs), machines: machines, share: share, folder: folder)
    }

    private var kernel: BuiltKernel {
        BuiltKernel(
            image: scratch.appending("image"), vmlinux: scratch.appending("image"), config: scratch.appending("config"),
            version: "5.19.7")
    }

    private func test(_ context: ProjectContext, _ guests: RunGuests, from snapshots: SnapshotArtifacts? = nil)
        async throws -> TestResults
    {
        let steps = TestSteps(context: context, guests: guests, kernel: kernel)
        return try #require(try await context.log.carryOut(steps.tests(from: snapshots)))
    }

    private func statuses(_ results: TestResults) -> [String] {
        results.outcome.programs.flatMap(\.tests).map { "\($0.name) \($0.status.rawValue)" }
    }

    // MARK: The test step

    @Test("one guest runs both programs of its plan, and the step says how many passed")
    func oneGuest() async throws {
        defer { try? removeAll(scratch) }
        let emulator = ScriptedEmulator(.runs([0, 3]))
        let context = try context(emulator)
        let results = try await test(context, try guests(context, .microvm))
        #expect(statuses(results) == ["one passed", "two failed"])
        #expect(results.outcome.isComplete && results.outcome.faults.isEmpty && results.outcome.release == "5.19.7")
        #expect(context.log.steps.map { "\($0.name) \($0.outcome.rawValue)" } == ["test made"])
        #expect(context.log.steps[0].detail.hasSuffix("1 of 2 tests passed"))
        #expect(emulator.starts.count == 1)
        #expect(emulator.starts[0].contains { $0.contains("kbuild.plan=plan-1") })
        let plan = try readText(scratch.pushing("run/guest/plan-1"))
        #expect(plan.contains("/one") && plan.contains("/two"))
    }

    @Test("each test of an isolated run has its own guest and plan")
    func isolated() async throws {
        defer { try? removeAll(scratch) }
        let emulator = ScriptedEmulator(.runs([0]), .runs([0]))
        let context = try context(emulator, isolation: .test, guests: 1)
        let results = try await test(context, try guests(context, .microvm))
        #expect(statuses(results) == ["one passed", "two passed"])
        #expect(results.guests.count == 2 && results.shards == 2 && results.maxConcurrentGuests == 1)
        let words = emulator.starts.map { $0.joined(separator: " ") }
        #expect(words.count == 2 && words[0].contains("kbuild.plan=plan-1") && words[1].contains("kbuild.plan=plan-2"))
        let second = try readText(scratch.pushing("run/guest/plan-2"))
        #expect(second.contains("/two") && !second.contains("/one"))
    }

    @Test("a guest that resets before init has started is tried on the next board; behind the last the run is at fault")
    func otherBoard() async throws {
        defer { try? removeAll(scratch) }
        let emulator = ScriptedEmulator(.resets, .runs([0, 0]))
        let context = try context(emulator)
        let results = try await test(context, try guests(context, .microvm, .q35))
        #expect(statuses(results) == ["one passed", "two passed"])
        #expect(results.guests.map(\.machine.type) == ["q35"])
        #expect(emulator.starts.count == 2)
        #expect(fileExists(scratch.pushing("run/console-microvm-1.log")))

        let none = ScriptedEmulator(.resets, .fails("qemu-system-x86_64: no such board"))
        let second = try self.context(none)
        let failed = try await test(second, try guests(second, .microvm, .q35))
        #expect(!failed.outcome.isComplete)
        #expect(statuses(failed).allSatisfy { !$0.hasSuffix("passed") })
    }

    @Test("a guest that hangs is asked letter by letter, its whole answer is kept, and the rest runs in a new guest")
    func hanging() async throws {
        defer { try? removeAll(scratch) }
        let project = try readText(scratch.appending("kbuild.yaml"))
        try write("kbuild.yaml", project + "timeouts: {silence: 4}\n")
        let last = "the last line of the last answer\n"
        let emulator = ScriptedEmulator(.hangs(["l": "processors\n", "t": "tasks\n" + last]), .runs([0]))
        var context = try context(emulator)
        // However busy the machine of the tests is.
        context.inspectionLimit = 600
        let results = try await test(context, try guests(context, .microvm))
        #expect(statuses(results) == ["one timedOut", "two passed"])
        #expect(emulator.letters == "lwdth")
        let hung = try #require(results.guests.first?.result)
        #expect(hung.limit == .silence(4))
        #expect(hung.processors.map(\.address) == [0xffff_ffff_8100_0000])
        let lines = hung.inspection.map(\.message)
        #expect(lines.count { $0.hasPrefix("sysrq: ") } == 5, "\(lines)")
        #expect(lines.contains("processors") && lines.contains("tasks") && lines.contains(String(last.dropLast())))
    }

    // MARK: The snapshot step

    private func save(_ context: ProjectContext, _ guests: RunGuests) async throws -> SnapshotArtifacts {
        let step = SnapshotSteps(context: context, guests: guests).snapshots()
        return try #require(try await context.log.carryOut(step))
    }

    @Test("a guest is saved once, and each test wakes from it with its own plan")
    func snapshot() async throws {
        defer { try? removeAll(scratch) }
        let emulator = ScriptedEmulator(.runs([]), .runs([0]), .runs([0]))
        let first = try context(emulator, isolation: .test)
        let guests = try self.guests(first, .microvm)
        let saved = try await save(first, guests)
        let place = try #require(saved.places?[nil])
        #expect(!place.isHit && saved.boots.count == 1)
        #expect(try readText(place.snapshot.state) == "the state of the devices")
        #expect(try readText(place.snapshot.console).contains("Linux version 5.19.7"))
        #expect(emulator.starts[0].contains { $0.contains("kbuild.hold=none") })

        let second = try context(emulator, isolation: .test)
        let again = try await save(second, try self.guests(second, .microvm))
        #expect(again.places?[nil]?.isHit == true && again.places?[nil]?.snapshot == place.snapshot)
        #expect(first.log.steps.map { $0.outcome } == [.made] && second.log.steps.map { $0.outcome } == [.hit])
        #expect(emulator.starts.count == 1)

        let results = try await test(first, guests, from: saved)
        #expect(statuses(results) == ["one passed", "two passed"])
        #expect(emulator.starts.count == 3 && emulator.starts.suffix(2).allSatisfy { $0.contains("-incoming") })
        #expect(
            emulator.orders.map { $0.textLines().filter { $0.hasPrefix("plan ") } } == [
                ["plan plan-1"], ["plan plan-2"],
            ])
    }

    @Test("a machine that cannot be saved, does not start or does not get ready gives no snapshot, and a word why")
    func noSnapshot() async throws {
        defer { try? removeAll(scratch) }
        for (guest, word) in [
            (ScriptedEmulator.Guest.fails("qemu-system-x86_64: no such board"), "the guest ended before it slept"),
            (.stops("there is no root"), "the guest did not get ready"),
        ] {
            let emulator = ScriptedEmulator(guest)
            let context = try context(emulator, isolation: .test)
            let saved = try await save(context, try guests(context, .microvm))
            #expect(saved.places == nil && saved.boots.count == 1)
            #expect(context.log.steps.last?.outcome == .failed)
            #expect(events.texts.withLock { $0.contains { $0.contains(word) } }, "\(word)")
            #expect(try namesInFolder(context.projectCache.appending("snapshots")).isEmpty)
        }
        let emulator = ScriptedEmulator()
        let context = try context(emulator, isolation: .test)
        var guests = try self.guests(context, .microvm)
        guests.machines[0].configuration?.numaNodes = 2
        let saved = try await save(context, guests)
        #expect(saved.places == nil && saved.boots.isEmpty && emulator.starts.isEmpty)
        #expect(events.texts.withLock { $0.contains { $0.contains("NUMA") } })
    }
}
