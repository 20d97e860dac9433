// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    /// A guest whose root file system is a Debian system. Making that takes minutes and a Debian archive, so
    /// `make long-test` runs these.
    @Suite("--rootfs debian", .serialized, .tags(.long))
    struct DebianTests {
        private let fixture: Fixture

        init() throws { fixture = try Fixture() }

        private func kbuild(_ arguments: String...) async throws -> CommandResult {
            let result = try await CommandRunner().capture(
                Command(try Fixture.executable(), arguments, workingDirectory: fixture.project))
            print("$ kbuild \(arguments.joined(separator: " "))\n\(result.errors)\(result.output)=> \(result.status)")
            return result
        }

        @Test("a course's tools are installed and trace an added call; the share is mounted")
        func tools() async throws {
            let script = """
                . /etc/os-release; echo "id $ID"
                readlink /proc/1/exe
                strace -V | head -n 1
                gdb --batch -ex 'print 6 * 7'
                ls -d /root/host_folder
                touch /root/host_folder/from-debian
                strace -o /tmp/trace /bin/true
                grep -c execve /tmp/trace
                dpkg-query -W -f '${Status}\\n' strace
                """
            let result = try await kbuild("shell", "-q", "--rootfs", "debian", "--", "bash", "-c", script)
            #expect(result.status == .exited(0))
            let lines = result.output.split(separator: "\n").map(String.init)
            #expect(lines.first == "id debian")
            #expect(lines.contains("/init"))
            #expect(lines.contains { $0.hasPrefix("strace -- version ") })
            #expect(lines.contains("$1 = 42"))
            #expect(lines.contains("install ok installed"))
            let written = fixture.project.pushing("shared/from-debian")
            #expect(fileExists(written))
            try removeAll(written)
        }

        @Test("the suites run on it as on other root file systems")
        func suites() async throws {
            let result = try await kbuild("test", "CaesarTests", "--rootfs", "debian")
            #expect(result.status == .exited(0))
            #expect(result.output.contains("PASSED: "))
        }
    }
}
