// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Reporting
import ResultsModel
import SystemPackage

/// The folder in which a CI job finds all that is worth keeping of a run: `kbuild run --ci` fills it.
public struct ReportFolder: Sendable {
    /// What it is called, in the working directory.
    public static let name = "kbuild-report"

    /// Where it is.
    public let path: FilePath

    /// The JUnit file.
    public var junit: FilePath { path.appending("junit.xml") }
    /// The report as a page.
    public var html: FilePath { path.appending("report.html") }

    /// Names the folder in `folder`; nothing is written.
    public init(in folder: FilePath) {
        path = folder.appending(Self.name)
    }

    /// Looks whether the folder can be filled, and changes nothing.
    ///
    /// - Throws: `Failure` (`usage`) when something else is in its place: a link, which may have come with a pull
    ///   request and leads elsewhere, or a file.
    public func check() throws(Failure) {
        do {
            try OutputFolder.check(path)
        } catch {
            throw failure(error, .usage)
        }
    }

    /// Puts the report as JSON there, and copies of the run's logs; those of an earlier run go. Everything is written
    /// within the folder itself, by its descriptor, and only regular files that have the names of kbuild's logs are
    /// removed.
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

    /// Removes the files of an earlier run, those of kbuild's names; nothing when there is no folder.
    ///
    /// - Throws: `Failure` (`infrastructure`) when one cannot be removed.
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

    /// Writes a file there at once.
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

    /// Whether a file is named as a run's logs are: `console.log`, `console-2.log`, `build.log`.
    private static func isLog(_ name: String) -> Bool {
        name == "build.log" || (name.hasPrefix("console") && name.hasSuffix(".log"))
    }
}
