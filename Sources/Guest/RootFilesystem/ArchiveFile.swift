// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// A file to which an archive is written, piece by piece.
final class ArchiveFile {
    /// How much has been written, in bytes.
    private(set) var offset = 0
    private let path: FilePath
    private let file: FileDescriptor
    private var pending: [UInt8] = []

    /// The size of the pieces, in bytes.
    private static let pieceSize = 1 << 20

    private init(path: FilePath, file: FileDescriptor) {
        self.path = path
        self.file = file
    }

    /// Creates the file and calls `body` to fill it.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written, and what `body` throws.
    static func create(_ path: FilePath, body: (ArchiveFile) throws -> Void) throws {
        let archive: ArchiveFile
        do {
            archive = ArchiveFile(
                path: path,
                file: try FileDescriptor.open(
                    path, .writeOnly, options: [.create, .truncate, .closeOnExec],
                    permissions: FilePermissions(rawValue: 0o644)))
        } catch {
            throw Failure(.infrastructure, "cannot write \(path)", details: "\(error)")
        }
        defer { try? archive.file.close() }
        try body(archive)
        try archive.flush()
    }

    /// Appends bytes.
    func write(_ bytes: some Collection<UInt8>) throws {
        pending.append(contentsOf: bytes)
        offset += bytes.count
        if pending.count >= Self.pieceSize { try flush() }
    }

    /// Appends zeroes up to a multiple of `alignment`.
    func pad(to alignment: Int) throws {
        try write(repeatElement(0, count: (alignment - offset % alignment) % alignment))
    }

    private func flush() throws {
        do {
            _ = try file.writeAll(pending)
        } catch {
            throw Failure(.infrastructure, "cannot write \(path)", details: "\(error)")
        }
        pending.removeAll(keepingCapacity: true)
    }
}

/// Reads the bytes of a tree's files, with stripped copies of libraries if requested.
struct GuestFileReader {
    /// The stripped copy of each library.
    var stripped: [FilePath: FilePath] = [:]

    /// A file's bytes.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be read.
    func bytes(of contents: GuestContents) throws -> [UInt8] {
        switch contents {
        case .host(let path): return try readBytes(path)
        case .bytes(let bytes): return bytes
        case .stripped(let path):
            guard let copy = stripped[path] else {
                throw Failure(.infrastructure, "there is no stripped copy of \(path)")
            }
            return try readBytes(copy)
        }
    }
}

/// The time stamp of every file of an archive or image, so that equal trees give equal bytes: the start of 2000.
let archiveTime: UInt32 = 946_684_800
