// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import SystemPackage

/// A git repository from which a kernel is taken, without writing to it.
package struct GitRepository: Sendable {
    let location: String
    let runner: CommandRunner

    init(_ location: String, runner: CommandRunner) {
        self.location = location
        self.runner = runner
    }

    /// Whether git reaches the repository over a network.
    var isRemote: Bool { !location.hasPrefix("/") }

    /// The variables that would select another repository, or make git ask a question.
    private static let environment: [String: String?] = [
        "GIT_DIR": nil, "GIT_WORK_TREE": nil, "GIT_INDEX_FILE": nil,
        "GIT_OBJECT_DIRECTORY": nil, "GIT_COMMON_DIR": nil, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C",
    ]

    /// A git command on this machine's repository `repository`.
    package static func command(_ arguments: [String], in repository: String, index: FilePath? = nil) -> Command {
        var environment = environment
        if let index { environment["GIT_INDEX_FILE"] = index.string }
        // The user's line-ending conversion would change the sources; hooks must not run.
        let options = ["-C", repository, "-c", "core.autocrlf=false", "-c", "core.hooksPath=/dev/null"]
        return Command("git", options + arguments, environment: environment)
    }

    /// The commit that `ref` names.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the repository or the ref does not exist.
    func commit(of ref: String) async throws -> String {
        if isRemote { return try await remoteCommit(of: ref) }
        guard isFolder(FilePath(location)) else {
            throw Failure(.infrastructure, "there is no git repository \(location)")
        }
        let result = try await runner.capture(
            Self.command(["rev-parse", "--verify", "--quiet", "--end-of-options", "\(ref)^{commit}"], in: location))
        let commit = Self.commitLine(result.output)
        guard result.status.isSuccess, let commit else {
            // With --quiet git prints nothing for a missing ref, but a message for a folder that is not a repository.
            throw result.errors.isEmpty
                ? refMissing(ref)
                : Failure(.infrastructure, "git cannot read \(location)", details: result.errors.trimmingNewlines)
        }
        return commit
    }

    private func remoteCommit(of ref: String) async throws -> String {
        // A complete commit id needs no look-up.
        if let commit = Self.commitLine(ref) { return commit }
        let result = try await runner.capture(
            Command("git", ["ls-remote", "--", location, ref, "\(ref)^{}"], environment: Self.environment))
        guard result.status.isSuccess else {
            throw Failure(
                .infrastructure, "git cannot reach \(location)", details: result.errors.trimmingNewlines,
                nextStep: "check the URL and the network, or give a directory or a tar file")
        }
        guard let commit = Self.commit(named: ref, inListing: result.output) else { throw refMissing(ref) }
        return commit
    }

    private func refMissing(_ ref: String) -> Failure {
        Failure(
            .infrastructure, "\(location) has no branch, tag or commit '\(ref)'",
            nextStep: isRemote
                ? "git ls-remote \(Command.quoted(location)) lists what it has; a commit needs all its 40 digits"
                : "git -C \(Command.quoted(location)) branch -a and tag list what it has")
    }

    /// Chooses among the lines of `git ls-remote` as git itself would: a tag before a branch; for an annotated tag its
    /// commit, which the listing has under the name with `^{}`.
    static func commit(named ref: String, inListing listing: String) -> String? {
        var commits: [String: String] = [:]
        for line in listing.textLines() {
            let parts = line.split(separator: "\t")
            if parts.count == 2, let commit = commitLine(String(parts[0])) { commits[String(parts[1])] = commit }
        }
        for name in [ref, "refs/\(ref)", "refs/tags/\(ref)", "refs/heads/\(ref)"] {
            if let commit = commits["\(name)^{}"] ?? commits[name] { return commit }
        }
        return nil
    }

    /// A line that is one commit id, SHA-1 or SHA-256, and nothing else.
    private static func commitLine(_ text: String) -> String? {
        let line = text.hasSuffix("\n") ? String(text.dropLast()) : text
        return [40, 64].contains(line.utf8.count) && line.allSatisfy(\.isHexDigit) ? line : nil
    }

    /// Writes the files of `commit` to the empty folder `folder`.
    ///
    /// - Parameter scratch: A folder for the index, and for the objects of a remote repository.
    /// - Throws: `Failure` (`infrastructure`) when git fails.
    func checkOut(_ commit: String, to folder: FilePath, scratch: FilePath) async throws {
        if isRemote { try createFolder(Self.objects(in: scratch)) }
        for command in checkOutCommands(commit, to: folder, scratch: scratch) { try await run(command) }
    }

    fileprivate static func objects(in scratch: FilePath) -> FilePath { scratch.appending("objects") }

    /// The commands that `checkOut` runs.
    func checkOutCommands(_ commit: String, to folder: FilePath, scratch: FilePath) -> [Command] {
        var commands: [Command] = []
        var repository = location
        if isRemote {
            repository = Self.objects(in: scratch).string
            commands = [
                Self.command(["init", "--quiet", "--bare"], in: repository),
                Self.command(["fetch", "--quiet", "--depth=1", "--no-tags", "--", location, commit], in: repository),
            ]
        }
        // A separate index: the repository's would then differ from its work tree.
        let index = scratch.appending("index")
        return commands + [
            Self.command(["read-tree", commit], in: repository, index: index),
            // A bare repository has no work tree; --work-tree gives git a folder to write to.
            Self.command(
                ["--work-tree=\(folder)", "checkout-index", "--all", "--force", "--quiet"], in: repository, index: index
            ),
        ]
    }

    private func run(_ command: Command) async throws {
        let result = try await runner.capture(command)
        guard result.status.isSuccess else {
            throw Failure(
                .infrastructure, "git failed on \(location) (\(result.status))",
                details: command.description + "\n" + result.errors.trimmingNewlines)
        }
    }
}

extension SourceCache {
    /// The tree of a commit.
    func checkOut(_ ref: String, of repository: GitRepository, source: KernelSource) async throws
        -> KernelSourceArtifact
    {
        let commit = try await repository.commit(of: ref)
        return try await publish(Self.identity(ofCommit: commit), source: source) { folder in
            progress(.note("checking out \(ref) (\(commit.prefix(12))) of \(repository.location) into the cache"))
            let scratch = layout.temporary.appending("git-\(UInt32.random(in: 0 ... .max))")
            try createFolder(scratch)
            defer { try? removeAll(scratch) }
            try await repository.checkOut(commit, to: folder, scratch: scratch)
            return folder
        }
    }

    /// What `checkOut` would do.
    func planCheckOut(_ ref: String, of repository: GitRepository, source: KernelSource) async throws -> SourcePlan {
        let commit = try await repository.commit(of: ref)
        let identity = Self.identity(ofCommit: commit)
        if let kernel = try published(identity, at: home(identity), source: source) { return .present(kernel) }
        let (folder, scratch) = (unpackedFolder(identity), layout.temporary.appending("git"))
        // kbuild makes the folders itself; a user who pastes the commands must do so.
        let folders = Command("mkdir", ["-p", folder.string, GitRepository.objects(in: scratch).string])
        let commands = repository.checkOutCommands(commit, to: folder, scratch: scratch)
        return .absent(commands: [folders] + commands, remark: nil)
    }

    private static func identity(ofCommit commit: String) -> Digest {
        var key = ContentDigest(of: "kernel-git", version: 1)
        key.add("commit", commit)
        return key.digest
    }
}
