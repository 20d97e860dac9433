// SPDX-License-Identifier: Apache-2.0
import Artifacts
import ProjectFixture
import SystemPackage
import Testing

/// Faults that the kernel's own test module provokes (LKDTM), in the checkers' kernel.
extension AsPublishedTests {
    /// Asks the module for the fault that its argument names.
    private static let provoke = """
        #include <fcntl.h>
        #include <string.h>
        #include <sys/mount.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            mount("debugfs", "/sys/kernel/debug", "debugfs", 0, 0);
            int file = open("/sys/kernel/debug/provoke-crash/DIRECT", O_WRONLY);
            if (argc < 2 || file < 0) return 3;
            return write(file, argv[1], strlen(argv[1])) < 0 ? 2 : 0;
        }
        """

    @Test(
        "LKDTM: provoked crashes are reported with kind, function and test, and the other tests still run",
        .tags(.kernels))
    func provoked() async throws {
        let faults = [
            "WARNING", "READ_AFTER_FREE", "BUG", "EXHAUST_STACK", "PANIC", "LOOP", "HUNG_TASK", "HARDLOCKUP",
            "ARRAY_BOUNDS",
        ]
        try fixture.write("Tests/programs/provoke.c", Self.provoke)
        let text = try readText(fixture.project.appending("kbuild.yaml"))
        let tests = faults.map {
            "      - {c: Tests/programs/provoke.c, name: \($0), arguments: [\($0)]}\n"
        }
        try fixture.write(
            "kbuild.yaml",
            """
            \(text)
              provoked:
                extends: checks
                machine:
                  command-line: loglevel=5 sysctl.kernel.watchdog_thresh=2 sysctl.kernel.hung_task_timeout_secs=4
                tests:
            \(tests.joined())    timeouts: {silence: 30, test: 20}

            """)
        let run = try await fixture.report("run", "--profile", "provoked")
        #expect(run.exitCode == 5)
        #expect(Set(run.tests.keys) == Set(faults))
        #expect(!run.tests.values.contains("notReported"))
        let crashes = run.json["crashes"] as? [[String: Any]] ?? []
        func titles(_ test: String) -> [String] {
            crashes.filter { $0["test"] as? String == test }.compactMap { $0["title"] as? String }
        }
        #expect(titles("WARNING") == ["WARNING in lkdtm_WARNING"])
        #expect(titles("READ_AFTER_FREE").first?.hasSuffix("use-after-free Read in lkdtm_READ_AFTER_FREE") == true)
        #expect(titles("BUG") == ["kernel BUG in lkdtm_BUG"])
        // The profile has debug information, and the place is that of the source.
        let places = crashes.filter { $0["test"] as? String == "BUG" }
            .flatMap { $0["frames"] as? [[String: Any]] ?? [] }
            .flatMap { $0["locations"] as? [[String: Any]] ?? [] }
        #expect(
            places.contains { place in
                guard place["function"] as? String == "lkdtm_BUG", let line = place["line"] as? Int else {
                    return false
                }
                return place["file"] as? String == "drivers/misc/lkdtm/bugs.c" && line > 1
            }, "\(places)")
        #expect(titles("EXHAUST_STACK").count == 1)
        #expect(titles("PANIC") == ["kernel panic: dumptest"])
        // A stall is put down to the outermost function that not every write goes through; the trace says where in it.
        #expect(titles("LOOP").contains("BUG: soft lockup in full_proxy_write"), "\(titles("LOOP"))")
        // lkdtm_HUNG_TASK ends in a jump to schedule(), so that the trace has its caller.
        #expect(titles("HUNG_TASK").contains("INFO: task hung in direct_entry"), "\(titles("HUNG_TASK"))")
        // Nothing in an emulated machine notices this one but the limit, and it is asked where it is.
        #expect(run.tests["HARDLOCKUP"] == "timedOut")
        let errors = run.json["errors"] as? [[String: Any]] ?? []
        #expect(
            errors.contains { error in
                (error["details"] as? String)?.contains(/in lkdtm_HARDLOCKUP\+0x[0-9a-f]+, with interrupts off/)
                    == true
            }, "\(errors)")
        #expect(run.tests["WARNING"] == "passed")
        #expect(run.tests["PANIC"] == "crashed")
    }
}
