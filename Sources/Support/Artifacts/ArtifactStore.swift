// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import SystemPackage

/// The paths of kbuild's cache, all of which can be rebuilt.
public struct CacheLayout: Sendable, Equatable {
    /// The cache's root folder.
    public var root: FilePath

    /// Creates a layout below `root`.
    public init(root: FilePath) {
        self.root = root
    }

    /// `$KBUILD_CACHE`, else `$XDG_CACHE_HOME/kbuild`, else `~/.cache/kbuild`.
    ///
    /// - Throws: `Failure` (`usage`) when none of the three variables is set.
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
        // The kernel's makefiles refuse the first two, and pass paths to make and to shells, which give the others a
        // meaning.
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
    /// The cached files of one project.
    public func folder(ofProject folder: FilePath) -> FilePath {
        projects.appending(Digest.of(folder.string).short)
    }
    /// Lock files.
    public var locks: FilePath { root.appending("locks") }
    /// The stat cache's file.
    public var statCache: FilePath { root.appending("stat-cache") }
    /// Unfinished files, which the next run may remove.
    public var temporary: FilePath { root.appending("tmp") }
}

/// A published result: a folder whose files no longer change.
public struct Artifact: Sendable, Equatable {
    /// The digest of the key that it is filed under.
    public var key: Digest
    /// The folder that holds its files.
    public var folder: FilePath
    /// Its files, by path relative to the folder.
    public var files: [String: Digest]

    /// The path of one of its files.
    public func path(_ name: String) -> FilePath { folder.pushing(FilePath(name)) }
}

/// Results of steps, stored under the digest of all inputs.
///
/// An entry is made in a folder of its own and moved into place by one rename, so the store never holds an unfinished
/// one. On every use its files are checked against the digests in its manifest; an entry that differs is removed.
public struct ArtifactStore: Sendable {
    /// Where the cache lives.
    public let layout: CacheLayout
    /// Keeps digests between runs.
    public let statCache: StatCache
    /// Whether the store is read only: nothing is published, and a damaged entry stays.
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

    /// The entry for `key`, if it exists and none of its files has changed since publication.
    public func lookup(_ key: ArtifactKey) -> Artifact? {
        let folder = folder(key)
        // Marked before it is read, so that a concurrent `kbuild cache prune` keeps it.
        if !isReadOnly { markUsed(folder) }
        guard let bytes = try? readBytes(folder.appending(Self.manifestName)),
            let manifest = try? JSONDecoder().decode(Manifest.self, from: Data(bytes)), manifest.key == key.digest
        else { return nil }
        for (name, digest) in manifest.files {
            guard let found = try? statCache.digest(of: folder.pushing(FilePath(name))), found == digest else {
                if !isReadOnly { try? removeAll(folder) }
                return nil
            }
        }
        return Artifact(key: key.digest, folder: folder, files: manifest.files)
    }

    /// Makes an entry: `make` fills an empty folder, which is then published.
    ///
    /// The key is computed before the work and again after it. If the key changed, or one of its files was written to,
    /// the result matches neither state of the inputs: it is discarded and made again.
    ///
    /// - Parameter key: Computes the key from the current state of all inputs.
    /// - Throws: What `key` and `make` throw, with nothing published; `Failure` (`infrastructure`) when an input
    ///   changes during every attempt, or the cache cannot be written.
    public func publish(
        key: () async throws -> ArtifactKey, make: (FilePath) async throws -> Void
    ) async throws -> Artifact {
        try await publish(recording: key) { folder in
            try await make(folder)
            return nil
        }
    }

    // MARK: Files that tools read

    /// The entry for `key` whose recorded tool inputs have not changed; nil when there is none.
    public func lookup(recorded key: ArtifactKey) -> Artifact? {
        for reads in records(key) {
            if let full = try? self.key(key, with: reads), let artifact = lookup(full) { return artifact }
        }
        return nil
    }

    /// Makes an entry as `publish(key:make:)` does. `make` returns the files that the tools read in addition to those
    /// in `key`. These files become part of the key, and their record is kept, so that `lookup(recorded:)` knows which
    /// files to check.
    ///
    /// - Throws: As `publish(key:make:)`.
    public func publishRecorded(
        key: () async throws -> ArtifactKey, make: (FilePath) async throws -> ToolReads
    ) async throws -> Artifact {
        try await publish(recording: key, make: make)
    }

    /// The most attempts to make an artifact while its inputs change: enough for a user who saves once or twice during
    /// a build; a file that changes all the time is an error.
    static let tries = 4

    private func publish(
        recording key: () async throws -> ArtifactKey, make: (FilePath) async throws -> ToolReads?
    ) async throws -> Artifact {
        var culprit = ""
        var step = ""
        var expected = Set<String>()
        for _ in 0..<Self.tries {
            let before = try await watched(key)
            step = before.key.step
            guard !isReadOnly else {
                throw Failure(.infrastructure, "\(step) would be published, but the store is read-only")
            }
            for reads in records(before.key) { expected.formUnion(reads.files) }
            var signatures = before.signatures
            for path in expected { signatures[path] = .some(FileSignature.of(FilePath(path))) }
            let start = Self.now()
            let temporary = FilePath("\(draft(before.key))-\(UInt32.random(in: 0 ... .max))")
            try createFolder(temporary)
            defer { try? removeAll(temporary) }
            let reads: ToolReads?
            do {
                reads = try await make(temporary)
            } catch let failure as Failure {
                // When inputs changed during the work, the tool's failure is not conclusive.
                guard let after = try? await watched(key),
                    let name = difference(before, after)
                        ?? expected.first(where: { signatures[$0] != .some(FileSignature.of(FilePath($0))) })
                else { throw failure }
                culprit = name
                continue
            }
            let after = try await watched(key)
            if let name = difference(before, after) {
                culprit = name
                continue
            }
            guard let reads else { return try place(temporary, under: after.key) }
            if let name = change(of: reads, since: start, signatures) {
                culprit = name
                expected.formUnion(reads.files)
                continue
            }
            let full = try self.key(after.key, with: reads)
            // Digests were computed after the work, so no file may have been written before that.
            if let name = change(of: reads, since: start, signatures) {
                culprit = name
                continue
            }
            let artifact = try place(temporary, under: full)
            try await remember(ToolReads(files: reads.files, absent: reads.absent), of: after.key)
            return artifact
        }
        throw Failure(
            .infrastructure,
            "\(step) was made \(Self.tries) times, and each time its input changed meanwhile: \(culprit)",
            nextStep: "end what writes to it, and try again")
    }

    private typealias Watched = (key: ArtifactKey, signatures: [String: FileSignature?])

    private func watched(_ key: () async throws -> ArtifactKey) async throws -> Watched {
        let witness = FileWitness()
        let key = try await FileWitness.$current.withValue(witness) { try await key() }
        // Files of the store and unpacked sources get further hard links, which change the ctime but not the contents;
        // their digest is in the key.
        let own = [layout.store, layout.sources, layout.projects]
        let signatures = witness.signatures.filter { seen in !own.contains { FilePath(seen.key).starts(with: $0) } }
        return (key, signatures)
    }

    /// The changed file or, failing that, the changed part of the key; nil when nothing changed.
    private func difference(_ before: Watched, _ after: Watched) -> String? {
        for (path, signature) in before.signatures where after.signatures[path] != signature { return path }
        if let path = after.signatures.keys.first(where: { before.signatures[$0] == nil }) { return path }
        return before.key == after.key ? nil : after.key.difference(from: before.key) ?? "its key"
    }

    /// A file that was written to or created after `start`; nil when there is none.
    ///
    /// - Parameter signatures: The signatures of the files known before the work.
    private func change(of reads: ToolReads, since start: Int64, _ signatures: [String: FileSignature?]) -> String? {
        for path in reads.files {
            let found = FileSignature.of(FilePath(path))
            if let before = signatures[path] {
                if before != found { return path }
            } else if let found, max(found.changed, found.modified) > start - StatCache.granularity {
                return path
            } else if found == nil {
                return path
            }
        }
        // A rename keeps a file's mtime and sets its ctime.
        let late = reads.passedOver.first { path in
            FileSignature.of(FilePath(path)).map { $0.changed > start - StatCache.granularity } ?? true
        }
        return late ?? reads.absent.first { fileExists(FilePath($0)) }
    }

    private static func now() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }

    /// The key extended by the files that the tools read.
    ///
    /// - Throws: `Failure` when a file no longer exists.
    private func key(_ key: ArtifactKey, with reads: ToolReads) throws -> ArtifactKey {
        var digests: [(String, Digest)] = []
        for path in reads.files.sorted() { digests.append((path, try statCache.digest(of: FilePath(path)))) }
        if let path = reads.absent.first(where: { fileExists(FilePath($0)) }) {
            throw Failure(.infrastructure, "\(path) is there, and was not")
        }
        return key.adding { content in
            for (path, digest) in digests { content.add("read \(path)", digest) }
        }
    }

    private static let recordsName = "reads.json"
    /// How many sets of files are kept for one key: a source whose branches are compiled in turn includes other files.
    private static let keptRecords = 8

    /// The recorded tool inputs of artifacts of this key, the newest record first.
    private func records(_ key: ArtifactKey) -> [ToolReads] {
        guard let entry = lookup(key.ofRecords), let bytes = try? readBytes(entry.path(Self.recordsName)) else {
            return []
        }
        return (try? JSONDecoder().decode([ToolReads].self, from: Data(bytes))) ?? []
    }

    private func remember(_ reads: ToolReads, of key: ArtifactKey) async throws {
        try await FileLock.withLock("reads-\(key.short)", in: layout) {
            let known = records(key)
            guard known.first != reads else { return }
            let records = [reads] + known.filter { $0 != reads }.prefix(Self.keptRecords - 1)
            let temporary = FilePath("\(draft(key.ofRecords))-\(UInt32.random(in: 0 ... .max))")
            try createFolder(temporary)
            defer { try? removeAll(temporary) }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            try writeAtomically(try encoder.encode(Array(records)), to: temporary.appending(Self.recordsName))
            // Without the old entry, a concurrent run makes the artifact again.
            try removeAll(folder(key.ofRecords))
            _ = try place(temporary, under: key.ofRecords)
        }
    }

    // MARK: Places

    /// Moves a finished folder to its place in the store.
    private func place(_ temporary: FilePath, under key: ArtifactKey) throws -> Artifact {
        var files: [String: Digest] = [:]
        for file in try listFolder(temporary) where file.signature.isRegularFile {
            files[file.path] = try Digest.ofFile(temporary.pushing(FilePath(file.path)))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let manifest = try encoder.encode(Manifest(step: key.step, key: key.digest, files: files))
        try writeAtomically(manifest, to: temporary.appending(Self.manifestName))

        let target = folder(key)
        try createFolder(target.removingLastComponent())
        // A stale or damaged entry is removed; an entry that another run published meanwhile is equivalent.
        if lookup(key) == nil { try removeAll(target) }
        if rename(temporary.string, target.string) != 0, lookup(key) == nil {
            throw Failure(.infrastructure, "cannot publish \(target)", details: errnoText())
        }
        return Artifact(key: key.digest, folder: target, files: files)
    }

    /// The prefix of the folder that an entry is made in; a random number that keeps two runs apart follows.
    public func draft(_ key: ArtifactKey) -> FilePath {
        layout.temporary.appending("\(key.step)-\(key.short)")
    }

    /// Where an entry is, or will be.
    public func folder(_ key: ArtifactKey) -> FilePath {
        layout.store.appending(key.step).appending(String(key.digest.hex.prefix(32)))
    }
}
