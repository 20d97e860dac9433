// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Writes a tree, without the entries of its base, as a POSIX ustar archive, which the libguestfs appliance unpacks:
/// see pax(1).
struct TarArchive {
    let reader: GuestFileReader

    private static let blockSize = 512

    /// Appends the whole archive.
    ///
    /// - Throws: `Failure` when a file cannot be read, or does not fit into the format.
    func write(_ tree: GuestTree, to archive: ArchiveFile) throws {
        for placed in tree.written {
            let (name, entry) = ("." + placed.path, placed.entry)
            switch entry.kind {
            case .folder:
                try append(Header(name: name + "/", type: "5", mode: entry.mode), to: archive)
            case .link(let target):
                try append(Header(name: name, type: "2", mode: 0o777, link: target), to: archive)
            case .characterDevice(let major, let minor):
                try append(
                    Header(name: name, type: "3", mode: entry.mode, major: major, minor: minor), to: archive)
            case .file(let source):
                let contents = try reader.bytes(of: source)
                try append(Header(name: name, type: "0", mode: entry.mode, size: contents.count), to: archive)
                try archive.write(contents)
                try archive.pad(to: Self.blockSize)
            }
        }
        // Two empty blocks end the archive.
        try archive.write(repeatElement(0, count: 2 * Self.blockSize))
    }

    /// A file's header in the archive.
    private struct Header {
        var name: String
        /// ustar's type flag.
        var type: Character
        var mode: UInt32
        /// Bytes.
        var size = 0
        /// A link's target.
        var link = ""
        /// A device's numbers.
        var major: UInt32 = 0
        var minor: UInt32 = 0
    }

    private func append(_ header: Header, to archive: ArchiveFile) throws {
        guard let name = Self.split(header.name), header.link.utf8.count <= 100 else {
            throw Failure(
                .usage, "the guest path \(header.name.dropFirst()) or its link's target is too long for an image")
        }
        guard header.size < 1 << 33 else {
            throw Failure(
                .usage, "\(header.name.dropFirst()) is larger than the 8 GiB that an image's file may have")
        }
        var block: [UInt8] = []
        func field(_ text: String, _ width: Int) {
            let bytes = Array(text.utf8.prefix(width))
            block += bytes + [UInt8](repeating: 0, count: width - bytes.count)
        }
        func number(_ value: some BinaryInteger, _ width: Int) {
            let digits = String(value, radix: 8)
            field(String(repeating: "0", count: max(0, width - 1 - digits.utf8.count)) + digits, width)
        }
        field(name.base, 100)
        number(header.mode, 8)
        number(0, 8)
        number(0, 8)
        number(header.size, 12)
        number(archiveTime, 12)
        // The checksum is computed with its own field blank.
        field("        ", 8)
        field(String(header.type), 1)
        field(header.link, 100)
        field("ustar", 6)
        field("00", 2)
        field("root", 32)
        field("root", 32)
        number(header.major, 8)
        number(header.minor, 8)
        field(name.prefix, 155)
        field("", 12)
        let sum = block.reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        let checksum = Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 0x20]
        block.replaceSubrange(148..<156, with: checksum)
        try archive.write(block)
    }

    /// A name in ustar's format.
    struct SplitName: Equatable {
        /// At most 155 bytes.
        var prefix = ""
        /// At most 100 bytes.
        var base: String
    }

    /// Splits a long name at a slash. Nil when this is not possible.
    static func split(_ name: String) -> SplitName? {
        if name.utf8.count <= 100 { return SplitName(base: name) }
        let bytes = Array(name.utf8)
        for index in bytes.indices.reversed() where bytes[index] == UInt8(ascii: "/") {
            let base = bytes.count - index - 1
            if base > 100 { return nil }
            if base > 0, index <= 155 {
                return SplitName(
                    prefix: String(decoding: bytes[..<index], as: UTF8.self),
                    base: String(decoding: bytes[(index + 1)...], as: UTF8.self))
            }
        }
        return nil
    }
}
