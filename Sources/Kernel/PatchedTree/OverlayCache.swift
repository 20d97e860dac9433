// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Patching
import Syscalls
import SystemPackage

import struct Foundation.Data
import class Foundation.PropertyListDecoder
import class Foundation.PropertyListEncoder

/// The last overlay that was computed, kept in a file: applying every patch anew takes longer than all else that a run
/// with nothing changed does.
public struct OverlayCache: Sendable {
    private let file: FilePath

    /// Names the file; it need not be there.
    public init(file: FilePath) {
        self.file = file
    }

    /// The overlay's parts, in a form of bytes that are read at once.
    private struct Contents: Codable {
        package struct File: Codable {
            /// Nil for a file that is not there.
            var bytes: Data?
            var isExecutable: Bool
        }
        var format = 1
        var key: Digest
        /// What the overlay made of these parts has to have.
        var digest: Digest
        var files: [String: File]
        var sources: [TreeOverlay.AppliedSource]
        var syscalls: [RegisteredSyscall]
        var userFiles: [String: String]
        var notes: [String]
    }

    /// The overlay that was kept under `key`; nil when there is another one, or none that is whole.
    public func load(key: Digest) -> TreeOverlay? {
        guard let bytes = try? readBytes(file),
            let contents = try? PropertyListDecoder().decode(Contents.self, from: Data(bytes)),
            contents.format == 1, contents.key == key
        else { return nil }
        let overlay = TreeOverlay(
            files: contents.files.mapValues { file in
                file.bytes.map { .file(.init(bytes: Array($0), isExecutable: file.isExecutable)) } ?? .deleted
            }, sources: contents.sources, syscalls: contents.syscalls,
            userFiles: contents.userFiles.mapValues { FilePath($0) }, notes: contents.notes)
        return overlay.digest == contents.digest ? overlay : nil
    }

    /// Keeps an overlay in place of the last. A failure costs only time.
    ///
    /// - Parameter key: All that it depends on.
    public func save(_ overlay: TreeOverlay, key: Digest) {
        let contents = Contents(
            key: key, digest: overlay.digest,
            files: overlay.files.mapValues { entry in
                switch entry {
                case .file(let file): .init(bytes: Data(file.bytes), isExecutable: file.isExecutable)
                case .deleted: .init(bytes: nil, isExecutable: false)
                }
            }, sources: overlay.sources, syscalls: overlay.syscalls,
            userFiles: overlay.userFiles.mapValues(\.string), notes: overlay.notes)
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        if let data = try? encoder.encode(contents) { try? writeAtomically(data, to: file) }
    }
}
