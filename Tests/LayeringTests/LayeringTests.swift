// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The module map: the allowed dependencies of each target, compared with Package.swift and with the imports of the
/// sources.
@Suite("Layering", .timeLimit(.minutes(30)))
struct LayeringTests {
    /// kbuild's targets, the lowest first. A target depends only on targets of the lines above its own or on targets to
    /// the left of it in its line.
    private static let order = """
        CSupervisor CDescriptors CSeccomp COpenSSL CGuestfs CHostProbe CSyscall SyscallTesting TemplateEmbedder EmbedTemplate
        FileSystem Diagnostics YAML Artifacts Processes TextInput
        KernelSource Patching Syscalls PatchedTree KernelMake KernelConfig IncrementalBuild KernelBuild
        Coverage ResultsModel KTAP CrashReports TestSession Reporting
        RootFilesystem VirtualMachine
        ProjectTemplate Project RunStore Doctor Authoring GuestSession AgentServer
        Application
        kbuild
        """.split(whereSeparator: \.isWhitespace).map(String.init)

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static func manifest() throws -> [ManifestTarget] {
        try ManifestTarget.all(in: String(contentsOf: root.appending(path: "Package.swift"), encoding: .utf8))
    }

    @Test("the manifest is read: a target's dependencies without products, and its folder")
    func reader() {
        let text = """
            .target(
                name: "A",  // with "B"
                dependencies: ["C", "D", .product(name: "E", package: "e")],
                path: "Sources/X/A", swiftSettings: own),
            .target(name: "F", plugins: ["G"]),
            .plugin(name: "G", capability: .buildTool, dependencies: ["H"]),
            .testTarget(name: "ATests", dependencies: ["A"]),
            """
        #expect(
            ManifestTarget.all(in: text) == [
                ManifestTarget(
                    name: "A", dependencies: ["C", "D"], products: ["E"], path: "Sources/X/A", isTest: false),
                ManifestTarget(name: "F", dependencies: [], path: "Sources/F", isTest: false),
                ManifestTarget(name: "G", dependencies: ["H"], path: "Plugins/G", isTest: false),
                ManifestTarget(name: "ATests", dependencies: ["A"], path: "Tests/ATests", isTest: true),
            ])
    }

    @Test("the imports of a file are read, with any word before `import`")
    func importReader() {
        let text = """
            // import Comment
            @testable import A
            public import struct B.Value
            import C
            """
        #expect(ManifestTarget.imports(in: text) == ["A", "B", "C"])
    }

    @Test("each target has a place in the module map, and depends only on targets below it")
    func downward() throws {
        let targets = try Self.manifest().filter { $0.path.hasPrefix("Sources/") || $0.path.hasPrefix("Plugins/") }
        #expect(Set(targets.map(\.name)) == Set(Self.order))
        for target in targets {
            let place = try #require(Self.order.firstIndex(of: target.name), "\(target.name) has no place in the map")
            for dependency in target.dependencies {
                let other = try #require(
                    Self.order.firstIndex(of: dependency), "\(dependency) has no place in the map")
                #expect(other < place, "\(target.name) depends upward, on \(dependency)")
            }
        }
    }

    @Test("each target imports exactly the declared modules among those of kbuild and its packages")
    func imports() throws {
        let targets = try Self.manifest()
        let own = Set(targets.flatMap { [$0.name] + $0.products })
        var count = 0
        for target in targets where !target.path.hasPrefix("Plugins/") {
            let imported = try target.imports(under: Self.root).intersection(own).subtracting([target.name])
            count += imported.count
            let declared = Set(target.dependencies + target.products)
            #expect(
                imported.subtracting(declared).isEmpty,
                "\(target.name) imports without declaring it: \(imported.subtracting(declared).sorted())")
            #expect(
                declared.subtracting(imported).isEmpty,
                "\(target.name) declares without importing it: \(declared.subtracting(imported).sorted())")
        }
        // The reader finds the expected parts.
        #expect(count > targets.count)
    }

    @Test("every target's files see only the members of the modules that they import themselves")
    func visibility() throws {
        let manifest = try String(contentsOf: Self.root.appending(path: "Package.swift"), encoding: .utf8)
        #expect(manifest.contains(#".enableUpcomingFeature("MemberImportVisibility")"#))
    }

    @Test("text is split at bytes: CR LF is one Character, which a split at \"\\n\" misses")
    func lineSplitting() throws {
        let sources = Self.root.appending(path: "Sources")
        let names = (FileManager.default.subpaths(atPath: sources.path) ?? []).filter { $0.hasSuffix(".swift") }
        // HeaderChange compares lines with their CR, MachineSnapshot splits what kbuild wrote, and the suites in the
        // guest import SyscallTesting alone.
        let known = ["Kernel/IncrementalBuild/HeaderChange.swift", "Guest/VirtualMachine/MachineSnapshot.swift"]
        var found: [String] = []
        for name in names where !known.contains(name) && !name.hasPrefix("SyscallTesting/") {
            let text = try String(contentsOf: sources.appending(path: name), encoding: .utf8)
            let uses = text.matches(of: /(\w+)?\??\.split\((separator: "\\n"|whereSeparator: \\\.isNewline)/)
            if uses.contains(where: { $0.output.1 != "unicodeScalars" }) { found.append(name) }
        }
        #expect(names.count > 200)
        #expect(found == [], "use textLines()")
    }

    @Test("each suite has one time limit, and a tag of its cost if it boots guests")
    func suites() throws {
        let tests = Self.root.appending(path: "Tests")
        let names = (FileManager.default.subpaths(atPath: tests.path) ?? []).filter {
            $0.contains(/^\w+Tests\/\w+\.swift$/) && !$0.hasPrefix("GuestTests/")
        }
        var unlimited: [String] = []
        var untagged: [String] = []
        var count = 0
        for name in names {
            let text = try String(contentsOf: tests.appending(path: name), encoding: .utf8)
            let isCostly = text.contains(/try Fixture\.executable\(\)/) || name.hasPrefix("IntegrationTests/")
            // A suite inside of another has that one's traits.
            for suite in text.matches(of: /(?m)^@Suite(?<traits>.*(?:\n .*)*)/) {
                count += 1
                // All suites share the processors, and the time that a test waits for one counts: on a machine that
                // five others use, that was six minutes. The limit is for tests that hang.
                let limits = suite.traits.matches(of: /\.timeLimit\(\.minutes\((\d+)\)\)/).map { Int($0.output.1) ?? 0 }
                if limits.count != 1 || limits[0] < 30 { unlimited.append(name) }
                if isCostly, !suite.traits.contains(".costly") || !suite.traits.contains(".tags(") {
                    untagged.append(name)
                }
            }
            let structures = text.matches(of: /(?m)^(?:final )?(?:struct|class|actor) \w+Tests?\b/).count
            if structures > text.matches(of: /(?m)^@Suite/).count { unlimited.append(name) }
            // Only a suite limits time.
            if text.contains(/@Test\([^\n]*timeLimit/) { unlimited.append(name) }
        }
        #expect(count > 100)
        #expect(unlimited == [], "@Suite(..., .timeLimit(.minutes(30)))")
        #expect(untagged == [], "@Suite(..., .tags(.guest), .costly)")
    }

    @Test("only FileSystem calls stat and resolves paths")
    func fileStatus() throws {
        let sources = Self.root.appending(path: "Sources")
        let names = (FileManager.default.subpaths(atPath: sources.path) ?? []).filter { $0.hasSuffix(".swift") }
        var found: [String] = []
        for name in names where !name.hasPrefix("Support/FileSystem/") {
            let text = try String(contentsOf: sources.appending(path: name), encoding: .utf8)
            if text.contains(/\b([lf]?stat|fstatat|realpath)\(/) { found.append(name) }
        }
        #expect(names.count > 200)
        #expect(found == [], "use FileStatus and resolvedPath(_:)")
    }

    /// The functions of a source, except private and local ones, that return a tuple, and its stored properties that
    /// are tuples, except private ones.
    private static func tuples(in text: String) -> [String] {
        let results = text.matches(
            of:
                /(?m)^(?<indent> *)(?<words>(?:[\w@()]+ )*)func (?<name>\w+)(?<signature>[^{}]*?)-> *\[?\((?:\w+: )?[\[\w][^()]*, [^()]*\)[\]?]*\s*\{/
        )
        let properties = text.matches(
            of: /(?m)^ {4}(?<words>(?:[\w@()]+ )*)(?:var|let) (?<name>\w+): *\[?\(\w+: [^()]*, [^()]*\)/)
        return results.filter { $0.indent.count < 8 && !$0.words.contains("private") }.map { String($0.name) }
            + properties.filter { !$0.words.contains("private") }.map { String($0.name) }
    }

    @Test("functions and properties that are not private have named types, not tuples")
    func tuplesAreTypes() throws {
        let example = """
            struct A {
                var one: (first: Int, second: Int)
                private var two: [(first: Int, second: Int)] = []
                static let three: [(first: Int, second: String)] = []
                func four(_ x: Int) async throws -> (first: Int, second: Int)? {
                    func five() -> (Int, Int) { (1, 2) }
                }
                private func six() -> (Int, Int) {}
                func seven() -> [(Int, String)] {
                func eight(_ body: (Int, Int) -> Int) -> Int {
                func nine() -> (Int, Int) -> Void {
            """
        #expect(Self.tuples(in: example) == ["four", "seven", "one", "three"])
        let sources = Self.root.appending(path: "Sources")
        let names = (FileManager.default.subpaths(atPath: sources.path) ?? []).filter { $0.hasSuffix(".swift") }
        var found: [String] = []
        for name in names {
            let text = try String(contentsOf: sources.appending(path: name), encoding: .utf8)
            // A pair of the results of any two pieces of work.
            found += Self.tuples(in: text).filter { $0 != "together" }.map { "\(name): \($0)" }
        }
        #expect(names.count > 200)
        #expect(found == [])
    }
}
