// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// Where a guest file's bytes come from.
enum GuestContents: Hashable, Sendable {
    /// A file of the host, as it is.
    case host(FilePath)
    /// A shared library of the host, without the symbols that only a debugger or a linker wants.
    case stripped(FilePath)
    /// These bytes.
    case bytes([UInt8])
}

/// One thing in the guest's root file system.
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
    /// How many links may lead to one another. Linux's own limit is 40.
    private static let linkLimit = 40

    /// Each entry by its real absolute path: no part of it goes through a link. The root itself is not listed.
    private(set) var entries: [String: GuestEntry] = [:]
    /// The system that this tree is laid over; nil when the tree is all there is.
    let base: DebianBase?
    /// Which entries are the base's, and stay as they are there.
    private var given: Set<String> = []

    /// An empty tree.
    init() { base = nil }

    /// A tree that already has the entries of a base.
    init(over base: DebianBase, having entries: [String: GuestEntry]) {
        self.base = base
        self.entries = entries
        given = Set(entries.keys)
    }

    /// An entry and where it is.
    struct Placed {
        /// From the guest's root, with a slash before it.
        var path: String
        var entry: GuestEntry
    }

    /// The entries with each folder before what is in it.
    var sorted: [Placed] {
        entries.sorted { $0.key < $1.key }.map { Placed(path: $0.key, entry: $0.value) }
    }

    /// The entries that the base has not.
    var written: [Placed] { sorted.filter { !given.contains($0.path) } }

    /// What makes `path` unfit to name something in the guest; nil when nothing does.
    static func problem(withPath path: String) -> String? {
        if !path.hasPrefix("/") { return "is not absolute" }
        let parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        if parts.contains(where: { $0.isEmpty }) { return "has an empty part" }
        if parts.contains(where: { $0 == "." || $0 == ".." }) { return "has a part . or .." }
        if path.unicodeScalars.contains(where: { $0.value < 32 }) { return "holds a control character" }
        return nil
    }

    /// Adds an entry, with the folders above it. Links among those are followed, so that `/bin/x` lands in
    /// `/usr/bin` when `/bin` is a link there. What the base has stays.
    ///
    /// - Throws: `Failure` (`usage`) when something else is there already, or the path leads through a file.
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

    /// Makes room where the base has a file or a link.
    mutating func forgetBase(at path: String) throws(Failure) {
        let real = try resolve(path)
        if entries[real]?.kind != .folder, given.remove(real) != nil { entries[real] = nil }
    }

    /// Adds an entry where nothing is yet.
    mutating func addIfAbsent(_ entry: GuestEntry, at path: String) throws(Failure) {
        let real = try resolve(path)
        if entries[real] == nil { entries[real] = entry }
    }

    /// Adds a folder that is needed; one that is there keeps its mode.
    mutating func addFolder(_ path: String) throws(Failure) {
        let real = try follow(path)
        guard let other = entries[real] else {
            entries[real] = GuestEntry(kind: .folder, mode: 0o755)
            return
        }
        if other.kind != .folder { throw Failure(.usage, "the guest path \(path) must be a folder") }
    }

    /// What `path` names once links are followed; nil when there is nothing.
    func entry(at path: String) -> GuestEntry? {
        var copy = self
        return (try? copy.follow(path)).flatMap { entries[$0] }
    }

    /// `path` with the links among the folders above it followed; these folders are made.
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
    /// A digest of everything that the tree becomes: paths, modes, targets, and the contents of each file.
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
