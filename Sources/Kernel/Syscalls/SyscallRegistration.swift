// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Patching
import SystemPackage

/// Writes everything that a kernel needs for a spec's calls: the files themselves, the tables, the prototypes, the
/// fallback for kernels without them, and the Makefile.
///
/// A file's contents, not the kernel's version, decide how it is edited, so a kernel with a backported change is
/// handled correctly.
package struct SyscallRegistration {
    package private(set) var editor: TreeEditor
    private let spec: SyscallSpec
    /// The files of the tree that were changed.
    package private(set) var paths: Set<String> = []

    package init(editor: TreeEditor, spec: SyscallSpec) {
        self.editor = editor
        self.spec = spec
    }

    /// Registers all calls of the spec.
    ///
    /// - Throws: `Failure` (`patch`) when the tree has no place for a line.
    package mutating func register(numbers: inout SyscallNumbering, version: KernelVersion) throws {
        try addFiles()
        for call in spec.syscalls {
            guard let number = numbers.number(for: call, spec: spec) else { continue }
            try addToTable(call, number: number)
            if let ia32 = call.ia32 {
                let own = numbers.ia32Number(for: call, spec: spec, common: number, version: version)
                if let own { try addToIA32Table(call, ia32, number: own) }
            }
            try addToGenericTable(call, number: number)
            try addPrototype(call)
            try addFallback(call)
        }
    }

    private mutating func edit(_ path: String, _ body: (inout [String]) throws -> Void) throws {
        var lines = try editor.readLines(path)
        try body(&lines)
        try editor.writeLines(path, lines)
        paths.insert(path)
    }

    private func failure(_ message: String, _ nextStep: String? = nil) -> Failure {
        Failure(.patch, "\(spec.path): \(message)", nextStep: nextStep)
    }

    // MARK: Files and Makefile

    private mutating func addFiles() throws {
        let objects = spec.files.filter { $0.kind == .source }.map { String($0.name.dropLast(2)) + ".o" }
        let makefile = try existingMakefile(of: spec.folder)
        for file in spec.files {
            if file.kind == .makefile, makefile != nil {
                throw failure(
                    "a Makefile beside the spec is for a new folder, but \(spec.folder) is one of the kernel's",
                    "remove it: kbuild adds the objects to \(makefile ?? "the kernel's Makefile")")
            }
            let path = spec.treePath(of: file.name)
            guard try editor.read(path) == nil else {
                throw failure("\(path) is a file of the kernel already", "rename \(file.name)")
            }
            try editor.write(path, .init(bytes: file.bytes, isExecutable: false))
            paths.insert(path)
        }
        if let makefile {
            try edit(makefile) { lines in
                Self.insertObjects(objects.map { "obj-y += \($0)" }, into: &lines)
            }
        } else {
            if !spec.files.contains(where: { $0.kind == .makefile }) {
                let path = spec.treePath(of: "Makefile")
                let lines = ["# SPDX-License-Identifier: GPL-2.0"] + objects.map { "obj-y += \($0)" }
                try editor.writeLines(path, lines)
                paths.insert(path)
            }
            try hookFolder()
        }
    }

    /// Kbuild, the kernel's build system, reads a folder's Kbuild file or, if there is none, its Makefile.
    private func existingMakefile(of folder: String) throws -> String? {
        let prefix = folder == "." ? "" : folder + "/"
        for name in ["Kbuild", "Makefile"] where try editor.read(prefix + name) != nil { return prefix + name }
        return nil
    }

    /// Makes the build descend into the spec's new folder.
    private mutating func hookFolder() throws {
        let components = spec.folder.split(separator: "/").map(String.init)
        guard let name = components.last else { throw failure("the tree has no top-level Makefile") }
        let parent = components.count == 1 ? "." : components.dropLast().joined(separator: "/")
        if parent == "." { return try hookTopFolder(name) }
        guard let makefile = try existingMakefile(of: parent) else {
            throw failure("\(parent) has no Makefile that could build \(spec.folder)", "choose a folder of the kernel")
        }
        try edit(makefile) { lines in Self.insertObjects(["obj-y += \(name)/"], into: &lines) }
    }

    /// The top-level Kbuild lists the folders since 5.18; before that the top-level Makefile did, in core-y.
    private mutating func hookTopFolder(_ name: String) throws {
        for (file, variable) in [("Kbuild", "obj-y"), ("Makefile", "core-y")] where try editor.read(file) != nil {
            var lines = try editor.readLines(file)
            let index = lines.firstIndex { line in
                let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
                return words.count >= 3 && words[0] == variable && words[1] == "+=" && words.contains("kernel/")
            }
            guard var index else { continue }
            // A line that ends in a backslash continues.
            while lines[index].hasSuffix("\\"), index + 1 < lines.count { index += 1 }
            lines.insert("\(variable)\t\t\t+= \(name)/", at: index + 1)
            try editor.writeLines(file, lines)
            paths.insert(file)
            return
        }
        throw failure("neither Kbuild nor Makefile of the tree lists kernel/, so \(name)/ cannot be added beside it")
    }

    /// Inserts lines after the last unconditional `obj-y =`, which would discard the lines above it; else after the
    /// first unconditional addition to obj-y, or at the end.
    static func insertObjects(_ new: [String], into lines: inout [String]) {
        var depth = 0
        var position = lines.count
        var isFirst = true
        for (index, line) in lines.enumerated() {
            let text = line.trimmed
            if ["ifdef", "ifndef", "ifeq", "ifneq"].contains(where: { text.hasPrefix($0) }) { depth += 1 }
            if text.hasPrefix("endif") { depth -= 1 }
            let rest = text.hasPrefix("obj-y") ? text.dropFirst("obj-y".count).drop { $0 == " " || $0 == "\t" } : ""
            if depth == 0, rest.hasPrefix("=") || rest.hasPrefix("+=") || rest.hasPrefix(":=") {
                var end = index
                while lines[end].hasSuffix("\\"), end + 1 < lines.count { end += 1 }
                guard isFirst || !rest.hasPrefix("+=") else { continue }
                position = end + 1
                isFirst = false
            }
        }
        lines.insert(contentsOf: new, at: position)
    }

    // MARK: Tables

    private mutating func addToTable(_ call: SyscallSpec.Syscall, number: Int) throws {
        try edit(SyscallTable.x8664) { lines in
            var table = SyscallTable(lines)
            lines = table.insert(
                number: number, abi: call.abi, name: call.name, entry: "\(table.entryPrefix)\(call.name)",
                compat: nil)
        }
    }

    private mutating func addToIA32Table(
        _ call: SyscallSpec.Syscall, _ ia32: SyscallSpec.IA32, number: Int
    ) throws {
        try edit(SyscallTable.i386) { lines in
            var table = SyscallTable(lines)
            let wrapper = table.compatPrefix
            var compat: String? = ia32.compatArguments == nil ? nil : "compat_sys_\(call.name)"
            if let wrapper { compat = wrapper + (compat ?? "sys_\(call.name)") }
            lines = table.insert(
                number: number, abi: .i386, name: call.name, entry: "sys_\(call.name)", compat: compat)
        }
    }

    /// The numbers of other architectures: a header, and since 6.11 also a table.
    private mutating func addToGenericTable(_ call: SyscallSpec.Syscall, number: Int) throws {
        let compat = call.ia32?.compatArguments == nil ? nil : "compat_sys_\(call.name)"
        if try editor.read(SyscallTable.generic) != nil {
            try edit(SyscallTable.generic) { lines in
                var table = SyscallTable(lines)
                lines = table.insert(
                    number: number, abi: .common, name: call.name, entry: "sys_\(call.name)", compat: compat,
                    nameWidth: 32)
            }
        }
        let header = "include/uapi/asm-generic/unistd.h"
        guard try editor.read(header) != nil else { return }
        try edit(header) { lines in
            guard let last = lines.firstIndex(where: { $0.hasPrefix("#undef __NR_syscalls") }),
                let count = lines[last...].firstIndex(where: { $0.hasPrefix("#define __NR_syscalls") }),
                let limit = Int(lines[count].split(whereSeparator: { $0 == " " || $0 == "\t" }).last ?? "")
            else { throw Failure(.patch, "\(header) does not define __NR_syscalls") }
            // Before 5.1 each architecture had its own numbers.
            let own = number >= SyscallNumbering.unifiedFrom ? number : limit
            lines[count] = "#define __NR_syscalls \(max(limit, own + 1))"
            var position = last
            for (index, line) in lines[..<last].enumerated() {
                let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
                if words.count == 3, words[0] == "#define", words[1].hasPrefix("__NR_"), (Int(words[2]) ?? 0) > own {
                    position = index
                    break
                }
            }
            while position > 0, lines[position - 1].hasPrefix("#if") { position -= 1 }
            let entry =
                compat.map { "__SC_COMP(__NR_\(call.name), sys_\(call.name), \($0))" }
                ?? "__SYSCALL(__NR_\(call.name), sys_\(call.name))"
            lines.insert(contentsOf: ["#define __NR_\(call.name) \(own)", entry, ""], at: position)
        }
    }

    // MARK: Prototype and fallback

    private mutating func addPrototype(_ call: SyscallSpec.Syscall) throws {
        try edit("include/linux/syscalls.h") { lines in
            Self.insertPrototype(name: "sys_\(call.name)", call.arguments, into: &lines)
        }
        guard let arguments = call.ia32?.compatArguments else { return }
        try edit("include/linux/compat.h") { lines in
            Self.insertPrototype(name: "compat_sys_\(call.name)", arguments, into: &lines)
        }
    }

    /// Inserts a prototype at the usual place for new calls: before the calls that only some architectures have, which
    /// is within the part that architectures with syscall wrappers omit.
    static func insertPrototype(name: String, _ arguments: [SyscallSpec.Argument], into lines: inout [String]) {
        var position: Int
        if let heading = lines.firstIndex(where: { $0.contains("Architecture-specific system calls") }) {
            position = heading
            while position > 0, !lines[position].hasPrefix("/*") { position -= 1 }
        } else {
            position =
                lines.lastIndex { $0.hasPrefix("#endif /* CONFIG_ARCH_HAS_SYSCALL_WRAPPER") }
                ?? lines.lastIndex { $0.hasPrefix("#endif") } ?? lines.count
        }
        while position > 0, lines[position - 1].isEmpty { position -= 1 }
        // A struct that is first named in a parameter list would be local to that list.
        var new = arguments.compactMap { argument -> String? in
            let words = argument.type.split(whereSeparator: { $0 == " " || $0 == "*" })
            guard let index = words.firstIndex(where: { $0 == "struct" || $0 == "union" }), index + 1 < words.count
            else { return nil }
            let declaration = "\(words[index]) \(words[index + 1]);"
            return lines.contains(declaration) ? nil : declaration
        }
        new = Array(Set(new)).sorted()
        new += prototype(name: name, arguments)
        lines.insert(contentsOf: new, at: position)
    }

    /// A prototype in kernel style: wrapped before column 80, continued below the first parameter.
    private static func prototype(name: String, _ arguments: [SyscallSpec.Argument]) -> [String] {
        let start = "asmlinkage long \(name)("
        let indent = String(repeating: "\t", count: 4)
        var lines = [start]
        let words = arguments.isEmpty ? ["void"] : arguments.map(\.declaration)
        for (index, word) in words.enumerated() {
            let piece = word + (index + 1 < words.count ? "," : ");")
            let current = lines[lines.count - 1]
            if current.count + piece.count + 1 > 80, index > 0 {
                lines.append(indent + piece)
            } else {
                lines[lines.count - 1] = current + (index == 0 ? "" : " ") + piece
            }
        }
        return lines
    }

    private mutating func addFallback(_ call: SyscallSpec.Syscall) throws {
        try edit("kernel/sys_ni.c") { lines in
            // The macro's name changed in 4.17.
            let isOld = !lines.contains { $0.hasPrefix("COND_SYSCALL(") }
            lines += ["", isOld ? "cond_syscall(sys_\(call.name));" : "COND_SYSCALL(\(call.name));"]
            if call.ia32?.compatArguments != nil {
                lines.append(isOld ? "cond_syscall(compat_sys_\(call.name));" : "COND_SYSCALL_COMPAT(\(call.name));")
            }
        }
    }
}
