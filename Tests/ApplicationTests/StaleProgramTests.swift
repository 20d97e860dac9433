// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import SystemPackage
import Testing

@testable import Application
@testable import Project

/// Programs and packages whose inputs change. These tests run gcc and `swift package describe`.
@Suite("Programs are never stale", .timeLimit(.minutes(30)))
struct StaleProgramTests {
    let scratch: FilePath
    let tools: ToolContext
    let numbers: NumbersModule

    init() throws {
        scratch = FilePath(FileManager.default.temporaryDirectory.path).appending("kbuild-stale-\(UUID().uuidString)")
        try createFolder(scratch)
        let layout = CacheLayout(root: scratch.appending("cache"))
        let store = ArtifactStore(layout: layout, statCache: StatCache())
        tools = ToolContext(layout: layout, store: store, runner: CommandRunner(), progress: .silent)
        numbers = NumbersModule(header: "", in: layout)
        try numbers.write()
    }

    private var builder: GuestProgramBuilder {
        GuestProgramBuilder(
            tools: tools, project: scratch, projectCache: tools.layout.projects.appending("p"), rules: nil)
    }

    private func write(_ name: String, _ text: String) throws {
        let path = scratch.pushing(FilePath(name))
        try createFolder(path.removingLastComponent())
        try writeAtomically(text, to: path)
    }

    private struct Outcome: Equatable {
        var code: ProcessStatus
        var isHit: Bool
    }

    /// Compiles p/main.c, unless that is done, and runs it.
    ///
    /// - Returns: Its exit code, and whether it was in the store.
    private func run() async throws -> Outcome {
        let built = try builder.programRecipe(source: scratch.pushing("p/main.c"), is32Bit: false, numbers: numbers)
        let executable = try await builder.program(built, is32Bit: false)
        return Outcome(
            code: try await tools.runner.capture(Command(executable.string)).status, isHit: built.isMade)
    }

    @Test(
        "an edit of any file that gcc, as or ld read has the program compiled again (A3 a)",
        arguments: [
            ("../lib/x.h", "#include \"../lib/x.h\"\nint main(void) { return VALUE; }\n"),
            ("util/more.c", "#include \"util/more.c\"\nint main(void) { return VALUE; }\n"),
            ("beside.inc", "#include \"beside.inc\"\nint main(void) { return VALUE; }\n"),
            (
                "data.bin",
                "__asm__(\".data\\nv: .incbin \\\"p/data.bin\\\"\\n.text\");\nextern char v[];\nint main(void) { return v[15] - '0'; }\n"
            ),
        ])
    func includes(file: String, program: String) async throws {
        try write("p/main.c", program.replacingOccurrences(of: "p/data.bin", with: "\(scratch)/p/data.bin"))
        let path = "p/" + file
        try write(path, "#define VALUE  7\n")
        #expect(try await run() == Outcome(code: .exited(7), isHit: false))
        #expect(try await run() == Outcome(code: .exited(7), isHit: true))
        try write(path, "#define VALUE  8\n")
        #expect(try await run() == Outcome(code: .exited(8), isHit: false))
        try write(path, "#define VALUE  7\n")
        #expect(try await run() == Outcome(code: .exited(7), isHit: true))
    }

    @Test("a header that appears where it is found first, and one that was missing before (A3, sibling)")
    func appearing() async throws {
        try write("lib/x.h", "#define VALUE 1\n")
        try write("lib/y.h", "#include \"x.h\"\n")
        let program = """
            #include "../lib/y.h"
            #if __has_include("local/z.h")
            #include "local/z.h"
            #endif
            int main(void) { return VALUE; }

            """
        try write("p/main.c", program)
        #expect(try await run() == Outcome(code: .exited(1), isHit: false))
        #expect(try await run() == Outcome(code: .exited(1), isHit: true))
        try write("p/local/z.h", "#undef VALUE\n#define VALUE 2\n")
        #expect(try await run() == Outcome(code: .exited(2), isHit: false))
        try removeAll(scratch.pushing("p/local"))
        #expect(try await run() == Outcome(code: .exited(1), isHit: true))
    }

    @Test("two projects with the same source and different headers have separate programs (A3, sibling)")
    func twoPlaces() async throws {
        try write("p/main.c", "#include \"x.h\"\nint main(void) { return VALUE; }\n")
        try write("p/x.h", "#define VALUE 1\n")
        #expect(try await run().code == .exited(1))
        try write("q/main.c", "#include \"x.h\"\nint main(void) { return VALUE; }\n")
        try write("q/x.h", "#define VALUE 2\n")
        let other = try builder.programRecipe(source: scratch.pushing("q/main.c"), is32Bit: false, numbers: numbers)
        let executable = try await builder.program(other, is32Bit: false)
        #expect(try await tools.runner.capture(Command(executable.string)).status == .exited(2))
    }

    @Test("a file that is edited while gcc runs is compiled again (A4)", arguments: ["main.c", "../lib/x.h", "new.h"])
    func editedMeanwhile(file: String) async throws {
        try write("lib/x.h", "#define FAR 0\n")
        try write(
            "p/main.c",
            "#include \"../lib/x.h\"\n#if __has_include(\"new.h\")\n#include \"new.h\"\n#endif\n"
                + "#ifndef VALUE\n#define VALUE 1\n#endif\nint main(void) { return VALUE + FAR; }\n")
        let edited = scratch.pushing("p").pushing(FilePath(file))
        let text =
            switch file {
            case "main.c": "int main(void) { return 2; }\n"
            case "new.h": "#define VALUE 2\n"
            default: "#define FAR 1\n"
            }
        try write("after", text)
        // The file changes after the compiler has ended and before kbuild has.
        let wrapper =
            "#!/bin/sh\n/usr/bin/gcc \"$@\"; s=$?\n[ -e \(scratch)/after ] && mv \(scratch)/after \(edited)\nexit $s\n"
        try write("bin/gcc", wrapper)
        chmod(scratch.pushing("bin/gcc").string, 0o755)
        var tools = tools
        tools = ToolContext(
            layout: tools.layout, store: tools.store,
            runner: CommandRunner(searchPath: "\(scratch)/bin:/usr/bin:/bin"), progress: .silent)
        let builder = GuestProgramBuilder(
            tools: tools, project: scratch, projectCache: tools.layout.projects.appending("p"), rules: nil)
        for isHit in [false, true] {
            let built = try builder.programRecipe(source: scratch.pushing("p/main.c"), is32Bit: false, numbers: numbers)
            let executable = try await builder.program(built, is32Bit: false)
            #expect(built.isMade == isHit)
            #expect(try await tools.runner.capture(Command(executable.string)).status == .exited(2))
        }
    }

    @Test("the result of a confined build is not used by a trusted one, nor by that of another project (C2, sibling)")
    func trust() throws {
        let source = scratch.pushing("p/main.c")
        try write("p/main.c", "int main(void) { return 0; }\n")
        let project = try Project.load(
            text: "kernel: {source: linux-source-6.1}\n", file: scratch.appending("kbuild.yaml"), profile: nil,
            overrides: [])
        let rules = Confinement.Rules(user: 61_300, provenance: Provenance(of: project), coversAll: true)
        func key(_ rules: Confinement.Rules?, _ project: String) throws -> Digest {
            let builder = GuestProgramBuilder(
                tools: tools, project: scratch, projectCache: tools.layout.projects.appending(project), rules: rules)
            return try builder.programRecipe(source: source, is32Bit: false, numbers: numbers).key.digest
        }
        let keys = try [key(nil, "p"), key(rules, "p"), key(rules, "q")]
        #expect(Set(keys).count == 3)
        #expect(try key(nil, "q") == keys[0])
    }

    // MARK: Swift packages

    private func manifest(_ name: String, dependency: String? = nil, folder: String? = nil) -> String {
        let dependencies = dependency.map { ".package(path: \"\($0)\")" } ?? ""
        let products = dependency == nil ? "" : "dependencies: [.product(name: \"Lib\", package: \"Lib\")], "
        return """
            // swift-tools-version: 6.0
            import PackageDescription
            let package = Package(name: "\(name)", dependencies: [\(dependencies)], targets: [
                .testTarget(name: "T", \(products)path: "\(folder ?? "Tests/T")")])

            """
    }

    private func recipe() async throws -> GuestProgramBuilder.BundleRecipe {
        try await builder.bundleRecipe(package: scratch.appending("s"), numbers: numbers)
    }

    @Test("a package is built with the user's number of jobs, and the result does not depend on it")
    func jobs() async throws {
        try write("s/Package.swift", manifest("Suite"))
        try write("s/Tests/T/t.swift", "let a = 1\n")
        let plain = try await recipe()
        #expect(!plain.build.arguments.contains("--jobs"))
        var builder = builder
        builder.jobs = 3
        let limited = try await builder.bundleRecipe(package: scratch.appending("s"), numbers: numbers)
        #expect(limited.build.arguments.starts(with: ["--jobs", "3"]))
        #expect(limited.key.digest == plain.key.digest && limited.state == plain.state)
    }

    @Test(
        "a package's key follows links, resolved versions, resources and dependencies in folders of any form (A3 b, c, d)"
    )
    func packages() async throws {
        try write("s/Package.swift", manifest("Suite", dependency: "Lib", folder: "odd"))
        try write("s/odd/data.txt", "1")
        try write("far/real.swift", "let a = 1\n")
        symlink("../../far/real.swift", scratch.pushing("s/odd/linked.swift").string)
        // A dependency inside of the package, without a folder Sources.
        try write(
            "s/Lib/Package.swift",
            "// swift-tools-version: 6.0\nimport PackageDescription\nlet package = Package(name: \"Lib\", products: "
                + "[.library(name: \"Lib\", targets: [\"Lib\"])], targets: [.target(name: \"Lib\", path: \"code\")])\n")
        try write("s/Lib/code/lib.swift", "public let b = 1\n")
        var keys = [try await recipe().key.digest]
        #expect(try await recipe().key.digest == keys[0])
        for (file, text) in [
            ("far/real.swift", "let a = 2\n"), ("s/Lib/code/lib.swift", "public let b = 2\n"), ("s/odd/data.txt", "2"),
            ("s/Package.resolved", "{\"pins\": [], \"version\": 2}"), ("s/Lib/code/more.swift", "let c = 1\n"),
            ("s/.swiftpm/configuration/mirrors.json", "{\"object\": [], \"version\": 1}"),
        ] {
            try write(file, text)
            keys.append(try await recipe().key.digest)
        }
        #expect(Set(keys).count == keys.count)
        // A file that no target reads is not an input.
        try write("s/README.md", "text")
        #expect(try await recipe().key.digest == keys.last)
    }

    @Test("a header outside of a package is recognized by any path that the compiler names (A3, sibling)")
    func farHeaders() throws {
        try write("far/x.h", "")
        try write("s/Sources/C/own.h", "")
        symlink("../../../far", scratch.pushing("s/Sources/C/link").string)
        let folder = scratch.pushing("s/Sources/C")
        let far: Set<String> = ["\(folder)/../../../far/x.h", "\(folder)/link/x.h", "\(scratch)/far/x.h"]
        let files = far.union(["\(folder)/own.h", "\(folder)/../C/own.h", "\(folder)/gone.h"])
        #expect(GuestProgramBuilder.files(files, outsideOf: [folder]) == far)
    }

    @Test("the bundle is the one that SwiftPM names, also when the package gets another name (A3 e)")
    func renamed() async throws {
        try write("s/Package.swift", manifest("Zulu"))
        try write("s/Tests/T/t.swift", "")
        #expect(try await recipe().packages.testProduct == "ZuluPackageTests.xctest")
        try write("s/Package.swift", manifest("Alpha"))
        #expect(try await recipe().packages.testProduct == "AlphaPackageTests.xctest")
        try writeAtomically(
            try readText(scratch.pushing("s/Package.swift")).replacingOccurrences(of: "testTarget", with: "target"),
            to: scratch.pushing("s/Package.swift"))
        #expect(try await recipe().packages.testProduct == nil)
    }
}
