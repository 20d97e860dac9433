// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import SystemPackage
import Testing

@testable import Application

/// The search in a history, with git and without a kernel: a commit's number determines its verdict.
@Suite("Bisection", .timeLimit(.minutes(30)))
struct BisectionTests {
    private let scratch: FilePath
    private let runner = CommandRunner()

    init() throws {
        scratch = FilePath(FileManager.default.temporaryDirectory.path).appending("bisect-\(UUID().uuidString)")
        try createFolder(scratch)
    }

    private var tree: FilePath { scratch.appending("tree") }

    private func git(_ arguments: String...) async throws -> String {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        let result = try await runner.capture(Command("git", ["-C", tree.string] + identity + arguments))
        #expect(result.status.isSuccess, "\(result.errors)")
        return result.output.trimmingNewlines
    }

    /// Creates a history of commits 1 to 20, each with its number in a file.
    private func makeHistory() async throws -> [String] {
        try createFolder(tree)
        _ = try await git("init", "--quiet")
        var commits: [String] = []
        for number in 1...20 {
            try writeAtomically("\(number)\n", to: tree.appending("number"))
            _ = try await git("add", "number")
            _ = try await git("commit", "--quiet", "-m", "commit \(number)")
            commits.append(try await git("rev-parse", "HEAD"))
        }
        return commits
    }

    private func bisection() -> Bisection {
        Bisection(tree: tree, clone: scratch.appending("clone"), runner: runner, progress: .silent)
    }

    /// The number of the tested commit.
    private func number(_ bisection: Bisection) throws -> Int {
        Int(try readText(bisection.clone.appending("number")).trimmingNewlines) ?? 0
    }

    private func trial(_ number: Int, breaksAt first: Int, skips: Set<Int> = []) -> Bisection.Trial {
        .init(
            verdict: skips.contains(number) ? .skip : number < first ? .good : .bad, reason: "it is \(number)",
            seconds: 1)
    }

    @Test("it finds the breaking commit, skips commits that do not build, and does not change the tree")
    func finds() async throws {
        defer { try? removeAll(scratch) }
        let commits = try await makeHistory()
        let before = try namesInFolder(tree.appending(".git")).sorted()
        let bisection = bisection()
        let result = try await bisection.run(good: commits[0], bad: "HEAD", question: "") { step in
            let number = try number(bisection)
            #expect(step.subject == "commit \(number)" && step.commit == commits[number - 1])
            return trial(number, breaksAt: 14, skips: [10, 11])
        }
        #expect(result.commits == [commits[13]])
        #expect(result.description.contains("commit 14") && result.log.contains("git bisect bad"))
        #expect(result.steps.contains { $0.verdict == .skip } && result.steps.count < 10)
        #expect(result.table.count == result.steps.count + 1)
        #expect(result.table[1].contains("it is ") && result.table[1].hasPrefix(result.steps[0].commit.prefix(12)))
        #expect(try namesInFolder(tree.appending(".git")).sorted() == before)
        #expect(try await git("status", "--porcelain") == "")
    }

    @Test("an interrupted search continues, and a different search starts from the beginning")
    func resumes() async throws {
        defer { try? removeAll(scratch) }
        let commits = try await makeHistory()
        struct Interruption: Error {}
        let bisection = bisection()
        var tried: [Int] = []
        await #expect(throws: Interruption.self) {
            _ = try await bisection.run(good: commits[0], bad: commits[19], question: "a") { _ in
                guard tried.count < 2 else { throw Interruption() }
                let number = try number(bisection)
                tried.append(number)
                return trial(number, breaksAt: 7)
            }
        }
        #expect(tried.count == 2)
        let result = try await bisection.run(good: commits[0], bad: commits[19], question: "a") { _ in
            let number = try number(bisection)
            #expect(!tried.contains(number))
            return trial(number, breaksAt: 7)
        }
        #expect(result.commits == [commits[6]])
        #expect(result.steps.prefix(2).map(\.reason) == tried.map { "it is \($0)" })
        // The results of one search are not valid for another.
        let other = try await bisection.run(good: commits[0], bad: commits[19], question: "b") { _ in
            trial(try number(bisection), breaksAt: 18)
        }
        #expect(other.commits == [commits[17]])
    }

    @Test("when no remaining commit builds, every possible commit is named")
    func skipped() async throws {
        defer { try? removeAll(scratch) }
        let commits = try await makeHistory()
        let bisection = bisection()
        let result = try await bisection.run(good: commits[0], bad: commits[19], question: "") { _ in
            trial(try number(bisection), breaksAt: 9, skips: [8, 9])
        }
        #expect(Set(result.commits) == Set(commits[7...9]))
    }

    @Test("unknown commits, and commits in the wrong order, are refused before anything is built")
    func refused() async throws {
        defer { try? removeAll(scratch) }
        let commits = try await makeHistory()
        for (good, bad) in [
            (commits[5], commits[2]), ("nowhere", commits[2]), (commits[2], commits[2]), ("--all", "HEAD"),
        ] {
            let failure = await #expect(throws: Failure.self) {
                _ = try await bisection().run(good: good, bad: bad, question: "") { _ in trial(1, breaksAt: 0) }
            }
            #expect(failure?.code == .usage)
        }
        #expect(!fileExists(bisection().clone))
    }

    @Test("git's final message is recognized, and other output is not mistaken for it")
    func answers() {
        let commit = String(repeating: "a1", count: 20)
        #expect(Bisection.firstBadCommits(in: "\(commit) is the first bad commit\ncommit \(commit)\n") == [commit])
        #expect(
            Bisection.firstBadCommits(in: "Bisecting: 3 revisions left\n[\(commit)] is the first bad commit\n") == [])
        #expect(Bisection.firstBadCommits(in: "") == [])
    }
}
