// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import SystemPackage

extension SourceCache {
    /// The times of the user's files when the mirror was made; beside the mirror, whose own times differ.
    private static let userScanName = "user-scan"
    /// Twice the longest tick of the kernel's coarse clock, which stamps files (10 ms at HZ=100): a younger file may
    /// change again and keep its times.
    private static let clockGranularity: Int64 = 20_000_000

    /// The lock that is held while the mirror of a directory is changed, or copied from.
    func mirrorLock(_ home: FilePath) -> String { "source-\(home.lastComponent?.string ?? "directory")" }

    /// The cache's copy of a user's directory, updated from it.
    func mirror(_ directory: FilePath, of source: KernelSource) async throws -> KernelSourceArtifact {
        let home = try mirrorHome(of: directory, source: source)
        return try await FileLock.withLock(mirrorLock(home), in: layout, progress: progress) {
            let scan = try scan(directory)
            let manifestFile = home.appending(KernelSourceArtifact.manifestName)
            let scanFile = home.appending(Self.userScanName)
            if let kernel = try currentMirror(home, scan: scan, source: source) { return kernel }
            if let manifest = TreeManifest(file: manifestFile), let bytes = try? readBytes(scanFile) {
                try await update(home, manifest: manifest, from: directory, was: TreeScan(bytes: bytes), is: scan)
            } else {
                progress(.note("copying \(directory) into the cache; later runs copy only what changed"))
                try await create(home, from: directory, scan: scan)
            }
            guard let identity = TreeManifest.identity(inFile: manifestFile),
                let kernel = try published(identity, at: home, source: source)
            else { throw Failure(.infrastructure, "the copy of \(directory) in \(home) cannot be read back") }
            return kernel
        }
    }

    /// What `mirror` would do.
    func planMirror(of directory: FilePath, source: KernelSource) throws -> SourcePlan {
        let home = try mirrorHome(of: directory, source: source)
        if let kernel = try currentMirror(home, scan: try scan(directory), source: source) { return .present(kernel) }
        return .absent(commands: [], remark: "kbuild copies what changed of \(directory) to \(home)")
    }

    /// The path of the mirror.
    private func mirrorHome(of directory: FilePath, source: KernelSource) throws -> FilePath {
        guard isFolder(directory) else {
            throw Failure(
                .infrastructure, "there is no kernel source directory \(directory)",
                nextStep: "give \(KernelSource.forms)")
        }
        _ = try KernelSourceArtifact.version(ofTree: directory, source: source)
        return layout.sources.appending("directory-\(Digest.of(directory.string).short)")
    }

    private func scan(_ directory: FilePath) throws -> TreeScan {
        try TreeScan(of: directory, filter: .sources, settledBefore: presentTime() - Self.clockGranularity)
    }

    /// The mirror, if it is equal to the directory.
    private func currentMirror(_ home: FilePath, scan: TreeScan, source: KernelSource) throws -> KernelSourceArtifact? {
        guard let identity = TreeManifest.identity(inFile: home.appending(KernelSourceArtifact.manifestName)),
            let bytes = try? readBytes(home.appending(Self.userScanName)), bytes == scan.bytes
        else { return nil }
        return try published(identity, at: home, source: source)
    }

    private func presentTime() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return nanoseconds(now)
    }

    private func create(_ home: FilePath, from directory: FilePath, scan: TreeScan) async throws {
        let temporary = try freshTemporary(home.lastComponent?.string ?? "directory")
        let tree = temporary.appending(KernelSourceArtifact.treeName)
        try createFolder(tree)
        defer { try? removeAll(temporary) }
        for entry in scan.entries {
            try Task.checkCancellation()
            let target = tree.pushing(FilePath(entry.path))
            if entry.kind == .folder {
                try createFolder(target)
            } else {
                try copyIfPresent(directory.pushing(FilePath(entry.path)), to: target, time: .preserved)
            }
        }
        try await seal(temporary, scanOfUser: scan)
        try createFolder(layout.sources)
        try removeAll(home)
        try move(temporary, to: home)
    }

    /// Copies changed files. A file with new times and unchanged contents keeps its copy.
    private func update(
        _ home: FilePath, manifest: TreeManifest, from directory: FilePath, was: TreeScan, is scan: TreeScan
    ) async throws {
        let tree = home.appending(KernelSourceArtifact.treeName)
        let before = Dictionary(was.entries.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
        var files: Set<String> = []
        var suspects: [TreeScan.Entry] = []
        for entry in scan.entries where entry.kind != .folder {
            files.insert(entry.path)
            // An inode of 0 means a file that was too young to be remembered.
            let isKnown = before[entry.path] == entry && entry.signature.inode != 0
            if !isKnown || manifest.items[entry.path]?.content == nil { suspects.append(entry) }
        }
        let found = try await TreeManifest.items(of: suspects, in: directory)
        var changed = suspects.map(\.path).filter {
            manifest.items[$0]?.content == nil || manifest.items[$0] != found[$0]
        }
        changed += manifest.items.keys.filter { !files.contains($0) }
        changed.sort()

        if changed.isEmpty {
            try writeAtomically(scan.bytes, to: home.appending(Self.userScanName))
            // A run that was killed after its last copy left the manifest without its identity.
            if manifest.identity == nil { try await seal(home, scanOfUser: scan) }
            return
        }
        // From here to the end the mirror is a mixture of the old and the new tree, as its manifest records.
        var updated = manifest.marking(changed)
        let manifestFile = home.appending(KernelSourceArtifact.manifestName)
        try updated.write(to: manifestFile)
        // A file that the user removed since the scan is removed.
        let isCopied: (String) -> Bool = { files.contains($0) && fileExists(directory.pushing(FilePath($0))) }
        try TreeEditing.update(
            tree, from: directory, copying: changed.filter(isCopied), removing: changed.filter { !isCopied($0) })
        progress(.detail("copied \(changed.count) changed files of \(directory) into the cache"))

        // The copies count, in case the user changed a file in between: the next scan finds that.
        let mirrored = try TreeScan(of: tree, ignoringChangeTime: true)
        let changedPaths = Set(changed)
        let copies = try await TreeManifest.items(
            of: mirrored.entries.filter { changedPaths.contains($0.path) }, in: tree)
        for path in changed { updated.items[path] = copies[path] }
        updated.identity = updated.contentDigest
        try writeAtomically(mirrored.bytes, to: home.appending(KernelSourceArtifact.scanName))
        try writeAtomically(scan.bytes, to: home.appending(Self.userScanName))
        try updated.write(to: manifestFile)
    }

    /// Writes the scans and the manifest of a mirror, reading all of its files.
    private func seal(_ home: FilePath, scanOfUser scan: TreeScan) async throws {
        let tree = home.appending(KernelSourceArtifact.treeName)
        let mirrored = try TreeScan(of: tree, ignoringChangeTime: true)
        var manifest = TreeManifest(
            identity: nil, items: try await TreeManifest.items(of: mirrored.entries, in: tree))
        manifest.identity = manifest.contentDigest
        try writeAtomically(mirrored.bytes, to: home.appending(KernelSourceArtifact.scanName))
        try writeAtomically(scan.bytes, to: home.appending(Self.userScanName))
        try manifest.write(to: home.appending(KernelSourceArtifact.manifestName))
    }

    /// A file that the user removed since the scan is skipped; the next scan finds it missing.
    private func copyIfPresent(
        _ source: FilePath, to target: FilePath, time: TreeEditing.ModificationTime
    ) throws {
        do {
            try TreeEditing.copy(source, to: target, time: time)
        } catch {
            if fileExists(source) { throw error }
        }
    }
}
