// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import SystemPackage
import Testing

@testable import Patching
@testable import Syscalls

@Suite(.timeLimit(.minutes(30))) struct SyscallSpecTests {
    private let scratch: PatchScratch

    init() throws {
        scratch = try PatchScratch()
        try scratch.write("", to: "x.c")
    }

    private func load(_ yaml: String) throws -> SyscallSpec {
        try scratch.write(yaml, to: SyscallSpec.fileName)
        return try SyscallSpec.load(folder: scratch.path)
    }

    @Test func readsAllKeys() throws {
        try scratch.write("", to: "x.h")
        let spec = try load(
            """
            folder: drivers/misc
            sources: [x.c]
            headers: [x.h]
            syscalls:
              - name: one
                arguments: ["const struct a __user *const *p", unsigned long flags]
                number: { "6.1": 451 }
                abi: "64"
                i386: { number: 470, compat: [compat_uptr_t p] }
              - name: two

            """)
        #expect(spec.folder == "drivers/misc")
        #expect(spec.files.map(\.kind) == [.source, .header])
        #expect(
            spec.syscalls[0].arguments.map(\.declaration) == ["const struct a __user *const *p", "unsigned long flags"])
        #expect(spec.syscalls[0].number.pin(on: KernelVersion(6, 1, 9)) == 451)
        #expect(spec.syscalls[0].number.pin(on: KernelVersion(6, 12)) == nil)
        #expect(spec.syscalls[0].abi == .x64)
        #expect(spec.syscalls[0].ia32?.number.pin(on: KernelVersion(6, 1)) == 470)
        #expect(spec.syscalls[0].ia32?.compatArguments?.map(\.name.text) == ["p"])
        #expect(spec.syscalls[1].ia32 == nil)
        #expect(spec.syscalls[1].arguments.isEmpty)
        #expect(spec.syscalls[1].line == 10)
    }

    @Test(arguments: [
        ("sources: [x.c]\nsyscalls:\n  - name: a\n    argument: []\n", 4, "unknown key argument"),
        ("sources: [x.c]\nsyscals: []\n", 2, "unknown key syscals"),
        ("sources: x.c\nsyscalls: [{ name: a }]\n", 1, "sources must be a list of texts; for example sources: [x.c]"),
        ("sources: [y.c]\nsyscalls: [{ name: a }]\n", 1, "there is no file y.c beside the spec; did you mean x.c?"),
        ("sources: [x.c]\nsyscalls: [{ name: a, nubmer: 4 }]\n", 2, "unknown key nubmer; did you mean number?"),
        ("sources: [x.c]\nsyscalls: [{ name: a, abi:64 }]\n", 2, "unknown key abi:64; write a blank after the colon"),
        ("sources: [x.c]\nsyscalls: [{ name: a, abi: comon }]\n", 2, "(common, 64); did you mean common?"),
        ("sources: [x.c]\nsyscalls:\n  name: a\n", 3, "write a dash before the first key of each entry"),
        ("sources: [../x.c]\nsyscalls: [{ name: a }]\n", 1, "is not the name of a .c file"),
        ("folder: ../x\nsources: [x.c]\nsyscalls: [{ name: a }]\n", 1, "leaves the tree"),
        ("sources: [x.c]\nsyscalls:\n  - name: a-b\n", 3, "is not a C identifier"),
        ("sources: [x.c]\nsyscalls:\n  - name: a\n    number: four\n", 4, "number must be a number, or a mapping"),
        ("sources: [x.c]\nsyscalls:\n  - name: a\n    number: { new: 4 }\n", 4, "VERSION.PATCHLEVEL"),
        ("sources: [x.c]\nsyscalls:\n  - name: a\n    abi: x32\n", 4, "is not an ABI"),
        ("sources: [x.c]\nsyscalls:\n  - name: a\n    arguments: [int]\n", 4, "is not a C type and a name"),
        (
            "sources: [x.c]\nsyscalls:\n  - name: a\n    arguments: [int a, int b, int c, int d, int e, int f, int g]\n",
            4, "at most 6"
        ),
        ("sources: [x.c]\nsyscalls:\n  - name: a\n  - name: a\n", 4, "declared twice"),
        ("sources: [x.c]\n", 1, "no call is listed"),
        ("syscalls: [{ name: a }]\n", 1, "no C file is listed"),
        ("- a\n", 1, "a mapping with the keys"),
        ("folder: kernel\nfolder: kernel\n", 2, "the key folder occurs twice in one map, first on line 1"),
        ("sources: [x.c]\nsyscalls: [{name: a, abi: 64, abi: 64}]\n", 2, "the key abi occurs twice in one map"),
        ("folder:kernel\nsources: [x.c]\n", 1, "write a blank after the colon: folder: kernel"),
        ("folder:kernel\n", 1, "write a blank after the colon: folder: kernel"),
        ("folder: kernel\n\tsources: [x.c]\n", 2, "a tab indents this line"),
    ])
    func namesTheLineOfAMistake(yaml: String, line: Int, reason: String) throws {
        let failed = failure { _ = try load(yaml) }
        #expect(failed?.code == .usage)
        #expect(failed?.message.contains("\(SyscallSpec.fileName):\(line):") == true, "\(failed?.message ?? "none")")
        #expect(failed?.message.contains(reason) == true, "\(failed?.message ?? "none")")
    }

    @Test(
        "links in a call's folder are refused by name, and not followed",
        arguments: ["syscall.yaml", "x.c", "x.h", "Makefile"])
    func links(name: String) throws {
        let yaml = "sources: [x.c]\nheaders: [x.h]\nsyscalls: [{ name: a }]\n"
        let texts = ["x.c": "", "x.h": "", "Makefile": "", SyscallSpec.fileName: yaml]
        for (file, text) in texts { try scratch.write(text, to: "call/\(file)") }
        #expect(try SyscallSpec.load(folder: scratch.path.appending("call")).files.count == 3)
        try scratch.write(texts[name] ?? "", to: "elsewhere/\(name)")
        let link = scratch.path.appending("call/\(name)")
        try removeAll(link)
        try FileManager.default.createSymbolicLink(
            atPath: link.string, withDestinationPath: "../elsewhere/\(name)")
        let failed = failure { _ = try SyscallSpec.load(folder: scratch.path.appending("call")) }
        #expect(failed?.message.contains("\(link) is a link") == true, "\(failed?.message ?? "nothing")")
    }

    @Test("a folder in place of a call's file is reported", arguments: ["syscall.yaml", "x.c", "Makefile"])
    func folders(name: String) throws {
        try scratch.write("sources: [x.c]\nsyscalls: [{ name: a }]\n", to: SyscallSpec.fileName)
        try removeAll(scratch.path.appending(name))
        try scratch.write("", to: "\(name)/file")
        let failed = failure { _ = try SyscallSpec.load(folder: scratch.path) }
        #expect(failed?.message.contains("is not a regular file") == true, "\(failed?.message ?? "nothing")")
    }

    @Test func unknownKeysListTheAllowedOnes() {
        let failed = failure { _ = try load("source: [x.c]\n") }
        #expect(failed?.details == "allowed: folder, sources, headers, syscalls")
        #expect(failure { _ = try load("sources: [x.c\n") }?.code == .usage)
    }

    @Test func scansDefinitionsOutsideOfCommentsStringsAndMacros() {
        let text = """
            /* SYSCALL_DEFINE0(a) */
            // SYSCALL_DEFINE0(b)
            #define WRAP(x) \\
            \tSYSCALL_DEFINE0(c)
            static const char *s = "SYSCALL_DEFINE0(d) \\" \\
            ";
            COMPAT_SYSCALL_DEFINE2(e, compat_uptr_t,
            \tp, void (*)(int), f)
            SYSCALL_DEFINE0(g)
            """
        let found = SyscallDefinition.scan(Array(text.utf8))
        #expect(found.map(\.name) == ["e", "g"])
        #expect(found[0].isCompat)
        #expect(found[0].line == 7)
        #expect(found[0].parameters == ["compat_uptr_t", "p", "void (*)(int)", "f"])
        #expect(found[1].line == 9)
    }

    @Test func readsTheKernelsVersion() {
        let makefile = "# x\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION = -rc1\n"
        #expect(KernelVersion(makefile: makefile) == KernelVersion(6, 12, 117))
        #expect(KernelVersion(makefile: makefile)?.series == "6.12")
        #expect(KernelVersion(makefile: "VERSION = 6\n") == nil)
        #expect(KernelVersion(6, 1, 192) < KernelVersion(6, 12, 0))
    }
}
