// SPDX-License-Identifier: Apache-2.0
import Coverage
import Diagnostics
import FileSystem
import Reporting
import ResultsModel
import SystemPackage

/// The files that are made of a report, beside what is printed.
public struct ReportFiles: Sendable, Equatable {
    /// Where the page goes.
    public var html: FilePath?
    /// Where the JUnit XML goes.
    public var junit: FilePath?
    /// Where the summary in Markdown goes.
    public var summary: FilePath?

    /// Where the coverage in lcov's format goes.
    public var lcov: FilePath?
    /// Where the coverage in Cobertura's format goes.
    public var cobertura: FilePath?

    /// Names the files; nil for those that are not wanted.
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

    /// Writes them.
    ///
    /// - Parameters:
    ///   - report: What they are made of.
    ///   - console: The console's log, for the page.
    ///   - folder: The report folder, when files go there.
    /// - Returns: What went wrong; one file's trouble keeps no other from being written.
    public func write(_ report: RunReport, console: FilePath?, in folder: ReportFolder? = nil) -> [Failure] {
        var failures: [Failure] = []
        func write(_ path: FilePath?, _ what: String, _ text: () -> String) {
            guard let path else { return }
            do {
                // The report folder may not be a link, which a path cannot tell.
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
        } else if lcov ?? cobertura != nil, report.troubles.isEmpty {
            failures.append(
                Failure(
                    .usage, "the run collected no coverage, so there is none to write",
                    nextStep: "kbuild run --coverage"))
        }
        return failures
    }

    /// Removes the files of an earlier run. One that stayed would be taken for the result of a run that did not get to
    /// write its own: it was killed, or its project file is wrong.
    ///
    /// - Throws: `Failure` (`infrastructure`) when one cannot be removed.
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
    /// - Parameter what: What the message calls it.
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

    /// Adds the summary to the file that GitHub shows with the job.
    ///
    /// - Parameter environment: `GITHUB_STEP_SUMMARY` in it names the file; without it nothing happens.
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written.
    public static func addStepSummary(_ report: RunReport, environment: [String: String]) throws(Failure) {
        guard let path = environment["GITHUB_STEP_SUMMARY"], !path.isEmpty else { return }
        do {
            let file = try FileDescriptor.open(
                FilePath(path), .writeOnly, options: [.append, .create, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o644))
            // What another tool wrote before may have no line's end.
            try file.closeAfter { _ = try file.writeAll(Array("\n\(MarkdownSummary.render(report))".utf8)) }
        } catch {
            throw Failure(.infrastructure, "cannot add the summary to \(path)", details: "\(error)")
        }
    }

    /// Writes a file as `writeOutput(_:to:)` does: devices and pipes are written to, files and links replaced.
    ///
    /// - Parameter what: What the message calls it.
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
