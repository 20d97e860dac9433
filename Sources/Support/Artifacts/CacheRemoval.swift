// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// An item of a cache that can be removed separately.
public struct CacheItem: Sendable, Equatable {
    /// The kind of an item.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// A built kernel.
        case kernel
        /// A kernel's source.
        case source
        /// A patched tree and its build output.
        case output
        /// A test program, a test bundle, or their inputs.
        case program
        /// A snapshot of a virtual machine.
        case snapshot
        /// A root file system, or its inputs.
        case rootFilesystem = "root-file-system"
        /// The reports and logs of a project's runs.
        case runs
        /// The compiler cache, which is not kbuild's own.
        case ccache
        /// Leftovers of a killed kbuild, and small files.
        case other
    }

    /// The item's kind.
    public var kind: Kind
    /// The item's path.
    public var path: FilePath
    /// The bytes that it takes on the disk. A file with hard links in several items counts for the first of them.
    public var bytes: Int
    /// When it was last used, in seconds since 1970.
    public var lastUsed: Double
    /// The folder of the project that it belongs to; nil for a shared item.
    public var project: String?
    /// Whether that project no longer exists.
    public var isOrphaned = false
    /// Whether `prune` may remove it: kbuild made it and can make it again.
    public var isRemovable = true

    /// Creates an item.
    public init(
        kind: Kind, path: FilePath, bytes: Int, lastUsed: Double, project: String? = nil, isOrphaned: Bool = false,
        isRemovable: Bool = true
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

/// The items of a cache.
public struct CacheInventory: Sendable {
    /// The cache's paths.
    public let layout: CacheLayout
    /// All items.
    public var items: [CacheItem] = []

    /// The total bytes of the items that kbuild made.
    public var bytes: Int { items.filter { $0.kind != .ccache }.reduce(0) { $0 + $1.bytes } }

    /// Reads a cache, in about a second for 100,000 files.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a folder cannot be read.
    public init(of layout: CacheLayout) throws {
        self.layout = layout
        guard isFolder(layout.root) else { return }
        var counter = TreeUsageCounter(countsFilesOnce: true)
        func add(
            _ kind: CacheItem.Kind, _ path: FilePath, used: Double? = nil,
            project: (path: String?, isOrphaned: Bool)? = nil,
            isRemovable: Bool = true
        ) {
            let usage = counter.usage(of: path)
            guard usage.files > 0 || usage.obstacle != nil else { return }
            items.append(
                CacheItem(
                    kind: kind, path: path, bytes: usage.bytes, lastUsed: used ?? Self.time(path),
                    project: project?.path,
                    isOrphaned: project?.isOrphaned ?? false, isRemovable: isRemovable))
        }
        // First, so that files that trees share with them by hard links count for them.
        for source in try Self.folders(in: layout.sources) { add(.source, source) }
        for step in try Self.folders(in: layout.store) {
            let kind = Self.kind(ofStep: step.lastComponent?.string ?? "")
            for entry in try Self.folders(in: step) { add(kind, entry) }
        }
        for folder in try Self.folders(in: layout.projects) {
            let path = Self.project(of: folder)
            let isOrphaned = path.map { !fileExists(FilePath($0)) } ?? false
            let project = (path: path, isOrphaned: isOrphaned)
            let used = max(Self.time(folder.appending(CacheUse.projectFileName)), path == nil ? Self.time(folder) : 0)
            for name in try namesInFolder(folder) {
                let part = folder.appending(name)
                switch name {
                case "runs": add(.runs, part, used: used, project: project, isRemovable: isOrphaned)
                case "snapshots": for saved in try Self.folders(in: part) { add(.snapshot, saved, project: project) }
                case CacheUse.projectFileName: break
                case _ where name.hasPrefix("kernel-") && FileSignature.of(part)?.isDirectory == true:
                    try addTree(part, ofProject: path, isOrphaned: isOrphaned, &counter)
                default:
                    // The folders of program builds get the project's time.
                    let isWhole = FileSignature.of(part)?.isDirectory == true
                    add(
                        isWhole ? .program : .other, part, used: used, project: project,
                        isRemovable: isWhole || isOrphaned)
                }
            }
        }
        for name in try namesInFolder(layout.root) {
            let path = layout.root.appending(name)
            switch name {
            // The target of a link is not part of the cache.
            case "tmp" where FileSignature.of(path)?.isDirectory == true:
                for rest in (try? namesInFolder(path)) ?? [] {
                    add(.other, path.appending(rest))
                }
            case "appliance": for one in try Self.folders(in: path) { add(.rootFilesystem, one) }
            case "numbers", "logs", "stat-cache", "kunit": add(.other, path, isRemovable: false)
            default: break
            }
        }
    }

    /// Adds each output of a kernel, and their tree, whose removal removes all of them. Each has the time of its last
    /// use; the tree's time is never before an output's.
    private mutating func addTree(
        _ folder: FilePath, ofProject project: String?, isOrphaned: Bool, _ counter: inout TreeUsageCounter
    ) throws {
        var tree = CacheItem(
            kind: .output, path: folder, bytes: 0, lastUsed: Self.time(folder), project: project,
            isOrphaned: isOrphaned)
        var files = 0
        func count(_ path: FilePath) -> TreeUsage {
            let usage = counter.usage(of: path)
            files += usage.files + (usage.obstacle == nil ? 0 : 1)
            return usage
        }
        let outputFolders = CacheLayout.outputFolders(of: folder).filter { FileSignature.of($0)?.isDirectory == true }
        for part in try namesInFolder(folder).map({ folder.appending($0) }) {
            guard outputFolders.contains(part) else {
                tree.bytes += count(part).bytes
                continue
            }
            for path in try namesInFolder(part).map({ part.appending($0) }) {
                let bytes = count(path).bytes
                guard FileSignature.of(path)?.isDirectory == true else {
                    tree.bytes += bytes
                    continue
                }
                var output = tree
                (output.path, output.bytes, output.lastUsed) = (path, bytes, Self.time(path))
                items.append(output)
                tree.lastUsed = max(tree.lastUsed, output.lastUsed)
            }
        }
        if files > 0 { items.append(tree) }
    }

    private static func folders(in folder: FilePath) throws -> [FilePath] {
        guard FileSignature.of(folder)?.isDirectory == true else { return [] }
        return try namesInFolder(folder).map { folder.appending($0) }
            .filter { FileSignature.of($0)?.isDirectory == true }
    }

    static func time(_ path: FilePath) -> Double {
        FileSignature.of(path).map { Double($0.modified) / 1e9 } ?? 0
    }

    private static func kind(ofStep step: String) -> CacheItem.Kind {
        if step.hasPrefix("kernel") { return .kernel }
        let ofRoot = ["rootfs", "busybox", "init", "stripped", "debian"]
        return ofRoot.contains { step.hasPrefix($0) } ? .rootFilesystem : .program
    }

    /// The project that a folder belongs to; nil when only an older kbuild, which kept no record, has used it.
    private static func project(of folder: FilePath) -> String? {
        guard let text = try? readText(folder.appending(CacheUse.projectFileName)), text.hasPrefix("/") else {
            return nil
        }
        return text
    }
}

extension CacheInventory {
    /// The items to remove so that no more than `most` bytes are kept: first those of projects that no longer exist and
    /// the leftovers of killed kbuilds, then the least recently used.
    ///
    /// - Parameter users: The cache's users: items that one of them may have taken, and all items of their projects,
    ///   are kept.
    public func surplus(over most: Int, users: [CacheUse.User]) -> [CacheItem] {
        var bytes = bytes
        var surplus: [CacheItem] = []
        let leftovers = layout.temporary
        func rank(_ item: CacheItem) -> Int { item.isOrphaned || item.path.starts(with: leftovers) ? 0 : 1 }
        let candidates = items.filter { $0.isRemovable && !isInUse($0, users) }
            .sorted {
                // An item inside another one is removed before it.
                (rank($0), $0.lastUsed, -$0.path.components.count, $0.path.string)
                    < (rank($1), $1.lastUsed, -$1.path.components.count, $1.path.string)
            }
        for item in candidates where bytes > most {
            surplus.append(item)
            bytes -= item.bytes
        }
        return surplus
    }

    /// Whether a user may have taken the item since its run began. A run marks the items that it takes as used.
    private func isInUse(_ item: CacheItem, _ users: [CacheUse.User]) -> Bool {
        users.contains { user in
            // One second of tolerance for the coarse clock of file times.
            item.lastUsed >= (user.since ?? 0) - 1
                || user.project.map { item.path.starts(with: layout.folder(ofProject: FilePath($0))) } == true
        }
    }

    /// Removes items, except those in use.
    ///
    /// The items are renamed while `CacheGate` is held, so that no new user can take them, and are deleted afterwards.
    ///
    /// - Returns: The removed items.
    /// - Throws: `Failure` when an item cannot be removed; `CancellationError`.
    public func remove(_ surplus: [CacheItem], progress: ProgressSink = .silent) async throws -> [CacheItem] {
        guard !surplus.isEmpty else { return [] }
        let (trash, removed) = try await leave(surplus, progress)
        try removeAll(trash)
        return removed
    }

    private func leave(_ surplus: [CacheItem], _ progress: ProgressSink) async throws -> (FilePath, [CacheItem]) {
        let gate = try await CacheGate.acquire(layout, isExclusive: true, progress: progress)
        defer { withExtendedLifetime(gate) {} }
        let users = CacheUse.users(of: layout, isAlone: true)
        let trash = layout.newTrash()
        try createFolder(trash)
        var removed: [CacheItem] = []
        for (index, item) in surplus.enumerated() {
            var present = item
            // A project's parts have the project's time.
            present.lastUsed = item.project == nil || item.kind == .snapshot ? Self.time(item.path) : item.lastUsed
            guard !isInUse(present, users) else { continue }
            guard rename(item.path.string, trash.appending("\(index)").string) == 0 else { continue }
            removed.append(item)
            if item.kind == .output { for mark in OutputMark.allCases { unlink(mark.path(of: item.path).string) } }
        }
        // After this only the record of the project's name is left.
        for folder in Set(removed.filter(\.isOrphaned).map { $0.path.removingLastComponent() })
        where (try? namesInFolder(folder)) == [CacheUse.projectFileName] {
            try? removeAll(folder)
        }
        return (trash, removed)
    }
}

extension CacheLayout {
    /// A path to move an item to before its deletion.
    fileprivate func newTrash() -> FilePath {
        temporary.appending("removed-\(getpid())-\(UInt32.random(in: 0 ... .max))")
    }

    /// Removes all items of a project.
    ///
    /// - Returns: Whether there was anything to remove.
    /// - Throws: `Failure` (`infrastructure`) when a kbuild uses it or something cannot be removed; `usage` when the
    ///   folder is not a cache; `CancellationError`.
    public func removeProject(_ project: FilePath, progress: ProgressSink = .silent) async throws -> Bool {
        guard isFolder(root) else { return false }
        let folder = folder(ofProject: project)
        let trash = newTrash()
        do {
            let gate = try await CacheGate.acquire(self, isExclusive: true, progress: progress)
            defer { withExtendedLifetime(gate) {} }
            try refuse(
                CacheUse.users(of: self, isAlone: true).filter { $0.project == project.string || $0.process == 0 })
            guard FileSignature.of(folder) != nil else { return false }
            try createFolder(temporary)
            guard rename(folder.string, trash.string) == 0 else {
                throw Failure(.infrastructure, "cannot remove \(folder)", details: errnoText())
            }
        }
        try removeAll(trash)
        return true
    }

    /// Removes everything in the cache that kbuild made.
    ///
    /// - Returns: The names of the remaining files in its folder.
    /// - Throws: As `removeProject`.
    public func removeCache(progress: ProgressSink = .silent) async throws -> [String] {
        guard isFolder(root) else { return [] }
        try checkIsOwn()
        let gate = try await CacheGate.acquire(self, isExclusive: true, progress: progress)
        defer { withExtendedLifetime(gate) {} }
        try refuse(CacheUse.users(of: self, isAlone: true))
        return try removeContents()
    }

    private func refuse(_ users: [CacheUse.User]) throws(Failure) {
        guard let first = users.first else { return }
        let list = users.map { user in
            "process \(user.process), \(user.command)" + (user.project.map { ", of \($0)" } ?? "")
        }
        throw Failure(
            .infrastructure, "\(root) is in use, so that nothing was removed", details: list.joined(separator: "\n"),
            nextStep: "wait until \(users.count == 1 ? "it has" : "they have") ended, or end "
                + (users.count == 1 ? "it: kill \(first.process)" : "them"))
    }
}
