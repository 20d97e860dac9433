import Artifacts
import Diagnostics
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Targets that a killed make may have left half written.
///
/// make removes the target of an interrupted recipe when it has the time to. When it is killed outright, a half-written
/// object with the command record of an earlier build would look up to date to the next. Which target that
/// was is not known, but it was being written in the output's last moments.
enum UnfinishedTargets {
    /// Before the last write by this much, a recipe had ended, in nanoseconds: a recipe that writes for longer, the
    /// final link, keeps on writing.
    private static let margin: Int64 = 5_000_000_000

    /// Removes the targets of make that were written in the last five seconds before the output's last change.
    ///
    /// A target is a file with a command record, `.NAME.cmd`. A compiler cache makes up for those that were whole.
    ///
    /// - Returns: How many were removed.
    /// - Throws: `Failure` (`infrastructure`); `CancellationError`.
    static func remove(in output: FilePath) throws -> Int {
        let entries = try TreeScan(of: output).entries.filter { $0.kind == .file || $0.kind == .program }
        let paths = Set(entries.map(\.path))
        let targets = entries.filter { entry in
            let path = FilePath(entry.path)
            guard let name = path.lastComponent else { return false }
            return paths.contains(path.removingLastComponent().appending(".\(name).cmd").string)
        }
        guard let last = targets.map(\.signature.modified).max() else { return 0 }
        var removed = 0
        for target in targets where target.signature.modified >= last - margin {
            guard unlink(output.pushing(FilePath(target.path)).string) == 0 || errno == ENOENT else {
                throw Failure(
                    .infrastructure, "cannot remove \(output.pushing(FilePath(target.path)))", details: errnoText())
            }
            removed += 1
        }
        return removed
    }
}
