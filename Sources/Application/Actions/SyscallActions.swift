// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import KernelSource
import PatchedTree
import Patching
import Project
import Syscalls
import SystemPackage

/// The result of a check of patches.
public struct SyscallCheckReport: Codable, Sendable, Equatable {
    /// The kernel's version.
    public var kernel: String
    /// The patch sources that were checked, as the user names them.
    public var sources: [String]
    /// The calls that they add.
    public var syscalls: [AddedSyscall]
    /// Every mistake, in the order of files and lines.
    public var findings: [SyscallFinding]

    /// Whether the build would certainly be wrong.
    public var hasErrors: Bool { findings.contains { $0.severity == .error } }

    /// The report as text: each finding in a compiler's form, and the checked sources.
    public var text: TerminalText {
        var lines = findings.map(\.terminalText)
        let checked: TerminalText =
            "\(pluralized(sources.count, "patch source")) with \(pluralized(syscalls.count, "table line")) on Linux \(kernel)"
        if findings.isEmpty {
            lines.append("no mistake found in \(checked):")
            lines += sources.map { "  \($0)" }
            lines.append("checked: numbers, tables, entries, prototypes, definitions, Makefiles, generated files")
        } else {
            let errors = findings.count { $0.severity == .error }
            lines.append(
                "\(pluralized(errors, "error")) and \(pluralized(findings.count - errors, "warning")) in \(checked)")
        }
        return lines.joined()
    }
}

/// The calls that a project adds to a kernel.
public struct SyscallList: Codable, Sendable, Equatable {
    /// The kernel's version.
    public var kernel: String
    /// The last number of the kernel's own, below x32's block.
    public var lastOfKernel: Int
    /// The next number that a new call gets.
    public var nextFree: Int
    /// The calls that the patches add.
    public var syscalls: [AddedSyscall]
    /// All lines of the tables, if requested.
    public var table: [PatchAnalysis.TableRow]?

    /// The list in columns.
    public var text: TerminalText {
        var rows = [["NUMBER", "ABI", "NAME", "ENTRY", "FROM"]]
        if let table {
            // The ABI distinguishes lines with the same name.
            let sources = Dictionary(
                syscalls.map { ("\($0.syscall.abi.rawValue) \($0.syscall.name)", $0.source) },
                uniquingKeysWith: { first, _ in first })
            rows += table.map { row in
                [
                    "\(row.number)", Self.abi(row.abi), row.name.text, row.entry ?? "-",
                    sources["\(row.abi) \(row.name)"] ?? "",
                ]
            }
        } else {
            rows += syscalls.map { call in
                [
                    "\(call.syscall.number)", Self.abi(call.syscall.abi.rawValue), call.syscall.name.text,
                    call.compat ?? call.entry, call.source,
                ]
            }
        }
        // Cells in escaped form, which may be wider than the raw text.
        let cells = rows.map { row in row.map { TerminalText($0) } }
        let widths = (0..<4).map { column in cells.map { $0[column].count }.max() ?? 0 }
        var lines = cells.map { row in
            let last = row.lastIndex { !$0.isEmpty } ?? 0
            return row[...last].enumerated().map { $0 < last ? $1.padded(to: widths[$0]) : $1 }.joined(separator: "  ")
        }
        if table == nil, syscalls.isEmpty { lines = ["the project adds no system call"] }
        lines.append("Linux \(kernel) itself ends at \(lastOfKernel); the next free number is \(nextFree)")
        return lines.joined()
    }

    private static func abi(_ column: String) -> String {
        switch column {
        case "common", "64": "x86-64"
        default: column
        }
    }
}

/// The work of `kbuild syscall`.
public struct SyscallActions: Sendable {
    let context: ProjectContext
    private var project: Project { context.project }
    private var tools: ToolContext { context.tools }
    private var steps: KernelSteps { KernelSteps(context: context, rules: nil) }

    /// Prepares the actions; nothing runs yet.
    public init(_ context: ProjectContext) { self.context = context }

    /// The kernel's source, from the cache.
    func source() async throws -> KernelSourceArtifact {
        try await context.log.result(of: steps.source())
    }

    /// Looks for every mistake in how patches register system calls, without building anything.
    ///
    /// - Parameter paths: Folders or patch files; those of the project when there are none.
    /// - Throws: `Failure`: `usage` when a path does not exist.
    public func check(_ paths: [FilePath]) async throws -> SyscallCheckReport {
        if paths.isEmpty { try context.checkFiles(forKernelOnly: true) }
        for path in paths where !fileExists(path) {
            throw Failure(
                .usage, "there is no patch source \(path)",
                nextStep: "name a folder with syscall.yaml, a series or *.patch files, or a patch file")
        }
        defer { tools.statCache.save() }
        let pristine = try await source()
        var sources: [PatchSource] = []
        var unreadable: [SyscallFinding] = []
        let locations = paths.isEmpty ? project.kernel.patches : paths
        for location in locations {
            do {
                sources.append(try PatchSource.load(location, fuzz: project.kernel.fuzz))
            } catch let failure as Failure {
                unreadable.append(SyscallFinding(failure, about: location.string))
            }
        }
        let analysis = try PatchAnalysis(pristine: pristine.folder, sources: sources)
        let failures = analysis.applyFailures.map { SyscallFinding($0, about: "") }.map { finding in
            // A patch's message names it relative to its folder; the user's path is longer.
            var finding = finding
            let file = FilePath(finding.place.file)
            if let source = sources.first(where: { $0.name == file.components.first?.string }),
                isFolder(source.location)
            {
                finding.place.file = source.location.removingLastComponent().pushing(file).string
            }
            return finding
        }
        return SyscallCheckReport(
            kernel: pristine.version, sources: locations.map { shown($0.string) },
            syscalls: analysis.added.map(shown),
            findings: (unreadable + failures + analysis.findings).map(shown))
    }

    /// Lists the calls that the project's patches add to its kernel.
    ///
    /// - Parameter all: Whether to include the kernel's own calls.
    /// - Throws: `Failure` (`patch`) when a patch does not apply or a call cannot be registered.
    public func list(all: Bool) async throws -> SyscallList {
        try context.checkFiles(forKernelOnly: true)
        defer { tools.statCache.save() }
        let pristine = try await source()
        let analysis = try PatchAnalysis(pristine: pristine.folder, sources: try steps.patchSources())
        try analysis.throwErrors()
        let numbers = try analysis.numbers()
        return SyscallList(
            kernel: pristine.version, lastOfKernel: numbers.lastOfKernel, nextFree: numbers.nextFree,
            syscalls: analysis.added.map(shown), table: all ? try analysis.table() : nil)
    }

    private func shown(_ path: String) -> String { context.shown(FilePath(path)) }

    /// Shortens paths within messages, which name second places.
    private func shortened(_ text: String) -> String {
        text.replacing(project.folder.string + "/", with: "")
    }

    private func shown(_ finding: SyscallFinding) -> SyscallFinding {
        var finding = finding
        finding.place.file = shown(finding.place.file)
        finding.message = shortened(finding.message)
        finding.fix = shortened(finding.fix)
        return finding
    }

    private func shown(_ call: AddedSyscall) -> AddedSyscall {
        var call = call
        call.place.file = shown(call.place.file)
        call.source = shown(call.source)
        return call
    }
}
