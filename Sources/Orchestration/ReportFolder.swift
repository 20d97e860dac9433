import Artifacts
import Diagnostics
import Reporting
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

    /// Puts the report as JSON there, and copies of the run's logs; those of an earlier run go.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be written.
    public func write(_ report: RunReport) throws {
        try createFolder(path)
        for name in try namesInFolder(path) where name.hasSuffix(".log") { try removeAll(path.appending(name)) }
        try writeAtomically(try JSONReport.render(report) + "\n", to: path.appending("report.json"))
        var logs: [FilePath] = []
        if let folder = report.artifacts.folder.map({ FilePath($0) }) {
            logs += try namesInFolder(folder).filter { $0.hasSuffix(".log") }.map { folder.appending($0) }
        }
        if let log = report.artifacts.buildLog.map({ FilePath($0) }), fileExists(log) { logs.append(log) }
        for log in logs {
            guard let name = log.lastComponent else { continue }
            try copyFile(log, to: path.appending(name))
        }
    }
}
