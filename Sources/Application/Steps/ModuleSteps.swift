// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import GuestSession
import KernelBuild
import KernelConfig
import KernelMake
import KernelSource
import PatchedTree
import Processes
import Project
import Reporting
import SystemPackage
import TestSession

/// A module of the kernel, or of the project, that guests can load.
struct ModuleObject: Sendable, Equatable {
    var info: ModuleInfo
    /// The file for the guest.
    var file: FilePath
    /// The same with symbols and lines; nil for none.
    var symbols: FilePath?
    /// Its path below the folder of modules in the guest.
    var guestPath: String
}

/// The modules of a folder of `modules`, in the order in which make lists them.
struct BuiltModule: Sendable {
    var module: Project.Module
    var objects: [ModuleObject]
}

/// The modules that a run's guests can load.
struct ModuleSet: Sendable {
    /// Those of `modules`.
    var built: [BuiltModule] = []
    /// The kernel's own: a folder for /lib/modules/RELEASE; nil where the kernel was built without.
    var kernelTree: FilePath?
    /// The release for which they are.
    var release: String?
    /// The files of `modules` by the paths of the copies that were compiled.
    var userFiles: [String: FilePath] = [:]

    static let none = ModuleSet()

    /// The objects with symbols, for crash reports.
    var objects: [ModuleObject] { built.flatMap(\.objects) }
}

/// How one folder of `modules` is built, and whether its result exists.
struct ModuleRecipe: Sendable {
    var sources: ModuleSources
    /// The folder in which it is compiled.
    var folder: FilePath
    var key: ArtifactKey
    var artifact: Artifact?
}

extension KernelSteps {
    private var tools: ToolContext { context.tools }
    private var project: Project { context.project }

    // MARK: Whether the kernel has modules

    /// The options of a kernel that loads modules.
    static let moduleOptions = """
        CONFIG_MODULES=y
        CONFIG_MODULE_UNLOAD=y
        # A module of the project has no signature.
        # CONFIG_MODULE_SIG_FORCE is not set
        # CONFIG_TRIM_UNUSED_KSYMS is not set

        """

    /// Whether a project, or a fragment of its configuration, asks for a kernel that loads modules.
    func needsModules(_ fragments: [ConfigFragment]) -> Bool {
        !project.modules.isEmpty || project.namesModules
            || fragments.contains { $0.entries.contains { $0.value == .module } }
    }

    /// The most modules that are built without a test that names one: a distribution's configuration has thousands.
    private static let mostModules = 400

    /// Whether the kernel's own modules (`=m`) are built: a test names one, or the configuration has a moderate number
    /// of them.
    func buildsModules(_ request: ConfigRequest) -> Bool {
        if needsModules([]) { return true }
        var count = request.entries.count { $0.value == .module }
        if count == 0, case .file(_, let text) = request.base {
            count = text.textLines().count { $0.hasPrefix("CONFIG_") && $0.hasSuffix("=m") }
        }
        return count > 0 && count <= Self.mostModules
    }

    /// make's target for the modules, and for what modules outside of the tree need.
    static let modulesTarget = "modules"
    /// The folder of the kernel's own modules in its artifact: MODLIB of the kernel's Makefile.
    private static let kernelModules = "lib/modules"

    /// Installs the kernel's own modules beside the kernel, without their debug information.
    ///
    /// - Parameter folder: The kernel's artifact.
    func installModules(of patched: PatchedKernelArtifact, in folder: FilePath) async throws {
        let make = make(patched)
        let order = make.output.appending(ModuleBuilder.orderFile)
        guard fileExists(order), try !readText(order).isEmpty else { return }
        var install = make
        install.variables += ["INSTALL_MOD_PATH=\(folder)", "INSTALL_MOD_STRIP=1"]
        let tooling = try await tooling(make)
        let command = install.command(["modules_install"], environment: tooling.environment)
        let result = try await tooling.runner.writing(to: folder).capture(command)
        guard result.status.isSuccess else {
            throw Failure(
                .build, "the kernel's modules could not be installed", details: "\(command)\n\(result.errors)",
                nextStep: "apt-get install kmod (it has depmod)")
        }
        // These links lead to the tree and the output.
        let modules = folder.pushing(FilePath(Self.kernelModules))
        for release in try namesInFolder(modules) {
            for link in ["build", "source"] { try removeAll(modules.appending(release).appending(link)) }
        }
    }

    // MARK: The project's modules

    private func modulesFolder(_ pristine: KernelSourceArtifact, _ request: ConfigRequest) -> FilePath {
        FilePath("\(output(pristine, request))-modules")
    }

    /// The compiler's flags of a module: those of the project's other C files, and lines for crash reports.
    private var moduleFlags: [String] { flags.compilerFlags + (project.kernel.hasDebugInfo ? [] : ["-g"]) }

    /// How the project's modules are built for a kernel.
    ///
    /// - Throws: `Failure` (`usage`) when a folder has no makefile; `infrastructure` when one cannot be read.
    func moduleRecipes(
        _ pristine: KernelSourceArtifact, _ request: ConfigRequest, kernel: ArtifactKey
    ) throws -> [ModuleRecipe] {
        var recipes: [ModuleRecipe] = []
        for module in project.modules {
            let sources = try ModuleSources(module, of: project)
            let folder = modulesFolder(pristine, request).appending(module.name)
            let key = try moduleKey(sources, in: folder, kernel: kernel, after: recipes)
            recipes.append(
                ModuleRecipe(sources: sources, folder: folder, key: key, artifact: tools.store.lookup(key)))
        }
        return recipes
    }

    private func moduleKey(
        _ sources: ModuleSources, in folder: FilePath, kernel: ArtifactKey, after recipes: [ModuleRecipe]
    ) throws -> ArtifactKey {
        var key = KeyBuilder(step: "module", version: 1, trust: context.trust(under: rules))
        key.add("kernel", kernel.digest)
        key.add("sources", try sources.digest(tools.statCache))
        // The debug information has the paths.
        key.add("folder", folder.string)
        key.add("flags", moduleFlags.joined(separator: " "))
        for recipe in recipes { key.add("symbols", recipe.key.digest) }
        return key.key
    }

    /// Whether a module has to be built although the store has the kernel, in an output that is not this kernel's.
    func lacksOutputForModules(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ request: ConfigRequest, _ recipes: [ModuleRecipe],
        kernel: ArtifactKey
    ) throws -> Bool {
        guard recipes.contains(where: { $0.artifact == nil }) else { return false }
        return try !KernelBuilder.isFinished(output(pristine, request))
            || hasUnusableOutput(pristine, overlay, request)
            || (try? readText(mark(.modules, pristine, request))) != kernel.digest.hex
    }

    /// Builds the project's modules for a kernel, and finds the kernel's own. The caller holds the lock of the tree.
    ///
    /// - Parameter kernel: The built kernel; nil in a dry run that does not know it.
    func modules(_ patched: PatchedKernelArtifact, kernel: BuiltKernel?) -> Step<ModuleSet> {
        Step(.modules) { _ in
            let make = make(patched)
            let recipes = patched.modules
            let detail = pluralized(recipes.count, "module")
            if recipes.allSatisfy({ $0.artifact != nil }), let kernel {
                return .found(try moduleSet(recipes, kernel: kernel), detail)
            }
            return Work(
                detail: detail,
                forecast: {
                    var forecast = Forecast<ModuleSet>()
                    if kernel == nil { forecast.dependsOn = [StepName.compile.rawValue] }
                    let tooling = try await tooling(make)
                    let builder = ModuleBuilder(runner: tooling.runner, environment: tooling.environment)
                    for (index, recipe) in recipes.enumerated() where recipe.artifact == nil {
                        forecast.actions.append(
                            .remark("kbuild copies \(context.shown(recipe.sources.module.path)) to \(recipe.folder)"))
                        let command = builder.command(make, folder(of: recipe, after: recipes[..<index]))
                        forecast.actions.append(try .init(command, by: tooling.runner))
                    }
                    return forecast
                },
                perform: { progress in
                    guard let kernel else { throw Failure(.infrastructure, "the kernel is not built") }
                    var built = recipes
                    for index in built.indices where built[index].artifact == nil {
                        built[index].artifact = try await build(
                            built[index], after: built[..<index], of: patched, progress)
                    }
                    return Performed(result: try moduleSet(built, kernel: kernel), outcome: .made, detail: detail)
                })
        }
    }

    private func folder(of recipe: ModuleRecipe, after recipes: ArraySlice<ModuleRecipe>) -> ModuleBuilder.Folder {
        ModuleBuilder.Folder(
            path: recipe.folder, flags: moduleFlags,
            symbols: recipes.map { $0.folder.appending(ModuleBuilder.symbolsFile) })
    }

    /// The names of a module's files in its artifact.
    private static let symbolsFolder = "symbols"
    private static let orderFile = "order"

    private func build(
        _ recipe: ModuleRecipe, after recipes: ArraySlice<ModuleRecipe>, of patched: PatchedKernelArtifact,
        _ progress: ProgressSink
    ) async throws -> Artifact {
        let make = make(patched)
        let module = recipe.sources.module
        let folder = folder(of: recipe, after: recipes)
        let name = context.shown(module.path)
        let log = FilePath("\(buildLog.string).\(module.name)")
        func key() throws -> ArtifactKey {
            try moduleKey(
                try ModuleSources(module, of: project), in: recipe.folder, kernel: patched.key, after: Array(recipes))
        }
        return try await tools.store.publish(key: key) { target in
            // Where a stranger's makefile has run, nothing is continued.
            if rules != nil { try removeAll(recipe.folder) }
            let sources = try ModuleSources(module, of: project)
            // Beside the folder, since make writes in it.
            let mark = FilePath("\(recipe.folder).built")
            let state = try buildState(recipe, after: recipes, of: patched)
            let isContinued = (try? readText(mark)) == state
            try removeAll(mark)
            let changes = try sources.copy(to: recipe.folder)
            var folder = folder
            if isContinued, rules == nil { folder.changes = changes }
            for earlier in recipes { try restoreSymbols(of: earlier) }
            var tooling = try await tooling(make)
            if let rules {
                let readable =
                    [make.tree, make.output] + recipes.map(\.folder)
                    + tools.installations(of: ["gcc", "ld", "make"])
                tooling.runner = try tools.runner.confined(by: rules.build(readable: readable, writable: []))
                    .writing(to: recipe.folder)
            }
            let builder = ModuleBuilder(
                runner: tooling.runner, progress: progress, environment: tooling.environment)
            let objects = try await builder.build(
                make, folder, name: name, log: log, userFiles: shownFiles(of: sources, in: recipe.folder))
            var names: [String] = []
            try createFolder(target.appending(Self.symbolsFolder))
            for object in objects {
                guard let file = object.lastComponent?.string else { continue }
                let whole = target.appending(Self.symbolsFolder).appending(file)
                try copyFile(object, to: whole)
                try await strip(whole, to: target.appending(file))
                names.append(file)
            }
            let symbols = recipe.folder.appending(ModuleBuilder.symbolsFile)
            if fileExists(symbols) { try copyFile(symbols, to: target.appending(ModuleBuilder.symbolsFile)) }
            try writeAtomically(names.map { $0 + "\n" }.joined(), to: target.appending(Self.orderFile))
            try writeAtomically(state, to: mark)
        }
    }

    /// What a module's folder was built with, besides its sources.
    private func buildState(
        _ recipe: ModuleRecipe, after recipes: ArraySlice<ModuleRecipe>, of patched: PatchedKernelArtifact
    ) throws -> String {
        var state = ContentDigest(of: "module folder", version: 1)
        state.add("kernel", patched.key.digest)
        state.add("flags", moduleFlags.joined(separator: " "))
        for recipe in recipes { state.add("symbols", recipe.key.digest) }
        return state.digest.hex
    }

    /// A module that was found in the store may have no folder any more, but later ones need the list of its symbols.
    private func restoreSymbols(of recipe: ModuleRecipe) throws {
        let file = recipe.folder.appending(ModuleBuilder.symbolsFile)
        guard let artifact = recipe.artifact, artifact.files[ModuleBuilder.symbolsFile] != nil else { return }
        let bytes = try readBytes(artifact.path(ModuleBuilder.symbolsFile))
        if fileExists(file), try readBytes(file) == bytes { return }
        try createFolder(recipe.folder)
        try writeAtomically(bytes, to: file)
    }

    private func strip(_ file: FilePath, to target: FilePath) async throws {
        let runner = try tools.runner.confined(by: rules?.build(readable: [], writable: []))
            .writing(to: target.removingLastComponent())
        _ = try await runner.output(of: Command("strip", ["--strip-debug", "-o", target.string, file.string]))
    }

    private func copies(of sources: ModuleSources, in folder: FilePath) -> [String: FilePath] {
        Dictionary(
            sources.files.map { (folder.pushing(FilePath($0.key)).string, $0.value) },
            uniquingKeysWith: { first, _ in first })
    }

    private func shownFiles(of sources: ModuleSources, in folder: FilePath) -> [String: String] {
        copies(of: sources, in: folder).mapValues { context.shown($0) }
    }

    /// The modules that the kernel itself has.
    func kernelModules(_ kernel: BuiltKernel) throws -> ModuleSet { try moduleSet([], kernel: kernel) }

    private func moduleSet(_ recipes: [ModuleRecipe], kernel: BuiltKernel) throws -> ModuleSet {
        var set = ModuleSet()
        for recipe in recipes {
            guard let artifact = recipe.artifact else { continue }
            let names = try readText(artifact.path(Self.orderFile)).textLines().map(String.init)
            let objects = try names.map { name in
                let file = artifact.path(name)
                guard let info = ModuleInfo(try readBytes(file)) else {
                    throw Failure(.build, "\(file) is not a kernel module")
                }
                return ModuleObject(
                    info: info, file: file, symbols: artifact.path("\(Self.symbolsFolder)/\(name)"),
                    guestPath: "\(recipe.sources.module.name)/\(name)")
            }
            set.built.append(BuiltModule(module: recipe.sources.module, objects: objects))
            set.userFiles.merge(copies(of: recipe.sources, in: recipe.folder)) { first, _ in first }
        }
        let tree = kernel.folder.pushing(FilePath(Self.kernelModules))
        if isFolder(tree), let release = try namesInFolder(tree).first {
            (set.kernelTree, set.release) = (tree.appending(release), release)
        }
        return set
    }
}
