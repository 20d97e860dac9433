// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import KernelSource
import Processes
import Project
import SystemPackage

/// The search for the commit of a kernel tree's history that broke something.
///
/// git chooses the commits, in kbuild's own clone, which shares the tree's objects: nothing is written to the tree or
/// to its repository. The clone keeps the results, so that an interrupted search can continue.
public struct Bisection: Sendable {
    /// The verdict on a commit.
    public enum Verdict: String, Sendable, Codable {
        case good, bad
        /// The commit does not build, so its verdict is unknown.
        case skip
    }

    /// The result of a commit's run.
    public struct Trial: Sendable {
        /// The verdict on the commit.
        public var verdict: Verdict
        /// The run's result in a few words.
        public var reason: String
        /// The duration in seconds.
        public var seconds: Double

        /// Creates a trial.
        public init(verdict: Verdict, reason: String, seconds: Double) {
            (self.verdict, self.reason, self.seconds) = (verdict, reason, seconds)
        }
    }

    /// A tested commit.
    public struct Step: Sendable, Codable, Equatable {
        /// The commit's ID.
        public var commit: String
        /// The first line of the commit's message.
        public var subject: String
        /// The verdict.
        public var verdict: Verdict
        /// The reason for the verdict.
        public var reason: String
        /// The duration in seconds.
        public var seconds: Double
    }

    /// The result of the search.
    public struct Result: Sendable {
        /// The first bad commit; several when those between could not be built.
        public var commits: [String] = []
        /// The tested commits, in order.
        public var steps: [Step] = []
        /// The log for `git bisect replay`.
        public var log = ""
        /// git's description of the first bad commit.
        public var description = ""

        /// The steps as a table, with one line for each.
        public var table: [String] {
            [["commit", "verdict", "run", "seconds", "subject"]].map(Self.line)
                + steps.map {
                    Self.line([
                        String($0.commit.prefix(12)), $0.verdict.rawValue, $0.reason, String(Int($0.seconds.rounded())),
                        $0.subject,
                    ])
                }
        }

        private static func line(_ cells: [String]) -> String {
            zip(cells, [13, 8, 18, 8, 0]).map { $0.padding(to: $1) }.joined().trimmingBlanks.description
        }
    }

    /// The tree whose history is searched.
    private let tree: FilePath
    private let runner: CommandRunner
    /// The clone's folder, whose files are the tested commit's.
    public let clone: FilePath
    private let progress: ProgressSink

    /// Prepares a search without running anything.
    ///
    /// - Throws: `Failure` (`usage`) when the project's kernel is not a folder of the host.
    public init(_ context: ProjectContext) throws {
        let source = try KernelSource(
            parsing: context.project.kernel.source, relativeTo: context.project.folder)
        guard case .directory(let tree) = source else {
            throw Failure(
                .usage, "kbuild bisect searches the history of a kernel tree, and this kernel comes from \(source)",
                nextStep: "go to a git clone of the kernel, or name one: --kernel FOLDER")
        }
        self.init(
            tree: tree, clone: context.projectCache.appending("bisect-\(Digest.of(tree.string).short)"),
            runner: context.tools.runner, progress: context.tools.progress)
    }

    init(tree: FilePath, clone: FilePath, runner: CommandRunner, progress: ProgressSink) {
        (self.tree, self.clone, self.runner, self.progress) = (tree, clone, runner, progress)
    }

    /// A project whose kernel is the tested commit.
    public func project(_ project: Project) -> Project { project.building(clone) }

    /// Searches.
    ///
    /// - Parameters:
    ///   - good: A commit, tag or branch that is known to be good.
    ///   - bad: A later commit, tag or branch that is known to be bad.
    ///   - question: The other inputs that determine a commit's result. A search with other inputs starts from the
    ///     beginning.
    ///   - trial: Tests the commit whose files are in `clone`.
    /// - Throws: `Failure`: `usage` when a commit does not exist or they are in the wrong order, `infrastructure` when
    ///   git fails; `CancellationError`; what `trial` throws. Earlier results are kept.
    public func run(
        good: String, bad: String, question: String, trial: (Step) async throws -> Trial
    ) async throws -> Result {
        let (good, bad) = (try await commit(good), try await commit(bad))
        guard good != bad, try await succeeds(["merge-base", "--is-ancestor", good, bad], in: tree) else {
            throw Failure(
                .usage, "\(good.prefix(12)) does not come before \(bad.prefix(12)) in the history of \(tree)",
                nextStep: "name the good commit first: kbuild bisect GOOD BAD")
        }
        var result = Result()
        let request = "\(good) \(bad) \(question)"
        if (try? readText(requestFile)) == request, let bytes = try? readBytes(stepsFile),
            let steps = try? JSONDecoder().decode([Step].self, from: Data(bytes))
        {
            result.steps = steps
            progress(.note("going on from \(pluralized(steps.count, "commit")) that were tried before"))
        } else {
            try await begin(good: good, bad: bad)
            try write([])
            try writeAtomically(request, to: requestFile)
        }
        while true {
            try Task.checkCancellation()
            let head = try await git(["log", "-1", "--format=%H %s"])
            let words = head.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            var step = Step(
                commit: String(words.first ?? ""), subject: words.count > 1 ? String(words[1]) : "", verdict: .skip,
                reason: "", seconds: 0)
            let trial = try await trial(step)
            (step.verdict, step.reason, step.seconds) = (trial.verdict, trial.reason, trial.seconds)
            // git's message after the last step ends the search.
            let answer = try await runner.capture(
                GitRepository.command(["bisect", step.verdict.rawValue, step.commit], in: clone.string))
            result.steps.append(step)
            try write(result.steps)
            let found = Self.firstBadCommits(in: answer.output)
            if !found.isEmpty {
                result.commits = found
                result.log = try await git(["bisect", "log"])
                if found.count == 1 {
                    result.description = try await git(["show", "--stat", "--format=medium", found[0]])
                }
                // The next search starts from the beginning.
                try removeAll(requestFile)
                return result
            }
            guard answer.status.isSuccess else { throw failure(["bisect", step.verdict.rawValue], answer) }
        }
    }

    /// The commits that git names at the end of a search: one, or all possible ones.
    static func firstBadCommits(in output: String) -> [String] {
        func isCommit(_ text: Substring) -> Bool {
            [40, 64].contains(text.utf8.count) && text.allSatisfy(\.isHexDigit)
        }
        var isList = false
        var commits: [String] = []
        for line in output.textLines() {
            if line.hasSuffix(" is the first bad commit"), let commit = line.split(separator: " ").first,
                isCommit(commit)
            {
                return [String(commit)]
            }
            if isList, isCommit(line) { commits.append(String(line)) }
            if line.hasPrefix("The first bad commit could be any of") { isList = true }
        }
        return commits
    }

    // MARK: The clone

    private var requestFile: FilePath { clone.pushing(".git/kbuild-bisect") }
    private var stepsFile: FilePath { clone.pushing(".git/kbuild-bisect-steps") }

    private func write(_ steps: [Step]) throws {
        try writeAtomically(Array(JSONEncoder().encode(steps)), to: stepsFile)
    }

    /// The ID of a commit of the tree.
    private func commit(_ name: String) async throws -> String {
        let result = try await runner.capture(
            GitRepository.command(
                ["rev-parse", "--verify", "--quiet", "--end-of-options", "\(name)^{commit}"], in: tree.string))
        guard result.status.isSuccess else {
            throw Failure(
                .usage,
                result.errors.isEmpty
                    ? "\(tree) has no commit, tag or branch \(name)" : "\(tree) is not a git clone of a kernel",
                details: result.errors.isEmpty ? nil : result.errors.trimmingNewlines,
                nextStep: "git -C \(Command.quoted(tree.string)) log --oneline")
        }
        return result.output.trimmingNewlines
    }

    /// Creates the clone if it does not exist, and lets git choose the first commit.
    private func begin(good: String, bad: String) async throws {
        try removeAll(requestFile)
        if !isFolder(clone.appending(".git")) {
            try removeAll(clone)
            try createFolder(clone.removingLastComponent())
            progress(.note("cloning \(tree) for the search; it shares the objects and takes the files of one commit"))
            let command = GitRepository.command(
                ["clone", "--quiet", "--shared", "--no-checkout", "--", tree.string, clone.string], in: "/")
            let result = try await runner.capture(command)
            guard result.status.isSuccess else {
                try removeAll(clone)
                throw failure(["clone"], result)
            }
        }
        _ = try await runner.capture(GitRepository.command(["bisect", "reset", "HEAD"], in: clone.string))
        _ = try await git(["checkout", "--quiet", "--force", "--detach", bad])
        _ = try await git(["bisect", "start", bad, good])
    }

    private func succeeds(_ arguments: [String], in folder: FilePath) async throws -> Bool {
        try await runner.capture(GitRepository.command(arguments, in: folder.string)).status.isSuccess
    }

    private func git(_ arguments: [String]) async throws -> String {
        let result = try await runner.capture(GitRepository.command(arguments, in: clone.string))
        guard result.status.isSuccess else { throw failure(arguments, result) }
        return result.output.trimmingNewlines
    }

    private func failure(_ arguments: [String], _ result: CommandResult) -> Failure {
        Failure(
            .infrastructure, "git \(arguments.prefix(2).joined(separator: " ")) failed (\(result.status))",
            details: (result.errors + result.output).trimmingNewlines)
    }
}
