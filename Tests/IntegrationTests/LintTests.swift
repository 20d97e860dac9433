// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    /// sparse and checkpatch on a call with a mistake for each. A part of the other suite, since all share one project.
    @Suite("kbuild build --lint", .serialized)
    struct Lint {
        let fixture: Fixture

        init() throws { fixture = try Fixture() }

        @Test("findings are at the user's own lines, nothing is made again for them, and `warnings: fail` holds")
        func findings() async throws {
            let name = "kernel/caesar/caesar.c"
            try fixture.write(
                name, try fixture.text(name) + "\nint caesar_count;\nint  caesar_other(void){return 0;}\n")
            let lines = try fixture.text(name).split(separator: "\n", omittingEmptySubsequences: false).count
            let first = try await fixture.kbuild("build", "--lint")
            #expect(first.status == .exited(0), "\(first.errors)")
            let sparse = "\(name):\(lines - 2):5: warning: symbol 'caesar_count' was not declared"
            #expect(first.errors.contains(sparse), "\(first.errors)")
            #expect(first.errors.contains("\(name):\(lines - 1): error: "), "\(first.errors)")
            #expect(first.errors.contains("[checkpatch "), "\(first.errors)")
            // The findings again, of a kernel that is in the store.
            let second = try await fixture.kbuild("build", "--lint")
            #expect(second.errors.contains(sparse) && second.errors.contains(/compile +hit/), "\(second.errors)")
            let without = try await fixture.kbuild("build")
            #expect(without.errors.contains(/compile +hit/) && !without.errors.contains("[sparse]"))

            try fixture.write("kbuild.yaml", try fixture.text("kbuild.yaml") + "\nwarnings: fail\n")
            let failed = try await fixture.kbuild("build", "--lint")
            #expect(failed.status == .exited(4) && failed.errors.contains(sparse), "\(failed.errors)")
        }
    }
}
