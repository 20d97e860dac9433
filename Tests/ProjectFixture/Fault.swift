// SPDX-License-Identifier: Apache-2.0
import Processes
import SystemPackage

/// Performs the fault that its argument names.
private let faultProgram = """
    #define _GNU_SOURCE
    #include <dirent.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <linux/reboot.h>
    #include <sched.h>
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/klog.h>
    #include <sys/mount.h>
    #include <sys/ptrace.h>
    #include <sys/syscall.h>
    #include <sys/time.h>
    #include <unistd.h>

    static void put(const char *path, const char *text) {
        int file = open(path, O_WRONLY);
        if (file >= 0) { (void)!write(file, text, strlen(text)); close(file); }
    }
    static int is(const char *mode, const char *name) { return !strcmp(mode, name); }
    static void caesar(int operation) { char text[2] = "a"; syscall(__NR_caesar, text, text, operation, 1); }

    int main(int argc, char **argv) {
        const char *mode = argc > 1 ? argv[1] : "pass";
        if (is(mode, "pass")) return 0;
        if (is(mode, "fail")) return 9;
        if (is(mode, "four")) return 4;
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
        if (is(mode, "mount")) {
            return mount("tmpfs", "/kbuild/programs", "tmpfs", 0, 0) || mount("tmpfs", "/dev", "tmpfs", 0, 0) ? 3 : 0;
        }
        if (is(mode, "taint")) {
            // As with a kernel that died after a program had silenced its console and disabled its time stamps.
            put("/sys/module/printk/parameters/time", "0"); put("/proc/sys/kernel/printk", "1 1 1 1");
            put("/proc/sys/kernel/tainted", "128");
            return 0;
        }
        if (is(mode, "hidden-warning")) {
            put("/proc/sys/kernel/printk", "1 7 1 7"); caesar(104); klogctl(5, 0, 0);
            return 0;
        }
        if (is(mode, "lost-lines")) { klogctl(8, 0, 1); caesar(105); return 0; }
        if (is(mode, "no-number")) { puts("KTAP version 1\\n1..2\\nok 1 first\\nnot ok"); return 0; }
        if (is(mode, "no-plan")) { puts("KTAP version 1\\nok 1 first\\nok 1 first"); return 0; }
        if (is(mode, "hang")) for (;;) pause();
        if (is(mode, "starve")) {
            struct sched_param first = { .sched_priority = 99 };
            put("/proc/sys/kernel/sched_rt_runtime_us", "-1");
            sched_setscheduler(0, SCHED_FIFO, &first);
            for (;;) {}
        }
        if (is(mode, "quiet")) { sleep(5); return 0; }
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

/// A fault that a test causes in its guest, and the expected verdict.
public struct Fault: Sendable, CustomStringConvertible {
    /// The program's action: a word of its argument.
    public let mode: String
    /// The status of the test that does it.
    public let status: String
    /// kbuild's exit code.
    public let exitCode: Int32
    /// The beginning of the first crash report's title; nil when there is no report.
    public var crash: String?
    /// The machine.
    public var machine = "auto"
    /// The limit on silence, in seconds.
    public var silence = 120
    /// The KTAP output of a program; nil for a program that ends with a status.
    public var cases: [String: String]?

    /// Whether it needs the kernel that `Fixture.haveCaesarWarn()` makes.
    public var callsCaesar: Bool { ["hidden-warning", "lost-lines"].contains(mode) }

    /// "panic on auto".
    public var description: String { "\(mode) on \(machine)" }

    /// Every fault that a test alone can cause in a guest.
    public static let all = [
        Fault(mode: "panic", status: "crashed", exitCode: 5, crash: "kernel panic: sysrq triggered crash"),
        Fault(mode: "reset", status: "crashed", exitCode: 5),
        Fault(mode: "reboot", status: "crashed", exitCode: 5),
        Fault(mode: "poweroff", status: "crashed", exitCode: 5),
        Fault(mode: "leave", status: "failed", exitCode: 7),
        Fault(mode: "abort", status: "failed", exitCode: 1),
        Fault(mode: "kill-init", status: "passed", exitCode: 0),
        Fault(mode: "daemon", status: "passed", exitCode: 0),
        Fault(mode: "memory", status: "failed", exitCode: 5, crash: "Out of memory"),
        Fault(mode: "disk", status: "passed", exitCode: 0),
        Fault(mode: "flood", status: "passed", exitCode: 0),
        Fault(mode: "garbage", status: "passed", exitCode: 0),
        Fault(mode: "forge", status: "failed", exitCode: 1),
        Fault(mode: "clock", status: "passed", exitCode: 0),
        Fault(mode: "four", status: "failed", exitCode: 1),
        Fault(mode: "mount", status: "passed", exitCode: 0),
        Fault(mode: "taint", status: "passed", exitCode: 5, crash: "kernel tainted: D"),
        Fault(mode: "hidden-warning", status: "passed", exitCode: 5, crash: "WARNING in "),
        Fault(mode: "hidden-warning", status: "passed", exitCode: 5, crash: "WARNING in ", machine: "uml"),
        // Init may lose the report's lines, but has the taint.
        Fault(mode: "lost-lines", status: "passed", exitCode: 5, crash: ""),
        Fault(mode: "quiet", status: "passed", exitCode: 0, silence: 2),
        Fault(mode: "no-number", status: "failed", exitCode: 1, cases: ["no-number/first": "passed"]),
        Fault(
            mode: "no-plan", status: "failed", exitCode: 1,
            cases: ["no-plan/first": "passed", "no-plan/first #2": "passed"]),
        Fault(mode: "taint", status: "passed", exitCode: 5, crash: "kernel tainted: D", machine: "uml"),
        Fault(
            mode: "panic", status: "crashed", exitCode: 5, crash: "kernel panic: sysrq triggered crash",
            machine: "uml"),
        Fault(mode: "poweroff", status: "crashed", exitCode: 5, machine: "uml"),
        Fault(mode: "flood", status: "passed", exitCode: 0, machine: "uml"),
        Fault(mode: "garbage", status: "passed", exitCode: 0, machine: "uml"),
        Fault(mode: "forge", status: "failed", exitCode: 7, machine: "uml"),
    ]

    /// Runs a test with the fault, between two that do nothing.
    ///
    /// - Throws: `Failure` when kbuild cannot be started or prints no report.
    public func inject(into fixture: Fixture) async throws -> Run {
        try fixture.faults([("before", "pass"), (mode, mode), ("after", "pass")], inKTAP: cases == nil ? [] : [mode])
        try fixture.write(
            "kbuild.yaml",
            try fixture.text("kbuild.yaml").replacing(/silence: \d+/, with: "silence: \(silence)"))
        return try await fixture.report("run", "--machine", machine)
    }

    /// The errors in a run's report and exit code; empty for a correct verdict.
    public func mistakes(in run: Run) -> [String] {
        var mistakes: [String] = []
        if run.exitCode != exitCode { mistakes.append("it exited with \(run.result.status), not \(exitCode)") }
        let expected = ["before": "passed", "after": "passed"].merging(cases ?? [mode: status]) { $1 }
        for (test, status) in expected where run.tests[test] != status {
            mistakes.append("\(test) is \(run.tests[test] ?? "not there"), not \(status)")
        }
        if run.tests.count != expected.count { mistakes.append("it tells of \(run.tests.count) tests") }
        if let crash {
            if run.crashes.first?.hasPrefix(crash) != true { mistakes.append("its crashes are \(run.crashes)") }
        } else if !run.crashes.isEmpty {
            mistakes.append("it tells of \(run.crashes)")
        }
        return mistakes
    }
}

extension Fixture {
    /// Has caesar warn when its operation is 104, and in the middle of 45,000 lines when it is 105.
    ///
    /// - Throws: `Failure` when the project cannot be written.
    public func haveCaesarWarn() throws {
        try edit(
            "kernel/caesar/caesar.c", replacing: "\tif (op != CAESAR_ENCRYPT",
            with: """
                \tif (op == 104)
                \t\tWARN(1, "caesar warns");
                \tif (op == 105) {
                \t\tint line;

                \t\tfor (line = 0; line < 45000; line++) {
                \t\t\tpr_info("line %d of very many\\n", line);
                \t\t\tif (line == 22000)
                \t\t\t\tWARN(1, "caesar warns among many");
                \t\t}
                \t}
                \tif (op != CAESAR_ENCRYPT
                """)
    }

    /// A text on the command line of only this project's guests: the folder that they share.
    public var marker: String { "path=\(project)/shared" }

    /// Makes programs the only tests, each named after its action.
    ///
    /// - Throws: `Failure` when the project cannot be written.
    public func faults(_ modes: String...) throws {
        try faults(modes.map { ($0, $0) })
    }

    /// Makes programs the only tests.
    ///
    /// - Parameters:
    ///   - programs: The name and action of each.
    ///   - ktap: The names of those that report in KTAP.
    /// - Throws: `Failure` when the project cannot be written.
    public func faults(_ programs: [(name: String, mode: String)], inKTAP ktap: Set<String> = []) throws {
        try write("Tests/programs/fault.c", faultProgram)
        let text = try text("kbuild.yaml")
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { line in !["  - {c:", "  - swift:", "    skip:"].contains { line.hasPrefix($0) } }
        let tests = programs.map { name, mode in
            "  - {c: Tests/programs/fault.c, name: \(name), arguments: [\(mode)]\(ktap.contains(name) ? ", protocol: ktap" : "")}"
        }
        try write(
            "kbuild.yaml",
            lines.joined(separator: "\n").replacing("\ntests:\n", with: "\ntests:\n\(tests.joined(separator: "\n"))\n"))
    }
}
