// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Processes
import Reporting
import Synchronization
import Testing

@testable import Application

@Suite("steps", .timeLimit(.minutes(30)))
struct StepTests {
    /// Counts the calls.
    private final class Calls: Sendable {
        let names = Mutex<[String]>([])
        func add(_ name: String) { names.withLock { $0.append(name) } }
    }

    private let calls = Calls()

    private func step(_ name: StepName, foreseen: Int?, dependsOn: [String] = []) -> Step<Int> {
        Step(name) { [calls] _ in
            Work(
                detail: "some work",
                forecast: {
                    calls.add("forecast \(name)")
                    return Forecast(expected: foreseen, actions: [.command("make \(name)")], dependsOn: dependsOn)
                },
                perform: { _ in
                    calls.add("perform \(name)")
                    return Performed(result: 7, outcome: .made, detail: "done")
                })
        }
    }

    @Test("an executor performs steps, and records how they ended")
    func performs() async throws {
        let log = StepLog { _ in }
        #expect(try await log.carryOut(step(.compile, foreseen: nil)) == 7)
        #expect(calls.names.withLock { $0 } == ["perform compile"])
        #expect(log.steps.map(\.outcome) == [.made])
        #expect(log.steps.map(\.detail) == ["done"])
    }

    @Test("a step that is performed repeatedly is listed once, from its first start, as failed if it failed once")
    func repeated() async throws {
        let log = StepLog { _ in }
        for outcome in [StepOutcome.made, .made] {
            _ = try await log.perform(.test) { _ in Performed(result: 1, outcome: outcome, detail: "\(outcome)") }
        }
        #expect(log.steps.map(\.outcome) == [.made])
        await #expect(throws: Failure.self) {
            try await log.perform(.test) { _ -> Performed<Int> in throw Failure(.infrastructure, "broken") }
        }
        await #expect(throws: CancellationError.self) {
            try await log.perform(.test) { _ -> Performed<Int> in throw CancellationError() }
        }
        #expect(log.steps.map(\.outcome) == [.failed] && log.steps.map(\.detail) == ["broken"])
    }

    @Test("an existing result is a hit, and nothing is performed")
    func found() async throws {
        let log = StepLog { _ in }
        let step = Step<Int>(.source) { _ in .found(3, "it") }
        #expect(try await log.carryOut(step) == 3)
        #expect(log.steps.map(\.outcome) == [.hit])
        let recorder = PlanRecorder()
        #expect(try await recorder.carryOut(step) == 3)
        #expect(recorder.steps(of: [.source]).map(\.outcome) == [.hit])
    }

    @Test("a step that fails or is cancelled ends as such")
    func failures() async throws {
        let log = StepLog { _ in }
        let failing = Step<Int>(.patch) { _ in throw Failure(.patch, "no such line") }
        await #expect(throws: Failure.self) { try await log.carryOut(failing) }
        let cancelled = Step<Int>(.compile) { _ in throw CancellationError() }
        await #expect(throws: CancellationError.self) { try await log.carryOut(cancelled) }
        #expect(log.steps.map(\.outcome) == [.failed, .cancelled])
        #expect(log.steps.first?.detail == "no such line")
    }

    @Test("a recorder performs nothing; later steps depend on what it cannot determine")
    func records() async throws {
        let recorder = PlanRecorder()
        #expect(try await recorder.carryOut(step(.compile, foreseen: 5)) == 5)
        #expect(try await recorder.carryOut(step(.programs, foreseen: nil)) == nil)
        #expect(try await recorder.carryOut(step(.rootfs, foreseen: nil, dependsOn: ["programs"])) == nil)
        try await recorder.effect { [calls] in calls.add("effect") }
        let plan = recorder.steps(of: [.compile, .programs, .rootfs, .snapshot, .test])
        #expect(plan.map(\.name) == ["compile", "programs", "rootfs", "snapshot", "test"])
        #expect(plan.map(\.outcome) == [.miss, .miss, .miss, .unknown, .always])
        #expect(plan[0].actions == [.command("make compile")])
        // Of the programs the root file system knows.
        #expect(plan[3].dependsOn == ["rootfs"] && plan[4].dependsOn == ["rootfs"])
        #expect(calls.names.withLock { $0 } == ["forecast compile", "forecast programs", "forecast rootfs"])
    }

    @Test("a step depends on the command whose output it needs")
    func questions() async throws {
        let recorder = PlanRecorder()
        var runner = CommandRunner()
        runner.execution = .nothing
        let ask: @Sendable () async throws -> Int = { [runner] in
            try await runner.output(of: Command("sh", ["-c", "exit"])).count
        }
        let asking = Step<Int>(.source) { _ in .found(try await ask()) }
        #expect(try await recorder.carryOut(asking) == nil)
        #expect(try await recorder.find(ask) == nil)
        _ = try await recorder.carryOut(step(.patch, foreseen: 1))
        let plan = recorder.steps(of: [.source, .patch])
        #expect(plan.map(\.outcome) == [.unknown, .miss])
        #expect(plan.allSatisfy { $0.dependsOn == ["sh -c exit"] })
        await #expect(throws: Failure.self) { try await recorder.find { throw Failure(.usage, "no") } as Int? }
    }

    @Test("the first of two concurrent steps to fail ends the other")
    func together() async throws {
        let log = StepLog { _ in }
        let (one, two) = try await log.together {
            1
        } _: {
            "two"
        }
        #expect(one == 1 && two == "two")
        await #expect(throws: Failure.self) {
            try await log.together {
                try await Task.sleep(for: .seconds(3600))
            } _: {
                throw Failure(.build, "no")
            }
        }
    }
}
