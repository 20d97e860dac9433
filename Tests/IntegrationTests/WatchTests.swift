// SPDX-License-Identifier: Apache-2.0
import Foundation
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    @Test("watch: a change during a run ends that run and starts another; Ctrl-C ends it all")
    func watch() async throws {
        try fixture.write("Tests/programs/slow.c", "#include <unistd.h>\nint main(void) { pause(); return 0; }\n")
        try fixture.edit("kbuild.yaml", replacing: "\ntests:\n", with: "\ntests:\n  - {c: Tests/programs/slow.c}\n")
        let marker = try markGuest()
        _ = try await fixture.kbuild("build", "--machine", "uml")

        let process = Process()
        process.executableURL = URL(fileURLWithPath: try Fixture.executable())
        process.arguments = ["watch", "^slow$", "--machine", "uml"]
        process.currentDirectoryURL = URL(fileURLWithPath: fixture.project.string)
        let output = fixture.project.appending("watch.out").string
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        let file = try #require(FileHandle(forWritingAtPath: output))
        (process.standardOutput, process.standardError) = (file, FileHandle.nullDevice)
        try process.run()
        defer { if process.isRunning { process.interrupt() } }
        func wait(until condition: () throws -> Bool) async throws {
            while try !condition() {
                try #require(process.isRunning, "kbuild ended on its own")
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        try await wait { try !Fixture.processes(containing: marker).isEmpty }
        try fixture.write("Tests/programs/slow.c", "int main(void) { return 0; }\n")
        try await wait { try String(contentsOfFile: output, encoding: .utf8).contains("PASSED: 1 passed") }
        // The first run was given up without a verdict.
        #expect(try !String(contentsOfFile: output, encoding: .utf8).contains("TIMED OUT"))

        try fixture.write("Tests/programs/slow.c", "int main(void) { return 1; }\n")
        try await wait { try String(contentsOfFile: output, encoding: .utf8).contains("FAILED: 0 passed, 1 failed") }
        process.interrupt()
        process.waitUntilExit()
        #expect(process.terminationStatus == 130)
        #expect(try Fixture.processes(containing: marker).isEmpty)
    }
}
