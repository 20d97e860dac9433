// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import VirtualMachine

@Suite("A machine's private folder", .timeLimit(.minutes(30)))
struct PrivateFolderTests {
    private let parent: FilePath

    init() throws {
        parent = FilePath(NSTemporaryDirectory()).appending("kbuild-tests-\(UUID().uuidString)")
        try createFolder(parent)
    }

    /// Makes a folder as a killed kbuild leaves it, changed an hour ago: the marker of a folder of now is copied.
    private func folder(_ name: String, mode: mode_t = 0o700, isMarked: Bool = true) throws -> FilePath {
        let path = parent.appending(name)
        try createFolder(path)
        try #require(mknod(path.appending("console").string, S_IFSOCK | 0o600, 0) == 0)
        if isMarked {
            let own = try PrivateFolder()
            defer { own.remove() }
            let names = try namesInFolder(own.path)
            #expect(names.count == 1)
            for name in names { try copyFile(own.path.appending(name), to: path.appending(name)) }
        }
        chmod(path.string, mode)
        age(path)
        return path
    }

    private func age(_ path: FilePath) {
        let moment = timeval(tv_sec: time(nil) - 3600, tv_usec: 0)
        _ = [moment, moment].withUnsafeBufferPointer { utimes(path.string, $0.baseAddress) }
    }

    private func marker(in folder: FilePath) throws -> FilePath {
        let names = try namesInFolder(folder).filter { $0 != "console" }
        return folder.appending(try #require(names.first))
    }

    @Test("a killed kbuild's folders are removed, but none that are in use, of another user or of another form")
    func forgotten() throws {
        defer { try? removeAll(parent) }
        let forgotten = try folder("kbuild-abcdef")
        let locked = try folder("kbuild-locked")
        // A usual name for `make O=`, of this length, and only this user's: the name and the age say nothing.
        let output = try folder("kbuild-output", isMarked: false)
        let empty = parent.appending("kbuild-report")
        try createFolder(empty)
        try writeAtomically("", to: empty.appending("console"))
        chmod(empty.string, 0o700)
        age(empty)
        let forged = try folder("kbuild-forged")
        try writeAtomically("another text", to: try marker(in: forged))
        let linked = try folder("kbuild-linked")
        let elsewhere = try marker(in: try folder("elsewhere"))
        let link = try marker(in: linked)
        unlink(link.string)
        symlink(elsewhere.string, link.string)
        let kept = [
            locked, output, empty, forged, linked, try folder("kbuild-public", mode: 0o755),
            try folder("kbuild-longername"), try folder("others-abcdef"),
        ]
        let target = try folder("target")
        symlink(target.string, parent.appending("kbuild-alinks").string)
        let descriptor = open(try marker(in: locked).string, O_RDONLY)
        defer { close(descriptor) }
        try #require(flock(descriptor, LOCK_EX | LOCK_NB) == 0)

        PrivateFolder.removeForgotten(beside: parent.appending("kbuild-XXXXXX"))
        #expect(!fileExists(forgotten))
        for path in kept + [target] { #expect(fileExists(path.appending("console")), "\(path)") }
    }

    @Test("a folder is accessible only to this user, stays while it is held, and can be removed")
    func held() throws {
        defer { try? removeAll(parent) }
        let folder = try PrivateFolder()
        var status = stat()
        #expect(stat(folder.path.string, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
        age(folder.path)
        PrivateFolder.removeForgotten(beside: MachineSockets.folderTemplate)
        #expect(fileExists(folder.path))
        folder.remove()
        #expect(!fileExists(folder.path))
    }
}
