// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation
import Reporting
import ResultsModel
import RunStore
import SystemPackage

struct ParseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parse", abstract: "Read a console or KTAP log from another source, as kbuild reads a live guest.",
        discussion: """
            Examples:

              kbuild parse console console.log
              kbuild parse ktap kunit.log
            """,
        subcommands: [ConsoleLog.self, KTAPLog.self])

    /// The input, and the form of the output.
    struct Options: ParsableArguments {
        @Argument(help: "The log, or - for standard input.", completion: .file())
        var log: String

        @Option(help: "Print text or json.")
        var format: OutputFormat = .text

        @Option(help: "Write the results as JUnit XML to this file.", completion: .file())
        var junit: String?

        @Flag(name: .shortAndLong, help: "Print only the verdict.")
        var quiet = false

        /// The log's path; nil for standard input.
        var path: FilePath? { log == "-" ? nil : FilePath(log) }

        /// Removes the JUnit file of an earlier log, which would be mistaken for the result of an unreadable one.
        func removeOld() throws {
            if let junit { try ReportFiles.removeOld(FilePath(junit), as: "JUnit file") }
        }
    }

    struct ConsoleLog: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "console", abstract: "Print the complete crash reports of a console log.",
            discussion: """
                Lines may have time stamps, callers, and the prefixes of a system log or a CI service. \
                The exit code is 0 without a crash report, 5 with one, 2 for a log that cannot be read, and 7 for an empty \
                log. Examples:

                  kbuild parse console console.log
                  dmesg | kbuild parse console - --format json
                  kbuild parse console console.log --vmlinux build/vmlinux
                """)

        @OptionGroup var options: Options

        @Option(
            help: "The kernel that printed the log, built with debug information: adds files and lines.",
            completion: .file())
        var vmlinux: String?

        func run() async throws {
            let console = Console(verbosity: options.quiet ? .quiet : .normal, noProgress: true)
            let progress = Diagnostics.ProgressSink { event in
                if case .note(let text) = event { console.log("note: \(text)") }
            }
            try options.removeOld()
            let report = try await LogActions.console(
                options.path, vmlinux: vmlinux.map { FilePath($0) }, progress: progress)
            try ParseCommand.show(report, options, console)
        }
    }

    struct KTAPLog: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ktap", abstract: "Print the results of a KTAP or TAP log.",
            discussion: """
                TAP 12 to 14, KTAP 1, kselftest's output, and KUnit's on a console. The exit code is 0 when all passed, 1 \
                when a test failed or results are missing, 2 when the log cannot be read, 6 when a test timed out (# TIMEOUT), \
                and 7 when no test ran. Examples:

                  kbuild parse ktap kunit.log
                  make kselftest | kbuild parse ktap - --junit results.xml
                """)

        @OptionGroup var options: Options

        func run() async throws {
            let console = Console(verbosity: options.quiet ? .quiet : .normal, noProgress: true)
            try options.removeOld()
            try ParseCommand.show(try LogActions.ktap(options.path), options, console)
        }
    }

    private static func show(_ report: LogReport, _ options: Options, _ console: Console) throws {
        if let path = options.junit {
            let run = report.run(startedAt: Date().formatted(.iso8601))
            try ReportFiles.write(JUnitReport.render(run), to: FilePath(path), as: "JUnit file")
        }
        switch options.format {
        case .json: console.output(TerminalText(json: try JSONReport.render(report)))
        case .text:
            let renderer = console.renderer
            console.output(options.quiet ? renderer.verdict(report) : renderer.render(report))
        }
        if report.exitCode != 0 { throw CommandFailure(code: report.exitCode) }
    }
}
