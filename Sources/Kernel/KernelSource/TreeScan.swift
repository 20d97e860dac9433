// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// The `stat` results of everything below a folder, as one run of bytes: two scans of an unchanged tree are equal, so
/// "nothing changed" costs one comparison and not one dictionary of 80,000 paths.
package struct TreeScan: Sendable, Equatable {
    /// The entries that a scan omits.
    package enum Filter: Sendable {
        /// None.
        case everything
        /// `.git`, editors' temporary files, and products of an in-tree build (`BuildProducts`).
        case sources
    }

    /// One file, link or folder.
    package struct Entry: Sendable, Equatable {
        package enum Kind: Sendable { case file, program, link, folder }
        /// The path relative to the scanned folder.
        package var path: String
        package var kind: Kind
        /// All values that distinguish one state of the file from another, without its path.
        package var signature: Signature
    }

    /// The fixed-size part of an entry's record. Times are nanoseconds since 1970.
    package struct Signature: Sendable, Equatable {
        var mode: UInt32
        var size: Int64
        package var modified: Int64
        var changed: Int64
        var inode: UInt64
    }

    /// The records, in the order in which the file system lists the entries; a folder comes before its contents.
    /// Each: path length, mode, size, mtime, ctime, inode, the path's bytes.
    var bytes: [UInt8]

    private static let headerSize = 40

    /// Wraps bytes that an earlier scan wrote.
    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Scans `folder` without following links. Omits everything that is not a file, link or folder.
    ///
    /// - Parameters:
    ///   - ignoringChangeTime: Records a ctime of 0: making a hard link changes it, but not the file.
    ///   - settledBefore: Files changed at or after this time (nanoseconds) are recorded with an inode of 0, which no
    ///     file has: a later change within the same tick of the clock would leave the same times.
    /// - Throws: `Failure` (`infrastructure`) when a folder cannot be read; `CancellationError`.
    package init(
        of folder: FilePath, filter: Filter = .everything, ignoringChangeTime: Bool = false,
        settledBefore: Int64 = .max
    ) throws {
        var scanner = Scanner(
            root: folder, filter: filter, ignoringChangeTime: ignoringChangeTime, settledBefore: settledBefore)
        scanner.bytes.reserveCapacity(8 << 20)
        var walker = TreeWalker<Scanner>()
        try walker.walk(contentsOf: folder, followsLink: true, &scanner)
        bytes = scanner.bytes
    }

    /// The entries, decoded.
    package var entries: [Entry] {
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

/// Records the entries of a walk.
private struct Scanner: TreeVisitor {
    let root: FilePath
    let filter: TreeScan.Filter
    let ignoringChangeTime: Bool
    let settledBefore: Int64
    var bytes: [UInt8] = []

    func select(_ names: inout [[UInt8]], in prefix: [UInt8]) throws {
        try Task.checkCancellation()
        guard filter == .sources else { return }
        let products = BuildProducts(inFolder: prefix, names: names)
        names.removeAll { products.contains($0) }
    }

    mutating func visit(_ entry: TreeEntry) throws -> TreeStep {
        let status = entry.status
        let type = entry.kind
        guard type == S_IFREG || type == S_IFLNK || type == S_IFDIR else { return .skip }
        let isFolder = type == S_IFDIR
        let modified = nanoseconds(status.st_mtim)
        let changed = nanoseconds(status.st_ctim)
        let isSettled = isFolder || max(modified, changed) < settledBefore
        append(UInt32(truncatingIfNeeded: entry.prefix.count + entry.name.count))
        append(UInt32(status.st_mode))
        // A folder's own size and times follow from its entries.
        append(isFolder ? Int64(0) : Int64(status.st_size))
        append(isFolder ? Int64(0) : modified)
        append(isFolder || ignoringChangeTime ? Int64(0) : changed)
        append(isFolder || !isSettled ? UInt64(0) : UInt64(status.st_ino))
        bytes.append(contentsOf: entry.prefix)
        bytes.append(contentsOf: entry.name)
        return .enter
    }

    func meet(_ obstacle: TreeObstacle) throws {
        // A file that vanished since it was listed counts as missing.
        if obstacle.isGone, !obstacle.path.isEmpty { return }
        let path = obstacle.path.isEmpty ? root.string : "\(root)/\(obstacle.path)"
        throw Failure(.infrastructure, "cannot read the folder \(shortened(path))", details: obstacle.explanation)
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }
}
