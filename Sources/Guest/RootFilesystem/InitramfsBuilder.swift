// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import SystemPackage

/// Makes initramfs archives. Needs no libguestfs and no privileges.
///
/// The archive is not compressed: it never leaves the host's page cache, and unpacking costs the guest more time
/// than reading does.
public struct InitramfsBuilder: RootFilesystemBuilder {
    /// Raise this when the bytes for equal inputs change.
    private static let version = 1

    private let assembler: GuestTreeAssembler
    private let libraries: StrippedLibraries
    private let publisher: ImagePublisher
    private let trust: TrustLevel

    /// Creates a builder that keeps its archives in `store`.
    ///
    /// - Parameter trust: Whose code decides an archive's contents.
    public init(store: ArtifactStore, runner: CommandRunner, trust: TrustLevel) {
        self.trust = trust
        assembler = GuestTreeAssembler(store: store, runner: runner)
        libraries = StrippedLibraries(store: store, runner: runner)
        publisher = ImagePublisher(store: store, kind: .initramfs, fileName: "initramfs.cpio")
    }

    /// `initramfs`.
    public var kind: RootFilesystemKind { .initramfs }

    /// See `RootFilesystemBuilder`.
    public func plan(_ request: RootFilesystemRequest) async throws -> RootFilesystemPlan {
        let tree = try await assembler.assemble(request)
        return publisher.plan(tree: tree, key: try key(of: tree))
    }

    private func key(of tree: GuestTree) throws -> ArtifactKey {
        var key = publisher.key(version: Self.version, trust: trust)
        key.add("tree", try libraries.digest(of: tree))
        return key.key
    }

    /// See `RootFilesystemBuilder`.
    public func commands(for plan: RootFilesystemPlan) throws -> [Command] {
        plan.cached == nil ? try libraries.commands(for: plan.tree.strippedLibraries) : []
    }

    /// See `RootFilesystemBuilder`.
    public func image(for plan: RootFilesystemPlan, progress: ProgressSink) async throws -> RootFilesystemImage {
        try await publisher.image(for: plan, progress: progress, key: { try key(of: plan.tree) }) { path in
            progress(.detail("packing \(plan.tree.entries.count) entries into an initramfs"))
            let reader = GuestFileReader(stripped: try await libraries.copies(of: plan.tree.strippedLibraries))
            try ArchiveFile.create(path) { archive in
                try CpioArchive(reader: reader).write(plan.tree, to: archive)
            }
        }
    }
}

extension GuestTree {
    /// The libraries of the host that are stripped of their symbols.
    var strippedLibraries: Set<FilePath> {
        Set(
            entries.values.compactMap { entry in
                if case .file(.stripped(let path)) = entry.kind { path } else { nil }
            })
    }
}

extension StrippedLibraries {
    /// The digest of a tree's whole result.
    func digest(of tree: GuestTree) throws -> Digest {
        try tree.digest(
            with: store.statCache, strip: tree.strippedLibraries.isEmpty ? nil : try toolDigest())
    }
}
