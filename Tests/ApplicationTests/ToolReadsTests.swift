// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import SystemPackage
import Testing

@testable import Application

@Suite("Files that tools read", .timeLimit(.minutes(30)))
struct ToolReadsTests {
    @Test("the dependency files of gcc, as and ld list the files that were read")
    func makefiles() {
        let text = """
            program: /p/a.c /p/../lib/x.h \\
             /with\\ space/h.h /cost$$/\\#1.h\\
             /last.h
            /tmp/ccx.o: /p/blob.bin a.c

            /lib/crt1.o:

            /p/a.o : b.swift c.swift
            """
        #expect(
            CompilerReads.prerequisites(inMakefile: text) == [
                "/p/a.c", "/p/../lib/x.h", "/with space/h.h", "/cost$/#1.h", "/last.h", "/p/blob.bin", "a.c", "b.swift",
                "c.swift",
            ])
        #expect(CompilerReads.prerequisites(inMakefile: "").isEmpty)
        // A newline in a known folder's path belongs to the name.
        #expect(
            CompilerReads.prerequisites(
                inMakefile: "x.o: /odd/line\nbreak,\\ and/a.c \\\n /odd/line\nbreak,\\ and/a.h\n/odd/b.h:\n",
                below: "/odd/line\nbreak, and") == ["/odd/line\nbreak, and/a.c", "/odd/line\nbreak, and/a.h"])
        #expect(CompilerReads.prerequisites(inMakefile: "a:\\\n b") == ["b"])
    }

    @Test("gcc's list of folders includes those that do not exist, and the compiler proper")
    func search() {
        let text = """
            Using built-in specs.
             /usr/lib/gcc/x86_64-linux-gnu/12/cc1 -E -quiet /dev/null
            ignoring nonexistent directory "/usr/local/include/x86_64-linux-gnu"
            #include "..." search starts here:
             /quoted
            #include <...> search starts here:
             /usr/include
            End of search list.
             /no/folder
            """
        let found = CompilerReads.searchList(inVerboseOutput: text)
        #expect(found.folders == ["/usr/local/include/x86_64-linux-gnu", "/quoted", "/usr/include"])
        #expect(found.compiler == "/usr/lib/gcc/x86_64-linux-gnu/12/cc1")
    }

    @Test("file names are found in every form of C and assembly")
    func names() {
        let text = #"""
            #include "a.h"
              #  include_next <b.h>
            #if __has_include(<c/d.h>) && __has_include ("e.h")
            #embed "f.bin"
            __asm__(".incbin \"g.bin\"");
            .include "h.s"
            puts("no header.h");
            #include MACRO
            """#
        let found = CompilerReads.includedNames(in: Array(text.utf8))
        #expect(found.angled == ["b.h", "c/d.h"])
        #expect(found.quoted.isSuperset(of: ["a.h", "e.h", "f.bin", "g.bin", "h.s"]))
    }

    @Test(
        "a header is recorded as missing where it would be found first: beside the including file, and in the listed folders"
    )
    func absent() {
        let texts = ["/p/a.c": "#include \"x.h\"\n#include <sys/y.h>\n", "/lib/x.h": "#include \"z.h\"\n"]
        let there: Set<String> = ["/lib/x.h", "/usr/sys/y.h", "/lib/z.h"]
        let missed = CompilerReads.missed(
            including: ["/p/a.c", "/lib/x.h", "/usr/sys/y.h"], folders: ["/lib", "/usr"],
            text: { texts[$0].map { Array($0.utf8) } }, exists: { there.contains($0) })
        #expect(missed.absent == ["/p/x.h", "/usr/x.h", "/lib/sys/y.h", "/usr/z.h"])
        #expect(missed.passedOver == ["/lib/z.h"])
    }

    @Test("a variable is passed to a tool only when it has no effect or is part of the key")
    func environment() {
        let inherited = [
            "PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "https_proxy": "p", "CPATH": "/inc", "GITHUB_RUN_ID": "7",
            "SOURCE_DATE_EPOCH": "1", "MY_FLAG": "x", "SWIFT_EXEC": "s",
        ]
        let plain = ToolEnvironment(inherited)
        #expect(plain.recorded == ["CPATH": "/inc", "SOURCE_DATE_EPOCH": "1", "SWIFT_EXEC": "s"])
        #expect(
            Set(plain.variables.keys).subtracting(plain.recorded.keys) == ["PATH", "HOME", "LC_ALL", "https_proxy"])
        let asked = ToolEnvironment(inherited, namedIn: ["Context.environment[\"MY_FLAG\"], HOME"])
        #expect(asked.recorded["MY_FLAG"] == "x")
        #expect(asked.recorded["HOME"] == "/h")
        #expect(asked.variables["GITHUB_RUN_ID"] == nil)
        #expect(ToolEnvironment.confined.variables.isEmpty)
    }

    private func description(_ json: String) throws -> SwiftPackages.Description {
        try SwiftPackages.Description(parsing: "warning: a note\n" + json)
    }

    @Test("the inputs of a package are the folders that SwiftPM names, in all its dependencies")
    func packages() throws {
        let main = try description(
            """
            {"name": "Suite", "dependencies": [{"type": "fileSystem", "path": "/s/Lib"}, {"type": "sourceControl"}],
             "products": [], "targets": [
              {"name": "T", "type": "test", "path": "Tests/T", "product_dependencies": ["L", "Remote"]},
              {"name": "Alone", "type": "library", "path": "odd/place"}]}
            """)
        let library = try description(
            """
            {"name": "Lib", "dependencies": [], "products": [{"name": "L", "targets": ["L"]}], "targets": [
              {"name": "L", "type": "library", "path": ".", "target_dependencies": ["C"]},
              {"name": "C", "type": "library", "path": "C"},
              {"name": "P", "type": "plugin", "path": "Plugins/P"},
              {"name": "U", "type": "library", "path": "U", "target_dependencies": ["P"]}]}
            """)
        var packages = SwiftPackages(
            packages: [
                .init(root: "/s", description: main, state: .of("")),
                .init(root: "/s/Lib", description: library, state: .of("")),
            ], environment: [:])
        #expect(packages.testProduct == "SuitePackageTests.xctest")
        #expect(packages.folders.map(\.string) == ["/s/Lib", "/s/Lib/C", "/s/Tests/T", "/s/odd/place"])
        // A plugin may read its package whole.
        packages.packages[1].description.targets[0].targetDependencies = ["U"]
        packages.packages[1].description.targets[0].path = "L"
        #expect(packages.folders.contains("/s/Lib"))
        packages.packages[0].description.targets.removeFirst()
        #expect(packages.testProduct == nil)
    }

    @Test("files of editors and version control in a package are not inputs")
    func inputs() {
        for path in [".build", "a/.git", ".swiftpm", "a/.#b.c", "a/b.c~", "a/.b.c.swp", ".x.swo", "4913"] {
            #expect(!SwiftPackages.isInput(path), "\(path)")
        }
        for path in ["a.swift", "a/b.h", ".hidden", "a/.data", "swp"] {
            #expect(SwiftPackages.isInput(path), "\(path)")
        }
    }
}
