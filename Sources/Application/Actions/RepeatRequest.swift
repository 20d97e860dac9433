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
    func wantsMore(_ done: Repetitions, after elapsed: Duration) -> Bool {
        if let count, done.count >= count { return false }
        if let seconds, elapsed >= .seconds(seconds) { return false }
        return !(untilFailure && done.failed > 0)
    }
}

extension TestRun {
    private static let folderName = "repetitions"

    /// Runs the tests repeatedly, each time in fresh guests. The report has the worst result of each test, and contains
    /// all results so far even when an error ends the repetitions.
    ///
    /// - Returns: The counters of all guests.
    func repeatTests(
        _ request: RepeatRequest, _ prepared: RunInputs, _ guests: RunGuests, into report: inout RunReport
    ) async throws -> [GuestCounters] {
        let clock = ContinuousClock()
        let start = clock.now
        let pipeline = Pipeline(context: context, executor: context.log)
        let snapshots = try await pipeline.snapshots(for: guests)
        let base = report
        var coverage: [GuestCounters] = []
        var console = JoinedConsole(file: prepared.consoleLog)
        report.repetitions = Repetitions(wanted: request.count)
        while let done = report.repetitions, request.wantsMore(done, after: clock.now - start) {
            let number = done.count + 1
            let failed = done.failed == 0 ? "" : ", \(done.failed) failed so far"
            context.tools.progress(
                .note("repetition \(number)" + (request.count.map { " of \($0)" } ?? "") + failed))
            var inputs = prepared
            inputs.folder = prepared.folder.appending(Self.folderName).appending(String(number))
            try createFolder(inputs.folder)
            var guests = guests
            guests.folder = inputs.folder
            guard let results = try await pipeline.tests(in: guests, from: snapshots, kernel: prepared.kernel) else {
                throw Failure(.infrastructure, "the tests ended without a result")
            }
            var one = base
            try await add(results, snapshots, of: inputs, to: &one)
            coverage += results.outcome.coverage
            var judged = one
            _ = ResultPolicy(skips: context.project.skips, splats: context.project.splats).apply(to: &judged)
            // The folder of a passed repetition is not needed, and the folders of very many would fill the disk.
            let isKept = judged.exitCode != 0 || !one.crashes.isEmpty
            let lines = isKept || number == 1 ? console.add(inputs.consoleLog, title: "repetition \(number)") : nil
            report.add(repetition: one, number: number, consoleLinesBefore: lines)
            report.repetitions?.add(judged)
            if !isKept { try removeAll(inputs.folder) }
        }
        return coverage
    }
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
