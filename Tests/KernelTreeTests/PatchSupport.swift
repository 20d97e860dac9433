// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import SystemPackage
import Testing

@testable import Patching

/// A folder that is removed with the value that names it.
final class PatchScratch: Sendable {
    let path: FilePath

    init() throws {
        path = FilePath("/tmp/kbuild-patch-test-\(getpid())-\(UInt32.random(in: 0 ... .max))")
        try createFolder(path)
    }

    deinit {
        try? removeAll(path)
    }

    func write(_ text: String, to file: String) throws {
        let target = path.pushing(FilePath(file))
        try createFolder(target.removingLastComponent())
        try writeAtomically(text, to: target)
    }

    func read(_ file: String) throws -> String { try readText(path.pushing(FilePath(file))) }
}

/// A tree with the files that registration edits, cut down to what it looks for.
func writeSmallKernel(to scratch: PatchScratch, folder: String = "pristine") throws -> FilePath {
    for (path, text) in smallKernel { try scratch.write(text, to: "\(folder)/\(path)") }
    let tree = scratch.path.appending(folder)
    // As unpacked from a tarball: older than anything that is built from it.
    for path in smallKernel.keys { try setTime(tree.pushing(FilePath(path)), seconds: 1_000_000_000) }
    return tree
}

func setTime(_ path: FilePath, seconds: Int) throws {
    let times = [timespec(tv_sec: seconds, tv_nsec: 0), timespec(tv_sec: seconds, tv_nsec: 0)]
    #expect(utimensat(AT_FDCWD, path.string, times, 0) == 0)
}

/// A copy of a tree by hard links, as the work tree is made.
func linkTree(_ tree: FilePath, to copy: FilePath) throws {
    var paths: [String] = []
    TreePath.forEachFile(in: tree) { paths.append($0) }
    for path in paths {
        let target = copy.pushing(FilePath(path))
        try createFolder(target.removingLastComponent())
        #expect(link(tree.pushing(FilePath(path)).string, target.string) == 0)
    }
}

/// The files below a folder and their contents.
func contents(of folder: FilePath) throws -> [String: String] {
    var files: [String: String] = [:]
    var paths: [String] = []
    TreePath.forEachFile(in: folder) { paths.append($0) }
    for path in paths { files[path] = try readText(folder.pushing(FilePath(path))) }
    return files
}

func failure(_ body: () throws -> Void) -> Failure? {
    do {
        try body()
        return nil
    } catch {
        return error as? Failure
    }
}

func parse(_ text: String, strip: Int = 1) throws -> [Patch] {
    try PatchParser.parse(Array(text.utf8), file: "x.patch", strip: strip)
}

let smallKernel: [String: String] = [
    "Makefile": """
    # SPDX-License-Identifier: GPL-2.0
    VERSION = 6
    PATCHLEVEL = 1
    SUBLEVEL = 192
    EXTRAVERSION =

    """,
    "Kbuild": "obj-y\t\t\t+= init/\nobj-y\t\t\t+= kernel/\nobj-y\t\t\t+= mm/\n",
    "kernel/Makefile": """
    obj-y     = fork.o exec_domain.o \\
    \t    async.o range.o

    obj-$(CONFIG_MODULES) += kmod.o

    """,
    "kernel/fork.c": (1...40).map { "line \($0)\n" }.joined(),
    "kernel/sys_ni.c": "#include <linux/unistd.h>\nCOND_SYSCALL(rseq);\n",
    "arch/x86/entry/syscalls/syscall_64.tbl": """
    # <number> <abi> <name> <entry point>
    449\tcommon\tfutex_waitv\t\tsys_futex_waitv
    450\tcommon\tset_mempolicy_home_node\tsys_set_mempolicy_home_node

    #
    # Do not add new syscalls to this range.
    512\tx32\trt_sigaction\t\tcompat_sys_rt_sigaction
    547\tx32\tpwritev2\t\tcompat_sys_pwritev64v2

    """,
    "arch/x86/entry/syscalls/syscall_32.tbl": """
    5\ti386\topen\t\t\tsys_open\t\t\tcompat_sys_open
    450\ti386\tset_mempolicy_home_node\t\tsys_set_mempolicy_home_node

    """,
    "include/linux/syscalls.h": """
    #ifndef _LINUX_SYSCALLS_H
    #ifndef CONFIG_ARCH_HAS_SYSCALL_WRAPPER
    asmlinkage long sys_memfd_secret(unsigned int flags);

    /*
     * Architecture-specific system calls
     */
    asmlinkage long sys_ioperm(unsigned long from, unsigned long num, int on);
    #endif /* CONFIG_ARCH_HAS_SYSCALL_WRAPPER */
    #endif

    """,
    "include/linux/compat.h": """
    #ifndef CONFIG_ARCH_HAS_SYSCALL_WRAPPER
    asmlinkage long compat_sys_open(const char __user *filename, int flags, umode_t mode);
    #endif /* CONFIG_ARCH_HAS_SYSCALL_WRAPPER */

    """,
    "include/uapi/asm-generic/unistd.h": """
    #define __NR_set_mempolicy_home_node 450
    __SYSCALL(__NR_set_mempolicy_home_node, sys_set_mempolicy_home_node)

    #undef __NR_syscalls
    #define __NR_syscalls 451

    """,
]
