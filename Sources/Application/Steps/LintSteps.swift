// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelBuild
import KernelConfig
import KernelMake
import KernelSource
import PatchedTree
import Patching
import Processes
import Project
import Reporting
import SystemPackage

/// What sparse and checkpatch found.
struct LintResult: Sendable, Equatable {
    /// The findings, as compilers write warnings.
    var findings: [String] = []
}

/// A file that sparse and checkpatch read.
struct LintedFile: Sendable, Equatable {
    /// Its path in the kernel's tree.
    var path: String
    /// The lines, from 1, whose findings count; nil for all.
    var lines: Set<Int>?
}

extension ProjectContext {
    /// Checks that the tools of `lint` are there, before a kernel is built for them.
    ///
    /// - Throws: `Failure` (`infrastructure`) with the command that installs the missing one.
    func checkLint() throws(Failure) {
        guard project.lint else { return }
        for tool in SourceLint.tools { _ = try tools.runner.locate(tool) }
    }
}

extension KernelSteps {
    /// The most findings that are shown.
    private static let mostFindings = 20

    /// Whether `lint` needs a build although the store has the kernel: the options of the compiler are in the output.
    func lacksRecordsForLint(_ pristine: KernelSourceArtifact, _ overlay: TreeOverlay, _ request: ConfigRequest) throws
        -> Bool
    {
        try context.project.lint
            && (!KernelBuilder.isFinished(output(pristine, request))
                || hasUnusableOutput(pristine, overlay, request))
    }

    /// Has sparse and checkpatch read the project's own C files, in the tree in which they were compiled. The caller
    /// holds the lock of the tree.
    ///
    /// - Parameter kernel: The built kernel; nil in a dry run that does not know it.
    func lint(_ patched: PatchedKernelArtifact, kernel: BuiltKernel?) -> Step<LintResult> {
        Step(.lint) { _ in
            let files = try lintedFiles(patched)
            let lint = try lint(patched)
            return Work(
                detail: pluralized(files.count, "file"),
                forecast: {
                    var forecast = Forecast(outcome: .always, expected: LintResult())
                    if kernel == nil { forecast.dependsOn = [StepName.compile.rawValue] }
                    for file in files {
                        let commands = lint.commands(for: file.path)
                        forecast.actions += try [commands.checkpatch, commands.sparse].compactMap { $0 }
                            .map { try RunPlan.Action($0, by: lint.runner) }
                        if commands.sparse == nil, file.path.hasSuffix(".c") {
                            forecast.actions.append(
                                .remark("sparse reads \(file.path) with the options that make will record"))
                        }
                    }
                    return forecast
                },
                perform: { progress in try await perform(lint, files, patched, progress) })
        }
    }

    private func lint(_ patched: PatchedKernelArtifact) throws -> SourceLint {
        let make = make(patched)
        let source = patched.pristine.folder
        let readable = [make.tree, make.output, source] + context.tools.installations(of: SourceLint.tools)
        let runner = context.tools.runner.confined(by: rules?.build(readable: readable, writable: []))
        return SourceLint(runner: runner, make: make, source: source)
    }

    private func perform(
        _ lint: SourceLint, _ files: [LintedFile], _ patched: PatchedKernelArtifact, _ progress: ProgressSink
    ) async throws -> Performed<LintResult> {
        func name(_ path: String) -> String { patched.overlay.userFiles[path].map { context.shown($0) } ?? path }
        let own = Dictionary(uniqueKeysWithValues: files.map { ($0.path, $0) })
        var findings: [LintFinding] = []
        var unread: [String] = []
        for file in files {
            let commands = lint.commands(for: file.path)
            if file.path.hasSuffix(".c"), commands.sparse == nil {
                unread.append("sparse did not read \(name(file.path)): make has no record that it compiled the file")
            }
            let all = try await lint.findings(by: commands)
            // sparse also reports on the headers that a file includes.
            let new = all.filter { finding in
                guard let file = own[finding.file] else { return false }
                return file.lines?.contains(finding.line) ?? true
            }
            findings += new.filter { !findings.contains($0) }
            let isElsewhere: (LintFinding) -> Bool = {
                $0.isError && $0.rule == LintTool.sparse.rawValue && own[$0.file] == nil
            }
            if let error = all.first(where: isElsewhere) {
                let place = "\(name(error.file)):\(error.line)"
                let text = "sparse may not have read all of \(name(file.path)): at \(place) it met the error"
                progress(.note("\(text): \(error.message)"))
            }
        }
        let shown = findings.map { $0.text(file: name($0.file)) }
        let result = LintResult(findings: shown)
        let detail =
            "\(pluralized(shown.count, "finding")) in \(pluralized(files.count, "file"))"
        guard context.project.warnings == .fail, !shown.isEmpty || !unread.isEmpty else {
            for line in unread { progress(.note(line)) }
            for line in shown.prefix(Self.mostFindings) { progress(.note(line)) }
            if shown.count > Self.mostFindings {
                progress(.note("\(shown.count - Self.mostFindings) more; `warnings: fail` would list them"))
            }
            return Performed(result: result, outcome: .made, detail: detail)
        }
        guard !shown.isEmpty else {
            // A file that was not read has no findings, which is not the same as being right.
            throw Failure(
                .build, "sparse did not read \(pluralized(unread.count, "file")), and `warnings: fail` holds",
                details: unread.joined(separator: "\n"),
                nextStep: "turn on the option that has make compile the file, or run without --lint")
        }
        throw Failure(
            .build, "sparse and checkpatch report \(pluralized(shown.count, "place")), and `warnings: fail` holds",
            details: (shown + unread).joined(separator: "\n"), nextStep: "correct them, or run without --lint")
    }

    /// The project's own files: those that its patches add, and the changed lines of the kernel's files.
    func lintedFiles(_ patched: PatchedKernelArtifact) throws -> [LintedFile] {
        try patched.overlay.files.sorted { $0.key < $1.key }.compactMap { path, entry in
            guard case .file(let file) = entry, path.hasSuffix(".c") || path.hasSuffix(".h"),
                !path.hasPrefix("tools/")
            else { return nil }
            let original = patched.pristine.folder.pushing(FilePath(path))
            guard fileExists(original) else { return LintedFile(path: path) }
            // kbuild itself writes to these when it registers a call.
            guard path.hasSuffix(".c"), path != CoverageNotes.stubs else { return nil }
            let lines = try Self.changedLines(
                from: readBytes(original).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false),
                to: file.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false))
            return lines.isEmpty ? nil : LintedFile(path: path, lines: lines)
        }
    }

    /// The numbers of the lines, from 1, that a change adds.
    static func changedLines<Line: Hashable>(from old: [Line], to new: [Line]) -> Set<Int> {
        // What both begin and end with need not be compared with everything.
        let start = zip(old, new).prefix { $0 == $1 }.count
        let (oldRest, newRest) = (old.dropFirst(start), new.dropFirst(start))
        let end = zip(oldRest.reversed(), newRest.reversed()).prefix { $0 == $1 }.count
        let difference = newRest.dropLast(end).difference(from: oldRest.dropLast(end))
        return Set(
            difference.insertions.map { change in
                guard case .insert(let offset, _, _) = change else { return 0 }
                return start + offset + 1
            })
    }
}
