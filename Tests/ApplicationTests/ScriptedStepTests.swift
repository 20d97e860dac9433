// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import Glibc
import GuestSession
import KernelBuild
import KernelMake
import KernelSource
import Processes
import Reporting
import Synchronization
import SystemPackage
import TestSession
import Testing
import VirtualMachine

@testable import Application
@testable import Project

/// Each step from a kernel's source to a test's verdict, with a function in place of the tools: the commands that it
/// starts, its use of their results, and its hits in the cache.
@Suite("steps with scripted tools", .timeLimit(.minutes(30)))
struct ScriptedStepTests {
    /// make, compilers and other tools, by the files that they would write.
    private final class Tools: Sendable {
        struct State {
            var commands: [String] = []
            /// The output and exit code of the kernel's make instead of a build.
            var error: String?
            /// The name of a pipe that the failing make leaves in its output.
            var pipe: String?
            /// What sparse and checkpatch print.
            var sparse = ""
            var checkpatch = ""
            /// Whether the kernel's make is ended after its first object.
            var isInterrupted = false
            /// The output of a module's make instead of a build.
            var moduleError: String?
            /// Options that olddefconfig drops.
            var dropped: Set<String> = []
        }

        let state = Mutex(State())

        /// The commands since the last call.
        func take() -> [String] {
            state.withLock { state in
                defer { state.commands = [] }
                return state.commands
            }
        }

        /// Files may be written only below it.
        let folder: FilePath

        init(below folder: FilePath) { self.folder = folder }

        func run(_ command: Command) throws -> CommandResult {
            let words = [command.tool] + command.arguments
            state.withLock { $0.commands.append(words.joined(separator: " ")) }
            func done(_ output: String = "") -> CommandResult {
                CommandResult(status: .exited(0), output: output, errors: "")
            }
            let isMake = words.contains { $0 == "make" || $0.hasSuffix("/make") }
            switch isMake ? "make" : FilePath(command.tool).lastComponent?.string {
            case "make":
                let output = FilePath(try #require(words.first { $0.hasPrefix("O=") }.map { String($0.dropFirst(2)) }))
                if let folder = words.first(where: { $0.hasPrefix("M=") }).map({ FilePath(String($0.dropFirst(2))) }) {
                    if let error = state.withLock({ $0.moduleError }) {
                        return CommandResult(
                            status: .exited(2), output: error.replacingOccurrences(of: "@", with: folder.string),
                            errors: "")
                    }
                    let name = folder.lastComponent?.string ?? ""
                    let source = try readText(folder.appending("\(name).c"))
                    try writeAtomically(
                        ModuleFile.bytes("name=\(name)\0depends=\0text=\(source)\0"),
                        to: folder.appending("\(name).ko"))
                    try writeAtomically("\(folder)/\(name).ko\n", to: folder.appending("modules.order"))
                    try writeAtomically("0x0 \(name)\n", to: folder.appending("Module.symvers"))
                } else if words.contains("olddefconfig") {
                    let dropped = state.withLock { $0.dropped }
                    let config = output.appending(".config")
                    let lines = try readText(config).textLines().filter { line in
                        !dropped.contains { line.hasPrefix("CONFIG_\($0)=") }
                    }
                    try writeAtomically(lines.joined(separator: "\n") + "\n", to: config)
                } else if words.contains(where: { $0.hasSuffix("defconfig") || $0.hasSuffix("tinyconfig") }) {
                    try writeAtomically("CONFIG_64BIT=y\nCONFIG_BASE=y\n", to: output.appending(".config"))
                } else if words.contains("scripts_gdb") {
                    for name in ["vmlinux-gdb.py", "scripts/gdb/linux/tasks.py", "scripts/gdb/linux/tasks.o"] {
                        let file = output.pushing(FilePath(name))
                        try createFolder(file.removingLastComponent())
                        try writeAtomically("# \(name)", to: file)
                    }
                } else if !words.contains("syncconfig") {
                    if let error = state.withLock({ $0.error }) {
                        if let pipe = state.withLock({ $0.pipe }) { mkfifo(output.appending(pipe).string, 0o600) }
                        return CommandResult(status: .exited(2), output: error, errors: "")
                    }
                    if state.withLock({ $0.isInterrupted }) {
                        try createFolder(output.appending("kernel"))
                        try writeAtomically("compiled", to: output.pushing("kernel/first.o"))
                        throw CancellationError()
                    }
                    for (name, text) in [
                        ("vmlinux", "an ELF file"), ("System.map", "0 T _stext"), ("arch/x86/boot/bzImage", "an image"),
                    ] {
                        let file = output.pushing(FilePath(name))
                        try createFolder(file.removingLastComponent())
                        try writeAtomically(text, to: file)
                    }
                    let tree = words.first { $0.hasPrefix("--directory=") }?.dropFirst("--directory=".count) ?? ""
                    try createFolder(output.appending("kernel"))
                    try writeAtomically(
                        "savedcmd_kernel/own.o := gcc -I./include -c -o kernel/own.o \(tree)/kernel/own.c\n",
                        to: output.pushing("kernel/.own.o.cmd"))
                    return done("  CC      kernel/own.o\n  LD      vmlinux\n")
                }
                return done()
            case "gcc":
                let sources = words.filter { $0.hasSuffix(".c") }.joined(separator: " ")
                if let place = words.firstIndex(of: "-MF") {
                    try writeAtomically("out: \(sources)\n", to: FilePath(words[place + 1]))
                }
                // as and ld write such files too.
                for mark in ["-Wa,--MD,", "-Wl,--dependency-file="] {
                    guard let option = words.first(where: { $0.hasPrefix(mark) }) else { continue }
                    try writeAtomically("out: \(sources)\n", to: FilePath(String(option.dropFirst(mark.count))))
                }
                guard let place = words.firstIndex(of: "-o"), place + 1 < words.count else { return done() }
                // As root, a tool could replace a device by a file.
                guard words[place + 1].hasPrefix(folder.string + "/") else { return done() }
                try writeAtomically("an executable", to: FilePath(words[place + 1]))
                return done()
            case "swiftc":
                if words.contains("-print-target-info") {
                    return done(
                        #"{"paths": {"runtimeResourcePath": "/none", "runtimeLibraryPaths": []}, "#
                            + #""target": {"unversionedTriple": "x86_64-unknown-linux-gnu"}}"#)
                }
                guard let place = words.firstIndex(of: "-o"), place + 1 < words.count else { return done() }
                let object = FilePath(words[place + 1])
                try writeAtomically("an object", to: object)
                let sources = words.filter { $0.hasSuffix(".swift") }.joined(separator: " ")
                try writeAtomically("out: \(sources)\n", to: object.removingLastComponent().appending("Init.d"))
                return done()
            case "strip":
                let place = try #require(words.firstIndex(of: "-o"))
                try writeAtomically(try readBytes(FilePath(words[place + 2])), to: FilePath(words[place + 1]))
                return done()
            case "sparse": return done(state.withLock(\.sparse))
            case "perl": return done(state.withLock(\.checkpatch))
            default: return done()
            }
        }
    }

    private let scratch: FilePath
    private let tools: Tools

    init() throws {
        scratch = FilePath(FileManager.default.temporaryDirectory.path).appending("steps-\(UUID().uuidString)")
        tools = Tools(below: scratch)
        let tree = scratch.appending("linux")
        for (name, text) in [
            ("Kbuild", "\n"),
            (
                "Kconfig",
                "config BASE\n\tbool\n\nconfig WANTED\n\tbool \"Wanted\"\n\n"
                    + "config MODULES\n\tbool \"Modules\"\n\nconfig MODULE_UNLOAD\n\tbool \"Unload\"\n"
            ),
            ("Makefile", "VERSION = 5\nPATCHLEVEL = 19\nSUBLEVEL = 7\n"), ("kernel/own.c", "int one;\n"),
            ("init/main.c", "int main;\n"),
        ] {
            let file = tree.pushing(FilePath(name))
            try createFolder(file.removingLastComponent())
            try writeAtomically(text, to: file)
        }
        for tool in [
            "kbuild", "env", "mkdir", "cp", "cpio", "swiftc", "make", "gcc", "cc", "ld", "as", "ar", "bc", "flex",
            "bison", "qemu-system-x86_64",
            "bwrap", "git", "perl", "strip", "sparse", "setpriv", "prlimit", "true",
        ] {
            try createFolder(scratch.appending("bin"))
            try writeAtomically(
                Array(tool.utf8), to: scratch.pushing(FilePath("bin/\(tool)")), mode: .ownerReadWriteExecute)
        }
        try write("one.patch", Self.patch("int two;"))
        try write("kbuild.yaml", Self.project)
    }

    private static let project = """
        kernel:
          source: ./linux
          base: defconfig
          config: [wanted.config]
          patches: [one.patch]
        tests:
          - c: test.c
        """

    private static func patch(_ line: String) -> String {
        "--- a/kernel/own.c\n+++ b/kernel/own.c\n@@ -1 +1,2 @@\n int one;\n+\(line)\n"
    }

    private func write(_ name: String, _ text: String) throws {
        try writeAtomically(text, to: scratch.pushing(FilePath(name)))
    }

    private func context(isDryRun: Bool = false, project: String = "kbuild.yaml") throws -> ProjectContext {
        if !fileExists(scratch.appending("wanted.config")) { try write("wanted.config", "CONFIG_WANTED=y\n") }
        if !fileExists(scratch.appending("test.c")) { try write("test.c", "int main(void) { return 0; }\n") }
        let tools = tools
        return try ProjectContext(
            project: Project.load(scratch.pushing(FilePath(project))),
            environment: ["KBUILD_CACHE": scratch.appending("cache").string, "PATH": "/usr/bin"],
            supervisor: scratch.pushing("bin/kbuild"),
            isDryRun: isDryRun,
            substitute: ToolSubstitute(searchPath: scratch.appending("bin").string) { try tools.run($0) },
            onEvent: { _ in })
    }

    /// The kernel's steps, one after another.
    private func buildKernel(_ context: ProjectContext) async throws -> BuiltKernel {
        let steps = try await KernelSteps.make(context)
        let pristine = try #require(try await context.log.carryOut(steps.source()))
        let patched = try #require(try await context.log.carryOut(steps.patch(pristine)))
        defer { withExtendedLifetime(patched.lock) {} }
        let config = try await context.log.carryOut(steps.configure(patched))
        return try #require(try await context.log.carryOut(steps.compile(patched, config: config)))
    }

    private func outcomes(_ context: ProjectContext) -> [String] {
        context.log.steps.map { "\($0.name) \($0.outcome.rawValue)" }
    }

    // MARK: The kernel

    @Test("the source is copied once, and again when one of its files has changed")
    func source() async throws {
        defer { try? removeAll(scratch) }
        func take() async throws -> KernelSourceArtifact {
            let context = try context()
            return try #require(try await context.log.carryOut(KernelSteps.make(context).source()))
        }
        let first = try await take()
        #expect(first.version == "5.19.7")
        #expect(try readText(first.folder.pushing("kernel/own.c")) == "int one;\n")
        #expect(try await take() == first)
        try write("linux/kernel/own.c", "int changed;\n")
        let second = try await take()
        #expect(second.identity != first.identity)
        #expect(try readText(second.folder.pushing("kernel/own.c")) == "int changed;\n")
        try write("linux/Makefile", "no version\n")
        await #expect(throws: Failure.self) { try await take() }
        // No tool is needed for a folder.
        #expect(tools.take().isEmpty)
    }

    @Test("patches change the tree that make builds in, but never the pristine source")
    func patch() async throws {
        defer { try? removeAll(scratch) }
        let context = try context()
        let steps = try await KernelSteps.make(context)
        let pristine = try #require(try await context.log.carryOut(steps.source()))
        var patched = try #require(try await context.log.carryOut(steps.patch(pristine)))
        patched.lock = nil
        #expect(try readText(steps.tree(pristine).pushing("kernel/own.c")) == "int one;\nint two;\n")
        #expect(try readText(pristine.folder.pushing("kernel/own.c")) == "int one;\n")
        #expect(outcomes(context).last == "patch made")
        var again = try #require(try await context.log.carryOut(steps.patch(pristine)))
        #expect(outcomes(context).last == "patch hit" && again.key.digest == patched.key.digest)
        again.lock = nil
        try write("one.patch", Self.patch("int three;"))
        let other = try #require(try await context.log.carryOut(steps.patch(pristine)))
        #expect(other.key.digest != patched.key.digest)
        #expect(try readText(steps.tree(pristine).pushing("kernel/own.c")) == "int one;\nint three;\n")
        try write("one.patch", Self.patch("int four;").replacingOccurrences(of: "int one", with: "int other"))
        let failure = await #expect(throws: Failure.self) { try await context.log.carryOut(steps.patch(pristine)) }
        #expect(failure?.code == .patch)
        #expect(context.log.steps.last?.outcome == .failed)
    }

    @Test("a kernel is configured and built with make, stored, and found again; another patch makes another kernel")
    func kernel() async throws {
        defer { try? removeAll(scratch) }
        let first = try context()
        let kernel = try await buildKernel(first)
        #expect(outcomes(first) == ["source made", "patch made", "configure made", "compile made"])
        let commands = tools.take().filter { $0.contains("make ") && $0.contains("O=") }
        let targets = ["defconfig", "olddefconfig", "syncconfig", "bzImage"]
        let made = commands.map { command in command.split(separator: " ").map(String.init).filter(targets.contains) }
        #expect(made == [["defconfig"], ["olddefconfig"], ["syncconfig"], ["bzImage"]], "\(commands)")
        #expect(commands.allSatisfy { $0.contains("O=\(scratch.appending("cache"))") })
        #expect(try readText(kernel.vmlinux) == "an ELF file" && kernel.version == "5.19.7")
        #expect(try readText(kernel.config).contains("CONFIG_WANTED=y"))

        let second = try context()
        #expect(try await buildKernel(second).vmlinux == kernel.vmlinux)
        #expect(outcomes(second) == ["source hit", "patch hit", "configure hit", "compile hit"])
        #expect(!tools.take().contains { $0.contains("make ") })

        try write("one.patch", Self.patch("int three;"))
        let third = try context()
        #expect(try await buildKernel(third).vmlinux != kernel.vmlinux)
        #expect(outcomes(third).suffix(2) == ["configure hit", "compile made"])
    }

    /// Sets a file's time of modification, in seconds since 1970.
    private func touch(_ name: String, _ seconds: Int) {
        let time = timespec(tv_sec: seconds, tv_nsec: 0)
        #expect(utimensat(AT_FDCWD, scratch.pushing(FilePath(name)).string, [time, time], 0) == 0)
    }

    @Test("of files from the future or from 1980 only the contents count")
    func times() async throws {
        defer { try? removeAll(scratch) }
        let future = Int(Date.now.timeIntervalSince1970) + 7200
        let past = 315_619_200
        let kernel = try await buildKernel(try context())
        _ = tools.take()
        for (seconds, line) in [(future, "int ten;"), (past, "int six;")] {
            for name in ["one.patch", "wanted.config", "kbuild.yaml", "test.c"] { touch(name, seconds) }
            let touched = try context()
            let before = try await buildKernel(touched).vmlinux
            #expect(outcomes(touched) == ["source hit", "patch hit", "configure hit", "compile hit"])
            #expect(!tools.take().contains { $0.contains("make ") })
            // As long as before, and with the same time.
            try write("one.patch", Self.patch(line))
            touch("one.patch", seconds)
            let changed = try context()
            let after = try await buildKernel(changed).vmlinux
            #expect(outcomes(changed).last == "compile made" && after != before)
            _ = tools.take()
        }
        try write("one.patch", Self.patch("int two;"))
        touch("one.patch", past)
        #expect(try await buildKernel(try context()).vmlinux == kernel.vmlinux)
    }

    @Test("the kernel's commands for gdb are filed with it, and are there when its output is not")
    func debuggerCommands() async throws {
        defer { try? removeAll(scratch) }
        let project = Self.project.replacingOccurrences(of: "  base:", with: "  debug-info: true\n  base:")
        try write("kbuild.yaml", project)
        let kernel = try await buildKernel(try context())
        #expect(tools.take().contains { $0.contains(" scripts_gdb") })
        let output = try await output(try context())
        try removeAll(output)
        let found = try await buildKernel(try context())
        #expect(found.vmlinux == kernel.vmlinux && !fileExists(output))
        let scripts = try #require(found.debuggerScripts)
        #expect(try readText(scripts) == "# vmlinux-gdb.py")
        let folder = scripts.removingLastComponent().appending("scripts").appending("gdb").appending("linux")
        #expect(try namesInFolder(folder) == ["tasks.py"])

        try write("kbuild.yaml", Self.project)
        #expect(try await buildKernel(try context()).debuggerScripts == nil)
    }

    /// A project of its own with the same kernel.
    ///
    /// - Parameter patch: Its patch; one outside of its folder is foreign.
    private func addProject(_ name: String, patch: String = "one.patch") throws -> String {
        try createFolder(scratch.appending(name))
        for file in ["one.patch", "wanted.config", "test.c"] {
            try copyFile(scratch.appending(file), to: scratch.appending(name).appending(file))
        }
        try write(
            "\(name)/kbuild.yaml",
            Self.project.replacingOccurrences(of: "./linux", with: "../linux")
                .replacingOccurrences(of: "one.patch", with: patch))
        return "\(name)/kbuild.yaml"
    }

    /// The output of a project's kernel.
    private func output(_ context: ProjectContext) async throws -> FilePath {
        let steps = try await KernelSteps.make(context)
        let pristine = try #require(try await context.log.carryOut(steps.source()))
        let patched = try #require(try await context.log.carryOut(steps.patch(pristine)))
        defer { withExtendedLifetime(patched.lock) {} }
        return steps.make(patched).output
    }

    @Test("each configuration has its own output, which starts from the nearest finished one and is found again later")
    func configurations() async throws {
        defer { try? removeAll(scratch) }
        _ = try await buildKernel(try context())
        let first = try await output(try context())
        try writeAtomically("made in \(first)\n", to: first.appending("kept"))
        try write("wanted.config", "CONFIG_WANTED=y\n# CONFIG_OTHER is not set\n")
        let changed = try context()
        _ = try await buildKernel(changed)
        #expect(outcomes(changed).suffix(2) == ["configure made", "compile made"])
        let second = try await output(try context())
        #expect(second != first)
        #expect(try readText(second.appending("kept")) == "made in \(second)\n")
        #expect(try readText(first.appending("kept")) == "made in \(first)\n")
        try write("wanted.config", "CONFIG_WANTED=y\n")
        try write("one.patch", Self.patch("int three;"))
        let back = try context()
        _ = try await buildKernel(back)
        #expect(outcomes(back).suffix(2) == ["configure hit", "compile made"])
        #expect(try await output(try context()) == first)
    }

    @Test("a second project starts from the first one's output, unless the first one's tree was edited")
    func secondProject() async throws {
        defer { try? removeAll(scratch) }
        _ = try await buildKernel(try context())
        let first = try await output(try context())
        let tree = first.removingLastComponent().removingLastComponent().appending("tree")
        try writeAtomically("made from \(tree)\n", to: first.appending("kept"))

        let second = try addProject("second")
        _ = tools.take()
        let built = try context(project: second)
        try write("second/one.patch", Self.patch("int three;"))
        _ = try await buildKernel(built)
        // The configuration is the same, so kconfig has nothing to do.
        #expect(outcomes(built) == ["source hit", "patch made", "configure hit", "compile made"])
        let copy = try await output(try context(project: second))
        let secondTree = copy.removingLastComponent().removingLastComponent().appending("tree")
        #expect(secondTree != tree)
        #expect(try readText(copy.appending("kept")) == "made from \(secondTree)\n")

        for tree in [tree, secondTree] { try writeAtomically("int x;\n", to: tree.pushing("kernel/extra.c")) }
        let third = try addProject("third")
        try write("third/one.patch", Self.patch("int four;"))
        let alone = try context(project: third)
        _ = try await buildKernel(alone)
        #expect(outcomes(alone).suffix(2) == ["configure made", "compile made"])
        #expect(!fileExists(try await output(try context(project: third)).appending("kept")))
    }

    @Test("an option that olddefconfig drops fails the step, and nothing is built")
    func droppedOption() async throws {
        defer { try? removeAll(scratch) }
        tools.state.withLock { $0.dropped = ["WANTED"] }
        let context = try context()
        let failure = await #expect(throws: Failure.self) { try await buildKernel(context) }
        #expect(failure?.description.contains("CONFIG_WANTED") == true)
        #expect(outcomes(context).last == "configure failed")
        #expect(!fileExists(scratch.pushing("cache/store/kernel")))
    }

    @Test("a compiler's error in a patched file is the message; nothing is stored, and the next run builds again")
    func compilerError() async throws {
        defer { try? removeAll(scratch) }
        tools.state.withLock {
            $0.error =
                "  CC      kernel/own.o\nkernel/own.c:2:4: error: expected ';' before 'x'\nmake: *** [own.o] Error 1\n"
        }
        let context = try context()
        let failure = await #expect(throws: Failure.self) { try await buildKernel(context) }
        #expect(failure?.code == .build)
        #expect(failure?.description.contains("expected ';' before 'x'") == true)
        #expect(outcomes(context).last == "compile failed")
        tools.state.withLock { $0.error = nil }
        let next = try self.context()
        _ = try await buildKernel(next)
        #expect(outcomes(next).suffix(2) == ["configure hit", "compile made"])
    }

    // MARK: Confined and interrupted builds

    @Test("a confined build starts from the trusted output, which it does not change", arguments: ["../foreign.patch"])
    func confinedStart(patch: String) async throws {
        defer { try? removeAll(scratch) }
        _ = try await buildKernel(try context())
        let trusted = try await output(try context())
        try writeAtomically("made in \(trusted)\n", to: trusted.appending("kept"))
        try write("foreign.patch", Self.patch("int foreign;"))
        let project = try addProject("submission", patch: patch)
        let confined = try context(project: project)
        _ = try await buildKernel(confined)
        #expect(outcomes(confined).suffix(2) == ["configure hit", "compile made"])
        let output = try await output(try context(project: project))
        #expect(output.string.contains("confined") && output != trusted)
        #expect(try readText(output.appending("kept")) == "made in \(output)\n")
        #expect(try readText(trusted.appending("kept")) == "made in \(trusted)\n")
        // make may write to its own output alone.
        let make = try #require(tools.take().last { $0.contains("bzImage") })
        #expect(make.contains("--bind \(output) ") && !make.contains(trusted.string), "\(make)")
    }

    @Test("an interrupted build continues where it stopped, confined or not", arguments: [false, true])
    func interrupted(isConfined: Bool) async throws {
        defer { try? removeAll(scratch) }
        _ = try context()
        try write("foreign.patch", Self.patch("int foreign;"))
        let project = isConfined ? try addProject("submission", patch: "../foreign.patch") : "kbuild.yaml"
        tools.state.withLock { $0.isInterrupted = true }
        let context = try context(project: project)
        await #expect(throws: CancellationError.self) { try await buildKernel(context) }
        #expect(outcomes(context).last == "compile cancelled")
        let first = try await output(try self.context(project: project)).pushing("kernel/first.o")
        #expect(first.string.contains("/confined/") == isConfined)
        #expect(try readText(first) == "compiled")
        tools.state.withLock { $0.isInterrupted = false }
        let next = try self.context(project: project)
        _ = try await buildKernel(next)
        #expect(outcomes(next).suffix(2) == ["configure hit", "compile made"])
        #expect(fileExists(first))
    }

    @Test("what an interrupted build of other foreign patches left is not continued")
    func interruptedByOthers() async throws {
        defer { try? removeAll(scratch) }
        _ = try context()
        try write("foreign.patch", Self.patch("int foreign;"))
        let project = try addProject("submission", patch: "../foreign.patch")
        tools.state.withLock { $0.isInterrupted = true }
        await #expect(throws: CancellationError.self) { try await buildKernel(try context(project: project)) }
        let first = try await output(try context(project: project)).pushing("kernel/first.o")
        #expect(fileExists(first))
        try write("foreign.patch", Self.patch("int other;"))
        tools.state.withLock { $0.isInterrupted = false }
        _ = try await buildKernel(try context(project: project))
        #expect(!fileExists(first))
    }

    @Test("an own confined build continues its own after a compile error, but not what a foreign one or a bad one left")
    func confinedOutputs() async throws {
        defer { try? removeAll(scratch) }
        _ = try context()
        try write("foreign.patch", Self.patch("int foreign;"))
        let foreign = try addProject("submission", patch: "../foreign.patch")
        _ = try await buildKernel(try context(project: foreign))
        let output = try await output(try context(project: foreign))
        let left = output.appending("left")
        try writeAtomically("forged", to: left)
        // The same project with a patch of its own, confined on request.
        try write("submission/own.patch", Self.patch("int own;"))
        let text = try readText(scratch.pushing(FilePath(foreign)))
        let own = text.replacingOccurrences(of: "../foreign.patch", with: "own.patch") + "\nsandbox: on\n"
        try write(foreign, own)
        _ = try await buildKernel(try context(project: foreign))
        #expect(!fileExists(left))

        for (line, isGood) in [("int second;", true), ("int third;", false), ("int fourth;", true)] {
            try writeAtomically("own", to: left)
            try write("submission/own.patch", Self.patch(line))
            tools.state.withLock { $0.error = isGood ? nil : "own.c:1: error: no" }
            let built = try? await buildKernel(try context(project: foreign))
            #expect((built != nil) == isGood)
            #expect(fileExists(left))
        }
        // A failed build that left a pipe: the next one begins empty.
        try write("submission/own.patch", Self.patch("int fifth;"))
        tools.state.withLock { $0.error = "own.c:1: error: no" }
        tools.state.withLock { $0.pipe = "pipe" }
        _ = try? await buildKernel(try context(project: foreign))
        #expect(FileStatus(output.appending("pipe")) != nil)
        tools.state.withLock { $0.error = nil }
        tools.state.withLock { $0.pipe = nil }
        try write("submission/own.patch", Self.patch("int sixth;"))
        _ = try await buildKernel(try context(project: foreign))
        #expect(!fileExists(left) && FileStatus(output.appending("pipe")) == nil)
    }

    @Test("a foreign build that failed is not continued")
    func foreignFailed() async throws {
        defer { try? removeAll(scratch) }
        _ = try context()
        try write("foreign.patch", Self.patch("int foreign;"))
        let project = try addProject("submission", patch: "../foreign.patch")
        tools.state.withLock { $0.error = "own.c:1: error: no" }
        await #expect(throws: Failure.self) { try await buildKernel(try context(project: project)) }
        let left = try await output(try context(project: project)).appending("left")
        try writeAtomically("forged", to: left)
        tools.state.withLock { $0.error = nil }
        _ = try await buildKernel(try context(project: project))
        #expect(!fileExists(left))
    }

    // MARK: Kernel modules

    private static let withModules =
        project + """

            modules:
              - path: modules/base
              - path: modules/ring
            """

    /// The kernel and its modules.
    private func buildModules(_ context: ProjectContext) async throws -> ModuleSet {
        let steps = try await KernelSteps.make(context)
        let pristine = try #require(try await context.log.carryOut(steps.source()))
        let patched = try #require(try await context.log.carryOut(steps.patch(pristine)))
        defer { withExtendedLifetime(patched.lock) {} }
        let config = try await context.log.carryOut(steps.configure(patched))
        let kernel = try await context.log.carryOut(steps.compile(patched, config: config))
        return try #require(try await context.log.carryOut(steps.modules(patched, kernel: kernel)))
    }

    private func writeModules() throws {
        try write("kbuild.yaml", Self.withModules)
        for name in ["base", "ring"] {
            try createFolder(scratch.appending("modules").appending(name))
            try write("modules/\(name)/Kbuild", "obj-m := \(name).o\n")
            try write("modules/\(name)/\(name).c", "int first;\n")
        }
    }

    @Test("a module's edit compiles the module alone; the user's folder is not written to; what was made is found")
    func modules() async throws {
        defer { try? removeAll(scratch) }
        try writeModules()
        let first = try context()
        let built = try await buildModules(first)
        #expect(outcomes(first).suffix(2) == ["compile made", "modules made"])
        #expect(built.built.map(\.module.name) == ["base", "ring"])
        #expect(built.objects.map(\.info.name) == ["base", "ring"])
        #expect(try namesInFolder(scratch.pushing("modules/ring")) == ["Kbuild", "ring.c"])
        #expect(built.userFiles.values.contains(scratch.pushing("modules/ring/ring.c")))
        var commands = tools.take()
        // The kernel's own modules first: make needs what they need.
        #expect(commands.contains { $0.hasSuffix(" modules") && !$0.contains(" M=") })
        let makes = commands.filter { $0.contains(" M=") }
        #expect(makes.count == 2 && makes.allSatisfy { $0.contains(" CC=gcc ") && $0.contains("KCFLAGS=") })
        #expect(makes[1].contains("KBUILD_EXTRA_SYMBOLS=") && !makes[0].contains("KBUILD_EXTRA_SYMBOLS="))
        #expect(try readText(first.project.folder.appending("kbuild.yaml")) == Self.withModules)

        let second = try context()
        #expect(try await buildModules(second).objects == built.objects)
        #expect(outcomes(second).suffix(2) == ["compile hit", "modules hit"])
        #expect(!tools.take().contains { $0.contains("make ") })

        try write("modules/ring/ring.c", "int second;\n")
        let third = try context()
        let changed = try await buildModules(third)
        #expect(outcomes(third).suffix(2) == ["compile hit", "modules made"])
        commands = tools.take().filter { $0.contains("make ") }
        #expect(commands.count == 1 && commands[0].contains("/ring "), "\(commands)")
        #expect(changed.objects[0] == built.objects[0] && changed.objects[1] != built.objects[1])

        try write("modules/ring/ring.c", "int first;\n")
        #expect(try await buildModules(try context()).objects == built.objects)
        #expect(!tools.take().contains { $0.contains("make ") })
    }

    @Test("a module is built in the output of its kernel, which is made again when it is another one's")
    func modulesOfAnotherKernel() async throws {
        defer { try? removeAll(scratch) }
        try writeModules()
        _ = try await buildModules(try context())
        try write("one.patch", Self.patch("int three;"))
        let other = try context()
        _ = try await buildModules(other)
        #expect(outcomes(other).suffix(2) == ["compile made", "modules made"])
        // Back to the first kernel, which the store has, but whose output is the other one's.
        try write("one.patch", Self.patch("int two;"))
        try write("modules/ring/ring.c", "int second;\n")
        let back = try context()
        _ = try await buildModules(back)
        #expect(outcomes(back).suffix(2) == ["compile made", "modules made"])
        _ = tools.take()
        try write("modules/ring/ring.c", "int third;\n")
        let last = try context()
        _ = try await buildModules(last)
        #expect(outcomes(last).suffix(2) == ["compile hit", "modules made"])
    }

    @Test("a module's error names the user's file, and nothing is stored")
    func moduleError() async throws {
        defer { try? removeAll(scratch) }
        try writeModules()
        tools.state.withLock { $0.moduleError = "@/base.c:3:1: error: expected ';'\n" }
        let failure = await #expect(throws: Failure.self) { try await buildModules(try context()) }
        #expect(failure?.code == .build && failure?.message == "the module modules/base did not build")
        #expect(failure?.details?.hasPrefix("modules/base/base.c:3:1: error: expected ';'") == true)
        tools.state.withLock { $0.moduleError = nil }
        #expect(try await buildModules(try context()).objects.count == 2)
    }

    @Test("a dry run has the commands of the modules, and a project without modules has no such step")
    func plannedModules() async throws {
        defer { try? removeAll(scratch) }
        try write("kbuild.yaml", Self.project)
        try SupportFolder.refresh(for: Project.load(scratch.appending("kbuild.yaml")))
        #expect(
            try await RunPlanner(try context(isDryRun: true)).plan().steps.contains { $0.name == "modules" } == false)
        try writeModules()
        _ = try await buildModules(try context())
        try write("modules/ring/ring.c", "int second;\n")
        let plan = try await RunPlanner(try context(isDryRun: true)).plan()
        let step = try #require(plan.steps.first { $0.name == "modules" })
        #expect(step.actions.contains { $0.command?.contains("M=") == true })
    }

    // MARK: sparse and checkpatch

    @Test("lint: the tools read the changed lines of the user's file after the build, and make does not run for them")
    func lint() async throws {
        defer { try? removeAll(scratch) }
        try write("kbuild.yaml", Self.project + "\nlint: on\n")
        func findings() async throws -> [String] {
            let context = try context()
            let steps = try await KernelSteps.make(context)
            let pristine = try #require(try await context.log.carryOut(steps.source()))
            let patched = try #require(try await context.log.carryOut(steps.patch(pristine)))
            defer { withExtendedLifetime(patched.lock) {} }
            let config = try await context.log.carryOut(steps.configure(patched))
            let kernel = try await context.log.carryOut(steps.compile(patched, config: config))
            return try #require(try await context.log.carryOut(steps.lint(patched, kernel: kernel))).findings
        }
        #expect(try await findings() == [])
        let commands = tools.take()
        let last = try #require(commands.lastIndex { $0.contains("bzImage") })
        #expect(commands.suffix(from: last + 1).filter { $0.hasPrefix("perl") || $0.hasPrefix("sparse") }.count == 2)
        // Line 1 is the kernel's own, and so is the other file.
        tools.state.withLock {
            $0.checkpatch = "kernel/own.c:1: WARNING:A: old\nkernel/own.c:2: WARNING:B: new\n"
            $0.sparse = "../x/init/main.c:1:1: warning: elsewhere\n"
        }
        #expect(try await findings() == ["kernel/own.c:2: warning: new [checkpatch B]"])
        // The kernel comes from the store, and nothing is made again.
        #expect(!tools.take().contains { $0.contains("make ") })
        try write("kbuild.yaml", Self.project + "\nlint: on\nwarnings: fail\n")
        let failure = await #expect(throws: Failure.self) { try await findings() }
        #expect(failure?.code == .build && failure?.description.contains("kernel/own.c:2: warning: new") == true)
    }

    @Test("lint: a file that sparse did not read is noted, and fails the run under `warnings: fail`")
    func unreadFile() async throws {
        defer { try? removeAll(scratch) }
        func lint(_ text: String) async throws -> LintResult {
            try write("kbuild.yaml", Self.project + text)
            // It takes the tree's lock, which the steps below hold.
            let output = try await output(try self.context())
            let context = try context()
            let steps = try await KernelSteps.make(context)
            let pristine = try #require(try await context.log.carryOut(steps.source()))
            let patched = try #require(try await context.log.carryOut(steps.patch(pristine)))
            defer { withExtendedLifetime(patched.lock) {} }
            let config = try await context.log.carryOut(steps.configure(patched))
            let kernel = try await context.log.carryOut(steps.compile(patched, config: config))
            // As where a makefile compiles the file under another option.
            try removeAll(output.pushing("kernel/.own.o.cmd"))
            return try #require(try await context.log.carryOut(steps.lint(patched, kernel: kernel)))
        }
        #expect(try await lint("\nlint: on\n").findings.isEmpty)
        let failure = await #expect(throws: Failure.self) { try await lint("\nlint: on\nwarnings: fail\n") }
        #expect(failure?.code == .build && failure?.message.contains("sparse did not read 1 file") == true)
        #expect(failure?.details?.contains("no record that it compiled the file") == true)
    }

    @Test("lint: a missing sparse is named with the command that installs it, before anything is built")
    func lintWithoutSparse() async throws {
        defer { try? removeAll(scratch) }
        try write("kbuild.yaml", Self.project + "\nlint: on\n")
        try removeAll(scratch.pushing("bin/sparse"))
        try SupportFolder.refresh(for: Project.load(scratch.appending("kbuild.yaml")))
        let context = try context()
        let failure = await #expect(throws: Failure.self) { try await BuildActions(context).kernel() }
        #expect(failure?.code == .infrastructure)
        #expect(failure?.nextStep?.contains("apt-get install sparse") == true)
        #expect(tools.take().isEmpty && context.log.steps.isEmpty)
    }

    @Test("lint: the lines that a change adds, among others that it moves or leaves")
    func changedLines() {
        func lines(_ old: String, _ new: String) -> [Int] {
            KernelSteps.changedLines(from: Array(old), to: Array(new)).sorted()
        }
        #expect(lines("abc", "abc") == [])
        #expect(lines("", "ab") == [1, 2])
        #expect(lines("abc", "axc") == [2])
        #expect(lines("abc", "abcabc") == [4, 5, 6])
        #expect(lines("abcdef", "xbcdyf") == [1, 5])
        #expect(lines("abc", "c") == [])
    }

    // MARK: The programs and the guest

    @Test("a program is compiled once, with the user's flags, and again when its source has changed")
    func programs() async throws {
        defer { try? removeAll(scratch) }
        func build() async throws -> ProgramSet {
            let context = try context()
            let steps = try await KernelSteps.make(context)
            let pristine = try #require(try await context.log.carryOut(steps.source()))
            let patched = try #require(try await context.log.carryOut(steps.patch(pristine)))
            defer { withExtendedLifetime(patched.lock) {} }
            return try #require(
                try await context.log.carryOut(ProgramSteps(steps, patched).programs(RequestedTests(filter: nil))))
        }
        let first = try await build()
        #expect(first.artifacts.map(\.planned.name) == ["test"])
        let compilations = tools.take().filter { $0.contains("gcc") && $0.contains("test.c") && $0.contains(" -o ") }
        #expect(compilations.count == 1)
        let second = try await build()
        #expect(second.artifacts.map(\.executable) == first.artifacts.map(\.executable))
        #expect(!tools.take().contains { $0.contains("gcc") && $0.contains(" -o ") })
        try write("test.c", "int main(void) { return 1; }\n")
        #expect(try await build().artifacts.map(\.executable) != first.artifacts.map(\.executable))
    }

    @Test("a dry run names every step of a run and starts nothing")
    func plan() async throws {
        defer { try? removeAll(scratch) }
        _ = try await buildKernel(try context())
        _ = tools.take()
        try SupportFolder.refresh(for: Project.load(scratch.appending("kbuild.yaml")))
        let plan = try await RunPlanner(try context(isDryRun: true)).plan()
        #expect(plan.steps.map(\.name) == ["source", "patch", "configure", "compile", "programs", "rootfs", "test"])
        #expect(plan.steps.prefix(4).allSatisfy { $0.outcome == .hit })
        #expect(plan.steps[4].actions.contains { $0.command?.contains("test.c") == true })
        // The compiler is asked for the guest's libraries.
        #expect(plan.steps[5].outcome == .unknown)
        #expect(plan.steps[5].dependsOn.allSatisfy { $0.hasSuffix("swiftc -print-target-info") })
        #expect(plan.steps[6].outcome == .always && plan.steps[6].dependsOn == ["rootfs"])
        try write("kbuild.yaml", Self.project + "\nlint: on\n")
        let linted = try await RunPlanner(try context(isDryRun: true)).plan().steps
        #expect(linted.map(\.name).firstIndex(of: "lint") == 4 && linted[4].outcome == .always)
        #expect(linted[4].actions.compactMap(\.command).count == 2)
        #expect(linted[7].dependsOn == ["rootfs"])
        try write("kbuild.yaml", Self.project + "\nisolate: test\n")
        let isolated = try await RunPlanner(try context(isDryRun: true)).plan()
        #expect(isolated.steps.suffix(3).map(\.name) == ["rootfs", "snapshot", "test"])
        #expect(isolated.steps.suffix(2).map(\.outcome) == [.unknown, .always])
        #expect(tools.take().isEmpty)
    }

    @Test("a root file system is packed once from init and the definition, and again when one of them has changed")
    func rootFilesystem() async throws {
        defer { try? removeAll(scratch) }
        for (name, text) in [
            ("rootfs/default.yaml", "swift-runtime: false\nfolders: {/proc: 0555}\ntexts: {/etc/one: first}\n"),
            ("rootfs/init/Init.swift", "@main struct Init { static func main() {} }\n"),
            ("rootfs/init/CInit/CInit.h", "int one;\n"),
        ] {
            try createFolder(scratch.pushing(FilePath(name)).removingLastComponent())
            try write(name, text)
        }
        try write("kbuild.yaml", Self.project + "\nrootfs: {type: initramfs}\n")
        func make() async throws -> FilePath {
            let context = try context()
            let step = RootFilesystemSteps(context: context, accelerator: .tcg).rootFilesystem(covering: [])
            return try #require(try await context.log.carryOut(step)).path
        }
        let first = try await make()
        let compilations = tools.take().filter { $0.contains("Init.swift") }
        #expect(compilations.count == 1 && compilations[0].contains("Embedded"))
        // The magic number of cpio's new form (cpio(5)).
        let bytes = try readBytes(first)
        #expect(bytes.starts(with: Array("070701".utf8)))
        #expect(String(decoding: bytes, as: UTF8.self).contains("first"))

        #expect(try await make() == first)
        #expect(!tools.take().contains { $0.contains("Init.swift") && $0.contains(" -o ") })

        try write("rootfs/default.yaml", "swift-runtime: false\nfolders: {/proc: 0555}\ntexts: {/etc/one: second}\n")
        let second = try await make()
        #expect(second != first)
        #expect(!tools.take().contains { $0.contains("Init.swift") && $0.contains(" -o ") })

        try write("rootfs/init/Init.swift", "@main struct Init { static func main() { print(1) } }\n")
        _ = try await make()
        #expect(tools.take().contains { $0.contains("Init.swift") && $0.contains(" -o ") })
    }
}
