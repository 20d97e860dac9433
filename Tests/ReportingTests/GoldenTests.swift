// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel
import Testing

@testable import Reporting

/// The complete output of renderers, compared with files under Golden: a change of a word or a space is visible in the
/// diff of a commit.
///
/// `KBUILD_WRITE_GOLDEN=1 swift test --filter GoldenTests` writes the files again; review their diff with the change.
@Suite("golden files", .timeLimit(.minutes(30)))
struct GoldenTests {
    /// A report by the name of its files.
    struct Example: Sendable, CustomTestStringConvertible {
        var name: String
        var report: RunReport
        var testDescription: String { name }
    }

    /// A run for each verdict that a user may see.
    static let examples: [Example] = {
        var passed = sample()
        passed.crashes = []
        passed.suites[0].tests = [passed.suites[0].tests[0]]
        var crashed = sample()
        let crash = crashed.crashes[0]
        // The same crash in other tests folds; a fatal one does not.
        crashed.crashes += (1...3).map { number in
            var again = crash
            again.test = "M.S/again\(number)()"
            return again
        }
        var panic = crash
        panic.title = "kernel BUG in <g> & h"
        panic.kind = .bug
        panic.isFatal = true
        panic.test = "M.S/gone()"
        panic.corruption = nil
        crashed.crashes.append(panic)
        var notBuilt = RunReport(
            startedAt: "2026-01-02T03:04:05Z", seconds: 3, project: "/p", profile: nil, kernel: nil, machine: nil,
            syscalls: [], steps: [], suites: [], crashes: [], artifacts: .init(folder: "/r", console: nil))
        notBuilt.errors = [
            .init(
                Failure(
                    .build, "kernel/call.c:3: error: expected ';'", details: "    3 | int x\n      |      ^",
                    nextStep: "correct it and run again"))
        ]
        var nasty = sample()
        nasty.suites[0].tests[1].issues[0].message = "<script>alert(1)</script> | `x` ]]> \u{1B}[2J ::error::"
        nasty.suites[0].tests[1].id = "M.S/<b>|&\"'()"
        nasty.crashes = []
        var covered = passed
        covered.coverage = CoverageRenderingTests.coverage
        covered.repetitions = RepetitionTests.repetitions
        return [
            Example(name: "covered", report: covered), Example(name: "passed", report: passed),
            Example(name: "failed", report: sample()),
            Example(name: "crashed", report: crashed), Example(name: "not-built", report: notBuilt),
            Example(name: "nasty", report: nasty),
        ]
    }()

    /// Compares a text with a file of Golden.
    private func check(_ text: String, _ name: String) throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name)")
        let text = text.hasSuffix("\n") ? text : text + "\n"
        if ProcessInfo.processInfo.environment["KBUILD_WRITE_GOLDEN"] == "1" {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        let expected = try #require(
            String(data: Data(contentsOf: file), encoding: .utf8), "Golden/\(name) is not there")
        guard text != expected else { return }
        let (new, old) = (text.textLines(), expected.textLines())
        let index =
            zip(new, old).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(new.count, old.count)
        Issue.record(
            """
            Golden/\(name), line \(index + 1)
            is   \(index < new.count ? new[index] : "not there")
            was  \(index < old.count ? old[index] : "not there")
            """)
    }

    @Test("a report as text, wide, narrow and with all of a crash", arguments: examples)
    func text(example: Example) throws {
        try check(TextReport().render(example.report).plain, "\(example.name).txt")
        try check(TextReport(width: 60).render(example.report).plain, "\(example.name)-60.txt")
        try check(TextReport(isVerbose: true).render(example.report).plain, "\(example.name)-verbose.txt")
    }

    @Test("a report for machines", arguments: examples)
    func machines(example: Example) throws {
        try check(JSONReport.render(example.report), "\(example.name).json")
        try check(JUnitReport.render(example.report), "\(example.name).junit.xml")
        try check(
            GitHubAnnotations.render(example.report).map(\.line).joined(separator: "\n"),
            "\(example.name).annotations.txt")
    }

    @Test("a report for pages", arguments: examples)
    func pages(example: Example) throws {
        try check(MarkdownSummary.render(example.report), "\(example.name).md")
        // The page's style and script are separate files.
        let page = HTMLReport.render(example.report, console: ConsoleExcerpt(text: "[    1.0] a line\n<b>\n"))
        let start = try #require(page.range(of: "<body"))
        let end = page.range(of: "<script", options: .backwards)?.lowerBound ?? page.endIndex
        try check(String(page[start.lowerBound..<max(end, start.upperBound)]), "\(example.name).html")
    }

    @Test("a comparison, a list of runs, the cache and a log")
    func others() throws {
        var head = sample()
        head.suites[0].tests[0].status = .failed
        head.suites[0].tests[1].status = .passed
        head.suites[0].tests[3].id = "other"
        head.seconds = 40
        let comparison = RunComparison(base: .init(id: "a", report: sample()), head: .init(id: "b", report: head))
        try check(TextReport().render(comparison).plain, "comparison.txt")
        let list = RunList(runs: [
            .init(place: -1, id: "a", file: "/a/report.json", report: sample()),
            .init(place: -2, id: "b", file: "/b/report.json", report: nil),
        ])
        try check(TextReport().render(list).plain, "runs.txt")
        try check(TextReport().render(CacheTextTests.list).plain, "cache.txt")
        try check(TextReport().render(CacheTextTests.pruning).plain, "pruned.txt")
        let log = LogReport(
            source: "a.log", format: .console, isEmpty: false, crashes: sample().crashes, suites: sample().suites)
        try check(TextReport().render(log).plain, "log.txt")
        try check(JSONReport.render(log), "log.json")
    }
}
