// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Glibc
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// Submissions that attack the host, for real. Each has a target that it can reach without the sandbox.
@Suite("sandbox", .serialized, .tags(.guest), .costly, .timeLimit(.minutes(60)))
struct SandboxTests {
    let fixture: Fixture
    /// Where attacks write to.
    private var target: FilePath { fixture.project.appending("target") }

    init() throws {
        fixture = try Fixture(name: "sandbox")
        try removeAll(target)
        try fixture.edit("kbuild.yaml", replacing: Self.patches, with: "  patches:\n    - evil\n")
        try removeAll(fixture.project.appending("evil"))
    }

    private static let patches = """
          patches:
            - kernel/msgbox
            - kernel/memcpy
            - kernel/caesar
            - kernel/silly-copy
            - kernel/six-args
            - kernel/gated
            - kernel/process-info
            - kernel/memcpy-struct

        """

    /// A patch that puts lines on top of a file whose first line is `first`.
    private static func patch(_ path: String, first: String, adding lines: [String]) -> String {
        """
        --- a/\(path)
        +++ b/\(path)
        @@ -1,1 +1,\(lines.count + 1) @@
        \(lines.map { "+" + $0 }.joined(separator: "\n"))
         \(first)

        """
    }

    private static let license = "# SPDX-License-Identifier: GPL-2.0"

    /// A Kconfig file that runs a script on the host, and then fails with what the script said.
    private func writeKconfigAttack(_ script: String, shell: String = "bash") throws {
        // The script reaches the build as a file of the tree.
        let lines = "exec 2>&1\n\(script)".split(separator: "\n", omittingEmptySubsequences: false).map { "+\($0)" }
        let file = """
            --- /dev/null
            +++ b/scripts/attack.sh
            @@ -0,0 +1,\(lines.count) @@
            \(lines.joined(separator: "\n"))

            """
        let call = "$(error-if,y,the attack said: $(shell,\(shell) $(srctree)/scripts/attack.sh))"
        try fixture.write(
            "evil/attack.patch", file + Self.patch("Kconfig", first: Self.license, adding: [call]))
    }

    // MARK: Code on the host

    @Test("a Kconfig file's $(shell) writes nowhere, sees no other file, and reaches no network")
    func kconfig() async throws {
        let listener = try Listener()
        try fixture.write("secret", "the other submission\n")
        try writeKconfigAttack(
            """
            { echo pwned >'\(target)'; } && echo wrote-target
            [ -e '\(fixture.project)/secret' ] || if echo pwned >>"$srctree/Makefile"; then echo wrote-tree; fi
            cat '\(fixture.project)/secret' && echo read-secret
            (exec 3<>/dev/tcp/127.0.0.1/\(listener.port)) && echo connected
            id -u
            """)
        let confined = try await fixture.kbuild("config", "--sandbox", "on")
        #expect(confined.status == .exited(4))
        #expect(confined.errors.contains("the attack said"))
        for sign in ["wrote-target", "wrote-tree", "read-secret", "the other submission", "connected"] {
            #expect(!confined.errors.contains(sign), "\(sign)")
        }
        #expect(!fileExists(target))
        #expect(!listener.hasCaller)

        // Without the sandbox the same attack gets to all of them but the cached tree: the test is not blind.
        let free = try await fixture.kbuild("config", "--sandbox", "off")
        #expect(free.status == .exited(4))
        for sign in ["wrote-target", "read-secret", "connected"] { #expect(free.errors.contains(sign), "\(sign)") }
        #expect(fileExists(target))
        #expect(listener.hasCaller)
    }

    @Test("the top makefile's $(shell) and its recipes write nowhere")
    func makefile() async throws {
        let script = "{ echo pwned >'\(target)'; } 2>&1 && echo wrote-target"
        try fixture.write(
            "evil/attack.patch",
            Self.patch(
                "Makefile", first: Self.license,
                adding: [
                    "kbuild-said := $(shell \(script))", "tinyconfig: kbuild-attack", "kbuild-attack:",
                    "\t@echo '$(kbuild-said)'; \(script); exit 1",
                ]))
        let result = try await fixture.kbuild("config", "--sandbox", "on")
        #expect(result.status == .exited(4))
        #expect(result.errors.contains("kbuild-attack"))
        #expect(!result.errors.contains("wrote-target"))
        #expect(!fileExists(target))
    }

    @Test("a foreign patch is confined by default, one of the project's own is not")
    func foreign() async throws {
        try writeKconfigAttack("{ echo pwned >'\(target)'; } && echo wrote-target")
        let outside = fixture.project.removingLastComponent().appending("submission")
        try removeAll(outside)
        try createFolder(outside)
        try copyFile(fixture.project.pushing("evil/attack.patch"), to: outside.appending("attack.patch"))
        try fixture.edit("kbuild.yaml", replacing: "    - evil\n", with: "    - ../submission\n")
        let result = try await fixture.kbuild("config")
        #expect(result.status == .exited(4))
        #expect(result.errors.contains("what it runs here is confined"))
        #expect(!result.errors.contains("wrote-target"))
        #expect(!fileExists(target))

        // A link does not make it the project's own.
        try removeAll(fixture.project.appending("evil"))
        #expect(symlink(outside.string, fixture.project.appending("evil").string) == 0)
        try fixture.edit("kbuild.yaml", replacing: "    - ../submission\n", with: "    - evil\n")
        let linked = try await fixture.kbuild("config")
        #expect(linked.errors.contains("what it runs here is confined"))
        #expect(!fileExists(target))
        unlink(fixture.project.appending("evil").string)
    }

    /// A folder beside the project, emptied.
    private func emptyNeighbour(_ name: String) throws -> FilePath {
        let folder = fixture.project.removingLastComponent().appending(name)
        try removeAll(folder)
        try createFolder(folder)
        return folder
    }

    @Test("a test package from elsewhere is confined, its manifest included, and the remark names it")
    func foreignPackage() async throws {
        try fixture.edit("kbuild.yaml", replacing: "  patches:\n    - evil\n", with: "")
        let outside = try emptyNeighbour("suite")
        defer { try? removeAll(outside) }
        try writeAtomically(
            """
            // swift-tools-version: 6.2
            import Foundation
            import PackageDescription
            let isWritten = FileManager.default.createFile(atPath: "\(target)", contents: Data())
            // SwiftPM hands on a manifest's last words.
            fatalError(isWritten ? "WroteTarget" : "KeptOut")

            """, to: outside.appending("Package.swift"))
        let marker = "  - swift: Tests/GuestTests\n    skip: ^(MsgboxStrictTests|LeakTests)\n"
        try fixture.edit("kbuild.yaml", replacing: marker, with: "  - swift: ../suite\n")
        let result = try await fixture.kbuild("test", "--list")
        #expect(!result.status.isSuccess)
        #expect(result.errors.contains("the test package \(outside) is from outside of the project"))
        #expect(result.errors.contains("what it runs here is confined"))
        // The manifest has been run, and reached nothing.
        #expect(result.errors.contains("KeptOut"))
        #expect(!result.errors.contains("WroteTarget"))
        #expect(!fileExists(target))

        let free = try await fixture.kbuild("test", "--list", "--sandbox", "off")
        #expect(free.errors.contains("WroteTarget"))
        #expect(fileExists(target))
    }

    @Test("a kernel from elsewhere is confined: a folder, a git repository, and a link in the project to the folder")
    func foreignKernel() async throws {
        try fixture.edit("kbuild.yaml", replacing: "  patches:\n    - evil\n", with: "")
        let outside = try emptyNeighbour("linux")
        defer { try? removeAll(outside) }
        let link = fixture.project.appending("linux")
        try removeAll(link)
        try #require(symlink(outside.string, link.string) == 0)
        defer { unlink(link.string) }
        // As much of a kernel as the first makefile needs to run.
        let script = "{ echo pwned >'\(target)'; } 2>&1 && echo wrote-target || echo kept-out"
        let makefile = """
            VERSION = 6
            PATCHLEVEL = 1
            SUBLEVEL = 0
            EXTRAVERSION =
            $(error the attack said: $(shell \(script)))

            """
        try writeAtomically(makefile, to: outside.appending("Makefile"))
        try writeAtomically("\n", to: outside.appending("Kconfig"))
        for table in ["syscall_64.tbl", "syscall_32.tbl"] {
            try createFolder(outside.pushing(FilePath("arch/x86/entry/syscalls")))
            try writeAtomically(
                "0\tcommon\tread\tsys_read\n", to: outside.pushing(FilePath("arch/x86/entry/syscalls/\(table)")))
        }
        let git = { (words: [String]) in
            let author = ["-c", "user.name=a", "-c", "user.email=a@b", "-C", outside.string]
            _ = try await CommandRunner().output(of: Command("git", author + words))
        }
        try await git(["init", "--quiet", "--initial-branch=main"])
        try await git(["add", "."])
        try await git(["commit", "--quiet", "--message=kernel"])
        for source in [outside.string, "git+\(outside)#main", "./linux"] {
            let result = try await fixture.kbuild("config", "--kernel", source)
            #expect(result.status == .exited(4), "\(source): \(result.errors)")
            #expect(result.errors.contains("the kernel source \(source)"))
            #expect(result.errors.contains("what it runs here is confined"))
            #expect(result.errors.contains("the attack said: "), "\(result.errors)")
            #expect(result.errors.contains("kept-out"))
            #expect(!fileExists(target), "\(source)")
        }
    }

    @Test(
        "a root file system's definition from elsewhere runs its busybox confined and reads no other file of the host")
    func foreignRootfs() async throws {
        try fixture.edit("kbuild.yaml", replacing: "  patches:\n    - evil\n", with: "")
        let outside = try emptyNeighbour("root")
        defer { try? removeAll(outside) }
        try FileManager.default.copyItem(
            atPath: fixture.project.pushing(FilePath("rootfs/init")).string, toPath: outside.appending("init").string)
        try writeAtomically(
            "#include <stdio.h>\nint main(void) { FILE *f = fopen(\"\(target)\", \"w\"); "
                + "puts(f ? \"wrote-target\" : \"kept-out\"); return 0; }\n", to: outside.appending("b.c"))
        _ = try await CommandRunner().output(
            of: Command("gcc", ["-static", "-o", outside.appending("box").string, outside.appending("b.c").string]))
        try writeAtomically("busybox: box\n", to: outside.appending("default.yaml"))
        try fixture.edit(
            "kbuild.yaml", replacing: "definition: rootfs/default.yaml", with: "definition: ../root/default.yaml")
        let built = try await fixture.kbuild("rootfs", "--type", "initramfs")
        #expect(built.errors.contains("the root file system's definition \(outside.appending("default.yaml"))"))
        #expect(!fileExists(target))
        try writeAtomically("files: {/x: /etc/shadow}\n", to: outside.appending("default.yaml"))
        let read = try await fixture.kbuild("rootfs", "--type", "initramfs")
        #expect(read.status == .exited(2), "\(read.errors)")
        #expect(read.errors.contains("/etc/shadow"))
    }

    @Test("the number of a build's processes is limited, and none survives the build")
    func forkBomb() async throws {
        // A number that no other sleep has.
        let seconds = 31_415_926
        try writeKconfigAttack(
            """
            i=0
            while [ $i -lt 4000 ]; do sleep \(seconds) >/dev/null 2>&1 & i=$((i + 1)); done
            echo no-limit
            """, shell: "sh")
        let result = try await fixture.kbuild("config", "--sandbox", "on")
        #expect(result.status == .exited(4))
        #expect(result.errors.contains("Cannot fork"))
        #expect(!result.errors.contains("no-limit"))
        // Thousands of processes that were killed take a moment to be gone.
        #expect(try await Fixture.lastingProcesses(containing: "sleep \(seconds)") == [])
    }

    @Test("links and pipes that a build leaves are found before kbuild reads there")
    func traps() async throws {
        try fixture.write(
            "evil/attack.patch",
            Self.patch(
                "Makefile", first: Self.license,
                adding: [
                    "olddefconfig: kbuild-attack", ".PHONY: kbuild-attack",
                    "kbuild-attack: ;"
                        + " @rm -f .config; ln -s /etc/hostname $(CURDIR)/.config; mv .config kbuild-link; exit 0",
                ]))
        let result = try await fixture.kbuild("config", "--sandbox", "on")
        #expect(result.status == .exited(4))
        #expect(result.errors.contains("a link to /etc/hostname"))
    }

    // MARK: Patches and sources

    @Test(
        "a patch that leaves the tree is refused",
        arguments: [
            ("../../../../target", "leaves the tree"), ("/target", "is absolute"),
            ("scripts/dtc/include-prefixes/arm/target", "symbolic link"), (".git/hooks/x", "git's own folder"),
        ])
    func paths(path: String, reason: String) async throws {
        let header = path.hasPrefix("/") ? path : "b/\(path)"
        try fixture.write("evil/attack.patch", "--- /dev/null\n+++ \(header)\n@@ -0,0 +1 @@\n+pwned\n")
        try fixture.write("evil/series", path.hasPrefix("/") ? "attack.patch -p0\n" : "attack.patch\n")
        let result = try await fixture.kbuild("patch", "apply")
        #expect(result.status == .exited(3))
        #expect(result.errors.contains(reason))
    }

    @Test("a series that creates a link and writes through it is refused")
    func linkInSeries() async throws {
        try fixture.write(
            "evil/1.patch",
            """
            diff --git a/way b/way
            new file mode 120000
            --- /dev/null
            +++ b/way
            @@ -0,0 +1 @@
            +\(fixture.project)
            \\ No newline at end of file

            """)
        try fixture.write("evil/2.patch", "--- /dev/null\n+++ b/way/target\n@@ -0,0 +1 @@\n+pwned\n")
        let result = try await fixture.kbuild("patch", "apply")
        #expect(result.status == .exited(3))
        #expect(result.errors.contains("symbolic link"))
        #expect(!fileExists(target))
    }

    @Test("a source that unpacks endlessly is stopped, and its files are removed")
    func decompressionBomb() async throws {
        try fixture.edit("kbuild.yaml", replacing: "  patches:\n    - evil\n", with: Self.patches)
        let folder = fixture.project.appending("bomb")
        try createFolder(folder)
        defer { try? removeAll(folder) }
        let runner = CommandRunner()
        _ = try await runner.output(of: Command("truncate", ["--size=1100M", "zeros"], workingDirectory: folder))
        _ = try await runner.output(
            of: Command("tar", ["--zstd", "--create", "--file=../bomb.tar.zst", "zeros"], workingDirectory: folder))
        defer { try? removeAll(fixture.project.appending("bomb.tar.zst")) }
        let result = try await fixture.kbuild("patch", "check", "--kernel", "bomb.tar.zst")
        #expect(result.status == .exited(7))
        #expect(result.errors.contains("holds a file of more than"))
        let layout = try CacheLayout(environment: ProcessInfo.processInfo.environment)
        #expect(try namesInFolder(layout.temporary).filter { $0.hasPrefix("source-") }.isEmpty)
    }

    // MARK: The guest

    @Test("a link that the guest creates in a share is not a link on the host")
    func plantedLink() async throws {
        try fixture.edit("kbuild.yaml", replacing: "  patches:\n    - evil\n", with: Self.patches)
        try fixture.write(
            "Tests/programs/plant.c",
            """
            #include <sys/stat.h>
            #include <sys/sysmacros.h>
            #include <unistd.h>
            int main(void) {
                if (symlink("/etc/passwd", "/root/host_folder/link") != 0) return 1;
                if (mknod("/root/host_folder/device", S_IFBLK | 0666, makedev(8, 0)) != 0) return 2;
                if (mknod("/root/host_folder/pipe", S_IFIFO | 0666, 0) != 0) return 3;
                return chmod("/root/host_folder/link-to-be", 0) == 0 ? 4 : 0;
            }
            """)
        try fixture.edit(
            "kbuild.yaml", replacing: "  - swift: Tests/GuestTests\n    skip: ^(MsgboxStrictTests|LeakTests)\n",
            with: "  - c: Tests/programs/plant.c\n")
        let shared = fixture.project.appending("shared")
        for name in ["link", "device", "pipe"] { try removeAll(shared.appending(name)) }
        let run = try await fixture.report("test", "plant", "--sandbox", "on")
        #expect(run.exitCode == 0)
        #expect(run.tests == ["plant": "passed"])
        for name in ["link", "device", "pipe"] {
            var status = stat()
            #expect(lstat(shared.appending(name).string, &status) == 0)
            #expect(status.st_mode & S_IFMT == S_IFREG, "\(name)")
            try removeAll(shared.appending(name))
        }
        #expect(try Fixture.processes(containing: "path=\(shared)").isEmpty)
    }
}

/// A port of this machine that counts who calls.
private final class Listener {
    private let descriptor: Int32
    let port: UInt16

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && listen(descriptor, 4) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isBound else { throw Failure(.infrastructure, "cannot listen", details: errnoText()) }
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }

    var hasCaller: Bool {
        let caller = accept(descriptor, nil, nil)
        if caller >= 0 { close(caller) }
        return caller >= 0
    }
}
