// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage
import Testing

@testable import KernelMake

/// The logs are real: GCC 12, binutils 2.40 and make 4.3 on Linux 6.1, with the paths shortened.
@Suite(.timeLimit(.minutes(30)))
struct MakeLogTests {
    private let make = KernelMake(tree: "/p/tree", output: "/p/out", usesCcache: true)

    private func report(_ log: String, userFiles: [String: String] = [:]) -> BuildLog.Report {
        BuildLog.report(
            log.split(separator: "\n", omittingEmptySubsequences: false).map(String.init), make: make,
            userFiles: userFiles)
    }

    private let syntaxError = #"""
          CC      kernel/mine.o
        In file included from ../tree/kernel/mine.c:2:
        ../tree/kernel/mine.h: In function 'helper':
        ../tree/kernel/mine.h:1:46: error: 'undefined_thing' undeclared (first use in this function)
            1 | static inline int helper(int x) { return x + undefined_thing; }
              |                                              ^~~~~~~~~~~~~~~
        ../tree/kernel/mine.h:1:46: note: each undeclared identifier is reported only once for each function it appears in
        ../tree/kernel/mine.c: In function '__do_sys_mine':
        ../tree/kernel/mine.c:6:13: warning: unused variable 'y' [-Wunused-variable]
            6 |         int y = x
              |             ^
        ../tree/kernel/mine.c:7:9: error: expected ',' or ';' before 'return'
            7 |         return frob(y);
              |         ^~~~~~
        cc1: some warnings being treated as errors
        make[3]: *** [/p/tree/scripts/Makefile.build:255: kernel/mine.o] Error 1
        make[2]: *** [/p/tree/scripts/Makefile.build:508: kernel] Error 2
        make[2]: *** Waiting for unfinished jobs....
        """#

    @Test func showsTheCompilersWordsWithTheUsersPaths() {
        let details = report(
            syntaxError, userFiles: ["kernel/mine.c": "kernel/mine/mine.c", "kernel/mine.h": "kernel/mine/mine.h"]
        ).details
        #expect(
            details == #"""
                In file included from kernel/mine/mine.c:2:
                kernel/mine/mine.h: In function 'helper':
                kernel/mine/mine.h:1:46: error: 'undefined_thing' undeclared (first use in this function)
                    1 | static inline int helper(int x) { return x + undefined_thing; }
                      |                                              ^~~~~~~~~~~~~~~
                kernel/mine/mine.h:1:46: note: each undeclared identifier is reported only once for each function it appears in
                kernel/mine/mine.c: In function '__do_sys_mine':
                kernel/mine/mine.c:7:9: error: expected ',' or ';' before 'return'
                    7 |         return frob(y);
                      |         ^~~~~~
                """#)
    }

    @Test func theUsersFilesComeFirst() {
        let log = """
            /p/tree/kernel/other.c:1:1: error: unknown type name 'foo'
                1 | foo x;
                  | ^~~
              CC      kernel/y.o
            /p/tree/kernel/mine.c:9:2: error: 'z' undeclared (first use in this function)
                9 |         z = 1;
                  |         ^
            """
        let lines = report(log, userFiles: ["kernel/mine.c": "mine.c"]).details.split(separator: "\n")
        #expect(lines.first == "mine.c:9:2: error: 'z' undeclared (first use in this function)")
        #expect(lines.contains("kernel/other.c:1:1: error: unknown type name 'foo'"))
    }

    @Test func anErrorInAHeaderThatTheUsersFileIncludesIsTheUsers() {
        let log = """
            /p/tree/kernel/first.c:1:1: error: unknown type name 'foo'
            In file included from /p/tree/kernel/mine.c:3:
            /p/tree/include/linux/x.h:9:2: error: #error "no"
            """
        let details = report(log, userFiles: ["kernel/mine.c": "mine.c"]).details
        #expect(details.hasPrefix("In file included from mine.c:3:\ninclude/linux/x.h:9:2: error"))
    }

    @Test func macroExpansionsStayWithTheirError() {
        let log = """
            /p/tree/kernel/m.c: In function 'h':
            /p/tree/kernel/m.c:2:19: error: 'nope' undeclared (first use in this function)
                2 | #define B(x) (x + nope)
                  |                   ^~~~
            /p/tree/kernel/m.c:1:14: note: in expansion of macro 'B'
                1 | #define A(x) B(x)
                  |              ^
            /p/tree/kernel/m.c: At top level:
            /p/tree/kernel/m.c:4:5: error: redefinition of 'h'
            """
        let details = report(log).details
        #expect(details.contains("kernel/m.c:1:14: note: in expansion of macro 'B'\n    1 | #define A(x) B(x)\n"))
        #expect(details.contains("kernel/m.c: At top level:\nkernel/m.c:4:5: error: redefinition of 'h'"))
    }

    @Test func warningsAreLeftOut() {
        let log = """
            /p/tree/kernel/w.c: In function 'f':
            /p/tree/kernel/w.c:2:13: warning: unused variable 'unused' [-Wunused-variable]
                2 |         int unused;
                  |             ^~~~~~
            make[3]: *** [/p/tree/scripts/Makefile.build:255: kernel/other.o] Error 1
            """
        let details = report(log).details
        #expect(!details.contains("unused"))
        #expect(details.contains("kernel/other.o] Error 1"))
    }

    @Test func assemblerErrorsCount() {
        let log = """
            ../tree/kernel/x.S: Assembler messages:
            ../tree/kernel/x.S:1: Error: bad register name `%foo'
            ../tree/kernel/x.S:2: Error: no such instruction: `bogus'
            """
        #expect(
            report(log).details == """
                kernel/x.S: Assembler messages:
                kernel/x.S:1: Error: bad register name `%foo'
                kernel/x.S:2: Error: no such instruction: `bogus'
                """)
    }

    @Test func anUndefinedReferenceGetsANextStep() {
        let log = """
              LD      vmlinux
            ld: kernel/mine.o: in function `__x64_sys_mine':
            mine.c:(.text+0x4): undefined reference to `frob'
            make[2]: *** [/p/tree/scripts/Makefile.vmlinux:34: vmlinux] Error 1
            make[1]: *** [/p/tree/Makefile:1296: vmlinux] Error 2
            """
        let report = report(log)
        #expect(
            report.details == """
                ld: kernel/mine.o: in function `__x64_sys_mine':
                mine.c:(.text+0x4): undefined reference to `frob'
                """)
        #expect(report.nextStep?.contains("nothing defines frob") == true)
        let syscall = self.report(
            "ld: arch/x86/entry/syscall_64.o:(.rodata+0xe18): undefined reference to `__x64_sys_x'")
        #expect(syscall.nextStep?.contains("SYSCALL_DEFINE") == true)
    }

    @Test func anObjectWithoutASourceGetsANextStep() {
        let log = """
            make[3]: *** No rule to make target 'kernel/mine.o', needed by 'kernel/built-in.a'.  Stop.
            make[3]: *** Waiting for unfinished jobs....
            make[2]: *** [/p/tree/scripts/Makefile.build:508: kernel] Error 2
            """
        let report = report(log)
        #expect(report.details.hasPrefix("make[3]: *** No rule to make target 'kernel/mine.o'"))
        #expect(!report.details.contains("unfinished"))
        #expect(report.nextStep?.contains("obj-y") == true)
    }

    @Test(arguments: [
        ("/bin/sh: 1: flex: not found", "flex"), ("/bin/sh: line 1: bison: command not found", "bison"),
        ("make[3]: bc: No such file or directory", "bc"), ("/bin/sh: 1: lz4c: not found", "lz4"),
        ("<stdin>:1:10: fatal error: gelf.h: No such file or directory", "libelf-dev"),
        ("certs/extract-cert.c:21:10: fatal error: openssl/bio.h: No such file or directory", "libssl-dev"),
    ])
    func aMissingToolOrHeaderNamesItsPackage(line: String, package: String) {
        let nextStep = report("  HOSTCC  x\n\(line)\nmake[4]: *** [x] Error 127").nextStep
        #expect(nextStep?.hasPrefix("apt-get install \(package) ") == true)
    }

    @Test func withoutAnythingKnownTheLastLinesAreShown() {
        let details = report("  CC      a.o\nsomething odd\n  CC      b.o\n").details
        #expect(details.hasPrefix("something odd"))
        #expect(!details.contains("a.o"))
    }

    @Test func readsMakesShortLines() throws {
        let compiled = try #require(BuildStep(line: "  CC      init/main.o"))
        #expect(compiled.isCompilation && compiled.isCounted && compiled.target == "init/main.o")
        #expect(BuildStep(line: "  CC [M]  drivers/a.o")?.target == "drivers/a.o")
        #expect(BuildStep(line: "  AR      built-in.a")?.isCompilation == false)
        #expect(BuildStep(line: "  HOSTCC  scripts/a")?.isCounted == false)
        for line in ["", "  ", "make[1]: x", "    1 | foo", "In file", "  lower case"] {
            #expect(BuildStep(line: line) == nil, "\(line)")
        }
    }

    @Test("only warnings about the user's own files are found, each once")
    func warnings() {
        let log = """
              CC      kernel/hello/hello.o
            /p/tree/kernel/hello/hello.c: In function '__do_sys_hello':
            /p/tree/kernel/hello/hello.c:12:13: warning: unused variable 'count' [-Wunused-variable]
               12 |         int count;
                  |             ^~~~~
            /p/tree/kernel/hello/hello.c:12:13: warning: unused variable 'count' [-Wunused-variable]
            /p/tree/kernel/hello/hello.c:20:9: note: here
            /p/tree/kernel/fork.c:9:1: warning: 'x' defined but not used [-Wunused-function]
            /p/tree/kernel/hello/other.c:3:1: error: expected ';'
              AR      kernel/built-in.a
            """
        let lines = log.split(separator: "\n").map(String.init)
        let own = ["kernel/hello/hello.c": "mine/hello.c", "kernel/hello/other.c": "mine/other.c"]
        #expect(
            BuildLog.warnings(lines, make: make, userFiles: own)
                == ["mine/hello.c:12:13: warning: unused variable 'count' [-Wunused-variable]"])
        #expect(BuildLog.warnings(lines, make: make, userFiles: [:]).isEmpty)
    }
}
