// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import SystemPackage
import Testing

@testable import Application
@testable import Project

@Suite("Watching a project", .timeLimit(.minutes(30)))
struct ProjectWatcherTests {
    private let folder: FilePath

    init() throws {
        folder = FilePath(NSTemporaryDirectory()).appending("kbuild-watch-\(UUID().uuidString)").lexicallyNormalized()
        for name in ["kernel/a", "shared", "tests/.build"] { try createFolder(folder.pushing(FilePath(name))) }
        try write("kbuild.yaml", "kernel: {patches: [kernel/a]}\nshares: [{path: shared, target: /s}]\n")
        try write("kernel/a/a.c", "int a;\n")
    }

    private func write(_ name: String, _ text: String) throws {
        try writeAtomically(text, to: folder.pushing(FilePath(name)))
    }

    @Test("an edited, new or removed file is reported once; files that the guest and SwiftPM write are not")
    func changes() throws {
        defer { try? removeAll(folder) }
        var watcher = ProjectWatcher(try Project.load(folder.appending("kbuild.yaml")))
        #expect(watcher.changes() == [])
        try write("kernel/a/a.c", "int b;\n")
        try write("kernel/a/new.c", "int c;\n")
        try write("shared/from-guest", "x")
        try write("tests/.build/x.o", "x")
        try write("tests/Package.resolved", "x")
        let edited = watcher.changes()
        #expect(edited == [folder.pushing("kernel/a/a.c"), folder.pushing("kernel/a/new.c")])
        #expect(watcher.changes() == [])
        try removeAll(folder.pushing("kernel/a/new.c"))
        #expect(watcher.changes() == [folder.pushing("kernel/a/new.c")])
    }
}
