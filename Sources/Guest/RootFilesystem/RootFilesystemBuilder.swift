// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import SystemPackage

/// What a root file system is packed as.
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
    /// Where the guest mounts it: an absolute path, whose folder the root file system then has.
    public var target: String
    /// Mount options, separated by commas.
    public var options: String

    /// Creates a share.
    public init(tag: String, target: String, options: String = SharedFolder.defaultOptions) {
        self.tag = tag
        self.target = target
        self.options = options
    }

    /// 9p over virtio. 512000 is the largest message that Linux's virtio transport takes; cache=mmap keeps no
    /// stale data and still lets programs be run from the share.
    public static let defaultOptions = "trans=virtio,version=9p2000.L,msize=512000,cache=mmap"
}

/// Everything that a root file system is made of.
public struct RootFilesystemRequest: Sendable {
    /// What the project's definition file says.
    public var definition: RootFilesystemDefinition
    /// The program that the kernel starts, on the host; it takes the place of the definition's.
    public var initProgram: FilePath?
    /// The shares that /etc/fstab lists.
    public var shares: [SharedFolder]
    /// Programs that will be run from a share, whose shared libraries have to be in the root file system. Their own
    /// contents are not part of it, so a rebuilt program with the same needs is no reason to build it again.
    public var coveredExecutables: [FilePath]
    /// The system over which all that is laid; nil for none. Its own files stay, except init and /etc/fstab.
    public var base: DebianBase?
    /// What confines the definition's busybox, which is asked for its applets on the host; nil for nothing.
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
    /// What it is.
    public var kind: RootFilesystemKind
    /// The image or archive. Nobody writes to it any more.
    public var path: FilePath
    /// The digest of everything that it was made from.
    public var key: Digest
}

/// What a builder is about to do.
public struct RootFilesystemPlan: Sendable {
    /// What comes out.
    public var kind: RootFilesystemKind
    /// The digest of everything that goes in.
    public var key: ArtifactKey
    /// The finished image, when these inputs were built before.
    public var cached: RootFilesystemImage?
    /// Where the image is, or will be.
    public var path: FilePath

    let tree: GuestTree
}

/// Makes root file systems of one kind.
public protocol RootFilesystemBuilder: Sendable {
    /// What this builder makes.
    var kind: RootFilesystemKind { get }

    /// Works out what goes into the image, and whether it was built before. Takes milliseconds when it was.
    ///
    /// - Throws: `Failure` (`usage`) when the definition contradicts itself, (`infrastructure`) when an input is
    ///   missing; `CancellationError`.
    func plan(_ request: RootFilesystemRequest) async throws -> RootFilesystemPlan

    /// The commands that `image(for:progress:)` runs for a plan; none for one that was built before.
    ///
    /// - Throws: `Failure` (`infrastructure`) when an input is missing.
    func commands(for plan: RootFilesystemPlan) throws -> [Command]

    /// The image of a plan: the cached one, else one built now. Two kbuilds that want the same build it once.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be built; `CancellationError`. Nothing half-made is
    ///   left behind.
    func image(for plan: RootFilesystemPlan, progress: ProgressSink) async throws -> RootFilesystemImage
}

/// What both builders do alike: keys, the store, single flight.
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
            // Whoever held the lock may have built it meanwhile.
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
