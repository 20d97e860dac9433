// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import KernelBuild
import KernelSource
import Processes
import SystemPackage
import Testing

/// Builds in the user's own tree.
@Suite("in-tree builds", .timeLimit(.minutes(30)))
struct InTreeBuildTests {
    private static func tree(_ config: String?, _ body: (FilePath) throws -> Void) throws {
        let tree = FilePath(NSTemporaryDirectory()).appending("in-tree-\(UUID().uuidString)")
        try createFolder(tree)
        defer { try? removeAll(tree) }
        if let config { try writeAtomically(config, to: tree.appending(".config")) }
        try body(tree)
    }

    private static func build(_ tree: FilePath, _ environment: [String: String] = [:]) throws -> InTreeBuild {
        try InTreeBuild(tree: tree, jobs: 3, environment: environment)
    }

    @Test("make makes the image, and the modules of a kernel that has some")
    func commands() throws {
        try Self.tree("CONFIG_X86_64=y\nCONFIG_64BIT=y\n") { tree in
            let start = ["--directory=\(tree)", "--no-print-directory", "--jobs=3"]
            #expect(try Self.build(tree).command.arguments == start + ["bzImage"])
            #expect(try Self.build(tree).modules() == [])
            try writeAtomically("CONFIG_X86_64=y\nCONFIG_MODULES=y\n", to: tree.appending(".config"))
            let build = try Self.build(tree)
            #expect(build.command.arguments == start + ["bzImage", "modules"])
            #expect(
                build.installation(below: "/cache/m").arguments
                    == start + ["INSTALL_MOD_PATH=/cache/m", "INSTALL_MOD_STRIP=1", "modules_install"])
            // As old and as new kernels write them.
            try writeAtomically("kernel/fs/9p/9p.ko\nnet/9p/9pnet.o\n", to: tree.appending("modules.order"))
            #expect(try build.modules() == [tree.pushing("fs/9p/9p.ko"), tree.pushing("net/9p/9pnet.ko")])
        }
    }

    @Test(
        "the compiler is that of the configuration, unless the user's environment names one",
        arguments: [
            ("gcc (Debian 12.2.0-14) 12.2.0", [:], nil),
            ("gcc-11 (Debian 11.3.0-12) 11.3.0", [:], "CC=gcc-11"),
            ("Debian clang version 14.0.6", [:], "CC=clang"),
            ("Debian clang version 14.0.6", ["LLVM": "-14"], nil),
            ("gcc-11 (Debian 11.3.0-12) 11.3.0", ["CC": "gcc-12"], nil),
            ("x86_64-linux-gnu-gcc-13 (Ubuntu) 13.2.0", [:], nil),
        ] as [(String, [String: String], String?)])
    func compiler(version: String, environment: [String: String], word: String?) throws {
        try Self.tree("CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"\(version)\"\n") { tree in
            let arguments = try Self.build(tree, environment).command.arguments.dropFirst(3)
            #expect(arguments.dropLast() == (word.map { [$0] } ?? [])[...])
        }
    }

    @Test(
        "a tree that was built is built by the same command again",
        arguments: [
            ("cmd_init/main.o := gcc -Wp,-MMD", []), ("savedcmd_init/main.o := ccache gcc -Wp,-MMD", ["CC=ccache gcc"]),
            ("cmd_init/main.o := clang -Wp,-MMD", ["LLVM=1"]),
            ("cmd_init/main.o := clang-15 -Wp,-MMD", ["LLVM=-15"]),
            ("cmd_init/main.o := ccache clang -Wp,-MMD", ["LLVM=1", "CC=ccache clang"]),
            ("cmd_init/main.o := x86_64-linux-gnu-gcc-12 -Wp", ["CC=x86_64-linux-gnu-gcc-12"]),
        ])
    func recordedCompiler(record: String, words: [String]) throws {
        let lines = ["CONFIG_X86_64=y", "CONFIG_LD_IS_LLD=y", "CONFIG_CC_VERSION_TEXT=\"gcc-11 (Debian) 11\""]
        try Self.tree(lines.map { $0 + "\n" }.joined()) { tree in
            try createFolder(tree.appending("init"))
            try writeAtomically(
                record + "\n\nsource_init/main.o := init/main.c\n", to: tree.pushing("init/.main.o.cmd"))
            #expect(try Self.build(tree).command.arguments.dropFirst(3).dropLast() == words[...])
        }
    }

    @Test(
        "a tree without a configuration, or with one for another architecture, is refused",
        arguments: [nil, "CONFIG_ARM64=y\n", "CONFIG_X86_32=y\n", "CONFIG_UML=y\nCONFIG_X86_64=y\n"] as [String?])
    func refused(config: String?) throws {
        try Self.tree(config) { tree in
            #expect {
                try Self.build(tree)
            } throws: { error in
                (error as? Failure)?.code == .build && (error as? Failure)?.nextStep != nil
            }
        }
    }

    @Test("the files of a build are the tree's, its modules those of its release")
    func files() throws {
        try Self.tree("CONFIG_X86_64=y\n") { tree in
            #expect(throws: Failure.self) { try PrebuiltKernelFiles(builtIn: tree) }
            for name in ["arch/x86/boot/bzImage", "include/config/kernel.release"] {
                try createFolder(tree.pushing(FilePath(name)).removingLastComponent())
            }
            try writeAtomically("image", to: tree.pushing("arch/x86/boot/bzImage"))
            try writeAtomically("6.12.0-me\n", to: tree.pushing("include/config/kernel.release"))
            try writeAtomically("kernel/fs/9p/9p.ko\n", to: tree.appending("modules.builtin"))
            var files = try PrebuiltKernelFiles(builtIn: tree)
            #expect(files.release == "6.12.0-me" && files.modules == nil)
            #expect(ModuleIndex(builtIn: files.builtIn).isBuiltIn("9p"))
            #expect(files.image == tree.pushing("arch/x86/boot/bzImage") && files.config == tree.appending(".config"))
            let folder = tree.pushing("installed/lib/modules/6.12.0-me")
            try createFolder(folder)
            try writeAtomically("", to: folder.appending("modules.dep"))
            files.takeModules(below: tree.appending("installed"))
            #expect(files.modules == folder)
        }
    }
}
