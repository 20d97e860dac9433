// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Fuzzing
import Testing

@testable import Patching

/// Patches and mails that were damaged: each is read to the same end as what its text says, or refused.
@Suite("Damaged patches and mails", .timeLimit(.minutes(30)))
struct PatchFuzzTests {
    private static let diff = """
        diff --git a/x.c b/x.c
        index 1..2 100644
        --- a/x.c
        +++ b/x.c
        @@ -1,3 +1,4 @@ int f(void)
         a
        -b
        +c
        +d
         e
        @@ -10 +11 @@
        -old
        +new
        \\ No newline at end of file
        diff --git a/run.sh b/run.sh
        new file mode 100755
        index 0..1
        --- /dev/null
        +++ b/run.sh
        @@ -0,0 +1 @@
        +#!/bin/sh
        diff --git a/old.c b/new.c
        similarity index 100%
        rename from old.c
        rename to new.c

        """

    private static let seeds = [
        diff,
        "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n"
            + "Subject: [PATCH 1/2] Do\n this\n\nWhy.\n---\n x.c | 2 +-\n\n\(diff)-- \n2.39.5\n\n"
            + "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n"
            + "Subject: [PATCH 2/2] That\n\n\(diff)",
        "From: A <a@example.org>\nSubject: =?utf-8?q?=5BPATCH=5D_X?=\nMIME-Version: 1.0\n"
            + "Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\nContent-Type: text/plain\n"
            + "Content-Transfer-Encoding: quoted-printable\n\n--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a=3D1\n+a=3D2\n--b--\n",
        "Index: x.c\n=====\n--- a/x.c\t2026-01-01\n+++ b/x.c\t2026-01-02\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n",
    ]

    private static let words = [
        "@@ -1,2 +1,2 @@\n", "@@ -1,99999999999999999999 +1 @@\n", "--- a/../../etc/passwd\n", "+++ b/.git/config\n",
        "-- \n", "From x Mon Sep 17 00:00:00 2001\n", "Subject: [PATCH 0/9]\n", "GIT binary patch\n", "\\ No newline\n",
        "Content-Transfer-Encoding: base64\n", "--b\n", "rename from x\n", "old mode 100644\n", "/dev/null", "\"",
    ]

    @Test(
        "a damaged patch is refused as a patch, or its hunks have the lines that their headers count",
        arguments: 0..<16 as Range<UInt64>)
    func parse(seed: UInt64) throws {
        var mutator = Mutator(seed: seed, of: Self.seeds, words: Self.words)
        var read = 0
        for _ in 0..<100 {
            let bytes = mutator.next()
            let patches: [Patch]
            do {
                patches = try PatchParser.parse(bytes, file: "x.patch")
            } catch let failure as Failure {
                #expect(failure.code == .patch, "seed \(seed): \(failure.message)")
                #expect(!failure.message.isEmpty)
                continue
            }
            read += 1
            #expect(patches.allSatisfy { !$0.files.isEmpty }, "seed \(seed)")
            for hunk in patches.flatMap(\.files).flatMap(\.hunks) {
                let counts = try #require(hunk.header.firstMatch(of: /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/))
                #expect(hunk.preimage.count == counts.1.map { Int($0) } ?? 1, "seed \(seed)")
                #expect(hunk.postimage.count == counts.2.map { Int($0) } ?? 1, "seed \(seed)")
                #expect(hunk.reversed.preimage == hunk.postimage)
            }
            for path in patches.flatMap(\.files).flatMap({ [$0.oldPath, $0.newPath] }).compactMap({ $0 }) {
                // An absolute path is found in the tree or refused when the patch is applied.
                #expect(!path.split(separator: "/").contains(".."), "seed \(seed): \(path)")
            }
        }
        #expect(read > 0)
    }

    @Test("every undamaged seed is read")
    func seeds() throws {
        for text in Self.seeds { #expect(try !PatchParser.parse(Array(text.utf8), file: "x.patch").isEmpty) }
    }
}
