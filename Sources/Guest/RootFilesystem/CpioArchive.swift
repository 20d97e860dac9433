// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Writes a tree as the cpio archive that the kernel unpacks: the "new ASCII" format, magic 070701, as in the
/// kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
struct CpioArchive {
    let reader: GuestFileReader

    /// Appends the whole archive.
    ///
    /// - Throws: `Failure` when a file cannot be read or is too large for the format.
    func write(_ tree: GuestTree, to archive: ArchiveFile) throws {
        var inode: UInt32 = 1
        for placed in tree.sorted {
            let (name, entry) = (String(placed.path.dropFirst()), placed.entry)
            var header = Header(inode: inode, name: name)
            var contents: [UInt8] = []
            switch entry.kind {
            case .folder:
                header.mode = 0o040000 | entry.mode
                header.links = 2
            case .link(let target):
                header.mode = 0o120777
                contents = Array(target.utf8)
            case .characterDevice(let major, let minor):
                header.mode = 0o020000 | entry.mode
                header.deviceMajor = major
                header.deviceMinor = minor
            case .file(let source):
                header.mode = 0o100000 | entry.mode
                contents = try reader.bytes(of: source)
            }
            guard let size = UInt32(exactly: contents.count) else {
                throw Failure(.usage, "\(placed.path) is larger than the 4 GiB that an initramfs can hold")
            }
            header.size = size
            try append(header, contents, to: archive)
            inode += 1
        }
        try append(Header(inode: 0, name: "TRAILER!!!", time: 0), [], to: archive)
        // The kernel needs archives to start at multiples of 4; cpio itself rounds up to 512.
        try archive.pad(to: 512)
    }

    private struct Header {
        var inode: UInt32
        var name: String
        var mode: UInt32 = 0
        var links: UInt32 = 1
        var time: UInt32 = archiveTime
        var size: UInt32 = 0
        var deviceMajor: UInt32 = 0
        var deviceMinor: UInt32 = 0

        var text: String {
            // Magic, then 13 fields of eight hexadecimal digits. User and group are root; the last is a checksum
            // that this format does not use.
            let fields = [
                inode, mode, 0, 0, links, time, size, 0, 0, deviceMajor, deviceMinor, UInt32(name.utf8.count + 1), 0,
            ]
            return "070701"
                + fields.map { field in
                    let digits = String(field, radix: 16, uppercase: true)
                    return String(repeating: "0", count: 8 - digits.count) + digits
                }.joined()
        }
    }

    private func append(_ header: Header, _ contents: [UInt8], to archive: ArchiveFile) throws {
        try archive.write(Array(header.text.utf8) + Array(header.name.utf8) + [0])
        try archive.pad(to: 4)
        try archive.write(contents)
        try archive.pad(to: 4)
    }
}
