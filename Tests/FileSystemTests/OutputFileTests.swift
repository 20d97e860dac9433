// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import FileSystem

@Suite("Output files", .timeLimit(.minutes(30)))
struct OutputFileTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private let text = Array("results\n".utf8)

    private func contents(_ path: FilePath) throws -> String {
        try String(contentsOfFile: path.string, encoding: .utf8)
    }

    private func kind(_ path: FilePath) -> mode_t? {
        var status = stat()
        return lstat(path.string, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    @Test("a new file is created, and an existing one replaced atomically, without a temporary file left")
    func files() throws {
        let path = scratch.path.appending("r.xml")
        try writeOutput(text, to: path)
        try writeOutput(Array("more".utf8), to: path)
        #expect(try contents(path) == "more")
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path.string) == ["r.xml"])
        #expect(throws: OutputError.self) { try writeOutput(text, to: scratch.path.appending("none").appending("r")) }
        #expect(throws: OutputError.self) { try writeOutput(text, to: scratch.folder("folder")) }
    }

    @Test("an earlier run's file is removed; anything that is not a file stays, and so does a link's target")
    func removal() throws {
        let file = scratch.path.appending("old.xml")
        try writeOutput(text, to: file)
        try removeOutput(at: file)
        #expect(kind(file) == nil)
        try removeOutput(at: file)
        try removeOutput(at: scratch.path.appending("none/old.xml"))
        let kept = scratch.path.appending("kept")
        try writeOutput(text, to: kept)
        let link = scratch.path.appending("link")
        #expect(symlink("kept", link.string) == 0)
        try removeOutput(at: link)
        #expect(kind(link) == nil)
        #expect(try contents(kept) == "results\n")
        let pipe = scratch.path.appending("pipe")
        try #require(mkfifo(pipe.string, 0o600) == 0)
        for path in [pipe, scratch.folder("folder"), "/dev/null", "/dev/stdout"] {
            let before = kind(path)
            try removeOutput(at: path)
            #expect(kind(path) == before)
        }
    }

    @Test("a device stays a device, and the text is written to it")
    func device() throws {
        let node = scratch.path.appending("null")
        if mknod(node.string, S_IFCHR | 0o600, makeDevice(1, 3)) == 0 {
            // A file system may be mounted without devices; then the node is refused, and stays as well.
            try? writeOutput(text, to: node)
            #expect(kind(node) == S_IFCHR)
        }
        try writeOutput(text, to: "/dev/null")
        #expect(kind("/dev/null") == S_IFCHR)
        // Without room there is an error, and no file in its place.
        #expect(throws: OutputError.self) { try writeOutput(text, to: "/dev/full") }
        #expect(kind("/dev/full") == S_IFCHR)
    }

    private func makeDevice(_ major: UInt64, _ minor: UInt64) -> dev_t { dev_t(major << 8 | minor) }

    @Test("a FIFO is written to")
    func fifo() throws {
        let path = scratch.path.appending("fifo")
        try #require(mkfifo(path.string, 0o600) == 0)
        let reader = open(path.string, O_RDWR | O_NONBLOCK)
        defer { close(reader) }
        try writeOutput(text, to: path)
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(read(reader, &buffer, buffer.count) == text.count)
        #expect(kind(path) == S_IFIFO)
    }

    @Test("a socket is written to, by its path or as an open descriptor, and so is a pipe in /dev/fd")
    func sockets() throws {
        var pair: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        defer { for descriptor in pair { close(descriptor) } }
        var pipes: [Int32] = [-1, -1]
        try #require(pipe(&pipes) == 0)
        defer { for descriptor in pipes { close(descriptor) } }
        var buffer = [UInt8](repeating: 0, count: 100)
        try writeOutput(text, to: FilePath("/dev/fd/\(pair[0])"))
        #expect(read(pair[1], &buffer, buffer.count) == text.count)
        try writeOutput(text, to: FilePath("/proc/self/fd/\(pipes[1])"))
        #expect(read(pipes[0], &buffer, buffer.count) == text.count)

        let path = scratch.path.appending("s")
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.string.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0 && listen(listener, 1) == 0)
        try writeOutput(text, to: path)
        let connection = accept(listener, nil, nil)
        defer { close(connection) }
        #expect(read(connection, &buffer, buffer.count) == text.count)
        #expect(kind(path) == S_IFSOCK)
    }

    @Test("a link to a file, to nothing or to a device is replaced; its target stays")
    func links() throws {
        let victim = try scratch.file("victim", bytes: 3)
        for target in [victim.string, scratch.path.appending("nothing").string, "/dev/null"] {
            let path = scratch.path.appending("out")
            unlink(path.string)
            try #require(symlink(target, path.string) == 0)
            try writeOutput(text, to: path)
            #expect(kind(path) == S_IFREG)
        }
        #expect(try contents(victim) == "xxx")
        #expect(kind(scratch.path.appending("nothing")) == nil)
    }

    @Test(
        "a report folder that is a link, or is not a folder, is refused; links in place of its files are replaced"
    )
    func folders() throws {
        let outside = try Scratch()
        let victim = try outside.file("console.log", bytes: 3)
        let path = scratch.path.appending("report")
        try OutputFolder.check(path)
        #expect(kind(path) == nil)
        symlink(outside.path.string, path.string)
        #expect(throws: OutputError.self) { try OutputFolder.check(path) }
        #expect(throws: OutputError.self) { try OutputFolder(path) }
        unlink(path.string)
        try Data().write(to: URL(fileURLWithPath: path.string))
        #expect(throws: OutputError.self) { try OutputFolder(path) }
        unlink(path.string)

        let folder = try OutputFolder(path)
        symlink(victim.string, path.appending("report.json").string)
        symlink(victim.string, path.appending("console.log").string)
        _ = scratch.folder("report", "console-2.log")
        try scratch.file("report", "console-3.log")
        try scratch.file("report", "mine.log")
        try folder.write(text, as: "report.json")
        try folder.removeFiles { $0.hasPrefix("console") }
        #expect(kind(path.appending("report.json")) == S_IFREG)
        #expect(kind(path.appending("console.log")) == S_IFLNK)
        #expect(kind(path.appending("console-2.log")) == S_IFDIR)
        #expect(kind(path.appending("console-3.log")) == nil)
        #expect(kind(path.appending("mine.log")) == S_IFREG)
        #expect(try contents(victim) == "xxx")
        for name in ["", "..", "a/b", "."] { #expect(throws: OutputError.self) { try folder.write(text, as: name) } }
        // The folder that was opened is the one that is written to.
        rename(path.string, scratch.path.appending("moved").string)
        symlink(outside.path.string, path.string)
        try folder.write(text, as: "late")
        #expect(try contents(scratch.path.appending("moved").appending("late")) == "results\n")
        #expect(try FileManager.default.contentsOfDirectory(atPath: outside.path.string) == ["console.log"])
    }

    @Test("a relative path does not leave the working directory by a link in place of a folder")
    func relative() async throws {
        let outside = try Scratch()
        symlink(outside.path.string, scratch.path.appending("out").string)
        _ = scratch.folder("in")
        symlink("in", scratch.path.appending("alias").string)
        // The working directory is the process's.
        await #expect(processExitsWith: .success) {
            [path = scratch.path.string as String, other = outside.path.string as String] in
            guard chdir(path) == 0 else { exit(10) }
            do {
                try writeOutput([0x61], to: "out/r.xml")
                exit(11)
            } catch let error as OutputError {
                guard error.description.contains(other), error.nextStep != nil else { exit(12) }
            } catch { exit(13) }
            do {
                for file in ["in/r.xml", "alias/s.xml", "r.xml"] { try writeOutput([0x61], to: FilePath(file)) }
                try writeOutput([0x61], to: FilePath("\(path)/out/named.xml"))
            } catch { exit(14) }
            exit(access("\(other)/r.xml", F_OK) == 0 || access("\(path)/in/s.xml", F_OK) != 0 ? 15 : 0)
        }
    }
}
