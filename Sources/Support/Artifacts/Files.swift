// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// The text of the last error of a C function.
public func errnoText() -> String {
    String(cString: strerror(errno))
}

/// Opens a regular file to read it. A named pipe without a writer would block forever, and a device may never end.
///
/// - Throws: `Errno` when it cannot be opened; `Failure` with `code` when it is not a regular file.
public func openRegularFile(_ path: FilePath, failingWith code: ExitStatus = .infrastructure) throws -> FileDescriptor {
    let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
    guard let status = FileStatus(ofDescriptor: file.rawValue) else {
        let error = Errno(rawValue: errno)
        try? file.close()
        throw error
    }
    let kind =
        switch status.kind {
        case .regular: String?.none
        case .folder: "folder"
        case .pipe: "named pipe"
        case .socket: "socket"
        case .link, .device: "device"
        }
    guard let kind else { return file }
    try? file.close()
    throw Failure(code, "\(path) is a \(kind), not a file", nextStep: "put a regular file there")
}

/// A file's contents as bytes.
///
/// - Throws: `Failure` (`infrastructure`) when it cannot be read, or is not a regular file.
public func readBytes(_ path: FilePath) throws -> [UInt8] {
    do {
        let file = try openRegularFile(path)
        return try file.closeAfter {
            // One byte more than the size is read, so that the end is noticed. Files of /proc report the size 0.
            let size = Int(clamping: FileStatus(ofDescriptor: file.rawValue)?.size ?? 0)
            var isAtEnd = false
            var bytes = try [UInt8](unsafeUninitializedCapacity: size + 1) { buffer, used in
                while !isAtEnd, used < buffer.count {
                    let count = try file.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[used...]))
                    isAtEnd = count == 0
                    used += count
                }
            }
            guard !isAtEnd else { return bytes }
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
            defer { buffer.deallocate() }
            while case let count = try file.read(into: buffer), count > 0 {
                bytes.append(contentsOf: buffer[..<count])
            }
            return bytes
        }
    } catch let error as Errno {
        throw Failure(.infrastructure, "cannot read \(path)", details: "\(error)")
    }
}

/// A file's contents as text, with malformed UTF-8 repaired.
///
/// - Throws: `Failure` (`infrastructure`) when it cannot be read.
public func readText(_ path: FilePath) throws -> String {
    String(decoding: try readBytes(path), as: UTF8.self)
}

/// Writes a file so that a reader, or a crash at any point, sees the old contents or the new ones, never a part.
///
/// - Parameter mode: The permissions of the new file.
/// - Throws: `Failure` (`infrastructure`) when it cannot be written.
public func writeAtomically(
    _ bytes: some Sequence<UInt8>, to path: FilePath, mode: FilePermissions = FilePermissions(rawValue: 0o644)
) throws {
    let temporary = FilePath("\(path).\(getpid()).\(UInt32.random(in: 0 ... .max)).tmp")
    do {
        let file = try FileDescriptor.open(
            temporary, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec], permissions: mode)
        try file.closeAfter { _ = try file.writeAll(Array(bytes)) }
        guard rename(temporary.string, path.string) == 0 else { throw Errno(rawValue: errno) }
    } catch let error as Errno {
        unlink(temporary.string)
        throw Failure(.infrastructure, "cannot write \(path)", details: "\(error)")
    }
}

/// Writes a text file atomically, as `writeAtomically(_:to:mode:)` does for bytes.
public func writeAtomically(_ text: String, to path: FilePath) throws {
    try writeAtomically(Array(text.utf8), to: path)
}

/// Creates a folder and its parents; an existing folder is not an error.
///
/// - Throws: `Failure` (`infrastructure`) when a folder cannot be created.
public func createFolder(_ path: FilePath) throws {
    if mkdir(path.string, 0o755) == 0 { return }
    if errno == ENOENT, !path.removingLastComponent().isEmpty, path.removingLastComponent() != path {
        try createFolder(path.removingLastComponent())
        if mkdir(path.string, 0o755) == 0 { return }
    }
    if errno == EEXIST, isFolder(path) { return }
    throw Failure(.infrastructure, "cannot create the folder \(path)", details: errnoText())
}

/// Whether `path` exists; true for a dangling link.
public func fileExists(_ path: FilePath) -> Bool {
    FileStatus(path) != nil
}

/// Whether `path` is a folder, or a link to one.
public func isFolder(_ path: FilePath) -> Bool {
    FileStatus(path, followsLink: true)?.isFolder == true
}

/// The target of a symbolic link.
///
/// - Throws: `Failure` (`infrastructure`) when it cannot be read.
public func symbolicLinkTarget(_ path: FilePath) throws -> String {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { bytes in
        bytes.withMemoryRebound(to: CChar.self) { characters in
            characters.baseAddress.map { readlink(path.string, $0, characters.count) } ?? -1
        }
    }
    guard count >= 0 else { throw Failure(.infrastructure, "cannot read the link \(path)", details: errnoText()) }
    return String(decoding: buffer[..<count], as: UTF8.self)
}

/// The names in a folder, sorted, without `.` and `..`.
///
/// - Throws: `Failure` (`infrastructure`) when it cannot be read.
public func namesInFolder(_ folder: FilePath) throws -> [String] {
    guard let stream = opendir(folder.string) else {
        throw Failure(.infrastructure, "cannot read \(folder)", details: errnoText())
    }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
        errno = 0
        guard let entry = readdir(stream) else { break }
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { names.append(name) }
    }
    guard errno == 0 else { throw Failure(.infrastructure, "cannot read \(folder)", details: errnoText()) }
    return names.sorted()
}

/// Removes a file or a whole folder of any depth, without following links; a missing file is not an error. See
/// `removeTree(_:)`.
///
/// - Throws: `Failure` (`infrastructure`) when something cannot be removed; everything else is removed.
public func removeAll(_ path: FilePath) throws {
    do {
        try removeTree(path)
    } catch {
        throw Failure(.infrastructure, "cannot remove \(path)", details: error.description)
    }
}

/// Copies a regular file's contents and permissions.
///
/// - Throws: `Failure` (`infrastructure`) when it cannot be copied.
public func copyFile(_ source: FilePath, to target: FilePath) throws {
    do {
        let from = try openRegularFile(source)
        try from.closeAfter {
            guard let status = FileStatus(ofDescriptor: from.rawValue) else { throw Errno(rawValue: errno) }
            let to = try FileDescriptor.open(
                target, .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: FilePermissions(rawValue: status.permissions))
            try to.closeAfter {
                let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
                defer { buffer.deallocate() }
                while case let count = try from.read(into: buffer), count > 0 {
                    _ = try to.writeAll(buffer[..<count])
                }
            }
        }
    } catch let error as Errno {
        throw Failure(.infrastructure, "cannot copy \(source) to \(target)", details: "\(error)")
    }
}
