// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// A file's size in bytes; 0 when it does not exist.
func fileSize(_ path: FilePath) -> Int64 {
    FileStatus(path, followsLink: true)?.size ?? 0
}

/// The necessary size of an image.
struct ImageSize: Equatable {
    /// A multiple of the block size.
    var bytes: Int64
    /// One for each entry, and ext4's own.
    var inodes: Int64

    /// Bytes of an inode, as mke2fs.conf has it for ext4.
    private static let inodeSize: Int64 = 256
    /// Space for the superblock, descriptors, bitmaps and errors of the estimate. The image is sparse, so it costs
    /// almost nothing.
    private static let slack: Int64 = 16 << 20

    /// The size for a tree whose tar archive has `archiveSize` bytes.
    ///
    /// A tar archive rounds each file up to 512 bytes, an image to blocks, and each folder takes at least one.
    init(of tree: GuestTree, archiveSize: Int64) {
        let block = Int64(ImageBuildSpec.blockSize)
        inodes = Int64(tree.entries.count) + 64
        let content = archiveSize + Int64(tree.entries.count) * block + inodes * Self.inodeSize
        let estimate = content + content / 32 + Self.slack
        bytes = (estimate + block - 1) / block * block
    }
}

/// Checks a finished image on the host, without mounting it.
enum ImageCheck {
    /// Checks that the superblock belongs to the requested file system, and that it was unmounted: see the kernel's
    /// Documentation/filesystems/ext4/super.rst.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it is not.
    static func check(_ image: FilePath, against spec: ImageBuildSpec) throws {
        guard fileSize(image) == spec.size else {
            throw Failure(.infrastructure, "the image has \(fileSize(image)) bytes, not \(spec.size)")
        }
        var superblock = [UInt8](repeating: 0, count: 1024)
        do {
            let file = try FileDescriptor.open(image, .readOnly, options: .closeOnExec)
            let count = try file.closeAfter {
                try superblock.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: 1024, into: $0) }
            }
            guard count == superblock.count else { throw Errno.ioError }
        } catch {
            throw Failure(.infrastructure, "cannot read \(image)", details: "\(error)")
        }
        guard superblock[0x38] == 0x53, superblock[0x39] == 0xef else {
            throw Failure(.infrastructure, "the image holds no ext4 file system after it was written")
        }
        guard superblock[0x3a] & 1 == 1 else {
            throw Failure(.infrastructure, "the image's file system was not unmounted cleanly")
        }
        let uuid = superblock[0x68..<0x78].map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
        guard uuid == spec.uuid.filter({ $0 != "-" }) else {
            throw Failure(.infrastructure, "the image's file system is not the one that was made")
        }
    }
}
