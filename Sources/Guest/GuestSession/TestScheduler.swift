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

/// What one guest did.
package struct GuestRun: Sendable {
    package var portion: TestShard
    package var result: SessionResult
    package var machine: RunReport.Machine
    /// Its console's log.
    package var log: FilePath
}

/// Runs the portions of a plan in guests of their own, some at a time. Tests that a guest does not get to, because its
/// kernel crashed or hung or a test ended the program, run in another; those that fail are tried again if that is
/// wanted.
package struct TestScheduler: Sendable {
    /// All programs of the run.
    package let programs: [ProgramArtifact]
    package let portions: [TestShard]
    /// How many guests run at once, and for how long.
    package let rules: Rules
    /// The run's folder. It gets the console's log, and where there is more than one guest each one's.
    package let folder: FilePath
    /// Where the guests come from.
    package let guests: Guests

    /// How many guests run at once, and for how long.
    package struct Rules: Sendable {
        /// How many guests run at once.
        package let width: Int
        /// The limits of each guest; `boot` is the machine's own and `run` for all of them together.
        package let limits: SessionLimits
        /// When the whole run's time is over.
        package let deadline: ContinuousClock.Instant
        /// How many times a test that failed is tried again.
        package let retries: Int

        /// Creates rules for a run that starts now.
        package init(width: Int, limits: SessionLimits, retries: Int) {
            self.width = width
            self.limits = limits
            self.deadline = .now + .seconds(limits.run)
            self.retries = retries
        }
    }

    /// Where the guests come from.
    package struct Guests: Sendable {
        /// The boots that woken guests have behind them: they stand at the head of the log, and what the kernel
        /// reported in them at the head of the reports.
        package let boots: [SavedBoot]
        /// Reads what the kernel has in its memory.
        package let memoryReader: KernelMemoryReader
        /// Makes the guest for a portion. Given how many machines did not boot before it; nil when there is no other.
        package let machine: @Sendable (_ portion: TestShard, _ attempt: Int) throws -> GuestMachine?

        /// Creates a source of guests.
        package init(
            boots: [SavedBoot], memoryReader: KernelMemoryReader,
            machine: @escaping @Sendable (_ portion: TestShard, _ attempt: Int) throws -> GuestMachine?
        ) {
            self.boots = boots
            self.memoryReader = memoryReader
            self.machine = machine
        }
    }

    /// Plans the guests of a run; none starts yet.
    package init(
        programs: [ProgramArtifact], portions: [TestShard], rules: Rules, folder: FilePath, guests: Guests
    ) {
        self.programs = programs
        self.portions = portions
        self.rules = rules
        self.folder = folder
        self.guests = guests
        tally = CrashTally(isOn: !rules.limits.keepsGoing)
    }

    /// The crashes that guests ended with.
    private let tally: CrashTally

    /// A test that crashes this many guests is not tried again.
    private static let mostCrashes = 2

    /// What guests came to.
    package struct Result: Sendable {
        /// What the tests came to.
        package var outcome: SessionOutcome
        /// In the order of their tests, those of later tries last.
        package var guests: [GuestRun]
    }

    /// Runs them all.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a machine cannot be started; `CancellationError`.
    package func run(
        onEvent: @escaping @Sendable (SessionEvent) -> Void, note: ProgressSink
    ) async throws -> Result {
        try ProcessLimits.check(guests: min(rules.width, portions.count))
        var tries = [try await run(portions, named: "", onEvent, note)]
        while !rules.limits.failFast, tally.reason == nil, tries.count <= rules.retries, rules.deadline > .now {
            let again = worthATry(tries)
            guard !again.isEmpty else { break }
            let count = again.count == 1 ? "one test" : "\(again.count) tests"
            note(.note("trying \(count) again: try \(tries.count + 1) of \(rules.retries + 1)"))
            // Where each test has a guest of its own it has so again.
            let isAlone = portions.count > 1 && portions.allSatisfy { $0.units.count == 1 }
            let portions =
                isAlone ? again.map { TestShard([$0], of: programs) } : [TestShard(again, of: programs)]
            tries.append(try await run(portions, named: "try\(tries.count + 1)-", onEvent, note))
        }
        let crashes = try joinLogs(of: &tries)
        var outcome = outcome(of: tries)
        outcome.crashes = crashes + outcome.crashes
        if let reason = tally.reason { outcome.explainUnreported(reason + "; --keep-going runs the rest") }
        // Each guest that wakes has the log of the one boot in its memory.
        var hidden: Set<[String]> = []
        outcome.crashes.removeAll { $0.isAtBoot && $0.isFromMemory && !hidden.insert($0.lines).inserted }
        return Result(outcome: outcome, guests: tries.flatMap { $0 })
    }

    /// What the guests of all tries came to.
    private func outcome(of tries: [[GuestRun]]) -> SessionOutcome {
        func parts(_ guests: [GuestRun]) -> [PartialOutcome] {
            guests.map { PartialOutcome(programs: $0.portion.programs, outcome: $0.result.outcome) }
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
            for (place, program) in zip(guest.portion.programs, guest.result.outcome.programs) {
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
        _ portions: [TestShard], named prefix: String, _ onEvent: @escaping @Sendable (SessionEvent) -> Void,
        _ note: ProgressSink
    ) async throws -> [GuestRun] {
        try await withThrowingTaskGroup(of: (Int, [GuestRun]).self) { group in
            var guests: [Int: [GuestRun]] = [:]
            var next = 0
            func start() {
                guard next < portions.count, tally.reason == nil else { return }
                let index = next
                next += 1
                // One guest's log is the run's, to be read while it runs.
                let isOnly = portions.count == 1 && prefix.isEmpty
                let number = String(index + 1)
                let name = prefix + String(repeating: "0", count: max(0, 4 - number.count)) + number
                group.addTask {
                    let runs = try await run(
                        portions[index],
                        log: { guest in
                            if isOnly, guest == 0 { return console }
                            return logs.appending(guest == 0 ? "\(name).log" : "\(name)-\(guest + 1).log")
                        },
                        onEvent: { event in
                            // That guests come and go is this session's own affair.
                            switch event {
                            case .booted, .ended: if isOnly { onEvent(event) }
                            case .testStarted, .testEnded, .crashed: onEvent(event)
                            }
                        }, note)
                    return (index, runs)
                }
            }
            for _ in 0..<rules.width { start() }
            while let (index, runs) = try await group.next() {
                guests[index] = runs
                start()
            }
            return portions.indices.flatMap { guests[$0] ?? [] }
        }
    }

    /// Runs a portion in as many guests as it takes. Each but the last gets some test done, so there is an end to it.
    private func run(
        _ portion: TestShard, log: (Int) -> FilePath, onEvent: @escaping @Sendable (SessionEvent) -> Void,
        _ note: ProgressSink
    ) async throws -> [GuestRun] {
        var guests: [GuestRun] = []
        var next: TestShard? = portion
        while let portion = next {
            let run = try await runGuest(portion, log(guests.count), onEvent, note)
            guests.append(run)
            next = rules.limits.failFast ? nil : portion.remainder(after: run.result, of: programs)
            if let reason = tally.count(run.result) { note(.note("stopped: \(reason); --keep-going runs the rest")) }
            // Another portion's guests may have decided it.
            if tally.reason != nil { next = nil }
            if let next {
                let tests =
                    next.units.count == 1 ? "one test is left and runs" : "\(next.units.count) tests are left and run"
                note(.note("\(Self.ending(of: run)): \(tests) in a new guest"))
            }
        }
        return guests
    }

    /// Runs a portion in the first machine whose guest speaks.
    private func runGuest(
        _ portion: TestShard, _ log: FilePath, _ onEvent: @escaping @Sendable (SessionEvent) -> Void,
        _ note: ProgressSink
    ) async throws -> GuestRun {
        try createFolder(log.removingLastComponent())
        let rules = rules
        let guests = guests
        let launcher = SessionLauncher(
            plan: portion.plan, consoleLog: log, memoryReader: guests.memoryReader,
            machine: { try guests.machine(portion, $0) })
        let ended = try await launcher.run(
            within: {
                let left = (rules.deadline - ContinuousClock.now).components
                var limits = rules.limits
                limits.run = max(0.001, Double(left.seconds) + Double(left.attoseconds) / 1e18)
                return limits
            }, onEvent: onEvent, note: note)
        var result = ended.result
        if case .run? = result.limit { result.limit = .run(rules.limits.run) }
        return GuestRun(portion: portion, result: result, machine: ended.machine.reported, log: log)
    }

    /// How a guest that did not get through its tests ended.
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

    /// Makes one log of all guests' and gives crash reports their places in it.
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
        /// Adds a log and gives reports their places in the whole.
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
                    guest.log, "guest \(number): \(guest.portion.name)",
                    &tries[row][column].result.outcome.crashes)
            }
        }
        return reports
    }
}

extension SessionLimits {
    /// How long a guest may take to wake: many times what it takes on a busy machine.
    package static let wake = 20.0
}
