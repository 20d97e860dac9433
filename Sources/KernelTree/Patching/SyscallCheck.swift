import Diagnostics

/// Looks at a patched tree for the mistakes that are made in registering a system call by hand. What cannot work is
/// an error; what may be meant is a remark.
struct SyscallCheck {
    private let editor: TreeEditor
    private let changedPaths: Set<String>

    init(editor: TreeEditor, changedPaths: Set<String>) {
        self.editor = editor
        self.changedPaths = changedPaths
    }

    /// The calls that the patches add.
    ///
    /// - Throws: `Failure` (`patch`) for a number that is taken, or an entry that the kernel's tables cannot have.
    func run(notes: inout [String]) throws -> [RegisteredSyscall] {
        var syscalls: [RegisteredSyscall] = []
        for path in [SyscallTable.x8664, SyscallTable.i386] where changedPaths.contains(path) {
            let before = SyscallTable(try TreeEditor(pristine: editor.pristine).readLines(path))
            let after = SyscallTable(try editor.readLines(path))
            let known = Set(before.rows.map { "\($0.number) \($0.abi) \($0.name)" })
            let added = after.rows.filter { !known.contains("\($0.number) \($0.abi) \($0.name)") }
            try checkNumbers(added, before: before, after: after, path: path, notes: &notes)
            for row in added where row.entry != nil {
                guard let abi = RegisteredSyscall.ABI(rawValue: row.abi) else {
                    throw Failure(.patch, "\(path):\(row.lineIndex + 1): \(row.abi) is no ABI (common, 64, x32, i386)")
                }
                syscalls.append(RegisteredSyscall(name: row.name, number: row.number, abi: abi))
            }
            if path == SyscallTable.x8664 { try checkEntries(added, notes: &notes) }
        }
        return syscalls.sorted { ($0.number, $0.name, $0.abi.rawValue) < ($1.number, $1.name, $1.abi.rawValue) }
    }

    private func checkNumbers(
        _ added: [SyscallTable.Row], before: SyscallTable, after: SyscallTable, path: String, notes: inout [String]
    ) throws {
        let is64 = path == SyscallTable.x8664
        let lastOfKernel = before.ordinaryRows.map(\.number).max() ?? -1
        let firstX32 = after.rows.first { $0.abi == "x32" }?.lineIndex
        for row in added {
            let place = "\(path):\(row.lineIndex + 1)"
            // 64 and x32 rows may share a number, since no program is both.
            let others = after.rows.filter { other in
                other.lineIndex != row.lineIndex && !Set([row.abi, other.abi]).isSuperset(of: ["64", "x32"])
            }
            if let other = others.first(where: { $0.number == row.number }) {
                throw Failure(
                    .patch, "\(place): number \(row.number) of \(row.name) is taken by \(other.name)",
                    details: "\(path):\(other.lineIndex + 1)", nextStep: "give \(row.name) a number that is free")
            }
            if let other = others.first(where: { $0.name == row.name }) {
                throw Failure(
                    .patch, "\(place): a call named \(row.name) is in the table already, with number \(other.number)",
                    nextStep: "choose another name")
            }
            guard is64, row.isCommon else { continue }
            if SyscallTable.x32Numbers.contains(row.number) {
                throw Failure(
                    .patch, "\(place): number \(row.number) of \(row.name) lies in x32's block, 512 to 547",
                    nextStep: "use \(lastOfKernel + 1) or above, or from 548 on")
            }
            let isWrapper = row.entry?.hasPrefix("__x64_sys_") ?? false
            let isPlain = (row.entry?.hasPrefix("sys_") ?? false) && row.entry != "sys_ni_syscall"
            if before.entryPrefix == "sys_" ? isWrapper : isPlain {
                throw Failure(
                    .patch,
                    "\(place): the entry of \(row.name) is \(row.entry ?? ""), but this kernel's table names "
                        + "entries \(before.entryPrefix)NAME",
                    nextStep: "write \(before.entryPrefix)\(row.name); kernels 4.17 to 5.6 have __x64_, others not")
            }
            if let firstX32, row.lineIndex > firstX32, row.number < SyscallTable.x32Numbers.lowerBound {
                notes.append("\(place): \(row.name) stands after the x32 block; common numbers belong before it")
            }
            if row.number > lastOfKernel + 1, row.number < SyscallTable.x32Numbers.lowerBound,
                after.row(number: row.number - 1) == nil
            {
                notes.append("\(place): number \(row.number) of \(row.name) leaves a gap below it")
            }
        }
    }

    /// The other places where a call is made known.
    private func checkEntries(_ added: [SyscallTable.Row], notes: inout [String]) throws {
        let native = added.filter(\.isCommon)
        guard !native.isEmpty else { return }
        let sources = changedPaths.filter { $0.hasSuffix(".c") }.sorted()
        let definitions = try sources.flatMap { path in
            SyscallDefinition.scan(try editor.read(path)?.bytes ?? []).map { (path, $0) }
        }
        let prototypes = (try? editor.readLines("include/linux/syscalls.h")) ?? []
        let generic = (try? editor.readLines("include/uapi/asm-generic/unistd.h")) ?? []
        for row in native {
            guard let (path, definition) = definitions.first(where: { $0.1.name == row.name && !$0.1.isCompat }) else {
                // Two names may share an entry that the kernel has, so this need not be wrong.
                notes.append("no changed C file defines \(row.name) with SYSCALL_DEFINE")
                continue
            }
            if definition.parameters.count != 2 * definition.count {
                throw Failure(
                    .patch,
                    "\(path):\(definition.line): \(definition.macro)(\(row.name), ...) takes \(definition.count) "
                        + "pairs of type and name, but \(definition.parameters.count) words are given")
            }
            try checkPrototype(row.name, definition, path: path, prototypes, notes: &notes)
            try checkIsBuilt(path, notes: &notes)
            if let limit = genericLimit(generic), let number = genericNumber(row.name, generic), number >= limit {
                notes.append(
                    "include/uapi/asm-generic/unistd.h: __NR_syscalls is \(limit), not above \(row.name)'s \(number)")
            }
        }
    }

    private func checkPrototype(
        _ name: String, _ definition: SyscallDefinition, path: String, _ lines: [String], notes: inout [String]
    ) throws {
        guard let index = lines.firstIndex(where: { $0.contains("sys_\(name)(") && !$0.contains("compat_sys_") }) else {
            notes.append("include/linux/syscalls.h has no prototype of sys_\(name)")
            return
        }
        var text = ""
        for line in lines[index...].prefix(8) {
            text += " " + line
            if line.contains(")") { break }
        }
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else { return }
        let inner = text[text.index(after: open)..<close].trimmed
        let count = inner == "void" || inner.isEmpty ? 0 : inner.split(separator: ",").count
        if count != definition.count {
            throw Failure(
                .patch,
                "\(path):\(definition.line): \(name) has \(definition.count) argument(s) here, but \(count) in its "
                    + "prototype", details: "include/linux/syscalls.h:\(index + 1):\(text)",
                nextStep: "make the two agree")
        }
    }

    /// Whether some Makefile on the way builds the file's object.
    private func checkIsBuilt(_ path: String, notes: inout [String]) throws {
        let components = path.split(separator: "/").map(String.init)
        guard let name = components.last, components.count > 1 else { return }
        let folder = components.dropLast().joined(separator: "/")
        let object = String(name.dropLast(2)) + ".o"
        let lines = ["Kbuild", "Makefile"].flatMap { (try? editor.readLines("\(folder)/\($0)")) ?? [] }
        let isNamed = lines.contains { line in
            line.split(whereSeparator: { " \t=:\\".contains($0) }).contains { $0 == object }
        }
        if !isNamed { notes.append("\(path) is not built: \(folder)/Makefile does not name \(object)") }
    }

    private func genericLimit(_ lines: [String]) -> Int? {
        lines.last { $0.hasPrefix("#define __NR_syscalls") }.flatMap {
            $0.split(separator: " ").last.flatMap { Int($0) }
        }
    }

    private func genericNumber(_ name: String, _ lines: [String]) -> Int? {
        lines.first { $0.hasPrefix("#define __NR_\(name) ") }.flatMap {
            $0.split(separator: " ").last.flatMap { Int($0) }
        }
    }
}
