// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Reporting
import ResultsModel
import SystemPackage

/// The folder with a run's artifacts for a CI job, written by `kbuild run --ci`.
public struct ReportFolder: Sendable {
    /// The folder's name in the working directory.
    public static let name = "kbuild-report"

    /// The folder's path.
    public let path: FilePath

    /// The JUnit file.
    public var junit: FilePath { path.appending("junit.xml") }
    /// The report as a page.
    public var html: FilePath { path.appending("report.html") }

    /// Sets the path to the folder in `folder`, without writing anything.
    public init(in folder: FilePath) {
        path = folder.appending(Self.name)
    }

    /// Checks that the folder can be written to, without a change.
    ///
    /// - Throws: `Failure` (`usage`) when a file or a link is in its place: a link from a pull request may lead
    ///   elsewhere.
    public func check() throws(Failure) {
        do {
            try OutputFolder.check(path)
        } catch {
            throw failure(error, .usage)
        }
    }

    /// Writes the report as JSON and copies of the run's logs, and removes those of an earlier run. All files are
    /// accessed by the folder's descriptor, and only regular files with the names of kbuild's logs are removed.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be written.
    public func write(_ report: RunReport) throws {
        var logs: [FilePath] = []
        if let folder = report.artifacts.folder.map({ FilePath($0) }) {
            logs += try namesInFolder(folder).filter(Self.isLog).map { folder.appending($0) }
        }
        if let log = report.artifacts.buildLog.map({ FilePath($0) }), fileExists(log) { logs.append(log) }
        do {
            let folder = try OutputFolder(path)
            try folder.removeFiles(where: Self.isLog)
            try folder.write(Array((try JSONReport.render(report) + "\n").utf8), as: "report.json")
            for log in logs {
                guard let name = log.lastComponent else { continue }
                try folder.write(try readBytes(log), as: name.string)
            }
        } catch let error as OutputError {
            throw failure(error, .infrastructure)
        }
    }

    /// Removes an earlier run's files, by kbuild's file names, if the folder exists.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be removed.
    public func removeOld() throws(Failure) {
        guard isFolder(path) else { return }
        do {
            try OutputFolder(path).removeFiles { name in
                Self.isLog(name) || ["junit.xml", "report.html", "report.json"].contains(name)
            }
        } catch {
            throw failure(error, .infrastructure)
        }
    }

    /// Writes a file to the folder atomically.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written.
    package func write(_ text: String, to file: FilePath) throws(Failure) {
        do {
            try OutputFolder(path).write(Array(text.utf8), as: file.lastComponent?.string ?? "")
        } catch {
            throw failure(error, .infrastructure)
        }
    }

    private func failure(_ error: OutputError, _ code: ExitStatus) -> Failure {
        Failure(code, "cannot write to the report folder \(path): \(error)", nextStep: error.nextStep)
    }

    /// Whether a file has the name of a run's log: `console.log`, `console-2.log`, `build.log`.
    private static func isLog(_ name: String) -> Bool {
        name == "build.log" || (name.hasPrefix("console") && name.hasSuffix(".log"))
    }
}
