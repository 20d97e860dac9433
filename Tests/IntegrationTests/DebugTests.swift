// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// `kbuild debug`, with gdb told what to do beforehand; the kernel is that of the checkers, which has debug
/// information.
extension AsPublishedTests {
    /// Makes the only test a program that makes one call with arguments that are easily told.
    private func oneCall() throws {
        try fixture.write(
            "Tests/programs/debugged.c",
            """
            #include <unistd.h>

            int main(void) {
                char text[16];
                return syscall(__NR_caesar, "hello gdb", text, 1, 3) != 0;
            }
            """)
        let text = try fixture.text("kbuild.yaml")
        try fixture.write(
            "kbuild.yaml",
            """
            \(text)
              debugged:
                extends: checks
                tests:
                  - {c: Tests/programs/debugged.c, name: debugged}
                  - {c: Tests/programs/msgbox_put.c, arguments: [hello]}

            """)
    }

    @Test(
        "debug: gdb stops in the call that a test makes, with its arguments, its caller's registers and its source",
        .tags(.kernels))
    func debugStops() async throws {
        try oneCall()
        let run = try await fixture.kbuild(
            "debug", "--profile", "debugged", "--test", "debugged", "--", "-batch",
            "-ex", "printf \"in=%s op=%d rot=%d\\n\", in, op, rot",
            "-ex", "list", "-ex", "info source", "-ex", "lx-version",
            // As the program left them: the third argument and the fourth.
            "-ex", "frame 1", "-ex", "printf \"rdx=%d r10=%d\\n\", regs->dx, regs->r10")
        #expect(run.status == .exited(0))
        #expect(run.output.contains("in=hello gdb op=1 rot=3"))
        #expect(run.output.contains("rdx=1 r10=3"))
        #expect(run.output.contains("Linux version 6.1"))
        // The user's own file, not its copy in the kernel's tree.
        #expect(run.output.contains("\(fixture.project)/kernel/caesar/caesar.c"))
        #expect(run.output.contains("/* C's remainder has the sign of its left side; 0 to 25 is wanted. */"))
        #expect(try await Fixture.lastingProcesses(containing: fixture.marker) == [])
    }

    @Test(
        "debug: the guest runs to its end, and the verdicts are printed; gdb's errors have the next step",
        .tags(.kernels))
    func debugGoesOn() async throws {
        try oneCall()
        let run = try await fixture.kbuild(
            "debug", "--profile", "debugged", "--test", "debugged", "--", "-batch", "-ex", "continue")
        #expect(run.status == .exited(0))
        #expect(run.errors.contains("passed: debugged"))
        let none = try await fixture.kbuild("debug", "--profile", "debugged", "--", "-batch", "-no-such-option")
        #expect(none.status == .exited(7))
        #expect(none.errors.contains("gdb ended with"))
        #expect(try await fixture.kbuild("debug", "--machine", "uml").status == .exited(2))
        #expect(try await fixture.kbuild("debug", "--wait", "--", "-batch").status == .exited(2))
    }

    @Test(
        "debug --wait: the output is enough to start gdb manually, and an interrupt ends the guest",
        .tags(.kernels))
    func debugByHand() async throws {
        try oneCall()
        let output = Pipe()
        let process = try fixture.start("debug", "--profile", "debugged", "--wait", output: output.fileHandleForWriting)
        // Nobody else writes to it: it ends with kbuild.
        try output.fileHandleForWriting.close()
        var text = ""
        while !text.contains("console      ") {
            let bytes = output.fileHandleForReading.availableData
            guard !bytes.isEmpty else { break }
            text += String(decoding: bytes, as: UTF8.self)
        }
        let command = try #require(text.split(separator: "\n").first { $0.contains("gdb -q") })
        let gdb = try await CommandRunner().capture(
            Command("sh", ["-c", "\(command) -batch -ex 'info registers rip' -ex 'info breakpoints' -ex detach"]))
        #expect(gdb.output.contains("rip"))
        #expect(gdb.output.contains("__do_sys_caesar"))
        kill(process.processIdentifier, SIGINT)
        process.waitUntilExit()
        #expect(process.terminationStatus == 130)
        #expect(try await Fixture.lastingProcesses(containing: fixture.marker) == [])
    }
}
