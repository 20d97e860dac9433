// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelBuild
import KernelConfig
import KernelMake
import KernelSource
import PatchedTree
import Patching
import Processes
import Project
import SystemPackage

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder
import class Foundation.ProcessInfo

/// The paths of a kernel's tree and its outputs, and which outputs a build may continue.
extension KernelSteps {
    private var tools: ToolContext { context.tools }
    private var project: Project { context.project }

    /// The folder of this kernel source in the project's part of the cache: a tree and its outputs.
    func folder(for pristine: KernelSourceArtifact) -> FilePath {
        context.projectCache.appending("kernel-" + Digest.of(pristine.source.description).short)
    }
    func tree(_ pristine: KernelSourceArtifact) -> FilePath { folder(for: pristine).appending("tree") }

    /// The output folder of a configuration: each has its own, so that the first edit after a switch compiles only the
    /// files that the edit affects.
    ///
    /// A confined build has its own folder: files that a foreign makefile left in it run again in the next make there.
    func output(_ pristine: KernelSourceArtifact, _ request: ConfigRequest) -> FilePath {
        outputs(pristine).appending(outputName(request))
    }

    /// The folder of a tree's outputs.
    private func outputs(_ pristine: KernelSourceArtifact) -> FilePath {
        folder(for: pristine).appending(rules == nil ? CacheLayout.outputs : CacheLayout.confinedOutputs)
    }

    private func outputName(_ request: ConfigRequest) -> String {
        let compiler = ["gcc", "ld"].map { (try? tools.digest(ofOptionalTool: $0).hex) ?? "" }.joined(separator: " ")
        return Self.outputName(project, request, compiler: compiler)
    }

    /// The name of a configuration's output: in words, and with a digest of all properties in which outputs differ.
    static func outputName(_ project: Project, _ request: ConfigRequest, compiler: String) -> String {
        var key = ContentDigest(of: "output", version: 1)
        key.add("architecture", project.architecture.rawValue)
        key.add("base", request.base.name)
        key.add("request", request.text)
        key.add("compiler", compiler)
        // The request does not contain the instrumented objects: they are passed to make.
        if let coverage = project.coverage { key.add("coverage", coverage.files.joined(separator: "\n")) }
        let words =
            (project.kernel.hasDebugInfo ? ["debug"] : []) + project.checks.map(\.rawValue)
            + (project.coverage == nil ? [] : ["coverage"])
        for word in words { key.add("word", word) }
        return ([project.architecture.rawValue] + words + [key.digest.short]).joined(separator: "-")
    }

    func workTree(_ pristine: KernelSourceArtifact) -> WorkTree {
        WorkTree(tree: tree(pristine), pristine: pristine.folder)
    }

    /// All output of the last make.
    var buildLog: FilePath { context.buildLog }

    private func make(_ pristine: KernelSourceArtifact, _ request: ConfigRequest) -> KernelMake {
        KernelMake(
            tree: tree(pristine), output: output(pristine, request), architecture: project.architecture,
            jobs: context.jobs,
            usesCcache: (try? tools.runner.locate("ccache")) != nil)
    }

    /// How make is run for a patched tree.
    func make(_ patched: PatchedKernelArtifact) -> KernelMake {
        var make = make(patched.pristine, patched.request)
        make.variables = variables(patched.overlay)
        return make
    }

    /// make's additional variables.
    func variables(_ overlay: TreeOverlay) -> [String] {
        coverageVariables(overlay) + raceVariables(overlay)
    }

    /// KCSAN watches the files that the patches add, if they add any. It can watch these
    /// more closely then, and the rest of the kernel runs as without KCSAN.
    ///
    /// scripts/Makefile.lib concatenates the object's own variable and the variable for all, and checks whether the
    /// result begins with n; variables on the command line override the makefiles.
    private func raceVariables(_ overlay: TreeOverlay) -> [String] {
        guard project.checks.contains(.races) else { return [] }
        let objects = Self.watchedObjects(overlay)
        return objects.isEmpty ? [] : ["KCSAN_SANITIZE=n"] + objects.map { "KCSAN_SANITIZE_\($0)=y" }
    }

    /// The objects of the C files that the patches add.
    static func watchedObjects(_ overlay: TreeOverlay) -> [String] {
        objects(of: sourceFiles(overlay))
    }

    /// The C files that the patches add or change, by their paths in the kernel's tree.
    static func sourceFiles(_ overlay: TreeOverlay) -> [String] {
        overlay.files.filter { path, entry in
            guard case .file = entry else { return false }
            return path.hasSuffix(".c") && !path.hasPrefix("tools/")
        }.map(\.key).sorted()
    }

    /// The objects of C files, as the makefiles name them.
    static func objects(of files: [String]) -> [String] {
        let names = Set(files.compactMap { $0.split(separator: "/").last }.map { String($0.dropLast(2)) + ".o" })
        // Makefiles could interpret other characters, so such names are left out.
        return names.filter { $0.allSatisfy { $0.isLetter || $0.isNumber || "-_.".contains($0) } }.sorted()
    }

    // MARK: The cost of a first build

    /// The file with the seconds that the last clean build took on this machine, of a kernel with some checkers.
    private func firstBuild(_ checks: [Checker], hasCoverage: Bool) -> FilePath {
        let coverage = hasCoverage ? ["coverage"] : []
        let name = ([project.architecture.rawValue] + checks.map(\.rawValue) + coverage).joined(separator: "-")
        return tools.layout.root.appending("first-build-\(name)")
    }

    /// Records the time and the course of a clean build.
    func recordFirstBuild(_ result: BuildResult) {
        let pace = result.pace.flatMap { try? JSONEncoder().encode($0) }.map { String(decoding: $0, as: UTF8.self) }
        // It is only for a note; another step reports a cache that cannot be written.
        try? writeAtomically(
            "\(Int(result.seconds))\n\(pace ?? "")\n",
            to: firstBuild(project.checks, hasCoverage: project.coverage != nil))
    }

    /// The course of the last clean build on this machine, with the project's checkers or else without any; nil when
    /// there was none.
    var lastPace: BuildPace? {
        func pace(_ checks: [Checker], hasCoverage: Bool) -> BuildPace? {
            guard let lines = (try? readText(firstBuild(checks, hasCoverage: hasCoverage)))?.textLines(),
                lines.count > 1
            else { return nil }
            return try? JSONDecoder().decode(BuildPace.self, from: Data(lines[1].utf8))
        }
        return pace(project.checks, hasCoverage: project.coverage != nil) ?? pace([], hasCoverage: false)
    }

    /// The cost of the first kernel with the project's checkers, from this machine's earlier builds.
    var costOfFirstBuild: String {
        func seconds(_ checks: [Checker], hasCoverage: Bool = false) -> Int? {
            (try? readText(firstBuild(checks, hasCoverage: hasCoverage))).flatMap { Int($0.textLines().first ?? "") }
        }
        let checkers = project.checks.isEmpty ? [] : ["the checkers \(project.checkerNames)"]
        let extras = checkers + (project.coverage == nil ? [] : ["coverage"])
        let what = "a kernel with \(extras.joined(separator: " and ")) is compiled, once"
        if let last = seconds(project.checks, hasCoverage: project.coverage != nil) {
            return "\(what): the last one took \(last) s here"
        }
        guard let plain = seconds([]) else { return "\(what): it takes some minutes" }
        return "\(what): one without took \(plain) s here, and this one takes longer"
    }

    // MARK: Confined builds

    /// A file beside the output, where make cannot write.
    func mark(_ mark: OutputMark, _ pristine: KernelSourceArtifact, _ request: ConfigRequest) -> FilePath {
        mark.path(of: output(pristine, request))
    }

    /// Removes the output of an earlier confined build that this build may not continue: its files may be made to
    /// deceive the next build. The output of the same patches could only deceive itself, whether its build completed
    /// or was interrupted; and the project's own patches have one author.
    func discardForeignOutput(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ request: ConfigRequest
    ) throws {
        let isUnusable = try hasUnusableOutput(pristine, overlay, request)
        if isUnusable {
            // The mark first: without it the next build removes what an interruption leaves of the output.
            if rules != nil { try removeAll(mark(.overlay, pristine, request)) }
            try removeAll(output(pristine, request))
        }
        try createFolder(mark(.tools, pristine, request).removingLastComponent())
        try writeAtomically(try toolsDigest().hex, to: mark(.tools, pristine, request))
    }

    /// Does work in an output. When it completes or is interrupted, the next build of the same author continues it.
    /// So it is after a mistake in the project's own sources; other failed builds may leave links or pipes, which would
    /// also fail the next build.
    func continuable<Result>(
        _ patched: PatchedKernelArtifact, _ work: () async throws -> Result
    ) async throws -> Result {
        guard let rules else { return try await work() }
        let place = mark(.overlay, patched.pristine, patched.request)
        func record() throws {
            try writeAtomically(contribution(patched.overlay, patched.request, under: rules), to: place)
        }
        try removeAll(place)
        do {
            let result = try await work()
            try record()
            return result
        } catch let error as CancellationError {
            try record()
            throw error
        } catch let failure as Failure where failure.code == .build && !rules.hasForeignContribution {
            // The failure may be what make left: such an output is not continued.
            if (try? await tooling(make(patched)).runner.sandbox?.inspect()) != nil { try record() }
            throw failure
        }
    }

    /// Whether the output folder's contents are not valid for this build.
    func hasUnusableOutput(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ request: ConfigRequest
    ) throws -> Bool {
        // make compares commands and time stamps, and does not notice another tool with the same name.
        if let last = try? readText(mark(.tools, pristine, request)), last != (try toolsDigest()).hex { return true }
        return hasForeignOutput(pristine, overlay, request)
    }

    func toolsDigest() throws -> Digest {
        var tools = ContentDigest(of: "tools", version: 1)
        for tool in KernelSteps.keyedTools { tools.add(tool, try self.tools.digest(ofOptionalTool: tool)) }
        return tools.digest
    }

    /// The value that distinguishes builds of different authors: for foreign ones the patches, and the fragments, whose
    /// texts become make's variables.
    private func contribution(
        _ overlay: TreeOverlay, _ request: ConfigRequest, under rules: Confinement.Rules
    ) -> String {
        guard rules.hasForeignContribution else { return "own" }
        var digest = ContentDigest(of: "contribution", version: 1)
        digest.add("overlay", overlay.digest)
        digest.add("request", request.text)
        return digest.digest.hex
    }

    private func hasForeignOutput(
        _ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ request: ConfigRequest
    ) -> Bool {
        guard let rules else { return false }
        return (try? readText(mark(.overlay, pristine, request))) != contribution(overlay, request, under: rules)
    }

    /// How make runs.
    struct Tooling {
        var runner: CommandRunner
        /// Its whole environment.
        var environment: [String: String]
    }

    /// How make runs, and in which environment.
    func tooling(_ make: KernelMake) async throws -> Tooling {
        var environment = ProcessInfo.processInfo.environment
        guard let rules else { return Tooling(runner: tools.runner, environment: environment) }
        environment = environment.filter { $0.key == "PATH" }
        environment["HOME"] = "/tmp"
        var readable = [make.tree]
        if make.usesCcache {
            // ccache gives objects of trusted builds; a confined build adds none, which others would then link.
            let cache = FilePath(try await tools.runner.output(of: Command("ccache", ["--get-config", "cache_dir"])))
            if isFolder(cache) { readable.append(cache) }
            environment["CCACHE_DIR"] = cache.string
            environment["CCACHE_NOSTATS"] = "1"
            environment["CCACHE_READONLY"] = "1"
            environment["CCACHE_TEMPDIR"] = "/tmp"
        }
        readable += tools.installations(of: ["gcc", "ld", "make", "ccache"])
        return Tooling(
            runner: tools.runner.confined(by: rules.build(readable: readable, writable: [make.output])),
            environment: environment)
    }
}
