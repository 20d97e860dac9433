// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import Synchronization
import SystemPackage
import Testing

@testable import Artifacts

/// A folder that is removed after the test.
final class ScratchFolder {
    let path: FilePath

    init() throws {
        path = FilePath(FileManager.default.temporaryDirectory.path)
            .appending("kbuild-test-\(UUID().uuidString)")
        try createFolder(path)
    }

    deinit {
        try? removeAll(path)
    }
}

/// Waits until a file written now is older than the clock's granularity, so that the stat cache trusts it.
private func settle() async throws {
    try await Task.sleep(for: .milliseconds(60))
}

@Suite("Artifact store", .timeLimit(.minutes(30)))
struct ArtifactStoreTests {
    let scratch: ScratchFolder
    let store: ArtifactStore
    let key = ArtifactStoreTests.key("key")

    init() throws {
        scratch = try ScratchFolder()
        store = ArtifactStore(layout: CacheLayout(root: scratch.path), statCache: StatCache())
    }

    static func key(_ value: String, step: String = "step", trust: TrustLevel = .trusted) -> ArtifactKey {
        var builder = KeyBuilder(step: step, version: 1, trust: trust)
        builder.add("value", value)
        return builder.key
    }

    private func publish(_ text: String = "contents") async throws -> Artifact {
        try await store.publish(key: { key }) { folder in
            try createFolder(folder.appending("sub"))
            try writeAtomically(text, to: folder.appending("sub").appending("file"))
        }
    }

    @Test("a published entry is found, with its files")
    func hit() async throws {
        #expect(store.lookup(key) == nil)
        let made = try await publish()
        let found = try #require(store.lookup(key))
        #expect(found == made)
        #expect(try readText(found.path("sub/file")) == "contents")
        #expect(store.lookup(Self.key("other")) == nil)
        #expect(store.lookup(Self.key("key", step: "other")) == nil)
    }

    @Test("a read-only store publishes nothing, and keeps a damaged entry")
    func readOnly() async throws {
        let made = try await publish()
        var reader = store
        reader.isReadOnly = true
        #expect(reader.lookup(key) == made)
        #expect(reader.folder(key) == made.folder)
        await #expect(throws: Failure.self) { _ = try await reader.publish(key: { Self.key("other") }) { _ in } }
        try writeAtomically("damage", to: made.path("sub/file"))
        #expect(reader.lookup(key) == nil)
        #expect(fileExists(made.folder))
    }

    @Test("the digest of texts is that of a folder with these files")
    func textsDigest() throws {
        let folder = scratch.path.appending("texts")
        try createFolder(folder)
        let texts = ["b.h": "two", "a.map": "one"]
        for (name, text) in texts { try writeAtomically(text, to: folder.appending(name)) }
        #expect(try StatCache().digest(ofFolder: folder) == StatCache.digest(ofTexts: texts))
        #expect(StatCache.digest(ofTexts: ["b.h": "two"]) != StatCache.digest(ofTexts: texts))
    }

    @Test("a step that fails publishes nothing and leaves nothing")
    func failure() async throws {
        await #expect(throws: Failure.self) {
            _ = try await store.publish(key: { key }) { folder in
                try writeAtomically("half", to: folder.appending("file"))
                throw Failure(.infrastructure, "no")
            }
        }
        #expect(store.lookup(key) == nil)
        #expect(try namesInFolder(store.layout.temporary).isEmpty)
    }

    @Test("an entry whose file changed, shrank or vanished is not used and is made again")
    func damage() async throws {
        let damages: [(FilePath) throws -> Void] = [
            { try Data("Contents".utf8).write(to: URL(fileURLWithPath: $0.string)) },
            { try Data().write(to: URL(fileURLWithPath: $0.string)) },
            { try removeAll($0) },
        ]
        for damage in damages {
            let made = try await publish()
            try await settle()
            #expect(store.lookup(key) != nil)
            try damage(made.path("sub/file"))
            #expect(store.lookup(key) == nil)
            #expect(!fileExists(made.folder))
        }
    }

    @Test("publishing twice keeps a complete entry")
    func twice() async throws {
        _ = try await publish("first")
        _ = try await publish("second")
        let found = try #require(store.lookup(key))
        #expect(try readText(found.path("sub/file")) == "first")
        #expect(try namesInFolder(store.layout.temporary).isEmpty)
    }
}

/// An entry is made from exactly the inputs in its key.
@Suite("Artifacts are never stale", .timeLimit(.minutes(30)))
struct StaleArtifactTests {
    let scratch: ScratchFolder
    let store: ArtifactStore
    let source: FilePath

    init() throws {
        scratch = try ScratchFolder()
        store = ArtifactStore(layout: CacheLayout(root: scratch.path.appending("cache")), statCache: StatCache())
        source = scratch.path.appending("source")
        try writeAtomically("old", to: source)
    }

    private func key() throws -> ArtifactKey {
        var builder = KeyBuilder(step: "step", version: 1, trust: .trusted)
        builder.add("source", try store.statCache.digest(of: source))
        return builder.key
    }

    /// Copies the source, and then simulates a concurrent change.
    private func build(_ tries: Counter, meanwhile: (Int) throws -> Void) async throws -> Artifact {
        try await store.publish(key: key) { folder in
            try copyFile(source, to: folder.appending("copy"))
            try meanwhile(tries.next())
        }
    }

    @Test("a file that is edited while it is built is built again, and its old key has no entry")
    func edited() async throws {
        let old = try key()
        let tries = Counter()
        let made = try await build(tries) { if $0 == 1 { try writeAtomically("new", to: source) } }
        #expect(try readText(made.path("copy")) == "new")
        #expect(tries.value == 2)
        #expect(made.key == (try key()).digest)
        #expect(store.lookup(old) == nil)
    }

    @Test("an edit that is undone during the build is also noticed")
    func restored() async throws {
        let tries = Counter()
        let made = try await store.publish(key: key) { folder in
            let isFirst = tries.next() == 1
            if isFirst { try writeAtomically("new", to: source) }
            try copyFile(source, to: folder.appending("copy"))
            if isFirst { try writeAtomically("old", to: source) }
        }
        #expect(try readText(made.path("copy")) == "old")
        #expect(tries.value == 2)
    }

    @Test("a file that changes each time is named, and nothing is published")
    func restless() async throws {
        let tries = Counter()
        let failure = await #expect(throws: Failure.self) {
            try await build(tries) { try writeAtomically("text \($0)", to: source) }
        }
        #expect(failure?.message.contains(source.string) == true)
        #expect(tries.value == ArtifactStore.tries)
        #expect(!fileExists(store.layout.store))
        #expect(try namesInFolder(store.layout.temporary).isEmpty)
    }

    @Test("a tool that fails while its input is being saved gets the saved file")
    func failedMeanwhile() async throws {
        let tries = Counter()
        let made = try await store.publish(key: key) { folder in
            if tries.next() == 1 {
                try writeAtomically("new", to: source)
                throw Failure(.build, "half a file")
            }
            try copyFile(source, to: folder.appending("copy"))
        }
        #expect(try readText(made.path("copy")) == "new")
    }

    @Test("a tool that fails while a header is saved, which it read the last time, gets the saved header")
    func failedMeanwhileFar() async throws {
        let header = scratch.path.appending("header")
        try writeAtomically("one", to: header)
        try await settle()
        func make(_ meanwhile: () throws -> Void) async throws -> Artifact {
            try await store.publishRecorded(key: key) { folder in
                try copyFile(header, to: folder.appending("copy"))
                try meanwhile()
                return ToolReads(files: [header.string])
            }
        }
        _ = try await make {}
        try writeAtomically("two", to: header)
        try await settle()
        let tries = Counter()
        let made = try await make {
            guard tries.next() == 1 else { return }
            try writeAtomically("three", to: header)
            throw Failure(.build, "half a header")
        }
        #expect(try readText(made.path("copy")) == "three")
        #expect(tries.value == 2)
    }

    @Test("the files that a tool read are part of the key, in any folder, and so are those that it did not find")
    func recorded() async throws {
        let header = scratch.path.appending("header")
        let earlier = scratch.path.appending("earlier")
        try writeAtomically("one", to: header)
        try await settle()
        func make() async throws -> Artifact {
            try await store.publishRecorded(key: key) { folder in
                try copyFile(fileExists(earlier) ? earlier : header, to: folder.appending("copy"))
                return fileExists(earlier)
                    ? ToolReads(files: [earlier.string]) : ToolReads(files: [header.string], absent: [earlier.string])
            }
        }
        #expect(store.lookup(recorded: try key()) == nil)
        let first = try await make()
        #expect(store.lookup(recorded: try key()) == first)
        try writeAtomically("two", to: header)
        #expect(store.lookup(recorded: try key()) == nil)
        try await settle()
        let second = try await make()
        #expect(try readText(second.path("copy")) == "two")
        // A header that is found before the other.
        try writeAtomically("three", to: earlier)
        #expect(store.lookup(recorded: try key()) == nil)
        try await settle()
        let third = try await make()
        #expect(store.lookup(recorded: try key()) == third)
        // Earlier results are found again when the inputs are the same again.
        try removeAll(earlier)
        #expect(store.lookup(recorded: try key()) == second)
        try writeAtomically("one", to: header)
        #expect(store.lookup(recorded: try key()) == first)
        try removeAll(header)
        #expect(store.lookup(recorded: try key()) == nil)
    }

    @Test("a header that is known only after the build, and was written to during it, causes another build")
    func headerEdited() async throws {
        let header = scratch.path.appending("header")
        try writeAtomically("one", to: header)
        try await settle()
        let tries = Counter()
        let made = try await store.publishRecorded(key: key) { folder in
            try copyFile(header, to: folder.appending("copy"))
            if tries.next() == 1 { try writeAtomically("two", to: header) }
            return ToolReads(files: [header.string])
        }
        #expect(try readText(made.path("copy")) == "two")
        #expect(tries.value == 2)
        #expect(store.lookup(recorded: try key()) == made)
    }

    @Test("no level of trust finds entries of another one")
    func trust() async throws {
        let levels: [TrustLevel] = [.trusted, .confined(as: "a"), .confined(as: "b"), .confined(as: "trusted")]
        for level in levels {
            let key = ArtifactStoreTests.key("same", trust: level)
            #expect(store.lookup(key) == nil)
            #expect(store.lookup(recorded: key) == nil)
            _ = try await store.publish(key: { key }) { try writeAtomically("\(level)", to: $0.appending("file")) }
            _ = try await store.publishRecorded(key: { key }) { _ in ToolReads(files: [source.string]) }
        }
        for level in levels {
            let found = store.lookup(ArtifactStoreTests.key("same", trust: level))
            #expect(try found.map { try readText($0.path("file")) } == "\(level)")
        }
    }

    @Test("a pipe or a device is not an input: reading it might never end")
    func devices() throws {
        let pipe = scratch.path.appending("pipe")
        #expect(mkfifo(pipe.string, 0o600) == 0)
        #expect(throws: Failure.self) { try store.statCache.digest(of: pipe) }
        #expect(throws: Failure.self) { try store.statCache.digest(of: "/dev/zero") }
    }

    @Test("a tree's digest follows links to files and folders elsewhere, and stops at circular links")
    func trees() throws {
        let (tree, far) = (scratch.path.appending("tree"), scratch.path.appending("far"))
        try createFolder(tree)
        try createFolder(far)
        try writeAtomically("one", to: far.appending("file"))
        symlink("../far/file", tree.appending("link").string)
        symlink("../far", tree.appending("folder").string)
        symlink("../tree", far.appending("back").string)
        symlink("nowhere", tree.appending("dangling").string)
        func digest() throws -> Digest { try store.statCache.digest(ofTree: tree) }
        let first = try digest()
        #expect(try digest() == first)
        try writeAtomically("two", to: far.appending("file"))
        let second = try digest()
        try writeAtomically("new", to: far.appending("more"))
        let third = try digest()
        try writeAtomically("there", to: tree.appending("nowhere"))
        #expect(Set([first, second, third, try digest()]).count == 4)
    }
}

/// Counts calls.
private final class Counter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func next() -> Int {
        count.withLock {
            $0 += 1
            return $0
        }
    }
}

@Suite("Digests", .timeLimit(.minutes(30)))
struct DigestTests {
    @Test("SHA-256 agrees with FIPS 180-2's example")
    func known() {
        #expect(
            Digest.of("abc").hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test("keys distinguish names, values and the boundaries between them")
    func keys() {
        func key(_ parts: (String, String)...) -> ArtifactKey {
            var builder = KeyBuilder(step: "s", version: 1, trust: .trusted)
            for (name, value) in parts { builder.add(name, value) }
            return builder.key
        }
        let keys = [
            key(), key(("a", "b")), key(("ab", "")), key(("", "ab")), key(("a", "b"), ("c", "d")),
            key(("a", "b:c"), ("", "d")), key(("c", "d"), ("a", "b")), key(("a", "b\n1:c1:d")),
        ]
        #expect(Set(keys).count == keys.count)
        #expect(
            KeyBuilder(step: "s", version: 1, trust: .trusted).key
                != KeyBuilder(step: "s", version: 2, trust: .trusted).key)
        #expect(key(("a", "b")) == key(("a", "b")))
    }

    @Test("a folder's digest depends only on names, contents, links and the executable bit")
    func folders() async throws {
        let scratch = try ScratchFolder()
        let file = scratch.path.appending("file")
        try writeAtomically("one", to: file)
        let cache = StatCache()
        let first = try cache.digest(ofFolder: scratch.path)
        try writeAtomically("one", to: file)
        #expect(try cache.digest(ofFolder: scratch.path) == first)
        chmod(file.string, 0o755)
        let executable = try cache.digest(ofFolder: scratch.path)
        chmod(file.string, 0o600)
        #expect(try cache.digest(ofFolder: scratch.path) == first)
        try writeAtomically("two", to: file)
        let changed = try cache.digest(ofFolder: scratch.path)
        symlink("file", scratch.path.appending("link").string)
        let linked = try cache.digest(ofFolder: scratch.path)
        try createFolder(scratch.path.appending("empty"))
        let withFolder = try cache.digest(ofFolder: scratch.path)
        #expect(Set([first, executable, changed, linked, withFolder]).count == 5)
        #expect(try cache.digest(ofFolder: scratch.path, including: { $0 == "file" }) == changed)
    }
}

@Suite("Stat cache", .timeLimit(.minutes(30)))
struct StatCacheTests {
    @Test("a change of contents is noticed even when size and mtime are restored")
    func restoredTime() async throws {
        let scratch = try ScratchFolder()
        let file = scratch.path.appending("file")
        try writeAtomically("aaaa", to: file)
        try await settle()
        let cache = StatCache()
        #expect(try cache.digest(of: file) == .of("aaaa"))
        var status = stat()
        stat(file.string, &status)
        let handle = try FileDescriptor.open(file, .writeOnly)
        try handle.closeAfter { _ = try handle.writeAll(Array("bbbb".utf8)) }
        utimensat(AT_FDCWD, file.string, [status.st_atim, status.st_mtim], 0)
        #expect(try cache.digest(of: file) == .of("bbbb"))
    }

    @Test("digests are kept for the next run, and damage to the file costs only time")
    func persistence() async throws {
        let scratch = try ScratchFolder()
        let file = scratch.path.appending("with space")
        try writeAtomically("text", to: file)
        try await settle()
        let memory = scratch.path.appending("memory")
        let first = StatCache(file: memory)
        _ = try first.digest(of: file)
        first.save()
        #expect(try readText(memory).contains(Digest.of("text").hex))
        #expect(try StatCache(file: memory).digest(of: file) == .of("text"))
        try writeAtomically("garbage\n\t\t\n\(Digest.of("x"))\t1 2 3\t\(file)\n", to: memory)
        #expect(try StatCache(file: memory).digest(of: file) == .of("text"))
    }

    @Test("a missing file is an error that names it")
    func missing() {
        #expect(throws: Failure.self) { try StatCache().digest(of: "/nonexistent/file") }
    }
}

@Suite("Cache layout", .timeLimit(.minutes(30)))
struct CacheLayoutTests {
    @Test(
        "the first of three variables that is set determines the cache's folder",
        arguments: [
            (["KBUILD_CACHE": "/k", "XDG_CACHE_HOME": "/x", "HOME": "/h"], "/k"),
            (["KBUILD_CACHE": "", "XDG_CACHE_HOME": "/x", "HOME": "/h"], "/x/kbuild"),
            (["HOME": "/h"], "/h/.cache/kbuild"),
        ])
    func order(environment: [String: String], root: String) throws {
        #expect(try CacheLayout(environment: environment).root == FilePath(root))
    }

    @Test("no variable, or a relative path, is an error", arguments: [[:], ["KBUILD_CACHE": "relative"]])
    func errors(environment: [String: String]) throws {
        #expect(throws: Failure.self) { try CacheLayout(environment: environment) }
        // Paths that the kernel's makefiles or their shells cannot handle.
        for name in ["a b", "a:b", "it's", "$x", "a\nb", "x;y", "#1"] {
            #expect(throws: Failure.self) { try CacheLayout(environment: ["KBUILD_CACHE": "/cache/\(name)"]) }
        }
        #expect(try CacheLayout(environment: ["KBUILD_CACHE": "/æ/a-b_c.d~e@f+g"]).root == "/æ/a-b_c.d~e@f+g")
    }
}

@Suite("Locks", .timeLimit(.minutes(30)))
struct FileLockTests {
    @Test("a waiting process reports the lock's holder, its command, and the time")
    func holder() async throws {
        let scratch = try ScratchFolder()
        let layout = CacheLayout(root: scratch.path)
        let notes = Mutex<[String]>([])
        let progress = ProgressSink { event in
            if case .note(let text) = event { notes.withLock { $0.append(text) } }
        }
        let first = try await FileLock.acquire("name", in: layout)
        let second = Task { try await FileLock.acquire("name", in: layout, progress: progress) }
        while notes.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(5)) }
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        withExtendedLifetime(first) {}
        let note = try #require(notes.withLock { $0.first })
        #expect(note.hasPrefix("waiting for another kbuild that holds name: process \(getpid()) ("))
        #expect(note.contains("), since "))
        // The record of a previous holder does not count.
        try writeAtomically("999999999 1 kbuild run\n", to: layout.locks.appending("gone.lock"))
        _ = try await FileLock.acquire("gone", in: layout, progress: progress)
        #expect(notes.withLock { $0.count } == 1)
    }

    @Test("an attempt takes a free lock, and does not wait for another one")
    func attempt() async throws {
        let scratch = try ScratchFolder()
        let layout = CacheLayout(root: scratch.path)
        do {
            let first = try FileLock.attempt("name", in: layout)
            #expect(first != nil)
            #expect(try FileLock.attempt("name", in: layout) == nil)
            #expect(try FileLock.attempt("other", in: layout) != nil)
            withExtendedLifetime(first) {}
        }
        #expect(try FileLock.attempt("name", in: layout) != nil)
    }

    @Test("a second holder waits for the first")
    func exclusion() async throws {
        let scratch = try ScratchFolder()
        let layout = CacheLayout(root: scratch.path)
        let counter = scratch.path.appending("counter")
        try writeAtomically("0", to: counter)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try await FileLock.withLock("name", in: layout) {
                        let value = Int(try readText(counter)) ?? 0
                        try await Task.sleep(for: .milliseconds(2))
                        try writeAtomically(String(value + 1), to: counter)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try readText(counter) == "8")
    }
}

@Suite("Files that are read", .timeLimit(.minutes(30)))
struct RegularFileTests {
    let scratch: ScratchFolder

    init() throws {
        scratch = try ScratchFolder()
    }

    @Test("a pipe, a device, a folder, or a link to one, is reported and not read")
    func otherKinds() throws {
        let pipe = scratch.path.appending("pipe")
        #expect(mkfifo(pipe.string, 0o600) == 0)
        let link = scratch.path.appending("link")
        #expect(symlink("/dev/zero", link.string) == 0)
        for (path, kind) in [(pipe, "named pipe"), (link, "device"), (scratch.path, "folder")] {
            let actions: [() throws -> Void] = [
                { _ = try readBytes(path) }, { _ = try Digest.ofFile(path) },
                { try copyFile(path, to: scratch.path.appending("copy")) },
            ]
            for action in actions {
                let failure = #expect(throws: Failure.self) { try action() }
                #expect(failure?.message == "\(path) is a \(kind), not a file")
            }
        }
        #expect(!fileExists(scratch.path.appending("copy")))
    }
}
