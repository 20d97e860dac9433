// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Patching

/// Checks the other places, besides the tables, of a call that a series adds.
extension SyscallCheck {
    /// A definition in a C file that patches or specs change.
    private struct Found {
        var path: String
        var definition: SyscallDefinition
    }

    /// The C files, prototypes and Makefiles of the calls that are in the tables.
    mutating func checkEntries(native: [Added], ia32: [Added]) throws {
        let changed = final.changes.keys.filter { $0.hasSuffix(".c") }.sorted()
        let found = try changed.flatMap { path in
            SyscallDefinition.scan(try final.read(path)?.bytes ?? []).map { Found(path: path, definition: $0) }
        }
        // A call of the kernel itself may get another row, or be wired up for another ABI.
        let known = try [SyscallTable.x8664, SyscallTable.i386].reduce(into: Set<String>()) { known, path in
            guard try pristine.read(path) != nil else { return }
            for row in SyscallTable(try pristine.readLines(path)).rows {
                known.formUnion([row.entry, row.compat].compactMap { $0 }.map(SyscallTable.plainEntry))
            }
        }
        var checked: Set<String> = []
        for new in native + ia32 {
            guard let entry = new.row.entry, entry != "sys_ni_syscall", new.row.abi != "x32" else { continue }
            let name = SyscallTable.plainEntry(entry)
            if checked.insert(name).inserted, !known.contains(name) {
                try checkDefinition(name, new, found)
            }
            if let compat = new.row.compat, compat.contains("compat_sys_") {
                checkCompat(SyscallTable.plainEntry(compat), new, found)
            }
        }
        checkDoubles(found)
        for item in found
        where !item.definition.isCompat && isAdded(item.path, item.definition.line - 1)
            && !checked.contains(item.definition.name) && !known.contains(item.definition.name)
        {
            add(
                .warning, place(item),
                "\(item.definition.name) is defined, but no line of a system-call table names it",
                fix: "add a line to \(SyscallTable.x8664)")
        }
    }

    private func place(_ item: Found) -> SyscallFinding.Place { place(item.path, item.definition.line - 1) }

    private mutating func checkDefinition(_ name: String, _ new: Added, _ found: [Found]) throws {
        guard let item = found.first(where: { $0.definition.name == name && !$0.definition.isCompat }) else {
            return try checkPlainFunction(name, new, found)
        }
        let definition = item.definition
        if definition.parameters.count != 2 * definition.count {
            add(
                .error, place(item),
                "\(definition.macro)(\(name), ...) takes \(definition.count) pairs of type and name, but "
                    + "\(definition.parameters.count) words are given",
                fix: "write the type and the name of each argument, separated by commas")
        }
        try checkPrototype(name, item)
        try checkIsBuilt(item)
    }

    /// Before 4.17 a call could be an ordinary function; since then only the macro makes the entry.
    private mutating func checkPlainFunction(_ name: String, _ new: Added, _ found: [Found]) throws {
        for path in final.changes.keys.sorted() where path.hasSuffix(".c") {
            guard let file = try final.read(path) else { continue }
            let lines = SyscallDefinition.withoutComments(file.bytes).splitLines.map(\.display)
            guard let index = lines.firstIndex(where: { $0.contains("sys_\(name)(") && !$0.contains(";") }) else {
                continue
            }
            if version < KernelVersion(4, 17) { return }
            return add(
                .error, place(path, index),
                "sys_\(name) is an ordinary function, but Linux \(version) enters calls by a wrapper that only "
                    + "SYSCALL_DEFINE makes", fix: "define it as SYSCALL_DEFINEn(\(name), TYPE, NAME, ...)")
        }
        let others = found.filter { isAdded($0.path, $0.definition.line - 1) && !$0.definition.isCompat }
            .map { "\($0.definition.macro)(\($0.definition.name), ...) at \(place($0))" }
        add(
            .error, new.place, "no C file defines \(name) with SYSCALL_DEFINE (\(new.treePlace))",
            fix: "define it as SYSCALL_DEFINEn(\(name), TYPE, NAME, ...) in a C file of the series"
                + (others.isEmpty ? "" : "; it has " + others.joined(separator: " and ")))
    }

    private mutating func checkCompat(_ name: String, _ new: Added, _ found: [Found]) {
        guard !found.contains(where: { $0.definition.name == name && $0.definition.isCompat }) else { return }
        let tables = [SyscallTable.i386, SyscallTable.x8664]
        let isKnown = tables.contains { path in
            SyscallTable((try? pristine.readLines(path)) ?? []).rows.contains {
                [$0.entry, $0.compat].compactMap { $0 }.contains { entry in
                    entry.contains("compat_sys_") && SyscallTable.plainEntry(entry) == name
                }
            }
        }
        if isKnown { return }
        add(
            .error, new.place,
            "the line of \(new.row.name) names a compat entry, but no C file defines \(name) with "
                + "COMPAT_SYSCALL_DEFINE (\(new.treePlace))",
            fix: "define it as COMPAT_SYSCALL_DEFINEn(\(name), TYPE, NAME, ...), or leave the last column out where "
                + "32-bit programs may use sys_\(name)")
    }

    private mutating func checkDoubles(_ found: [Found]) {
        for (index, item) in found.enumerated() where isAdded(item.path, item.definition.line - 1) {
            let same = found[..<index].first {
                $0.definition.name == item.definition.name && $0.definition.isCompat == item.definition.isCompat
            }
            if let same {
                add(
                    .error, place(item), "\(item.definition.name) is defined twice, also at \(place(same))",
                    fix: "remove one of the two")
            }
        }
    }

    // MARK: Prototype

    private mutating func checkPrototype(_ name: String, _ item: Found) throws {
        let path = "include/linux/syscalls.h"
        let lines = (try? final.readLines(path)) ?? []
        let definition = item.definition
        let isPrototype = { (line: String) in
            line.contains("sys_\(name)(") && !line.contains("compat_sys_") && !line.contains("ksys_")
        }
        guard let index = lines.firstIndex(where: isPrototype) else {
            return add(
                .warning, place(item), "\(path) has no prototype of sys_\(name)",
                fix: "add asmlinkage long sys_\(name)(\(Self.parameters(definition)));")
        }
        var text = ""
        for line in lines[index...].prefix(8) {
            text += " " + line
            if line.contains(")") { break }
        }
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else { return }
        let inner = text[text.index(after: open)..<close].trimmed
        let count = inner == "void" || inner.isEmpty ? 0 : inner.split(separator: ",").count
        guard count != definition.count else { return }
        // The series' own header has the places; a spec's prototype is written by kbuild and is right.
        let inSeries = ((try? series.readLines(path)) ?? []).firstIndex(where: isPrototype)
        let other = inSeries.map { place(path, $0).description } ?? "\(path):\(index + 1)"
        // The compiler sees no prototype there on x86-64, so the kernel builds, and is right.
        let isSeen = !Self.isHidden(index, of: lines, whereDefined: "CONFIG_ARCH_HAS_SYSCALL_WRAPPER")
        add(
            isSeen ? .error : .warning, place(item),
            "\(name) has \(definition.count) argument(s) here, but \(count) in its prototype at \(other) "
                + "(\(path):\((inSeries ?? index) + 1))"
                + (isSeen ? "" : "; x86-64 does not read the prototype, user-mode Linux and other architectures do"),
            fix: "make the two agree: asmlinkage long sys_\(name)(\(Self.parameters(definition)));")
    }

    /// Whether the preprocessor omits a line when a macro is defined.
    ///
    /// - Parameter index: The line, counted from 0.
    static func isHidden(_ index: Int, of lines: [String], whereDefined macro: String) -> Bool {
        // For each condition around the line, whether it omits its current branch.
        var conditions: [Bool?] = []
        for line in lines[..<index] {
            let text = line.trimmed
            guard text.hasPrefix("#") else { continue }
            let words = text.dropFirst().replacing("(", with: " ").replacing(")", with: " ")
                .replacing("!", with: "! ").split { $0 == " " || $0 == "\t" }
            switch (words.first, words.dropFirst().first) {
            case ("ifndef", let name?): conditions.append(name == macro ? true : nil)
            case ("ifdef", let name?): conditions.append(name == macro ? false : nil)
            case ("if", _):
                let condition = words.dropFirst().joined(separator: " ")
                let isNegated = condition == "! defined \(macro)" || condition == "! IS_ENABLED \(macro)"
                let isPlain = condition == "defined \(macro)" || condition == "IS_ENABLED \(macro)"
                conditions.append(isNegated ? true : isPlain ? false : nil)
            case ("else", _):
                if let last = conditions.popLast() { conditions.append(last.map { !$0 }) }
            case ("elif", _):
                if conditions.popLast() != nil { conditions.append(nil) }
            case ("endif", _): _ = conditions.popLast()
            default: break
            }
        }
        return conditions.contains(true)
    }

    /// The parameters in the form of a prototype.
    private static func parameters(_ definition: SyscallDefinition) -> String {
        let words = definition.parameters
        guard words.count >= 2 else { return "void" }
        return stride(from: 0, to: words.count - 1, by: 2).map { index in
            let type = words[index].hasSuffix("*") ? "\(words[index].dropLast().trimmed) *" : words[index] + " "
            return type + words[index + 1]
        }.joined(separator: ", ")
    }

    // MARK: Makefile

    /// Checks that a Makefile builds the file's object, and that make reaches this Makefile.
    private mutating func checkIsBuilt(_ item: Found) throws {
        let components = item.path.split(separator: "/").map(String.init)
        guard let name = components.last, components.count > 1, series.changes[item.path] != nil else { return }
        let object = String(name.dropLast(2)) + ".o"
        var isNamed = false
        var discard: String?
        for depth in 1..<components.count {
            let folder = components[..<depth].joined(separator: "/")
            let below = components[depth..<(components.count - 1)].map { $0 + "/" }.joined()
            if self.isNamed(below + object, inMakefilesOf: folder) { isNamed = true }
            discard = discard ?? self.discard(of: below + object, inMakefilesOf: folder)
        }
        // A C file that another file includes does not have its own object.
        let isIncluded = final.changes.contains { path, entry in
            guard path != item.path, path.hasSuffix(".c"), case .file(let file) = entry else { return false }
            return String(decoding: file.bytes, as: UTF8.self).contains("#include \"\(name)\"")
        }
        let folder = components.dropLast().joined(separator: "/")
        guard isNamed || isIncluded else {
            if let discard {
                return add(
                    .error, place(item), "\(item.path) is not built: \(discard)",
                    fix: "move the line that names it below that one, or add with += there")
            }
            return add(
                .error, place(item), "\(item.path) is not built: \(makefile(in: folder)) does not name \(object)",
                fix: "add obj-y += \(object) to \(makefile(in: folder))")
        }
        // A new folder also needs a line in its parent folder.
        let isNew = ["Kbuild", "Makefile"].allSatisfy { (try? pristine.read("\(folder)/\($0)")) ?? nil == nil }
        guard isNew, isNamed else { return }
        let parent = components.dropLast(2).joined(separator: "/")
        let own = components[components.count - 2] + "/"
        // The top-level Makefile lists folders with their paths, and since 5.18 Kbuild does.
        if let discard = self.discard(of: own, inMakefilesOf: parent), !self.isNamed(own, inMakefilesOf: parent) {
            add(
                .error, place(item), "\(item.path) is not built: \(discard)",
                fix: "move the line that names it below that one, or add with += there")
        } else if !self.isNamed(own, inMakefilesOf: parent) {
            let variable =
                parent.isEmpty && (try? pristine.readLines("Kbuild"))?.contains { $0.contains("kernel/") } != true
            add(
                .error, place(item),
                "\(item.path) is not built: nothing in \(makefile(in: parent)) leads the build to \(folder)/",
                fix: "add \(variable ? "core-y" : "obj-y") += \(own) to \(makefile(in: parent))")
        }
    }

    private func makefile(in folder: String) -> String {
        let prefix = folder.isEmpty ? "" : folder + "/"
        if folder.isEmpty {
            return (try? final.readLines("Kbuild"))?.contains { $0.contains("kernel/") } == true ? "Kbuild" : "Makefile"
        }
        return ((try? final.read(prefix + "Kbuild")) ?? nil) != nil ? prefix + "Kbuild" : prefix + "Makefile"
    }

    /// The names in the Kbuild and the Makefile of a folder, by the file's path.
    private func names(inMakefilesOf folder: String) -> [(path: String, names: MakefileNames)] {
        let prefix = folder.isEmpty ? "" : folder + "/"
        return ["Kbuild", "Makefile"].compactMap { name in
            (try? final.readLines(prefix + name)).map { (prefix + name, MakefileNames($0)) }
        }
    }

    private func isNamed(_ name: String, inMakefilesOf folder: String) -> Bool {
        names(inMakefilesOf: folder).contains { $0.names.names.contains(name) }
    }

    /// The line that discards a name, in words; nil when there is none.
    private func discard(of name: String, inMakefilesOf folder: String) -> String? {
        for (path, names) in names(inMakefilesOf: folder) {
            guard let discard = names.discarded[name] else { continue }
            return "\(path):\(discard.line) reassigns \(discard.variable), which discards \(name) from above"
        }
        return nil
    }

    // MARK: Other architectures

    private static let header = "include/uapi/asm-generic/unistd.h"

    /// Checks the series' changes to the header of the other architectures' numbers.
    mutating func checkGenericHeader(_ native: [Added]) throws {
        guard isChanged(Self.header) else { return }
        let lines = try series.readLines(Self.header)
        func definition(_ line: String) -> (name: CIdentifier, number: Int)? {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count >= 3, words[0] == "#define", words[1].hasPrefix("__NR_"), let number = Int(words[2]),
                let name = CIdentifier(String(words[1].dropFirst("__NR_".count)))
            else { return nil }
            return (name, number)
        }
        let all = lines.enumerated().compactMap { index, line in definition(line).map { (index, $0.name, $0.number) } }
        let limit = all.last { $0.1.text == "syscalls" }
        for (index, name, number) in all where name.text != "syscalls" && isAdded(Self.header, index) {
            let here = place(Self.header, index)
            let tree = "\(Self.header):\(index + 1)"
            if let limit, number >= limit.2 {
                let other = isAdded(Self.header, limit.0) ? " at \(place(Self.header, limit.0))" : ""
                add(
                    .warning, here,
                    "__NR_syscalls\(other) is \(limit.2), not above \(name)'s \(number), so other architectures leave "
                        + "the call out (\(Self.header):\(limit.0 + 1))",
                    fix: "raise it: #define __NR_syscalls \(number + 1)")
            }
            let same = all.first { $0.2 == number && $0.1 != name && $0.1.text != "syscalls" && $0.0 < index }
            if let same {
                add(
                    .warning, here, "number \(number) of \(name) is taken by \(same.1) (\(Self.header):\(same.0 + 1))",
                    fix: "give \(name) a number that is free")
            }
            if !lines.contains(where: { $0.hasPrefix("__S") && $0.contains("(__NR_\(name),") }) {
                add(
                    .warning, here, "__NR_\(name) has a number but no entry (\(tree))",
                    fix: "add __SYSCALL(__NR_\(name), sys_\(name)) below it")
            }
            checkAgreement(name, number, native, here, tree)
        }
    }

    /// The table of other architectures since 6.11: its numbers must be those of x86-64.
    mutating func checkGenericTable(_ native: [Added]) throws {
        guard isChanged(SyscallTable.generic) else { return }
        for new in try addedRows(SyscallTable.generic) {
            checkAgreement(new.row.name, new.row.number, native, new.place, new.treePlace)
        }
    }

    private mutating func checkAgreement(
        _ name: CIdentifier, _ number: Int, _ native: [Added], _ here: SyscallFinding.Place, _ tree: String
    ) {
        guard let row = native.first(where: { $0.row.name == name })?.row, row.number != number,
            row.number >= SyscallNumbering.unifiedFrom
        else { return }
        add(
            .warning, here, "\(name) is \(number) here, but \(row.number) in the x86-64 table (\(tree))",
            fix: "write one number in both: since 5.1 a call has the same on all architectures")
    }
}
