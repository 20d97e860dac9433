// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import KernelMake
import KernelSource
import PatchedTree
import Patching
import Processes
import Project
import ResultsModel
import SystemPackage

/// The kernel's own selftests: collections of programs in its tree, built with its headers.
///
/// They come from the kernel's source without the patches, unless the project file says `tests-from: patched`: a patch
/// must not change the tests that judge it.
struct Kselftests: Sendable {
    let steps: KernelSteps
    let patched: PatchedKernelArtifact

    /// A collection that is built.
    struct Collection: Sendable {
        /// Its folder in tools/testing/selftests.
        var name: String
        /// The folder of its files, and of those that its scripts read beside it, as in tools/testing/selftests.
        var folder: FilePath
        /// The names of its programs that are compiled.
        var programs: [String]
        /// The names of those that are scripts.
        var scripts: [String]

        /// What a guest runs of a collection.
        struct Choice: Equatable {
            var programs: [String]
            /// The scripts that it cannot run.
            var omitted: [String] = []
        }

        /// The selected programs, and scripts where there is a distribution, on whose bash and other programs scripts
        /// rely.
        ///
        /// - Throws: `Failure` (`usage`) when only scripts are selected and there is no distribution: without a test
        ///   of the collection, the verdict of the other tests would count for it.
        func runnable(
            hasDistribution: Bool, where isSelected: (String) -> Bool
        ) throws(Failure) -> Choice {
            let selected = (programs: programs.filter(isSelected), scripts: scripts.filter(isSelected))
            if hasDistribution { return Choice(programs: selected.programs + selected.scripts) }
            guard selected.scripts.isEmpty || !selected.programs.isEmpty else {
                throw Failure(.usage, omission(of: selected.scripts), nextStep: "add --rootfs host or --rootfs debian")
            }
            return Choice(programs: selected.programs, omitted: selected.scripts)
        }

        /// "kselftest:mount: 2 scripts left out (a.sh, b.sh), because scripts need a distribution".
        func omission(of scripts: [String]) -> String {
            let names = scripts.prefix(5).joined(separator: ", ")
            let more = scripts.count > 5 ? " and \(scripts.count - 5) more" : ""
            let what = pluralized(scripts.count, "script")
            return
                "\(Kselftests.prefix)\(name): \(what) left out (\(names)\(more)), because scripts need a distribution"
        }

        /// A program's name in reports.
        func name(of program: String) -> String { "\(Kselftests.prefix)\(name)/\(program)" }
    }

    /// The prefix that distinguishes a collection from a pattern on the command line, and begins the names of its
    /// programs.
    static let prefix = "kselftest:"
    /// Common names of collections that differ from their folders.
    fileprivate static let folders = ["close_range": "core"]

    /// The collection that the command line's pattern names; nil for another pattern.
    static func collection(namedBy filter: String) -> String? {
        guard filter.hasPrefix(prefix) else { return nil }
        let name = String(filter.dropFirst(prefix.count))
        return KernelTestName.isCollection(name) ? name : nil
    }

    /// Coreutils' library that makes a program write each line at once, as the kernel's own runner of selftests uses
    /// it: otherwise the children of a program that forks between its results would repeat the buffered lines. Nil if
    /// this machine does not have it.
    static let lineBuffer: FilePath? = ["/usr/libexec/coreutils/libstdbuf.so", "/usr/lib/coreutils/libstdbuf.so"]
        .map { FilePath($0) }.first(where: fileExists)

    /// The environment that loads it into a program; a program with the address sanitizer would refuse a library before
    /// the sanitizer's own.
    static func environment(programs folder: String) -> [String] {
        guard let name = lineBuffer?.lastComponent?.string else { return [] }
        return ["LD_PRELOAD=\(folder)/\(name)", "_STDBUF_O=L", "ASAN_OPTIONS=verify_asan_link_order=0"]
    }

    /// The command that runs a script as the kernel's own runner does: in its folder, by the interpreter that its first
    /// line names, or by sh when it is not executable.
    static func command(ofScript path: String) -> [String] {
        ["/bin/sh", "-c", "cd \"${0%/*}\" && if [ -x \"$0\" ]; then exec \"$0\"; else exec sh \"$0\"; fi", path]
    }

    private var tools: ToolContext { steps.context.tools }
    private static let folder: FilePath = "tools/testing/selftests"
    private var isPatched: Bool { steps.context.project.testsFrom == .patched }
    /// The tree whose selftests are built.
    private var tree: FilePath { isPatched ? steps.tree(patched.pristine) : patched.pristine.folder }
    private var selftests: FilePath { tree.pushing(Self.folder) }

    /// Builds a collection, unless the store has it.
    ///
    /// - Throws: `Failure`: `usage` when the kernel does not have the collection; `build` when it does not compile.
    func build(_ recipe: Recipe, _ progress: ProgressSink) async throws -> Collection {
        let name = recipe.name
        if let artifact = recipe.artifact { return try collection(name, artifact) }
        // All collections share one output folder.
        let lock = "kselftest-" + Digest.of(output.string).short
        return try await FileLock.withLock(lock, in: tools.layout, progress: progress) {
            let published = try await tools.store.publish(key: { try self.recipe(name).key }) { folder in
                let names = try await compile(recipe, to: folder)
                try writeAtomically(names.map { $0 + "\n" }.joined(), to: folder.appending(Self.list))
                // All projects share the cache's copy of the source; a makefile that writes to it fails the build.
                if !isPatched { try patched.pristine.verify() }
            }
            return try collection(name, published)
        }
    }

    private static let step = "kselftest"

    /// How a collection is made, and whether it exists.
    struct Recipe: Sendable {
        /// Its folder in tools/testing/selftests.
        var name: String
        /// Where that folder is.
        var source: FilePath
        var key: ArtifactKey
        var artifact: Artifact?
    }

    /// Computes a collection's inputs, and whether it exists.
    ///
    /// - Throws: `Failure` (`usage`) when the kernel does not have the collection.
    func recipe(_ requested: String) throws -> Recipe {
        let name = Self.folders[requested] ?? requested
        let source = selftests.pushing(FilePath(name))
        // Patches change selftests, and hardly ever add or remove a collection; before the tree is made, its source
        // decides.
        let place = fileExists(selftests) ? selftests : patched.pristine.folder.pushing(Self.folder)
        guard fileExists(place.pushing(FilePath(name)).appending("Makefile")) else {
            let names = ((try? namesInFolder(place)) ?? []).filter {
                fileExists(place.appending($0).appending("Makefile"))
            }
            let makefile = Self.folder.pushing(FilePath(name)).appending("Makefile").string
            if !isPatched, case .file? = patched.overlay.files[makefile] {
                throw Failure(
                    .usage,
                    "the selftests \(requested) come with the patches, and selftests are built from the kernel's "
                        + "source without them",
                    nextStep: "write `tests-from: patched` in \(steps.context.project.file) to run them")
            }
            let near = guess(for: name, among: names)
            throw Failure(
                .usage, "Linux \(patched.pristine.version) has no selftests \(requested)\(near)",
                details: names.joined(separator: " "), nextStep: "name a folder of tools/testing/selftests")
        }
        var key = KeyBuilder(step: Self.step, version: 3, trust: steps.context.trust(under: steps.rules))
        key.add("collection", name)
        key.add("source", patched.pristine.identity)
        // `make headers` runs makefiles and scripts anywhere in the tree.
        key.add("overlay", isPatched ? patched.overlay.digest.hex : "none")
        for tool in KernelSteps.keyedTools { key.add(tool, try tools.digest(ofOptionalTool: tool)) }
        return Recipe(name: name, source: source, key: key.key, artifact: tools.store.lookup(key.key))
    }

    /// The file that lists an artifact's programs: `program NAME` or `script NAME`, a line each.
    private static let list = ".programs"
    private static let (programWord, scriptWord) = ("program ", "script ")

    func collection(_ name: String, _ artifact: Artifact) throws -> Collection {
        let lines = try readText(artifact.path(Self.list)).textLines()
        func names(after word: String) -> [String] {
            lines.filter { $0.hasPrefix(word) }.map { String($0.dropFirst(word.count)) }
        }
        return Collection(
            name: name, folder: artifact.folder, programs: names(after: Self.programWord),
            scripts: names(after: Self.scriptWord))
    }

    /// The selected programs of a collection that the guest can run.
    ///
    /// - Throws: `Failure` (`usage`) when the guest can run none of them.
    func runnable(_ collection: Collection, where isSelected: (String) -> Bool) throws(Failure) -> [String] {
        let root = steps.context.project.rootfsType
        let choice = try collection.runnable(hasDistribution: root.hasDistribution, where: isSelected)
        if !choice.omitted.isEmpty {
            tools.progress(.note("\(collection.omission(of: choice.omitted)): --rootfs host or --rootfs debian"))
        }
        return choice.programs
    }

    /// make's output folder. A confined build has its own.
    private var output: FilePath {
        steps.folder(for: patched.pristine).appending(steps.rules == nil ? "kselftest" : "kselftest-confined")
    }

    /// Makes headers and programs, and puts the programs, the scripts and what they read into `folder`.
    ///
    /// - Returns: The lines of the list.
    private func compile(_ recipe: Recipe, to folder: FilePath) async throws -> [String] {
        let name = recipe.name
        let build = try await makeBuild(of: recipe)
        let (runner, built) = (build.runner, build.programs)
        try removeAll(build.output)
        try createFolder(build.output)
        defer { try? removeAll(build.output) }
        for task in build.commands { try await run(task.command, what: task.what, by: runner) }
        let output = try await runner.output(of: build.listing, failingWith: .build)
        // "COLLECTION:PROGRAM", one on each line.
        let names = output.textLines().filter { $0.hasPrefix("\(name):") }
            .map { String($0.dropFirst(name.count + 1)) }.filter { !$0.contains("/") }
        let programs = names.filter { fileExists(built.appending($0)) }
        let scripts = names.filter { !programs.contains($0) && fileExists(recipe.source.appending($0)) }
        guard !programs.isEmpty || !scripts.isEmpty else {
            throw Failure(
                .infrastructure, "the selftests \(name) have neither a compiled program nor a script",
                details: names.joined(separator: "\n"), nextStep: "choose another collection")
        }
        let files = try await runner.output(of: build.files, failingWith: .build)
        let needs = SelftestFiles(listing: files, collection: name, source: recipe.source, selftests: selftests)
        let installed = build.output.appending("installed")
        for copy in needs.copies(
            programs: programs.map { built.appending($0) } + scripts.map { recipe.source.appending($0) }, to: installed)
        {
            try createFolder(copy.target)
            // The commands that built the files read them, so that a link leads no further than the build could.
            try await run(copy.command, what: "the files of the selftests \(name)", by: runner)
        }
        try Self.copyTree(installed, to: folder)
        return programs.map { Self.programWord + $0 } + scripts.map { Self.scriptWord + $0 }
    }

    /// Copies the regular files of a folder and of those in it.
    private static func copyTree(_ source: FilePath, to target: FilePath, depth: Int = 0) throws {
        guard depth < 16 else { return }
        try createFolder(target)
        for name in try namesInFolder(source) {
            let file = source.appending(name)
            guard let status = FileStatus(file) else { continue }
            if status.isFolder {
                try copyTree(file, to: target.appending(name), depth: depth + 1)
            } else if status.isRegular {
                try copyFile(file, to: target.appending(name))
            }
        }
    }

    /// How a collection is built.
    struct Build: Sendable {
        /// A command, and the name of its result.
        struct Task: Sendable {
            var command: Command
            var what: String
        }

        var runner: CommandRunner
        /// make's output folder.
        var output: FilePath
        /// The folder of the built programs.
        var programs: FilePath
        /// The commands in order.
        var commands: [Task]
        /// Prints the names of the programs.
        var listing: Command
        /// Prints the names of the files that the programs need.
        var files: Command
    }

    func makeBuild(of recipe: Recipe) async throws -> Build {
        let (name, source) = (recipe.name, recipe.source)
        var make = steps.make(patched)
        // KCSAN watches only the kernel.
        make.variables = []
        // User-mode Linux's programs are the host's, and the selftests' headers are x86's.
        make.architecture = .x86_64
        // Each build begins with an empty folder, so no earlier build can have left files there: headers take seconds.
        make.output = output
        make.tree = tree
        let tooling = try await steps.tooling(make)
        let (runner, environment) = (tooling.runner, tooling.environment)
        let built = make.output.appending("programs")
        var collection = make
        collection.tree = source
        let settings = ["OUTPUT=\(built)", "KHDR_INCLUDES=-isystem \(make.output.pushing("usr/include"))"]
        var listing = collection.command(settings + ["emit_tests", "COLLECTION=\(name)"], environment: environment)
        listing.arguments.append("--silent")
        var files = collection.command(settings + [SelftestFiles.goal], environment: environment)
        files.arguments += ["--silent", "--eval", SelftestFiles.rule]
        return Build(
            runner: runner, output: make.output, programs: built,
            commands: [
                .init(command: make.command(["headers"], environment: environment), what: "the kernel's headers"),
                .init(command: Command("mkdir", ["-p", built.string]), what: "the folder of selftests"),
                .init(
                    command: collection.command(settings + ["all"], environment: environment),
                    what: "the selftests \(name)"),
            ], listing: listing, files: files)
    }

    private func run(_ command: Command, what: String, by runner: CommandRunner) async throws {
        let result = try await runner.capture(command)
        guard result.status.isSuccess else {
            let lines = (result.output + result.errors).textLines()
            let first = lines.firstIndex { $0.contains("error:") } ?? max(0, lines.count - 20)
            throw Failure(
                .build, "\(what) did not compile (\(result.status))",
                details: lines[first...].prefix(40).joined(separator: "\n"),
                nextStep: lines.contains { $0.contains("-lcap") || $0.contains("sys/capability.h") }
                    ? "apt-get install libcap-dev" : "run the command that `-v` shows")
        }
    }

    /// Names the options that a collection needs and the kernel does not have: without them its tests may skip or fail.
    func hint(_ requested: String, config: FilePath) throws {
        let name = Self.folders[requested] ?? requested
        guard let text = try? readText(selftests.pushing(FilePath(name)).appending("config")) else { return }
        let missing = Self.missingOptions(wanted: text, in: try readText(config))
        guard !missing.isEmpty else { return }
        tools.progress(
            .note(
                "\(Self.prefix)\(name) needs options that this kernel lacks: \(missing.joined(separator: " ")); "
                    + "--add-config adds them"))
    }

    /// The lines of a selftest's fragment that a configuration does not satisfy; an option that may be a module may be
    /// built in.
    static func missingOptions(wanted: String, in config: String) -> [String] {
        let given = Set(config.textLines().map(String.init))
        return wanted.textLines().map(String.init).filter { line in
            guard line.hasPrefix("CONFIG_") else { return false }
            let builtIn = line.hasSuffix("=m") ? String(line.dropLast()) + "y" : line
            return !given.contains(line) && !given.contains(builtIn)
        }
    }
}

extension Project {
    /// Adds the options that the project's tests need to the kernel's configuration: those of each collection of
    /// selftests, and for programs of LTP, which name none, those that suites expect. An option that the kernel does
    /// not have is omitted with a note.
    public func addingTestOptions() -> Project {
        var project = self
        for test in tests {
            let fragment: Fragment
            switch test {
            case .kselftest(let collection, _): fragment = .kselftest(Kselftests.folders[collection] ?? collection)
            case .program(let program) where program.resultsProtocol == .ltp: fragment = .suites
            case .program, .swift, .kunit: continue
            }
            if !project.kernel.config.contains(fragment) { project.kernel.config.append(fragment) }
            if !project.kernel.umlConfig.contains(fragment) { project.kernel.umlConfig.append(fragment) }
        }
        return project
    }

    /// For a filter such as `kselftest:openat2`, the project with only this collection of selftests; for `kunit` or
    /// `kunit:list*`, the project with only these suites in the kernel; both regardless of the project file, and
    /// without a filter. For any other filter, the project and the filter unchanged.
    public func selecting(_ filter: String?) -> ProjectSelection {
        if let pattern = filter.flatMap(KUnitTests.pattern) {
            return ProjectSelection(project: replacingTests(by: .kunit(pattern: pattern, timeout: nil)))
        }
        guard let filter, let name = Kselftests.collection(namedBy: filter) else {
            return ProjectSelection(project: self, filter: filter)
        }
        let own = keepingTests { test in
            if case .kselftest(name, _) = test { true } else { false }
        }
        return ProjectSelection(
            project: own.tests.isEmpty ? replacingTests(by: .kselftest(collection: name, timeout: nil)) : own)
    }
}

/// A project, and which of its tests run.
public struct ProjectSelection: Sendable, Equatable {
    /// The project.
    public var project: Project
    /// The pattern for its tests; nil for all.
    public var filter: String?
}
