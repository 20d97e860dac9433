// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// The contents of a kernel tree: the digest of each file and the target of each link, by path. Folders follow from
/// their contents.
package struct TreeManifest: Sendable, Equatable {
    /// One file or link.
    struct Item: Sendable, Equatable {
        enum Kind: Character, Sendable { case file = "f", program = "x", link = "l" }
        var kind: Kind
        /// The digest of a file's contents or of a link's target; nil while the item is being changed, so that it
        /// agrees with nothing after a run that was killed meanwhile.
        var content: Digest?
    }

    /// The digest of all contents, or of the tree's origin; nil while the tree is being changed.
    var identity: Digest?
    /// By path relative to the tree.
    var items: [String: Item]

    /// Creates a manifest.
    init(identity: Digest?, items: [String: Item]) {
        self.identity = identity
        self.items = items
    }

    private static let header = "kbuild-tree 1 "
    private static let pendingContent = "-"

    /// Reads a manifest; nil when there is none, or another version wrote it.
    init?(file: FilePath) {
        guard let bytes = try? readBytes(file) else { return nil }
        var lines = bytes.split(separator: UInt8(ascii: "\n"))[...]
        guard let first = lines.popFirst(), let identity = Self.identity(ofHeader: first) else { return nil }
        self.identity = identity.digest
        items = [:]
        items.reserveCapacity(lines.count)
        for line in lines {
            // KIND, space, CONTENT, space, PATH.
            let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
            guard parts.count == 3, let letter = parts[0].first,
                let kind = Item.Kind(rawValue: Character(Unicode.Scalar(letter)))
            else { return nil }
            let content = String(decoding: parts[1], as: UTF8.self)
            items[String(decoding: parts[2], as: UTF8.self)] = Item(kind: kind, content: Digest(hex: content))
        }
    }

    /// The identity at the beginning of a manifest file, without reading the rest; nil when the file does not exist, is
    /// not a manifest, or belongs to a tree whose change was interrupted.
    package static func identity(inFile file: FilePath) -> Digest? {
        // The header and 64 digits.
        let length = header.utf8.count + 64
        guard let descriptor = try? FileDescriptor.open(file, .readOnly, options: .closeOnExec) else { return nil }
        let bytes = try? descriptor.closeAfter {
            try [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
                count = try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer))
            }
        }
        return bytes.flatMap { identity(ofHeader: $0[...])?.digest }
    }

    private static func identity(ofHeader line: ArraySlice<UInt8>) -> (digest: Digest?, Void)? {
        guard line.starts(with: header.utf8) else { return nil }
        return (Digest(hex: String(decoding: line.dropFirst(header.utf8.count), as: UTF8.self)), ())
    }

    /// Writes the manifest, atomically.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written.
    func write(to file: FilePath) throws {
        var bytes = Array("\(Self.header)\(identity?.hex ?? Self.pendingContent)\n".utf8)
        bytes.reserveCapacity(items.count * 110)
        for (path, item) in items {
            bytes.append(contentsOf: "\(item.kind.rawValue) \(item.content?.hex ?? Self.pendingContent) ".utf8)
            bytes.append(contentsOf: path.utf8)
            bytes.append(UInt8(ascii: "\n"))
        }
        try writeAtomically(bytes, to: file)
    }

    /// The digest of all items: the identity of a tree that has no other.
    var contentDigest: Digest {
        var key = ContentDigest(of: "kernel-tree", version: 1)
        for (path, item) in items.sorted(by: { $0.key < $1.key }) {
            key.add("\(item.kind.rawValue) \(path)", item.content?.hex ?? Self.pendingContent)
        }
        return key.digest
    }

    /// The paths that are only in one of two manifests, or whose contents are not known to be the same.
    func differences(from other: TreeManifest) -> [String] {
        var paths: [String] = []
        for (path, item) in items {
            if let content = item.content, let old = other.items[path], old.kind == item.kind, old.content == content {
                continue
            }
            paths.append(path)
        }
        for path in other.items.keys where items[path] == nil { paths.append(path) }
        return paths.sorted()
    }

    /// This manifest with `paths` marked as being changed, so that they differ from every other manifest.
    func marking(_ paths: some Sequence<String>) -> TreeManifest {
        var marked = self
        marked.identity = nil
        for path in paths { marked.items[path] = Item(kind: items[path]?.kind ?? .file, content: nil) }
        return marked
    }

    /// Digests every file and link that a scan found.
    ///
    /// - Throws: `Failure` (`infrastructure`) when one cannot be read; `CancellationError`.
    static func items(of entries: [TreeScan.Entry], in folder: FilePath) async throws -> [String: Item] {
        // Twice as many pieces as a small machine has cores, so that one slow piece delays little.
        let pieces = 8
        let size = max(1, (entries.count + pieces - 1) / pieces)
        return try await withThrowingTaskGroup(of: [(String, Item)].self) { group in
            for start in stride(from: 0, to: entries.count, by: size) {
                let piece = entries[start..<min(start + size, entries.count)]
                group.addTask {
                    try piece.compactMap { entry in
                        try Task.checkCancellation()
                        guard !entry.path.contains("\n") else {
                            throw Failure(.infrastructure, "\(folder) holds a file with a newline in its name")
                        }
                        return try item(of: entry, in: folder).map { (entry.path, $0) }
                    }
                }
            }
            var items: [String: Item] = [:]
            items.reserveCapacity(entries.count)
            for try await piece in group {
                for (path, item) in piece { items[path] = item }
            }
            return items
        }
    }

    /// Digests one entry; nil for a folder.
    static func item(of entry: TreeScan.Entry, in folder: FilePath) throws -> Item? {
        let path = folder.pushing(FilePath(entry.path))
        return switch entry.kind {
        case .folder: nil
        case .link: Item(kind: .link, content: .of(try symbolicLinkTarget(path)))
        case .file: Item(kind: .file, content: try .ofFile(path))
        case .program: Item(kind: .program, content: try .ofFile(path))
        }
    }
}
