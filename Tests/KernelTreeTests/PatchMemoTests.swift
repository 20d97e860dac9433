// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Patching
import SystemPackage
import Testing

@testable import PatchedTree

@Suite("The stored overlay", .timeLimit(.minutes(30)))
struct PatchMemoTests {
    private let scratch: PatchScratch
    private let memo: OverlayCache

    init() throws {
        scratch = try PatchScratch()
        memo = OverlayCache(file: scratch.path.appending("overlay"))
    }

    private func overlay() throws -> TreeOverlay {
        let pristine = try writeSmallKernel(to: scratch)
        try scratch.write(
            "folder: kernel\nsources: [box.c]\nsyscalls:\n  - {name: box, arguments: [int number]}\n",
            to: "box/syscall.yaml")
        try scratch.write(
            "SYSCALL_DEFINE1(box, int, number)\n{\n\treturn number;\n}\n", to: "box/box.c")
        return try TreeOverlay.compute(
            pristine: pristine, sources: [try PatchSource.load(scratch.path.appending("box"))])
    }

    @Test("a stored overlay is read back unchanged, and only under its own key")
    func roundTrip() throws {
        let overlay = try overlay()
        #expect(overlay.files.count > 3)
        memo.save(overlay, key: .of("one"))
        #expect(memo.load(key: .of("one")) == overlay)
        #expect(memo.load(key: .of("two")) == nil)
    }

    @Test("a missing, truncated or changed file is not an overlay")
    func damage() throws {
        #expect(memo.load(key: .of("one")) == nil)
        memo.save(try overlay(), key: .of("one"))
        let whole = try readBytes(scratch.path.appending("overlay"))
        try writeAtomically(whole[..<(whole.count / 2)], to: scratch.path.appending("overlay"))
        #expect(memo.load(key: .of("one")) == nil)
        let word = Array("SYSCALL_DEFINE1".utf8)
        let place = try #require(whole.indices.first { whole[$0...].starts(with: word) })
        var changed = whole
        changed[place] ^= 0x20
        try writeAtomically(changed, to: scratch.path.appending("overlay"))
        #expect(memo.load(key: .of("one")) == nil)
    }

    @Test("a source's identity depends on each file of its folder, without parsing the source")
    func identity() throws {
        func identity(_ path: String) throws -> Digest? {
            try PatchSource.identity(of: scratch.path.pushing(FilePath(path)), digest: Digest.ofFile)
        }
        try scratch.write("no patch at all", to: "x.patch")
        let file = try #require(try identity("x.patch"))
        try scratch.write("no patch at all!", to: "x.patch")
        #expect(try identity("x.patch") != file)
        try scratch.write("a", to: "set/series")
        try scratch.write("b", to: "set/deep/b.patch")
        var seen: Set<Digest> = [try #require(try identity("set"))]
        for (text, path) in [
            ("a ", "set/series"), ("c", "set/deep/b.patch"), ("", "set/old.patch.orig"), ("", "set/deep/c"),
        ] {
            try scratch.write(text, to: path)
            #expect(seen.insert(try #require(try identity("set"))).inserted, "\(path)")
        }
        #expect(try identity("nothing") == nil)
        try FileManager.default.createSymbolicLink(
            atPath: scratch.path.pushing("set/link.patch").string, withDestinationPath: "old.patch.orig")
        #expect(try identity("set") == nil)
    }
}
