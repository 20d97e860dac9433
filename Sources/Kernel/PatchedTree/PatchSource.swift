// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Patching
import Syscalls
import SystemPackage
import TextInput

/// One source of changes to a kernel tree: a system call's spec with its C files, or a series of patches.
public struct PatchSource: Sendable {
    enum Content: Sendable {
        case spec(SyscallSpec)
        case series(SeriesSet)
    }

    /// The folder's or file's name, which the user knows.
    public let name: String
    /// The folder, or the patch file.
    public let location: FilePath
    /// The digest of all its relevant files.
    public let digest: Digest
    let content: Content

    /// The parts of the source in the order of their application, by the names that a user knows: the patches'
    /// subjects, or the spec's folder.
    ///
    /// - Throws: `Failure` (`usage`) when different kernels have different series.
    public var steps: [String] {
        get throws {
            guard case .series(let set) = content else { return [name] }
            guard let patches = set.common, set.byVersion.isEmpty else {
                throw Failure(
                    .usage, "\(location) has a series for each of several kernels, so its patches cannot be counted",
                    nextStep: "name the folder or the file of one series")
            }
            return patches.map { $0.subject ?? $0.file }
        }
    }

    /// The source with its first patches alone; nil when there is none of them.
    public func limited(to count: Int) -> PatchSource? {
        guard count > 0 else { return nil }
        guard case .series(let set) = content else { return self }
        return PatchSource(
            name: name, location: location, digest: digest, content: .series(set.limited(to: count)))
    }

    /// Whether it is a system call's spec; else it is a series of patches.
    public var isSpec: Bool {
        if case .spec = content { true } else { false }
    }

    /// The names of a spec's calls; none for a series, which only a kernel's tree gives a meaning.
    package var callNames: [CIdentifier] {
        if case .spec(let spec) = content { spec.syscalls.map(\.name) } else { [] }
    }

    /// The spec's file; nil for a series.
    public var specFile: FilePath? { isSpec ? location.appending(SyscallSpec.fileName) : nil }

    /// Loads a patch source: a folder with `syscall.yaml`, or with a quilt `series` file, or with `*.patch` and
    /// `*.mbox` files, which then apply in the order of their names; or a single such file.
    ///
    /// - Parameter fuzz: The lines of context at each end of a hunk that may differ, unless an option of a series says
    ///   otherwise.
    /// - Throws: `Failure`: `usage` when there is nothing to apply or the spec is wrong, `patch` when a patch is
    ///   malformed.
    public static func load(_ path: FilePath, fuzz: Int = 0) throws -> PatchSource {
        guard fileExists(path) else {
            throw Failure(
                .usage, "there is no patch source \(path)",
                nextStep: "name a folder with syscall.yaml, a series or *.patch files, or a patch file")
        }
        let name = path.lastComponent?.string ?? path.string
        if isFolder(path) {
            let names = try namesInFolder(path)
            let isSeries = names.contains { $0 == "series" || $0.hasPrefix("series-") || isPatchName($0) }
            if names.contains(SyscallSpec.fileName) {
                guard !isSeries else {
                    throw Failure(
                        .usage, "\(path) holds both \(SyscallSpec.fileName) and patches",
                        nextStep: "move the patches to a folder of their own")
                }
                let spec = try SyscallSpec.load(folder: path)
                return PatchSource(name: name, location: path, digest: spec.digest, content: .spec(spec))
            }
            guard isSeries else {
                throw Failure(
                    .usage, "\(path) holds nothing to apply",
                    nextStep: "put \(SyscallSpec.fileName), a series file or *.patch files there")
            }
            let set = try SeriesSet(folder: path, names: names, displayName: name, fuzz: fuzz)
            return PatchSource(name: name, location: path, digest: set.digest, content: .series(set))
        }
        let stem = path.stem ?? name
        let set = try SeriesSet(file: path, displayName: name, fuzz: fuzz)
        return PatchSource(name: stem, location: path, digest: set.digest, content: .series(set))
    }

    /// The most files of a folder that `identity` reads, and the most levels of folders.
    private static let mostFiles = 4096
    private static let mostLevels = 8

    /// The digest of everything that a patch source may be read from, without parsing it: the file, or all files of the
    /// folder. Nil if there are too many files, or an entry that is neither a file nor a folder.
    ///
    /// - Parameter digest: Returns the digest of a file's contents.
    public static func identity(of path: FilePath, digest: (FilePath) throws -> Digest) rethrows -> Digest? {
        var key = ContentDigest(of: "patch-source", version: 1)
        var count = 0
        func add(_ path: FilePath, _ name: String, level: Int) throws -> Bool {
            guard let status = FileStatus(path), level <= mostLevels else { return false }
            if status.isRegular {
                count += 1
                guard count <= mostFiles else { return false }
                key.add(name, try digest(path))
                return true
            }
            guard status.isFolder, let names = try? namesInFolder(path) else { return false }
            key.add("folder", name)
            return try names.sorted().allSatisfy { try add(path.appending($0), "\(name)/\($0)", level: level + 1) }
        }
        return try add(path, ".", level: 0) ? key.digest : nil
    }

    private static let patchSuffixes = [".patch", ".diff", ".mbox", ".mbx", ".eml"]
    private static let compressedSuffixes = [".gz", ".xz", ".zst", ".bz2"]

    static func isPatchName(_ name: String) -> Bool {
        var stem = name.lowercased()
        if let suffix = compressedSuffixes.first(where: stem.hasSuffix) { stem.removeLast(suffix.count) }
        return !name.hasPrefix(".") && patchSuffixes.contains(where: stem.hasSuffix)
    }
}

/// The patches of a folder: one series for all kernels, others for single kernel versions, or both.
struct SeriesSet: Sendable {
    /// The series for kernels without a series of their own; nil when there is none.
    private(set) var common: [Patch]?
    /// The series of single versions, by "VERSION.PATCHLEVEL".
    private(set) var byVersion: [String: [Patch]] = [:]
    /// The digest of all files read.
    let digest: Digest

    /// The set with its first patches alone.
    func limited(to count: Int) -> SeriesSet {
        var set = self
        set.common = common.map { Array($0.prefix(count)) }
        return set
    }

    /// The patches for a kernel.
    ///
    /// - Throws: `Failure` (`patch`) when the folder has series for other versions only.
    func patches(for version: KernelVersion, source: String) throws -> [Patch] {
        if let patches = byVersion[version.series] ?? common { return patches }
        throw Failure(
            .patch, "\(source) has no series for Linux \(version.series)",
            details: "it has: " + byVersion.keys.sorted().map { "series-\($0)" }.joined(separator: ", "),
            nextStep: "add a series-\(version.series), or a series for all kernels")
    }

    /// Reads a folder's series.
    init(folder: FilePath, names: [String], displayName: String, fuzz: Int = 0) throws {
        var reader = Reader(folder: folder, displayName: displayName, fuzz: fuzz)
        for name in names where name.hasPrefix("series-") {
            let version = String(name.dropFirst("series-".count))
            guard version.split(separator: ".").count == 2, version.split(separator: ".").allSatisfy({ Int($0) != nil })
            else {
                throw Failure(
                    .usage, "\(folder.appending(name)): \(version) is not a kernel's VERSION.PATCHLEVEL",
                    nextStep: "name it like series-6.12")
            }
            byVersion[version] = try reader.series(name)
        }
        if names.contains("series") {
            common = try reader.series("series")
        } else if byVersion.isEmpty {
            common = []
            for name in names where PatchSource.isPatchName(name) {
                common? += try reader.patches(name)
            }
            try MailSelection.checkCompleteness(
                of: (common ?? []).map { MailTag($0.subject) }, in: displayName,
                nextStep:
                    "add what is missing; to apply these patches alone, list their files in a file named series there")
        }
        if common?.isEmpty == true || byVersion.values.contains(where: \.isEmpty) {
            throw Failure(
                .usage, "a series of \(folder) holds no patch", nextStep: "add one, or remove the series file")
        }
        digest = reader.key.digest
        remark(reader.unread(names))
    }

    /// Notes the files of a folder that look like patches and were not read.
    private mutating func remark(_ unread: [String]) {
        guard !unread.isEmpty else { return }
        let what = unread.count == 1 ? "looks like a patch and is" : "look like patches and are"
        let text = "\(unread.joined(separator: ", ")) \(what) not read"
        if common?.isEmpty == false { common?[0].remarks.insert(text, at: 0) }
        for version in byVersion.keys where byVersion[version]?.isEmpty == false {
            byVersion[version]?[0].remarks.insert(text, at: 0)
        }
    }

    /// Reads a single patch file.
    init(file: FilePath, displayName: String, fuzz: Int = 0) throws {
        var reader = Reader(folder: file.removingLastComponent(), displayName: nil, fuzz: fuzz)
        common = try reader.patches(displayName)
        if common?.isEmpty == true { throw Failure(.patch, "\(file) holds no diff") }
        digest = reader.key.digest
    }

    private struct Reader {
        let folder: FilePath
        let displayName: String?
        let fuzz: Int
        var key = ContentDigest(of: "series", version: 2)
        private var read: Set<String> = []

        init(folder: FilePath, displayName: String?, fuzz: Int) {
            (self.folder, self.displayName, self.fuzz) = (folder, displayName, fuzz)
            key.add("fuzz", String(fuzz))
        }

        /// The files of `names` that were not read, though their names look like those of patches or of copies of
        /// patches.
        func unread(_ names: [String]) -> [String] {
            names.filter { name in
                let small = name.lowercased()
                let isCopy = [".patch", ".diff", ".mbox"].contains { small.contains($0) && !small.hasSuffix($0) }
                return !read.contains(name) && (PatchSource.isPatchName(name) || isCopy)
            }.map { display($0) }
        }

        mutating func patches(_ name: String, _ options: SeriesOptions = SeriesOptions()) throws -> [Patch] {
            read.insert(name)
            let bytes = try TextInput(display(name), as: "a patch", code: .patch).bytes(of: regularFile(name))
            key.add(name, Digest.of(bytes))
            var patches = try PatchParser.parse(bytes, file: display(name), strip: options.strip)
            for index in patches.indices {
                patches[index].location = folder.pushing(FilePath(name)).string
                patches[index].fuzz = options.fuzz ?? fuzz
                patches[index].strip = options.strip ?? 1
            }
            return options.isReversed ? patches.reversed().map(\.reversed) : patches
        }

        /// Reads a file in quilt's format: a patch's name on each line, then options; `#` begins a comment.
        mutating func series(_ name: String) throws -> [Patch] {
            var patches: [Patch] = []
            let text = try TextInput(display(name), as: "a series file").text(of: regularFile(name))
            key.add(name, text)
            for (index, line) in text.textLines(keepsEmpty: true).enumerated() {
                let words = line.trimmed.split(whereSeparator: { $0 == " " || $0 == "\t" })
                    .prefix { !$0.hasPrefix("#") }
                guard let file = words.first else { continue }
                let place = "\(display(name)):\(index + 1)"
                let options = try SeriesOptions(words.dropFirst().map(String.init), place: place)
                let path = String(file)
                guard !path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
                    throw Failure(.usage, "\(place): \(path) lies outside the series' folder")
                }
                guard fileExists(folder.pushing(FilePath(path))) else {
                    throw Failure(
                        .usage, "\(place): there is no \(path)", nextStep: "correct the name, or remove the line")
                }
                patches += try self.patches(path, options)
            }
            return patches
        }

        private func regularFile(_ name: String) throws -> FilePath {
            let path = folder.pushing(FilePath(name))
            guard let status = FileStatus(path), status.isRegular else {
                throw Failure(.usage, "\(path) is not a regular file")
            }
            return path
        }

        private func display(_ name: String) -> String { displayName.map { "\($0)/\(name)" } ?? name }
    }
}

/// The options after a patch's name in a series file, which quilt passes to patch(1).
struct SeriesOptions: Equatable {
    /// The leading folders to remove; nil for one.
    var strip: Int?
    /// Whether the patch is applied in reverse.
    var isReversed = false
    /// The permitted fuzz; nil for the project's.
    var fuzz: Int?

    /// The most fuzz: the lines of context in a diff by default.
    private static let mostFuzz = 3

    init() {}

    init(_ words: [String], place: String) throws(Failure) {
        var rest = words[...]
        while let word = rest.popFirst() {
            /// The number after a short or long option, in the same word or in the next.
            func value(_ short: String, _ long: String) -> String? {
                for name in [short, long] where word.hasPrefix(name) {
                    var text = word.dropFirst(name.count)
                    if text.isEmpty { return rest.popFirst() ?? "" }
                    if name == long, text.first == "=" { text = text.dropFirst() }
                    return String(text)
                }
                return nil
            }
            if word == "-R" || word == "--reverse" {
                isReversed = true
            } else if let text = value("-p", "--strip") {
                // a/ and b/ instead of a number are quilt's own word for one folder.
                guard let level = text == "ab" ? 1 : Int(text), (0...9).contains(level) else {
                    throw Failure(
                        .usage, "\(place): \(word) is not a level of folders", nextStep: "use -p0, -p1, ... -p9")
                }
                strip = level
            } else if let text = value("-F", "--fuzz") {
                guard let fuzz = Int(text), (0...Self.mostFuzz).contains(fuzz) else {
                    throw Failure(.usage, "\(place): \(word) is not a fuzz", nextStep: "use -F0, -F1, ... -F3")
                }
                self.fuzz = fuzz
            } else if !["-E", "--remove-empty-files", "-N", "--forward", "-s", "--quiet", "-u", "--unified"].contains(
                word)
            {
                throw Failure(
                    .usage, "\(place): \(word) is not an option of a series file",
                    nextStep: "use -p0 to -p9, -R and -F0 to -F3")
            }
        }
    }
}
