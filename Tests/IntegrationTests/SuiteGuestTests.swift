// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Glibc
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// What test suites from elsewhere expect of a guest, and how their results are read.
extension RunTests {
    /// Writes an executable script beside the others of the pattern.
    private func script(_ name: String, _ body: String) throws {
        try fixture.write("Tests/programs/bin/\(name)", "#!/bin/sh\n\(body)\n")
        let path = fixture.project.pushing(FilePath("Tests/programs/bin/\(name)"))
        #expect(chmod(path.string, name == "data" ? 0o644 : 0o755) == 0)
    }

    @Test("suites: programs of a pattern run as LTP's do, in a guest that meets their expectations")
    func pattern() async throws {
        try fixture.faults("pass")
        try fixture.edit(
            "kbuild.yaml", replacing: "\ntests:\n",
            with:
                "\ndisks: [{size: 300M}, {size: 1M}]\ntests:\n  - {program: \"Tests/programs/bin/t_*\", protocol: ltp}\n"
        )
        try script("helper", "cat \"$(dirname \"$0\")/data\"")
        try script("data", "t_good 1 TPASS: by its helper and data")
        try script("t_good", "helper")
        try script("t_fail", "echo \"t.c:12: TFAIL: open() succeeded\"; echo \"t.c:13: TBROK: no more\"; exit 3")
        try script("t_skip", "echo \"t.c:3: TCONF: no such call\"; exit 32")
        try script("t_liar", "echo \"t.c:9: TFAIL: lost\"; exit 0")
        let checks = [
            "grep -q CONFIG_EXT4_FS=y /boot/config-$(uname -r)", "ping -c 1 127.0.0.1",
            "test $(cat /sys/block/vdb/size) = 614400", "test $(cat /sys/block/vdc/size) = 2048",
            "head -c 1000 /dev/vdb | tr -d '\\0' | wc -c | grep -qw 0", "echo x > /dev/vdb",
            "grep -q '^mqueue /dev/mqueue' /proc/mounts", "grep -q ^daemon: /etc/passwd", "grep -qw http /etc/services",
            "test $(hostname) = kbuild", "test $(date +%Y) -ge 2025",
        ]
        try script(
            "t_guest",
            checks.map { "if ! (\($0)) > /dev/null 2>&1; then echo 't.c:1: TFAIL: \($0.replacing("'", with: ""))'; fi" }
                .joined(separator: "\n") + "\necho t.c:2: TPASS: there")
        let run = try await fixture.report("run")
        #expect(run.exitCode == 1)
        #expect(
            run.tests == [
                "pass": "passed", "t_good": "passed", "t_fail": "failed", "t_skip": "skipped", "t_liar": "failed",
                "t_guest": "passed",
            ])
        let issues = try #require(try run.test("t_fail")["issues"] as? [[String: Any]])
        #expect(issues.map { $0["line"] as? Int } == [12, 13])
        #expect(try run.test("t_skip")["reason"] as? String == "no such call")
    }
}
