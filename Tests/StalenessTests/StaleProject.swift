// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import ProjectFixture
import SystemPackage

/// A project whose verdict shows the value of each of its inputs: 7 passes, 8 fails.
final class StaleProject {
    /// A kind of input.
    struct Kind: Sendable {
        var name: String
        /// The weight of its selection; kernels take ten times as long as programs.
        var weight = 3
        /// The name of the draft in the cache while the input is read; nil when the input is read only briefly.
        var step: String?
        /// The files with their contents, by the value and a number that differs each time.
        var files: @Sendable (_ value: Int, _ number: Int) -> [String: String] = { _, _ in [:] }
        /// Links with these targets.
        var links: @Sendable (_ value: Int) -> [String: String] = { _ in [:] }
        /// Files that exist only for 8.
        var appearing: [String: String] = [:]
        /// Variables of kbuild's environment.
        var environment: @Sendable (_ value: Int) -> [String: String] = { _ in [:] }
    }

    let fixture: Fixture
    private var environment: [String: String] = [:]

    init(_ fixture: Fixture) throws {
        self.fixture = fixture
        // The folder of tools comes first; the one tool in it is a kind of input.
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        environment["PATH"] = "\(fixture.project.appending("tools")):\(path)"
        let pinned = try Self.pinned.get()
        environment["STALE_PINNED"] = "file://\(pinned.folder)"
        try fixture.write("kbuild.yaml", Self.project)
        for (file, text) in Self.suite { try fixture.write(file, text) }
        for kind in Self.kinds { try set(kind, toGood: true, 0) }
    }

    /// Runs all tests.
    ///
    /// - Returns: How kbuild ended.
    func run() async throws -> ProcessStatus {
        try await fixture.report(["run"], environment: environment.mapValues { .some($0) }).result.status
    }

    /// Gives an input its good value, or the bad one.
    func set(_ kind: Kind, toGood isGood: Bool, _ number: Int) throws {
        let value = isGood ? 7 : 8
        for (file, text) in kind.files(value, number) {
            try fixture.write(file, text)
            if file.hasPrefix("tools/") { chmod(fixture.project.pushing(FilePath(file)).string, 0o755) }
        }
        for (link, target) in kind.links(value) {
            let path = fixture.project.pushing(FilePath(link))
            try createFolder(path.removingLastComponent())
            try? removeAll(path)
            symlink(target, path.string)
        }
        for (file, text) in kind.appearing {
            if isGood { try removeAll(fixture.project.pushing(FilePath(file))) } else { try fixture.write(file, text) }
        }
        environment.merge(kind.environment(value)) { $1 }
    }

    /// Lets kbuild build the result of an input, and changes the input meanwhile.
    ///
    /// - Returns: Whether the build was seen.
    func run(
        changing kind: Kind, toGood isGood: Bool, during step: String, after delay: Double, _ number: Int
    ) async throws -> Bool {
        // The same value in a changed file, so that there is something to build.
        try set(kind, toGood: !isGood, number)
        try await Task.sleep(for: .milliseconds(50))
        let layout = try CacheLayout(environment: ProcessInfo.processInfo.environment)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try Fixture.executable())
        process.arguments = ["run"]
        process.currentDirectoryURL = URL(fileURLWithPath: fixture.project.string)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        var isSeen = false
        while process.isRunning, !isSeen {
            isSeen = ((try? namesInFolder(layout.temporary)) ?? []).contains { $0.hasPrefix(step + "-") }
            try await Task.sleep(for: .milliseconds(2))
        }
        try await Task.sleep(for: .seconds(delay))
        try set(kind, toGood: isGood, number + 100_000)
        while process.isRunning { try await Task.sleep(for: .milliseconds(20)) }
        return isSeen
    }

    // MARK: The project

    private static let project = """
        kernel:
          source: linux-source-6.1
          patches: [kernel/gated, kernel/series]
          config: [configs/base.config, configs/stale.config]
        rootfs: {type: disk, definition: rootfs/default.yaml}
        machine: {memory: 768M}
        tests-from: patched
        tests:
          - {c: p/main.c}
          - {swift: suite}
          - {kselftest: stale}

        """

    private static func program(_ value: Int) -> String {
        """
        #define _GNU_SOURCE
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/utsname.h>
        #include "near.h"
        #include "../lib/far.h"
        #include "util/more.c"
        #include "linked.h"
        #if __has_include("appearing.h")
        #include "appearing.h"
        #else
        #define APPEARING 7
        #endif
        #include <variable.h>
        __asm__(".data\\n.globl blob\\nblob: .incbin \\"data.bin\\"\\n.byte 0\\n.text");
        extern char blob[];
        static int bad;
        static void check(const char *what, int good) { if (!good) { printf("%s\\n", what); bad = 1; } }
        static int holds(const char *path, const char *text) {
            char buffer[4096] = "";
            FILE *file = fopen(path, "r");
            if (!file) return 0;
            size_t count = fread(buffer, 1, sizeof buffer - 1, file);
            fclose(file);
            buffer[count] = 0;
            return strstr(buffer, text) != NULL;
        }
        int main(void) {
            struct utsname name;
            uname(&name);
            check("source", \(value) == 7);
            check("near", NEAR == 7);
            check("far", FAR == 7);
            check("more", MORE == 7);
            check("linked", LINKED == 7);
            check("appearing", APPEARING == 7);
            check("variable", VARIABLE == 7);
            check("blob", blob[0] == '7');
            check("text", holds("/etc/stale-text", "v7 "));
            check("file", holds("/etc/stale-file", "v7 "));
            check("init", getenv("HOME") && !strcmp(getenv("HOME"), "/root"));
            check("config", strstr(name.release, "-seven") != NULL);
            check("patch", holds("/proc/cmdline", "patch=7"));
            check("series", holds("/proc/cmdline", "series=7"));
            check("spec", __NR_gated == 470);
            return bad;
        }

        """
    }

    /// A patch that has /proc/cmdline begin with patch=`value`.
    private static func patch(_ value: Int) -> String {
        """
        --- a/fs/proc/cmdline.c
        +++ b/fs/proc/cmdline.c
        @@ -7,3 +7,4 @@
         static int cmdline_proc_show(struct seq_file *m, void *v)
         {
        +\tseq_puts(m, "patch=\(value) ");
         \tseq_puts(m, saved_command_line);

        """
    }

    /// A patch that has /proc/cmdline end with series=`value`.
    private static func laterPatch(_ value: Int) -> String {
        """
        --- a/fs/proc/cmdline.c
        +++ b/fs/proc/cmdline.c
        @@ -10,3 +10,4 @@
         \tseq_puts(m, saved_command_line);
         \tseq_putc(m, '\\n');
        +\tseq_puts(m, "series=\(value) ");
         \treturn 0;

        """
    }

    static let kinds: [Kind] = [
        Kind(name: "C file", step: "program") { ["p/main.c": program($0) + "/* \($1) */\n"] },
        Kind(name: "header beside the file", step: "program") { ["p/near.h": "#define NEAR \($0) /* \($1) */\n"] },
        Kind(name: "header far away", step: "program") { ["lib/far.h": "#define FAR \($0) /* \($1) */\n"] },
        Kind(name: "included C file", step: "program") { ["p/util/more.c": "enum { MORE = \($0) }; /* \($1) */\n"] },
        Kind(name: "file of .incbin", step: "program") { ["p/data.bin": "\($0) \($1)"] },
        Kind(
            name: "link to a header", step: "program",
            files: { _, _ in
                ["lib/linked-7.h": "#define LINKED 7\n", "lib/linked-8.h": "#define LINKED 8\n"]
            }, links: { ["p/linked.h": "../lib/linked-\($0).h"] }),
        Kind(name: "header that appears", step: "program", appearing: ["p/appearing.h": "#define APPEARING 8\n"]),
        Kind(
            name: "environment of gcc",
            files: { _, _ in
                ["lib/e7/variable.h": "#define VARIABLE 7\n", "lib/e8/variable.h": "#define VARIABLE 8\n"]
            }, environment: { ["CPATH": "../lib/e\($0)"] }),
        Kind(name: "text of the rootfs definition", step: "rootfs-disk") { value, number in
            ["rootfs/default.yaml": definition(value, number)]
        },
        Kind(name: "file of the rootfs", step: "rootfs-disk") { ["rootfs/stale.txt": "v\($0) \($1)\n"] },
        Kind(name: "init", step: "init") { value, number in
            ["rootfs/init/System.swift": initSource(value) + "// \(number)\n"]
        },
        Kind(name: "version of a tool", weight: 1, step: "init") { ["tools/swiftc": compiler($0, $1)] },
        Kind(name: "resolved pins", step: "bundle") { value, _ in ["suite/Package.resolved": pins(value)] },
        Kind(name: "Swift source", step: "bundle") { ["suite/Tests/T/value.swift": "let source = \($0) // \($1)\n"] },
        Kind(
            name: "Swift source that is a link", step: "bundle",
            files: { ["far/linked.swift": "let linked = \($0) // \($1)\n"] },
            links: { _ in
                ["suite/Tests/T/linked.swift": "../../../far/linked.swift"]
            }),
        Kind(name: "local package inside", step: "bundle") {
            ["suite/Lib/code/lib.swift": "public let library = \($0) // \($1)\n"]
        },
        Kind(name: "resource", step: "bundle") { ["suite/Tests/T/value.txt": "\($0) \($1)\n"] },
        Kind(name: "far header of a package", step: "bundle") {
            ["far/value.h": "#define FAR_VALUE \($0) /* \($1) */\n"]
        },
        Kind(
            name: "environment of a manifest", files: { _, _ in [:] }, environment: { ["STALE_FLAG": "V\($0)"] }),
        Kind(name: "name of the package", step: "bundle") { value, number in
            // A bundle of the other name stays in the build folder; it comes first in the alphabet.
            [
                "suite/Package.swift": manifest("Suite\(value == 7 ? "A" : "B")"),
                "suite/Tests/T/name.swift": "let name = \(value) // \(number)\n",
            ]
        },
        Kind(name: "configuration fragment", weight: 1) { value, _ in
            ["configs/stale.config": "CONFIG_LOCALVERSION=\"-\(value == 7 ? "seven" : "eight")\"\n"]
        },
        Kind(name: "patch", weight: 1) { value, _ in
            ["kernel/series/patch.patch": patch(value)]
        },
        Kind(
            name: "series", weight: 1,
            files: { value, _ in
                [
                    "kernel/series/value-7.patch": laterPatch(7),
                    "kernel/series/value-8.patch": laterPatch(8),
                    "kernel/series/series": "patch.patch\nvalue-\(value).patch\nselftest.patch\nmakefile.patch\n",
                ]
            }),
        Kind(name: "spec of a system call", weight: 1) { value, _ in
            [
                "kernel/gated/syscall.yaml": """
                folder: kernel
                sources: [gated.c]
                syscalls:
                  - name: gated
                    number: { "6.1": \(value == 7 ? 470 : 471) }
                    arguments: []

                """
            ]
        },
        Kind(name: "selftest's source", weight: 1, step: "kselftest") { value, number in
            ["kernel/series/selftest.patch": selftest(value, number)]
        },
        Kind(name: "selftest's makefile", weight: 1, step: "kselftest") { value, number in
            ["kernel/series/makefile.patch": selftestMakefile(value)]
        },
    ]

    private static func selftest(_ value: Int, _ number: Int) -> String {
        """
        --- /dev/null
        +++ b/tools/testing/selftests/stale/stale.c
        @@ -0,0 +1,2 @@
        +/* \(number) */
        +int main(void) { return \(value) != 7 || MAKEFILE != 7; }

        """
    }

    private static func selftestMakefile(_ value: Int) -> String {
        """
        --- /dev/null
        +++ b/tools/testing/selftests/stale/Makefile
        @@ -0,0 +1,3 @@
        +CFLAGS += -DMAKEFILE=\(value)
        +TEST_GEN_PROGS := stale
        +include ../lib.mk

        """
    }

    private static let repositoryText: @Sendable (String) -> String = { name in
        (try? readText(Fixture.repository.pushing(FilePath(name)))) ?? ""
    }

    private static func definition(_ value: Int, _ number: Int) -> String {
        repositoryText("rootfs/default.yaml").replacingOccurrences(
            of: "\ntexts:\n",
            with: "\nfiles:\n  /etc/stale-file: stale.txt\ntexts:\n  /etc/stale-text: \"v\(value) \(number)\"\n")
    }

    private static func initSource(_ value: Int) -> String {
        repositoryText("rootfs/init/System.swift").replacingOccurrences(
            of: "(\"HOME=\", \"/root\")", with: "(\"HOME=\", \(value == 7 ? "homeOfTool" : "\"/tmp\""))")
                + """
                #if TOOL_8
                private let homeOfTool = "/tmp"
                #else
                private let homeOfTool = "/root"
                #endif

                """
    }

    /// A compiler that defines TOOL_7 or TOOL_8: another version of the tool.
    private static func compiler(_ value: Int, _ number: Int) -> String {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let places: [String] = folders.map { "\($0)/swiftc" }
        let real: String = places.first(where: { access($0, X_OK) == 0 }) ?? "swiftc"
        return "#!/bin/sh\n# \(number)\nexec \(real) -DTOOL_\(value) \"$@\"\n"
    }

    /// A repository with a package that a version pins: 1.0.7 and 1.0.8 differ.
    private static let pinned = Result { () throws -> (folder: FilePath, revisions: [Int: String]) in
        let folder = try CacheLayout(environment: ProcessInfo.processInfo.environment).root
            .appending("staleness").appending("pinned-package")
        try removeAll(folder)
        try createFolder(folder)
        func git(_ words: String...) throws -> String {
            let process = Process()
            let pipe = Pipe()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/git")
            process.arguments = ["-C", folder.string, "-c", "user.name=a", "-c", "user.email=a@b"] + words
            // SwiftPM remembers which revision a version had; the same dates give the same revisions.
            let date = "2000-01-01T00:00:00Z"
            process.environment = ProcessInfo.processInfo.environment.merging([
                "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date,
            ]) { $1 }
            process.standardOutput = pipe
            try process.run()
            let output = pipe.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            guard process.terminationStatus == 0 else { throw Failure(.infrastructure, "git \(words) failed") }
            return String(decoding: output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        try writeAtomically(
            """
            // swift-tools-version: 6.0
            import PackageDescription

            let package = Package(
                name: "pinned", products: [.library(name: "Pinned", targets: ["Pinned"])],
                targets: [.target(name: "Pinned", path: "code")])

            """, to: folder.appending("Package.swift"))
        try createFolder(folder.appending("code"))
        _ = try git("init", "--quiet", "--initial-branch=main")
        var revisions: [Int: String] = [:]
        for value in [7, 8] {
            try writeAtomically("public let pinned = \(value)\n", to: folder.pushing("code/pinned.swift"))
            _ = try git("add", ".")
            _ = try git("commit", "--quiet", "--message=\(value)")
            _ = try git("tag", "1.0.\(value)")
            revisions[value] = try git("rev-parse", "HEAD")
        }
        return (folder, revisions)
    }

    /// SwiftPM's file of pins, in its format 2.
    private static func pins(_ value: Int) -> String {
        guard let pinned = try? pinned.get(), let revision = pinned.revisions[value] else { return "" }
        return """
            {
              "pins" : [
                {
                  "identity" : "pinned-package",
                  "kind" : "remoteSourceControl",
                  "location" : "file://\(pinned.folder)",
                  "state" : { "revision" : "\(revision)", "version" : "1.0.\(value)" }
                }
              ],
              "version" : 2
            }

            """
    }

    private static func manifest(_ name: String) -> String {
        """
        // swift-tools-version: 6.0
        import PackageDescription

        let flag = Context.environment["STALE_FLAG"] ?? "none"
        let package = Package(
            name: "\(name)",
            dependencies: [
                .package(path: "Lib"), .package(url: Context.environment["STALE_PINNED"] ?? "", from: "1.0.0"),
            ],
            targets: [
                .target(name: "CFar"),
                .testTarget(
                    name: "T", dependencies: [
                        "CFar", .product(name: "Lib", package: "Lib"), .product(name: "Pinned", package: "pinned-package"),
                    ],
                    resources: [.embedInCode("value.txt")], swiftSettings: [.define(flag)]),
            ])

        """
    }

    /// The files of the Swift package that no kind changes.
    private static let suite: [String: String] = [
        "suite/Lib/Package.swift": """
        // swift-tools-version: 6.0
        import PackageDescription

        let package = Package(
            name: "Lib", products: [.library(name: "Lib", targets: ["Lib"])],
            targets: [.target(name: "Lib", path: "code")])

        """,
        "suite/Sources/CFar/far.c": "#include \"../../../far/value.h\"\nint far_value(void) { return FAR_VALUE; }\n",
        "suite/Sources/CFar/include/far.h": "int far_value(void);\n",
        "suite/Tests/T/test.swift": """
        import CFar
        import Lib
        import Pinned
        import Testing

        @Test func everything() {
            #expect(source == 7)
            #expect(linked == 7)
            #expect(library == 7)
            #expect(pinned == 7)
            #expect(name == 7)
            #expect(far_value() == 7)
            #expect(PackageResources.value_txt.first == 0x37)
            #if V7
            #else
            Issue.record("the flag is another one")
            #endif
        }

        """,
    ]
}
