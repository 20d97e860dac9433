// SPDX-License-Identifier: Apache-2.0
import Patching

/// A system-call table of the kernel: `NUMBER ABI NAME [ENTRY [COMPAT_ENTRY]]` on each line, `#` for comments
/// (arch/x86/entry/syscalls/*.tbl, scripts/syscall.tbl).
package struct SyscallTable {
    /// A row with valid fields: text of a table only passes through this check.
    package struct Row: Equatable {
        /// Below `numbersEnd`, written in decimal.
        package var number: Int
        /// A plain word.
        package var abi: String
        package var name: CIdentifier
        /// An identifier, in some kernels (4.6 to 5.3) followed by "/" and another one, or "-".
        package var entry: String?
        /// The same.
        package var compat: String?
        /// Index into the file's lines.
        package var lineIndex: Int

        /// Whether the row uses a number of 64-bit programs.
        var isCommon: Bool { abi != "x32" }
    }

    package static let x8664 = "arch/x86/entry/syscalls/syscall_64.tbl"
    package static let i386 = "arch/x86/entry/syscalls/syscall_32.tbl"
    /// The file with the numbers of most other architectures since 6.11.
    package static let generic = "scripts/syscall.tbl"

    /// Numbers 512 to 547 of the x86-64 table belong to x32, according to the table's own comment.
    static let x32Numbers = 512...547

    /// Higher numbers are x32's: __X32_SYSCALL_BIT (arch/x86/include/uapi/asm/unistd.h).
    static let numbersEnd = 0x4000_0000

    private(set) var lines: [String]
    package let rows: [Row]
    /// A line that is neither a row nor a comment.
    package struct RefusedLine {
        /// Its index among the lines, counted from 0.
        package var lineIndex: Int
        /// The mistake in it.
        package var reason: String
    }

    /// The lines that are neither rows nor comments, by their index, with the mistake in each.
    package let refused: [RefusedLine]

    package init(_ lines: [String]) {
        self.lines = lines
        var rows: [Row] = []
        var refused: [RefusedLine] = []
        for (index, line) in lines.enumerated() {
            switch Self.parse(line) {
            case .nothing: break
            case .row(var row):
                row.lineIndex = index
                rows.append(row)
            case .refused(let reason): refused.append(RefusedLine(lineIndex: index, reason: reason))
            }
        }
        (self.rows, self.refused) = (rows, refused)
    }

    /// The kind of a table's line.
    enum Line {
        /// A blank line or a comment.
        case nothing
        case row(Row)
        /// A line that the kernel's scripts would split in another way than it looks.
        case refused(reason: String)
    }

    /// Parses a line as the kernel's scripts do (scripts/syscallhdr.sh and syscalltbl.sh:
    /// `read nr abi name entry compat`), but accepts only names and numbers, because these scripts copy the fields to C
    /// unchanged.
    static func parse(_ line: String) -> Line {
        // By scalars: "\r\n" is one Character. A comment begins with a word that begins with "#".
        let words = line.unicodeScalars.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\r" })
            .map(String.init).prefix { !$0.hasPrefix("#") }
        guard !words.isEmpty else { return .nothing }
        guard words.count >= 3 else {
            return .refused(reason: "\(line.quotedForMessage) is not a system-call table line")
        }
        guard let number = number(words[0]) else {
            return .refused(
                reason:
                    "\(line.quotedForMessage) is not a system-call table line: \(words[0].quotedForMessage) is not a "
                    + "decimal number from 0 to \(numbersEnd - 1)")
        }
        guard words[1].utf8.allSatisfy({ CIdentifier.isByte($0) || $0 == UInt8(ascii: "-") }) else {
            return .refused(reason: "the ABI \(words[1].quotedForMessage) of number \(number) is not a plain word")
        }
        guard let name = CIdentifier(words[2]) else {
            return .refused(reason: "the name \(words[2].quotedForMessage) of number \(number) is not a C identifier")
        }
        if let word = words[3...].first(where: { !isEntry($0) }) {
            return .refused(reason: "the column \(word.quotedForMessage) of \(name) is not a C identifier")
        }
        return .row(
            Row(
                number: number, abi: words[1], name: name, entry: words.count > 3 ? words[3] : nil,
                compat: words.count > 4 ? words[4] : nil, lineIndex: 0))
    }

    /// Decimal digits without a sign or a leading zero, which C would read as octal.
    private static func number(_ word: String) -> Int? {
        guard word.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            word == "0" || !word.hasPrefix("0"), let number = Int(word), number < numbersEnd
        else { return nil }
        return number
    }

    private static func isEntry(_ word: String) -> Bool {
        if word == "-" { return true }
        let parts = word.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count <= 2 && parts.allSatisfy { CIdentifier(String($0)) != nil }
    }

    /// The rows with numbers below the x32 block: a table's ordinary calls.
    package var ordinaryRows: [Row] { rows.filter { $0.isCommon && $0.number < Self.x32Numbers.lowerBound } }

    func row(number: Int) -> Row? { rows.first { $0.isCommon && $0.number == number } }
    func row(name: CIdentifier) -> Row? { rows.first { $0.isCommon && $0.name == name } }

    /// The prefix of a call's name in the entry column: kernels 4.17 to 5.6 name the wrapper itself.
    var entryPrefix: String { rows.contains { $0.entry?.hasPrefix("__x64_sys_") == true } ? "__x64_sys_" : "sys_" }

    /// The same for the compat column of the i386 table in those kernels, where it is never empty; nil in other
    /// kernels.
    var compatPrefix: String? { rows.contains { $0.compat?.hasPrefix("__ia32_sys_") == true } ? "__ia32_" : nil }

    /// Adds a row after the last ordinary row with a smaller number, and so before the x32 block.
    ///
    /// - Parameter nameWidth: The width of the name column: 24 in the x86 tables, 32 in the generic one.
    mutating func insert(
        number: Int, abi: RegisteredSyscall.ABI, name: CIdentifier, entry: String, compat: String?, nameWidth: Int = 24
    ) -> [String] {
        let smaller = number >= Self.x32Numbers.lowerBound ? rows : ordinaryRows
        let index = smaller.last { $0.number < number }.map { $0.lineIndex + 1 } ?? lines.count
        let columns = compat.map { Self.column(entry, width: 32) + $0 } ?? entry
        lines.insert("\(number)\t\(abi.rawValue)\t" + Self.column(name.text, width: nameWidth) + columns, at: index)
        return lines
    }

    private static func column(_ text: String, width: Int) -> String {
        text + String(repeating: "\t", count: max(1, (width - text.utf8.count + 7) / 8))
    }
}
