// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Reporting
import ResultsModel
import SystemPackage
import Testing

@testable import Application
@testable import GuestSession
@testable import Project

private func report(filter: String? = nil, skippedCases: Int = 0) -> RunReport {
    var report = RunReport(
        startedAt: "", project: "/p",
        suites: [
            .init(
                name: "s", kind: "swift-testing",
                tests: [
                    .init(id: "M.S/a()", name: "a", status: .passed),
                    .init(id: "M.S/b()", name: "b", status: .skipped, reason: "no device"),
                ]),
            .init(name: "t", kind: "ktap", tests: [.init(id: "t/c", name: "c", status: .passed)]),
        ],
        crashes: [
            .init(title: "WARNING in f", isFatal: false, lines: []),
            .init(title: "possible deadlock in g", isFatal: false, lines: []),
        ])
    report.filter = filter
    report.suites[1].tests[0].skippedCases = skippedCases
    return report
}

private func judged(_ report: RunReport) -> Diagnostics.ExitStatus? {
    return Diagnostics.ExitStatus(rawValue: report.exitCode)
}

@Suite("Skips and known kernel reports", .timeLimit(.minutes(30)))
struct ResultPolicyTests {
    @Test("by default a skip is counted and does not fail the run")
    func warn() {
        var report = report()
        report.crashes = []
        #expect(ResultPolicy(skips: .warn, splats: .fail).apply(to: &report).isEmpty)
        #expect(judged(report) == .success)
    }

    @Test("with fail a skipped test, or a skipped case, fails the run and is named with its reason")
    func fail() {
        var report = report(skippedCases: 2)
        report.crashes = []
        #expect(ResultPolicy(skips: .fail, splats: .fail).apply(to: &report).isEmpty)
        #expect(
            report.suites.map(\.problems) == [
                ["1 test skipped that the project's skips: does not expect: M.S/b() (no device)"],
                ["1 test skipped that the project's skips: does not expect: t/c"],
            ])
        #expect(judged(report) == .testFailure)
    }

    @Test("a list names the expected skips; other skips fail, and an entry without a match is noted")
    func expected() {
        var good = report()
        good.crashes = []
        let notes = ResultPolicy(skips: .expected(["^M.S/b", "never"]), splats: .fail).apply(to: &good)
        #expect(notes == ["skips: 'never' matches no test that was skipped"])
        #expect(judged(good) == .success)
        var bad = report(filter: "M")
        bad.crashes = []
        // A run of some tests need not have the skips of all.
        #expect(ResultPolicy(skips: .expected(["never"]), splats: .fail).apply(to: &bad).isEmpty)
        #expect(judged(bad) == .testFailure)
        var empty = report()
        empty.crashes = []
        _ = ResultPolicy(skips: .expected([]), splats: .fail).apply(to: &empty)
        #expect(judged(empty) == .testFailure)
    }

    @Test("a known report does not fail the run, another does, and a fatal one always does")
    func known() {
        let warning = Project.KnownSplat(title: "^WARNING in f$", reason: "bug 1")
        let deadlock = Project.KnownSplat(title: "deadlock", reason: "bug 2")
        var one = report()
        let unused = Project.KnownSplat(title: "^KASAN", reason: "bug 3")
        #expect(
            ResultPolicy(skips: .warn, splats: .known([warning, unused])).apply(to: &one) == [
                "splats: '^KASAN' matches no report of the kernel's"
            ])
        #expect(one.crashes.map(\.knownReason) == ["bug 1", nil])
        #expect(judged(one) == .guestCrash)
        var both = report()
        let policy = ResultPolicy(skips: .warn, splats: .known([warning, deadlock]))
        #expect(policy.apply(to: &both).isEmpty)
        #expect(judged(both) == .success)
        var fatal = report()
        fatal.crashes[0].isFatal = true
        _ = policy.apply(to: &fatal)
        #expect(fatal.crashes[0].knownReason == nil)
        #expect(judged(fatal) == .guestCrash)
    }

    @Test("the project's known reports apply to a shell as to a run")
    func titles() {
        let known = Project.SplatPolicy.known([.init(title: "^WARNING in f$", reason: "bug 1")])
        #expect(!known.fails(title: "WARNING in f"))
        #expect(known.fails(title: "WARNING in f2"))
        #expect(Project.SplatPolicy.fail.fails(title: "WARNING in f"))
        #expect(!Project.SplatPolicy.warn.fails(title: "WARNING in f"))
    }
}

@Suite("Selection by an entry", .timeLimit(.minutes(30)))
struct SuiteSelectionTests {
    private let tests = ["M.A/one()", "M.B/two()"]

    private func check(
        filter: String? = nil, skip: String? = nil, xctests: [String] = [], command: String? = nil
    ) throws -> String? {
        try SuiteSelection(entry: "tests[1]", package: "Tests/G", filter: filter, skip: skip)
            .check(tests: tests, xctests: xctests, with: TestSelection(filter: command))
    }

    @Test(
        "an entry that selects no test of its suite is an error that names it, with any command line",
        arguments: [
            ("Sloow", nil, "tests[1].filter 'Sloow' matches no test of Tests/G"),
            (nil, "M", "tests[1].skip 'M' matches every test of Tests/G"),
            ("A", "one", "tests[1].skip 'one' matches every test of Tests/G that its filter 'A' selects"),
        ] as [(String?, String?, String)], [nil, "two", "nothing"])
    func empty(entry: (String?, String?, String), command: String?) throws {
        let failure = #expect(throws: Failure.self) { try check(filter: entry.0, skip: entry.1, command: command) }
        #expect(failure?.code == .usage)
        #expect(failure?.message.hasPrefix(entry.2) == true, "\(failure?.message ?? "")")
        #expect(failure?.details?.contains("M.A/one()") == true)
    }

    @Test("a pattern of the command line may select no test of an entry, because it may be meant for another entry")
    func commandLine() throws {
        #expect(try check(filter: "A", command: "nothing") == nil)
        #expect(try check(skip: "two", command: "two") == nil)
    }

    @Test("a skip that matches nothing is noted")
    func idleSkip() throws {
        #expect(try check(skip: "Sloow") == "tests[1].skip 'Sloow' matches no test of Tests/G")
    }

    @Test("selected XCTest cases are an error that names them; intentionally excluded ones are not")
    func xctest() throws {
        let cases = ["X.Old/testOne", "X.Old/testTwo"]
        let failure = #expect(throws: Failure.self) { try check(xctests: cases) }
        #expect(failure?.code == .usage)
        #expect(failure?.message == "tests[1]: kbuild does not run XCTest, and Tests/G has 2 XCTest cases")
        #expect(failure?.details == "X.Old/testOne\nX.Old/testTwo")
        #expect(throws: Failure.self) { try check(skip: "testOne", xctests: cases) }
        #expect(try check(skip: "^X.Old/", xctests: cases) == nil)
        #expect(try check(filter: "^M.", xctests: cases) == nil)
        #expect(try check(xctests: cases, command: "M.A") == nil)
        #expect(throws: Failure.self) { try check(xctests: cases, command: "Old") }
    }

    @Test("XCTest's list is read after other output, and output without a list is an error")
    func listing() throws {
        let text = """
            loaded {
            {"tests":[{"tests":[{"name":"X.Old","tests":[{"name":"testTwo"},{"name":"testOne"}]}],"name":"debug.xctest"}],"name":"All tests"}

            """
        #expect(try XCTestListing.names(in: text) == ["X.Old/testOne", "X.Old/testTwo"])
        let empty = #"{"tests":[{"tests":[],"name":"debug.xctest"}],"name":"All tests"}"#
        #expect(try XCTestListing.names(in: empty).isEmpty)
        for text in ["", "Listing 0 tests in debug.xctest:\n", "{\n"] {
            #expect(throws: Failure.self) { try XCTestListing.names(in: text) }
        }
    }
}

@Suite("Source lines", .timeLimit(.minutes(30)))
struct SourceLineTests {
    @Test("the line of a project's file is read, shortened, and trimmed")
    func lines() throws {
        try withFolder { folder in
            let file = folder.appending("T.swift")
            try writeAtomically("one\n\t  #expect(a == b) \r\n\n\(String(repeating: "x", count: 5000))\n", to: file)
            var lines = SourceLines(folders: [folder])
            #expect(lines.text(file: file.string, line: 2) == "#expect(a == b)")
            #expect(lines.text(file: file.string, line: 3) == nil)
            #expect(lines.text(file: file.string, line: 4)?.count == SourceLines.longestLine + 1)
            for line in [0, -1, 99] { #expect(lines.text(file: file.string, line: line) == nil) }
            #expect(lines.text(file: "T.swift", line: 1) == nil)
        }
    }

    @Test("a file outside of the project is not read by any path that a guest names")
    func outside() throws {
        try withFolder { folder in
            let project = folder.appending("project")
            try createFolder(project)
            let secret = folder.appending("secret")
            try writeAtomically("secret\n", to: secret)
            try createLink(project.appending("link"), to: "../secret")
            try createLink(project.appending("folder"), to: "..")
            #expect(mkfifo(project.appending("pipe").string, 0o600) == 0)
            // A sibling whose name begins with the project's.
            try createFolder(folder.appending("project2"))
            try writeAtomically("other\n", to: folder.appending("project2/file"))
            var lines = SourceLines(folders: [project])
            for path in ["link", "folder/secret", "../secret", "../project2/file", "pipe", ".", "/dev/zero"] {
                let file = path.hasPrefix("/") ? path : project.appending(path).string
                #expect(lines.text(file: file, line: 1) == nil, "\(path)")
            }
            // A link within the project is allowed.
            try writeAtomically("mine\n", to: project.appending("file"))
            try createLink(project.appending("alias"), to: "file")
            #expect(lines.text(file: project.appending("alias").string, line: 1) == "mine")
        }
    }

    private func createLink(_ path: FilePath, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: path.string, withDestinationPath: target)
    }

    private func withFolder(_ body: (FilePath) throws -> Void) throws {
        let folder = FilePath(NSTemporaryDirectory()).appending("source-lines-\(UInt64.random(in: 0 ... .max))")
        try createFolder(folder)
        defer { try? removeAll(folder) }
        try body(folder)
    }
}
