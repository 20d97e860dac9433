// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import Glibc
import Patching
import SystemPackage

/// A file's contents, as far as they matter to a build: its bytes and whether it is executable, or that it does not
/// exist.
package struct ContentIdentity: Hashable, Codable, Sendable {
    private let text: String

    package static let absent = ContentIdentity(text: "absent")

    private init(text: String) {
        self.text = text
    }

    init(_ file: TreeOverlay.Entry.File) {
        text = Digest.of(file.bytes).hex + (file.isExecutable ? "+x" : "")
    }

    package init(from decoder: any Decoder) throws {
        text = try decoder.singleValueContainer().decode(String.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    /// The identity of the file at `path` now.
    static func of(_ path: FilePath) throws -> ContentIdentity {
        guard let file = try TreeOverlay.Entry.File(path) else { return .absent }
        return ContentIdentity(file)
    }
}

extension TreeOverlay.Entry.File {
    /// Reads a regular file; nil when there is none.
    init?(_ path: FilePath) throws {
        guard let status = FileStatus(path) else { return nil }
        guard status.isRegular else { throw Failure(.infrastructure, "\(path) is not a regular file") }
        self.init(bytes: try readBytes(path), isExecutable: status.isExecutable)
    }
}

/// The state in which kbuild last left a work tree. It is beside the tree, because a file in the tree could be taken
/// for one of the kernel's.
struct WorkTreeManifest: Codable, Equatable {
    struct Left: Codable, Equatable {
        /// Nil while the file is being changed, and permanently if that was interrupted.
        var content: ContentIdentity?
        /// Whether the file is the pristine file by hard link, whose ctime changes with each new link.
        var isShared = false
        var inode: UInt64 = 0
        var size: Int64 = 0
        var modified: Int64 = 0
        var changed: Int64 = 0
        /// The time when the file was last found changed by another program, in nanoseconds since the epoch: a build of
        /// any output before that may have seen other contents. 0 for never.
        var untrustedUntil: Int64 = 0

        mutating func describe(_ status: FileStatus?, pristine: FileStatus?, content: ContentIdentity) {
            self.content = content
            isShared = status.map { own in pristine.map { own.isSameInode(as: $0) } ?? false } ?? false
            inode = status?.inode ?? 0
            size = status?.size ?? 0
            modified = status?.modified ?? 0
            changed = isShared ? 0 : status?.changed ?? 0
        }

        /// Whether the file is unchanged since then.
        func agrees(with status: FileStatus?, pristine: FileStatus?) -> Bool {
            guard let content else { return false }
            guard let status else { return content == .absent }
            if content == .absent { return false }
            if isShared { return pristine.map { status.isSameInode(as: $0) } ?? false }
            return status.isRegular && status.inode == inode && status.size == size && status.modified == modified
                && status.changed == changed
        }
    }

    var format = 1
    /// The sources of the overlay that the tree has.
    var sources: [TreeOverlay.AppliedSource] = []
    /// Every file that was ever in an overlay of this tree, also after it is pristine again.
    var files: [String: Left] = [:]

    static func path(of tree: FilePath) -> FilePath { FilePath("\(tree).manifest.json") }

    /// Nil when there is none, or it cannot be read.
    static func load(tree: FilePath) -> WorkTreeManifest? {
        decodeFile(WorkTreeManifest.self, path(of: tree)).flatMap { $0.format == 1 ? $0 : nil }
    }

    func save(tree: FilePath) throws { try encodeFile(self, to: Self.path(of: tree)) }
}

/// The contents and the time stamp that a build folder was last offered of each file that was ever in an overlay. The
/// record is in the build folder, so that it is removed or copied together with the objects.
package struct OutputRecord: Codable, Equatable {
    package struct Offered: Codable, Equatable {
        /// Nil when it is not known, as after an interruption.
        package var content: ContentIdentity?
        /// Nanoseconds since the epoch.
        package var modified: Int64
        /// The file that make found when it last started; nil when that is not known.
        var seen: Seen?

        package init(content: ContentIdentity?, modified: Int64, seen: Seen? = nil) {
            self.content = content
            self.modified = modified
            self.seen = seen
        }

        package struct Seen: Codable, Equatable {
            var content: ContentIdentity
            var modified: Int64
        }
    }

    var format = 1
    package var files: [String: Offered] = [:]
    /// When the last build ended, in nanoseconds since the epoch.
    var builtAt: Int64 = 0

    static let fileName = ".kbuild-sources.json"

    /// Nil when there is none, or it cannot be read.
    package static func load(output: FilePath) -> OutputRecord? {
        decodeFile(OutputRecord.self, output.appending(fileName)).flatMap { $0.format == 1 ? $0 : nil }
    }

    func save(output: FilePath) throws { try encodeFile(self, to: output.appending(Self.fileName)) }
}

private func decodeFile<Value: Decodable>(_ type: Value.Type, _ path: FilePath) -> Value? {
    guard let bytes = try? readBytes(path) else { return nil }
    return try? JSONDecoder().decode(type, from: Data(bytes))
}

private func encodeFile(_ value: some Encodable, to path: FilePath) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    try writeAtomically(try encoder.encode(value), to: path)
}
