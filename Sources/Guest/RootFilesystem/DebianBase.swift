// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import Synchronization
import SystemPackage

/// A Debian system that the guest's own files are laid over.
public struct DebianBase: Sendable, Hashable {
    /// The digest of what it was made from.
    public var key: Digest
    /// A tar archive of it.
    var archive: FilePath
    /// What is in it, as `DebianBaseBuilder` lists it.
    var listing: FilePath
}

/// Makes Debian systems with mmdebstrap, which needs no root where users may have namespaces of their own.
public struct DebianBaseBuilder: Sendable {
    /// Raise this when what comes out of equal inputs changes.
    private static let version = 1
    private static let step = "debian-base"
    private static let archiveName = "base.tar"
    private static let listingName = "entries"
    /// How many of mmdebstrap's last lines a failure shows.
    private static let shownLines = 15
    /// What the listing is called inside, until it is taken out.
    private static let innerListing = "/kbuild-entries"

    private let store: ArtifactStore
    private let runner: CommandRunner
    private let suite: String
    private let packages: [String]
    /// Where packages come from: an address, or files of APT's; empty for mmdebstrap's own choice.
    private let sources: [String]
    private let timeLimit: Duration

    /// Chooses what to make; nothing runs yet.
    ///
    /// - Parameters:
    ///   - suite: Debian's suite, such as `bookworm`; nil for the host's.
    ///   - packages: What is installed beside the essential packages and apt.
    ///   - mirror: The address of a Debian archive; nil for those of the host's APT, if it has the same suite, else
    ///     mmdebstrap's default.
    ///   - host: The host's /etc/os-release.
    ///   - timeLimit: How long mmdebstrap may take. It needs 90 s on two cores.
    /// - Throws: `Failure` (`usage`) when no suite is named and the host is no Debian, or a name or address is none.
    public init(
        store: ArtifactStore, runner: CommandRunner, suite: String?, packages: [String], mirror: String? = nil,
        host: OSRelease = .host, timeLimit: Duration = .seconds(1800)
    ) throws {
        guard let suite = suite ?? host.debianSuite else {
            throw Failure(
                .usage, "this host is no Debian, so rootfs.suite has to name a suite for the guest",
                nextStep: "take one whose C library is as new as this host's, such as `rootfs: {suite: trixie}`")
        }
        // Debian Policy 5.6.1 for packages; suites have the same letters, and a slash as in `bookworm/updates`.
        for name in [suite] + packages {
            guard let first = name.utf8.first, UInt8(ascii: "a")...UInt8(ascii: "z") ~= first || 0x30...0x39 ~= first,
                name.allSatisfy("abcdefghijklmnopqrstuvwxyz0123456789+-./:_".contains)
            else { throw Failure(.usage, "\"\(name)\" is no name of a Debian suite or package") }
        }
        // mmdebstrap takes much else there: options, files, whole lines of sources.list(5).
        if let mirror, mirror.firstMatch(of: /^[a-z][a-z+]*:\/\/[^\s|]+$/) == nil {
            throw Failure(
                .usage, "\"\(mirror)\" is no address of a Debian archive",
                nextStep: "write it as in `rootfs: {mirror: \"http://deb.debian.org/debian\"}`")
        }
        self.store = store
        self.runner = runner
        self.suite = suite
        self.packages = Array(Set(packages)).sorted()
        self.timeLimit = timeLimit
        sources =
            if let mirror {
                [mirror]
            } else if suite == host.debianSuite {
                // One-line, or deb822 since bookworm's images: sources.list(5). Other files are other vendors'.
                ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"].filter {
                    fileSize(FilePath($0)) > 0
                }
            } else {
                []
            }
    }

    /// What identifies the system. Where packages came from, and when, is not part of it: one that is there stays.
    ///
    /// - Throws: `Failure` (`infrastructure`) when mmdebstrap is missing.
    public func key() throws -> ArtifactKey {
        var key = KeyBuilder(step: Self.step, version: Self.version, trust: .trusted)
        key.add("mmdebstrap", try store.statCache.digest(of: LibraryClosure.resolved(try runner.locate("mmdebstrap"))))
        key.add("suite", suite)
        for package in packages { key.add("package", package) }
        return key.key
    }

    /// The system, if it was made before.
    ///
    /// - Throws: `Failure` (`infrastructure`) when mmdebstrap is missing.
    public func cached() throws -> DebianBase? { cached(try key()) }

    private func cached(_ key: ArtifactKey) -> DebianBase? {
        store.lookup(key).map(base)
    }

    /// What makes the system, into the folder of a draft.
    ///
    /// - Throws: `Failure` (`infrastructure`) when mmdebstrap is missing.
    public func command() throws -> Command { command(into: store.draft(try key())) }

    func command(into folder: FilePath) -> Command {
        var arguments = ["--variant=minbase", "--format=tar", "--architectures=amd64"]
        if !packages.isEmpty { arguments.append("--include=" + packages.joined(separator: ",")) }
        // Nobody reads these in a guest that lives for minutes.
        for unread in ["doc", "info", "locale", "man"] {
            arguments.append("--dpkgopt=path-exclude=/usr/share/\(unread)/*")
        }
        // mmdebstrap copies these two from the host, about which a guest need know nothing.
        arguments.append("--customize-hook=rm -f \"$1/etc/resolv.conf\" \"$1/etc/hostname\"")
        // A hook may run as another user than this one, so the list is taken out by mmdebstrap itself. /proc is
        // mounted.
        arguments += [
            "--customize-hook=cd \"$1\" && find . -xdev -mindepth 1 -printf '%y %m %P\\0%l\\0' > \"$1\(Self.innerListing)\"",
            "--customize-hook=download \(Self.innerListing) \(Command.quoted(folder.appending(Self.listingName).string))",
            "--customize-hook=rm \"$1\(Self.innerListing)\"",
        ]
        return Command(
            "mmdebstrap", arguments + [suite, folder.appending(Self.archiveName).string] + sources,
            // Equal packages then give equal archives.
            environment: ["SOURCE_DATE_EPOCH": "\(archiveTime)"])
    }

    /// The system: the one made before, else one made now. Two kbuilds that want the same make it once.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be made; `CancellationError`.
    public func base(progress: ProgressSink) async throws -> DebianBase {
        let key = try key()
        if let base = cached(key) { return base }
        return try await FileLock.withLock("\(Self.step)-\(key.short)", in: store.layout, progress: progress) {
            if let base = cached(key) { return base }
            let artifact = try await store.publish(key: { try self.key() }) { folder in
                progress(.detail("making Debian \(suite) with \(packages.joined(separator: ", "))"))
                try await run(command(into: folder), progress: progress)
            }
            return base(artifact)
        }
    }

    private func run(_ command: Command, progress: ProgressSink) async throws {
        let lines = Mutex<[String]>([])
        let status = try await runner.stream(command, within: timeLimit) { line in
            lines.withLock { $0 = $0.suffix(Self.shownLines - 1) + [line] }
            progress(.detail(line))
        }
        guard let status, status.isSuccess else {
            throw Failure(
                .infrastructure,
                status.map { "mmdebstrap ended with \($0)" }
                    ?? "mmdebstrap did not finish within \(timeLimit.components.seconds) s",
                details: lines.withLock { $0.joined(separator: "\n") },
                nextStep: "see whether `apt-get update` works here; rootfs.mirror names another archive of Debian's")
        }
    }

    private func base(_ artifact: Artifact) -> DebianBase {
        DebianBase(
            key: artifact.key, archive: artifact.path(Self.archiveName), listing: artifact.path(Self.listingName))
    }
}

/// What a system says of itself in /etc/os-release: see os-release(5).
public struct OSRelease: Sendable {
    private let values: [String: String]

    /// Reads the file's text.
    public init(_ text: String) {
        values = Dictionary(
            text.textLines().compactMap { line in
                let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
                guard parts.count == 2 else { return nil }
                return (parts[0], parts[1].filter { $0 != "\"" && $0 != "'" })
            }, uniquingKeysWith: { $1 })
    }

    /// This host's; one that says nothing where there is no such file.
    public static var host: OSRelease { OSRelease((try? readText("/etc/os-release")) ?? "") }

    /// The suite, such as `bookworm`; nil when the system is no Debian, or has no suite's name.
    public var debianSuite: String? { values["ID"] == "debian" ? values["VERSION_CODENAME"] : nil }
}

extension GuestTree {
    /// A tree that has what a Debian system has. The entries bear no contents, since nothing copies them.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the list cannot be read.
    init(over base: DebianBase) throws {
        self.init(over: base, having: try Self.entries(inListing: try readBytes(base.listing)))
    }

    /// Reads pairs of texts that each end with a zero byte: `TYPE MODE PATH`, and a link's target.
    static func entries(inListing bytes: [UInt8]) throws(Failure) -> [String: GuestEntry] {
        let texts = bytes.split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        var entries: [String: GuestEntry] = [:]
        // The last zero byte ends a text too, and leaves an empty one.
        for index in stride(from: 0, to: texts.count - 1, by: 2) {
            let words = texts[index].split(separator: " ", maxSplits: 2)
            guard words.count == 3, let mode = UInt32(words[1], radix: 8), index + 1 < texts.count - 1 else {
                throw Failure(.infrastructure, "the list of Debian's files has an entry \"\(texts[index])\"")
            }
            let kind: GuestEntry.Kind =
                switch words[0] {
                case "d": .folder
                case "l": .link(texts[index + 1])
                default: .file(.bytes([]))
                }
            entries["/" + words[2]] = GuestEntry(kind: kind, mode: mode)
        }
        return entries
    }
}
