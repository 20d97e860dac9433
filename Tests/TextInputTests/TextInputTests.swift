// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Glibc
import Processes
import SystemPackage
import Testing
import TextInput

@Suite(.timeLimit(.minutes(30))) struct TextInputTests {
    private let input = TextInput("notes.txt", as: "a patch", code: .patch)

    private func failure(_ bytes: [UInt8], isText: Bool = false) -> Failure? {
        do {
            _ = isText ? Array(try input.text(decoding: bytes).utf8) : try input.bytes(decoding: bytes)
            return nil
        } catch {
            return error
        }
    }

    /// `text` in UTF-16 or UTF-32, with its mark.
    private func wide(_ text: String, width: Int, isBig: Bool) -> [UInt8] {
        let units: [UInt32] =
            width == 2 ? ("\u{FEFF}" + text).utf16.map(UInt32.init) : ("\u{FEFF}" + text).unicodeScalars.map(\.value)
        return units.flatMap { unit -> [UInt8] in
            let bytes = (0..<width).map { UInt8(truncatingIfNeeded: unit >> (8 * UInt32($0))) }
            return isBig ? bytes.reversed() : bytes
        }
    }

    /// What a Debian tool makes of `bytes`.
    private func compressed(_ bytes: [UInt8], _ tool: String, file: String = #function) async throws -> [UInt8] {
        let path = FilePath("/tmp/kbuild-text-input-\(getpid())-\(UInt32.random(in: 0 ... .max))")
        defer { for suffix in ["", ".out"] { unlink(path.string + suffix) } }
        let target = FilePath(path.string + ".out")
        try write(bytes, to: path)
        let script = "\(tool) -c < \(path.string) > \(target.string)"
        let result = try await CommandRunner().capture(Command("sh", ["-c", script]))
        #expect(result.status.isSuccess)
        let output = try FileDescriptor.open(target, .readOnly)
        return try output.closeAfter {
            let size = try output.seek(offset: 0, from: .end)
            try output.seek(offset: 0, from: .start)
            return try [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, count in
                count = try output.read(into: UnsafeMutableRawBufferPointer(buffer))
            }
        }
    }

    private func write(_ bytes: [UInt8], to path: FilePath) throws {
        let file = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        try file.closeAfter { _ = try file.writeAll(bytes) }
    }

    @Test func bytesStayAsTheyAre() throws {
        for text in ["", "a", "a\r\nb\n\r", "\u{1}caf\u{e9}\n"] {
            #expect(try input.bytes(decoding: Array(text.utf8)) == Array(text.utf8))
        }
        #expect(try input.bytes(decoding: [0x61, 0xE9, 0x0A]) == [0x61, 0xE9, 0x0A])
    }

    @Test(arguments: [2, 4], [false, true]) func readsWideCharactersByTheirMark(width: Int, isBig: Bool) throws {
        let text = "diff --git a/x b/x\r\n+ é € 😀\r\n" + String(repeating: "+ line\n", count: 500)
        #expect(try input.bytes(decoding: wide(text, width: width, isBig: isBig)) == Array(text.utf8))
    }

    @Test func dropsTheMarkOfUTF8() throws {
        #expect(try input.bytes(decoding: [0xEF, 0xBB, 0xBF, 0x61]) == [0x61])
        #expect(try input.bytes(decoding: [0xEF, 0xBB, 0xBF]) == [])
    }

    @Test func namesWideCharactersWithoutAMarkAndDamagedOnes() {
        let text = "--- a/kernel/sys.c\n+++ b/kernel/sys.c\n"
        let bare = Array(wide(text, width: 2, isBig: false).dropFirst(2))
        #expect(failure(bare)?.message == "notes.txt is UTF-16 without a byte order mark")
        #expect(failure(bare)?.nextStep?.contains("UTF-16LE") == true)
        let cut = Array(wide(text, width: 2, isBig: false).dropLast())
        #expect(failure(cut)?.message.contains("ends within a character") == true)
        let half = wide(text, width: 2, isBig: false) + [0x00, 0xD8, 0x61, 0x00]
        #expect(failure(half)?.message.contains("damaged") == true)
    }

    @Test(arguments: ["gzip", "xz", "zstd -q", "bzip2"]) func decompresses(tool: String) async throws {
        let text = (0..<20_000).map { "+\tline \($0)\n" }.joined()
        let packed = try await compressed(Array(text.utf8), tool)
        #expect(try input.bytes(decoding: packed) == Array(text.utf8))
        let name = tool.prefix { $0 != " " }
        #expect(failure(Array(packed.prefix(packed.count / 2)))?.message.contains("compressed by \(name)") == true)
        #expect(failure(try await compressed(packed, "gzip"))?.message.contains("compressed twice") == true)
        // As a file and in pieces.
        let path = FilePath("/tmp/kbuild-text-input-\(getpid())-\(name)")
        defer { unlink(path.string) }
        try write(packed, to: path)
        #expect(try input.bytes(of: path) == Array(text.utf8))
        var streamed: [UInt8] = []
        #expect(try input.stream(path) { streamed += $0 } == text.utf8.count)
        #expect(streamed == Array(text.utf8))
    }

    @Test func decompressesNoMoreThanTheLimit() async throws {
        let zeros = try await compressed([UInt8](repeating: 0x20, count: 3 << 20), "xz")
        let small = TextInput("bomb.xz", as: "a patch", code: .patch, limit: 1 << 20)
        #expect(throws: Failure.self) { try small.bytes(decoding: zeros) }
        do {
            _ = try small.bytes(decoding: zeros)
        } catch {
            #expect(error.message == "bomb.xz holds more than 1 MB when decompressed")
        }
    }

    @Test(arguments: [
        ("  \n<!DOCTYPE html><html>", "an HTML page"), ("<html lang=\"en\">", "an HTML page"),
        ("<?xml version=\"1.0\"?>\n<html>", "an HTML page"), ("PK\u{3}\u{4}rest of it", "a ZIP archive"),
        ("%PDF-1.7 and so on", "a PDF file"), ("# v2 git bundle\nabc", "a git bundle"),
        ("version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    ]) func namesWhatIsNoText(text: String, what: String) {
        #expect(failure(Array(text.utf8))?.message == "notes.txt is \(what), not a patch")
        #expect(failure(Array(text.utf8))?.code == .patch)
    }

    @Test func anHTMLPageInUTF16IsOneToo() {
        #expect(failure(wide("<!DOCTYPE html>", width: 2, isBig: false))?.message.contains("an HTML page") == true)
    }

    @Test(arguments: ["a\nb\n", "a\r\nb\r\n", "a\nb\r\n", "a\r\nb\n", "a\rb\r", "a\r\r\nb\n", "a\nb\n\u{1A}"])
    func textHasOneFormOfLineEnd(form: String) throws {
        #expect(try input.text(decoding: Array(form.utf8)) == "a\nb\n")
    }

    @Test func theLastLineMayBeWithoutItsEnd() throws {
        #expect(try input.text(decoding: Array("a\r\nb".utf8)) == "a\nb")
        #expect(try input.text(decoding: Array("a\r\nb\r".utf8)) == "a\nb")
    }

    @Test func namesTheLineThatIsNoText() {
        #expect(
            failure(Array("a\nb\rc\n".utf8), isText: true)?.message
                == "notes.txt:2: the line has a carriage return (CR) in its middle")
        #expect(failure([0x61, 0x0A, 0x62, 0, 0x0A], isText: true)?.message.contains(":2: the line has a NUL") == true)
        #expect(
            failure(Array("a=".utf8) + [0xE4, 0x0A], isText: true)?.message
                == "notes.txt:1: the line is not UTF-8: byte 0xe4 in column 3")
    }

    @Test func commentsMayBeLatin1() throws {
        #expect(try input.text(decoding: Array("# f".utf8) + [0xFC, 0x72, 0x0A]) == "# für\n")
        #expect(try input.text(decoding: Array("a: 1 # f".utf8) + [0xFC, 0x72, 0x0A]) == "a: 1 # für\n")
    }

    @Test func namesAFileThatCannotBeRead() {
        #expect(throws: Failure.self) { try input.bytes(of: "/nonexistent/file") }
    }

    @Test("a pipe in place of a file is refused; one that a shell opened is read")
    func pipes() throws {
        let name = "/tmp/kbuild-text-\(getpid()).pipe"
        #expect(mkfifo(name, 0o600) == 0)
        defer { unlink(name) }
        let refusal = #expect(throws: Failure.self) { try input.bytes(of: FilePath(name)) }
        #expect(refusal?.message == "\(name) is a named pipe, not a file")
        let ends = try FileDescriptor.pipe()
        _ = try ends.writeEnd.writeAll(Array("a\n".utf8))
        try ends.writeEnd.close()
        #expect(try input.bytes(of: FilePath("/dev/fd/\(ends.readEnd.rawValue)")) == Array("a\n".utf8))
        try ends.readEnd.close()
    }
}
