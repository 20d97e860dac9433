// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import Synchronization
import SystemPackage

/// The metadata of a file that shows whether its contents changed since they were digested.
struct FileSignature: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
    var size: Int64
    var modified: Int64
    var changed: Int64
    var mode: UInt32

    init(_ status: FileStatus) {
        device = status.device
        inode = status.inode
        size = status.size
        modified = status.modified
        changed = status.changed
        mode = status.rawMode
    }

    init?(fields: some Collection<Substring>) {
        let numbers = fields.map { Int64($0) }
        guard numbers.count == 6, let device = numbers[0], let inode = numbers[1], let size = numbers[2],
            let modified = numbers[3], let changed = numbers[4], let mode = numbers[5]
        else { return nil }
        self.device = UInt64(bitPattern: device)
        self.inode = UInt64(bitPattern: inode)
        self.size = size
        self.modified = modified
        self.changed = changed
        self.mode = UInt32(truncatingIfNeeded: mode)
    }

    var fields: String {
        "\(Int64(bitPattern: device)) \(Int64(bitPattern: inode)) \(size) \(modified) \(changed) \(mode)"
    }

    var isRegularFile: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFREG) }
    var isDirectory: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFDIR) }
    var isSymbolicLink: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFLNK) }
    var isExecutable: Bool { mode & 0o111 != 0 }

    /// The signature of `path`, without following a link; nil when it does not exist.
    static func of(_ path: FilePath) -> FileSignature? {
        FileStatus(path).map { FileSignature($0) }
    }
}

/// Digests of file contents, remembered between runs by inode, size, mtime and ctime, so that an unchanged file is read
/// only once.
///
/// A program cannot set the ctime, so equal metadata means unchanged bytes. The digest of a file that changed within
/// the clock's granularity before it was read is not kept.
public final class StatCache: Sendable {
    private struct State {
        var entries: [String: (signature: FileSignature, digest: Digest)] = [:]
        var isDirty = false
    }

    /// Linux time stamps files with the kernel's coarse clock, which ticks at least every 10 ms (CONFIG_HZ_100). Twice
    /// that is the margin.
    static let granularity: Int64 = 20_000_000

    private let file: FilePath?
    private let state: Mutex<State>

    /// Opens the cache in `file`; with nil the cache is only in memory. A damaged line is ignored.
    public init(file: FilePath? = nil) {
        self.file = file
        var state = State()
        if let file, let text = try? readText(file) {
            for line in text.textLines() {
                let columns = line.split(separator: "\t", maxSplits: 2)
                guard columns.count == 3, let digest = Digest(hex: String(columns[0])),
                    let signature = FileSignature(fields: columns[1].split(separator: " "))
                else { continue }
                state.entries[String(columns[2])] = (signature, digest)
            }
        }
        self.state = Mutex(state)
    }

    /// The digest of a regular file's contents; a link is followed.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it is not a regular file, or cannot be read.
    public func digest(of path: FilePath) throws -> Digest {
        if let signature = FileSignature.of(path), signature.isSymbolicLink {
            // The link is resolved each time; only the digest of its target is kept.
            guard let target = resolvedPath(path) else {
                throw Failure(.infrastructure, "cannot read \(path)", details: errnoText())
            }
            FileWitness.current?.saw(path, signature)
            return try digest(ofReal: target)
        }
        return try digest(ofReal: path)
    }

    private func digest(ofReal path: FilePath) throws -> Digest {
        let before = FileSignature.of(path)
        FileWitness.current?.saw(path, before)
        guard let before else { return try Digest.ofFile(path) }
        guard before.isRegularFile else {
            // A device or a pipe may never end.
            throw Failure(.infrastructure, "\(path) is not a regular file", details: "it is an input of a build")
        }
        if let known = state.withLock({ $0.entries[path.string] }), known.signature == before {
            return known.digest
        }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let digest = try Digest.ofFile(path)
        let readAt = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
        let isSettled = max(before.changed, before.modified) + Self.margin(of: before) < readAt
        if isSettled, FileSignature.of(path) == before, !path.string.contains("\n") {
            state.withLock {
                $0.entries[path.string] = (before, digest)
                $0.isDirty = true
            }
        }
        return digest
    }

    /// The age of a file's last change, in nanoseconds, from which a later change surely gets another time stamp.
    static func margin(of signature: FileSignature) -> Int64 {
        if distantDevices.contains(signature.device) { return 3600 * 1_000_000_000 }
        // FAT and old file systems have time stamps of one or two seconds' granularity.
        let isCoarse = signature.modified % 1_000_000_000 == 0 && signature.changed % 1_000_000_000 == 0
        return isCoarse ? 3_000_000_000 : granularity
    }

    /// The devices of file systems whose time stamps come from another machine's clock (proc_pid_mountinfo(5)).
    private static let distantDevices: Set<UInt64> = {
        var devices = Set<UInt64>()
        for line in ((try? readText("/proc/self/mountinfo")) ?? "").textLines() {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count, fields.count > 2,
                ["nfs", "cifs", "smb", "9p", "fuse", "ceph", "afs", "virtiofs"].contains(where: {
                    fields[dash + 1].hasPrefix($0)
                })
            else { continue }
            let numbers = fields[2].split(separator: ":").compactMap { UInt64($0) }
            // As makedev(3) joins them.
            if numbers.count == 2 {
                let (major, minor) = (numbers[0], numbers[1])
                devices.insert((major & 0xfff) << 8 | (major & ~0xfff) << 32 | minor & 0xff | (minor & ~0xff) << 12)
            }
        }
        return devices
    }()

    /// The digest of a folder: every file's path, executable bit and contents, and every link's target.
    ///
    /// - Parameter include: Given each path relative to the folder; false leaves it out, with all below it.
    /// - Throws: `Failure` (`infrastructure`) when something cannot be read.
    public func digest(
        ofFolder folder: FilePath, including include: (String) -> Bool = { _ in true }
    ) throws -> Digest {
        var key = ContentDigest(of: Self.folderStep, version: Self.folderVersion)
        for listed in try listFolder(folder, including: include) {
            let (relative, signature) = (listed.path, listed.signature)
            let path = folder.pushing(FilePath(relative))
            if signature.isSymbolicLink {
                key.add("link " + relative, try symbolicLinkTarget(path))
            } else if signature.isRegularFile {
                key.add((signature.isExecutable ? "program " : "file ") + relative, try digest(of: path))
            } else if signature.isDirectory {
                key.add("folder", relative)
            }
        }
        return key.digest
    }

    /// The digest of everything that can be read through a folder: as `digest(ofFolder:including:)`, with the targets
    /// of all links, also those outside of the folder.
    ///
    /// - Throws: `Failure` (`infrastructure`) when something cannot be read.
    public func digest(
        ofTree folder: FilePath, including include: (String) -> Bool = { _ in true }
    ) throws -> Digest {
        var key = ContentDigest(of: "tree", version: 1)
        try add(folder, as: "", to: &key, within: [], including: include)
        return key.digest
    }

    /// - Parameter above: The parent folders on the way here, with links resolved; a link back to one of them is not
    ///   followed.
    private func add(
        _ folder: FilePath, as name: String, to key: inout ContentDigest, within above: Set<String>,
        including include: (String) -> Bool
    ) throws {
        guard let identity = resolvedPath(folder)?.string else {
            throw Failure(.infrastructure, "cannot read the folder \(folder)", details: errnoText())
        }
        guard !above.contains(identity) else { return }
        for child in try namesInFolder(folder) {
            let relative = name.isEmpty ? child : name + "/" + child
            let path = folder.appending(child)
            // A file that is removed meanwhile is missing when the key is computed again, which is noticed.
            guard include(relative), let signature = FileSignature.of(path) else { continue }
            if signature.isSymbolicLink { key.add("link " + relative, try symbolicLinkTarget(path)) }
            if isFolder(path) {
                key.add("folder", relative)
                try add(path, as: relative, to: &key, within: above.union([identity]), including: include)
            } else if signature.isRegularFile || (signature.isSymbolicLink && isRegularFile(path)) {
                key.add((access(path.string, X_OK) == 0 ? "program " : "file ") + relative, try digest(of: path))
            } else {
                key.add("other", relative)
            }
        }
    }

    private func isRegularFile(_ path: FilePath) -> Bool {
        FileStatus(path, followsLink: true)?.isRegular == true
    }

    /// The digest that `digest(ofFolder:including:)` gives for a folder with exactly these texts, none executable.
    ///
    /// - Parameter texts: Each file's contents by its name.
    public static func digest(ofTexts texts: [String: String]) -> Digest {
        var key = ContentDigest(of: folderStep, version: folderVersion)
        for (name, text) in texts.sorted(by: { $0.key < $1.key }) { key.add("file " + name, Digest.of(text)) }
        return key.digest
    }

    private static let folderStep = "folder"
    private static let folderVersion = 1

    /// Writes new digests to the cache's file, atomically. A failure costs only time, so it is not an error.
    public func save() {
        guard let file else { return }
        let text: String? = state.withLock { state in
            guard state.isDirty else { return nil }
            state.isDirty = false
            return state.entries.sorted { $0.key < $1.key }
                .map { "\($0.value.digest)\t\($0.value.signature.fields)\t\($0.key)\n" }.joined()
        }
        if let text { try? writeAtomically(text, to: file) }
    }
}

/// A file or folder below another.
struct ListedFile {
    /// The path relative to that folder.
    var path: String
    var signature: FileSignature
}

/// Everything below `folder`, sorted by path, with links not followed.
///
/// - Throws: `Failure` (`infrastructure`) when something cannot be read. A file that is removed meanwhile is omitted.
func listFolder(
    _ folder: FilePath, including include: (String) -> Bool = { _ in true }
) throws -> [ListedFile] {
    try withoutActuallyEscaping(include) { include in
        var walker = TreeWalker<FolderLister>()
        var lister = FolderLister(folder: folder, include: include)
        try walker.walk(contentsOf: folder, followsLink: true, &lister)
        return lister.found.sorted { $0.path < $1.path }
    }
}

private struct FolderLister: TreeVisitor {
    let folder: FilePath
    let include: (String) -> Bool
    var found: [ListedFile] = []

    mutating func visit(_ entry: TreeEntry) throws(Failure) -> TreeStep {
        let path = entry.path
        guard include(path) else { return .skip }
        found.append(ListedFile(path: path, signature: FileSignature(FileStatus(entry.status))))
        return .enter
    }

    func meet(_ obstacle: TreeObstacle) throws(Failure) {
        if obstacle.isGone, !obstacle.path.isEmpty { return }
        let path = obstacle.path.isEmpty ? folder.string : "\(folder)/\(obstacle.path)"
        throw Failure(.infrastructure, "cannot read the folder \(shortened(path))", details: obstacle.explanation)
    }
}
