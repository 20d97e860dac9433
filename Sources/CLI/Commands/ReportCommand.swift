// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation
import Project
import Reporting
import ResultsModel
import RunStore
import SystemPackage

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Print the report of a kept run, list kept runs, compare two, or follow a test.",
        discussion: """
            kbuild keeps the report and the console's log of a project's last 50 runs. RUN is -1 for the last run, -2 \
            for the run before, and so on; or a run's name, which --list prints, or the beginning of a name; or the path of \
            another report, with a slash in it or with .json at its end. --compare takes two runs, the earlier first: \
            without the second it compares with the last run, without both it compares the last two. --history takes a \
            test's name or a part of it, and shows its result in each kept run, the first bad run, and how often it fails.

            The exit code is 0, whatever the run's verdict, and 2 when there is no such run. --compare ends with 1 when \
            a test fails that did not fail before. Examples:

              kbuild report
              kbuild report -v
              kbuild report -2 --html report.html
              kbuild report --list
              kbuild report --compare
              kbuild report --history addsUp --html history.html
              kbuild report --compare main/report.json -1 --format json
            """)

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp(
            "The run: -1, -2 and so on, a name, or a report's path. (default: the last)", valueName: "run"),
        completion: .found { $0.runs })
    var runs: [String] = []

    @Flag(help: "List the kept runs.")
    var list = false

    @Flag(help: "Print how two runs differ.")
    var compare = false

    @Option(
        help: "Print a test's result in each kept run; a part of a name selects several tests. --html writes a page.",
        completion: .found { $0.tests })
    var history: String?

    @Option(help: "With --compare: the smallest change of a test's time to report, in percent.")
    var percent = 50.0

    @Option(help: "With --compare: the smallest change of a test's time to report, in seconds.")
    var seconds = 0.1

    @Option(
        name: .customLong("project"),
        help: "The folder that holds kbuild.yaml, or the file itself. (default: search upwards from here)",
        completion: .file())
    var project: String?

    @Option(help: "Print text or json.")
    var format: OutputFormat = .text

    @OptionGroup var output: FileOptions

    @Flag(name: .shortAndLong, help: "Print only the verdict.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Print crash reports line by line, with registers and code bytes.")
    var verbose = false

    func validate() throws {
        if let unknown = runs.first(where: { $0.hasPrefix("-") && Int($0) == nil }) {
            throw ValidationError("Unknown option '\(unknown)'")
        }
        let modes = [(list, "--list"), (compare, "--compare"), (history != nil, "--history")].filter(\.0)
        if modes.count > 1 { throw ValidationError("\(modes[0].1) and \(modes[1].1) exclude each other") }
        var files = output.files
        if history != nil { files.html = nil }
        if !modes.isEmpty, files != ReportFiles() {
            throw ValidationError(
                history == nil
                    ? "--html, --junit and --summary are of one run" : "of a test's history --html alone makes a file")
        }
        let most = list || history != nil ? 0 : compare ? 2 : 1
        if runs.count > most { throw ValidationError("Unexpected argument '\(runs[most])'") }
        guard percent >= 0, seconds >= 0 else { throw ValidationError("--percent and --seconds are 0 or more") }
    }

    func run() async throws {
        let history = try RunHistory(
            projectFile: try projectFile(), environment: ProcessInfo.processInfo.environment)
        let console = Console(verbosity: quiet ? .quiet : verbose ? .verbose : .normal, noProgress: true)
        let text = console.renderer
        if list {
            let list = try history.list()
            return try console.output(list, text: text.render(list), format)
        }
        if let test = self.history {
            let outcomes = try history.outcomes(of: test)
            if let page = output.files.html {
                do {
                    try ReportFiles.write(HTMLHistory.render(outcomes), to: page, as: "HTML file")
                } catch {
                    throw Failure(.usage, error.message, details: error.details, nextStep: error.nextStep)
                }
            }
            return try console.output(outcomes, text: text.render(outcomes), format)
        }
        if compare {
            let comparison = try history.compare(
                runs, threshold: .init(relative: percent / 100, seconds: seconds))
            try console.output(
                comparison, text: quiet ? text.verdict(comparison) : text.render(comparison), format)
            if comparison.exitCode != 0 { throw CommandFailure(code: comparison.exitCode) }
            return
        }
        let kept = try history.find(runs.first ?? "-1")
        let report = try kept.report()
        if var failure = output.files.write(report, console: kept.console).first {
            failure.code = .usage
            throw failure
        }
        switch format {
        case .json: console.output(TerminalText(json: try JSONReport.render(report)))
        case .text: console.output(quiet ? text.verdict(report) : text.render(report))
        }
    }

    /// The current project file; a report from elsewhere does not need one.
    private func projectFile() throws -> FilePath {
        let here = FilePath(FileManager.default.currentDirectoryPath)
        do {
            return try Project.locate(project, from: here)
        } catch {
            let isElsewhere = !runs.isEmpty && runs.allSatisfy { $0.contains("/") || $0.hasSuffix(".json") }
            guard project == nil, isElsewhere, !compare || runs.count == 2 else { throw error }
            return here.appending(Project.fileName)
        }
    }
}
