// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CrashReports
import Diagnostics
import Glibc
import Processes
import Project
import Reporting
import ResultsModel
import SystemPackage
import TestSession
import VirtualMachine

/// The result of one guest.
package struct GuestRun: Sendable {
    package var shard: TestShard
    package var result: SessionResult
    package var machine: RunReport.Machine
    /// Its console's log.
    package var log: FilePath
}

/// Runs the shards of a plan in guests, some at a time. If a guest does not finish its tests, because its kernel
/// crashed or hung or a test ended the program, the remaining tests run in another guest; failed tests are repeated if
/// that is requested.
package struct TestScheduler: Sendable {
    /// All programs of the run.
    package let programs: [ProgramArtifact]
    package let shards: [TestShard]
    /// How many guests run at once, and for how long.
    package let rules: Rules
    /// The run's folder. It gets the console's log and, if there are several guests, the log of each.
    package let folder: FilePath
    /// The source of the guests.
    package let guests: Guests

    /// How many guests run at once, and for how long.
    package struct Rules: Sendable {
        /// How many guests run at once.
        package let maxConcurrentGuests: Int
        /// The limits of each guest; `boot` is the machine's own and `run` for all of them together.
        package let limits: SessionLimits
        /// The time limit of the whole run.
        package let deadline: ContinuousClock.Instant
        /// How many times a failed test is repeated.
        package let retries: Int

        /// Creates rules for a run that starts now.
        package init(maxConcurrentGuests: Int, limits: SessionLimits, retries: Int) {
            self.maxConcurrentGuests = maxConcurrentGuests
            self.limits = limits
            self.deadline = .now + .seconds(limits.run)
            self.retries = retries
        }
    }

    /// The source of the guests.
    package struct Guests: Sendable {
        /// The boots of restored guests: these come first in the log, and the kernel's reports in them come first in
        /// the reports.
        package let boots: [SavedBoot]
        /// Reads the kernel's memory.
        package let memoryReader: KernelMemoryReader
        /// Makes the guest for a shard. The second argument is the number of machines that did not boot before; nil
        /// when there is no other machine.
        package let machine: @Sendable (_ shard: TestShard, _ attempt: Int) throws -> GuestMachine?

        /// Creates a source of guests.
        package init(
            boots: [SavedBoot], memoryReader: KernelMemoryReader,
            machine: @escaping @Sendable (_ shard: TestShard, _ attempt: Int) throws -> GuestMachine?
        ) {
            self.boots = boots
            self.memoryReader = memoryReader
            self.machine = machine
        }
    }

    /// Describes the guests of a run; none starts yet.
    package init(
        programs: [ProgramArtifact], shards: [TestShard], rules: Rules, folder: FilePath, guests: Guests
    ) {
        self.programs = programs
        self.shards = shards
        self.rules = rules
        self.folder = folder
        self.guests = guests
        tally = CrashTally(isOn: !rules.limits.keepsGoing)
    }

    /// The crashes with which guests ended.
    private let tally: CrashTally

    /// A test that crashes this many guests is not repeated.
    private static let mostCrashes = 2

    /// The results of the guests.
    package struct Result: Sendable {
        /// The results of the tests.
        package var outcome: SessionOutcome
        /// In the order of their tests; repetitions come last.
        package var guests: [GuestRun]
    }

    /// Runs all shards.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a machine cannot be started; `CancellationError`.
    package func run(
        onEvent: @escaping @Sendable (SessionEvent) -> Void, note: ProgressSink
    ) async throws -> Result {
        try ProcessLimits.check(guests: min(rules.maxConcurrentGuests, shards.count))
        var tries = [try await run(shards, named: "", onEvent, note)]
        while !rules.limits.failFast, tally.reason == nil, tries.count <= rules.retries, rules.deadline > .now {
            let again = worthATry(tries)
            guard !again.isEmpty else { break }
            let count = again.count == 1 ? "one test" : "\(again.count) tests"
            note(.note("trying \(count) again: try \(tries.count + 1) of \(rules.retries + 1)"))
            // If each test has its own guest, it gets its own guest again.
            let isAlone = shards.count > 1 && shards.allSatisfy { $0.units.count == 1 }
            let shards =
                isAlone ? again.map { TestShard([$0], of: programs) } : [TestShard(again, of: programs)]
            tries.append(try await run(shards, named: "try\(tries.count + 1)-", onEvent, note))
        }
        let crashes = try joinLogs(of: &tries)
        var outcome = outcome(of: tries)
        outcome.crashes = crashes + outcome.crashes
        if let reason = tally.reason { outcome.explainUnreported(reason + "; --keep-going runs the rest") }
        // The memory of each restored guest has the log of the shared boot.
        var hidden: Set<[String]> = []
        outcome.crashes.removeAll { $0.isAtBoot && $0.isFromMemory && !hidden.insert($0.lines).inserted }
        return Result(outcome: outcome, guests: tries.flatMap { $0 })
    }

    /// The results of the guests of all tries.
    private func outcome(of tries: [[GuestRun]]) -> SessionOutcome {
        func parts(_ guests: [GuestRun]) -> [PartialOutcome] {
            guests.map { PartialOutcome(programs: $0.shard.programs, outcome: $0.result.outcome) }
        }
        var outcome = SessionOutcome.merging(
            parts(tries.first ?? []), plan: SessionPlan(programs: programs.map(\.planned)))
        for (index, retry) in tries.enumerated().dropFirst() { outcome.take(retry: parts(retry), number: index + 1) }
        return outcome
    }

    /// The tests that have never passed and have not crashed too many guests.
    private func worthATry(_ tries: [[GuestRun]]) -> [TestShard.Unit] {
        var crashes: [TestShard.Unit: Int] = [:]
        for guest in tries.flatMap({ $0 }) {
            for (place, program) in zip(guest.shard.programs, guest.result.outcome.programs) {
                for test in program.tests where test.status == .crashed { crashes[unit(place, test), default: 0] += 1 }
            }
        }
        var units: [TestShard.Unit] = []
        for (place, program) in outcome(of: tries).programs.enumerated() {
            for test in program.tests where ![.passed, .skipped, .flaky].contains(test.status) {
                let unit = unit(place, test)
                if crashes[unit, default: 0] < Self.mostCrashes, !units.contains(unit) { units.append(unit) }
            }
        }
        return units
    }

    private func unit(_ place: Int, _ test: TestResult) -> TestShard.Unit {
        .init(program: place, test: programs[place].tests == nil ? nil : test.id)
    }

    // MARK: Guests

    private func run(
        _ shards: [TestShard], named prefix: String, _ onEvent: @escaping @Sendable (SessionEvent) -> Void,
        _ note: ProgressSink
    ) async throws -> [GuestRun] {
        try await withThrowingTaskGroup(of: (Int, [GuestRun]).self) { group in
            var guests: [Int: [GuestRun]] = [:]
            var next = 0
            func start() {
                guard next < shards.count, tally.reason == nil else { return }
                let index = next
                next += 1
                // A single guest's log is the run's log, which can be read during the run.
                let isOnly = shards.count == 1 && prefix.isEmpty
                let number = String(index + 1)
                let name = prefix + String(repeating: "0", count: max(0, 4 - number.count)) + number
                group.addTask {
                    let runs = try await run(
                        shards[index],
                        log: { guest in
                            if isOnly, guest == 0 { return console }
                            return logs.appending(guest == 0 ? "\(name).log" : "\(name)-\(guest + 1).log")
                        },
                        onEvent: { event in
                            // The starts and ends of several guests are internal to the session.
                            switch event {
                            case .booted, .ended: if isOnly { onEvent(event) }
                            case .testStarted, .testEnded, .crashed: onEvent(event)
                            }
                        }, note)
                    return (index, runs)
                }
            }
            for _ in 0..<rules.maxConcurrentGuests { start() }
            while let (index, runs) = try await group.next() {
                guests[index] = runs
                start()
            }
            return shards.indices.flatMap { guests[$0] ?? [] }
        }
    }

    /// Runs a shard in as many guests as necessary. Each guest except the last completes some test, so this ends.
    private func run(
        _ shard: TestShard, log: (Int) -> FilePath, onEvent: @escaping @Sendable (SessionEvent) -> Void,
        _ note: ProgressSink
    ) async throws -> [GuestRun] {
        var guests: [GuestRun] = []
        var next: TestShard? = shard
        while let shard = next {
            let run = try await runGuest(shard, log(guests.count), onEvent, note)
            guests.append(run)
            next = rules.limits.failFast ? nil : shard.remainder(after: run.result, of: programs)
            if let reason = tally.count(run.result) { note(.note("stopped: \(reason); --keep-going runs the rest")) }
            // Another shard's guests may have decided it.
            if tally.reason != nil { next = nil }
            if let next {
                let tests =
                    next.units.count == 1 ? "one test is left and runs" : "\(next.units.count) tests are left and run"
                note(.note("\(Self.ending(of: run)): \(tests) in a new guest"))
            }
        }
        return guests
    }

    /// Runs a shard in the first machine whose guest sends a frame.
    private func runGuest(
        _ shard: TestShard, _ log: FilePath, _ onEvent: @escaping @Sendable (SessionEvent) -> Void,
        _ note: ProgressSink
    ) async throws -> GuestRun {
        try createFolder(log.removingLastComponent())
        let rules = rules
        let guests = guests
        let launcher = SessionLauncher(
            plan: shard.plan, consoleLog: log, memoryReader: guests.memoryReader,
            machine: { try guests.machine(shard, $0) })
        let ended = try await launcher.run(
            within: {
                let left = (rules.deadline - ContinuousClock.now).components
                var limits = rules.limits
                limits.run = max(0.001, Double(left.seconds) + Double(left.attoseconds) / 1e18)
                return limits
            }, onEvent: onEvent, note: note)
        var result = ended.result
        if case .run? = result.limit { result.limit = .run(rules.limits.run) }
        return GuestRun(shard: shard, result: result, machine: ended.machine.reported, log: log)
    }

    /// How a guest ended that did not complete its tests.
    private static func ending(of run: GuestRun) -> String {
        let tests = run.result.outcome.programs.flatMap(\.tests)
        let last = tests.last { [.crashed, .timedOut, .failed].contains($0.status) }?.id
        if let limit = run.result.limit { return limit.message }
        if run.result.outcome.crashes.contains(where: \.isFatal) || run.result.exit != .finished {
            return "the guest crashed" + (last.map { " in \($0)" } ?? "")
        }
        if !run.result.outcome.isComplete { return "the guest ended" + (last.map { " in \($0)" } ?? "") }
        return last.map { "\($0) ended its program" } ?? "a program ended before its tests"
    }

    // MARK: Logs

    private var console: FilePath { folder.appending("console.log") }
    private var logs: FilePath { folder.appending("guests") }

    /// Joins the logs of all guests and sets the places of crash reports in the joined log.
    ///
    /// - Returns: The reports of the boots.
    private func joinLogs(of tries: inout [[GuestRun]]) throws -> [Crash] {
        guard tries.count > 1 || (tries.first?.count ?? 0) > 1 || !guests.boots.isEmpty else { return [] }
        for (row, guests) in tries.enumerated() {
            for (column, guest) in guests.enumerated() where guest.log == console {
                let name = logs.appending("0001.log")
                rename(console.string, name.string)
                tries[row][column].log = name
            }
        }
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(
                console, .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o644))
        } catch let error as SystemPackage.Errno {
            throw Failure(.infrastructure, "cannot write the console log \(console)", details: "\(error)")
        }
        defer { try? file.close() }
        var lines = 0
        /// Adds a log and sets the places of its reports in the joined log.
        func add(_ log: FilePath, _ title: String, _ crashes: inout [Crash]) {
            let text = (try? readBytes(log)) ?? []
            // A full disk loses the log, not the run.
            _ = try? file.writeAll(Array("==> \(title)\n".utf8) + text)
            let before = lines + 1
            lines = before + text.count { $0 == 0x0A }
            for crash in crashes.indices where crashes[crash].isOnConsole {
                crashes[crash].firstLine += before
                crashes[crash].lastLine += before
            }
        }
        var reports: [Crash] = []
        for boot in self.guests.boots {
            var crashes = boot.crashes
            add(boot.log, boot.title, &crashes)
            reports += crashes
        }
        var number = 0
        for row in tries.indices {
            for column in tries[row].indices {
                number += 1
                let guest = tries[row][column]
                add(
                    guest.log, "guest \(number): \(guest.shard.name)",
                    &tries[row][column].result.outcome.crashes)
            }
        }
        return reports
    }
}

extension SessionLimits {
    /// The most time for a guest to be restored: many times the time on a busy machine.
    package static let resume = 20.0
}
