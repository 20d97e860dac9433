// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Patching
import Syscalls
import SystemPackage

import struct Foundation.Data
import class Foundation.PropertyListDecoder
import class Foundation.PropertyListEncoder

/// The last computed overlay, kept in a file: applying every patch again takes longer than the rest of a run in which
/// nothing changed.
public struct OverlayCache: Sendable {
    private let file: FilePath

    /// Names the file, which need not exist.
    public init(file: FilePath) {
        self.file = file
    }

    /// The overlay's parts without the contents of its files, which follow in the order of `files`.
    ///
    /// The file is a line with the key, a line with the length of this as a binary property list, that list, and the
    /// bytes of all files, so that a file under another key costs the reading of a line, and contents are copied once.
    private struct Contents: Codable {
        struct File: Codable {
            var path: String
            /// Nil for a deleted file.
            var size: Int?
            var isExecutable: Bool
        }
        /// The digest that the overlay of these parts must have.
        var digest: Digest
        var files: [File]
        var sources: [TreeOverlay.AppliedSource]
        var syscalls: [RegisteredSyscall]
        var userFiles: [String: String]
        var notes: [String]
    }

    /// The first line of a file under a key. The number rises when the form changes.
    private static func heading(_ key: Digest) -> [UInt8] { Array("kbuild-overlay 2 \(key)\n".utf8) }

    /// The most digits of a length and its newline.
    private static let longestLength = 20

    /// The overlay that was kept under `key`; nil when there is another overlay, or none that is complete.
    public func load(key: Digest) -> TreeOverlay? {
        let heading = Self.heading(key)
        guard (try? firstBytes(heading.count)) == heading, let bytes = try? readBytes(file) else { return nil }
        let rest = bytes.dropFirst(heading.count)
        guard let newline = rest.prefix(Self.longestLength).firstIndex(of: UInt8(ascii: "\n")),
            let length = Int(String(decoding: rest[..<newline], as: UTF8.self)), length >= 0,
            rest.endIndex - (newline + 1) >= length
        else { return nil }
        var position = newline + 1 + length
        guard
            let contents = try? PropertyListDecoder().decode(Contents.self, from: Data(bytes[(newline + 1)..<position]))
        else { return nil }
        var files: [String: OverlayEntry] = [:]
        for file in contents.files {
            guard let size = file.size else {
                files[file.path] = .deleted
                continue
            }
            guard size >= 0, bytes.endIndex - position >= size else { return nil }
            let text = Array(bytes[position..<(position + size)])
            files[file.path] = .file(.init(bytes: text, isExecutable: file.isExecutable))
            position += size
        }
        guard position == bytes.endIndex else { return nil }
        let overlay = TreeOverlay(
            files: files, sources: contents.sources, syscalls: contents.syscalls,
            userFiles: contents.userFiles.mapValues { FilePath($0) }, notes: contents.notes)
        return overlay.digest == contents.digest ? overlay : nil
    }

    private func firstBytes(_ count: Int) throws -> [UInt8] {
        let descriptor = try FileDescriptor.open(file, .readOnly, options: .closeOnExec)
        return try descriptor.closeAfter {
            try [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
                used = try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer))
            }
        }
    }

    /// Keeps an overlay, which replaces the last one. A failure costs only time.
    ///
    /// - Parameter key: The digest of all its inputs.
    public func save(_ overlay: TreeOverlay, key: Digest) {
        var files: [Contents.File] = []
        var total = 0
        let entries = overlay.files.sorted { $0.key < $1.key }
        for (path, entry) in entries {
            switch entry {
            case .file(let file):
                files.append(.init(path: path, size: file.bytes.count, isExecutable: file.isExecutable))
                total += file.bytes.count
            case .deleted: files.append(.init(path: path, size: nil, isExecutable: false))
            }
        }
        let contents = Contents(
            digest: overlay.digest, files: files, sources: overlay.sources, syscalls: overlay.syscalls,
            userFiles: overlay.userFiles.mapValues(\.string), notes: overlay.notes)
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        guard let list = try? encoder.encode(contents) else { return }
        var bytes = Self.heading(key)
        bytes.reserveCapacity(bytes.count + Self.longestLength + list.count + total)
        bytes += Array("\(list.count)\n".utf8)
        bytes += list
        for case (_, .file(let file)) in entries { bytes += file.bytes }
        try? writeAtomically(bytes, to: file)
    }
}
