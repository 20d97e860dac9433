// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// The part of a 64-bit little-endian ELF file that the dynamic loader reads: see elf(5).
struct ELFFile: Sendable, Equatable {
    /// e_machine: 62 is x86-64.
    var machine: UInt16
    /// The program interpreter, which is the dynamic loader; nil for a library or a static program.
    var interpreter: String?
    /// DT_NEEDED: names of shared libraries, in order.
    var needed: [String] = []
    /// DT_SONAME.
    var soname: String?
    /// DT_RUNPATH, or DT_RPATH if there is none: folders, in which `$ORIGIN` is the file's own folder.
    var runpath: [String] = []

    /// The most bytes of headers and strings to accept from a file. Real ones need a few hundred kilobytes; C++
    /// libraries' string tables a few megabytes.
    static let sizeLimit: UInt64 = 64 << 20

    /// A file that needs nothing.
    init(machine: UInt16) {
        self.machine = machine
    }

    /// Reads a file's headers and dynamic section, not its whole contents.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be read, is not a 64-bit little-endian ELF file, or points
    ///   outside itself.
    init(_ path: FilePath) throws(Failure) {
        self = try Source.reading(path) { (source) throws(Failure) in try ELFFile(source) }
    }

    /// Reads the headers from bytes in memory. `path` is named in errors.
    init(bytes: [UInt8], path: FilePath) throws(Failure) {
        try self.init(
            Source(size: UInt64(bytes.count), path: path) { offset, buffer in
                let part = bytes[Int(offset)..<min(bytes.count, Int(offset) + buffer.count)]
                buffer.copyBytes(from: part)
                return part.count
            })
    }

    private init(_ source: Source) throws(Failure) {
        let header = try source.bytes(at: 0, count: 64)
        guard header.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { throw source.damaged("it has no ELF magic") }
        guard header[4] == 2, header[5] == 1 else { throw source.damaged("it is not 64-bit little-endian") }
        machine = UInt16(truncatingIfNeeded: header.number(at: 18, bytes: 2))
        let programHeaders = try ProgramHeader.read(header, from: source)

        if let header = programHeaders.first(where: { $0.type == ProgramHeader.interpreter }) {
            let bytes = try source.bytes(at: header.offset, count: header.size)
            interpreter = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard let dynamic = programHeaders.first(where: { $0.type == ProgramHeader.dynamic }) else { return }
        try readDynamicSection(dynamic, of: programHeaders, from: source)
    }

    private mutating func readDynamicSection(
        _ dynamic: ProgramHeader, of headers: [ProgramHeader], from source: Source
    ) throws(Failure) {
        let bytes = try source.bytes(at: dynamic.offset, count: dynamic.size)
        var tags: [(tag: UInt64, value: UInt64)] = []
        for start in stride(from: 0, through: bytes.count - 16, by: 16) {
            let tag = bytes.number(at: start, bytes: 8)
            if tag == 0 { break }
            tags.append((tag, bytes.number(at: start + 8, bytes: 8)))
        }
        guard let address = tags.first(where: { $0.tag == 5 })?.value,
            let size = tags.first(where: { $0.tag == 10 })?.value
        else { return }
        // The string table is given by its address in memory; the segment that contains it gives its place in the file.
        guard
            let segment = headers.first(where: { header in
                header.type == ProgramHeader.load && address >= header.address
                    && address - header.address < header.size
            })
        else { throw source.damaged("its string table lies in no segment") }
        let (offset, overflows) = segment.offset.addingReportingOverflow(address - segment.address)
        if overflows { throw source.damaged("its string table lies outside the file") }
        let strings = try source.bytes(at: offset, count: size)

        func string(at index: UInt64) throws(Failure) -> String {
            guard index < UInt64(strings.count) else { throw source.damaged("a name lies outside its string table") }
            return String(decoding: strings[Int(index)...].prefix { $0 != 0 }, as: UTF8.self)
        }
        var rpath: [String] = []
        for (tag, value) in tags {
            switch tag {
            case 1: needed.append(try string(at: value))
            case 14: soname = try string(at: value)
            case 15: rpath = try string(at: value).split(separator: ":").map(String.init)
            case 29: runpath = try string(at: value).split(separator: ":").map(String.init)
            default: break
            }
        }
        if runpath.isEmpty { runpath = rpath }
    }

    private struct ProgramHeader {
        static let load: UInt64 = 1
        static let dynamic: UInt64 = 2
        static let interpreter: UInt64 = 3

        var type: UInt64
        var offset: UInt64
        var address: UInt64
        var size: UInt64

        static func read(_ header: [UInt8], from source: Source) throws(Failure) -> [ProgramHeader] {
            let offset = header.number(at: 32, bytes: 8)
            let entrySize = header.number(at: 54, bytes: 2)
            let count = header.number(at: 56, bytes: 2)
            guard count == 0 || entrySize >= 56 else { throw source.damaged("its program headers are too small") }
            let table = try source.bytes(at: offset, count: entrySize * count)
            return (0..<Int(count)).map { index in
                let start = index * Int(entrySize)
                return ProgramHeader(
                    type: table.number(at: start, bytes: 4), offset: table.number(at: start + 8, bytes: 8),
                    address: table.number(at: start + 16, bytes: 8), size: table.number(at: start + 32, bytes: 8))
            }
        }
    }

    /// A file of a known size that is read piece by piece, never past its end.
    struct Source {
        var size: UInt64
        var path: FilePath
        var read: (Int64, UnsafeMutableRawBufferPointer) throws -> Int

        /// Opens a file while `body` reads it.
        static func reading<Value>(_ path: FilePath, _ body: (Source) throws(Failure) -> Value) throws(Failure) -> Value
        {
            do {
                let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
                let parsed: Result<Value, Failure> = try file.closeAfter {
                    guard let status = FileStatus(ofDescriptor: file.rawValue) else { throw Errno(rawValue: errno) }
                    let source = Source(size: UInt64(max(0, status.size)), path: path) { offset, buffer in
                        try file.read(fromAbsoluteOffset: offset, into: buffer)
                    }
                    return Result { () throws(Failure) in try body(source) }
                }
                return try parsed.get()
            } catch let failure as Failure {
                throw failure
            } catch {
                throw Failure(.infrastructure, "cannot read \(path)", details: "\(error)")
            }
        }

        func bytes(at offset: UInt64, count: UInt64) throws(Failure) -> [UInt8] {
            guard offset <= size, count <= size - offset, count <= ELFFile.sizeLimit else {
                throw damaged("a part of it lies outside the file")
            }
            do {
                return try [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
                    let raw = UnsafeMutableRawBufferPointer(buffer)
                    while initialized < Int(count) {
                        let rest = UnsafeMutableRawBufferPointer(rebasing: raw[initialized..<Int(count)])
                        let read = try read(Int64(offset) + Int64(initialized), rest)
                        if read == 0 { throw Errno.ioError }
                        initialized += read
                    }
                }
            } catch {
                throw Failure(.infrastructure, "cannot read \(path)", details: "\(error)")
            }
        }

        func damaged(_ why: String) -> Failure {
            Failure(.infrastructure, "\(path) is not an ELF file that can be loaded: \(why)")
        }
    }
}

extension [UInt8] {
    /// The little-endian number of `bytes` bytes at `start`, which the caller has checked to be within the array.
    func number(at start: Int, bytes: Int) -> UInt64 {
        (0..<bytes).reduce(0) { $0 | UInt64(self[start + $1]) << (8 * UInt64($1)) }
    }
}
