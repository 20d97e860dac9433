import Artifacts
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import VirtualMachine

@Suite("A machine's private folder")
struct PrivateFolderTests {
    private let parent: FilePath

    init() throws {
        parent = FilePath(NSTemporaryDirectory()).appending("kbuild-tests-\(UUID().uuidString)")
        try createFolder(parent)
    }

    /// Makes a folder with a machine's socket, or a file of that name, in it that was last changed an hour ago.
    private func folder(
        _ name: String, mode: mode_t = 0o700, age: Int = 3600, hasSocket: Bool = true
    ) throws -> FilePath {
        let path = parent.appending(name)
        try createFolder(path)
        let file = path.appending("console")
        if hasSocket {
            try #require(mknod(file.string, S_IFSOCK | 0o600, 0) == 0)
        } else {
            try writeAtomically("", to: file)
        }
        chmod(path.string, mode)
        let moment = timeval(tv_sec: time(nil) - age, tv_usec: 0)
        _ = [moment, moment].withUnsafeBufferPointer { utimes(path.string, $0.baseAddress) }
        return path
    }

    @Test("what a killed kbuild left is removed, and nothing that is in use, new, somebody else's or of another form")
    func forgotten() throws {
        defer { try? removeAll(parent) }
        let forgotten = try folder("kbuild-abcdef")
        let locked = try folder("kbuild-locked")
        let kept = [
            locked, try folder("kbuild-recent", age: 1), try folder("kbuild-public", mode: 0o755),
            try folder("kbuild-longername"), try folder("others-abcdef"), try folder("kbuild-report", hasSocket: false),
        ]
        let target = try folder("target")
        symlink(target.string, parent.appending("kbuild-alinks").string)
        let descriptor = open(locked.string, O_RDONLY | O_DIRECTORY)
        defer { close(descriptor) }
        try #require(flock(descriptor, LOCK_EX | LOCK_NB) == 0)

        PrivateFolder.removeForgotten(beside: parent.appending("kbuild-XXXXXX"))
        #expect(!fileExists(forgotten))
        for path in kept + [target] { #expect(fileExists(path.appending("console")), "\(path)") }
    }

    @Test("a folder is this user's alone, stays while it is held, and goes when it is removed")
    func held() throws {
        defer { try? removeAll(parent) }
        let folder = try PrivateFolder()
        var status = stat()
        #expect(stat(folder.path.string, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
        let old = timeval(tv_sec: time(nil) - 3600, tv_usec: 0)
        _ = [old, old].withUnsafeBufferPointer { utimes(folder.path.string, $0.baseAddress) }
        PrivateFolder.removeForgotten(beside: MachineSockets.folderTemplate)
        #expect(fileExists(folder.path))
        folder.remove()
        #expect(!fileExists(folder.path))
    }
}
