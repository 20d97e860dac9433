// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelSource
import PatchedTree
import Syscalls
import SystemPackage

/// Which patches are applied to the project's tree.
public struct PatchStatus: Codable, Sendable, Equatable {
    /// A patch source.
    public struct Source: Codable, Sendable, Equatable {
        /// Its name.
        public var name: String
        /// applied, modified, not-applied or leftover.
        public var state: String
        /// The files of the tree that it changes.
        public var paths: [String]
    }

    /// The project's tree.
    public var tree: String
    /// The sources.
    public var sources: [Source]
}

/// The work of `kbuild patch`.
public struct PatchActions: Sendable {
    let context: ProjectContext
    var tools: ToolContext { context.tools }
    var steps: KernelSteps { KernelSteps(context: context, rules: nil) }

    /// Prepares the actions; nothing runs yet.
    public init(_ context: ProjectContext) { self.context = context }

    /// The kernel's source, from the cache.
    func source() async throws -> KernelSourceArtifact {
        try context.checkFiles(forKernelOnly: true)
        return try await context.log.result(of: steps.source())
    }

    /// Applies the project's patches to its tree.
    ///
    /// - Returns: The changes, in lines.
    /// - Throws: `Failure` (`patch`) when a patch does not apply; the tree is then unchanged.
    public func apply() async throws -> [String] {
        try await change { try steps.overlay(over: $0) }
    }

    /// Makes the project's tree pristine again.
    ///
    /// - Returns: The changes, in lines.
    /// - Throws: `Failure` (`infrastructure`) when the tree cannot be written.
    public func revert() async throws -> [String] {
        try await change { _ in .empty }
    }

    private func change(_ overlay: (KernelSourceArtifact) throws -> TreeOverlay) async throws -> [String] {
        defer { tools.statCache.save() }
        let pristine = try await source()
        let overlay = try overlay(pristine)
        let lock = try await steps.lock(pristine, tools.progress)
        defer { withExtendedLifetime(lock) {} }
        let change = try await steps.synchronize(pristine, overlay, tools.progress)
        for note in overlay.notes { tools.progress(.note(note)) }
        var lines = change.added.map { "added    \($0)" } + change.modified.map { "modified \($0)" }
        lines += change.removed.map { "removed  \($0)" }
        return lines.isEmpty ? ["nothing to do: \(steps.workTree(pristine).tree)"] : lines
    }

    /// Computes the patched tree without changing anything.
    ///
    /// - Returns: The system calls and notes, in lines.
    /// - Throws: `Failure` (`patch`) when a patch does not apply.
    public func check() async throws -> [String] {
        defer { tools.statCache.save() }
        let pristine = try await source()
        let overlay = try steps.overlay(over: pristine)
        var lines = overlay.sources.map { "applies  \($0.name): \($0.paths.count) files" }
        lines += overlay.syscalls.map { "syscall  \($0.name) = \($0.number) (\($0.abi.rawValue))" }
        return lines + overlay.notes.map { "note     \($0)" }
    }

    /// Reads which patches are applied to the project's tree.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the tree cannot be read.
    public func status() async throws -> PatchStatus {
        defer { tools.statCache.save() }
        let pristine = try await source()
        let tree = steps.workTree(pristine)
        let sources = try steps.patchSources()
        guard isFolder(tree.tree) else {
            return PatchStatus(
                tree: tree.tree.string, sources: sources.map { .init(name: $0.name, state: "not-applied", paths: []) })
        }
        return PatchStatus(
            tree: tree.tree.string,
            sources: try tree.status(sources: sources).map { source in
                let state =
                    switch source.state {
                    case .applied: "applied"
                    case .notApplied: "not-applied"
                    case .leftover: "leftover"
                    default: "modified"
                    }
                return .init(name: source.name, state: state, paths: source.paths)
            })
    }
}
