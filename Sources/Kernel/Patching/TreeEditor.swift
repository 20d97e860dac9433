// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import SystemPackage

/// A pristine tree with changes that exist only in memory.
package struct TreeEditor {
    package let pristine: FilePath
    /// What differs from the pristine tree, by path.
    package private(set) var changes: [String: OverlayEntry] = [:]
    /// For each file that patches changed and each of its lines the place in a patch that brought the line; nil for a
    /// line of the kernel's own.
    package private(set) var origins: [String: [SourcePlace?]] = [:]

    package init(pristine: FilePath) {
        self.pristine = pristine
    }

    /// A file as changed so far; nil when there is none.
    ///
    /// - Throws: `Failure` (`patch`) for a path that is unsafe or no regular file.
    package func read(_ path: String) throws -> OverlayEntry.File? {
        switch changes[path] {
        case .file(let file): return file
        case .deleted: return nil
        case nil: return try readPristine(path)
        }
    }

    private func readPristine(_ path: String) throws -> OverlayEntry.File? {
        try TreePath.check(path, in: pristine)
        let location = pristine.pushing(FilePath(path))
        guard let status = FileStatus(location) else { return nil }
        return .init(bytes: try readBytes(location), isExecutable: status.isExecutable)
    }

    /// Sets a file's contents.
    ///
    /// - Throws: `Failure` (`patch`) for a path that is unsafe, or that leads through a file.
    package mutating func write(_ path: String, _ file: OverlayEntry.File) throws {
        try TreePath.check(path, in: pristine)
        var folder = path.split(separator: "/").dropLast()
        while !folder.isEmpty {
            let name = folder.joined(separator: "/")
            if case .file = changes[name] { throw Failure(.patch, "\(name) is a file, so \(path) cannot be below it") }
            folder.removeLast()
        }
        if changes.contains(where: { $0.key.hasPrefix(path + "/") && $0.value != .deleted }) {
            throw Failure(.patch, "\(path) is a folder, so it cannot be a file")
        }
        changes[path] = .file(file)
        origins[path] = nil
    }

    /// Removes a file.
    mutating func delete(_ path: String) {
        changes[path] = .deleted
        origins[path] = nil
    }

    /// The changes without those that bring a file back to its pristine state.
    package func effectiveChanges() throws -> [String: OverlayEntry] {
        try changes.filter { path, entry in
            let before = try readPristine(path)
            switch entry {
            case .file(let file): return file != before
            case .deleted: return before != nil
            }
        }
    }

    // MARK: Text

    /// A text file's lines without their newlines.
    ///
    /// - Throws: `Failure` (`patch`) when the file is missing or not UTF-8, so that writing it back could change it.
    package func readLines(_ path: String) throws -> [String] {
        guard let file = try read(path) else {
            throw Failure(.patch, "\(path) is not in this kernel tree", details: "\(pristine)")
        }
        guard let text = String(validating: file.bytes, as: UTF8.self) else {
            throw Failure(.patch, "\(path) is not UTF-8, so kbuild cannot edit it")
        }
        // By scalars: "\r\n" is one Character, and a line behind it would be hidden in the one before.
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

    /// Applies one patch as a whole.
    ///
    /// - Returns: Remarks such as offsets, and the paths that were changed.
    /// - Throws: `Failure` (`patch`), with this editor unchanged.
    package mutating func apply(_ patch: Patch) throws -> (notes: [String], paths: Set<String>) {
        var result = self
        var notes: [String] = []
        var progress = PatchProgress()
        // A file may take the name of one that the same patch moves away, as in a swap of two names.
        let leaving = Set(patch.files.filter { $0.operation == .rename || $0.operation == .delete }.map(\.oldPath))
        do {
            for file in patch.files {
                notes += try result.apply(file, from: patch, before: self, leaving: leaving, progress: &progress)
            }
        } catch let failure as Failure {
            throw isApplied(patch) ? alreadyApplied(patch, failure) : failure
        }
        self = result
        return (notes, progress.touched)
    }

    /// Which files the patch that is being applied has dealt with.
    private struct PatchProgress {
        /// Changed in any way.
        var touched: Set<String> = []
        /// Written over a file that the same patch moves away.
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
        case .modify, .delete, .rename, .copy:
            guard let old else { throw missing(change, patch) }
            (bytes, isExecutable) = (old.bytes, old.isExecutable)
        }

        var notes: [String] = []
        let lines = bytes.splitLines
        var applier = HunkApplier(lines, origins: change.operation == .create ? nil : oldOrigins)
        for (index, hunk) in change.hunks.enumerated() {
            guard let offset = applier.apply(hunk, from: patch.location ?? patch.file) else {
                throw HunkFailureDiagnosis(
                    patch: patch, change: change, hunkIndex: index, lines: applier.lines,
                    originalLines: lines
                ).failure
            }
            if offset != 0 {
                let at = HunkApplier.expectedIndex(hunk) + offset + 1
                notes.append(
                    "\(patch.file): hunk \(index + 1) of \(change.newPath) applied at line \(at) "
                        + "(offset \(offset) line\(abs(offset) == 1 ? "" : "s"))")
            }
        }
        if let mode = change.newMode { isExecutable = mode & 0o100 != 0 }
        let output = Array(applier.lines.joined())

        if change.operation == .delete {
            guard output.isEmpty else {
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

    /// Decides which of the two files that a plain diff compared is the one in the tree.
    private func resolved(_ change: FilePatch) throws -> FilePatch {
        guard !change.isGit else { return change }
        var change = change
        if change.oldPath != change.newPath {
            let path = try read(change.newPath) != nil || change.operation == .create ? change.newPath : change.oldPath
            let isEither = try read(path) != nil || change.operation == .create
            // With neither there, the shorter one is less likely to be a backup's name.
            let chosen = isEither ? path : [change.newPath, change.oldPath].min { $0.count < $1.count } ?? path
            (change.oldPath, change.newPath) = (chosen, chosen)
        }
        // diff -N without time stamps: a hunk that needs nothing to be there makes the file.
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
        // a/kernel/sys.c read with -p0, or kernel/sys.c read with -p1, misses by one folder.
        if let shorter = similar.first(where: {
            change.oldPath.hasSuffix("/" + $0) || $0.hasSuffix("/" + change.oldPath)
        }) {
            next =
                "the patch may mean \(shorter): give the folders to leave out in a `series` file, such as `x.patch -p0`"
        }
        if changes[change.oldPath] == .deleted {
            (details, next) = ("an earlier patch deletes or renames it", "check the order of the series")
        }
        return Failure(
            .patch, "\(patch.file):\(change.lineNumber): \(change.oldPath) is not in this kernel tree",
            details: details, nextStep: next)
    }

    // MARK: Already applied?

    private func alreadyApplied(_ patch: Patch, _ failure: Failure) -> Failure {
        Failure(
            .patch, "\(patch.file) is already applied: the tree holds what it would change",
            details: patch.files.map { "\($0.newPath) is as the patch leaves it" }.joined(separator: "\n"),
            nextStep: "remove it from the series; this kernel has it")
    }

    /// Whether the tree is as `patch` would leave it: every change can be undone.
    private func isApplied(_ patch: Patch) -> Bool {
        patch.files.allSatisfy { change in
            guard let file = try? read(change.newPath) else { return change.operation == .delete }
            guard change.operation != .delete else { return false }
            if change.operation == .rename, (try? read(change.oldPath)) ?? nil != nil { return false }
            if change.hunks.isEmpty { return change.newMode.map { ($0 & 0o100 != 0) == file.isExecutable } ?? true }
            return Self.isUndoable(change.hunks, in: file.bytes.splitLines, leavesNothing: change.operation == .create)
        }
    }

    /// Whether the hunks apply in reverse.
    static func isUndoable(_ hunks: [Hunk], in lines: [Line], leavesNothing: Bool = false) -> Bool {
        var applier = HunkApplier(lines)
        // Forwards each hunk counts on those above it; backwards the old numbers hold once those above are undone.
        let isUndone = hunks.allSatisfy { applier.apply($0.reversed) != nil }
        return isUndone && (!leavesNothing || applier.lines.isEmpty)
    }
}
