// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import Processes
import SystemPackage

/// What steps work with: the cache, a way to run tools, and somewhere to report.
struct ToolContext: Sendable {
    let layout: CacheLayout
    let store: ArtifactStore
    let runner: CommandRunner
    let progress: ProgressSink
    /// Whether nothing is to be run or changed.
    var isDryRun = false

    var statCache: StatCache { store.statCache }

    /// What a tool is: the digest of its executable, so that an upgrade changes the keys of what it made.
    func digest(ofTool tool: String) throws -> Digest {
        try statCache.digest(of: try executable(of: tool))
    }

    /// As `digest(ofTool:)`; a fixed digest for a tool that is not there, so that installing it changes the keys.
    func digest(ofOptionalTool tool: String) throws -> Digest {
        guard (try? runner.locate(tool)) != nil else { return .of("") }
        return try digest(ofTool: tool)
    }

    /// The folders of tools that a sandbox does not show by itself; a tool that is not there has none.
    func installations(of names: [String]) -> [FilePath] {
        names.compactMap { name in (try? executable(of: name)).flatMap(Sandbox.installation) }
    }

    /// A tool's executable, links followed.
    private func executable(of tool: String) throws -> FilePath {
        let path = try runner.locate(tool)
        return resolvedPath(path) ?? path
    }
}
