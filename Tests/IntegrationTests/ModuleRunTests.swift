// SPDX-License-Identifier: Apache-2.0
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// A scaffolded module in guests: its tests, an edit, and the mistakes that a module can have. They share one kernel,
/// which loads modules and so is another one than the other tests' kernel.
@Suite("Kernel modules in guests", .serialized, .tags(.long), .costly, .timeLimit(.minutes(60)))
struct ModuleRunTests {
    let fixture: Fixture

    init() throws {
        fixture = try Fixture(name: "integration-modules")
        for folder in ["modules"] { try fixture.remove(folder) }
    }

    /// The project with one scaffolded device and its program as the only test.
    private func scaffold() async throws {
        try fixture.write(
            "kbuild.yaml",
            """
            kernel:
              patches: [kernel/msgbox]
              config: [configs/base.config]
              options: [CONFIG_BLK_DEV_LOOP=m]
            rootfs: {type: initramfs}
            tests: []

            """)
        let result = try await fixture.kbuild("module", "new", "ring", "--device")
        #expect(result.status == .exited(0), "\(result.errors)")
        #expect(result.output.contains("modules/ring/ring.c"))
    }

    private func edit(_ old: String, _ new: String) throws {
        try fixture.edit("modules/ring/ring.c", replacing: old, with: new)
    }

    @Test("a scaffolded device passes its tests, and the folder of the user has only sources")
    func scaffolded() async throws {
        try await scaffold()
        let run = try await fixture.report("run")
        #expect(run.exitCode == 0)
        #expect(run.tests.count == 9 && run.tests.values.allSatisfy { $0 == "passed" }, "\(run.tests)")
        #expect(try fixture.names(in: "modules/ring") == ["Kbuild", "ring.c", "ring.h"])

        // An edit compiles the module alone.
        try edit("WRITE_ONCE(ring_used, ring_used - count);", "WRITE_ONCE(ring_used, ring_used - count + 1);")
        let edited = try await fixture.kbuild("run")
        #expect(edited.status == .exited(1))
        #expect(edited.errors.contains(/compile +hit/) && edited.errors.contains(/modules +made/), "\(edited.errors)")
    }

    @Test("the compiler's message names the user's own file and line")
    func compilation() async throws {
        try await scaffold()
        try edit("\tsize_t part;\n", "\tsize_t part = nothing;\n")
        let run = try await fixture.kbuild("run")
        #expect(run.status == .exited(4))
        #expect(run.errors.contains(/modules\/ring\/ring\.c:\d+:\d+: error: .*nothing/), "\(run.errors)")
    }

    @Test("a module that stays in use, and one whose exit function does not return, fail their test")
    func unloading() async throws {
        try await scaffold()
        try edit("\tif (!size || size", "\t__module_get(THIS_MODULE);\n\tif (!size || size")
        let used = try await fixture.report("run")
        #expect(used.exitCode == 1)
        #expect(used.problems.contains { $0.contains("still in use after 10 s") }, "\(used.problems)")
        try await scaffoldAgain()
        try edit(
            "\tmisc_deregister(&ring_device);\n", "\tmisc_deregister(&ring_device);\n\tfor (;;)\n\t\tschedule();\n")
        let stuck = try await fixture.report("run")
        #expect(stuck.exitCode == 1)
        #expect(
            stuck.problems.contains { $0.contains("exit function did not return within 10 s") }, "\(stuck.problems)")
    }

    @Test("a report in a module names its file and line, also while it is loaded")
    func crashes() async throws {
        try await scaffold()
        try edit("\tif (!size || size", "\tWARN_ON(size);\n\tif (!size || size")
        let line = try fixture.line(of: "WARN_ON(size);", in: "modules/ring/ring.c")
        let run = try await fixture.report("run")
        #expect(run.exitCode == 5)
        #expect(run.crashes.first == "WARNING in ring_init", "\(run.crashes)")
        let text = try await fixture.kbuild("report").output
        #expect(text.contains("modules/ring/ring.c:\(line)"), "\(text)")
    }

    @Test("an option with =m is a module that modprobe finds, and that a test can name")
    func kernelModules() async throws {
        try await scaffold()
        let result = try await fixture.kbuild(
            "shell", "-q", "--", "sh", "-c",
            "modprobe loop && lsmod && rmmod loop && ls -d /lib/modules/*/modules.dep")
        #expect(result.status == .exited(0), "\(result.errors)")
        #expect(
            result.output.contains("loop ") && result.output.contains("ring ") && result.output.contains("modules.dep")
        )
    }

    private func scaffoldAgain() async throws {
        for name in ["modules", "Tests/programs/ring.c"] { try fixture.remove(name) }
        try await scaffold()
    }
}
