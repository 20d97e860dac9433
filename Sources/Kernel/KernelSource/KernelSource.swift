// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// The kinds of kernel sources.
public enum KernelSource: Sendable, Hashable {
    /// A Debian package that installs `/usr/src/NAME.tar.xz`, such as `linux-source-6.1`.
    case debianPackage(String)
    /// A user's kernel tree, which is never written to.
    case directory(FilePath)
    /// A tar file, plain or compressed with xz, gzip or zstd, and the digest that it must have, if one was given.
    case tarball(FilePath, sha256: Digest?)
    /// A git repository, a path or a URL, and the branch, tag or commit in it.
    case git(repository: String, ref: String)
    /// No source: a kernel that exists, and is only booted.
    case prebuilt(PrebuiltKernel)

    /// The forms that `init(parsing:)` understands, for messages and help.
    public static let forms =
        "linux-source-6.1 (a Debian package), a directory, FILE.tar[.xz|.gz|.zst][#sha256=DIGEST], git+REPOSITORY#REF, "
        + "or, to boot it only, an installed kernel's release, /boot/vmlinuz-RELEASE, or a linux-image-*.deb"

    /// Parses a source from the command line or the project file.
    ///
    /// A word that begins with `linux-source-` is a package; `git+` begins a repository. Everything else is a path,
    /// which must contain a slash, begin with a dot, or end like a tar file.
    ///
    /// - Parameters:
    ///   - text: The source.
    ///   - sha256: The digest that a tar file must have, in hexadecimal, if it is given apart from the path.
    ///   - base: The base of relative paths.
    /// - Throws: `Failure` (`usage`) when the text has none of the `forms`.
    public init(parsing text: String, sha256: String? = nil, relativeTo base: FilePath) throws(Failure) {
        func malformed(_ why: String) -> Failure {
            Failure(.usage, "the kernel source '\(text)' \(why)", nextStep: "give \(Self.forms)")
        }
        guard !text.isEmpty else { throw Failure(.usage, "no kernel source is given", nextStep: "give \(Self.forms)") }

        if text.hasPrefix("git+") {
            guard sha256 == nil else { throw malformed("is a git repository: name a commit instead of a sha256") }
            let parts = text.dropFirst(4).split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw malformed("lacks a repository or a ref")
            }
            // git would read such a word as an option.
            guard !parts[0].hasPrefix("-"), !parts[1].hasPrefix("-") else { throw malformed("begins with a dash") }
            let repository = String(parts[0])
            // "https://..." and "user@host:path" are URLs to git; the rest is a path.
            let isURL = repository.contains("://") || repository.prefix { $0 != "/" }.contains(":")
            self = .git(
                repository: isURL ? repository : base.pushing(FilePath(repository)).lexicallyNormalized().string,
                ref: String(parts[1]))
            return
        }
        if text.hasPrefix("linux-source-"), !text.contains("/"), !Self.isTarball(text) {
            // Debian policy 5.6.1: lower-case letters, digits, plus, minus and dot.
            guard text.utf8.allSatisfy({ byte in Self.packageNameBytes.contains(byte) }) else {
                throw malformed("is not a package name")
            }
            guard sha256 == nil else {
                throw malformed("is a Debian package, which apt has verified: a sha256 goes with a tar file")
            }
            self = .debianPackage(text)
            return
        }
        if let kernel = PrebuiltKernel(parsing: text, relativeTo: base) {
            guard sha256 == nil else { throw malformed("is a built kernel: a sha256 goes with a tar file") }
            self = .prebuilt(kernel)
            return
        }
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        var path = text
        var digest = sha256
        if parts.count == 2, Self.isTarball(String(parts[0])) {
            guard parts[1].hasPrefix("sha256=") else { throw malformed("has '#\(parts[1])' after the file name") }
            path = String(parts[0])
            digest = String(parts[1].dropFirst("sha256=".count))
        }
        let file = base.pushing(FilePath(path)).lexicallyNormalized()
        if Self.isTarball(path) {
            guard let digest else {
                self = .tarball(file, sha256: nil)
                return
            }
            guard let parsed = Digest(hex: digest) else {
                throw malformed("has a sha256 that is not 64 hexadecimal digits: '\(digest)'")
            }
            self = .tarball(file, sha256: parsed)
            return
        }
        guard path.contains("/") || path.hasPrefix(".") else { throw malformed("is not a package, path or repository") }
        guard digest == nil else { throw malformed("is a directory: a sha256 goes with a tar file") }
        self = .directory(file)
    }

    private static let packageNameBytes = Set("abcdefghijklmnopqrstuvwxyz0123456789+-.".utf8)

    static func isTarball(_ path: String) -> Bool {
        [".tar", ".tar.xz", ".tar.gz", ".tgz", ".tar.zst"].contains { path.hasSuffix($0) }
    }
}

extension KernelSource: CustomStringConvertible {
    /// The source in the form that `init(parsing:)` reads.
    public var description: String {
        switch self {
        case .debianPackage(let name): name
        case .directory(let path): path.string
        case .tarball(let path, nil): path.string
        case .tarball(let path, .some(let digest)): "\(path)#sha256=\(digest)"
        case .git(let repository, let ref): "git+\(repository)#\(ref)"
        case .prebuilt(let kernel): kernel.description
        }
    }
}

/// An unpacked kernel source in the cache, never written to.
public struct KernelSourceArtifact: Sendable, Equatable {
    /// The digest of the tree's origin: a tar file's contents, a commit, the contents of a directory.
    public let identity: Digest
    /// The tree's top folder.
    public let folder: FilePath
    /// The version as `make kernelversion` prints it, such as "6.1.192".
    public let version: String
    /// The source that the tree comes from.
    public let source: KernelSource

    /// What stands for the tree of a kernel that kbuild did not build: there is none.
    ///
    /// - Parameter folder: A folder without a tree.
    package static func prebuilt(
        _ kernel: PrebuiltKernel, release: String, identity: Digest, folder: FilePath
    ) -> KernelSourceArtifact {
        KernelSourceArtifact(identity: identity, folder: folder, version: release, source: .prebuilt(kernel))
    }

    /// The cache's folder for this source: the tree, its manifest and its scan.
    var home: FilePath { folder.removingLastComponent() }
    var manifestFile: FilePath { home.appending(Self.manifestName) }
    var scanFile: FilePath { home.appending(Self.scanName) }

    static let treeName = "tree"
    static let manifestName = "manifest"
    static let scanName = "scan"

    /// Checks that the tree in the cache is unchanged: a work tree shares its files by hard links, so an editor that
    /// writes into a file instead of replacing it changes the source of every project.
    ///
    /// Takes some 0.2 s; worth it before a build, not before a cache hit. Contents decide: files whose inodes or times
    /// alone are others are read once, and remembered.
    ///
    /// - Throws: `Failure` (`infrastructure`) naming the files that changed.
    public func verify() throws { _ = try verifiedScan() }

    /// The tree's entries, checked as `verify` does.
    func verifiedScan() throws -> TreeScan {
        let recorded = TreeScan(bytes: try readBytes(scanFile))
        let found = try TreeScan(of: folder, ignoringChangeTime: true)
        guard found != recorded else { return found }
        // The order within a folder is the file system's, so only the entries themselves are compared.
        let before = Dictionary(recorded.entries.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
        let after = Dictionary(found.entries.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
        let differing = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }.sorted()
        guard !differing.isEmpty else { return found }
        // In a copy of the cache a file has another inode, and on an overlay also after its first hard link.
        let manifest = TreeManifest(file: manifestFile)
        let changed = try differing.filter { path in
            guard let old = before[path], let new = after[path], old.kind == new.kind else { return true }
            if new.kind == .folder { return old.signature.mode != new.signature.mode }
            guard old.signature.mode == new.signature.mode, let known = manifest?.items[path] else { return true }
            return try known.content == nil || TreeManifest.item(of: new, in: folder) != known
        }
        guard !changed.isEmpty else {
            try writeAtomically(found.bytes, to: scanFile)
            return found
        }
        throw Failure(
            .infrastructure, "the kernel source in the cache was changed: \(folder)",
            details: changed.prefix(10).joined(separator: "\n") + (changed.count > 10 ? "\n..." : ""),
            nextStep: "remove \(home), and edit copies in the project instead of files of a work tree")
    }

    /// The version at the beginning of the top Makefile, without a local suffix.
    ///
    /// - Throws: `Failure` (`infrastructure`) when `folder` is not a kernel tree.
    static func version(ofTree folder: FilePath, source: KernelSource) throws -> String {
        let notKernel = Failure(
            .infrastructure, "\(source) is not a Linux kernel tree",
            details: "its top folder lacks a Kconfig, or a Makefile with VERSION, PATCHLEVEL and SUBLEVEL",
            nextStep: "give \(KernelSource.forms)")
        guard fileExists(folder.appending("Kconfig")), let bytes = try? readBytes(folder.appending("Makefile")) else {
            throw notKernel
        }
        var values: [Substring: String] = [:]
        // The assignments are the first lines of the file.
        for line in String(decoding: bytes.prefix(1000), as: UTF8.self).textLines() {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            values[parts[0].prefix { $0 != " " && $0 != "\t" }] = parts[1].filter { $0 != " " && $0 != "\t" }
        }
        guard let version = values["VERSION"], let patchLevel = values["PATCHLEVEL"], Int(version) != nil,
            Int(patchLevel) != nil
        else { throw notKernel }
        let sublevel = values["SUBLEVEL"].flatMap { $0.isEmpty ? nil : ".\($0)" } ?? ""
        return "\(version).\(patchLevel)\(sublevel)\(values["EXTRAVERSION"] ?? "")"
    }
}
