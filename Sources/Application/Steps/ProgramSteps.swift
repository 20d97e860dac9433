// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import GuestSession
import KernelMake
import Processes
import Project
import Reporting
import ResultsModel
import SystemPackage
import TestSession

/// The requested tests.
struct RequestedTests: Sendable {
    /// The command line's pattern; nil for all.
    var filter: String?
    /// Whether an empty selection is an error.
    var areNeeded = true
}

/// The programs of a run.
struct ProgramSet: Sendable {
    var artifacts: [ProgramArtifact]
    /// Whether these are all programs; in a dry run those that are not built yet are missing. Each program that needs
    /// libraries is included.
    var isComplete = true

    /// The executables whose shared libraries the guest needs.
    var dynamic: [FilePath] { artifacts.filter { !$0.isStatic }.map(\.executable) }

    /// "50 tests in 5 programs".
    var summary: String {
        pluralized(artifacts.reduce(0) { $0 + ($1.tests?.count ?? 1) }, "test") + " in "
            + pluralized(artifacts.count, "program")
    }
}

/// How the programs of one entry under `tests` are made.
private struct ProgramBuild {
    /// Whether they exist already.
    var isMade: Bool
    /// The commands that make them.
    var actions: () async throws -> [RunPlan.Action]
    /// Makes them.
    var programs: (ProgressSink) async throws -> [ProgramArtifact]
}

/// The step that builds the test programs and finds the expected tests of each.
struct ProgramSteps: Sendable {
    let kernelSteps: KernelSteps
    let patched: PatchedKernelArtifact
    /// The module SyscallNumbers for the calls that the patches add.
    let numbers: NumbersModule

    init(_ kernelSteps: KernelSteps, _ patched: PatchedKernelArtifact) {
        (self.kernelSteps, self.patched) = (kernelSteps, patched)
        numbers = kernelSteps.numbers(of: patched.overlay)
    }

    private var context: ProjectContext { kernelSteps.context }
    private var project: Project { context.project }
    private var kselftests: Kselftests { Kselftests(steps: kernelSteps, patched: patched) }

    /// Builds the programs of the requested tests.
    ///
    /// The step throws `Failure`: `usage` for an invalid pattern, or one that matches no test; `build` when a program
    /// does not compile; `infrastructure` when no test is left to run.
    func programs(_ requested: RequestedTests) -> Step<ProgramSet> {
        Step(.programs) { _ in
            Work(
                forecast: { try await forecast(requested) },
                perform: { progress in
                    let (programs, isHit) = try await select(requested, progress)
                    return Performed(result: programs, outcome: isHit ? .hit : .made, detail: programs.summary)
                })
        }
    }

    private func select(
        _ requested: RequestedTests, _ progress: ProgressSink
    ) async throws -> (programs: ProgramSet, isHit: Bool) {
        let filter = requested.filter
        var (ready, isHit) = try await make(TestSelection(filter: filter), progress)
        if ready.isEmpty, requested.areNeeded, let filter {
            // Everything is built by now, so this only compares names.
            ready = try await make(TestSelection(asTyped: filter), .silent).programs
            if ready.isEmpty {
                let all = try await make(TestSelection(filter: nil), .silent).programs
                try checkTests([], filter: filter, among: all)
            }
            progress(.note("no test name contains \(filter) exactly; matched without case and punctuation"))
        }
        if requested.areNeeded { try checkTests(ready, filter: filter) }
        try SessionPlan(programs: ready.map(\.planned)).checkNames()
        return (ProgramSet(artifacts: ready), isHit)
    }

    /// The programs with at least one selected test, built if necessary.
    private func make(
        _ selection: TestSelection, _ progress: ProgressSink
    ) async throws -> (programs: [ProgramArtifact], isHit: Bool) {
        let builder = try await context.programBuilder()
        var ready: [ProgramArtifact] = []
        var isHit = true
        noteLookalikes(progress)
        for (index, test) in project.tests.enumerated() {
            guard let build = try await build(of: test, at: index, selection, by: builder) else { continue }
            ready += try await build.programs(progress).ofTest(index)
            isHit = isHit && build.isMade
        }
        return (ready, isHit)
    }

    /// Names files that a pattern such as `bin/*` does not match although they look like programs.
    private func noteLookalikes(_ progress: ProgressSink) {
        var folders: [FilePath] = []
        for case .program(let program) in project.tests where program.hasCompanions {
            let folder = program.path.removingLastComponent()
            if !folders.contains(folder) { folders.append(folder) }
        }
        let names = folders.flatMap { ProgramPattern.lookalikes(in: $0) }.map { context.shown($0) }
        guard !names.isEmpty else { return }
        let shown = names.prefix(5).joined(separator: ", ") + (names.count > 5 ? " and \(names.count - 5) more" : "")
        progress(.note("not executable, and so no test: \(shown)"))
    }

    /// The commands that would build the programs.
    private func forecast(_ requested: RequestedTests) async throws -> Forecast<ProgramSet> {
        let selection = try TestSelection(filter: requested.filter)
        let builder = try await context.programBuilder()
        var forecast = Forecast<ProgramSet>(outcome: .hit)
        var ready: [ProgramArtifact] = []
        var isDynamicKnown = true
        for (index, test) in project.tests.enumerated() {
            let answer = try await answered {
                guard let build = try await build(of: test, at: index, selection, by: builder) else { return true }
                if build.isMade {
                    // Nothing is left to build, so this only reads.
                    ready += try await build.programs(.silent).ofTest(index)
                } else {
                    forecast.actions += try await build.actions()
                    if forecast.outcome == .hit { forecast.outcome = .miss }
                }
                return build.isMade
            }
            if case .success(true) = answer { continue }
            if case .failure(let question) = answer {
                forecast.outcome = .unknown
                forecast.dependsOn.append(question.command.description)
            }
            if !test.isStatic { isDynamicKnown = false }
        }
        let programs = ProgramSet(artifacts: ready, isComplete: forecast.outcome == .hit)
        if isDynamicKnown { forecast.expected = programs }
        if programs.isComplete {
            if requested.areNeeded { try checkTests(ready, filter: requested.filter) }
            try SessionPlan(programs: ready.map(\.planned)).checkNames()
            forecast.detail = programs.summary
        } else if !fileExists(numbers.folder) {
            forecast.actions.insert(.remark("kbuild writes the calls' numbers to \(numbers.folder)"), at: 0)
        }
        return forecast
    }

    // MARK: Entries of the project file

    /// How the programs of one entry under `tests` are made; nil when none of them is selected.
    private func build(
        of test: Project.Test, at index: Int, _ selection: TestSelection, by builder: GuestProgramBuilder
    ) async throws -> ProgramBuild? {
        switch test {
        case .swift(let package, let filter, let skip, let timeout):
            let own = SuiteSelection(
                entry: "tests[\(index)]", package: context.shown(package), filter: filter, skip: skip)
            return try await swiftBuild(package, own, at: index, seconds: timeout ?? 0, selection, by: builder)
        case .kselftest(let collection, let timeout):
            return try kselftestBuild(
                collection, at: index, seconds: project.scaled(timeout ?? project.timeouts.test), selection)
        case .kunit(_, let timeout):
            guard selection.includes(KUnitTests.name) else { return nil }
            return try kunitBuild(at: index, seconds: project.scaled(timeout ?? project.timeouts.test), by: builder)
        case .program(let program):
            guard selection.includes(program.name), project.reasonToSkip(program) == nil else { return nil }
            return try programBuild(program, at: index, by: builder)
        }
    }

    private func swiftBuild(
        _ package: FilePath, _ own: SuiteSelection, at index: Int, seconds: Int, _ selection: TestSelection,
        by builder: GuestProgramBuilder
    ) async throws -> ProgramBuild {
        let recipe = try await builder.bundleRecipe(package: package, numbers: numbers)
        return ProgramBuild(
            isMade: recipe.artifact != nil,
            actions: {
                [
                    .remark("\(own.package): \(recipe.key.short)"), try .init(recipe.build, by: recipe.runner),
                    try .init(recipe.binPath, by: recipe.runner),
                    .remark("there the bundle lists its tests: \(GuestProgramBuilder.BundleRecipe.listing)"),
                ]
            },
            programs: { progress in
                let bundle = try await builder.bundle(recipe, numbers: numbers)
                if let note = try own.check(tests: bundle.tests, xctests: bundle.xctests, with: selection) {
                    progress(.note(note))
                }
                let chosen = try selection.adding(filter: own.filter, skip: own.skip)
                let expected = bundle.tests.filter(chosen.includes)
                guard !expected.isEmpty else { return [] }
                return [swiftProgram(package, bundle, expected: expected, index: index, seconds: seconds)]
            })
    }

    private func kselftestBuild(
        _ collection: String, at index: Int, seconds: Int, _ selection: TestSelection
    ) throws -> ProgramBuild {
        let kselftests = kselftests
        let recipe = try kselftests.recipe(collection)
        return ProgramBuild(
            isMade: recipe.artifact != nil,
            actions: {
                let build = try await kselftests.makeBuild(of: recipe)
                return [.remark("\(Kselftests.prefix)\(recipe.name): \(recipe.key.short)")]
                    + (try (build.commands.map(\.command) + [build.listing]).map { try .init($0, by: build.runner) })
            },
            programs: { progress in
                let built = try await kselftests.build(recipe, progress)
                return try kselftests.runnable(built) { selection.includes(built.name(of: $0)) }.map { program in
                    // Programs of two collections may have the same name.
                    let fileName = "\(index)-selftests/\(built.name)/\(program)"
                    let path = "\(GuestShare.programsFolder)/\(fileName)"
                    let planned = ProgramPlan(
                        name: built.name(of: program),
                        arguments: built.scripts.contains(program) ? Kselftests.command(ofScript: path) : [path],
                        environment: Kselftests.environment(programs: GuestShare.programsFolder), seconds: seconds,
                        resultsProtocol: .kselftest)
                    var artifact = ProgramArtifact(
                        planned: planned, executable: built.folder.pushing(FilePath("\(built.name)/\(program)")),
                        fileName: fileName, isStatic: false, preloaded: Kselftests.lineBuffer)
                    artifact.tree = built.folder
                    return artifact
                }
            })
    }

    private func kunitBuild(at index: Int, seconds: Int, by builder: GuestProgramBuilder) throws -> ProgramBuild {
        let layout = context.tools.layout
        let source = KUnitTests.path(in: layout)
        let known =
            fileExists(source)
            ? try builder.programRecipe(source: source, is32Bit: false, numbers: numbers) : nil
        return ProgramBuild(
            isMade: known?.isMade ?? false,
            actions: {
                guard let known else {
                    let what = "kbuild writes \(source), a program that reads the kernel's log, and compiles it"
                    return [.remark(what)]
                }
                return try [.remark("\(source): \(try known.key.short)")] + builder.actions(of: known)
            },
            programs: { _ in
                let recipe = try builder.programRecipe(
                    source: try KUnitTests.program(in: layout), is32Bit: false, numbers: numbers)
                let fileName = "\(index)-\(KUnitTests.name)"
                let planned = ProgramPlan(
                    name: KUnitTests.name, arguments: ["\(GuestShare.programsFolder)/\(fileName)"], seconds: seconds,
                    resultsProtocol: .ktap)
                let executable = try await builder.program(recipe, is32Bit: false)
                return [
                    ProgramArtifact(planned: planned, executable: executable, fileName: fileName, isStatic: true)
                ]
            })
    }

    private func programBuild(
        _ program: Project.ProgramTest, at index: Int, by builder: GuestProgramBuilder
    ) throws -> ProgramBuild {
        var fileName = "\(index)-\(program.path.stem ?? "program")"
        var environment: [String] = []
        let companions = program.hasCompanions ? program.path.removingLastComponent() : nil
        if let companions {
            let folder = "bin-\(Digest.of(companions.string).short)"
            fileName = "\(folder)/\(program.path.lastComponent?.string ?? "program")"
            environment = ["PATH=\(GuestShare.programsFolder)/\(folder):/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]
        }
        let planned = ProgramPlan(
            name: program.name, arguments: ["\(GuestShare.programsFolder)/\(fileName)"] + program.arguments,
            environment: environment, seconds: project.scaled(program.timeout ?? project.timeouts.test),
            resultsProtocol: program.sessionProtocol)
        func artifact(_ executable: FilePath) -> ProgramArtifact {
            ProgramArtifact(
                planned: planned, executable: executable, fileName: fileName, isStatic: program.isSource,
                companions: companions)
        }
        guard program.isSource else {
            // The guest gets the file itself: a link's target exists only on the host.
            let ready = artifact(try executable(program))
            return ProgramBuild(isMade: true, actions: { [] }, programs: { _ in [ready] })
        }
        let recipe = try builder.programRecipe(source: program.path, is32Bit: program.is32Bit, numbers: numbers)
        return ProgramBuild(
            isMade: recipe.isMade,
            actions: {
                try [.remark("\(context.shown(program.path)): \(try recipe.key.short)")] + builder.actions(of: recipe)
            },
            programs: { _ in [artifact(try await builder.program(recipe, is32Bit: program.is32Bit))] })
    }

    /// The file of a program, links followed.
    ///
    /// - Throws: `Failure` (`usage`) when it cannot be executed.
    private func executable(_ program: Project.ProgramTest) throws(Failure) -> FilePath {
        guard !program.isSource else { return program.path }
        guard let path = resolvedPath(program.path) else {
            throw Failure(.usage, "cannot read \(program.path)", details: String(cString: strerror(errno)))
        }
        guard !isFolder(path), access(path.string, X_OK) == 0 else {
            throw Failure(
                .usage, "\(program.path) is not an executable file",
                nextStep: "chmod +x \(path), or use c: for a C file")
        }
        try Provenance.checkLink(.testProgram, program.path, of: project)
        return path
    }

    /// - Parameter all: The programs without the filter.
    /// - Throws: `Failure` when there is nothing to run: `usage` for a filter that no test matches, else
    ///   `infrastructure`.
    private func checkTests(_ ready: [ProgramArtifact], filter: String?, among all: [ProgramArtifact] = []) throws {
        guard ready.isEmpty else { return }
        if let skipped = try project.skippedPrograms(filter: filter).first?.tests.first {
            throw Failure(
                .infrastructure, "no test is left to run: \(skipped.name) is skipped",
                details: skipped.reason, nextStep: "choose another machine")
        }
        if let filter {
            let names = all.flatMap { [$0.planned.name] + ($0.tests ?? []) }
            let guess = TestSelection.guess(for: filter, among: names).map { "; did you mean \($0)?" } ?? ""
            throw Failure(
                .usage, "no test matches \(filter)\(guess)",
                nextStep: "`kbuild test --list` shows the names that a pattern is matched with")
        }
        throw Failure(
            .infrastructure, "there is no test to run", nextStep: "name tests in \(project.file), key tests")
    }

    /// Compares a built kernel's configuration with the options that the tests need.
    ///
    /// - Throws: `Failure` (`usage`) when they cannot run.
    func checkConfiguration(_ config: FilePath) throws {
        try KUnitTests.check(project.tests, config: config)
        for case .kselftest(let collection, _) in project.tests { try kselftests.hint(collection, config: config) }
    }

    private func swiftProgram(
        _ package: FilePath, _ bundle: GuestBundle, expected: [String], index: Int, seconds: Int
    ) -> ProgramArtifact {
        let fileName = "\(index)-tests.xctest"
        var arguments = [
            "\(GuestShare.programsFolder)/\(fileName)", "--testing-library", "swift-testing",
            // One at a time: overlapping tests have no separate durations, and a crash could belong to any of them.
            "--no-parallel", "--event-stream-version", "6.3", "--event-stream-output-path", "/proc/self/fd/3",
        ]
        if expected.count < bundle.tests.count {
            for test in expected { arguments += [ProgramArtifact.filterOption, ProgramArtifact.pattern(test)] }
        }
        return ProgramArtifact(
            planned: ProgramPlan(
                name: context.shown(package), arguments: arguments, seconds: seconds,
                resultsProtocol: .swiftTesting(expected: expected)), executable: bundle.executable, fileName: fileName,
            isStatic: false)
    }
}

extension [ProgramArtifact] {
    /// The programs, as those of a test of the project.
    fileprivate func ofTest(_ index: Int) -> Self {
        map { program in
            var program = program
            program.testIndex = index
            return program
        }
    }
}

extension Project {
    /// Why a program cannot run on the project's machine; nil when it can.
    fileprivate func reasonToSkip(_ program: ProgramTest) -> String? {
        architecture == .um && program.is32Bit ? "user-mode Linux runs no 32-bit programs" : nil
    }

    /// The programs that match `filter` and cannot run on the project's machine, as the report shows them.
    func skippedPrograms(filter: String?) throws -> [SuiteResult] {
        let selection = try TestSelection(filter: filter)
        return tests.compactMap { test in
            guard case .program(let program) = test, selection.includes(program.name),
                let reason = reasonToSkip(program)
            else { return nil }
            return .init(
                name: program.name, kind: program.reportKind,
                tests: [.init(id: program.name, name: program.name, status: .skipped, reason: reason)])
        }
    }
}

extension Project.Test {
    /// Whether its programs are linked statically, so that the guest needs no library for them.
    fileprivate var isStatic: Bool {
        switch self {
        case .program(let program): program.isSource
        case .kunit: true
        case .swift, .kselftest: false
        }
    }
}

extension Project.ProgramTest {
    /// The word for its protocol in a report.
    var reportKind: String { resultsProtocol == .exit ? "exit-code" : resultsProtocol.rawValue }

    /// How the session reads its results.
    var sessionProtocol: ProgramProtocol {
        switch resultsProtocol {
        case .exit: .exitCode(skip: skipCode)
        case .ktap: .ktap
        case .ltp: .ltp
        }
    }
}
