// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import Processes
import SystemPackage

/// Kernel sources, unpacked once and shared by all projects, and the projects' work trees.
public struct SourceCache: Sendable {
    let layout: CacheLayout
    let statCache: StatCache
    let runner: CommandRunner
    let progress: ProgressSink
    /// The folder of the tar files of Debian's linux-source packages.
    let debianFolder: FilePath

    /// The folder of the tar files of Debian's linux-source packages.
    public static let debianFolder = FilePath("/usr/src")

    /// Opens the cache.
    ///
    /// - Parameter debianFolder: The folder of the tar files of Debian's linux-source packages.
    public init(
        layout: CacheLayout, statCache: StatCache, runner: CommandRunner, progress: ProgressSink = .silent,
        debianFolder: FilePath = Self.debianFolder
    ) {
        self.layout = layout
        self.statCache = statCache
        self.runner = runner
        self.progress = progress
        self.debianFolder = debianFolder
    }

    /// Returns the unpacked tree of `source`; makes it if it does not exist. An existing tree costs a few `stat` calls;
    /// a directory costs one for each of its files.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the source is missing, damaged, or not a kernel tree;
    ///   `CancellationError`. No partial tree remains in either case.
    public func prepare(_ source: KernelSource) async throws -> KernelSourceArtifact {
        switch source {
        case .debianPackage(let name): return try await unpack(try tarball(ofPackage: name), of: source)
        case .tarball(let path, let expected):
            try check(path, against: expected)
            return try await unpack(path, of: source)
        case .directory(let path): return try await mirror(path, of: source)
        case .git(let repository, let ref):
            return try await checkOut(ref, of: GitRepository(repository, runner: runner), source: source)
        case .prebuilt(let kernel): throw Self.notSource(kernel)
        }
    }

    private static func notSource(_ kernel: PrebuiltKernel) -> Failure {
        if kernel.isInTree {
            return Failure(
                .usage, "--in-tree goes with run, test, shell and build, which take the kernel as it is",
                nextStep: "leave out --in-tree")
        }
        return Failure(
            .usage, "\(kernel) is a built kernel: kbuild boots it for run, test and shell, and has no source of it",
            nextStep: "name a source for this command, such as --kernel linux-source-6.1")
    }

    /// What `prepare` would do; nothing is changed.
    ///
    /// - Throws: As `prepare`; `CommandNotRun` when git would have to run.
    public func plan(_ source: KernelSource) async throws -> SourcePlan {
        switch source {
        case .debianPackage(let name): return try plan(unpacking: try tarball(ofPackage: name), of: source)
        case .tarball(let path, let expected):
            try check(path, against: expected)
            return try plan(unpacking: path, of: source)
        case .directory(let path): return try planMirror(of: path, source: source)
        case .git(let repository, let ref):
            return try await planCheckOut(ref, of: GitRepository(repository, runner: runner), source: source)
        case .prebuilt(let kernel): throw Self.notSource(kernel)
        }
    }

    private func tarball(ofPackage name: String) throws(Failure) -> FilePath {
        let tarball = debianFolder.appending("\(name).tar.xz")
        guard fileExists(tarball) else {
            throw Failure(
                .infrastructure, "the package \(name) is not installed: there is no \(tarball)",
                nextStep: "apt-get install \(name)")
        }
        return tarball
    }

    private func check(_ tarball: FilePath, against expected: Digest?) throws {
        guard fileExists(tarball) else { throw Failure(.infrastructure, "there is no kernel source \(tarball)") }
        let found = try statCache.digest(of: tarball)
        if let expected, expected != found {
            throw Failure(
                .infrastructure, "the sha256 of \(tarball) is not the one that is asked for",
                details: "expected \(expected)\nfound    \(found)",
                nextStep: "fetch the file again, or correct the sha256")
        }
    }

    /// The cache's folder for a source whose contents never change.
    func home(_ identity: Digest) -> FilePath {
        layout.sources.appending(String(identity.hex.prefix(32)))
    }

    /// The cache's tree under `home`, if it is complete and has this identity.
    func published(_ identity: Digest, at home: FilePath, source: KernelSource) throws -> KernelSourceArtifact? {
        if !runner.runsNothing { markUsed(home) }
        guard TreeManifest.identity(inFile: home.appending(KernelSourceArtifact.manifestName)) == identity else {
            return nil
        }
        let folder = home.appending(KernelSourceArtifact.treeName)
        return KernelSourceArtifact(
            identity: identity, folder: folder,
            version: try KernelSourceArtifact.version(ofTree: folder, source: source),
            source: source)
    }

    /// Makes a source whose contents never change: `fill` puts the tree into an empty folder and returns its top.
    func publish(
        _ identity: Digest, source: KernelSource, fill: (FilePath) async throws -> FilePath
    ) async throws -> KernelSourceArtifact {
        let home = home(identity)
        if let kernel = try published(identity, at: home, source: source) { return kernel }
        return try await FileLock.withLock("source-\(identity.short)", in: layout, progress: progress) {
            if let kernel = try published(identity, at: home, source: source) { return kernel }
            let temporary = try freshTemporary(Self.temporaryName(identity))
            let unpacked = temporary.appending(Self.unpackedName)
            let finished = temporary.appending("finished")
            try createFolder(unpacked)
            try createFolder(finished)
            defer { try? removeAll(temporary) }
            let top = try await fill(unpacked)
            _ = try KernelSourceArtifact.version(ofTree: top, source: source)
            try move(top, to: finished.appending(KernelSourceArtifact.treeName))
            try await seal(finished, identity: identity)
            try createFolder(layout.sources)
            // The record is damaged, or from a version with another format, and is not trusted.
            try removeAll(home)
            try move(finished, to: home)
            guard let kernel = try published(identity, at: home, source: source) else {
                throw Failure(.infrastructure, "the kernel source in \(home) cannot be read back")
            }
            return kernel
        }
    }

    private static let unpackedName = "unpacked"

    private static func temporaryName(_ identity: Digest) -> String { "source-\(identity.short)" }

    /// The folder in which `publish` unpacks a source.
    func unpackedFolder(_ identity: Digest) -> FilePath {
        layout.temporary.appending(Self.temporaryName(identity)).appending(Self.unpackedName)
    }

    /// A path for a temporary folder; removes the folder of a killed run with the same name: the caller holds the lock.
    func freshTemporary(_ name: String) throws -> FilePath {
        let path = layout.temporary.appending(name)
        try removeAll(path)
        return path
    }

    /// Writes the manifest and the scan of the tree in `home`.
    func seal(_ home: FilePath, identity: Digest) async throws {
        let tree = home.appending(KernelSourceArtifact.treeName)
        let scan = try TreeScan(of: tree, ignoringChangeTime: true)
        let items = try await TreeManifest.items(of: scan.entries, in: tree)
        try writeAtomically(scan.bytes, to: home.appending(KernelSourceArtifact.scanName))
        try TreeManifest(identity: identity, items: items).write(to: home.appending(KernelSourceArtifact.manifestName))
    }

    private func identity(ofTarball tarball: FilePath) throws -> Digest {
        var key = ContentDigest(of: "kernel-tarball", version: 1)
        key.add("contents", try statCache.digest(of: tarball))
        return key.digest
    }

    private func plan(unpacking tarball: FilePath, of source: KernelSource) throws -> SourcePlan {
        let identity = try identity(ofTarball: tarball)
        if let kernel = try published(identity, at: home(identity), source: source) { return .present(kernel) }
        let folder = unpackedFolder(identity)
        // kbuild makes the folder itself; a user who pastes the commands must do so.
        let commands = [Command("mkdir", ["-p", folder.string]), Self.unpackCommand(tarball, into: folder)]
        return .absent(commands: commands, remark: nil)
    }

    private func unpack(_ tarball: FilePath, of source: KernelSource) async throws -> KernelSourceArtifact {
        try await publish(try identity(ofTarball: tarball), source: source) { folder in
            progress(.note("unpacking \(source) into the cache; this is done once"))
            let quota = FolderQuota(
                folders: [folder], bytes: Self.mostUnpackedBytes, files: Self.mostUnpackedFiles, code: .infrastructure,
                message: "\(tarball) unpacks to more than any kernel source",
                nextStep: "give the tar file of a kernel; nothing of this one was kept")
            let result = try await runner.limited(by: quota).capture(Self.unpackCommand(tarball, into: folder))
            guard result.status != .signaled(SIGXFSZ) else {
                throw Failure(
                    .infrastructure, "\(tarball) holds a file of more than \(Self.mostBytesOfFile >> 20) MB",
                    nextStep: quota.nextStep)
            }
            guard result.status.isSuccess else {
                throw Failure(
                    .infrastructure, "\(tarball) cannot be unpacked (tar: \(result.status))",
                    details: result.errors.trimmingNewlines,
                    nextStep: "fetch the file again; a kernel tree takes 1.5 GB of disk")
            }
            return try Self.top(of: folder)
        }
    }

    /// Limits for the contents of a tar file: Linux 6.12 has 86,000 files and takes 1.6 GB, of which one file takes 16
    /// MB.
    private static let mostUnpackedBytes = 6 << 30
    private static let mostUnpackedFiles = 500_000
    private static let mostBytesOfFile = 1 << 30

    /// The command that unpacks `tarball` into `folder`. GNU tar strips a leading slash from member names and refuses
    /// those with `..`, so nothing is written elsewhere.
    static func unpackCommand(_ tarball: FilePath, into folder: FilePath) -> Command {
        var arguments = ["--extract", "--file=\(tarball)", "--directory=\(folder)", "--no-same-owner"]
        if tarball.string.hasSuffix(".xz") {
            // xz uses as many threads as there are cores if the file has several blocks, as Debian's have.
            arguments.append("--use-compress-program=xz -T0")
        } else if tarball.string.hasSuffix("gz") {
            arguments.append("--gzip")
        } else if tarball.string.hasSuffix(".zst") {
            arguments.append("--zstd")
        }
        // Options in the user's TAR_OPTIONS, and a GZIP that is not a program, would change the result.
        return Command(
            "prlimit", ["--fsize=\(mostBytesOfFile)", "--core=0", "--", "tar"] + arguments,
            environment: ["LC_ALL": "C", "TAR_OPTIONS": nil])
    }

    /// The folder that contains the tree: the only one in `folder`, or `folder` itself.
    static func top(of folder: FilePath) throws -> FilePath {
        let names = try namesInFolder(folder)
        if names.count == 1, isFolder(folder.appending(names[0])) { return folder.appending(names[0]) }
        return folder
    }

    func move(_ source: FilePath, to target: FilePath) throws {
        guard rename(source.string, target.string) == 0 else {
            throw Failure(.infrastructure, "cannot move \(source) to \(target)", details: errnoText())
        }
    }
}
