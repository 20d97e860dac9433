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

/// What an output folder was built from when make last said that all of it is up to date.
///
/// All that changed since is the difference between this and what is there now; when that is C files alone,
/// `IncrementalMake` knows what depends on them. It lies in the output folder, and goes with it.
package struct BuildSnapshot: Codable, Equatable {
    var format = 1
    /// make's whole command with its environment, as a digest.
    var command: Digest
    /// The state of each program that the build runs and of each file that make rereads its configuration for.
    var fixtures: [String: String]
    /// The files of the tree that kbuild ever changed, with their contents and time stamps.
    package var files: [String: OutputRecord.Offered]

    /// Where it lies; its time stamp is that of the last whole build.
    static func path(_ output: FilePath) -> FilePath { output.appending(".kbuild-baseline.json") }

    /// Programs whose results go into a kernel. make finds a change of the compiler's version alone by itself.
    private static let tools = [
        "make", "sh", "gcc", "cpp", "as", "ld", "ar", "nm", "objcopy", "objdump", "strip", "sed", "awk", "lz4",
        "ccache",
    ]

    /// The configuration, as the user's choice and as make and the compiler see it.
    private static let configuration = [".config", "include/config/auto.conf", "include/generated/autoconf.h"]

    /// Describes the present: what an output folder would be built from now.
    ///
    /// - Parameter record: What the output is offered; nil for what it was offered last.
    /// - Returns: Nil when it is not known what the output was offered, as of one not built through a `WorkTree`.
    package init?(of make: KernelMake, command: Command, runner: CommandRunner, record: OutputRecord? = nil) {
        guard let record = record ?? OutputRecord.load(output: make.output),
            // A file half written: nothing is known.
            record.files.values.allSatisfy({ $0.content != nil })
        else { return nil }
        self.command = Digest.of(command.description)
        files = record.files.mapValues { .init(content: $0.content, modified: $0.modified) }
        fixtures = [:]
        for tool in Set(Self.tools + [make.compiler]) {
            guard let path = try? runner.locate(tool) else { continue }
            fixtures[path.string] = Self.signature(path)
        }
        // Files that no patch ever touched change with the source: a directory of the user's, or a branch.
        let manifest = SourceCache.manifest(ofTree: make.tree)
        fixtures["the kernel's source"] = TreeManifest.identity(inFile: manifest)?.hex ?? "not known"
        for name in Self.configuration { fixtures[name] = Self.signature(make.output.appending(name)) }
    }

    /// What the file system says of a file, links followed: another size, time or inode is another file.
    private static func signature(_ path: FilePath) -> String {
        guard let status = FileStatus(path, followsLink: true) else { return "missing" }
        return "\(status.device) \(status.inode) \(status.size) \(status.modified)"
    }

    /// Nil when there is none that can be read.
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
