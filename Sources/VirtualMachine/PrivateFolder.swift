import Artifacts
import Diagnostics
import Glibc
import SystemPackage

/// A folder for one machine's sockets that only this user can enter, with a path short enough for sockets.
///
/// It is locked as long as kbuild lives. One that a killed kbuild left behind is locked by nobody, and the next kbuild
/// of the same user that starts a machine removes it.
final class PrivateFolder {
    let path: FilePath
    private let descriptor: Int32
    /// Removes it when a signal ends the process at once.
    private let cleanup: ExitCleanup

    /// How long a folder may be without its lock while it is being made, in seconds.
    private static let grace = 60

    /// Makes a folder, and removes what is left of others.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be made.
    init() throws(Failure) {
        _ = Self.isSwept
        for template in MachineSockets.folderTemplates {
            var name = Array(template.utf8CString)
            guard mkdtemp(&name) != nil else { continue }
            path = FilePath(String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
            descriptor = open(path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            // Without the lock a machine of more than a minute could lose its folder to the next kbuild.
            guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let reason = errnoText()
                rmdir(path.string)
                throw Failure(.infrastructure, "cannot lock \(path)", details: reason)
            }
            cleanup = ExitCleanup { [path] in try? removeAll(path) }
            return
        }
        throw Failure(
            .infrastructure, "cannot create a temporary folder like \(MachineSockets.folderTemplate)",
            details: errnoText())
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Removes it with all that is in it.
    func remove() {
        try? removeAll(path)
        cleanup.cancel()
    }

    /// Made once, before this process's first folder: a run of many guests need not look each time.
    private static let isSwept: Bool = {
        for template in MachineSockets.folderTemplates { removeForgotten(beside: FilePath(template)) }
        return true
    }()

    /// Removes this user's folders of the same form that nobody has locked. A name of that form may be somebody's choice
    /// too, so that only one with a machine's socket in it is taken for one of these.
    static func removeForgotten(beside template: FilePath) {
        let pattern = (template.lastComponent?.string ?? "").utf8
        let prefix = String(decoding: pattern.prefix { $0 != UInt8(ascii: "X") }, as: UTF8.self)
        let parent = template.removingLastComponent()
        guard !prefix.isEmpty, let names = try? namesInFolder(parent) else { return }
        for name in names where name.hasPrefix(prefix) && name.utf8.count == pattern.count {
            let folder = parent.appending(name)
            let descriptor = open(folder.string, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_uid == geteuid(), status.st_mode & 0o777 == 0o700,
                status.st_mtim.tv_sec + grace < time(nil), flock(descriptor, LOCK_EX | LOCK_NB) == 0,
                fstatat(descriptor, MachineSockets.consoleName, &status, AT_SYMLINK_NOFOLLOW) == 0,
                status.st_mode & S_IFMT == S_IFSOCK
            else { continue }
            try? removeAll(folder)
        }
    }
}
