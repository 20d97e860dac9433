// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Patching
import Syscalls
import SystemPackage
import TextInput

/// One thing to apply to a kernel tree: a system call's spec with its C files, or a series of patches.
public struct PatchSource: Sendable {
    enum Content: Sendable {
        case spec(SyscallSpec)
        case series(SeriesSet)
    }

    /// The folder's or file's name, by which the user knows it.
    public let name: String
    /// The folder, or the patch file.
    public let location: FilePath
    /// The digest of all its files that matter.
    public let digest: Digest
    let content: Content

    /// Whether it is a system call's spec; else it is a series of patches.
    public var isSpec: Bool {
        if case .spec = content { true } else { false }
    }

    /// The spec's file; nil for a series.
    public var specFile: FilePath? { isSpec ? location.appending(SyscallSpec.fileName) : nil }

    /// Loads a patch source: a folder with `syscall.yaml`, or with a quilt `series` file, or with `*.patch` and
    /// `*.mbox` files, which then apply in the order of their names; or a single such file.
    ///
    /// - Throws: `Failure`: `usage` when there is nothing to apply or the spec is wrong, `patch` when a patch is
    ///   malformed.
    public static func load(_ path: FilePath) throws -> PatchSource {
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
            let set = try SeriesSet(folder: path, names: names, displayName: name)
            return PatchSource(name: name, location: path, digest: set.digest, content: .series(set))
        }
        let stem = path.stem ?? name
        let set = try SeriesSet(file: path, displayName: name)
        return PatchSource(name: stem, location: path, digest: set.digest, content: .series(set))
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
    /// The series for kernels without one of their own; nil when there is none.
    private(set) var common: [Patch]?
    /// The series of single versions, by "VERSION.PATCHLEVEL".
    private(set) var byVersion: [String: [Patch]] = [:]
    /// The digest of all files read.
    let digest: Digest

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
    init(folder: FilePath, names: [String], displayName: String) throws {
        var reader = Reader(folder: folder, displayName: displayName)
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
                common? += try reader.patches(name, strip: 1)
            }
        }
        if common?.isEmpty == true || byVersion.values.contains(where: \.isEmpty) {
            throw Failure(
                .usage, "a series of \(folder) holds no patch", nextStep: "add one, or remove the series file")
        }
        digest = reader.key.digest
    }

    /// Reads a single patch file.
    init(file: FilePath, displayName: String) throws {
        var reader = Reader(folder: file.removingLastComponent(), displayName: nil)
        common = try reader.patches(displayName, strip: 1)
        if common?.isEmpty == true { throw Failure(.patch, "\(file) holds no diff") }
        digest = reader.key.digest
    }

    private struct Reader {
        let folder: FilePath
        let displayName: String?
        var key = ContentDigest(of: "series", version: 2)

        mutating func patches(_ name: String, strip: Int) throws -> [Patch] {
            let bytes = try TextInput(display(name), as: "a patch", code: .patch).bytes(of: regularFile(name))
            key.add(name, Digest.of(bytes))
            var patches = try PatchParser.parse(bytes, file: display(name), strip: strip)
            for index in patches.indices { patches[index].location = folder.pushing(FilePath(name)).string }
            return patches
        }

        /// Reads a file in quilt's format: a patch's name a line, then options; `#` starts a comment.
        mutating func series(_ name: String) throws -> [Patch] {
            var patches: [Patch] = []
            let text = try TextInput(display(name), as: "a series file").text(of: regularFile(name))
            key.add(name, text)
            for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                let words = line.trimmed.split(whereSeparator: { $0 == " " || $0 == "\t" })
                    .prefix { !$0.hasPrefix("#") }
                guard let file = words.first else { continue }
                let place = "\(display(name)):\(index + 1)"
                var strip = 1
                for option in words.dropFirst() {
                    guard option.hasPrefix("-p"), let level = Int(option.dropFirst(2)), (0...9).contains(level) else {
                        throw Failure(
                            .usage, "\(place): \(option) is no option of a series file",
                            nextStep: "use -p0, -p1, -p2 ...")
                    }
                    strip = level
                }
                let path = String(file)
                guard !path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
                    throw Failure(.usage, "\(place): \(path) lies outside the series' folder")
                }
                guard fileExists(folder.pushing(FilePath(path))) else {
                    throw Failure(
                        .usage, "\(place): there is no \(path)", nextStep: "correct the name, or remove the line")
                }
                patches += try self.patches(path, strip: strip)
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
