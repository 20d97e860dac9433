// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelSource
import SystemPackage

/// The command records of an output folder: for each target that make's if_changed macros made, a file `.NAME.cmd` with
/// the command and, of a compilation, every file that it read (scripts/Kbuild.include, scripts/basic/fixdep).
struct CommandRecords {
    /// A record with a given name in it.
    struct Mention: Hashable {
        /// The record's target, relative to the output folder.
        var target: String
        /// The name in the record, resolved from the output folder, in which make's recipes run.
        var path: FilePath
    }

    let output: FilePath
    /// The targets that have a record, relative to the output folder.
    let targets: [String]
    /// The folders of the output, relative to it.
    let folders: [String]

    /// Finds the records of an output folder.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a folder cannot be read; `CancellationError`.
    init(output: FilePath) throws {
        self.output = output
        var targets: [String] = []
        var folders: [String] = []
        for entry in try TreeScan(of: output).entries {
            switch entry.kind {
            case .folder: folders.append(entry.path)
            case .file, .program:
                if let target = Self.target(ofRecord: entry.path) { targets.append(target) }
            case .link: break
            }
        }
        self.targets = targets
        self.folders = folders
    }

    /// The target whose record is at `path`: `kernel/fork.o` for `kernel/.fork.o.cmd`.
    static func target(ofRecord path: String) -> String? {
        let name = path.split(separator: "/").last ?? ""
        guard name.hasPrefix("."), name.hasSuffix(".cmd"), name.utf8.count > 5 else { return nil }
        return "\(path.dropLast(name.count))\(name.dropFirst().dropLast(4))"
    }

    /// The path of a target's record, relative to the output folder.
    static func record(of target: String) -> String {
        let name = target.split(separator: "/").last ?? ""
        return "\(target.dropLast(name.count)).\(name).cmd"
    }

    /// Every place where a record has a path with one of these last components.
    ///
    /// Records are read again each time: an index of them could be out of date, and reading 40 MB from the page cache
    /// takes some hundredths of a second.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a record cannot be read; `CancellationError`.
    func mentions(ofNames names: Set<String>) throws -> Set<Mention> {
        var found: Set<Mention> = []
        var buffer = ReadBuffer()
        let needles = names.map(Needle.init)
        for target in targets {
            try Task.checkCancellation()
            try buffer.read(output.pushing(FilePath(Self.record(of: target))))
            for needle in needles {
                buffer.forEachWord(endingWith: needle) { word in
                    found.insert(Mention(target: target, path: output.pushing(FilePath(word)).lexicallyNormalized()))
                }
            }
        }
        return found
    }

    /// The words of the command that made a target.
    ///
    /// - Throws: `Failure` (`infrastructure`) when its record cannot be read.
    func command(of target: String) throws -> [Substring] {
        try text(of: target).prefix { $0 != "\n" }.split { " \t;|\"'".contains($0) }
    }

    /// A target's whole record.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be read.
    func text(of target: String) throws -> String { try readText(output.pushing(FilePath(Self.record(of: target)))) }

    /// The command in a record, as make reads it; nil when there is none.
    static func commandText(in record: String) -> Substring? {
        // The first line; 6.1 writes `cmd_TARGET := COMMAND`, later kernels `savedcmd_TARGET := COMMAND`.
        let line = record.prefix { $0 != "\n" }
        guard line.hasPrefix("cmd_") || line.hasPrefix("savedcmd_"), let sign = line.firstRange(of: " := ") else {
            return nil
        }
        return line[sign.upperBound...]
    }

    /// The command in a record, as the shell reads it; nil when make would do more than undo its own quoting (make-cmd
    /// in scripts/Kbuild.include).
    static func replayable(_ record: String) -> String? {
        guard let text = commandText(in: record) else { return nil }
        // Every dollar for the shell is doubled.
        let parts = text.split(separator: "$$", omittingEmptySubsequences: false)
            .map { $0.replacing("$(pound)", with: "#") }
        guard !parts.contains(where: { $0.contains("$") }) else { return nil }
        return parts.joined(separator: "$")
    }
}
