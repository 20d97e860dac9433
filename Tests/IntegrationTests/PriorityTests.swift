// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    @Test("priority: the processes that kbuild starts have the priority that the user gave kbuild")
    func priority() async throws {
        // git is what kbuild asks first; this one notes its own priority.
        try fixture.write("bin/git", "#!/bin/sh\nnice >\"$NOTED\"\nexit 1\n")
        let (tool, noted) = (fixture.project.pushing("bin/git"), fixture.project.appending("noted"))
        chmod(tool.string, 0o755)
        let path = "\(fixture.project.appending("bin")):\(ProcessInfo.processInfo.environment["PATH"] ?? "")"
        let command = Command(
            "nice", ["-n", "7", try Fixture.executable(), "build", "--kernel", "git+file:///nowhere#main"],
            environment: ["PATH": path, "NOTED": noted.string], workingDirectory: fixture.project)
        let result = try await CommandRunner().capture(command)
        print("$ \(command)\n\(result.errors)=> \(result.status)")
        let own = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
        #expect(try String(contentsOfFile: noted.string, encoding: .utf8) == "\(min(19, own + 7))\n")
    }
}
