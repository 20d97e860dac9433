// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    /// `kbuild syscall`, with real kernels and a guest. A part of the other suite, since all share one project.
    @Suite("kbuild syscall", .serialized)
    struct SyscallVerb {
        let fixture: Fixture

        init() throws {
            fixture = try Fixture()
        }

        @Test("new: the scaffold passes without a change, also in user-mode Linux")
        func newPasses() async throws {
            // What the table changes from is a kernel that was built to its end, and not taken from the store.
            let caesar = try fixture.text("kernel/caesar/caesar.c")
            try fixture.write("kernel/caesar/caesar.c", caesar + "/* \(UUID()) */\n")
            #expect(try await fixture.kbuild("build").status == .exited(0))
            let created = try await fixture.kbuild(
                "syscall", "new", "hello_there", "--args", "int number, const char __user *text", "--args",
                "void __user *out, size_t length")
            #expect(created.status == .exited(0))
            #expect(created.output.contains("wrote  kernel/hello_there/hello_there.c"))
            #expect(created.output.contains("next:  kbuild test HelloThereTests"))
            let project = try readText(fixture.project.appending("kbuild.yaml"))
            let original = try readText(Fixture.repository.appending("kbuild.yaml"))
            // Nothing but the new lines: one for each list of patches.
            let lists = original.ranges(of: "patches:\n").count
            #expect(project.ranges(of: "- kernel/hello_there\n").count == lists)
            let rest = project.split(separator: "\n", omittingEmptySubsequences: false)
                .filter { !$0.hasSuffix("- kernel/hello_there") }
            #expect(rest.joined(separator: "\n") == original)

            let listed = try await fixture.kbuild("syscall", "list")
            #expect(listed.output.contains(/\d+ +x86-64 +hello_there +sys_hello_there +kernel\/hello_there/))
            // A kernel that the store does not have from an earlier run of this test.
            let source = try fixture.text("kernel/hello_there/hello_there.c")
            try fixture.write("kernel/hello_there/hello_there.c", source + "/* \(UUID()) */\n")
            let run = try await fixture.report("test", "HelloThere")
            #expect(run.exitCode == 0)
            // Of more than a thousand objects those are compiled that can tell that the table has one call more.
            let steps = run.json["steps"] as? [[String: Any]] ?? []
            let compile = steps.first { $0["name"] as? String == "compile" }?["detail"] as? String ?? ""
            let counts = try #require(compile.firstMatch(of: /(\d+) objects, (\d+) spared/)).output
            #expect(try #require(Int(counts.1)) < 100)
            #expect(try #require(Int(counts.2)) > 1000)
            #expect(run.tests.count == 9)
            #expect(Set(run.tests.values) == ["passed"])
            // Memory that cannot be had is distinguished there as well.
            let uml = try await fixture.report("test", "HelloThere", "--machine", "uml")
            #expect(uml.exitCode == 0)
            #expect(uml.tests == run.tests)

            // Once more is refused, and changes nothing.
            let again = try await fixture.kbuild("syscall", "new", "hello_there")
            #expect(again.status == .exited(2))
            #expect(again.errors.contains("next: "))
            #expect(try readText(fixture.project.appending("kbuild.yaml")) == project)
        }

        @Test(
            "new: impossible requests are refused with exit 2 and the next step",
            arguments: [
                (["9lives"], "is not a C identifier"), (["futex"], "exists already, with number 202"),
                (["caesar"], "kernel/caesar exists already"), (["sys"], "has a file kernel/sys.c"),
                (["no_args"], "exists already"),
                (["mine", "--args", "int a,int b,int c,int d,int e,int f,int g"], "at most 6"),
                (["mine", "--args", "struct x *y"], "type that is not known"),
            ])
        func newRefuses(arguments: [String], reason: String) async throws {
            let result = try await CommandRunner().capture(
                Command(try Fixture.executable(), ["syscall", "new"] + arguments, workingDirectory: fixture.project))
            #expect(result.status == .exited(2))
            #expect(result.errors.contains(reason), "\(result.errors)")
            #expect(result.errors.contains("next: "))
            #expect(!fileExists(fixture.project.pushing("kernel/mine")))
            #expect(
                try readText(fixture.project.appending("kbuild.yaml"))
                    == readText(Fixture.repository.appending("kbuild.yaml")))
        }

        @Test("list: numbers follow the kernel; --all includes the kernel's own; JSON")
        func list() async throws {
            let old = try await fixture.kbuild("syscall", "list")
            #expect(old.status == .exited(0))
            #expect(old.output.contains(/451 +x86-64 +dm510_msgbox_put +sys_dm510_msgbox_put +kernel\/msgbox\n/))
            #expect(old.output.contains("itself ends at 450; the next free number is"))
            let new = try await fixture.kbuild("syscall", "list", "--kernel", "linux-source-6.12")
            #expect(new.output.contains("itself ends at 462; the next free number is"))
            let all = try await fixture.kbuild("syscall", "list", "--all")
            #expect(all.output.contains(/\n0 +x86-64 +read +sys_read\n/))
            #expect(all.output.contains(/\n3 +i386 +read +sys_read\n/))
            let json = try await fixture.kbuild("syscall", "list", "--format", "json")
            let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
            #expect(object?["lastOfKernel"] as? Int == 450)
            #expect((object?["syscalls"] as? [[String: Any]])?.first?["source"] as? String == "kernel/msgbox")
        }

        @Test("check: passes for the project; each error of a patch has its line; and run refuses the patch")
        func check() async throws {
            let clean = try await fixture.kbuild("syscall", "check")
            #expect(clean.status == .exited(0))
            #expect(clean.output.contains("no mistake found in"))

            let folder = "kernel/memcpy/6.1"
            let names = try namesInFolder(fixture.project.pushing(FilePath(folder)))
            let patch = try #require(names.first { $0.hasPrefix("0002-") })
            try fixture.edit("\(folder)/\(patch)", replacing: "+453\tcommon\tmemcpy", with: "+450\tcommon\tmemcpy")
            try fixture.edit(
                "\(folder)/\(patch)", replacing: "+#define __NR_syscalls 454", with: "+#define __NR_syscalls 453")
            let text = try readText(fixture.project.pushing(FilePath("\(folder)/\(patch)")))
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            let row = try #require(lines.firstIndex { $0.hasPrefix("+450\t") }) + 1
            let number = try #require(lines.firstIndex { $0 == "+#define __NR_memcpy 453" }) + 1
            let spoilt = try await fixture.kbuild("syscall", "check", "kernel/memcpy")
            #expect(spoilt.status == .exited(3))
            #expect(spoilt.output.contains("\(folder)/\(patch):\(row): error: number 450 of memcpy is taken by"))
            #expect(spoilt.output.contains("\(folder)/\(patch):\(number): warning: __NR_syscalls"))
            #expect(spoilt.output.contains("\n  fix: "))

            let run = try await fixture.kbuild("run")
            #expect(run.status == .exited(3))
            #expect(run.errors.contains("\(patch):\(row): number 450 of memcpy is taken by"))
        }
    }
}
