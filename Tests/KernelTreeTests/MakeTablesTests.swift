// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import SystemPackage
import Testing

@testable import IncrementalBuild

@Suite("Changes of the system-call tables", .timeLimit(.minutes(30)))
struct MakeTablesTests {
    private let numbers = "/out/arch/x86/include/generated/uapi/asm/unistd_64.h"
    private let prototypes = "/tree/include/linux/syscalls.h"

    private func header(_ calls: [String], count: Int) -> String {
        let lines = calls.enumerated().map { "#define __NR_\($1) \($0)" }
        return
            (["#ifndef G", "#define G", ""] + lines + ["#ifdef __KERNEL__", "#define __NR_syscalls \(count)", "#endif"])
            .joined(separator: "\n")
    }

    // MARK: Headers

    @Test("a new number is a name and a count")
    func newNumber() throws {
        let change = try #require(
            HeaderChange(path: numbers, from: header(["read"], count: 1), to: header(["read", "new_call"], count: 2)))
        #expect(change.names == ["new_call"])
        #expect(change.macros == ["__NR_syscalls"])
        #expect(!change.isList)
    }

    @Test("a number that moves is a name; the 32-bit names are the calls' own")
    func movedNumber() throws {
        let path = "/out/arch/x86/include/generated/asm/unistd_32_ia32.h"
        let change = try #require(
            HeaderChange(path: path, from: "#define __NR_ia32_a 1\n", to: "#define __NR_ia32_a 2\n"))
        #expect(change.names == ["a"])
    }

    @Test("an x32 number is a number with a mark")
    func markedNumber() throws {
        let path = "/out/arch/x86/include/generated/uapi/asm/unistd_x32.h"
        let change = try #require(
            HeaderChange(path: path, from: "", to: "#define __NR_a (__X32_SYSCALL_BIT + 460)\n"))
        #expect(change.names == ["a"])
    }

    @Test("a change of the call lists affects every file that includes them")
    func lists() throws {
        let path = "/out/arch/x86/include/generated/asm/syscalls_64.h"
        #expect(try #require(HeaderChange(path: path, from: "", to: "__SYSCALL(1, sys_a)\n")).isList)
    }

    @Test(
        "any other change needs a plain make",
        arguments: [
            "#define __NR_a (1 + 2)", "#define OTHER 3", "#undef __NR_a", "#define __NR_a 1 /* one */", "int a;",
        ])
    func otherLines(line: String) {
        #expect(HeaderChange(path: numbers, from: "#define __NR_b 1\n", to: "#define __NR_b 1\n\(line)\n") == nil)
    }

    @Test("another header needs a plain make")
    func otherHeader() {
        #expect(HeaderChange(path: "/tree/include/linux/sched.h", from: "", to: "#define __NR_a 1\n") == nil)
    }

    @Test("a prototype is a name, over several lines too, with the structs that are declared for it")
    func prototype() throws {
        let old = "int before;\nint after;\n"
        let new = """
            int before;
            struct box_info;
            asmlinkage long sys_box(const char __user *text, size_t length,
            \t\t\t\tstruct box_info __user *info);
            asmlinkage long sys_none(void);
            int after;

            """
        for (from, to) in [(old, new), (new, old)] {
            let change = try #require(HeaderChange(path: prototypes, from: from, to: to))
            #expect(change.names == ["box_info", "box", "none"])
            #expect(change.macros.isEmpty)
            #expect(change.shifted.hasPrefix("int after;"))
        }
    }

    @Test(
        "a change that does more than declare a call needs a plain make",
        arguments: [
            "static inline int f(void) { return 1; }", "#define F 1", "extern int variable;", "long other(void);",
            "asmlinkage long sys_a(void) __attribute__((weak));", "asmlinkage long sys_a(int x = 1);",
            "asmlinkage long sys_a(void), sys_b;", "/* asmlinkage long sys_a(void); */",
        ])
    func otherDeclarations(line: String) {
        #expect(HeaderChange(path: prototypes, from: "a\nz\n", to: "a\n\(line)\nz\n") == nil)
    }

    // MARK: Files

    private func scan(_ names: Set<String>, _ texts: [String: String]) throws -> (
        users: Set<String>, macros: Set<String>
    ) {
        let folder = FilePath(NSTemporaryDirectory()).appending("kbuild-\(UUID().uuidString)")
        try createFolder(folder)
        defer { try? removeAll(folder) }
        for (name, text) in texts { try writeAtomically(text, to: folder.appending(name)) }
        let scan = try TokenScan(for: names, in: texts.keys.sorted().map { folder.appending($0) })
        return (Set(scan.users.compactMap { $0.lastComponent?.string }), scan.macros)
    }

    @Test("a file that names the macro uses it; a file that names only a longer word does not")
    func directUse() throws {
        let found = try scan(
            ["__NR_syscalls"],
            ["a.c": "int x = __NR_syscalls;", "b.c": "int x = __NR_syscalls_max; int y = x__NR_syscalls;", "c.c": ""])
        #expect(found.users == ["a.c"])
    }

    @Test("a macro that is defined by it passes it on, through continued lines and other files, in any number of steps")
    func indirectUse() throws {
        let found = try scan(
            ["__NR_syscalls"],
            [
                "a.h": "#define __NR_syscalls 7\n# define\tNR_syscalls (__NR_syscalls)\n",
                "b.h": "#define LIMIT(x) \\\n\t((x) < NR_syscalls)\n",
                "c.c": "int f(int x) { return LIMIT(x); }", "d.c": "int LIMITED;",
                "e.h": "  #  define TWICE LIMIT(1), LIMIT(2)", "f.c": "\tTWICE\n",
            ])
        #expect(found.users == ["c.c", "f.c"])
        #expect(found.macros == ["__NR_syscalls", "NR_syscalls", "LIMIT", "TWICE"])
    }

    @Test("code depends on its line number when a macro in it expands to __LINE__, directly or indirectly")
    func lines() throws {
        let folder = FilePath(NSTemporaryDirectory()).appending("kbuild-\(UUID().uuidString)")
        try createFolder(folder)
        defer { try? removeAll(folder) }
        let text = """
            #ifdef X
            # define WARN(c) \\
            \tprint(__FILE__, __LINE__, c)
            #endif
            #define CHECK(x) WARN((x) > 1)
            #define PLAIN(x) (x)
            #define LOOP LOOP
            """
        try writeAtomically(text, to: folder.appending("a.h"))
        let definitions = try MacroDefinitions(of: [folder.appending("a.h")])
        #expect(definitions.reach("__LINE__", from: "return CHECK(3);"))
        #expect(definitions.reach("__LINE__", from: "f(__LINE__)"))
        #expect(!definitions.reach("__LINE__", from: "return PLAIN(3) + LOOP + CHECKED;"))
    }

    @Test("a condition, an undefinition and a comment count as uses, to be on the safe side")
    func conditions() throws {
        let found = try scan(
            ["N"], ["a.h": "#if N > 3\n#endif", "b.h": "#undef N", "c.h": "/* N */", "d.h": "// #define M N"])
        #expect(found.users == ["a.h", "b.h", "c.h", "d.h"])
    }
}

/// Objects whose debug information names lines of headers.
@Suite("objects with debug information", .timeLimit(.minutes(30)))
struct DebugInfoOptionTests {
    @Test(
        "the command's own options decide",
        arguments: [
            ("cmd_kernel/a.o := gcc -O2 -g1 -c -o kernel/a.o kernel/a.c", true),
            ("savedcmd_kernel/a.o := gcc -gdwarf-5 -c -o kernel/a.o kernel/a.c", true),
            ("cmd_arch/a.o := gcc -Wa,-gdwarf-5 -c -o arch/a.o arch/a.S", true),
            ("cmd_kernel/a.o := gcc -O2 -c -o kernel/a.o kernel/a.c", false),
            ("cmd_kernel/a.o := gcc -g1 -g0 -c -o kernel/a.o kernel/a.c", true),
            ("source_kernel/a.o := -g\n", false),
        ])
    func options(record: String, isAsked: Bool) {
        #expect(UnaffectedObjects.asksForDebugInfo(record + "\n\nsource_kernel/a.o := kernel/a.c\n") == isAsked)
    }
}
