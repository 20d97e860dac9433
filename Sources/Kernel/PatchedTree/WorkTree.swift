// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import KernelSource
import Patching
import SystemPackage

/// A project's own copy of a kernel tree, made of hard links to the pristine tree (a plain copy with preserved time
/// stamps works as well), and synchronized with an overlay.
///
/// make decides by time stamps what to compile, so a wrong time stamp means that another kernel is tested than the
/// patched one. The rule: an output folder is offered a file with a given time stamp only if it was offered the same
/// contents with that time stamp before; otherwise the file gets a time stamp later than all of the folder's objects.
/// So a file in the same state as before is never compiled again, and a file in another state always is.
///
/// Several outputs may be built from one tree, one at a time: the caller holds a lock from `synchronize` to the end of
/// the build. A manual make in one of the outputs without `synchronize` is not covered.
public struct WorkTree: Sendable {
    /// The tree to build.
    public let tree: FilePath
    /// The original tree, which nothing here writes to.
    public let pristine: FilePath

    /// Names a work tree; nothing is read or written.
    public init(tree: FilePath, pristine: FilePath) {
        self.tree = tree
        self.pristine = pristine
    }

    /// The changes that `synchronize(overlay:output:)` made.
    public struct Synchronization: Sendable, Equatable {
        /// New files, by path, sorted.
        public internal(set) var added: [String] = []
        /// Files whose contents changed.
        public internal(set) var modified: [String] = []
        /// Removed files.
        public internal(set) var removed: [String] = []
        /// Files that kept their contents and got the time stamp that the output knows, or a new one.
        public internal(set) var restamped: [String] = []

        /// Whether the tree needed no change.
        public var isUnchanged: Bool { self == Synchronization() }
    }

    /// The changes that `synchronize(overlay:output:)` would make.
    public struct PlannedSynchronization: Sendable {
        /// The files that it would change.
        public var changes: Synchronization
        /// The record of the output after that.
        package var record: OutputRecord
    }

    /// One file that may need a change.
    private struct Step {
        var path: String
        /// Nil to remove the file.
        var file: TreeOverlay.Entry.File?
        var content: ContentIdentity
        var modified: Int64
        var isPristine: Bool
        var hasContent: Bool
        var exists: Bool
    }

    /// Records that the tree was made just now as a copy of the pristine one, so that no file of it need be compared.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the record cannot be written.
    public func recordCopy() throws { try WorkTreeManifest().save(tree: tree) }

    // MARK: Synchronize

    /// Changes the tree to `overlay` and gives its files the time stamps that make needs in a build of `output`. Only
    /// files that differ are changed, by renaming a new file over them; files that are no longer in the overlay become
    /// pristine again.
    ///
    /// - Parameter output: The build folder (make's `O=`); created if it is missing.
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be written, or the tree is not a copy of the pristine
    ///   one. After an error or a kill the next call completes the work.
    @discardableResult
    public func synchronize(overlay: TreeOverlay, output: FilePath) throws -> Synchronization {
        let comparison = try examine(overlay: overlay, output: output)
        let (record, steps) = (comparison.record, comparison.steps)
        var manifest = comparison.manifest
        try createFolder(output)
        if !steps.isEmpty {
            // If this is interrupted, neither file claims to know an incomplete state.
            var (journal, unsure) = (manifest, record)
            for step in steps {
                journal.files[step.path, default: .init()].content = nil
                unsure.files[step.path]?.content = nil
            }
            try unsure.save(output: output)
            try journal.save(tree: tree)
        }
        for step in steps { try perform(step) }
        for path in record.files.keys {
            guard let content = record.files[path]?.content else { continue }
            let location = FilePath(path)
            manifest.files[path, default: .init()].describe(
                FileStatus(tree.pushing(location)), pristine: FileStatus(pristine.pushing(location)), content: content)
        }
        if record != comparison.storedRecord || !steps.isEmpty { try record.save(output: output) }
        if manifest != comparison.storedManifest || !steps.isEmpty { try manifest.save(tree: tree) }
        return comparison.synchronization
    }

    /// The changes that `synchronize(overlay:output:)` would make; nothing is changed.
    ///
    /// - Throws: As `synchronize(overlay:output:)`.
    public func planSynchronization(overlay: TreeOverlay, output: FilePath) throws -> PlannedSynchronization {
        let comparison = try examine(overlay: overlay, output: output)
        return PlannedSynchronization(changes: comparison.synchronization, record: comparison.record)
    }

    /// The current state and the wanted state of the tree.
    private struct TreeComparison {
        var storedManifest: WorkTreeManifest?
        var manifest: WorkTreeManifest
        var storedRecord: OutputRecord?
        var record: OutputRecord
        var steps: [Step] = []

        /// The steps in the caller's form.
        var synchronization: Synchronization {
            var result = Synchronization()
            for step in steps {
                if step.file == nil {
                    result.removed.append(step.path)
                } else if step.hasContent {
                    result.restamped.append(step.path)
                } else if step.exists {
                    result.modified.append(step.path)
                } else {
                    result.added.append(step.path)
                }
            }
            return result
        }
    }

    private func examine(overlay: TreeOverlay, output: FilePath) throws -> TreeComparison {
        let storedManifest = WorkTreeManifest.load(tree: tree)
        if storedManifest == nil { try verifyCopy() }
        var manifest = storedManifest ?? WorkTreeManifest()
        let storedRecord = OutputRecord.load(output: output)
        var record = storedRecord ?? OutputRecord()

        // Later than every time stamp of this output, even if the clock was set back since.
        let newest = max(record.files.values.map(\.modified).max() ?? 0, record.builtAt)
        let stamp = max(nanosecondsNow(), newest + 1)

        var steps: [Step] = []
        for path in Set(manifest.files.keys).union(overlay.files.keys).union(record.files.keys).sorted() {
            let step = try plan(
                path, overlay: overlay, manifest: &manifest, offered: record.files[path],
                isRecordKnown: storedRecord != nil, stamp: stamp)
            record.files[path] = .init(
                content: step.content, modified: step.modified, seen: record.files[path]?.seen)
            let status = FileStatus(tree.pushing(FilePath(path)))
            let isDone = step.hasContent && (step.file == nil || status?.modified == step.modified)
            if !isDone { steps.append(step) }
        }
        manifest.sources = overlay.sources
        return TreeComparison(
            storedManifest: storedManifest, manifest: manifest, storedRecord: storedRecord, record: record, steps: steps
        )
    }

    /// Decides the new state of one file.
    private func plan(
        _ path: String, overlay: TreeOverlay, manifest: inout WorkTreeManifest, offered: OutputRecord.Offered?,
        isRecordKnown: Bool, stamp: Int64
    ) throws -> Step {
        try TreePath.check(path, in: tree)
        let location = tree.pushing(FilePath(path))
        let status = FileStatus(location)
        let pristineStatus = FileStatus(pristine.pushing(FilePath(path)))
        // A large patch has thousands of files: the pristine one is read, and its digest made, only where it matters.
        var readPristine: TreeOverlay.Entry.File??
        func pristineFile() throws -> TreeOverlay.Entry.File? {
            if let file = readPristine { return file }
            let file = try TreeOverlay.Entry.File(pristine.pushing(FilePath(path)))
            readPristine = .some(file)
            return file
        }
        func isPristineContent(_ content: ContentIdentity) throws -> Bool {
            content == (try pristineFile().map(ContentIdentity.init) ?? .absent)
        }
        let file: TreeOverlay.Entry.File? =
            switch overlay.files[path] {
            case .file(let file): file
            case .deleted: nil
            case nil: try pristineFile()
            }
        let content = file.map(ContentIdentity.init) ?? .absent

        let left = manifest.files[path]
        let isAsLeft: Bool
        let current: ContentIdentity
        if let left, let known = left.content, left.agrees(with: status, pristine: pristineStatus) {
            (isAsLeft, current) = (true, known)
        } else {
            current = try ContentIdentity.of(location)
            isAsLeft =
                try left == nil && status?.modified == pristineStatus?.modified && isPristineContent(current)
        }
        if !isAsLeft {
            // Another program wrote this file, and may have run make since: no output's objects can be trusted.
            manifest.files[path, default: .init()].untrustedUntil = stamp - 1
        }
        let untrustedUntil = manifest.files[path]?.untrustedUntil ?? 0

        var modified = stamp
        if let offered {
            if offered.content == content, offered.modified > untrustedUntil {
                modified = offered.modified
            } else if let seen = offered.seen, seen.content == content, seen.modified > untrustedUntil {
                // make has not seen patches that were reverted and applied again since its last run.
                modified = seen.modified
            }
        } else if isRecordKnown, untrustedUntil == 0, try isPristineContent(content) {
            // It was never in an overlay when this output was built, so the output was offered the pristine file.
            modified = pristineStatus?.modified ?? stamp
        }
        return Step(
            path: path, file: file, content: content, modified: modified,
            isPristine: try modified == pristineStatus?.modified && isPristineContent(content),
            hasContent: current == content, exists: status != nil)
    }

    private func perform(_ step: Step) throws {
        let location = tree.pushing(FilePath(step.path))
        guard let file = step.file else {
            try removeAll(location)
            removeEmptyFolders(above: step.path)
            return
        }
        let original = pristine.pushing(FilePath(step.path))
        try createFolder(location.removingLastComponent())
        if step.isPristine {
            try link(original, to: location, stamp: step.modified, file: file)
        } else if step.hasContent, let status = FileStatus(location), status.links == 1 {
            // The file belongs to this tree alone: its time stamp can be set without changing another tree's.
            try setModified(location, step.modified)
        } else {
            try replace(location, with: file, stamp: step.modified)
        }
    }

    /// Links the pristine file itself; on another file system, copies it.
    private func link(_ original: FilePath, to location: FilePath, stamp: Int64, file: TreeOverlay.Entry.File) throws {
        let temporary = temporaryName(location)
        guard Glibc.link(original.string, temporary.string) == 0 else {
            return try replace(location, with: file, stamp: stamp)
        }
        guard rename(temporary.string, location.string) == 0 else {
            let reason = errnoText()
            unlink(temporary.string)
            throw Failure(.infrastructure, "cannot write \(location)", details: reason)
        }
        // rename does nothing, and reports nothing, when both names are already the same file.
        unlink(temporary.string)
    }

    private func replace(_ location: FilePath, with file: TreeOverlay.Entry.File, stamp: Int64) throws {
        let temporary = temporaryName(location)
        defer { unlink(temporary.string) }
        let mode = FilePermissions(rawValue: file.isExecutable ? 0o755 : 0o644)
        try writeAtomically(file.bytes, to: temporary, mode: mode)
        // The umask may have removed bits.
        chmod(temporary.string, mode.rawValue)
        try setModified(temporary, stamp)
        guard rename(temporary.string, location.string) == 0 else {
            throw Failure(.infrastructure, "cannot write \(location)", details: errnoText())
        }
    }

    private func temporaryName(_ location: FilePath) -> FilePath {
        FilePath("\(location).kbuild-\(getpid())-\(UInt32.random(in: 0 ... .max))")
    }

    private func setModified(_ path: FilePath, _ nanoseconds: Int64) throws {
        let time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        let times = [time, time]
        guard utimensat(AT_FDCWD, path.string, times, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw Failure(.infrastructure, "cannot set the time stamp of \(path)", details: errnoText())
        }
    }

    /// Removes the folders that become empty with a removed file, as git and patch do.
    private func removeEmptyFolders(above path: String) {
        var folder = FilePath(path).removingLastComponent()
        while !folder.isEmpty, rmdir(tree.pushing(folder).string) == 0 {
            folder = folder.removingLastComponent()
        }
    }

    /// Records that a build of `output` is about to start: make will see the tree's current contents.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the record cannot be written.
    public func recordStart(output: FilePath) throws {
        guard var record = OutputRecord.load(output: output) else { return }
        let before = record
        for (path, offered) in record.files {
            record.files[path]?.seen = offered.content.map { .init(content: $0, modified: offered.modified) }
        }
        if record != before { try record.save(output: output) }
    }

    /// Records that a build of `output` has ended, so that later time stamps are later than all its objects even if the
    /// clock is set back.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the record cannot be written.
    public func recordBuild(output: FilePath) throws {
        // Without a record the next synchronize trusts nothing, which is right.
        guard var record = OutputRecord.load(output: output) else { return }
        record.builtAt = max(record.builtAt, nanosecondsNow())
        try record.save(output: output)
    }

    /// A tree without a manifest must be a faithful copy; otherwise files could stay in it that no overlay names.
    private func verifyCopy() throws {
        let differences = differences(exceptFor: [])
        let (strange, missing) = (differences.strange, differences.missing)
        guard strange.isEmpty, missing.isEmpty, !differences.isEmpty else {
            let details =
                missing.sorted().prefix(5).map { "missing: \($0)" }
                + strange.sorted().prefix(5).map { "differs: \($0)" }
            throw Failure(
                .infrastructure, "\(tree) is not a copy of \(pristine)",
                details: (details + ["\(missing.count) missing, \(strange.count) unlike"]).joined(separator: "\n"),
                nextStep: "remove \(tree): it is made again from the pristine tree")
        }
    }

    /// How a tree differs from the pristine one.
    private struct Differences {
        var strange: [String] = []
        var missing: [String] = []
        /// Whether the pristine tree has no files, so that nothing is known.
        var isEmpty = true
    }

    /// Compares the tree with the pristine one, as far as `stat` tells. It takes some tenths of a second.
    private func differences(exceptFor others: Set<String>) -> Differences {
        var found = Differences()
        var known: Set<String> = []
        let (pristineRoot, treeRoot) = (pristine.string, tree.string)
        TreePath.forEachFile(in: pristine) { path in
            known.insert(path)
            guard !others.contains(path), let original = FileStatus("\(pristineRoot)/\(path)") else { return }
            guard let own = FileStatus("\(treeRoot)/\(path)") else { return found.missing.append(path) }
            let isSame =
                own.isSameInode(as: original)
                || (own.isLink == original.isLink && own.isRegular == original.isRegular && own.size == original.size
                    && (own.modified == original.modified || own.isLink))
            if !isSame { found.strange.append(path) }
        }
        TreePath.forEachFile(in: tree) { path in
            if !known.contains(path), !others.contains(path), !path.hasPrefix(".kbuild") { found.strange.append(path) }
        }
        found.isEmpty = known.isEmpty
        return found
    }

    /// Whether the tree contains only pristine files and those of `synchronize`, and no change by another process was
    /// ever detected: then an output's record lists all of the output's possible inputs, and a copy of it may be used
    /// for another tree. It takes some tenths of a second.
    public func isAsRecorded() -> Bool {
        guard let manifest = WorkTreeManifest.load(tree: tree) else { return false }
        for (path, left) in manifest.files {
            let location = FilePath(path)
            let isAsLeft = left.agrees(
                with: FileStatus(tree.pushing(location)), pristine: FileStatus(pristine.pushing(location)))
            guard isAsLeft, left.untrustedUntil == 0 else { return false }
        }
        let differences = differences(exceptFor: Set(manifest.files.keys))
        return differences.strange.isEmpty && differences.missing.isEmpty && !differences.isEmpty
    }

    // MARK: Status

    /// How far a patch source is applied.
    public enum State: Sendable, Equatable {
        /// All its files are unchanged since the last synchronization.
        case applied
        /// Applied, but another program has changed these files since.
        case partly(edited: [String])
        /// Another version of it is applied: the source has changed since.
        case outdated
        /// It is not applied.
        case notApplied
        /// It is applied, but is no longer a source.
        case leftover
    }

    /// A patch source and how far it is applied.
    public struct SourceStatus: Sendable, Equatable {
        /// The source's name.
        public var name: String
        /// How far it is applied.
        public var state: State
        /// The files of the tree that it changes, if it was applied.
        public var paths: [String]
    }

    /// Reports for each of `sources`, and for any others that the tree has, how far it is applied. Nothing is changed.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a file of the tree cannot be read.
    public func status(sources: [PatchSource]) throws -> [SourceStatus] {
        let manifest = WorkTreeManifest.load(tree: tree) ?? WorkTreeManifest()
        var statuses: [SourceStatus] = []
        for source in sources {
            guard let applied = manifest.sources.first(where: { $0.name == source.name }) else {
                statuses.append(.init(name: source.name, state: .notApplied, paths: []))
                continue
            }
            let edited = try applied.paths.filter { try isEdited($0, manifest) }
            let state: State =
                !edited.isEmpty ? .partly(edited: edited) : applied.digest == source.digest ? .applied : .outdated
            statuses.append(.init(name: source.name, state: state, paths: applied.paths))
        }
        for applied in manifest.sources where !sources.contains(where: { $0.name == applied.name }) {
            statuses.append(.init(name: applied.name, state: .leftover, paths: applied.paths))
        }
        return statuses
    }

    private func isEdited(_ path: String, _ manifest: WorkTreeManifest) throws -> Bool {
        let location = FilePath(path)
        // A path with the pristine contents is not in the overlay, so nothing is known of it.
        guard let left = manifest.files[path] else { return false }
        let own = tree.pushing(location)
        if left.agrees(with: FileStatus(own), pristine: FileStatus(pristine.pushing(location))) { return false }
        return try ContentIdentity.of(own) != left.content
    }
}
