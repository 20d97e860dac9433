// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import PatchedTree
import Patching
import Processes
import SystemPackage

/// A git repository with one commit for each patch, on top of the kernel's own files.
struct PatchRepository {
    let folder: FilePath
    let runner: CommandRunner

    /// The branch, or tag, of the kernel's own files.
    static let base = "kbuild-base"

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
    struct Author {
        var name: String
        var address: String
    }

    @discardableResult
    func run(_ arguments: [String], author: Author? = nil, date: String? = nil)
        async throws
        -> String
    {
        try await runner.output(of: git(arguments, author: author, date: date))
    }

    /// The user's name and address in git's own configuration.
    func user() async -> Author? {
        let name = try? await runner.output(of: Command("git", ["config", "user.name"]))
        let address = try? await runner.output(of: Command("git", ["config", "user.email"]))
        guard let name, let address, !name.isEmpty, !address.isEmpty else { return nil }
        return Author(name: name, address: address)
    }

    /// Makes it, with a first branch.
    func begin(branch: String) async throws {
        try createFolder(folder)
        try await run(["init", "--quiet", "--initial-branch=\(branch)"])
        // Attributes in a patch are text here, not rules.
        try createFolder(folder.pushing(".git/info"))
        try writeAtomically("* -text -filter -ident !eol\n", to: folder.pushing(".git/info/attributes"))
    }

    /// Commits the kernel's own files that patches change, and each stage on top of them.
    func make(_ stages: [PatchStage], pristine: FilePath) async throws {
        try await begin(branch: Self.base)
        let original = try originals(of: stages, pristine: pristine)
        for (path, entry) in original { try write(entry, to: path) }
        try await commit("the kernel's own files", allowEmpty: true)
        try await run(["checkout", "--quiet", "-b", "kbuild-patches"])
        try await commit(stages, over: original)
    }

    /// The files that stages change, as the kernel has them.
    func originals(of stages: [PatchStage], pristine: FilePath) throws -> [String: OverlayEntry] {
        var state: [String: OverlayEntry] = [:]
        for path in Set(stages.flatMap(\.files.keys)) {
            state[path] = try TreeEditor(pristine: pristine).readPristine(path).map { .file($0) } ?? .deleted
        }
        return state
    }

    /// Commits each stage on top of what is there.
    func commit(_ stages: [PatchStage], over original: [String: OverlayEntry]) async throws {
        var state = original
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

    /// Commits all that is there.
    func commit(
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
