// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Syscalls
import SystemPackage
import Testing

@testable import Application
@testable import Authoring
@testable import Project

@Suite("syscall new", .timeLimit(.minutes(30)))
struct SyscallScaffoldTests {
    private func scaffold(_ name: String, _ arguments: String...) throws -> SyscallScaffold {
        SyscallScaffold(signature: try SyscallSignature(name: name, arguments: arguments))
    }

    @Test("the spec declares what the C file defines, and the suite passes as many arguments")
    func agreement() throws {
        let scaffold = try scaffold(
            "wide_open", "char __user *buf, size_t len", "const void *data, int data_len, int *out")
        #expect(
            scaffold.spec.hasSuffix(
                """
                  - name: wide_open
                    arguments:
                      - char __user *buf
                      - size_t len
                      - const void __user *data
                      - int data_len
                      - int __user *out

                """))
        let source = scaffold.source.replacing("\n\t\t", with: " ")
        #expect(
            source.contains(
                "SYSCALL_DEFINE5(wide_open, char __user *, buf, size_t, len, const void __user *, data, int, data_len, "
                    + "int __user *, out)"))
        #expect(scaffold.tests.contains("try syscall(__NR_wide_open, buf, len, data, data_len, out)"))
        #expect(scaffold.source.contains("if (data_len < 0)"))
        #expect(!scaffold.source.contains("len < 0)\n\t\treturn -EINVAL;\n\tif (len"))
        #expect(scaffold.source.split(separator: "\n").allSatisfy { $0.replacing("\t", with: "        ").count <= 80 })
        #expect(scaffold.suite == "WideOpenTests")
    }

    @Test("each kind of argument has its check in C, its row in the contract and its tests")
    func kinds() throws {
        let all = try scaffold("k", "int number", "unsigned long any", "const char *text", "void *out, size_t length")
        for (code, row, test) in [
            ("if (number < 0)", "| EINVAL | `number` is negative |", "func negativeNumber(value: Int32)"),
            ("any", "", "func anyAny(value: UInt) throws"),
            ("k_read_string(text)", "| EINVAL | `text` does not end within the bound |", "func longestText() throws"),
            ("k_write(out, length)", "| EFAULT | `out` cannot be written |", "func writtenOut() throws"),
            ("if (length > K_MAX)", "| E2BIG | `length` is above the bound |", "func excessiveLength()"),
        ] {
            #expect(all.source.contains(code))
            #expect(row.isEmpty || all.readme.contains(row), "\(row)")
            #expect(all.tests.contains(test), "\(test)")
        }
    }

    @Test("a call without arguments")
    func none() throws {
        let scaffold = try scaffold("nothing")
        #expect(scaffold.spec.hasSuffix("    arguments: []\n"))
        #expect(scaffold.source.hasSuffix("SYSCALL_DEFINE0(nothing)\n{\n\treturn 0;\n}\n"))
        #expect(scaffold.readme.contains("long nothing(void);"))
        #expect(scaffold.tests.contains("try syscall(__NR_nothing)"))
    }

    @Test("names of Swift and of the scaffold's own variables do not collide")
    func names() throws {
        let scaffold = try scaffold("odd", "int in", "char *result", "int *status")
        #expect(scaffold.tests.contains("var in_: Int32 = 1"))
        #expect(scaffold.source.contains("long outcome;"))
    }

    // MARK: Several calls in one C file

    @Test("calls that share a C file have one spec, each header once, and separate definitions")
    func shared() throws {
        let calls = try [scaffold("box_put", "const void *bytes, size_t length"), scaffold("box_size")]
        #expect(SyscallScaffold.spec(calls, file: "box").contains("sources: [box.c]\nsyscalls:\n  - name: box_put\n"))
        #expect(SyscallScaffold.spec(calls, file: "box").hasSuffix("  - name: box_size\n    arguments: []\n"))
        let source = SyscallScaffold.source(calls)
        #expect(source.contains(" * box_put, box_size: check their arguments and return 0."))
        for text in [
            "#include <linux/errno.h>", "#include <linux/syscalls.h>", "SYSCALL_DEFINE2(box_put",
            "SYSCALL_DEFINE0(box_size)",
        ] {
            #expect(source.ranges(of: text).count == 1, "\(text)")
        }
        #expect(SyscallScaffold.source([calls[0]]) == calls[0].source)
    }

    @Test("a call that is added to a C file adds missing headers, and does not change the rest")
    func added() throws {
        let own =
            "// mine\n#include <linux/syscalls.h>\n#include  <linux/errno.h>\n\nSYSCALL_DEFINE0(mine)\n{\n\treturn 7;\n}\n\n"
        let text = try scaffold("box_put", "const void *bytes, size_t length").adding(to: own)
        #expect(
            text.hasPrefix("// mine\n#include <linux/syscalls.h>\n#include  <linux/errno.h>\n#include <linux/err.h>\n"))
        #expect(text.contains("SYSCALL_DEFINE0(mine)\n{\n\treturn 7;\n}\n\n"))
        #expect(text.hasSuffix("\treturn 0;\n}\n") && text.contains("SYSCALL_DEFINE2(box_put"))
        #expect(text.ranges(of: "errno.h").count == 1)
    }

    // MARK: The project file

    private func adding(_ text: String) throws -> String {
        var editor = ProjectFileEditor(file: "/p/kbuild.yaml", text: text)
        try editor.addPatchSource("kernel/new")
        return editor.text
    }

    @Test("a list keeps its comments and its layout, in the project and in profiles with their own list")
    func blockLists() throws {
        let text = """
            # mine
            kernel:
              source: linux-source-6.1  # the one
              patches:
                # first
                - kernel/a  # one

                - "kernel/b"
              config: []
            profiles:
              plain: {machine: {cpus: 1}}
              own:
                kernel:
                  patches:
                  - kernel/c
                # after
              short: {kernel: {patches: [kernel/d]}}

            """
        let expected = text.replacing("    - \"kernel/b\"\n", with: "    - \"kernel/b\"\n    - kernel/new\n")
            .replacing("      - kernel/c\n", with: "      - kernel/c\n      - kernel/new\n")
            .replacing("[kernel/d]", with: "[kernel/d, kernel/new]")
        #expect(try adding(text) == expected)
    }

    @Test(
        "other layouts of the list",
        arguments: [
            ("kernel: {patches: [a, b]}\n", "kernel: {patches: [a, b, kernel/new]}\n"),
            ("kernel:\n  patches: []  # none\n", "kernel:\n  patches: [kernel/new]  # none\n"),
            (
                "kernel:\n  patches: [\n    a,\n    b\n  ]\n",
                "kernel:\n  patches: [\n    a,\n    b,\n    kernel/new\n  ]\n"
            ),
            ("kernel:\n  patches: ['x]y', b]\n", "kernel:\n  patches: ['x]y', b, kernel/new]\n"),
            (
                "kernel:\n  source: linux-source-6.1\n",
                "kernel:\n  patches:\n    - kernel/new\n  source: linux-source-6.1\n"
            ),
            ("machine: {cpus: 2}\n", "machine: {cpus: 2}\n\nkernel:\n  patches:\n    - kernel/new\n"),
        ])
    func layouts(before: String, after: String) throws {
        #expect(try adding(before) == after)
    }

    @Test("a layout that cannot be edited is left to the user")
    func unusual() throws {
        let failure = #expect(throws: Failure.self) { try adding("kernel: {source: linux-source-6.1}\n") }
        #expect(failure?.code == .usage)
        #expect(failure?.nextStep?.contains("- kernel/new") == true)
    }

    @Test("an alias is one list, edited once")
    func alias() throws {
        let text = "kernel:\n  patches: &all [a]\nprofiles:\n  x:\n    kernel: {patches: *all}\n"
        #expect(try adding(text) == text.replacing("[a]", with: "[a, kernel/new]"))
    }

    @Test("a package of suites is added to the tests, or begins the list")
    func testPackage() throws {
        var editor = ProjectFileEditor(file: "/p/kbuild.yaml", text: "tests:\n  - {c: x.c, arguments: [a]}\n")
        try editor.addTestPackage("Tests/GuestTests")
        #expect(editor.text == "tests:\n  - {c: x.c, arguments: [a]}\n  - {swift: Tests/GuestTests}\n")
        editor = ProjectFileEditor(file: "/p/kbuild.yaml", text: "machine: {cpus: 1}\n")
        try editor.addTestPackage("Tests/GuestTests")
        #expect(editor.text == "machine: {cpus: 1}\n\ntests:\n  - swift: Tests/GuestTests\n")
    }

    // MARK: The package of suites

    @Test("the manifest gets one more target with the dependencies of its last one")
    func manifest() throws {
        let text = """
            let package = Package(
                targets: [
                    .testTarget(name: "ATests", dependencies: [.product(name: "SyscallTesting", package: "kb")]),
                    .testTarget(
                        name: "BTests",
                        dependencies: [.product(name: "SyscallTesting", package: "kb")]),
                ]
            )
            """
        let new = try TestManifest.adding("CTests", to: text, file: "Package.swift")
        #expect(
            new.contains(
                "package: \"kb\")]),\n        .testTarget(\n            name: \"CTests\",\n"
                    + "            dependencies: [.product(name: \"SyscallTesting\", package: \"kb\")]),\n    ]\n"))
        #expect(new.replacing("name: \"CTests\"", with: "name: \"BTests\"").ranges(of: "BTests").count == 2)
        #expect(throws: Failure.self) { try TestManifest.adding("ATests", to: text, file: "Package.swift") }
        #expect(
            try TestManifest.adding("CTests", to: "Package(targets: [])", file: "Package.swift").contains(
                "targets: [\n        .testTarget(name: \"CTests\""))
        #expect(throws: Failure.self) { try TestManifest.adding("CTests", to: "Package()", file: "Package.swift") }
        #expect(TestManifest.new("CTests", kbuild: "../..").contains(".package(name: \"kbuild\", path: \"../..\")"))
    }
}
