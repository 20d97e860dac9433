// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import Processes
import Reporting
import RootFilesystem
import Syscalls
import SystemPackage

/// A Swift Testing bundle, built and listed.
struct GuestBundle: Sendable {
    /// The executable.
    var executable: FilePath
    /// Its tests, as `--list-tests` names them.
    var tests: [String]
    /// Its XCTest cases, which kbuild does not run.
    var xctests: [String]
    /// The key of its artifact.
    var key: Digest
    /// Whether the store had it already.
    var isHit: Bool
}

/// Builds the programs of the guest: Swift Testing bundles, C programs and init.
struct GuestProgramBuilder: Sendable {
    let tools: ToolContext
    /// The project's folder, which all of its builds may read.
    let project: FilePath
    /// The folder of the project's build folders in the cache.
    let projectCache: FilePath
    /// The rules by which builds are confined; nil when they are not.
    let rules: Confinement.Rules?
    /// How many jobs SwiftPM may run; nil for the number of processors.
    var jobs: Int?

    /// Code that a build compiles.
    struct Code: Sendable {
        /// The file or folder.
        var path: FilePath
        /// Whether it is compiled with the numbers of the system calls, which are text from the patches.
        var includesNumbers: Bool
    }

    /// The rules for a build; nil when it is not confined.
    private func rules(for code: Code) -> Confinement.Rules? {
        rules?.covering(code.path, includingNumbers: code.includesNumbers)
    }

    /// Whose code decides the result.
    func trust(of code: Code) -> TrustLevel { TrustLevel(under: rules(for: code), in: projectCache) }

    /// The runner of a build that writes only to `folder`.
    private func runner(
        for code: Code, writing folder: FilePath, reading others: [FilePath] = [], _ environment: ToolEnvironment
    ) -> CommandRunner {
        guard let rules = rules(for: code) else {
            var runner = tools.runner
            runner.environment = environment.variables
            return runner
        }
        let readable = [project, code.path] + others + tools.installations(of: ["gcc", "swiftc"])
        return tools.runner.confined(by: rules.build(readable: readable, writable: [folder]))
    }

    /// The environment of a build.
    private func environment(for code: Code, namedIn texts: [String] = []) -> ToolEnvironment {
        rules(for: code) == nil
            ? ToolEnvironment(ProcessInfo.processInfo.environment, namedIn: texts) : .confined
    }

    // MARK: Recipes

    /// How commands make one file, and whether it exists: known before any of them runs.
    ///
    /// The commands record the files that they read. These become part of the artifact's key, so that the next run
    /// checks exactly these files.
    struct Recipe: Sendable {
        /// The key, without the files that the commands record.
        var key: ArtifactKey { get throws { try currentKey() } }
        /// Computes the key from the current inputs.
        var currentKey: @Sendable () throws -> ArtifactKey
        var artifact: Artifact?
        /// The name of the result.
        var file: String
        /// Files that are removed at the end.
        var intermediates: [String] = []
        /// The name of the result in messages.
        var what: String
        /// The folder that names in the dependency files are relative to.
        var source: FilePath
        /// The runner of the commands, which write to a folder.
        var runner: @Sendable (FilePath) -> CommandRunner
        /// The commands, for a folder.
        var commands: @Sendable (FilePath) -> [Command]
        /// The makefiles in which the commands record the files that they read.
        var dependencies: [String]
        /// Prints, on standard error, the folders that gcc searches for headers.
        var search: Command?

        var isMade: Bool { artifact != nil }
        /// The path of the file, once it is made.
        var path: FilePath? { artifact.map { $0.path(file) } }
    }

    /// A recipe's purpose, and the files that its commands read and write.
    private struct RecipeOutline: Sendable {
        var code: Code
        /// The folder in which the commands run.
        var source: FilePath
        var what: String
        var file: String
        var intermediates: [String] = []
        var dependencies: [String]
        var search: Command?
        /// More files and folders that a confined build may read.
        var readable: [FilePath] = []
        /// The step of the key, and the version of the key's meaning.
        var step: String
        var version: Int
    }

    private func recipe(
        _ outline: RecipeOutline, key: @escaping @Sendable (inout KeyBuilder) throws -> Void,
        commands: @escaping @Sendable (FilePath) -> [Command]
    ) throws -> Recipe {
        let environment = environment(for: outline.code)
        let trust = trust(of: outline.code)
        let currentKey: @Sendable () throws -> ArtifactKey = {
            var builder = KeyBuilder(step: outline.step, version: outline.version, trust: trust)
            environment.add(to: &builder)
            // The tools record absolute paths.
            builder.add("place", outline.source.string)
            for tool in ["gcc", "as", "ld"] { builder.add(tool, try tools.digest(ofOptionalTool: tool)) }
            builder.add("commands", commands("/").map(\.description).joined(separator: "\n"))
            try key(&builder)
            return builder.key
        }
        return Recipe(
            currentKey: currentKey, artifact: tools.store.lookup(recorded: try currentKey()), file: outline.file,
            intermediates: outline.intermediates, what: outline.what, source: outline.source,
            runner: { runner(for: outline.code, writing: $0, reading: outline.readable, environment) },
            commands: commands, dependencies: outline.dependencies, search: outline.search)
    }

    /// Returns the file of a recipe; makes it unless it exists.
    ///
    /// - Throws: `Failure` (`build`) when it does not compile, with the compiler's messages.
    func make(_ recipe: Recipe) async throws -> FilePath {
        if let artifact = recipe.artifact { return artifact.path(recipe.file) }
        let artifact = try await tools.store.publishRecorded(key: recipe.currentKey) { folder in
            let runner = recipe.runner(folder)
            for command in recipe.commands(folder) { try await compile(command, what: recipe.what, by: runner) }
            let reads = try await self.reads(of: recipe, in: folder, by: runner)
            for name in recipe.intermediates + recipe.dependencies { try removeAll(folder.appending(name)) }
            try runner.sandbox?.takeBack(folder)
            return reads
        }
        return artifact.path(recipe.file)
    }

    /// The commands that make a recipe's file, as a plan shows them.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a tool is missing.
    func actions(of recipe: Recipe) throws -> [RunPlan.Action] {
        let folder = tools.store.draft(try recipe.key)
        let commands =
            [Command("mkdir", ["-p", folder.string])] + recipe.commands(folder) + (recipe.search.map { [$0] } ?? [])
        return try commands.enumerated().map { index, command in
            // kbuild itself makes the folder.
            try RunPlan.Action(command, by: index == 0 ? tools.runner : recipe.runner(folder))
        }
    }

    /// The reads that the commands of a recipe recorded in `folder`.
    private func reads(of recipe: Recipe, in folder: FilePath, by runner: CommandRunner) async throws -> ToolReads {
        var files = Set<String>()
        for name in recipe.dependencies {
            let text = try readText(folder.appending(name))
            files.formUnion(Self.files(inMakefile: text, relativeTo: recipe.source, without: [folder]))
        }
        guard let search = recipe.search else { return ToolReads(files: files) }
        let answer = try await runner.capture(search)
        let list = CompilerReads.searchList(inVerboseOutput: answer.errors)
        var folders = list.folders
        // The folders that come before the compiler's own.
        for command in recipe.commands(folder) {
            folders += command.arguments.filter { $0.hasPrefix("-I") }.map { String($0.dropFirst(2)) }
        }
        let sources = files.filter { file in ![".a", ".o", ".so", ".swiftmodule"].contains { file.hasSuffix($0) } }
        var missed = CompilerReads.missed(
            including: sources.sorted(), folders: folders.map { Self.absolute($0, in: recipe.source) },
            text: { try? readBytes(FilePath($0)) }, exists: { fileExists(FilePath($0)) })
        // The linker searches these before its own folders.
        let libraries = (runner.environment?["LIBRARY_PATH"] ?? "").split(separator: ":").map(String.init)
        for folder in libraries {
            for file in files where file.hasSuffix(".a") || file.hasSuffix(".o") {
                let path = FilePath(Self.absolute(folder, in: recipe.source)).appending(
                    FilePath(file).lastComponent?.string ?? "")
                if fileExists(path) { missed.passedOver.insert(path.string) } else { missed.absent.insert(path.string) }
            }
        }
        if let compiler = list.compiler { files.insert(compiler) }
        return ToolReads(files: files, absent: missed.absent, passedOver: missed.passedOver)
    }

    private static func absolute(_ path: String, in folder: FilePath) -> String {
        path.hasPrefix("/") ? path : folder.pushing(FilePath(path)).string
    }

    /// The files that a compiler's makefile names, except files in folders that the build itself fills.
    private static func files(
        inMakefile text: String, relativeTo source: FilePath, without own: [FilePath]
    ) -> Set<String> {
        Set(
            CompilerReads.prerequisites(inMakefile: text, below: source).map { absolute($0, in: source) }.filter {
                path in
                !own.contains { FilePath(path).lexicallyNormalized().starts(with: $0) }
                    && !CompilerReads.isIntermediate(FilePath(path))
            })
    }

    // MARK: Swift Testing

    /// Builds the test bundle of a SwiftPM package.
    ///
    /// - Parameter numbers: The generated module SyscallNumbers.
    /// - Throws: `Failure` (`build`) when it does not compile, with the compiler's messages, or has no test.
    func bundle(_ recipe: BundleRecipe, numbers: NumbersModule) async throws -> GuestBundle {
        let package = recipe.package
        if let artifact = recipe.artifact { return try bundle(artifact, isHit: true) }
        // Another kbuild may build the package for another kernel in the same folder.
        let lock = "swift-" + Digest.of(recipe.scratch.string).short
        return try await FileLock.withLock(lock, in: tools.layout, progress: tools.progress) {
            var state: Digest?
            do {
                let artifact = try await tools.store.publishRecorded(
                    key: { try await bundleRecipe(package: package, numbers: numbers).key }
                ) { folder in
                    // Targets may have been added or removed since.
                    let recipe = try await bundleRecipe(package: package, numbers: numbers)
                    state = recipe.state
                    return try await build(recipe, into: folder)
                }
                try trustScratch(recipe, state)
                return try bundle(artifact, isHit: false)
            } catch let failure as Failure where failure.code == .build {
                // Nothing changed meanwhile, so the compiled objects are of these inputs.
                try trustScratch(recipe, state)
                throw failure
            }
        }
    }

    /// Builds a package's tests in its scratch folder and copies the bundle.
    ///
    /// - Returns: The files that the compilers read outside the packages, such as headers.
    private func build(_ recipe: BundleRecipe, into folder: FilePath) async throws -> ToolReads {
        guard let product = recipe.packages.testProduct else {
            throw Failure(
                .infrastructure, "\(recipe.package) has no tests: SwiftPM names no test target of it",
                nextStep: "add a test target to its Package.swift")
        }
        let runner = recipe.runner
        if (try? readText(recipe.mark)) != recipe.state.hex { try removeAll(recipe.scratch) }
        try createFolder(recipe.scratch)
        // SwiftPM checks a header's time after it has compiled with the header. If an input changes during the build,
        // SwiftPM may take an object of the old contents for one of the new, so the next build must begin with an empty
        // folder.
        try removeAll(recipe.mark)
        try await compile(recipe.build, what: "the tests in \(recipe.package)", by: runner)
        let bin = FilePath(try await runner.output(of: recipe.binPath, failingWith: .infrastructure))
        let executable = bin.appending(product)
        guard fileExists(executable) else {
            throw Failure(
                .infrastructure, "the build of \(recipe.package) made no \(product)",
                details: try namesInFolder(bin).filter { $0.hasSuffix(".xctest") }.joined(separator: "\n"))
        }
        let xctests = try XCTestListing.names(
            in: try await runner.output(of: Command(executable.string, XCTestListing.arguments)))
        // A bundle without any test exits with 69 (EX_UNAVAILABLE), which is not a failure of the listing.
        let listing = try await runner.capture(Command(executable.string, BundleRecipe.listArguments))
        guard listing.status.isSuccess || listing.status == .exited(BundleRecipe.noTests) else {
            throw Failure(
                .infrastructure, "the test bundle of \(recipe.package) cannot list its tests (\(listing.status))",
                details: listing.errors)
        }
        try copyFile(executable, to: folder.appending("tests.xctest"))
        try writeAtomically(listing.status.isSuccess ? listing.output : "", to: folder.appending("tests.list"))
        try writeAtomically(xctests.joined(separator: "\n"), to: folder.appending("xctests.list"))
        var files = Set<String>()
        let toolchain = tools.installations(of: ["swiftc"])
        for folder in try namesInFolder(bin).filter({ $0.hasSuffix(".build") }).map({ bin.appending($0) }) {
            for path in try Self.dependencyFiles(below: folder) {
                files.formUnion(
                    Self.files(
                        inMakefile: try readText(path), relativeTo: recipe.package,
                        without: [recipe.scratch] + toolchain))
            }
        }
        // Files in the packages are in the key already; files that an earlier build read may have been removed.
        return ToolReads(files: Self.files(files, outsideOf: recipe.inputs))
    }

    /// The files that exist and are in none of the folders, links and `..` followed: `PACKAGE/Sources/../../x.h` is
    /// outside PACKAGE/Sources.
    static func files(_ files: Set<String>, outsideOf folders: [FilePath]) -> Set<String> {
        let folders = folders.compactMap(resolvedPath)
        return files.filter { file in
            guard let path = resolvedPath(FilePath(file)) else { return false }
            return !folders.contains { path.starts(with: $0) }
        }
    }

    /// Permits the next build to continue from the scratch folder's contents.
    private func trustScratch(_ recipe: BundleRecipe, _ state: Digest?) throws {
        if let state { try writeAtomically(state.hex, to: recipe.mark) }
    }

    private static func dependencyFiles(below folder: FilePath) throws -> [FilePath] {
        try namesInFolder(folder).flatMap { name in
            let path = folder.appending(name)
            if name.hasSuffix(".d") { return [path] }
            return isFolder(path) ? try dependencyFiles(below: path) : []
        }
    }

    /// How a test bundle is built, and whether it exists.
    struct BundleRecipe: Sendable {
        var package: FilePath
        var key: ArtifactKey
        var artifact: Artifact?
        var packages: SwiftPackages
        /// The files and folders whose contents are in the key.
        var inputs: [FilePath]
        /// State that SwiftPM's own records in the scratch folder do not distinguish, so that another state begins with
        /// an empty folder.
        var state: Digest
        var scratch: FilePath
        /// The file with the state for which the scratch folder is valid; it does not exist during a build.
        var mark: FilePath { FilePath("\(scratch).state") }
        var runner: CommandRunner
        var build: Command
        /// Prints the path where SwiftPM put the bundle.
        var binPath: Command

        /// The arguments with which the bundle lists its tests.
        static let listArguments = ["--testing-library", "swift-testing", "--list-tests"]
        /// The exit code of a bundle that has no Swift Testing test (EX_UNAVAILABLE of sysexits.h).
        static let noTests: Int32 = 69
        /// The same arguments in a message.
        static let listing = listArguments.joined(separator: " ")
    }

    /// Computes how the bundle in `package` is built.
    ///
    /// - Throws: `Failure` (`usage`) when it is not a package.
    func bundleRecipe(package: FilePath, numbers: NumbersModule) async throws -> BundleRecipe {
        guard fileExists(package.appending("Package.swift")) else {
            throw Failure(
                .usage, "\(package) is not a Swift package: it has no Package.swift",
                nextStep: "point tests: swift: at the folder of a package with Swift Testing tests")
        }
        // Files from a confined build run again in the next build in the same folder, so it has its own folder.
        let code = Code(path: package, includesNumbers: true)
        let kind = rules(for: code) == nil ? "swift" : "swift-confined"
        let scratch = projectCache.appending("\(kind)-" + Digest.of(package.string).short)
        let packages = try await self.packages(code, scratch: scratch)
        let environment = try environment(for: code, manifestsOf: packages.roots)
        let runner = runner(for: code, writing: scratch, reading: [numbers.folder] + packages.roots, environment)
        // The module's path names its contents, so another kernel's numbers are never mixed in.
        let arguments = [
            "--build-tests", "--package-path", package.string, "--scratch-path", scratch.string,
            "-Xswiftc", "-I\(numbers.folder)", "-Xcc", "-I\(numbers.folder)",
        ]
        var key = KeyBuilder(step: "bundle", version: 4, trust: trust(of: code))
        var state = ContentDigest(of: "scratch", version: 1)
        environment.add(to: &key)
        for (name, value) in environment.recorded.sorted(by: { $0.key < $1.key }) { state.add(name, value) }
        for tool in ["swift-build", "swiftc", "clang", "ld"] {
            let digest = try tools.digest(ofOptionalTool: tool)
            key.add(tool, digest)
            state.add(tool, digest)
        }
        // SwiftPM's folders and the recorded reads hold absolute paths.
        key.add("place", package.string)
        key.add("numbers", numbers.digest)
        var inputs: [FilePath] = []
        for root in packages.roots {
            var files = try SwiftPackages.manifests(in: root)
            // The versions of packages that SwiftPM fetches, and their origins.
            let configuration = root.pushing(".swiftpm/configuration")
            if root == packages.roots.first { files.append(root.appending("Package.resolved")) }
            for file in files {
                key.add(file.string, fileExists(file) ? try tools.statCache.digest(of: file).hex : "none")
            }
            if isFolder(configuration) { key.add("configuration", try tools.statCache.digest(ofTree: configuration)) }
            inputs += files
        }
        for folder in packages.folders {
            guard isFolder(folder) else {
                // A binary target.
                key.add(folder.string, fileExists(folder) ? try tools.statCache.digest(of: folder).hex : "none")
                continue
            }
            var names: [String] = []
            let digest = try tools.statCache.digest(ofTree: folder) { path in
                guard SwiftPackages.isInput(path) else { return false }
                if !path.hasSuffix(".swift") { names.append(path) }
                return true
            }
            key.add(folder.string, digest)
            // A header that takes another's place: SwiftPM would keep the old object.
            state.add(folder.string, names.joined(separator: "\n"))
            inputs.append(folder)
        }
        // A foreign package, or one with the text of a foreign patch, may have left files in the folder that affect the
        // next build.
        if rules(for: code) != nil { state.add("key", key.key.digest) }
        return BundleRecipe(
            package: package, key: key.key, artifact: tools.store.lookup(recorded: key.key), packages: packages,
            inputs: inputs, state: state.digest, scratch: scratch, runner: runner,
            build: Command("swift-build", (jobs.map { ["--jobs", "\($0)"] } ?? []) + arguments),
            binPath: Command("swift-build", ["--show-bin-path"] + arguments.dropFirst()))
    }

    func bundle(_ artifact: Artifact, isHit: Bool) throws -> GuestBundle {
        let tests = try readText(artifact.path("tests.list")).textLines().map(String.init)
        let xctests = try readText(artifact.path("xctests.list")).textLines().map(String.init)
        guard !tests.isEmpty || !xctests.isEmpty else {
            throw Failure(
                .infrastructure, "the test bundle has no Swift Testing test", nextStep: "write a @Test function")
        }
        return GuestBundle(
            executable: artifact.path("tests.xctest"), tests: tests, xctests: xctests, key: artifact.key, isHit: isHit)
    }

    private func environment(for code: Code, manifestsOf roots: [FilePath]) throws -> ToolEnvironment {
        environment(
            for: code, namedIn: try roots.flatMap { try SwiftPackages.manifests(in: $0).map { try readText($0) } })
    }

    /// The package and the packages that it depends on by path. SwiftPM takes 0.3 s to describe each, so the answers
    /// are kept; they are valid while the manifests, the names of the folders beside them and the environment stay the
    /// same.
    private func packages(_ code: Code, scratch: FilePath) async throws -> SwiftPackages {
        let package = code.path
        let memo = FilePath("\(scratch).packages")
        if let bytes = try? readBytes(memo),
            let known = try? JSONDecoder().decode(SwiftPackages.self, from: Data(bytes)),
            (try? environment(for: code, manifestsOf: known.roots).recorded) == known.environment,
            known.packages.allSatisfy({
                (try? SwiftPackages.state(of: FilePath($0.root), tools.statCache)) == $0.state
            })
        {
            return known
        }
        var found: [SwiftPackages.Package] = []
        var pending = [package]
        while let root = pending.popLast() {
            guard !found.contains(where: { $0.root == root.string }) else { continue }
            guard fileExists(root.appending("Package.swift")) else {
                throw Failure(.build, "\(package) depends on \(root), where there is no Package.swift")
            }
            let state = try SwiftPackages.state(of: root, tools.statCache)
            let environment = try environment(for: code, manifestsOf: [root])
            let output = try await runner(for: code, writing: scratch, reading: [root], environment).output(
                of: Command(
                    "swift-package",
                    [
                        "--package-path", root.string, "--scratch-path", scratch.appending("describe").string,
                        "describe",
                        "--type", "json",
                    ]), failingWith: .build)
            let description = try SwiftPackages.Description(parsing: output)
            found.append(.init(root: root.string, description: description, state: state))
            pending += description.dependencies.compactMap(\.path).map { FilePath($0) }
        }
        let packages = SwiftPackages(
            packages: found,
            environment: try environment(for: code, manifestsOf: found.map { FilePath($0.root) }).recorded)
        try createFolder(memo.removingLastComponent())
        try writeAtomically(try JSONEncoder().encode(packages), to: memo)
        return packages
    }

    // MARK: C

    /// Compiles a C file into a static program.
    ///
    /// - Parameter is32Bit: Whether the program is one for i386.
    /// - Throws: `Failure`: `build` when it does not compile, with the compiler's messages; `infrastructure` when this
    ///   machine has no libraries for 32-bit programs.
    func program(_ recipe: Recipe, is32Bit: Bool) async throws -> FilePath {
        do {
            return try await make(recipe)
        } catch let failure as Failure where is32Bit && failure.code == .build {
            try await checkFor32BitLibraries()
            throw failure
        }
    }

    /// Computes how a C file is compiled.
    func programRecipe(source: FilePath, is32Bit: Bool, numbers: NumbersModule) throws -> Recipe {
        let header = numbers.folder.appending(SyscallHeader.fileName)
        let home = source.removingLastComponent()
        let model = is32Bit ? "-m32" : "-m64"
        // Headers are beside the file.
        return try recipe(
            RecipeOutline(
                code: Code(path: source, includesNumbers: true), source: home, what: source.string, file: "program",
                dependencies: Self.gccDependencies, search: Self.search(model, in: home),
                readable: [home, numbers.folder], step: "program", version: 3),
            key: { key in
                key.add("source", try tools.statCache.digest(of: source))
                key.add("numbers", numbers.digest)
            }
        ) { folder in
            [
                Command(
                    "gcc",
                    [
                        model, "-std=gnu11", "-Wall", "-Wextra", "-O2", "-static", "-pthread",
                        "-I\(numbers.folder)", "-include", header.string, source.string,
                        "-o", folder.appending("program").string,
                    ] + Self.recording(in: folder), workingDirectory: home)
            ]
        }
    }

    /// The makefiles in which gcc, as and ld record the files that they read: headers; files that `.incbin` names;
    /// libraries.
    private static let gccDependencies = ["compiler.d", "assembler.d", "linker.d"]

    /// The options with which gcc writes them to `folder` (gcc(1) -MD; as(1) --MD; ld(1) --dependency-file, of binutils
    /// 2.35).
    private static func recording(in folder: FilePath) -> [String] {
        let paths = gccDependencies.map { folder.appending($0).string }
        return ["-MD", "-MF", paths[0], "-Wa,--MD,\(paths[1])", "-Wl,--dependency-file=\(paths[2])"]
    }

    /// The command with which gcc prints the folders that it searches for headers.
    private static func search(_ model: String, in folder: FilePath) -> Command {
        Command(
            "gcc", [model, "-E", "-v", "-x", "c", "/dev/null", "-o", "/dev/null"], environment: ["LC_ALL": "C"],
            workingDirectory: folder)
    }

    /// Without 32-bit libraries the compiler's error looks like the program's own error, so kbuild compiles the
    /// smallest of all programs.
    private func checkFor32BitLibraries() async throws {
        let folder = tools.layout.temporary.appending("probe-\(ProcessInfo.processInfo.processIdentifier)")
        try createFolder(folder)
        defer { try? removeAll(folder) }
        let source = folder.appending("probe.c")
        try writeAtomically("#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }\n", to: source)
        let result = try await tools.runner.capture(
            Command("gcc", ["-m32", "-static", source.string, "-o", folder.appending("probe").string]))
        guard result.status.isSuccess else {
            throw Failure(
                .infrastructure, "gcc cannot make 32-bit programs here", details: result.errors,
                nextStep: "apt-get install gcc-multilib")
        }
    }

    // MARK: init

    /// Computes how PID 1 is compiled: Embedded Swift, linked statically, so that it needs nothing from the root file
    /// system.
    ///
    /// - Throws: `Failure` (`usage`) when there are no sources.
    func initRecipe(sources: FilePath) async throws -> Recipe {
        guard isFolder(sources) else {
            throw Failure(.usage, "the init's sources are not at \(sources)")
        }
        let names = try namesInFolder(sources).filter { $0.hasSuffix(".swift") }
        func commands(_ tables: FilePath?) -> @Sendable (FilePath) -> [Command] {
            { folder in
                let object = folder.appending("init.o").string
                let program = folder.appending("init").string
                let header = sources.pushing("CInit/CInit.h").string
                return [
                    Command(
                        "swiftc",
                        [
                            "-parse-as-library", "-enable-experimental-feature", "Embedded", "-swift-version", "6",
                            "-wmo", "-Osize", "-module-name", "Init", "-I", sources.appending("CInit").string,
                        ] + names.map { sources.appending($0).string } + ["-emit-dependencies", "-c", "-o", object],
                        workingDirectory: sources),
                    // swiftc does not record the system's headers.
                    Command(
                        "gcc", ["-M", header, "-MF", folder.appending("header.d").string], workingDirectory: sources),
                    Command(
                        "gcc",
                        ["-static", "-Wl,--gc-sections", "-s", object] + (tables.map { [$0.string] } ?? [])
                            + [
                                "-lm", "-o", program,
                                "-Wl,--dependency-file=\(folder.appending("linker.d"))",
                            ], workingDirectory: sources),
                ]
            }
        }
        var recipe = try recipe(
            RecipeOutline(
                code: Code(path: sources, includesNumbers: false), source: sources, what: "init", file: "init",
                intermediates: ["init.o"], dependencies: ["Init.d", "header.d", "linker.d"],
                search: Self.search("-m64", in: sources), step: "init", version: 2),
            key: { key in
                key.add("swiftc", try tools.digest(ofTool: "swiftc"))
                key.add("sources", try tools.statCache.digest(ofTree: sources, including: SwiftPackages.isInput))
            }, commands: commands(nil))
        // An init that exists needs no answer from the compiler. The place of the tables follows from the compiler's
        // digest.
        if !recipe.isMade {
            recipe.commands = commands(try await embeddedRuntime().appending("libswiftUnicodeDataTables.a"))
        }
        return recipe
    }

    // MARK: The snapshot harness

    /// Computes how to compile the library that holds a Swift Testing bundle before its first test.
    func harnessRecipe(sources: FilePath) throws -> Recipe {
        try recipe(
            RecipeOutline(
                code: Code(path: sources, includesNumbers: false), source: sources,
                what: "the snapshot harness", file: GuestShare.harnessName, intermediates: ["start.o"],
                dependencies: ["start.d", "Harness.d"], search: Self.search("-m64", in: sources),
                step: "snapshot-harness",
                version: 2),
            key: { key in
                key.add("swiftc", try tools.digest(ofTool: "swiftc"))
                key.add("sources", try tools.statCache.digest(ofTree: sources, including: SwiftPackages.isInput))
            }
        ) { folder in
            let object = folder.appending("start.o").string
            return [
                Command(
                    "gcc",
                    [
                        "-std=gnu11", "-Wall", "-Wextra", "-O2", "-fPIC", "-c", sources.appending("start.c").string,
                        "-o", object, "-MD", "-MF", folder.appending("start.d").string,
                    ], workingDirectory: sources),
                Command(
                    "swiftc",
                    [
                        // Without -wmo the driver writes a library's dependency file to a temporary folder.
                        "-parse-as-library", "-swift-version", "6", "-wmo", "-O", "-emit-library", "-module-name",
                        "Harness",
                        sources.appending("Harness.swift").string, object, "-emit-dependencies", "-o",
                        folder.appending("snapshot-harness.so").string,
                    ], workingDirectory: sources),
            ]
        }
    }

    /// The folder of the toolchain's libraries of Embedded Swift for this processor.
    private func embeddedRuntime() async throws -> FilePath {
        struct TargetInfo: Decodable {
            struct Paths: Decodable { var runtimeResourcePath: String }
            struct Target: Decodable { var unversionedTriple: String }
            var paths: Paths
            var target: Target
        }
        let json = try await SwiftToolchain(store: tools.store, runner: tools.runner).targetInfo()
        guard let info = try? JSONDecoder().decode(TargetInfo.self, from: Data(json.utf8)) else {
            throw Failure(.infrastructure, "swiftc -print-target-info cannot be read", details: json)
        }
        return FilePath(info.paths.runtimeResourcePath).appending("embedded").appending(info.target.unversionedTriple)
    }

    private func compile(_ command: Command, what: String, by runner: CommandRunner) async throws {
        let result = try await runner.capture(command)
        guard result.status.isSuccess else {
            let words = (result.output + result.errors).textLines(keepsEmpty: true)
            let first = words.firstIndex { $0.contains("error:") } ?? 0
            throw Failure(
                .build, "\(what) did not compile (\(result.status))",
                details: words[first...].prefix(60).joined(separator: "\n"),
                nextStep: "correct it, or run the command that `-v` shows")
        }
    }
}
