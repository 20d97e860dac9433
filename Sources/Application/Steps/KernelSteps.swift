// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import GuestSession
import IncrementalBuild
import KernelBuild
import KernelConfig
import KernelMake
import KernelSource
import PatchedTree
import Patching
import Processes
import Project
import Reporting
import Syscalls
import SystemPackage
import TextInput

import class Foundation.ProcessInfo

/// A kernel, ready to boot.
public struct BuiltKernel: Sendable {
    /// The image: bzImage, or user-mode Linux's executable; nil when it was not made, because the machine boots
    /// vmlinux.
    public var image: FilePath?
    /// The ELF file with symbols.
    public var vmlinux: FilePath
    /// The file that the firmware, the host or, if it can, QEMU itself starts.
    public var bootFile: FilePath { image ?? vmlinux }
    /// The configuration.
    public var config: FilePath
    /// Its version.
    public var version: String
    /// Where it keeps what gcov has to know of the objects that count; see `CoverageNotes`.
    var folder: FilePath { vmlinux.removingLastComponent() }
    /// The file by which gdb loads the kernel's own commands; nil without debug information and for a confined build.
    public var debuggerScripts: FilePath?

    /// The modules that the guest loads first; nil for a kernel that kbuild builds.
    var bootModules: BootModules?

    /// The compiler that built it, by its own name; nil if the configuration does not have it (CONFIG_CC_VERSION_TEXT).
    var compiler: String? {
        let start = "CONFIG_CC_VERSION_TEXT=\""
        return ((try? readText(config)) ?? "").textLines().first { $0.hasPrefix(start) }
            .map { String($0.dropFirst(start.count).prefix { $0 != "\"" }) }
    }
}

/// A source with its patches, and what is known of the resulting kernel.
struct PatchedKernelArtifact: Sendable {
    var pristine: KernelSourceArtifact
    var overlay: TreeOverlay
    var request: ConfigRequest
    /// The key of the built kernel.
    var key: ArtifactKey
    /// The built kernel, if it is in the store.
    var artifact: Artifact?
    /// How the project's modules are built for it.
    var modules: [ModuleRecipe] = []
    /// Held from the first change of the tree to the end of the build.
    var lock: FileLock?
    /// The pending changes to the tree on disk, in a dry run; nil once it is synchronized.
    var pendingTree: PendingTree?
    /// The output that this one started from in this run; nil for none.
    var origin: OutputOrigin?

    /// "7 sources, 14 files".
    var summary: String { "\(pluralized(overlay.sources.count, "source")), \(pluralized(overlay.files.count, "file"))" }
}

/// The changes that a run would make to a tree before it builds in it.
struct PendingTree: Sendable {
    /// The changes; nil for an output that begins empty.
    var changes: WorkTree.PlannedSynchronization?
    /// Whether the kernel's source is new, so that make has to check every folder.
    var isSourceNew = false
    /// The output that a new one would start from; nil for none.
    var origin: OutputOrigin?
}

/// The steps from a kernel's source to its image.
struct KernelSteps: Sendable {
    let context: ProjectContext
    /// The rules by which make is confined; nil when it is not.
    let rules: Confinement.Rules?
    /// Whether the image is requested, in addition to a kernel that can be booted.
    var wantsImage = false
    /// Whether make's output folder is used, so that a kernel in the store does not do.
    var wantsOutput = false

    /// How much of the kernel make visits. Versions without proven incremental builds get a plain make, unless each
    /// build is verified.
    private func scope(of pristine: KernelSourceArtifact) -> BuildScope {
        context.buildScope == .incremental && !ProvenVersions.include(pristine.version) ? .whole : context.buildScope
    }

    /// Why a kernel takes a plain make after every change; nil when it does not, or the user asked for it.
    private func reasonForWholeBuild(_ pristine: KernelSourceArtifact) -> String? {
        guard context.buildScope == .incremental, scope(of: pristine) == .whole else { return nil }
        let proven = ProvenVersions.all.joined(separator: " and ")
        return "a plain make: short builds are proven for Linux \(proven), and this is \(pristine.version)"
    }

    private var tools: ToolContext { context.tools }
    private var project: Project { context.project }

    /// Makes the steps under the rules for the kernel's code.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the project asks for a sandbox and the host has none.
    static func make(_ context: ProjectContext, wantsImage: Bool = false) async throws -> KernelSteps {
        KernelSteps(context: context, rules: try await context.confinement.rules()?.kernel, wantsImage: wantsImage)
    }

    /// Prepares the source.
    func source() -> Step<KernelSourceArtifact> {
        Step(.source) { progress in
            let source = try kernelSource()
            let cache = sourceCache(progress)
            @Sendable func detail(_ pristine: KernelSourceArtifact) -> String { "\(source), Linux \(pristine.version)" }
            switch try await cache.plan(source) {
            case .present(let pristine): return .found(pristine, key: pristine.identity, detail(pristine))
            case .absent(let commands, let remark):
                return Work(
                    detail: "\(source)",
                    forecast: {
                        let actions = try commands.map { try RunPlan.Action($0, by: tools.runner) }
                        return Forecast(actions: (remark.map { [.remark($0)] } ?? []) + actions)
                    },
                    perform: { _ in
                        let pristine = try await cache.prepare(source)
                        return Performed(result: pristine, outcome: .made, detail: detail(pristine))
                    })
            }
        }
    }

    private func kernelSource() throws -> KernelSource {
        try KernelSource(parsing: project.kernel.source, sha256: project.kernel.sha256, relativeTo: project.folder)
    }

    func sourceCache(_ progress: ProgressSink) -> SourceCache {
        SourceCache(layout: tools.layout, statCache: tools.statCache, runner: tools.runner, progress: progress)
    }

    /// How the project's own C files are compiled.
    var flags: OwnObjectFlags { project.warnings == .fail ? .fail : .warn }

    /// Loads the patches.
    func patchSources() throws -> [PatchSource] {
        try project.kernel.patches.map { try PatchSource.load($0, fuzz: project.kernel.fuzz) }
    }

    /// The sources that are applied where the project takes its first patches only.
    private func limited(_ sources: [PatchSource]) throws -> [PatchSource] {
        guard var rest = project.kernel.patchLimit else { return sources }
        var taken: [PatchSource] = []
        for source in sources {
            let count = try source.steps.count
            if let part = source.limited(to: rest) { taken.append(part) }
            rest = max(0, rest - count)
        }
        return taken
    }

    /// The inputs of the overlay, without parsing the patches; nil if they cannot be determined.
    private func overlayKey(over pristine: KernelSourceArtifact) throws -> Digest? {
        var key = ContentDigest(of: "overlay", version: 2)
        key.add("source", pristine.identity)
        key.add("warnings", project.warnings.rawValue)
        key.add("fuzz", String(project.kernel.fuzz))
        if let limit = project.kernel.patchLimit { key.add("limit", String(limit)) }
        for patch in project.kernel.patches {
            // An unreadable file beside the patches does not fail the run: it may not be a patch.
            guard let identity = (try? PatchSource.identity(of: patch, digest: tools.statCache.digest(of:))) ?? nil
            else { return nil }
            key.add("patches", identity)
            // Compilers' messages and notes name the user's files and their lines.
            key.add("location", patch.string)
        }
        // Another kbuild may interpret patches differently.
        if let executable = tools.runner.supervisor { key.add("kbuild", try tools.statCache.digest(of: executable)) }
        return key.digest
    }

    /// The overlay of the project's patches, from the last run when its inputs have not changed.
    ///
    /// - Throws: `Failure`: `usage` when there is nothing to apply or a spec is wrong, `patch` when a patch does not
    ///   apply.
    func overlay(over pristine: KernelSourceArtifact) throws -> TreeOverlay {
        let key = try overlayKey(over: pristine)
        let memo = OverlayCache(
            file: context.projectCache.appending("overlay-\(Digest.of(pristine.source.description).short)"))
        if let key, let overlay = memo.load(key: key) { return overlay }
        let sources = try limited(try patchSources())
        let overlay = try TreeOverlay.compute(pristine: pristine.folder, sources: sources, flags: flags)
        // A patch that was edited meanwhile is not stored under its former contents.
        guard !tools.isDryRun, let key, try overlayKey(over: pristine) == key else { return overlay }
        try createFolder(context.projectCache)
        memo.save(overlay, key: key)
        return overlay
    }

    /// Computes the patched tree; synchronizes the tree on disk when its kernel is not in the store. `compile` verifies
    /// the cache's copy.
    func patch(_ pristine: KernelSourceArtifact) -> Step<PatchedKernelArtifact> {
        Step(.patch) { _ in
            let patched = try patched(pristine)
            // Also when the kernel exists already: the next change of a file is compiled in the tree.
            if !tools.isDryRun {
                markUsed(output(pristine, patched.request))
                markUsed(folder(for: pristine))
            }
            let key = patched.overlay.digest
            guard needsTree(patched) else { return .found(patched, key: key, patched.summary) }
            return Work(
                key: key, detail: patched.summary, forecast: { try forecastTree(patched) },
                perform: { progress in
                    for note in patched.overlay.notes { progress(.note(note)) }
                    var patched = patched
                    patched.lock = try await lock(pristine, progress)
                    try await prepareTree(
                        pristine, patched.overlay, patched.request, isBuildNext: patched.artifact == nil, progress)
                    patched.origin = try await startOutput(of: patched, progress)
                    let change = try workTree(pristine).synchronize(
                        overlay: patched.overlay, output: output(pristine, patched.request))
                    return Performed(
                        result: patched, outcome: change.isUnchanged ? .hit : .made, detail: patched.summary)
                })
        }
    }

    /// The changes that a synchronization of the tree on disk would make.
    private func forecastTree(_ patched: PatchedKernelArtifact) throws -> Forecast<PatchedKernelArtifact> {
        let pristine = patched.pristine
        var forecast = Forecast<PatchedKernelArtifact>(outcome: .hit)
        var pending = PendingTree()
        switch sourceCache(.silent).planWorkTree(of: pristine, at: tree(pristine)) {
        case .created:
            forecast.outcome = .miss
            forecast.actions.append(.remark("kbuild makes the tree \(tree(pristine)) of links to \(pristine.folder)"))
            forecast.actions += patched.overlay.files.keys.sorted().map { .remark("kbuild writes \($0)") }
        case .updated(let paths):
            forecast.outcome = .miss
            pending.isSourceNew = true
            forecast.actions.append(.remark("kbuild brings \(paths.count) files in line with the kernel's source"))
            fallthrough
        case .unchanged:
            let planned = try workTree(pristine).planSynchronization(
                overlay: patched.overlay, output: output(pristine, patched.request))
            if !planned.changes.isUnchanged { forecast.outcome = .miss }
            forecast.actions += planned.changes.remarks
            if try !hasUnusableOutput(pristine, patched.overlay, patched.request),
                KernelBuilder.hasBegun(output(pristine, patched.request))
            {
                pending.changes = planned
            }
        }
        if pending.changes == nil, let origin = try possibleOrigins(of: patched).first {
            pending.origin = origin
            forecast.actions.append(.remark("kbuild starts \(output(pristine, patched.request)) from \(origin.output)"))
        }
        var expected = patched
        expected.pendingTree = pending
        forecast.expected = expected
        return forecast
    }

    /// Debug information of every object, for gdb and for the lines of crash reports, and the kernel's own commands for
    /// gdb.
    private static let debugInfo = """
        # CONFIG_DEBUG_INFO_NONE is not set
        CONFIG_DEBUG_INFO_DWARF5=y
        CONFIG_GDB_SCRIPTS=y

        """

    /// The requested configuration: the project's base and fragments and, if debug information is requested, kbuild's
    /// own fragment.
    private func configRequest(_ pristine: KernelSourceArtifact, _ overlay: TreeOverlay) throws -> ConfigRequest {
        var fragments = try project.fragments.map { fragment in
            if let path = fragment.file {
                try Provenance.checkLink(.configFragment, path, of: project)
                let read = try ConfigFragment(contentsOf: path, name: context.shown(path))
                let isGuests = path == project.folder.pushing(FilePath(SupportFolder.guestFragment))
                return isGuests ? read.supported(isListed: true) : read
            }
            if case .kbuild(let name) = fragment { return try carriedFragment(name) }
            return try treeFragment(fragment, pristine, overlay)
        }
        fragments += try project.checks.map {
            try ConfigFragment(parsing: $0.fragment, file: "check: \($0.rawValue)")
        }
        if project.coverage != nil {
            fragments.append(try ConfigFragment(parsing: CoverageSettings.fragment, file: "coverage"))
        }
        if project.kernel.hasDebugInfo {
            fragments.append(try ConfigFragment(parsing: Self.debugInfo, file: "kernel.debug-info"))
        }
        fragments += try DeviceOptions.fragments(for: project)
        let options = try Self.options(project.kernel.options)
        if needsModules(fragments + [options]) {
            fragments.append(try ConfigFragment(parsing: Self.moduleOptions, file: "modules"))
        }
        fragments.append(options)
        return ConfigRequest.merge(fragments, base: try configBase())
    }

    /// Options that stand alone, each a line of a fragment; `NAME=VALUE` will do for `CONFIG_NAME=VALUE`.
    static func options(_ lines: [String]) throws -> ConfigFragment {
        let text = lines.map { $0.hasPrefix("CONFIG_") || $0.hasPrefix("#") ? $0 : "CONFIG_" + $0 }
        return try ConfigFragment(parsing: text.joined(separator: "\n"), file: "kernel.options (--set)")
            .supported(isListed: false)
    }

    /// The base of the fragments.
    private func configBase() throws -> ConfigBase {
        switch project.configBase {
        case .target(let target): return .target(target)
        case .file(let path): return try wholeConfiguration(path, name: context.shown(path))
        case .localModules:
            let configuration = try HostKernel.configuration()
            return .localModules(
                name: configuration.string,
                text: try TextInput(configuration.string, as: "a configuration").text(of: configuration),
                modules: try HostKernel.loadedModules())
        }
    }

    private func wholeConfiguration(_ path: FilePath, name: String) throws -> ConfigBase {
        let text = try TextInput(name, as: "a configuration").text(of: path)
        // The reader of fragments names the line that is not part of a configuration.
        guard try !ConfigFragment(parsing: text, file: name).entries.isEmpty else {
            throw Failure(
                .usage, "\(name) has no option in it, so nothing can start from it",
                nextStep: "name a whole configuration, such as /boot/config-VERSION, in kernel.base")
        }
        return .file(name: name, text: text)
    }

    /// A fragment that comes with kbuild.
    private func carriedFragment(_ name: String) throws(Failure) -> ConfigFragment {
        guard let text = SupportFolder.fragment(named: name) else {
            throw Failure(
                .usage,
                "no fragment kbuild:\(name) comes with kbuild\(guess(for: name, among: SupportFolder.fragmentNames))",
                nextStep: "write \(SupportFolder.fragmentNames.map { "kbuild:\($0)" }.joined(separator: " or "))")
        }
        return try ConfigFragment(parsing: text, file: "kbuild:\(name)").optional
    }

    /// A fragment of the kernel's tree, with the patches applied.
    private func treeFragment(
        _ fragment: Project.Fragment, _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay
    ) throws -> ConfigFragment {
        let paths = fragment.paths(architecture: project.architecture)
        let name = String((fragment.name ?? "").drop { $0 != ":" }.dropFirst())
        guard KernelTestName.isCollection(name) else {
            throw Failure(
                .usage, "\(fragment.name ?? "") is not the name of a fragment in the kernel's tree",
                nextStep: "write kernel:NAME or kselftest:NAME, such as kernel:debug or kselftest:net")
        }
        for path in paths {
            switch overlay.files[path] {
            case .file(let file)?:
                return try ConfigFragment(parsing: String(decoding: file.bytes, as: UTF8.self), file: path).optional
            case .deleted?: continue
            case nil:
                let file = pristine.folder.pushing(FilePath(path))
                if fileExists(file) { return try ConfigFragment(contentsOf: file, name: path).optional }
            }
        }
        // A collection without a config file needs nothing that a kernel may lack.
        if case .kselftest = fragment, let path = paths.first,
            isFolder(pristine.folder.pushing(FilePath(path)).removingLastComponent())
        {
            return try ConfigFragment(parsing: "", file: path)
        }
        throw Failure(
            .usage, "\(fragment.name ?? "") names no fragment of Linux \(pristine.version)",
            details: paths.map { "there is no \($0)" }.joined(separator: "\n"),
            nextStep: "ls \(pristine.folder.pushing(FilePath(paths.first ?? "")).removingLastComponent())")
    }

    /// What is known of the kernel before the tree is changed.
    private func patched(_ pristine: KernelSourceArtifact) throws -> PatchedKernelArtifact {
        let overlay = try overlay(over: pristine)
        try checkCoverage(overlay)
        try checkCallProfile(overlay)
        let request = try configRequest(pristine, overlay)
        let key = try key(pristine, overlay, request, hasImage: true)
        let plain = try self.key(pristine, overlay, request, hasImage: false)
        let modules = try moduleRecipes(pristine, request, kernel: key)
        let needsOutput =
            try wantsOutput || lacksRecordsForLint(pristine, overlay, request)
            || lacksOutputForModules(pristine, overlay, request, modules, kernel: key)
        return PatchedKernelArtifact(
            pristine: pristine, overlay: overlay, request: request, key: key,
            artifact: needsOutput
                ? nil : tools.store.lookup(key) ?? (wantsImage ? nil : tools.store.lookup(plain)), modules: modules)
    }

    /// The step of kernels in the store.
    private static func artifactStep(hasImage: Bool) -> String { hasImage ? "kernel" : "kernel-vmlinux" }
    private static let imageName = "image"

    /// Whether the build must make the image. Compressing a kernel that QEMU boots uncompressed takes longer than
    /// compiling a file.
    private func needsImage(config: FilePath) throws -> Bool {
        try wantsImage || project.architecture == .um || !BootFeatures(config: config).isDirectlyBootable
    }

    /// Whether the tree on disk needs the patches: the kernel is built from it, `lint` reads it, and selftests with
    /// `tests-from: patched` come from it.
    private func needsTree(_ patched: PatchedKernelArtifact) -> Bool {
        patched.artifact == nil || project.lint || patched.modules.contains { $0.artifact == nil }
            || (project.hasKselftests && project.testsFrom == .patched)
    }

    func lock(_ pristine: KernelSourceArtifact, _ progress: ProgressSink) async throws -> FileLock {
        try await FileLock.acquire(
            Self.lockName(folder(for: pristine)), in: tools.layout, progress: progress)
    }

    /// Synchronizes the project's tree with an overlay. The caller holds the lock.
    func synchronize(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ progress: ProgressSink
    ) async throws -> WorkTree.Synchronization {
        // The tree shares its files with the cache's copy; no one may have written through a link.
        try pristine.verify()
        // The patches alone are asked for: a fragment that is missing is the build's concern.
        let request = (try? configRequest(pristine, overlay)) ?? .merge([])
        try await prepareTree(pristine, overlay, request, isBuildNext: true, progress)
        return try workTree(pristine).synchronize(overlay: overlay, output: output(pristine, request))
    }

    /// Makes the tree where it is missing, and removes outputs that are not valid for it. The caller verifies the
    /// cache's copy later, before it relies on the result.
    ///
    /// - Parameter isBuildNext: Whether make is going to build in the output; else it stays as it is.
    private func prepareTree(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ request: ConfigRequest, isBuildNext: Bool,
        _ progress: ProgressSink
    ) async throws {
        let change = try await sourceCache(progress).makeWorkTree(of: pristine, at: tree(pristine))
        // Outputs of another tree in this place are not valid for the new one, whatever their configuration.
        if change == .created {
            try removeOutputs(pristine)
            try workTree(pristine).recordCopy()
        }
        if isBuildNext { try discardForeignOutput(pristine, overlay, request) }
    }

    /// The tools that the build of a kernel runs, besides the tree's own programs. The binutils are those that gcc and
    /// the makefiles call by name.
    static let keyedTools = [
        "gcc", "ld", "make", "as", "ar", "nm", "objcopy", "objdump", "readelf", "strip", "bison", "flex", "bc", "perl",
        "python3", "pahole", "gzip", "lz4", "sh",
    ]

    /// The key of a kernel. The tree and the configuration are made only from the overlay and the request, which are
    /// values of this run, so a user's edit during the build affects neither.
    private func key(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ request: ConfigRequest, hasImage: Bool
    ) throws -> ArtifactKey {
        var key = KeyBuilder(
            step: Self.artifactStep(hasImage: hasImage), version: 3, trust: context.trust(under: rules))
        key.add("source", pristine.identity)
        key.add("overlay", overlay.digest)
        key.add("request", request.text)
        key.add("architecture", project.architecture.rawValue)
        let variables = variables(overlay)
        if !variables.isEmpty { key.add("variables", variables.joined(separator: "\n")) }
        if buildsModules(request) { key.add("modules", "built") }
        for tool in KernelSteps.keyedTools { key.add(tool, try tools.digest(ofOptionalTool: tool)) }
        return key.key
    }

    /// Configures, unless the kernel is in the store; its result is the path of the `.config`.
    func configure(_ patched: PatchedKernelArtifact) -> Step<FilePath> {
        Step(.configure) { _ in
            if let artifact = patched.artifact { return .found(artifact.path("config")) }
            let make = make(patched)
            let inputs = try configurationInputs(patched)
            let requested = "\(patched.request.entries.count) options requested"
            return Work(
                key: inputs, detail: requested,
                forecast: {
                    let tooling = try await tooling(make)
                    let (runner, environment) = (tooling.runner, tooling.environment)
                    let configurator = KernelConfigurator(runner: runner, environment: environment)
                    if patched.pendingTree?.changes != nil,
                        let current = configurator.current(make, request: patched.request, inputs: inputs)
                    {
                        return Forecast(outcome: .hit, expected: current.file)
                    }
                    if let origin = patched.pendingTree?.origin?.make,
                        configurator.isCurrentAlike(origin, request: patched.request, inputs: inputs) != nil
                    {
                        return Forecast(outcome: .hit, expected: origin.output.appending(".config"))
                    }
                    var forecast = Forecast<FilePath>()
                    let commands = configurator.commands(make, request: patched.request)
                    forecast.actions += try commands.before.map { try RunPlan.Action($0, by: runner) }
                    forecast.actions.append(.remark("kbuild merges the requested options into .config"))
                    forecast.actions += try commands.after.map { try RunPlan.Action($0, by: runner) }
                    return forecast
                },
                perform: { progress in
                    // The first make of a build; it compiles only make's own tools.
                    try workTree(patched.pristine).recordStart(output: make.output)
                    let tooling = try await tooling(make)
                    let (runner, environment) = (tooling.runner, tooling.environment)
                    let configurator = KernelConfigurator(runner: runner, progress: progress, environment: environment)
                    if let origin = patched.origin?.make {
                        try configurator.adopt(from: origin, to: make, request: patched.request, inputs: inputs)
                    }
                    let result = try await continuable(patched) {
                        try await configurator.configure(make, request: patched.request, inputs: inputs)
                    }
                    return Performed(
                        result: result.file, outcome: result.wasCurrent ? .hit : .made,
                        detail: "\(requested), all in place")
                })
        }
    }

    /// The inputs of a configuration besides the request.
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
        for tool in KernelSteps.keyedTools { inputs.add(tool, try tools.digest(ofOptionalTool: tool)) }
        return inputs.digest
    }

    /// Compiles the kernel, unless the store has it.
    ///
    /// - Parameter config: The configuration; nil in a dry run that would make it.
    func compile(_ patched: PatchedKernelArtifact, config: FilePath?) -> Step<BuiltKernel> {
        Step(.compile) { _ in
            if let artifact = patched.artifact {
                return .found(kernel(artifact, patched), artifact.key.short).filed(under: patched.key)
            }
            return Work(
                forecast: { try await forecastBuild(patched, config: config) },
                perform: { progress in
                    guard let config else { throw Failure(.infrastructure, "the kernel is not configured") }
                    return try await continuable(patched) { try await build(patched, config: config, progress) }
                }
            ).filed(under: patched.key)
        }
    }

    /// The commands of the build.
    private func forecastBuild(
        _ patched: PatchedKernelArtifact, config: FilePath?
    ) async throws -> Forecast<BuiltKernel> {
        let pristine = patched.pristine
        let make = make(patched)
        let tooling = try await tooling(make)
        let (runner, environment) = (tooling.runner, tooling.environment)
        let builder = KernelBuilder(runner: runner, environment: environment)
        let tree = patched.pendingTree
        let scope = scope(of: pristine)
        func actions(_ plan: BuildPlan) throws -> [RunPlan.Action] {
            let remark = reasonForWholeBuild(pristine) ?? plan.remark
            return try (remark.map { [.remark($0)] } ?? []) + plan.commands.map { try RunPlan.Action($0, by: runner) }
        }
        if let config {
            // With another source make has to check every folder.
            let plan = try builder.plan(
                make, scope: scope, needsImage: try needsImage(config: config),
                tree: tree?.isSourceNew == true ? nil : tree?.changes)
            let folder = tools.store.folder(
                try key(pristine, patched.overlay, patched.request, hasImage: plan.makesImage))
            var built = kernel(in: folder, patched, hasImage: plan.makesImage)
            built.config = config
            return Forecast(expected: built, actions: try actions(plan))
        }
        // make's work depends on the configuration, except in a build from nothing.
        let isNew = tree?.changes == nil
        let plan = try builder.plan(make, scope: isNew ? scope : .whole, tree: nil)
        var forecast = Forecast<BuiltKernel>(actions: try actions(plan))
        if !isNew, scope != .whole {
            forecast.dependsOn = [StepName.configure.rawValue]
            forecast.actions = forecast.actions.filter { $0.command != nil }
            forecast.actions.append(
                .remark("if the configuration does not change, make may visit fewer folders"))
        }
        return forecast
    }

    private func build(
        _ patched: PatchedKernelArtifact, config: FilePath, _ progress: ProgressSink
    ) async throws -> Performed<BuiltKernel> {
        let pristine = patched.pristine
        let make = make(patched)
        let tooling = try await tooling(make)
        let (runner, environment) = (tooling.runner, tooling.environment)
        var builder = KernelBuilder(runner: runner, progress: progress, environment: environment)
        builder.pace = lastPace
        let userFiles = patched.overlay.userFiles.mapValues { context.shown($0) }
        if let reason = reasonForWholeBuild(pristine) { progress(.detail(reason)) }
        // Until the modules can be built, the output is of no kernel.
        let modulesMark = mark(.modules, pristine, patched.request)
        try removeAll(modulesMark)
        let isFirst = !fileExists(mark(.description, pristine, patched.request))
        let isCopied = patched.origin?.distance == 0
        if isFirst, !isCopied, !project.checks.isEmpty || project.coverage != nil { progress(.note(costOfFirstBuild)) }
        // A check of 80,000 files, on the other processor. It must be complete before the kernel is trusted, and when
        // the build fails, it may show the reason.
        async let verification: Void = pristine.verify()
        let result: BuildResult
        do {
            result = try await builder.build(
                make, scope: scope(of: pristine), needsImage: try needsImage(config: config), log: buildLog,
                userFiles: userFiles)
        } catch let failure as Failure {
            try await verification
            throw failure
        }
        try await verification
        if isFirst, patched.origin == nil { recordFirstBuild(result) }
        let buildsModules = buildsModules(patched.request)
        if buildsModules {
            let log = FilePath("\(buildLog.string).modules")
            _ = try await builder.build(make, targets: [Self.modulesTarget], log: log, userFiles: userFiles)
        }
        if makesDebuggerScripts {
            let log = FilePath("\(buildLog.string).gdb")
            _ = try await builder.build(make, targets: [Self.scriptsTarget], log: log)
        }
        try workTree(pristine).recordBuild(output: make.output)
        try describeOutput(of: patched)
        let artifact = try await publish(result, of: patched)
        if buildsModules { try writeAtomically(patched.key.digest.hex, to: modulesMark) }
        var detail = pluralized(result.compiledObjects, "object")
        if result.isIncremental { detail += result.isReplayed ? ", incremental without make" : ", incremental" }
        if result.sparedObjects > 0 { detail += ", \(result.sparedObjects) spared" }
        if result.isVerified { detail += ", confirmed by a plain make" }
        return Performed(result: kernel(artifact, patched), outcome: .made, detail: detail)
    }

    /// Stores a build's result, unless a tool was replaced meanwhile.
    private func publish(_ result: BuildResult, of patched: PatchedKernelArtifact) async throws -> Artifact {
        let (pristine, overlay, request) = (patched.pristine, patched.overlay, patched.request)
        let hasImage = result.image != nil
        let after = try key(pristine, overlay, request, hasImage: true)
        if let tool = after.difference(from: patched.key) {
            throw Failure(
                .infrastructure, "\(tool) was replaced while it built the kernel, so nothing was published",
                nextStep: "run the command again: it builds the kernel from nothing")
        }
        return try await tools.store.publish(
            key: { try key(pristine, overlay, request, hasImage: hasImage) }
        ) { folder in
            if let image = result.image { try copyFile(image, to: folder.appending(Self.imageName)) }
            try copyFile(result.vmlinux, to: folder.appending("vmlinux"))
            try copyFile(result.systemMap, to: folder.appending("System.map"))
            try copyFile(result.config, to: folder.appending("config"))
            try keepCoverageNotes(of: patched, in: folder)
            if buildsModules(patched.request) { try await installModules(of: patched, in: folder) }
            if makesDebuggerScripts { try keepDebuggerScripts(of: output(pristine, request), in: folder) }
        }
    }

    private func kernel(_ artifact: Artifact, _ patched: PatchedKernelArtifact) -> BuiltKernel {
        kernel(in: artifact.folder, patched, hasImage: artifact.files[Self.imageName] != nil)
    }

    private func kernel(in folder: FilePath, _ patched: PatchedKernelArtifact, hasImage: Bool) -> BuiltKernel {
        BuiltKernel(
            image: hasImage ? folder.appending(Self.imageName) : nil, vmlinux: folder.appending("vmlinux"),
            config: folder.appending("config"), version: patched.pristine.version,
            debuggerScripts: makesDebuggerScripts ? folder.appending(Self.scriptsFile) : nil)
    }

    // MARK: The kernel's own commands for gdb (scripts/gdb)

    /// Whether a build makes the kernel's own commands for gdb: they need debug information, and gdb would run those of
    /// a confined build unconfined.
    private var makesDebuggerScripts: Bool { project.kernel.hasDebugInfo && rules == nil }

    /// make's target for these commands, and the file by which gdb loads them: it looks for the others in
    /// scripts/gdb/linux beside it (scripts/gdb/vmlinux-gdb.py).
    private static let scriptsTarget = "scripts_gdb"
    private static let scriptsFile = "vmlinux-gdb.py"
    private static let scriptsFolder = "scripts/gdb/linux"

    /// Copies the commands beside the kernel: the output's links lead to a tree that the next patch changes, and
    /// another output may have made the kernel that a later run finds in the store.
    private func keepDebuggerScripts(of output: FilePath, in folder: FilePath) throws {
        try copyFile(output.appending(Self.scriptsFile), to: folder.appending(Self.scriptsFile))
        let source = output.pushing(FilePath(Self.scriptsFolder))
        let target = folder.pushing(FilePath(Self.scriptsFolder))
        try createFolder(target)
        for name in try namesInFolder(source) where name.hasSuffix(".py") {
            try copyFile(source.appending(name), to: target.appending(name))
        }
    }

    /// The module SyscallNumbers for the calls that the patches add.
    func numbers(of overlay: TreeOverlay) -> NumbersModule {
        NumbersModule(header: SyscallHeader.text(overlay.syscalls), in: tools.layout)
    }

    /// Finds the files and lines of a kernel's crash reports.
    func symbolizer(
        of kernel: BuiltKernel, _ patched: PatchedKernelArtifact, _ modules: ModuleSet
    ) -> CrashSymbolizer {
        let objects = modules.objects.compactMap { object in
            object.symbols.map { CrashSymbolizer.Module(name: object.info.name, file: $0) }
        }
        let ownFiles = patched.overlay.userFiles.merging(modules.userFiles) { first, _ in first }
        return CrashSymbolizer(
            runner: tools.runner.confined(
                by: rules?.build(readable: [kernel.vmlinux] + objects.map(\.file), writable: [])),
            vmlinux: kernel.vmlinux, modules: objects,
            root: kernel.bootModules == nil ? tree(patched.pristine) : nil,
            ownFiles: ownFiles.mapValues { context.shown($0) })
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
