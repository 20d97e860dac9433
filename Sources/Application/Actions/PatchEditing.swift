// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import KernelSource
import PatchedTree
import Processes
import Project
import SystemPackage
import TextInput

/// The result of `kbuild patch edit`.
public struct PatchEditing: Sendable {
    /// The output, in lines.
    public var lines: [String]
    /// The next step.
    public var nextSteps: [String]
}

extension PatchActions {
    /// Makes a git tree for the user, in which any file of the kernel may be changed: the kernel with the project's
    /// series applied, each patch as a commit. If the tree exists already, lists the new commits in it.
    ///
    /// Specs are not part of the tree: their C files are edited in the project, and kbuild registers their calls
    /// afterwards.
    ///
    /// - Throws: `Failure`: `usage` for a folder with other files, `patch` when a patch does not apply,
    ///   `infrastructure` when git or the disk fails.
    public func edit(in folder: FilePath) async throws -> PatchEditing {
        let tree = EditTree(folder: folder, runner: tools.runner)
        if fileExists(folder), try !namesInFolder(folder).isEmpty { return try await state(of: tree) }
        defer { tools.statCache.save() }
        let pristine = try await source()
        let sources = try steps.patchSources().filter { !$0.isSpec }
        let stages = try PatchStage.stages(pristine: pristine.folder, sources: sources)
        tools.progress(.note("copying Linux \(pristine.version) to \(folder), and giving its files to git"))
        do {
            try await tree.make(stages, of: pristine, including: sources.map(\.name))
        } catch {
            // A tree without its mark would always be refused.
            try? removeAll(folder)
            throw error
        }
        return PatchEditing(
            lines: [
                "made  \(folder): Linux \(pristine.version), \(stages.count == 1 ? "one patch" : "\(stages.count) patches") on top"
            ],
            nextSteps: ["edit files there and `git -C \(context.shown(folder)) commit`", take(folder)])
    }

    private func take(_ folder: FilePath) -> String {
        "`kbuild patch edit \(context.shown(folder)) --take NAME` makes a series of the commits"
    }

    private func state(of tree: EditTree) async throws -> PatchEditing {
        try await tree.check()
        let commits = try await tree.commits()
        let changed = try await tree.changedFiles()
        var lines = commits.map { "commit   \($0)" } + changed.map { "changed  \($0)" }
        if lines.isEmpty { lines = ["nothing is new in \(tree.folder)"] }
        let commit = changed.isEmpty ? [] : ["`git -C \(context.shown(tree.folder)) commit --all`"]
        return PatchEditing(lines: lines, nextSteps: commit + [take(tree.folder)])
    }

    /// Imports the commits of a tree as a series of the project.
    ///
    /// - Parameters:
    ///   - folder: The tree.
    ///   - name: The series' name: its folder is kernel/NAME. An earlier import under that name is replaced.
    /// - Throws: `Failure`: `usage` when there are no commits, or another folder has that name, `patch` when the
    ///   commits do not apply to the project's kernel.
    public func take(_ name: String, from folder: FilePath) async throws -> PatchEditing {
        let tree = EditTree(folder: folder, runner: tools.runner)
        try await tree.check()
        let changed = try await tree.changedFiles()
        guard changed.isEmpty else {
            throw Failure(
                .usage, "\(pluralized(changed.count, "file")) of \(folder) are changed and not committed",
                details: changed.prefix(10).joined(separator: "\n"),
                nextStep: "git -C \(context.shown(folder)) commit --all")
        }
        guard try await !tree.includes(name) else {
            throw Failure(
                .usage, "the patches \(name) are in \(folder) below your commits, so they cannot be replaced by these",
                nextStep: "take the commits under another name")
        }
        let project = context.project
        let place = "kernel/\(name)"
        guard KernelTestName.isCollection(name), !name.contains("/"), name != ".", name != ".." else {
            throw Failure(
                .usage, "\(name) is not the name of a folder",
                nextStep: "take letters, digits, - and _, such as fork-count")
        }
        let target = project.folder.pushing(FilePath(place))
        let old = try taken(target)
        let scratch = tools.layout.temporary.appending("edit-\(UInt32.random(in: 0 ... .max))")
        try createFolder(scratch)
        defer { try? removeAll(scratch) }
        let patches = try await tree.patches(in: scratch)

        // Checked before anything is written: the project's kernel with these patches in place of the old ones.
        try writeAtomically(patches.map { $0.name + "\n" }.joined(), to: scratch.appending("series"))
        let pristine = try await source()
        var sources = try steps.patchSources().filter { $0.name != name }
        sources.append(try PatchSource.load(scratch, fuzz: 0))
        try PatchAnalysis(pristine: pristine.folder, sources: sources).throwErrors()

        var edits = FileEdits(folder: project.folder)
        for patch in patches {
            edits.write("\(place)/\(patch.name)", String(decoding: patch.bytes, as: UTF8.self), "a commit")
        }
        edits.write("\(place)/series", EditTree.mark + patches.map { $0.name + "\n" }.joined(), "their order")
        var yaml = ProjectFileEditor(
            file: project.file, text: try TextInput(project.file.string, as: "a project file").text(of: project.file))
        let before = yaml.text
        try yaml.addPatchSource(place)
        if yaml.text != before { edits.change(project.file, yaml.text, "\(place) among the patches") }
        try edits.save()
        let kept = Set(patches.map(\.name))
        for name in old where !kept.contains(name) { try removeAll(target.appending(name)) }
        return PatchEditing(lines: edits.described, nextSteps: ["kbuild run"])
    }

    /// The patches of an earlier import under a name.
    ///
    /// - Throws: `Failure` (`usage`) when kbuild did not make the folder.
    private func taken(_ target: FilePath) throws -> [String] {
        guard fileExists(target), try !namesInFolder(target).isEmpty else { return [] }
        guard let series = try? readText(target.appending("series")), series.hasPrefix(EditTree.mark) else {
            throw Failure(
                .usage, "\(context.shown(target)) is there already, and not from `kbuild patch edit`",
                nextStep: "take the commits under another name")
        }
        return series.textLines().filter { !$0.hasPrefix("#") && !$0.isEmpty }.map(String.init)
    }
}

/// A tree that `kbuild patch edit` made.
private struct EditTree {
    let folder: FilePath
    let runner: CommandRunner

    /// The first line of a series that was imported from such a tree.
    static let mark = "# Made by `kbuild patch edit --take`, which replaces these files.\n"
    private static let setting = "kbuild.series"

    private var repository: PatchRepository { PatchRepository(folder: folder, runner: runner) }

    /// Copies the kernel, and commits it and the stages on top.
    func make(_ stages: [PatchStage], of pristine: KernelSourceArtifact, including names: [String]) async throws {
        try await repository.begin(branch: "edit")
        _ = try await runner.output(
            of: Command(
                "cp", ["--recursive", "--no-target-directory", "--reflink=auto", pristine.folder.string, folder.string])
        )
        // Each blob is written directly to a pack: 80,000 loose files take several times as long.
        let isQuick = ["-c", "core.bigFileThreshold=1", "-c", "core.compression=1"]
        try await repository.run(isQuick + ["add", "--all", "--force", "."])
        try await repository.commit("Linux \(pristine.version)", allowEmpty: true)
        try await repository.commit(stages, over: try repository.originals(of: stages, pristine: pristine.folder))
        try await repository.run(["tag", PatchRepository.base])
        for name in names { try await repository.run(["config", "--local", "--add", Self.setting, name]) }
        try await repository.run(["config", "--local", "kbuild.edit", "1"])
    }

    /// Checks that the folder is such a tree.
    ///
    /// - Throws: `Failure` (`usage`).
    func check() async throws {
        let isOwn = fileExists(folder.appending(".git"))
        guard isOwn, try await runner.capture(git(["config", "--local", "kbuild.edit"])).status.isSuccess else {
            throw Failure(
                .usage, "\(folder) is not a tree of `kbuild patch edit`",
                nextStep: "name a new folder, and kbuild makes one")
        }
    }

    /// Whether a series is part of the base of the commits.
    func includes(_ name: String) async throws -> Bool {
        try await runner.capture(git(["config", "--local", "--get-all", Self.setting])).output.textLines().contains(
            name[...])
    }

    /// The subjects of the user's own commits, the oldest first.
    func commits() async throws -> [String] {
        try await repository.run(["log", "--reverse", "--format=%s", range]).textLines().map(String.init)
    }

    /// Files that differ from the last commit, except those that git ignores.
    func changedFiles() async throws -> [String] {
        try await runner.output(of: git(["status", "--porcelain"])).textLines().map { String($0.dropFirst(3)) }
    }

    /// The commits in git's patch format.
    ///
    /// - Throws: `Failure` (`usage`) when there is none, or a commit is a merge.
    func patches(in scratch: FilePath) async throws -> [ExportedPatch] {
        guard try await repository.run(["rev-list", "--merges", range]).isEmpty else {
            throw Failure(
                .usage, "a commit of \(folder) is a merge, which no patch can be",
                nextStep: "git -C \(folder) rebase \(PatchRepository.base)")
        }
        try await repository.run([
            "format-patch", "--quiet", "--no-signature", "--full-index", "--binary", "--no-renames",
            "--output-directory=\(scratch)", range,
        ])
        let names = try namesInFolder(scratch).sorted()
        guard !names.isEmpty else {
            throw Failure(
                .usage, "there is no commit in \(folder) after those that kbuild made",
                nextStep: "git -C \(folder) commit --all")
        }
        return try names.map { ExportedPatch(name: $0, bytes: try readBytes(scratch.appending($0))) }
    }

    private var range: String { "\(PatchRepository.base)..HEAD" }

    /// git with the user's settings, in the tree.
    private func git(_ arguments: [String]) -> Command { Command("git", ["-C", folder.string] + arguments) }
}
