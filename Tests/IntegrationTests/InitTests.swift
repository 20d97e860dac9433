// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    /// A folder with an executable that is alone: nothing of this repository is beside it.
    private func installation() throws -> (home: FilePath, bin: FilePath) {
        let layout = try CacheLayout(environment: ProcessInfo.processInfo.environment)
        try layout.prepare()
        // The same place each time, so that its kernels are built once.
        let home = layout.root.appending("integration-init")
        let bin = home.appending("bin")
        try createFolder(bin)
        try removeAll(bin.appending("kbuild"))
        try copyFile(FilePath(try Fixture.executable()), to: bin.appending("kbuild"))
        return (home, bin)
    }

    @Test("init: the files that it writes, the folders that it refuses, and the first added call")
    func initWrites() async throws {
        let (home, bin) = try installation()
        let project = home.appending("project")
        try removeAll(project)
        let executable = bin.appending("kbuild").string
        let created = try await CommandRunner().capture(
            Command(executable, ["init", "project"], workingDirectory: home))
        #expect(created.status == .exited(0))
        #expect(created.output.contains("wrote  \(project)/kbuild.yaml\n"))
        #expect(created.output.hasSuffix("next:  cd project && kbuild run\n"))
        func kbuild(_ arguments: String...) async throws -> CommandResult {
            let result = try await CommandRunner().capture(Command(executable, arguments, workingDirectory: project))
            print("$ kbuild \(arguments)\n\(result.errors)\(result.output)=> \(result.status)")
            return result
        }
        let again = try await kbuild("init")
        #expect(again.status == .exited(2))
        #expect(again.errors.contains("next: make the project in a folder of its own: kbuild init NAME"))
        #expect(try await kbuild("syscall", "new", "another").status == .exited(0))
        let listed = try await kbuild("syscall", "list")
        #expect(listed.output.contains(/451 +x86-64 +hello_there/))
        #expect(listed.output.contains(/452 +x86-64 +another/))
    }

    @Test("the tutorial: each of its commands prints the documented output", .tags(.kernels))
    func tutorial() async throws {
        // A kernel with debug information takes minutes to compile.
        try await followTutorial(skipping: "kbuild debug")
    }

    @Test("the tutorial with gdb: each of its commands prints the documented output", .tags(.long))
    func tutorialWithDebugger() async throws {
        try await followTutorial(skipping: nil)
    }

    @Test("the first hour: each command of the guide's first page prints the documented output", .tags(.long))
    func firstHour() async throws {
        try await follow("docs/guide/first-hour.md", in: "ring", steps: 13, skipping: nil)
    }

    private func followTutorial(skipping command: String?) async throws {
        try await follow("docs/tutorial/README.md", in: "first-call", steps: 25, skipping: command)
    }

    /// Runs the commands of a page, which make a project.
    private func follow(_ page: String, in project: String, steps: Int, skipping command: String?) async throws {
        let (home, bin) = try installation()
        try removeAll(home.appending(project))
        let text = try readText(Fixture.repository.pushing(FilePath(page)))
        let transcript = Transcript(parsing: text)
        #expect(transcript.steps.count > steps)
        let mistakes = try await transcript.mistakes(startingIn: home, bin: bin, skipping: command)
        for mistake in mistakes { Issue.record(Comment(rawValue: mistake)) }
    }
}
