// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import KernelMake
import Processes
import SystemPackage

import class Foundation.ProcessInfo

/// A finished configuration.
public struct KernelConfiguration: Sendable, Equatable {
    /// The `.config` in the output folder.
    public var file: FilePath
    /// The digest of its contents.
    public var digest: Digest
    /// Whether it existed already, made from the same inputs.
    public var wasCurrent: Bool
}

/// The commands of a configuration.
public struct ConfigCommands: Sendable {
    /// The commands before the request is merged into `.config`.
    public var before: [Command]
    /// The commands after that.
    public var after: [Command]
}

/// Writes a kernel's `.config`: a base, with fragments merged into it.
public struct KernelConfigurator: Sendable {
    let runner: CommandRunner
    let progress: ProgressSink
    let environment: [String: String]

    /// Creates a configurator.
    ///
    /// - Parameter environment: kbuild's own environment; none of it may reach make.
    public init(
        runner: CommandRunner, progress: ProgressSink = .silent,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.runner = runner
        self.progress = progress
        self.environment = environment
    }

    /// The stamp beside `.config`: the key of its inputs, and the digest of the result.
    private static let stampName = ".kbuild-config"

    /// Whether a configuration may depend on this file of the tree; only such files of the patches belong in `inputs`,
    /// so that a changed C file does not cause a new configuration.
    public static func reads(treeFile path: String) -> Bool {
        let name = path.split(separator: "/").last ?? ""
        // The top Makefile has the version; the architecture's sets flags that cc-option tests.
        return name.hasPrefix("Kconfig") || path.hasPrefix("scripts/") || path == "Makefile"
            || (path.hasPrefix("arch/") && (name == "Makefile" || path.contains("/configs/")))
            || path.hasPrefix("kernel/configs/")
    }

    /// Makes `.config` in the output folder and checks that every requested option has its value.
    ///
    /// Nothing is done when the last call had the same inputs and its `.config` is unchanged. The inputs are the
    /// request, the base, `make`, and the digest `inputs`, in which the caller includes the rest: the pristine tree's
    /// identity, the patched files that `reads(treeFile:)` names, and the versions of make and the compiler. A
    /// `.config` with unchanged contents keeps its time stamp, so that make does not check it again.
    /// - Parameters:
    ///   - inputs: The digest of the configuration's other inputs.
    /// - Throws: `Failure` (`build`) when kconfig fails, or drops a requested option: it names the fragment's line and
    ///   the option's missing prerequisites; `CancellationError`.
    public func configure(
        _ make: KernelMake, request: ConfigRequest, inputs: Digest
    ) async throws -> KernelConfiguration {
        let file = Self.file(of: make)
        let stamp = make.output.appending(Self.stampName)
        let key = key(make, request: request, inputs: inputs)
        if let current = current(make, request: request, inputs: inputs) { return current }
        for note in request.notes { progress(.note(note)) }

        try createFolder(make.output)
        try removeAll(stamp)
        let earlier = try? readBytes(file)
        let earlierTime = modificationTime(file)
        try removeAll(file)
        try await writeBase(request.base, to: file, make)
        let base = try readText(file)
        let text = try await completed(base, request, file: file, make)
        // Now, because the build would run it, and write the file again without the header. It checks only the file's
        // time, so the header may be added afterwards.
        try await run(make, target: Self.headers)
        let finished = Array((Self.header(request) + text).utf8)
        let time = finished == earlier ? earlierTime : modificationTime(file)
        try writeAtomically(finished, to: file)
        if let time { setModificationTime(file, time) }
        let digest = Digest.of(finished)
        try writeAtomically("\(key) \(digest)\n", to: stamp)
        return KernelConfiguration(file: file, digest: digest, wasCurrent: false)
    }

    /// Writes the base to `.config`.
    private func writeBase(_ base: ConfigBase, to file: FilePath, _ make: KernelMake) async throws {
        if let text = base.text { try writeAtomically(text, to: file) }
        var settings: [String] = []
        if case .localModules(_, _, let modules) = base {
            // The script reads this file instead of the output of lsmod.
            let list = make.output.appending(".kbuild-lsmod")
            try writeAtomically(modules, to: list)
            settings = ["LSMOD=\(list)"]
        }
        for target in base.targets { try await run(make, target: target, settings: settings) }
    }

    /// Merges the request into the base, completes it with kconfig, and checks the result.
    ///
    /// - Returns: The text of `.config`.
    private func completed(
        _ base: String, _ request: ConfigRequest, file: FilePath, _ make: KernelMake
    ) async throws -> String {
        var request = request
        // One round for each level of missing dependencies of the tree's named fragments.
        var round = 0
        while true {
            try writeAtomically(Self.merged(base, request), to: file)
            try await run(make, target: Self.completion)
            let text = try readText(file)
            let config = ConfigFile(parsing: text)
            let dropped = ConfigCheck.dropped(request, in: config)
            let obstacles = ConfigObstacle.all(
                in: config, hasFile: { fileExists(make.tree.pushing(FilePath($0))) },
                hasTool: { (try? runner.locate($0)) != nil })
            if dropped.isEmpty, obstacles.isEmpty, request.base.text == nil {
                for note in request.changes(of: ConfigFile(parsing: base), to: config) { progress(.note(note)) }
                return text
            }
            let tree = KconfigTree(tree: make.tree, architecture: make.architecture)
            let check = ConfigCheck(tree: tree, config: config)
            let asked = obstacles.filter { obstacle in request.entries.contains { $0.name == obstacle.option } }
            guard asked.isEmpty else { throw ConfigObstacle.failure(asked, request) }
            let additions = check.prerequisites(of: dropped.filter { $0.isOptional || $0.support != .none }).filter {
                name in !request.entries.contains { $0.name == name }
            }
            let mayStillCome = round < Self.mostRounds && !additions.isEmpty
            let demanded = dropped.filter { entry in
                !entry.isOptional && !check.followsFromTools(entry, request)
                    && !(entry.support != .none && mayStillCome)
            }
            guard demanded.isEmpty else { throw check.failure(for: demanded) }
            if round < Self.mostRounds, !obstacles.isEmpty || !additions.isEmpty {
                for obstacle in obstacles {
                    progress(
                        .note(
                            "\(request.base.name): CONFIG_\(obstacle.option) \(obstacle.reason); kbuild sets \(obstacle.line)"
                        ))
                }
                request.add(additions, obstacles)
                round += 1
                continue
            }
            for note in request.changes(of: ConfigFile(parsing: base), to: config) { progress(.note(note)) }
            for note in check.notes(on: request, dropped: dropped) { progress(.note(note)) }
            return text
        }
    }

    /// The most rounds in which dependencies of optional entries are added.
    private static let mostRounds = 4

    private static func file(of make: KernelMake) -> FilePath { make.output.appending(".config") }

    private func key(_ make: KernelMake, request: ConfigRequest, inputs: Digest) -> Digest {
        var key = ContentDigest(of: "kernel-config", version: 1)
        key.add("inputs", inputs)
        key.add("base", request.base.name)
        key.add("request", request.text)
        key.add("command", make.command([], environment: [:]).description)
        return key.digest
    }

    /// The configuration in the output folder, if it was made from these inputs and not changed since.
    public func current(
        _ make: KernelMake, request: ConfigRequest, inputs: Digest
    ) -> KernelConfiguration? {
        let file = Self.file(of: make)
        let key = key(make, request: request, inputs: inputs)
        guard let text = try? readText(make.output.appending(Self.stampName)), let digest = try? Digest.ofFile(file),
            text == "\(key) \(digest)\n"
        else { return nil }
        return KernelConfiguration(file: file, digest: digest, wasCurrent: true)
    }

    /// Lets the configuration of a copied output count as made there, when the original's is current and says of itself
    /// what one that was made here would say.
    ///
    /// - Parameters:
    ///   - origin: The output that `make.output` is a copy of.
    /// - Throws: `Failure` (`infrastructure`) when the stamp cannot be written.
    public func adopt(
        from origin: KernelMake, to make: KernelMake, request: ConfigRequest, inputs: Digest
    ) throws {
        guard let original = isCurrentAlike(origin, request: request, inputs: inputs),
            try Digest.ofFile(Self.file(of: make)) == original
        else { return }
        let key = key(make, request: request, inputs: inputs)
        try writeAtomically("\(key) \(original)\n", to: make.output.appending(Self.stampName))
    }

    /// The digest of a configuration that is what `configure` would make of this request in another output as well; nil
    /// when it is not.
    public func isCurrentAlike(_ origin: KernelMake, request: ConfigRequest, inputs: Digest) -> Digest? {
        guard let original = current(origin, request: request, inputs: inputs),
            let text = try? readText(original.file), text.hasPrefix(Self.header(request))
        else { return nil }
        return original.digest
    }

    /// Completes a configuration after fragments were merged into it.
    static let completion = "olddefconfig"
    /// Writes the headers that follow from the configuration.
    private static let headers = "syncconfig"

    /// The commands that `configure` runs when it has work to do.
    public func commands(_ make: KernelMake, request: ConfigRequest) -> ConfigCommands {
        ConfigCommands(
            before: request.base.targets.map { command(make, target: $0) },
            after: [Self.completion, Self.headers].map { command(make, target: $0) })
    }

    private func command(_ make: KernelMake, target: String, settings: [String] = []) -> Command {
        make.command(settings + [target], environment: environment)
    }

    private func run(_ make: KernelMake, target: String, settings: [String] = []) async throws {
        let result = try await runner.capture(command(make, target: target, settings: settings))
        guard result.status.isSuccess else {
            let report = BuildLog.report(
                (result.errors + result.output).textLines().map(String.init), make: make, userFiles: [:])
            throw Failure(
                .build, "make \(target) failed (\(result.status))", details: report.details, nextStep: report.nextStep)
        }
    }

    /// The base without the options that the request names, and then the request: kconfig takes the last of several
    /// values, but the old value may disturb a choice.
    static func merged(_ base: String, _ request: ConfigRequest) -> String {
        let requested = Set(request.entries.map(\.name))
        let kept = base.textLines().filter { line in
            // "CONFIG_X=y" or "# CONFIG_X is not set".
            let option = line.hasPrefix("# ") ? line.dropFirst(2) : line
            guard option.hasPrefix("CONFIG_") else { return true }
            return !requested.contains(String(option.dropFirst("CONFIG_".count).prefix { $0 != "=" && $0 != " " }))
        }
        return kept.joined(separator: "\n") + "\n" + request.text
    }

    static func header(_ request: ConfigRequest) -> String {
        let base = request.base.name
        let files = request.entries.map(\.file).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        let sources = files.isEmpty ? "" : " and \(files.joined(separator: ", "))"
        return """
            # This file is kbuild's: it is made from \(base)\(sources), and made again when they
            # change. Edit the fragments, not this file.

            """
    }

    private func modificationTime(_ file: FilePath) -> timespec? {
        FileStatus(file, followsLink: true)?.modificationTime
    }

    private func setModificationTime(_ file: FilePath, _ time: timespec) {
        // If this fails, make runs kconfig one time more than necessary: only time is lost.
        utimensat(AT_FDCWD, file.string, [time, time], 0)
    }
}
