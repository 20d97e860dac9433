// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// The metadata of a file. When an initializer gives nil, `errno` has the reason.
package struct FileStatus: Hashable, Sendable {
    /// The type of a file.
    package enum Kind: Sendable {
        case regular, folder, link, pipe, socket, device
    }

    package let device: UInt64
    package let inode: UInt64
    private let mode: UInt32
    package let links: UInt64
    package let owner: UInt32
    /// The size in bytes.
    package let size: Int64
    /// When its contents last changed, in nanoseconds since 1970.
    package let modified: Int64
    /// When its contents, owner, permissions or number of links last changed, in nanoseconds since 1970.
    package let changed: Int64

    /// Converts the result of stat(2).
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

    /// Nil when `path` does not exist.
    package init?(_ path: FilePath, followsLink: Bool = false) {
        self.init(path.string, followsLink: followsLink)
    }

    /// The same for a path that is a plain text.
    package init?(_ path: String, followsLink: Bool = false) {
        var status = stat()
        guard (followsLink ? stat(path, &status) : lstat(path, &status)) == 0 else { return nil }
        self.init(status)
    }

    /// The status of `name` in the folder of a descriptor, without following links.
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
    /// Whether the file's owner may execute it.
    package var isExecutable: Bool { mode & 0o100 != 0 }
    /// Kind and permissions as st_mode has them.
    package var rawMode: UInt32 { mode }
    /// The permissions, without setuid, setgid and sticky bits.
    package var permissions: UInt32 { mode & 0o777 }
    /// `modified` in the form for utimensat(2).
    package var modificationTime: timespec {
        let (seconds, rest) = modified.quotientAndRemainder(dividingBy: 1_000_000_000)
        // The kernel counts nanoseconds forwards, also before 1970.
        return rest < 0
            ? timespec(tv_sec: Int(seconds) - 1, tv_nsec: Int(rest) + 1_000_000_000)
            : timespec(tv_sec: Int(seconds), tv_nsec: Int(rest))
    }

    package func isSameInode(as other: FileStatus) -> Bool { device == other.device && inode == other.inode }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// A path with all links resolved; nil, with the reason in `errno`, when it does not exist.
package func resolvedPath(_ path: FilePath) -> FilePath? {
    guard let real = realpath(path.string, nil) else { return nil }
    defer { free(real) }
    return FilePath(String(cString: real))
}
