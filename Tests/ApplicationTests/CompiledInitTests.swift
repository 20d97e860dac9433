// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import SystemPackage
import Testing

@testable import Application

@Suite("The compiled init of an installation", .timeLimit(.minutes(30)))
struct CompiledInitTests {
    private let scratch: FilePath

    init() throws {
        let folder = FilePath(FileManager.default.temporaryDirectory.path).appending("init-\(UUID().uuidString)")
        try createFolder(folder)
        scratch = folder
    }

    private func tools(executable: FilePath) -> ToolContext {
        let layout = CacheLayout(root: scratch.appending("cache"))
        return ToolContext(
            layout: layout, store: ArtifactStore(layout: layout, statCache: StatCache(file: layout.statCache)),
            runner: CommandRunner(supervisor: executable), progress: .silent)
    }

    @Test("it is used only for the sources that it was compiled from")
    func find() throws {
        defer { try? removeAll(scratch) }
        let (sources, home) = (scratch.appending("sources"), scratch.pushing("usr/lib/kbuild"))
        for folder in [sources, home, scratch.pushing("usr/bin")] { try createFolder(folder) }
        try writeAtomically("one", to: sources.appending("Init.swift"))
        let tools = tools(executable: scratch.pushing("usr/bin/kbuild"))
        #expect(try CompiledInit.find(for: sources, tools) == nil)
        let digest = try tools.statCache.digest(ofTree: sources, including: SwiftPackages.isInput)
        try writeAtomically(digest.hex, to: home.appending("init.sources"))
        #expect(try CompiledInit.find(for: sources, tools) == nil)
        try writeAtomically("ELF", to: home.appending("init"))
        #expect(try CompiledInit.find(for: sources, tools) == home.appending("init"))
        try writeAtomically("another", to: sources.appending("Init.swift"))
        #expect(try CompiledInit.find(for: sources, tools) == nil)
    }
}
