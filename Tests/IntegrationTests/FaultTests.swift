// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// Guests and hosts that misbehave; the project is that of `RunTests`. A line of the matrix is a test here: what was
/// done, kbuild's exit code, and that everything else still reports.
extension RunTests {
    @Test(
        "fault: only the test that breaks the guest is marked, and the tests around it pass",
        arguments: Fault.all.filter { !$0.callsCaesar })
    func fault(fault: Fault) async throws {
        let run = try await fault.inject(into: fixture)
        #expect(fault.mistakes(in: run) == [])
        #expect(try Fixture.processes(containing: fixture.marker).isEmpty)
    }

    @Test("fault: tests that each crash or hang their guest have separate verdicts")
    func manyFaults() async throws {
        try fixture.faults("pass", "panic", "hang", "reset", "abort", "daemon")
        try fixture.edit("kbuild.yaml", replacing: "test: 300", with: "test: 5")
        let run = try await fixture.report("run")
        #expect(run.exitCode == 5)
        #expect(
            run.tests == [
                "pass": "passed", "panic": "crashed", "hang": "timedOut", "reset": "crashed", "abort": "failed",
                "daemon": "passed",
            ])
        // Init ends the one that hangs, and its guest goes on.
        #expect((run.json["guests"] as? [String: Any])?["count"] as? Int == 3)
        // Each guest's log is there, and they are one, in the tests' order.
        let console = try readText(try run.console())
        #expect(console.contains("==> guest 1: pass and 5 more"))
        #expect(console.contains("==> guest 3: abort and 1 more"))
    }

    @Test("retries: a test that fails and then passes is flaky, which is not a pass; one that only fails stays failed")
    func retries() async throws {
        try removeAll(fixture.project.pushing("shared/flaky-mark"))
        try fixture.faults("pass", "flaky", "fail")
        let run = try await fixture.report("run", "--retries", "2")
        #expect(run.exitCode == 1)
        #expect(run.tests == ["pass": "passed", "flaky": "flaky", "fail": "failed"])
        #expect(try run.test("flaky")["reason"] as? String == "it failed, and passed in try 2")
        #expect((run.json["guests"] as? [String: Any])?["count"] as? Int == 3)
        try removeAll(fixture.project.pushing("shared/flaky-mark"))

        try fixture.faults("flaky")
        let flaky = try await fixture.kbuild("run", "--retries", "1")
        #expect(flaky.status == .exited(1))
        #expect(flaky.output.contains("FLAKY"))
        try removeAll(fixture.project.pushing("shared/flaky-mark"))
    }

    @Test("retries: a test that has crashed two guests is not tried again")
    func retriesOfCrashes() async throws {
        try fixture.faults("pass", "panic")
        let run = try await fixture.report("run", "--retries", "5")
        #expect(run.exitCode == 5)
        #expect(run.tests == ["pass": "passed", "panic": "crashed"])
        #expect((run.json["guests"] as? [String: Any])?["count"] as? Int == 2)
        #expect(run.crashes.count == 2)
    }

    @Test("fault: QEMU killed during a run is exit 7, and the next run is correct")
    func killedQEMU() async throws {
        try fixture.faults("pass", "hang")
        let command = try fixture.reporting(["run"])
        async let result = CommandRunner().capture(command)
        let marker = fixture.marker
        var pid: pid_t?
        for _ in 0..<600 where pid == nil {
            let line = try Fixture.processes(containing: marker).first { $0.contains("qemu-system") }
            pid = line.flatMap { $0.split(separator: " ").first }.flatMap { pid_t($0) }
            try await Task.sleep(for: .milliseconds(100))
        }
        // Up to its tests, so that it is not taken for a board that does not boot.
        try await Task.sleep(for: .seconds(6))
        kill(try #require(pid), SIGKILL)
        let run = try Run(await result)
        #expect(run.exitCode == 7)
        #expect(run.tests["hang"] == "notReported")
        try fixture.faults("pass")
        #expect(try await fixture.report("run").exitCode == 0)
    }

    @Test("fault: kbuild killed at any point leaves no process, and the next run is correct")
    func killedAnywhere() async throws {
        let file = "kernel/caesar/caesar.c"
        let source = try readText(fixture.project.pushing(FilePath(file)))
        try fixture.faults("pass")
        // The project's cache, two above a run's folder, is on the command line of all that builds and of the guest.
        let artifacts = try #require(try await fixture.report("run").json["artifacts"] as? [String: Any])
        let cache = FilePath(try #require(artifacts["folder"] as? String)).removingLastComponent()
            .removingLastComponent()
        for (index, delay) in [0.05, 0.4, 1.5, 3, 4.5, 6].enumerated() {
            // Every step has something to do.
            try fixture.write(file, source + "\n/* \(index) */\n")
            let process = try fixture.start("run")
            try await Task.sleep(for: .seconds(delay))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        #expect(try await Fixture.lastingProcesses(containing: cache.string) == [])
        #expect(try await fixture.report("run").exitCode == 0)
        try fixture.write(file, source)
    }

    @Test("fault: two runs at once in one project, and a third in another, are all correct")
    func twoRuns() async throws {
        try fixture.faults("pass", "fail")
        let command = try fixture.reporting(["run"])
        var other = command
        let folder = fixture.project.removingLastComponent().appending("other")
        other.workingDirectory = try fixture.copy(to: folder)
        async let first = CommandRunner().capture(command)
        async let second = CommandRunner().capture(command)
        async let third = CommandRunner().capture(other)
        for result in try await [first, second, third] {
            let run = try Run(result)
            #expect(run.exitCode == 1)
            #expect(run.tests == ["pass": "passed", "fail": "failed"])
        }
        try removeAll(folder)
    }

    @Test("fault: a truncated and a changed file of the cache are detected and made again")
    func damagedCache() async throws {
        try fixture.faults("pass")
        let before = try await fixture.report("run")
        #expect(before.exitCode == 0)
        let layout = try CacheLayout(environment: ProcessInfo.processInfo.environment)
        let inits = layout.store.appending("init")
        for damage in ["truncated", "changed"] {
            for name in try namesInFolder(inits) {
                let folder = inits.appending(name)
                for file in try namesInFolder(folder) where !file.hasPrefix(".") {
                    var bytes = try readBytes(folder.appending(file))
                    if damage == "truncated" {
                        bytes = Array(bytes.prefix(bytes.count / 2))
                    } else {
                        bytes[bytes.count / 2] ^= 1
                    }
                    try writeAtomically(bytes, to: folder.appending(file))
                }
            }
            let run = try await fixture.report("run")
            #expect(run.exitCode == 0, "\(damage)")
        }
        // Those that no run has asked for since are damaged still.
        try removeAll(inits)
    }

    @Test("fault: without HOME, TERM and a terminal, and with a closed output, a run's verdict is the same")
    func bareEnvironment() async throws {
        try fixture.faults("pass", "fail")
        let layout = try CacheLayout(environment: ProcessInfo.processInfo.environment)
        let bare = try await fixture.kbuild(
            "run", environment: ["HOME": nil, "TERM": nil, "KBUILD_CACHE": layout.root.string])
        #expect(bare.status == .exited(1))
        let homeless = try await fixture.kbuild(
            "run", environment: ["HOME": nil, "XDG_CACHE_HOME": nil, "KBUILD_CACHE": nil])
        #expect(homeless.status == .exited(2))
        #expect(homeless.errors.contains("KBUILD_CACHE"))
        let closed = try await CommandRunner().capture(
            Command(
                "sh", ["-c", "exec \"$0\" run >&- 2>&-", try Fixture.executable()], workingDirectory: fixture.project))
        #expect(closed.status == .exited(1))
        let full = try await CommandRunner().capture(
            Command(
                "sh", ["-c", "exec \"$0\" run --format json >/dev/full", try Fixture.executable()],
                workingDirectory: fixture.project))
        #expect(full.status != .exited(0))
    }
}
