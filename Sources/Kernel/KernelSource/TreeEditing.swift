// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// Changes to the files of a tree that other trees share by hard links: always a new file under the old name, never a
/// write into the old file.
enum TreeEditing {
    /// The modification time of a copy.
    enum ModificationTime {
        /// The time of the original file.
        case preserved
        /// The current time, so that make regards it as newer than anything built so far.
        case now
    }

    /// Puts a copy of the file or link `source` at `target`.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be copied.
    static func copy(_ source: FilePath, to target: FilePath, time: ModificationTime) throws {
        guard let status = FileStatus(source) else {
            throw Failure(.infrastructure, "cannot read \(source)", details: errnoText())
        }
        let temporary = FilePath("\(target).\(UInt32.random(in: 0 ... .max)).tmp")
        do {
            if status.isLink {
                guard symlink(try symbolicLinkTarget(source), temporary.string) == 0 else {
                    throw Failure(.infrastructure, "cannot create the link \(target)", details: errnoText())
                }
            } else {
                try copyFile(source, to: temporary)
                // The umask may have removed permissions when the copy was created.
                chmod(temporary.string, status.permissions)
            }
            if time == .preserved {
                let times = [status.modificationTime, status.modificationTime]
                guard utimensat(AT_FDCWD, temporary.string, times, AT_SYMLINK_NOFOLLOW) == 0 else {
                    throw Failure(.infrastructure, "cannot set the time of \(target)", details: errnoText())
                }
            }
            if isFolder(target), (try? symbolicLinkTarget(target)) == nil { try removeAll(target) }
            guard rename(temporary.string, target.string) == 0 else {
                throw Failure(.infrastructure, "cannot write \(target)", details: errnoText())
            }
        } catch {
            unlink(temporary.string)
            throw error
        }
    }

    /// Copies files from `source` into `tree` with the current time, and removes others, with the folders that are then
    /// empty.
    ///
    /// - Throws: `Failure` (`infrastructure`); `CancellationError`.
    static func update(
        _ tree: FilePath, from source: FilePath, copying copied: [String], removing removed: [String]
    ) throws {
        // Removals first: a folder may have become a file, or the other way round.
        for path in removed {
            try Task.checkCancellation()
            try removeAll(tree.pushing(FilePath(path)))
            removeEmptyFolders(from: FilePath(path).removingLastComponent(), in: tree)
        }
        for path in copied {
            try Task.checkCancellation()
            let target = tree.pushing(FilePath(path))
            try createFolder(target.removingLastComponent())
            try copy(source.pushing(FilePath(path)), to: target, time: .now)
        }
    }

    private static func removeEmptyFolders(from relative: FilePath, in tree: FilePath) {
        var folder = relative
        while !folder.isEmpty, rmdir(tree.pushing(folder).string) == 0 { folder.removeLastComponent() }
    }

    /// Makes `target`, a copy of `source` that shares its files by hard links; if a link is not possible (another file
    /// system, too many links), a copy with the same times.
    ///
    /// - Parameter entries: A scan of `source`.
    /// - Throws: `Failure` (`infrastructure`), `CancellationError`; `target` is then incomplete.
    static func hardLink(_ entries: [TreeScan.Entry], of source: FilePath, to target: FilePath) throws {
        try createFolder(target)
        let from = source.string + "/"
        let to = target.string + "/"
        for entry in entries where entry.kind == .folder {
            guard mkdir(to + entry.path, 0o755) == 0 else {
                throw Failure(.infrastructure, "cannot create the folder \(to + entry.path)", details: errnoText())
            }
        }
        try forEachConcurrently(entries.filter { $0.kind != .folder }) { entry in
            guard link(from + entry.path, to + entry.path) != 0 else { return }
            // EPERM: a file system without hard links, or a file that another user owns.
            guard [EXDEV, EMLINK, EPERM].contains(errno) else {
                throw Failure(.infrastructure, "cannot link \(to + entry.path)", details: errnoText())
            }
            try copy(FilePath(from + entry.path), to: FilePath(to + entry.path), time: .preserved)
        }
    }
}
