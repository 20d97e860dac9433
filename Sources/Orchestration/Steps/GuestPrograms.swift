import Artifacts
import Commands
import Diagnostics
import Foundation
import KernelTree
import RootFilesystem
import SystemPackage

/// A Swift Testing bundle, built and listed.
struct GuestBundle: Sendable {
    /// The executable.
    var executable: FilePath
    /// Its tests, as `--list-tests` names them.
    var tests: [String]
    /// The key of its artifact.
    var key: Digest
    /// Whether it was there already.
    var isHit: Bool
}

/// Builds what runs in the guest: Swift Testing bundles, C programs and init.
struct GuestProgramBuilder: Sendable {
    let tools: Toolbox
    /// The project's folder, which all of its builds may read.
    let project: FilePath
    /// The folder of the project's own build folders in the cache.
    let projectCache: FilePath
    /// How builds are confined; nil when they are not.
    let rules: Confinement.Rules?

    /// What runs the build of code at `source`, which writes to `folder` alone.
    private func runner(for source: FilePath, writing folder: FilePath, reading others: [FilePath] = [])
        -> CommandRunner
    {
        guard let rules = rules?.covering(source) else { return tools.runner }
        let readable = [project, source] + others + tools.installations(of: ["gcc", "swiftc"])
        return tools.runner.confined(by: rules.build(readable: readable, writable: [folder]))
    }

    /// The files of a package that its build does not read.
    private static func isSource(_ path: String) -> Bool {
        let first = path.split(separator: "/").first ?? ""
        return !first.hasPrefix(".") && first != "Package.resolved"
    }

    // MARK: Recipes

    /// How one file is made by commands, and whether it was: known before any of them runs.
    struct Recipe: Sendable {
        /// Where it is filed in the store.
        var step: String
        var key: Digest
        var artifact: Artifact?
        /// The file that counts.
        var file: String
        /// One that is removed at the end.
        var intermediate: String?
        /// What it is, for messages.
        var what: String
        /// What runs the commands, which write to a folder.
        var runner: @Sendable (FilePath) -> CommandRunner
        /// The commands, for a folder.
        var commands: @Sendable (FilePath) -> [Command]

        var isMade: Bool { artifact != nil }
    }

    private func recipe(
        _ step: String, _ key: Digest, file: String, intermediate: String? = nil, what: String, source: FilePath,
        reading others: [FilePath] = [], commands: @escaping @Sendable (FilePath) -> [Command]
    ) -> Recipe {
        Recipe(
            step: step, key: key, artifact: tools.store.lookup(step: step, key: key), file: file,
            intermediate: intermediate, what: what,
            runner: { runner(for: source, writing: $0, reading: others) }, commands: commands)
    }

    /// The file of a recipe, made unless it is there.
    ///
    /// - Throws: `Failure` (`build`) when it does not compile, with the compiler's words.
    private func make(_ recipe: Recipe) async throws -> FilePath {
        if let artifact = recipe.artifact { return artifact.path(recipe.file) }
        let artifact = try await tools.store.publish(step: recipe.step, key: recipe.key) { folder in
            let runner = recipe.runner(folder)
            for command in recipe.commands(folder) { try await compile(command, what: recipe.what, by: runner) }
            if let intermediate = recipe.intermediate { try removeAll(folder.appending(intermediate)) }
            try runner.sandbox?.takeBack(folder)
        }
        return artifact.path(recipe.file)
    }

    // MARK: Swift Testing

    /// Builds the test bundle of the SwiftPM package in `package`.
    ///
    /// - Parameter numbers: The generated module SyscallNumbers.
    /// - Throws: `Failure` (`build`) when it does not compile, with the compiler's words, or has no test.
    func bundle(package: FilePath, numbers: NumbersModule) async throws -> GuestBundle {
        let recipe = try await bundleRecipe(package: package, numbers: numbers)
        if let artifact = recipe.artifact { return try bundle(artifact, isHit: true) }
        try createFolder(recipe.scratch)
        let runner = recipe.runner
        try await compile(recipe.build, what: "the tests in \(package)", by: runner)
        let bin = try await runner.output(of: recipe.binPath, failingWith: .infrastructure)
        let bundles = try namesInFolder(FilePath(bin)).filter { $0.hasSuffix(".xctest") }
        guard let name = bundles.first else {
            throw Failure(
                .infrastructure, "\(package) has no tests: its build made no .xctest bundle",
                nextStep: "add a test target to its Package.swift")
        }
        let executable = FilePath(bin).appending(name)
        let list = try await runner.output(of: Command(executable.string, BundleRecipe.listArguments))
        let artifact = try await tools.store.publish(step: "bundle", key: recipe.key) { folder in
            try copyFile(executable, to: folder.appending("tests.xctest"))
            try writeAtomically(list, to: folder.appending("tests.list"))
        }
        return try bundle(artifact, isHit: false)
    }

    /// How a test bundle is built, and whether it was.
    struct BundleRecipe: Sendable {
        var key: Digest
        var artifact: Artifact?
        var scratch: FilePath
        var runner: CommandRunner
        var build: Command
        /// Tells where SwiftPM put the bundle.
        var binPath: Command

        /// What has the bundle list its tests.
        static let listArguments = ["--testing-library", "swift-testing", "--list-tests"]
        /// The same as a person reads it.
        static let listing = listArguments.joined(separator: " ")
    }

    /// Works out how the bundle in `package` is built.
    ///
    /// - Throws: `Failure` (`usage`) when it is no package.
    func bundleRecipe(package: FilePath, numbers: NumbersModule) async throws -> BundleRecipe {
        guard fileExists(package.appending("Package.swift")) else {
            throw Failure(
                .usage, "\(package) is not a Swift package: it has no Package.swift",
                nextStep: "point tests: swift: at the folder of a package with Swift Testing tests")
        }
        // A confined build's leavings run again in the next build in the same folder, so it has one of its own.
        let kind = rules?.covering(package) == nil ? "swift" : "swift-confined"
        let scratch = projectCache.appending("\(kind)-" + Digest.of(package.string).short)
        let runner = runner(for: package, writing: scratch, reading: [numbers.folder])
        let roots = try await dependencyRoots(of: package, scratch: scratch)
        var key = KeyBuilder(step: "bundle", version: 1)
        key.add("swift", try tools.digest(ofTool: "swift-build"))
        key.add("numbers", numbers.digest)
        key.add("package", try tools.statCache.digest(ofFolder: package, including: Self.isSource))
        for root in roots {
            key.add("dependency", try tools.statCache.digest(of: root.appending("Package.swift")))
            key.add(
                "sources", try tools.statCache.digest(ofFolder: root.appending("Sources"), including: Self.isSource))
        }
        // The module is found by a path that its contents name, so another kernel's numbers are never mixed in.
        let arguments = [
            "--build-tests", "--package-path", package.string, "--scratch-path", scratch.string,
            "-Xswiftc", "-I\(numbers.folder)", "-Xcc", "-I\(numbers.folder)",
        ]
        return BundleRecipe(
            key: key.key, artifact: tools.store.lookup(step: "bundle", key: key.key), scratch: scratch, runner: runner,
            build: Command("swift-build", arguments),
            binPath: Command("swift-build", ["--show-bin-path"] + arguments.dropFirst()))
    }

    func bundle(_ artifact: Artifact, isHit: Bool) throws -> GuestBundle {
        let tests = try readText(artifact.path("tests.list")).split(separator: "\n").map(String.init)
        guard !tests.isEmpty else {
            throw Failure(
                .infrastructure, "the test bundle has no Swift Testing test", nextStep: "write a @Test function")
        }
        return GuestBundle(executable: artifact.path("tests.xctest"), tests: tests, key: artifact.key, isHit: isHit)
    }

    /// The folders of the packages that `package` depends on by path. Asking SwiftPM takes seconds, so the answer is
    /// kept; it holds as long as no manifest changes, and the manifests' digests are part of its name.
    private func dependencyRoots(of package: FilePath, scratch: FilePath) async throws -> [FilePath] {
        let manifest = try tools.statCache.digest(of: package.appending("Package.swift"))
        let memo = scratch.appending("local-dependencies-\(manifest.short)")
        if let text = try? readText(memo) {
            let roots = text.split(separator: "\n").map { FilePath(String($0)) }
            if roots.allSatisfy({ fileExists($0.appending("Package.swift")) }) { return roots }
        }
        struct Dependency: Decodable {
            var path: String
            var dependencies: [Dependency]
            var all: [String] { dependencies.flatMap { [$0.path] + $0.all } }
        }
        let json = try await runner(for: package, writing: scratch).output(
            of: Command(
                "swift-package",
                [
                    "--package-path", package.string, "--scratch-path", scratch.string, "show-dependencies",
                    "--format", "json",
                ]))
        // Notes may precede the JSON.
        guard let start = json.firstIndex(of: "{"),
            let tree = try? JSONDecoder().decode(Dependency.self, from: Data(json[start...].utf8))
        else { throw Failure(.infrastructure, "SwiftPM's list of dependencies cannot be read", details: json) }
        // Packages that SwiftPM checked out itself do not change under their version.
        let roots = Set(tree.all).filter { !$0.hasPrefix(scratch.string) }.sorted()
        try createFolder(scratch)
        try writeAtomically(roots.joined(separator: "\n"), to: memo)
        return roots.map { FilePath($0) }
    }

    // MARK: C

    /// Compiles a C file into a static program.
    ///
    /// - Parameter is32Bit: Whether the program is one for i386.
    /// - Throws: `Failure`: `build` when it does not compile, with the compiler's words; `infrastructure` when this
    ///   machine has no libraries to make 32-bit programs with.
    func program(
        source: FilePath, is32Bit: Bool, numbers: NumbersModule
    ) async throws -> (executable: FilePath, isHit: Bool) {
        let recipe = try programRecipe(source: source, is32Bit: is32Bit, numbers: numbers)
        do {
            return (try await make(recipe), recipe.isMade)
        } catch let failure as Failure where is32Bit && failure.code == .build {
            try await checkFor32BitLibraries()
            throw failure
        }
    }

    /// Works out how a C file is compiled.
    func programRecipe(source: FilePath, is32Bit: Bool, numbers: NumbersModule) throws -> Recipe {
        var key = KeyBuilder(step: "program", version: 2)
        key.add("target", is32Bit ? "i386" : "x86-64")
        key.add("gcc", try tools.digest(ofTool: "gcc"))
        key.add("source", try tools.statCache.digest(of: source))
        // Headers beside the file are part of it.
        for name in try namesInFolder(source.removingLastComponent()) where name.hasSuffix(".h") {
            key.add(name, try tools.statCache.digest(of: source.removingLastComponent().appending(name)))
        }
        key.add("numbers", numbers.digest)
        let header = numbers.folder.appending(SyscallHeader.fileName)
        // Headers lie beside the file.
        return recipe(
            "program", key.key, file: "program", what: source.string, source: source.removingLastComponent(),
            reading: [numbers.folder]
        ) { folder in
            [
                Command(
                    "gcc",
                    [
                        is32Bit ? "-m32" : "-m64", "-std=gnu11", "-Wall", "-Wextra", "-O2", "-static", "-pthread",
                        "-I\(numbers.folder)", "-include", header.string, source.string,
                        "-o", folder.appending("program").string,
                    ])
            ]
        }
    }

    /// What an installation without 32-bit libraries says about a program looks like the program's own error, so the
    /// smallest of all programs is tried.
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

    /// Compiles PID 1: Embedded Swift, linked statically, so that it needs nothing of the root file system.
    ///
    /// - Throws: `Failure` (`build`) when it does not compile, with the compiler's words.
    func initProgram(sources: FilePath) async throws -> (executable: FilePath, isHit: Bool) {
        let recipe = try await initRecipe(sources: sources)
        return (try await make(recipe), recipe.isMade)
    }

    /// Works out how init is compiled.
    ///
    /// - Throws: `Failure` (`usage`) when there is none.
    func initRecipe(sources: FilePath) async throws -> Recipe {
        guard isFolder(sources) else {
            throw Failure(.usage, "the init's sources are not at \(sources)")
        }
        var key = KeyBuilder(step: "init", version: 1)
        key.add("swiftc", try tools.digest(ofTool: "swiftc"))
        key.add("gcc", try tools.digest(ofTool: "gcc"))
        key.add("sources", try tools.statCache.digest(ofFolder: sources))
        let names = try namesInFolder(sources).filter { $0.hasSuffix(".swift") }
        // One that is made needs no answer of the compiler's.
        let isMade = tools.store.lookup(step: "init", key: key.key) != nil
        let tables = isMade ? nil : try await embeddedRuntime().appending("libswiftUnicodeDataTables.a")
        return recipe("init", key.key, file: "init", intermediate: "init.o", what: "init", source: sources) { folder in
            let object = folder.appending("init.o").string
            let program = folder.appending("init").string
            return [
                Command(
                    "swiftc",
                    [
                        "-parse-as-library", "-enable-experimental-feature", "Embedded", "-swift-version", "6",
                        "-wmo", "-Osize", "-module-name", "Init", "-I", sources.appending("CInit").string,
                    ] + names.map { sources.appending($0).string } + ["-c", "-o", object]),
                Command(
                    "gcc",
                    ["-static", "-Wl,--gc-sections", "-s", object] + (tables.map { [$0.string] } ?? [])
                        + ["-lm", "-o", program]),
            ]
        }
    }

    // MARK: The holder

    /// Compiles the library that holds a Swift Testing bundle before its first test.
    ///
    /// - Throws: `Failure` (`build`) when it does not compile, with the compiler's words.
    func holder(sources: FilePath) async throws -> FilePath {
        try await make(try holderRecipe(sources: sources))
    }

    /// Works out how that library is compiled.
    func holderRecipe(sources: FilePath) throws -> Recipe {
        var key = KeyBuilder(step: "holder", version: 1)
        key.add("swiftc", try tools.digest(ofTool: "swiftc"))
        key.add("gcc", try tools.digest(ofTool: "gcc"))
        key.add("sources", try tools.statCache.digest(ofFolder: sources))
        return recipe(
            "holder", key.key, file: "holder.so", intermediate: "start.o", what: "the holder of test bundles",
            source: sources
        ) { folder in
            let object = folder.appending("start.o").string
            return [
                Command(
                    "gcc",
                    [
                        "-std=gnu11", "-Wall", "-Wextra", "-O2", "-fPIC", "-c", sources.appending("start.c").string,
                        "-o", object,
                    ]),
                Command(
                    "swiftc",
                    [
                        "-parse-as-library", "-swift-version", "6", "-O", "-emit-library", "-module-name", "Holder",
                        sources.appending("Holder.swift").string, object, "-o", folder.appending("holder.so").string,
                    ]),
            ]
        }
    }

    /// Where the toolchain keeps the libraries of Embedded Swift for this processor.
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
            let words = (result.output + result.errors).split(separator: "\n", omittingEmptySubsequences: false)
            let first = words.firstIndex { $0.contains("error:") } ?? 0
            throw Failure(
                .build, "\(what) did not compile (\(result.status))",
                details: words[first...].prefix(60).joined(separator: "\n"),
                nextStep: "mend it, or run the command that `-v` shows")
        }
    }
}
