// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// The reason that a tree could not be removed completely.
public struct RemovalError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The path of the first remaining file.
    public var path: String
    /// The reason.
    public var reason: String

    /// The path, shortened in its middle, and the reason.
    public var description: String { "\(shortened(path)): \(reason)" }
}

/// A readable path: a long path is shortened in its middle.
public func shortened(_ path: String) -> String {
    let most = 300
    guard path.utf8.count > most else { return path }
    return "\(path.prefix(most / 2))…\(path.suffix(most / 2)) (\(path.utf8.count) bytes)"
}

/// Removes a file, a link or a whole folder of any depth, without following links; a missing file is not an error.
///
/// Unreadable or unwritable folders of this user get the permissions first. Files on another file system, mounted
/// below, stay, and are an error. Everything that can be removed is removed.
///
/// - Throws: `RemovalError` for the first remaining file.
public func removeTree(_ path: FilePath) throws(RemovalError) {
    // A process that is about to end may create another file meanwhile.
    for attempt in 1...removalAttempts {
        var walker = TreeWalker<Remover>()
        walker.staysOnFileSystem = true
        var remover = Remover(parent: path.removingLastComponent().string)
        walker.walk(path, &remover)
        guard let error = remover.error else { return }
        if attempt == removalAttempts || !remover.isWorthAnotherTry { throw error }
    }
}

/// How often a tree is walked again for files that appeared after a folder was read.
private let removalAttempts = 3

private struct Remover: TreeVisitor {
    let parent: String
    /// The first error.
    var error: RemovalError?
    var isWorthAnotherTry = false

    private mutating func fail(_ path: String, _ reason: String) {
        if error == nil { error = RemovalError(path: parent.isEmpty ? path : "\(parent)/\(path)", reason: reason) }
    }

    mutating func visit(_ entry: TreeEntry) -> TreeStep {
        if entry.isFolder {
            if entry.status.st_mode & 0o700 != 0o700, entry.status.st_uid == geteuid() { open(up: entry) }
            return .enter
        }
        if entry.withName({ unlinkat(entry.folder, $0, 0) }) != 0, errno != ENOENT {
            fail(entry.path, String(cString: strerror(errno)))
        }
        return .skip
    }

    mutating func leave(_ entry: TreeEntry) {
        guard entry.withName({ unlinkat(entry.folder, $0, AT_REMOVEDIR) }) != 0, errno != ENOENT else { return }
        if errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR { isWorthAnotherTry = true }
        fail(entry.path, String(cString: strerror(errno)))
    }

    mutating func meet(_ obstacle: TreeObstacle) {
        if obstacle.isGone { return }
        if obstacle.reason == .moved || obstacle.reason == .system(ENOTDIR) || obstacle.reason == .system(ELOOP) {
            isWorthAnotherTry = true
        }
        fail(obstacle.path, obstacle.explanation)
    }

    /// Gives the folder's owner all permissions. fchmodat(2) would follow a link that takes the folder's place
    /// meanwhile.
    private func open(up entry: TreeEntry) {
        let descriptor = entry.withName { openat(entry.folder, $0, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        guard FileStatus(ofDescriptor: descriptor)?.owner == geteuid() else { return }
        chmod("/proc/self/fd/\(descriptor)", 0o700)
    }
}
