// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// The source of a guest file's bytes.
enum GuestContents: Hashable, Sendable {
    /// A file of the host, unchanged.
    case host(FilePath)
    /// A shared library of the host, without the symbols that only a debugger or a linker needs.
    case stripped(FilePath)
    /// These bytes.
    case bytes([UInt8])
}

/// One entry of the guest's root file system.
struct GuestEntry: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case folder
        case file(GuestContents)
        case link(String)
        case characterDevice(major: UInt32, minor: UInt32)
    }

    var kind: Kind
    /// Permission bits. A link's are not used.
    var mode: UInt32
}

/// The guest's root file system as a list, before it becomes an archive or an image. Everything belongs to root.
struct GuestTree: Hashable, Sendable {
    /// The most links in one chain. Linux's own limit is 40.
    private static let linkLimit = 40

    /// Each entry by its real absolute path: no part of it goes through a link. The root itself is not included.
    private(set) var entries: [String: GuestEntry] = [:]
    /// The base of this tree; nil for a complete tree.
    let base: DebianBase?
    /// The base's entries, which stay unchanged.
    private var given: Set<String> = []

    /// An empty tree.
    init() { base = nil }

    /// A tree that already has the entries of a base.
    init(over base: DebianBase, having entries: [String: GuestEntry]) {
        self.base = base
        self.entries = entries
        given = Set(entries.keys)
    }

    /// An entry and its path.
    struct Placed {
        /// The path from the guest's root, with a slash before it.
        var path: String
        var entry: GuestEntry
    }

    /// The entries, each folder before its contents.
    var sorted: [Placed] {
        entries.sorted { $0.key < $1.key }.map { Placed(path: $0.key, entry: $0.value) }
    }

    /// The entries that the base does not have.
    var written: [Placed] { sorted.filter { !given.contains($0.path) } }

    /// Why `path` cannot name an entry of the guest; nil when it can.
    static func problem(withPath path: String) -> String? {
        if !path.hasPrefix("/") { return "is not absolute" }
        let parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        if parts.contains(where: { $0.isEmpty }) { return "has an empty part" }
        if parts.contains(where: { $0 == "." || $0 == ".." }) { return "has a part . or .." }
        if path.unicodeScalars.contains(where: { $0.value < 32 }) { return "holds a control character" }
        return nil
    }

    /// Adds an entry, with the folders above it. Links among those are followed, so that `/bin/x` becomes `/usr/bin/x`
    /// when `/bin` is a link there. The base's entries stay.
    ///
    /// - Throws: `Failure` (`usage`) when another entry is there already, or the path leads through a file.
    mutating func add(_ entry: GuestEntry, at path: String) throws(Failure) {
        let real = try resolve(path)
        if given.contains(real) { return }
        if let other = entries[real], other != entry {
            guard other.kind == .folder, entry.kind == .folder else {
                throw Failure(.usage, "the root file system has two different things at \(path)")
            }
        }
        entries[real] = entry
    }

    /// Removes a file or link of the base from a path.
    mutating func forgetBase(at path: String) throws(Failure) {
        let real = try resolve(path)
        if entries[real]?.kind != .folder, given.remove(real) != nil { entries[real] = nil }
    }

    /// Adds an entry if there is none at its path.
    mutating func addIfAbsent(_ entry: GuestEntry, at path: String) throws(Failure) {
        let real = try resolve(path)
        if entries[real] == nil { entries[real] = entry }
    }

    /// Adds a required folder; an existing folder keeps its mode.
    mutating func addFolder(_ path: String) throws(Failure) {
        let real = try follow(path)
        guard let other = entries[real] else {
            entries[real] = GuestEntry(kind: .folder, mode: 0o755)
            return
        }
        if other.kind != .folder { throw Failure(.usage, "the guest path \(path) must be a folder") }
    }

    /// The entry at `path` after links are followed; nil when there is none.
    func entry(at path: String) -> GuestEntry? {
        var copy = self
        return (try? copy.follow(path)).flatMap { entries[$0] }
    }

    /// `path` with the links among the folders above it followed; creates these folders.
    private mutating func resolve(_ path: String) throws(Failure) -> String {
        if let problem = Self.problem(withPath: path) {
            throw Failure(.usage, "the guest path \(path) \(problem)")
        }
        var real = ""
        let parts = path.split(separator: "/")
        for part in parts.dropLast() {
            real = try follow(real + "/" + part)
            if let entry = entries[real] {
                guard entry.kind == .folder else {
                    throw Failure(.usage, "the guest path \(path) leads through \(real), which is not a folder")
                }
            } else if !real.isEmpty {
                entries[real] = GuestEntry(kind: .folder, mode: 0o755)
            }
        }
        return real + "/" + (parts.last ?? "")
    }

    /// `path` with all links followed, its last part included.
    private mutating func follow(_ path: String) throws(Failure) -> String {
        var path = path
        for _ in 0..<Self.linkLimit {
            let real = try resolve(path)
            guard case .link(let target) = entries[real]?.kind else { return real }
            let folder = real.split(separator: "/").dropLast().map(String.init)
            var parts = target.hasPrefix("/") ? [] : folder
            for part in target.split(separator: "/") where part != "." {
                if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
            }
            if parts.isEmpty { return "" }
            path = "/" + parts.joined(separator: "/")
        }
        throw Failure(.usage, "the links at the guest path \(path) lead in a circle")
    }
}

extension GuestTree {
    /// A digest of the tree's whole result: paths, modes, targets, and the contents of each file.
    ///
    /// - Parameter strip: The digest of the tool that strips libraries.
    /// - Throws: `Failure` when a host file cannot be read.
    func digest(with statCache: StatCache, strip: Digest?) throws -> Digest {
        var key = ContentDigest(of: "guest-tree", version: 1)
        if let strip { key.add("strip", strip) }
        if let base { key.add("base", base.key) }
        for placed in written {
            let (path, entry) = (placed.path, placed.entry)
            let mode = String(entry.mode, radix: 8)
            switch entry.kind {
            case .folder: key.add("folder \(mode)", path)
            case .link(let target): key.add("link to \(target)", path)
            case .characterDevice(let major, let minor): key.add("device \(mode) \(major) \(minor)", path)
            case .file(.host(let source)): key.add("file \(mode) \(path)", try statCache.digest(of: source))
            case .file(.stripped(let source)):
                key.add("stripped \(mode) \(path)", try statCache.digest(of: source))
            case .file(.bytes(let bytes)): key.add("file \(mode) \(path)", Digest.of(bytes))
            }
        }
        return key.digest
    }
}
