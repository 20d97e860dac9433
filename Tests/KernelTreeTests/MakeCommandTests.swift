// SPDX-License-Identifier: Apache-2.0
import Processes
import SystemPackage
import Testing

@testable import KernelMake

@Suite(.timeLimit(.minutes(30)))
struct MakeCommandTests {
    private let make = KernelMake(tree: "/p/tree", output: "/p/out", jobs: 4, usesCcache: true)

    @Test func namesTreeOutputJobsAndTargets() {
        let command = make.command(["bzImage"], environment: ["PATH": "/bin"])
        #expect(command.tool == "env")
        #expect(
            command.arguments == [
                "-i", "CCACHE_BASEDIR=/p", "CCACHE_HASHDIR=1", "LC_ALL=C", "PATH=/bin", "make",
                "--directory=/p/tree", "--no-print-directory", "--jobs=4", "--output-sync=target", "O=/p/out",
                "ARCH=x86_64", "CC=ccache gcc", "HOSTCC=ccache gcc",
                "KBUILD_BUILD_TIMESTAMP=Thu Jan 1 00:00:00 UTC 1970", "KBUILD_BUILD_USER=kbuild",
                "KBUILD_BUILD_HOST=kbuild", "KBUILD_BUILD_VERSION=1", "bzImage",
            ])
    }

    @Test("variables of the makefiles are passed as make's last arguments, and not in the environment")
    func variables() throws {
        var make = KernelMake(tree: "/p/tree", output: "/p/out")
        let plain = make.command(["vmlinux"], environment: ["PATH": "/bin"]).arguments
        make.variables = ["KCSAN_SANITIZE=n", "KCSAN_SANITIZE_call.o=y"]
        let arguments = make.command(["vmlinux"], environment: ["PATH": "/bin"]).arguments
        #expect(arguments == plain.dropLast() + make.variables + ["vmlinux"])
        // What is exported is not set for make a second time.
        #expect(arguments.count { $0.hasPrefix("PATH=") } == 1)
    }

    @Test(arguments: [
        "MAKEFLAGS", "KBUILD_OUTPUT", "ARCH", "CROSS_COMPILE", "KCONFIG_ALLCONFIG", "LDFLAGS", "V", "M", "LANG", "LLVM",
        "KCFLAGS", "C_INCLUDE_PATH", "LOCALVERSION", "src",
    ])
    func nothingOfTheUsersReachesMake(name: String) {
        let command = make.command([], environment: [name: "stray", "HOME": "/home/u"])
        #expect(!command.arguments.contains { $0.contains("stray") })
        #expect(command.arguments.contains("HOME=/home/u"))
    }

    @Test func ccachesOwnSettingsCountOnlyWithCcache() {
        let environment = ["CCACHE_DIR": "/c", "CCACHE_BASEDIR": "/elsewhere"]
        #expect(make.command([], environment: environment).arguments.contains("CCACHE_DIR=/c"))
        #expect(!make.command([], environment: environment).arguments.contains("CCACHE_BASEDIR=/elsewhere"))
        var plain = make
        plain.usesCcache = false
        let arguments = plain.command([], environment: environment).arguments
        #expect(!arguments.contains { $0.contains("CCACHE") || $0.contains("ccache") })
        #expect(arguments.contains("CC=gcc"))
    }

    @Test("an object with debug information names its folder, so another project's is not taken for it")
    func foldersAreHashed() {
        let arguments = make.command([], environment: ["CCACHE_NOHASHDIR": "1"]).arguments
        #expect(arguments.contains("CCACHE_HASHDIR=1") && !arguments.contains("CCACHE_NOHASHDIR=1"))
    }

    @Test func treesWithoutACommonFolderShareNoBase() {
        let apart = KernelMake(tree: "/a/tree", output: "/b/out", usesCcache: true)
        #expect(!apart.command([], environment: [:]).arguments.contains { $0.hasPrefix("CCACHE_BASEDIR") })
    }

    @Test func userModeLinuxHasItsOwnArchitecture() {
        let um = KernelMake(tree: "/p/tree", output: "/p/um", architecture: .um)
        #expect(um.command([], environment: [:]).arguments.contains("ARCH=um"))
        #expect(um.command([], environment: [:]).arguments.contains("SUBARCH=x86_64"))
        #expect(KernelArchitecture.um.imagePath == "linux")
        #expect(KernelArchitecture.x86_64.defaultTargets == ["bzImage"])
    }
}
