// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import Project
import Reporting
import ResultsModel
import SystemPackage

/// A run with a stored report.
public struct StoredRun: Sendable, Equatable {
    /// The run's name: the time of its start with a suffix that makes it unique, or its report's path.
    public var id: String
    /// The file with its report.
    public var file: FilePath

    /// The console's log beside the report; nil when it does not exist. A path in the report is not used, because a
    /// report may be untrusted.
    public var console: FilePath? {
        let path = file.removingLastComponent().appending(RunHistory.consoleName)
        return fileExists(path) ? path : nil
    }

    /// The most bytes of a report that are read: kbuild's own reports have at most a quarter of this.
    private static let mostBytes = 128 << 20

    /// Reads its report.
    ///
    /// - Throws: `Failure` (`usage`) when the file cannot be read, is not a report, or is too large.
    public func report() throws(Failure) -> RunReport {
        do {
            let size = (try? FileManager.default.attributesOfItem(atPath: file.string))?[.size] as? Int ?? 0
            guard size <= Self.mostBytes else {
                throw Failure(
                    .usage,
                    "\(file) has \(grouped(size >> 20)) MB; a report of kbuild's has \(Self.mostBytes >> 20) at most")
            }
            return try JSONReport.parse(try readText(file))
        } catch let failure as Failure {
            throw Failure(.usage, failure.message, details: failure.details)
        } catch {
            throw Failure(.usage, "\(file) is not a kbuild report", details: Self.describe(error))
        }
    }

    private static func describe(_ error: any Error) -> String {
        let context: DecodingError.Context
        switch error {
        case DecodingError.dataCorrupted(let known): context = known
        case DecodingError.keyNotFound(_, let known): context = known
        case DecodingError.typeMismatch(_, let known): context = known
        case DecodingError.valueNotFound(_, let known): context = known
        default: return "\(error)"
        }
        let path = context.codingPath.map { $0.intValue.map { String($0) } ?? $0.stringValue }.joined(separator: ".")
        return path.isEmpty ? context.debugDescription : "\(path): \(context.debugDescription)"
    }
}

/// The cost of the calls in a kept run.
package struct EarlierCallProfile: Sendable {
    /// The run's name.
    package var run: String
    /// The costs.
    package var profile: CallProfile
}

/// The runs of a project: each has a folder with its logs and, after its end, its report. The newest runs are kept.
public struct RunHistory: Sendable {
    /// The most runs with a report, and the most without: killed runs, and shells.
    static let mostRuns = 50
    static let mostUnfinished = 10
    /// The most runs that keep their guests' programs.
    static let mostWithPrograms = 5
    /// The most bytes of logs and reports; those of the newest run are kept in any size.
    package static let mostBytes = 1 << 30

    /// The console's log in a run's folder.
    static let consoleName = "console.log"
    private static let reportName = "report.json"
    /// The guests' programs in a run's folder.
    static let programsName = "guest"
    private static let latestName = "latest"

    /// The folder of the runs.
    public let folder: FilePath
    private let project: FilePath

    package init(layout: CacheLayout, project: FilePath) {
        self.project = project
        folder = layout.folder(ofProject: project).appending("runs")
    }

    /// The history of the project in a folder. The project file is not read, because it may be invalid.
    ///
    /// - Parameter file: The project file.
    /// - Throws: `Failure` (`usage`) when the cache's place is unknown.
    public init(projectFile file: FilePath, environment: [String: String]) throws(Failure) {
        self.init(layout: try CacheLayout(environment: environment), project: file.removingLastComponent())
    }

    // MARK: Writing

    /// Creates the folder of a new run, and removes old ones.
    ///
    /// - Parameter progress: Receives the error when old ones cannot be removed, which does not prevent the run.
    /// - Throws: `Failure` (`infrastructure`) when it cannot be created.
    package func newRun(_ progress: Diagnostics.ProgressSink) throws -> FilePath {
        try createFolder(folder)
        do {
            try prune()
        } catch {
            progress(.note("old runs cannot be removed: \(Self.text(error))"))
        }
        let now = Date()
        let time = now.formatted(
            .verbatim(
                "\(year: .defaultDigits)\(month: .twoDigits)\(day: .twoDigits)T\(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased))\(minute: .twoDigits)\(second: .twoDigits)",
                timeZone: .gmt, calendar: Calendar(identifier: .iso8601)))
        // Names sort in the order of the runs, also for runs within a second.
        let thousandths = String(Int(now.timeIntervalSince1970 * 1000) % 1000 + 1000).dropFirst()
        let name = "\(time).\(thousandths)-\(getpid())-\(UInt16.random(in: 0 ... .max))"
        try createFolder(folder.appending(name))
        // The link is a convenience; after a race it leads to either of two runs.
        let link = folder.appending(Self.latestName)
        unlink(link.string)
        symlink(name, link.string)
        return folder.appending(name)
    }

    /// Stores a run's report beside its logs. From then on `kbuild report` lists the run: the report is moved into
    /// place by a rename.
    ///
    /// - Parameter progress: Receives the error when it cannot be stored, which does not change the run's result.
    package func keep(_ report: RunReport, _ progress: Diagnostics.ProgressSink) {
        // A run whose folder could not be created has failed for that reason.
        guard let path = report.artifacts.folder else { return }
        let folder = FilePath(path)
        var report = report
        do {
            // The next run's make overwrites the log that this report refers to.
            if report.exitCode == ExitStatus.build.rawValue, let log = report.artifacts.buildLog.map({ FilePath($0) }),
                fileExists(log)
            {
                let copy = folder.appending("build.log")
                try copyFile(log, to: copy)
                report.artifacts.buildLog = copy.string
            }
            try writeAtomically(try JSONReport.render(report) + "\n", to: folder.appending(Self.reportName))
        } catch {
            progress(.note("this run is not kept, so that kbuild report will not know it: \(Self.text(error))"))
        }
    }

    /// Removes the oldest runs beyond the limits.
    ///
    /// - Throws: `Failure` (`infrastructure`) when something cannot be removed; everything else is removed.
    package func prune() throws {
        var failure: (any Error)?
        var (kept, unfinished, bytes) = (0, 0, 0)
        for name in try names() {
            let run = folder.appending(name)
            do {
                if fileExists(run.appending(Self.reportName)) {
                    kept += 1
                    bytes += Self.bytes(of: run)
                    // Room for the new run.
                    let isOld = kept >= Self.mostRuns || kept > 1 && bytes > Self.mostBytes
                    if isOld {
                        try removeAll(run)
                    } else if kept >= Self.mostWithPrograms {
                        try removeAll(run.appending(Self.programsName))
                    }
                } else if !Self.isRunning(name) {
                    unfinished += 1
                    if unfinished > Self.mostUnfinished { try removeAll(run) }
                }
            } catch let error {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
    }

    /// The names of the runs' folders, the newest first.
    private func names() throws -> [String] {
        guard isFolder(folder) else { return [] }
        return try namesInFolder(folder).filter { $0 != Self.latestName && isFolder(folder.appending($0)) }.reversed()
    }

    /// Whether the kbuild process that made a folder may still be running: its process ID is in the folder's name.
    private static func isRunning(_ name: String) -> Bool {
        let parts = name.split(separator: "-")
        guard parts.count == 3, let process = pid_t(parts[1]), process > 0 else { return false }
        return kill(process, 0) == 0 || errno == EPERM
    }

    /// The bytes of a run's logs and report.
    private static func bytes(of run: FilePath) -> Int {
        var counter = TreeUsageCounter()
        let names = ((try? namesInFolder(run)) ?? []).filter { $0 != programsName }
        return names.reduce(0) { $0 + counter.usage(of: run.appending($1)).bytes }
    }

    private static func text(_ error: any Error) -> String {
        guard let failure = error as? Failure else { return "\(error)" }
        return failure.message + (failure.details.map { ": \($0)" } ?? "")
    }

    // MARK: Reading

    /// The stored runs, the newest first.
    ///
    /// - Throws: `Failure` (`usage`) when their folder cannot be read.
    public func runs() throws -> [StoredRun] {
        try Failure.asUsage { try names() }.map { name in
            StoredRun(id: name, file: folder.appending(name).appending(Self.reportName))
        }.filter { fileExists($0.file) }
    }

    /// Finds a run.
    ///
    /// - Parameter name: -1 for the last run, -2 for the one before and so on; a run's name or a unique prefix of it;
    ///   or the path of a report, with a slash in it or with .json at its end.
    /// - Throws: `Failure` (`usage`) when there is none, or more than one.
    public func find(_ name: String) throws -> StoredRun {
        if name.contains("/") || name.hasSuffix(".json") {
            let path = FilePath(name)
            let file = isFolder(path) ? path.appending(Self.reportName) : path
            guard fileExists(file) else { throw Failure(.usage, "there is no report at \(file)") }
            return StoredRun(id: name, file: file)
        }
        let runs = try runs()
        guard !runs.isEmpty else {
            throw Failure(.usage, "no run of \(project) is kept", nextStep: "kbuild run")
        }
        if let place = Int(name), name.hasPrefix("-"), place < 0 {
            guard place.magnitude <= runs.count else {
                let count = runs.count == 1 ? "1 is kept" : "\(runs.count) are kept"
                throw Failure(.usage, "there is no run \(place): \(count)", nextStep: Self.hint)
            }
            return runs[Int(place.magnitude) - 1]
        }
        let matches = runs.first { $0.id == name }.map { [$0] } ?? runs.filter { $0.id.hasPrefix(name) }
        guard let run = matches.first, !name.isEmpty else {
            throw Failure(.usage, "no run is called \(name)", nextStep: Self.hint)
        }
        guard matches.count == 1 else {
            throw Failure(
                .usage, "\(matches.count) runs have names that begin with \(name)",
                details: matches.map(\.id).joined(separator: "\n"))
        }
        return run
    }

    private static let hint = "kbuild report --list names them"

    /// The results of the runs. A run whose report cannot be read is listed by its name.
    ///
    /// - Throws: `Failure` (`usage`) when their folder cannot be read.
    public func list() throws -> RunList {
        RunList(
            runs: try runs().enumerated().map { index, run in
                .init(place: -index - 1, id: run.id, file: run.file.string, report: try? run.report())
            })
    }

    /// The outcomes of tests in all kept runs; runs whose report cannot be read are left out.
    ///
    /// - Parameter test: A test's ID or name, or a part of it.
    /// - Throws: `Failure` (`usage`) when their folder cannot be read, or no kept run has such a test.
    public func outcomes(of test: String) throws -> TestHistory {
        let known = try runs().compactMap { run in (try? run.report()).map { TestHistory.Run(id: run.id, report: $0) } }
        let history = TestHistory(of: test, in: known)
        guard !history.tests.isEmpty else {
            let names = Set(known.flatMap { $0.report.tests.map(\.id) }).sorted()
            throw Failure(
                .usage,
                "none of \(pluralized(known.count, "kept run")) has a test \(test)" + guess(for: test, among: names),
                nextStep: known.isEmpty ? "kbuild run" : Self.hint)
        }
        return history
    }

    /// The most runs whose reports are read in search of one with a profile.
    private static let mostSearched = 10

    /// The last kept cost of the calls that can be compared with this one.
    ///
    /// - Returns: The profile and the name of its run; nil when none of the last runs has such a profile.
    package func lastCallProfile(like profile: CallProfile) -> EarlierCallProfile? {
        for run in ((try? runs()) ?? []).prefix(Self.mostSearched) {
            guard let earlier = (try? run.report())?.callProfile, earlier.isComparable(with: profile),
                !earlier.entries.isEmpty
            else { continue }
            return EarlierCallProfile(run: run.id, profile: earlier)
        }
        return nil
    }

    /// Compares two runs.
    ///
    /// - Parameters:
    ///   - names: The earlier run and the later run, in the form of `find`; without the later one the last run, and
    ///     without either the last two.
    ///   - threshold: The least difference in time that is reported.
    /// - Throws: `Failure` (`usage`) when one of them cannot be found or read.
    public func compare(_ names: [String], threshold: RunComparison.Threshold) throws -> RunComparison {
        let base = try find(names.first ?? "-2")
        let head = try find(names.count > 1 ? names[1] : "-1")
        return RunComparison(
            base: .init(id: base.id, report: try base.report()), head: .init(id: head.id, report: try head.report()),
            threshold: threshold)
    }
}

extension ConsoleExcerpt {
    /// The most bytes of a console's log in an HTML page.
    package static let mostBytes = 2 << 20

    /// Reads the end of a console's log.
    ///
    /// - Returns: Nil when it cannot be read.
    package static func read(_ path: FilePath, most: Int = mostBytes) -> ConsoleExcerpt? {
        guard let file = try? FileDescriptor.open(path, .readOnly, options: .closeOnExec) else { return nil }
        return try? file.closeAfter {
            let size = Int(try file.seek(offset: 0, from: .end))
            try file.seek(offset: 0, from: .start)
            // The first line shown is a complete one, so its start is searched for and the bytes before it are counted.
            let wanted = max(0, size - most)
            var (at, line) = (0, 1)
            var text: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while at < size {
                let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0) }
                guard count > 0 else { break }
                let before = min(count, max(0, wanted - at))
                line += buffer[..<before].count { $0 == 0x0A }
                text += buffer[before..<count]
                at += count
            }
            var omitted = wanted
            if wanted > 0, let end = text.firstIndex(of: 0x0A) {
                omitted += end + 1
                line += 1
                text.removeFirst(end + 1)
            }
            return ConsoleExcerpt(
                text: String(decoding: text, as: UTF8.self), firstLine: line, omittedBytes: omitted)
        }
    }
}
