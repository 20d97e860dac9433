// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// A folder for one machine's sockets that only this user can enter, with a path short enough for sockets.
///
/// A marker file in it shows that it is kbuild's, and is locked while kbuild runs. The marker of a killed kbuild is not
/// locked, and the next kbuild of the same user that starts a machine removes its folder. A folder without the marker
/// is not kbuild's, whatever its name and age.
final class PrivateFolder {
    let path: FilePath
    private let marker: Int32
    /// Removes it when a signal ends the process at once.
    private let cleanup: ExitCleanup

    private static let markerName = ".kbuild-private-folder"
    private static let markerText = "Made by kbuild for the sockets of a virtual machine, and removed by it.\n"

    /// Makes a folder, and removes folders of killed kbuilds.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be made.
    init() throws(Failure) {
        _ = Self.isSwept
        for template in MachineSockets.folderTemplates {
            var name = Array(template.utf8CString)
            guard mkdtemp(&name) != nil else { continue }
            path = FilePath(String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
            do {
                marker = try Self.mark(path)
            } catch {
                rmdir(path.string)
                throw error
            }
            cleanup = ExitCleanup { [path] in try? removeAll(path) }
            return
        }
        throw Failure(
            .infrastructure, "cannot create a temporary folder like \(MachineSockets.folderTemplate)",
            details: errnoText())
    }

    /// Writes the marker. It is locked before it has contents, so that another kbuild sees it locked or not valid.
    ///
    /// - Returns: The marker's descriptor, which holds the lock.
    private static func mark(_ folder: FilePath) throws(Failure) -> Int32 {
        let path = folder.appending(markerName)
        let descriptor = open(path.string, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0,
            (try? FileDescriptor(rawValue: descriptor).writeAll(Array(markerText.utf8))) == markerText.utf8.count
        else {
            let reason = errnoText()
            if descriptor >= 0 { close(descriptor) }
            unlink(path.string)
            throw Failure(.infrastructure, "cannot write and lock \(path)", details: reason)
        }
        return descriptor
    }

    deinit {
        close(marker)
    }

    /// Removes it with all its contents.
    func remove() {
        try? removeAll(path)
        cleanup.cancel()
    }

    /// Done once, before this process's first folder: a run with many guests need not look each time.
    private static let isSwept: Bool = {
        for template in MachineSockets.folderTemplates { removeForgotten(beside: FilePath(template)) }
        return true
    }()

    /// Removes this user's folders with the same template that have the marker and whose kbuild has ended.
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
            guard let status = FileStatus(ofDescriptor: descriptor), status.owner == geteuid(),
                status.permissions == 0o700, isForgotten(descriptor)
            else { continue }
            try? removeAll(folder)
        }
    }

    /// Whether a folder has the marker, and no process holds its lock.
    private static func isForgotten(_ folder: Int32) -> Bool {
        let marker = openat(folder, markerName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard marker >= 0 else { return false }
        defer { close(marker) }
        guard let status = FileStatus(ofDescriptor: marker), status.isRegular, status.owner == geteuid(),
            flock(marker, LOCK_EX | LOCK_NB) == 0
        else { return false }
        var bytes = [UInt8](repeating: 0, count: markerText.utf8.count + 1)
        let count = read(marker, &bytes, bytes.count)
        return count == markerText.utf8.count && bytes.prefix(count).elementsEqual(markerText.utf8)
    }
}
