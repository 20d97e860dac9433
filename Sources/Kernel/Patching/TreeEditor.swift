// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import SystemPackage

/// A pristine tree with changes that exist only in memory.
package struct TreeEditor: Sendable {
    package let pristine: FilePath
    /// The differences from the pristine tree, by path.
    package private(set) var changes: [String: OverlayEntry] = [:]
    /// For each folder the number of `changes` that are files below it, so that a patch of many files does not take
    /// quadratic time.
    private var fileCounts: [Substring: Int] = [:]
    /// For each patched file and each of its lines the place in a patch that added the line; nil for a line of the
    /// kernel's own.
    package private(set) var origins: [String: [SourcePlace?]] = [:]
    /// The folders above written files; some of these files may be deleted again.
    private var foldersWritten: Set<String> = []
    /// The folders of the tree on disk, which does not change meanwhile.
    private let known = KnownFolders()

    package init(pristine: FilePath) {
        self.pristine = pristine
    }

    /// A file with the changes so far; nil when it does not exist.
    ///
    /// - Throws: `Failure` (`patch`) for a path that is unsafe or not a regular file.
    package func read(_ path: String) throws -> OverlayEntry.File? {
        switch changes[path] {
        case .file(let file): return file
        case .deleted: return nil
        case nil: return try readPristine(path)
        }
    }

    /// Whether the tree on disk has a file.
    ///
    /// - Throws: `Failure` (`patch`) for a path that is unsafe.
    package func isPristine(_ path: String) throws -> Bool { try pristineSize(path) != nil }

    /// The bytes of a file of the tree on disk; nil when there is none.
    private func pristineSize(_ path: String) throws -> Int? {
        try TreePath.check(path, in: pristine, known)
        return FileStatus(pristine.pushing(FilePath(path))).map { Int(clamping: $0.size) }
    }

    /// A file of the tree on disk; nil when it does not exist.
    ///
    /// - Throws: `Failure` (`patch`) for a path that is unsafe.
    package func readPristine(_ path: String) throws -> OverlayEntry.File? {
        try TreePath.check(path, in: pristine, known)
        let location = pristine.pushing(FilePath(path))
        guard let status = FileStatus(location) else { return nil }
        return .init(bytes: try readBytes(location), isExecutable: status.isExecutable)
    }

    /// Sets a file's contents.
    ///
    /// - Throws: `Failure` (`patch`) for a path that is unsafe, or that leads through a file.
    package mutating func write(_ path: String, _ file: OverlayEntry.File) throws {
        try TreePath.check(path, in: pristine, known)
        var folder = Substring(path)
        while let slash = folder.lastIndex(of: "/") {
            folder = folder[..<slash]
            let name = String(folder)
            if case .file = changes[name] { throw Failure(.patch, "\(name) is a file, so \(path) cannot be below it") }
            foldersWritten.insert(name)
        }
        if fileCounts[path[...]] != nil {
            throw Failure(.patch, "\(path) is a folder, so it cannot be a file")
        }
        record(.file(file), at: path)
    }

    /// Removes a file.
    mutating func delete(_ path: String) {
        record(.deleted, at: path)
    }

    /// The only place that changes `changes`, because `fileCounts` must follow it.
    private mutating func record(_ entry: OverlayEntry, at path: String) {
        let before = changes.updateValue(entry, forKey: path)
        origins[path] = nil
        let difference = (entry == .deleted ? 0 : 1) - (before == nil || before == .deleted ? 0 : 1)
        guard difference != 0 else { return }
        for index in path.indices where path[index] == "/" {
            let count = fileCounts[path[..<index], default: 0] + difference
            fileCounts[path[..<index]] = count == 0 ? nil : count
        }
    }

    /// The changes without those that restore a file's pristine state.
    package func effectiveChanges() throws -> [String: OverlayEntry] {
        try changes.filter { path, entry in
            try Task.checkCancellation()
            switch entry {
            case .file(let file):
                // Most changes change the size, and then nothing has to be read.
                guard try pristineSize(path) == file.bytes.count else { return true }
                return try file != readPristine(path)
            case .deleted: return try isPristine(path)
            }
        }
    }

    // MARK: Text

    /// A text file's lines without their newlines.
    ///
    /// - Throws: `Failure` (`patch`) when the file is missing or not UTF-8, because writing it back could change it.
    package func readLines(_ path: String) throws -> [String] {
        guard let file = try read(path) else {
            throw Failure(.patch, "\(path) is not in this kernel tree", details: "\(pristine)")
        }
        guard let text = String(validating: file.bytes, as: UTF8.self) else {
            throw Failure(.patch, "\(path) is not UTF-8, so kbuild cannot edit it")
        }
        // By scalars: "\r\n" is one Character, and the line after it would be hidden in the line before.
        var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    /// Replaces a text file's lines, keeping its mode.
    package mutating func writeLines(_ path: String, _ lines: [String]) throws {
        let isExecutable = try read(path)?.isExecutable ?? false
        let text = lines.map { $0 + "\n" }.joined()
        try write(path, .init(bytes: Array(text.utf8), isExecutable: isExecutable))
    }

    // MARK: Patches

    /// The result of a patch.
    package struct AppliedPatch {
        /// Notes such as offsets.
        package var notes: [String]
        /// The changed paths.
        package var paths: Set<String>
    }

    /// Applies one patch as a whole.
    ///
    /// - Throws: `Failure` (`patch`) that names everything that does not apply, with this editor unchanged.
    package mutating func apply(_ patch: Patch) throws -> AppliedPatch {
        var result = self
        var (patch, notes) = try located(patch)
        notes = patch.remarks + notes
        patch.isExact = patch.isWithoutContext
        var progress = PatchProgress()
        // A file may get the name of a file that the same patch moves away, as when two names are swapped.
        let leaving = Set(patch.files.filter { $0.operation == .rename || $0.operation == .delete }.map(\.oldPath))
        var failures: [ApplyFailure] = []
        for file in patch.files {
            try Task.checkCancellation()
            do {
                notes += try result.apply(file, from: patch, before: self, leaving: leaving, progress: &progress)
            } catch let several as ApplyFailures {
                failures += several.all
            } catch let failure as Failure {
                let cause = failure.message.replacing("\(patch.file):\(file.lineNumber): ", with: "")
                failures.append(ApplyFailure(row: "\(file.newPath), line \(file.lineNumber): \(cause)") { failure })
            }
        }
        guard failures.isEmpty else {
            throw isApplied(patch) ? alreadyApplied(patch) : ApplyFailures(all: failures).failure(of: patch)
        }
        self = result
        return AppliedPatch(notes: notes, paths: progress.touched)
    }

    /// The patch with paths of the tree instead of absolute paths, with as many folders removed as necessary to find
    /// its files.
    ///
    /// - Throws: `Failure` (`patch`) when no number of removed leading folders leads to files of the tree.
    private func located(_ patch: Patch) throws -> (patch: Patch, notes: [String]) {
        func isAbsolute(_ change: FilePatch) -> Bool { change.oldPath.hasPrefix("/") || change.newPath.hasPrefix("/") }
        guard let first = patch.files.first(where: isAbsolute) else { return (patch, []) }
        func shortened(_ path: String, _ level: Int) -> String? {
            guard path.hasPrefix("/") else { return path }
            let parts = path.split(separator: "/")
            guard parts.count >= level else { return nil }
            let rest = parts.dropFirst(level - 1).joined(separator: "/")
            return TreePath.unsafeReason(rest) == nil ? rest : nil
        }
        let deepest =
            patch.files.map { max($0.oldPath.split(separator: "/").count, $0.newPath.split(separator: "/").count) }
            .max() ?? 0
        for level in 1...max(1, deepest) {
            var result = patch
            var isFitting = true
            var found = 0
            for index in result.files.indices where isFitting {
                let change = result.files[index]
                guard let old = shortened(change.oldPath, level), let new = shortened(change.newPath, level) else {
                    isFitting = false
                    continue
                }
                (result.files[index].oldPath, result.files[index].newPath) = (old, new)
                let isThere = (try? read(old)) ?? nil != nil || (try? read(new)) ?? nil != nil
                if isThere { found += 1 }
                if change.operation != .create, !isThere { isFitting = false }
                if change.operation == .create, !isThere, !isFolder(above: new) { isFitting = false }
            }
            if isFitting {
                return (result, ["\(patch.name): the paths are absolute, and fit this kernel with -p\(level)"])
            }
        }
        throw Failure(
            .patch,
            "\(patch.file):\(first.lineNumber): the path \(first.newPath) is absolute, and no part of it is a file "
                + "of this kernel tree",
            nextStep: "give the number of slashes up to the tree's files in a `series` file, such as `x.patch -p4`")
    }

    /// Whether the folder of `path` exists in the tree, and is not its top.
    private func isFolder(above path: String) -> Bool {
        guard let slash = path.lastIndex(of: "/") else { return false }
        let folder = String(path[..<slash])
        return foldersWritten.contains(folder) || FileStatus(pristine.pushing(FilePath(folder)))?.isFolder == true
    }

    /// The files that the current patch has changed.
    private struct PatchProgress {
        /// Files changed in any way.
        var touched: Set<String> = []
        /// Files written over a file that the same patch moves away.
        var replaced: Set<String> = []
    }

    private mutating func apply(
        _ change: FilePatch, from patch: Patch, before: TreeEditor, leaving: Set<String>,
        progress: inout PatchProgress
    ) throws -> [String] {
        let change = try resolved(change)
        let place = "\(patch.file):\(change.lineNumber)"
        var old = try read(change.oldPath)
        var oldOrigins = origins[change.oldPath]
        let isMoved = old == nil && progress.touched.contains(change.oldPath) && change.operation == .copy
        if isMoved || (progress.replaced.contains(change.oldPath) && change.operation != .modify) {
            old = try before.read(change.oldPath)
            oldOrigins = before.origins[change.oldPath]
        }
        var bytes: [UInt8] = []
        var isExecutable = false
        switch change.operation {
        case .create:
            if try read(change.newPath) != nil,
                !leaving.contains(change.newPath) || progress.touched.contains(change.newPath)
            {
                throw Failure(
                    .patch, "\(place): \(change.newPath) is to be created, but it is there already",
                    nextStep: "check that the patch is made for this kernel, and that no other one creates the file")
            }
        case .modify, .delete, .rename, .copy, .removeCopy:
            guard let old else {
                let editor = self
                throw ApplyFailures(all: [
                    ApplyFailure(row: "\(change.oldPath), line \(change.lineNumber): not in this kernel tree") {
                        editor.missing(change, patch)
                    }
                ])
            }
            (bytes, isExecutable) = (old.bytes, old.isExecutable)
        }

        var notes: [String] = []
        let lines = bytes.splitLines
        var applier = HunkApplier(
            lines, origins: change.operation == .create ? nil : oldOrigins, isExact: patch.isExact)
        var failures: [ApplyFailure] = []
        for (index, hunk) in change.hunks.enumerated() {
            guard let placement = applier.apply(hunk, from: patch.location ?? patch.file, fuzz: patch.fuzz) else {
                let diagnosis = HunkFailureDiagnosis(
                    patch: patch, change: change, hunkIndex: index, applier: applier, originalLines: lines)
                failures.append(ApplyFailure(diagnosis: diagnosis))
                continue
            }
            let (offset, fuzz) = (placement.offset, placement.fuzz)
            if offset != 0 || fuzz != 0 {
                let at = HunkApplier.expectedIndex(hunk) + offset + 1
                var how: [String] = []
                if fuzz != 0 { how.append("fuzz \(fuzz)") }
                if offset != 0 { how.append("offset \(offset) line\(abs(offset) == 1 ? "" : "s")") }
                notes.append(
                    "\(patch.file): hunk \(index + 1) of \(change.newPath) applied at line \(at) "
                        + "(\(how.joined(separator: ", ")))")
            }
        }
        guard failures.isEmpty else { throw ApplyFailures(all: failures) }
        if let mode = change.newMode { isExecutable = mode & 0o100 != 0 }
        var output: [UInt8] = []
        output.reserveCapacity(applier.lines.reduce(0) { $0 + $1.count })
        for line in applier.lines { output += line }

        if change.operation == .delete || change.operation == .removeCopy {
            guard output.isEmpty || change.operation == .removeCopy else {
                throw Failure(
                    .patch,
                    "\(place): \(change.oldPath) is to be deleted, but this kernel's has more than the patch removes",
                    details: applier.lines.prefix(8).map(\.display).joined(separator: "\n"))
            }
            if !progress.replaced.contains(change.oldPath) { delete(change.oldPath) }
            progress.touched.insert(change.oldPath)
            return notes
        }
        if change.operation == .rename || change.operation == .copy {
            if change.newPath != change.oldPath, try read(change.newPath) != nil {
                guard leaving.contains(change.newPath) else {
                    throw Failure(.patch, "\(place): \(change.newPath) is to be created, but it is there already")
                }
                progress.replaced.insert(change.newPath)
            }
            if change.operation == .rename {
                if !progress.replaced.contains(change.oldPath) { delete(change.oldPath) }
                progress.touched.insert(change.oldPath)
            }
        }
        try write(change.newPath, .init(bytes: output, isExecutable: isExecutable))
        origins[change.newPath] = applier.origins
        progress.touched.insert(change.newPath)
        return notes
    }

    /// Decides which of a plain diff's two files is the file in the tree.
    private func resolved(_ change: FilePatch) throws -> FilePatch {
        guard !change.isGit else { return change }
        var change = change
        if change.oldPath != change.newPath {
            let path = try read(change.newPath) != nil || change.operation == .create ? change.newPath : change.oldPath
            let isEither = try read(path) != nil || change.operation == .create
            // If neither exists, the shorter name is less likely to be a backup's.
            let chosen = isEither ? path : [change.newPath, change.oldPath].min { $0.count < $1.count } ?? path
            (change.oldPath, change.newPath) = (chosen, chosen)
        }
        // diff -N without time stamps: a hunk without old lines creates the file.
        if change.operation == .modify, change.hunks.count == 1, change.hunks[0].preimage.isEmpty,
            change.hunks[0].oldStart == 0, try read(change.newPath) == nil
        {
            change.operation = .create
        }
        return change
    }

    private func missing(_ change: FilePatch, _ patch: Patch) -> Failure {
        let similar = TreePath.similar(to: change.oldPath, in: pristine)
        var details =
            similar.isEmpty ? nil : (["similarly named files of this kernel:"] + similar).joined(separator: "\n  ")
        var next = "check that the patch is made for this kernel"
        // a/kernel/sys.c read with -p0, or kernel/sys.c read with -p1, differs by one folder.
        if let shorter = similar.first(where: {
            change.oldPath.hasSuffix("/" + $0) || $0.hasSuffix("/" + change.oldPath)
        }) {
            let difference =
                change.oldPath.split(separator: "/").count - shorter.split(separator: "/").count
            let level = patch.strip + difference
            let name = patch.file.split(separator: "/").last.map(String.init) ?? patch.file
            next =
                (0...9).contains(level)
                ? "the patch may mean \(shorter): put the line `\(name) -p\(level)` into the folder's `series` file"
                : "the patch may mean \(shorter): recreate it with `git format-patch` in the kernel's tree"
        }
        if changes[change.oldPath] == .deleted {
            (details, next) = ("an earlier patch deletes or renames it", "check the order of the series")
        }
        return Failure(
            .patch, "\(patch.file):\(change.lineNumber): \(change.oldPath) is not in this kernel tree",
            details: details, nextStep: next)
    }

    // MARK: Already applied?

    private func alreadyApplied(_ patch: Patch) -> Failure {
        Failure(
            .patch, "\(patch.name) is already applied: the tree holds what it would change",
            details: patch.files.map { "\($0.newPath) is as the patch leaves it" }.joined(separator: "\n"),
            nextStep: patch.messageLine == nil
                ? "remove it from the series; this kernel has it"
                : "remove this message from the mailbox; this kernel has it, the other messages are not concerned")
    }

    /// Whether the tree is already in the state after `patch`: every change can be undone.
    private func isApplied(_ patch: Patch) -> Bool {
        patch.files.allSatisfy { change in
            if change.operation == .delete || change.operation == .removeCopy {
                return (try? read(change.oldPath)) ?? nil == nil
            }
            guard let file = try? read(change.newPath) else { return false }
            if change.operation == .rename, (try? read(change.oldPath)) ?? nil != nil { return false }
            if change.hunks.isEmpty { return change.newMode.map { ($0 & 0o100 != 0) == file.isExecutable } ?? true }
            return Self.isUndoable(
                change.hunks, in: file.bytes.splitLines, leavesNothing: change.operation == .create,
                isExact: patch.isExact)
        }
    }

    /// Whether the hunks apply in reverse.
    static func isUndoable(
        _ hunks: [Hunk], in lines: [Line], leavesNothing: Bool = false, isExact: Bool = false
    ) -> Bool {
        var applier = HunkApplier(lines, isExact: isExact)
        // Forwards each hunk depends on the earlier hunks; backwards the old numbers hold once the earlier hunks are
        // undone.
        let isUndone = hunks.allSatisfy { applier.apply($0.reversed) != nil }
        return isUndone && (!leavesNothing || applier.lines.isEmpty)
    }
}
