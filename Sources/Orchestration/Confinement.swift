import Artifacts
import Commands
import Diagnostics
import Glibc
import SystemPackage

/// Whether code that came with the patches is confined when it runs on the host. Found out once a run.
actor Confinement {
    /// How it is confined.
    struct Rules: Sendable, Hashable {
        /// The user that confined commands run as; nil for kbuild's own.
        var user: UInt32?
        /// Whether a patch is from outside of the project, so that its author is not that of the last one.
        var hasForeignPatches: Bool
        /// The folder whose own code is trusted; nil when no code is.
        var trusted: FilePath?

        /// The rules for code that lies at `path`; nil where that is trusted.
        func covering(_ path: FilePath) -> Rules? {
            guard let trusted, Confinement.resolved(path).starts(with: trusted) else { return self }
            return nil
        }

        /// The sandbox of a build.
        func build(readable: [FilePath], writable: [FilePath]) -> Sandbox {
            Sandbox(identity: user, readable: readable, writable: writable)
        }

        /// The sandbox of a machine. A share that the guest may write to belongs to kbuild's user, and so does KVM's
        /// device; with those the machine runs as that user, without its capabilities.
        func machine(readable: [FilePath], writable: [FilePath], devices: [FilePath] = []) -> Sandbox {
            let isOwn = !writable.isEmpty || !devices.isEmpty
            return Sandbox(
                identity: isOwn ? nil : user, readable: readable, writable: writable, devices: devices,
                limits: .machine, ownsFolders: false, filter: .machine)
        }
    }

    private let project: Project
    private let tools: Toolbox
    private let name: String
    /// Nil until it is found out.
    private var decision: Rules??

    /// - Parameter name: Tells this project's confined commands from others'.
    init(project: Project, tools: Toolbox, name: String) {
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
        let foreign = Self.foreignPatches(of: project)
        if project.sandbox == .off || (project.sandbox == .auto && foreign.isEmpty) { return nil }
        let user = Sandbox.identity(for: name)
        // Where nothing may be run, a sandbox that is wanted is taken for one that works.
        let found = tools.isDryRun ? nil : try await tools.runner.obstacleToSandbox(user: user)
        guard var obstacle = found else {
            if let first = foreign.first, project.sandbox == .auto {
                tools.progress(.note("\(first) is from outside of the project: what it runs here is confined"))
            }
            let isPart = project.sandbox == .auto
            return Rules(
                user: user, hasForeignPatches: !foreign.isEmpty, trusted: isPart ? Self.resolved(project.folder) : nil)
        }
        guard project.sandbox == .auto, let first = foreign.first else {
            obstacle.message = "the sandbox is asked for, but \(obstacle.message)"
            throw obstacle
        }
        tools.progress(
            .note("\(first) is from outside of the project, and what it runs here is NOT confined: \(obstacle.message)")
        )
        return nil
    }

    /// The patches that lie, all links followed, outside of the project's folder.
    static func foreignPatches(of project: Project) -> [FilePath] {
        let home = resolved(project.folder)
        return project.kernel.patches.filter { !resolved($0).starts(with: home) }
    }

    /// A path with all links followed.
    fileprivate static func resolved(_ path: FilePath) -> FilePath {
        guard let target = realpath(path.string, nil) else { return path.lexicallyNormalized() }
        defer { free(target) }
        return FilePath(String(cString: target))
    }
}
