// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Patching
import Syscalls
import SystemPackage

/// The difference between a pristine kernel tree and the tree to build: a pure function of the tree and the patch
/// sources, computed in memory. An empty overlay is the pristine tree.
public struct TreeOverlay: Sendable, Equatable {
    /// The new state of one file.
    public typealias Entry = OverlayEntry

    /// A patch source in an overlay.
    public struct AppliedSource: Sendable, Equatable, Codable {
        /// Its name.
        public var name: String
        /// The digest of its files.
        public var digest: Digest
        /// The files of the tree that it changes, sorted.
        public var paths: [String]
    }

    /// Every file that differs from the pristine tree, by path relative to it.
    public let files: [String: Entry]
    /// The digest of `files`: together with the pristine tree's it identifies the patched tree.
    public let digest: Digest
    /// The sources, in the order in which they were applied.
    public let sources: [AppliedSource]
    /// The system calls that the overlay adds to the tables of the pristine tree.
    public let syscalls: [RegisteredSyscall]
    /// The user's file for each file of the tree that was copied from a spec's folder: a compiler's message about
    /// `kernel/msgbox.c` is about the user's own file.
    public let userFiles: [String: FilePath]
    /// Notes: hunks that applied at another line than they name, doubtful registrations.
    public let notes: [String]

    /// The overlay of an unpatched tree.
    public static let empty = TreeOverlay(files: [:], sources: [], syscalls: [], userFiles: [:], notes: [])

    /// The overlay of a kernel that kbuild did not build.
    ///
    /// - Parameter absentCalls: The project's calls, which that kernel does not have.
    package static func unpatched(absentCalls: [RegisteredSyscall]) -> TreeOverlay {
        TreeOverlay(files: [:], sources: [], syscalls: absentCalls, userFiles: [:], notes: [])
    }

    init(
        files: [String: Entry], sources: [AppliedSource], syscalls: [RegisteredSyscall],
        userFiles: [String: FilePath], notes: [String]
    ) {
        self.files = files
        self.sources = sources
        self.syscalls = syscalls
        self.userFiles = userFiles
        self.notes = notes
        var key = ContentDigest(of: "overlay", version: 1)
        for (path, entry) in files.sorted(by: { $0.key < $1.key }) {
            switch entry {
            case .file(let file): key.add((file.isExecutable ? "program " : "file ") + path, Digest.of(file.bytes))
            case .deleted: key.add("deleted", path)
            }
        }
        digest = key.digest
    }

    /// Computes the overlay of `sources` over the tree `pristine`, which is only read.
    ///
    /// All series are applied first, in their order, because their context is the pristine tree's. The specs follow in
    /// their order and get the remaining system-call numbers.
    ///
    /// - Parameter flags: The effect of the compiler's warnings about the project's own files.
    /// - Throws: `Failure`: `patch` when a patch does not apply or a system call cannot be registered.
    public static func compute(
        pristine: FilePath, sources: [PatchSource], flags: OwnObjectFlags = .warn
    ) throws -> TreeOverlay {
        let analysis = try PatchAnalysis(pristine: pristine, sources: sources, flags: flags)
        try analysis.throwErrors()
        return analysis.overlay
    }
}
