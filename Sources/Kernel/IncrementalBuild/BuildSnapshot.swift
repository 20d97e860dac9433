// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import KernelMake
import KernelSource
import PatchedTree
import Processes
import SystemPackage

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// The state from which an output folder was built when make last reported that everything was up to date.
///
/// The difference between this and the current state is what changed since; when only C files changed,
/// `IncrementalMake` knows what depends on them. The snapshot is in the output folder, and is removed with it.
package struct BuildSnapshot: Codable, Equatable {
    var format = 1
    /// The digest of make's whole command with its environment.
    var command: Digest
    /// The state of each program that the build runs, and of each file that makes make reread its configuration.
    var fixtures: [String: String]
    /// The files of the tree that kbuild has ever changed, with their contents and time stamps.
    package var files: [String: OutputRecord.Offered]
    /// Whether the output is a copy that make has not looked at yet: objects may be missing in it. Nil for no.
    private var copied: Bool?

    /// As `copied`.
    var isCopied: Bool {
        get { copied == true }
        set { copied = newValue ? true : nil }
    }

    /// Its path; its time stamp is that of the last whole build.
    static func path(_ output: FilePath) -> FilePath { output.appending(".kbuild-snapshot.json") }

    /// Programs whose results are part of a kernel. make itself only notices a change of the compiler's version.
    private static let tools = [
        "make", "sh", "gcc", "cpp", "as", "ld", "ar", "nm", "objcopy", "objdump", "strip", "sed", "awk", "lz4",
        "ccache",
    ]

    /// The configuration: the user's choice, and the files that make and the compiler read.
    private static let configuration = [".config", "include/config/auto.conf", "include/generated/autoconf.h"]

    /// Records the current state, from which an output folder would be built now.
    ///
    /// - Parameter record: What the output is offered; nil for what it was last offered.
    /// - Returns: Nil when the record is unknown, as for an output that was not built through a `WorkTree`.
    package init?(of make: KernelMake, command: Command, runner: CommandRunner, record: OutputRecord? = nil) {
        guard let record = record ?? OutputRecord.load(output: make.output),
            // The write of a file was interrupted: its state is unknown.
            record.files.values.allSatisfy({ $0.content != nil })
        else { return nil }
        self.command = Digest.of(command.description)
        files = record.files.mapValues { .init(content: $0.content, modified: $0.modified) }
        fixtures = [:]
        for tool in Set(Self.tools + [make.compiler]) {
            guard let path = try? runner.locate(tool) else { continue }
            fixtures[path.string] = Self.signature(path)
        }
        // Files that no patch touched change with the source: a user's directory, or a branch.
        let manifest = SourceCache.manifest(ofTree: make.tree)
        fixtures["the kernel's source"] = TreeManifest.identity(inFile: manifest)?.hex ?? "not known"
        for name in Self.configuration { fixtures[name] = Self.signature(make.output.appending(name)) }
    }

    /// The file system's data on a file, links followed: another size, time or inode means another file.
    private static func signature(_ path: FilePath) -> String {
        guard let status = FileStatus(path, followsLink: true) else { return "missing" }
        return "\(status.device) \(status.inode) \(status.size) \(status.modified)"
    }

    /// Nil when there is none, or it cannot be read.
    package static func load(output: FilePath) -> BuildSnapshot? {
        guard let bytes = try? readBytes(path(output)) else { return nil }
        return (try? JSONDecoder().decode(BuildSnapshot.self, from: Data(bytes))).flatMap { $0.format == 1 ? $0 : nil }
    }

    /// Writes it to the output folder.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    package func save(output: FilePath) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try writeAtomically(try encoder.encode(self), to: Self.path(output))
    }
}
