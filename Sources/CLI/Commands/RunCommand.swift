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

/// Loads the project that the options name, and writes kbuild's files where the project has none of its own.
func loadProject(_ common: CommonOptions, _ overrides: [ProjectOverride]) throws -> Project {
    let here = FilePath(FileManager.default.currentDirectoryPath)
    let isEnough = overrides.contains { $0.flag == MailOptions.flag || Project.namesBuiltKernel($0, from: here) }
    let file = try Project.locate(common.project, from: here, needsProject: !isEnough)
    let overrides = try overrides.map(readingStandardInput)
    let project = try Project.load(file, profile: common.profile, overrides: overrides)
    try SupportFolder.refresh(for: project)
    return project
}

/// A flag that names standard input for patches, with the file that standard input was saved to.
private func readingStandardInput(_ override: ProjectOverride) throws -> ProjectOverride {
    guard override.flag == MailOptions.flag, override.value == .entry(MailOptions.standardInput) else {
        return override
    }
    let bytes = try FileHandle.standardInput.readToEnd().map { Array($0) } ?? []
    guard !bytes.isEmpty else {
        throw Failure(
            .usage, "--mbox -: standard input is empty", nextStep: "b4 am -o - MESSAGE-ID | kbuild run --mbox -")
    }
    var override = override
    override.value = .entry(
        try KernelTree.keep(mail: bytes, environment: ProcessInfo.processInfo.environment).string)
    return override
}

/// Makes the context of a project, which reports to the console. While the context exists, the items that it takes from
/// the cache, and those of the project, are not removed.
func makeContext(
    _ project: Project, _ console: Console, _ build: BuildOptions? = nil, isDryRun: Bool = false
) async throws -> ProjectContext {
    var context = try ProjectContext(
        project: project, environment: ProcessInfo.processInfo.environment, supervisor: ownExecutable(),
        isDryRun: isDryRun, onEvent: { console.show($0) })
    if let build { context.buildScope = build.scope }
    context.arguments = ["kbuild"] + CommandLine.arguments.dropFirst()
    if !isDryRun { try await context.enterCache() }
    return context
}

/// The runs of a project, one for each kernel that its checkers need.
struct RunsOfKernels {
    /// The context of the first run.
    var context: ProjectContext
    var runs: [TestRun]
}

/// Makes a run of the project for each kernel that its checkers need.
func makeRuns(
    _ project: Project, _ console: Console, _ build: BuildOptions? = nil
) async throws -> RunsOfKernels {
    let context = try await makeContext(project, console, build)
    var runs = [TestRun(context)]
    for part in project.checkerSets.dropFirst() { runs.append(TestRun(try await makeContext(part, console, build))) }
    return RunsOfKernels(context: context, runs: runs)
}

/// Runs everything and prints the report; ends with the exit code of the modes.
func runAndReport(
    _ common: CommonOptions, _ build: BuildOptions, _ options: RunOptions, _ modes: RunModes, filter: String? = nil
) async throws {
    guard modes.bisect else { return try await runOnce(common, build, options, modes, filter: filter) }
    do {
        try await runOnce(common, build, options, modes, filter: filter)
    } catch let failure as CommandFailure {
        throw CommandFailure(code: BisectCode.code(for: failure.code))
    } catch let failure as Failure {
        StandardStream.errors.write(failure.terminalText)
        throw CommandFailure(code: BisectCode.code(for: failure.code.rawValue))
    }
}

private func runOnce(
    _ common: CommonOptions, _ build: BuildOptions, _ options: RunOptions, _ modes: RunModes, filter: String? = nil
) async throws {
    try modes.folder?.check()
    if !modes.dryRun {
        try modes.folder?.removeOld()
        try options.output.files.removeOld()
    }
    let overrides = build.overrides + options.overrides + modes.mail.overrides
    let selection = try loadProject(common, overrides).selecting(filter)
    let filter = selection.filter
    if modes.addConfig, selection.project.isPrebuilt {
        throw Failure(
            .usage, "--add-config sets options, and the kernel is built as it is", nextStep: "leave out --add-config")
    }
    let project = modes.addConfig ? selection.project.addingTestOptions() : selection.project
    let console = common.makeConsole(jobLog: modes.jobLog, streamsEvents: options.format == .jsonl)
    if modes.dryRun {
        guard let format = OutputFormat(rawValue: options.format.rawValue) else {
            throw Failure(.usage, "--dry-run prints a plan, as text or json; --format \(options.format) is for reports")
        }
        var plans: [RunPlan] = []
        for part in project.checkerSets {
            let planner = RunPlanner(try await makeContext(part, console, build, isDryRun: true))
            plans.append(try await interruptible { try await planner.plan(filter: filter) })
        }
        var plan = plans.removeFirst()
        for (part, other) in zip(project.checkerSets.dropFirst(), plans) { plan.add(other, label: part.checkerNames) }
        return try console.output(plan, text: plan.text, format)
    }
    let failed = modes.eachPatch ? try await firstFailingPrefix(of: project, filter: filter, console, build) : nil
    let made = if let failed { failed.made } else { try await makeRuns(project, console, build) }
    let (context, runs) = (made.context, made.runs)
    let run = runs[0]
    let ended =
        if let failed {
            Interruptible(result: .success(failed.report), signal: nil)
        } else {
            await interruptibly { await TestRun.run(runs, of: project, filter: filter, repeating: modes.repeating) }
        }
    let signal = ended.signal
    var report = try ended.result.get()
    // A signal may arrive after the last test: then kbuild ends with the signal's code, and the report has it too.
    if signal != nil { report.noteInterruption() }
    console.finish()
    record(&report, run, options, modes)
    if let signal {
        console.log("interrupted")
        throw CommandFailure(code: 128 + signal)
    }
    if options.annotations == .github || modes.jobLog == .github { annotate(report, console) }
    switch options.format {
    case .json:
        console.output(TerminalText(json: try JSONReport.render(report)))
        for error in report.errors { console.log(error.failure) }
    case .jsonl:
        console.output(TerminalText(json: try EventLines.line(report, time: console.secondsSinceStart)))
        for error in report.errors { console.log(error.failure) }
    case .b4: console.output(TerminalText(json: try B4Checks.render(report)))
    case .text:
        // Errors go to standard error; the verdict is the result.
        for error in report.errors { console.log(error.failure) }
        let renderer = console.renderer
        console.output(
            console.verbosity == .quiet ? renderer.verdict(report) : renderer.render(report, showsErrors: false))
    }
    // The wait for a slow reader lasts until it is interrupted.
    if let signal = await interruptibly({ await OutputQueue.standard.flush() }).signal {
        report.noteInterruption()
        record(&report, run, options, modes)
        throw CommandFailure(code: 128 + signal)
    }
    if modes.shellOnFailure { try await showShell(after: report, context, console) }
    await context.pruneCache()
    if report.exitCode != 0 { throw CommandFailure(code: report.exitCode) }
}

/// The prefix of a project's patches that did not pass.
private struct FailingPrefix {
    var made: RunsOfKernels
    var report: RunReport
}

/// Runs the project with its first patch, its first two and so on, up to the last but one, and prints a line on each.
///
/// - Returns: The first prefix that did not pass, whose report is the command's: a second run of it might pass. Nil if
///   all prefixes passed, so that all patches are still to be run.
private func firstFailingPrefix(
    of project: Project, filter: String?, _ console: Console, _ build: BuildOptions
) async throws -> FailingPrefix? {
    let prefixes = try PatchPrefixes(of: project)
    for count in 1..<prefixes.names.count {
        let part = prefixes.project(with: count)
        let made = try await makeRuns(part, console, build)
        let ended = await interruptibly { await TestRun.run(made.runs, of: part, filter: filter) }
        let report = try ended.result.get()
        console.finish()
        if let signal = ended.signal { throw CommandFailure(code: 128 + signal) }
        console.log(TerminalText(prefixes.line(count, report)))
        if report.exitCode != 0 { return FailingPrefix(made: made, report: report) }
    }
    return nil
}

/// Writes the files made from a report, and stores the final report.
///
/// A file that cannot be written is an error of the run, and decides its exit code. The other files were written before
/// that error, so they are written again: no file says PASSED for a run that ends with 7.
private func record(
    _ report: inout RunReport, _ run: TestRun, _ options: RunOptions, _ modes: RunModes
) {
    var files = options.output.files
    files.junit = files.junit ?? modes.folder?.junit
    files.html = files.html ?? modes.folder?.html
    for _ in 0..<2 {
        let before = report.errors
        func note(_ failure: Failure) {
            let error = RunReport.RunError(failure)
            if !report.errors.contains(error) { report.errors.append(error) }
        }
        if let folder = modes.folder {
            do {
                try folder.write(report)
            } catch {
                note(error as? Failure ?? Failure(.infrastructure, "cannot write \(folder.path)", details: "\(error)"))
            }
        }
        files.write(report, console: report.artifacts.console.map { FilePath($0) }, in: modes.folder).forEach(note)
        if report.errors == before { break }
    }
    run.keep(report)
}

/// Reports a run to GitHub: annotations at the failed lines, and a summary of the job.
private func annotate(_ report: RunReport, _ console: Console) {
    // GitHub also reads workflow commands from standard error, where they do not corrupt JSON output.
    console.send(GitHubAnnotations.render(report))
    do {
        try ReportFiles.addStepSummary(report, environment: ProcessInfo.processInfo.environment)
    } catch {
        console.log("warning: \(error.message): \(error.details ?? "")")
    }
}

/// Opens a shell in a fresh guest when the tests ran and not all passed.
private func showShell(after report: RunReport, _ context: ProjectContext, _ console: Console) async throws {
    let codes: [ExitStatus] = [.testFailure, .guestCrash, .timeout]
    guard codes.map(\.rawValue).contains(report.exitCode) else { return }
    guard Terminal.isThere else { return console.log("no shell: \(GuestShell.noTerminal.message)") }
    console.log("a shell in a fresh guest, because the run failed:")
    do {
        try await GuestShell(
            session: ShellSession(context), console: console,
            request: GuestShell.request(command: nil, isTerminal: true, limit: nil)
        ).run()
    } catch is CommandFailure {
        // The run's exit code is kept.
    }
}

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Patch, build, boot and test; then report.",
        discussion: """
            kbuild does not repeat steps whose inputs have not changed. Examples:

              kbuild run --accel tcg --memory 1G
              kbuild run --html report.html --junit results.xml
              kbuild run --format json --annotations github
              kbuild run --shell-on-failure
              kbuild run --repeat 20
              kbuild run --until-fail --for 10m
              kbuild run --coverage --lcov coverage.info
              kbuild run --profile-calls
              kbuild run --dry-run
              kbuild run --ci

            A command after -- runs in the guest instead of the tests, as with kbuild shell.

            In a kernel tree without a kbuild.yaml kbuild builds and boots the kernel. BOOTED CLEAN says that user space ran \
            and that the kernel reported nothing. kbuild does not write to the tree.

              kbuild run -- uname -a

            --kernel also takes an installed kernel or a Debian package, which kbuild boots and does not build, for "does the \
            test fail on the distribution's kernel too?"

              kbuild run --kernel 6.1.0-56-amd64
              kbuild test 'MsgboxTests' --kernel ./linux-image-6.12.57-amd64.deb

            Patches from a mail go on top of a project, a kernel tree, or --kernel:

              kbuild run --mbox series.mbox --kernel linux-source-6.12
              b4 am -o - MESSAGE-ID | kbuild run --mbox - --format b4
              kbuild run --mbox series.mbox --each-patch
            """)

    @Argument(
        parsing: .postTerminator, help: "A command and its arguments, after --.", completion: .found { $0.programs })
    var command: [String] = []

    @OptionGroup var modes: RunModes
    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions
    @OptionGroup var options: RunOptions

    func validate() throws {
        if !command.isEmpty, modes.repeating != nil {
            throw ValidationError("a command after -- runs once: leave out --repeat, --until-fail and --for")
        }
        if !command.isEmpty, modes.dryRun || modes.folder != nil {
            throw ValidationError("a command after -- goes with neither --dry-run nor --ci")
        }
        let files = options.output
        let isReported =
            [files.html, files.junit, files.summary].contains { $0 != nil } || options.annotations != nil
            || options.format != .text
        if !command.isEmpty, isReported {
            throw ValidationError(
                "no report is made of a command after --: leave out --html, --junit, --summary, --annotations and --format"
            )
        }
    }

    func run() async throws {
        guard command.isEmpty else {
            let project = try loadProject(common, build.overrides + options.overrides + modes.mail.overrides)
            // The exit code is that of the command in one kernel, which cannot cover the checkers of two kernels.
            guard project.checkerSets.count == 1 else {
                throw Failure(
                    .usage, "a command after -- runs in one kernel, and memory and races need one each",
                    nextStep: "leave one out: --check memory,locks,leaks,stack,undefined, or --check races")
            }
            return try await GuestShell.run(command, in: project, common, build, isTerminal: false, isLimited: true)
        }
        try await runAndReport(common, build, options, modes)
    }
}
