// SPDX-License-Identifier: Apache-2.0
import Processes
import ResultsModel
import SystemPackage
import Testing
import VirtualMachine

@testable import GuestSession
@testable import Project
@testable import TestSession

@Suite("Tests spread over guests", .timeLimit(.minutes(30)))
struct TestShardTests {
    private func bundle(_ name: String, _ tests: String...) -> ProgramArtifact {
        ProgramArtifact(
            planned: ProgramPlan(
                name: name, arguments: ["/kbuild/programs/\(name)", "--no-parallel", "--filter", "^\(tests[0])(/|$)"],
                seconds: 9, resultsProtocol: .swiftTesting(expected: tests)), executable: FilePath("/\(name)"),
            fileName: name,
            isStatic: false)
    }

    private let program = ProgramArtifact(
        planned: ProgramPlan(
            name: "put", arguments: ["/kbuild/programs/put"], resultsProtocol: .exitCode(skip: nil)),
        executable: "/put", fileName: "put", isStatic: true)

    @Test("with one test in each shard, the filter matches only that test")
    func alone() throws {
        let shards = TestShard.shards(of: [bundle("a", "M.S/one()", "M.S/two(x:)"), program], among: nil)
        #expect(shards.map(\.name) == ["M.S/one()", "M.S/two(x:)", "put"])
        #expect(shards.map(\.programs) == [[0], [0], [1]])
        let second = try #require(shards[1].plan.programs.first)
        #expect(second.arguments == ["/kbuild/programs/a", "--no-parallel", "--filter", #"^M\.S/two\(x\:\)(/|$)"#])
        #expect(second.seconds == 9)
        #expect(second.resultsProtocol == .swiftTesting(expected: ["M.S/two(x:)"]))
        #expect(shards[2].plan.programs == [program.planned])
        #expect(shards[2].patterns.isEmpty)
    }

    @Test("shards for guests differ by at most one test, are in order, and lose none", arguments: 1...9)
    func among(guests: Int) {
        let programs = [bundle("a", "1", "2", "3", "4"), program, bundle("b", "5", "6")]
        let shards = TestShard.shards(of: programs, among: guests)
        #expect(shards.count == min(guests, 7))
        var tests: [String] = []
        var sizes: [Int] = []
        for shard in shards {
            let own = shard.plan.programs.flatMap { program -> [String] in
                if case .swiftTesting(let expected) = program.resultsProtocol { expected } else { [program.name] }
            }
            #expect(shard.plan.programs.map(\.name) == shard.programs.map { programs[$0].planned.name })
            tests += own
            sizes.append(own.count)
        }
        #expect(tests == ["1", "2", "3", "4", "put", "5", "6"])
        #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
    }

    // MARK: What is left

    private func result(
        _ statuses: [[TestStatus]], of shard: TestShard, exit: MachineExit? = .panicked,
        limit: LimitReached? = nil, booted: Bool = true
    ) -> SessionResult {
        let programs = zip(shard.plan.programs, statuses).map { program, statuses in
            let names: [String]
            if case .swiftTesting(let expected) = program.resultsProtocol {
                names = expected
            } else {
                names = [program.name]
            }
            return SuiteResult(
                name: program.name, kind: "",
                tests: zip(names, statuses).map { TestResult(id: $0, name: $0, status: $1) })
        }
        return SessionResult(
            outcome: SessionOutcome(programs: programs, crashes: [], faults: [], release: nil, isComplete: false),
            exit: exit, limit: limit, bootSeconds: booted ? 1 : nil, machineSeconds: 2)
    }

    @Test("the tests that a crashed guest did not reach are left for the next guest, without the test that crashed it")
    func remainder() throws {
        let programs = [bundle("a", "1", "2", "3"), program, bundle("b", "4")]
        let whole = TestShard(all: programs)
        let first = try #require(
            whole.remainder(
                after: result([[.passed, .crashed, .notReported], [.notReported], [.notReported]], of: whole),
                of: programs))
        #expect(first.units == [.init(program: 0, test: "3"), .init(program: 1), .init(program: 2, test: "4")])
        #expect(first.plan.programs.map(\.name) == ["a", "put", "b"])
        #expect(first.plan.programs[0].arguments.last == "^3(/|$)")
        let second = try #require(
            first.remainder(after: result([[.passed], [.crashed], [.notReported]], of: first), of: programs))
        #expect(second.units == [.init(program: 2, test: "4")])
        #expect(second.remainder(after: result([[.crashed]], of: second), of: programs) == nil)
    }

    @Test("no tests are left when all were reported, when none ended, or when another guest would not help")
    func noRemainder() {
        let programs = [bundle("a", "1", "2")]
        let whole = TestShard(all: programs)
        let half: [[TestStatus]] = [[.crashed, .notReported]]
        #expect(whole.remainder(after: result(half, of: whole), of: programs) != nil)
        #expect(whole.remainder(after: result([[.failed, .passed]], of: whole), of: programs) == nil)
        #expect(whole.remainder(after: result([[.notReported, .notReported]], of: whole), of: programs) == nil)
        #expect(whole.remainder(after: result(half, of: whole, limit: .run(9)), of: programs) == nil)
        #expect(whole.remainder(after: result(half, of: whole, limit: .test("1", 9)), of: programs) != nil)
        #expect(
            whole.remainder(after: result(half, of: whole, exit: .failed(.signaled(9), message: "")), of: programs)
                == nil)
        #expect(whole.remainder(after: result(half, of: whole, booted: false), of: programs) == nil)
    }
}
