// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import KernelSource
import PatchedTree
import Patching
import Processes
import SystemPackage

/// A patch as a file.
public struct ExportedPatch: Sendable {
    /// The file's name.
    public var name: String
    /// Its contents.
    public var bytes: [UInt8]
}

/// The project's patches, as git writes them.
public struct ExportedPatches: Sendable {
    /// The files that `git format-patch` writes, in order, each with its contents.
    public var patches: [ExportedPatch]
    /// All of them as one mailbox.
    public var mailbox: [UInt8]
    /// All changes as one diff.
    public var diff: [UInt8]

    /// Checks that a folder for the patches is new or empty: patches of an earlier export would be applied too.
    ///
    /// - Throws: `Failure` (`usage`).
    public static func check(folder: FilePath) throws {
        guard fileExists(folder) else { return }
        guard isFolder(folder), try namesInFolder(folder).isEmpty else {
            throw Failure(
                .usage, "\(folder) is there already and not empty",
                nextStep: "remove it, or name another with --output")
        }
    }

    /// Writes a file for each patch.
    ///
    /// - Parameter hasSeries: Whether a file `series` lists them, as quilt wants it.
    /// - Returns: The files.
    /// - Throws: `Failure` (`infrastructure`) when one cannot be written.
    public func write(to folder: FilePath, hasSeries: Bool) throws -> [FilePath] {
        try createFolder(folder)
        var files: [FilePath] = []
        for patch in patches {
            files.append(folder.appending(patch.name))
            try writeAtomically(patch.bytes, to: folder.appending(patch.name))
        }
        guard hasSeries else { return files }
        files.append(folder.appending("series"))
        try writeAtomically(patches.map { $0.name + "\n" }.joined(), to: folder.appending("series"))
        return files
    }
}

extension PatchActions {
    /// Writes the changes that kbuild applies, including registrations of system calls, as patches for a plain tree of
    /// the kernel.
    ///
    /// git makes them, in its own repository with only the changed files, and applies them once: so the result is known
    /// to apply with `git am`, and to give the tree that kbuild builds.
    ///
    /// - Parameter names: The patch sources, as `kbuild patch status` names them; none for all.
    /// - Throws: `Failure`: `usage` for a name that the project does not have, `patch` when a patch does not apply,
    ///   `infrastructure` when git fails.
    public func export(_ names: [String]) async throws -> ExportedPatches {
        defer { tools.statCache.save() }
        let pristine = try await source()
        let all = try steps.patchSources()
        for name in names where !all.contains(where: { $0.name == name }) {
            throw Failure(
                .usage, "the project has no patch source \(name)\(guess(for: name, among: all.map(\.name)))",
                details: "it has: \(all.map(\.name).joined(separator: ", "))")
        }
        let chosen = all.filter { names.isEmpty || names.contains($0.name) }
        let stages = try PatchStage.stages(pristine: pristine.folder, sources: chosen)
        guard !stages.isEmpty else {
            throw Failure(.usage, "the project has no patches", nextStep: "kbuild syscall new NAME")
        }
        let scratch = tools.layout.temporary.appending("export-\(UInt32.random(in: 0 ... .max))")
        try createFolder(scratch)
        defer { try? removeAll(scratch) }
        let repository = ScratchRepository(folder: scratch.appending("tree"), runner: tools.runner)
        try await repository.make(stages, pristine: pristine.folder)
        return try await repository.export(to: scratch.appending("patches"))
    }
}

/// A git repository with the files that patches change: their state in the kernel, and one commit for each patch.
private struct ScratchRepository {
    let folder: FilePath
    let runner: CommandRunner

    private static let base = "kbuild-base"

    /// A git command that reads only its own configuration and runs no hook.
    private func git(_ arguments: [String], author: Author? = nil, date: String? = nil)
        -> Command
    {
        let who = author ?? Author(name: "kbuild", address: "kbuild@localhost")
        var environment: [String: String?] = [
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_DIR": nil, "GIT_WORK_TREE": nil,
            "GIT_INDEX_FILE": nil, "GIT_OBJECT_DIRECTORY": nil, "GIT_COMMON_DIR": nil, "LC_ALL": "C.UTF-8",
            "GIT_AUTHOR_NAME": who.name, "GIT_AUTHOR_EMAIL": who.address, "GIT_COMMITTER_NAME": who.name,
            "GIT_COMMITTER_EMAIL": who.address, "GIT_ATTR_NOSYSTEM": "1",
        ]
        if let date { environment["GIT_AUTHOR_DATE"] = date }
        let options = [
            "-C", folder.string, "-c", "core.autocrlf=false", "-c", "core.safecrlf=false", "-c",
            "core.hooksPath=/dev/null",
            "-c", "core.attributesFile=/dev/null", "-c", "commit.gpgSign=false", "-c", "gc.auto=0",
        ]
        return Command("git", options + arguments, environment: environment)
    }

    /// The author of a commit.
    private struct Author {
        var name: String
        var address: String
    }

    @discardableResult
    private func run(_ arguments: [String], author: Author? = nil, date: String? = nil)
        async throws
        -> String
    {
        try await runner.output(of: git(arguments, author: author, date: date))
    }

    /// The user's name and address in git's own configuration.
    private func user() async -> Author? {
        let name = try? await runner.output(of: Command("git", ["config", "user.name"]))
        let address = try? await runner.output(of: Command("git", ["config", "user.email"]))
        guard let name, let address, !name.isEmpty, !address.isEmpty else { return nil }
        return Author(name: name, address: address)
    }

    /// Commits the kernel's own files, and each stage on top of them.
    func make(_ stages: [PatchStage], pristine: FilePath) async throws {
        try createFolder(folder)
        try await run(["init", "--quiet", "--initial-branch=\(Self.base)"])
        // Attributes in a patch are text here, not rules.
        try createFolder(folder.pushing(".git/info"))
        try writeAtomically("* -text -filter -ident !eol\n", to: folder.pushing(".git/info/attributes"))
        var state: [String: OverlayEntry] = [:]
        for path in Set(stages.flatMap(\.files.keys)) {
            let file = try TreeEditor(pristine: pristine).readPristine(path)
            state[path] = file.map { .file($0) } ?? .deleted
            try write(state[path] ?? .deleted, to: path)
        }
        let original = state
        try await commit("the kernel's own files", allowEmpty: true)
        try await run(["checkout", "--quiet", "-b", "kbuild-patches"])
        let user = await user()
        for stage in stages {
            for (path, before) in original {
                let now = stage.files[path] ?? before
                guard state[path] != now else { continue }
                try write(now, to: path)
                state[path] = now
            }
            let message = stage.explanation.isEmpty ? stage.subject : "\(stage.subject)\n\n\(stage.explanation)"
            try await commit(message, author: stage.author.flatMap(Self.parts) ?? user, date: stage.date)
        }
    }

    private func commit(
        _ message: String, author: Author? = nil, date: String? = nil, allowEmpty: Bool = false
    ) async throws {
        let file = FilePath("\(folder).message")
        try writeAtomically(message + "\n", to: file)
        try await run(["add", "--all", "--force", "."])
        let arguments = ["commit", "--quiet", "--no-verify", "--cleanup=whitespace", "--file=\(file)"]
        try await run(arguments + (allowEmpty ? ["--allow-empty"] : []), author: author, date: date)
    }

    /// Splits `NAME <ADDRESS>`; nil for another form.
    private static func parts(_ author: String) -> Author? {
        guard let open = author.lastIndex(of: "<"), author.hasSuffix(">") else { return nil }
        let name = author[..<open].trimmingCharacters(in: CharacterSet(charactersIn: " \""))
        let address = String(author[author.index(after: open)...].dropLast())
        return name.isEmpty || address.isEmpty ? nil : Author(name: name, address: address)
    }

    private func write(_ entry: OverlayEntry, to path: String) throws {
        let location = folder.pushing(FilePath(path))
        switch entry {
        case .deleted: if fileExists(location) { try removeAll(location) }
        case .file(let file):
            try createFolder(location.removingLastComponent())
            try writeAtomically(
                file.bytes, to: location, mode: FilePermissions(rawValue: file.isExecutable ? 0o755 : 0o644))
        }
    }

    /// Runs git to write the patches, and applies them to check that they give the same tree.
    func export(to patches: FilePath) async throws -> ExportedPatches {
        let range = "\(Self.base)..kbuild-patches"
        let format = ["format-patch", "--quiet", "--no-signature", "--full-index", "--binary", "--no-renames"]
        try await run(format + ["--output-directory=\(patches)", range])
        let names = try namesInFolder(patches).sorted()
        let files = try names.map { ExportedPatch(name: $0, bytes: try readBytes(patches.appending($0))) }
        let diff = FilePath("\(patches).diff")
        try await run([
            "diff", "--binary", "--no-renames", "--no-color", "--no-ext-diff", "--output=\(diff)", Self.base,
            "kbuild-patches",
        ])
        try await run(["checkout", "--quiet", "-b", "kbuild-check", Self.base])
        try await run(["am", "--quiet", "--keep-cr"] + names.map { patches.appending($0).string })
        let (made, taken) = (
            try await run(["rev-parse", "kbuild-patches^{tree}"]), try await run(["rev-parse", "kbuild-check^{tree}"])
        )
        guard made == taken else {
            throw Failure(
                .infrastructure, "the exported patches do not come to the tree that kbuild builds",
                details: "git am made the tree \(taken), and \(made) was wanted")
        }
        return ExportedPatches(
            patches: files, mailbox: files.flatMap { $0.bytes + [0x0A] }, diff: try readBytes(diff))
    }
}
