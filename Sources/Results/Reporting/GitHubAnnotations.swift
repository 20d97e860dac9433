// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The report as GitHub Actions workflow commands, which GitHub shows at the lines of the sources:
/// `::error file=F,line=N,title=T::MESSAGE`.
public enum GitHubAnnotations {
    /// The most lines of a kernel report in one annotation.
    static let mostLogLines = 20

    /// The most commands. GitHub shows ten of each kind for a step.
    static let mostCommands = 50
    /// The most characters of a command's text; GitHub shows about 4096 bytes.
    static let longestText = 4096

    /// Renders a report; empty when there is nothing to annotate.
    public static func render(_ report: RunReport) -> [JobCommand] {
        let commands = all(report)
        guard commands.count > mostCommands else { return commands }
        let more = "... and \(commands.count - mostCommands) more annotations not shown"
        return commands.prefix(mostCommands) + [command("warning", title: "kbuild", message: more)]
    }

    private static func all(_ report: RunReport) -> [JobCommand] {
        let base = report.project
        var commands: [JobCommand] = []
        for suite in report.suites {
            for test in suite.tests where test.status.isFailure {
                let issues = test.reportedIssues.filter { !$0.isKnown }
                let title = "\(suite.name): \(test.id) \(test.status.words.verb)"
                if issues.isEmpty {
                    commands.append(command("error", title: title, message: test.reason ?? test.status.words.verb))
                }
                for issue in issues {
                    let file = issue.file.map { relative($0, to: base) }
                    let circumstances = issue.circumstances.map { "\n(\($0))" } ?? ""
                    commands.append(
                        command(
                            "error", file: file, line: issue.line, title: title, message: issue.message + circumstances)
                    )
                }
            }
            for problem in suite.reportedProblems {
                commands.append(command("error", title: suite.name, message: problem))
            }
        }
        for crash in report.crashes {
            let running = crash.moment.map { "\($0.prefix(1).uppercased())\($0.dropFirst()).\n" } ?? ""
            if let reason = crash.knownReason, !report.fails(crash) {
                commands.append(command("notice", title: crash.title, message: "\(running)known: \(reason)"))
                continue
            }
            let kind: StaticString = report.fails(crash) ? "error" : "warning"
            let log = crash.lines.prefix(mostLogLines).joined(separator: "\n")
            commands.append(command(kind, title: crash.title, message: running + log))
        }
        for error in report.errors {
            commands.append(command("error", title: "kbuild", message: error.failure.description))
        }
        if report.exitCode != 0, commands.isEmpty {
            commands.append(command("error", title: "kbuild", message: "\(report.verdict): no test passed"))
        }
        return commands
    }

    /// GitHub knows files by their path in the repository.
    private static func relative(_ file: String, to folder: String) -> String {
        let prefix = folder.hasSuffix("/") ? folder : folder + "/"
        return file.hasPrefix(prefix) ? String(file.dropFirst(prefix.count)) : file
    }

    private static func command(
        _ kind: StaticString, file: String? = nil, line: Int? = nil, title: String, message: String
    ) -> JobCommand {
        func cut(_ text: String) -> String { Text.cut(text, to: longestText) }
        var properties: [(name: StaticString, value: String)] = []
        if let file { properties.append(("file", cut(file))) }
        if let line { properties.append(("line", "\(line)")) }
        properties.append(("title", cut(title)))
        // An empty text would not be shown.
        return JobCommand(github: kind, properties, text: cut(message.isEmpty ? title : message))
    }
}
