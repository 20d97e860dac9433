// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// Edits of every kind, built by `kbuild build --verify-build`: whichever way kbuild takes, a plain make must find
/// nothing left to do afterwards and the same kernel.
@Suite("kbuild build --verify-build", .serialized, .tags(.guest), .costly, .timeLimit(.minutes(60)))
struct VerifyBuildTests {
    private let fixture: Fixture
    private static let box = "kernel/msgbox/msgbox.c"
    private static let spec = "kernel/msgbox/syscall.yaml"

    init() throws {
        fixture = try Fixture()
    }

    /// What the step `compile` said.
    private struct Build {
        var result: CommandResult
        /// Empty when the kernel was in the store.
        var detail = ""
        var isHit = false

        var objects: Int? { detail.split(separator: " ").first.flatMap { Int($0) } }
        /// Incremental, and a plain make agreed.
        var isIncremental: Bool { detail.hasSuffix(", incremental, confirmed by a plain make") || isReplayed }
        /// Without make, and a plain make agreed.
        var isReplayed: Bool { detail.hasSuffix(", incremental without make, confirmed by a plain make") }
    }

    private func build(_ arguments: String...) async throws -> Build { try await build(arguments) }

    private func build(_ arguments: [String]) async throws -> Build {
        let command = Command(
            try Fixture.executable(), ["build", "--no-progress"] + arguments, workingDirectory: fixture.project)
        let result = try await CommandRunner().capture(command)
        print("$ \(command)\n\(result.errors)\(result.output)=> \(result.status)")
        var build = Build(result: result)
        // "  compile    made    3.10 s  1 object, incremental"
        let words =
            result.errors.split(separator: "\n").last { $0.hasPrefix("  compile ") }?.split(separator: " ") ?? []
        if words.count > 3 {
            build.isHit = words[1] == "hit"
            build.detail = build.isHit ? "" : words.dropFirst(4).joined(separator: " ")
        }
        return build
    }

    private func verified() async throws -> Build {
        let build = try await build("--verify-build")
        #expect(build.result.status == .exited(0))
        return build
    }

    /// A text that no build before has had, so that no kernel with it is in the store.
    private func fresh() -> String { "kbuild_test_\(UInt32.random(in: 0 ... .max))" }

    private func append(_ name: String, _ text: String) throws {
        try fixture.write(name, try readText(fixture.project.pushing(FilePath(name))) + text)
    }

    /// Leaves the output built from the project as it is in the repository.
    private func buildSnapshot() async throws {
        // A kernel that is in the store is not built: a comment makes it another one.
        try append(Self.box, "/* \(fresh()) */\n")
        #expect(try await build().result.status == .exited(0))
    }

    // MARK: C files

    @Test("a function's body, a comment, an include, an exported symbol and an initcall use an incremental build")
    func sources() async throws {
        try await buildSnapshot()
        let name = fresh()
        let edits = [
            "/* \(name) */\n",
            "static int \(name);\nint get_\(name)(void);\nint get_\(name)(void)\n{\n\treturn \(name)++;\n}\n",
            "#include <linux/random.h>\nu32 draw_\(name)(void);\nu32 draw_\(name)(void)\n{\n\treturn get_random_u32();\n}\n",
            "#include <linux/export.h>\nint set_\(name);\nEXPORT_SYMBOL_GPL(set_\(name));\n",
            "#include <linux/init.h>\nstatic int __init init_\(name)(void)\n{\n\treturn 0;\n}\nlate_initcall(init_\(name));\n",
        ]
        for (index, edit) in edits.enumerated() {
            try append(Self.box, edit)
            let build = try await verified()
            #expect(build.isIncremental, "\(edit)")
            #expect(build.objects == 1, "\(edit)")
            // A first incremental make may be needed to learn how make links.
            #expect(index == 0 || build.isReplayed, "\(edit)")
        }
        // A plain build makes the image that a replay leaves out.
        try append(Self.box, "/* \(name) again */\n")
        #expect(try await build("--verify-build").isReplayed)
        let image = try await build()
        #expect(image.isHit)
        #expect(image.result.output.hasSuffix("/image\n"))
        #expect(fileExists(FilePath(String(image.result.output.dropLast()))))
    }

    @Test("two files in two folders use one incremental build; a file that was only touched uses none")
    func severalFiles() async throws {
        try await buildSnapshot()
        let name = fresh()
        try append(Self.box, "/* \(name) */\n")
        try append("kernel/process-info/process_info.c", "/* \(name) */\n")
        let two = try await verified()
        #expect(two.isIncremental)
        #expect(two.objects == 2)

        let bytes = try readBytes(fixture.project.pushing(FilePath(Self.box)))
        try removeAll(fixture.project.pushing(FilePath(Self.box)))
        try writeAtomically(bytes, to: fixture.project.pushing(FilePath(Self.box)))
        #expect(try await verified().isHit)
    }

    @Test("an error in a C file is reported as by a plain make, and its correction uses an incremental build")
    func errors() async throws {
        try await buildSnapshot()
        let before = try readText(fixture.project.pushing(FilePath(Self.box)))
        try append(Self.box, "int \(fresh())(void)\n{\n\treturn no_such_thing;\n}\n")
        let incremental = try await build()
        let replayed = try await build("--verify-build")
        let plain = try await build("--no-incremental")
        for build in [incremental, replayed, plain] {
            #expect(build.result.status == .exited(4))
            #expect(build.result.errors.contains("\(Self.box):"))
            #expect(build.result.errors.contains("'no_such_thing' undeclared"))
        }
        func report(_ text: String) -> Substring { text.firstRange(of: "error: ").map { text[$0.lowerBound...] } ?? "" }
        #expect(report(incremental.result.errors) == report(plain.result.errors))
        #expect(report(replayed.result.errors) == report(plain.result.errors))

        let name = fresh()
        try fixture.write(
            Self.box, before + "int kbuild_gone(void);\nint \(name)(void)\n{\n\treturn kbuild_gone();\n}\n")
        for arguments in [[], ["--verify-build"]] {
            let unlinked = try await build(arguments)
            #expect(unlinked.result.status == .exited(4))
            #expect(unlinked.result.errors.contains("nothing defines kbuild_gone"))
        }

        try fixture.write(Self.box, before + "/* \(fresh()) */\n")
        #expect(try await verified().isIncremental)
    }

    // MARK: Other files

    @Test("a header beside the sources uses an incremental build once it exists")
    func header() async throws {
        try await buildSnapshot()
        let name = fresh()
        try fixture.write("kernel/msgbox/msgbox_limits.h", "/* \(name) */\n#define MSGBOX_SPARE 1\n")
        try fixture.edit(
            Self.spec, replacing: "sources: [msgbox.c]", with: "sources: [msgbox.c]\nheaders: [msgbox_limits.h]")
        try append(Self.box, "#include \"msgbox_limits.h\"\nint \(name) = MSGBOX_SPARE;\n")
        let added = try await verified()
        #expect(!added.isIncremental)
        try fixture.edit("kernel/msgbox/msgbox_limits.h", replacing: "SPARE 1", with: "SPARE 2")
        let edited = try await verified()
        #expect(edited.isIncremental)
        #expect(edited.objects == 1)
    }

    @Test("a new file, a deleted one, a makefile and an option need a plain make")
    func plain() async throws {
        try await buildSnapshot()
        let name = fresh()
        try fixture.write("kernel/msgbox/more.c", "int \(name);\n")
        try fixture.edit(Self.spec, replacing: "sources: [msgbox.c]", with: "sources: [msgbox.c, more.c]")
        let added = try await verified()
        #expect(!added.isIncremental)
        #expect(added.objects ?? 0 >= 1)

        // Now it is a file like others.
        try append("kernel/msgbox/more.c", "int more_\(name);\n")
        #expect(try await verified().isIncremental)

        try fixture.edit(Self.spec, replacing: "sources: [msgbox.c, more.c]", with: "sources: [msgbox.c]")
        try removeAll(fixture.project.appending("kernel/msgbox/more.c"))
        try append(Self.box, "/* \(name) */\n")
        #expect(try await !verified().isIncremental)

        // Read by one file alone. A name that no run before had: each configuration has its own output.
        try append("configs/base.config", "\nCONFIG_DEFAULT_HOSTNAME=\"\(name)\"\n")
        let option = try await verified()
        #expect(!option.isIncremental)
        #expect(!option.isHit)
        #expect(try await build("--no-incremental").isHit)

        try append(Self.box, "/* again \(name) */\n")
        #expect(try await !build("--no-incremental").isIncremental)
        try append(Self.box, "/* and again \(name) */\n")
        #expect(try await verified().isIncremental)
    }

    @Test("patches to a makefile, to Kconfig and to a header that others include need a plain make")
    func patches() async throws {
        try await buildSnapshot()
        let name = fresh()
        try fixture.edit(
            "kbuild.yaml", replacing: "kernel/memcpy-struct\n  config:",
            with: "kernel/memcpy-struct\n    - kernel/edit.patch\n  config:")
        let makefile = """
            --- a/ipc/Makefile
            +++ b/ipc/Makefile
            @@ -2,3 +2,4 @@
             #
             # Makefile for the linux ipc.
            +ccflags-y += -D\(name)
             #

            """
        let kconfig = """
            --- a/lib/Kconfig
            +++ b/lib/Kconfig
            @@ -1,3 +1,4 @@
             # SPDX-License-Identifier: GPL-2.0-only
            +# \(name)
             #
             # Library configuration

            """
        let header = """
            --- a/include/uapi/linux/kcmp.h
            +++ b/include/uapi/linux/kcmp.h
            @@ -1,2 +1,3 @@
             /* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
            +/* \(name) */
             #ifndef _UAPI_LINUX_KCMP_H

            """
        for patch in [makefile, kconfig, header] {
            try fixture.write("kernel/edit.patch", patch)
            let build = try await verified()
            #expect(!build.isIncremental, "\(patch)")
            #expect(!build.isHit, "\(patch)")
        }
    }

    // MARK: Whole kernels

    // These compile a kernel each, or most of one.

    @Test(
        "on the newer kernel and on user-mode Linux an edit also uses an incremental build; on the latter without make",
        .tags(.kernels),
        arguments: [["--kernel", "linux-source-6.12"], ["--machine", "uml"]])
    func otherKernels(arguments: [String]) async throws {
        func verified() async throws -> Build {
            let build = try await build(arguments[0], arguments[1], "--verify-build")
            #expect(build.result.status == .exited(0))
            return build
        }
        try append(Self.box, "/* \(fresh()) */\n")
        _ = try await verified()
        for (index, edit) in ["/* \(fresh()) */\n", "int \(fresh());\n", "u64 \(fresh());\n"].enumerated() {
            try append(Self.box, edit)
            let build = try await verified()
            #expect(build.isIncremental, "\(edit)")
            // The first one learns how make links.
            if arguments.contains("uml") { #expect(index == 0 || build.isReplayed, "\(edit)") }
            #expect(build.objects == 1, "\(edit)")
        }
    }

    @Test(
        "a second project and another configuration start from the first output, and agree with a clean build",
        .tags(.proof))
    func copies() async throws {
        // A third of the usual options: what is compiled is the same in kind.
        try self.append("kbuild.yaml", "  tiny:\n    kernel: {base: tinyconfig, config: [configs/tiny.config]}\n")
        try fixture.write("configs/tiny.config", "CONFIG_64BIT=y\n")
        let name = fresh()
        try self.append(Self.box, "/* first \(name) */\n")
        #expect(try await self.build("--profile", "tiny").result.status == .exited(0))
        let second = try fixture.copy(to: fixture.project.removingLastComponent().appending("second"))
        let empty = second.removingLastComponent().appending("empty-cache")
        defer { for folder in [second, empty] { try? removeAll(folder) } }
        func append(_ text: String, to name: String) throws {
            let path = second.pushing(FilePath(name))
            try writeAtomically(try readText(path) + text, to: path)
        }
        func build(_ environment: [String: String] = [:]) async throws -> Build {
            let command = Command(
                try Fixture.executable(), ["build", "--no-progress", "-v", "--profile", "tiny"],
                environment: ProcessInfo.processInfo.environment.merging(environment) { $1 }, workingDirectory: second)
            let result = try await CommandRunner().capture(command)
            print("$ \(command.tool) \(command.arguments)\n\(result.errors)\(result.output)=> \(result.status)")
            #expect(result.status == .exited(0))
            var build = Build(result: result)
            let line = result.errors.textLines().last { $0.hasPrefix("  compile ") && $0.contains(" made ") } ?? ""
            build.detail = line.split(separator: " ").dropFirst(4).joined(separator: " ")
            return build
        }
        /// What the machine loads, and where its symbols are. The debug information of the project's own files names
        /// folders, and the note with the link's digest follows from it.
        func loaded(_ build: Build) async throws -> [Digest] {
            let folder = FilePath(String(build.result.output.dropLast())).removingLastComponent()
            let bytes = second.appending("vmlinux.bin")
            _ = try await CommandRunner().output(
                of: Command(
                    "objcopy",
                    ["-O", "binary", "-R", ".notes", folder.appending("vmlinux").string, bytes.string]))
            return [try Digest.ofFile(bytes), try Digest.ofFile(folder.appending("System.map"))]
        }
        try append("/* \(name) */\n", to: Self.box)
        for isConfigured in [false, true] {
            if isConfigured { try append("CONFIG_DEFAULT_HOSTNAME=\"\(name)\"\n", to: "configs/tiny.config") }
            let copied = try await build()
            #expect(copied.result.errors.contains("the output starts from "))
            // Caches that hold nothing. The compiler cache is not turned off: with it the compiler sees paths relative
            // to the output, which are in the kernel's warnings (`__FILE__`).
            let whole = try await build([
                "KBUILD_CACHE": empty.string, "CCACHE_DIR": empty.appending("ccache").string,
            ])
            #expect(whole.result.errors.contains("the output starts from ") == isConfigured)
            if !isConfigured {
                let (some, all) = (try #require(copied.objects), try #require(whole.objects))
                #expect(some * 4 < all, "\(some) of \(all)")
            }
            #expect(try await loaded(copied) == loaded(whole))
        }
    }

    @Test(
        "a line in the table needs a plain make, and the next edit of a C file an incremental build",
        .tags(.proof), arguments: ["auto", "uml"])
    func table(machine: String) async throws {
        func verified() async throws -> Build {
            let build = try await build("--machine", machine, "--verify-build")
            #expect(build.result.status == .exited(0))
            return build
        }
        // As buildSnapshot(), for this machine.
        try append(Self.box, "/* \(fresh()) */\n")
        #expect(try await build("--machine", machine).result.status == .exited(0))
        let name = fresh()
        try fixture.write(
            "kernel/extra/syscall.yaml",
            "folder: kernel\nsources: [extra.c]\nsyscalls:\n  - {name: \(name), arguments: []}\n")
        try fixture.write(
            "kernel/extra/extra.c",
            "#include <linux/syscalls.h>\n\nSYSCALL_DEFINE0(\(name))\n{\n\treturn 0;\n}\n")
        try fixture.edit(
            "kbuild.yaml", replacing: "kernel/memcpy-struct\n  config:",
            with: "kernel/memcpy-struct\n    - kernel/extra\n  config:")
        let added = try await verified()
        #expect(!added.isIncremental)
        // Of a thousand that include the numbers, and that the verification has compiled.
        #expect(added.objects ?? 1000 < 100)
        #expect(added.detail.contains(" spared, confirmed by a plain make"))
        try append("kernel/extra/extra.c", "/* \(name) */\n")
        #expect(try await verified().isIncremental)
    }
}
