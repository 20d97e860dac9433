// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    /// `kbuild patch export` and `diff`, with a real kernel's source; nothing is built.
    @Suite("kbuild patch export", .serialized)
    struct PatchVerb {
        let fixture: Fixture

        init() throws {
            fixture = try Fixture()
        }

        @Test(
            "the exported patches alone give the same tree in another project; authors and messages are kept"
        )
        func roundTrip() async throws {
            let folder = fixture.project.appending("outgoing")
            try removeAll(folder)
            defer { try? removeAll(folder) }
            let exported = try await fixture.kbuild("patch", "export", "--series", "--output", "outgoing")
            #expect(exported.status == .exited(0))
            let series = try readText(folder.appending("series")).split(separator: "\n").map(String.init)
            #expect(Set(series + ["series"]) == Set(try namesInFolder(folder)))
            #expect(series.count > 2)
            let all = try series.map { try readText(folder.appending($0)) }
            // Registrations are part of them, the flags by which kbuild builds are not.
            #expect(all.joined().contains("+COND_SYSCALL(caesar);"))
            #expect(!all.joined().contains("CFLAGS_"))
            // kernel/memcpy is a series that names its author.
            let memcpy = try readText(Fixture.repository.pushing("kernel/memcpy").appending("series"))
                .split(separator: "\n").first { !$0.hasPrefix("#") }.map(String.init)
            let original = try readText(
                Fixture.repository.pushing("kernel/memcpy").appending(try #require(memcpy)))
            for header in ["From: ", "Date: "] {
                let line = original.split(separator: "\n").first { $0.hasPrefix(header) && !$0.contains("Sep 17") }
                #expect(all[0].contains(try #require(line)), "\(header)")
            }
            let diff = try await fixture.kbuild("patch", "diff")
            #expect(diff.output.contains("+++ b/kernel/caesar.c"))

            // Once more into the same folder would mix two exports.
            let again = try await fixture.kbuild("patch", "export", "--output", "outgoing")
            #expect(again.status == .exited(2))
            #expect(again.errors.contains("not empty"))

            let yaml = try fixture.text("kbuild.yaml")
            let source = try #require(yaml.firstMatch(of: /source: ("[^"]+"|\S+)/)?.output.1)
            try fixture.write("other/kbuild.yaml", "kernel: {source: \(source), patches: [../outgoing]}\n")
            let taken = try await fixture.kbuild("patch", "diff", "--project", "other")
            #expect(taken.status == .exited(0))
            #expect(taken.output == diff.output)
        }

        @Test("a single source as a mailbox; an unknown name is an error with a suggestion")
        func one() async throws {
            let mailbox = try await fixture.kbuild("patch", "export", "caesar", "--mbox")
            #expect(mailbox.status == .exited(0))
            #expect(mailbox.output.hasPrefix("From "))
            #expect(mailbox.output.contains("Subject: [PATCH] caesar: add the system call caesar"))
            #expect(!mailbox.output.contains("msgbox"))
            let wrong = try await fixture.kbuild("patch", "diff", "ceasar")
            #expect(wrong.status == .exited(2))
            #expect(wrong.errors.contains("did you mean caesar?"))
            let both = try await fixture.kbuild("patch", "export", "--mbox", "--series")
            #expect(both.status == .exited(2))
        }

        @Test("a tree to edit has each patch as a commit; its commits become a series, repeatedly")
        func edit() async throws {
            let tree = fixture.project.appending("edited-tree")
            let folders = [tree, fixture.project.appending("edited"), fixture.project.appending("tiny")]
            for folder in folders { try removeAll(folder) }
            defer { for folder in folders { try? removeAll(folder) } }
            for (name, text) in [
                ("Kbuild", "\n"), ("Kconfig", "\n"), ("kernel/fork.c", "int fork;\nint end;\n"), ("init/main.c", "\n"),
                ("Makefile", "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n"),
            ] { try fixture.write("tiny/\(name)", text) }
            let patch = "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -1,2 +1,3 @@\n int fork;\n+int one;\n int end;\n"
            try fixture.write("edited/kernel/one/one.patch", patch)
            try fixture.write("edited/kbuild.yaml", "kernel:\n  source: ../tiny\n  patches:\n    - kernel/one\n")
            func take(_ name: String) async throws -> CommandResult {
                try await fixture.kbuild("patch", "edit", "edited-tree", "--take", name, "--project", "edited")
            }
            func commit(_ text: String, _ message: String) async throws {
                try fixture.write("edited-tree/kernel/fork.c", text)
                let git = Command(
                    "git",
                    [
                        "-C", tree.string, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "--all",
                        "--message", message,
                    ])
                #expect(try await CommandRunner().capture(git).status == .exited(0))
            }
            let made = try await fixture.kbuild("patch", "edit", "edited-tree", "--project", "edited")
            #expect(made.status == .exited(0))
            #expect(try readText(tree.pushing("kernel/fork.c")) == "int fork;\nint one;\nint end;\n")
            let none = try await take("two")
            #expect(none.status == .exited(2) && none.errors.contains("there is no commit"))
            try fixture.write("edited-tree/kernel/fork.c", "int fork;\nint one;\nint two;\nint end;\n")
            let dirty = try await take("two")
            #expect(dirty.status == .exited(2) && dirty.errors.contains("git -C"))
            try await commit("int fork;\nint one;\nint two;\nint end;\n", "two: count")
            let below = try await take("one")
            #expect(below.status == .exited(2) && below.errors.contains("below your commits"))

            #expect(try await take("two").status == .exited(0))
            #expect(try fixture.text("edited/kbuild.yaml").contains("    - kernel/one\n    - kernel/two\n"))
            try await commit("int fork;\nint one;\nint two;\nint three;\nint end;\n", "three: count")
            #expect(try await take("two").status == .exited(0))
            #expect(
                try namesInFolder(fixture.project.pushing("edited/kernel/two")).sorted() == [
                    "0001-two-count.patch", "0002-three-count.patch", "series",
                ])
            let diff = try await fixture.kbuild("patch", "diff", "--project", "edited")
            #expect(diff.output.contains("+int one;\n+int two;\n+int three;\n int end;"))
            // What somebody else made stays.
            try fixture.write("edited/kernel/mine/series", "x.patch\n")
            let foreign = try await take("mine")
            #expect(foreign.status == .exited(2) && foreign.errors.contains("is there already"))
        }
    }
}
