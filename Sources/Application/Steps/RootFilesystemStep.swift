// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import Reporting
import RootFilesystem
import SystemPackage
import VirtualMachine

/// A root file system, ready to boot from.
struct ReadyRootFilesystem: Sendable {
    /// The image or archive.
    var path: FilePath
    /// How the machine gets it.
    var device: RootDevice
}

extension Pipeline {
    /// Makes the root file system: init, busybox, the Swift runtime, and the mount points of the shares.
    ///
    /// - Parameters:
    ///   - accelerator: What libguestfs's appliance may run on.
    ///   - executables: Programs whose shared libraries have to be there.
    /// - Throws: `Failure`: `usage` for a wrong definition, `build` when init does not compile, `infrastructure`
    ///   when the image cannot be made.
    func rootFilesystem(
        accelerator: Accelerator, covering executables: [FilePath]
    ) async throws -> ReadyRootFilesystem {
        try await log.step("rootfs") { progress in
            let builder = try await programBuilder()
            let initProgram = try await builder.initProgram(sources: try initSources())
            let debian = try debianBuilder()
            let request = try await request(
                initProgram: initProgram.executable, covering: executables,
                base: try await debian?.base(progress: progress))
            let images = try imageBuilder(
                accelerator: accelerator,
                trust: builder.trust(of: .init(path: try initSources(), includesNumbers: false)))
            let plan = try await images.plan(request)
            let isHit = plan.cached != nil && initProgram.isHit
            let image = try await images.image(for: plan, progress: progress)
            return (
                ReadyRootFilesystem(path: image.path, device: device(image.kind, image.path)), isHit ? .hit : .made,
                "\(image.kind.rawValue) \(image.key.short)"
            )
        }
    }

    private func device(_ kind: RootFilesystemKind, _ path: FilePath) -> RootDevice {
        kind == .disk ? .disk(path) : .initramfs(path)
    }

    /// Makes the Debian system that the root file system is laid over; nil when there shall be none.
    private func debianBuilder() throws -> DebianBaseBuilder? {
        guard project.rootfsType == .debian else { return nil }
        return try DebianBaseBuilder(
            store: tools.store, runner: tools.runner, suite: project.debian.suite, packages: project.debian.packages,
            mirror: project.debian.mirror)
    }

    private func request(
        initProgram: FilePath, covering executables: [FilePath], base: DebianBase?
    ) async throws -> RootFilesystemRequest {
        var definition = try RootFilesystemDefinition.load(project.rootfsDefinition)
        // A busybox that is missing on this host has a package of its own.
        if let busybox = definition.busybox { _ = try tools.runner.locate(busybox.string) }
        for share in project.shares { definition.folders[share.target] = definition.folders[share.target] ?? 0o755 }
        var request = RootFilesystemRequest(
            definition: definition, initProgram: initProgram, shares: guestMounts, coveredExecutables: executables,
            base: base)
        let rules = try await confinement.rules()
        if project.sandbox != .off {
            try Provenance(of: project).checkFiles(named: definition.hostFiles, by: project.rootfsDefinition)
        }
        if let busybox = definition.busybox, let rules = rules?.covering(busybox, includingNumbers: false) {
            request.busyboxSandbox = rules.build(readable: [busybox], writable: [])
        }
        return request
    }

    /// What is to be done for the root file system.
    ///
    /// - Parameter executables: Programs whose shared libraries have to be there; nil when they are not all known.
    /// - Returns: What the machine gets, which need not be there; nil when its place is not known.
    func planRootFilesystem(covering executables: [FilePath]?) async throws -> (root: RootDevice?, step: RunPlan.Step) {
        var step = RunPlan.Step("rootfs", .hit, project.rootfsType.rawValue)
        do {
            let builder = try await programBuilder()
            let recipe = try await builder.initRecipe(sources: try initSources())
            guard let artifact = recipe.artifact else {
                step.outcome = .miss
                step.actions = try [.remark("init: \(try recipe.key.short)")] + planned(recipe)
                step.actions.append(.remark("the image's key holds the digest of init as it comes out"))
                step.dependsOn = executables == nil ? ["programs"] : []
                return (nil, step)
            }
            guard let executables else {
                step.outcome = .unknown
                step.dependsOn = ["programs"]
                step.actions = [.remark("it holds the libraries that the programs turn out to need")]
                return (nil, step)
            }
            let debian = try debianBuilder()
            let base = try debian?.cached()
            if let debian, base == nil {
                step.outcome = .miss
                step.actions = [
                    try RunPlan.Action(try debian.command(), by: tools.runner),
                    .remark("the image is made of what comes out"),
                ]
                return (nil, step)
            }
            // Whether the appliance runs on KVM makes no difference to what comes out.
            let images = try imageBuilder(
                accelerator: .tcg, trust: builder.trust(of: .init(path: try initSources(), includesNumbers: false)))
            let plan = try await images.plan(
                try await request(initProgram: artifact.path(recipe.file), covering: executables, base: base))
            step.key = plan.key.digest.hex
            if plan.cached == nil {
                step.outcome = .miss
                step.actions = try images.commands(for: plan).map { try RunPlan.Action($0, by: tools.runner) }
                step.actions.append(.remark("kbuild packs the files itself, and publishes \(plan.path)"))
            }
            return (device(plan.kind, plan.path), step)
        } catch let question as CommandNotRun {
            return (nil, RunPlan.Step("rootfs", project.rootfsType.rawValue, needing: question))
        }
    }

    /// PID 1's sources lie beside the definition.
    private func initSources() throws -> FilePath {
        project.rootfsDefinition.removingLastComponent().appending(Provenance.initFolder)
    }

    /// - Parameter trust: Whose code compiled init.
    private func imageBuilder(accelerator: Accelerator, trust: TrustLevel) throws -> any RootFilesystemBuilder {
        switch project.rootfsType {
        case .initramfs: return InitramfsBuilder(store: tools.store, runner: tools.runner, trust: trust)
        case .disk, .debian:
            guard let executable = tools.runner.supervisor else {
                throw Failure(.infrastructure, "kbuild cannot find its own executable to build images with")
            }
            // The appliance follows what was found out about KVM, also when the guest was asked to run on TCG.
            return DiskImageBuilder(
                store: tools.store, runner: tools.runner, trust: trust, executable: executable
            ) {
                accelerator == .kvm
            }
        }
    }

    /// The lines of the guest's /etc/fstab.
    private var guestMounts: [RootFilesystem.SharedFolder] {
        let programs = RootFilesystem.SharedFolder(
            tag: Self.programsTag, target: Self.programsFolder,
            // Nobody changes the programs while the guest runs, so it may keep what it has read.
            options: "ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose")
        return [programs]
            + project.shares.enumerated().map { index, share in
                RootFilesystem.SharedFolder(
                    tag: Self.shareTag(index), target: share.target,
                    options: (share.isWritable ? "" : "ro,") + RootFilesystem.SharedFolder.defaultOptions)
            }
    }
}
