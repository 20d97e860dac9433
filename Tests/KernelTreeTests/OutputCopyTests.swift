// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import KernelBuild
import Patching
import Processes
import SystemPackage
import Testing

@testable import IncrementalBuild
@testable import KernelMake
@testable import PatchedTree

/// An output that starts from another one, by files of the forms that a kernel's build leaves.
@Suite("Copies of outputs", .timeLimit(.minutes(30)))
struct OutputCopyTests {
    private let scratch: Scratch
    private let origin: KernelMake
    private let target: KernelMake

    init() throws {
        scratch = try Scratch()
        let projects = scratch.root.appending("projects")
        origin = KernelMake(tree: projects.pushing("1/k/tree"), output: projects.pushing("1/k/build/x86_64-1"))
        target = KernelMake(tree: projects.pushing("2/k/tree"), output: projects.pushing("2/k/build/x86_64-2"))
        let (tree, output) = (origin.tree, origin.output)
        try scratch.write(
            [
                "kernel/.fork.o.cmd":
                    "cmd_kernel/fork.o := gcc -I\(tree)/include -fmacro-prefix-map=\(tree)/= -o kernel/fork.o "
                    + "\(tree)/kernel/fork.c\n\nsource_kernel/fork.o := ../../tree/kernel/fork.c\n",
                "Makefile": "include \(tree)/Makefile\n",
                "tools/.decode.o.cmd": "deps_\(output)/tools/decode.o := ../../../build/x86_64-1/tools/tables.c\n",
                "scripts/.tool.cmd": "cmd_scripts/tool := gcc -o \(output)/scripts/tool \(tree)/scripts/tool.c\n",
                "notes": "\(tree).manifest \(tree)-old \(output)0 \(tree)\n",
                "kernel/fork.o": "\u{7f}ELF\0 no path", "kernel/box.o": "\u{7f}ELF\0\(tree)/kernel/box.c\0",
                "arch/built.o": "\u{7f}ELF\0\(output)\0", "scripts/tool": "\u{7f}ELF\0\(tree)/scripts/tool.c\0",
                "tools/objtool/check.o": "\u{7f}ELF\0\(tree)/tools/objtool/check.c\0",
                "vmlinux": "\u{7f}ELF\0\(tree)/kernel/box.c\0", "include/config/SMP": "",
            ], below: "projects/1/k/build/x86_64-1")
        try createFolder(origin.tree)
        symlink(tree.string, output.appending("source").string)
        symlink("../x86/boot", output.pushing("arch/boot").string)
        chmod(output.pushing("scripts/tool").string, 0o755)
        for (index, name) in ["kernel/fork.o", "kernel/.fork.o.cmd", "include/config/SMP", "scripts/tool"].enumerated()
        {
            let time = timespec(tv_sec: 1_000_000 + index, tv_nsec: 123_456_789)
            utimensat(AT_FDCWD, output.pushing(FilePath(name)).string, [time, time], 0)
        }
        try createFolder(target.output.removingLastComponent())
    }

    private func text(_ name: String) throws -> String { try readText(target.output.pushing(FilePath(name))) }

    @Test("records, makefiles and links name the new tree and output; longer names with the same prefix stay")
    func paths() throws {
        _ = try OutputCopy(from: origin, to: target).write(to: target.output)
        let (tree, output) = (target.tree, target.output)
        #expect(
            try text("kernel/.fork.o.cmd")
                == "cmd_kernel/fork.o := gcc -I\(tree)/include -fmacro-prefix-map=\(tree)/= -o kernel/fork.o "
                + "\(tree)/kernel/fork.c\n\nsource_kernel/fork.o := ../../tree/kernel/fork.c\n")
        #expect(try text("Makefile") == "include \(tree)/Makefile\n")
        #expect(
            try text("tools/.decode.o.cmd")
                == "deps_\(output)/tools/decode.o := ../../../build/x86_64-2/tools/tables.c\n")
        #expect(
            try text("scripts/.tool.cmd")
                == "cmd_scripts/tool := gcc -o \(output)/scripts/tool \(tree)/scripts/tool.c\n")
        #expect(
            try text("notes") == "\(origin.tree).manifest \(origin.tree)-old \(origin.output)0 \(tree)\n")
        #expect(try symbolicLinkTarget(output.appending("source")) == tree.string)
        #expect(try symbolicLinkTarget(output.pushing("arch/boot")) == "../x86/boot")
    }

    @Test("objects that contain a path are left out, except the build's own tools; all other files are equal")
    func contents() throws {
        let leftOut = try OutputCopy(from: origin, to: target).write(to: target.output)
        #expect(leftOut == ["arch/built.o", "kernel/box.o"])
        for name in ["kernel/fork.o", "scripts/tool", "tools/objtool/check.o", "vmlinux", "include/config/SMP"] {
            let path = FilePath(name)
            #expect(try readBytes(target.output.pushing(path)) == readBytes(origin.output.pushing(path)), "\(name)")
            #expect(
                FileStatus(target.output.pushing(path))?.isExecutable
                    == FileStatus(origin.output.pushing(path))?.isExecutable)
        }
        for name in leftOut { #expect(!fileExists(target.output.pushing(FilePath(name)))) }
        // Nothing is shared: a tool that writes into a file of the copy changes no other output.
        #expect(
            FileStatus(target.output.pushing("kernel/fork.o"))?.inode
                != FileStatus(origin.output.pushing("kernel/fork.o"))?.inode)
    }

    @Test("time stamps are kept to the nanosecond, also for files whose text changes")
    func times() throws {
        _ = try OutputCopy(from: origin, to: target).write(to: target.output)
        for (index, name) in ["kernel/fork.o", "kernel/.fork.o.cmd", "include/config/SMP", "scripts/tool"].enumerated()
        {
            let modified = FileStatus(target.output.pushing(FilePath(name)))?.modified
            #expect(modified == Int64(1_000_000 + index) * 1_000_000_000 + 123_456_789, "\(name)")
        }
    }

    @Test("within one tree only the output's name changes")
    func sameTree() throws {
        var other = target
        other.tree = origin.tree
        let leftOut = try OutputCopy(from: origin, to: other).write(to: target.output)
        #expect(leftOut == ["arch/built.o"])
        #expect(try text("Makefile") == "include \(origin.tree)/Makefile\n")
        #expect(try text("scripts/.tool.cmd").contains("-o \(target.output)/scripts/tool "))
    }

    @Test("a folder behind a link is recognized by both names")
    func links() throws {
        let alias = scratch.root.appending("alias")
        symlink(scratch.root.appending("projects").string, alias.string)
        var (from, to) = (origin, target)
        (from.tree, from.output) = (alias.pushing("1/k/tree"), alias.pushing("1/k/build/x86_64-1"))
        (to.tree, to.output) = (alias.pushing("2/k/tree"), alias.pushing("2/k/build/x86_64-2"))
        try createFolder(target.tree)
        try scratch.write(["alias": "\(from.tree)/x \(from.output)/y\n"], below: "projects/1/k/build/x86_64-1")
        _ = try OutputCopy(from: from, to: to).write(to: to.output)
        #expect(try text("alias") == "\(to.tree)/x \(to.output)/y\n")
        #expect(try text("Makefile") == "include \(target.tree)/Makefile\n")
    }

    @Test("the record of inputs is copied, and allows an incremental build only after make has run")
    func snapshot() throws {
        let runner = CommandRunner()
        let commands = [origin, target].map { $0.command(["bzImage"], environment: [:]) }
        var record = OutputRecord()
        let file = TreeOverlay.Entry.File(bytes: Array("x".utf8), isExecutable: false)
        record.files["kernel/box.c"] = .init(content: ContentIdentity(file), modified: 5)
        try record.save(output: origin.output)
        let built = try #require(BuildSnapshot(of: origin, command: commands[0], runner: runner))
        try built.save(output: origin.output)
        let time = timespec(tv_sec: 2_000_000, tv_nsec: 7)
        utimensat(AT_FDCWD, BuildSnapshot.path(origin.output).string, [time, time], 0)

        _ = try OutputCopy(from: origin, to: target).write(to: target.output)
        try BuildSnapshot.move(from: origin, commands[0], to: target, commands[1], runner: runner)
        let moved = try #require(BuildSnapshot.load(output: target.output))
        let present = try #require(BuildSnapshot(of: target, command: commands[1], runner: runner))
        #expect(moved.command == present.command && moved.fixtures == present.fixtures && moved.files == built.files)
        #expect(moved.isCopied && !present.isCopied)
        #expect(FileStatus(BuildSnapshot.path(target.output))?.modified == 2_000_000_000_000_007)
        let obstacle = #expect(throws: IncrementalMake.Obstacle.self) {
            _ = try IncrementalMake(target, from: moved, to: present)
        }
        #expect(obstacle?.reason.contains("copied output") == true)
        // A copy of a copy that was never built knows nothing.
        try moved.save(output: origin.output)
        try BuildSnapshot.move(from: origin, commands[0], to: target, commands[1], runner: runner)
        #expect(BuildSnapshot.load(output: target.output) == nil)
    }
}

extension PatchWorkTreeTests {
    @Test("a tree matches its record until another process changes a file, and never again afterwards")
    func recordedTrees() throws {
        #expect(!work.isAsRecorded())
        try work.synchronize(overlay: overlay(["kernel/fork.c": "new\n", "info/x.c": "x\n"]), output: output)
        #expect(work.isAsRecorded())
        try work.synchronize(overlay: .empty, output: output)
        #expect(work.isAsRecorded())

        // A file that no patch names, in place of which somebody put another one.
        let other = work.tree.appending("Kbuild")
        let text = try readText(other)
        try writeAtomically("edited\n", to: other)
        #expect(!work.isAsRecorded())
        try removeAll(other)
        #expect(!work.isAsRecorded())
        #expect(link(work.pristine.appending("Kbuild").string, other.string) == 0)
        #expect(try readText(other) == text && work.isAsRecorded())
        // A file that is not the kernel's.
        try writeAtomically("x", to: work.tree.pushing("kernel/extra.c"))
        #expect(!work.isAsRecorded())
        try removeAll(work.tree.pushing("kernel/extra.c"))
        // A patched file: after the next synchronization it is right again, and an output may have seen the wrong one.
        try writeAtomically("edited\n", to: work.tree.pushing("kernel/fork.c"))
        #expect(!work.isAsRecorded())
        try work.synchronize(overlay: .empty, output: output)
        #expect(!work.isAsRecorded())
    }
}
