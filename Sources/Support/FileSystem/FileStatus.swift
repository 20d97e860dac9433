// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// What the file system says of a file. Where an initializer gives nil, `errno` says why.
package struct FileStatus: Hashable, Sendable {
    /// What a name stands for.
    package enum Kind: Sendable {
        case regular, folder, link, pipe, socket, device
    }

    package let device: UInt64
    package let inode: UInt64
    private let mode: UInt32
    package let links: UInt64
    package let owner: UInt32
    /// Bytes.
    package let size: Int64
    /// When its contents last changed, in nanoseconds since 1970.
    package let modified: Int64
    /// When its contents, owner, permissions or number of links last changed, in nanoseconds since 1970.
    package let changed: Int64

    /// Takes over what stat(2) gave.
    package init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        mode = UInt32(status.st_mode)
        links = UInt64(status.st_nlink)
        owner = UInt32(status.st_uid)
        size = Int64(status.st_size)
        modified = Self.nanoseconds(status.st_mtim)
        changed = Self.nanoseconds(status.st_ctim)
    }

    /// Nil when there is nothing at `path`.
    package init?(_ path: FilePath, followsLink: Bool = false) {
        self.init(path.string, followsLink: followsLink)
    }

    /// The same for a path that is a plain text.
    package init?(_ path: String, followsLink: Bool = false) {
        var status = stat()
        guard (followsLink ? stat(path, &status) : lstat(path, &status)) == 0 else { return nil }
        self.init(status)
    }

    /// The status of what a folder's descriptor has under `name`, links not followed.
    package init?(_ name: String, in folder: Int32) {
        var status = stat()
        guard fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
        self.init(status)
    }

    /// The status of an open file.
    package init?(ofDescriptor descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    package var kind: Kind {
        switch mode & UInt32(S_IFMT) {
        case UInt32(S_IFREG): .regular
        case UInt32(S_IFDIR): .folder
        case UInt32(S_IFLNK): .link
        case UInt32(S_IFIFO): .pipe
        case UInt32(S_IFSOCK): .socket
        default: .device
        }
    }

    package var isRegular: Bool { kind == .regular }
    package var isFolder: Bool { kind == .folder }
    package var isLink: Bool { kind == .link }
    /// Whether its owner may execute it.
    package var isExecutable: Bool { mode & 0o100 != 0 }
    /// Kind and permissions as st_mode has them.
    package var rawMode: UInt32 { mode }
    /// The permissions, without setuid, setgid and sticky bits.
    package var permissions: UInt32 { mode & 0o777 }
    /// `modified` as utimensat(2) takes it.
    package var modificationTime: timespec {
        let (seconds, rest) = modified.quotientAndRemainder(dividingBy: 1_000_000_000)
        // The kernel counts nanoseconds forwards, before 1970 too.
        return rest < 0
            ? timespec(tv_sec: Int(seconds) - 1, tv_nsec: Int(rest) + 1_000_000_000)
            : timespec(tv_sec: Int(seconds), tv_nsec: Int(rest))
    }

    package func isSameInode(as other: FileStatus) -> Bool { device == other.device && inode == other.inode }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// A path with all links followed; nil, with the reason in `errno`, when it leads to nothing.
package func resolvedPath(_ path: FilePath) -> FilePath? {
    guard let real = realpath(path.string, nil) else { return nil }
    defer { free(real) }
    return FilePath(String(cString: real))
}
