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
            "what is exported comes, as the only patches of another project, to the same tree; authors and messages stay"
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

        @Test("one source alone, as a mailbox; a name that the project does not have is an error with a guess")
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
    }
}
