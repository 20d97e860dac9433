import Artifacts
import Commands
import Diagnostics
import Glibc
import SystemPackage

/// What every step needs: the cache, a way to run tools, and somewhere to report.
struct Toolbox: Sendable {
    let layout: CacheLayout
    let store: ArtifactStore
    let runner: CommandRunner
    let progress: Progress

    var statCache: StatCache { store.statCache }

    /// What a tool is: the digest of its executable, so that an upgrade changes the keys of what it made.
    func digest(ofTool tool: String) throws -> Digest {
        let path = try runner.locate(tool)
        guard let resolved = realpath(path.string, nil) else { return try statCache.digest(of: path) }
        defer { free(resolved) }
        return try statCache.digest(of: FilePath(String(cString: resolved)))
    }
}
