// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// Hosts that misbehave: full disks, a clock that jumps, a folder that cannot be written to, odd paths, an old QEMU.
/// The project is that of `RunTests`.
extension RunTests {
    /// Runs kbuild after some commands of shell, in a mount namespace of its own: what is mounted there goes with it.
    private func kbuild(
        after preparation: String, _ arguments: [String], in folder: FilePath? = nil,
        environment: [String: String?] = [:]
    ) async throws -> CommandResult {
        let script = "\(preparation)\nexec \"$0\" \"$@\""
        let command = Command(
            "unshare", ["--mount", "sh", "-euc", script, try Fixture.executable()] + arguments,
            environment: environment, workingDirectory: folder ?? fixture.project)
        let result = try await CommandRunner().capture(command)
        print("$ \(command)\n\(result.errors)\(result.output)=> \(result.status)")
        return result
    }

    @Test("fault: a host without room for the cache is exit 7 with that reason")
    func fullCache() async throws {
        try fixture.faults("pass")
        let cache = fixture.project.removingLastComponent().appending("small")
        try createFolder(cache)
        let result = try await kbuild(
            after: "mount -t tmpfs -o size=48m tmpfs \(cache)", ["run"], environment: ["KBUILD_CACHE": cache.string])
        #expect(result.status == .exited(7))
        #expect(result.errors.contains("No space left on device"))
        #expect(try Fixture.processes(containing: fixture.marker).isEmpty)
    }

    @Test("fault: a host without room for a run's logs has the run's verdict, and reports the missing logs")
    func fullLogs() async throws {
        try fixture.faults("pass", "daemon", "fail")
        let artifacts = try #require(try await fixture.report("run").json["artifacts"] as? [String: Any])
        let runs = FilePath(try #require(artifacts["folder"] as? String)).removingLastComponent()
        let result = try await kbuild(
            // Once the guest is about to start.
            after: """
                mount -t tmpfs -o size=24m tmpfs \(runs)
                (until ls \(runs)/*/console.log; do sleep 0.02; done; cat /dev/zero >\(runs)/full) >/dev/null 2>&1 &
                """, ["run", "--format", "json"])
        let run = try Run(result)
        #expect(run.exitCode == 1)
        #expect(run.tests == ["pass": "passed", "daemon": "passed", "fail": "failed"])
        #expect(result.errors.contains("the console's log lacks a part: No space left on device"))
    }

    @Test("fault: a host without room for a guest's memory has the run's verdict, and reports that")
    func fullMemoryDump() async throws {
        try fixture.faults("pass", "panic")
        let artifacts = try #require(try await fixture.report("run").json["artifacts"] as? [String: Any])
        let runs = FilePath(try #require(artifacts["folder"] as? String)).removingLastComponent()
        let result = try await kbuild(
            after: "mount -t tmpfs -o size=64m tmpfs \(runs)", ["run", "--memory-dump", "--format", "json"])
        let run = try Run(result)
        #expect(run.exitCode == 5)
        #expect(run.tests == ["pass": "passed", "panic": "crashed"])
        #expect(result.errors.contains("the memory of 1 guests could not be kept"))
        #expect((run.json["artifacts"] as? [String: Any])?["memory"] == nil)
    }

    @Test("fault: results that cannot be written are exit 7 with any verdict")
    func fullResults() async throws {
        try fixture.faults("pass")
        let folder = fixture.project.removingLastComponent().appending("small")
        try createFolder(folder)
        let result = try await kbuild(
            after: "mount -t tmpfs -o size=4k tmpfs \(folder); head -c 4096 /dev/zero >\(folder)/full || true",
            ["run", "--junit", "\(folder)/junit.xml"])
        #expect(result.status == .exited(7))
        #expect(result.errors.contains("\(folder)/junit.xml"))
    }

    @Test("fault: a host whose clock jumps by years has the same verdict, and plausible times")
    func jumpingClock() async throws {
        try fixture.faults("pass", "fail", "daemon")
        // The time of day as the C library tells it: a year ahead after 0.6 s, two years back after 1.2 s.
        let library = fixture.project.removingLastComponent().appending("jump.so")
        try fixture.write(
            "jump.c",
            """
            #define _GNU_SOURCE
            #include <sys/syscall.h>
            #include <sys/time.h>
            #include <time.h>
            #include <unistd.h>

            static long long jump(void) {
                // By the number of calls, so that a console of few lines has more than one of these times as well.
                static unsigned calls;
                unsigned phase = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) / 3 % 3;
                return phase == 0 ? 0 : phase == 1 ? 31536000 : -63072000;
            }
            int clock_gettime(clockid_t clock, struct timespec *time) {
                int result = syscall(SYS_clock_gettime, clock, time);
                if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += jump();
                return result;
            }
            int gettimeofday(struct timeval *restrict time, void *restrict zone) {
                struct timespec now;
                int result = clock_gettime(CLOCK_REALTIME, &now);
                time->tv_sec = now.tv_sec;
                time->tv_usec = now.tv_nsec / 1000;
                return result;
            }
            time_t time(time_t *result) {
                struct timespec now;
                clock_gettime(CLOCK_REALTIME, &now);
                if (result) *result = now.tv_sec;
                return now.tv_sec;
            }
            """)
        _ = try await CommandRunner().output(
            of: Command(
                "gcc", ["-shared", "-fPIC", "-O2", "-o", library.string, "jump.c"], workingDirectory: fixture.project))
        defer { try? removeAll(fixture.project.appending("jump.c")) }
        let run = try await fixture.report("run", environment: ["LD_PRELOAD": library.string])
        // A run of the next year would stay the newest one for the tests that follow.
        defer { if let console = try? run.console() { try? removeAll(console.removingLastComponent()) } }
        #expect(run.exitCode == 1)
        #expect(run.tests == ["pass": "passed", "fail": "failed", "daemon": "passed"])
        let seconds = try #require(run.json["seconds"] as? Double)
        #expect(seconds > 0 && seconds < 3600)
        // The console has the stamps of all three times.
        let years = Set(try readText(try run.console()).split(separator: "\n").map { $0.prefix(4) })
        #expect(years.count > 1, "the clock did jump: \(years)")
    }

    @Test("fault: a project in a read-only folder can be run")
    func readOnlyProject() async throws {
        try fixture.faults("pass", "fail")
        let project = fixture.project
        let result = try await kbuild(
            after: "mount --bind \(project) \(project); mount -o remount,bind,ro \(project)",
            ["run", "--format", "json"])
        let run = try Run(result)
        #expect(run.exitCode == 1)
        #expect(run.tests == ["pass": "passed", "fail": "failed"])
    }

    @Test(
        "fault: a project's path may contain spaces, quotes, a newline and letters of all kinds",
        arguments: ["it's two \"quoted words\" $HOME `x`", "line\nbreak, comma; (and) & æøå 漢字 🐧"])
    func oddPaths(name: String) async throws {
        try fixture.faults("pass", "fail")
        let folder = fixture.project.removingLastComponent().appending("odd")
        try removeAll(folder)
        let project = try fixture.copy(to: folder.appending(name))
        let result = try await CommandRunner().capture(
            Command(try Fixture.executable(), ["run", "--format", "json"], workingDirectory: project))
        print("\(result.errors)=> \(result.status)")
        let run = try Run(result)
        #expect(run.exitCode == 1)
        #expect(run.tests == ["pass": "passed", "fail": "failed"])
        _ = try await CommandRunner().capture(
            Command(try Fixture.executable(), ["clean"], workingDirectory: project))
        try removeAll(folder)
    }

    @Test("fault: a cache in a folder that make cannot work in is exit 2 with the next step")
    func oddCache() async throws {
        try fixture.faults("pass")
        let cache = fixture.project.removingLastComponent().appending("two words")
        let result = try await fixture.kbuild("run", environment: ["KBUILD_CACHE": cache.string])
        #expect(result.status == .exited(2))
        #expect(result.errors.contains("KBUILD_CACHE"))
    }

    @Test("fault: a QEMU that is too old is exit 7 before anything is built, and doctor says the same")
    func oldQEMU() async throws {
        let bin = fixture.project.appending("bin")
        let tool = bin.appending("qemu-system-x86_64")
        try createFolder(bin)
        try writeAtomically(
            Array("#!/bin/sh\necho 'QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11)'\n".utf8), to: tool,
            mode: FilePermissions(rawValue: 0o755))
        defer { try? removeAll(bin) }
        let path = try #require(ProcessInfo.processInfo.environment["PATH"])
        let environment = ["PATH": "\(bin):\(path)"]
        let run = try await fixture.kbuild("run", environment: environment)
        #expect(run.status == .exited(7))
        #expect(run.errors.contains("QEMU 5.2.0 is too old: kbuild needs 7.1 or later"))
        let doctor = try await fixture.kbuild("doctor", environment: environment)
        #expect(doctor.status == .exited(7))
        #expect(doctor.output.contains("found 5.2.0; 7.1 or newer is required"))
    }
}
