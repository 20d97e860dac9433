// SPDX-License-Identifier: Apache-2.0
import Artifacts
import KernelSource
import PatchedTree
import SystemPackage

/// Which patches the project's tree has.
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

extension Pipeline {
    /// Brings the project's tree in line with its patches.
    ///
    /// - Returns: What was done, in lines.
    /// - Throws: `Failure` (`patch`) when one does not apply; the tree is then as it was.
    public func applyPatches() async throws -> [String] {
        try await change { pristine in
            try TreeOverlay.compute(
                pristine: pristine.folder, sources: try KernelStep(pipeline: self, rules: nil).patchSources())
        }
    }

    /// Makes the project's tree pristine again.
    ///
    /// - Returns: What was done, in lines.
    /// - Throws: `Failure` (`infrastructure`) when the tree cannot be written.
    public func revertPatches() async throws -> [String] {
        try await change { _ in .empty }
    }

    private func change(_ overlay: (KernelSourceArtifact) throws -> TreeOverlay) async throws -> [String] {
        let step = KernelStep(pipeline: self, rules: nil)
        try checkFiles(forKernelOnly: true)
        defer { tools.statCache.save() }
        let pristine = try await step.source()
        let overlay = try overlay(pristine)
        let lock = try await step.lock(pristine, tools.progress)
        defer { withExtendedLifetime(lock) {} }
        let change = try await step.synchronize(pristine, overlay, tools.progress)
        for note in overlay.notes { tools.progress(.note(note)) }
        var lines = change.added.map { "added    \($0)" } + change.modified.map { "modified \($0)" }
        lines += change.removed.map { "removed  \($0)" }
        return lines.isEmpty ? ["nothing to do: \(step.workTree(pristine).tree)"] : lines
    }

    /// Works out the patched tree without changing anything.
    ///
    /// - Returns: The system calls and notes, in lines.
    /// - Throws: `Failure` (`patch`) when a patch does not apply.
    public func checkPatches() async throws -> [String] {
        let step = KernelStep(pipeline: self, rules: nil)
        try checkFiles(forKernelOnly: true)
        defer { tools.statCache.save() }
        let pristine = try await step.source()
        let overlay = try TreeOverlay.compute(pristine: pristine.folder, sources: try step.patchSources())
        var lines = overlay.sources.map { "applies  \($0.name): \($0.paths.count) files" }
        lines += overlay.syscalls.map { "syscall  \($0.name) = \($0.number) (\($0.abi.rawValue))" }
        return lines + overlay.notes.map { "note     \($0)" }
    }

    /// Says which patches the project's tree has.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the tree cannot be read.
    public func patchStatus() async throws -> PatchStatus {
        let step = KernelStep(pipeline: self, rules: nil)
        try checkFiles(forKernelOnly: true)
        defer { tools.statCache.save() }
        let pristine = try await step.source()
        let tree = step.workTree(pristine)
        let sources = try step.patchSources()
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

    /// Configures the kernel.
    ///
    /// - Returns: The path of its `.config`.
    /// - Throws: `Failure` with the code of what went wrong.
    public func configureKernel() async throws -> FilePath {
        try checkFiles(forKernelOnly: true)
        defer { tools.statCache.save() }
        let step = KernelStep(pipeline: self, rules: try await confinement.rules()?.kernel)
        let patched = try await step.patch()
        if patched.artifact == nil { try patched.pristine.verify() }
        return try await step.configure(patched)
    }

    /// The names of the tests that a pattern selects, as reports use them.
    ///
    /// - Throws: `Failure` with the code of what went wrong.
    public func listTests(filter: String?) async throws -> [String] {
        try checkFiles()
        defer { tools.statCache.save() }
        let step = KernelStep(pipeline: self, rules: try await confinement.rules()?.kernel)
        let patched = try await step.patch()
        let numbers = step.numbers(of: patched.overlay)
        try numbers.write()
        return try await programs(numbers: numbers, filter: filter, of: patched).flatMap { program in
            if case .swiftTesting(let expected) = program.planned.resultsProtocol {
                expected
            } else {
                [program.planned.name]
            }
        }
    }
}
