// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import FoundationXML
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// kbuild as a whole: real kernels, real guests, real exit codes. The tests share one project and run one by one.
@Suite("kbuild", .serialized, .tags(.guest), .costly, .timeLimit(.minutes(60)))
struct RunTests {
    let fixture: Fixture

    init() throws {
        fixture = try Fixture()
    }

    // MARK: What works

    @Test("run: from the patches to a passing report, and again without a rebuild")
    func passing() async throws {
        let junit = fixture.project.appending("junit.xml")
        let first = try await fixture.report("run", "--junit", junit.string)
        #expect(first.exitCode == 0)
        #expect(Set(first.tests.values) == ["passed"])
        #expect(first.tests.keys.contains("MsgboxTests.MsgboxTests/order()"))
        #expect(first.tests.keys.contains("MemcpyTests.MemcpyTests/bound()"))
        #expect(first.tests.keys.contains("ProcessInfoTests.ProcessInfoTests/hello()"))
        #expect(first.tests.keys.contains("msgbox_put"))
        #expect(first.tests.keys.contains("MemcpyStructTests.MemcpyStructTests/exactLength(entry:count:)"))
        #expect(first.tests["calls_ia32/memcpy_struct copies what a 12-byte struct says"] == "passed")
        #expect(first.suites.count == 5)
        #expect(first.suites.first { $0["kind"] as? String == "ktap" } != nil)
        let numbers = first.json["syscalls"] as? [[String: Any]] ?? []
        #expect(numbers.first { $0["name"] as? String == "dm510_msgbox_put" }?["number"] as? Int == 451)
        #expect(numbers.first { $0["name"] as? String == "dm510_msgbox_get" }?["number"] as? Int == 452)

        let document = try XMLDocument(contentsOf: URL(fileURLWithPath: junit.string))
        #expect(try document.nodes(forXPath: "//testcase").count == first.tests.count)
        #expect(try document.nodes(forXPath: "//failure").isEmpty)

        let artifacts = try #require(first.json["artifacts"] as? [String: Any])
        let console = try readText(FilePath(try #require(artifacts["console"] as? String)))
        #expect(console.contains(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z .*kbuild: clock/.anchorsMatchLineEndings()))

        let second = try await fixture.report("run")
        #expect(second.exitCode == 0)
        #expect(second.tests == first.tests)
        for (step, outcome) in second.steps where !["boot", "test"].contains(step) {
            #expect(outcome == "hit", "\(step)")
        }
        #expect(second.steps.count >= 5)

        let page = fixture.project.appending("report.html")
        let kept = try await fixture.report("report", "--html", page.string)
        #expect(kept.json["startedAt"] as? String == second.json["startedAt"] as? String)
        #expect(kept.tests == second.tests)
        #expect(try readText(page).contains("kbuild: clock"))
        #expect(try await fixture.kbuild("report", "--compare").status == .exited(0))
        #expect(try Fixture.processes(containing: fixture.marker).isEmpty)
    }

    @Test("the same suites pass over the serial console, from an initramfs and on both boards")
    func variants() async throws {
        for arguments in [["--results", "serial"], ["--rootfs", "initramfs"], ["--machine", "pc"]] {
            let run = try await fixture.report("run", arguments[0], arguments[1])
            #expect(run.exitCode == 0, "\(arguments)")
            #expect(Set(run.tests.values) == ["passed"], "\(arguments)")
            #expect(run.tests.count > 20)
        }
    }

    @Test(
        "run --kernel linux-source-6.12 passes, with numbers chosen for that kernel",
        .tags(.kernels))
    func newerKernel() async throws {
        let run = try await fixture.report("run", "--kernel", "linux-source-6.12")
        #expect(run.exitCode == 0)
        #expect(Set(run.tests.values) == ["passed"])
        let numbers = (run.json["syscalls"] as? [[String: Any]] ?? []).compactMap { $0["number"] as? Int }
        #expect(numbers.count == 10)
        #expect(Set(numbers).count == 10)
        #expect(numbers.allSatisfy { $0 > 462 })
        #expect((run.json["kernel"] as? [String: Any])?["version"] as? String ?? "" >= "6.12")
    }

    @Test("kbuild:suites: the newer kernel's guest has the file systems and devices that suites expect", .tags(.long))
    func suites() async throws {
        let mounts = [
            "mqueue /dev/mqueue", "hugetlbfs /dev/hugepages", "cgroup2 /sys/fs/cgroup", "debugfs /sys/kernel/debug",
            "tracefs /sys/kernel/tracing",
        ]
        let script = mounts.map { "grep -q '^\($0) ' /proc/mounts || echo no \($0)" }.joined(separator: "; ")
        let guest = try await fixture.kbuild(
            "shell", "-q", "--kernel", "linux-source-6.12", "--fragment", "kbuild:suites", "--", "sh", "-c",
            script + "; ls /dev/loop0; zcat /proc/config.gz | grep -c ^CONFIG_CGROUPS=y")
        #expect(guest.output == "/dev/loop0\n1\n", "\(guest.output)")
    }

    @Test("a filter runs the tests that it names, and no other")
    func filter() async throws {
        let run = try await fixture.report("test", "order")
        #expect(run.exitCode == 0)
        #expect(run.tests == ["MsgboxTests.MsgboxTests/order()": "passed"])
    }

    @Test("the guest and the host can read each other's files in the shared folder")
    func sharedFolder() async throws {
        try fixture.write("shared/from-host", "host says hello\n")
        try fixture.write(
            "Tests/programs/share.c",
            """
            #include <stdio.h>
            #include <string.h>
            int main(void) {
                char line[64] = "";
                FILE *in = fopen("/root/host_folder/from-host", "r");
                if (in == NULL || fgets(line, sizeof line, in) == NULL) return 1;
                if (strcmp(line, "host says hello\\n") != 0) return 2;
                FILE *out = fopen("/root/host_folder/from-guest", "w");
                if (out == NULL || fputs("guest says hello\\n", out) < 0 || fclose(out) != 0) return 3;
                char fstab[4096] = "";
                FILE *table = fopen("/etc/fstab", "r");
                if (table == NULL || fread(fstab, 1, sizeof fstab - 1, table) == 0) return 4;
                return strstr(fstab, "/root/host_folder") == NULL ? 5 : 0;
            }
            """)
        try fixture.edit(
            "kbuild.yaml", replacing: "  - swift: Tests/GuestTests\n    skip: ^(MsgboxStrictTests|LeakTests)\n",
            with: "  - c: Tests/programs/share.c\n")
        let run = try await fixture.report("test", "share")
        #expect(run.exitCode == 0)
        #expect(try readText(fixture.project.pushing("shared/from-guest")) == "guest says hello\n")
    }

    // MARK: Failures that must be told apart

    @Test("a wrong result is exit 1 with the expectation and its place")
    func wrongResult() async throws {
        try fixture.edit("kernel/msgbox/msgbox.c", replacing: "return 0;", with: "return 1;")
        let run = try await fixture.report("run")
        #expect(run.exitCode == 1)
        let test = try run.test("MsgboxTests.MsgboxTests/results()")
        #expect(test["status"] as? String == "failed")
        let issue = try #require((test["issues"] as? [[String: Any]])?.first)
        #expect((issue["message"] as? String)?.contains("stored") == true)
        #expect((issue["file"] as? String)?.hasSuffix("MsgboxTests.swift") == true)
        #expect(issue["line"] as? Int ?? 0 > 0)
        // The rest of the suite is judged on its own.
        #expect(run.tests["MemcpyTests.MemcpyTests/tenIntegers()"] == "passed")
        let text = try await fixture.kbuild("run")
        #expect(text.status == .exited(1))
        #expect(text.output.contains("Expectation failed"))
        #expect(text.output.contains("MsgboxTests.swift:"))
    }

    @Test("a syntax error is exit 4 with the compiler's own line first")
    func syntaxError() async throws {
        try fixture.edit("kernel/msgbox/msgbox.c", replacing: "return 0;", with: "return 0")
        let result = try await fixture.kbuild("run")
        #expect(result.status == .exited(4))
        #expect(result.errors.contains(/msgbox\.c:\d+:\d+: error: expected/))
    }

    @Test("an option that kconfig drops is exit 4 with the unmet dependency")
    func droppedOption() async throws {
        try fixture.write("configs/extra.config", "CONFIG_USB_STORAGE=y\n")
        try fixture.edit(
            "kbuild.yaml", replacing: "\n  config:\n    - configs/base.config\n",
            with: "\n  config:\n    - configs/base.config\n    - configs/extra.config\n")
        let result = try await fixture.kbuild("run")
        #expect(result.status == .exited(4))
        #expect(result.errors.contains("configs/extra.config:1"))
        #expect(result.errors.contains("USB"))
    }

    @Test("a patch against other lines is exit 3, names the hunk and does not change the tree")
    func patchConflict() async throws {
        _ = try await fixture.kbuild("patch", "apply")
        let before = try await fixture.kbuild("patch", "status")
        try fixture.write(
            "kernel/conflict/0001-conflict.patch",
            """
            --- a/kernel/sys.c
            +++ b/kernel/sys.c
            @@ -10,4 +10,5 @@
             #include <linux/export.h>
             #include <linux/nonexistent.h>
             #include <linux/utsname.h>
            +#include <linux/new.h>
             #include <linux/mman.h>

            """)
        try fixture.edit(
            "kbuild.yaml", replacing: "\n  config:\n", with: "\n    - kernel/conflict\n  config:\n")
        let result = try await fixture.kbuild("run")
        #expect(result.status == .exited(3))
        #expect(result.errors.contains("kernel/sys.c"))
        #expect(result.errors.contains("linux/nonexistent.h"))
        #expect(result.errors.contains("0001-conflict.patch"))
        try fixture.edit("kbuild.yaml", replacing: "    - kernel/conflict\n", with: "")
        let after = try await fixture.kbuild("patch", "status")
        #expect(after.output == before.output)
    }

    @Test("a wrong command line or project file is exit 2 with the allowed values")
    func usage() async throws {
        let machine = try await fixture.kbuild("run", "--machine", "pdp11")
        #expect(machine.status == .exited(2))
        #expect(machine.errors.contains("pdp11"))
        #expect(machine.errors.contains("q35"))
        #expect(try await fixture.kbuild("run", "--no-such-flag").status == .exited(2))
        #expect(try await fixture.kbuild("run", "--profile", "nonexistent").status == .exited(2))
        try fixture.edit("kbuild.yaml", replacing: "  cpus: 2\n", with: "  cpu: 2\n")
        let key = try await fixture.kbuild("run")
        #expect(key.status == .exited(2))
        #expect(key.errors.contains(/kbuild\.yaml:\d+/))
        #expect(key.errors.contains("cpus"))
    }

    @Test("without QEMU it is exit 7, with the package to install")
    func noQEMU() async throws {
        let folder = fixture.project.appending("bin")
        try removeAll(folder)
        try createFolder(folder)
        // Every tool but QEMU.
        for directory in ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
            for name in (try? namesInFolder(FilePath(directory))) ?? [] where !name.hasPrefix("qemu-system") {
                symlink(directory + "/" + name, folder.appending(name).string)
            }
        }
        let swift = try #require(ProcessInfo.processInfo.environment["PATH"])
            .split(separator: ":").first { fileExists(FilePath(String($0)).appending("swiftc")) }
        let path = "\(folder):\(swift ?? "")"
        let result = try await fixture.kbuild("run", environment: ["PATH": path])
        #expect(result.status == .exited(7))
        #expect(result.errors.contains("qemu-system-x86_64"))
        #expect(result.errors.contains("apt-get install qemu-system-x86"))
        try removeAll(folder)
    }

    @Test("--accel kvm where KVM does not work is exit 7, and auto says why it fell back")
    func acceleratorFallback() async throws {
        let auto = try await fixture.report("test", "order")
        let machine = try #require(auto.json["machine"] as? [String: Any])
        let kvm = try await fixture.kbuild("test", "order", "--accel", "kvm")
        if machine["accelerator"] as? String == "tcg" {
            #expect(kvm.status == .exited(7))
            #expect(kvm.errors.contains("KVM"))
            #expect((machine["acceleratorReason"] as? String)?.isEmpty == false)
        } else {
            #expect(kvm.status == .exited(0))
        }
    }

    // MARK: Never a false pass

    func replaceSuite(with body: String) throws {
        try removeAll(fixture.project.pushing("Tests/GuestTests/Tests"))
        try fixture.write("Tests/GuestTests/Tests/OnlyTests/OnlyTests.swift", body)
        try fixture.write(
            "Tests/GuestTests/Package.swift",
            """
            // swift-tools-version: 6.2
            import PackageDescription

            let package = Package(
                name: "GuestTests",
                dependencies: [.package(name: "kbuild", path: "../..")],
                targets: [
                    .testTarget(name: "OnlyTests", dependencies: [.product(name: "SyscallTesting", package: "kbuild")])
                ]
            )
            """)
    }

    func onlyTheSuite() throws {
        let text = try readText(fixture.project.appending("kbuild.yaml"))
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        try fixture.write("kbuild.yaml", lines.filter { !$0.hasPrefix("  - {c:") }.joined(separator: "\n"))
    }

    @Test("a test that calls exit(0) is a failure, and the tests after it run in a new guest")
    func exitZero() async throws {
        try onlyTheSuite()
        try replaceSuite(
            with: """
                import Glibc
                import Testing

                @Test func aPasses() {}
                @Test func bLeaves() { exit(0) }
                @Test func cFails() { #expect(1 == 2) }
                @Test func dPasses() {}
                """)
        let run = try await fixture.report("run")
        #expect(run.exitCode == 1)
        #expect(
            run.tests == [
                "OnlyTests.aPasses()": "passed", "OnlyTests.bLeaves()": "failed", "OnlyTests.cFails()": "failed",
                "OnlyTests.dPasses()": "passed",
            ])
        #expect((run.json["guests"] as? [String: Any])?["count"] as? Int == 2)
    }

    @Test("a filter that matches nothing is not a pass")
    func emptyFilter() async throws {
        let run = try await fixture.kbuild("test", "noSuchTestAnywhere")
        #expect(run.status == .exited(2))
        #expect(run.errors.contains("noSuchTestAnywhere"))
    }

    @Test("a bundle without tests is not a pass")
    func emptyBundle() async throws {
        try onlyTheSuite()
        try replaceSuite(with: "import Testing\n")
        let run = try await fixture.kbuild("run")
        #expect(run.status == .exited(7))
    }

    @Test("tests that are all skipped are not a pass")
    func allSkipped() async throws {
        try onlyTheSuite()
        try replaceSuite(with: "import Testing\n@Test(.disabled(\"not today\")) func never() {}\n")
        let run = try await fixture.report("run")
        #expect(run.exitCode == 7)
        #expect(try run.test("OnlyTests.never()")["status"] as? String == "skipped")
    }

    @Test("a panic is exit 5, assigned to the test that ran; the others run in a new guest")
    func panic() async throws {
        try onlyTheSuite()
        try replaceSuite(
            with: """
                import Foundation
                import Testing

                @Test func aPasses() {}
                @Test func bPanics() throws {
                    try Data("c".utf8).write(to: URL(fileURLWithPath: "/proc/sysrq-trigger"))
                    Thread.sleep(forTimeInterval: 30)
                }
                @Test func cFails() { #expect(1 == 2) }
                @Test func dPasses() {}
                """)
        let run = try await fixture.report("run")
        #expect(run.exitCode == 5)
        #expect(
            run.tests == [
                "OnlyTests.aPasses()": "passed", "OnlyTests.bPanics()": "crashed", "OnlyTests.cFails()": "failed",
                "OnlyTests.dPasses()": "passed",
            ])
        let crashes = run.json["crashes"] as? [[String: Any]] ?? []
        #expect(!crashes.isEmpty)
        #expect((crashes.first?["test"] as? String)?.contains("bPanics") == true)
    }

    @Test("a test that hangs is exit 6 and named")
    func hang() async throws {
        try onlyTheSuite()
        try fixture.edit("kbuild.yaml", replacing: "test: 300", with: "test: 10")
        try replaceSuite(
            with: """
                import Foundation
                import Testing

                @Test func aPasses() {}
                @Test func bHangs() { Thread.sleep(forTimeInterval: 600) }
                @Test func cPasses() {}
                """)
        let run = try await fixture.report("run")
        #expect(run.exitCode == 6)
        #expect(run.tests["OnlyTests.aPasses()"] == "passed")
        #expect(run.tests["OnlyTests.bHangs()"] == "timedOut")
        #expect(run.tests["OnlyTests.cPasses()"] == "passed")
        // It tells what the guest did, and has the kernel tell it too.
        let error = try #require((run.json["errors"] as? [[String: Any]])?.first)
        #expect((error["message"] as? String)?.contains("OnlyTests.bHangs() ran for more than 10 s") == true)
        #expect((error["details"] as? String)?.contains("CPU 0: ") == true)
        #expect((error["details"] as? String)?.contains("CPU 1: ") == true)
        let console = try readText(try run.console())
        #expect(console.contains("sysrq: Show State"))
        #expect(try Fixture.processes(containing: fixture.marker).isEmpty)
    }

    @Test("a kernel that never gets to init is exit 6, one without a root exit 5")
    func noBoot() async throws {
        try fixture.edit(
            "kbuild.yaml", replacing: "  memory: 512M\n", with: "  memory: 512M\n  command-line: init=/bin/nowhere\n")
        #expect(try await fixture.kbuild("run").status == .exited(5))
        try fixture.edit("kbuild.yaml", replacing: "init=/bin/nowhere", with: "init=/bin/sleep -- 1000")
        try fixture.edit("kbuild.yaml", replacing: "boot: 120", with: "boot: 5")
        #expect(try await fixture.kbuild("run").status == .exited(6))
    }

    @Test("a profile has another call under the same names, and its suite passes")
    func strictProfile() async throws {
        let run = try await fixture.report("run", "--profile", "msgbox-strict")
        #expect(run.exitCode == 0)
        #expect(run.tests["MsgboxStrictTests.MsgboxStrictTests/tooSmall()"] == "passed")
        #expect(run.tests["MsgboxStrictTests.MsgboxStrictTests/exchange()"] == "passed")
        #expect(!run.tests.keys.contains { $0.hasPrefix("MsgboxTests.") })
    }

    // MARK: Being interrupted

    /// Starts a run of a hanging test and waits until its guest is up.
    private var interruptedJUnit: FilePath { fixture.project.appending("interrupted.xml") }
    private var interruptedPage: FilePath { fixture.project.appending("interrupted.html") }

    private func startHangingRun() async throws -> (process: Process, marker: String) {
        try onlyTheSuite()
        try replaceSuite(
            with: """
                import Foundation
                import Testing

                @Test func hangs() { Thread.sleep(forTimeInterval: 600) }
                """)
        _ = try await fixture.kbuild("build")
        // As an earlier run that passed left them.
        for file in [interruptedJUnit, interruptedPage] { try writeAtomically("<passed/>", to: file) }
        let process = try fixture.start("run", "--junit", interruptedJUnit.string, "--html", interruptedPage.string)
        let marker = fixture.marker
        while try Fixture.processes(containing: marker).isEmpty {
            try #require(process.isRunning, "kbuild ended before its guest was up")
            try await Task.sleep(for: .milliseconds(100))
        }
        return (process, marker)
    }

    @Test("Ctrl-C is exit 130 without a process left and with reports that name it", arguments: [SIGINT, SIGTERM])
    func interrupt(signal: Int32) async throws {
        let (process, marker) = try await startHangingRun()
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        #expect(process.terminationStatus == (signal == SIGINT ? 130 : 143))
        #expect(try await Fixture.lastingProcesses(containing: marker) == [])
        let document = try XMLDocument(contentsOf: URL(fileURLWithPath: interruptedJUnit.string))
        #expect(try !document.nodes(forXPath: "//error").isEmpty)
        #expect(try readText(interruptedPage).contains("<h1>INTERRUPTED</h1>"))
    }

    @Test("a killed kbuild leaves no QEMU, and the next run is correct")
    func killed() async throws {
        let (process, marker) = try await startHangingRun()
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        #expect(try await Fixture.lastingProcesses(containing: marker) == [])
        // Nothing is better than the last run's, which passed.
        for file in [interruptedJUnit, interruptedPage] { #expect(!fileExists(file)) }
        try replaceSuite(with: "import Testing\n@Test func passes() {}\n")
        #expect(try await fixture.report("run").exitCode == 0)
    }

    // MARK: Patching

    @Test("patch apply, again, revert: idempotent, and no other file's time changes")
    func patching() async throws {
        let applied = try await fixture.kbuild("patch", "apply")
        #expect(applied.status == .exited(0))
        let status = try await fixture.kbuild("patch", "status", "--format", "json")
        let object = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any]
        let tree = FilePath(try #require(object?["tree"] as? String))
        func times() throws -> [String: Int] {
            var times: [String: Int] = [:]
            for name in ["Makefile", "kernel/sys.c", "kernel/Makefile", "arch/x86/entry/syscalls/syscall_64.tbl"] {
                var status = stat()
                #expect(stat(tree.pushing(FilePath(name)).string, &status) == 0)
                times[name] = status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec
            }
            return times
        }
        let table = tree.pushing("arch/x86/entry/syscalls/syscall_64.tbl")
        #expect(try readText(table).contains("dm510_msgbox_put"))
        let before = try times()
        #expect(try await fixture.kbuild("patch", "apply").status == .exited(0))
        #expect(try times() == before)
        #expect(try await fixture.kbuild("patch", "revert").status == .exited(0))
        #expect(try !readText(table).contains("dm510_msgbox_put"))
        let reverted = try times()
        #expect(reverted["Makefile"] == before["Makefile"])
        #expect(reverted["kernel/sys.c"] == before["kernel/sys.c"])
        #expect(try await fixture.kbuild("patch", "check").status == .exited(0))
        #expect(try await fixture.kbuild("patch", "apply").status == .exited(0))
        #expect(try readText(table).contains("dm510_msgbox_put"))
        let again = try times()
        #expect(again["Makefile"] == before["Makefile"])
        #expect(again["kernel/sys.c"] == before["kernel/sys.c"])
    }

    @Test("config --show prints the effective configuration, which can be loaded again")
    func configuration() async throws {
        let shown = try await fixture.kbuild("config", "--show", "--memory", "1G", "--profile", "serial")
        #expect(shown.status == .exited(0))
        #expect(shown.output.contains("1G") || shown.output.contains("1024M"))
        #expect(shown.output.contains("serial"))
        try fixture.write("kbuild.yaml", shown.output)
        let again = try await fixture.kbuild("config", "--show")
        // The first has a remark that names the profile.
        #expect("# profile: serial\n" + again.output == shown.output)
    }
}
