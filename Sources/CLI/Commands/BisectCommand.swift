// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Project
import ResultsModel

struct BisectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bisect", abstract: "Find the commit of a kernel tree's history that broke a run.",
        discussion: """
            git chooses commits between GOOD and BAD; each is built, booted and tested as kbuild run does. A commit that \
            does not build is skipped; an error of this machine ends the search. Nothing is written to the tree or its \
            repository. After Ctrl-C the same command goes on. Examples:

              kbuild bisect v6.12 HEAD
              kbuild bisect v6.12 HEAD --test kselftest:timers
              kbuild bisect v6.12 HEAD --repeat 5
            """)

    @Argument(help: "A commit, tag or branch that is good.")
    var good: String

    @Argument(help: "A later one that is bad.")
    var bad: String

    @Option(
        help: "A pattern for the tests to run, as kbuild test takes it. (default: all)", completion: .found { $0.tests }
    )
    var test: String?

    @Option(name: .customLong("repeat"), help: "How many runs in a row a good commit passes. (default: 1)")
    var repetitions = 1

    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions
    @OptionGroup var machine: MachineOptions

    func validate() throws {
        if repetitions < 1 { throw ValidationError("--repeat \(repetitions) is not a number of runs; write 1 or more") }
    }

    func run() async throws {
        let selection = try loadProject(common, build.overrides + machine.overrides).selecting(test)
        guard selection.project.checkerSets.count == 1 else {
            throw Failure(
                .usage, "a search takes one kernel a commit, and memory and races need one each",
                nextStep: "leave one out: --check memory,locks,leaks,stack,undefined, or --check races")
        }
        let console = common.makeConsole()
        let bisection = try Bisection(try await makeContext(selection.project, console, build))
        let project = bisection.project(selection.project)
        let question = "\(test ?? "") \(repetitions)\n\(selection.project.rendered())"
        let (good, bad) = (good, bad)
        let result = try await interruptible {
            try await bisection.run(good: good, bad: bad, question: question) { step in
                console.log(TerminalText("trying \(step.commit.prefix(12)) \(step.subject)"))
                let trial = try await self.trial(of: project, filter: selection.filter, console)
                console.finish()
                console.log(TerminalText("\(step.commit.prefix(12)) is \(trial.verdict.rawValue): \(trial.reason)"))
                return trial
            }
        }
        console.finish()
        console.output(TerminalText(lines: Self.text(of: result)))
        if result.commits.count > 1 { throw CommandFailure(code: ExitStatus.build.rawValue) }
    }

    /// Runs a commit until it fails, or has passed the required number of times.
    private func trial(of project: Project, filter: String?, _ console: Console) async throws -> Bisection.Trial {
        var seconds = 0.0
        for number in 1...repetitions {
            let runs = try await makeRuns(project, console, build).runs
            let report = await TestRun.run(runs, of: project, filter: filter)
            runs[0].keep(report)
            try Task.checkCancellation()
            seconds += report.seconds
            let error = report.errors.first?.failure
            switch BisectCode.code(for: report.exitCode) {
            case 0: continue
            case 1:
                let reason = number > 1 ? "\(report.verdict) in run \(number)" : report.verdict
                return .init(verdict: .bad, reason: reason, seconds: seconds)
            case 125: return .init(verdict: .skip, reason: report.verdict, seconds: seconds)
            default: throw error ?? Failure(.infrastructure, "the run of a commit ended without a verdict")
            }
        }
        return .init(verdict: .good, reason: "passed", seconds: seconds)
    }

    /// The final output.
    static func text(of result: Bisection.Result) -> String {
        var lines: [String] = []
        if let only = result.commits.first, result.commits.count == 1 {
            let subject = result.steps.last { $0.commit == only }?.subject
            lines.append("first bad commit: \(only)" + (subject.map { " \($0)" } ?? ""))
            lines.append(result.description)
        } else {
            lines.append("the first bad commit is one of these, which do not build, or comes right after them:")
            lines += result.commits
        }
        return (lines + [""] + result.table + ["", "git bisect log:", result.log]).joined(separator: "\n")
    }
}
