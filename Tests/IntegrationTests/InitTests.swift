import Artifacts
import Commands
import Foundation
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    @Test("init: a new project passes run as it stands, by an executable that is alone; a call can be added")
    func initPasses() async throws {
        let runner = CommandRunner()
        let layout = try CacheLayout(environment: ProcessInfo.processInfo.environment)
        // The same place each time, so that its kernel is built once.
        let home = layout.root.appending("integration-init")
        let (project, executable) = (home.appending("project"), home.appending("bin").appending("kbuild"))
        try removeAll(project)
        try createFolder(executable.removingLastComponent())
        try removeAll(executable)
        try copyFile(FilePath(try Fixture.executable()), to: executable)

        let created = try await runner.capture(
            Command(executable.string, ["init", "project"], workingDirectory: home))
        #expect(created.status == .exited(0))
        #expect(created.output.contains("wrote  \(project)/kbuild.yaml\n"))
        #expect(created.output.hasSuffix("next:  cd project && kbuild run\n"))
        func kbuild(_ arguments: String...) async throws -> CommandResult {
            let result = try await runner.capture(
                Command(executable.string, arguments, workingDirectory: project))
            print("$ kbuild \(arguments)\n\(result.errors)\(result.output)=> \(result.status)")
            return result
        }
        let run = try await kbuild("run")
        #expect(run.status == .exited(0))
        #expect(run.output.contains("hello_there = 451"))
        #expect(run.output.contains(/PASSED: \d+ passed, 0 failed/))

        let again = try await kbuild("init")
        #expect(again.status == .exited(2))
        #expect(again.errors.contains("next: make the project in a folder of its own: kbuild init NAME"))
        #expect(try await kbuild("syscall", "new", "another").status == .exited(0))
        let listed = try await kbuild("syscall", "list")
        #expect(listed.output.contains(/452 +x86-64 +another/))
    }
}
