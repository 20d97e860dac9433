// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Coverage
import Diagnostics
import KernelSource
import PatchedTree
import Patching
import Processes
import Project
import SystemPackage

/// Converts the counters from guests to a coverage report, with the gcov of the compiler that built the kernel.
struct CoverageCollection: Sendable {
    let context: ProjectContext
    let prepared: RunInputs
    /// The sandbox of gcov, which may read files of an untrusted build; nil for none.
    let rules: Confinement.Rules?

    /// The most files for one gcov: a command line may have 128 KiB for each argument and 2 MiB in all.
    private static let mostFiles = 500

    private var overlay: TreeOverlay { prepared.patched.overlay }

    /// The coverage of the tests.
    ///
    /// - Parameters:
    ///   - guests: The samples from the guests.
    ///   - filter: The pattern for the tests that ran; nil for all.
    /// - Throws: `Failure` (`infrastructure`) when counters or gcov's output cannot be read; `CancellationError`.
    func report(_ guests: [GuestCounters], filter: String?) async throws -> CoverageReport {
        guard !guests.isEmpty else {
            throw Failure(
                .infrastructure, "no coverage: the guest sent no counters",
                details: "Its init reads them from /sys/kernel/debug/gcov when it starts, and as each test ends.")
        }
        let steps = KernelSteps(context: context, rules: rules)
        let files = steps.coverageFiles(overlay)
        let counters = try RunCounters(guests)
        let places = lay(counters, files: files)
        var builder = CoverageBuilder(files: names(files))
        let folder = prepared.folder.appending("coverage")
        let reports = try await gcov(try write(places, in: folder))
        for (place, report) in zip(places, reports) {
            if let test = place.test { builder.add(report, of: test) } else { builder.add(total: report) }
        }
        var report = builder.report(source: source)
        var gaps = builder.unmeasured.filter { $0.hasSuffix(".c") }.map {
            "\($0) has no counters: it was not compiled into this kernel"
        }
        for guest in guests {
            if let name = guest.cutShortIn {
                gaps.append("a guest ended while \(name) ran: what was reached since the test before is not known")
            }
            if guest.isBounded { gaps.append("a guest sent more counters than are kept: the last are missing") }
        }
        if let minimum = context.project.coverage?.minimumPercent {
            if filter == nil {
                report.minimumPercent = minimum
            } else {
                gaps.append("coverage.minimum is not judged, since not all tests were to run")
            }
        }
        report.gaps = gaps.isEmpty ? nil : gaps
        return report
    }

    /// The error that fails a run by its coverage; nil for none.
    static func failure(_ report: CoverageReport) -> Failure? {
        guard report.isBelowMinimum, let minimum = report.minimumPercent else { return nil }
        let lines = report.lines
        return Failure(
            .testFailure,
            "coverage: the tests reached \(lines.reached) of \(lines.total) lines"
                + (lines.percent.map { " (\($0) %)" } ?? "") + ", and coverage.minimum asks for \(minimum) %",
            nextStep: "write tests for the lines listed as never reached, or lower coverage.minimum in kbuild.yaml")
    }

    /// Counters of an object, as an input of gcov.
    private struct Place {
        /// The test of the counters; nil for those of all tests together.
        var test: String?
        var counters: CounterData
        /// The C file's notes.
        var notes: FilePath
    }

    /// The inputs of gcov: first all tests together, then each test.
    private func lay(_ counters: RunCounters, files: [String]) -> [Place] {
        func notes(of object: String) -> FilePath? {
            // The kernel names an object's counters by the path of its compilation.
            guard let file = files.first(where: { object.hasSuffix("/\($0.dropLast(2)).gcda") }) else { return nil }
            let notes = prepared.kernel.folder.appending(CoverageNotes.name(of: file))
            return fileExists(notes) ? notes : nil
        }
        func places(_ objects: [String: CounterData], _ test: String?) -> [Place] {
            objects.sorted { $0.key < $1.key }.compactMap { object, counters in
                notes(of: object).map { Place(test: test, counters: counters, notes: $0) }
            }
        }
        return places(counters.total, nil) + counters.tests.flatMap { places($0.objects, $0.name) }
    }

    /// Writes counters and notes beside each other, as gcov requires.
    ///
    /// - Returns: The files of counters.
    private func write(_ places: [Place], in folder: FilePath) throws -> [FilePath] {
        try removeAll(folder)
        try createFolder(folder)
        return try places.enumerated().map { index, place in
            let counters = folder.appending("\(index).gcda")
            try copyFile(place.notes, to: folder.appending("\(index)\(CoverageNotes.suffix)"))
            try writeAtomically(place.counters.bytes, to: counters)
            return counters
        }
    }

    /// gcov's reports on files of counters, one for each.
    private func gcov(_ files: [FilePath]) async throws -> [GcovReport] {
        guard let folder = files.first?.removingLastComponent() else { return [] }
        let runner = context.tools.runner.confined(by: rules?.build(readable: [folder], writable: []))
        var reports: [GcovReport] = []
        for start in stride(from: 0, to: files.count, by: Self.mostFiles) {
            let part = files[start..<min(start + Self.mostFiles, files.count)]
            let command = Command(
                "gcov", ["--json-format", "--stdout", "--branch-probabilities"] + part.map(\.string),
                environment: ["LC_ALL": "C"], workingDirectory: folder)
            let result = try await runner.capture(command)
            // A gcov of another gcc prints a warning, and continues with possibly wrong data.
            guard result.status.isSuccess, !result.errors.contains("version") else {
                throw Failure(
                    .infrastructure, "gcov cannot read the kernel's coverage counters",
                    details: "\(command)\n\(result.errors)",
                    nextStep: "gcov and gcc must be of one version: compare gcov --version with gcc --version")
            }
            reports += try GcovReport.parse(result.output)
        }
        guard reports.count == files.count else {
            throw Failure(
                .infrastructure, "gcov told of \(reports.count) objects and was asked of \(files.count)",
                nextStep: "look at the files in \(folder)")
        }
        return reports
    }

    /// The files in the report, with the user's names: the C files, and the headers of the patches.
    private func names(_ files: [String]) -> [String: String] {
        let isChosen = context.project.coverage?.files.isEmpty == false
        let headers = isChosen ? [] : overlay.files.keys.filter { $0.hasSuffix(".h") }
        return Dictionary(
            (files + headers).map { ($0, overlay.userFiles[$0].map { context.shown($0) } ?? $0) },
            uniquingKeysWith: { first, _ in first })
    }

    private func source(of path: String) -> [String]? {
        let text: String?
        if case .file(let file) = overlay.files[path] {
            text = String(decoding: file.bytes, as: UTF8.self)
        } else {
            text = try? readText(prepared.patched.pristine.folder.pushing(FilePath(path)))
        }
        // Empty lines count, so that each line has its number.
        return text?.textLines(keepsEmpty: true).map(String.init)
    }
}
