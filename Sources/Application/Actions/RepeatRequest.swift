// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Coverage
import Diagnostics
import GuestSession
import Project
import ResultsModel
import SystemPackage
import TestSession

/// The limits of a run's repetitions, of which the first one ends them.
public struct RepeatRequest: Sendable, Equatable {
    /// The number of repetitions; nil for as many as the time allows.
    public var count: Int?
    /// The seconds after which no repetition is started; nil for no limit.
    public var seconds: Int?
    /// Whether the first repetition that does not pass ends them.
    public var untilFailure: Bool

    /// Creates a request; nil when the tests run once.
    public init?(count: Int?, seconds: Int?, untilFailure: Bool) {
        guard count != nil || seconds != nil || untilFailure else { return nil }
        self.count = count
        self.seconds = seconds
        self.untilFailure = untilFailure
    }

    /// Whether to begin another repetition.
    ///
    /// - Parameters:
    ///   - begun: The repetitions that have begun, of which some may still run.
    ///   - failed: The repetitions that have ended and did not pass.
    func wantsMore(begun: Int, failed: Int, after elapsed: Duration) -> Bool {
        if let count, begun >= count { return false }
        if let seconds, elapsed >= .seconds(seconds) { return false }
        return !(untilFailure && failed > 0)
    }
}

/// What the guests of a run counted.
struct GuestCounts: Sendable {
    /// The counters of coverage, of each guest.
    var coverage: [GuestCounters] = []
    /// The durations of calls.
    var calls = CallTimes()

    init() {}

    init(_ outcome: SessionOutcome) { add(outcome) }

    /// Adds the counts of more guests.
    mutating func add(_ outcome: SessionOutcome) {
        coverage += outcome.coverage
        calls.add(outcome.callTimes)
    }
}

extension TestRun {
    private static let folderName = "repetitions"

    /// Runs the tests repeatedly, each time in fresh guests: as many repetitions at a time as the host has room for,
    /// unless a repetition has several guests itself. The report has the worst result of each test, and contains all
    /// results so far even when an error ends the repetitions.
    ///
    /// - Returns: The counts of all guests.
    func repeatTests(
        _ request: RepeatRequest, _ prepared: RunInputs, _ guests: RunGuests, into report: inout RunReport
    ) async throws -> GuestCounts {
        let clock = ContinuousClock()
        let start = clock.now
        let pipeline = Pipeline(context: context, executor: context.log)
        let snapshots = try await pipeline.snapshots(for: guests)
        let base = report
        var counts = GuestCounts()
        var console = JoinedConsole(file: prepared.consoleLog)
        var done = Repetitions(wanted: request.count)
        report.repetitions = done
        let width = concurrentRepetitions(request, memory: guests.machines.first?.reported.memoryMegabytes)
        if width > 1 { context.tools.progress(.note("\(width) repetitions run at a time")) }
        try await withThrowingTaskGroup(of: Repetition.self) { group in
            var begun = 0
            func begin() throws {
                guard request.wantsMore(begun: begun, failed: done.failed, after: clock.now - start) else { return }
                begun += 1
                let number = begun
                let failed = done.failed == 0 ? "" : ", \(done.failed) failed so far"
                context.tools.progress(
                    .note("repetition \(number)" + (request.count.map { " of \($0)" } ?? "") + failed))
                var inputs = prepared
                inputs.folder = prepared.folder.appending(Self.folderName).appending(String(number))
                try createFolder(inputs.folder)
                var guests = guests
                guests.folder = inputs.folder
                guests.repetition = number
                let repetition = Repetition(number: number, inputs: inputs)
                group.addTask { [guests] in
                    guard
                        let results = try await pipeline.tests(in: guests, from: snapshots, kernel: prepared.kernel)
                    else { throw Failure(.infrastructure, "the tests ended without a result") }
                    var ended = repetition
                    ended.results = results
                    return ended
                }
            }
            var waiting: [Int: Repetition] = [:]
            for _ in 0..<width { try begin() }
            while let ended = try await group.next() {
                waiting[ended.number] = ended
                // In the order of their beginnings, so that the first failure does not depend on which ends first.
                while let next = waiting.removeValue(forKey: done.count + 1), let results = next.results {
                    var one = base
                    try await add(results, snapshots, of: next.inputs, to: &one)
                    counts.add(results.outcome)
                    var judged = one
                    _ = ResultPolicy(skips: context.project.skips, splats: context.project.splats).apply(to: &judged)
                    // The folder of a passed repetition is not needed, and those of very many would fill the disk.
                    let isKept = judged.exitCode != 0 || !one.crashes.isEmpty
                    let lines =
                        isKept || next.number == 1
                        ? console.add(next.inputs.consoleLog, title: "repetition \(next.number)") : nil
                    done.add(judged)
                    report.add(repetition: one, number: next.number, consoleLinesBefore: lines)
                    report.repetitions = done
                    if !isKept { try removeAll(next.inputs.folder) }
                }
                try begin()
            }
        }
        return counts
    }

    /// How many repetitions run at a time. Where each has several guests, these already fill the host.
    private func concurrentRepetitions(_ request: RepeatRequest, memory: Int?) -> Int {
        guard context.project.isolation == .none, context.project.guests == nil else { return 1 }
        let room = TestSteps.guestsThatFit(memoryMegabytes: memory ?? context.project.machine.memoryMegabytes)
        return max(1, min(room, request.count ?? room))
    }
}

/// A repetition of the tests.
private struct Repetition: Sendable {
    var number: Int
    var inputs: RunInputs
    /// Nil while it runs.
    var results: TestResults?
}

/// The console's logs of several repetitions as one.
private struct JoinedConsole {
    let file: FilePath
    private var bytes: [UInt8] = []

    init(file: FilePath) { self.file = file }

    /// Appends a log to the others.
    ///
    /// - Returns: The number of lines before it; nil when it cannot be read or written.
    mutating func add(_ log: FilePath, title: String) -> Int? {
        guard let text = try? readBytes(log) else { return nil }
        let whole = bytes + Array("==> \(title)\n".utf8)
        let end: [UInt8] = text.last == nil || text.last == 0x0A ? [] : [0x0A]
        // A full disk loses the log, not the run.
        guard (try? writeAtomically(whole + text + end, to: file)) != nil else { return nil }
        bytes = whole + text + end
        return whole.count { $0 == 0x0A }
    }
}
