// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Patching
import SystemPackage
import Testing

@testable import PatchedTree
@testable import Syscalls

/// A series that registers one call by hand, each part of which a test can spoil.
private struct HandMade {
    var table = "451\tcommon\tmine\t\t\tsys_mine"
    /// The line of the table that the new one follows.
    var tableAfter = "450\tcommon"
    var ia32: String?
    var prototype: String? = "asmlinkage long sys_mine(int number, char __user *text);"
    var generic = ["#define __NR_mine 451", "__SYSCALL(__NR_mine, sys_mine)", ""]
    var limit = "#define __NR_syscalls 452"
    var makefile: String? = "obj-y += mine.o"
    var source: [String]? = [
        "#include <linux/syscalls.h>", "", "SYSCALL_DEFINE2(mine, int, number, char __user *, text)", "{",
        "\treturn 0;", "}",
    ]
    var sourcePath = "kernel/mine.c"
    /// More diffs, as they stand in the file.
    var more = ""
    var kernel = smallKernel

    var text: String {
        var diffs = "Subject: [PATCH] mine\n\nA call.\n---\n\n"
        func insert(_ path: String, _ lines: [String], after prefix: String) {
            change(path) { text in
                let index = text.lastIndex { $0.hasPrefix(prefix) } ?? text.count - 1
                text.insert(contentsOf: lines, at: index + 1)
            }
        }
        func change(_ path: String, _ body: (inout [String]) -> Void) {
            let old = (kernel[path] ?? "").split(separator: "\n", omittingEmptySubsequences: false).dropLast()
                .map(String.init)
            var new = old
            body(&new)
            let start = zip(old, new).prefix { $0 == $1 }.count
            let end = min(
                zip(old.reversed(), new.reversed()).prefix { $0 == $1 }.count, min(old.count, new.count) - start)
            let (above, below) = (min(3, start), min(3, end))
            let removed = old[start..<(old.count - end)]
            let added = new[start..<(new.count - end)]
            diffs += "--- a/\(path)\n+++ b/\(path)\n"
            diffs += "@@ -\(start - above + 1),\(above + removed.count + below) "
            diffs += "+\(start - above + 1),\(above + added.count + below) @@\n"
            for line in old[(start - above)..<start] { diffs += " \(line)\n" }
            for line in removed { diffs += "-\(line)\n" }
            for line in added { diffs += "+\(line)\n" }
            for line in old[(old.count - end)..<(old.count - end + below)] { diffs += " \(line)\n" }
        }
        insert(SyscallTable.x8664, [table], after: tableAfter)
        if let ia32 { insert(SyscallTable.i386, [ia32], after: "450\t") }
        if let prototype {
            insert("include/linux/syscalls.h", [prototype], after: "asmlinkage long sys_memfd_secret")
        }
        change("include/uapi/asm-generic/unistd.h") { lines in
            lines.insert(contentsOf: generic, at: 3)
            lines[lines.count - 1] = limit
        }
        if let makefile {
            insert("kernel/Makefile", makefile.split(separator: "\n").map(String.init), after: "\t    async.o")
        }
        if let source {
            diffs += "--- /dev/null\n+++ b/\(sourcePath)\n@@ -0,0 +1,\(source.count) @@\n"
            diffs += source.map { "+\($0)\n" }.joined()
        }
        return diffs + more
    }
}

@Suite("syscall check", .timeLimit(.minutes(30))) struct SyscallCheckTests {
    private let scratch: PatchScratch
    private let pristine: FilePath

    init() throws {
        scratch = try PatchScratch()
        pristine = try writeSmallKernel(to: scratch)
    }

    private func examine(_ series: HandMade) throws -> PatchAnalysis {
        try scratch.write(series.text, to: "hand/1.patch")
        let analysis = try PatchAnalysis(
            pristine: pristine, sources: [try PatchSource.load(scratch.path.appending("hand"))])
        #expect(analysis.applyFailures.isEmpty)
        return analysis
    }

    /// Expects one finding, at the line of the patch that reads `line`.
    private func expect(
        _ severity: SyscallFinding.Severity, _ message: String, at line: String, fix: String? = nil,
        _ sourceLocation: SourceLocation = #_sourceLocation, in series: HandMade
    ) throws {
        let findings = try examine(series).findings
        let found = findings.map(\.description).joined(separator: "\n")
        #expect(findings.count == 1, "\(found)", sourceLocation: sourceLocation)
        let finding = try #require(findings.first, sourceLocation: sourceLocation)
        #expect(finding.severity == severity, sourceLocation: sourceLocation)
        #expect(finding.message.contains(message), "\(found)", sourceLocation: sourceLocation)
        if let fix { #expect(finding.fix.contains(fix), "\(found)", sourceLocation: sourceLocation) }
        #expect(finding.place.file == scratch.path.pushing("hand/1.patch").string, sourceLocation: sourceLocation)
        let lines = series.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let expected = try #require(lines.firstIndex(of: line), sourceLocation: sourceLocation) + 1
        #expect(finding.place.line == expected, "\(found)", sourceLocation: sourceLocation)
    }

    @Test func aSeriesWithoutMistakesHasNoFinding() throws {
        let analysis = try examine(HandMade())
        #expect(analysis.findings.isEmpty, "\(analysis.findings)")
        let added = try #require(analysis.added.first)
        #expect("\(added.syscall.name) \(added.syscall.number) \(added.syscall.abi)" == "mine 451 common")
        #expect(added.entry == "sys_mine")
        #expect(added.source == scratch.path.appending("hand").string)
        #expect(added.place.line == 12)
        #expect(
            HandMade().text.split(separator: "\n", omittingEmptySubsequences: false)[11]
                == "+451\tcommon\tmine\t\t\tsys_mine")
    }

    @Test func aNumberThatIsTaken() throws {
        var series = HandMade()
        series.table = "450\tcommon\tmine\t\t\tsys_mine"
        series.generic[0] = "#define __NR_mine 451"
        try expect(
            .error, "number 450 of mine is taken by set_mempolicy_home_node of Linux 6.1.192", at: "+" + series.table,
            fix: "the next one is 451", in: with(series) { $0.generic = [] })
    }

    @Test func aGap() throws {
        var series = HandMade()
        series.table = "455\tcommon\tmine\t\t\tsys_mine"
        series.generic[0] = "#define __NR_mine 455"
        series.limit = "#define __NR_syscalls 456"
        try expect(.warning, "number 455 of mine leaves a gap", at: "+" + series.table, fix: "use 451", in: series)
    }

    @Test func theLineAfterTheX32Block() throws {
        let series = with(HandMade()) { $0.tableAfter = "547\tx32" }
        try expect(.warning, "mine stands after the x32 block", at: "+" + series.table, fix: "450", in: series)
    }

    @Test func aNumberOfX32() throws {
        let series = with(HandMade()) {
            $0.table = "548\tcommon\tmine\t\t\tsys_mine".replacing("548", with: "530")
            $0.generic = []
        }
        try expect(.error, "lies in x32's block, 512 to 547", at: "+" + series.table, in: series)
    }

    @Test func theWrongPrefixForThisVersion() throws {
        let series = with(HandMade()) { $0.table = "451\tcommon\tmine\t\t\t__x64_sys_mine" }
        try expect(
            .error, "the entry of mine is __x64_sys_mine", at: "+" + series.table, fix: "write sys_mine", in: series)
        // In kernels 4.17 to 5.6 it is the other way round.
        let old = try #require(smallKernel[SyscallTable.x8664]).replacing("\tsys_", with: "\t__x64_sys_")
        try scratch.write(old, to: "pristine/\(SyscallTable.x8664)")
        var plain = HandMade()
        plain.kernel[SyscallTable.x8664] = old
        try expect(
            .error, "this kernel's table names entries __x64_sys_NAME", at: "+" + plain.table,
            fix: "write __x64_sys_mine", in: plain)
        #expect(try examine(with(plain) { $0.table = series.table }).findings.isEmpty)
    }

    @Test func theGenericLimitNotRaised() throws {
        let series = with(HandMade()) { $0.limit = "#define __NR_syscalls 451" }
        try expect(
            .warning, "__NR_syscalls is 451, not above mine's 451", at: "+#define __NR_mine 451",
            fix: "#define __NR_syscalls 452", in: series)
    }

    @Test func theGenericNumberIsAnother() throws {
        let series = with(HandMade()) {
            $0.generic[0] = "#define __NR_mine 452"
            $0.limit = "#define __NR_syscalls 453"
        }
        try expect(.warning, "mine is 452 here, but 451", at: "+#define __NR_mine 452", fix: "one number", in: series)
    }

    @Test func theObjectMissingFromTheMakefile() throws {
        let series = with(HandMade()) { $0.makefile = nil }
        try expect(
            .error, "kernel/mine.c is not built: kernel/Makefile does not name mine.o",
            at: "+SYSCALL_DEFINE2(mine, int, number, char __user *, text)", fix: "obj-y += mine.o", in: series)
    }

    @Test func theObjectThatALaterAssignmentDiscards() throws {
        let series = with(HandMade()) { $0.makefile = "obj-y += mine.o\nobj-y = other.o" }
        try expect(
            .error, "reassigns obj-y, which discards mine.o from above",
            at: "+SYSCALL_DEFINE2(mine, int, number, char __user *, text)", fix: "below that one", in: series)
    }

    @Test func aNewFolderThatNothingLeadsTo() throws {
        let makefile = "--- /dev/null\n+++ b/info/Makefile\n@@ -0,0 +1 @@\n+obj-y := mine.o\n"
        let series = with(HandMade()) {
            $0.makefile = nil
            $0.sourcePath = "info/mine.c"
            $0.more = makefile
        }
        try expect(
            .error, "nothing in Kbuild leads the build to info/",
            at: "+SYSCALL_DEFINE2(mine, int, number, char __user *, text)", fix: "obj-y += info/", in: series)
        let hooked = with(series) {
            $0.more += "--- a/Kbuild\n+++ b/Kbuild\n@@ -1,3 +1,4 @@\n obj-y\t\t\t+= init/\n obj-y\t\t\t+= kernel/\n"
            $0.more += "+obj-y\t\t\t+= info/\n obj-y\t\t\t+= mm/\n"
        }
        #expect(try examine(hooked).findings.isEmpty)
    }

    @Test func noDefinition() throws {
        let series = with(HandMade()) { $0.source = nil }
        try expect(
            .error, "no C file defines mine with SYSCALL_DEFINE", at: "+" + series.table,
            fix: "SYSCALL_DEFINEn(mine,", in: series)
    }

    @Test func anOrdinaryFunction() throws {
        let series = with(HandMade()) { $0.source?[2] = "asmlinkage long sys_mine(int number, char __user *text)" }
        try expect(
            .error, "sys_mine is an ordinary function",
            at: "+asmlinkage long sys_mine(int number, char __user *text)", fix: "SYSCALL_DEFINEn(mine", in: series)
    }

    @Test func aCountUnlikeThePrototype() throws {
        let series = with(HandMade()) { $0.prototype = "asmlinkage long sys_mine(int number);" }
        let findings = try examine(series).findings
        // Both places are the user's, so both are named.
        let line =
            try #require(
                series.text.split(separator: "\n", omittingEmptySubsequences: false).firstIndex {
                    $0 == "+asmlinkage long sys_mine(int number);"
                }) + 1
        #expect(findings.first?.message.contains("hand/1.patch:\(line)") == true)
        try expect(
            .warning, "mine has 2 argument(s) here, but 1 in its prototype",
            at: "+SYSCALL_DEFINE2(mine, int, number, char __user *, text)",
            fix: "asmlinkage long sys_mine(int number, char __user *text);", in: series)
    }

    @Test func aPrototypeThatIsMissing() throws {
        try expect(
            .warning, "include/linux/syscalls.h has no prototype of sys_mine",
            at: "+SYSCALL_DEFINE2(mine, int, number, char __user *, text)",
            fix: "asmlinkage long sys_mine(int number, char __user *text);",
            in: with(HandMade()) { $0.prototype = nil })
    }

    @Test func aPrototypeThatX86ReadsHasToAgree() throws {
        let path = "include/linux/syscalls.h"
        var kernel = smallKernel
        let guarded = try #require(kernel[path])
        // Without the condition that hides prototypes where ARCH_HAS_SYSCALL_WRAPPER is set.
        kernel[path] = guarded.replacing("CONFIG_ARCH_HAS_SYSCALL_WRAPPER", with: "CONFIG_SOMETHING_ELSE")
        try writeAtomically(kernel[path] ?? "", to: pristine.pushing(FilePath(path)))
        let series = with(HandMade()) {
            $0.kernel = kernel
            $0.prototype = "asmlinkage long sys_mine(int number);"
        }
        let finding = try #require(try examine(series).findings.first { $0.message.contains("in its prototype") })
        #expect(finding.severity == .error)
        #expect(!finding.message.contains("x86-64 does not read"))
    }

    @Test(arguments: [
        ("#ifndef M\nX\n#endif", true), ("#if !defined(M)\nX\n#endif", true), ("#ifdef M\n#else\nX\n#endif", true),
        ("#ifdef M\nX\n#endif", false), ("#ifndef M\n#else\nX\n#endif", false), ("#ifndef M\n#endif\nX", false),
        ("# ifndef M\n#if A\n#else\nX\n#endif\n#endif", true), ("#ifndef N\nX\n#endif", false),
        ("#ifndef M\n#elif A\nX\n#endif", false),
    ])
    func followsThePreprocessorsConditions(text: String, isHidden: Bool) throws {
        let lines = text.split(separator: "\n").map(String.init)
        let index = try #require(lines.firstIndex(of: "X"))
        #expect(SyscallCheck.isHidden(index, of: lines, whereDefined: "M") == isHidden)
    }

    @Test(arguments: [
        ("include/generated/asm/unistd_64.h", "is a generated file"),
        ("arch/x86/include/generated/uapi/asm/unistd_64.h", "is a generated file"),
        ("include/config/auto.conf", "is a generated file"), (".config", "is the kernel's configuration"),
        ("kernel/mine.mod.c", "is a product of a build"),
    ])
    func anEditOfAGeneratedFile(path: String, reason: String) throws {
        // The file is not in a clean tree, so the edit could not even be applied; that must not hide the reason.
        let edit = "--- a/\(path)\n+++ b/\(path)\n@@ -1 +1 @@\n-old\n+new\n"
        let series = with(HandMade()) { $0.more = edit }
        try expect(.error, "the path \(path) \(reason)", at: "--- a/\(path)", in: series)
        let failed = failure {
            _ = try TreeOverlay.compute(
                pristine: pristine, sources: [try PatchSource.load(scratch.path.appending("hand"))])
        }
        #expect(failed?.code == .patch)
    }

    @Test func aCompatEntryThatNothingDefines() throws {
        let row = "451\ti386\tmine\t\t\tsys_mine\t\t\tcompat_sys_mine"
        let series = with(HandMade()) { $0.ia32 = row }
        try expect(
            .error, "no C file defines mine with COMPAT_SYSCALL_DEFINE", at: "+" + row,
            fix: "COMPAT_SYSCALL_DEFINEn(mine", in: series)
        let defined = with(series) {
            $0.source? += ["COMPAT_SYSCALL_DEFINE2(mine, int, number, char __user *, text) { return 0; }"]
        }
        #expect(try examine(defined).findings.isEmpty)
        #expect(try examine(with(HandMade()) { $0.ia32 = "451\ti386\tmine\t\t\tsys_mine" }).findings.isEmpty)
    }

    @Test(arguments: [
        ("451\tcommon\tmine", "has no entry point"), ("451\tcommon", "is not a system-call table line"),
        ("451\tcommn\tmine\t\t\tsys_mine", "commn is not an ABI of this table"),
        (" 451\tcommon\tmine\t\t\tsys_mine", "begins with a blank"),
        ("451\tcommon\tmine\t\t\tsys_mine\tsys_mine", "has 5 columns"),
        ("451\tcommon\tmine\t\t\tsys_mine\t# mine", "# is a comment, which must be a line of its own"),
    ])
    func aMalformedLine(line: String, reason: String) throws {
        let series = with(HandMade()) { $0.table = line }
        let findings = try examine(series).findings
        let finding = try #require(findings.first { $0.message.contains(reason) }, "\(findings)")
        #expect(finding.severity == .error)
        #expect(finding.place.line == 12)
    }

    @Test func spacesBetweenTheColumns() throws {
        let series = with(HandMade()) { $0.table = "451  common  mine  sys_mine" }
        try expect(.warning, "separated by spaces", at: "+" + series.table, fix: "use tabs", in: series)
    }

    @Test func aLineOutOfOrder() throws {
        let series = with(HandMade()) { $0.tableAfter = "449\tcommon" }
        try expect(
            .error, "stands above that of set_mempolicy_home_node", at: "+" + series.table, fix: "order", in: series)
    }

    @Test func theSameCallTwice() throws {
        let twice = with(HandMade()) { $0.table += "\n+452\tcommon\tmine\t\t\tsys_mine" }
        // The helper counts one line; the header must count two.
        let text = twice.text.replacing("@@ -1,6 +1,7 @@", with: "@@ -1,6 +1,8 @@", maxReplacements: 1)
        #expect(text != twice.text)
        try scratch.write(text, to: "twice/1.patch")
        let findings = try PatchAnalysis(
            pristine: pristine, sources: [try PatchSource.load(scratch.path.appending("twice"))]
        ).findings
        #expect(findings.count == 1, "\(findings)")
        #expect(findings.first?.message.contains("a call named mine is in the table twice") == true)
        #expect(findings.first?.place.line == 13)

        let defined = with(HandMade()) {
            $0.source? += ["SYSCALL_DEFINE2(mine, int, number, char __user *, text) { return 0; }"]
        }
        try expect(
            .error, "mine is defined twice, also at",
            at: "+SYSCALL_DEFINE2(mine, int, number, char __user *, text) { return 0; }", in: defined)
        let known = with(HandMade()) {
            $0.table = "451\tcommon\tfutex_waitv\t\tsys_mine"
            $0.generic = []
        }
        try expect(
            .error, "a call named futex_waitv is in the table already, with number 449", at: "+" + known.table,
            fix: "another name", in: known)
    }

    @Test func allMistakesAreToldAtOnce() throws {
        let series = with(HandMade()) {
            $0.table = "450\tcommon\tmine\t\t\t__x64_sys_mine"
            $0.prototype = "asmlinkage long sys_mine(int number);"
            $0.limit = "#define __NR_syscalls 451"
            $0.makefile = nil
            $0.more = "--- a/.config\n+++ b/.config\n@@ -1 +1 @@\n-old\n+new\n"
        }
        let findings = try examine(series).findings
        let messages = findings.map(\.message)
        for part in [
            "is taken by", "the entry of mine is", "in its prototype", "__NR_syscalls is", "is not built", ".config",
            "but 450 in the x86-64 table",
        ] { #expect(messages.contains { $0.contains(part) }, "\(part): \(messages)") }
        #expect(findings.count == 7)
        let failed = failure {
            _ = try TreeOverlay.compute(
                pristine: pristine, sources: [try PatchSource.load(scratch.path.appending("hand"))])
        }
        #expect(failed?.code == .patch)
        #expect(failed?.message == "4 mistakes in how system calls are registered")
        #expect(failed?.details?.contains("1.patch:12: error: number 450 of mine is taken") == true)
    }

    @Test func aLaterPatchMovesTheLines() throws {
        // The second patch of a series puts a line above: the place stays that of the patch that brought the line.
        let first = with(HandMade()) { $0.table = "455\tcommon\tmine\t\t\tsys_mine" }
        try scratch.write(first.text, to: "two/1.patch")
        let comment =
            "--- a/\(SyscallTable.x8664)\n+++ b/\(SyscallTable.x8664)\n@@ -1,2 +1,4 @@\n"
            + " # <number> <abi> <name> <entry point>\n+# one\n+# two\n 449\tcommon\tfutex_waitv\t\tsys_futex_waitv\n"
        try scratch.write(comment, to: "two/2.patch")
        let findings = try PatchAnalysis(
            pristine: pristine, sources: [try PatchSource.load(scratch.path.appending("two"))]
        ).findings
        let gap = try #require(findings.first { $0.message.contains("leaves a gap") })
        #expect(gap.place == .init(file: scratch.path.pushing("two/1.patch").string, line: 12))
        #expect(gap.message.contains("syscall_64.tbl:6)"))
    }

    @Test func everyMistakeOfASpecIsTold() throws {
        let yaml = """
            sources: [box.c]
            syscalls:
              - name: put
                arguments: [int number]
                number: 450
              - name: get
                arguments: [int number]
              - name: peek
              - name: futex_waitv

            """
        let c = """
            SYSCALL_DEFINE1(put, int, number) { return 0; }
            SYSCALL_DEFINE2(get, int, number, int, other) { return 0; }
            SYSCALL_DEFINE0(futex_waitv) { return 0; }
            SYSCALL_DEFINE0(extra) { return 0; }

            """
        try scratch.write(yaml, to: "box/syscall.yaml")
        try scratch.write(c, to: "box/box.c")
        let findings = try PatchAnalysis(
            pristine: pristine, sources: [try PatchSource.load(scratch.path.appending("box"))]
        ).findings
        let box = scratch.path.appending("box").string
        let told = findings.map { "\($0.place.file.dropFirst(box.count + 1)):\($0.place.line) \($0.severity)" }
        #expect(
            told == [
                "box.c:2 error", "box.c:4 warning", "syscall.yaml:3 error", "syscall.yaml:8 error",
                "syscall.yaml:9 error",
            ],
            "\(findings.map(\.description))")
        #expect(findings.allSatisfy { !$0.fix.isEmpty })
    }

    @Test func textAndFailuresReadAsCompilersWriteThem() {
        let finding = SyscallFinding(.error, .init(file: "a/b.patch", line: 7), "it is wrong", fix: "correct it")
        #expect(finding.description == "a/b.patch:7: error: it is wrong\n  fix: correct it")
        #expect(Failure([finding]) == Failure(.patch, "a/b.patch:7: it is wrong", nextStep: "correct it"))
        let warning = SyscallFinding(.warning, finding.place, "odd", fix: "")
        #expect(Failure([warning]) == nil)
        let read = SyscallFinding(
            Failure(.usage, "x/y.yaml:3:5: no: good", details: "one\ntwo", nextStep: "do"), about: "z")
        #expect(read.place == .init(file: "x/y.yaml", line: 3))
        #expect(read.message == "no: good\n    one\n    two")
        #expect(SyscallFinding(Failure(.usage, "bad"), about: "z").place == .init(file: "z", line: 1))
    }
}

private func with(_ series: HandMade, _ body: (inout HandMade) -> Void) -> HandMade {
    var series = series
    body(&series)
    return series
}
