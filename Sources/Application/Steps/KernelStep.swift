// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelBuild
import KernelConfig
import KernelMake
import KernelSource
import PatchedTree
import Processes
import Project
import Reporting
import Syscalls
import SystemPackage

import class Foundation.ProcessInfo

/// A kernel, ready to boot.
public struct BuiltKernel: Sendable {
    /// The image: bzImage, or user-mode Linux's executable; nil when it was not made, since the machine boots vmlinux.
    public var image: FilePath?
    /// The ELF file with symbols.
    public var vmlinux: FilePath
    /// What the firmware, the host or, where it can, QEMU itself starts.
    public var bootFile: FilePath { image ?? vmlinux }
    /// The configuration.
    public var config: FilePath
    /// Its version.
    public var version: String
    /// The kernel's own commands for gdb; nil where they were not made, or a stranger's makefiles made them.
    public var debuggerScripts: FilePath?

    /// The compiler that built it, in its own words; nil where the configuration does not say (CONFIG_CC_VERSION_TEXT).
    var compiler: String? {
        let start = "CONFIG_CC_VERSION_TEXT=\""
        return ((try? readText(config)) ?? "").split(separator: "\n").first { $0.hasPrefix(start) }
            .map { String($0.dropFirst(start.count).prefix { $0 != "\"" }) }
    }
}

/// A source with its patches, and what is known of the kernel that comes of it.
struct PatchedKernelArtifact: Sendable {
    var pristine: KernelSourceArtifact
    var overlay: TreeOverlay
    var request: ConfigRequest
    /// The key of the built kernel.
    var key: ArtifactKey
    /// The built kernel, when it is in the store.
    var artifact: Artifact?
    /// Held from the first change of the tree to the end of the build.
    var lock: FileLock?

    /// "7 sources, 14 files".
    var summary: String { "\(pluralized(overlay.sources.count, "source")), \(pluralized(overlay.files.count, "file"))" }
}

/// The steps from a kernel's source to its image.
struct KernelStep: Sendable {
    let pipeline: Pipeline
    /// How make is confined; nil when it is not.
    let rules: Confinement.Rules?
    /// Whether the image is asked for, beside a kernel that can be booted.
    var wantsImage = false

    private var scope: BuildScope { pipeline.buildScope }
    private var tools: StepContext { pipeline.tools }
    private var project: Project { pipeline.project }
    private var log: StepLog { pipeline.log }

    /// The folder of this kernel source in the project's part of the cache: a tree and its outputs.
    func folder(for pristine: KernelSourceArtifact) -> FilePath {
        pipeline.projectCache.appending("kernel-" + Digest.of(pristine.source.description).short)
    }
    func tree(_ pristine: KernelSourceArtifact) -> FilePath { folder(for: pristine).appending("tree") }
    /// A confined build has a folder of its own: what a stranger's makefiles left in it runs again in the next make there.
    private func output(_ pristine: KernelSourceArtifact) -> FilePath {
        // Objects with debug information have no use for those without.
        folder(for: pristine).appending(rules == nil ? "build" : "confined")
            .appending(project.architecture.rawValue + (project.kernel.hasDebugInfo ? "-debug" : ""))
    }
    func workTree(_ pristine: KernelSourceArtifact) -> WorkTree {
        WorkTree(tree: tree(pristine), pristine: pristine.folder)
    }

    /// All that make printed the last time.
    var buildLog: FilePath { pipeline.projectCache.appending("build.log") }

    func make(_ pristine: KernelSourceArtifact) -> KernelMake {
        var make = KernelMake(
            tree: tree(pristine), output: output(pristine), architecture: project.architecture,
            jobs: project.kernel.jobs ?? ProcessInfo.processInfo.activeProcessorCount,
            usesCcache: (try? tools.runner.locate("ccache")) != nil)
        make.hasDebugInfo = project.kernel.hasDebugInfo
        return make
    }

    // MARK: Confined builds

    /// Beside the output, where make cannot write: the overlay that the output was built from to the end.
    private func confinedMark(_ pristine: KernelSourceArtifact) -> FilePath { FilePath("\(output(pristine)).overlay") }

    /// Has a confined build begin anew where a last one is not to be gone on from: its files may be made to deceive the
    /// next build. That of the same patches, which came to its end, would deceive itself alone; and the project's own
    /// patches have one author.
    private func discardForeignOutput(_ pristine: KernelSourceArtifact, _ overlay: TreeOverlay) throws {
        let isUnusable = try hasUnusableOutput(pristine, overlay)
        // Until this build has come to its end as well.
        if rules != nil { try removeAll(confinedMark(pristine)) }
        if isUnusable { try removeAll(output(pristine)) }
        try createFolder(toolsMark(pristine).removingLastComponent())
        try writeAtomically(try toolsDigest().hex, to: toolsMark(pristine))
    }

    /// Whether what lies in the output folder says nothing of this build.
    private func hasUnusableOutput(_ pristine: KernelSourceArtifact, _ overlay: TreeOverlay) throws -> Bool {
        // make compares commands and time stamps, and does not see that a tool of the same name is another one.
        if let last = try? readText(toolsMark(pristine)), last != (try toolsDigest()).hex { return true }
        return try hasForeignOutput(pristine, overlay)
    }

    /// Beside the output: the digest of the tools that built it.
    private func toolsMark(_ pristine: KernelSourceArtifact) -> FilePath { FilePath("\(output(pristine)).tools") }

    private func toolsDigest() throws -> Digest {
        var tools = ContentDigest(of: "tools", version: 1)
        for tool in Self.keyedTools { tools.add(tool, try self.tools.digest(ofOptionalTool: tool)) }
        return tools.digest
    }

    /// What tells the builds of different authors apart: the patches, and the fragments, whose texts become make's variables.
    private func contribution(_ overlay: TreeOverlay) throws -> String {
        var digest = ContentDigest(of: "contribution", version: 1)
        digest.add("overlay", overlay.digest)
        digest.add("request", ConfigRequest.merge(try fragments()).text)
        return digest.digest.hex
    }

    private func hasForeignOutput(_ pristine: KernelSourceArtifact, _ overlay: TreeOverlay) throws -> Bool {
        guard let rules else { return false }
        let last = try? readText(confinedMark(pristine))
        let isOwn = !rules.hasForeignContribution && last != nil
        return try !isOwn && last != contribution(overlay)
    }

    /// How make runs, and in which environment.
    func tooling(_ make: KernelMake) async throws -> (runner: CommandRunner, environment: [String: String]) {
        var environment = ProcessInfo.processInfo.environment
        guard let rules else { return (tools.runner, environment) }
        environment = environment.filter { $0.key == "PATH" }
        environment["HOME"] = "/tmp"
        var readable = [make.tree]
        if make.usesCcache {
            // Objects of trusted builds are read; none is added, which others would then link.
            let cache = FilePath(try await tools.runner.output(of: Command("ccache", ["--get-config", "cache_dir"])))
            if isFolder(cache) { readable.append(cache) }
            environment["CCACHE_DIR"] = cache.string
            environment["CCACHE_NOSTATS"] = "1"
            environment["CCACHE_READONLY"] = "1"
            environment["CCACHE_TEMPDIR"] = "/tmp"
        }
        readable += tools.installations(of: ["gcc", "ld", "make", "ccache"])
        return (tools.runner.confined(by: rules.build(readable: readable, writable: [make.output])), environment)
    }

    /// Builds from source to image.
    func build() async throws -> BuiltKernel {
        try pipeline.checkFiles(forKernelOnly: true)
        return try await compile(try await patch())
    }

    /// Prepares the source.
    func source() async throws -> KernelSourceArtifact {
        try await log.step("source") { progress in
            let source = try kernelSource()
            let cache = sourceCache(progress)
            let clock = ContinuousClock()
            let start = clock.now
            let pristine = try await cache.prepare(source)
            // Unpacking takes seconds; finding what is there takes none.
            let outcome: StepOutcome = clock.now - start > .seconds(1) ? .made : .hit
            return (pristine, outcome, "\(source), Linux \(pristine.version)")
        }
    }

    private func kernelSource() throws -> KernelSource {
        try KernelSource(parsing: project.kernel.source, sha256: project.kernel.sha256, relativeTo: project.folder)
    }

    private func sourceCache(_ progress: ProgressSink) -> SourceCache {
        SourceCache(layout: tools.layout, statCache: tools.statCache, runner: tools.runner, progress: progress)
    }

    /// Loads the patches.
    func patchSources() throws -> [PatchSource] {
        try project.kernel.patches.map { try PatchSource.load($0, fuzz: project.kernel.fuzz) }
    }

    /// The overlay of the project's patches, from the last run when nothing that it depends on has changed.
    private func overlay(over pristine: KernelSourceArtifact) throws -> TreeOverlay {
        let sources = try patchSources()
        var key = ContentDigest(of: "overlay", version: 1)
        key.add("source", pristine.identity)
        for source in sources {
            key.add(source.name, source.digest)
            // Compilers' messages and remarks name the user's files and their lines.
            key.add("location", source.location.string)
            if let spec = source.specFile { key.add("spec", try tools.statCache.digest(of: spec)) }
        }
        // Another kbuild may read patches otherwise.
        if let executable = tools.runner.supervisor { key.add("kbuild", try tools.statCache.digest(of: executable)) }
        let memo = OverlayCache(
            file: pipeline.projectCache.appending("overlay-\(Digest.of(pristine.source.description).short)"))
        if let overlay = memo.load(key: key.digest) { return overlay }
        let overlay = try TreeOverlay.compute(pristine: pristine.folder, sources: sources)
        guard !tools.isDryRun else { return overlay }
        try createFolder(pipeline.projectCache)
        memo.save(overlay, key: key.digest)
        return overlay
    }

    /// Works out the patched tree; brings the tree on disk in line when its kernel is not in the store. The cache's copy is
    /// verified by `compile`.
    func patch() async throws -> PatchedKernelArtifact {
        let pristine = try await source()
        return try await log.step("patch") { progress in
            var patched = try patched(pristine)
            // Also when the kernel is there already: the next change of a file is compiled in the tree.
            if !tools.isDryRun { markUsed(folder(for: pristine)) }
            guard needsTree(patched) else { return (patched, .hit, patched.summary) }
            for note in patched.overlay.notes { progress(.note(note)) }
            patched.lock = try await lock(pristine, progress)
            let change = try await bringInLine(pristine, patched.overlay, progress)
            return (patched, change.isUnchanged ? .hit : .made, patched.summary)
        }
    }

    /// Debug information of every object, for gdb and for the lines of crash reports, and the kernel's own commands for gdb.
    private static let debugInfo = """
        # CONFIG_DEBUG_INFO_NONE is not set
        CONFIG_DEBUG_INFO_DWARF5=y
        CONFIG_GDB_SCRIPTS=y

        """

    /// The project's fragments and, where debug information is wanted, that of kbuild itself.
    private func fragments() throws -> [ConfigFragment] {
        let own = try project.configFragments.map { path in
            var name = path
            _ = name.removePrefix(project.folder)
            return try ConfigFragment(contentsOf: path, name: name.string)
        }
        guard project.kernel.hasDebugInfo else { return own }
        return own + [try ConfigFragment(parsing: Self.debugInfo, file: "kernel.debug-info")]
    }

    /// What is known of the kernel before anything is done to the tree.
    private func patched(_ pristine: KernelSourceArtifact) throws -> PatchedKernelArtifact {
        let overlay = try overlay(over: pristine)
        let request = ConfigRequest.merge(try fragments())
        let key = try key(pristine, overlay, request, hasImage: true)
        let plain = try self.key(pristine, overlay, request, hasImage: false)
        return PatchedKernelArtifact(
            pristine: pristine, overlay: overlay, request: request, key: key,
            artifact: tools.store.lookup(key) ?? (wantsImage ? nil : tools.store.lookup(plain)))
    }

    /// Where kernels are in the store.
    private static func artifactStep(hasImage: Bool) -> String { hasImage ? "kernel" : "kernel-vmlinux" }
    private static let imageName = "image"

    /// Whether the build has to make the image. Compressing a kernel that QEMU boots as it is takes longer than compiling a
    /// file.
    private func needsImage(config: FilePath) throws -> Bool {
        try wantsImage || project.architecture == .um || !BootFeatures(config: config).isDirectlyBootable
    }

    /// Whether the tree on disk has to have the patches: the kernel is made from it, and selftests with
    /// `tests-from: patched`.
    private func needsTree(_ patched: PatchedKernelArtifact) -> Bool {
        patched.artifact == nil || (project.hasKselftests && project.testsFrom == .patched)
    }

    func lock(_ pristine: KernelSourceArtifact, _ progress: ProgressSink) async throws -> FileLock {
        try await FileLock.acquire(
            "kernel-" + Digest.of(folder(for: pristine).string).short, in: tools.layout, progress: progress)
    }

    /// Brings the project's tree in line with an overlay. The caller holds the lock.
    func synchronize(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ progress: ProgressSink
    ) async throws -> WorkTree.Synchronization {
        // The tree shares its files with the cache's copy; nobody may have written through a link.
        try pristine.verify()
        return try await bringInLine(pristine, overlay, progress)
    }

    /// The same for a caller that has the cache's copy verified later, before it relies on what was made of it.
    private func bringInLine(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ progress: ProgressSink
    ) async throws -> WorkTree.Synchronization {
        let change = try await sourceCache(progress).makeWorkTree(of: pristine, at: tree(pristine))
        // What was built from another tree in this place says nothing about the new one.
        if change == .created { try removeAll(output(pristine)) }
        try discardForeignOutput(pristine, overlay)
        return try workTree(pristine).synchronize(overlay: overlay, output: output(pristine))
    }

    /// What the build of a kernel runs, besides the tree's own programs. Those of binutils are what gcc and the makefiles
    /// call by name.
    static let keyedTools = [
        "gcc", "ld", "make", "as", "ar", "nm", "objcopy", "objdump", "readelf", "strip", "bison", "flex", "bc", "perl",
        "python3", "pahole", "gzip", "lz4", "sh",
    ]

    /// The key of a kernel. The overlay and the request are values of this run, from which alone the tree and the
    /// configuration are made, so that a user's edit during the build gets into neither.
    private func key(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ request: ConfigRequest, hasImage: Bool
    ) throws -> ArtifactKey {
        var key = KeyBuilder(
            step: Self.artifactStep(hasImage: hasImage), version: 2, trust: pipeline.trust(under: rules))
        key.add("source", pristine.identity)
        key.add("overlay", overlay.digest)
        key.add("request", request.text)
        key.add("architecture", project.architecture.rawValue)
        for tool in Self.keyedTools { key.add(tool, try tools.digest(ofOptionalTool: tool)) }
        return key.key
    }

    /// Configures, unless the kernel is in the store; returns the path of the `.config`.
    func configure(_ patched: PatchedKernelArtifact) async throws -> FilePath {
        if let artifact = patched.artifact {
            return try await log.step("configure") { _ in (artifact.path("config"), .hit, "") }
        }
        let pristine = patched.pristine
        let make = make(pristine)
        return try await log.step("configure") { progress in
            let inputs = try configurationInputs(patched)
            // The first make of a build; what it compiles are its own tools.
            try workTree(pristine).recordStart(output: make.output)
            let (runner, environment) = try await tooling(make)
            let configurator = KernelConfigurator(runner: runner, progress: progress, environment: environment)
            let result = try await configurator.configure(make, request: patched.request, inputs: inputs)
            let options = "\(patched.request.entries.count) options requested, all in place"
            return (result.file, result.wasCurrent ? .hit : .made, options)
        }
    }

    /// What a configuration depends on beside the request.
    private func configurationInputs(_ patched: PatchedKernelArtifact) throws -> Digest {
        var inputs = ContentDigest(of: "configure", version: 2)
        inputs.add("source", patched.pristine.identity)
        for (path, entry) in patched.overlay.files.sorted(by: { $0.key < $1.key })
        where KernelConfigurator.reads(treeFile: path) {
            if case .file(let file) = entry {
                inputs.add(path, Digest.of(file.bytes))
            } else {
                inputs.add(path, "")
            }
        }
        for tool in Self.keyedTools { inputs.add(tool, try tools.digest(ofOptionalTool: tool)) }
        return inputs.digest
    }

    /// Configures and compiles, unless the store has the kernel.
    func compile(_ patched: PatchedKernelArtifact) async throws -> BuiltKernel {
        let pristine = patched.pristine
        if let artifact = patched.artifact {
            _ = try await configure(patched)
            return try await log.step("compile") { _ in (kernel(artifact, pristine), .hit, artifact.key.short) }
        }
        let make = make(pristine)
        let workTree = workTree(pristine)
        // Held since `patch`.
        defer { withExtendedLifetime(patched.lock) {} }
        let config = try await configure(patched)
        return try await log.step("compile") { progress in
            let (runner, environment) = try await tooling(make)
            let builder = KernelBuilder(runner: runner, progress: progress, environment: environment)
            let userFiles = patched.overlay.userFiles.mapValues { path in
                var name = path
                _ = name.removePrefix(project.folder)
                return name.string
            }
            // A look at 80,000 files, on the other processor. Before the kernel is trusted it must be done, and when the
            // build fails, it may tell why.
            async let verification: Void = pristine.verify()
            let result: BuildResult
            do {
                result = try await builder.build(
                    make, scope: scope, needsImage: try needsImage(config: config), log: buildLog, userFiles: userFiles)
            } catch let failure as Failure {
                try await verification
                throw failure
            }
            try await verification
            if project.kernel.hasDebugInfo, rules == nil {
                let log = FilePath("\(buildLog.string).gdb")
                _ = try await builder.build(make, targets: [Self.scriptsTarget], log: log)
            }
            try workTree.recordBuild(output: make.output)
            if rules != nil { try writeAtomically(contribution(patched.overlay), to: confinedMark(pristine)) }
            let (overlay, request, hasImage) = (patched.overlay, patched.request, result.image != nil)
            let after = try key(pristine, overlay, request, hasImage: true)
            if let tool = after.difference(from: patched.key) {
                throw Failure(
                    .infrastructure, "\(tool) was replaced while it built the kernel, so nothing was published",
                    nextStep: "run the command again: it builds the kernel from nothing")
            }
            let artifact = try await tools.store.publish(
                key: { try key(pristine, overlay, request, hasImage: hasImage) }
            ) { folder in
                if let image = result.image { try copyFile(image, to: folder.appending(Self.imageName)) }
                try copyFile(result.vmlinux, to: folder.appending("vmlinux"))
                try copyFile(result.systemMap, to: folder.appending("System.map"))
                try copyFile(result.config, to: folder.appending("config"))
            }
            var detail = pluralized(result.compiledObjects, "object")
            if result.isIncremental { detail += result.isReplayed ? ", narrow without make" : ", narrow" }
            if result.sparedObjects > 0 { detail += ", \(result.sparedObjects) spared" }
            if result.isVerified { detail += ", confirmed by a plain make" }
            return (kernel(artifact, pristine), .made, detail)
        }
    }

    /// make's target for the kernel's own commands for gdb (scripts/gdb), and the file by which gdb loads them.
    private static let scriptsTarget = "scripts_gdb"
    private static let scriptsFile = "vmlinux-gdb.py"

    private func kernel(_ artifact: Artifact, _ pristine: KernelSourceArtifact) -> BuiltKernel {
        kernel(in: artifact.folder, pristine, hasImage: artifact.files[Self.imageName] != nil)
    }

    private func kernel(in folder: FilePath, _ pristine: KernelSourceArtifact, hasImage: Bool) -> BuiltKernel {
        let scripts = output(pristine).appending(Self.scriptsFile)
        return BuiltKernel(
            image: hasImage ? folder.appending(Self.imageName) : nil, vmlinux: folder.appending("vmlinux"),
            config: folder.appending("config"), version: pristine.version,
            debuggerScripts: project.kernel.hasDebugInfo && rules == nil && fileExists(scripts) ? scripts : nil)
    }

    /// The module SyscallNumbers for the calls that the patches add.
    func numbers(of overlay: TreeOverlay) -> NumbersModule {
        NumbersModule(header: SyscallHeader.text(overlay.syscalls), in: tools.layout)
    }

    // MARK: What would be done

    /// The source, and what is to be done to have it; nil for the source when that is not there.
    func planSource() async throws -> (pristine: KernelSourceArtifact?, step: RunPlan.Step) {
        let source = try kernelSource()
        switch try await sourceCache(.silent).plan(source) {
        case .present(let pristine):
            return (pristine, .init("source", .hit, key: pristine.identity, "\(source), Linux \(pristine.version)"))
        case .absent(let commands, let remark):
            let actions = try commands.map { try RunPlan.Action($0, by: tools.runner) }
            return (nil, .init("source", .miss, "\(source)", actions: (remark.map { [.remark($0)] } ?? []) + actions))
        }
    }

    /// What is to be done from the patches to the kernel.
    ///
    /// - Returns: The kernel, whose files need not be there; and where its configuration is when that is known.
    func planBuild(
        _ pristine: KernelSourceArtifact
    ) async throws -> (patched: PatchedKernelArtifact, kernel: BuiltKernel?, steps: [RunPlan.Step]) {
        let patched = try patched(pristine)
        let make = make(pristine)
        var patch = RunPlan.Step("patch", .hit, key: patched.overlay.digest, patched.summary)
        // Nil for an output that begins empty.
        var tree: WorkTree.PlannedSynchronization?
        var isSourceNew = false
        if needsTree(patched) {
            let change = sourceCache(.silent).planWorkTree(of: pristine, at: self.tree(pristine))
            switch change {
            case .created:
                patch.outcome = .miss
                patch.actions.append(
                    .remark("kbuild makes the tree \(self.tree(pristine)) of links to \(pristine.folder)"))
                patch.actions += patched.overlay.files.keys.sorted().map { .remark("kbuild writes \($0)") }
            case .updated(let paths):
                patch.outcome = .miss
                isSourceNew = true
                patch.actions.append(.remark("kbuild brings \(paths.count) files in line with the kernel's source"))
                fallthrough
            case .unchanged:
                let planned = try workTree(pristine).planSynchronization(
                    overlay: patched.overlay, output: make.output)
                if !planned.changes.isUnchanged { patch.outcome = .miss }
                patch.actions += planned.changes.remarks
                if try !hasUnusableOutput(pristine, patched.overlay) { tree = planned }
            }
        }
        if let artifact = patched.artifact {
            let steps = [
                patch, RunPlan.Step("configure", .hit, ""),
                RunPlan.Step("compile", .hit, key: patched.key.digest),
            ]
            return (patched, kernel(artifact, pristine), steps)
        }
        let tooling: (runner: CommandRunner, environment: [String: String])
        do {
            tooling = try await self.tooling(make)
        } catch let question as CommandNotRun {
            let steps = [
                patch, RunPlan.Step("configure", needing: question),
                RunPlan.Step("compile", .miss, key: patched.key.digest, dependsOn: ["configure"]),
            ]
            return (patched, nil, steps)
        }
        let runner = tooling.runner
        let configurator = KernelConfigurator(runner: runner, environment: tooling.environment)
        let inputs = try configurationInputs(patched)
        let requested = "\(patched.request.entries.count) options requested"
        let builder = KernelBuilder(runner: runner, environment: tooling.environment)
        if tree != nil, let current = configurator.current(make, request: patched.request, inputs: inputs) {
            // With another source make has to look everywhere.
            let build = try builder.plan(
                make, scope: scope, needsImage: try needsImage(config: current.file), tree: isSourceNew ? nil : tree)
            let folder = tools.store.folder(
                try key(pristine, patched.overlay, patched.request, hasImage: build.makesImage))
            var built = kernel(in: folder, pristine, hasImage: build.makesImage)
            built.config = current.file
            return (
                patched, built,
                [
                    patch, RunPlan.Step("configure", .hit, requested),
                    RunPlan.Step("compile", .miss, key: patched.key.digest, actions: try actions(build, by: runner)),
                ]
            )
        }
        var configure = RunPlan.Step("configure", .miss, requested)
        for (index, command) in configurator.commands(make).enumerated() {
            configure.actions.append(try RunPlan.Action(command, by: runner))
            if index == 0 { configure.actions.append(.remark("kbuild merges the requested options into .config")) }
        }
        // What make has to do follows from what it finds configured, except a build from nothing.
        let build = try builder.plan(make, scope: tree == nil ? scope : .whole, tree: nil)
        var compile = RunPlan.Step("compile", .miss, key: patched.key.digest, actions: try actions(build, by: runner))
        if tree != nil, scope != .whole {
            compile.dependsOn = ["configure"]
            compile.actions = compile.actions.filter { $0.command != nil }
            compile.actions.append(
                .remark("should the configuration come out as it was, make may have to visit fewer folders"))
        }
        return (patched, nil, [patch, configure, compile])
    }

    private func actions(_ build: BuildPlan, by runner: CommandRunner) throws -> [RunPlan.Action] {
        try (build.remark.map { [.remark($0)] } ?? []) + build.commands.map { try RunPlan.Action($0, by: runner) }
    }
}

extension WorkTree.Synchronization {
    /// The changes, a line each.
    fileprivate var remarks: [RunPlan.Action] {
        let lines =
            added.map { "kbuild adds \($0)" } + modified.map { "kbuild changes \($0)" }
            + removed.map { "kbuild removes \($0)" }
            + restamped.map { "kbuild sets the time of \($0), so that make sees what changed" }
        return lines.map { .remark($0) }
    }
}
