// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Patching
import Syscalls
import SystemPackage

/// A system call that patches or specs add to a kernel, and the place that adds it.
public struct AddedSyscall: Sendable, Hashable, Codable {
    /// Its name, number and ABI.
    public var syscall: RegisteredSyscall
    /// The fourth column of its table's line.
    public var entry: String
    /// The entry for 32-bit programs if it differs.
    public var compat: String?
    /// The line of the patch or of syscall.yaml that adds it.
    public var place: SyscallFinding.Place
    /// The folder or patch file of the project that adds it.
    public var source: String
}

/// Patch sources applied to a kernel in memory, with all mistakes at once; `TreeOverlay.compute` throws instead.
public struct PatchAnalysis: Sendable {
    /// The kernel's version.
    public let version: KernelVersion
    /// The patched tree, as far as the patches apply.
    public let overlay: TreeOverlay
    /// Every mistake, in the order of files and lines.
    public let findings: [SyscallFinding]
    /// The added calls, in the order of their numbers.
    public let added: [AddedSyscall]
    /// Why patches do not apply.
    public let applyFailures: [Failure]
    private let tree: TreeEditor

    /// Applies `sources` to the tree `pristine`, which is only read, and checks them.
    ///
    /// All series are applied first, in their order, because their context is the pristine tree's. The specs follow in
    /// their order and get the remaining system-call numbers.
    ///
    /// - Parameter flags: The effect of the compiler's warnings about the project's own files.
    /// - Throws: `Failure`: `usage` when two sources have the same name, `patch` when the tree cannot be read.
    public init(pristine: FilePath, sources: [PatchSource], flags: OwnObjectFlags = .warn) throws {
        version = try KernelVersion(tree: pristine)
        var names: Set<String> = []
        for source in sources where !names.insert(source.name).inserted {
            throw Failure(.usage, "two patch sources are named \(source.name)", nextStep: "rename one of the folders")
        }
        let before = TreeEditor(pristine: pristine)
        var findings: [SyscallFinding] = []
        var failures: [Failure] = []
        var notes: [String] = []
        var paths: [String: Set<String>] = [:]

        var series = before
        for source in sources {
            guard case .series(let set) = source.content else { continue }
            do {
                for patch in try set.patches(for: version, source: source.name) {
                    let result = try series.apply(Self.withoutGenerated(patch, &findings))
                    notes += result.notes
                    paths[source.name, default: []].formUnion(result.paths)
                }
            } catch let failure as Failure {
                // The rest of a series makes no sense without this patch; other sources may be right.
                failures.append(failure)
            }
        }

        let specs = sources.compactMap { source -> SpecSource? in
            guard case .spec(let spec) = source.content else { return nil }
            return SpecSource(source: source, spec: spec)
        }
        var editor = series
        var numbers = try SyscallNumbering(editor: editor, version: version, specs: specs.map(\.spec))
        var userFiles: [String: FilePath] = [:]
        for entry in specs {
            let (source, spec) = (entry.source, entry.spec)
            let own = spec.checkDefinitions()
            findings += own
            do {
                var registration = SyscallRegistration(editor: editor, spec: spec)
                try registration.register(numbers: &numbers, version: version)
                editor = registration.editor
                paths[source.name] = registration.paths
                for file in spec.files {
                    userFiles[spec.treePath(of: file.name)] = source.location.appending(file.name)
                }
            } catch let failure as Failure where failure.code == .patch {
                findings.append(SyscallFinding(failure, about: spec.path))
            }
        }
        findings += numbers.findings
        if !specs.isEmpty {
            let table = SyscallTable(try editor.readLines(SyscallTable.x8664))
            findings += numbers.gaps(in: table, specs: specs.map(\.spec))
        }
        var check = SyscallCheck(
            pristine: before, series: series, final: editor, version: version,
            userFiles: userFiles.mapValues(\.string))
        try check.run()
        findings += check.findings

        added = try Self.added(before: before, series: series, final: editor, sources: sources, specs: specs)
        self.findings = findings.sorted(by: SyscallFinding.isBefore)
        applyFailures = failures
        tree = editor
        var built = editor
        try flags.add(to: &built, for: editor.changes.keys)
        overlay = TreeOverlay(
            files: try built.effectiveChanges(),
            sources: sources.map { .init(name: $0.name, digest: $0.digest, paths: (paths[$0.name] ?? []).sorted()) },
            syscalls: added.map(\.syscall), userFiles: userFiles,
            notes: notes + self.findings.filter { $0.severity == .warning }.map(\.note))
    }

    /// Refuses a tree that would certainly be wrong.
    ///
    /// - Throws: `Failure` (`patch`) for the first patch that does not apply, else for all errors among the findings.
    public func throwErrors() throws {
        if let failure = applyFailures.first ?? Failure(findings) { throw failure }
    }

    // MARK: The tables

    /// A line of the patched kernel's tables.
    public struct TableRow: Sendable, Hashable, Codable {
        /// The number.
        public var number: Int
        /// The second column: common, 64, x32 or i386.
        public var abi: String
        /// The call's name.
        public var name: CIdentifier
        /// The entry point; nil for a number that is reserved for an old call.
        public var entry: String?
    }

    /// All lines of the x86-64 table and then of the i386 one.
    ///
    /// - Throws: `Failure` (`patch`) when the tree has no x86-64 table.
    public func table() throws -> [TableRow] {
        let lines = try tree.readLines(SyscallTable.x8664)
        return (SyscallTable(lines).rows + SyscallTable((try? tree.readLines(SyscallTable.i386)) ?? []).rows).map {
            TableRow(number: $0.number, abi: $0.abi, name: $0.name, entry: $0.entry)
        }
    }

    /// The numbers in the table of x86-64.
    public struct Numbers: Sendable {
        /// The last of the kernel's own numbers below x32's block.
        public var lastOfKernel: Int
        /// The next free number in the patched tree.
        public var nextFree: Int
    }

    /// The last of the kernel's own numbers, and the next free one.
    ///
    /// - Throws: `Failure` (`patch`) when the tree has no x86-64 table.
    public func numbers() throws -> Numbers {
        let own = SyscallTable(try TreeEditor(pristine: tree.pristine).readLines(SyscallTable.x8664))
        let last = own.ordinaryRows.map(\.number).max() ?? -1
        var taken = Set(SyscallTable(try tree.readLines(SyscallTable.x8664)).rows.map(\.number))
        // A number that only other architectures use so far is not free either, as in SyscallNumbering.
        taken.formUnion(SyscallTable((try? tree.readLines(SyscallTable.generic)) ?? []).rows.map(\.number))
        var next = last + 1
        while taken.contains(next) { next += 1 }
        return Numbers(lastOfKernel: last, nextFree: next)
    }

    /// A patch without its changes to files that a build makes; each of these is a finding.
    private static func withoutGenerated(_ patch: Patch, _ findings: inout [SyscallFinding]) -> Patch {
        var patch = patch
        patch.files.removeAll { change in
            guard let reason = [change.newPath, change.oldPath].lazy.compactMap(TreePath.generatedReason).first else {
                return false
            }
            findings.append(
                SyscallFinding(
                    .error, .init(file: patch.location ?? patch.file, line: change.lineNumber),
                    "the path \(change.newPath) \(reason)",
                    fix: change.newPath.hasSuffix(".config")
                        ? "put the options into a fragment that `kernel: config:` of kbuild.yaml names"
                        : "leave the file out of the patch: for system calls the build makes it from "
                            + "\(SyscallTable.x8664)"))
            return true
        }
        return patch
    }

    /// A source that is a spec.
    private struct SpecSource {
        var source: PatchSource
        var spec: SyscallSpec
    }

    private static func added(
        before: TreeEditor, series: TreeEditor, final: TreeEditor, sources: [PatchSource],
        specs: [SpecSource]
    ) throws -> [AddedSyscall] {
        var added: [AddedSyscall] = []
        for path in [SyscallTable.x8664, SyscallTable.i386] where final.changes[path] != nil {
            let known = Set(SyscallTable((try? before.readLines(path)) ?? []).rows.map(\.identity))
            let own = SyscallTable((try? series.readLines(path)) ?? [])
            for row in SyscallTable(try final.readLines(path)).rows where !known.contains(row.identity) {
                guard let entry = row.entry, let abi = RegisteredSyscall.ABI(rawValue: row.abi) else { continue }
                var place = SyscallFinding.Place(file: path, line: row.lineIndex + 1)
                var source = ""
                if let line = own.rows.first(where: { $0.identity == row.identity })?.lineIndex {
                    place = series.origins[path]?[line] ?? place
                    let owners = sources.map(\.location.string).filter {
                        place.file == $0 || place.file.hasPrefix($0 + "/")
                    }
                    source = owners.max { $0.count < $1.count } ?? ""
                } else if let owning = specs.first(where: { $0.spec.syscalls.contains { $0.name == row.name } }),
                    let call = owning.spec.syscalls.first(where: { $0.name == row.name })
                {
                    place = owning.spec.place(of: call)
                    source = owning.source.location.string
                }
                added.append(
                    AddedSyscall(
                        syscall: RegisteredSyscall(name: row.name, number: row.number, abi: abi), entry: entry,
                        compat: row.compat, place: place, source: source))
            }
        }
        return added.sorted { left, right in
            let (a, b) = (left.syscall, right.syscall)
            return (a.number, a.name, a.abi.rawValue) < (b.number, b.name, b.abi.rawValue)
        }
    }
}
