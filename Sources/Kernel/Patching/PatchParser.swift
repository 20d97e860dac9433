// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Reads git patches, plain unified diffs and mailboxes of them.
///
/// Text that the parser does not understand is an error and never skipped: a part of a patch that silently did not
/// apply would make the verdict on the rest worthless.
package struct PatchParser {
    private let file: String
    /// Nil for one folder, with absolute paths resolved later by the tree.
    private let strip: Int?
    private var lines: [Line]
    private let body: NumberedLines
    private var index = 0
    /// The line below the last hunk.
    private var patchEnd: Int?
    /// The last header line of the current file that ends in CR LF, and the last that does not.
    private var lineEnds: (returned: Int?, plain: Int?) = (nil, nil)

    /// The patches in a file's bytes.
    ///
    /// - Parameters:
    ///   - file: The name to give in errors.
    ///   - strip: How many leading folders of each path to remove, as in `patch -pN`; nil for one, and for absolute
    ///     paths as many as fit the tree.
    /// - Throws: `Failure` (`patch`) that names the malformed, binary or unsafe line.
    package static func parse(_ bytes: [UInt8], file: String, strip: Int? = nil) throws -> [Patch] {
        var selection = MailSelection(file: file)
        let messages = try MailMessage.split(bytes, file: file)
        for message in messages {
            // An introduction may quote a whole diff, against the last version of the series.
            if MailTag(message.subject).isCoverLetter {
                selection.hasCoverLetter = true
                continue
            }
            var parser = PatchParser(message, file: file, strip: strip)
            let files: [FilePatch]
            do {
                files = try parser.filePatches()
            } catch let failure as Failure {
                // Lines that begin with a terminal code break both counts and headers.
                let cause = parser.colourFailure ?? failure
                throw messages.count > 1 ? selection.naming(message, in: cause) : cause
            }
            try selection.add(message, files, whyEmpty: files.isEmpty ? parser.reasonForNone(message) : nil)
        }
        return try selection.patches(isMailbox: messages.count > 1)
    }

    private init(_ message: MailMessage, file: String, strip: Int?) {
        self.file = file
        self.strip = strip
        body = message.body
        lines = message.body.lines
        // Concatenated files may each have a byte order mark.
        for (index, line) in lines.enumerated() where line.first == 0xEF && line.starts(with: [0xEF, 0xBB, 0xBF]) {
            let rest = line.dropFirst(3)
            if rest.hasPrefix("diff ") || rest.hasPrefix("--- ") || rest.hasPrefix("Index: ") { lines[index] = rest }
        }
    }

    private func number(_ index: Int) -> Int { body.number(index) }

    /// Why a message has no diff, and the next step.
    private func reasonForNone(_ message: MailMessage) -> (reason: String, next: String?) {
        let marks = ["diff --git ", "--- a/", "@@ -"]
        func isDiff(_ line: Line, after prefix: some Sequence<UInt8>) -> Bool {
            marks.contains { line.starts(with: Array(prefix) + Array($0.utf8)) }
        }
        if lines.contains(where: { isDiff($0, after: "> ".utf8) }) {
            return ("holds a diff only as a quotation (> )", "save the message that it answers, which holds the patch")
        }
        if lines.contains(where: { line in
            let content = line.drop { $0 == 32 || $0 == 9 }
            return content.count < line.count && isDiff(content, after: [])
        }) {
            return (
                "holds a diff that is indented, as a page or `git log` shows it",
                "take the raw patch: `git format-patch`, or remove what stands before each line"
            )
        }
        if !message.skippedParts.isEmpty, lines.allSatisfy(MailMessage.isBlank) {
            return (
                "holds no plain text, only \(message.skippedParts.joined(separator: ", "))",
                "ask for the patch as plain text, or save it as a file of its own"
            )
        }
        if lines.isEmpty { return ("is empty", nil) }
        return ("holds no diff", nil)
    }

    private mutating func filePatches() throws -> [FilePatch] {
        var patches: [FilePatch] = []
        while let line = current {
            if line.hasPrefix("diff --git ") {
                patches.append(try gitPatch())
                patchEnd = index
            } else if line.hasPrefix("diff --cc ") || line.hasPrefix("diff --combined ") {
                throw failure("a combined diff of a merge cannot be applied", "use `git format-patch` on the commits")
            } else if isPlainHeader {
                patches.append(try plainPatch())
                patchEnd = index
            } else if line.hasPrefix("@@ -"), Ranges(line) != nil {
                throw failure("a hunk without the --- and +++ lines that name its file", remake)
            } else if line.hasPrefix("Binary files "), text(line).hasSuffix(" differ") {
                throw binaryFailure(text(line))
            } else if let form = otherForm {
                throw failure("\(form) cannot be applied", "recreate it with `diff -Naur` or `git diff`")
            } else if Self.isColoured(line, strictly: true), let failure = colourFailure {
                throw failure
            } else if line.hasPrefix("Only in "), text(line).contains(": ") {
                throw failure(
                    "the diff leaves out a file that only one side has: \(text(line))",
                    "recreate it with `diff -Naur`, which includes new and deleted files")
            } else {
                index += 1
            }
        }
        return patches
    }

    // MARK: Other forms

    /// The name of another form of diff that the line belongs to; nil for no other form.
    private var otherForm: String? {
        guard let line = current, let first = line.first else { return nil }
        if first == UInt8(ascii: "*") {
            if line.hasPrefix("*** "), lookingAt(1, "--- "), lookingAt(2, "***************") { return "a context diff" }
            if line.hasPrefix("***************"), lookingAt(1, "*** ") { return "a context diff" }
            return nil
        }
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return nil }
        guard let command = EditCommand(line) else { return nil }
        if command.hasTarget {
            return lookingAt(1, "< ") || lookingAt(1, "> ") ? "a plain diff (`diff` without -u)" : nil
        }
        // An ed script consists only of lines, so its end must prove it.
        let isAfterHeader =
            index == 0 || index == patchEnd || lines[index - 1].hasPrefix("diff ")
            || lines[index - 1].first == UInt8(ascii: ".")
        guard isAfterHeader else { return nil }
        if command.letter == UInt8(ascii: "d") { return "an ed script (`diff -e`)" }
        return lines[index...].prefix(10_000).contains {
            $0.elementsEqual(".\n".utf8) || $0.elementsEqual(".\r\n".utf8)
        }
            ? "an ed script (`diff -e`)" : nil
    }

    /// A line such as `12,14c12` of a plain diff, or `12,14c` of an ed script.
    private struct EditCommand {
        var letter: UInt8
        var hasTarget: Bool

        init?(_ line: Line) {
            func isRange(_ text: Line) -> Bool {
                let parts = text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
                return parts.count <= 2
                    && parts.allSatisfy { part in
                        !part.isEmpty && part.count < 9
                            && part.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                    }
            }
            var text = line.withoutNewline
            if text.last == UInt8(ascii: "\r") { text = text.dropLast() }
            guard let place = text.firstIndex(where: { Array("acd".utf8).contains($0) }), isRange(text[..<place]) else {
                return nil
            }
            let target = text[text.index(after: place)...]
            guard target.isEmpty || isRange(target) else { return nil }
            (letter, hasTarget) = (text[place], !target.isEmpty)
        }
    }

    // MARK: Colours

    /// Names the first line of a diff that begins with a terminal's colour; nil where there is none.
    private var colourFailure: Failure? {
        guard let coloured = lines.firstIndex(where: { Self.isColoured($0, strictly: false) }) else { return nil }
        return Failure(
            .patch, "\(file):\(number(coloured)): the diff is coloured by git: it has terminal codes in it",
            nextStep: "recreate it with --no-color, such as `git diff --no-color`")
    }

    /// Whether a line of a diff follows codes for colours: ESC [ ... m, as git writes them, ^[[ ... m, as a pager shows
    /// them, or [ ... m, if the escape was lost.
    ///
    /// - Parameter strictly: Whether only a diff's headers count, not the lines of a hunk.
    private static func isColoured(_ line: Line, strictly: Bool) -> Bool {
        var rest = line
        var hasEscape = false
        while true {
            var code = rest
            if code.first == 0x1B {
                code = code.dropFirst()
                hasEscape = true
            } else if code.hasPrefix("^[") {
                code = code.dropFirst(2)
                hasEscape = true
            }
            guard code.first == UInt8(ascii: "[") else { break }
            let end = code.dropFirst().drop { ($0 >= 0x30 && $0 <= 0x39) || $0 == UInt8(ascii: ";") }
            guard end.first == UInt8(ascii: "m") else { break }
            rest = end.dropFirst()
        }
        guard rest.startIndex != line.startIndex else { return false }
        if ["diff ", "--- ", "+++ ", "@@ "].contains(where: { rest.hasPrefix($0) }) { return true }
        return !strictly && hasEscape && (rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-"))
    }

    // MARK: Line ends

    /// A header line's text. Its end shows whether a mail program or an editor has changed all line ends to CR LF: no
    /// tool ends headers with CR LF, while the lines of a hunk may if the file does.
    private mutating func header(_ position: Int) -> String {
        let line = lines[position].withoutNewline
        if line.last == UInt8(ascii: "\r") { lineEnds.returned = position } else { lineEnds.plain = position }
        return text(lines[position])
    }

    /// The hunks with their original line ends, before a program changed all of them.
    ///
    /// - Throws: `Failure` (`patch`) if only some of the headers end in CR LF.
    private func withRestoredEnds(_ hunks: [Hunk]) throws -> [Hunk] {
        guard let returned = lineEnds.returned else { return hunks }
        if let plain = lineEnds.plain {
            throw failure(
                "line \(number(returned)) ends in CR LF, but line \(number(plain)) of the same diff in LF, so "
                    + "the file's line ends are unknown",
                "create the patch again, or turn all ends into LF if the files have no CR LF: `sed -i 's/\\r$//' FILE`",
                at: returned)
        }
        return hunks.map { hunk in
            var hunk = hunk
            for index in hunk.entries.indices {
                let line = hunk.entries[index].line
                let isEnded = line.last == UInt8(ascii: "\n")
                guard line.withoutNewline.last == UInt8(ascii: "\r") else { continue }
                hunk.entries[index].line = line.withoutNewline.dropLast() + (isEnded ? [UInt8(ascii: "\n")] : [])
            }
            hunk.header = String(hunk.header.unicodeScalars.filter { $0 != "\r" })
            return hunk
        }
    }

    // MARK: Headers

    private var level: Int { strip ?? 1 }

    private mutating func gitPatch() throws -> FilePatch {
        let start = index
        lineEnds = (nil, nil)
        let names = String(header(index).dropFirst("diff --git ".count))
        var operation = FilePatch.Operation.modify
        var newMode: Int?
        var oldMode: Int?
        var oldName: String?
        var newName: String?
        var newIdentifier: Substring?
        index += 1
        extended: while let line = current {
            let header = text(line)
            let position = index
            func value(_ prefix: String) -> String? {
                header.hasPrefix(prefix) ? String(header.dropFirst(prefix.count)) : nil
            }
            if let mode = value("old mode ") {
                oldMode = try fileMode(mode)
            } else if let mode = value("new mode ") {
                newMode = try fileMode(mode)
            } else if let mode = value("new file mode ") {
                operation = .create
                newMode = try fileMode(mode)
            } else if let mode = value("deleted file mode ") {
                operation = .delete
                oldMode = try fileMode(mode)
            } else if let name = value("rename from ") {
                operation = .rename
                oldName = try path(unquoted(name), strip: max(0, level - 1))
            } else if let name = value("rename to ") {
                newName = try path(unquoted(name), strip: max(0, level - 1))
            } else if let name = value("copy from ") {
                operation = .copy
                oldName = try path(unquoted(name), strip: max(0, level - 1))
            } else if let name = value("copy to ") {
                newName = try path(unquoted(name), strip: max(0, level - 1))
            } else if let identifiers = value("index ") {
                // "index OLD..NEW MODE" names the mode when it does not change; a link's or submodule's is refused.
                let words = identifiers.split(separator: " ")
                if words.count == 2 { _ = try fileMode(String(words[1])) }
                newIdentifier = words.first?.split(separator: ".").last
            } else if value("similarity index ") != nil || value("dissimilarity index ") != nil {
                // The similarity of the two files is information for people.
            } else if header.hasPrefix("GIT binary patch") || header.hasPrefix("Binary files ") {
                throw binaryFailure(names)
            } else {
                break extended
            }
            _ = self.header(position)
            index += 1
        }
        if let line = current, line.hasPrefix("--- "), lookingAt(1, "+++ ") {
            let (before, after) = (try headerName(index).name, try headerName(index + 1).name)
            index += 2
            let (old, new) = (
                try before.map { try path($0, strip: level) }, try after.map { try path($0, strip: level) }
            )
            // patch(1) needs no "deleted file mode", and users may have removed that line.
            if operation == .modify, old == nil || new == nil { operation = old == nil ? .create : .delete }
            try checkNames(operation, moved: (oldName, newName), header: (old, new), names, at: start)
            if let old, oldName == nil { oldName = old }
            if let new, newName == nil { newName = new }
        } else if let line = current, line.hasPrefix("@@ -"), Ranges(line) != nil {
            throw failure("a hunk without the --- and +++ lines that name its file", remake)
        }
        if operation == .rename || operation == .copy, oldName == nil || newName == nil {
            throw failure("the \(operation) names only one of its two files", remake, at: start)
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
        if operation == .create, hunks.isEmpty {
            // The identifier of no bytes marks an empty file. Mercurial writes none; there another diff follows.
            let isEmpty =
                newIdentifier.map { identifier in Self.emptyBlobs.contains { $0.hasPrefix(identifier) } }
                ?? (current.map { text($0).hasPrefix("diff ") } ?? false)
            guard isEmpty else {
                throw failure("the new file \(new) has no contents here: the patch is cut off", remake, at: start)
            }
        }
        return FilePatch(
            operation: operation, oldPath: old, newPath: new, newMode: newMode, oldMode: oldMode, hunks: hunks,
            lineNumber: number(start), isGit: true)
    }

    /// git's identifiers of no bytes: `git hash-object /dev/null` in repositories with SHA-1 and with SHA-256.
    private static let emptyBlobs = [
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
    ]

    /// Refuses a git diff whose `---` and `+++` lines name other files than the lines above them, as git does.
    /// Otherwise a file beside the intended one would be written.
    private func checkNames(
        _ operation: FilePatch.Operation, moved: (old: String?, new: String?), header: (old: String?, new: String?),
        _ names: String, at start: Int
    ) throws(Failure) {
        let common = commonName(names)
        let expected: (old: String?, new: String?) =
            switch operation {
            case .create: (nil, common ?? header.new)
            case .delete: (common ?? header.old, nil)
            case .rename, .copy: (moved.old ?? header.old, moved.new ?? header.new)
            default: (common ?? header.new, common ?? header.new)
            }
        guard header.old == expected.old, header.new == expected.new else {
            func shown(_ name: String?) -> String { name ?? "/dev/null" }
            throw failure(
                "the lines --- and +++ name \(shown(header.old)) and \(shown(header.new)), but the lines above them "
                    + "\(shown(expected.old)) and \(shown(expected.new))", remake, at: start)
        }
    }

    private var isPlainHeader: Bool {
        guard let line = current else { return false }
        guard line.hasPrefix("--- "), lookingAt(1, "+++ ") else { return false }
        // File names without a hunk below them are the remains of a damaged patch.
        return lookingAt(2, "@@ ") || (text(line).contains("/") && text(lines[index + 1]).contains("/"))
    }

    /// The lines that git writes between `diff --git` and `---` and that change more than contents.
    private static let gitLines = [
        "rename from ", "rename to ", "copy from ", "copy to ", "old mode ", "new mode ", "new file mode 100755",
    ]

    /// Refuses git's lines above a `---` without their `diff --git` line: a rename or a mode would be lost.
    private func checkNothingIsLost(above start: Int) throws(Failure) {
        var above = start
        while above > 0 {
            let line = text(lines[above - 1])
            if Self.gitLines.contains(where: line.hasPrefix) {
                throw failure("the line `\(line)` has no `diff --git` line above it", remake, at: above - 1)
            }
            guard line.contains("similarity index ") || line.hasPrefix("index ") else { return }
            above -= 1
        }
    }

    private mutating func plainPatch() throws -> FilePatch {
        let start = index
        try checkNothingIsLost(above: start)
        lineEnds = (nil, nil)
        let before = try headerName(index)
        let after = try headerName(index + 1)
        index += 2
        let hunks = try hunks()
        guard !hunks.isEmpty else {
            throw failure(
                "the diff of \((after.name ?? before.name ?? "/dev/null")) changes nothing: its hunks are "
                    + "missing", remake, at: start)
        }
        // diff writes the epoch as the time of a missing file.
        let isNew = before.name == nil || (before.isEpoch && hunks.first?.preimage.isEmpty == true)
        let isGone = after.name == nil || (after.isEpoch && hunks.last?.postimage.isEmpty == true)
        guard let old = before.name ?? after.name, let new = after.name ?? before.name else {
            throw failure("the diff compares /dev/null with /dev/null", remake, at: start)
        }
        return FilePatch(
            operation: isNew ? .create : isGone ? .delete : .modify,
            oldPath: try path(old, strip: level), newPath: try path(new, strip: level), newMode: nil, hunks: hunks,
            lineNumber: number(start), isGit: false)
    }

    /// The name on a `---` or `+++` line, nil for /dev/null, and whether its time stamp is the epoch.
    private mutating func headerName(_ position: Int) throws -> (name: String?, isEpoch: Bool) {
        let rest = String(header(position).dropFirst(4))
        if rest.hasPrefix("\"") { return (try unquoted(rest), false) }
        let columns = rest.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
        let name = columns.first.map(String.init)?.trimmed ?? ""
        let time = columns.count > 1 ? columns[1] : ""
        let isEpoch =
            time.hasPrefix("1970-01-01") || time.hasPrefix("1969-12-31") || time.contains("Jan  1 00:00:00 1970")
        return (name == "/dev/null" ? nil : name, isEpoch)
    }

    /// The file that `a/NAME b/NAME` names twice; renames and binary files are described by other lines.
    private func commonName(_ names: String) -> String? {
        if names.hasPrefix("\"") {
            guard let first = try? unquoted(names) else { return nil }
            return try? path(first, strip: level)
        }
        let bytes = Array(names.utf8)
        for space in bytes.indices where bytes[space] == UInt8(ascii: " ") {
            let left = String(decoding: bytes[..<space], as: UTF8.self)
            let right = String(decoding: bytes[(space + 1)...], as: UTF8.self)
            if let first = try? path(left, strip: level), let second = try? path(right, strip: level), first == second {
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

    /// Removes `strip` leading folders and refuses a path that is not safe in a tree.
    private func path(_ name: String, strip: Int) throws -> String {
        var strip = strip
        if name.hasPrefix("/") {
            // Only the tree decides which of its folders is the top.
            if self.strip == nil { return name }
            guard strip > 1 else {
                throw failure(
                    "the path \(name) is absolute",
                    "give the number of slashes up to the tree's files in a `series` file, such as "
                        + "`\(file.split(separator: "/").last ?? "x.patch") -p4`")
            }
            // patch(1) counts slashes, including the first one.
            strip -= 1
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

    /// Decodes git's quoting of names with unusual characters: C escapes and octal bytes within double quotes.
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
        return try withRestoredEnds(hunks)
    }

    private mutating func hunk() throws -> Hunk {
        let start = index
        let header = header(index)
        guard let ranges = Ranges(lines[start]) else { throw failure("\(header) is not a hunk header", remake) }
        var (old, new) = (ranges.oldCount, ranges.newCount)
        var entries: [Hunk.Entry] = []
        index += 1
        while old > 0 || new > 0 {
            guard let line = current else { throw endsEarly(start, old, new) }
            switch line.first {
            case UInt8(ascii: " ") where old > 0 && new > 0:
                entries.append(.init(kind: .context, line: line.dropFirst(), lineNumber: number(index)))
                (old, new) = (old - 1, new - 1)
            case UInt8(ascii: "\n") where old > 0 && new > 0,
                UInt8(ascii: "\r") where old > 0 && new > 0 && line.elementsEqual("\r\n".utf8):
                // Some programs remove the space of an empty line of context.
                entries.append(.init(kind: .context, line: line, lineNumber: number(index)))
                (old, new) = (old - 1, new - 1)
            case UInt8(ascii: "-") where old > 0:
                entries.append(.init(kind: .removed, line: line.dropFirst(), lineNumber: number(index)))
                old -= 1
            case UInt8(ascii: "+") where new > 0:
                entries.append(.init(kind: .added, line: line.dropFirst(), lineNumber: number(index)))
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
        if let raw = lines.last, index == lines.count, raw.last != UInt8(ascii: "\n"), raw.first != UInt8(ascii: "\\"),
            let last = entries.indices.last
        {
            // The end of the patch says nothing about the file's end; "\ No newline at end of file" does.
            entries[last].line = entries[last].line.withoutNewline + [UInt8(ascii: "\n")]
        }
        try checkEnd(of: header)
        guard entries.contains(where: { $0.kind != .context }) else {
            throw failure("the hunk \(header) changes nothing", remake, at: start)
        }
        return Hunk(
            header: header, lineNumber: number(start), oldStart: ranges.oldStart, newStart: ranges.newStart,
            entries: entries)
    }

    /// A line of a hunk that the header does not count would be silently lost.
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
        var failure = failure(
            "the hunk of line \(number(start)) ends here, but its header \(text(lines[start])) counts "
                + "\(old) more old and \(new) more new line(s)", remake)
        let others = ["diff ", "--- ", "@@ ", "From ", "Index: ", "Only in "]
        if let line = current, !line.isEmpty, !others.contains(where: text(line).hasPrefix),
            ![UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: " "), UInt8(ascii: "\\")].contains(
                line[line.startIndex])
        {
            failure.details =
                "this line begins with none of blank, + and -: the blank before a line that stays may have been lost"
        }
        return failure
    }

    private func dropNewline(_ entries: inout [Hunk.Entry]) {
        guard let last = entries.indices.last else { return }
        entries[last].line = entries[last].line.withoutNewline
    }

    /// The numbers of a hunk's header.
    private struct Ranges {
        let oldStart: Int
        let oldCount: Int
        let newStart: Int
        let newCount: Int

        /// Reads `@@ -START[,COUNT] +START[,COUNT] @@`; an omitted count is 1. A patch may have some ten thousand
        /// hunks, so this reads bytes.
        ///
        /// - Returns: nil for another line.
        init?(_ line: Line) {
            var rest = line
            guard Self.skip("@@ ", in: &rest), let old = Self.range("-", in: &rest), Self.skip(" ", in: &rest),
                let new = Self.range("+", in: &rest), Self.skip(" ", in: &rest),
                rest.hasPrefix("@@"),
                [nil, UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r")].contains(rest.dropFirst(2).first)
            else { return nil }
            (oldStart, oldCount, newStart, newCount) = (old.lowerBound, old.count, new.lowerBound, new.count)
        }

        /// Skips a text that ends in a blank, and further blanks.
        private static func skip(_ text: StaticString, in rest: inout Line) -> Bool {
            guard rest.hasPrefix(text) else { return false }
            rest = rest.dropFirst(text.utf8CodeUnitCount)
            rest = rest.drop { $0 == UInt8(ascii: " ") }
            return true
        }

        private static func range(_ sign: StaticString, in rest: inout Line) -> Range<Int>? {
            guard rest.hasPrefix(sign) else { return nil }
            rest = rest.dropFirst()
            guard let start = number(in: &rest) else { return nil }
            guard rest.first == UInt8(ascii: ",") else { return start..<start + 1 }
            rest = rest.dropFirst()
            return number(in: &rest).map { start..<start + $0 }
        }

        /// A number of at most 32 bits.
        private static func number(in rest: inout Line) -> Int? {
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            // Ten digits fit in 64 bits; more exceed 32 bits, except with leading zeros, which no tool writes.
            guard !digits.isEmpty, digits.count <= 10 else { return nil }
            let value = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
            guard value <= Int(UInt32.max) else { return nil }
            rest = rest[digits.endIndex...]
            return value
        }
    }

    // MARK: Helpers

    private let remake = "create the patch again; a diff that was edited by hand needs its @@ counts corrected"

    private var current: Line? { index < lines.count ? lines[index] : nil }

    private func lookingAt(_ ahead: Int, _ prefix: StaticString) -> Bool {
        index + ahead < lines.count && lines[index + ahead].hasPrefix(prefix)
    }

    /// A line without its end, CR LF or LF.
    private func text(_ line: Line) -> String {
        let content = line.withoutNewline
        return String(decoding: content.last == UInt8(ascii: "\r") ? content.dropLast() : content, as: UTF8.self)
    }

    private func failure(_ message: String, _ nextStep: String, at position: Int? = nil) -> Failure {
        Failure(.patch, "\(file):\(number(position ?? index)): \(message)", nextStep: nextStep)
    }

    private func binaryFailure(_ what: String) -> Failure {
        failure(
            "a binary patch (\(what)) is not supported",
            "kbuild applies text patches; leave binary files out of the series")
    }
}
