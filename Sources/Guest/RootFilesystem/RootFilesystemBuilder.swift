// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import SystemPackage

/// The formats of a root file system.
public enum RootFilesystemKind: String, Sendable, Hashable, Codable, CaseIterable {
    /// A raw ext4 image for a virtio disk, to be mounted read-only.
    case disk
    /// A cpio archive that the kernel unpacks into memory.
    case initramfs
}

/// A 9p share that the guest's /etc/fstab lists.
public struct SharedFolder: Sendable, Hashable, Codable {
    /// The mount tag that the machine gives the share.
    public var tag: String
    /// The path where the guest mounts it: absolute; the root file system then has this folder.
    public var target: String
    /// Mount options, separated by commas.
    public var options: String

    /// Creates a share.
    public init(tag: String, target: String, options: String = SharedFolder.defaultOptions) {
        self.tag = tag
        self.target = target
        self.options = options
    }

    /// 9p over virtio. 512000 is the largest message of Linux's virtio transport; cache=mmap keeps no stale data and
    /// still permits running programs from the share.
    public static let defaultOptions = "trans=virtio,version=9p2000.L,msize=512000,cache=mmap"
}

/// The inputs of a root file system.
public struct RootFilesystemRequest: Sendable {
    /// The project's definition file.
    public var definition: RootFilesystemDefinition
    /// The program that the kernel starts, on the host; it replaces the definition's.
    public var initProgram: FilePath?
    /// The shares that /etc/fstab lists.
    public var shares: [SharedFolder]
    /// Programs that run from a share, whose shared libraries must be in the root file system. Their own contents are
    /// not part of it, so a rebuilt program with the same needs does not cause a rebuild.
    public var coveredExecutables: [FilePath]
    /// The base of the file system; nil for none. Its own files stay, except init and /etc/fstab.
    public var base: DebianBase?
    /// The sandbox for the definition's busybox, which lists its applets on the host; nil for none.
    public var busyboxSandbox: Sandbox?

    /// Creates a request.
    public init(
        definition: RootFilesystemDefinition, initProgram: FilePath? = nil, shares: [SharedFolder] = [],
        coveredExecutables: [FilePath] = [], base: DebianBase? = nil
    ) {
        self.base = base
        self.definition = definition
        self.initProgram = initProgram
        self.shares = shares
        self.coveredExecutables = coveredExecutables
    }
}

/// A root file system that is ready to boot from.
public struct RootFilesystemImage: Sendable, Equatable {
    /// Its format.
    public var kind: RootFilesystemKind
    /// The image or archive. It does not change any more.
    public var path: FilePath
    /// The digest of all its inputs.
    public var key: Digest
}

/// A builder's plan.
public struct RootFilesystemPlan: Sendable {
    /// The format of the result.
    public var kind: RootFilesystemKind
    /// The digest of all inputs.
    public var key: ArtifactKey
    /// The finished image, if these inputs were built before.
    public var cached: RootFilesystemImage?
    /// The path of the image, now or after the build.
    public var path: FilePath

    let tree: GuestTree
}

/// Makes root file systems of one kind.
public protocol RootFilesystemBuilder: Sendable {
    /// The format of this builder.
    var kind: RootFilesystemKind { get }

    /// Computes the inputs of the image, and whether it was built before. Takes milliseconds when it was.
    ///
    /// - Throws: `Failure` (`usage`) when the definition contradicts itself, (`infrastructure`) when an input is
    ///   missing; `CancellationError`.
    func plan(_ request: RootFilesystemRequest) async throws -> RootFilesystemPlan

    /// The commands that `image(for:progress:)` runs for a plan; none if the image exists.
    ///
    /// - Throws: `Failure` (`infrastructure`) when an input is missing.
    func commands(for plan: RootFilesystemPlan) throws -> [Command]

    /// Returns the image of a plan: the cached image, or a new one. Two kbuilds with the same plan build it once.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be built; `CancellationError`. No partial image remains.
    func image(for plan: RootFilesystemPlan, progress: ProgressSink) async throws -> RootFilesystemImage
}

/// The common part of both builders: keys, the store, single flight.
struct ImagePublisher: Sendable {
    let store: ArtifactStore
    let kind: RootFilesystemKind
    let fileName: String

    /// A key of an image.
    func key(version: Int, trust: TrustLevel) -> KeyBuilder {
        KeyBuilder(step: "rootfs-\(kind.rawValue)", version: version, trust: trust)
    }

    func plan(tree: GuestTree, key: ArtifactKey) -> RootFilesystemPlan {
        RootFilesystemPlan(
            kind: kind, key: key, cached: cached(key),
            path: store.folder(key).appending(fileName), tree: tree)
    }

    func image(
        for plan: RootFilesystemPlan, progress: ProgressSink, key: () throws -> ArtifactKey,
        make: (FilePath) async throws -> Void
    ) async throws -> RootFilesystemImage {
        if let image = cached(plan.key) { return image }
        let lock = "\(plan.key.step)-\(plan.key.short)"
        return try await FileLock.withLock(lock, in: store.layout, progress: progress) {
            // The earlier holder of the lock may have built it meanwhile.
            if let image = cached(plan.key) { return image }
            let artifact = try await store.publish(key: key) { folder in
                try await make(folder.appending(fileName))
            }
            return RootFilesystemImage(kind: kind, path: artifact.path(fileName), key: artifact.key)
        }
    }

    private func cached(_ key: ArtifactKey) -> RootFilesystemImage? {
        guard let artifact = store.lookup(key), artifact.files[fileName] != nil else { return nil }
        return RootFilesystemImage(kind: kind, path: artifact.path(fileName), key: artifact.key)
    }
}
