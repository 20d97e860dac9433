// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import Processes
import SystemPackage

/// The compiled init of the guest in an installed kbuild, so that a host needs no Swift toolchain for tests that are
/// not in Swift.
///
/// It is in `../lib/kbuild` beside the executable, with the digest of its sources: a project with other sources
/// compiles its own.
public enum CompiledInit {
    /// The argument with which an installation runs kbuild to compile init, before the folders of the sources and of
    /// the program.
    public static let argument = "__compile-init"
    /// The folder's path, relative to the executable's folder.
    private static let folder: FilePath = "lib/kbuild"
    private static let program = "init"
    private static let record = "init.sources"

    /// The program that was compiled from these sources; nil if there is none.
    static func find(for sources: FilePath, _ tools: ToolContext) throws -> FilePath? {
        guard let executable = tools.runner.supervisor else { return nil }
        let home = executable.removingLastComponent().removingLastComponent().pushing(folder)
        guard let known = try? readText(home.appending(record)), fileExists(home.appending(program)),
            known == (try digest(of: sources, tools)).hex
        else { return nil }
        return home.appending(program)
    }

    /// Whether an installed kbuild has one, from any sources.
    public static func exists(beside executable: FilePath?) -> Bool {
        guard let executable else { return false }
        let home = executable.removingLastComponent().removingLastComponent().pushing(folder)
        return fileExists(home.appending(program))
    }

    private static func digest(of sources: FilePath, _ tools: ToolContext) throws -> Digest {
        try tools.statCache.digest(ofTree: sources, including: SwiftPackages.isInput)
    }

    /// Compiles init for an installation.
    ///
    /// - Parameters:
    ///   - sources: The folder of its sources.
    ///   - target: The folder that gets the program and the digest of its sources.
    ///   - supervisor: The kbuild executable.
    /// - Throws: `Failure`: `build` when it does not compile; `infrastructure` when there is no Swift toolchain.
    public static func compile(
        _ sources: FilePath, to target: FilePath, environment: [String: String], supervisor: FilePath?
    ) async throws {
        let layout = try CacheLayout(environment: environment)
        try layout.prepare()
        let tools = ToolContext(
            layout: layout, store: ArtifactStore(layout: layout, statCache: StatCache(file: layout.statCache)),
            runner: CommandRunner(supervisor: supervisor), progress: .silent)
        let builder = GuestProgramBuilder(
            tools: tools, project: sources, projectCache: layout.folder(ofProject: sources), rules: nil)
        let made = try await builder.make(try await builder.initRecipe(sources: sources))
        try createFolder(target)
        try copyFile(made, to: target.appending(program))
        try writeAtomically(try digest(of: sources, tools).hex, to: target.appending(record))
    }
}
