// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import SystemPackage
import Testing

@testable import KernelSource

/// A folder of its own for a test, gone afterwards.
final class Scratch: Sendable {
    let root: FilePath

    init() throws {
        root = FilePath(NSTemporaryDirectory()).appending("kbuild-tests-\(UInt64.random(in: 0 ... .max))")
        try createFolder(root)
    }

    deinit { try? removeAll(root) }

    /// Writes files below a folder of the scratch.
    func write(_ files: [String: String], below folder: String) throws {
        for (name, text) in files {
            let path = root.appending(folder).pushing(FilePath(name))
            try createFolder(path.removingLastComponent())
            try writeAtomically(text, to: path)
        }
    }

    /// Moves a file's modification time and waits until the clock that stamps files has ticked, so that the next scan
    /// trusts what it sees.
    func settle() async throws { try await Task.sleep(for: .milliseconds(60)) }

    func modificationTime(_ path: FilePath) throws -> Date? {
        try FileManager.default.attributesOfItem(atPath: path.string)[.modificationDate] as? Date
    }

    func setModificationTime(_ path: FilePath, _ date: Date) throws {
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path.string)
    }

    static let makefile = "VERSION = 6\nPATCHLEVEL = 9\nSUBLEVEL = 3\nEXTRAVERSION = -rc1\n"
    static let tree = ["Makefile": makefile, "Kconfig": "", "kernel/sys.c": "one", "kernel/fork.c": "fork"]

    var cache: SourceCache {
        SourceCache(
            layout: CacheLayout(root: root.appending("cache")), statCache: StatCache(), runner: CommandRunner(),
            debianFolder: root.appending("debian"))
    }
}

@Suite(.timeLimit(.minutes(30)))
struct SourceTreeTests {
    @Test func leavesOutWhatABuildLeftInTheTree() throws {
        let scratch = try Scratch()
        let sources = [
            "Makefile": "", ".gitignore": "", "kernel/a.c": "", "kernel/vmlinux.lds.S": "", "include/linux/a.h": "",
            "arch/x86/include/asm/a.h": "", "drivers/fw.c_shipped": "", "scripts/kconfig/conf.c": "",
            "tools/include/generated/keep.h": "",
        ]
        let products = [
            ".config": "", ".config.old": "", ".git/HEAD": "", "vmlinux": "", "vmlinux.o": "", "System.map": "",
            "modules.order": "", "Module.symvers": "", "kernel/a.o": "", "kernel/.a.o.cmd": "", "kernel/built-in.a": "",
            "kernel/a.mod.c": "", "kernel/.a.c.swp": "", "kernel/a.c~": "", "include/config/auto.conf": "",
            "include/generated/autoconf.h": "", "arch/x86/include/generated/asm/b.h": "", "drivers/fw.c": "",
            // No pattern knows these; their command records do.
            "scripts/kconfig/conf": "", "scripts/kconfig/.conf.cmd": "", "lib/crc32table.h": "",
            "lib/.crc32table.h.cmd": "",
        ]
        try scratch.write(sources.merging(products) { $1 }, below: "tree")
        let scan = try TreeScan(of: scratch.root.appending("tree"), filter: .sources)
        #expect(Set(scan.entries.filter { $0.kind != .folder }.map(\.path)) == Set(sources.keys))
    }

    @Test func aScanChangesWithAnyFileAndOnlyThen() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree, below: "tree")
        let tree = scratch.root.appending("tree")
        let first = try TreeScan(of: tree)
        #expect(try TreeScan(of: tree) == first)
        try await scratch.settle()
        try scratch.write(["kernel/sys.c": "two"], below: "tree")
        #expect(try TreeScan(of: tree) != first)
        #expect(TreeScan(bytes: first.bytes).entries == first.entries)
    }

    @Test func aFileTooYoungToTrustIsMarked() throws {
        let scratch = try Scratch()
        try scratch.write(["a": "x"], below: "tree")
        let scan = try TreeScan(of: scratch.root.appending("tree"), settledBefore: 0)
        #expect(scan.entries.map(\.signature.inode) == [0])
    }

    @Test func aManifestSurvivesItsFile() throws {
        let scratch = try Scratch()
        let manifest = TreeManifest(
            identity: .of("identity"),
            items: [
                "a b.c": .init(kind: .file, content: .of("a")), "run": .init(kind: .program, content: .of("b")),
                "link": .init(kind: .link, content: .of("c")), "half": .init(kind: .file, content: nil),
            ])
        let file = scratch.root.appending("manifest")
        try manifest.write(to: file)
        #expect(TreeManifest(file: file) == manifest)
        #expect(TreeManifest.identity(inFile: file) == .of("identity"))
        try manifest.marking([]).write(to: file)
        #expect(TreeManifest.identity(inFile: file) == nil)
        #expect(TreeManifest(file: file)?.items == manifest.items)
        try writeAtomically("something else\n", to: file)
        #expect(TreeManifest(file: file) == nil)
    }

    @Test func differencesCoverAddedRemovedChangedAndUnknown() {
        func item(_ text: String?, _ kind: TreeManifest.Item.Kind = .file) -> TreeManifest.Item {
            .init(kind: kind, content: text.map { Digest.of($0) })
        }
        let old = TreeManifest(
            identity: nil, items: ["same": item("1"), "changed": item("1"), "removed": item("1"), "mode": item("1")])
        let new = TreeManifest(
            identity: nil,
            items: ["same": item("1"), "changed": item("2"), "added": item("1"), "mode": item("1", .program)])
        #expect(new.differences(from: old) == ["added", "changed", "mode", "removed"])
        // A run that was killed while it changed "same" and "gone": neither can be trusted in either direction.
        #expect(new.differences(from: new.marking(["same", "gone"])) == ["gone", "same"])
    }

    @Test func mirrorsADirectoryWithoutTouchingIt() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree.merging([".config": "CONFIG_X=y"]) { $1 }, below: "linux")
        let directory = scratch.root.appending("linux")
        let before = try TreeScan(of: directory)
        let source = KernelSource.directory(directory)
        let kernel = try await scratch.cache.prepare(source)
        #expect(kernel.version == "6.9.3-rc1")
        #expect(try readText(kernel.folder.appending("kernel").appending("sys.c")) == "one")
        #expect(!fileExists(kernel.folder.appending(".config")))
        #expect(try TreeScan(of: directory) == before)
        #expect(try await scratch.cache.prepare(source) == kernel)
        try kernel.verify()
    }

    @Test func aMirrorFollowsContentsAndIgnoresTouches() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree, below: "linux")
        let directory = scratch.root.appending("linux")
        let source = KernelSource.directory(directory)
        let first = try await scratch.cache.prepare(source)
        let copy = first.folder.pushing("kernel/fork.c")
        let time = try scratch.modificationTime(copy)

        try scratch.setModificationTime(directory.pushing("kernel/fork.c"), Date(timeIntervalSince1970: 1_000_000))
        let touched = try await scratch.cache.prepare(source)
        #expect(touched.identity == first.identity)
        #expect(try scratch.modificationTime(copy) == time)

        try scratch.write(["kernel/sys.c": "two", "new/a.c": "new"], below: "linux")
        // An old time on new contents, as `cp -p` leaves it: the copy is new all the same.
        try scratch.setModificationTime(directory.pushing("kernel/sys.c"), Date(timeIntervalSince1970: 1_000_000))
        try removeAll(directory.pushing("kernel/fork.c"))
        let changed = try await scratch.cache.prepare(source)
        #expect(changed.identity != first.identity)
        #expect(try readText(changed.folder.pushing("kernel/sys.c")) == "two")
        #expect(try readText(changed.folder.pushing("new/a.c")) == "new")
        #expect(!fileExists(copy))
        let copied = try #require(try scratch.modificationTime(changed.folder.pushing("kernel/sys.c")))
        #expect(copied > Date(timeIntervalSince1970: 1_000_000_000))

        try scratch.write(["kernel/sys.c": "one", "kernel/fork.c": "fork"], below: "linux")
        try removeAll(directory.appending("new"))
        #expect(try await scratch.cache.prepare(source).identity == first.identity)
        #expect(!fileExists(changed.folder.appending("new")))
    }

    @Test func aWorkTreeSharesFilesAndFollowsItsSource() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree, below: "linux")
        let source = KernelSource.directory(scratch.root.appending("linux"))
        let cache = scratch.cache
        let work = scratch.root.appending("project").appending("tree")
        let first = try await cache.prepare(source)
        #expect(try await cache.makeWorkTree(of: first, at: work) == .created)
        #expect(try await cache.makeWorkTree(of: first, at: work) == .unchanged)
        let shared = try FileManager.default.attributesOfItem(atPath: work.pushing("kernel/sys.c").string)
        #expect(shared[.referenceCount] as? Int == 2)
        try first.verify()

        let untouched = try scratch.modificationTime(work.pushing("kernel/fork.c"))
        try scratch.write(["kernel/sys.c": "two", "kernel/new.c": "new"], below: "linux")
        let second = try await cache.prepare(source)
        #expect(
            try await cache.makeWorkTree(of: second, at: work) == .updated(["kernel/new.c", "kernel/sys.c"]))
        #expect(try readText(work.pushing("kernel/sys.c")) == "two")
        #expect(try scratch.modificationTime(work.pushing("kernel/fork.c")) == untouched)
        #expect(namesBeside(work) == ["tree", "tree.manifest"])
    }

    private func namesBeside(_ path: FilePath) -> [String] {
        (try? namesInFolder(path.removingLastComponent())) ?? []
    }

    @Test func aHalfChangedWorkTreeIsCompleted() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree, below: "linux")
        let source = KernelSource.directory(scratch.root.appending("linux"))
        let cache = scratch.cache
        let work = scratch.root.appending("project").appending("tree")
        let kernel = try await cache.prepare(source)
        _ = try await cache.makeWorkTree(of: kernel, at: work)

        // As a run leaves it that is killed while it brings these files in line with another source.
        let manifest = try #require(TreeManifest(file: FilePath(work.string + ".manifest")))
        try manifest.marking(["kernel/sys.c", "kernel/gone.c"]).write(to: FilePath(work.string + ".manifest"))
        try writeAtomically("other", to: work.pushing("kernel/sys.c"))
        try writeAtomically("other", to: work.pushing("kernel/gone.c"))
        #expect(
            try await cache.makeWorkTree(of: kernel, at: work) == .updated(["kernel/gone.c", "kernel/sys.c"]))
        #expect(try readText(work.pushing("kernel/sys.c")) == "one")
        #expect(!fileExists(work.pushing("kernel/gone.c")))
        #expect(try await cache.makeWorkTree(of: kernel, at: work) == .unchanged)
    }

    @Test func aTreeOfUnknownOriginIsReplaced() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree, below: "linux")
        try scratch.write(["stray.c": "x"], below: "project/tree")
        try scratch.write(["half": "x"], below: "project/tree.new-7")
        let kernel = try await scratch.cache.prepare(.directory(scratch.root.appending("linux")))
        let work = scratch.root.appending("project").appending("tree")
        #expect(try await scratch.cache.makeWorkTree(of: kernel, at: work) == .created)
        #expect(!fileExists(work.appending("stray.c")))
        #expect(namesBeside(work) == ["tree", "tree.manifest"])
    }

    @Test func aFileWrittenThroughItsHardLinkIsFound() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree, below: "linux")
        let kernel = try await scratch.cache.prepare(.directory(scratch.root.appending("linux")))
        let work = scratch.root.appending("tree")
        _ = try await scratch.cache.makeWorkTree(of: kernel, at: work)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: work.pushing("kernel/sys.c").string))
        try file.write(contentsOf: Data("changed".utf8))
        try file.close()
        let failure = #expect(throws: Failure.self) { try kernel.verify() }
        #expect(failure?.details == "kernel/sys.c")
        await #expect(throws: Failure.self) {
            try await scratch.cache.makeWorkTree(of: kernel, at: scratch.root.appending("other"))
        }
    }

    @Test func aFileWithAnotherInodeAndTheSameContentsIsUnchanged() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree, below: "linux")
        let kernel = try await scratch.cache.prepare(.directory(scratch.root.appending("linux")))
        let file = kernel.folder.pushing("kernel/sys.c")
        func replace(with text: String?) throws {
            let copy = scratch.root.appending("copy").string
            try FileManager.default.copyItem(atPath: file.string, toPath: copy)
            if let text { try Data(text.utf8).write(to: URL(fileURLWithPath: copy)) }
            try FileManager.default.removeItem(atPath: file.string)
            try FileManager.default.moveItem(atPath: copy, toPath: file.string)
        }
        // As in a copy of the cache.
        try replace(with: nil)
        try kernel.verify()
        try kernel.verify()
        try replace(with: "changed")
        let failure = #expect(throws: Failure.self) { try kernel.verify() }
        #expect(failure?.details == "kernel/sys.c")
    }

    @Test func aMirrorThatMovedOnIsNotUsed() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree, below: "linux")
        let source = KernelSource.directory(scratch.root.appending("linux"))
        let stale = try await scratch.cache.prepare(source)
        try scratch.write(["kernel/sys.c": "two"], below: "linux")
        _ = try await scratch.cache.prepare(source)
        await #expect(throws: Failure.self) {
            try await scratch.cache.makeWorkTree(of: stale, at: scratch.root.appending("tree"))
        }
    }

    @Test func aPlanSaysWhatIsToBeDoneAndDoesNothing() async throws {
        let scratch = try Scratch()
        try scratch.write(Scratch.tree, below: "user/linux")
        let (folder, tarball) = (scratch.root.pushing("user/linux"), scratch.root.appending("linux.tar"))
        let runner = CommandRunner()
        _ = try await runner.output(
            of: Command("tar", ["-cf", tarball.string, "-C", folder.removingLastComponent().string, "linux"]))
        try await scratch.settle()
        for source in [KernelSource.directory(folder), .tarball(tarball, sha256: nil)] {
            guard case .absent(let commands, let remark) = try await scratch.cache.plan(source) else {
                Issue.record("\(source) is there")
                continue
            }
            #expect(commands.isEmpty == (remark != nil))
            #expect(!fileExists(scratch.root.appending("cache")))
            // What is printed can be pasted.
            for command in commands { _ = try await runner.output(of: Command("sh", ["-c", command.description])) }
            if !commands.isEmpty {
                let unpacked = try #require(commands.last?.arguments.first { $0.hasPrefix("--directory=") }).dropFirst(
                    12)
                #expect(fileExists(FilePath(String(unpacked)).pushing("linux/kernel/sys.c")))
            }
            let kernel = try await scratch.cache.prepare(source)
            guard case .present(let found) = try await scratch.cache.plan(source) else {
                Issue.record("\(source) is not there")
                continue
            }
            #expect(found == kernel)
            let work = scratch.root.appending("work")
            #expect(scratch.cache.planWorkTree(of: kernel, at: work) == .created)
            #expect(try await scratch.cache.makeWorkTree(of: kernel, at: work) == .created)
            #expect(scratch.cache.planWorkTree(of: kernel, at: work) == .unchanged)
            try removeAll(work)
            try removeAll(scratch.root.appending("cache"))
        }
    }

    @Test func missingSourcesSayWhatToDo() async throws {
        let scratch = try Scratch()
        try scratch.write(["README": ""], below: "other")
        try scratch.write(["a.tar": "x"], below: ".")
        func failure(_ source: KernelSource) async -> Failure? {
            await #expect(throws: Failure.self) { try await scratch.cache.prepare(source) }
        }
        #expect(await failure(.debianPackage("linux-source-9.9"))?.nextStep == "apt-get install linux-source-9.9")
        #expect(await failure(.directory(scratch.root.appending("none")))?.code == .infrastructure)
        #expect(
            await failure(.directory(scratch.root.appending("other")))?.message.contains("not a Linux kernel tree")
                == true)
        let mismatch = await failure(.tarball(scratch.root.appending("a.tar"), sha256: .of("y")))
        #expect(mismatch?.details?.contains(Digest.of("x").hex) == true)
        #expect(mismatch?.details?.contains(Digest.of("y").hex) == true)
    }

    @Test func versionsReadAsMakePrintsThem() throws {
        let scratch = try Scratch()
        func version(_ makefile: String) throws -> String {
            try scratch.write(["Makefile": makefile, "Kconfig": ""], below: "tree")
            return try KernelSourceArtifact.version(ofTree: scratch.root.appending("tree"), source: .directory("/x"))
        }
        #expect(try version("# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\n") == "6.1.192")
        #expect(try version("VERSION = 3\nPATCHLEVEL = 0\nSUBLEVEL =\nEXTRAVERSION = -rc7\n") == "3.0-rc7")
        #expect(throws: Failure.self) { try version("all:\n\techo VERSION = 6\n") }
    }
}
