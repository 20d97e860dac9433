// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import KernelMake
import KernelSource
import SystemPackage

/// Targets that make would regard as up to date but that are not.
///
/// make removes the target of an interrupted recipe if it has time. When make is killed, a partly written object with
/// the command record of an earlier build would look up to date to the next build. It is not known which target that
/// was, but it was written in the output's last moments.
package enum StaleTargets {
    /// A recipe has ended this long before the last write, in nanoseconds: a recipe that writes for longer, the final
    /// link, keeps writing.
    private static let margin: Int64 = 5_000_000_000

    /// Removes make's targets that were written in the last five seconds before the output's last change.
    ///
    /// A target is a file with a command record, `.NAME.cmd`. A compiler cache restores complete ones quickly.
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

    /// Removes objects whose source no longer exists: make then has no rule for them, and would link the object of a
    /// source that a patch no longer has.
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
            // The record names the source of an object that is linked from several objects, or compiled from a source
            // with another name. tools/ has its own kind of records, relative to folders that they do not name.
            guard !isPlain, paths.contains(record), let source = source(in: make.output.pushing(FilePath(record)))
            else { continue }
            // With a compiler cache the source's path is relative.
            let file = make.output.pushing(FilePath(source)).lexicallyNormalized()
            guard file.starts(with: make.tree), !fileExists(file) else { continue }
            try removeAll(make.output.pushing(FilePath(path)))
        }
    }

    /// The path of the kernel's record of the command that made a target.
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
