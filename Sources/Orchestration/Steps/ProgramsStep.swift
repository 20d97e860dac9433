import Artifacts
import Diagnostics
import Foundation
import Reporting
import SystemPackage
import TestSession
import VirtualMachine

/// A program that is built and planned.
struct ReadyProgram: Sendable {
    /// What the guest is to run.
    var planned: PlannedProgram
    /// The executable on the host.
    var executable: FilePath
    /// Its file's name on the share.
    var fileName: String
    /// Whether it was linked statically, and so needs no library of the root file system.
    var isStatic: Bool
    /// A library that is loaded into it before all others, and lies beside it on the share.
    var preloaded: FilePath?

    /// The tests that are expected of a Swift Testing bundle; nil for other programs, which are one test each.
    var tests: [String]? {
        if case .swiftTesting(let expected) = planned.resultsProtocol { expected } else { nil }
    }

    /// The plan's entry for some of a bundle's tests: its arguments without any filter, and the patterns for these tests.
    func selecting(_ tests: [String]) -> (planned: PlannedProgram, patterns: [String]) {
        var planned = planned
        if let filter = planned.arguments.firstIndex(of: Self.filterOption) {
            planned.arguments.removeSubrange(filter...)
        }
        planned.resultsProtocol = .swiftTesting(expected: tests)
        return (planned, tests.map(Self.pattern))
    }

    /// The option before each pattern; the patterns come last.
    static let filterOption = "--filter"

    /// The pattern for one test and its cases.
    static func pattern(_ test: String) -> String { "^\(TestSelection.escaped(test))(/|$)" }
}

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
        numbers: FilePath, filter: String?, of patched: PatchedKernel, needsTests: Bool = true
    ) async throws -> [ReadyProgram] {
        try await log.step("programs") { progress in
            let selection = try TestSelection(filter: filter)
            let builder = try await programBuilder()
            var ready: [ReadyProgram] = []
            var made = 0
            for (index, test) in project.tests.enumerated() {
                switch test {
                case .swift(let package, let filter, let skip, let timeout):
                    let bundle = try await builder.bundle(package: package, numbers: numbers)
                    if !bundle.isHit { made += 1 }
                    let selection = try selection.adding(filter: filter, skip: skip)
                    let expected = bundle.tests.filter(selection.includes)
                    if expected.isEmpty { continue }
                    ready.append(
                        swiftProgram(
                            package, bundle, expected: expected, index: index, seconds: timeout ?? 0))
                case .kselftest(let collection, let timeout):
                    let kselftests = Kselftests(pipeline: self, rules: try await confinement.rules(), patched: patched)
                    let built = try await kselftests.build(collection, progress)
                    if !built.isHit { made += 1 }
                    for program in built.programs where selection.includes(built.name(of: program)) {
                        // Programs of two collections may have one name.
                        let fileName = "\(index)-\(program)"
                        let planned = PlannedProgram(
                            name: built.name(of: program), arguments: ["\(Self.programsFolder)/\(fileName)"],
                            environment: Kselftests.environment(programs: Self.programsFolder),
                            seconds: timeout ?? project.timeouts.test, resultsProtocol: .kselftest)
                        ready.append(
                            ReadyProgram(
                                planned: planned, executable: built.folder.appending(program), fileName: fileName,
                                isStatic: false, preloaded: Kselftests.lineBuffer))
                    }
                case .kunit(_, let timeout):
                    guard selection.includes(KUnitTests.name) else { continue }
                    let built = try await builder.program(
                        source: try KUnitTests.program(in: tools.layout), is32Bit: false, numbers: numbers)
                    if !built.isHit { made += 1 }
                    let fileName = "\(index)-\(KUnitTests.name)"
                    let planned = PlannedProgram(
                        name: KUnitTests.name, arguments: ["\(Self.programsFolder)/\(fileName)"],
                        seconds: timeout ?? project.timeouts.test, resultsProtocol: .ktap)
                    ready.append(
                        ReadyProgram(
                            planned: planned, executable: built.executable, fileName: fileName, isStatic: true))
                case .program(let program):
                    guard selection.includes(program.name), reasonToSkip(program) == nil else { continue }
                    var executable = program.path
                    if program.isSource {
                        let result = try await builder.program(
                            source: program.path, is32Bit: program.is32Bit, numbers: numbers)
                        executable = result.executable
                        if !result.isHit { made += 1 }
                    }
                    let fileName = "\(index)-\(program.path.stem ?? "program")"
                    let planned = PlannedProgram(
                        name: program.name, arguments: ["\(Self.programsFolder)/\(fileName)"] + program.arguments,
                        seconds: program.timeout ?? project.timeouts.test,
                        resultsProtocol: program.resultsProtocol == .ktap ? .ktap : .exitCode)
                    ready.append(
                        ReadyProgram(
                            planned: planned, executable: executable, fileName: fileName, isStatic: program.isSource))
                }
            }
            guard !ready.isEmpty || !needsTests else {
                if let skipped = try skippedPrograms(filter: filter).first?.tests.first {
                    throw Failure(
                        .infrastructure, "no test is left to run: \(skipped.name) is skipped",
                        details: skipped.reason, nextStep: "choose another machine")
                }
                if let filter {
                    throw Failure(
                        .infrastructure, "no test matches \(filter)",
                        nextStep: "`kbuild test --list` shows the names that a pattern is matched with")
                }
                throw Failure(
                    .infrastructure, "there is no test to run", nextStep: "name tests in \(project.file), key tests")
            }
            let names = ready.map(\.planned.name)
            if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
                throw Failure(
                    .usage, "two tests are named \(twice)", nextStep: "give one a name: of its own in \(project.file)")
            }
            let tests = ready.reduce(0) { sum, program in
                if case .swiftTesting(let expected) = program.planned.resultsProtocol {
                    sum + expected.count
                } else {
                    sum + 1
                }
            }
            return (ready, made > 0 ? .made : .hit, "\(tests) tests in \(ready.count) programs")
        }
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
                name: program.name, kind: program.resultsProtocol == .ktap ? "ktap" : "exit-code",
                tests: [.init(id: program.name, name: program.name, status: .skipped, reason: reason)])
        }
    }

    private func swiftProgram(
        _ package: FilePath, _ bundle: GuestBundle, expected: [String], index: Int, seconds: Int
    ) -> ReadyProgram {
        let fileName = "\(index)-tests.xctest"
        var arguments = [
            "\(Self.programsFolder)/\(fileName)", "--testing-library", "swift-testing",
            // One at a time: overlapping tests have no durations of their own, and a crash could be any one's.
            "--no-parallel", "--event-stream-version", "6.3", "--event-stream-output-path", "/proc/self/fd/3",
        ]
        if expected.count < bundle.tests.count {
            for test in expected { arguments += [ReadyProgram.filterOption, ReadyProgram.pattern(test)] }
        }
        var name = package
        _ = name.removePrefix(project.folder)
        return ReadyProgram(
            planned: PlannedProgram(
                name: name.string, arguments: arguments, seconds: seconds,
                resultsProtocol: .swiftTesting(expected: expected)), executable: bundle.executable, fileName: fileName,
            isStatic: false)
    }

    /// Puts the plan and the programs where the guest will mount them.
    func layOut(_ programs: [ReadyProgram], in folder: FilePath) throws -> Share {
        let share = folder.appending("guest")
        try createFolder(share)
        for library in Set(programs.compactMap(\.preloaded)) {
            try copyFile(library, to: share.appending(library.lastComponent?.string ?? "library"))
        }
        for program in programs {
            try Self.place(program.executable, at: share.appending(program.fileName))
        }
        return Share(tag: Self.programsTag, path: share, isReadOnly: true)
    }

    /// Puts an executable where the guest finds it. A link costs nothing, and the guest has the folder read-only; another
    /// file system needs a copy.
    static func place(_ executable: FilePath, at target: FilePath) throws {
        if link(executable.string, target.string) != 0 { try copyFile(executable, to: target) }
    }
}

/// Which tests are to run: those that match every filter and no skip pattern.
struct TestSelection {
    private var filters: [Regex<AnyRegexOutput>] = []
    private var skips: [Regex<AnyRegexOutput>] = []

    /// - Throws: `Failure` (`usage`) when the pattern is no regular expression.
    init(filter: String?) throws(Failure) {
        if let filter { filters.append(try Self.regex(filter)) }
    }

    func adding(filter: String?, skip: String?) throws(Failure) -> TestSelection {
        var selection = self
        if let filter { selection.filters.append(try Self.regex(filter)) }
        if let skip { selection.skips.append(try Self.regex(skip)) }
        return selection
    }

    func includes(_ name: String) -> Bool {
        filters.allSatisfy { name.contains($0) } && !skips.contains { name.contains($0) }
    }

    private static func regex(_ pattern: String) throws(Failure) -> Regex<AnyRegexOutput> {
        do {
            return try Regex(pattern)
        } catch {
            throw Failure(.usage, "\(pattern) is not a regular expression", details: "\(error)")
        }
    }

    /// The pattern that matches `text` and nothing else.
    static func escaped(_ text: String) -> String {
        text.map { character in
            character.isLetter || character.isNumber || character == "_" || character == "/"
                ? "\(character)" : "\\\(character)"
        }.joined()
    }
}
