// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import KernelSource
import RootFilesystem
import SystemPackage
import TextInput
import VirtualMachine
import YAML
import Yams

extension Project {
    /// The project file's name.
    public static let fileName = "kbuild.yaml"

    /// Finds the project file: `path` itself, in the folder `path`, or in the working directory or the nearest folder
    /// above it.
    ///
    /// - Parameter needsProject: Whether a project file is required; otherwise kbuild's own project with the default
    ///   kernel is used.
    /// - Throws: `Failure` (`usage`) when there is none.
    public static func locate(
        _ path: String?, from workingDirectory: FilePath, needsProject: Bool = true,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws -> FilePath {
        if let path {
            let full = workingDirectory.pushing(FilePath(path)).lexicallyNormalized()
            let file = isFolder(full) ? full.appending(fileName) : full
            if isFolder(full), !fileExists(file), KernelTree.isTree(full) {
                return try KernelTree.projectFile(of: full, environment: environment)
            }
            guard fileExists(file) else {
                throw Failure(.usage, "there is no project file at \(file)", nextStep: hint)
            }
            return file
        }
        var folder = workingDirectory
        while true {
            let file = folder.appending(fileName)
            if fileExists(file) { return file }
            let parent = folder.removingLastComponent()
            guard parent != folder, !folder.components.isEmpty else {
                if let tree = KernelTree.containing(workingDirectory) {
                    return try KernelTree.projectFile(of: tree, environment: environment)
                }
                if !needsProject { return try KernelTree.projectFileWithoutTree(environment: environment) }
                throw Failure(
                    .usage, "there is no \(fileName) in \(workingDirectory) or a folder above it, and no kernel tree",
                    nextStep: hint)
            }
            folder = parent
        }
    }

    private static let hint =
        "`kbuild init NAME` makes a project; or go to a project's folder or a kernel tree, or name it with --project"

    /// Reads a project file, applies the profile and then the flags, and checks everything.
    ///
    /// - Throws: `Failure` (`usage`) with every error found, each at its `file:line:column`.
    public static func load(
        _ file: FilePath, profile: String? = nil, overrides: [ProjectOverride] = []
    ) throws -> Project {
        let text = try TextInput(file.string, as: "a project file").text(of: file)
        let tree = KernelTree.tree(ofProjectFile: file)
        let overrides = try overrides.map { try $0.naming(tree: tree) }
        var project = try load(text: text, file: file, profile: profile, overrides: overrides)
        project.kernelTree = tree
        project.isStandIn = KernelTree.isStandIn(file)
        if project.isStandIn { KernelTree.adaptFragments(of: &project) }
        return project
    }

    package static func load(
        text: String, file: FilePath, profile: String?, overrides: [ProjectOverride]
    ) throws(Failure) -> Project {
        let loader = ProjectLoader(file: file)
        let base = try loader.parse(text)
        let profiled = try loader.apply(profile: profile, to: base)
        let values = try loader.apply(overrides: overrides, to: profiled)
        var project = try loader.project(from: values, profile: profile)
        try project.adaptToPrebuiltKernel(extraPatches: overrides.contains { $0.key == "kernel.patches" })
        project.hasRunLimitOfCommandLine = overrides.contains { $0.key == "timeouts.run" }
        return project
    }

    /// The effective configuration as a project file.
    public func rendered() -> String {
        var lines: [String] = []
        if let profile { lines.append("# profile: \(profile)") }
        func list(_ items: [String]) -> String { "[\(items.map(Self.quoted).joined(separator: ", "))]" }
        func path(_ path: FilePath) -> String {
            var path = path
            guard path.removePrefix(folder) else { return path.string }
            return path.isEmpty ? "." : path.string
        }
        lines += ["kernel:", "  source: \(Self.quoted(kernel.source))"]
        if let sha256 = kernel.sha256 {
            lines[lines.count - 1] =
                "  source: {tarball: \(Self.quoted(kernel.source)), sha256: \(Self.quoted(sha256))}"
        }
        func fragments(_ fragments: [Fragment]) -> String {
            list(fragments.map { $0.name ?? $0.file.map(path) ?? "" })
        }
        lines.append("  patches: \(list(kernel.patches.map(path)))")
        switch kernel.base {
        case .target("tinyconfig"): break
        case .target(let name): lines.append("  base: \(name)")
        case .localModules: lines.append("  base: localmodconfig")
        case .file(let file): lines.append("  base: \(Self.quoted(path(file)))")
        }
        lines.append("  config: \(fragments(kernel.config))")
        if !kernel.umlConfig.isEmpty { lines.append("  uml-config: \(fragments(kernel.umlConfig))") }
        if !kernel.options.isEmpty { lines.append("  options: \(list(kernel.options))") }
        if let jobs = kernel.jobs { lines.append("  jobs: \(jobs)") }
        if kernel.hasDebugInfo { lines.append("  debug-info: on") }
        if kernel.fuzz != 0 { lines.append("  fuzz: \(kernel.fuzz)") }
        lines += [
            "rootfs:", "  type: \(rootfsType.rawValue)", "  definition: \(Self.quoted(path(rootfsDefinition)))",
        ]
        if !hostTools.isEmpty { lines.append("  tools: \(list(hostTools))") }
        if showsSecrets { lines.append("  secrets: on") }
        if let shellFolder { lines.append("  directory: \(Self.quoted(shellFolder))") }
        if rootfsType == .debian {
            if let suite = debian.suite { lines.append("  suite: \(Self.quoted(suite))") }
            lines.append("  packages: \(list(debian.packages))")
            if let mirror = debian.mirror { lines.append("  mirror: \(Self.quoted(mirror))") }
        }
        if !checks.isEmpty { lines.append("check: \(list(checks.map(\.rawValue)))") }
        if let coverage {
            lines += ["coverage:", "  collect: on"]
            if let minimum = coverage.minimumPercent { lines.append("  minimum: \(minimum)") }
            if !coverage.files.isEmpty { lines.append("  files: \(list(coverage.files))") }
        }
        lines.append("shares:" + (shares.isEmpty ? " []" : ""))
        for share in shares {
            lines.append(
                "  - {path: \(Self.quoted(path(share.path))), target: \(Self.quoted(share.target)), "
                    + "writable: \(share.isWritable)}")
        }
        let disks = disks.map { disk in
            switch disk {
            case .empty(let size): "{size: \(size)M}"
            case .file(let file, let isWritable):
                "{file: \(Self.quoted(path(file)))\(isWritable ? ", writable: on" : "")}"
            }
        }
        lines.append("disks: [\(disks.joined(separator: ", "))]")
        if network.isUser {
            lines.append("network: {type: user, forward: \(list(network.forwards.map(\.description)))}")
        }
        lines += [
            "machine:", "  type: \(machine.type.rawValue)", "  accel: \(machine.accelerator.rawValue)",
            "  memory: \(machine.memoryMegabytes)M", "  cpus: \(machine.cpus)",
            "  results: \(machine.results.rawValue)",
        ]
        if !machine.kernelArguments.isEmpty {
            lines.append("  command-line: \(Self.quoted(machine.kernelArguments.joined(separator: " ")))")
        }
        if machine.numaNodes > 1 { lines.append("  numa: \(machine.numaNodes)") }
        if !machine.emulatorOptions.isEmpty { lines.append("  qemu-options: \(list(machine.emulatorOptions))") }
        if machine.keepsMemory { lines.append("  memory-dump: on") }
        if !modules.isEmpty { lines.append("modules:") }
        for module in modules {
            let parameters = module.parameters.isEmpty ? "" : ", parameters: \(list(module.parameters))"
            lines.append("  - {path: \(Self.quoted(path(module.path)))\(parameters)}")
        }
        lines.append("tests:" + (tests.isEmpty ? " []" : ""))
        for (index, test) in tests.enumerated() {
            var pairs: [(String, String?)]
            switch test {
            case .swift(let package, let filter, let skip, let timeout):
                pairs = [
                    ("swift", Self.quoted(path(package))), ("filter", filter.map(Self.quoted)),
                    ("skip", skip.map(Self.quoted)), ("timeout", timeout.map { String($0) }),
                ]
            case .kselftest(let collection, let timeout):
                pairs = [("kselftest", Self.quoted(collection)), ("timeout", timeout.map { String($0) })]
            case .kunit(let pattern, let timeout):
                pairs = [("kunit", Self.quoted(pattern)), ("timeout", timeout.map { String($0) })]
            case .program(let program):
                pairs = [
                    (program.isSource ? "c" : "program", Self.quoted(path(program.path))),
                    ("bits", program.is32Bit ? "32" : nil),
                    ("name", Self.quoted(program.name)), ("arguments", list(program.arguments)),
                    ("protocol", program.resultsProtocol.rawValue),
                    ("skip-code", program.skipCode.map { String($0) }),
                    ("timeout", program.timeout.map { String($0) }),
                ]
            }
            let named = testModules.indices.contains(index) ? testModules[index] : nil
            pairs.append(("modules", named.map(list)))
            let fields = pairs.compactMap { key, value in value.map { "\(key): \($0)" } }
            lines.append("  - {\(fields.joined(separator: ", "))}")
        }
        lines.append("isolate: \(isolation.rawValue)")
        if let guests { lines.append("guests: \(guests)") }
        lines.append("retries: \(retries)")
        lines += [
            "timeouts: {boot: \(timeouts.boot), silence: \(timeouts.silence), test: \(timeouts.test), "
                + "run: \(timeouts.run)}",
            "fail-fast: \(failFast ? "on" : "off")", "keep-going: \(keepsGoing ? "on" : "off")",
            "warnings: \(warnings.rawValue)", "lint: \(lint ? "on" : "off")",
            "profile-calls: \(profilesCalls ? "on" : "off")",
            "skips: \(rendered(skips))", "splats: \(rendered(splats))", "sandbox: \(sandbox.rawValue)",
            "tests-from: \(testsFrom.rawValue)",
        ]
        return lines.joined(separator: "\n")
    }

    private func rendered(_ skips: SkipPolicy) -> String {
        switch skips {
        case .warn: "warn"
        case .fail: "fail"
        case .expected(let patterns): "[\(patterns.map(Self.quoted).joined(separator: ", "))]"
        }
    }

    private func rendered(_ splats: SplatPolicy) -> String {
        switch splats {
        case .warn: "warn"
        case .fail: "fail"
        case .known(let entries):
            "["
                + entries.map { "{title: \(Self.quoted($0.title)), reason: \(Self.quoted($0.reason))}" }
                .joined(separator: ", ") + "]"
        }
    }

    /// A YAML scalar: plain if that is safe, otherwise in double quotes with JSON's escapes, which YAML also has.
    private static func quoted(_ text: String) -> String {
        let isPlain =
            text.utf8.allSatisfy { byte in
                (byte >= 0x61 && byte <= 0x7A) || (byte >= 0x41 && byte <= 0x5A) || (byte >= 0x30 && byte <= 0x39)
                    || "/._-".utf8.contains(byte)
            } && text.utf8.first.map { $0 == UInt8(ascii: "/") || ($0 >= 0x41 && $0 <= 0x7A) } == true
        let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        if isPlain, !words.contains(text.lowercased()) { return text }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": escaped += "\\\(scalar)"
            case "\n": escaped += "\\n"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                escaped += "\\x" + (digits.count == 1 ? "0" : "") + digits
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return "\"\(escaped)\""
    }
}

extension Failure {
    /// Runs `body`. A file that the user named and that cannot be read is a usage error, so the failure's code becomes
    /// `usage`.
    package static func asUsage<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch var failure as Failure {
            failure.code = .usage
            throw failure
        }
    }
}

/// Turns YAML into a project: parse, check against the schema, merge, decode.
package struct ProjectLoader {
    package let file: FilePath

    package func parse(_ text: String) throws(Failure) -> Node {
        guard let node = try YAMLText.compose(text, file: file.string), case .mapping = node else {
            throw Failure(
                .usage, "\(file.string) has no keys", nextStep: "`kbuild help project-file` lists every key")
        }
        try check(
            node, against: .map(Schema.file), also: profileErrors(in: node) + packageErrors(in: node), place: place)
        return node
    }

    private func place(_ node: Node) -> String {
        node.mark.map { "\(file):\($0.line):\($0.column)" } ?? file.string
    }

    /// The place of a path in the project file, as `FILE:LINE: `; only the file when no line contains the path.
    package static func place(of path: FilePath, in project: Project) -> String {
        var short = path
        _ = short.removePrefix(project.folder)
        let lines = ((try? readText(project.file)) ?? "").split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for name in [path.string, short.string, short.lastComponent?.string ?? ""] where !name.isEmpty {
            if let index = lines.firstIndex(where: { $0.prefix { $0 != "#" }.contains(name) }) {
                return "\(project.file):\(index + 1): "
            }
        }
        return "\(project.file): "
    }

    /// Errors for each map of a root file system that has packages and a type without packages. A profile or the
    /// command line may choose another type than the file, so only types beside the packages count.
    private func packageErrors(in node: Node) -> [String] {
        let debian = Project.RootFilesystemType.debian.rawValue
        let maps = [node["rootfs"]] + (node["profiles"]?.mapping?.values.map { $0["rootfs"] } ?? [])
        return maps.compactMap { map in
            guard let packages = map?["packages"], let type = map?["type"]?.string, type != debian else { return nil }
            return "\(place(packages)): rootfs.packages goes with type \(debian), not with \(type)"
        }
    }

    /// Errors for all profiles that extend an unknown profile or themselves, used or not.
    private func profileErrors(in node: Node) -> [String] {
        guard let profiles = node["profiles"]?.mapping else { return [] }
        let names: [String] = profiles.keys.compactMap(\.string)
        func parent(_ name: String) -> Node? { profiles[Node(name)]?["extends"] }
        var errors: [String] = []
        for name in names {
            guard let extends = parent(name), let base = extends.string else { continue }
            guard names.contains(base) else {
                let near = guess(for: base, among: names)
                errors.append("\(place(extends)): there is no profile \(base) to extend\(near)")
                continue
            }
            var chain = [name, base]
            while let next = chain.last.flatMap(parent)?.string, !chain.dropLast().contains(chain[chain.count - 1]) {
                chain.append(next)
            }
            if chain.last == name {
                errors.append(
                    "\(place(extends)): the profile \(name) extends itself: \(chain.joined(separator: " > "))")
            }
        }
        return errors
    }

    private func check(
        _ node: Node, against schema: Schema, also others: [String] = [], place: (Node) -> String
    ) throws(Failure) {
        var errors: [String] = []
        schema.check(node, at: "") { node, message in errors.append("\(place(node)): \(message)") }
        errors += others
        guard errors.isEmpty else {
            throw Failure(
                .usage, errors.count == 1 ? errors[0] : "\(errors.count) errors in \(file)",
                details: errors.count == 1 ? nil : errors.joined(separator: "\n"),
                nextStep: "`kbuild help project-file` lists every key")
        }
    }

    /// Applies a profile, after those that it extends, to the rest of the file.
    package func apply(profile: String?, to node: Node) throws(Failure) -> Node {
        guard case .mapping(var base) = node else { return node }
        let profiles = base["profiles"]?.mapping
        base["profiles"] = nil
        guard let profile else { return .mapping(base) }
        var chain: [Node] = []
        var seen: [String] = []
        var next: String? = profile
        while let name = next {
            let names = profiles?.keys.compactMap(\.string) ?? []
            guard let found = profiles?[Node(name)], case .mapping(var mapping) = found else {
                let near = guess(for: name, among: names)
                throw Failure(
                    .usage, "there is no profile \(name) in \(file)\(near)",
                    details: names.isEmpty ? "the file has no profiles" : "profiles: \(names.joined(separator: ", "))")
            }
            guard !seen.contains(name) else {
                throw Failure(
                    .usage, "the profile \(profile) extends itself: \((seen + [name]).joined(separator: " > "))")
            }
            seen.append(name)
            next = mapping["extends"]?.string
            mapping["extends"] = nil
            chain.append(.mapping(mapping))
        }
        return chain.reversed().reduce(.mapping(base)) { Self.merge($1, over: $0) }
    }

    package func apply(overrides: [ProjectOverride], to node: Node) throws(Failure) -> Node {
        var node = node
        for override in overrides {
            // User-mode Linux has a separate list of fragments.
            let isForUML = node["machine"]?["type"]?.string == Project.MachineChoice.uml.rawValue
            let key = override.key == "kernel.config" && isForUML ? "kernel.uml-config" : override.key
            let keys = key.split(separator: ".").map(String.init)
            func value(_ inner: Node) -> Node { keys.reversed().reduce(inner) { Node([(Node($1), $0)]) } }
            let top: Node
            switch override.value {
            case .scalar(let text):
                top = value(Node(text))
                try check(top, against: .map(Schema.base)) { _ in override.flag }
                if override.key == "kernel.source" { try checkSource(text, place: override.flag) }
            case .words(let words):
                let present = keys.reduce(Optional(node)) { $0?[$1] }?.string.map { "\($0) " } ?? ""
                top = value(Node(present + words))
                try check(top, against: .map(Schema.base)) { _ in override.flag }
            case .entry, .fields:
                let entry = Self.entry(override.value)
                try check(value(Node([entry])), against: .map(Schema.base)) { _ in override.flag }
                let present = keys.reduce(Optional(node)) { $0?[$1] }?.sequence.map(Array.init) ?? []
                top = value(Node(present + [entry]))
            }
            node = Self.merge(top, over: node)
        }
        return node
    }

    /// A single value for a list, as a list.
    private static func entry(_ value: ProjectOverride.Value) -> Node {
        switch value {
        case .scalar(let text), .entry(let text), .words(let text): Node(text)
        case .fields(let fields): Node(fields.sorted { $0.key < $1.key }.map { (Node($0.key), Node($0.value)) })
        }
    }

    /// Maps are merged; other values are replaced. A kernel source is also replaced, because its keys belong together:
    /// a profile's git and the file's tarball must not be combined.
    package static func merge(_ top: Node, over bottom: Node) -> Node {
        guard case .mapping(let new) = top, case .mapping(var merged) = bottom else { return top }
        for (key, value) in new {
            let isWhole = key.string == "source"
            merged[key] = isWhole ? value : merged[key].map { merge(value, over: $0) } ?? value
        }
        return .mapping(merged)
    }

    /// Decodes checked values and fills in the defaults.
    package func project(from node: Node, profile: String?) throws(Failure) -> Project {
        let folder = file.removingLastComponent()
        func path(_ text: String) -> FilePath { folder.pushing(FilePath(text)).lexicallyNormalized() }
        let ownDefinition = "rootfs/default.yaml"
        let defaultDefinition = fileExists(path(ownDefinition)) ? ownDefinition : SupportFolder.definition
        func paths(_ node: Node?) -> [FilePath] { strings(node).map(path) }
        func fragment(_ text: String) -> Project.Fragment {
            Project.Fragment(named: text) ?? .file(path(text))
        }
        func fragments(_ node: Node?) -> [Project.Fragment] { strings(node).map(fragment) }
        func base(_ text: String?) -> Project.Base {
            switch text {
            case nil: .target("tinyconfig")
            case "localmodconfig"?: .localModules
            case let text? where Project.Base.words.contains(text): .target(text)
            case let text?: .file(path(text))
            }
        }
        func strings(_ node: Node?) -> [String] { node?.sequence?.compactMap(\.scalar?.string) ?? [] }
        func text(_ node: Node?) -> String? { node?.scalar?.string }
        func duration(_ node: Node?) -> Int? { text(node).flatMap(seconds(in:)) }
        func choice<Choice: RawRepresentable<String>>(_ node: Node?, _ fallback: Choice) -> Choice {
            guard let text = text(node) else { return fallback }
            return Choice(rawValue: text) ?? Schema.flag(text).flatMap { Choice(rawValue: $0 ? "on" : "off") }
                ?? fallback
        }
        func flag(_ node: Node?, _ fallback: Bool) -> Bool { text(node).flatMap(Schema.flag) ?? fallback }

        let kernel = node["kernel"]
        // Each part is read separately, so that all errors are reported at once.
        var errors: [Failure] = []
        @discardableResult
        func attempt<Value>(_ body: () throws(Failure) -> Value) -> Value? {
            do {
                return try body()
            } catch {
                errors.append(error)
                return nil
            }
        }
        let (source, sha256) = attempt { () throws(Failure) in try kernelSource(kernel?["source"]) } ?? ("", nil)
        let machine = node["machine"]
        let timeouts = node["timeouts"]
        var tests: [Project.Test] = []
        var testModules: [[String]?] = []
        var places: [String: String] = [:]
        for (index, test) in (node["tests"]?.sequence ?? []).enumerated() {
            attempt { () throws(Failure) in
                for read in try self.tests(test, index: index, path: path) {
                    tests.append(read)
                    testModules.append(test["modules"].map { strings($0) })
                    guard case .program(let program) = read else { continue }
                    if let other = places.updateValue("tests[\(index)]", forKey: program.name) {
                        throw error(
                            "tests[\(index)] has the name of \(other), \(program.name); give one of them another name",
                            at: test)
                    }
                }
            }
        }
        var shares: [Project.SharedFolder] = []
        for (index, share) in (node["shares"]?.sequence ?? []).enumerated() {
            attempt { () throws(Failure) in
                let read = try self.share(share, index: index, path: path)
                if shares.contains(where: { $0.target == read.target }) {
                    throw error("shares[\(index)].target \(read.target) is taken by another share", at: share)
                }
                shares.append(read)
            }
        }
        var disks: [Project.Disk] = []
        for (index, disk) in (node["disks"]?.sequence ?? []).enumerated() {
            attempt { () throws(Failure) in disks.append(try self.disk(disk, index: index, path: path)) }
        }
        let modules = attempt { () throws(Failure) in try self.modules(node["modules"], path: path) } ?? []
        attempt { () throws(Failure) in try checkModules(node) }
        let network = attempt { () throws(Failure) in try self.network(node["network"]) } ?? .init()
        attempt { () throws(Failure) in try checkDevices(node, disks, network) }
        let skips = attempt { () throws(Failure) in try self.skips(node["skips"]) } ?? .warn
        let splats = attempt { () throws(Failure) in try self.splats(node["splats"]) } ?? .fail
        if text(machine?["type"]) == Project.MachineChoice.uml.rawValue {
            if strings(kernel?["uml-config"]).isEmpty {
                errors.append(missing("uml-config, the fragments for user-mode Linux", in: "kernel", kernel ?? node))
            }
            if let results = text(machine?["results"]), results != Project.ResultsChoice.auto.rawValue {
                errors.append(
                    error(
                        "machine.results \(results) goes with QEMU; user-mode Linux has a line of its own for results",
                        at: machine?["results"]))
            }
        }
        let hostTools = strings(node["rootfs"]?["tools"])
        let rootType: Project.RootFilesystemType = choice(node["rootfs"]?["type"], .disk)
        if !hostTools.isEmpty, rootType == .debian || rootType == .host {
            let other =
                rootType == .debian
                ? "a Debian system takes packages, such as e2fsprogs" : "the host's root has all of its programs"
            errors.append(
                error("rootfs.tools goes with disk and initramfs; \(other)", at: node["rootfs"]?["tools"]))
        }
        if rootType == .host, text(machine?["type"]) == Project.MachineChoice.uml.rawValue {
            errors.append(
                error("rootfs.type host goes with QEMU, not with user-mode Linux", at: node["rootfs"]?["type"]))
        }
        if let first = errors.first {
            guard errors.count > 1 else { throw first }
            throw Failure(
                .usage, "\(errors.count) errors in \(file)",
                details: errors.map(\.message).joined(separator: "\n"), nextStep: first.nextStep)
        }
        let checks = try Checker.parse(node["check"]?.scalar.map { [$0.string] } ?? strings(node["check"]))
        var project = Project(
            file: file, profile: profile,
            kernel: .init(
                source: source, sha256: sha256, patches: paths(kernel?["patches"]), base: base(text(kernel?["base"])),
                config: fragments(kernel?["config"]), umlConfig: fragments(kernel?["uml-config"]),
                jobs: text(kernel?["jobs"]).flatMap { Int($0) }, hasDebugInfo: flag(kernel?["debug-info"], false),
                fuzz: text(kernel?["fuzz"]).flatMap { Int($0) } ?? 0),
            rootfsType: rootType,
            rootfsDefinition: path(text(node["rootfs"]?["definition"]) ?? defaultDefinition),
            debian: .init(
                suite: text(node["rootfs"]?["suite"]),
                packages: node["rootfs"]?["packages"].map { strings($0) } ?? Project.Debian.defaultPackages,
                mirror: text(node["rootfs"]?["mirror"])), shares: shares,
            disks: disks,
            machine: .init(
                type: choice(machine?["type"], .auto), accelerator: choice(machine?["accel"], .auto),
                memoryMegabytes: text(machine?["memory"]).flatMap(megabytes(in:)) ?? 512,
                cpus: text(machine?["cpus"]).flatMap { Int($0) } ?? 2, results: choice(machine?["results"], .auto),
                kernelArguments: (text(machine?["command-line"]) ?? "").split(separator: " ").map(String.init),
                keepsMemory: flag(machine?["memory-dump"], false),
                numaNodes: text(machine?["numa"]).flatMap { Int($0) } ?? 1,
                emulatorOptions: strings(machine?["qemu-options"])),
            tests: tests, isolation: choice(node["isolate"], .none), guests: text(node["guests"]).flatMap { Int($0) },
            retries: text(node["retries"]).flatMap { Int($0) } ?? 0,
            timeouts: .init(
                boot: duration(timeouts?["boot"]) ?? 120, silence: duration(timeouts?["silence"]) ?? 120,
                test: duration(timeouts?["test"]) ?? 300, run: duration(timeouts?["run"]) ?? 1800),
            failFast: flag(node["fail-fast"], false), splats: splats, skips: skips,
            sandbox: choice(node["sandbox"], .auto), testsFrom: choice(node["tests-from"], .pristine))
        project.checks = checks
        (project.modules, project.testModules) = (modules, testModules)
        project.network = network
        project.showsSecrets = flag(node["rootfs"]?["secrets"], false)
        project.shellFolder = text(node["rootfs"]?["directory"])
        project.kernel.options = strings(kernel?["options"])
        project.coverage = try coverage(node["coverage"])
        project.warnings = choice(node["warnings"], Project.WarningPolicy.warn)
        project.lint = flag(node["lint"], false)
        project.profilesCalls = flag(node["profile-calls"], false)
        project.keepsGoing = flag(node["keep-going"], false)
        project.hostTools = hostTools
        try project.checkCoverage()
        return try project.adjustedForCheckers()
    }

    /// Reads the coverage settings.
    private func coverage(_ node: Node?) throws(Failure) -> CoverageSettings? {
        guard let node else { return nil }
        if let word = node.scalar?.string { return Schema.flag(word) == true ? CoverageSettings() : nil }
        let files = node["files"]?.sequence?.compactMap(\.scalar?.string) ?? []
        for file in files where !file.hasSuffix(".c") || file.hasPrefix("/") || file.contains("..") {
            throw error(
                "coverage.files has \(file), which is not the path of a C file in the kernel's tree",
                at: node["files"])
        }
        let collects = (node["collect"]?.scalar?.string).flatMap(Schema.flag) ?? true
        guard collects else { return nil }
        return CoverageSettings(minimumPercent: (node["minimum"]?.scalar?.string).flatMap { Int($0) }, files: files)
    }

    private func kernelSource(_ node: Node?) throws(Failure) -> (source: String, sha256: String?) {
        guard let node else { return ("linux-source-6.1", nil) }
        if let text = node.scalar?.string {
            // A value from the command line has no place in the file; it was checked with its flag.
            if node.mark != nil { try checkSource(text, place: place(node)) }
            return (text, nil)
        }
        func text(_ key: String) -> String? { node[key]?.scalar?.string }
        let given = ["debian", "directory", "tarball", "git"].filter { text($0) != nil }
        guard given.count == 1, let kind = given.first, let value = text(kind) else {
            throw error("kernel.source needs exactly one of debian, directory, tarball and git", at: node)
        }
        if kind != "tarball", node["sha256"] != nil { throw error("sha256 goes with tarball", at: node["sha256"]) }
        if kind != "git", node["ref"] != nil { throw error("ref goes with git", at: node["ref"]) }
        var source = value
        if kind == "git" {
            guard let ref = text("ref") else { throw error("git needs a ref", at: node) }
            source = "git+\(value)#\(ref)"
        } else if kind == "directory", !value.contains("/"), !value.hasPrefix(".") {
            // A bare word would not be read as a path.
            source = "./\(value)"
        }
        let sha256 = text("sha256")
        let isMeant =
            switch (kind, try checkSource(source, sha256: sha256, place: place(node))) {
            case ("debian", .debianPackage), ("directory", .directory), ("tarball", .tarball), ("git", .git): true
            default: false
            }
        guard isMeant else {
            throw error("kernel.source.\(kind) '\(value)' is none; the forms are \(KernelSource.forms)", at: node[kind])
        }
        return (source, sha256)
    }

    /// Reads a source as the kernel's steps do, so that an error is reported with its place in the file.
    @discardableResult
    private func checkSource(
        _ text: String, sha256: String? = nil, place: String
    ) throws(Failure) -> KernelSource {
        do {
            return try KernelSource(parsing: text, sha256: sha256, relativeTo: file.removingLastComponent())
        } catch {
            var failure = error
            failure.message = "\(place): \(error.message)"
            throw failure
        }
    }

    private func skips(_ node: Node?) throws(Failure) -> Project.SkipPolicy {
        guard let list = node?.sequence else { return node?.scalar?.string == "fail" ? .fail : .warn }
        var patterns: [String] = []
        for (index, entry) in list.enumerated() {
            guard let pattern = entry.scalar?.string else { continue }
            try checkPattern(pattern, of: "skips[\(index)]", at: entry)
            patterns.append(pattern)
        }
        return .expected(patterns)
    }

    private func splats(_ node: Node?) throws(Failure) -> Project.SplatPolicy {
        guard let list = node?.sequence else { return node?.scalar?.string == "warn" ? .warn : .fail }
        var known: [Project.KnownSplat] = []
        for (index, entry) in list.enumerated() {
            guard let title = entry["title"]?.scalar?.string, let reason = entry["reason"]?.scalar?.string else {
                throw missing("title and reason", in: "splats[\(index)]", entry)
            }
            try checkPattern(title, of: "splats[\(index)].title", at: entry["title"])
            known.append(.init(title: title, reason: reason))
        }
        return .known(known)
    }

    private func checkPattern(_ pattern: String, of place: String, at node: Node?) throws(Failure) {
        if (try? Regex(pattern)) == nil { throw error("\(place) is not a regular expression", at: node) }
    }

    private func share(
        _ node: Node, index: Int, path: (String) -> FilePath
    ) throws(Failure) -> Project.SharedFolder {
        func text(_ key: String) -> String? { node[key]?.scalar?.string }
        guard let source = text("path"), let target = text("target") else {
            throw missing("path and target", in: "shares[\(index)]", node)
        }
        guard target.hasPrefix("/"), !target.contains(where: \.isWhitespace) else {
            throw error("shares[\(index)].target must be an absolute path without spaces", at: node["target"])
        }
        return .init(path: path(source), target: target, isWritable: text("writable").flatMap(Schema.flag) ?? true)
    }

    /// The tests of an entry: one test, or the programs that a pattern matches.
    private func tests(
        _ node: Node, index: Int, path: (String) -> FilePath
    ) throws(Failure) -> [Project.Test] {
        let test = try test(node, index: index, path: path)
        guard case .program(let program) = test, !program.isSource, ProgramPattern.isPattern(program.path) else {
            return [test]
        }
        let pattern = node["program"]?.scalar?.string ?? program.path.string
        if node["name"] != nil {
            throw error("tests[\(index)].name goes with one program, not with the pattern \(pattern)", at: node["name"])
        }
        let programs = ProgramPattern.programs(matching: program.path)
        guard !programs.isEmpty else {
            throw error("tests[\(index)].program \(pattern) matches no executable file", at: node["program"])
        }
        return programs.map { path in
            var one = program
            one.path = path
            one.name = path.lastComponent?.string ?? path.string
            one.hasCompanions = true
            return .program(one)
        }
    }

    private func test(_ node: Node, index: Int, path: (String) -> FilePath) throws(Failure) -> Project.Test {
        func text(_ key: String) -> String? { node[key]?.scalar?.string }
        let place = "tests[\(index)]"
        let kinds = ["swift", "c", "program", "kselftest", "kunit"].filter { text($0) != nil }
        guard kinds.count == 1 else {
            throw missing("exactly one of swift, c, program, kselftest and kunit", in: place, node)
        }
        let timeout = text("timeout").flatMap(seconds(in:))
        if let package = text("swift") {
            for key in ["name", "arguments", "protocol", "bits", "skip-code"] where node[key] != nil {
                throw error("\(place).\(key) goes with \(key == "bits" ? "c" : "c or program")", at: node[key])
            }
            for key in ["filter", "skip"] {
                if let pattern = text(key), (try? Regex(pattern)) == nil {
                    throw error("\(place).\(key) is not a regular expression", at: node[key])
                }
            }
            return .swift(package: path(package), filter: text("filter"), skip: text("skip"), timeout: timeout)
        }
        for key in ["filter", "skip"] where node[key] != nil {
            throw error("\(place).\(key) goes with swift", at: node[key])
        }
        if let name = text("kselftest") ?? text("kunit") {
            for key in ["name", "arguments", "protocol", "bits", "skip-code"] where node[key] != nil {
                throw error("\(place).\(key) goes with \(key == "bits" ? "c" : "c or program")", at: node[key])
            }
            if node["kunit"] != nil {
                guard KernelTestName.isSuitePattern(name) else {
                    throw error(
                        "\(place).kunit \(name) is not a pattern for suite names, such as list*", at: node["kunit"])
                }
                return .kunit(pattern: name, timeout: timeout)
            }
            guard KernelTestName.isCollection(name) else {
                throw error("\(place).kselftest \(name) is not a folder name", at: node["kselftest"])
            }
            return .kselftest(collection: name, timeout: timeout)
        }
        if kinds[0] != "c", node["bits"] != nil { throw error("\(place).bits goes with c", at: node["bits"]) }
        let skipCode = text("skip-code").flatMap { Int32($0) }
        if skipCode != nil, let other = text("protocol"), other != Project.ResultsProtocol.exit.rawValue {
            throw error(
                "\(place).skip-code goes with protocol exit; \(other == "ltp" ? "LTP has TCONF" : "KTAP has # SKIP")",
                at: node["skip-code"])
        }
        let file = path(text(kinds[0]) ?? "")
        return .program(
            .init(
                path: file, isSource: kinds[0] == "c", is32Bit: text("bits") == "32",
                name: text("name") ?? file.stem ?? file.string,
                arguments: node["arguments"]?.sequence?.compactMap(\.scalar?.string) ?? [],
                resultsProtocol: text("protocol").flatMap(Project.ResultsProtocol.init(rawValue:)) ?? .exit,
                skipCode: skipCode, timeout: timeout))
    }

    func missing(_ what: String, in place: String, _ node: Node) -> Failure {
        error("\(place) needs \(what)", at: node)
    }

    func error(_ message: String, at node: Node?) -> Failure {
        let place = node.map(place) ?? file.string
        return Failure(.usage, "\(place): \(message)", nextStep: "`kbuild help project-file` lists every key")
    }
}
