import Artifacts
import Diagnostics
import Glibc
import SystemPackage

/// What `stat` says of everything below a folder, as one run of bytes: two scans of an unchanged tree are equal, so
/// that "nothing changed" costs one comparison and not one dictionary of 80,000 paths.
struct TreeScan: Sendable, Equatable {
    /// What a scan leaves out.
    enum Filter: Sendable {
        /// Nothing.
        case everything
        /// `.git`, editors' temporary files, and what an in-tree build leaves behind (`BuildProducts`).
        case sources
    }

    /// One file, link or folder.
    struct Entry: Sendable, Equatable {
        enum Kind: Sendable { case file, program, link, folder }
        /// The path relative to the scanned folder.
        var path: String
        var kind: Kind
        /// All that tells one state of the file from another, without its path.
        var signature: Signature
    }

    /// The fixed-size part of an entry's record. Times are nanoseconds since 1970.
    struct Signature: Sendable, Equatable {
        var mode: UInt32
        var size: Int64
        var modified: Int64
        var changed: Int64
        var inode: UInt64
    }

    /// The records, in the order in which the file system lists the entries; a folder comes before what is in it.
    /// Each: path length, mode, size, mtime, ctime, inode, the path's bytes.
    var bytes: [UInt8]

    private static let headerSize = 40

    /// Wraps bytes that an earlier scan wrote.
    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Scans `folder` without following links. What is neither file, link nor folder is left out.
    ///
    /// - Parameters:
    ///   - ignoringChangeTime: Records a ctime of 0: making a hard link changes it, and the file stays as it was.
    ///   - settledBefore: Files changed at or after this time (nanoseconds) are recorded with an inode of 0, which no file
    ///     has: a later change within the same tick of the clock would leave the same times.
    /// - Throws: `Failure` (`infrastructure`) when a folder cannot be read; `CancellationError`.
    init(
        of folder: FilePath, filter: Filter = .everything, ignoringChangeTime: Bool = false,
        settledBefore: Int64 = .max
    ) throws {
        var walker = Walker(
            root: folder, filter: filter, ignoringChangeTime: ignoringChangeTime, settledBefore: settledBefore)
        walker.bytes.reserveCapacity(8 << 20)
        let descriptor = open(folder.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(folder) }
        try walker.visit(descriptor)
        bytes = walker.bytes
    }

    /// The entries, decoded.
    var entries: [Entry] {
        var found: [Entry] = []
        bytes.withUnsafeBytes { raw in
            var offset = 0
            while offset + Self.headerSize <= raw.count {
                let length = Int(raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
                let signature = Signature(
                    mode: raw.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self),
                    size: raw.loadUnaligned(fromByteOffset: offset + 8, as: Int64.self),
                    modified: raw.loadUnaligned(fromByteOffset: offset + 16, as: Int64.self),
                    changed: raw.loadUnaligned(fromByteOffset: offset + 24, as: Int64.self),
                    inode: raw.loadUnaligned(fromByteOffset: offset + 32, as: UInt64.self))
                offset += Self.headerSize
                guard offset + length <= raw.count else { return }
                let path = String(
                    decoding: UnsafeRawBufferPointer(rebasing: raw[offset..<offset + length]), as: UTF8.self)
                offset += length
                let kind: Entry.Kind =
                    switch signature.mode & UInt32(S_IFMT) {
                    case UInt32(S_IFDIR): .folder
                    case UInt32(S_IFLNK): .link
                    default: signature.mode & 0o111 != 0 ? .program : .file
                    }
                found.append(Entry(path: path, kind: kind, signature: signature))
            }
        }
        return found
    }
}

/// Reads folders through descriptors, so that no path is looked up twice.
private struct Walker {
    let root: FilePath
    let filter: TreeScan.Filter
    let ignoringChangeTime: Bool
    let settledBefore: Int64
    var bytes: [UInt8] = []
    /// The path of the folder being visited, with its trailing slash; empty at the top.
    var prefix: [UInt8] = []

    /// Visits an open folder and closes it.
    mutating func visit(_ descriptor: Int32) throws {
        guard let stream = fdopendir(descriptor) else {
            close(descriptor)
            throw unreadable(root.pushing(FilePath(String(decoding: prefix, as: UTF8.self))))
        }
        defer { closedir(stream) }
        try Task.checkCancellation()
        let names = readNames(stream)
        let products = filter == .sources ? BuildProducts(inFolder: prefix, names: names) : nil
        for name in names where products?.contains(name) != true {
            try record(name, in: descriptor)
        }
    }

    private mutating func record(_ name: [UInt8], in folder: Int32) throws {
        var status = stat()
        let pathLength = prefix.count + name.count
        // A file that vanished since it was listed is one that is not there.
        guard name.withCString({ fstatat(folder, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else { return }
        let type = status.st_mode & S_IFMT
        guard type == S_IFREG || type == S_IFLNK || type == S_IFDIR else { return }
        let isFolder = type == S_IFDIR
        let modified = nanoseconds(status.st_mtim)
        let changed = nanoseconds(status.st_ctim)
        let isSettled = isFolder || max(modified, changed) < settledBefore
        append(UInt32(truncatingIfNeeded: pathLength))
        append(UInt32(status.st_mode))
        // A folder's own size and times say nothing that its entries do not.
        append(isFolder ? Int64(0) : Int64(status.st_size))
        append(isFolder ? Int64(0) : modified)
        append(isFolder || ignoringChangeTime ? Int64(0) : changed)
        append(isFolder || !isSettled ? UInt64(0) : UInt64(status.st_ino))
        bytes.append(contentsOf: prefix)
        bytes.append(contentsOf: name)
        guard isFolder else { return }
        let child = name.withCString { openat(folder, $0, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) }
        let length = prefix.count
        prefix.append(contentsOf: name)
        prefix.append(UInt8(ascii: "/"))
        defer { prefix.removeLast(prefix.count - length) }
        guard child >= 0 else { throw unreadable(root.pushing(FilePath(String(decoding: prefix, as: UTF8.self)))) }
        try visit(child)
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    private func readNames(_ stream: OpaquePointer) -> [[UInt8]] {
        var names: [[UInt8]] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                let length = strlen(UnsafeRawPointer(tuple).assumingMemoryBound(to: CChar.self))
                return [UInt8](UnsafeRawBufferPointer(start: tuple, count: length))
            }
            if name == [UInt8(ascii: ".")] || name == Array("..".utf8) { continue }
            names.append(name)
        }
        return names
    }
}

extension [UInt8] {
    /// Calls `body` with these bytes as a C string.
    fileprivate func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        var terminated = self
        terminated.append(0)
        return terminated.withUnsafeBytes { bytes in
            // An array that holds a zero is not empty, so it has a base address; "" stands in for the compiler.
            guard let start = bytes.baseAddress else { return "".withCString(body) }
            return body(start.assumingMemoryBound(to: CChar.self))
        }
    }
}

/// A time in nanoseconds since 1970.
func nanoseconds(_ time: timespec) -> Int64 {
    Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

private func unreadable(_ folder: FilePath) -> Failure {
    Failure(.infrastructure, "cannot read the folder \(folder)", details: errnoText())
}
