import Diagnostics
import FileSystem
import Glibc
import Synchronization
import SystemPackage

/// What the file system says of a file, enough to know that its contents are those digested before.
struct FileSignature: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
    var size: Int64
    var modified: Int64
    var changed: Int64
    var mode: UInt32

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
        changed = Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec)
        mode = UInt32(status.st_mode)
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

    /// The signature of what `path` names, without following a link; nil when there is nothing.
    static func of(_ path: FilePath) -> FileSignature? {
        var status = stat()
        return lstat(path.string, &status) == 0 ? FileSignature(status) : nil
    }
}

/// Digests of file contents, remembered between runs by inode, size, mtime and ctime, so that an unchanged file is
/// read once in its life.
///
/// The ctime cannot be set by a program, so an entry that agrees is one whose bytes did not change. A file that
/// changed within the clock's granularity of being read is not remembered.
public final class StatCache: Sendable {
    private struct State {
        var entries: [String: (signature: FileSignature, digest: Digest)] = [:]
        var isDirty = false
    }

    /// Linux time stamps files with the kernel's coarse clock, which ticks at worst each 10 ms (CONFIG_HZ_100).
    /// Twice that is the margin.
    private static let granularity: Int64 = 20_000_000

    private let file: FilePath?
    private let state: Mutex<State>

    /// Opens the cache kept in `file`; nil keeps it in memory only. A damaged line is left out.
    public init(file: FilePath? = nil) {
        self.file = file
        var state = State()
        if let file, let text = try? readText(file) {
            for line in text.split(separator: "\n") {
                let columns = line.split(separator: "\t", maxSplits: 2)
                guard columns.count == 3, let digest = Digest(hex: String(columns[0])),
                    let signature = FileSignature(fields: columns[1].split(separator: " "))
                else { continue }
                state.entries[String(columns[2])] = (signature, digest)
            }
        }
        self.state = Mutex(state)
    }

    /// The digest of a regular file's contents.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be read.
    public func digest(of path: FilePath) throws -> Digest {
        guard let before = FileSignature.of(path), !before.isSymbolicLink else {
            return try Digest.ofFile(path)
        }
        if let known = state.withLock({ $0.entries[path.string] }), known.signature == before {
            return known.digest
        }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let digest = try Digest.ofFile(path)
        let readAt = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
        let isSettled = max(before.changed, before.modified) + Self.granularity < readAt
        if isSettled, FileSignature.of(path) == before, !path.string.contains("\n") {
            state.withLock {
                $0.entries[path.string] = (before, digest)
                $0.isDirty = true
            }
        }
        return digest
    }

    /// The digest of a folder: every file's path, executable bit and contents, and every link's target.
    ///
    /// - Parameter include: Given each path relative to the folder; false leaves it out, with all below it.
    /// - Throws: `Failure` (`infrastructure`) when something cannot be read.
    public func digest(
        ofFolder folder: FilePath, including include: (String) -> Bool = { _ in true }
    ) throws -> Digest {
        var key = KeyBuilder(step: Self.folderStep, version: Self.folderVersion)
        for (relative, signature) in try listFolder(folder, including: include) {
            let path = folder.pushing(FilePath(relative))
            if signature.isSymbolicLink {
                key.add("link " + relative, try symbolicLinkTarget(path))
            } else if signature.isRegularFile {
                key.add((signature.isExecutable ? "program " : "file ") + relative, try digest(of: path))
            } else if signature.isDirectory {
                key.add("folder", relative)
            }
        }
        return key.key
    }

    /// What `digest(ofFolder:including:)` gives for a folder that holds these texts, none executable, and nothing else.
    ///
    /// - Parameter texts: Each file's contents by its name.
    public static func digest(ofTexts texts: [String: String]) -> Digest {
        var key = KeyBuilder(step: folderStep, version: folderVersion)
        for (name, text) in texts.sorted(by: { $0.key < $1.key }) { key.add("file " + name, Digest.of(text)) }
        return key.key
    }

    private static let folderStep = "folder"
    private static let folderVersion = 1

    /// Writes what was learnt to the cache's file, atomically. A failure costs only time, so it is not an error.
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

/// Everything below `folder`, sorted by path, with links not followed.
///
/// - Throws: `Failure` (`infrastructure`) when something cannot be looked at. What goes away meanwhile is left out.
func listFolder(
    _ folder: FilePath, including include: (String) -> Bool = { _ in true }
) throws -> [(path: String, signature: FileSignature)] {
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
    var found: [(path: String, signature: FileSignature)] = []

    mutating func visit(_ entry: TreeEntry) throws(Failure) -> TreeStep {
        let path = entry.path
        guard include(path) else { return .skip }
        found.append((path, FileSignature(entry.status)))
        return .enter
    }

    func meet(_ obstacle: TreeObstacle) throws(Failure) {
        if obstacle.isGone, !obstacle.path.isEmpty { return }
        let path = obstacle.path.isEmpty ? folder.string : "\(folder)/\(obstacle.path)"
        throw Failure(.infrastructure, "cannot read the folder \(shortened(path))", details: obstacle.explanation)
    }
}
