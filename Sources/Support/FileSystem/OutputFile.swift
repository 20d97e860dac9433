// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// The reason that an output could not be written.
public struct OutputError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What happened, without the path.
    public var description: String
    /// What the user can do; nil when it is obvious.
    public var nextStep: String?

    init(_ description: String, nextStep: String? = nil) {
        self.description = description
        self.nextStep = nextStep
    }

    fileprivate static func system(_ number: Int32 = errno) -> OutputError {
        OutputError(String(cString: strerror(number)))
    }
}

/// An output folder in a working directory, whose contents may come from a pull request: it is accessed by its
/// descriptor, and links in place of the folder or its files are refused.
public final class OutputFolder: Sendable {
    private let descriptor: Int32

    fileprivate init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Opens the folder, and creates it if necessary.
    ///
    /// - Throws: `OutputError` when it cannot be created, or is a link or not a folder.
    public init(_ path: FilePath) throws(OutputError) {
        if mkdir(path.string, 0o755) != 0, errno != EEXIST { throw .system() }
        descriptor = try Self.open(path.string, in: AT_FDCWD)
    }

    /// Checks that the folder is a folder or can be created, without a change.
    ///
    /// - Throws: `OutputError` when it is a link or not a folder.
    public static func check(_ path: FilePath) throws(OutputError) {
        guard FileStatus(path) != nil else { return }
        close(try open(path.string, in: AT_FDCWD))
    }

    private static func open(_ name: String, in folder: Int32) throws(OutputError) -> Int32 {
        let descriptor = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if descriptor >= 0 { return descriptor }
        guard errno == ENOTDIR || errno == ELOOP else { throw .system() }
        let isLink = FileStatus(name, in: folder)?.isLink == true
        throw OutputError(
            isLink ? "it is a symbolic link; kbuild writes to a folder of its own there" : "it is not a folder",
            nextStep: "remove it")
    }

    deinit { close(descriptor) }

    /// Writes a file atomically: a reader sees the old file or the new one. A link of that name is replaced, not
    /// followed.
    ///
    /// - Throws: `OutputError` when it cannot be written.
    public func write(_ bytes: some Sequence<UInt8>, as name: String) throws(OutputError) {
        guard let component = FilePath.Component(name), component.kind == .regular else {
            throw OutputError("'\(name)' is not the name of a file")
        }
        let temporary = ".\(name).\(getpid()).\(UInt32.random(in: 0 ... .max)).tmp"
        do throws(OutputError) {
            try create(temporary, Array(bytes))
            guard renameat(descriptor, temporary, descriptor, name) == 0 else { throw OutputError.system() }
        } catch {
            unlinkat(descriptor, temporary, 0)
            throw error
        }
    }

    private func create(_ name: String, _ bytes: [UInt8]) throws(OutputError) {
        // Swift does not import openat(2) with a mode, which is variadic, so mknodat(2) creates the file; it must not
        // exist.
        guard mknodat(descriptor, name, S_IFREG | 0o644, 0) == 0 else { throw .system() }
        let file = openat(descriptor, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC)
        guard file >= 0 else { throw .system() }
        try writeAll(bytes, to: FileDescriptor(rawValue: file), closing: true)
    }

    /// Removes the regular files whose names satisfy `condition`; links and folders of such names stay.
    ///
    /// - Throws: `OutputError` when a file cannot be removed.
    public func removeFiles(where condition: (String) -> Bool) throws(OutputError) {
        let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else {
            let error = OutputError.system()
            if copy >= 0 { close(copy) }
            throw error
        }
        defer { closedir(stream) }
        while let item = readdir(stream) {
            let name = withUnsafeBytes(of: &item.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard condition(name), FileStatus(name, in: descriptor)?.isRegular == true else { continue }
            guard unlinkat(descriptor, name, 0) == 0 || errno == ENOENT else { throw .system() }
        }
    }
}

/// Writes output to a path that the user gave.
///
/// - A pipe, a device, a socket, and the descriptors behind `/dev/stdout`, `/dev/stderr` and `/dev/fd/N` are written
///   to.
/// - A regular file is replaced atomically: a reader sees the old file or the new one. A link is replaced too, and its
///   target stays. Links in /dev and /proc are followed.
/// - A relative path must not leave the working directory by a link in place of one of its folders: the author of such
///   a link, for example in a pull request, would choose the file's place.
///
/// - Throws: `OutputError` when it cannot be written.
public func writeOutput(_ bytes: [UInt8], to path: FilePath) throws(OutputError) {
    if let number = openDescriptor(named: path) {
        return try writeAll(bytes, to: FileDescriptor(rawValue: number), closing: false)
    }
    guard let name = path.lastComponent, name.kind == .regular else { throw OutputError("it is not a file's name") }
    try checkFolders(of: path)
    let followsLink = path.starts(with: "/dev") || path.starts(with: "/proc")
    switch FileStatus(path, followsLink: followsLink)?.kind {
    case .socket?:
        try writeAll(bytes, to: FileDescriptor(rawValue: try connectedSocket(path)), closing: true)
    case .pipe?, .device?:
        let file = open(path.string, O_WRONLY | O_NOCTTY | O_CLOEXEC | (followsLink ? 0 : O_NOFOLLOW))
        guard file >= 0 else { throw .system() }
        try writeAll(bytes, to: FileDescriptor(rawValue: file), closing: true)
    case .folder?: throw OutputError("it is a folder")
    case .regular?, .link?, nil:
        let parent = path.removingLastComponent()
        try OutputFolder(following: parent.isEmpty ? "." : parent).write(bytes, as: name.string)
    }
}

/// Removes an earlier run's output at a path that the user gave, so that it is not mistaken for this run's: a regular
/// file, or a link but not its target. Pipes, devices and sockets stay, because `writeOutput(_:to:)` writes to them.
///
/// - Throws: `OutputError` when it cannot be removed.
public func removeOutput(at path: FilePath) throws(OutputError) {
    guard openDescriptor(named: path) == nil, !path.starts(with: "/dev"), !path.starts(with: "/proc"),
        let status = FileStatus(path), status.isRegular || status.isLink
    else { return }
    try checkFolders(of: path)
    guard unlink(path.string) == 0 || errno == ENOENT else { throw .system() }
}

extension OutputFolder {
    /// Opens an existing folder; the path may be a link.
    fileprivate convenience init(following path: FilePath) throws(OutputError) {
        let descriptor = Glibc.open(path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system() }
        self.init(descriptor: descriptor)
    }
}

/// The number of the open descriptor that a path names. Opening such a path again would begin at the start of a file
/// that other processes write to, and fails for a socket.
private func openDescriptor(named path: FilePath) -> Int32? {
    switch path.string {
    case "/dev/stdin": return STDIN_FILENO
    case "/dev/stdout": return STDOUT_FILENO
    case "/dev/stderr": return STDERR_FILENO
    default:
        guard ["/dev/fd", "/proc/self/fd"].contains(path.removingLastComponent().string) else { return nil }
        return path.lastComponent.flatMap { Int32($0.string) }
    }
}

/// Refuses a relative path whose folder, with links resolved, is outside of the working directory.
private func checkFolders(of path: FilePath) throws(OutputError) {
    let parent = path.removingLastComponent()
    guard path.isRelative, !parent.isEmpty, !parent.components.contains(where: { $0.kind == .parentDirectory }) else {
        return
    }
    guard let folder = resolvedPath("."), let place = resolvedPath(parent) else { throw .system() }
    guard place.starts(with: folder) else {
        throw OutputError(
            "its folder \(parent) is a link that leads out of the working directory, to \(place)",
            nextStep: "name \(place) itself, if that is where the file is to go")
    }
}

private func connectedSocket(_ path: FilePath) throws(OutputError) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.string.utf8)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { place in
        guard bytes.count < place.count else { return false }
        place.copyBytes(from: bytes)
        return true
    }
    guard fits else { throw .system(ENAMETOOLONG) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .system() }
    let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    guard result == 0 else {
        let error = OutputError.system()
        close(descriptor)
        throw error
    }
    return descriptor
}

private func writeAll(_ bytes: [UInt8], to file: FileDescriptor, closing: Bool) throws(OutputError) {
    do {
        if closing {
            _ = try file.closeAfter { try file.writeAll(bytes) }
        } else {
            try file.writeAll(bytes)
        }
    } catch let error as Errno {
        throw .system(error.rawValue)
    } catch {
        throw OutputError("\(error)")
    }
}
