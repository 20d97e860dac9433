// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// What `SourceCache.makeWorkTree(of:at:)` did.
public enum WorkTreeChange: Sendable, Equatable {
    /// The tree was made anew. Anything built from an earlier tree in its place is void, because the new files' times
    /// say nothing about it: the caller removes those outputs.
    case created
    /// These files, relative to the tree, were brought in line with a changed source; their times are the present, so
    /// that make compiles them again.
    case updated([String])
    /// The tree was of this source already.
    case unchanged
}

extension SourceCache {
    /// Makes the tree that a project works on, or brings an earlier one in line with `pristine`.
    ///
    /// The tree shares its files with the cache by hard links. Whoever changes a file of it must put a new one under
    /// the old name; nothing may write into a file. When a source changed, its changed files overwrite whatever a patch
    /// made of them, so that patches are applied after this.
    ///
    /// What the tree was made from is kept beside it, in `TREE.manifest`. Runs on one tree must not overlap: the caller
    /// holds the project's lock.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the tree cannot be made, or when the cache's copy changed since
    ///   `pristine` was prepared; `CancellationError`. A new tree appears whole or not at all; one that was being
    ///   brought in line is completed by the next call.
    @discardableResult
    public func makeWorkTree(of pristine: KernelSourceArtifact, at path: FilePath) async throws -> WorkTreeChange {
        let manifestFile = Self.manifest(ofTree: path)
        if isFolder(path), TreeManifest.identity(inFile: manifestFile) == pristine.identity { return .unchanged }
        guard case .directory = pristine.source else { return try replaceOrUpdate(path, manifestFile, pristine) }
        // Another project's run may be bringing the mirror in line with the user's directory.
        return try await FileLock.withLock(mirrorLock(pristine.home), in: layout, progress: progress) {
            try replaceOrUpdate(path, manifestFile, pristine)
        }
    }

    /// Where it is kept what a work tree was made from.
    package static func manifest(ofTree path: FilePath) -> FilePath { FilePath(path.string + ".manifest") }

    /// What `makeWorkTree(of:at:)` would do; nothing is changed.
    public func planWorkTree(of pristine: KernelSourceArtifact, at path: FilePath) -> WorkTreeChange {
        let manifestFile = Self.manifest(ofTree: path)
        if isFolder(path), TreeManifest.identity(inFile: manifestFile) == pristine.identity { return .unchanged }
        guard isFolder(path), let old = TreeManifest(file: manifestFile),
            let manifest = TreeManifest(file: pristine.manifestFile)
        else { return .created }
        return .updated(manifest.differences(from: old))
    }

    private func replaceOrUpdate(
        _ path: FilePath, _ manifestFile: FilePath, _ pristine: KernelSourceArtifact
    ) throws -> WorkTreeChange {
        guard TreeManifest.identity(inFile: pristine.manifestFile) == pristine.identity,
            let manifest = TreeManifest(file: pristine.manifestFile)
        else {
            throw Failure(
                .infrastructure, "the kernel source \(pristine.source) changed while it was in use",
                nextStep: "run again")
        }
        try pristine.verify()
        guard case .updated(let changed) = planWorkTree(of: pristine, at: path),
            let old = TreeManifest(file: manifestFile)
        else {
            try create(path, manifestFile, pristine)
            return .created
        }
        // The manifest admits to a half-changed tree for as long as there is one.
        try old.marking(changed).write(to: manifestFile)
        try TreeEditing.update(
            path, from: pristine.folder, copying: changed.filter { manifest.items[$0] != nil },
            removing: changed.filter { manifest.items[$0] == nil })
        try manifest.write(to: manifestFile)
        progress(.detail("brought \(changed.count) files of \(path) in line with \(pristine.source)"))
        return .updated(changed)
    }

    private func create(_ path: FilePath, _ manifestFile: FilePath, _ pristine: KernelSourceArtifact) throws {
        let parent = path.removingLastComponent()
        try createFolder(parent)
        // Whatever is there is of unknown origin, or left by a run that was killed.
        try removeAll(manifestFile)
        let prefix = "\(path.lastComponent?.string ?? "tree").new-"
        for name in try namesInFolder(parent) where name.hasPrefix(prefix) { try removeAll(parent.appending(name)) }
        let temporary = parent.appending("\(prefix)\(UInt32.random(in: 0 ... .max))")
        defer { try? removeAll(temporary) }
        let entries = try TreeScan(of: pristine.folder, ignoringChangeTime: true).entries
        try TreeEditing.hardLink(entries, of: pristine.folder, to: temporary)
        try removeAll(path)
        try move(temporary, to: path)
        try writeAtomically(try readBytes(pristine.manifestFile), to: manifestFile)
    }
}
