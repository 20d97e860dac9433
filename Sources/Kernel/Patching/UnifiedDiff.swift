// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A line of a file as bytes, with its newline if it has one: kernel sources need not be UTF-8, and whether the last
/// line ends in a newline is part of a patch.
package typealias Line = ArraySlice<UInt8>

extension Sequence<UInt8> where Self: RandomAccessCollection, Index == Int {
    /// The lines, each with its newline; the last may have none.
    package var splitLines: [Line] {
        let bytes = ArraySlice(self)
        var lines: [Line] = []
        lines.reserveCapacity(bytes.count / 24)
        var start = bytes.startIndex
        while start < bytes.endIndex {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.endIndex
            lines.append(bytes[start..<end])
            start = end
        }
        return lines
    }
}

extension Line {
    /// The line without its newline.
    var withoutNewline: Line { last == UInt8(ascii: "\n") ? dropLast() : self }

    /// The line for display: without the newline, and with visible carriage returns, which are a frequent reason why
    /// two lines that look equal differ.
    package var display: String {
        let text = String(decoding: withoutNewline, as: UTF8.self)
        return text.unicodeScalars.contains("\r")
            ? String(
                text.unicodeScalars.flatMap { $0 == "\r" ? Array("\\r".unicodeScalars) : [$0] }.map(Character.init))
            : text
    }

    func hasPrefix(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { count >= $0.count && prefix($0.count).elementsEqual($0) }
    }
}

/// One change of a unified diff.
package struct Hunk: Sendable, Equatable {
    package enum Kind: Sendable { case context, removed, added }

    package struct Entry: Sendable, Equatable {
        package var kind: Kind
        var line: Line
        /// The line number in the patch file, from 1; 0 when it was not read from one.
        var lineNumber = 0
    }

    /// The `@@` line in the patch.
    var header: String
    /// The line number in the patch file, from 1.
    package var lineNumber: Int
    /// The first line in the old file, from 1; 0 for an empty range at the start.
    var oldStart: Int
    /// The first line in the new file.
    var newStart: Int
    /// The lines.
    package var entries: [Entry]

    /// The lines that the file must contain.
    var preimage: [Line] { entries.filter { $0.kind != .added }.map(\.line) }
    /// The lines that the file contains afterwards.
    package var postimage: [Line] { entries.filter { $0.kind != .removed }.map(\.line) }
    /// The number of context lines at the beginning.
    var leadingContext: Int { entries.prefix { $0.kind == .context }.count }
    /// The number of context lines at the end.
    var trailingContext: Int { entries.reversed().prefix { $0.kind == .context }.count }

    /// The hunk that undoes this one.
    var reversed: Hunk {
        var hunk = self
        (hunk.oldStart, hunk.newStart) = (newStart, oldStart)
        hunk.entries = entries.map { entry in
            switch entry.kind {
            case .context: entry
            case .removed: Entry(kind: .added, line: entry.line, lineNumber: entry.lineNumber)
            case .added: Entry(kind: .removed, line: entry.line, lineNumber: entry.lineNumber)
            }
        }
        return hunk
    }
}

/// The change of a patch to one file.
package struct FilePatch: Sendable, Equatable {
    package enum Operation: Sendable {
        case modify, create, delete, rename, copy
        /// Deletes a copy, whatever its contents after the hunks are undone: the reverse of `copy`.
        case removeCopy
    }

    package var operation: Operation
    /// The file's path before; for a new file its path after.
    package var oldPath: String
    /// The file's path after; for a deleted file its path before.
    package var newPath: String
    /// The git file mode after, such as 0o100755; nil when the patch does not say.
    package var newMode: Int?
    /// The git file mode before; nil when the patch does not say.
    package var oldMode: Int?
    package var hunks: [Hunk]
    /// Its first line in the patch file, from 1.
    package var lineNumber: Int
    /// Whether it has a `diff --git` line. A plain diff names the two files that it compared; either may be the file in
    /// the tree.
    var isGit: Bool
}

/// One patch: a diff file, or one message of a mailbox.
package struct Patch: Sendable, Equatable {
    /// The file that it came from, as the user knows it, such as `memcpy/0001-add.patch`.
    package var file: String
    /// The subject of the message; nil for a plain diff.
    package var subject: String?
    /// The author in the message's header: `NAME <ADDRESS>`; nil if there is none.
    package var author: String?
    /// The date in the message's header.
    package var date: String?
    /// The message's text below its subject.
    package var explanation = ""
    package var files: [FilePatch]
    /// The file's path, for places in findings; nil to use `file`.
    package var location: String?
    /// The first line of its message in the file; nil when the file has no other.
    package var messageLine: Int?
    /// Notes for the user on how the file was read, such as skipped messages.
    package var remarks: [String] = []
    /// The lines of context at each end of a hunk that may differ, as in `patch --fuzz`.
    package var fuzz = 0
    /// Whether hunks belong exactly at the lines that they name, as `isWithoutContext` found.
    var isExact = false
    /// How many leading folders of each path were removed, as in `patch -pN`.
    package var strip = 1

    /// The name in messages: the file, and for a mailbox the message.
    package var name: String {
        guard let messageLine else { return file }
        return "\(file):\(messageLine)\(subject.map { " (\($0))" } ?? "")"
    }

    /// Whether it was made without context (-U0): no hunk has any, and a hunk that is not at a file's start could have
    /// some.
    var isWithoutContext: Bool {
        var isElsewhere = false
        for change in files {
            for hunk in change.hunks {
                if hunk.entries.contains(where: { $0.kind == .context }) { return false }
                if hunk.oldStart > 1 || change.hunks.count > 1 { isElsewhere = true }
            }
        }
        return isElsewhere
    }

    /// The patch that undoes this one, as in `patch -R`.
    package var reversed: Patch {
        var patch = self
        patch.files = files.reversed().map(\.reversed)
        return patch
    }
}

extension FilePatch {
    /// The change that undoes this one. The reverse of a copy deletes the copy, with its contents at that time.
    var reversed: FilePatch {
        var change = self
        (change.oldPath, change.newPath) = (newPath, oldPath)
        (change.oldMode, change.newMode) = (newMode, oldMode)
        change.hunks = hunks.map(\.reversed)
        switch operation {
        case .create: change.operation = .delete
        case .delete: change.operation = .create
        case .copy: change.operation = .removeCopy
        case .modify, .rename, .removeCopy: break
        }
        return change
    }
}
