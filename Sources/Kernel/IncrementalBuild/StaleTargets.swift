// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import KernelMake
import KernelSource
import SystemPackage

/// Targets that make would take for up to date and that are not.
///
/// make removes the target of an interrupted recipe when it has the time to. When it is killed outright, a half-written
/// object with the command record of an earlier build would look up to date to the next. Which target that
/// was is not known, but it was being written in the output's last moments.
package enum StaleTargets {
    /// Before the last write by this much, a recipe had ended, in nanoseconds: a recipe that writes for longer, the
    /// final link, keeps on writing.
    private static let margin: Int64 = 5_000_000_000

    /// Removes the targets of make that were written in the last five seconds before the output's last change.
    ///
    /// A target is a file with a command record, `.NAME.cmd`. A compiler cache makes up for those that were whole.
    ///
    /// - Returns: How many were removed.
    /// - Throws: `Failure` (`infrastructure`); `CancellationError`.
    package static func removeUnfinished(in output: FilePath) throws -> Int {
        let entries = try TreeScan(of: output).entries.filter { $0.kind == .file || $0.kind == .program }
        let paths = Set(entries.map(\.path))
        let targets = entries.filter { paths.contains(commandRecord(of: $0.path)) }
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

    /// Removes objects whose source is gone: make has no rule for them then, and would link what is left of a source
    /// that a patch no longer has.
    ///
    /// - Throws: `Failure` (`infrastructure`); `CancellationError`.
    package static func removeOrphans(in make: KernelMake) throws {
        guard isFolder(make.output) else { return }
        let paths = Set(try TreeScan(of: make.output).entries.map(\.path))
        for path in paths where path.hasSuffix(".o") {
            let stem = path.dropLast(1)
            let isPlain = ["c", "S"].contains { suffix in
                fileExists(make.tree.pushing(FilePath("\(stem)\(suffix)"))) || paths.contains("\(stem)\(suffix)")
            }
            let record = commandRecord(of: path)
            // One linked of several objects, or made of a source with another name: the record tells. tools/ has
            // records of its own kind, relative to folders that they do not name.
            guard !isPlain, paths.contains(record), let source = source(in: make.output.pushing(FilePath(record)))
            else { continue }
            // With a compiler cache the source's path is relative.
            let file = make.output.pushing(FilePath(source)).lexicallyNormalized()
            guard file.starts(with: make.tree), !fileExists(file) else { continue }
            try removeAll(make.output.pushing(FilePath(path)))
        }
    }

    /// Where the kernel's build system keeps the command that made a target.
    private static func commandRecord(of path: String) -> String {
        let path = FilePath(path)
        return path.removingLastComponent().appending(".\(path.lastComponent?.string ?? "").cmd").string
    }

    /// The source in a command record: the line "source_TARGET := SOURCE", which scripts/basic/fixdep writes.
    private static func source(in record: FilePath) -> String? {
        guard let text = try? readText(record), let start = text.firstRange(of: "\nsource_")?.upperBound,
            let line = text[start...].textLines().first, let sign = line.firstRange(of: " := ")
        else { return nil }
        return String(line[sign.upperBound...])
    }
}
