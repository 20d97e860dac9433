// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import ProjectFixture
import SystemPackage
import Testing

/// A kernel that goes wrong in a system call, in init and at its end; the project is that of `RunTests`.
extension RunTests {
    /// A system call that does what its operation says; the program's name says which operation.
    private static let operations = ["triple": 100, "deadlock": 101, "interrupts": 102, "stack": 103]

    /// Has caesar go wrong, and makes programs that call it the only tests.
    private func kernelFaults(_ names: [String]) throws {
        try fixture.faults("pass")
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "SYSCALL_DEFINE4(",
            with: """
                #include <asm/desc.h>

                static DEFINE_SPINLOCK(caesar_lock);

                static noinline int caesar_sink(volatile char *below)
                {
                \tvolatile char block[512];

                \tblock[0] = below[0];
                \treturn caesar_sink(block) + block[0];
                }

                static void caesar_fault(int op)
                {
                \tstruct desc_ptr none = { 0, 0 };
                \tchar c = 0;

                \tif (op == 100) {
                \t\tnative_load_idt(&none);
                \t\tasm volatile("int3");
                \t}
                \tif (op == 101) {
                \t\tspin_lock(&caesar_lock);
                \t\tspin_lock(&caesar_lock);
                \t}
                \tif (op == 102) {
                \t\tlocal_irq_disable();
                \t\tfor (;;)
                \t\t\tcpu_relax();
                \t}
                \tif (op == 103)
                \t\tcaesar_sink(&c);
                }

                SYSCALL_DEFINE4(
                """)
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "\tif (op != CAESAR_ENCRYPT",
            with: "\tcaesar_fault(op);\n\tif (op != CAESAR_ENCRYPT")
        try fixture.write(
            "Tests/programs/kernel_fault.c",
            """
            #include <stdlib.h>
            #include <unistd.h>

            int main(int argc, char **argv) {
                char text[2] = "a";
                syscall(__NR_caesar, text, text, atoi(argv[1]), 1);
                return 3;
            }
            """)
        let tests = try names.map { name in
            let operation = try #require(Self.operations[name])
            return "  - {c: Tests/programs/kernel_fault.c, name: \(name), arguments: [\"\(operation)\"]}\n"
        }
        try fixture.edit("kbuild.yaml", replacing: "\ntests:\n", with: "\ntests:\n" + tests.joined())
        try fixture.edit("kbuild.yaml", replacing: "silence: 120, test: 300", with: "silence: 5, test: 5")
    }

    @Test(
        "fault: a triple fault, a deadlock, a loop with interrupts off and a stack overflow each have their own name")
    func kernelFaults() async throws {
        try kernelFaults(["triple", "deadlock", "interrupts", "stack"])
        let run = try await fixture.report("run", "--memory-dump")
        #expect(run.exitCode == 5)
        #expect(
            run.tests == [
                "triple": "crashed", "deadlock": "timedOut", "interrupts": "timedOut", "stack": "crashed",
                "pass": "passed",
            ])
        let errors = (run.json["errors"] as? [[String: Any]] ?? []).map {
            "\($0["message"] as? String ?? "")\n\($0["details"] as? String ?? "")"
        }
        #expect(errors.contains { $0.contains("triple fault") && $0.contains("triple was running") })
        #expect(errors.contains { $0.contains("with interrupts off") && $0.contains("caesar") })
        #expect(run.crashes.contains { $0.contains("stack") || $0.contains("double fault") }, "\(run.crashes)")
        // The memory of each that went wrong is kept, as an ELF core file.
        let artifacts = try #require(run.json["artifacts"] as? [String: Any])
        let memory = FilePath(try #require(artifacts["memory"] as? String))
        let dumps = try namesInFolder(memory)
        #expect(dumps == ["guest-1.elf", "guest-2.elf", "guest-3.elf", "guest-4.elf"])
        for dump in dumps {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: memory.appending(dump).string))
            #expect(try file.read(upToCount: 4) == Data([0x7F, 0x45, 0x4C, 0x46]))
            // All of the guest's memory.
            #expect(try file.seekToEnd() > 512 << 20)
        }
        #expect(try Fixture.processes(containing: fixture.marker).isEmpty)
        // Each is half a gigabyte.
        try removeAll(memory)
    }

    @Test("fault: only the test whose thread the kernel ended crashes, although its process would wait forever")
    func lostThread() async throws {
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "\tfor (i = 0; i < length; i++)\n",
            with: "\tif (!length && rot == 3)\n\t\t((volatile char *)0)[8] = 1;\n\tfor (i = 0; i < length; i++)\n")
        let run = try await fixture.report("test", "CaesarTests")
        #expect(run.exitCode == 5)
        #expect(run.tests.filter { $0.value != "passed" } == ["CaesarTests.CaesarTests/empty()": "crashed"])
        #expect(run.tests.count > 4)
        #expect(run.crashes.contains { $0.contains("NULL pointer dereference in ") }, "\(run.crashes)")
        // Not the limit for any silence, which is minutes.
        let messages = (run.json["errors"] as? [[String: Any]] ?? []).compactMap { $0["message"] as? String }
        #expect(messages.contains { $0.contains("ended a thread of") }, "\(messages)")
        #expect(!messages.contains { $0.contains("timeouts.") }, "\(messages)")
    }

    @Test("fault: an init that dies is exit 5 with the kernel's own report")
    func panicInInit() async throws {
        try fixture.faults("pass")
        try fixture.edit(
            "rootfs/init/Init.swift", replacing: "        let options = kernelOptions()\n",
            with: "        let options = kernelOptions()\n        abort()\n")
        let run = try await fixture.report("run")
        #expect(run.exitCode == 5)
        #expect(run.crashes.contains { $0.contains("init") }, "\(run.crashes)")
        #expect(run.tests["pass"] == "notReported")
    }

    @Test("fault: a kernel that panics when the machine is switched off is exit 5", arguments: ["auto", "uml"])
    func panicAtPowerOff(machine: String) async throws {
        try fixture.faults(machine == "uml" ? "pass" : "poweroff")
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "SYSCALL_DEFINE4(",
            with: """
                #include <linux/init.h>
                #include <linux/reboot.h>

                static int caesar_notify(struct notifier_block *block, unsigned long event, void *data)
                {
                \tpanic("caesar at the end");
                }

                static struct notifier_block caesar_block = { .notifier_call = caesar_notify };

                static int __init caesar_init(void)
                {
                \treturn register_reboot_notifier(&caesar_block);
                }
                late_initcall(caesar_init);

                SYSCALL_DEFINE4(
                """)
        let run = try await fixture.report("run", "--machine", machine)
        #expect(run.exitCode == 5)
        #expect(run.crashes.first?.contains("caesar at the end") == true, "\(run.crashes)")
        #expect(try Fixture.processes(containing: fixture.marker).isEmpty)
    }

    @Test("fault: the tasks of a hanging guest in user-mode Linux are on its console")
    func hangInUserModeLinux() async throws {
        // Its one processor is the program's alone, so that init cannot say that the guest lives.
        try fixture.faults("starve")
        try fixture.edit("kbuild.yaml", replacing: "silence: 120", with: "silence: 5")
        let run = try await fixture.report("run", "--machine", "uml")
        #expect(run.exitCode == 6)
        #expect(run.tests["starve"] == "timedOut")
        let messages = (run.json["errors"] as? [[String: Any]] ?? []).compactMap { $0["message"] as? String }
        #expect(messages.contains { $0.contains("timeouts.silence") }, "\(messages)")
        let console = try readText(try run.console())
        #expect(console.contains("sysrq: Show Regs"))
        #expect(console.contains("sysrq: Show Memory"))
    }

    @Test("fail-fast: the first failure ends the run, and the remaining tests are not reported")
    func failFast() async throws {
        try fixture.faults([("first", "pass"), ("second", "fail"), ("third", "hang")])
        let run = try await fixture.report("run", "--fail-fast")
        #expect(run.exitCode == 1)
        #expect(run.tests == ["first": "passed", "second": "failed", "third": "notReported"])
        #expect(try run.test("third")["reason"] as? String == "the first failure ended the run (fail-fast)")
        #expect(try Fixture.processes(containing: fixture.marker).isEmpty)
    }
}
