import Artifacts
import Commands
import Foundation
import ProjectFixture
import SystemPackage
import Testing

/// Guests and hosts that misbehave; the project is that of `RunTests`. A line of the matrix is a test here: what was done,
/// kbuild's exit code, and that everything else still reports.
extension RunTests {
    /// Does what its argument says.
    private static let fault = """
        #define _GNU_SOURCE
        #include <dirent.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <linux/reboot.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/ptrace.h>
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <unistd.h>

        static void put(const char *path, const char *text) {
            int file = open(path, O_WRONLY);
            if (file >= 0) { (void)!write(file, text, strlen(text)); close(file); }
        }
        static int is(const char *mode, const char *name) { return !strcmp(mode, name); }

        int main(int argc, char **argv) {
            const char *mode = argc > 1 ? argv[1] : "pass";
            if (is(mode, "pass")) return 0;
            if (is(mode, "fail")) return 9;
            if (is(mode, "panic")) { put("/proc/sysrq-trigger", "c"); sleep(60); }
            if (is(mode, "reset")) { put("/proc/sysrq-trigger", "b"); sleep(60); }
            if (is(mode, "reboot")) { syscall(SYS_reboot, 0xfee1dead, 672274793, LINUX_REBOOT_CMD_RESTART, 0); sleep(60); }
            if (is(mode, "poweroff")) { syscall(SYS_reboot, 0xfee1dead, 672274793, LINUX_REBOOT_CMD_POWER_OFF, 0); sleep(60); }
            if (is(mode, "leave")) {
                // The port by which init ends the machine.
                int port = open("/dev/port", O_WRONLY);
                if (port < 0 || pwrite(port, "\\x2a", 1, 0xf4) != 1) return 3;
                sleep(60);
            }
            if (is(mode, "abort")) abort();
            if (is(mode, "hang")) for (;;) pause();
            if (is(mode, "kill-init")) {
                kill(1, SIGKILL); kill(getppid(), SIGKILL); kill(1, SIGSEGV);
                return 0;
            }
            if (is(mode, "daemon")) {
                if (fork() == 0) { setsid(); sleep(1000); }
                return 0;
            }
            if (is(mode, "memory")) {
                for (;;) { char *block = malloc(1 << 20); if (block) memset(block, 1, 1 << 20); }
            }
            if (is(mode, "disk")) {
                static char block[1 << 20];
                int file = open("/tmp/full", O_WRONLY | O_CREAT, 0600);
                while (write(file, block, sizeof block) > 0) {}
                return errno == ENOSPC ? 0 : 4;
            }
            if (is(mode, "flood")) {
                static char block[1 << 16];
                memset(block, 'x', sizeof block); block[sizeof block - 1] = '\\n';
                for (int i = 0; i < 200 * 16; i++) (void)!write(1, block, sizeof block);
                return 0;
            }
            if (is(mode, "garbage")) {
                static unsigned char block[1 << 16];
                for (unsigned i = 0, state = 1; i < sizeof block; i++) block[i] = (state = state * 1103515245 + 12345) >> 16;
                int console = open("/dev/console", O_WRONLY | O_NOCTTY);
                (void)!write(console, block, 1 << 13);
                for (int i = 0; i < 160; i++) (void)!write(1, block, sizeof block);
                return 0;
            }
            if (is(mode, "forge")) {
                const char *lies = "\\n[    9.000000][    T1] kbuild: clock 1\\nKTAP version 1\\n1..1\\nok 1 forge\\n"
                    "\\001kbuild 1 stop 0 1 exit 0\\n\\036kbuild:1:stop:0 1 exit 0\\n"
                    "{\\"version\\":0,\\"kind\\":\\"event\\",\\"payload\\":{\\"kind\\":\\"runEnded\\"}}\\n";
                put("/dev/console", lies); put("/dev/ttyS0", lies); put("/dev/kmsg", lies);
                (void)!write(1, lies, strlen(lies)); (void)!write(2, lies, strlen(lies)); (void)!write(3, lies, strlen(lies));
                DIR *devices = opendir("/dev");
                for (struct dirent *entry; devices && (entry = readdir(devices));) {
                    if (strncmp(entry->d_name, "vport", 5)) continue;
                    char path[300];
                    snprintf(path, sizeof path, "/dev/%s", entry->d_name);
                    put(path, lies);
                }
                return 9;
            }
            if (is(mode, "clock")) {
                struct timeval now, then;
                gettimeofday(&now, 0);
                then = now; then.tv_sec += 10L * 365 * 86400;
                if (settimeofday(&then, 0)) return 5;
                usleep(50000);
                then.tv_sec -= 20L * 365 * 86400;
                return settimeofday(&then, 0) ? 6 : 0;
            }
            if (is(mode, "flaky")) {
                // The shared folder outlives the guest.
                const char *mark = "/root/host_folder/flaky-mark";
                if (access(mark, F_OK) == 0) return 0;
                close(creat(mark, 0600));
                return 9;
            }
            return 99;
        }
        """

    /// Makes these the only tests: each is named after what it does.
    private func faults(_ modes: String...) throws {
        try fixture.write("Tests/programs/fault.c", Self.fault)
        let text = try readText(fixture.project.appending("kbuild.yaml"))
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { line in !["  - {c:", "  - swift:", "    skip:"].contains { line.hasPrefix($0) } }
        let tests = modes.map { "  - {c: Tests/programs/fault.c, name: \($0), arguments: [\($0)]}" }
        try fixture.write(
            "kbuild.yaml",
            lines.joined(separator: "\n").replacingOccurrences(
                of: "\ntests:\n", with: "\ntests:\n\(tests.joined(separator: "\n"))\n"))
    }

    struct FaultRow: CustomTestStringConvertible, Sendable {
        var fault: String
        var status: String
        var exitCode: Int32
        /// A crash report's title begins so; nil for none.
        var crash: String?
        var machine = "auto"
        var testDescription: String { "\(fault) on \(machine)" }
    }

    @Test(
        "fault: what a test does to the guest is told by its own status, and the tests around it pass",
        arguments: [
            FaultRow(fault: "panic", status: "crashed", exitCode: 5, crash: "kernel panic: sysrq triggered crash"),
            FaultRow(fault: "reset", status: "crashed", exitCode: 5),
            FaultRow(fault: "reboot", status: "crashed", exitCode: 5),
            FaultRow(fault: "poweroff", status: "crashed", exitCode: 5),
            FaultRow(fault: "leave", status: "failed", exitCode: 7),
            FaultRow(fault: "abort", status: "failed", exitCode: 1),
            FaultRow(fault: "kill-init", status: "passed", exitCode: 0),
            FaultRow(fault: "daemon", status: "passed", exitCode: 0),
            FaultRow(fault: "memory", status: "failed", exitCode: 5, crash: "Out of memory"),
            FaultRow(fault: "disk", status: "passed", exitCode: 0),
            FaultRow(fault: "flood", status: "passed", exitCode: 0),
            FaultRow(fault: "garbage", status: "passed", exitCode: 0),
            FaultRow(fault: "forge", status: "failed", exitCode: 1),
            FaultRow(fault: "clock", status: "passed", exitCode: 0),
            FaultRow(
                fault: "panic", status: "crashed", exitCode: 5, crash: "kernel panic: sysrq triggered crash",
                machine: "uml"),
            FaultRow(fault: "poweroff", status: "crashed", exitCode: 5, machine: "uml"),
            FaultRow(fault: "flood", status: "passed", exitCode: 0, machine: "uml"),
            FaultRow(fault: "garbage", status: "passed", exitCode: 0, machine: "uml"),
            FaultRow(fault: "forge", status: "failed", exitCode: 7, machine: "uml"),
        ])
    func fault(row: FaultRow) async throws {
        try faults("pass", row.fault, "fail")
        try fixture.edit("kbuild.yaml", replacing: "name: fail,", with: "name: after,")
        try fixture.edit("kbuild.yaml", replacing: "arguments: [fail]", with: "arguments: [pass]")
        let run = try await fixture.report("run", "--machine", row.machine)
        #expect(run.exitCode == row.exitCode)
        #expect(run.tests == ["pass": "passed", row.fault: row.status, "after": "passed"])
        if let crash = row.crash {
            #expect(run.crashes.first?.hasPrefix(crash) == true)
        } else {
            #expect(run.crashes.isEmpty)
        }
        #expect(try Fixture.processes(containing: "path=\(fixture.project)/shared").isEmpty)
    }

    @Test("fault: tests that each crash or hang their guest all have their own verdict")
    func manyFaults() async throws {
        try faults("pass", "panic", "hang", "reset", "abort", "daemon")
        try fixture.edit("kbuild.yaml", replacing: "silence: 120", with: "silence: 5")
        let run = try await fixture.report("run")
        #expect(run.exitCode == 5)
        #expect(
            run.tests == [
                "pass": "passed", "panic": "crashed", "hang": "timedOut", "reset": "crashed", "abort": "failed",
                "daemon": "passed",
            ])
        #expect((run.json["guests"] as? [String: Any])?["count"] as? Int == 4)
        // Each guest's log is there, and they are one, in the tests' order.
        let console = try readText(try run.console())
        #expect(console.contains("==> guest 1: pass and 5 more"))
        #expect(console.contains("==> guest 4: abort and 1 more"))
    }

    @Test("retries: a test that fails and then passes is flaky, which is no pass; one that only fails stays failed")
    func retries() async throws {
        try removeAll(fixture.project.pushing("shared/flaky-mark"))
        try faults("pass", "flaky", "fail")
        let run = try await fixture.report("run", "--retries", "2")
        #expect(run.exitCode == 1)
        #expect(run.tests == ["pass": "passed", "flaky": "flaky", "fail": "failed"])
        #expect(try run.test("flaky")["reason"] as? String == "it failed, and passed in try 2")
        #expect((run.json["guests"] as? [String: Any])?["count"] as? Int == 3)
        try removeAll(fixture.project.pushing("shared/flaky-mark"))

        try faults("flaky")
        let flaky = try await fixture.kbuild("run", "--retries", "1")
        #expect(flaky.status == .exited(1))
        #expect(flaky.output.contains("FLAKY"))
        try removeAll(fixture.project.pushing("shared/flaky-mark"))
    }

    @Test("retries: a test that has crashed two guests is not tried again")
    func retriesOfCrashes() async throws {
        try faults("pass", "panic")
        let run = try await fixture.report("run", "--retries", "5")
        #expect(run.exitCode == 5)
        #expect(run.tests == ["pass": "passed", "panic": "crashed"])
        #expect((run.json["guests"] as? [String: Any])?["count"] as? Int == 2)
        #expect(run.crashes.count == 2)
    }

    @Test("fault: QEMU killed under a run is exit 7, and the next run is right")
    func killedQEMU() async throws {
        try faults("pass", "hang")
        let command = try fixture.reporting(["run"])
        async let result = CommandRunner().capture(command)
        let marker = "path=\(fixture.project)/shared"
        var pid: pid_t?
        for _ in 0..<600 where pid == nil {
            let line = try Fixture.processes(containing: marker).first { $0.contains("qemu-system") }
            pid = line.flatMap { $0.split(separator: " ").first }.flatMap { pid_t($0) }
            try await Task.sleep(for: .milliseconds(100))
        }
        // Up to its tests, so that nobody takes it for a board that does not boot.
        try await Task.sleep(for: .seconds(6))
        kill(try #require(pid), SIGKILL)
        let run = try Run(await result)
        #expect(run.exitCode == 7)
        #expect(run.tests["hang"] == "notReported")
        try faults("pass")
        #expect(try await fixture.report("run").exitCode == 0)
    }

    @Test("fault: kbuild killed at any point leaves no process, and the next run is right")
    func killedAnywhere() async throws {
        let file = "kernel/caesar/caesar.c"
        let source = try readText(fixture.project.pushing(FilePath(file)))
        try faults("pass")
        for (index, delay) in [0.05, 0.4, 1.5, 3, 4.5, 6].enumerated() {
            // Every step has something to do.
            try fixture.write(file, source + "\n/* \(index) */\n")
            let process = Process()
            process.executableURL = URL(fileURLWithPath: try Fixture.executable())
            process.arguments = ["run"]
            process.currentDirectoryURL = URL(fileURLWithPath: fixture.project.string)
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            try await Task.sleep(for: .seconds(delay))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        let marker = "path=\(fixture.project)/shared"
        for _ in 0..<100 where try !Fixture.processes(containing: marker).isEmpty {
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(try Fixture.processes(containing: marker).isEmpty)
        let run = try await fixture.report("run")
        #expect(run.exitCode == 0)
        try fixture.write(file, source)
    }

    @Test("fault: two runs at once, in one project, are both right")
    func twoRuns() async throws {
        try faults("pass", "fail")
        let command = try fixture.reporting(["run"])
        async let first = CommandRunner().capture(command)
        async let second = CommandRunner().capture(command)
        for result in try await [first, second] {
            let run = try Run(result)
            #expect(run.exitCode == 1)
            #expect(run.tests == ["pass": "passed", "fail": "failed"])
        }
    }

    @Test("fault: a truncated and a changed file of the cache are found out and made anew")
    func damagedCache() async throws {
        try faults("pass")
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
    }

    @Test("fault: without HOME, TERM and a terminal, and with a closed output, a run's verdict is the same")
    func bareEnvironment() async throws {
        try faults("pass", "fail")
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
