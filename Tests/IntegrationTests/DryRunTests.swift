// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Glibc
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    /// What `lstat` says of each file below a folder: equal when nobody wrote there.
    private func states(of folder: FilePath) throws -> [String: String] {
        var states: [String: String] = [:]
        for case let path as String in FileManager.default.enumerator(atPath: folder.string) ?? .init() {
            var status = stat()
            guard lstat(folder.pushing(FilePath(path)).string, &status) == 0 else { continue }
            states[path] =
                "\(status.st_ino) \(status.st_size) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec) "
                + "\(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
        }
        return states
    }

    /// The plan's steps by their names.
    private func plan(_ arguments: String...) async throws -> [String: [String: Any]] {
        let command = Command(
            try Fixture.executable(), ["run", "--dry-run", "--format", "json"] + arguments,
            workingDirectory: fixture.project)
        let result = try await CommandRunner().capture(command)
        print("$ \(command)\n\(result.errors)\(result.output)=> \(result.status)")
        #expect(result.status == .exited(0))
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        let steps = object?["steps"] as? [[String: Any]] ?? []
        return Dictionary(
            steps.compactMap { step in (step["name"] as? String).map { ($0, step) } }, uniquingKeysWith: { $1 })
    }

    private func commands(_ step: [String: Any]?) -> [String] {
        (step?["actions"] as? [[String: Any]] ?? []).compactMap { $0["command"] as? String }
    }

    @Test("run --dry-run: prints the commands that the next run then executes, and changes nothing")
    func dryRun() async throws {
        // No kernel that the store has: the tree is in line, and built, afterwards.
        func change() throws {
            let mark = "/* \(UUID().uuidString) */\n"
            try fixture.write("kernel/msgbox/msgbox.c", try fixture.text("kernel/msgbox/msgbox.c") + mark)
        }
        try change()
        #expect(try await fixture.kbuild("run").status == .exited(0))
        let hits = try await plan()
        for name in ["source", "patch", "configure", "compile", "programs", "rootfs"] {
            #expect(hits[name]?["outcome"] as? String == "hit", "\(name)")
            #expect(commands(hits[name]).isEmpty, "\(name)")
        }
        #expect(hits["test"]?["outcome"] as? String == "always")
        #expect(commands(hits["test"]).first?.contains("qemu-system-x86_64 -nodefaults") == true)

        try change()
        let layout = try CacheLayout(environment: ProcessInfo.processInfo.environment)
        let tree = try await fixture.kbuild("patch", "status", "--format", "json")
        let status = try JSONSerialization.jsonObject(with: Data(tree.output.utf8)) as? [String: Any]
        let home = FilePath(try #require(status?["tree"] as? String)).removingLastComponent()
        // The parts of the tree and the cache where a run leaves its traces; the whole tree has 80,000 files.
        var parts = ["tree/kernel", "tree/arch/x86/entry"]
        for name in try namesInFolder(home.appending("build"))
        where isFolder(home.pushing(FilePath("build/\(name)/kernel"))) {
            parts += ["build/\(name)/kernel", "build/\(name)/include/config"]
        }
        #expect(parts.count > 2)
        var places = [fixture.project, layout.locks, layout.temporary, home.removingLastComponent().appending("runs")]
        places += parts.map { home.pushing(FilePath($0)) }
        let before = try places.map(states)
        let planned = try await plan()
        let text = try await fixture.kbuild("run", "--dry-run")
        #expect(try places.map(states) == before)
        #expect(text.status == .exited(0))
        #expect(text.output.hasSuffix("Nothing was run, and nothing was changed.\n"))

        #expect(planned["patch"]?["outcome"] as? String == "miss")
        #expect(planned["configure"]?["outcome"] as? String == "hit")
        #expect(planned["compile"]?["outcome"] as? String == "miss")
        #expect(planned["programs"]?["outcome"] as? String == "hit")
        let make = try #require(commands(planned["compile"]).first)
        // Which of the two depends on whether the last build was an incremental one as well.
        #expect(make.contains(".kbuild-incremental.mk") || make.contains(".kbuild-replay.sh"))
        #expect(text.output.contains("    \(make)\n"))
        let qemu = try #require(commands(planned["test"]).first)

        let run = try await fixture.kbuild("run", "-v")
        #expect(run.status == .exited(0))
        let ran = run.errors.split(separator: "\n").filter { $0.hasPrefix("  $ ") }.map { $0.dropFirst(4) }
        #expect(ran.contains { $0 == make })
        // The sockets' folder, the run's and the measured clock are another one each time.
        func comparable(_ command: some StringProtocol) -> String {
            var text = String(command)
            text.replace(/kbuild-[A-Za-z0-9]{6}\//, with: "kbuild-XXXXXX/")
            text.replace(/runs\/[^\/]+\//, with: "runs/TIME-PID-RANDOM/")
            text.replace(/(tsc_early_khz|lpj)=\d+/, with: "")
            return text
        }
        #expect(ran.contains { comparable($0) == comparable(qemu) })
        #expect(commands(try await plan()["compile"]).isEmpty)
    }

    @Test("run --dry-run: the first steps to perform, and those that depend on them")
    func dryRunOfAll() async throws {
        try fixture.edit(
            "kernel/msgbox/syscall.yaml", replacing: "number: { \"6.1\": 451 }", with: "number: { \"6.1\": 470 }")
        try fixture.write("Tests/programs/msgbox_put.c", try fixture.text("Tests/programs/msgbox_put.c") + "\n")
        let planned = try await plan("--no-incremental")
        for name in ["patch", "compile", "programs"] {
            #expect(planned[name]?["outcome"] as? String == "miss", "\(name)")
        }
        #expect(commands(planned["programs"]).contains { $0.hasPrefix("swift-build --build-tests") })
        #expect(commands(planned["programs"]).contains { $0.contains("gcc -m64") && $0.contains("msgbox_put.c") })
        #expect(planned["rootfs"]?["outcome"] as? String == "unknown")
        #expect(planned["rootfs"]?["dependsOn"] as? [String] == ["programs"])
        #expect(planned["test"]?["dependsOn"] as? [String] == ["rootfs"])
    }

    @Test("run --dry-run of a patch that does not apply ends as the run would")
    func dryRunFailure() async throws {
        try fixture.edit("kernel/msgbox/syscall.yaml", replacing: "sources: [msgbox.c]", with: "sources: [nowhere.c]")
        let plan = try await fixture.kbuild("run", "--dry-run")
        let run = try await fixture.kbuild("run")
        #expect(plan.status == run.status)
        #expect(plan.status != .exited(0))
    }

    @Test("run --ci: JUnit, JSON and logs in a folder; groups and annotations if the service has them")
    func continuousIntegration() async throws {
        let folder = fixture.project.appending("kbuild-report")
        try removeAll(folder)
        defer { try? removeAll(folder) }
        let run = try await fixture.kbuild(
            "test", "order", "--ci", environment: ["GITHUB_ACTIONS": "true", "GITLAB_CI": nil])
        #expect(run.status == .exited(0))
        for name in ["junit.xml", "report.json", "console.log"] {
            #expect(fileExists(folder.appending(name)), "\(name)")
        }
        let lines = run.errors.split(separator: "\n")
        #expect(
            lines.filter { $0.hasPrefix("::group::") } == [
                "::group::kbuild: patch and build", "::group::kbuild: tests",
            ])
        #expect(lines.filter { $0 == "::endgroup::" }.count == 2)
        let failing = try await fixture.kbuild(
            "test", "noSuchTest", "--ci", environment: ["GITHUB_ACTIONS": "true", "GITLAB_CI": nil])
        #expect(failing.status == .exited(2))
        #expect(failing.errors.contains("::error title=kbuild::error: no test matches noSuchTest"))
    }
}
