// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Reads git patches, plain unified diffs and mailboxes of them.
///
/// What the parser does not understand is an error and never skipped: a part of a patch that silently did not apply
/// would make the verdict on the rest worthless.
package struct PatchParser {
    private let file: String
    private let strip: Int
    private let lines: [Line]
    private let firstLineNumber: Int
    private var index = 0

    /// The patches in a file's bytes.
    ///
    /// - Parameters:
    ///   - file: The name to give in errors.
    ///   - strip: How many leading folders of each path to leave out, as in `patch -pN`.
    /// - Throws: `Failure` (`patch`) that names the line which is malformed, binary or unsafe.
    package static func parse(_ bytes: [UInt8], file: String, strip: Int = 1) throws -> [Patch] {
        var patches: [Patch] = []
        let messages = try MailMessage.split(bytes, file: file)
        for message in messages {
            var parser = PatchParser(message, file: file, strip: strip)
            let files = try parser.filePatches()
            if files.isEmpty {
                if message.isCoverLetter { continue }
                let what = message.subject.map { "the message \"\($0)\"" } ?? "the file"
                throw Failure(
                    .patch, "\(file):\(message.firstLineNumber): \(what) holds no diff",
                    nextStep: "remove it from the series, or make it anew with `git format-patch` or `diff -Naur`")
            }
            patches.append(Patch(file: file, subject: message.subject, files: files))
        }
        return patches
    }

    private init(_ message: MailMessage, file: String, strip: Int) {
        self.file = file
        self.strip = strip
        lines = message.lines
        firstLineNumber = message.firstLineNumber
    }

    private mutating func filePatches() throws -> [FilePatch] {
        var patches: [FilePatch] = []
        while let line = current {
            if line.hasPrefix("diff --git ") {
                patches.append(try gitPatch())
            } else if line.hasPrefix("diff --cc ") || line.hasPrefix("diff --combined ") {
                throw failure("a combined diff of a merge cannot be applied", "use `git format-patch` on the commits")
            } else if isPlainHeader {
                patches.append(try plainPatch())
            } else if line.hasPrefix("@@ -"), parseRanges(text(line)) != nil {
                throw failure("a hunk without the --- and +++ lines that name its file", remake)
            } else if line.hasPrefix("Binary files "), text(line).hasSuffix(" differ") {
                throw binaryFailure(text(line))
            } else if line.hasPrefix("Only in "), text(line).contains(": ") {
                throw failure(
                    "the diff leaves out a file that only one side has: \(text(line))",
                    "make it anew with `diff -Naur`, which includes new and deleted files")
            } else {
                index += 1
            }
        }
        return patches
    }

    // MARK: Headers

    private mutating func gitPatch() throws -> FilePatch {
        let start = index
        let names = String(text(lines[index]).dropFirst("diff --git ".count))
        var operation = FilePatch.Operation.modify
        var newMode: Int?
        var oldName: String?
        var newName: String?
        index += 1
        extended: while let line = current {
            let header = text(line)
            func value(_ prefix: String) -> String? {
                header.hasPrefix(prefix) ? String(header.dropFirst(prefix.count)) : nil
            }
            if let mode = value("old mode ") {
                _ = try fileMode(mode)
            } else if let mode = value("new mode ") {
                newMode = try fileMode(mode)
            } else if let mode = value("new file mode ") {
                operation = .create
                newMode = try fileMode(mode)
            } else if let mode = value("deleted file mode ") {
                operation = .delete
                _ = try fileMode(mode)
            } else if let name = value("rename from ") {
                operation = .rename
                oldName = try path(unquoted(name), strip: max(0, strip - 1))
            } else if let name = value("rename to ") {
                newName = try path(unquoted(name), strip: max(0, strip - 1))
            } else if let name = value("copy from ") {
                operation = .copy
                oldName = try path(unquoted(name), strip: max(0, strip - 1))
            } else if let name = value("copy to ") {
                newName = try path(unquoted(name), strip: max(0, strip - 1))
            } else if let identifiers = value("index ") {
                // "index OLD..NEW MODE" names the mode when it does not change; a link's or submodule's is refused.
                let words = identifiers.split(separator: " ")
                if words.count == 2 { _ = try fileMode(String(words[1])) }
            } else if value("similarity index ") != nil || value("dissimilarity index ") != nil {
                // How alike the two are is for people to read.
            } else if header.hasPrefix("GIT binary patch") || header.hasPrefix("Binary files ") {
                throw binaryFailure(names)
            } else {
                break extended
            }
            index += 1
        }
        if let line = current, line.hasPrefix("--- "), lookingAt(1, "+++ ") {
            let (before, after) = (try headerName(lines[index]).name, try headerName(lines[index + 1]).name)
            index += 2
            if let before, oldName == nil { oldName = try path(before, strip: strip) }
            if let after, newName == nil { newName = try path(after, strip: strip) }
        }
        if oldName == nil && newName == nil {
            guard let name = commonName(names) else {
                throw failure("the `diff --git` line does not name one file", remake, at: start)
            }
            (oldName, newName) = (name, name)
        }
        let hunks = try hunks()
        guard let old = oldName ?? newName, let new = newName ?? oldName else {
            throw failure("the diff names no file", remake, at: start)
        }
        if operation == .modify, hunks.isEmpty, newMode == nil {
            throw failure("the diff of \(new) changes nothing: its hunks are missing", remake, at: start)
        }
        return FilePatch(
            operation: operation, oldPath: old, newPath: new, newMode: newMode, hunks: hunks,
            lineNumber: firstLineNumber + start, isGit: true)
    }

    private var isPlainHeader: Bool {
        guard let line = current else { return false }
        return line.hasPrefix("--- ") && lookingAt(1, "+++ ") && lookingAt(2, "@@ -")
    }

    private mutating func plainPatch() throws -> FilePatch {
        let start = index
        let before = try headerName(lines[index])
        let after = try headerName(lines[index + 1])
        index += 2
        let hunks = try hunks()
        // diff writes the epoch as the time of a file that is not there.
        let isNew = before.name == nil || (before.isEpoch && hunks.first?.preimage.isEmpty == true)
        let isGone = after.name == nil || (after.isEpoch && hunks.last?.postimage.isEmpty == true)
        guard let old = before.name ?? after.name, let new = after.name ?? before.name else {
            throw failure("the diff compares /dev/null with /dev/null", remake, at: start)
        }
        return FilePatch(
            operation: isNew ? .create : isGone ? .delete : .modify,
            oldPath: try path(old, strip: strip), newPath: try path(new, strip: strip), newMode: nil, hunks: hunks,
            lineNumber: firstLineNumber + start, isGit: false)
    }

    /// The name on a `---` or `+++` line, nil for /dev/null, and whether its time stamp is the epoch.
    private func headerName(_ line: Line) throws -> (name: String?, isEpoch: Bool) {
        let rest = String(text(line).dropFirst(4))
        if rest.hasPrefix("\"") { return (try unquoted(rest), false) }
        let columns = rest.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
        let name = columns.first.map(String.init)?.trimmed ?? ""
        let time = columns.count > 1 ? columns[1] : ""
        let isEpoch =
            time.hasPrefix("1970-01-01") || time.hasPrefix("1969-12-31") || time.contains("Jan  1 00:00:00 1970")
        return (name == "/dev/null" ? nil : name, isEpoch)
    }

    /// The file that `a/NAME b/NAME` names twice; what renames and binary files need is in other lines.
    private func commonName(_ names: String) -> String? {
        if names.hasPrefix("\"") {
            guard let first = try? unquoted(names) else { return nil }
            return try? path(first, strip: strip)
        }
        let bytes = Array(names.utf8)
        for space in bytes.indices where bytes[space] == UInt8(ascii: " ") {
            let left = String(decoding: bytes[..<space], as: UTF8.self)
            let right = String(decoding: bytes[(space + 1)...], as: UTF8.self)
            if let first = try? path(left, strip: strip), let second = try? path(right, strip: strip), first == second {
                return first
            }
        }
        return nil
    }

    private func fileMode(_ text: String) throws -> Int {
        guard let mode = Int(text.trimmed, radix: 8) else { throw failure("\(text) is not a file mode", remake) }
        switch mode & 0o170000 {
        case 0o100000: return mode
        case 0o120000:
            throw failure("the patch makes or changes a symbolic link", "kbuild's trees hold only regular files")
        default: throw failure("mode \(text) is not that of a regular file", remake)
        }
    }

    /// Leaves out `strip` leading folders and refuses what is no safe path in a tree.
    private func path(_ name: String, strip: Int) throws -> String {
        if name.hasPrefix("/") {
            throw failure("the path \(name) is absolute", "a patch changes files of the tree only")
        }
        let components = name.split(separator: "/", omittingEmptySubsequences: true)
        guard components.count > strip else {
            throw failure(
                "the path \(name) has no \(strip) leading folder(s) to leave out",
                "give the right level in a `series` file, such as `\(file.split(separator: "/").last ?? "x.patch") -p0`"
            )
        }
        let path = components.dropFirst(strip).joined(separator: "/")
        if let reason = TreePath.unsafeReason(path) {
            throw failure("the path \(name) \(reason)", "a patch changes source files of the tree only")
        }
        return path
    }

    /// Undoes git's quoting of names with unusual characters: C escapes and octal bytes within double quotes.
    private func unquoted(_ name: String) throws -> String {
        guard name.hasPrefix("\"") else { return name }
        let escapes: [UInt8: UInt8] = [
            UInt8(ascii: "a"): 7, UInt8(ascii: "b"): 8, UInt8(ascii: "t"): 9, UInt8(ascii: "n"): 10,
            UInt8(ascii: "v"): 11, UInt8(ascii: "f"): 12, UInt8(ascii: "r"): 13, UInt8(ascii: "\\"): 92,
            UInt8(ascii: "\""): 34,
        ]
        let bytes = Array(name.utf8.dropFirst())
        var output: [UInt8] = []
        var position = 0
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            guard bytes[position] == UInt8(ascii: "\\"), position + 1 < bytes.count else {
                output.append(bytes[position])
                position += 1
                continue
            }
            if let byte = escapes[bytes[position + 1]] {
                output.append(byte)
                position += 2
            } else if position + 3 < bytes.count,
                let byte = UInt8(String(decoding: bytes[(position + 1)...(position + 3)], as: UTF8.self), radix: 8)
            {
                output.append(byte)
                position += 4
            } else {
                throw failure("the quoted name \(name) is damaged", remake)
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    // MARK: Hunks

    private mutating func hunks() throws -> [Hunk] {
        var hunks: [Hunk] = []
        while let line = current, line.hasPrefix("@@ ") {
            hunks.append(try hunk())
        }
        return hunks
    }

    private mutating func hunk() throws -> Hunk {
        let start = index
        let header = text(lines[index])
        guard let ranges = parseRanges(header) else { throw failure("\(header) is not a hunk header", remake) }
        var (old, new) = (ranges.oldCount, ranges.newCount)
        var entries: [Hunk.Entry] = []
        index += 1
        while old > 0 || new > 0 {
            guard let line = current else { throw endsEarly(start, old, new) }
            switch line.first {
            case UInt8(ascii: " ") where old > 0 && new > 0:
                entries.append(.init(kind: .context, line: line.dropFirst(), lineNumber: firstLineNumber + index))
                (old, new) = (old - 1, new - 1)
            case UInt8(ascii: "\n") where old > 0 && new > 0:
                // Some programs remove the space of an empty line of context.
                entries.append(.init(kind: .context, line: line, lineNumber: firstLineNumber + index))
                (old, new) = (old - 1, new - 1)
            case UInt8(ascii: "-") where old > 0:
                entries.append(.init(kind: .removed, line: line.dropFirst(), lineNumber: firstLineNumber + index))
                old -= 1
            case UInt8(ascii: "+") where new > 0:
                entries.append(.init(kind: .added, line: line.dropFirst(), lineNumber: firstLineNumber + index))
                new -= 1
            case UInt8(ascii: "\\") where !entries.isEmpty:
                dropNewline(&entries)
            default: throw endsEarly(start, old, new)
            }
            index += 1
        }
        if let line = current, line.first == UInt8(ascii: "\\"), !entries.isEmpty {
            dropNewline(&entries)
            index += 1
        }
        try checkEnd(of: header)
        guard entries.contains(where: { $0.kind != .context }) else {
            throw failure("the hunk \(header) changes nothing", remake, at: start)
        }
        return Hunk(
            header: header, lineNumber: firstLineNumber + start, oldStart: ranges.oldStart, newStart: ranges.newStart,
            entries: entries)
    }

    /// A line that belongs to a hunk but that the header does not count would be lost without a word.
    private func checkEnd(of header: String) throws {
        guard let line = current, let first = line.first else { return }
        let isSignature = line.hasPrefix("--") && text(line).trimmed == "--"
        let isNextFile = line.hasPrefix("--- ") && lookingAt(1, "+++ ")
        let isHunkLine = [UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: " ")].contains(first)
        if isHunkLine, !isSignature, !isNextFile {
            throw failure("the hunk has more lines than its header counts: \(header)", remake)
        }
    }

    private func endsEarly(_ start: Int, _ old: Int, _ new: Int) -> Failure {
        failure(
            "the hunk of line \(firstLineNumber + start) ends here, but its header \(text(lines[start])) counts "
                + "\(old) more old and \(new) more new line(s)", remake)
    }

    private func dropNewline(_ entries: inout [Hunk.Entry]) {
        guard let last = entries.indices.last else { return }
        entries[last].line = entries[last].line.withoutNewline
    }

    /// The four numbers of `@@ -START[,COUNT] +START[,COUNT] @@`; a count that is left out is 1.
    private func parseRanges(_ header: String) -> (oldStart: Int, oldCount: Int, newStart: Int, newCount: Int)? {
        let words = header.split(separator: " ", maxSplits: 4)
        guard words.count >= 4, words[0] == "@@", words[3] == "@@", words[1].hasPrefix("-"), words[2].hasPrefix("+")
        else { return nil }
        func range(_ word: Substring) -> (Int, Int)? {
            let numbers = word.dropFirst().split(separator: ",", omittingEmptySubsequences: false)
            guard numbers.count <= 2, let start = numbers.first.flatMap({ UInt32($0) }) else { return nil }
            guard numbers.count == 2 else { return (Int(start), 1) }
            return UInt32(numbers[1]).map { (Int(start), Int($0)) }
        }
        guard let old = range(words[1]), let new = range(words[2]) else { return nil }
        return (old.0, old.1, new.0, new.1)
    }

    // MARK: Helpers

    private let remake = "make the patch anew; a diff that was edited by hand needs its @@ counts corrected"

    private var current: Line? { index < lines.count ? lines[index] : nil }

    private func lookingAt(_ ahead: Int, _ prefix: StaticString) -> Bool {
        index + ahead < lines.count && lines[index + ahead].hasPrefix(prefix)
    }

    private func text(_ line: Line) -> String { String(decoding: line.withoutNewline, as: UTF8.self) }

    private func failure(_ message: String, _ nextStep: String, at position: Int? = nil) -> Failure {
        Failure(.patch, "\(file):\(firstLineNumber + (position ?? index)): \(message)", nextStep: nextStep)
    }

    private func binaryFailure(_ what: String) -> Failure {
        failure(
            "a binary patch (\(what)) is not supported",
            "kbuild applies text patches; leave binary files out of the series")
    }
}
