// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// The result of `SourceCache.makeWorkTree(of:at:)`.
public enum WorkTreeChange: Sendable, Equatable {
    /// The tree is new. Anything built from an earlier tree in its place is invalid, because the new files' times
    /// cannot be compared with it: the caller removes those outputs.
    case created
    /// These files, relative to the tree, were updated from a changed source; they have the current time, so that make
    /// compiles them again.
    case updated([String])
    /// The tree already had this source.
    case unchanged
}

extension SourceCache {
    /// Makes the work tree of a project, or updates an earlier one to `pristine`.
    ///
    /// The tree shares its files with the cache by hard links. A changed file must be a new file under the old name;
    /// nothing may write into a file. When a source changed, its changed files overwrite the patched files, so patches
    /// are applied after this.
    ///
    /// `TREE.manifest` beside the tree names its source. Runs on one tree must not overlap: the caller holds the
    /// project's lock.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the tree cannot be made, or when the cache's copy changed since
    ///   `pristine` was prepared; `CancellationError`. A new tree appears whole or not at all; the next call completes
    ///   an interrupted update.
    @discardableResult
    public func makeWorkTree(of pristine: KernelSourceArtifact, at path: FilePath) async throws -> WorkTreeChange {
        let manifestFile = Self.manifest(ofTree: path)
        if isFolder(path), TreeManifest.identity(inFile: manifestFile) == pristine.identity { return .unchanged }
        guard case .directory = pristine.source else { return try replaceOrUpdate(path, manifestFile, pristine) }
        // Another project's run may be updating the mirror from the user's directory.
        return try await FileLock.withLock(mirrorLock(pristine.home), in: layout, progress: progress) {
            try replaceOrUpdate(path, manifestFile, pristine)
        }
    }

    /// The file that names the source of a work tree.
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
        let changedMeanwhile = Failure(
            .infrastructure, "the kernel source \(pristine.source) changed while it was in use", nextStep: "run again")
        guard TreeManifest.identity(inFile: pristine.manifestFile) == pristine.identity else { throw changedMeanwhile }
        let scan = try pristine.verifiedScan()
        // A new tree needs no lists of 80,000 files to compare.
        guard isFolder(path), let old = TreeManifest(file: manifestFile) else {
            try create(path, manifestFile, pristine, scan)
            return .created
        }
        guard let manifest = TreeManifest(file: pristine.manifestFile) else { throw changedMeanwhile }
        let changed = manifest.differences(from: old)
        // The manifest marks the tree as changing until it is complete.
        try old.marking(changed).write(to: manifestFile)
        try TreeEditing.update(
            path, from: pristine.folder, copying: changed.filter { manifest.items[$0] != nil },
            removing: changed.filter { manifest.items[$0] == nil })
        try manifest.write(to: manifestFile)
        progress(.detail("brought \(changed.count) files of \(path) in line with \(pristine.source)"))
        return .updated(changed)
    }

    private func create(
        _ path: FilePath, _ manifestFile: FilePath, _ pristine: KernelSourceArtifact, _ scan: TreeScan
    ) throws {
        let parent = path.removingLastComponent()
        try createFolder(parent)
        // An existing tree is of unknown origin, or left by a killed run.
        try removeAll(manifestFile)
        let prefix = "\(path.lastComponent?.string ?? "tree").new-"
        for name in try namesInFolder(parent) where name.hasPrefix(prefix) { try removeAll(parent.appending(name)) }
        let temporary = parent.appending("\(prefix)\(UInt32.random(in: 0 ... .max))")
        defer { try? removeAll(temporary) }
        try TreeEditing.hardLink(scan.entries, of: pristine.folder, to: temporary)
        try removeAll(path)
        try move(temporary, to: path)
        try writeAtomically(try readBytes(pristine.manifestFile), to: manifestFile)
    }
}
