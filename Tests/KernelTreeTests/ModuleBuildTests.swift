// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Fuzzing
import KernelMake
import Processes
import SystemPackage
import Testing

@testable import KernelBuild

/// Modules outside of the kernel's tree: make's command, its messages, and what a module's file says of itself.
@Suite("modules outside of the tree", .timeLimit(.minutes(30)))
struct ModuleBuildTests {
    private static let make = {
        var make = KernelMake(tree: "/c/kernel/tree", output: "/c/kernel/build/x", jobs: 2, usesCcache: true)
        make.variables = ["A=b"]
        return make
    }()

    @Test("make gets the kernel's settings, the folder, its own flags, and the symbols of others; no ccache")
    func command() {
        let builder = ModuleBuilder(runner: CommandRunner(supervisor: nil), environment: ["PATH": "/bin"])
        let folder = ModuleBuilder.Folder(path: "/c/modules/ring", flags: ["-g", "-Wextra"])
        let words = builder.command(Self.make, folder).arguments
        #expect(words.contains("--directory=/c/kernel/tree") && words.contains("O=/c/kernel/build/x"))
        #expect(words.contains("CC=gcc") && words.contains("A=b"))
        #expect(words.suffix(3) == ["M=/c/modules/ring", "KCFLAGS=-g -Wextra", "modules"])
        let other = ModuleBuilder.Folder(path: "/m", flags: [], symbols: ["/a/Module.symvers", "/b/Module.symvers"])
        #expect(
            builder.command(Self.make, other).arguments
                .contains("KBUILD_EXTRA_SYMBOLS=/a/Module.symvers /b/Module.symvers"))
    }

    @Test("messages name the user's own file, whether make prints its copy absolutely or from the output")
    func messages() {
        let own = ["/c/modules/ring/ring.c": "modules/ring/ring.c"]
        for path in ["/c/modules/ring/ring.c", "../../../modules/ring/ring.c"] {
            let report = BuildLog.report(
                [
                    "  CC [M]  /c/modules/ring/ring.o", "\(path): In function 'ring_init':",
                    "\(path):7:9: error: 'x' undeclared (first use in this function)", "    7 |  x = 1;",
                    "make[2]: *** [scripts/Makefile.build:250: /c/modules/ring/ring.o] Error 1",
                ], make: Self.make, userFiles: own)
            #expect(report.isSourceError)
            #expect(
                report.details
                    == "modules/ring/ring.c: In function 'ring_init':\n"
                    + "modules/ring/ring.c:7:9: error: 'x' undeclared (first use in this function)\n    7 |  x = 1;")
            let warnings = BuildLog.warnings(
                ["\(path):9:5: warning: unused variable 'y' [-Wunused-variable]"], make: Self.make, userFiles: own)
            #expect(warnings == ["modules/ring/ring.c:9:5: warning: unused variable 'y' [-Wunused-variable]"])
        }
    }

    @Test("a symbol that nothing exports is explained")
    func symbols() {
        let report = BuildLog.report(
            ["ERROR: modpost: \"nowhere\" [/c/modules/ring/ring.ko] undefined!"], make: Self.make, userFiles: [:])
        #expect(report.isSourceError && report.nextStep?.contains("EXPORT_SYMBOL") == true)
    }

    /// A file with a section .modinfo alone, as Tests/ApplicationTests/ModuleProjectTests.swift makes it too.
    private static func file(_ information: String) -> [UInt8] {
        let names = Array("\0.modinfo\0.shstrtab\0".utf8)
        let contents = Array(information.utf8)
        func number(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 0xFF) } }
        func section(_ name: Int, at offset: Int, size: Int) -> [UInt8] {
            number(name, 4) + number(1, 4) + number(0, 16) + number(offset, 8) + number(size, 8) + number(0, 24)
        }
        let header: [UInt8] =
            [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0] + number(0, 32) + number(64 + names.count + contents.count, 8)
            + number(0, 4) + number(64, 2) + number(0, 4) + number(64, 2) + number(3, 2) + number(2, 2)
        return header + names + contents + section(0, at: 0, size: 0)
            + section(1, at: 64 + names.count, size: contents.count) + section(10, at: 64, size: names.count)
    }

    private static let information = "license=GPL\0depends=base,other\0name=ring\0vermagic=6.1.0 SMP\0name=second\0"

    @Test("a module's file names the module, and those that it needs")
    func information() throws {
        let info = try #require(ModuleInfo(Self.file(Self.information)))
        #expect(info.name == "ring" && info.dependencies == ["base", "other"] && info.versionMagic == "6.1.0 SMP")
        #expect(ModuleInfo(Self.file("name=a\0depends=\0"))?.dependencies == [])
        #expect(ModuleInfo(Self.file("depends=\0")) == nil)
        #expect(ModuleInfo([]) == nil)
        let whole = Self.file(Self.information)
        for count in 0..<whole.count { #expect(ModuleInfo(Array(whole[..<count])) == nil, "\(count)") }
    }

    @Test("damaged files end nothing", arguments: 1...20)
    func damage(seed: UInt64) {
        var mutator = Mutator(seed: seed, of: [Self.file(Self.information)])
        for _ in 0..<500 {
            let bytes = mutator.next()
            if let info = ModuleInfo(bytes) { #expect(!info.name.isEmpty) }
        }
    }
}
