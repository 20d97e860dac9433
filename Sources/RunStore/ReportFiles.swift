// SPDX-License-Identifier: Apache-2.0
import Coverage
import Diagnostics
import FileSystem
import Reporting
import ResultsModel
import SystemPackage

/// The files made from a report, besides the printed output.
public struct ReportFiles: Sendable, Equatable {
    /// The path of the HTML page.
    public var html: FilePath?
    /// The path of the JUnit XML.
    public var junit: FilePath?
    /// The path of the summary in Markdown.
    public var summary: FilePath?

    /// The path of the coverage in lcov's format.
    public var lcov: FilePath?
    /// The path of the coverage in Cobertura's format.
    public var cobertura: FilePath?

    /// Sets the paths; nil for files that are not wanted.
    public init(
        html: String? = nil, junit: String? = nil, summary: String? = nil, lcov: String? = nil,
        cobertura: String? = nil
    ) {
        self.lcov = lcov.map { FilePath($0) }
        self.cobertura = cobertura.map { FilePath($0) }
        self.html = html.map { FilePath($0) }
        self.junit = junit.map { FilePath($0) }
        self.summary = summary.map { FilePath($0) }
    }

    /// Writes the files.
    ///
    /// - Parameters:
    ///   - report: The report.
    ///   - console: The console's log, for the page.
    ///   - folder: The report folder, when files are written there.
    /// - Returns: The errors; an error of one file does not prevent the others.
    public func write(_ report: RunReport, console: FilePath?, in folder: ReportFolder? = nil) -> [Failure] {
        var failures: [Failure] = []
        func write(_ path: FilePath?, _ what: String, _ text: () -> String) {
            guard let path else { return }
            do {
                // The report folder must not be a link, which is not visible in a path.
                if let folder, path.removingLastComponent() == folder.path {
                    try folder.write(text(), to: path)
                } else {
                    try Self.write(text(), to: path, as: what)
                }
            } catch {
                failures.append(error)
            }
        }
        write(html, "HTML file") {
            HTMLReport.render(report, console: console.flatMap { ConsoleExcerpt.read($0) })
        }
        write(junit, "JUnit file") { JUnitReport.render(report) }
        write(summary, "summary") { MarkdownSummary.render(report) }
        if let coverage = report.coverage {
            write(lcov, "lcov file") { LcovFile.render(coverage) }
            write(cobertura, "Cobertura file") { CoberturaFile.render(coverage, startedAt: report.startedAt) }
        } else if lcov ?? cobertura != nil, report.errors.isEmpty {
            failures.append(
                Failure(
                    .usage, "the run collected no coverage, so there is none to write",
                    nextStep: "kbuild run --coverage"))
        }
        return failures
    }

    /// Removes the files of an earlier run. They would be mistaken for the result of a run that was killed before it
    /// wrote its own, or whose project file is invalid.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be removed.
    public func removeOld() throws(Failure) {
        let files = [
            (html, "HTML file"), (junit, "JUnit file"), (summary, "summary"), (lcov, "lcov file"),
            (cobertura, "Cobertura file"),
        ]
        for (path, what) in files {
            guard let path else { continue }
            try Self.removeOld(path, as: what)
        }
    }

    /// Removes a file of an earlier run.
    ///
    /// - Parameter what: The file's name in the message.
    /// - Throws: `Failure` (`infrastructure`) when it cannot be removed.
    public static func removeOld(_ path: FilePath, as what: String) throws(Failure) {
        do {
            try removeOutput(at: path)
        } catch {
            throw Failure(
                .infrastructure, "cannot remove the \(what) \(path) of an earlier run", details: error.description,
                nextStep: error.nextStep)
        }
    }

    /// Appends the summary to the file that GitHub shows with the job.
    ///
    /// - Parameter environment: `GITHUB_STEP_SUMMARY` in it names the file; without it nothing happens.
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written.
    public static func addStepSummary(_ report: RunReport, environment: [String: String]) throws(Failure) {
        guard let path = environment["GITHUB_STEP_SUMMARY"], !path.isEmpty else { return }
        do {
            let file = try FileDescriptor.open(
                FilePath(path), .writeOnly, options: [.append, .create, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o644))
            // Another tool's earlier output may lack a final line end.
            try file.closeAfter { _ = try file.writeAll(Array("\n\(MarkdownSummary.render(report))".utf8)) }
        } catch {
            throw Failure(.infrastructure, "cannot add the summary to \(path)", details: "\(error)")
        }
    }

    /// Writes a file as `writeOutput(_:to:)` does: devices and pipes are written to, files and links replaced.
    ///
    /// - Parameter what: The file's name in the message.
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written.
    public static func write(_ text: String, to path: FilePath, as what: String) throws(Failure) {
        do {
            try writeOutput(Array(text.utf8), to: path)
        } catch {
            throw Failure(
                .infrastructure, "cannot write the \(what) \(path)", details: error.description,
                nextStep: error.nextStep)
        }
    }
}
