// SPDX-License-Identifier: Apache-2.0
import Artifacts
import ProjectFixture
import Testing

/// Programs that hide what the kernel says, and programs that reach for those that come after; the project is that of
/// `RunTests`.
extension RunTests {
    /// Hides and provokes: its argument says how. caesar warns when its operation is 104, and in the middle of 45,000
    /// lines when it is 105.
    private static let hide = """
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <string.h>
        #include <sys/klog.h>
        #include <unistd.h>

        static void put(const char *path, const char *text) {
            int file = open(path, O_WRONLY | O_NOCTTY);
            if (file >= 0) { (void)!write(file, text, strlen(text)); close(file); }
        }
        static int is(const char *mode, const char *name) { return !strcmp(mode, name); }
        static void call(int operation) { char text[2] = "a"; syscall(__NR_caesar, text, text, operation, 1); }

        int main(int argc, char **argv) {
            const char *mode = argc > 1 ? argv[1] : "";
            if (is(mode, "stamps")) { put("/sys/module/printk/parameters/time", "0"); call(104); }
            if (is(mode, "mute")) klogctl(8, 0, 1);
            if (is(mode, "warn")) call(104);
            if (is(mode, "mute-warn")) { put("/proc/sys/kernel/printk", "1 7 1 7"); call(104); klogctl(5, 0, 0); }
            if (is(mode, "torn")) {
                char line[601];
                memset(line, 'x', 600); line[600] = 0;
                put("/dev/console", line);
                call(104);
            }
            if (is(mode, "flood")) { klogctl(8, 0, 1); call(105); }
            if (is(mode, "taint")) put("/proc/sys/kernel/tainted", "128");
            return 0;
        }
        """

    @Test("evidence: a warning that a program hides from the console fails the run, and is reported with that program")
    func hiddenWarnings() async throws {
        try fixture.faults("pass")
        try fixture.haveCaesarWarn()
        try fixture.write("Tests/programs/hide.c", Self.hide)
        let modes = ["flood", "stamps", "mute", "warn", "mute-warn", "torn", "taint"]
        let tests = modes.map { "  - {c: Tests/programs/hide.c, name: \($0), arguments: [\($0)]}\n" }
        try fixture.edit("kbuild.yaml", replacing: "\ntests:\n", with: "\ntests:\n" + tests.joined())
        let run = try await fixture.report("run")
        #expect(run.exitCode == 5)
        let crashes = run.json["crashes"] as? [[String: Any]] ?? []
        func titles(_ test: String) -> [String] {
            crashes.filter { $0["test"] as? String == test }.compactMap { $0["title"] as? String }
        }
        for test in ["stamps", "warn", "mute-warn", "torn"] {
            #expect(titles(test).count == 1, "\(test): \(titles(test))")
            #expect(titles(test).first?.hasPrefix("WARNING in ") == true, "\(test): \(titles(test))")
        }
        #expect(titles("mute") == [])
        #expect(titles("taint") == ["kernel tainted: D (the kernel died: an oops or BUG), without a report"])
        // Init reads on while the kernel prints, but not as fast as that can. Where the report was overwritten the
        // taint has it; where only its beginning was, the rest is a report too.
        #expect(titles("flood").count == 1, "\(titles("flood"))")
        let isKnown = titles("flood").contains { text in
            ["WARNING in ", "kernel tainted: W ", "corrupted report in "].contains { text.hasPrefix($0) }
        }
        #expect(isKnown, "\(titles("flood"))")
        let messages = (run.json["errors"] as? [[String: Any]] ?? []).compactMap { $0["message"] as? String }
        #expect(
            titles("flood").allSatisfy { $0.hasPrefix("WARNING") }
                || messages.contains { $0.contains("overwritten unread") })
        #expect(Set(run.tests.values) == ["passed"])
    }

    /// Leaves something behind, or finds out whether it was left anything.
    private static let leave = """
        #define _GNU_SOURCE
        #include <ctype.h>
        #include <dirent.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mount.h>
        #include <sys/shm.h>
        #include <unistd.h>

        static int put(const char *path, const char *text, int flags) {
            int file = open(path, O_WRONLY | flags, 0644);
            if (file < 0) return -1;
            int result = write(file, text, strlen(text)) < 0 ? -1 : 0;
            close(file);
            return result;
        }
        static int is(const char *mode, const char *name) { return !strcmp(mode, name); }
        static int entries(const char *path, int numbers) {
            int count = 0;
            DIR *folder = opendir(path);
            for (struct dirent *entry; folder && (entry = readdir(folder));)
                count += numbers ? isdigit(entry->d_name[0]) != 0 : entry->d_name[0] != '.';
            return count;
        }
        static int found(const char *what) { printf("%s was left\\n", what); return 1; }

        int main(int argc, char **argv) {
            const char *mode = argc > 1 ? argv[1] : "";
            char text[64] = "";
            if (is(mode, "mounts")) {
                if (mount("tmpfs", "/kbuild/programs", "tmpfs", 0, 0)) return 2;
                if (mount("tmpfs", "/proc/sys", "tmpfs", 0, 0)) return 3;
                return mount("tmpfs", "/dev", "tmpfs", 0, 0) ? 5 : 0;
            }
            if (is(mode, "leaves")) {
                if (shmget(4711, 4096, IPC_CREAT | 0600) < 0) return 2;
                if (put("/dev/shm/left", "x", O_CREAT) || put("/run/left", "x", O_CREAT)) return 3;
                if (fork() == 0) { setsid(); if (fork() == 0) for (;;) pause(); _exit(0); }
                return 0;
            }
            if (is(mode, "kills")) {
                kill(1, SIGKILL); kill(getppid(), SIGKILL); kill(-1, SIGKILL);
                return umount2("/proc", MNT_DETACH) ? 2 : 0;
            }
            if (is(mode, "settings")) {
                if (put("/proc/sys/kernel/randomize_va_space", "0", 0)) return 2;
                if (put("/proc/sys/vm/overcommit_memory", "1", 0)) return 3;
                return sethostname("mine", 4) ? 5 : 0;
            }
            if (is(mode, "fills")) {
                static char block[1 << 20];
                int file = open("/tmp/full", O_WRONLY | O_CREAT, 0600);
                while (write(file, block, sizeof block) > 0) {}
                return errno == ENOSPC ? 0 : 2;
            }
            if (entries("/tmp", 0) || entries("/dev/shm", 0) || entries("/run", 0)) return found("a file");
            if (shmget(4711, 4096, 0600) >= 0) return found("shared memory");
            if (entries("/proc", 1) > 2) return found("a process");
            if (put("/tmp/mine", "x", O_CREAT)) return found("a full disk");
            FILE *file = fopen("/proc/sys/kernel/randomize_va_space", "r");
            if (!file || !fgets(text, sizeof text, file) || atoi(text) != 2) return found("a setting");
            file = fopen("/proc/sys/vm/overcommit_memory", "r");
            if (!file || !fgets(text, sizeof text, file) || atoi(text) != 0) return found("a policy");
            if (gethostname(text, sizeof text) || strcmp(text, "kbuild")) return found("a name");
            return 0;
        }
        """

    @Test(
        "isolation of programs: mounts, files, kills, settings and full disks do not affect the next program",
        arguments: ["auto", "uml"])
    func programsApart(machine: String) async throws {
        try fixture.faults([])
        try fixture.write("Tests/programs/leave.c", Self.leave)
        let modes = ["mounts", "look1", "leaves", "look2", "kills", "look3", "settings", "look4", "fills", "look5"]
        let tests = modes.map { "  - {c: Tests/programs/leave.c, name: \($0), arguments: [\($0)]}\n" }
        try fixture.edit("kbuild.yaml", replacing: "\ntests:\n", with: "\ntests:\n" + tests.joined())
        let run = try await fixture.report("run", "--machine", machine)
        #expect(run.exitCode == 0)
        #expect(run.tests == Dictionary(uniqueKeysWithValues: modes.map { ($0, "passed") }))
        // Restored settings are reported with the program that changed them, and are not a failure.
        let notes = run.suites.first { $0["name"] as? String == "settings" }?["notes"] as? [String] ?? []
        #expect(notes.count == 3, "\(notes)")
        for name in ["kernel.randomize_va_space from 2 to 0", "vm.overcommit_memory from 0 to 1", "kernel.hostname"] {
            #expect(notes.contains { $0.contains(name) && $0.hasSuffix("put back") }, "\(notes)")
        }
    }

    @Test(
        "silence: a test that is quiet for longer than timeouts.silence passes, and one that blocks ends by its own limit",
        arguments: ["virtio", "serial"])
    func quietTest(results: String) async throws {
        try fixture.faults([("quiet", "quiet"), ("hang", "hang")])
        try fixture.edit("kbuild.yaml", replacing: "silence: 120, test: 300", with: "silence: 2, test: 6")
        let run = try await fixture.report("run", "--results", results)
        #expect(run.tests == ["quiet": "passed", "hang": "timedOut"])
        #expect(run.exitCode == 6)
        let messages = (run.json["errors"] as? [[String: Any]] ?? []).compactMap { $0["message"] as? String }
        #expect(!messages.contains { $0.contains("timeouts.silence") }, "\(messages)")
    }
}
