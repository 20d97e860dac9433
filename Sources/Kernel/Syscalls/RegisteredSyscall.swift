// SPDX-License-Identifier: Apache-2.0
/// A system call that an overlay adds to a kernel.
public struct RegisteredSyscall: Sendable, Hashable, Codable {
    /// The second column of a table: the programs that a row is for.
    public enum ABI: String, Sendable, Codable {
        /// x86-64 programs, x32 ones included.
        case common
        /// x86-64 programs only.
        case x64 = "64"
        /// x32 programs only.
        case x32
        /// 32-bit programs.
        case i386
    }

    /// The call's name.
    public var name: CIdentifier
    /// Its number.
    public var number: Int
    /// The ABI that the number is for.
    public var abi: ABI

    /// Creates a registered call.
    public init(name: CIdentifier, number: Int, abi: ABI) {
        self.name = name
        self.number = number
        self.abi = abi
    }
}

/// The header with the numbers of a kernel's added calls for test programs, so that no test repeats a number.
public enum SyscallHeader {
    /// The header's file name.
    public static let fileName = "kbuild_syscalls.h"
    /// The name of the clang module from which Swift imports the numbers.
    public static let moduleName = "SyscallNumbers"

    /// The module map to put beside the header.
    public static let moduleMap = """
        module \(moduleName) {
            header "\(fileName)"
            export *
        }

        """

    /// The header's text: `__NR_NAME` for programs of the machine's own ABI, and `__NR_ia32_NAME` for a 64-bit program
    /// that enters the kernel by `int 0x80`, as the kernel itself names these.
    ///
    /// The system's own header comes first, and its number of a call with the same name is replaced, because it belongs
    /// to another kernel.
    public static func text(_ syscalls: [RegisteredSyscall]) -> String {
        var lines = [
            "/* Written by kbuild: the numbers of the system calls that this kernel's patches add. */",
            "#ifndef KBUILD_SYSCALLS_H",
            "#define KBUILD_SYSCALLS_H",
            "",
            "#if defined(__has_include)",
            "#if __has_include(<asm/unistd.h>)",
            "#include <asm/unistd.h>",
            "#endif",
            "#endif",
            "",
        ]
        func define(_ name: String, _ number: Int) -> [String] {
            ["#undef \(name)", "#define \(name) \(number)"]
        }
        let sorted = syscalls.sorted { ($0.number, $0.name) < ($1.number, $1.name) }
        let native = sorted.filter { $0.abi == .common || $0.abi == .x64 }
        let ia32 = sorted.filter { $0.abi == .i386 }
        if !native.isEmpty {
            lines +=
                ["#if !defined(__i386__)"] + native.flatMap { define("__NR_\($0.name)", $0.number) } + ["#endif", ""]
        }
        if !ia32.isEmpty {
            lines += ["#if defined(__i386__)"] + ia32.flatMap { define("__NR_\($0.name)", $0.number) } + ["#endif", ""]
            lines += ia32.flatMap { define("__NR_ia32_\($0.name)", $0.number) } + [""]
        }
        return (lines + ["#endif"]).map { $0 + "\n" }.joined()
    }
}
