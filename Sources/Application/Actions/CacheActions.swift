// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import Reporting
import SystemPackage

/// The work of `kbuild cache` and `kbuild clean`.
public struct CacheActions: Sendable {
    /// The size to which a run prunes the cache, in bytes, unless `KBUILD_CACHE_MAX` sets another: some ten kernels
    /// with their trees.
    public static let defaultLimit = 20 << 30
    /// The least time between two measurements of the cache's size, in seconds. A measurement takes as long as `du` of
    /// the cache, which is too long for each run of some seconds.
    private static let interval = 3600.0
    private static let variable = "KBUILD_CACHE_MAX"

    private let layout: CacheLayout
    private let environment: [String: String]

    /// Finds the cache.
    ///
    /// - Throws: `Failure` (`usage`) when the environment names no folder for it.
    public init(environment: [String: String]) throws(Failure) {
        layout = try CacheLayout(environment: environment)
        self.environment = environment
    }

    init(layout: CacheLayout, environment: [String: String]) {
        self.layout = layout
        self.environment = environment
    }

    /// The limit to which a run prunes the cache, in bytes; nil for no limit.
    ///
    /// - Throws: `Failure` (`usage`) when `KBUILD_CACHE_MAX` is not a size.
    public func limit() throws(Failure) -> Int? {
        guard let text = environment[Self.variable], !text.isEmpty else { return Self.defaultLimit }
        guard let bytes = Self.bytes(text) else {
            throw Failure(
                .usage, "\(Self.variable) is '\(text)', which is not a size",
                nextStep: "set it to a size such as 20G, or to 0 to keep all")
        }
        return bytes == 0 ? nil : bytes
    }

    /// The number of bytes in a text such as 500M, 20G or 1.5T, in powers of 1024; nil for another text.
    public static func bytes(_ text: String) -> Int? {
        guard let match = text.wholeMatch(of: /([0-9]{1,15})(\.[0-9]{1,3})?\s*([KMGTkmgt]?)(?:i?[Bb])?/) else {
            return nil
        }
        let unit = ["": 0, "k": 10, "m": 20, "g": 30, "t": 40][match.3.lowercased()] ?? 0
        guard let number = Double(match.1 + (match.2 ?? "")) else { return nil }
        let bytes = number * Double(1 << unit)
        return bytes < Double(Int.max / 2) ? Int(bytes) : nil
    }

    /// The entries of the cache.
    ///
    /// - Throws: `Failure` (`usage`) when the folder is not a cache; `infrastructure` when it cannot be read.
    public func list() throws -> CacheList {
        try layout.checkIsOwn()
        var inventory = try CacheInventory(of: layout)
        if let ccache = compilerCache() { inventory.items.append(ccache) }
        return CacheList(
            root: layout.root.string, limitBytes: try limit(), bytes: inventory.bytes,
            entries: inventory.items.map(Self.entry))
    }

    /// Removes the least recently used entries, until at most `most` bytes are left.
    ///
    /// - Parameters:
    ///   - most: Nil for the limit of `limit()`.
    ///   - isDryRun: Whether entries are only listed, not removed.
    /// - Throws: `Failure` (`usage`) when the folder is not a cache; `infrastructure` when something cannot be removed;
    ///   `CancellationError`.
    public func prune(to most: Int?, isDryRun: Bool, progress: Diagnostics.ProgressSink) async throws -> CachePruning {
        try layout.checkIsOwn()
        let most = try most ?? limit() ?? .max
        let inventory = try CacheInventory(of: layout)
        let surplus = inventory.surplus(over: most, users: CacheUse.users(of: layout))
        let removed = isDryRun ? surplus : try await inventory.remove(surplus, progress: progress)
        let freed = removed.reduce(0) { $0 + $1.bytes }
        return CachePruning(
            root: layout.root.string, isDryRun: isDryRun, maxBytes: most, bytesBefore: inventory.bytes,
            bytesAfter: inventory.bytes - freed, removed: removed.map(Self.entry))
    }

    /// Removes entries above the limit after a run, unless the size was measured within the last hour. An error is a
    /// note: it does not change the run's result.
    public func pruneAfterRun(progress: Diagnostics.ProgressSink) async {
        let stamp = layout.root.appending("last-prune")
        do {
            guard let limit = try limit() else { return }
            let last = (try? FileManager.default.attributesOfItem(atPath: stamp.string))?[.modificationDate] as? Date
            if let last, abs(last.timeIntervalSinceNow) < Self.interval { return }
            try writeAtomically("", to: stamp)
            let pruning = try await prune(to: limit, isDryRun: false, progress: progress)
            guard !pruning.removed.isEmpty else { return }
            progress(
                .note(
                    "removed \(CacheList.size(pruning.bytesBefore - pruning.bytesAfter)) from the cache, which held more than "
                        + "\(CacheList.size(limit)) (\(Self.variable))"))
        } catch {
            progress(.note("the cache could not be made smaller: \((error as? Failure)?.message ?? "\(error)")"))
        }
    }

    /// Removes a project's part of the cache.
    ///
    /// - Returns: What was done, in a sentence.
    /// - Throws: `Failure` (`infrastructure`) when a kbuild uses it, or something cannot be removed; `usage` when the
    ///   folder is not a cache; `CancellationError`.
    public func clean(project: FilePath, progress: Diagnostics.ProgressSink) async throws -> String {
        let folder = layout.folder(ofProject: project)
        return try await layout.removeProject(project, progress: progress)
            ? "removed \(folder)" : "nothing is kept for \(project)"
    }

    /// Removes the cache, except files that kbuild did not make.
    ///
    /// - Returns: What was done, in a sentence.
    /// - Throws: As `clean(project:progress:)`.
    public func cleanAll(progress: Diagnostics.ProgressSink) async throws -> String {
        guard isFolder(layout.root) else { return "there is no cache at \(layout.root)" }
        let left = try await layout.removeCache(progress: progress)
        guard !left.isEmpty else { return "removed \(layout.root)" }
        let names = left.prefix(5).joined(separator: ", ") + (left.count > 5 ? " and \(left.count - 5) more" : "")
        return "removed what kbuild made in \(layout.root); left are \(names), which it did not"
    }

    private static func entry(_ item: CacheItem) -> CacheList.Entry {
        CacheList.Entry(
            kind: item.kind.rawValue, path: item.path.string, bytes: item.bytes,
            lastUsed: Date(timeIntervalSince1970: item.lastUsed.rounded()).formatted(.iso8601), project: item.project,
            isOrphaned: item.isOrphaned, isRemovable: item.isRemovable)
    }

    /// The compiler cache, as ccache(1) finds it. It has its own limit, and other programs use it too.
    private func compilerCache() -> CacheItem? {
        func value(_ name: String) -> FilePath? { environment[name].flatMap { $0.isEmpty ? nil : FilePath($0) } }
        let home = value("HOME")
        let places = [
            value("CCACHE_DIR"), home?.appending(".ccache"), value("XDG_CACHE_HOME")?.appending("ccache"),
            home?.appending(".cache").appending("ccache"),
        ]
        guard let folder = places.compactMap({ $0 }).first(where: isFolder) else { return nil }
        var counter = TreeUsageCounter()
        let used = (try? FileManager.default.attributesOfItem(atPath: folder.string))?[.modificationDate] as? Date
        return CacheItem(
            kind: .ccache, path: folder, bytes: counter.usage(of: folder).bytes,
            lastUsed: used?.timeIntervalSince1970 ?? 0, isRemovable: false)
    }
}
