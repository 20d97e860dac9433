import Diagnostics
import Foundation
import SystemPackage

/// Where kbuild keeps what it can make again.
public struct CacheLayout: Sendable, Equatable {
    /// The cache's root folder.
    public var root: FilePath

    /// Creates a layout below `root`.
    public init(root: FilePath) {
        self.root = root
    }

    /// `$KBUILD_CACHE`, else `$XDG_CACHE_HOME/kbuild`, else `~/.cache/kbuild`.
    ///
    /// - Throws: `Failure` (`usage`) when none of the three is set.
    public init(environment: [String: String]) throws(Failure) {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        if let path = value("KBUILD_CACHE") {
            root = FilePath(path)
        } else if let path = value("XDG_CACHE_HOME") {
            root = FilePath(path).appending("kbuild")
        } else if let path = value("HOME") {
            root = FilePath(path).appending(".cache").appending("kbuild")
        } else {
            throw Failure(
                .usage, "no cache folder: none of KBUILD_CACHE, XDG_CACHE_HOME and HOME is set",
                nextStep: "set KBUILD_CACHE to a folder with 5 GB free")
        }
        guard root.isAbsolute else {
            throw Failure(.usage, "the cache folder \(root) is not an absolute path")
        }
        // The kernel's makefiles refuse the first two, and hand paths to make and to shells, which take the others apart.
        let refused = root.string.first { $0.isWhitespace || ":\"'$\\`#%;&|<>()*?[]{}!=".contains($0) }
        if let refused {
            throw Failure(
                .usage,
                "the cache folder \(root) has \(refused.isWhitespace ? "a space" : "the character \(refused)") in "
                    + "its path, where make cannot build a kernel",
                nextStep: "set KBUILD_CACHE to a folder whose path has letters, digits and ._+-~@, alone")
        }
    }

    /// Published results of steps.
    public var store: FilePath { root.appending("store") }
    /// Unpacked kernel sources, never written to.
    public var sources: FilePath { root.appending("sources") }
    /// Each project's own tree and build folders.
    public var projects: FilePath { root.appending("projects") }
    /// What is kept for the project in a folder.
    public func folder(ofProject folder: FilePath) -> FilePath {
        projects.appending(Digest.of(folder.string).short)
    }
    /// Lock files.
    public var locks: FilePath { root.appending("locks") }
    /// The stat cache's file.
    public var statCache: FilePath { root.appending("stat-cache") }
    /// Half-made things, which the next run may remove.
    public var temporary: FilePath { root.appending("tmp") }
}

/// A published result: a folder whose files do not change any more.
public struct Artifact: Sendable, Equatable {
    /// The key that it is filed under.
    public var key: Digest
    /// The folder that holds its files.
    public var folder: FilePath
    /// Its files, by path relative to the folder.
    public var files: [String: Digest]

    /// The path of one of its files.
    public func path(_ name: String) -> FilePath { folder.pushing(FilePath(name)) }
}

/// Results of steps, filed by the digest of everything that went into them.
///
/// An entry is made in a folder of its own and moved into place by one rename, so there is never a half-made one.
/// On every use its files are checked against the digests in its manifest; one that does not agree is removed.
public struct ArtifactStore: Sendable {
    /// Where the cache lives.
    public let layout: CacheLayout
    /// Remembers digests between runs.
    public let statCache: StatCache
    /// Whether the store is only looked at: nothing is published, and a damaged entry stays where it is.
    public var isReadOnly = false

    private struct Manifest: Codable {
        var format = 1
        var step: String
        var key: Digest
        var files: [String: Digest]
    }

    private static let manifestName = ".manifest.json"

    /// Opens the store.
    public init(layout: CacheLayout, statCache: StatCache) {
        self.layout = layout
        self.statCache = statCache
    }

    /// The entry for `key`, if there is one and all its files are as they were published.
    public func lookup(step: String, key: Digest) -> Artifact? {
        let folder = folder(step: step, key: key)
        // Before it is looked at, so that a `kbuild cache prune` of this moment leaves it.
        if !isReadOnly { markUsed(folder) }
        guard let bytes = try? readBytes(folder.appending(Self.manifestName)),
            let manifest = try? JSONDecoder().decode(Manifest.self, from: Data(bytes)), manifest.key == key
        else { return nil }
        for (name, digest) in manifest.files {
            guard let found = try? statCache.digest(of: folder.pushing(FilePath(name))), found == digest else {
                if !isReadOnly { try? removeAll(folder) }
                return nil
            }
        }
        return Artifact(key: key, folder: folder, files: manifest.files)
    }

    /// Makes an entry: `make` fills an empty folder, which is then published under `key`.
    ///
    /// - Throws: What `make` throws, with nothing published; `Failure` (`infrastructure`) when the cache cannot be
    ///   written.
    public func publish(
        step: String, key: Digest, make: (FilePath) async throws -> Void
    ) async throws -> Artifact {
        guard !isReadOnly else {
            throw Failure(.infrastructure, "\(step) would be published, but the store is read-only")
        }
        let temporary = FilePath("\(draft(step: step, key: key))-\(UInt32.random(in: 0 ... .max))")
        try createFolder(temporary)
        defer { try? removeAll(temporary) }
        try await make(temporary)

        var files: [String: Digest] = [:]
        for (path, signature) in try listFolder(temporary) where signature.isRegularFile {
            files[path] = try Digest.ofFile(temporary.pushing(FilePath(path)))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let manifest = try encoder.encode(Manifest(step: step, key: key, files: files))
        try writeAtomically(manifest, to: temporary.appending(Self.manifestName))

        let target = folder(step: step, key: key)
        try createFolder(target.removingLastComponent())
        // A stale or damaged entry makes way; one that another run published meanwhile is as good as ours.
        if lookup(step: step, key: key) == nil { try removeAll(target) }
        if rename(temporary.string, target.string) != 0, lookup(step: step, key: key) == nil {
            throw Failure(.infrastructure, "cannot publish \(target)", details: errnoText())
        }
        return Artifact(key: key, folder: target, files: files)
    }

    /// Where an entry is made, but for the random number that keeps two runs apart.
    public func draft(step: String, key: Digest) -> FilePath {
        layout.temporary.appending("\(step)-\(key.short)")
    }

    /// Where an entry is, or will be.
    public func folder(step: String, key: Digest) -> FilePath {
        layout.store.appending(step).appending(String(key.hex.prefix(32)))
    }
}
