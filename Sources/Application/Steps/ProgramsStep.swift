// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import GuestSession
import Processes
import Project
import Reporting
import SystemPackage
import TestSession
import VirtualMachine

extension Pipeline {
    /// What builds programs for the guest.
    func programBuilder() async throws -> GuestProgramBuilder {
        GuestProgramBuilder(
            tools: tools, project: project.folder, projectCache: projectCache, rules: try await confinement.rules())
    }

    /// Builds the test programs and works out which tests are expected of each.
    ///
    /// - Parameters:
    ///   - filter: The command line's pattern.
    ///   - needsTests: Whether it is an error to have none.
    /// - Throws: `Failure`: `usage` for a pattern that is none, `infrastructure` when no test is left to run.
    func programs(
        numbers: NumbersModule, filter: String?, of patched: PatchedKernelArtifact, needsTests: Bool = true
    ) async throws -> [ProgramArtifact] {
        try await log.step("programs") { progress in
            let builder = try await programBuilder()
            var made = 0
            func select(_ selection: TestSelection, _ progress: Diagnostics.ProgressSink) async throws
                -> [ProgramArtifact]
            {
                var ready: [ProgramArtifact] = []
                for (index, test) in project.tests.enumerated() {
                    let (programs, isHit) = try await self.ready(
                        test, at: index, selection, numbers: numbers, of: patched, by: builder, progress)
                    ready += programs
                    if !isHit { made += 1 }
                }
                return ready
            }
            var ready = try await select(TestSelection(filter: filter), progress)
            if ready.isEmpty, needsTests, let filter {
                // All is built by now, so that this only compares names.
                ready = try await select(TestSelection(asTyped: filter), .silent)
                if ready.isEmpty {
                    let all = try await select(TestSelection(filter: nil), .silent)
                    try checkTests([], filter: filter, among: all)
                }
                progress(.note("no name has \(filter) as it is written; taken without regard to case and punctuation"))
            }
            if needsTests { try checkTests(ready, filter: filter) }
            try checkNames(ready)
            return (ready, made > 0 ? .made : .hit, Self.summary(ready))
        }
    }

    /// The programs of one entry under `tests` of which something is to run, built if need be.
    private func ready(
        _ test: Project.Test, at index: Int, _ selection: TestSelection, numbers: NumbersModule,
        of patched: PatchedKernelArtifact, by builder: GuestProgramBuilder, _ progress: Diagnostics.ProgressSink
    ) async throws -> (programs: [ProgramArtifact], isHit: Bool) {
        switch test {
        case .swift(let package, let filter, let skip, let timeout):
            let bundle = try await builder.bundle(package: package, numbers: numbers)
            let own = SuiteSelection(entry: "tests[\(index)]", package: shown(package), filter: filter, skip: skip)
            if let note = try own.check(tests: bundle.tests, xctests: bundle.xctests, with: selection) {
                progress(.note(note))
            }
            let expected = bundle.tests.filter(try selection.adding(filter: filter, skip: skip).includes)
            let program = swiftProgram(package, bundle, expected: expected, index: index, seconds: timeout ?? 0)
            return (expected.isEmpty ? [] : [program], bundle.isHit)
        case .kselftest(let collection, let timeout):
            let kselftests = Kselftests(pipeline: self, rules: try await confinement.rules()?.kernel, patched: patched)
            let built = try await kselftests.build(collection, progress)
            let programs = built.programs.filter { selection.includes(built.name(of: $0)) }.map { program in
                // Programs of two collections may have one name.
                let fileName = "\(index)-\(program)"
                let planned = ProgramPlan(
                    name: built.name(of: program), arguments: ["\(Self.programsFolder)/\(fileName)"],
                    environment: Kselftests.environment(programs: Self.programsFolder),
                    seconds: timeout ?? project.timeouts.test, resultsProtocol: .kselftest)
                return ProgramArtifact(
                    planned: planned, executable: built.folder.appending(program), fileName: fileName,
                    isStatic: false, preloaded: Kselftests.lineBuffer)
            }
            return (programs, built.isHit)
        case .kunit(_, let timeout):
            guard selection.includes(KUnitTests.name) else { return ([], true) }
            let (executable, isHit) = try await builder.program(
                source: try KUnitTests.program(in: tools.layout), is32Bit: false, numbers: numbers)
            let fileName = "\(index)-\(KUnitTests.name)"
            let planned = ProgramPlan(
                name: KUnitTests.name, arguments: ["\(Self.programsFolder)/\(fileName)"],
                seconds: timeout ?? project.timeouts.test, resultsProtocol: .ktap)
            let ready = ProgramArtifact(planned: planned, executable: executable, fileName: fileName, isStatic: true)
            return ([ready], isHit)
        case .program(let program):
            guard selection.includes(program.name), reasonToSkip(program) == nil else { return ([], true) }
            // The guest gets the file itself: where a link leads, only the host knows.
            var (executable, isHit) = (try Self.executable(program), true)
            if program.isSource {
                (executable, isHit) = try await builder.program(
                    source: program.path, is32Bit: program.is32Bit, numbers: numbers)
            }
            var fileName = "\(index)-\(program.path.stem ?? "program")"
            var environment: [String] = []
            let companions = program.hasCompanions ? program.path.removingLastComponent() : nil
            if let companions {
                let folder = "bin-\(Digest.of(companions.string).short)"
                fileName = "\(folder)/\(program.path.lastComponent?.string ?? "program")"
                environment = ["PATH=\(Self.programsFolder)/\(folder):/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]
            }
            let planned = ProgramPlan(
                name: program.name, arguments: ["\(Self.programsFolder)/\(fileName)"] + program.arguments,
                environment: environment,
                seconds: program.timeout ?? project.timeouts.test, resultsProtocol: program.sessionProtocol)
            let ready = ProgramArtifact(
                planned: planned, executable: executable, fileName: fileName, isStatic: program.isSource,
                companions: companions)
            return ([ready], isHit)
        }
    }

    /// The file of a program, links followed.
    ///
    /// - Throws: `Failure` (`usage`) when it cannot be executed.
    private static func executable(_ program: Project.ProgramTest) throws(Failure) -> FilePath {
        guard !program.isSource else { return program.path }
        guard let real = realpath(program.path.string, nil) else {
            throw Failure(.usage, "cannot read \(program.path)", details: String(cString: strerror(errno)))
        }
        defer { free(real) }
        let path = FilePath(String(cString: real))
        guard !isFolder(path), access(path.string, X_OK) == 0 else {
            throw Failure(
                .usage, "\(program.path) is not an executable file",
                nextStep: "chmod +x \(path), or use c: for a C file")
        }
        return path
    }

    /// - Parameter all: What there is without the filter.
    /// - Throws: `Failure` when there is nothing to run: `usage` for a filter that no test matches, else `infrastructure`.
    private func checkTests(_ ready: [ProgramArtifact], filter: String?, among all: [ProgramArtifact] = []) throws {
        guard ready.isEmpty else { return }
        if let skipped = try skippedPrograms(filter: filter).first?.tests.first {
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

    /// - Throws: `Failure` (`usage`) when a report could not tell two programs apart.
    private func checkNames(_ ready: [ProgramArtifact]) throws {
        let names = ready.map(\.planned.name)
        guard let twice = names.first(where: { name in names.count { $0 == name } > 1 }) else { return }
        throw Failure(
            .usage, "two tests are named \(twice)", nextStep: "give one a name: of its own in \(project.file)")
    }

    /// "50 tests in 5 programs".
    private static func summary(_ ready: [ProgramArtifact]) -> String {
        pluralized(ready.reduce(0) { $0 + ($1.tests?.count ?? 1) }, "test") + " in "
            + pluralized(ready.count, "program")
    }

    // MARK: What would be done

    /// What is to be done for the test programs.
    ///
    /// - Returns: The programs when all of them are there; and those whose libraries the guest needs, or nil when not all
    ///   of these are.
    /// - Throws: As `programs`, when all are there.
    func planPrograms(
        numbers: NumbersModule, filter: String?, of patched: PatchedKernelArtifact
    ) async throws -> (ready: [ProgramArtifact]?, linked: [FilePath]?, step: RunPlan.Step) {
        let selection = try TestSelection(filter: filter)
        let builder = try await programBuilder()
        var step = RunPlan.Step("programs", .hit)
        var ready: [ProgramArtifact] = []
        var isLinkedKnown = true
        for (index, test) in project.tests.enumerated() {
            var isLinked = true
            if case .program(let program) = test { isLinked = !program.isSource }
            if case .kunit = test { isLinked = false }
            do {
                let actions = try await actions(
                    for: test, selection, numbers: numbers, of: patched, by: builder)
                if actions.isEmpty {
                    // Nothing is left to be made, so this only reads.
                    ready += try await self.ready(
                        test, at: index, selection, numbers: numbers, of: patched, by: builder, .silent
                    ).programs
                } else {
                    if step.outcome == .hit { step.outcome = .miss }
                    step.actions += actions
                    if isLinked { isLinkedKnown = false }
                }
            } catch let question as CommandNotRun {
                step.outcome = .unknown
                step.dependsOn.append(question.command.description)
                if isLinked { isLinkedKnown = false }
            }
        }
        let linked = isLinkedKnown ? ready.filter { !$0.isStatic }.map(\.executable) : nil
        guard step.outcome == .hit else {
            if !fileExists(numbers.folder) {
                step.actions.insert(.remark("kbuild writes the calls' numbers to \(numbers.folder)"), at: 0)
            }
            return (nil, linked, step)
        }
        try checkTests(ready, filter: filter)
        try checkNames(ready)
        step.detail = Self.summary(ready)
        return (ready, linked, step)
    }

    /// What is to be done for one entry under `tests`; nothing when all of it is there.
    private func actions(
        for test: Project.Test, _ selection: TestSelection, numbers: NumbersModule, of patched: PatchedKernelArtifact,
        by builder: GuestProgramBuilder
    ) async throws -> [RunPlan.Action] {
        switch test {
        case .swift(let package, _, _, _):
            let recipe = try await builder.bundleRecipe(package: package, numbers: numbers)
            if recipe.artifact != nil { return [] }
            return [
                .remark("\(shown(package)): \(recipe.key.short)"), try .init(recipe.build, by: recipe.runner),
                try .init(recipe.binPath, by: recipe.runner),
                .remark("there the bundle lists its tests: \(GuestProgramBuilder.BundleRecipe.listing)"),
            ]
        case .kselftest(let collection, _):
            let kselftests = Kselftests(pipeline: self, rules: try await confinement.rules()?.kernel, patched: patched)
            let recipe = try kselftests.recipe(collection)
            if recipe.artifact != nil { return [] }
            let build = try await kselftests.makeBuild(of: recipe.name, recipe.source)
            return [.remark("\(Kselftests.prefix)\(recipe.name): \(recipe.key.short)")]
                + (try (build.commands.map(\.command) + [build.listing]).map { try .init($0, by: build.runner) })
        case .kunit:
            guard selection.includes(KUnitTests.name) else { return [] }
            let source = KUnitTests.path(in: tools.layout)
            guard fileExists(source) else {
                return [.remark("kbuild writes \(source), a program that reads the kernel's log, and compiles it")]
            }
            let recipe = try builder.programRecipe(source: source, is32Bit: false, numbers: numbers)
            return recipe.isMade ? [] : [.remark("\(source): \(try recipe.key.short)")] + (try planned(recipe))
        case .program(let program):
            guard program.isSource, selection.includes(program.name), reasonToSkip(program) == nil else { return [] }
            let recipe = try builder.programRecipe(source: program.path, is32Bit: program.is32Bit, numbers: numbers)
            if recipe.isMade { return [] }
            return [.remark("\(shown(program.path)): \(try recipe.key.short)")] + (try planned(recipe))
        }
    }

    /// What makes a recipe's file.
    func planned(_ recipe: GuestProgramBuilder.Recipe) throws -> [RunPlan.Action] {
        let folder = tools.store.draft(try recipe.key)
        let commands =
            [Command("mkdir", ["-p", folder.string])] + recipe.commands(folder) + (recipe.search.map { [$0] } ?? [])
        return try commands.enumerated().map { index, command in
            // The folder is kbuild's to make.
            try RunPlan.Action(command, by: index == 0 ? tools.runner : recipe.runner(folder))
        }
    }

    /// A path as the user knows it: from the project's folder on.
    private func shown(_ path: FilePath) -> String {
        var name = path
        return name.removePrefix(project.folder) && !name.isEmpty ? name.string : path.string
    }

    /// Why a program cannot run on the project's machine; nil when it can.
    private func reasonToSkip(_ program: Project.ProgramTest) -> String? {
        project.architecture == .um && program.is32Bit ? "user-mode Linux runs no 32-bit programs" : nil
    }

    /// The programs that match `filter` and cannot run on the project's machine, as the report shows them.
    func skippedPrograms(filter: String?) throws -> [RunReport.Suite] {
        let selection = try TestSelection(filter: filter)
        return project.tests.compactMap { test in
            guard case .program(let program) = test, selection.includes(program.name),
                let reason = reasonToSkip(program)
            else { return nil }
            return .init(
                name: program.name, kind: program.reportKind,
                tests: [.init(id: program.name, name: program.name, status: .skipped, reason: reason)])
        }
    }

    private func swiftProgram(
        _ package: FilePath, _ bundle: GuestBundle, expected: [String], index: Int, seconds: Int
    ) -> ProgramArtifact {
        let fileName = "\(index)-tests.xctest"
        var arguments = [
            "\(Self.programsFolder)/\(fileName)", "--testing-library", "swift-testing",
            // One at a time: overlapping tests have no durations of their own, and a crash could be any one's.
            "--no-parallel", "--event-stream-version", "6.3", "--event-stream-output-path", "/proc/self/fd/3",
        ]
        if expected.count < bundle.tests.count {
            for test in expected { arguments += [ProgramArtifact.filterOption, ProgramArtifact.pattern(test)] }
        }
        var name = package
        _ = name.removePrefix(project.folder)
        return ProgramArtifact(
            planned: ProgramPlan(
                name: name.string, arguments: arguments, seconds: seconds,
                resultsProtocol: .swiftTesting(expected: expected)), executable: bundle.executable, fileName: fileName,
            isStatic: false)
    }

    /// Puts the programs, and the kernel's configuration, where the guest will mount them.
    func layOut(_ programs: [ProgramArtifact], config: FilePath, in folder: FilePath) throws -> Share {
        let share = folder.appending("guest")
        try createFolder(share)
        try Self.place(config, at: share.appending("kernel.config"))
        for library in Set(programs.compactMap(\.preloaded)) {
            try copyFile(library, to: share.appending(library.lastComponent?.string ?? "library"))
        }
        for folder in Set(programs.filter { $0.companions != nil }.map { share.pushing(FilePath($0.fileName)) })
            .map({ $0.removingLastComponent() })
        { try createFolder(folder) }
        for program in programs {
            try Self.place(program.executable, at: share.pushing(FilePath(program.fileName)))
        }
        for (folder, target) in Dictionary(
            programs.compactMap { program in
                program.companions.map { ($0, share.pushing(FilePath(program.fileName)).removingLastComponent()) }
            }, uniquingKeysWith: { first, _ in first })
        {
            for companion in ProgramPattern.companions(in: folder) {
                let place = target.appending(companion.lastComponent?.string ?? "file")
                if !fileExists(place) { try Self.place(companion, at: place) }
            }
        }
        return Share(tag: Self.programsTag, path: share, isReadOnly: true)
    }

    /// Puts an executable where the guest finds it. A link costs nothing, and the guest has the folder read-only; another
    /// file system needs a copy.
    static func place(_ executable: FilePath, at target: FilePath) throws {
        if link(executable.string, target.string) != 0 { try copyFile(executable, to: target) }
    }
}

extension Project.ProgramTest {
    /// The word for how it tells its results in a report.
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
