// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Processes
import Project
import RootFilesystem
import SystemPackage

/// Decides whether code of foreign inputs is confined when it runs on the host. The decision is made once in each run.
actor Confinement {
    /// How code is confined, and which code.
    struct Rules: Sendable {
        /// The user that confined commands run as; nil for kbuild's own.
        var user: UInt32?
        /// Where the project's inputs come from.
        var provenance: Provenance
        /// Whether all code is confined, whatever its origin.
        var coversAll: Bool

        /// The rules for commands that run code of the kernel's tree, or read its build output; nil where that is
        /// trusted.
        var kernel: Rules? { coversAll || provenance.hasForeignKernel ? self : nil }

        /// Whether outputs of the kernel's build may come from authors who do not trust each other.
        var hasForeignContribution: Bool { provenance.hasForeignContribution }

        /// Whether text of a foreign patch is in the header with the system calls' numbers, and so in every file that
        /// includes it.
        var hasForeignNumbers: Bool { provenance.hasForeignNumbers }

        /// The rules for code at `path`; nil where that is trusted.
        ///
        /// - Parameter includingNumbers: Whether it is compiled with the numbers of the system calls.
        func covering(_ path: FilePath, includingNumbers: Bool) -> Rules? {
            let isTrusted = provenance.isTrusted(path) && !(includingNumbers && hasForeignNumbers)
            return isTrusted && !coversAll ? nil : self
        }

        /// The sandbox of a build.
        func build(readable: [FilePath], writable: [FilePath]) -> Sandbox {
            Sandbox(identity: user, readable: readable, writable: writable)
        }

        /// The sandbox of a machine. Any foreign input needs one, because all inputs end up in the guest. A share that
        /// the guest may write to belongs to kbuild's user, and so does KVM's device; with those the machine runs as
        /// that user, without its capabilities.
        func machine(readable: [FilePath], writable: [FilePath], devices: [FilePath] = []) -> Sandbox {
            let isOwn = !writable.isEmpty || !devices.isEmpty
            return Sandbox(
                identity: isOwn ? nil : user, readable: readable, writable: writable, devices: devices,
                limits: .machine, ownsFolders: false, filter: .machine)
        }
    }

    private let project: Project
    private let tools: ToolContext
    private let name: String
    /// Nil until the decision is made.
    private var decision: Rules??

    /// - Parameter name: Distinguishes this project's confined commands from others'.
    init(project: Project, tools: ToolContext, name: String) {
        self.project = project
        self.tools = tools
        self.name = name
    }

    /// The rules for this run; nil when nothing is confined.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the project asks for a sandbox and the host has none;
    ///   `CancellationError`.
    func rules() async throws -> Rules? {
        if let decision { return decision }
        let rules = try await decide()
        decision = .some(rules)
        return rules
    }

    private func decide() async throws -> Rules? {
        guard project.sandbox != .off else { return nil }
        // A definition that cannot be read is refused by the step that makes the root file system.
        let definition = try? RootFilesystemDefinition.load(project.rootfsDefinition)
        let provenance = Provenance(of: project, rootfsFiles: definition?.hostFiles ?? [])
        let remarks = Self.remarks(on: provenance.foreign)
        if project.sandbox == .auto, remarks.isEmpty { return nil }
        let user = Sandbox.identity(for: name)
        // If nothing may run, a requested sandbox is assumed to work.
        let found = tools.isDryRun ? nil : try await tools.runner.obstacleToSandbox(user: user)
        guard var obstacle = found else {
            if project.sandbox == .auto {
                for remark in remarks { tools.progress(.note("\(remark): what it runs here is confined")) }
            }
            return Rules(user: user, provenance: provenance, coversAll: project.sandbox == .on)
        }
        guard project.sandbox == .auto else {
            obstacle.message = "the sandbox is asked for, but \(obstacle.message)"
            throw obstacle
        }
        for remark in remarks {
            tools.progress(.note("\(remark), and what it runs here is NOT confined: \(obstacle.message)"))
        }
        return nil
    }

    /// The messages about the foreign inputs: a line for each kind, with the first input's name.
    static func remarks(on inputs: [Provenance.Input]) -> [String] {
        var kinds: [Provenance.Kind] = []
        for input in inputs where !kinds.contains(input.kind) { kinds.append(input.kind) }
        return kinds.compactMap { kind in
            let same = inputs.filter { $0.kind == kind }
            let others = same.count > 1 ? " (and \(same.count - 1) more like it)" : ""
            return same.first?.remark.map { $0 + others }
        }
    }
}

extension RootFilesystemDefinition {
    /// The files of the host that go into the root file system.
    var hostFiles: [FilePath] {
        [initProgram, busybox].compactMap { $0 } + files.sorted { $0.key < $1.key }.map(\.value.source)
    }
}
