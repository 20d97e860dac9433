// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@testable import Patching

@Suite(.timeLimit(.minutes(30))) struct PatchParserTests {
    private let hunk = "@@ -1,2 +1,2 @@\n a\n-b\n+c\n"

    @Test(
        "a hunk's header is four numbers between @@, with or without counts, blanks and a function",
        arguments: [
            ("@@ -1,2 +1,2 @@", true), ("@@ -1,2  +1,2  @@ int f(void)", true),
            ("@@ -01,2 +1,2 @@", true), ("@@ -1,2 +1,2 @@x", false), ("@@ -1,2 +1,2@@", false),
            ("@@ -1,2 +1, @@", false), ("@@ -,2 +1,2 @@", false), ("@@ -1,2 @@", false), ("@@ -1,2 -1,2 @@", false),
            ("@@ -4294967296,2 +1,2 @@", false), ("@@ -1,2 +1,99999999999999999999 @@", false),
            ("@@ -1;2 +1,2 @@", false),
        ])
    func headers(header: String, isRead: Bool) throws {
        let text = "--- a/x\n+++ b/x\n\(header)\n a\n-b\n+c\n"
        if isRead {
            let hunk = try #require(try parse(text).first?.files.first?.hunks.first)
            #expect(hunk.oldStart == 1 && hunk.newStart == 1 && hunk.entries.count == 3)
        } else {
            #expect(throws: (any Error).self) { try parse(text) }
        }
    }

    @Test func readsAGitPatchWithMailHeadersAndSignature() throws {
        let patches = try parse(
            """
            From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001
            From: A <a@example.org>
            Subject: [PATCH 1/2] Do
             this

            Why.
            ---
             x.c | 2 +-

            diff --git a/x.c b/x.c
            index 1..2 100644
            --- a/x.c
            +++ b/x.c
            \(hunk)--\u{20}
            2.39.5

            """)
        #expect(patches.count == 1)
        #expect(patches[0].subject == "[PATCH 1/2] Do this")
        #expect(patches[0].files.map(\.newPath) == ["x.c"])
        #expect(patches[0].files[0].lineNumber == 10)
        #expect(patches[0].files[0].hunks[0].lineNumber == 14)
        #expect(patches[0].files[0].hunks[0].entries.map(\.kind) == [.context, .removed, .added])
    }

    @Test func readsEveryMessageOfAMailboxAndSkipsTheCoverLetter() throws {
        func message(_ subject: String, _ body: String) -> String {
            "From a@b Mon Sep 17 00:00:00 2001\nSubject: \(subject)\n\n\(body)\n"
        }
        let diff = "--- a/x.c\n+++ b/x.c\n\(hunk)"
        let text =
            message("[PATCH v2 0/2] Intro", "Words.") + message("[PATCH v2 1/2] A", diff)
            + message("[PATCH v2 2/2] B", diff)
        #expect(try parse(text).map(\.subject) == ["[PATCH v2 1/2] A", "[PATCH v2 2/2] B"])
        let empty = message("[PATCH 1/2] A", diff) + message("[PATCH 2/2] B", "Nothing here.")
        #expect(failure { _ = try parse(empty) }?.message.contains("[PATCH 2/2] B\" holds no diff") == true)
    }

    @Test func readsRenamesModesAndQuotedNames() throws {
        let files = try parse(
            """
            diff --git a/old name.c b/new name.c
            similarity index 100%
            rename from old name.c
            rename to new name.c
            diff --git a/run.sh b/run.sh
            old mode 100644
            new mode 100755
            diff --git "a/f\\303\\266.c" "b/f\\303\\266.c"
            new file mode 100644
            index 0..1
            --- /dev/null
            +++ "b/f\\303\\266.c"
            @@ -0,0 +1 @@
            +x
            \\ No newline at end of file

            """)[0].files
        #expect(files.map(\.operation) == [.rename, .modify, .create])
        #expect(files[0].oldPath == "old name.c")
        #expect(files[0].newPath == "new name.c")
        #expect(files[1].newMode == 0o100755)
        #expect(files[2].newPath == "fö.c")
        #expect(files[2].hunks[0].postimage == [ArraySlice("x".utf8)])
    }

    @Test func plainDiffMarksNewAndDeletedFilesByTheEpoch() throws {
        let files = try parse(
            """
            diff -Naur a/n.c b/n.c
            --- a/n.c\t1970-01-01 01:00:00.000000000 +0100
            +++ b/n.c\t2024-05-05 10:00:00.000000000 +0100
            @@ -0,0 +1 @@
            +x
            --- a/d.c\t2024-05-05 10:00:00.000000000 +0100
            +++ b/d.c\t1970-01-01 01:00:00.000000000 +0100
            @@ -1 +0,0 @@
            -x

            """)[0].files
        #expect(files.map(\.operation) == [.create, .delete])
    }

    @Test func undoesMailEncodingsAndCarriageReturns() throws {
        let crlf = "--- a/x.c\n+++ b/x.c\n\(hunk)".split(separator: "\n").map { $0 + "\r\n" }.joined()
        #expect(try parse(crlf)[0].files[0].hunks[0].postimage.map(\.display) == ["a", "c"])

        // A patch to a file that itself has CR LF keeps them.
        let inner = "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-b\r\n+c\r\n"
        #expect(try parse(inner)[0].files[0].hunks[0].postimage.map(\.display) == ["c\\r"])

        let quoted = """
            From a@b Mon Sep 17 00:00:00 2001
            Subject: x
            Content-Transfer-Encoding: quoted-printable

            --- a/x.c
            +++ b/x.c
            @@ -1 +1 @@
            -a =3D 1;
            +a =3D =
            2;

            """
        #expect(try parse(quoted)[0].files[0].hunks[0].postimage.map(\.display) == ["a = 2;"])
    }

    @Test(arguments: [
        ("--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n", "ends here"),
        ("--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n+d\n", "more lines than its header counts"),
        ("--- a/x.c\n+++ b/x.c\n@@ -1,1 +1,1 @@\n a\n", "changes nothing"),
        ("diff --git a/x.bin b/x.bin\nindex 1..2\nGIT binary patch\nliteral 3\n", "binary patch"),
        ("Binary files a/x and b/x differ\n", "binary patch"),
        ("Only in b/kernel: new.c\n--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-b\n+c\n", "leaves out a file"),
        ("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+x\n", "symbolic link"),
        ("hello\n", "holds no diff"),
        ("@@ -1 +1 @@\n-b\n+c\n", "without the --- and +++ lines"),
        ("diff --cc x.c\n", "combined diff"),
        ("diff --git a/x.c b/x.c\nindex 1..2 100644\n", "hunks are missing"),
    ])
    func refusesWhatItWouldHaveToGuess(text: String, reason: String) throws {
        let failed = failure { _ = try parse(text) }
        #expect(failed?.code == .patch)
        #expect(failed?.message.contains(reason) == true, "\(failed?.message ?? "no failure")")
    }

    @Test(arguments: [
        "a/../../etc/passwd", "/etc/passwd", "a/.git/hooks/post-checkout", "a/sub/.GIT/config", "a/kernel/../../x",
        "a/./x.c",
    ])
    func refusesPathsThatLeaveTheSources(path: String) throws {
        let traditional = "--- \(path)\n+++ \(path)\n@@ -1 +1 @@\n-b\n+c\n"
        let failed = failure { _ = try parse(traditional) }
        #expect(failed?.code == .patch)
        #expect(failed?.message.contains("path") == true)
        let rename = "diff --git a/x.c b/y.c\nrename from x.c\nrename to \(path.hasPrefix("/") ? path : "a/../../x")\n"
        #expect(throws: Failure.self) { _ = try parse(rename) }
    }

    @Test(
        "a path that is impossible in a tree, or that differs from the patch's text, is refused",
        arguments: [
            (Array("kernel/\(String(repeating: "x", count: 256))".utf8), "more than 255 bytes"),
            (Array(repeating: "folder", count: 300).joined(separator: "/").utf8.map { $0 }, "more than 2048 bytes"),
            (Array("kernel/".utf8) + [0xFF, 0xFE], "is not UTF-8"),
        ])
    func refusesPathsThatCannotBe(path: [UInt8], reason: String) throws {
        let patch = Array("--- /dev/null\n+++ b/".utf8) + path + Array("\n@@ -0,0 +1 @@\n+x\n".utf8)
        let failed = failure { _ = try PatchParser.parse(patch, file: "x.patch") }
        #expect(failed?.code == .patch)
        #expect(failed?.message.contains(reason) == true)
    }

    @Test("the longest name that a file can have is accepted")
    func acceptsTheLongestName() throws {
        let name = "kernel/" + String(repeating: "x", count: 255)
        let patches = try parse("--- /dev/null\n+++ b/\(name)\n@@ -0,0 +1 @@\n+x\n")
        #expect(patches.first?.files.first?.newPath == name)
    }

    @Test func stripsAsManyFoldersAsAsked() throws {
        #expect(try parse("--- kernel/x.c\n+++ kernel/x.c\n\(hunk)", strip: 0)[0].files[0].newPath == "kernel/x.c")
        #expect(
            try parse("--- l/a/kernel/x.c\n+++ l/b/kernel/x.c\n\(hunk)", strip: 2)[0].files[0].newPath == "kernel/x.c")
        #expect(throws: Failure.self) { _ = try parse("--- x.c\n+++ x.c\n\(hunk)", strip: 1) }
    }

    @Test(arguments: [
        ("a/x.c", "b/y.c", "", "x.c b/x.c"), ("a/x.c", "b/x.c", "", "y.c b/y.c"), ("a/x.c", "b/y.c", "", "x.c b/y.c"),
        ("a/x.c", "b/x.c", "new file mode 100644\n", "x.c b/x.c"),
        ("a/x.c", "/dev/nul", "deleted file mode 100644\n", "x.c b/x.c"),
        ("/dev/null", "b/y.c", "new file mode 100644\n", "x.c b/x.c"),
        ("a/x.c", "b/z.c", "rename from x.c\nrename to y.c\n", "x.c b/y.c"),
        ("a/x.c", "b/y.c", "rename to y.c\n", "x.c b/y.c"),
    ])
    func gitsHeadersHaveToAgree(old: String, new: String, extended: String, names: String) throws {
        let text = "diff --git a/\(names)\n\(extended)--- \(old)\n+++ \(new)\n@@ -1 +1 @@\n-a\n+b\n"
        let failed = failure { _ = try parse(text) }
        #expect(failed?.code == .patch)
        #expect(failed?.message.hasPrefix("x.patch:") == true, "\(failed?.message ?? "taken")")
    }

    @Test(arguments: [
        ("a/x.c", "b/x.c", "", "x.c b/x.c"), ("a/x.c", "b/y.c", "rename from x.c\nrename to y.c\n", "x.c b/y.c"),
        ("a/d x.c", "b/d x.c", "", "d x.c b/d x.c"), ("a/x.c ", "b/x.c", "", "x.c b/x.c"),
    ])
    func gitsHeadersThatAgreeAreTaken(old: String, new: String, extended: String, names: String) throws {
        let text = "diff --git a/\(names)\n\(extended)--- \(old)\n+++ \(new)\n@@ -1 +1 @@\n-a\n+b\n"
        #expect(try parse(text).flatMap(\.files).count == 1)
    }

    @Test(arguments: ["--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b", "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n+b\n c"])
    func theEndOfThePatchIsNotTheFiles(text: String) throws {
        #expect(try parse(text) == parse(text + "\n"))
        let marked = try parse(text + "\n\\ No newline at end of file")
        #expect(try parse(text) != marked)
        #expect(try parse(text + "\n\\ No newline at end of file\n") == marked)
    }

    @Test(
        "a new file without contents is an empty file only if git's header says so, or another diff follows",
        arguments: [
            ("index 0000000..e69de29\n", true), ("", false), ("index 0000000..48050df\n", false),
            ("diff --git a/y b/y\nnew file mode 100644\nindex 0000000..e69de29\n", true),
        ])
    func newFileWithoutContents(rest: String, isTaken: Bool) throws {
        let bytes = Array(("diff --git a/x.c b/x.c\nnew file mode 100644\n" + rest).utf8)
        if isTaken {
            #expect(try PatchParser.parse(bytes, file: "x.patch").flatMap(\.files).count >= 1)
        } else {
            let failure = #expect(throws: Failure.self) { try PatchParser.parse(bytes, file: "x.patch") }
            #expect(failure?.message.contains("the patch is cut off") == true)
        }
    }

    @Test func aDeletionNeedsNoMode() throws {
        let text = "diff --git a/x b/x\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
        #expect(try parse(text)[0].files.map(\.operation) == [.delete])
        let reverse = "diff --git a/x b/x\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n"
        #expect(try parse(reverse)[0].files.map(\.operation) == [.create])
    }
}
