// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import Testing

@testable import PatchedTree
@testable import Patching

/// Mail as mail programs, lists and git write it. What a message comes to is compared with the patch that was put in.
@Suite(.timeLimit(.minutes(30))) struct MailMessageTests {
    /// A patch of a file that has what encodings trip over: tabs, an equals sign, a dot, a long line, 8-bit text.
    private static let diff = """
        --- a/kernel/new.c
        +++ b/kernel/new.c
        @@ -1,3 +1,4 @@
         int a = 1;
        -\told("= \u{e9}");
        +\tnew("= \u{e9}", \(String(repeating: "x", count: 90)));
        +.
         int b;

        """

    private func content(_ patch: Patch) -> [String] {
        patch.files.flatMap(\.hunks).flatMap(\.entries).map { "\($0.kind) \($0.line.display)" }
    }

    private var expected: [String] { get throws { content(try parse(Self.diff)[0]) } }

    private func mail(_ headers: [String], _ body: String) -> String {
        (["From a@b.example Mon Sep 17 00:00:00 2001", "Subject: [PATCH] new"] + headers + ["", body])
            .joined(separator: "\n")
    }

    private func quoted(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            var output: [String] = [""]
            for byte in line.utf8 {
                let unit =
                    byte == 0x3D || byte >= 0x7F || (byte < 0x20 && byte != 9)
                    ? String(format: "=%02X", byte) : String(Unicode.Scalar(byte))
                if output[output.count - 1].count + unit.count > 74 {
                    output[output.count - 1] += "="
                    output.append("")
                }
                output[output.count - 1] += unit
            }
            return output.joined(separator: "\n")
        }.joined(separator: "\n")
    }

    private func base64(_ text: String) -> String {
        Data(text.utf8).base64EncodedString(options: [.lineLength76Characters, .endLineWithLineFeed]) + "\n"
    }

    @Test(arguments: ["X_Private_Header", "X-Strange!Name", "X.Dotted", "X'Y", "(odd)"])
    func anyHeaderLeavesTheEncodingKnown(name: String) throws {
        let text = mail(
            [
                "\(name): 1", "Content-Type: text/plain;\n\tcharset=\"utf-8\"",
                "Content-Transfer-Encoding: quoted-printable",
            ],
            quoted("words\n---\n" + Self.diff))
        #expect(try content(parse(text)[0]) == expected)
    }

    @Test(arguments: [false, true]) func readsBase64(hasFooter: Bool) throws {
        let text = mail(
            ["Content-Transfer-Encoding: base64"],
            base64("words\n---\n" + Self.diff) + (hasFooter ? "_____________\na list's footer\n" : ""))
        #expect(try content(parse(text)[0]) == expected)
    }

    @Test func damagedBase64IsNamed() {
        let encoded = base64(Self.diff)
        for damaged in [String(encoded.dropLast(20)) + "\n", "*" + encoded] {
            let failed = failure { _ = try parse(mail(["Content-Transfer-Encoding: base64"], damaged)) }
            #expect(failed?.code == .patch)
        }
    }

    @Test(
        "a body in UTF-16 is read, with a byte order mark or by its name",
        arguments: [
            ("utf-16", String.Encoding.utf16), ("UTF-16LE", .utf16LittleEndian), ("utf-16be", .utf16BigEndian),
            ("utf-16", .utf16BigEndian),
        ])
    func utf16(charset: String, encoding: String.Encoding) throws {
        let body = try #require(("Grüße\n---\n" + Self.diff).data(using: encoding))
        let headers = ["Content-Type: text/plain; charset=\(charset)", "Content-Transfer-Encoding: base64"]
        let encoded = body.base64EncodedString(options: [.lineLength76Characters, .endLineWithLineFeed]) + "\n"
        #expect(try content(parse(mail(headers, encoded))[0]) == expected)
        // Half of a unit is damage.
        let odd = Data(body.dropLast()).base64EncodedString() + "\n"
        #expect(failure { _ = try parse(mail(headers, odd)) }?.message.contains("utf-16") == true)
    }

    private func parts(_ type: String, _ parts: [(headers: [String], body: String)], end: String = "--=_x--\n")
        -> String
    {
        mail(
            ["MIME-Version: 1.0", "Content-Type: \(type);\n boundary=\"=_x\""],
            "A text that mail programs do not show.\n"
                + parts.map { "--=_x\n" + ($0.headers + ["", $0.body]).joined(separator: "\n") }.joined(separator: "\n")
                + "\n" + end)
    }

    @Test func readsSignedMixedAndAlternativeParts() throws {
        let plain = (["Content-Type: text/plain", "Content-Transfer-Encoding: quoted-printable"], quoted(Self.diff))
        let page = (["Content-Type: text/html"], "<p>--- a/kernel/new.c</p>")
        let signature = (["Content-Type: application/pgp-signature"], "-----BEGIN PGP SIGNATURE-----\n\nabc=\n")
        #expect(try content(parse(parts("multipart/signed", [plain, signature]))[0]) == expected)
        #expect(try content(parse(parts("multipart/alternative", [plain, page]))[0]) == expected)
        let words = (["Content-Type: text/plain"], "The patch is attached.")
        let attached = (
            ["Content-Type: text/x-patch; name=\"=?utf-8?q?=C3=A9.patch?=\"", "Content-Transfer-Encoding: base64"],
            base64("From 1234 Mon Sep 17 00:00:00 2001\nSubject: inner\n\n---\n" + Self.diff)
        )
        #expect(try content(parse(parts("multipart/mixed", [words, attached]))[0]) == expected)
        // An attached patch in plain sight has a mailbox' separator of its own.
        let raw = (
            ["Content-Type: text/x-patch"], "From 1234 Mon Sep 17 00:00:00 2001\nSubject: inner\n\n---\n" + Self.diff
        )
        let patches = try parse(parts("multipart/mixed", [words, raw]))
        #expect(patches.count == 1)
        #expect(try content(patches[0]) == expected)
        // Parts within parts, as lists make them of signed mail.
        let inner = parts("multipart/signed", [plain, signature]).split(
            separator: "\n", omittingEmptySubsequences: false
        )
        .dropFirst(4).joined(separator: "\n").replacingOccurrences(of: "=_x", with: "=_y")
        let nested = (["Content-Type: multipart/signed; boundary=\"=_y\""], inner)
        #expect(try content(parse(parts("multipart/mixed", [nested, words]))[0]) == expected)
        let forwarded = (
            ["Content-Type: message/rfc822"],
            "Subject: [PATCH] x\nContent-Transfer-Encoding: base64\n\n" + base64(Self.diff)
        )
        #expect(try content(parse(parts("multipart/mixed", [words, forwarded]))[0]) == expected)
    }

    @Test func namesWhatHasNoPlainText() {
        let page = (["Content-Type: text/html"], "<p>diff</p>")
        #expect(
            failure { _ = try parse(parts("multipart/alternative", [page])) }?.message.contains("text/html") == true)
        #expect(
            failure { _ = try parse(mail(["Content-Type: multipart/mixed; boundary=q"], "no part")) }?.message
                .contains("no part") == true)
    }

    @Test func undoesFlowedText() throws {
        let stuffed = Self.diff.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.hasPrefix(" ") ? " " + $0 : String($0) }.joined(separator: "\n")
        let header = "Content-Type: text/plain; charset=utf-8; format=flowed"
        #expect(try content(parse(mail([header], stuffed))[0]) == expected)
        // Programs promise the format and do not keep to it.
        #expect(try content(parse(mail([header], Self.diff))[0]) == expected)
        let wrapped = stuffed.replacingOccurrences(
            of: "\", \(String(repeating: "x", count: 90))", with: "\", \n\(String(repeating: "x", count: 90))"
        )
        .replacingOccurrences(of: "+\tnew(", with: "+\tnew(")
        #expect(wrapped.contains(", \nxxx"))
    }

    @Test func undoesTheDashesOfASignatureInTheText() throws {
        let dashed = Self.diff.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.hasPrefix("-") ? "- " + $0 : String($0) }.joined(separator: "\n")
        let text =
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n\(dashed)-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n"
        #expect(try content(parse(mail([], text))[0]) == expected)
    }

    @Test(arguments: [
        ("=?utf-8?q?[PATCH_0/2]_caf=C3=A9?=", "[PATCH 0/2] caf\u{e9}"),
        ("=?UTF-8?B?W1BBVENIXSBhIA==?=\n =?utf-8?q?b?=", "[PATCH] a b"),
        ("=?iso-8859-1?q?caf=E9?= au lait", "caf\u{e9} au lait"), ("=?broken", "=?broken"),
        ("a =?utf-8?x?b?= c", "a =?utf-8?x?b?= c"),
    ]) func decodesSubjects(encoded: String, subject: String) throws {
        let text = "From a Mon Sep 17 00:00:00 2001\nSubject: \(encoded)\n\n" + Self.diff
        let messages = try MailMessage.split(Array(text.utf8), file: "x")
        #expect(messages.map(\.subject) == [subject])
    }

    // MARK: Series

    private func message(_ subject: String, _ path: String?, answer: Bool = false, id: String? = nil) -> String {
        let headers =
            ["From a@b Mon Sep 17 00:00:00 2001", "Subject: \(subject)"] + (answer ? ["In-Reply-To: <1@x>"] : [])
            + (id.map { ["Message-Id: <\($0)>"] } ?? [])
        let diff = path.map { "--- a/\($0)\n+++ b/\($0)\n@@ -1 +1 @@\n-b\n+c\n" } ?? "only words\n"
        return (headers + ["", "---", diff, "-- \n2.39\n\n"]).joined(separator: "\n")
    }

    private func paths(_ messages: [String]) throws -> [String] {
        try parse(messages.joined()).flatMap(\.files).map(\.newPath)
    }

    @Test(arguments: [
        "[PATCH 0/2] x", "[PATCH v2 00/02] x", "[RFC PATCH net-next 0/2] x", "=?utf-8?q?[PATCH_0/2]?= x",
        "[PATCH][0/2] x",
    ])
    func introductionsAreNeverApplied(subject: String) throws {
        #expect(try paths([message(subject, "cover.c"), message("[PATCH 1/2] x", "one.c")]) == ["one.c"])
        #expect(try parse(message(subject, "cover.c")).isEmpty)
    }

    @Test func answersArePassedOverWithAWord() throws {
        let patches = try parse(
            [
                message("[PATCH 1/2] x", "one.c"), message("Re: [PATCH 1/2] x", nil, answer: true),
                message("[PATCH 2/2] y", "two.c"), message("Aw: [PATCH 2/2] y", "suggestion.c", answer: true),
                message("What does it do?", nil),
            ].joined())
        #expect(patches.flatMap(\.files).map(\.newPath) == ["one.c", "two.c"])
        let remark = try #require(patches[0].remarks.first)
        #expect(remark.contains("passed over 3 messages"))
        #expect(remark.contains("though it holds a diff"))
        #expect(patches[1].remarks.isEmpty)
    }

    @Test func anAnswerAloneIsAPatch() throws {
        #expect(try paths([message("Re: [PATCH] x", "one.c", answer: true)]) == ["one.c"])
    }

    @Test func aPatchWithoutItsDiffIsAnError() {
        let failed = failure { _ = try paths([message("[PATCH 1/2] x", "one.c"), message("[PATCH 2/2] y", nil)]) }
        #expect(failed?.message.contains("the message \"[PATCH 2/2] y\" holds no diff") == true)
    }

    @Test func numberedMessagesAreOrderedAndTheLastVersionCounts() throws {
        #expect(
            try paths([message("[PATCH 2/2] b", "two.c"), message("[PATCH 1/2] a", "one.c")]) == ["one.c", "two.c"])
        let both = [message("[PATCH 1/1] a", "old.c"), message("[PATCH v2 1/1] a", "new.c")]
        #expect(try paths(both) == ["new.c"])
        #expect(try parse(both.joined())[0].remarks[0].contains("v2 replaces"))
        let partly = [message("[PATCH 1/2] a", "old.c"), message("[PATCH v2 1/2] a", "new.c")]
        #expect(failure { _ = try paths(partly) }?.message.contains("v2 lacks 2/2") == true)
        #expect(try paths([message("[PATCH] a", "a.c", id: "1"), message("[PATCH] a", "a.c", id: "1")]) == ["a.c"])
    }

    @Test func aSeriesOfWhichSomeIsMissingIsRefused() throws {
        let torn = failure { _ = try paths([message("[PATCH 1/3] a", "a.c"), message("[PATCH 3/3] c", "c.c")]) }
        #expect(torn?.code == .patch)
        #expect(torn?.message.contains("holds 2 of the 3 patches of a series; missing: 2/3") == true)
        #expect(torn?.nextStep?.contains("a file named series") == true)
        // Beside a patch without a number; and one message in place of another.
        let among = [message("[PATCH 1/3] a", "a.c"), message("[PATCH] b", "b.c"), message("[PATCH 3/3] c", "c.c")]
        #expect(failure { _ = try paths(among) }?.message.contains("missing: 2/3") == true)
        let twice = [message("[PATCH 1/3] a", "a.c"), message("[PATCH 2/3] b", "b.c"), message("[PATCH 2/3] c", "c.c")]
        #expect(failure { _ = try paths(twice) }?.message.contains("missing: 3/3") == true)
        let long = [message("[PATCH 01/20] a", "a.c"), message("[PATCH 20/20] b", "b.c")]
        #expect(failure { _ = try paths(long) }?.message.contains("2/20, 3/20, 4/20") == true)
        #expect(failure { _ = try paths(long) }?.message.hasSuffix("9/20 and 10 more") == true)
        // One that was picked out, with or without the introduction, and two of different series.
        #expect(try paths([message("[PATCH 2/3] b", "b.c")]) == ["b.c"])
        #expect(try paths([message("[PATCH 0/3] series", nil), message("[PATCH 2/3] b", "b.c")]) == ["b.c"])
        #expect(try paths([message("[PATCH 2/3] b", "b.c"), message("[PATCH 1/2] c", "c.c")]) == ["b.c", "c.c"])
    }

    @Test(
        "a series of any length is recognized as incomplete, and a mark does not need brackets",
        arguments: [
            ("[PATCH 1/2000000000] a", "[PATCH 2/2000000000] b", "2 of the 2000000000 patches", "3/2000000000"),
            ("[PATCH 1/10000] a", "[PATCH 10000/10000] b", "2 of the 10000 patches", "2/10000"),
            ("PATCH 1/3: a", "PATCH 3/3: b", "2 of the 3 patches", "2/3"),
            ("Patch v2 1/4: a", "Patch v2 2/4: b", "2 of the 4 patches", "3/4, 4/4"),
        ])
    func anySeriesKnowsItsLength(first: String, second: String, count: String, missing: String) {
        let failed = failure { _ = try parse(message(first, "one.c") + message(second, "two.c")) }
        #expect(failed?.message.contains(count) == true, "\(failed?.message ?? "nothing")")
        #expect(failed?.message.contains("missing: \(missing)") == true, "\(failed?.message ?? "nothing")")
    }

    @Test(
        "words that are not a mark of a series",
        arguments: ["patch the 1/2 page: a", "24/7: a", "PATCH a and b and c 1/2: d"])
    func noMark(subject: String) { #expect(MailTag(subject).place == nil) }

    @Test func aFolderWithoutAllOfASeriesIsRefusedUnlessItListsThem() throws {
        let scratch = try PatchScratch()
        let folder = scratch.path
        func applied() throws -> [String] {
            guard case .series(let set) = try PatchSource.load(folder).content else { return [] }
            return (set.common ?? []).flatMap(\.files).map(\.newPath)
        }
        try scratch.write(message("[PATCH 1/3] a", "a.c"), to: "0001.patch")
        try scratch.write(message("[PATCH 3/3] c", "c.c"), to: "0003.patch")
        let torn = failure { _ = try applied() }
        #expect(torn?.code == .patch)
        #expect(torn?.message.contains("holds 2 of the 3 patches of a series; missing: 2/3") == true)
        try scratch.write("0001.patch\n0003.patch\n", to: "series")
        #expect(try applied() == ["a.c", "c.c"])
        try removeAll(folder.appending("series"))
        try scratch.write(message("[PATCH 2/3] b", "b.c"), to: "0002.patch")
        #expect(try applied() == ["a.c", "b.c", "c.c"])
    }

    @Test(arguments: ["--- 8< ---", "-- >8 -- cut here --", "8< -------- >8 -----"])
    func aPatchBelowScissorsIsPartOfItsMessage(line: String) throws {
        let pasted = "From 1234 Mon Sep 17 00:00:00 2001\nSubject: [PATCH] inner\n\n---\n" + Self.diff
        let patches = try parse(mail(["In-Reply-To: <1@x>"], "How about this?\n\n\(line)\n\(pasted)"))
        #expect(patches.count == 1)
        #expect(try content(patches[0]) == expected)
        let plain = try parse(mail(["Content-Transfer-Encoding: quoted-printable"], quoted("So:\n\(line)\n\(pasted)")))
        #expect(try content(plain[0]) == expected)
        #expect(plain[0].subject == "[PATCH] inner")
    }

    @Test func severalMessagesAreNamedByLineAndSubject() throws {
        let patches = try parse([message("[PATCH 1/2] a", "one.c"), message("[PATCH 2/2] b", "two.c")].joined())
        #expect(patches.map(\.name) == ["x.patch:1 ([PATCH 1/2] a)", "x.patch:14 ([PATCH 2/2] b)"])
    }
}

@Suite(.timeLimit(.minutes(30))) struct PatchFormTests {
    private let hunk = "@@ -1,2 +1,2 @@\n a\n-b\n+c\n"

    @Test(arguments: [
        ("*** a/x.c\t2020\n--- b/x.c\t2020\n***************\n*** 1,2 ****\n", "context diff"),
        ("diff x.c y.c\n12,13c12\n< a\n< b\n---\n> c\n", "plain diff"), ("5a6\n> a\n", "plain diff"),
        ("diff -e x y\n3,4d\n", "ed script"), ("2c\nnew\n.\n", "ed script"),
        ("\u{1B}[1mdiff --git a/x.c b/x.c\u{1B}[m\n", "coloured by git"),
        ("^[[1mdiff --git a/x.c b/x.c^[[m\n", "coloured by git"),
        ("[1mdiff --git a/x.c b/x.c[m\n", "coloured by git"),
        // Only the lines of the hunk, so that its counts are wrong.
        (
            "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n\u{1B}[31m-b\u{1B}[m\n\u{1B}[32m+\u{1B}[m\u{1B}[32mc\u{1B}[m\n",
            "coloured by git"
        ),
        ("--- a/x.c\n+++ b/x.c\n\u{1B}[36m@@ -1,2 +1,2 @@\u{1B}[m\n a\n-b\n+c\n", "coloured by git"),
        ("    diff --git a/x.c b/x.c\n", "indented"), ("> diff --git a/x.c b/x.c\n", "quotation"),
        ("--- a/x.c\n+++ b/x.c\n", "hunks are missing"),
        // The `diff --git` line is damaged: a rename or a mode would be lost.
        (
            "iff --git a/x.c b/y.c\nsimilarity index 90%\nrename from x.c\nrename to y.c\nindex 1..2 100644\n--- a/x.c\n+++ b/y.c\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n",
            "rename to y.c` has no `diff --git`"
        ),
        (
            "old mode 100644\nnew mode 100755\n--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n",
            "has no `diff --git`"
        ),
        ("diff --git a/x.c b/x.c\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n", "a hunk without the --- and +++ lines"),
    ])
    func namesOtherForms(text: String, name: String) {
        for prefix in ["", "--- a/z.c\n+++ b/z.c\n\(hunk)"]
        where prefix.isEmpty || !["indented", "quotation"].contains(name) {
            let failed = failure { _ = try parse(prefix + text) }
            #expect(failed?.message.contains(name) == true, "\(failed?.message ?? "none") for \(prefix + text)")
        }
    }

    @Test("a line of a hunk without its leading blank is reported as such")
    func lostBlank() {
        let header = "--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n"
        let lost = failure { _ = try parse(header + " a\nint x;\n-b\n+c\n") }
        #expect(lost?.message.contains("x.patch:5: the hunk of line 3 ends here") == true)
        #expect(lost?.details?.contains("the blank before a line") == true)
        let counts = failure { _ = try parse(header + " a\n-b\n+c\ndiff --git a/y.c b/y.c\n") }
        #expect(counts != nil && counts?.details == nil)
    }

    @Test func wordsOfAMessageAreNoOtherForm() throws {
        let text = "1a\n2d\n12c\nSee 4a5, and\n5c6 too\n*** note\n--- a\n" + "--- a/x.c\n+++ b/x.c\n\(hunk)"
        #expect(try parse("Subject\n" + text)[0].files.count == 1)
    }

    @Test func eachDiffTellsItsOwnLineEnds() throws {
        let lf = "--- a/x.c\n+++ b/x.c\n\(hunk)"
        let crlf = lf.split(separator: "\n").map { $0 + "\r\n" }.joined()
        let files = try parse(lf + crlf)[0].files
        #expect(
            files[0].hunks
                == files[1].hunks.map { hunk in
                    var hunk = hunk
                    hunk.lineNumber = files[0].hunks[0].lineNumber
                    for index in hunk.entries.indices {
                        hunk.entries[index].lineNumber = files[0].hunks[0].entries[index].lineNumber
                    }
                    return hunk
                })
        let mixed = "--- a/x.c\r\n+++ b/x.c\n\(hunk)"
        #expect(failure { _ = try parse(mixed) }?.message.contains("line 1 ends in CR LF, but line 3") == true)
        let rename = "diff --git a/x.c b/y.c\r\nsimilarity index 100%\r\nrename from x.c\r\nrename to y.c\r\n"
        #expect(try parse(rename)[0].files.map(\.newPath) == ["y.c"])
    }

    @Test func marksWithinAFileHideNoChange() throws {
        let second = "\u{FEFF}diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n"
        #expect(try parse("--- a/x.c\n+++ b/x.c\n\(hunk)" + second)[0].files.map(\.newPath) == ["x.c", "run.sh"])
    }

    @Test func reversesEachKindOfChange() throws {
        let patch = try parse(
            """
            diff --git a/n.c b/n.c
            new file mode 100755
            --- /dev/null
            +++ b/n.c
            @@ -0,0 +1 @@
            +x
            diff --git a/a.c b/b.c
            similarity index 100%
            rename from a.c
            rename to b.c
            diff --git a/r b/r
            old mode 100644
            new mode 100755

            """)[0]
        let reversed = patch.reversed
        #expect(reversed.files.map(\.operation) == [.modify, .rename, .delete])
        #expect(reversed.files[0].newMode == 0o100644)
        #expect((reversed.files[1].oldPath, reversed.files[1].newPath) == ("b.c", "a.c"))
        #expect(reversed.reversed == patch)
    }
}
