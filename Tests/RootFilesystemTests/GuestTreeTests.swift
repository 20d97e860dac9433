// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Fuzzing
import Processes
import SystemPackage
import Testing

@testable import RootFilesystem

private func file(_ text: String, mode: UInt32 = 0o644) -> GuestEntry {
    GuestEntry(kind: .file(.bytes(Array(text.utf8))), mode: mode)
}

@Suite("The guest's tree", .timeLimit(.minutes(30)))
struct GuestTreeTests {
    @Test("parent folders of an entry are added, and links among them are followed")
    func folders() throws {
        var tree = GuestTree()
        try tree.add(GuestEntry(kind: .link("usr/bin"), mode: 0o777), at: "/bin")
        try tree.add(file("x"), at: "/bin/tool")
        try tree.add(file("y"), at: "/a/b/c")
        #expect(tree.sorted.map(\.path) == ["/a", "/a/b", "/a/b/c", "/bin", "/usr", "/usr/bin", "/usr/bin/tool"])
        #expect(tree.entry(at: "/bin/tool") == file("x"))
    }

    @Test("two different entries at one path, a path through a file, and circular links are refused")
    func conflicts() throws {
        var tree = GuestTree()
        try tree.add(file("x"), at: "/f")
        try tree.add(file("x"), at: "/f")
        #expect(throws: Failure.self) { try tree.add(file("y"), at: "/f") }
        #expect(throws: Failure.self) { try tree.add(file("y"), at: "/f/g") }
        try tree.add(GuestEntry(kind: .link("/two"), mode: 0), at: "/one")
        try tree.add(GuestEntry(kind: .link("/one"), mode: 0), at: "/two")
        #expect(throws: Failure.self) { try tree.add(file("y"), at: "/one/f") }
    }

    @Test(
        "an invalid path in the guest is refused",
        arguments: ["relative", "/a//b", "/a/../b", "/./a", "/a\n"])
    func paths(path: String) {
        var tree = GuestTree()
        #expect(throws: Failure.self) { try tree.add(file("x"), at: path) }
    }

    @Test("the digest depends on everything in the tree")
    func digests() throws {
        func digest(_ build: (inout GuestTree) throws -> Void) throws -> Digest {
            var tree = GuestTree()
            try build(&tree)
            return try tree.digest(with: StatCache(), strip: nil)
        }
        let digests = try [
            digest { try $0.add(file("x"), at: "/f") }, digest { try $0.add(file("y"), at: "/f") },
            digest { try $0.add(file("x"), at: "/g") }, digest { try $0.add(file("x", mode: 0o755), at: "/f") },
            digest { try $0.add(GuestEntry(kind: .link("x"), mode: 0o644), at: "/f") }, digest { _ in },
        ]
        #expect(Set(digests).count == digests.count)
        #expect(try digest { try $0.add(file("x"), at: "/f") } == digests[0])
    }
}

@Suite("A Debian system as the base", .timeLimit(.minutes(30)))
struct DebianBaseTests {
    private let layout = CacheLayout(root: FilePath(NSTemporaryDirectory()).appending("kbuild-\(UUID().uuidString)"))

    private func builder(
        suite: String? = nil, packages: [String] = ["strace", "gdb", "strace"], mirror: String? = nil,
        host: String = "ID=debian\nVERSION_CODENAME=bookworm\n"
    ) throws -> DebianBaseBuilder {
        try DebianBaseBuilder(
            store: ArtifactStore(layout: layout, statCache: StatCache()), runner: CommandRunner(), suite: suite,
            packages: packages, mirror: mirror, host: OSRelease(host))
    }

    @Test("mmdebstrap gets the suite, the packages and the mirror, and removes the host's names")
    func command() throws {
        let command = try builder(suite: "trixie", mirror: "http://mirror.example/debian").command(into: "/d raft")
        #expect(command.tool == "mmdebstrap")
        #expect(command.arguments.suffix(3) == ["trixie", "/d raft/base.tar", "http://mirror.example/debian"])
        #expect(command.arguments.contains("--include=gdb,strace"))
        #expect(command.arguments.contains("--variant=minbase"))
        #expect(command.arguments.contains { $0.contains("rm -f") && $0.contains("/etc/resolv.conf") })
        #expect(command.arguments.contains { $0.hasSuffix("download /kbuild-entries '/d raft/entries'") })
        // A suite that is not the host's comes from where mmdebstrap likes.
        #expect(try builder(suite: "trixie").command(into: "/d").arguments.last == "/d/base.tar")
    }

    @Test("the default suite is the host's; a host that is not Debian has none")
    func suite() throws {
        #expect(try builder().command(into: "/d").arguments.contains("bookworm"))
        #expect(
            try builder(host: "ID=\"debian\"\nVERSION_CODENAME='forky'\n").command(into: "/d").arguments.contains(
                "forky"))
        let failure = #expect(throws: Failure.self) { try builder(host: "ID=fedora\nVERSION_CODENAME=x\n") }
        #expect(failure?.code == .usage)
        #expect(failure?.nextStep?.contains("suite: trixie") == true)
    }

    @Test(
        "an invalid name of a suite or package is refused",
        arguments: ["", "--hook=x", "a,b", "a b", "A", "x'y", "é"])
    func names(name: String) {
        #expect(throws: Failure.self) { try builder(packages: [name]) }
        #expect(throws: Failure.self) { try builder(suite: name) }
    }

    @Test(
        "an invalid address of an archive is refused: mmdebstrap would accept options and hooks there",
        arguments: ["--customize-hook=x", "/etc/passwd", "deb http://a b c", "http://a b", "http://a\nb", ""])
    func mirrors(mirror: String) {
        #expect(throws: Failure.self) { try builder(mirror: mirror) }
    }

    @Test("the base's own files stay, missing ones are added through its links, and only those are written")
    func overlay() throws {
        let listing = [
            "d 755 usr", "", "d 755 usr/bin", "", "d 755 usr/sbin", "", "l 777 bin", "usr/bin", "l 777 sbin",
            "usr/sbin",
            "f 755 usr/bin/ls", "", "f 644 etc/fstab", "", "d 755 etc", "", "f 755 usr/sbin/init", "", "f 644 a b", "",
        ].map { $0 + "\0" }.joined()
        let base = DebianBase(key: .of("base"), archive: "/none", listing: "/none")
        var tree = GuestTree(over: base, having: try GuestTree.entries(inListing: Array(listing.utf8)))
        #expect(tree.entry(at: "/a b")?.mode == 0o644)
        try tree.add(GuestEntry(kind: .link("usr/bin"), mode: 0o777), at: "/sbin")
        try tree.add(file("mine"), at: "/bin/ls")
        try tree.add(file("tool"), at: "/bin/tool")
        try tree.addIfAbsent(GuestEntry(kind: .link("busybox"), mode: 0o777), at: "/usr/bin/ls")
        for path in ["/etc/fstab", "/sbin/init", "/usr"] { try tree.forgetBase(at: path) }
        try tree.add(file("shares"), at: "/etc/fstab")
        try tree.add(GuestEntry(kind: .link("/init"), mode: 0o777), at: "/sbin/init")
        #expect(tree.written.map(\.path) == ["/etc/fstab", "/usr/bin/tool", "/usr/sbin/init"])
        #expect(tree.entry(at: "/sbin")?.kind == .folder)

        let digest = try tree.digest(with: StatCache(), strip: nil)
        var other = GuestTree(
            over: DebianBase(key: .of("another"), archive: "/none", listing: "/none"), having: tree.entries)
        #expect(try other.digest(with: StatCache(), strip: nil) != digest)
        try other.add(file("x"), at: "/x")
        #expect(other.written.map(\.path) == ["/x"])
    }

    @Test("a truncated list is refused", arguments: ["d 755 usr\0", "d 755\0\0", "d x usr\0\0"])
    func cutListing(text: String) {
        #expect(throws: Failure.self) { try GuestTree.entries(inListing: Array(text.utf8)) }
    }
}

@Suite("Archives", .timeLimit(.minutes(30)))
struct ArchiveTests {
    /// Writes an archive and returns its bytes.
    private func bytes(_ write: (ArchiveFile) throws -> Void) throws -> [UInt8] {
        let path = FilePath(NSTemporaryDirectory()).appending("kbuild-test-\(UUID().uuidString)")
        defer { try? removeAll(path) }
        try ArchiveFile.create(path, body: write)
        return try readBytes(path)
    }

    private func tree() throws -> GuestTree {
        var tree = GuestTree()
        try tree.add(file("contents", mode: 0o755), at: "/init")
        try tree.add(GuestEntry(kind: .link("init"), mode: 0o777), at: "/link")
        try tree.add(GuestEntry(kind: .characterDevice(major: 5, minor: 1), mode: 0o600), at: "/dev/console")
        try tree.add(file(""), at: "/etc/a-name-whose-length-is-odd")
        return tree
    }

    @Test("a cpio archive has a header, a name and contents for each entry, aligned to four, and its trailer")
    func cpio() throws {
        let tree = try tree()
        let archive = try bytes { try CpioArchive(reader: GuestFileReader()).write(tree, to: $0) }
        #expect(archive.count % 512 == 0)
        var offset = 0
        var seen: [String: (mode: Int, contents: String, major: Int, minor: Int)] = [:]
        var inodes: Set<Int> = []
        while offset + 110 <= archive.count {
            let header = String(decoding: archive[offset..<(offset + 110)], as: UTF8.self)
            try #require(header.hasPrefix("070701"))
            let fields = stride(from: 6, to: 110, by: 8).compactMap { start in
                Int(header.dropFirst(start).prefix(8), radix: 16)
            }
            try #require(fields.count == 13)
            let nameStart = offset + 110
            let name = String(decoding: archive[nameStart..<(nameStart + fields[11] - 1)], as: UTF8.self)
            let start = (nameStart + fields[11] + 3) / 4 * 4
            if name == "TRAILER!!!" { break }
            let contents = String(decoding: archive[start..<(start + fields[6])], as: UTF8.self)
            seen[name] = (fields[1], contents, fields[9], fields[10])
            #expect(fields[2] == 0 && fields[3] == 0, "\(name) belongs to root")
            #expect(inodes.insert(fields[0]).inserted)
            offset = (start + fields[6] + 3) / 4 * 4
        }
        #expect(Set(seen.keys) == ["dev", "dev/console", "etc", "etc/a-name-whose-length-is-odd", "init", "link"])
        #expect(seen["init"]?.mode == 0o100755)
        #expect(seen["init"]?.contents == "contents")
        #expect(seen["link"]?.mode == 0o120777)
        #expect(seen["link"]?.contents == "init")
        #expect(seen["dev/console"]?.mode == 0o020600)
        #expect(seen["dev/console"]?.major == 5)
        #expect(seen["dev/console"]?.minor == 1)
        #expect(seen["etc"]?.mode == 0o040755)
    }

    @Test("equal trees give equal archives")
    func deterministic() throws {
        let tree = try tree()
        #expect(
            try bytes { try CpioArchive(reader: GuestFileReader()).write(tree, to: $0) }
                == bytes { try CpioArchive(reader: GuestFileReader()).write(tree, to: $0) })
        #expect(
            try bytes { try TarArchive(reader: GuestFileReader()).write(tree, to: $0) }
                == bytes { try TarArchive(reader: GuestFileReader()).write(tree, to: $0) })
    }

    @Test("tar lists the entries of a tar archive")
    func tar() throws {
        let path = FilePath(NSTemporaryDirectory()).appending("kbuild-test-\(UUID().uuidString).tar")
        defer { try? removeAll(path) }
        let tree = try tree()
        try ArchiveFile.create(path) { try TarArchive(reader: GuestFileReader()).write(tree, to: $0) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/tar")
        process.arguments = ["--list", "--verbose", "--numeric-owner", "--file", path.string]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let listing = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(listing.contains(/-rwxr-xr-x 0\/0 +8 .*init\n/))
        #expect(listing.contains(/lrwxrwxrwx 0\/0 .*link -> init\n/))
        #expect(listing.contains(/crw------- 0\/0 +5,1 .*dev\/console\n/))
    }
}

@Suite("Root file system definition", .timeLimit(.minutes(30)))
struct DefinitionTests {
    private func read(_ text: String) throws -> RootFilesystemDefinition {
        try DefinitionReader(file: "/p/rootfs.yaml").read(text)
    }

    @Test("every key is read, host paths relative to the file")
    func keys() throws {
        let definition = try read(
            """
            init: bin/init
            busybox: /bin/busybox
            swift-runtime: true
            folders: {/tmp: 1777}
            links: {/bin: usr/bin}
            files: {/etc/x: x, /etc/y: {source: y, mode: 0600}}
            texts: {/etc/z: "text"}
            """)
        #expect(definition.initProgram == "/p/bin/init")
        #expect(definition.busybox == "/bin/busybox")
        #expect(definition.includesSwiftRuntime)
        #expect(definition.folders == ["/tmp": 0o1777])
        #expect(definition.links == ["/bin": "usr/bin"])
        #expect(definition.files["/etc/x"] == .init(source: "/p/x"))
        #expect(definition.files["/etc/y"] == .init(source: "/p/y", mode: 0o600))
        #expect(definition.texts["/etc/z"]?.contents == "text")
    }

    @Test(
        "an error has its file and line, and exit code 2",
        arguments: [
            "init: 1\nnothing: 2\n", "folders: []\n", "folders: {relative: 0755}\n", "swift-runtime: maybe\n", "a: [",
        ])
    func errors(text: String) throws {
        let failure = try #require(#expect(throws: Failure.self) { try read(text) })
        #expect(failure.code == .usage)
        #expect((failure.message + (failure.details ?? "")).contains(/rootfs\.yaml:\d+/))
    }

    @Test("the repository's own definition can be read")
    func own() throws {
        let repository = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        let definition = try RootFilesystemDefinition.load(repository.pushing("rootfs/default.yaml"))
        #expect(definition.includesSwiftRuntime)
        #expect(definition.folders.keys.contains("/kbuild/programs"))
        #expect(definition.folders.keys.contains("/root/host_folder"))
    }
}

@Suite("ELF files", .timeLimit(.minutes(30)))
struct ELFFileTests {
    @Test("a real program's libraries and loader are found")
    func program() throws {
        let shell = try ELFFile("/bin/sh")
        #expect(shell.needed.contains("libc.so.6"))
        #expect(shell.interpreter?.contains("ld-linux") == true)
    }

    @Test("every truncation of a real file is an error or a result, never a trap")
    func cuts() throws {
        let bytes = try readBytes("/bin/true")
        for count in stride(from: 0, to: min(bytes.count, 4096), by: 7) {
            _ = try? ELFFile(bytes: Array(bytes.prefix(count)), path: "/cut")
        }
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<500 {
            var damaged = Array(bytes.prefix(8192))
            for _ in 0..<4 {
                damaged[Int.random(in: 0..<1024, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            _ = try? ELFFile(bytes: damaged, path: "/damaged")
        }
        #expect(throws: Failure.self) { try ELFFile(bytes: Array("#!/bin/sh".utf8), path: "/script") }
    }
}
