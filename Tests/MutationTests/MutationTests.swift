// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// The effectiveness of the guest suites: each mutant is a separate kernel, and its call's suite must fail on it. `make
/// mutations` runs this.
@Suite("mutations", .serialized, .scoreboard, .tags(.campaign), .costly, .timeLimit(.minutes(1200)))
struct MutationTests {
    /// Longer than the suites take on a busy machine without KVM, and short enough for mutants that hang.
    private static let timeouts = "timeouts: {boot: 120, silence: 40, test: 40, run: 10m}"

    private let fixture: Fixture

    init() throws {
        fixture = try Fixture(name: "mutations")
        let project = try readText(fixture.project.appending("kbuild.yaml"))
        let line = try #require(project.split(separator: "\n").first { $0.hasPrefix("timeouts:") })
        try fixture.edit("kbuild.yaml", replacing: String(line), with: Self.timeouts)
    }

    /// Runs one target of the guest suites.
    private func test(_ suite: String, profile: String?) async throws -> Run {
        try await fixture.report(["test", "^\(suite)\\.", "--fail-fast"] + (profile.map { ["--profile", $0] } ?? []))
    }

    @Test(
        "without a mutant the suites pass; otherwise a failure would not be conclusive",
        arguments: try MutationList.selectedProfiles())
    func unmutated(profile: String?) async throws {
        let suites = Set(try MutationList.selected().filter { $0.profile == profile }.map(\.suite))
        let run = try await test("(\(suites.sorted().joined(separator: "|")))", profile: profile)
        #expect(run.exitCode == 0)
        for suite in suites {
            #expect(run.tests.contains { $0.key.hasPrefix("\(suite).") && $0.value == "passed" }, "\(suite)")
        }
        #expect(Set(run.tests.values).isSubset(of: ["passed", "skipped"]))
    }

    @Test("the suite notices the mutant", arguments: try MutationList.selected())
    func mutated(mutant: Mutant) async throws {
        let source = try readText(fixture.project.pushing(FilePath(mutant.file)))
        try fixture.write(mutant.file, try mutant.applied(to: source))
        var verdict = CommandFailure.survived
        for _ in 0..<mutant.tries where verdict == .survived {
            verdict = CommandFailure(try await test(mutant.suite, profile: mutant.profile), suite: mutant.suite)
        }
        await Scoreboard.shared.add(mutant, verdict)
        switch verdict {
        case .killed(let test):
            #expect(
                mutant.survives == nil, "killed by \(test), though listed as a survivor: take `survives` off the list")
        case .survived:
            #expect(
                mutant.survives != nil,
                "survived: strengthen Tests/GuestTests/Tests/\(mutant.suite), or say under `survives` why nothing can")
        case .useless(let why):
            Issue.record("this is no fair mutant: \(why)")
        }
    }
}

/// The result of a mutant.
enum CommandFailure: Equatable {
    /// A test of the call's suite failed, or was running when the kernel crashed or hung: this one was the first.
    case killed(by: String)
    /// All tests passed.
    case survived
    /// The run says nothing about the suite: the mutant does not compile, say, or something else failed.
    case useless(String)

    init(_ run: Run, suite: String) {
        switch run.exitCode {
        case 0:
            self = .survived
        // A test failed, the kernel crashed, or something took too long: see Diagnostics.ExitStatus.
        case 1, 5, 6:
            let noticed = run.testObjects.first { test in
                let id = test["id"] as? String ?? ""
                let status = test["status"] as? String ?? ""
                return id.hasPrefix("\(suite).") && ["failed", "crashed", "timedOut"].contains(status)
            }
            if let id = noticed?["id"] as? String {
                self = .killed(by: "\(id) (\(run.result.status))")
            } else if let crash = run.crashes.first {
                // Between two tests the kernel crashed because of them.
                self = .killed(by: "\(crash) (\(run.result.status))")
            } else {
                self = .useless("kbuild ended with \(run.result.status), but no test of \(suite) failed")
            }
        default:
            self = .useless("kbuild ended with \(run.result.status), so no test can have noticed it")
        }
    }
}
