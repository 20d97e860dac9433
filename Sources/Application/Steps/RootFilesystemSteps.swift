// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import Project
import Reporting
import RootFilesystem
import SystemPackage
import VirtualMachine

/// A root file system, ready to boot from.
struct RootFilesystemArtifact: Sendable {
    /// The image or archive.
    var path: FilePath
    /// How the machine gets it.
    var device: RootDevice
}

/// The step that makes the root file system.
struct RootFilesystemSteps: Sendable {
    let context: ProjectContext
    /// The accelerator of libguestfs's appliance. It does not change the result.
    let accelerator: Accelerator
    /// The modules that the guest loads first; nil for a kernel that kbuild builds.
    var bootModules: BootModules?

    private var project: Project { context.project }
    private var tools: ToolContext { context.tools }

    /// Makes the root file system: init, busybox, the Swift runtime, and the mount points of the shares.
    ///
    /// The step throws `Failure`: `usage` for a wrong definition, `build` when init does not compile, `infrastructure`
    /// when the image cannot be made.
    ///
    /// - Parameter executables: Programs whose shared libraries must be there; nil in a dry run where some are not
    ///   known yet.
    func rootFilesystem(covering executables: [FilePath]?) -> Step<RootFilesystemArtifact> {
        Step(.rootfs) { _ in
            let builder = try await context.programBuilder()
            let sources = try initSources()
            let compiled = try CompiledInit.find(for: sources, tools)
            let recipe = compiled == nil ? try await builder.initRecipe(sources: sources) : nil
            let debian = try debianBuilder()
            let images = try imageBuilder(trust: builder.trust(of: .init(path: sources, includesNumbers: false)))
            return Work(
                detail: project.rootfsType.rawValue,
                forecast: {
                    guard let initProgram = compiled ?? recipe?.path else {
                        guard let recipe else { return Forecast() }
                        return Forecast(
                            actions: try [.remark("init: \(try recipe.key.short)")] + builder.actions(of: recipe)
                                + [.remark("the image's key depends on the digest of the compiled init")],
                            dependsOn: executables == nil ? [StepName.programs.rawValue] : [])
                    }
                    guard let executables else {
                        return Forecast(
                            outcome: .unknown,
                            actions: [.remark("it depends on the programs' libraries")],
                            dependsOn: [StepName.programs.rawValue])
                    }
                    let base = try debian?.cached()
                    if let debian, base == nil {
                        return Forecast(actions: [
                            try RunPlan.Action(try debian.command(), by: tools.runner),
                            .remark("the image is made of what comes out"),
                        ])
                    }
                    let plan = try await images.plan(
                        try await request(initProgram: initProgram, covering: executables, base: base))
                    var forecast = Forecast(
                        expected: RootFilesystemArtifact(path: plan.path, device: device(plan.kind, plan.path)))
                    forecast.detail = "\(plan.kind.rawValue) \(plan.key.short)"
                    guard plan.cached == nil else {
                        forecast.outcome = .hit
                        return forecast
                    }
                    forecast.actions = try images.commands(for: plan).map { try RunPlan.Action($0, by: tools.runner) }
                    forecast.actions.append(.remark("kbuild packs the files itself, and publishes \(plan.path)"))
                    return forecast
                },
                perform: { progress in
                    var initProgram = compiled
                    if let recipe { initProgram = try await builder.make(recipe) }
                    guard let initProgram else { throw Failure(.infrastructure, "there is no init") }
                    let plan = try await images.plan(
                        try await request(
                            initProgram: initProgram, covering: executables ?? [],
                            base: try await debian?.base(progress: progress)))
                    let image = try await images.image(for: plan, progress: progress)
                    return Performed(
                        result: RootFilesystemArtifact(path: image.path, device: device(image.kind, image.path)),
                        outcome: plan.cached != nil && recipe?.isMade != false ? .hit : .made,
                        detail: "\(image.kind.rawValue) \(image.key.short)")
                })
        }
    }

    private func device(_ kind: RootFilesystemKind, _ path: FilePath) -> RootDevice {
        kind == .disk ? .disk(path) : .initramfs(path)
    }

    /// Makes the Debian system under the root file system; nil when the project does not use one.
    private func debianBuilder() throws -> DebianBaseBuilder? {
        guard project.rootfsType == .debian else { return nil }
        return try DebianBaseBuilder(
            store: tools.store, runner: tools.runner, suite: project.debian.suite, packages: project.debian.packages,
            mirror: project.debian.mirror)
    }

    private func request(
        initProgram: FilePath, covering executables: [FilePath], base: DebianBase?
    ) async throws -> RootFilesystemRequest {
        if project.rootfsType == .host {
            // Programs find their libraries where they were linked: on the host.
            var definition = HostRoot.definition(
                hiding: project.showsSecrets ? [] : HostRoot.secrets(home: context.environment["HOME"]))
            try await addBootModules(to: &definition)
            return RootFilesystemRequest(definition: definition, initProgram: initProgram, shares: guestMounts)
        }
        var definition = try RootFilesystemDefinition.load(project.rootfsDefinition)
        // A missing busybox on this host has its own package.
        if let busybox = definition.busybox { _ = try tools.runner.locate(busybox.string) }
        var executables = executables
        for name in project.hostTools {
            let tool = try tools.runner.locate(name)
            guard definition.includesSwiftRuntime else {
                throw Failure(
                    .usage,
                    "\(name) of rootfs.tools needs shared libraries, and \(project.rootfsDefinition) leaves them out",
                    nextStep: "set `swift-runtime: true` there")
            }
            // mke2fs chooses the file system by its own name.
            definition.files["/usr/bin/\(FilePath(name).lastComponent?.string ?? name)"] = .init(source: tool)
            executables.append(tool)
        }
        for share in project.shares { definition.folders[share.target] = definition.folders[share.target] ?? 0o755 }
        try await addBootModules(to: &definition)
        var request = RootFilesystemRequest(
            definition: definition, initProgram: initProgram, shares: guestMounts, coveredExecutables: executables,
            base: base)
        let rules = try await context.confinement.rules()
        if project.sandbox != .off {
            try Provenance(of: project).checkFiles(named: definition.hostFiles, by: project.rootfsDefinition)
        }
        if let busybox = definition.busybox, let rules = rules?.covering(busybox, includingNumbers: false) {
            request.busyboxSandbox = rules.build(readable: [busybox], writable: [])
        }
        return request
    }

    private func addBootModules(to definition: inout RootFilesystemDefinition) async throws {
        guard let bootModules else { return }
        let folder = tools.isDryRun ? nil : try await bootModules.decompressed(tools)
        bootModules.add(to: &definition, decompressed: folder)
        // The disk of the programs is mounted here.
        definition.folders[GuestShare.programsFolder] = 0o755
    }

    /// PID 1's sources are beside the definition.
    private func initSources() throws -> FilePath {
        project.rootfsDefinition.removingLastComponent().appending(Provenance.initFolder)
    }

    /// - Parameter trust: Whose code compiled init.
    private func imageBuilder(trust: TrustLevel) throws -> any RootFilesystemBuilder {
        switch project.rootfsType {
        case .initramfs, .host: return InitramfsBuilder(store: tools.store, runner: tools.runner, trust: trust)
        case .disk, .debian:
            guard let executable = tools.runner.supervisor else {
                throw Failure(.infrastructure, "kbuild cannot find its own executable to build images with")
            }
            // The appliance uses KVM if it works, also when the guest is requested on TCG.
            let isOnKVM = accelerator == .kvm
            return DiskImageBuilder(
                store: tools.store, runner: tools.runner, trust: trust, executable: executable
            ) {
                isOnKVM
            }
        }
    }

    /// The lines of the guest's /etc/fstab.
    private var guestMounts: [RootFilesystem.SharedFolder] {
        if let bootModules, !bootModules.hasShares { return [] }
        let programs = RootFilesystem.SharedFolder(
            tag: GuestShare.programsTag, target: GuestShare.programsFolder,
            // Nobody changes the programs while the guest runs, so it may cache what it has read.
            options: "ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose")
        // modprobe finds the other modules of a kernel that kbuild did not build.
        let modules = bootModules?.searchFolder.map {
            RootFilesystem.SharedFolder(tag: BootModules.tag, target: $0, options: programs.options)
        }
        let hasPrograms = bootModules?.hasBuiltInShares ?? true
        return (hasPrograms ? [programs] : []) + [modules].compactMap { $0 }
            + project.shares.enumerated().map { index, share in
                RootFilesystem.SharedFolder(
                    tag: GuestShare.tag(ofShare: index), target: share.target,
                    options: (share.isWritable ? "" : "ro,") + RootFilesystem.SharedFolder.defaultOptions)
            }
    }
}
