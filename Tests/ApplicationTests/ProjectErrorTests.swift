// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import Testing

@testable import Application
@testable import Project

private func load(_ text: String, profile: String? = nil, _ overrides: ProjectOverride...) throws -> Project {
    try Project.load(text: text, file: "/p/kbuild.yaml", profile: profile, overrides: overrides)
}

/// The errors of a project file, one on each line.
private func errors(_ text: String, _ overrides: ProjectOverride...) throws -> String {
    let thrown = #expect(throws: Failure.self) {
        try Project.load(text: text, file: "/p/kbuild.yaml", profile: nil, overrides: overrides)
    }
    let failure = try #require(thrown)
    #expect(failure.code == .usage)
    return failure.details ?? failure.message
}

@Suite("Errors of the project file", .timeLimit(.minutes(30)))
struct ProjectErrorTests {
    @Test(
        "every error names its line and column",
        arguments: [
            ("a: [\n", "/p/kbuild.yaml:2:1: this is not valid YAML: "),
            ("kernel:\n\tjobs: 1\n", "/p/kbuild.yaml:2:1: a tab indents this line; YAML requires blanks"),
            ("machine:\n  type: pc\n  \tcpus: 1\n", "/p/kbuild.yaml:3:3: a tab indents this line"),
            ("machine:\n  cpus:4\n  memory: 1G\n", "/p/kbuild.yaml:2:1: write a blank after the colon: cpus: 4"),
            (
                "machine:\n  cpus:4\n",
                "machine must be a map of keys, not cpus:4; write a blank after the colon: cpus: 4"
            ),
            ("machine: {type: microwm}\n", "not microwm; did you mean microvm?"),
            ("isolate: tests\n", "not tests; did you mean test?"),
            (
                "kernel: {patches: kernel/a}\n",
                "kernel.patches must be a list, not kernel/a; for example patches: [kernel/a]"
            ),
            ("tests: Tests/G\n", "tests must be a list, not Tests/G; for example tests: [{swift: Tests/G}]"),
            ("tests:\n  swift: Tests/G\n", "tests must be a list; write a dash before the first key of each entry"),
            ("fail-fast: maybe\n", "fail-fast must be on or off, not maybe"),
            ("kernel: *nothing\n", "/p/kbuild.yaml:1:9: this is not valid YAML: found undefined alias"),
            ("kernel: {}\n---\nkernel: {}\n", "/p/kbuild.yaml:2:1: this is not valid YAML: but found another document"),
            (
                "machine:\n  cpus: 1\n  memory: 1G\n  cpus: 2\n",
                "/p/kbuild.yaml:4:3: the key cpus occurs twice in one map, first on line 2"
            ),
            (
                "kernel: {}\r\nmachine: {}\r\nkernel: {}\r\n",
                "/p/kbuild.yaml:3:1: the key kernel occurs twice in one map, first on line 1"
            ),
            (
                "machine: {cpus: 1, cpus: 2}\n",
                "/p/kbuild.yaml:1:20: the key cpus occurs twice in one map, first on line 1, column 11"
            ),
            (
                "tests:\n  - {c: a.c, name: 'x, c: {', arguments: [c, {}],\n     # c: z\n     c: b.c}\n",
                "/p/kbuild.yaml:4:6: the key c occurs twice in one map, first on line 2, column 6"
            ),
            (
                "machine: {cpus:2, memory: 1G}\n",
                "/p/kbuild.yaml:1:11: unknown key machine.cpus:2; write a blank after the colon: cpus: 2"
            ),
            (
                "rootfs: {type: initramfs, packages: [strace]}\n",
                "/p/kbuild.yaml:1:37: rootfs.packages goes with type debian, not with initramfs"
            ),
            (
                "rootfs: {packages: [strace]}\nprofiles: {a: {rootfs: {type: disk, packages: [gdb]}}}\n",
                "/p/kbuild.yaml:2:47: rootfs.packages goes with type debian, not with disk"
            ),
            ("kernel: {jobs: 1}\nmachine: {type: uml}\n", "/p/kbuild.yaml:1:9: kernel needs uml-config, the fragments"),
            (
                "kernel: {uml-config: [u]}\nmachine: {type: uml, results: serial}\n",
                "/p/kbuild.yaml:2:31: machine.results serial goes with QEMU"
            ),
            ("disks: [{size: 3}]\n", "/p/kbuild.yaml:1:16: disks[0].size must be a size such as 512M or 2G, not 3"),
            ("disks: [{}]\n", "/p/kbuild.yaml:1:9: disks[0] needs either size, such as 300M, or file"),
            ("kernel: {source: gibberish}\n", "/p/kbuild.yaml:1:18: the kernel source 'gibberish' is not a package"),
            (
                "kernel: {source: {tarball: l.tar, sha256: abc}}\n",
                "has a sha256 that is not 64 hexadecimal digits: 'abc'"
            ),
            ("kernel: {source: {tarball: l.zip}}\n", "/p/kbuild.yaml:1:18: the kernel source 'l.zip' is not a package"),
            ("kernel: {source: {tarball: ./l.zip}}\n", "/p/kbuild.yaml:1:28: kernel.source.tarball './l.zip' is none"),
            ("kernel: {source: {debian: ./x}}\n", "/p/kbuild.yaml:1:27: kernel.source.debian './x' is none"),
            ("kernel: {source: {git: r, ref: --upload-pack=x}}\n", "begins with a dash"),
            ("kernel: {source: {directory: l, ref: x}}\n", "/p/kbuild.yaml:1:38: ref goes with git"),
            ("profiles: {a: {extends: b}}\n", "/p/kbuild.yaml:1:25: there is no profile b to extend"),
            ("profiles: {a: {extends: a}}\n", "/p/kbuild.yaml:1:25: the profile a extends itself: a > a"),
            ("tests: [{c: a.c}, {c: b/a.c}]\n", "/p/kbuild.yaml:1:19: tests[1] has the name of tests[0], a; give"),
            (
                "shares: [{path: a, target: /x}, {path: b, target: /x}]\n",
                "shares[1].target /x is taken by another share"
            ),
        ])
    func places(text: String, expected: String) throws {
        let told = try errors(text)
        #expect(told.contains(expected), "\(told)")
    }

    @Test("on and off may be written in YAML's other words", arguments: ["on", "true", "yes", "True"])
    func flags(word: String) throws {
        let text = """
            kernel: {debug-info: \(word)}
            machine: {memory-dump: \(word)}
            shares: [{path: a, target: /a, writable: \(word)}]
            fail-fast: \(word)
            sandbox: \(word)
            """
        let project = try load(text)
        #expect(project.kernel.hasDebugInfo && project.machine.keepsMemory && project.failFast)
        #expect(project.shares[0].isWritable && project.sandbox == .on)
        let off = try load("sandbox: false\nfail-fast: no\nshares: [{path: a, target: /a, writable: off}]\n")
        #expect(off.sandbox == .off && !off.failFast && !off.shares[0].isWritable)
    }

    @Test("a missing file is reported with its line and a suggestion")
    func missingFiles() throws {
        let folder = FilePath(FileManager.default.temporaryDirectory.path).appending("missing-\(UUID().uuidString)")
        defer { try? removeAll(folder) }
        try createFolder(folder.pushing("kernel/hello"))
        let file = folder.appending(Project.fileName)
        try writeAtomically("kernel:\n  # kernel/helo\n  patches:\n    - kernel/helo\n", to: file)
        let project = try Project.load(file)
        #expect(ProjectLoader.place(of: project.kernel.patches[0], in: project) == "\(file):4: ")
        let context = try ProjectContext(
            project: project, environment: ["KBUILD_CACHE": folder.appending("cache").string], supervisor: nil,
            onEvent: { _ in })
        let failure = #expect(throws: Failure.self) { try context.checkFiles() }
        #expect(
            failure?.details?.contains("kbuild.yaml:4: kernel.patches: \(folder)/kernel/helo; did you mean hello?")
                == true)
    }

    @Test("errors in parts of every kind are reported together")
    func together() throws {
        let text = """
            kernel: {source: {git: x}}
            shares: [{path: a}, {path: b, target: here}]
            tests: [{name: x}, {swift: a, c: b}]
            """
        #expect(try errors(text).split(separator: "\n").count == 5)
        let circles =
            "machine: {cpu: 1}\nprofiles: {a: {extends: b}, b: {extends: a}, c: {extends: a}, d: {extends: e}}\n"
        #expect(try errors(circles).split(separator: "\n").count == 4)
    }

    @Test("an error in a kernel source on the command line names its flag")
    func flag() throws {
        let text = try errors("kernel: {}\n", ProjectOverride(key: "kernel.source", value: "linux", flag: "--kernel"))
        #expect(text.hasPrefix("--kernel: the kernel source 'linux' is not a package"))
        let unknown = try errors("kernel: {}\n", ProjectOverride(key: "machine.acel", value: "tcg", flag: "--set"))
        #expect(unknown.hasPrefix("--set: unknown key machine.acel; did you mean accel?"))
    }

    @Test("deep nesting is an error, not the end of the process")
    func deepNesting() throws {
        let told = try errors("kernel: " + String(repeating: "[", count: 100_000))
        #expect(told.contains("/p/kbuild.yaml:"))
    }
}

@Suite("Merging and rendering", .timeLimit(.minutes(30)))
struct ProjectMergeTests {
    @Test("a profile's kernel source replaces the file's, in any form")
    func sourceReplaces() throws {
        let text = """
            kernel: {source: {git: /r, ref: v6}, jobs: 2}
            profiles:
              tar: {kernel: {source: {tarball: l.tar}}}
              word: {kernel: {source: linux-source-6.12}}
              back: {extends: tar, kernel: {source: {directory: linux}}}
            """
        #expect(try load(text, profile: "tar").kernel.source == "l.tar")
        #expect(try load(text, profile: "tar").kernel.jobs == 2)
        #expect(try load(text, profile: "word").kernel.source == "linux-source-6.12")
        #expect(try load(text, profile: "back").kernel.source == "./linux")
    }

    @Test("the project's own folder, and folders outside it, survive rendering")
    func folders() throws {
        let project = try load("shares: [{path: ., target: /a}, {path: .., target: /b}, {path: /c, target: /c}]\n")
        #expect(project.shares.map(\.path) == ["/p", "/", "/c"])
        #expect(try load(project.rendered()) == project)
    }

    @Test("this repository's own project file loads, with and without each of its profiles")
    func ownFile() throws {
        let root = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        let file = root.appending(Project.fileName)
        #expect(try Project.load(file).tests.isEmpty == false)
        // Profile names are indented by two blanks below `profiles:`.
        let lines = try readText(file).split(separator: "\n").drop { $0 != "profiles:" }.dropFirst()
        let names = lines.filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") && $0.hasSuffix(":") }
        #expect(!names.isEmpty)
        for name in names {
            let profile = String(name.dropFirst(2).dropLast())
            #expect(try Project.load(file, profile: profile).profile == profile)
        }
    }
}
