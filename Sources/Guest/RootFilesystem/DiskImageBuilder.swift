// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import Processes
import Synchronization
import SystemPackage

import class Foundation.JSONEncoder

/// Makes ext4 disk images with libguestfs, which runs a small appliance in QEMU: no privileges are needed, and the
/// host's kernel never mounts the image.
public struct DiskImageBuilder: RootFilesystemBuilder {
    /// Raise this when the image for equal inputs changes.
    private static let version = 1

    private let store: ArtifactStore
    private let runner: CommandRunner
    private let executable: FilePath
    private let kvmWorks: @Sendable () async throws -> Bool
    private let timeLimit: Duration
    private let assembler: GuestTreeAssembler
    private let libraries: StrippedLibraries
    private let publisher: ImagePublisher
    private let trust: TrustLevel

    /// Creates a builder that keeps its images in `store`.
    ///
    /// - Parameters:
    ///   - trust: Whose code decides the image's contents.
    ///   - executable: The kbuild executable, whose `main` passes `__build-image` to `imageBuilderMain(arguments:)`.
    ///   - timeLimit: The time limit of libguestfs. Under TCG it needs 10 to 60 s.
    ///   - kvmWorks: Whether the appliance may use KVM; called only when an image is built.
    public init(
        store: ArtifactStore, runner: CommandRunner, trust: TrustLevel, executable: FilePath,
        timeLimit: Duration = .seconds(300),
        kvmWorks: @escaping @Sendable () async throws -> Bool
    ) {
        self.store = store
        self.trust = trust
        self.runner = runner
        self.executable = executable
        self.timeLimit = timeLimit
        self.kvmWorks = kvmWorks
        assembler = GuestTreeAssembler(store: store, runner: runner)
        libraries = StrippedLibraries(store: store, runner: runner)
        publisher = ImagePublisher(store: store, kind: .disk, fileName: "root.ext4")
    }

    /// The release of the appliance's kernel.
    ///
    /// - Throws: `Failure` (`infrastructure`) when there is none, or this user may not read any.
    public static func applianceKernel() throws(Failure) -> String { try ApplianceKernel.find().release }

    /// `disk`.
    public var kind: RootFilesystemKind { .disk }

    /// See `RootFilesystemBuilder`.
    public func plan(_ request: RootFilesystemRequest) async throws -> RootFilesystemPlan {
        let tree = try await assembler.assemble(request)
        return publisher.plan(tree: tree, key: try key(of: tree))
    }

    private func key(of tree: GuestTree) throws -> ArtifactKey {
        var key = publisher.key(version: Self.version, trust: trust)
        key.add("tree", try libraries.digest(of: tree))
        // The appliance contains the host's own mke2fs, whose version and defaults determine the file system.
        if let tool = try? runner.locate("mke2fs") {
            key.add("mke2fs", try store.statCache.digest(of: LibraryClosure.resolved(tool)))
        }
        return key.key
    }

    /// See `RootFilesystemBuilder`.
    public func commands(for plan: RootFilesystemPlan) throws -> [Command] {
        guard plan.cached == nil else { return [] }
        let folder = temporaryFolder(plan.key.short)
        return try libraries.commands(for: plan.tree.strippedLibraries)
            + [command(in: folder, kernel: try ApplianceKernel.find())]
    }

    /// See `RootFilesystemBuilder`.
    public func image(for plan: RootFilesystemPlan, progress: ProgressSink) async throws -> RootFilesystemImage {
        try await publisher.image(for: plan, progress: progress, key: { try key(of: plan.tree) }) { path in
            let kernel = try ApplianceKernel.find()
            let temporary = try makeTemporaryFolder()
            defer { try? removeAll(temporary) }
            let reader = GuestFileReader(stripped: try await libraries.copies(of: plan.tree.strippedLibraries))
            let archive = temporary.appending("root.tar")
            try ArchiveFile.create(archive) { file in
                try TarArchive(reader: reader).write(plan.tree, to: file)
            }
            let archives = [plan.tree.base?.archive, archive].compactMap { $0 }
            let size = ImageSize(of: plan.tree, archiveSize: archives.reduce(0) { $0 + fileSize($1) })
            let cache = try applianceFolder(for: kernel)
            let logs = store.layout.root.appending("logs")
            try createFolder(logs)
            let spec = ImageBuildSpec(
                archives: archives.map(\.string), image: path.string, size: size.bytes, inodes: size.inodes,
                uuid: Self.uuid(from: plan.key.digest), forcesTCG: try await !kvmWorks(), cacheFolder: cache.string,
                temporaryFolder: temporary.string, log: logs.appending("image-\(plan.key.short).log").string,
                expected: [GuestTreeAssembler.initPath] + (plan.tree.sorted.last.map { [$0.path] } ?? []))
            // The appliance writes to its cache, so two builds must not make it at once.
            try await FileLock.withLock("libguestfs-appliance", in: store.layout, progress: progress) {
                try await run(spec, kernel: kernel, progress: progress)
            }
            try ImageCheck.check(path, against: spec)
        }
    }

    private func run(_ spec: ImageBuildSpec, kernel: ApplianceKernel, progress: ProgressSink) async throws {
        let folder = FilePath(spec.temporaryFolder)
        try writeAtomically(try JSONEncoder().encode(spec), to: Self.specification(in: folder))
        let command = command(in: folder, kernel: kernel)
        let report = Mutex(BuildReport())
        let outcome = try await runner.stream(command, within: timeLimit) { line in
            if let event = report.withLock({ $0.take(line) }) { progress(event) }
        }
        guard let outcome else {
            throw failure(
                "the libguestfs appliance did not finish within \(timeLimit.components.seconds) s", spec: spec,
                details: "while \(report.withLock { $0.step })")
        }
        let final = report.withLock { $0 }
        if let failed = final.failure { throw failure(failed.message, spec: spec, details: failed.details) }
        if !outcome.isSuccess {
            throw failure(
                "the process that drives libguestfs ended with \(outcome)", spec: spec,
                details: (["while \(final.step)"] + final.otherLines).joined(separator: "\n"))
        }
    }

    private static func specification(in folder: FilePath) -> FilePath { folder.appending("spec.json") }

    /// The process that drives libguestfs; a file in `folder` has its instructions.
    private func command(in folder: FilePath, kernel: ApplianceKernel) -> Command {
        // The user's settings that would change the result, or its place.
        let ignoredVariables: [String: String?] = Dictionary(
            uniqueKeysWithValues: ["APPEND", "BACKEND", "BACKEND_SETTINGS", "HV", "MEMSIZE", "PATH"].map {
                ("LIBGUESTFS_\($0)", nil)
            })
        return Command(
            executable.string, [imageBuilderArgument, Self.specification(in: folder).string],
            environment: ignoredVariables.merging(
                [
                    // The kernel that the cache folder is named after.
                    "SUPERMIN_KERNEL": kernel.image.string, "SUPERMIN_MODULES": kernel.modules.string,
                    // The path of a socket may have 107 bytes; the temporary folder is short enough.
                    "XDG_RUNTIME_DIR": folder.string, "TMPDIR": folder.string,
                ]) { $1 })
    }

    /// The child's output so far.
    private struct BuildReport: Sendable {
        var step = "starting"
        var failure: (message: String, details: String)?
        var otherLines: [String] = []

        mutating func take(_ line: String) -> ProgressEvent? {
            switch ImageBuildMessage(line: line) {
            case .step(let name):
                step = name
                return .detail(name)
            case .advance(let done, let total):
                return .advance(done: done, total: total, label: step)
            case .failed(let message, let details):
                failure = (message, details)
                return nil
            case nil:
                otherLines.append(line)
                return .detail(line)
            }
        }
    }

    private func failure(_ message: String, spec: ImageBuildSpec, details: String) -> Failure {
        let log = ((try? readText(FilePath(spec.log))) ?? "").textLines().suffix(20)
        return Failure(
            .infrastructure, message,
            details: ([details, "the appliance's last lines:"] + log.map(String.init)).joined(separator: "\n"),
            nextStep: "read \(spec.log), or use `rootfs: initramfs`, which needs no libguestfs")
    }

    /// Appliances by kernel: libguestfs itself does not notice a change of SUPERMIN_KERNEL.
    private func applianceFolder(for kernel: ApplianceKernel) throws -> FilePath {
        let digest = try store.statCache.digest(of: LibraryClosure.resolved(kernel.image))
        let folder = store.layout.root.appending("appliance").appending(digest.short)
        try createFolder(folder)
        return folder
    }

    /// A folder for one build: in the cache if sockets in it have paths that the kernel accepts, else in /tmp.
    private func makeTemporaryFolder() throws -> FilePath {
        let folder = temporaryFolder("\(UInt32.random(in: 0 ... .max))")
        try createFolder(folder.removingLastComponent())
        // Another user may have put a folder or a link with that name into /tmp, which must not be used.
        guard mkdir(folder.string, 0o755) == 0 else {
            throw Failure(.infrastructure, "cannot create the folder \(folder)", details: errnoText())
        }
        return folder
    }

    private func temporaryFolder(_ suffix: String) -> FilePath {
        let name = "g" + suffix
        let inCache = store.layout.temporary.appending(name)
        // sun_path has 108 bytes: see unix(7). libguestfs adds a folder and a socket's name, less than 40 bytes.
        return inCache.string.utf8.count <= 107 - 40 ? inCache : FilePath("/tmp").appending("kbuild-" + name)
    }

    /// A UUID (version 8, RFC 9562: custom contents) from a key, so that equal inputs give equal UUIDs.
    static func uuid(from key: Digest) -> String {
        var digits = Array(key.hex.prefix(32))
        digits[12] = "8"
        digits[16] = "8"
        let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
        return groups.joined(separator: "-")
    }
}
