// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import Artifacts

/// Puts files into a cache as kbuild does.
private struct SampleCache {
    let scratch: ScratchFolder
    let layout: CacheLayout

    init() throws {
        scratch = try ScratchFolder()
        layout = CacheLayout(root: scratch.path.appending("cache"))
    }

    static let key = String(repeating: "0123456789abcdef", count: 2)

    /// Makes a folder with a file of `kilobytes`, last used so many hours ago.
    @discardableResult
    func add(_ path: String, kilobytes: Int = 100, hours: Int = 1) throws -> FilePath {
        let folder = layout.root.pushing(FilePath(path))
        try createFolder(folder)
        try writeAtomically([UInt8](repeating: 1, count: kilobytes << 10), to: folder.appending("file"))
        age(folder, hours: hours)
        return folder
    }

    func age(_ path: FilePath, hours: Int) {
        let moment = timespec(tv_sec: time(nil) - hours * 3600, tv_nsec: 0)
        utimensat(AT_FDCWD, path.string, [moment, moment], 0)
    }

    /// The items of a project.
    func project(_ name: String, hours: Int, isThere: Bool = true) async throws -> (path: FilePath, folder: FilePath) {
        let path = scratch.path.appending(name)
        if isThere { try createFolder(path) }
        let use = try await CacheUse.begin(layout, project: path, command: "kbuild run")
        withExtendedLifetime(use) {}
        let folder = layout.folder(ofProject: path)
        let relative = "projects/\(folder.lastComponent?.string ?? "")"
        try add("\(relative)/kernel-\(Self.key.prefix(16))", hours: hours)
        try add("\(relative)/runs/one", hours: hours)
        age(folder.appending("project"), hours: hours)
        return (path, folder)
    }
}

@Suite("Ownership of a cache", .timeLimit(.minutes(30)))
struct CacheMarksTests {
    @Test("a new or empty folder is marked, with a tag for backup programs, and removed completely")
    func new() async throws {
        let sample = try SampleCache()
        for isThere in [false, true] {
            if isThere { try createFolder(sample.layout.root) }
            try sample.layout.prepare()
            let tag = try readText(sample.layout.root.appending("CACHEDIR.TAG"))
            #expect(tag.hasPrefix("Signature: 8a477f597d28d172789f06886806bc55\n"))
            try sample.add("store/kernel/\(SampleCache.key)")
            try sample.add("tmp/half-made")
            #expect(try await sample.layout.removeCache() == [])
            #expect(!fileExists(sample.layout.root))
        }
    }

    @Test(
        "a folder of other files is refused and not changed, also if it has one of kbuild's names",
        arguments: [
            ["letter.txt"], ["projects/thesis/chapter"], ["sources/linux/Makefile"], ["store/shop/items"],
            ["tmp/draft"], ["projects/0123456789abcdef/x", "sources/mine/y"], ["kvm-probe/notes", "letter"],
            ["logs/web.log"],
        ])
    func others(files: [String]) async throws {
        let sample = try SampleCache()
        for file in files { try sample.add(file) }
        #expect(throws: Failure.self) { try sample.layout.prepare() }
        let failure = await #expect(throws: Failure.self) { _ = try await sample.layout.removeCache() }
        #expect(failure?.code == .usage)
        #expect(failure?.nextStep?.contains("KBUILD_CACHE") == true)
        await #expect(throws: Failure.self) { _ = try await sample.layout.removeProject("/p") }
        await #expect(throws: Failure.self) { _ = try await CacheUse.begin(sample.layout, project: "/p", command: "") }
        for file in files { #expect(fileExists(sample.layout.root.pushing(FilePath(file)).appending("file"))) }
        #expect(!fileExists(sample.layout.marker))
    }

    @Test("the cache of an older kbuild is recognized by its contents; other files beside it stay")
    func adopted() async throws {
        let sample = try SampleCache()
        try sample.add("store/kernel/\(SampleCache.key)")
        try sample.add("sources/\(SampleCache.key)/tree")
        try sample.add("sources/directory-\(SampleCache.key.prefix(16))")
        try sample.add("projects/\(SampleCache.key.prefix(16))/runs")
        try sample.add("tmp/half-made")
        try sample.add("mine/kept")
        try writeAtomically("", to: sample.layout.root.appending("kvm-probe"))
        try sample.layout.prepare()
        #expect(fileExists(sample.layout.marker))
        #expect(try await sample.layout.removeCache() == ["mine"])
        #expect(try namesInFolder(sample.layout.root) == [".kbuild-cache", "CACHEDIR.TAG", "mine"])
        #expect(fileExists(sample.layout.root.pushing("mine/kept/file")))
        // It is still a cache.
        try sample.layout.prepare()
        #expect(try await sample.layout.removeCache() == ["mine"])
    }

    @Test("links with kbuild's names are not followed, and not removed")
    func links() async throws {
        let sample = try SampleCache()
        try sample.layout.prepare()
        let outside = sample.scratch.path.appending("outside")
        try createFolder(outside)
        try writeAtomically("x", to: outside.appending("file"))
        symlink(outside.string, sample.layout.store.string)
        symlink(outside.appending("file").string, sample.layout.statCache.string)
        #expect(try await sample.layout.removeCache() == ["stat-cache", "store"])
        #expect(fileExists(outside.appending("file")))
    }
}

@Suite("Use and removal of a cache", .timeLimit(.minutes(30)))
struct CacheUseTests {
    @Test("clean refuses while another kbuild uses the project, names it, and removes only that project's items")
    func clean() async throws {
        let sample = try SampleCache()
        let (a, b) = (try await sample.project("a", hours: 1), try await sample.project("b", hours: 1))
        do {
            let use = try await CacheUse.begin(sample.layout, project: a.path, command: "kbuild shell")
            defer { withExtendedLifetime(use) {} }
            let failure = await #expect(throws: Failure.self) { _ = try await sample.layout.removeProject(a.path) }
            #expect(failure?.code == .infrastructure)
            #expect(failure?.details?.contains("process \(getpid()), kbuild shell, of \(a.path)") == true)
            await #expect(throws: Failure.self) { _ = try await sample.layout.removeCache() }
            #expect(fileExists(a.folder))
            #expect(try await sample.layout.removeProject(b.path))
            #expect(!fileExists(b.folder))
        }
        #expect(try await sample.layout.removeProject(a.path))
        #expect(!fileExists(a.folder))
        #expect(try await !sample.layout.removeProject(a.path))
        #expect(try namesInFolder(sample.layout.temporary) == [])
        #expect(try await sample.layout.removeCache() == [])
    }

    @Test("a killed kbuild's record does not block a removal, and a new kbuild waits until the items are chosen")
    func gate() async throws {
        let sample = try SampleCache()
        let project = try await sample.project("a", hours: 1)
        try writeAtomically(#"{"process":1,"command":"kbuild run"}"#, to: sample.layout.uses.appending("1-1.use"))
        #expect(CacheUse.users(of: sample.layout, isAlone: true).isEmpty)
        #expect(try namesInFolder(sample.layout.uses) == [])
        var gate = try CacheGate.attempt(sample.layout, isExclusive: true)
        #expect(gate != nil)
        #expect(try CacheGate.attempt(sample.layout, isExclusive: false) == nil)
        let layout = sample.layout
        let task = Task { try await CacheUse.begin(layout, project: project.path, command: "kbuild run") }
        try await Task.sleep(for: .milliseconds(120))
        #expect(CacheUse.users(of: sample.layout).isEmpty)
        gate = nil
        let use = try await task.value
        #expect(CacheUse.users(of: sample.layout).map(\.project) == [project.path.string])
        withExtendedLifetime(use) {}
    }

    @Test("items of removed projects are removed first, then the least recently used, and items in use never")
    func prune() async throws {
        let sample = try SampleCache()
        let old = try sample.add("store/kernel/\(SampleCache.key)", hours: 90)
        let recent = try sample.add("store/kernel/1\(SampleCache.key.dropFirst())", hours: 2)
        let source = try sample.add("sources/\(SampleCache.key)", hours: 50)
        let half = try sample.add("tmp/half-made", hours: 3)
        let gone = try await sample.project("gone", hours: 1, isThere: false)
        let present = try await sample.project("present", hours: 70)

        var inventory = try CacheInventory(of: sample.layout)
        #expect(inventory.items.count == 8)
        #expect(Set(inventory.items.filter(\.isOrphaned).map(\.kind)) == [.output, .runs])
        #expect(inventory.bytes >= 800 << 10)
        let order = inventory.surplus(over: 0, users: []).map(\.path)
        let kernel = "kernel-\(SampleCache.key.prefix(16))"
        #expect(order.first == half)
        #expect(Set(order.prefix(3)) == [half, gone.folder.appending(kernel), gone.folder.appending("runs")])
        // The reports of an existing project cannot be made again.
        #expect(order.dropFirst(3) == [old, present.folder.appending(kernel), source, recent])
        #expect(inventory.surplus(over: inventory.bytes, users: []).isEmpty)
        #expect(inventory.surplus(over: inventory.bytes - 1, users: []).map(\.path) == [half])

        // A run began an hour and a half ago: the items that it has taken since, and those of its project, stay.
        markUsed(source)
        let user = CacheUse.User(
            process: 1, command: "", project: present.path.string, since: Double(time(nil) - 5400))
        inventory = try CacheInventory(of: sample.layout)
        #expect(Set(inventory.surplus(over: 0, users: [user]).map(\.path)) == [half, old, recent])

        // An item that was used after the cache was read stays too.
        let surplus = inventory.surplus(over: 0, users: [])
        let use = try await CacheUse.begin(sample.layout, project: nil, command: "kbuild run")
        markUsed(old)
        let removed = try await inventory.remove(surplus).map(\.path)
        withExtendedLifetime(use) {}
        #expect(removed.contains(recent) && !removed.contains(old) && !removed.contains(source))
        #expect(!fileExists(recent) && fileExists(old.appending("file")) && fileExists(source.appending("file")))
        #expect(try namesInFolder(sample.layout.temporary) == [])
        #expect(fileExists(present.folder.appending("runs")))
    }

    @Test("each output of a tree is a separate item, with its marks; the tree is removed after all of them")
    func outputs() async throws {
        let sample = try SampleCache()
        let project = try await sample.project("a", hours: 1)
        let name = "kernel-\(SampleCache.key.prefix(16))"
        let tree = project.folder.appending(name)
        let relative = "projects/\(project.folder.lastComponent?.string ?? "")/\(name)"
        let old = try sample.add("\(relative)/build/x86_64-1", kilobytes: 300, hours: 9)
        let recent = try sample.add("\(relative)/build/x86_64-2", kilobytes: 200, hours: 1)
        let confined = try sample.add("\(relative)/confined/x86_64-1", kilobytes: 100, hours: 5)
        for mark in OutputMark.allCases {
            try writeAtomically("x", to: mark.path(of: old))
            #expect(mark.output(ofMark: mark.path(of: old)) == old)
        }
        #expect(OutputMark.tools.output(ofMark: OutputMark.overlay.path(of: old)) == nil)
        sample.age(tree, hours: 3)

        let inventory = try CacheInventory(of: sample.layout)
        let outputs = inventory.items.filter { $0.kind == .output }
        #expect(Set(outputs.map(\.path)) == [old, recent, confined, tree])
        #expect(outputs.allSatisfy { $0.project == project.path.string && $0.isRemovable })
        let own = try #require(outputs.first { $0.path == tree })
        // Nothing counts twice.
        #expect((100 << 10..<140 << 10).contains(own.bytes))
        #expect((300 << 10..<310 << 10).contains(outputs.first { $0.path == old }?.bytes ?? 0))
        #expect(inventory.surplus(over: 0, users: []).map(\.path) == [old, confined, recent, tree])

        let removed = try await inventory.remove([try #require(outputs.first { $0.path == old })])
        #expect(removed.map(\.path) == [old])
        #expect(try namesInFolder(tree.appending("build")) == ["x86_64-2"])
        #expect(fileExists(confined.appending("file")) && fileExists(tree.appending("file")))
    }

    @Test("a lookup marks an item as used; files that two items share count once")
    func lookups() async throws {
        let sample = try SampleCache()
        let store = ArtifactStore(layout: sample.layout, statCache: StatCache())
        let key = KeyBuilder(step: "kernel", version: 1, trust: .trusted).key
        let made = try await store.publish(key: { key }) { folder in
            try writeAtomically([UInt8](repeating: 1, count: 1 << 20), to: folder.appending("image"))
        }
        sample.age(made.folder, hours: 30)
        var reader = store
        reader.isReadOnly = true
        #expect(reader.lookup(key) != nil)
        #expect(CacheInventory.time(made.folder) < Double(time(nil) - 3600))
        #expect(store.lookup(key) != nil)
        #expect(CacheInventory.time(made.folder) > Double(time(nil) - 3600))

        let project = try await sample.project("a", hours: 1)
        let tree = project.folder.appending("kernel-\(SampleCache.key.prefix(16))")
        link(made.folder.appending("image").string, tree.appending("hard").string)
        #expect(try CacheInventory(of: sample.layout).bytes < 2 << 20)
    }

    @Test("the target of a link in the cache is neither counted nor removed")
    func links() async throws {
        let sample = try SampleCache()
        _ = try await sample.project("a", hours: 1)
        let strangers = sample.layout.root.removingLastComponent().appending("strangers-\(UUID().uuidString)")
        defer { try? removeAll(strangers) }
        try createFolder(strangers.appending("folder"))
        try writeAtomically("mine", to: strangers.appending("file"))
        try removeAll(sample.layout.temporary)
        try #require(symlink(strangers.string, sample.layout.temporary.string) == 0)
        let inventory = try CacheInventory(of: sample.layout)
        #expect(!inventory.items.contains { $0.path.starts(with: sample.layout.temporary) })
        _ = try await inventory.remove(inventory.surplus(over: 0, users: []))
        #expect(Set(try namesInFolder(strangers)).isSuperset(of: ["file", "folder"]))
    }
}
