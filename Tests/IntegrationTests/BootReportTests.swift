// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// A kernel that warns while it boots, or once a program asks it to, and programs and arguments that hide that; the
/// project is that of `RunTests`.
extension RunTests {
    /// Gives the kernel a WARN that each boot with this word on its command line meets, before a console is there, and
    /// one that a call of caesar meets. All tests here share that one kernel.
    private func warn() throws {
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "SYSCALL_DEFINE4(",
            with: """
                static int __init caesar_boot_check(void)
                {
                \tWARN(strstr(boot_command_line, "caesar-warns"), "caesar: checked at boot\\n");
                \treturn 0;
                }
                early_initcall(caesar_boot_check);

                static noinline void caesar_check(int op)
                {
                \tWARN(op == 104, "caesar: checked in a call\\n");
                }

                SYSCALL_DEFINE4(
                """)
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "\tif (op != CAESAR_ENCRYPT",
            with: "\tcaesar_check(op);\n\tif (op != CAESAR_ENCRYPT")
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "#include <linux/syscalls.h>",
            with:
                "#include <linux/init.h>\n#include <linux/string.h>\n#include <linux/syscalls.h>\n#include <asm/setup.h>"
        )
    }

    private func setCommandLine(_ words: String) throws {
        let text = try fixture.text("kbuild.yaml")
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).filter {
            !$0.hasPrefix("  command-line: ")
        }
        try fixture.write(
            "kbuild.yaml",
            lines.joined(separator: "\n").replacing("\n  cpus: 2\n", with: "\n  cpus: 2\n  command-line: \(words)\n"))
    }

    @Test(
        "boot: a warning of the boot fails each run, of booted guests and of restored ones, also from a stored snapshot"
    )
    func warningAtBoot() async throws {
        try warn()
        try fixture.faults([("first", "pass"), ("second", "pass")])
        try setCommandLine("caesar-warns")
        let title = "WARNING in caesar_boot_check"
        let passed = ["first": "passed", "second": "passed"]
        let booted = try await fixture.report("run")
        #expect(booted.exitCode == 5)
        #expect(booted.crashes == [title])
        #expect(booted.tests == passed)

        for isFirst in [true, false] {
            let woken = try await fixture.report("run", "--isolate", "test")
            #expect(woken.exitCode == 5)
            // An earlier run of this test may have left the first its snapshot.
            #expect(isFirst || woken.steps["snapshot"] == "hit")
            #expect(woken.tests == passed)
            #expect(woken.crashes == [title])
            let crash = try #require((woken.json["crashes"] as? [[String: Any]])?.first)
            #expect(crash["isAtBoot"] as? Bool == true)
            #expect(crash["isFromMemory"] == nil)
            // Its place is in the log of all guests, at whose head that of the boot is; it also is a file of its own.
            let console = try readText(try woken.console()).split(separator: "\n", omittingEmptySubsequences: false)
            #expect(console[0].hasPrefix("==> the boot before the snapshot"))
            let line = try #require(crash["firstLine"] as? Int)
            let text = try #require((crash["lines"] as? [String])?.first)
            #expect(console[line - 1].hasSuffix(text))
            let artifacts = try #require(woken.json["artifacts"] as? [String: Any])
            let boots = try #require(artifacts["bootConsoles"] as? [String])
            #expect(boots.count == 1)
            #expect(try readText(FilePath(try #require(boots.first))).contains("caesar: checked at boot"))
        }

        // The user's own words come last, and hide it from the console, but not from the host.
        try setCommandLine("quiet caesar-warns")
        for arguments in [["run"], ["run", "--isolate", "test"]] {
            let quiet = try await fixture.report(arguments)
            #expect(quiet.exitCode == 5)
            #expect(quiet.tests == passed)
            #expect(quiet.crashes == [title])
            #expect(quiet.result.errors.contains("the kernel's command line has quiet"))
            let crash = try #require((quiet.json["crashes"] as? [[String: Any]])?.first)
            #expect(crash["isAtBoot"] as? Bool == true)
            // By the log that init reads, or by the kernel's memory.
            #expect(crash["firstLine"] == nil)
        }
    }

    @Test("memory: a root program hides a warning from the console, the log and init, but not from the host")
    func hiddenWarning() async throws {
        try warn()
        try fixture.write(
            "Tests/programs/hide.c",
            """
            #define _GNU_SOURCE
            #include <fcntl.h>
            #include <sched.h>
            #include <string.h>
            #include <sys/klog.h>
            #include <sys/mount.h>
            #include <unistd.h>

            static void put(const char *path, const char *text) {
                int file = open(path, O_WRONLY | O_CREAT, 0600);
                if (file >= 0) { (void)!write(file, text, strlen(text)); close(file); }
            }

            int main(int argc, char **argv) {
                char text[2] = "a";
                // Where init looks it finds what this program says.
                int namespace = open("/proc/1/ns/mnt", O_RDONLY);
                if (namespace >= 0) setns(namespace, CLONE_NEWNS);
                put("/tmp/untainted", "0\\n");
                mount("/tmp/untainted", "/proc/sys/kernel/tainted", 0, MS_BIND, 0);
                mount("/dev/null", "/dev/kmsg", 0, MS_BIND, 0);
                put("/proc/sys/kernel/printk", "1 1 1 1");
                klogctl(8, 0, 1);
                syscall(__NR_caesar, text, text, 104, 1);
                // It can be added to, and not taken from.
                put("/proc/sys/kernel/tainted", "0");
                klogctl(5, 0, 0);
                if (argc > 1 && !strcmp(argv[1], "hang")) for (;;) pause();
                return 0;
            }
            """)
        try fixture.faults([("before", "pass")])
        let hide =
            "  - {c: Tests/programs/hide.c, name: hide}\n  - {c: Tests/programs/hide.c, name: silent, arguments: [hang]}\n"
        try fixture.edit("kbuild.yaml", replacing: "\ntests:\n", with: "\ntests:\n\(hide)")
        try fixture.edit("kbuild.yaml", replacing: "silence: 120, test: 300", with: "silence: 5, test: 10")
        let title = "WARNING in caesar_check"
        // The second runs into a limit, and its guest is read then; with results on the console the guest is held
        // there.
        for (arguments, tests) in [
            (["test", "^(before|hide)$"], ["before": "passed", "hide": "passed"]),
            (["test", "^(before|hide)$", "--isolate", "test"], ["before": "passed", "hide": "passed"]),
            (["test", "^(before|hide)$", "--profile", "serial"], ["before": "passed", "hide": "passed"]),
            (["test", "^silent$"], ["silent": "timedOut"]),
        ] {
            let run = try await fixture.report(arguments)
            #expect(run.exitCode == 5, "\(arguments)")
            #expect(run.tests == tests, "\(arguments)")
            #expect(run.crashes == [title], "\(arguments)")
            #expect(run.json["unreadKernelMemory"] == nil, "\(arguments)")
        }
    }
}
