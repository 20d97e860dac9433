// SPDX-License-Identifier: Apache-2.0
import Foundation
import ProjectFixture
import SystemPackage
import Testing

/// What is particular to user-mode Linux; the tests share the project with those of `RunTests`.
extension RunTests {
    /// Puts a word on the guest kernel's command line that no other process has.
    func markGuest() throws -> String {
        let marker = "kbuild.marker=\(UUID().uuidString)"
        try fixture.edit("kbuild.yaml", replacing: "\n  cpus: 2\n", with: "\n  cpus: 2\n  command-line: \(marker)\n")
        return marker
    }

    @Test("uml: the same suites pass in user-mode Linux")
    func umlPasses() async throws {
        let marker = try markGuest()
        let run = try await fixture.report("run", "--machine", "uml")
        #expect(run.exitCode == 0)
        #expect(Set(run.tests.values).isSubset(of: ["passed", "skipped"]))
        #expect(run.tests["MsgboxTests.MsgboxTests/concurrentThreads()"] == "passed")
        #expect(run.tests["msgbox_put"] == "passed")
        let machine = run.json["machine"] as? [String: Any]
        #expect(machine?["type"] as? String == "uml")
        #expect(machine?["cpus"] as? Int == 1)
        #expect(try Fixture.processes(containing: marker).isEmpty)
    }

    /// A program that does what its argument says, as the project's only test.
    private func onlyProgram(_ mode: String) throws {
        try fixture.write(
            "Tests/programs/mischief.c",
            """
            #include <fcntl.h>
            #include <stdio.h>
            #include <string.h>
            #include <sys/reboot.h>
            #include <unistd.h>
            int main(int argc, char **argv) {
                const char *mode = argc > 1 ? argv[1] : "";
                if (!strcmp(mode, "hang")) for (;;) {}
                if (!strcmp(mode, "off")) reboot(RB_POWER_OFF);
                if (!strcmp(mode, "again")) reboot(RB_AUTOBOOT);
                if (!strcmp(mode, "panic")) {
                    int trigger = open("/proc/sysrq-trigger", O_WRONLY);
                    if (trigger < 0 || write(trigger, "c", 1) != 1) return 9;
                }
                if (!strcmp(mode, "share")) {
                    FILE *out = fopen("/root/host_folder/from-uml", "w");
                    if (out == NULL || fputs("hello\\n", out) < 0 || fclose(out) != 0) return 1;
                    // The programs are not the guest's to change.
                    return fopen("/kbuild/programs/forged", "w") == NULL ? 0 : 2;
                }
                return 3;
            }
            """)
        try fixture.edit(
            "kbuild.yaml", replacing: "\ntests:\n",
            with: "\ntests:\n  - {c: Tests/programs/mischief.c, arguments: [\"\(mode)\"]}\n")
        try fixture.edit("kbuild.yaml", replacing: "test: 300", with: "test: 10")
    }

    @Test(
        "uml: after any end of a guest the exit code is the same as with QEMU, and no process is left",
        arguments: [("panic", 5, "crashed"), ("off", 5, "crashed"), ("again", 5, "crashed"), ("hang", 6, "timedOut")])
    func umlEndings(mode: String, code: Int32, status: String) async throws {
        try onlyProgram(mode)
        let marker = try markGuest()
        let run = try await fixture.report("test", "^mischief$", "--machine", "uml")
        #expect(run.exitCode == code)
        #expect(run.tests == ["mischief": status])
        #expect(try Fixture.processes(containing: marker).isEmpty)
    }

    @Test("uml: the shared folder can be written by both sides, the programs' folder only by the host")
    func umlShares() async throws {
        try onlyProgram("share")
        let run = try await fixture.report("test", "^mischief$", "--machine", "uml")
        #expect(run.exitCode == 0)
        let text = try String(contentsOfFile: fixture.project.string + "/shared/from-uml", encoding: .utf8)
        #expect(text == "hello\n")
    }

    @Test("uml: a killed kbuild leaves no guest")
    func umlKilled() async throws {
        try onlyProgram("hang")
        let marker = try markGuest()
        _ = try await fixture.kbuild("build", "--machine", "uml")
        let process = try fixture.start("test", "^mischief$", "--machine", "uml")
        while try Fixture.processes(containing: marker).isEmpty {
            try #require(process.isRunning, "kbuild ended before its guest was up")
            try await Task.sleep(for: .milliseconds(20))
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        for _ in 0..<100 where try !Fixture.processes(containing: marker).isEmpty {
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(try Fixture.processes(containing: marker).isEmpty)
    }
}
