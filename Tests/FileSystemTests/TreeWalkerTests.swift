// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import FileSystem

/// A folder that is removed after the test, without the tested functions.
final class Scratch {
    let path: FilePath

    init() throws {
        path = FilePath(FileManager.default.temporaryDirectory.path).appending("kbuild-walk-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: false)
    }

    deinit {
        let remover = Process()
        remover.executableURL = URL(fileURLWithPath: "/bin/rm")
        remover.arguments = ["-rf", "--", path.string]
        try? remover.run()
        remover.waitUntilExit()
    }

    func folder(_ names: String...) -> FilePath {
        let folder = names.reduce(path) { $0.appending($1) }
        try? FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true)
        return folder
    }

    @discardableResult
    func file(_ names: String..., bytes: Int = 1) throws -> FilePath {
        let file = names.reduce(path) { $0.appending($1) }
        try FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try Data(repeating: 0x78, count: bytes).write(to: URL(fileURLWithPath: file.string))
        return file
    }

    /// Creates `depth` nested folders, with a file of `bytes` bytes in each.
    func nest(_ depth: Int, name: String = "d", bytes: Int) throws {
        var folder = open(path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(folder) }
        let contents = [UInt8](repeating: 0x78, count: bytes)
        for _ in 0..<depth {
            try #require(mkdirat(folder, name, 0o755) == 0)
            let next = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            close(folder)
            folder = next
            let descriptor = FileDescriptor(rawValue: try descriptorOfNewFile("f", in: folder))
            _ = try descriptor.closeAfter { try descriptor.writeAll(contents) }
        }
    }

    private func descriptorOfNewFile(_ name: String, in folder: Int32) throws -> Int32 {
        // openat(2) with a mode is variadic, so mknodat(2) creates the file first.
        try #require(mknodat(folder, name, S_IFREG | 0o644, 0) == 0)
        let descriptor = openat(folder, name, O_WRONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        return descriptor
    }
}

/// Records the entries of a walk, and calls a function at each.
private struct Recorder: TreeVisitor {
    var entered: [String] = []
    var left: [String] = []
    var obstacles: [TreeObstacle] = []
    var atVisit: (TreeEntry) -> TreeStep = { _ in .enter }

    mutating func visit(_ entry: TreeEntry) -> TreeStep {
        entered.append(entry.path)
        return atVisit(entry)
    }
    mutating func leave(_ entry: TreeEntry) { left.append(entry.path) }
    mutating func meet(_ obstacle: TreeObstacle) { obstacles.append(obstacle) }
}

private func exists(_ path: FilePath) -> Bool {
    var status = stat()
    return lstat(path.string, &status) == 0
}

@Suite("Tree walker", .timeLimit(.minutes(30)))
struct TreeWalkerTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func walk(_ recorder: inout Recorder, window: Int = 24, at path: FilePath? = nil) {
        var walker = TreeWalker<Recorder>()
        walker.window = window
        walker.walk(contentsOf: path ?? scratch.path, &recorder)
    }

    @Test("everything is visited once, a folder before and left after its contents; links are not followed")
    func order() throws {
        try scratch.file("a", "b", "file")
        try scratch.file("a", "other")
        _ = scratch.folder("empty")
        symlink("/etc", scratch.path.appending("link").string)
        for window in [2, 3, 24] {
            var recorder = Recorder()
            walk(&recorder, window: window)
            #expect(recorder.obstacles.isEmpty)
            #expect(recorder.entered.sorted() == ["a", "a/b", "a/b/file", "a/other", "empty", "link"])
            #expect(recorder.left.sorted() == ["a", "a/b", "empty"])
            let places = Dictionary(uniqueKeysWithValues: recorder.entered.enumerated().map { ($1, $0) })
            #expect(try #require(places["a"]) < #require(places["a/b"]))
            #expect(try #require(recorder.left.firstIndex(of: "a/b")) < #require(recorder.left.firstIndex(of: "a")))
        }
    }

    @Test("a walk of a path begins with that path, which may be a file, a link or a folder; a missing one is reported")
    func single() throws {
        try scratch.file("a", "file")
        symlink("a", scratch.path.appending("link").string)
        for (name, expected) in [
            ("a", ["a", "a/file"]), ("link", ["link"]), ("a/file", ["file"]), ("missing", []),
        ] {
            var recorder = Recorder()
            var walker = TreeWalker<Recorder>()
            walker.walk(scratch.path.pushing(FilePath(name)), &recorder)
            #expect(recorder.entered == expected)
            #expect(recorder.obstacles.map(\.isGone) == (name == "missing" ? [true] : []))
        }
        var recorder = Recorder()
        walk(&recorder, at: scratch.path.appending("link"))
        #expect(recorder.obstacles.map(\.reason) == [.system(ENOTDIR)])
    }

    @Test("5 MB in 5,000 nested folders, far deeper than the longest path, are counted and removed")
    func deep() throws {
        try scratch.nest(5000, bytes: 1000)
        var counter = TreeUsageCounter()
        let usage = counter.usage(of: scratch.path)
        #expect(usage.obstacle == nil)
        #expect(usage.files == 10_001)
        #expect(usage.bytes >= 5_000_000)
        try removeTree(scratch.path.appending("d"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path.string).isEmpty)
    }

    @Test("paths of long names that are too long in few folders, and wide folders beside deep ones, are walked")
    func longNames() throws {
        let name = String(repeating: "n", count: 255)
        try scratch.nest(40, name: name, bytes: 10)
        for index in 0..<300 { try scratch.file("wide", "\(index)", "f") }
        var recorder = Recorder()
        walk(&recorder, window: 4)
        #expect(recorder.obstacles.isEmpty)
        #expect(recorder.entered.count == 80 + 601)
        #expect(Set(recorder.entered).count == recorder.entered.count)
        try removeTree(scratch.path)
        #expect(!exists(scratch.path))
    }

    @Test("counting ends at the limit of names, and reports that")
    func bound() throws {
        for index in 0..<50 { try scratch.file("\(index)") }
        var counter = TreeUsageCounter()
        #expect(counter.usage(of: scratch.path, most: 20).obstacle?.reason == .tooMany)
        #expect(counter.usage(of: scratch.path, most: 100).files == 51)
        #expect(counter.usage(of: scratch.path.appending("missing")) == TreeUsage())
    }

    @Test("a file with several hard links is counted once if requested, also across trees")
    func hardLinks() throws {
        let file = try scratch.file("a", "f", bytes: 100_000)
        _ = scratch.folder("b")
        link(file.string, scratch.path.appending("b").appending("g").string)
        var plain = TreeUsageCounter()
        #expect(plain.usage(of: scratch.path).files == 5)
        var once = TreeUsageCounter(countsFilesOnce: true)
        #expect(once.usage(of: scratch.path.appending("a")).bytes >= 100_000)
        #expect(once.usage(of: scratch.path.appending("b")).bytes < 100_000)
    }

    @Test("a folder that is replaced by a link before it is entered does not lead the walk elsewhere")
    func replaced() throws {
        let outside = try Scratch()
        let victim = try outside.file("victim")
        try scratch.file("a", "f")
        let (path, target) = (scratch.path, outside.path)
        var recorder = Recorder()
        recorder.atVisit = { entry in
            guard entry.path == "a" else { return .enter }
            rename("\(path)/a", "\(path)/was")
            symlink(target.string, "\(path)/a")
            return .enter
        }
        walk(&recorder)
        #expect(!recorder.entered.contains("a/victim"))
        #expect(recorder.obstacles.contains { $0.path == "a" })
        try removeTree(scratch.path)
        #expect(exists(victim))
    }

    @Test("a folder that is moved out of the tree while the walk is below it does not lead the walk out")
    func moved() throws {
        let outside = try Scratch()
        let victim = try outside.file("victim")
        try scratch.file("a", "b", "c", "d", "e", "f")
        try scratch.file("z", "f")
        for window in [2, 24] {
            let (from, to) = ("\(scratch.path)/a/b", "\(outside.path)/b")
            var recorder = Recorder()
            recorder.atVisit = { entry in
                if entry.path == "a/b/c/d/e/f" { rename(from, to) }
                return .enter
            }
            walk(&recorder, window: window)
            #expect(!recorder.entered.contains { $0.contains("victim") })
            #expect(recorder.entered.contains("z/f"))
            #expect(recorder.left.contains("a"))
            // With few open folders the way back is lost and reported; otherwise it is not needed.
            #expect(recorder.obstacles.map(\.reason) == (window == 2 ? [.moved] : []))
            rename(to, from)
        }
        #expect(exists(victim))
    }

    @Test("removal never reaches the targets of links that another process puts in place of folders")
    func hostile() throws {
        let outside = try Scratch()
        for index in 0..<20 { try outside.file("keep", "\(index)") }
        let keep = outside.path.appending("keep")
        for round in 0..<5 {
            for index in 0..<20 { try scratch.file("t", "a\(index)", "b", "c") }
            let isDone = Atomic(false)
            let (tree, target) = (scratch.path.appending("t").string, keep.string)
            DispatchQueue.concurrentPerform(iterations: 2) { worker in
                if worker == 0 {
                    _ = try? removeTree(FilePath(tree))
                    isDone.store(true, ordering: .releasing)
                } else {
                    var index = round
                    while !isDone.load(ordering: .acquiring) {
                        index = (index + 7) % 20
                        rename("\(tree)/a\(index)/b", "\(tree)/a\(index)/was")
                        symlink(target, "\(tree)/a\(index)/b")
                        rename("\(tree)/a\(index)", "\(tree)/moved\(index)")
                        symlink(target, "\(tree)/a\(index)")
                    }
                }
            }
        }
        // The other process may have created links there, through its own links.
        for index in 0..<20 { #expect(exists(keep.appending("\(index)"))) }
        try removeTree(scratch.path.appending("t"))
    }

    @Test("names that are not UTF-8 are removed too")
    func bytes() throws {
        let name: [CChar] = [0x61, -1, -2, 0x62, 0]
        let folder = open(scratch.path.string, O_RDONLY | O_DIRECTORY)
        defer { close(folder) }
        try #require(mkdirat(folder, name, 0o755) == 0)
        let inner = openat(folder, name, O_RDONLY | O_DIRECTORY)
        defer { close(inner) }
        try #require(mknodat(inner, name, S_IFREG | 0o644, 0) == 0)
        try removeTree(scratch.path)
        #expect(!exists(scratch.path))
    }

    @Test("folders without permissions are removed, and links to folders are not entered")
    func permissions() throws {
        let outside = try Scratch()
        let victim = try outside.file("victim")
        try scratch.file("t", "locked", "inner", "f")
        chmod("\(scratch.path)/t/locked/inner", 0o500)
        chmod("\(scratch.path)/t/locked", 0)
        symlink(outside.path.string, "\(scratch.path)/t/link")
        try removeTree(scratch.path.appending("t"))
        #expect(!exists(scratch.path.appending("t")))
        #expect(exists(victim))
        try removeTree(scratch.path.appending("t"))
    }
}

/// Tests that need another limit on open files, or another user: they run in a separate process.
@Suite("Tree walker in a separate process", .timeLimit(.minutes(30)))
struct TreeWalkerProcessTests {
    @Test("trees are counted, refused and removed with few descriptors and an ordinary user's rights")
    func fewDescriptors() async throws {
        let scratch = try Scratch()
        try scratch.nest(2000, bytes: 1000)
        try scratch.file("locked", "f")
        if geteuid() == 0 {
            // As an ordinary user, to whom permissions apply.
            for name in ["", "d", "locked", "locked/f"] { chown("\(scratch.path)/\(name)", 65_534, 65_534) }
        }
        await #expect(processExitsWith: .success) { [path = scratch.path.string as String] in
            let root = FilePath(path)
            // The limit allows five more than are open.
            let free = (0..<5).map { _ in open("/dev/null", O_RDONLY) }
            let most = rlim_t((free.max() ?? 0) + 1)
            for descriptor in free { close(descriptor) }
            var limit = rlimit(rlim_cur: most, rlim_max: most)
            guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(10) }
            var counter = TreeUsageCounter()
            let usage = counter.usage(of: root)
            guard usage.obstacle == nil, usage.bytes >= 2_000_000 else { exit(11) }
            guard chmod("\(path)/locked", 0) == 0 else { exit(12) }
            do { try removeTree(root.appending("d")) } catch { exit(13) }
            if geteuid() == 0, setuid(65_534) != 0 { exit(14) }
            // An unreadable folder is an obstacle, not an empty folder.
            guard counter.usage(of: root.appending("locked")).obstacle?.reason == .system(EACCES) else { exit(15) }
            do { try removeTree(root.appending("locked")) } catch { exit(16) }
            exit(0)
        }
    }
}
