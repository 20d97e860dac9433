// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Patching
import SystemPackage
import Testing

@testable import PatchedTree

@Suite(.timeLimit(.minutes(30))) struct PatchApplyTests {
    private let scratch: PatchScratch
    private let pristine: FilePath

    init() throws {
        scratch = try PatchScratch()
        pristine = try writeSmallKernel(to: scratch)
    }

    private func overlay(_ patches: [String: String], series: String? = nil) throws -> TreeOverlay {
        for (name, text) in patches { try scratch.write(text, to: "p/\(name)") }
        if let series { try scratch.write(series, to: "p/series") }
        let source = try PatchSource.load(scratch.path.appending("p"))
        return try TreeOverlay.compute(pristine: pristine, sources: [source])
    }

    private func text(_ overlay: TreeOverlay, _ path: String) -> String? {
        guard case .file(let file) = overlay.files[path] else { return nil }
        return String(decoding: file.bytes, as: UTF8.self)
    }

    private func change(_ line: Int, at place: Int? = nil, to new: String = "changed") -> String {
        let start = (place ?? line) - 1
        return """
            --- a/kernel/fork.c
            +++ b/kernel/fork.c
            @@ -\(start),3 +\(start),3 @@
             line \(line - 1)
            -line \(line)
            +\(new)
             line \(line + 1)

            """
    }

    @Test func appliesAndLeavesThePristineTreeAlone() throws {
        let before = try contents(of: pristine)
        let overlay = try overlay(["a.patch": change(10)])
        #expect(overlay.files.keys.sorted() == ["kernel/fork.c"])
        #expect(text(overlay, "kernel/fork.c")?.contains("line 9\nchanged\nline 11\n") == true)
        #expect(overlay.notes.isEmpty)
        #expect(overlay.sources.map(\.paths) == [["kernel/fork.c"]])
        #expect(try contents(of: pristine) == before)
    }

    @Test func reportsAnOffset() throws {
        let overlay = try overlay(["a.patch": change(10, at: 14)])
        #expect(text(overlay, "kernel/fork.c")?.contains("line 9\nchanged\n") == true)
        #expect(overlay.notes == ["p/a.patch: hunk 1 of kernel/fork.c applied at line 9 (offset -4 lines)"])
    }

    @Test func namesTheLinesAndTheNearestMatchOfAHunkThatFails() throws {
        let patch = """
            --- a/kernel/fork.c
            +++ b/kernel/fork.c
            @@ -1,2 +1,2 @@
            -line 1
            +first
             line 2
            @@ -4,5 +4,5 @@ some function
             line 21
             line 22
            -line twenty-three
            +changed
             line 24
             line 25

            """
        let failed = failure { _ = try overlay(["a.patch": patch]) }
        #expect(failed?.code == .patch)
        #expect(failed?.message == "p/a.patch:7: hunk 2 of 2 of kernel/fork.c does not apply")
        let details = failed?.details ?? ""
        #expect(details.hasPrefix("@@ -4,5 +4,5 @@ some function\nthe patch expects:\n     4  line 21\n"))
        #expect(details.contains("this kernel has:\n     4  line 4\n     5  line 5\n"))
        #expect(details.contains("nearest match: line 21, 4 of 5 lines agree"))
        #expect(details.contains("     - line twenty-three\n    23+ line 23\n    24  line 24"))
    }

    @Test func findsTheNearestMatchWhereTheKernelHasAnExtraLine() throws {
        let patch =
            "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -30,4 +30,5 @@\n line 12\n line 13\n line 15\n+x\n line 16\n"
        let details = failure { _ = try overlay(["a.patch": patch]) }?.details ?? ""
        #expect(details.contains("nearest match: line 12, 4 of 4 lines agree"))
        #expect(details.contains("    14+ line 14\n"))
    }

    @Test func saysSoWhenAPatchIsAppliedAlready() throws {
        let patch = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,3 +1,3 @@\n line 1\n-line zwei\n+line 2\n line 3\n"
        let failed = failure { _ = try overlay(["a.patch": patch]) }
        #expect(failed?.code == .patch)
        #expect(failed?.message.contains("already applied") == true)
        let twice = failure { _ = try overlay(["a.patch": change(10), "b.patch": change(10)]) }
        #expect(twice?.message.contains("b.patch is already applied") == true)
    }

    @Test func hunksWithoutContextBelowBelongAtTheEnd() throws {
        let append = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -39,2 +39,3 @@\n line 39\n line 40\n+line 41\n"
        #expect(text(try overlay(["a.patch": append]), "kernel/fork.c")?.hasSuffix("line 40\nline 41\n") == true)
        let middle = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -10,2 +10,3 @@\n line 10\n line 11\n+x\n"
        #expect(failure { _ = try overlay(["a.patch": middle]) }?.details?.contains("for the file's end") == true)
    }

    @Test func createsDeletesRenamesAndMarksExecutable() throws {
        let overlay = try overlay([
            "a.patch": """
            diff --git a/kernel/new.sh b/kernel/new.sh
            new file mode 100755
            --- /dev/null
            +++ b/kernel/new.sh
            @@ -0,0 +1 @@
            +#!/bin/sh
            \\ No newline at end of file
            diff --git a/kernel/sys_ni.c b/kernel/sys_none.c
            similarity index 60%
            rename from kernel/sys_ni.c
            rename to kernel/sys_none.c
            --- a/kernel/sys_ni.c
            +++ b/kernel/sys_none.c
            @@ -1,2 +1,1 @@
             #include <linux/unistd.h>
            -COND_SYSCALL(rseq);
            diff --git a/include/linux/compat.h b/include/linux/compat.h
            deleted file mode 100644
            --- a/include/linux/compat.h
            +++ /dev/null
            @@ -1,3 +0,0 @@
            -#ifndef CONFIG_ARCH_HAS_SYSCALL_WRAPPER
            -asmlinkage long compat_sys_open(const char __user *filename, int flags, umode_t mode);
            -#endif /* CONFIG_ARCH_HAS_SYSCALL_WRAPPER */

            """
        ])
        #expect(overlay.files["kernel/new.sh"] == .file(.init(bytes: Array("#!/bin/sh".utf8), isExecutable: true)))
        #expect(overlay.files["kernel/sys_ni.c"] == .deleted)
        #expect(text(overlay, "kernel/sys_none.c") == "#include <linux/unistd.h>\n")
        #expect(overlay.files["include/linux/compat.h"] == .deleted)
    }

    @Test func swapsTwoNames() throws {
        let overlay = try overlay([
            "a.patch": """
            diff --git a/Kbuild b/Makefile
            rename from Kbuild
            rename to Makefile
            diff --git a/Makefile b/Kbuild
            rename from Makefile
            rename to Kbuild

            """
        ])
        #expect(text(overlay, "Makefile") == smallKernel["Kbuild"])
        #expect(text(overlay, "Kbuild") == smallKernel["Makefile"])
    }

    @Test func patchesThatUndoEachOtherLeaveAnEmptyOverlay() throws {
        let back = change(10).replacing("-line 10", with: "-changed").replacing("+changed", with: "+line 10")
        let overlay = try overlay(["a.patch": change(10), "b.patch": back])
        #expect(overlay.files.isEmpty)
        #expect(overlay.digest == TreeOverlay.empty.digest)
    }

    @Test func namesSimilarFilesWhenTheTargetIsMissing() throws {
        let patch = change(10).replacing("kernel/fork.c", with: "mm/fork.c")
        let failed = failure { _ = try overlay(["a.patch": patch]) }
        #expect(failed?.message.contains("mm/fork.c is not in this kernel tree") == true)
        #expect(failed?.details?.contains("kernel/fork.c") == true)
        let wrongLevel = change(10).replacing("a/kernel/", with: "kernel/").replacing("b/kernel/", with: "kernel/")
        #expect(failure { _ = try overlay(["a.patch": wrongLevel]) }?.nextStep?.contains("-p0") == true)
    }

    @Test func refusesToCreateWhatIsThereAndToFollowLinks() throws {
        let create = "--- /dev/null\n+++ b/kernel/fork.c\n@@ -0,0 +1 @@\n+x\n"
        #expect(failure { _ = try overlay(["a.patch": create]) }?.message.contains("there already") == true)
        try #require(symlink("/tmp", pristine.appending("out").string) == 0)
        let through = "--- /dev/null\n+++ b/out/x\n@@ -0,0 +1 @@\n+x\n"
        let failed = failure { _ = try overlay(["a.patch": through]) }
        #expect(failed?.code == .patch)
        #expect(failed?.message.contains("symbolic link") == true)
        let below = "--- /dev/null\n+++ b/kernel/fork.c/x\n@@ -0,0 +1 @@\n+x\n"
        #expect(failure { _ = try overlay(["a.patch": below]) }?.message.contains("is a file") == true)
    }

    @Test func readsAQuiltSeries() throws {
        let patches = [
            "1.patch": change(10), "2.patch": change(20).replacing("a/", with: "").replacing("b/", with: ""),
        ]
        let overlay = try overlay(patches, series: "# first\n2.patch -p0 # why\n\n1.patch\n")
        #expect(text(overlay, "kernel/fork.c")?.components(separatedBy: "changed").count == 3)
        #expect(
            failure { _ = try self.overlay([:], series: "3.patch\n") }?.message.hasSuffix(
                "series:1: there is no 3.patch") == true)
        #expect(failure { _ = try self.overlay([:], series: "1.patch --binary\n") }?.code == .usage)
        #expect(failure { _ = try self.overlay([:], series: "../p/1.patch\n") }?.code == .usage)
    }

    @Test func prefersTheSeriesOfTheKernelsVersion() throws {
        try scratch.write("1.patch\n", to: "p/series-6.1")
        try scratch.write("2.patch\n", to: "p/series-6.12")
        let overlay = try overlay([
            "1.patch": change(10, to: "for 6.1"), "2.patch": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
        ])
        #expect(text(overlay, "kernel/fork.c")?.contains("for 6.1") == true)
        try scratch.write(
            smallKernel["Makefile", default: ""].replacing("= 1\n", with: "= 9\n"), to: "pristine/Makefile")
        let failed = failure { _ = try self.overlay([:]) }
        #expect(failed?.message == "p has no series for Linux 6.9")
    }

    @Test func aSinglePatchFileIsASource() throws {
        try scratch.write(change(10), to: "fix.patch")
        let source = try PatchSource.load(scratch.path.appending("fix.patch"))
        #expect(source.name == "fix")
        #expect(try TreeOverlay.compute(pristine: pristine, sources: [source]).files.count == 1)
        #expect(failure { _ = try PatchSource.load(scratch.path.appending("none")) }?.code == .usage)
        #expect(failure { _ = try PatchSource.load(pristine) }?.code == .usage)
    }
}
