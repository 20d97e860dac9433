// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage
import Testing

@testable import PatchedTree
@testable import Patching

/// Patches as people make them for git and patch(1), applied to a small kernel whose fork.c has the lines 1 to 40.
@Suite(.timeLimit(.minutes(30))) struct PatchKindTests {
    private let scratch: PatchScratch
    private let pristine: FilePath

    init() throws {
        scratch = try PatchScratch()
        pristine = try writeSmallKernel(to: scratch)
    }

    private func overlay(_ patches: [String: String], series: String? = nil, fuzz: Int = 0) throws -> TreeOverlay {
        for (name, text) in patches { try scratch.write(text, to: "p/\(name)") }
        if let series { try scratch.write(series, to: "p/series") }
        let source = try PatchSource.load(scratch.path.appending("p"), fuzz: fuzz)
        return try TreeOverlay.compute(pristine: pristine, sources: [source])
    }

    private func lines(_ overlay: TreeOverlay, _ path: String = "kernel/fork.c") -> [String] {
        guard case .file(let file) = overlay.files[path] else { return [] }
        return file.bytes.splitLines.map(\.display)
    }

    private func hunk(_ place: Int, _ lines: [String], path: String = "kernel/fork.c", header: Bool = true) -> String {
        let old = lines.count { !$0.hasPrefix("+") }
        let new = lines.count { !$0.hasPrefix("-") }
        return (header ? "--- a/\(path)\n+++ b/\(path)\n" : "")
            + "@@ -\(place),\(old) +\(place),\(new) @@\n" + lines.map { $0 + "\n" }.joined()
    }

    // MARK: No context

    @Test func hunksWithoutContextBelongWhereTheySay() throws {
        let text = """
            --- a/kernel/fork.c
            +++ b/kernel/fork.c
            @@ -10,0 +11 @@
            +inserted
            @@ -20 +21 @@
            -line 20
            +changed
            @@ -30,2 +30,0 @@
            -line 30
            -line 31

            """
        let result = lines(try overlay(["a.patch": text]))
        var expected = (1...40).map { "line \($0)" }
        expected.removeSubrange(29...30)
        expected[19] = "changed"
        expected.insert("inserted", at: 10)
        #expect(result == expected)
    }

    @Test func hunksWithoutContextGoNowhereElse() {
        let text = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -21 +21 @@\n-line 20\n+changed\n"
        let failed = failure { _ = try overlay(["a.patch": text]) }
        #expect(failed?.details?.contains("has no context (-U0)") == true)
        let beyond = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -50,0 +51 @@\n+x\n"
        #expect(failure { _ = try overlay(["a.patch": beyond]) }?.code == .patch)
    }

    // MARK: Series

    @Test func seriesTakesEveryLevelAndReverse() throws {
        let body = "@@ -1,2 +1,2 @@\n-line 1\n+first\n line 2\n"
        for level in 0...9 {
            let folders = (0..<level).map { "d\($0)/" }.joined()
            let text = "--- \(folders)kernel/fork.c\n+++ \(folders)kernel/fork.c\n\(body)"
            #expect(lines(try overlay(["a.patch": text], series: "a.patch -p\(level)\n")).first == "first")
            #expect(lines(try overlay(["a.patch": text], series: "a.patch -p \(level) # why\r\n")).first == "first")
        }
        let undone = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,2 @@\n-first\n+line 1\n line 2\n"
        #expect(lines(try overlay(["a.patch": undone], series: "a.patch -R\n")).first == "first")
        #expect(lines(try overlay(["a.patch": undone], series: "a.patch -pab --reverse\n")).first == "first")
        for wrong in ["-p10", "-px", "-F9", "--binary"] {
            #expect(failure { _ = try overlay(["a.patch": undone], series: "a.patch \(wrong)\n") }?.code == .usage)
        }
    }

    @Test func filesThatAreNotReadAreNamed() throws {
        let text = hunk(1, ["-line 1", "+first", " line 2"])
        let result = try overlay(["a.patch": text, "b.patch": text, "c.patch.orig": text], series: "a.patch\n")
        #expect(result.notes == ["p/b.patch, p/c.patch.orig look like patches and are not read"])
    }

    // MARK: Absolute paths

    @Test func absolutePathsFitTheTree() throws {
        let text = hunk(1, ["-line 1", "+first", " line 2"])
            .replacing("--- a/", with: "--- /home/u/linux/").replacing("+++ b/", with: "+++ /home/u/linux-new/")
        let found = try overlay(["a.patch": text])
        #expect(lines(found).first == "first")
        #expect(found.notes == ["p/a.patch: the paths are absolute, and fit this kernel with -p4"])
        #expect(lines(try overlay(["a.patch": text], series: "a.patch -p4\n")).first == "first")
        #expect(failure { _ = try overlay(["a.patch": text], series: "a.patch -p3\n") }?.code == .patch)
    }

    @Test func absolutePathsOfNoFileAreRefused() {
        let none = hunk(1, ["-line 1", "+first", " line 2"], path: "x.c").replacing(" a/", with: " /home/u/")
        #expect(failure { _ = try overlay(["a.patch": none]) }?.code == .patch)
        let outside = "--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-b\n+c\n"
        #expect(failure { _ = try overlay(["a.patch": outside]) }?.message.contains("absolute") == true)
        let up = "--- /a/../../kernel/fork.c\n+++ /a/../../kernel/fork.c\n@@ -1,2 +1,2 @@\n-line 1\n+x\n line 2\n"
        #expect(failure { _ = try overlay(["a.patch": up]) } == nil)
    }

    // MARK: Fuzz and failures

    @Test func fuzzIsOfferedAndTakenWhenAskedFor() throws {
        let text = hunk(
            10, [" line 10", " LINE 11", " line 12", "-line 13", "+changed", " line 14", " line 15", " line 16"])
        let failed = failure { _ = try overlay(["a.patch": text]) }
        #expect(failed?.details?.contains("it would apply with fuzz 2 at line 10") == true)
        #expect(failed?.nextStep?.contains("--fuzz 2") == true)
        #expect(failure { _ = try overlay(["a.patch": text], fuzz: 1) } != nil)
        let applied = try overlay(["a.patch": text], fuzz: 2)
        #expect(lines(applied)[10...13] == ["line 11", "line 12", "changed", "line 14"])
        #expect(applied.notes.contains { $0.contains("fuzz 2") })
        #expect(lines(try overlay(["a.patch": text], series: "a.patch -F2\n"))[12] == "changed")
    }

    @Test func allFailingHunksAreNamedInOneRun() throws {
        let text =
            hunk(5, [" line 5", "-nowhere", "+x", " line 7"])
            + hunk(10, [" line 10", "-line 11 ", "+x", " line 12"], header: false)
            + hunk(20, [" line 20", "-line 21", "+fine", " line 22"], header: false)
            + "--- a/kernel/none.c\n+++ b/kernel/none.c\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        let details = try #require(failure { _ = try overlay(["a.patch": text]) }?.details)
        #expect(details.contains("2 more of this patch do not apply"))
        #expect(details.contains("kernel/fork.c, hunk 2 of 3 (line 8): line 11 differs in white space only"))
        #expect(details.contains("kernel/none.c, line 18: not in this kernel tree"))
        #expect(!details.contains("hunk 3"))
    }

    @Test(arguments: [
        ("    case 1:", "spaces where this kernel has tabs"), ("\tcase 1:\r", "end in CR LF"),
        ("\tcase 1: ", "spaces at its end"),
    ]) func whiteSpaceThatDiffersIsNamed(line: String, how: String) throws {
        try scratch.write("a {\n\tcase 1:\n\tbreak;\n}\n", to: "pristine/kernel/tabs.c")
        let failed = failure {
            _ = try overlay([
                "a.patch": hunk(1, [" a {", " \(line)", "-\tbreak;", "+\treturn;", " }"], path: "kernel/tabs.c")
            ])
        }
        #expect(failed?.details?.contains("white space only") == true)
        #expect(failed?.details?.contains(how) == true, "\(failed?.details ?? "")")
    }

    @Test func theNearestMatchShowsWhatStandsInTheLastLinesPlace() throws {
        let failed = failure { _ = try overlay(["a.patch": hunk(10, [" line 10", "-line 11", "+x", " other"])]) }
        #expect(failed?.details?.contains("    12+ line 12") == true, "\(failed?.details ?? "")")
    }

    @Test func oneMessageThatIsThereAlreadyIsNamed() throws {
        func message(_ subject: String, _ body: String) -> String {
            "From a@b Mon Sep 17 00:00:00 2001\nSubject: \(subject)\n\n---\n\(body)-- \n2.39\n\n"
        }
        let mailbox =
            message("[PATCH 1/2] one", hunk(1, ["-line 1", "+first", " line 2"]))
            + message("[PATCH 2/2] two", hunk(10, [" line 10", "-absent", "+line 11", " line 12"]))
        let failed = failure { _ = try overlay(["a.mbox": mailbox]) }
        #expect(
            failed?.message == "p/a.mbox:14 ([PATCH 2/2] two) is already applied: the tree holds what it would change")
        #expect(failed?.nextStep?.contains("this message") == true)
    }

    // MARK: Folders

    @Test func theFolderOfTheLastFileIsRemoved() throws {
        try scratch.write("x\n", to: "pristine/samples/only/x.c")
        let gone = try overlay(["a.patch": "--- a/samples/only/x.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"])
        try linkTree(pristine, to: scratch.path.appending("tree"))
        let work = WorkTree(tree: scratch.path.appending("tree"), pristine: pristine)
        let output = scratch.path.appending("out")
        try work.synchronize(overlay: gone, output: output)
        #expect(!fileExists(work.tree.appending("samples")))
        try work.synchronize(overlay: .empty, output: output)
        #expect(try contents(of: work.tree) == contents(of: pristine))
    }
}
