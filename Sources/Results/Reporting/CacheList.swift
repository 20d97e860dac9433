// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The entries of a cache. docs/reference/cache-schema.json describes its JSON.
public struct CacheList: Codable, Sendable, Equatable {
    /// The version of the JSON form. It rises when a key changes its meaning or is removed; new keys may be added at
    /// any time.
    public static let currentSchemaVersion = 1

    /// An entry.
    public struct Entry: Codable, Sendable, Equatable {
        /// Its kind: kernel, source, output, program, snapshot, root-file-system, runs, ccache or other.
        public var kind: String
        /// Its path.
        public var path: String
        /// The disk space that it takes, in bytes. A file with names in several entries counts only for the first of
        /// them.
        public var bytes: Int
        /// When it was last used, in ISO 8601.
        public var lastUsed: String
        /// The folder of its project; nil for an entry that all projects share, or when the project is not known.
        public var project: String?
        /// Whether that project no longer exists.
        public var isOrphaned: Bool
        /// Whether `kbuild cache prune` may remove it.
        public var isRemovable: Bool

        /// Creates an entry.
        public init(
            kind: String, path: String, bytes: Int, lastUsed: String, project: String?, isOrphaned: Bool,
            isRemovable: Bool
        ) {
            self.kind = kind
            self.path = path
            self.bytes = bytes
            self.lastUsed = lastUsed
            self.project = project
            self.isOrphaned = isOrphaned
            self.isRemovable = isRemovable
        }
    }

    /// The version of this form.
    public var schemaVersion = CacheList.currentSchemaVersion
    /// The cache's folder.
    public var root: String
    /// The limit in bytes to which a run prunes the cache; nil for none.
    public var limitBytes: Int?
    /// The bytes of all entries except the compiler cache, which is not kbuild's own.
    public var bytes: Int
    /// The entries.
    public var entries: [Entry]

    /// Creates a list.
    public init(root: String, limitBytes: Int?, bytes: Int, entries: [Entry]) {
        self.root = root
        self.limitBytes = limitBytes
        self.bytes = bytes
        self.entries = entries
    }

    /// A number of bytes for display: "1.5 GB", in powers of 1024.
    public static func size(_ bytes: Int) -> String {
        let units = ["B", "kB", "MB", "GB", "TB", "PB"]
        var (value, unit) = (Double(bytes), 0)
        while value >= 1024, unit + 1 < units.count { (value, unit) = (value / 1024, unit + 1) }
        let isSmall = value < 10 && unit > 0
        return "\(isSmall ? "\((value * 10).rounded() / 10)" : "\(Int(value.rounded()))") \(units[unit])"
    }
}

/// The result of `kbuild cache prune`, or of its dry run. docs/reference/cache-prune-schema.json describes its JSON.
public struct CachePruning: Codable, Sendable, Equatable {
    /// The version of this form.
    public var schemaVersion = CacheList.currentSchemaVersion
    /// The cache's folder.
    public var root: String
    /// Whether nothing was removed, and `removed` lists what would be.
    public var isDryRun: Bool
    /// The limit in bytes.
    public var maxBytes: Int
    /// The bytes before.
    public var bytesBefore: Int
    /// The bytes after; more than `maxBytes` when the rest is in use or cannot be made again.
    public var bytesAfter: Int
    /// The removed entries, in this order.
    public var removed: [CacheList.Entry]

    /// Creates a result.
    public init(
        root: String, isDryRun: Bool, maxBytes: Int, bytesBefore: Int, bytesAfter: Int, removed: [CacheList.Entry]
    ) {
        self.root = root
        self.isDryRun = isDryRun
        self.maxBytes = maxBytes
        self.bytesBefore = bytesBefore
        self.bytesAfter = bytesAfter
        self.removed = removed
    }
}

extension TextReport {
    /// The name of each kind of entry, in the order of the list.
    private static let cacheKinds: [(kind: String, name: String)] = [
        ("kernel", "kernels"), ("source", "kernel sources"), ("root-file-system", "root file systems"),
        ("output", "trees and build outputs"), ("program", "test programs"), ("snapshot", "snapshots"),
        ("runs", "reports and logs of runs"), ("other", "other files"), ("ccache", "compiler cache (ccache's own)"),
    ]

    /// Renders the entries of a cache, by project and kind, without a final newline.
    public func render(_ list: CacheList) -> TerminalText {
        let limit = list.limitBytes.map { "; kbuild keeps \(CacheList.size($0))" } ?? "; kbuild keeps all"
        var lines = ["\(list.root): \(CacheList.size(list.bytes))\(limit)"]
        let groups = Dictionary(grouping: list.entries) { $0.project ?? "" }
        for project in groups.keys.sorted() {
            let entries = groups[project] ?? []
            let state = entries.contains(where: \.isOrphaned) ? " (the project no longer exists)" : ""
            lines += ["", project.isEmpty ? "for all projects" : project + state]
            for (kind, name) in Self.cacheKinds {
                let own = entries.filter { $0.kind == kind }
                guard let last = own.map(\.lastUsed).max() else { continue }
                let size = CacheList.size(own.reduce(0) { $0 + $1.bytes })
                let gap = String(repeating: " ", count: max(0, 9 - size.count))
                let count = own.count > 1 ? ", \(own.count) of them" : ""
                lines.append("\(gap)\(size)  \(name)\(count); last used \(last)")
            }
        }
        return lines.map { TerminalText($0) }.joined()
    }

    /// Renders the entries removed from a cache, without a final newline.
    public func render(_ pruning: CachePruning) -> TerminalText {
        let most = pruning.maxBytes == .max ? "no limit" : "at most \(CacheList.size(pruning.maxBytes))"
        var lines = pruning.removed.map { entry in
            "\(pruning.isDryRun ? "would remove" : "removed") \(entry.path): \(CacheList.size(entry.bytes)), last used "
                + entry.lastUsed + (entry.isOrphaned ? ", of a deleted project" : "")
        }
        let (before, after) = (CacheList.size(pruning.bytesBefore), CacheList.size(pruning.bytesAfter))
        lines.append(
            pruning.removed.isEmpty
                ? "nothing to remove: \(before) are kept; \(most)" : "\(before) before, \(after) after; \(most)")
        if pruning.bytesAfter > pruning.maxBytes {
            lines.append("the rest is in use, or cannot be made again: the reports of runs")
        }
        return lines.map { TerminalText($0) }.joined()
    }
}
