import Artifacts
import Diagnostics
import Glibc
import SystemPackage

/// The command records of an output folder: for each target that make's if_changed macros made, a file `.NAME.cmd` with
/// the command and, of a compilation, every file that it read (scripts/Kbuild.include, scripts/basic/fixdep).
struct CommandRecords {
    /// A record that names something.
    struct Mention: Hashable {
        /// The record's target, relative to the output folder.
        var target: String
        /// The name as the record has it, resolved from the output folder, which is where make's recipes run.
        var path: FilePath
    }

    let output: FilePath
    /// The targets that have a record, relative to the output folder.
    let targets: [String]
    /// The folders of the output, relative to it.
    let folders: [String]

    /// Finds the records of an output folder.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a folder cannot be read; `CancellationError`.
    init(output: FilePath) throws {
        self.output = output
        var targets: [String] = []
        var folders: [String] = []
        for entry in try TreeScan(of: output).entries {
            switch entry.kind {
            case .folder: folders.append(entry.path)
            case .file, .program:
                if let target = Self.target(ofRecord: entry.path) { targets.append(target) }
            case .link: break
            }
        }
        self.targets = targets
        self.folders = folders
    }

    /// The target whose record lies at `path`: `kernel/fork.o` for `kernel/.fork.o.cmd`.
    static func target(ofRecord path: String) -> String? {
        let name = path.split(separator: "/").last ?? ""
        guard name.hasPrefix("."), name.hasSuffix(".cmd"), name.utf8.count > 5 else { return nil }
        return "\(path.dropLast(name.count))\(name.dropFirst().dropLast(4))"
    }

    /// Where the record of a target lies, relative to the output folder.
    static func record(of target: String) -> String {
        let name = target.split(separator: "/").last ?? ""
        return "\(target.dropLast(name.count)).\(name).cmd"
    }

    /// Every place where a record has a path with one of these last components.
    ///
    /// Records are read anew each time: an index of them would be one more thing that could be out of date, and reading
    /// 40 MB from the page cache takes some hundredths of a second.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a record cannot be read; `CancellationError`.
    func mentions(ofNames names: Set<String>) throws -> Set<Mention> {
        var found: Set<Mention> = []
        var buffer = ReadBuffer()
        let needles = names.map(Needle.init)
        for target in targets {
            try Task.checkCancellation()
            try buffer.read(output.pushing(FilePath(Self.record(of: target))))
            for needle in needles {
                buffer.forEachWord(endingWith: needle) { word in
                    found.insert(Mention(target: target, path: output.pushing(FilePath(word)).lexicallyNormalized()))
                }
            }
        }
        return found
    }

    /// The words of the command that made a target.
    ///
    /// - Throws: `Failure` (`infrastructure`) when its record cannot be read.
    func command(of target: String) throws -> [Substring] {
        // The first line; 6.1 writes `cmd_TARGET := COMMAND`, later kernels `savedcmd_TARGET := COMMAND`.
        let text = try readText(output.pushing(FilePath(Self.record(of: target))))
        return text.prefix { $0 != "\n" }.split { " \t;|\"'".contains($0) }
    }
}

/// A file's bytes in memory that is used again for the next file.
private struct ReadBuffer {
    private var bytes = [UInt8](repeating: 0, count: 1 << 18)
    private var count = 0

    mutating func read(_ path: FilePath) throws {
        let descriptor = open(path.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(.infrastructure, "cannot read \(path)", details: errnoText()) }
        defer { close(descriptor) }
        count = 0
        while true {
            if count == bytes.count { bytes += [UInt8](repeating: 0, count: bytes.count) }
            let got = bytes.withUnsafeMutableBytes { raw in
                Glibc.read(descriptor, raw.baseAddress.map { $0 + count }, raw.count - count)
            }
            guard got >= 0 else { throw Failure(.infrastructure, "cannot read \(path)", details: errnoText()) }
            if got == 0 { return }
            count += got
        }
    }

    /// Hands over each word that is `needle`, or a path that ends with the component `needle`.
    func forEachWord(endingWith needle: Needle, _ body: (String) -> Void) {
        bytes.withUnsafeBytes { raw in
            var offset = 0
            while let start = needle.first(in: raw, from: offset, to: count) {
                let end = start + needle.bytes.count
                offset = end
                guard end == count || Self.isBoundary(raw[end]) else { continue }
                var first = start
                while first > 0, !Self.isBoundary(raw[first - 1]) { first -= 1 }
                guard first == start || raw[start - 1] == UInt8(ascii: "/") else { continue }
                body(String(decoding: UnsafeRawBufferPointer(rebasing: raw[first..<end]), as: UTF8.self))
            }
        }
    }

    /// What cannot be part of a path in a record: blanks, and what the shell and make set words apart by.
    private static func isBoundary(_ byte: UInt8) -> Bool {
        switch byte {
        case 0...0x20, UInt8(ascii: "\\"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "\""), UInt8(ascii: "'"),
            UInt8(ascii: ";"), UInt8(ascii: ","), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "|"):
            true
        default: false
        }
    }
}

/// Bytes to look for, by Horspool's method: most of the haystack is never looked at.
private struct Needle {
    let bytes: [UInt8]
    /// How far to go on when the last byte compared is this one.
    private var skips: [Int]

    init(_ text: String) {
        bytes = Array(text.utf8)
        skips = [Int](repeating: max(bytes.count, 1), count: 256)
        for (index, byte) in bytes.enumerated().dropLast() { skips[Int(byte)] = bytes.count - 1 - index }
    }

    /// Where the bytes first occur; nil when they do not.
    func first(in haystack: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Int? {
        guard let last = bytes.last, let base = haystack.baseAddress else { return nil }
        return bytes.withUnsafeBufferPointer { needle in
            skips.withUnsafeBufferPointer { skips in
                var position = start + needle.count - 1
                while position < end {
                    let byte = haystack[position]
                    let candidate = position - needle.count + 1
                    if byte == last, let own = needle.baseAddress, memcmp(base + candidate, own, needle.count) == 0 {
                        return candidate
                    }
                    position += skips[Int(byte)]
                }
                return nil
            }
        }
    }
}
