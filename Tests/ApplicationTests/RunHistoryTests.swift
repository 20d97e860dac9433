// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Reporting
import ResultsModel
import Synchronization
import SystemPackage
import Testing

@testable import Project
@testable import RunStore

/// A separate cache, which is removed with the value.
private final class Scratch: Sendable {
    let root = FilePath(NSTemporaryDirectory()).appending("kbuild-history-\(UUID().uuidString)")
    let history: RunHistory
    let notes = Mutex<[String]>([])

    init() throws {
        try createFolder(root)
        history = RunHistory(layout: CacheLayout(root: root), project: "/p")
    }

    deinit { try? removeAll(root) }

    var progress: Diagnostics.ProgressSink {
        Diagnostics.ProgressSink { [self] event in
            if case .note(let text) = event { notes.withLock { $0.append(text) } }
        }
    }

    /// Stores a run.
    @discardableResult
    func add(_ change: (inout RunReport) -> Void = { _ in }) throws -> FilePath {
        let folder = try history.newRun(progress)
        var report = RunReport(
            startedAt: "2026-01-02T03:04:05Z", seconds: 1, project: "/p",
            suites: [.init(name: "s", kind: "ktap", tests: [.init(id: "t", name: "t", status: .passed)])],
            artifacts: .init(folder: folder.string, console: folder.appending("console.log").string))
        change(&report)
        try writeAtomically("one\ntwo\n", to: folder.appending("console.log"))
        history.keep(report, progress)
        return folder
    }
}

@Suite("Run history", .timeLimit(.minutes(30)))
struct RunHistoryTests {
    @Test("runs are found by their position, their name, a prefix of it, and their report's path")
    func finding() throws {
        let scratch = try Scratch()
        let history = scratch.history
        #expect(throws: Failure.self) { try history.find("-1") }
        #expect(try history.list().runs.isEmpty)
        let folders = try (0..<3).map { number in try scratch.add { $0.profile = "number \(number)" } }
        #expect(Set(folders).count == 3)
        #expect(try history.runs().map(\.file) == folders.reversed().map { $0.appending("report.json") })
        #expect(try history.find("-1").report().profile == "number 2")
        #expect(try history.find("-3").report().profile == "number 0")
        let name = try history.find("-2").id
        #expect(try history.find(name).report().profile == "number 1")
        #expect(try history.find(String(name.dropLast())).id == name)
        #expect(try history.find(folders[0].string).report().profile == "number 0")
        #expect(try history.find(folders[0].appending("report.json").string).console != nil)
        for wrong in ["-4", "-0", "0", "1", "", "2", "nothing", "/no/such/report.json", "no.json"] {
            do {
                _ = try history.find(wrong)
                Issue.record("\(wrong) was found")
            } catch let failure as Failure {
                #expect(failure.code == .usage)
            }
        }
        let list = try history.list()
        #expect(list.runs.map(\.place) == [-1, -2, -3])
        #expect(list.runs.map(\.profile) == ["number 2", "number 1", "number 0"])
        #expect(scratch.notes.withLock { $0 }.isEmpty)
    }

    @Test("a test's outcomes are those of all kept runs that can be read; one that no run has is an error")
    func outcomes() throws {
        let scratch = try Scratch()
        #expect(throws: Failure.self) { try scratch.history.outcomes(of: "t") }
        let first = try scratch.add()
        try scratch.add { $0.suites[0].tests[0].status = .failed }
        try writeAtomically("damaged", to: try scratch.add().appending("report.json"))
        let tests = try scratch.history.outcomes(of: "T").tests
        #expect(tests.map(\.id) == ["t"] && tests.first?.entries.map(\.status) == [.failed, .passed])
        #expect(tests.first?.lastGood == first.lastComponent?.string)
        let failure = #expect(throws: Failure.self) { try scratch.history.outcomes(of: "nothing") }
        #expect(failure?.code == .usage && failure?.message.contains("none of 2 kept runs") == true)
    }

    @Test("the last cost of the calls in a unit is found behind runs without one")
    func callProfiles() throws {
        let scratch = try Scratch()
        func profile(_ unit: CallProfile.Unit, _ median: Int) -> CallProfile {
            let cost = CallProfile.Cost(count: 1, median: median, percentile90: 9, percentile99: 9, most: 9)
            return CallProfile(unit: unit, entries: [.init(call: "c", test: "t", cost: cost)])
        }
        #expect(scratch.history.lastCallProfile(like: profile(.instructions, 0)) == nil)
        try scratch.add { $0.callProfile = profile(.instructions, 1) }
        let second = try scratch.add { $0.callProfile = profile(.instructions, 2) }
        try scratch.add { $0.callProfile = profile(.nanoseconds, 3) }
        try scratch.add { $0.callProfile = CallProfile(unit: .instructions, entries: []) }
        try scratch.add()
        try scratch.add {
            $0.callProfile = profile(.instructions, 4)
            $0.callProfile?.conditions = ["check memory"]
        }
        let found = scratch.history.lastCallProfile(like: profile(.instructions, 0))
        #expect(found?.run == second.lastComponent?.string && found?.profile.entries.first?.cost.median == 2)
        #expect(
            scratch.history.lastCallProfile(like: profile(.nanoseconds, 0))?.profile.entries.first?.cost.median == 3)
    }

    @Test("a run is listed once it has a report, and one with a damaged report is listed and refused")
    func publication() throws {
        let scratch = try Scratch()
        let folder = try scratch.history.newRun(scratch.progress)
        #expect(try scratch.history.runs().isEmpty)
        try writeAtomically("{\"schemaVersion\": 1", to: folder.appending("report.json"))
        #expect(try scratch.history.list().runs.map(\.verdict) == [nil])
        #expect(throws: Failure.self) { try scratch.history.find("-1").report() }
        try writeAtomically("{}", to: folder.appending("report.json"))
        do {
            _ = try scratch.history.find("-1").report()
            Issue.record("no report was read")
        } catch let error as Failure {
            #expect(error.code == .usage)
            #expect(error.details?.contains("startedAt") == true || error.details?.contains("schemaVersion") == true)
        }
    }

    @Test("a run that is stored again is one run with its last result, also in the list")
    func keptAgain() throws {
        let scratch = try Scratch()
        let folder = try scratch.add()
        #expect(try scratch.history.list().runs.map(\.exitCode) == [0])
        var report = try scratch.history.find("-1").report()
        report.errors.append(.init(Failure(.infrastructure, "cannot write the JUnit file")))
        scratch.history.keep(report, scratch.progress)
        #expect(try scratch.history.list().runs.map(\.exitCode) == [7])
        #expect(try scratch.history.list().runs.map(\.verdict) == ["infrastructure-failed"])
        #expect(try namesInFolder(folder).sorted() == ["console.log", "report.json"])
        report.noteInterruption()
        scratch.history.keep(report, scratch.progress)
        #expect(try scratch.history.find("-1").report().exitCode == 130)
    }

    @Test("the newest runs are kept; unfinished runs do not count, and running ones are not removed")
    func bounds() throws {
        let scratch = try Scratch()
        let first = try scratch.add()
        try createFolder(first.appending("guest"))
        // Killed runs: no process has this number.
        for second in 10..<25 {
            try createFolder(scratch.history.folder.appending("20250101T0000\(second).000-4194999-1"))
        }
        let running = try scratch.history.newRun(scratch.progress)
        for _ in 0..<(RunHistory.mostRuns + 3) { try scratch.add() }
        let runs = try scratch.history.runs()
        #expect(runs.count == RunHistory.mostRuns)
        #expect(!fileExists(first))
        #expect(fileExists(running))
        let killed = try namesInFolder(scratch.history.folder).filter { $0.contains("-4194999-") }
        #expect(killed.count == RunHistory.mostUnfinished)
        #expect(killed.first == "20250101T000015.000-4194999-1")
        #expect(scratch.notes.withLock { $0 }.isEmpty)
    }

    @Test("old runs lose their guests' programs, and keep their logs")
    func programs() throws {
        let scratch = try Scratch()
        let folders = try (0..<8).map { _ in
            let folder = try scratch.add()
            try createFolder(folder.appending("guest"))
            return folder
        }
        _ = try scratch.history.newRun(scratch.progress)
        let have = folders.map { fileExists($0.appending("guest")) }
        #expect(have == [false, false, false, false, true, true, true, true])
        #expect(folders.allSatisfy { fileExists($0.appending("console.log")) })
    }

    @Test("a report that cannot be stored gives one message and no error")
    func failure() throws {
        let scratch = try Scratch()
        let folder = try scratch.add { report in
            // A folder in the report's place: no rename puts a file there.
            try? createFolder(FilePath(report.artifacts.folder ?? "").appending("report.json").appending("x"))
        }
        let notes = scratch.notes.withLock { $0 }
        #expect(notes.count == 1)
        #expect(notes.first?.hasPrefix("this run is not kept") == true)
        #expect(try namesInFolder(folder).allSatisfy { !$0.hasSuffix(".tmp") })
    }

    @Test("a failed build keeps its log, which the next build would replace")
    func buildLog() throws {
        let scratch = try Scratch()
        let log = scratch.root.appending("build.log")
        try writeAtomically("first", to: log)
        try scratch.add { report in
            report.errors = [.init(Failure(.build, "no"))]
            report.artifacts.buildLog = log.string
        }
        try writeAtomically("second", to: log)
        let kept = try #require(try scratch.history.find("-1").report().artifacts.buildLog)
        #expect(try readText(FilePath(kept)) == "first")
    }

    @Test("two runs are compared, the last two by default")
    func comparing() throws {
        let scratch = try Scratch()
        #expect(throws: Failure.self) { try scratch.history.compare([], threshold: .init()) }
        try scratch.add()
        #expect(throws: Failure.self) { try scratch.history.compare([], threshold: .init()) }
        try scratch.add { $0.suites[0].tests[0].status = .failed }
        #expect(try scratch.history.compare([], threshold: .init()).newlyFailing.count == 1)
        #expect(try scratch.history.compare(["-1", "-2"], threshold: .init()).fixed.count == 1)
        #expect(try scratch.history.compare(["-1"], threshold: .init()).stillFailing.count == 1)
    }
}

@Suite("Report files", .timeLimit(.minutes(30)))
struct ReportFilesTests {
    private let report = RunReport(
        startedAt: "2026-01-02T03:04:05Z", seconds: 1, project: "/p",
        suites: [.init(name: "s", kind: "ktap", tests: [.init(id: "t", name: "t", status: .passed)])])

    private func inFolder(_ body: (FilePath) throws -> Void) throws {
        let folder = FilePath(NSTemporaryDirectory()).appending("kbuild-files-\(UUID().uuidString)")
        try createFolder(folder)
        defer { try? removeAll(folder) }
        try body(folder)
    }

    @Test("each file is written, also when another one cannot be")
    func writing() throws {
        try inFolder { folder in
            let console = folder.appending("console.log")
            try writeAtomically("the console's <line>\n", to: console)
            let files = ReportFiles(
                html: folder.appending("a.html").string, junit: folder.appending("none/a.xml").string,
                summary: folder.appending("a.md").string)
            #expect(files.write(report, console: console).map(\.code) == [.infrastructure])
            #expect(try readText(folder.appending("a.html")).contains("the console&#39;s &lt;line&gt;"))
            #expect(try readText(folder.appending("a.md")).hasPrefix("## kbuild"))
            #expect(report.exitCode == 0)
            #expect(ReportFiles().write(report, console: nil).isEmpty)
        }
    }

    @Test("a device is written to, not replaced")
    func device() throws {
        #expect(ReportFiles(summary: "/dev/null").write(report, console: nil).isEmpty)
        var status = stat()
        #expect(stat("/dev/null", &status) == 0)
        #expect(status.st_mode & S_IFMT == S_IFCHR)
    }

    @Test("the job's summary is appended; without a summary file nothing happens")
    func stepSummary() throws {
        try inFolder { folder in
            let file = folder.appending("summary.md")
            try writeAtomically("before", to: file)
            try ReportFiles.addStepSummary(report, environment: ["GITHUB_STEP_SUMMARY": file.string])
            try ReportFiles.addStepSummary(report, environment: ["GITHUB_STEP_SUMMARY": file.string])
            let text = try readText(file)
            #expect(text.hasPrefix("before\n## kbuild: "))
            #expect(text.split(separator: "## kbuild").count == 3)
            try ReportFiles.addStepSummary(report, environment: ["GITHUB_STEP_SUMMARY": ""])
            try ReportFiles.addStepSummary(report, environment: [:])
            #expect(throws: Failure.self) {
                try ReportFiles.addStepSummary(report, environment: ["GITHUB_STEP_SUMMARY": folder.string])
            }
        }
    }

    @Test("the last complete lines of a long console are shown, with their numbers")
    func console() throws {
        try inFolder { folder in
            let file = folder.appending("console.log")
            let lines = (1...20_000).map { "line \($0)" }
            try writeAtomically(lines.joined(separator: "\n") + "\n", to: file)
            let whole = try #require(ConsoleExcerpt.read(file))
            #expect(whole.firstLine == 1 && whole.omittedBytes == 0)
            #expect(whole.text.hasSuffix("line 20000\n"))
            for most in [100, 70_000, 131_072] {
                let excerpt = try #require(ConsoleExcerpt.read(file, most: most))
                #expect(excerpt.text.utf8.count <= most)
                #expect(excerpt.text.hasPrefix("line \(excerpt.firstLine)\n"))
                #expect(excerpt.text.hasSuffix("line 20000\n"))
                #expect(excerpt.omittedBytes + excerpt.text.utf8.count == whole.text.utf8.count)
            }
            #expect(ConsoleExcerpt.read(folder.appending("none")) == nil)
        }
    }
}
