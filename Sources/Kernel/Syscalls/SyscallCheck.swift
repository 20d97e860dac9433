// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Patching

/// Checks patch series for the usual mistakes in registering a system call by hand. Specs need no such check, because
/// kbuild writes their lines.
package struct SyscallCheck {
    /// The unpatched kernel.
    let pristine: TreeEditor
    /// With all series applied.
    let series: TreeEditor
    /// With the specs' calls as well: a gap that these fill is not a gap.
    let final: TreeEditor
    let version: KernelVersion
    /// The user's own file for a file of the tree that was copied from a spec's folder.
    var userFiles: [String: String] = [:]
    package private(set) var findings: [SyscallFinding] = []

    package init(
        pristine: TreeEditor, series: TreeEditor, final: TreeEditor, version: KernelVersion, userFiles: [String: String]
    ) {
        (self.pristine, self.series, self.final, self.version) = (pristine, series, final, version)
        self.userFiles = userFiles
    }

    /// Checks everything that the series change.
    package mutating func run() throws {
        var native: [Added] = []
        var ia32: [Added] = []
        if isChanged(SyscallTable.x8664) { native = try checkTable(SyscallTable.x8664) }
        if isChanged(SyscallTable.i386) { ia32 = try checkTable(SyscallTable.i386) }
        if isChanged(SyscallTable.generic) { _ = try checkTable(SyscallTable.generic) }
        try checkStandingLines()
        try checkEntries(native: native, ia32: ia32)
        try checkGenericHeader(native)
        try checkGenericTable(native)
    }

    // MARK: Places

    func isChanged(_ path: String) -> Bool { series.origins[path]?.contains { $0 != nil } ?? false }

    /// Whether a patch added a line.
    func isAdded(_ path: String, _ lineIndex: Int) -> Bool { origin(path, lineIndex) != nil }

    private func origin(_ path: String, _ lineIndex: Int) -> SyscallFinding.Place? {
        guard let lines = series.origins[path], lines.indices.contains(lineIndex) else { return nil }
        return lines[lineIndex]
    }

    /// The user's place of a line of the tree.
    func place(_ path: String, _ lineIndex: Int) -> SyscallFinding.Place {
        origin(path, lineIndex) ?? .init(file: userFiles[path] ?? path, line: lineIndex + 1)
    }

    mutating func add(
        _ severity: SyscallFinding.Severity, _ place: SyscallFinding.Place, _ message: String, fix: String
    ) {
        findings.append(SyscallFinding(severity, place, message, fix: fix))
    }

    // MARK: The tables' lines

    /// A line of a table that a patch adds.
    struct Added {
        var row: SyscallTable.Row
        var place: SyscallFinding.Place
        /// Its place in the tree, for messages.
        var treePlace: String
    }

    /// Refuses lines of the tables that no patch added, too: a kernel may be as foreign as a patch.
    private mutating func checkStandingLines() throws {
        for path in [SyscallTable.x8664, SyscallTable.i386, SyscallTable.generic] where try final.read(path) != nil {
            for line in SyscallTable(try series.readLines(path)).refused where !isAdded(path, line.lineIndex) {
                let (index, reason) = (line.lineIndex, line.reason)
                add(
                    .error, place(path, index), "\(reason) (\(path):\(index + 1))",
                    fix: "correct the line: NUMBER, ABI, NAME, ENTRY [and COMPAT], separated by tabs")
            }
        }
    }

    /// The rows that the series add to a table, in its order, without rows that are only moved or respaced.
    func addedRows(_ path: String) throws -> [Added] {
        let before = Set(SyscallTable((try? pristine.readLines(path)) ?? []).rows.map(\.identity))
        return SyscallTable(try series.readLines(path)).rows.compactMap { row in
            guard isAdded(path, row.lineIndex), !before.contains(row.identity) else { return nil }
            return Added(
                row: row, place: place(path, row.lineIndex), treePlace: "\(path):\(row.lineIndex + 1)")
        }
    }

    /// Checks a patch's additions to a table; returns the rows without mistakes so far.
    private mutating func checkTable(_ path: String) throws -> [Added] {
        let lines = try series.readLines(path)
        var good: Set<Int> = []
        for (index, line) in lines.enumerated() where isAdded(path, index) {
            if checkForm(line, at: place(path, index), tree: "\(path):\(index + 1)", path: path) { good.insert(index) }
        }
        let added = try addedRows(path).filter { good.contains($0.row.lineIndex) }
        let before = SyscallTable(try pristine.readLines(path))
        let after = SyscallTable(lines)
        for new in added {
            checkNumber(new, path: path, after: after)
            if path != SyscallTable.generic { checkPrefix(new, before: before, path: path) }
            try checkPosition(new, path: path, before: before, after: after)
        }
        return added
    }

    /// Checks that the kernel's scripts read a line as it is intended.
    private mutating func checkForm(
        _ line: String, at place: SyscallFinding.Place, tree: String, path: String
    ) -> Bool {
        let words = line.unicodeScalars.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\r" }).map(
            String.init)
        guard let first = words.first, !first.hasPrefix("#") else { return false }
        let form = path == SyscallTable.x8664 ? "NUMBER, ABI, NAME and ENTRY" : "NUMBER, ABI, NAME, ENTRY [and COMPAT]"
        let fix = "write \(form), separated by tabs"
        if case .refused(let reason) = SyscallTable.parse(line) {
            add(.error, place, "\(reason) (\(tree))", fix: fix)
            return false
        }
        guard words.count >= 3, let name = CIdentifier(words[2]) else {
            add(.error, place, "\(line.quotedForMessage) is not a system-call table line (\(tree))", fix: fix)
            return false
        }
        if line.first == " " || line.first == "\t" {
            add(
                .error, place, "the line of \(name) begins with a blank, so the build leaves it out (\(tree))",
                fix: "begin it with the number")
            return false
        }
        let abis: [RegisteredSyscall.ABI] =
            path == SyscallTable.i386 ? [.i386] : path == SyscallTable.x8664 ? [.common, .x64, .x32] : []
        if !abis.isEmpty, !abis.contains(where: { $0.rawValue == words[1] }) {
            let allowed = abis.map(\.rawValue).joined(separator: ", ")
            add(
                .error, place,
                "\(words[1]) is not an ABI of this table (\(allowed)), so the build leaves \(name) out (\(tree))",
                fix: "write \(abis[0].rawValue) in the second column")
            return false
        }
        if words.count == 3 {
            add(
                .error, place, "the line of \(name) has no entry point, so calls of it end in ENOSYS (\(tree))",
                fix: "add the fourth column, sys_\(name)")
            return false
        }
        // 6.11 added a column "noreturn" after COMPAT, which may be "-".
        let isNoReturn = words.count == 6 && words[5] == "noreturn"
        let limit = path == SyscallTable.x8664 ? (words.count > 4 && words[4] == "-" ? 5 : 4) : 5
        if words.count > limit, !isNoReturn {
            let extra = words[limit].hasPrefix("#") ? "a comment, which must be a line of its own" : "one too many"
            let isPlain = words[limit].utf8.allSatisfy { CIdentifier.isByte($0) || $0 == UInt8(ascii: "#") }
            let word = isPlain ? words[limit] : words[limit].quotedForMessage
            add(
                .error, place, "the line of \(name) has \(words.count) columns: \(word) is \(extra) (\(tree))",
                fix: fix)
            return false
        }
        if line.contains(" ") {
            add(
                .warning, place, "the columns of \(name) are separated by spaces, all others by tabs (\(tree))",
                fix: "use tabs; an editor may have replaced them")
        }
        return true
    }

    /// Checks for a duplicate number or name.
    private mutating func checkNumber(_ new: Added, path: String, after: SyscallTable) {
        let row = new.row
        // 64 and x32 rows may share a number, because no program is both.
        let others = after.rows.filter { other in
            other.lineIndex != row.lineIndex && !Set([row.abi, other.abi]).isSuperset(of: ["64", "x32"])
        }
        // Of two rows that a patch adds, only the second is reported.
        func isEarlier(_ other: SyscallTable.Row) -> Bool {
            !isAdded(path, other.lineIndex) || other.lineIndex < row.lineIndex
        }
        func owner(_ other: SyscallTable.Row) -> String {
            isAdded(path, other.lineIndex)
                ? "at \(place(path, other.lineIndex))" : "of Linux \(version)"
        }
        if let other = others.first(where: { $0.name == row.name && isEarlier($0) }) {
            let what = isAdded(path, other.lineIndex) ? "is in the table twice, also" : "is in the table already,"
            add(
                .error, new.place,
                "a call named \(row.name) \(what) with number \(other.number), \(owner(other)) (\(new.treePlace))",
                fix: isAdded(path, other.lineIndex) ? "remove one of the two lines" : "choose another name")
        } else if let other = others.first(where: { $0.number == row.number && isEarlier($0) }) {
            add(
                .error, new.place,
                "number \(row.number) of \(row.name) is taken by \(other.name) \(owner(other)) (\(new.treePlace))",
                fix: "give \(row.name) a number that is free: the next one is \(nextFree(path))")
        }
    }

    /// The lowest number above the kernel's own that no row uses.
    private func nextFree(_ path: String) -> Int {
        let last = SyscallTable((try? pristine.readLines(path)) ?? []).ordinaryRows.map(\.number).max() ?? -1
        let taken = Set(SyscallTable((try? final.readLines(path)) ?? []).rows.map(\.number))
        var number = last + 1
        while taken.contains(number) { number += 1 }
        return number
    }

    private mutating func checkPrefix(_ new: Added, before: SyscallTable, path: String) {
        let row = new.row
        guard let entry = row.entry, entry != "sys_ni_syscall", row.abi != "x32" else { return }
        let prefix = before.entryPrefix
        if !entry.hasPrefix(prefix) || (prefix == "sys_" && entry == prefix) {
            let name = SyscallTable.plainEntry(entry)
            let versions =
                prefix == "sys_"
                ? "kernels 4.17 to 5.6 have __x64_sys_NAME, Linux \(version.series) has not"
                : "kernels 4.17 to 5.6 name the wrapper, and this is Linux \(version.series)"
            add(
                .error, new.place,
                "the entry of \(row.name) is \(entry), but this kernel's table names entries \(prefix)NAME "
                    + "(\(new.treePlace))", fix: "write \(prefix)\(name); \(versions)")
        }
        if path == SyscallTable.i386, let wrapper = before.compatPrefix, row.compat?.hasPrefix(wrapper) != true {
            add(
                .error, new.place,
                "the last column of \(row.name) must name a \(wrapper) wrapper in this kernel (\(new.treePlace))",
                fix: "write \(wrapper)\(row.compat ?? entry)")
        }
    }

    /// Numbers out of order, below a gap, or among x32's.
    private mutating func checkPosition(_ new: Added, path: String, before: SyscallTable, after: SyscallTable) throws {
        let row = new.row
        guard row.abi != "x32" else { return }
        let isX8664 = path == SyscallTable.x8664
        let lastOfKernel = before.ordinaryRows.map(\.number).max() ?? -1
        if isX8664, SyscallTable.x32Numbers.contains(row.number) {
            add(
                .error, new.place,
                "number \(row.number) of \(row.name) lies in x32's block, 512 to 547 (\(new.treePlace))",
                fix: "use \(nextFree(path)), before the block")
            return
        }
        let firstX32 = after.rows.first { $0.abi == "x32" }?.lineIndex
        if isX8664, let firstX32, row.lineIndex > firstX32, row.number < SyscallTable.x32Numbers.lowerBound {
            add(
                .warning, new.place, "\(row.name) stands after the x32 block (\(new.treePlace))",
                fix: "move the line up, after that of number \(row.number - 1)")
        }
        let rows = after.rows.filter { $0.isCommon && ($0.abi == "x32") == (row.abi == "x32") }
        if let larger = rows.first(where: { $0.lineIndex < row.lineIndex && $0.number > row.number }) {
            add(
                .error, new.place,
                "the line of \(row.name) stands below that of \(larger.name) with the larger number \(larger.number) "
                    + "(\(new.treePlace))", fix: "keep the table in the order of the numbers, or the build stops")
        } else if let smaller = rows.first(where: {
            $0.lineIndex > row.lineIndex && $0.number < row.number && !isAdded(path, $0.lineIndex)
        }) {
            add(
                .error, new.place,
                "the line of \(row.name) stands above that of \(smaller.name) with the smaller number "
                    + "\(smaller.number) (\(new.treePlace))",
                fix: "keep the table in the order of the numbers, or the build stops")
        }
        let limit = isX8664 ? SyscallTable.x32Numbers.lowerBound : Int.max
        if path != SyscallTable.generic, row.number > lastOfKernel + 1, row.number < limit,
            SyscallTable(try final.readLines(path)).row(number: row.number - 1) == nil
        {
            add(
                .warning, new.place,
                "number \(row.number) of \(row.name) leaves a gap below it: Linux \(version) ends at \(lastOfKernel) "
                    + "(\(new.treePlace))", fix: "use \(nextFree(path))")
        }
    }
}

extension SyscallTable {
    /// An entry's name without the kernels' prefix.
    static func plainEntry(_ entry: String) -> String {
        for prefix in ["__x64_compat_sys_", "__ia32_compat_sys_", "__x64_sys_", "__ia32_sys_", "compat_sys_", "sys_"]
        where entry.hasPrefix(prefix) {
            return String(entry.dropFirst(prefix.count))
        }
        return entry
    }
}

extension SyscallTable.Row {
    /// The contents of a row, without its position.
    package var identity: String { "\(number) \(abi) \(name) \(entry ?? "") \(compat ?? "")" }
}
