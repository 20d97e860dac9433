// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import Processes
import SystemPackage

/// What steps work with: the cache, a way to run tools, and a progress sink.
struct ToolContext: Sendable {
    let layout: CacheLayout
    let store: ArtifactStore
    let runner: CommandRunner
    let progress: ProgressSink
    /// Whether nothing may be run or changed.
    var isDryRun = false

    var statCache: StatCache { store.statCache }

    /// A tool's identity: the digest of its executable, so that an upgrade changes the keys of its results.
    func digest(ofTool tool: String) throws -> Digest {
        try statCache.digest(of: try executable(of: tool))
    }

    /// As `digest(ofTool:)`; a fixed digest for a missing tool, so that installing it changes the keys.
    func digest(ofOptionalTool tool: String) throws -> Digest {
        guard (try? runner.locate(tool)) != nil else { return .of("") }
        return try digest(ofTool: tool)
    }

    /// The folders of tools that a sandbox does not show by itself; none for a missing tool.
    func installations(of names: [String]) -> [FilePath] {
        names.compactMap { name in (try? executable(of: name)).flatMap(Sandbox.installation) }
    }

    /// A tool's executable, links followed.
    private func executable(of tool: String) throws -> FilePath {
        let path = try runner.locate(tool)
        return resolvedPath(path) ?? path
    }
}
