/// A system-call table as the kernel keeps it: `NUMBER ABI NAME [ENTRY [COMPAT_ENTRY]]` a line, `#` for comments
/// (arch/x86/entry/syscalls/*.tbl, scripts/syscall.tbl).
struct SyscallTable {
    struct Row: Equatable {
        var number: Int
        var abi: String
        var name: String
        var entry: String?
        var compat: String?
        /// Index into the file's lines.
        var lineIndex: Int

        /// Whether the row takes a number that 64-bit programs use.
        var isCommon: Bool { abi != "x32" }
    }

    static let x8664 = "arch/x86/entry/syscalls/syscall_64.tbl"
    static let i386 = "arch/x86/entry/syscalls/syscall_32.tbl"
    /// Holds the numbers of most other architectures since 6.11.
    static let generic = "scripts/syscall.tbl"

    /// Numbers 512 to 547 of the x86-64 table belong to x32, says the table's own comment.
    static let x32Numbers = 512...547

    private(set) var lines: [String]
    let rows: [Row]

    init(_ lines: [String]) {
        self.lines = lines
        rows = lines.enumerated().compactMap { index, line in
            let words = line.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)[0]
                .split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            guard words.count >= 3, let number = Int(words[0]) else { return nil }
            return Row(
                number: number, abi: words[1], name: words[2], entry: words.count > 3 ? words[3] : nil,
                compat: words.count > 4 ? words[4] : nil, lineIndex: index)
        }
    }

    /// The rows below the x32 block, which is where a table's ordinary calls stand.
    var ordinaryRows: [Row] { rows.filter { $0.isCommon && $0.number < Self.x32Numbers.lowerBound } }

    func row(number: Int) -> Row? { rows.first { $0.isCommon && $0.number == number } }
    func row(name: String) -> Row? { rows.first { $0.isCommon && $0.name == name } }

    /// What stands before a call's name in the entry column: kernels 4.17 to 5.6 name the wrapper itself.
    var entryPrefix: String { rows.contains { $0.entry?.hasPrefix("__x64_sys_") == true } ? "__x64_sys_" : "sys_" }

    /// The same for the compat column of the i386 table in those kernels, which there is never empty; nil elsewhere.
    var compatPrefix: String? { rows.contains { $0.compat?.hasPrefix("__ia32_sys_") == true } ? "__ia32_" : nil }

    /// Adds a row after the last ordinary one with a smaller number, hence before the x32 block.
    ///
    /// - Parameter nameWidth: The width of the name column: 24 in the x86 tables, 32 in the generic one.
    mutating func insert(
        number: Int, abi: String, name: String, entry: String, compat: String?, nameWidth: Int = 24
    ) -> [String] {
        let smaller = number >= Self.x32Numbers.lowerBound ? rows : ordinaryRows
        let index = smaller.last { $0.number < number }.map { $0.lineIndex + 1 } ?? lines.count
        let columns = compat.map { Self.column(entry, width: 32) + $0 } ?? entry
        lines.insert("\(number)\t\(abi)\t" + Self.column(name, width: nameWidth) + columns, at: index)
        return lines
    }

    private static func column(_ text: String, width: Int) -> String {
        text + String(repeating: "\t", count: max(1, (width - text.utf8.count + 7) / 8))
    }
}
