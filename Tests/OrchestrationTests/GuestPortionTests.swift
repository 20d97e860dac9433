import SystemPackage
import TestSession
import Testing

@testable import Orchestration

@Suite("Tests spread over guests")
struct GuestPortionTests {
    private func bundle(_ name: String, _ tests: String...) -> ReadyProgram {
        ReadyProgram(
            planned: PlannedProgram(
                name: name, arguments: ["/kbuild/programs/\(name)", "--no-parallel", "--filter", "^\(tests[0])(/|$)"],
                seconds: 9, resultsProtocol: .swiftTesting(expected: tests)), executable: FilePath("/\(name)"),
            fileName: name,
            isStatic: false)
    }

    private let program = ReadyProgram(
        planned: PlannedProgram(name: "put", arguments: ["/kbuild/programs/put"], resultsProtocol: .exitCode),
        executable: "/put", fileName: "put", isStatic: true)

    @Test("alone, each test is a portion with a filter for it and nothing else")
    func alone() throws {
        let portions = GuestPortion.divide([bundle("a", "M.S/one()", "M.S/two(x:)"), program], among: nil)
        #expect(portions.map(\.name) == ["M.S/one()", "M.S/two(x:)", "put"])
        #expect(portions.map(\.programs) == [[0], [0], [1]])
        let second = try #require(portions[1].plan.programs.first)
        #expect(second.arguments == ["/kbuild/programs/a", "--no-parallel", "--filter", #"^M\.S/two\(x\:\)(/|$)"#])
        #expect(second.seconds == 9)
        #expect(second.resultsProtocol == .swiftTesting(expected: ["M.S/two(x:)"]))
        #expect(portions[2].plan.programs == [program.planned])
        #expect(portions[2].patterns.isEmpty)
    }

    @Test("among guests, each has as many tests or one more, in order, and none is lost", arguments: 1...9)
    func among(guests: Int) {
        let programs = [bundle("a", "1", "2", "3", "4"), program, bundle("b", "5", "6")]
        let portions = GuestPortion.divide(programs, among: guests)
        #expect(portions.count == min(guests, 7))
        var tests: [String] = []
        var sizes: [Int] = []
        for portion in portions {
            let own = portion.plan.programs.flatMap { program -> [String] in
                if case .swiftTesting(let expected) = program.resultsProtocol { expected } else { [program.name] }
            }
            #expect(portion.plan.programs.map(\.name) == portion.programs.map { programs[$0].planned.name })
            tests += own
            sizes.append(own.count)
        }
        #expect(tests == ["1", "2", "3", "4", "put", "5", "6"])
        #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
    }
}
