// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Syscalls

@Suite("Names in a Makefile", .timeLimit(.minutes(30)))
struct MakefileNamesTests {
    @Test(
        "an assignment discards only what is above it",
        arguments: [
            ("obj-y += mine.o\nobj-y = other.o", 2), ("obj-y += mine.o\n\nobj-y := a.o \\\n\tb.o", 3),
            ("obj-y = a.o\nobj-y += \\\n mine.o\nobj-y ::= b.o # mine.o", 4),
            ("override obj-y += mine.o\nobj-y:=b.o", 2), ("obj-y += mine.o\nobj-y =", 2),
        ])
    func discards(text: String, line: Int) {
        let names = MakefileNames(text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
        #expect(!names.names.contains("mine.o"))
        #expect(names.discarded["mine.o"] == .init(line: line, variable: "obj-y"))
    }

    @Test(
        "names added after the assignment, again, elsewhere or in a condition are reported",
        arguments: [
            "obj-y = other.o\nobj-y += mine.o", "obj-y += mine.o\nobj-y := $(obj-y) other.o",
            "obj-y += mine.o\nobj-y = ${obj-y}", "obj-y += mine.o\nobj-y = other.o\nobj-$(CONFIG_X) += mine.o",
            "obj-y += mine.o\nifdef CONFIG_X\nobj-y = other.o\nendif", "obj-y += mine.o\nobj-y ?= other.o",
            "obj-y += mine.o\nlib-y = other.o", "ifeq ($(CONFIG_X),y)\nobj-y += mine.o\nendif",
            "# obj-y =\nobj-y += mine.o\n#obj-y = other.o", "obj-y += mine.o\nother: x\n\tobj-y = $(A)",
        ])
    func names(text: String) {
        let names = MakefileNames(text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
        #expect(names.names.contains("mine.o"), "\(names)")
        #expect(names.discarded["mine.o"] == nil)
    }

    @Test("a registration is added below the last assignment")
    func insertion() {
        var lines = ["obj-y += a.o", "obj-y = b.o", "ifdef X", "obj-y = c.o", "endif", "obj-y += d.o"]
        SyscallRegistration.insertObjects(["obj-y += mine.o"], into: &lines)
        #expect(lines[2] == "obj-y += mine.o")
        #expect(MakefileNames(lines).names.contains("mine.o"))
    }
}
