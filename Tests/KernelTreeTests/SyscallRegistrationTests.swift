// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Patching
import SystemPackage
import Testing

@testable import PatchedTree
@testable import Syscalls

@Suite(.timeLimit(.minutes(30))) struct SyscallRegistrationTests {
    private let scratch: PatchScratch
    private let pristine: FilePath

    init() throws {
        scratch = try PatchScratch()
        pristine = try writeSmallKernel(to: scratch)
    }

    private let putAndGet = """
        sources: [box.c]
        syscalls:
          - name: box_put
            arguments: [const char __user *buf, size_t len]
          - name: box_get
            arguments: [char __user *buf, size_t len]

        """
    private let boxC = """
        /* SYSCALL_DEFINE9(not, this) */
        #include <linux/syscalls.h>
        SYSCALL_DEFINE2(box_put, const char __user *, buf, size_t, len)
        {
        \treturn 0; // SYSCALL_DEFINE0(nor_this)
        }
        SYSCALL_DEFINE2(box_get,
        \t\tchar __user *, buf,
        \t\tsize_t, len)
        {
        \treturn 0;
        }

        """

    private func source(_ name: String, _ files: [String: String]) throws -> PatchSource {
        for (file, text) in files { try scratch.write(text, to: "\(name)/\(file)") }
        return try PatchSource.load(scratch.path.appending(name))
    }

    private func box(_ yaml: String? = nil, c: String? = nil, name: String = "box") throws -> PatchSource {
        try source(name, ["syscall.yaml": yaml ?? putAndGet, "box.c": c ?? boxC])
    }

    private func compute(_ sources: PatchSource...) throws -> TreeOverlay {
        try TreeOverlay.compute(pristine: pristine, sources: sources)
    }

    private func lines(_ overlay: TreeOverlay, _ path: String) -> [String] {
        guard case .file(let file) = overlay.files[path] else { return [] }
        return String(decoding: file.bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .map(String.init)
    }

    @Test func writesEveryPlaceOfACall() throws {
        let overlay = try compute(try box())
        #expect(
            overlay.files.keys.sorted() == [
                "arch/x86/entry/syscalls/syscall_64.tbl", "include/linux/syscalls.h",
                "include/uapi/asm-generic/unistd.h", "kernel/Makefile", "kernel/box.c", "kernel/sys_ni.c",
            ])
        let table = lines(overlay, SyscallTable.x8664)
        let first = try #require(table.firstIndex(of: "451\tcommon\tbox_put\t\t\tsys_box_put"))
        #expect(table[first - 1].hasPrefix("450\t"))
        #expect(table[first + 1] == "452\tcommon\tbox_get\t\t\tsys_box_get")

        let prototypes = lines(overlay, "include/linux/syscalls.h")
        let put = try #require(
            prototypes.firstIndex(of: "asmlinkage long sys_box_put(const char __user *buf, size_t len);"))
        #expect(prototypes[put - 1].contains("sys_memfd_secret"))
        #expect(
            prototypes[(put + 1)...].prefix(4) == [
                "asmlinkage long sys_box_get(char __user *buf, size_t len);", "", "/*",
                " * Architecture-specific system calls",
            ])
        #expect(
            lines(overlay, "include/uapi/asm-generic/unistd.h").suffix(9) == [
                "#define __NR_box_put 451", "__SYSCALL(__NR_box_put, sys_box_put)", "",
                "#define __NR_box_get 452", "__SYSCALL(__NR_box_get, sys_box_get)", "",
                "#undef __NR_syscalls", "#define __NR_syscalls 453", "",
            ])
        #expect(
            lines(overlay, "kernel/sys_ni.c").suffix(5) == [
                "", "COND_SYSCALL(box_put);", "", "COND_SYSCALL(box_get);", "",
            ])
        #expect(
            lines(overlay, "kernel/Makefile").prefix(4) == [
                "obj-y     = fork.o exec_domain.o \\", "\t    async.o range.o", "obj-y += box.o", "",
            ])
        #expect(overlay.userFiles == ["kernel/box.c": scratch.path.appending("box").appending("box.c")])
        #expect(
            overlay.syscalls.map { "\($0.name) \($0.number) \($0.abi)" } == [
                "box_put 451 common", "box_get 452 common",
            ])
        #expect(overlay.notes.isEmpty)
    }

    @Test func isAPureFunction() throws {
        #expect(try compute(try box()) == compute(try box()))
        #expect(try compute(try box()).digest != compute(try box(c: boxC + "\n")).digest)
    }

    @Test func pinnedNumbersComeFirstAndFreeOnesFillTheGaps() throws {
        let pinned = putAndGet.replacing(
            "len]\n  - name: box_get", with: "len]\n    number: { 6.1: 452, \"6.12\": 999 }\n  - name: box_get")
        let overlay = try compute(try box(pinned))
        #expect(overlay.syscalls.map(\.name.text) == ["box_get", "box_put"])
        #expect(overlay.syscalls.map(\.number) == [451, 452])
    }

    @Test func specsTakeTheNumbersThatASeriesLeaves() throws {
        let patch = """
            --- a/arch/x86/entry/syscalls/syscall_64.tbl
            +++ b/arch/x86/entry/syscalls/syscall_64.tbl
            @@ -2,4 +2,5 @@
             449\tcommon\tfutex_waitv\t\tsys_futex_waitv
             450\tcommon\tset_mempolicy_home_node\tsys_set_mempolicy_home_node
            +452\tcommon\tother\t\t\tsys_other
            \u{20}
             #
            --- a/include/uapi/asm-generic/unistd.h
            +++ b/include/uapi/asm-generic/unistd.h
            @@ -2,4 +2,7 @@
             __SYSCALL(__NR_set_mempolicy_home_node, sys_set_mempolicy_home_node)
            \u{20}
            +#define __NR_other 452
            +__SYSCALL(__NR_other, sys_other)
            +
             #undef __NR_syscalls
            -#define __NR_syscalls 451
            +#define __NR_syscalls 453
            --- a/include/linux/syscalls.h
            +++ b/include/linux/syscalls.h
            @@ -2,3 +2,4 @@
             #ifndef CONFIG_ARCH_HAS_SYSCALL_WRAPPER
             asmlinkage long sys_memfd_secret(unsigned int flags);
            +asmlinkage long sys_other(void);
            \u{20}
            --- a/kernel/fork.c
            +++ b/kernel/fork.c
            @@ -1,2 +1,3 @@
             line 1
            +SYSCALL_DEFINE0(other) { return 0; }
             line 2

            """
        let other = try source("other", ["1.patch": patch])
        // The series goes first wherever it is named, since it was made against the kernel's own table.
        let overlay = try compute(try box(), other)
        #expect(overlay.syscalls.map { "\($0.name) \($0.number)" } == ["box_put 451", "other 452", "box_get 453"])
        let table = lines(overlay, SyscallTable.x8664).compactMap {
            $0.split(separator: "\t").first.flatMap { Int($0) }
        }
        #expect(table == [449, 450, 451, 452, 453, 512, 547])
        let generic = lines(overlay, "include/uapi/asm-generic/unistd.h").filter { $0.hasPrefix("#define") }
        #expect(
            generic.dropFirst() == [
                "#define __NR_box_put 451", "#define __NR_other 452", "#define __NR_box_get 453",
                "#define __NR_syscalls 454",
            ])
        #expect(overlay.notes.isEmpty)

        let taken = try box(putAndGet + "    number: 452\n")
        let failed = failure { _ = try self.compute(taken, other) }
        #expect(failed?.code == .patch)
        #expect(
            failed?.message.contains("number 452 of box_get is taken by other, which a patch of this project") == true)
    }

    @Test(arguments: [
        ("450", "is taken by set_mempolicy_home_node, which Linux 6.1.192 has"), ("512", "is taken by"),
        ("520", "lies in x32's block"),
    ])
    func refusesANumberThatCannotBe(number: String, reason: String) throws {
        let source = try box(putAndGet + "    number: \(number)\n")
        let failed = failure { _ = try compute(source) }
        #expect(failed?.code == .patch)
        if number != "512" { #expect(failed?.message.contains(reason) == true, "\(failed?.message ?? "none")") }
    }

    @Test func remarksOnAGap() throws {
        let overlay = try compute(try box(putAndGet + "    number: 470\n"))
        #expect(overlay.notes.contains { $0.contains("number 470 of box_get leaves a gap below it") })
    }

    @Test func newTableOfOtherArchitecturesIsWrittenToo() throws {
        try scratch.write(
            "0\tcommon\tio_setup\t\t\tsys_io_setup\n450\tcommon\tx\t\t\tsys_x\n", to: "pristine/scripts/syscall.tbl")
        let overlay = try compute(try box())
        #expect(lines(overlay, "scripts/syscall.tbl").dropFirst(2).first == "451\tcommon\tbox_put\t\t\t\tsys_box_put")
    }

    @Test func kernelsBefore57NameTheWrapper() throws {
        let table = try #require(smallKernel[SyscallTable.x8664])
        try scratch.write(table.replacing("\tsys_", with: "\t__x64_sys_"), to: "pristine/\(SyscallTable.x8664)")
        #expect(
            lines(try compute(try box()), SyscallTable.x8664).contains("451\tcommon\tbox_put\t\t\t__x64_sys_box_put"))
    }

    @Test func registers32BitEntriesWithTheirOwnLayout() throws {
        let yaml = """
            sources: [box.c]
            syscalls:
              - name: copy
                arguments: [struct copy_args __user *args]
                i386:
                  compat: [struct compat_copy_args __user *args]
              - name: plain
                i386: true

            """
        let c = """
            SYSCALL_DEFINE1(copy, struct copy_args __user *, args) { return 0; }
            COMPAT_SYSCALL_DEFINE1(copy, struct compat_copy_args __user *, args) { return 0; }
            SYSCALL_DEFINE0(plain) { return 0; }

            """
        let overlay = try compute(try box(yaml, c: c))
        #expect(
            lines(overlay, SyscallTable.i386).suffix(3) == [
                "451\ti386\tcopy\t\t\tsys_copy\t\t\tcompat_sys_copy", "452\ti386\tplain\t\t\tsys_plain", "",
            ])
        #expect(lines(overlay, "include/linux/compat.h").contains("struct compat_copy_args;"))
        #expect(lines(overlay, "include/linux/syscalls.h").contains("asmlinkage long sys_plain(void);"))
        #expect(lines(overlay, "kernel/sys_ni.c").contains("COND_SYSCALL_COMPAT(copy);"))
        #expect(
            lines(overlay, "include/uapi/asm-generic/unistd.h").contains(
                "__SC_COMP(__NR_copy, sys_copy, compat_sys_copy)"))
        #expect(overlay.syscalls.filter { $0.abi == .i386 }.map(\.number) == [451, 452])
        #expect(overlay.notes.isEmpty)
    }

    @Test func aNewTopFolderIsBuilt() throws {
        let yaml = "folder: info\nsources: [box.c]\nsyscalls: [{ name: getProcessInfo }]\n"
        let c = "SYSCALL_DEFINE0(getProcessInfo)\n{\n\treturn 0;\n}\n"
        let overlay = try compute(try box(yaml, c: c))
        #expect(lines(overlay, "Kbuild")[2] == "obj-y\t\t\t+= info/")
        #expect(lines(overlay, "info/Makefile").contains("obj-y += box.o"))
        #expect(overlay.files["info/box.c"] != nil)
        #expect(overlay.notes.isEmpty)

        // The folder's own Makefile is taken as it is.
        try scratch.write("obj-y := box.o\nCFLAGS_box.o := -O1\n", to: "box/Makefile")
        #expect(lines(try compute(try box(yaml, c: c)), "info/Makefile").first == "obj-y := box.o")
        #expect(failure { _ = try compute(try box()) }?.message.contains("is for a new folder") == true)
    }

    @Test func olderKernelsListTopFoldersInTheMakefile() throws {
        try scratch.write("obj-y += bounds.h\n", to: "pristine/Kbuild")
        let makefile = try #require(smallKernel["Makefile"]) + "core-y\t\t+= kernel/ mm/ \\\n\t\t   fs/\n"
        try scratch.write(makefile, to: "pristine/Makefile")
        let yaml = "folder: info\nsources: [box.c]\nsyscalls: [{ name: getProcessInfo }]\n"
        let overlay = try compute(try box(yaml, c: "SYSCALL_DEFINE0(getProcessInfo) { return 0; }\n"))
        #expect(lines(overlay, "Makefile").suffix(2) == ["core-y\t\t\t+= info/", ""])
    }

    @Test func theCMustDefineWhatTheSpecDeclares() throws {
        let misnamed = boxC.replacing("SYSCALL_DEFINE2(box_get", with: "SYSCALL_DEFINE2(box_got")
        var failed = failure { _ = try compute(try box(c: misnamed)) }
        #expect(failed?.message.hasSuffix("syscall.yaml:5: no C file defines box_get with SYSCALL_DEFINE2") == true)
        #expect(failed?.details?.contains("box.c:7: SYSCALL_DEFINE2(box_got, ...)") == true)

        let fewer = boxC.replacing(
            "SYSCALL_DEFINE2(box_put, const char __user *, buf, size_t, len)",
            with: "SYSCALL_DEFINE1(box_put, const char __user *, buf)")
        failed = failure { _ = try compute(try box(c: fewer)) }
        #expect(failed?.message.contains("box.c:3: box_put has 1 argument(s) here, but 2 at") == true)

        let uneven = boxC.replacing("SYSCALL_DEFINE2(box_put", with: "SYSCALL_DEFINE3(box_put")
        failed = failure { _ = try compute(try box(c: uneven)) }
        #expect(failed?.message.contains("takes 3 pairs of type and name, but 4 words are given") == true)

        let otherType = boxC.replacing(
            "buf, size_t, len)\n{\n\treturn 0; //", with: "buf, int, len)\n{\n\treturn 0; //")
        #expect(
            try compute(try box(c: otherType)).notes.contains { $0.contains("len is \"int\" here, but \"size_t\"") })
    }

    @Test func refusesWhatTheKernelHasAlready() throws {
        let yaml = putAndGet.replacing("box_put", with: "futex_waitv")
        let c = boxC.replacing("box_put", with: "futex_waitv")
        #expect(
            failure { _ = try compute(try box(yaml, c: c)) }?.message.contains(
                "is in the table already, with number 449") == true)
        let same = putAndGet.replacing("box.c", with: "fork.c")
        let source = try source("fork", ["syscall.yaml": same, "fork.c": boxC])
        #expect(
            failure { _ = try compute(source) }?.message.contains("kernel/fork.c is a file of the kernel already")
                == true)
    }

    @Test func checksWhatASeriesRegisters() throws {
        func patch(_ row: String) -> String {
            """
            --- a/arch/x86/entry/syscalls/syscall_64.tbl
            +++ b/arch/x86/entry/syscalls/syscall_64.tbl
            @@ -7,2 +7,3 @@
             512\tx32\trt_sigaction\t\tcompat_sys_rt_sigaction
             547\tx32\tpwritev2\t\tcompat_sys_pwritev64v2
            +\(row)

            """
        }
        // compute refuses what the analysis finds; SyscallCheckTests has every kind.
        func failureOf(_ row: String) throws -> String? {
            let source = try source("s", ["1.patch": patch(row)])
            return failure { _ = try compute(source) }.map { $0.description }
        }
        #expect(
            try failureOf("450\tcommon\tmine\tsys_mine")?.contains(
                "1.patch:6: error: number 450 of mine is taken by set_mempolicy") == true)
        #expect(
            try failureOf("451\tcommon\tmine\t__x64_sys_mine")?.contains(
                "1.patch:6: error: the entry of mine is __x64_sys_mine") == true)
        #expect(try failureOf("530\tcommon\tmine\tsys_mine")?.contains("x32's block") == true)
        // Named once more, a call that the kernel has needs nothing else.
        let late = try source("s", ["1.patch": patch("451\tcommon\tmine\tsys_futex_waitv")])
        let notes = try compute(late).notes
        #expect(notes.count == 1)
        #expect(notes.first?.contains("mine stands after the x32 block") == true)
    }

    @Test func theHeaderNamesEachNumberForItsABI() throws {
        let (get, put) = (try #require(CIdentifier("get")), try #require(CIdentifier("put")))
        let text = SyscallHeader.text([
            .init(name: get, number: 452, abi: .common), .init(name: put, number: 451, abi: .common),
            .init(name: put, number: 460, abi: .i386),
        ])
        let native = text.range(
            of:
                "#if !defined(__i386__)\n#undef __NR_put\n#define __NR_put 451\n#undef __NR_get\n#define __NR_get 452\n#endif"
        )
        #expect(native != nil)
        #expect(text.contains("#if defined(__i386__)\n#undef __NR_put\n#define __NR_put 460\n#endif"))
        #expect(text.contains("#define __NR_ia32_put 460\n"))
        #expect(SyscallHeader.moduleMap.contains("module SyscallNumbers {\n    header \"kbuild_syscalls.h\""))
    }
}
