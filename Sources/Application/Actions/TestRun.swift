// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Coverage
import CrashReports
import Diagnostics
import FileSystem
import Foundation
import GuestSession
import KernelConfig
import KernelMake
import KernelSource
import PatchedTree
import Processes
import Project
import Reporting
import ResultsModel
import RunStore
import Syscalls
import SystemPackage
import TestSession
import VirtualMachine

/// A whole run: build, boot, test.
public struct TestRun: Sendable {
    let context: ProjectContext
    private var project: Project { context.project }
    private var tools: ToolContext { context.tools }

    /// Prepares a run; nothing starts yet.
    public init(_ context: ProjectContext) { self.context = context }

    /// Runs the project. Never throws: errors are in the report. After the caller has written all files of the report,
    /// it calls `keep`.
    ///
    /// - Parameters:
    ///   - filter: A pattern for the tests to run; nil for all.
    ///   - repeating: How often they run; nil for once.
    public func run(filter: String? = nil, repeating: RepeatRequest? = nil) async -> RunReport {
        let clock = ContinuousClock()
        let start = clock.now
        var report = RunReport(
            startedAt: Date().formatted(.iso8601), project: project.place.string, profile: project.profile,
            splatsFail: project.splats.isStrict)
        describe(filter: filter, in: &report)
        do {
            // First, so that a run which cannot begin is also kept.
            let folder = try context.history.newRun(tools.progress)
            report.artifacts.folder = folder.string
            try await run(filter: filter, repeating: repeating, in: folder, into: &report)
        } catch let failure as Failure {
            report.errors.append(.init(failure))
        } catch is CancellationError {
            report.errors.append(.init(Failure(.interrupted, "interrupted")))
        } catch {
            report.errors.append(.init(Failure(.infrastructure, "\(error)")))
        }
        report.steps = context.log.steps.map {
            .init(
                name: $0.name.rawValue, outcome: $0.outcome.rawValue, seconds: $0.seconds, detail: $0.detail,
                startSeconds: Self.seconds($0.start - start))
        }
        report.commands = context.log.commands
        report.seconds = Self.seconds(clock.now - start)
        if project.onlyBoots { report.isBootCheck = true }
        SourceLines.add(to: &report, project: project)
        let policy = ResultPolicy(skips: project.skips, splats: project.splats)
        for note in policy.apply(to: &report) { tools.progress(.note(note)) }
        tools.statCache.save()
        return report
    }

    /// Runs the project in each kernel that its checkers need, one after the other, for one verdict. Never throws, as
    /// `run`.
    ///
    /// - Parameters:
    ///   - runs: A run for each of `Project.checkerSets`; the first one's `keep` takes the report.
    ///   - filter: A pattern for the tests to run; nil for all.
    ///   - repeating: How often they run in each; nil for once.
    ///   - project: The project that the report names.
    public static func run(
        _ runs: [TestRun], of project: Project, filter: String? = nil, repeating: RepeatRequest? = nil
    ) async -> RunReport {
        var report: RunReport?
        for run in runs {
            if runs.count > 1 { run.tools.progress(.note("checkers: \(run.project.checkerNames)")) }
            let next = await run.run(filter: filter, repeating: repeating)
            guard var whole = report else {
                report = next
                // Failures that the other kernel would have too.
                let codes: [ExitStatus] = [.usage, .patch, .build, .interrupted]
                if codes.map(\.rawValue).contains(next.exitCode) || next.exitCode != 0 && project.failFast { break }
                continue
            }
            let lines = run.addConsole(of: next, to: whole)
            whole.add(next, label: run.project.checkerNames, consoleLinesBefore: lines)
            whole.configuration = project.rendered()
            report = whole
        }
        return report ?? RunReport(startedAt: Date().formatted(.iso8601), project: project.place.string)
    }

    /// Appends the console's log of another kernel to the log of the first.
    ///
    /// - Returns: The number of lines before it.
    private func addConsole(of next: RunReport, to whole: RunReport) -> Int {
        guard let first = whole.artifacts.console.map({ FilePath($0) }),
            let second = next.artifacts.console.map({ FilePath($0) }), var bytes = try? readBytes(first),
            let more = try? readBytes(second)
        else { return 0 }
        if let last = bytes.last, last != UInt8(ascii: "\n") { bytes.append(UInt8(ascii: "\n")) }
        let lines = bytes.count { $0 == UInt8(ascii: "\n") }
        do {
            try writeAtomically(bytes + more, to: first)
        } catch {
            tools.progress(.note("the console's log of the kernel with \(project.checkerNames) stays in \(second)"))
        }
        return lines
    }

    /// Keeps a run's report for `kbuild report`, and replaces an earlier report of the same run. The report must have
    /// the exit code of the process, so the caller calls this after everything that can still fail.
    public func keep(_ report: RunReport) { context.history.keep(report, tools.progress) }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    /// What is known before a run begins.
    private func describe(filter: String?, in report: inout RunReport) {
        report.filter = filter
        report.kbuildVersion = kbuildVersion
        report.commandLine =
            context.arguments.isEmpty ? nil : context.arguments.map(Command.quoted).joined(separator: " ")
        report.configuration = project.rendered()
        var names = utsname()
        if uname(&names) == 0 {
            report.host = [text(&names.sysname), text(&names.release), text(&names.machine)].joined(separator: " ")
        }
        func text<Characters>(_ characters: inout Characters) -> String {
            withUnsafeBytes(of: &characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
    }

    private func run(
        filter: String?, repeating: RepeatRequest?, in folder: FilePath, into report: inout RunReport
    ) async throws {
        let pipeline = Pipeline(context: context, executor: context.log)
        let prepared = try await pipeline.prepare(in: folder, RequestedTests(filter: filter)) { patched, buildLog in
            report.kernel = .init(source: project.kernel.source, version: patched.pristine.version)
            if let kernel = project.prebuiltKernel { report.kernel?.prebuilt = kernel.description }
            report.kernel?.identity = patched.pristine.identity.hex
            report.syscalls = patched.overlay.syscalls.filter { $0.abi != .i386 && project.prebuiltKernel == nil }
                .map { .init(name: $0.name.text, number: $0.number) }
            report.artifacts.buildLog = buildLog.string
        }
        report.kernel?.compiler = prepared.kernel.compiler
        let guests = try await pipeline.guests(for: prepared)
        report.machine = guests.machines.first?.reported
        report.artifacts.console = prepared.consoleLog.string
        let counted: GuestCounts
        if let repeating {
            counted = try await repeatTests(repeating, prepared, guests, into: &report)
        } else {
            let snapshots = try await pipeline.snapshots(for: guests)
            guard let results = try await pipeline.tests(in: guests, from: snapshots, kernel: prepared.kernel) else {
                throw Failure(.infrastructure, "the tests ended without a result")
            }
            try await add(results, snapshots, of: prepared, to: &report)
            counted = GuestCounts(results.outcome)
        }
        if project.coverage != nil { try await addCoverage(counted.coverage, prepared, filter: filter, to: &report) }
        if project.profilesCalls { addCallProfile(counted.calls, prepared, to: &report) }
        noteCheckers(report, config: prepared.kernel.config)
        report.suites += try project.skippedPrograms(filter: filter)
    }

    /// Prints a note, once a day, that no checker ran: most mistakes in a call pass its tests.
    private func noteCheckers(_ report: RunReport, config: FilePath) {
        let symbols = ["CONFIG_KASAN=y", "CONFIG_KCSAN=y", "CONFIG_PROVE_LOCKING=y", "CONFIG_DEBUG_KMEMLEAK=y"]
        guard report.exitCode == ExitStatus.success.rawValue, project.architecture != .um,
            project.prebuiltKernel == nil,
            let text = try? readText(config),
            !symbols.contains(where: { text.contains("\n\($0)\n") })
        else { return }
        let note = "checkers: none; kbuild run --check all finds bad accesses, leaks, races, and sleeping under a lock"
        if context.isNews(note, isOfProject: true) { tools.progress(.note(note)) }
    }

    /// Adds the cost of the calls, compared with the last kept run that has it in the same unit.
    private func addCallProfile(_ times: CallTimes, _ prepared: RunInputs, to report: inout RunReport) {
        var profile = CallProfile(
            unit: CallProfiling.unit(report.machine), conditions: CallProfiling.conditions(project), times,
            names: CallProfiling.names(prepared.patched.overlay),
            tests: report.tests.map(\.id))
        if let earlier = context.history.lastCallProfile(like: profile) {
            profile.compare(with: earlier.profile, of: earlier.run)
        }
        report.callProfile = profile
        if project.machine.cpus > 1, profile.unit == .instructions {
            tools.progress(.note("the guests had one CPU, so that their instructions could be counted"))
        }
    }

    private func addCoverage(
        _ counters: [GuestCounters], _ prepared: RunInputs, filter: String?, to report: inout RunReport
    ) async throws {
        do {
            let rules = try await context.confinement.rules()?.kernel
            let collection = CoverageCollection(context: context, prepared: prepared, rules: rules)
            let coverage = try await collection.report(counters, filter: filter)
            report.coverage = coverage
            if let failure = CoverageCollection.failure(coverage) { report.errors.append(.init(failure)) }
        } catch let failure as Failure {
            report.errors.append(.init(failure))
        }
    }

    // MARK: Test results

    func add(
        _ results: TestResults, _ snapshots: SnapshotArtifacts?, of prepared: RunInputs, to report: inout RunReport
    ) async throws {
        let guests = results.guests
        if let obstacle = guests.lazy.compactMap(\.result.logObstacle).first {
            tools.progress(.note("the console's log lacks a part: \(obstacle)"))
        }
        for note in results.outcome.notes { tools.progress(.note(note)) }
        try addMemory(of: guests, in: prepared.folder, to: &report)
        if let reason = guests.lazy.compactMap({ $0.result.unreadMemory }).first {
            tools.progress(.note("the kernel's memory was not read: \(reason)"))
            report.unreadKernelMemory = reason
        }
        report.machine = guests.last?.machine ?? report.machine
        if let boots = snapshots?.boots, !boots.isEmpty { report.artifacts.bootConsoles = boots.map(\.log.string) }
        if guests.count > 1 {
            report.guests = .init(
                count: guests.count, maxConcurrentGuests: results.maxConcurrentGuests,
                isFromSnapshot: snapshots?.places != nil,
                medianStartSeconds: guests.compactMap(\.result.bootSeconds).median,
                medianSeconds: guests.map(\.result.machineSeconds).median)
        }
        SessionReport.add(await prepared.symbolized(results.outcome, tools.progress), to: &report)
        SourceLines.addOwnFiles(
            to: &report.crashes, userFiles: prepared.userFiles, project: project,
            shown: context.shown)
        // Guests that fail for the same reason give one error, from the first guest; but each test that hung has its
        // own place.
        var reported: Set<String> = []
        for guest in guests {
            let hang = await HangReport.make(guest.result, prepared, context: context)
            let processors = await evidence(of: guest.result, kernel: prepared.kernel)
            let evidence = hang.isEmpty ? processors : hang + processors.filter { $0.hasSuffix("with interrupts off") }
            let place = hang.joined(separator: "\n")
            for var error in SessionReport.errors(of: guest.result, evidence: evidence) {
                let isHang = !hang.isEmpty && error.code == guest.result.limit?.code
                let key = isHang ? place : error.message + (evidence.isEmpty ? "" : error.details ?? "")
                guard reported.insert(key).inserted else { continue }
                if results.shards > 1 {
                    error.details = (["in the guest of \(guest.shard.name)"] + [error.details].compactMap { $0 })
                        .joined(separator: "\n")
                }
                report.errors.append(.init(error))
            }
        }
    }

    /// Reports where the memory of crashed guests is kept, and for how many it is not.
    private func addMemory(of guests: [GuestRun], in folder: FilePath, to report: inout RunReport) throws {
        let memory = folder.appending(TestSteps.memoryName)
        guard isFolder(memory) else { return }
        let kept = try namesInFolder(memory).count
        if kept > 0 { report.artifacts.memory = memory.string }
        let lost = guests.count { $0.result.limit != nil || [.panicked, .reset].contains($0.result.exit) } - kept
        if lost > 0 { tools.progress(.note("the memory of \(lost) guests could not be kept in \(memory)")) }
    }

    /// What a guest that reached a limit was doing, in lines; empty when it could not be asked.
    private func evidence(of result: SessionResult, kernel: BuiltKernel) async -> [String] {
        guard !result.processors.isEmpty else { return [] }
        var symbols: KernelSymbols?
        let runner = await readingRunner(of: kernel)
        // A kernel with address randomization does not report its offset.
        if let features = try? BootFeatures(config: kernel.config), !features.movesItself,
            let text = try? await runner?.output(of: Command("nm", ["-n", kernel.vmlinux.string]))
        {
            symbols = KernelSymbols(parsing: text)
        }
        return HangEvidence.describe(result.processors, symbols: symbols)
    }

    /// The runner of tools that read a built kernel, which its patches' author may have made to attack them; nil when
    /// confinement is required and not possible.
    private func readingRunner(of kernel: BuiltKernel) async -> CommandRunner? {
        do {
            let rules = try await context.confinement.rules()?.kernel
            return tools.runner.confined(by: rules?.build(readable: [kernel.vmlinux], writable: []))
        } catch {
            return nil
        }
    }
}
