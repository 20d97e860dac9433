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

/// The project's patches in git's format.
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
    /// - Parameter hasSeries: Whether a file `series` lists them, as quilt requires.
    /// - Returns: The files.
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be written.
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
    /// git makes them, in its own repository with only the changed files, and applies them once: so the result is
    /// certain to apply with `git am`, and to give the tree that kbuild builds.
    ///
    /// - Parameter names: The patch sources, by their names in `kbuild patch status`; empty for all.
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
        let repository = PatchRepository(folder: scratch.appending("tree"), runner: tools.runner)
        try await repository.make(stages, pristine: pristine.folder)
        return try await repository.export(to: scratch.appending("patches"))
    }
}
