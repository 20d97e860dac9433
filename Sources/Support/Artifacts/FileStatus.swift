// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// What the file system says of a file, links not followed.
package struct FileStatus: Equatable {
    private let status: Fields

    private struct Fields: Equatable {
        var device: UInt64
        var inode: UInt64
        var mode: UInt32
        var links: UInt64
        var size: Int64
        var modified: Int64
        var changed: Int64
    }

    /// Nil when there is nothing at `path`.
    package init?(_ path: FilePath) {
        self.init(path.string)
    }

    /// The same for a path that is a plain text.
    package init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.status = Fields(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), mode: UInt32(status.st_mode),
            links: UInt64(status.st_nlink), size: Int64(status.st_size),
            modified: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec),
            changed: Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec))
    }

    package var device: UInt64 { status.device }
    package var inode: UInt64 { status.inode }
    package var links: UInt64 { status.links }
    package var size: Int64 { status.size }
    /// Nanoseconds since the epoch.
    package var modified: Int64 { status.modified }
    package var changed: Int64 { status.changed }
    package var isRegular: Bool { status.mode & UInt32(S_IFMT) == UInt32(S_IFREG) }
    package var isFolder: Bool { status.mode & UInt32(S_IFMT) == UInt32(S_IFDIR) }
    package var isLink: Bool { status.mode & UInt32(S_IFMT) == UInt32(S_IFLNK) }
    package var isExecutable: Bool { status.mode & 0o100 != 0 }

    package func isSameInode(as other: FileStatus) -> Bool { device == other.device && inode == other.inode }
}
