// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import Synchronization
import SystemPackage

/// A Debian system, the base of the guest's own files.
public struct DebianBase: Sendable, Hashable {
    /// The digest of its inputs.
    public var key: Digest
    /// A tar archive of it.
    var archive: FilePath
    /// The list of its contents, as `DebianBaseBuilder` writes it.
    var listing: FilePath
}

/// Makes Debian systems with mmdebstrap, which needs no root if users may create namespaces.
public struct DebianBaseBuilder: Sendable {
    /// Raise this when the result of equal inputs changes.
    private static let version = 1
    private static let step = "debian-base"
    private static let archiveName = "base.tar"
    private static let listingName = "entries"
    /// How many of mmdebstrap's last lines a failure shows.
    private static let shownLines = 15
    /// The name of the listing inside the system, until it is moved out.
    private static let innerListing = "/kbuild-entries"

    private let store: ArtifactStore
    private let runner: CommandRunner
    private let suite: String
    private let packages: [String]
    /// The sources of packages: an address, or files of APT's; empty for mmdebstrap's own choice.
    private let sources: [String]
    private let timeLimit: Duration

    /// Chooses what to make; nothing runs yet.
    ///
    /// - Parameters:
    ///   - suite: Debian's suite, such as `bookworm`; nil for the host's.
    ///   - packages: The packages to install besides the essential packages and apt.
    ///   - mirror: The address of a Debian archive; nil for those of the host's APT, if it has the same suite, else
    ///     mmdebstrap's default.
    ///   - host: The host's /etc/os-release.
    ///   - timeLimit: The time limit of mmdebstrap. It needs 90 s on two cores.
    /// - Throws: `Failure` (`usage`) when no suite is named and the host is not Debian, or a name or address is
    ///   invalid.
    public init(
        store: ArtifactStore, runner: CommandRunner, suite: String?, packages: [String], mirror: String? = nil,
        host: OSRelease = .host, timeLimit: Duration = .seconds(1800)
    ) throws {
        guard let suite = suite ?? host.debianSuite else {
            throw Failure(
                .usage, "this host is not Debian; set rootfs.suite for the guest",
                nextStep: "take one whose C library is as new as this host's, such as `rootfs: {suite: trixie}`")
        }
        // Debian Policy 5.6.1 for packages; suites have the same letters, and a slash as in `bookworm/updates`.
        for name in [suite] + packages {
            guard let first = name.utf8.first, UInt8(ascii: "a")...UInt8(ascii: "z") ~= first || 0x30...0x39 ~= first,
                name.allSatisfy("abcdefghijklmnopqrstuvwxyz0123456789+-./:_".contains)
            else { throw Failure(.usage, "\"\(name)\" is not a valid name of a Debian suite or package") }
        }
        // mmdebstrap accepts much else there: options, files, whole lines of sources.list(5).
        if let mirror, mirror.firstMatch(of: /^[a-z][a-z+]*:\/\/[^\s|]+$/) == nil {
            throw Failure(
                .usage, "\"\(mirror)\" is not a valid address of a Debian archive",
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
                // One-line format, or deb822 since bookworm's images: sources.list(5). Other files are other vendors'.
                ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"].filter {
                    fileSize(FilePath($0)) > 0
                }
            } else {
                []
            }
    }

    /// The key of the system. The origin and the time of packages are not part of it: an existing system stays valid.
    ///
    /// - Throws: `Failure` (`infrastructure`) when mmdebstrap is missing.
    public func key() throws -> ArtifactKey {
        var key = KeyBuilder(step: Self.step, version: Self.version, trust: .trusted)
        key.add("mmdebstrap", try store.statCache.digest(of: LibraryClosure.resolved(try runner.locate("mmdebstrap"))))
        key.add("suite", suite)
        for package in packages { key.add("package", package) }
        return key.key
    }

    /// The system, if it exists already.
    ///
    /// - Throws: `Failure` (`infrastructure`) when mmdebstrap is missing.
    public func cached() throws -> DebianBase? { cached(try key()) }

    private func cached(_ key: ArtifactKey) -> DebianBase? {
        store.lookup(key).map(base)
    }

    /// The command that makes the system, into the folder of a draft.
    ///
    /// - Throws: `Failure` (`infrastructure`) when mmdebstrap is missing.
    public func command() throws -> Command { command(into: store.draft(try key())) }

    func command(into folder: FilePath) -> Command {
        var arguments = ["--variant=minbase", "--format=tar", "--architectures=amd64"]
        if !packages.isEmpty { arguments.append("--include=" + packages.joined(separator: ",")) }
        // Nobody reads these in a guest that runs for minutes.
        for unread in ["doc", "info", "locale", "man"] {
            arguments.append("--dpkgopt=path-exclude=/usr/share/\(unread)/*")
        }
        // mmdebstrap copies these two from the host; the guest must not depend on the host.
        arguments.append("--customize-hook=rm -f \"$1/etc/resolv.conf\" \"$1/etc/hostname\"")
        // A hook may run as another user than this process, so mmdebstrap itself moves the list out. /proc is mounted.
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

    /// Returns the system: the existing one, or a new one. Two kbuilds with the same key make it once.
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

/// The contents of /etc/os-release: see os-release(5).
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

    /// This host's; empty if the file does not exist.
    public static var host: OSRelease { OSRelease((try? readText("/etc/os-release")) ?? "") }

    /// The suite, such as `bookworm`; nil when the system is not Debian, or has no suite's name.
    public var debianSuite: String? { values["ID"] == "debian" ? values["VERSION_CODENAME"] : nil }
}

extension GuestTree {
    /// A tree with the entries of a Debian system. The entries have no contents, because nothing copies them.
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
        // The last zero byte also ends a text, and leaves an empty one.
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
