// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel
import Testing

@testable import TestSession

@Suite("Names of tests", .timeLimit(.minutes(30)))
struct TestNameTests {
    private func program(_ name: String, _ resultsProtocol: ProgramProtocol) -> ProgramPlan {
        ProgramPlan(name: name, arguments: [], resultsProtocol: resultsProtocol)
    }

    private func refusal(_ programs: ProgramPlan...) -> Failure? {
        do {
            try SessionPlan(programs: programs).checkNames()
            return nil
        } catch {
            return error
        }
    }

    @Test("a program cannot have the name of another program's result")
    func paths() throws {
        for shape in [ProgramProtocol.ktap, .kselftest] {
            let failure = try #require(refusal(program("a/b", .ktap), program("a", shape)))
            #expect(failure.code == .usage)
            #expect(failure.message.contains("the programs a and a/b make their tests indistinguishable"))
            #expect(failure.message.contains("a result b of a would be named a/b too"))
            #expect(failure.nextStep?.contains("name:") == true)
        }
        // However deep, and whatever the second prints.
        #expect(refusal(program("a", .ktap), program("a/b/c", .exitCode(skip: nil)))?.code == .usage)
        // These have one result, under the program's own name.
        for shape in [ProgramProtocol.exitCode(skip: nil), .ltp] {
            #expect(refusal(program("a", shape), program("a/b", .ktap)) == nil)
        }
        #expect(refusal(program("a", .ktap), program("ab", .ktap), program("ab/c", .exitCode(skip: 4))) != nil)
        #expect(refusal(program("a", .ktap), program("ab", .ktap), program("b/a", .ktap)) == nil)
    }

    @Test("two programs or two packages cannot share a name")
    func equal() {
        #expect(refusal(program("a", .ktap), program("a", .exitCode(skip: nil)))?.message == "two tests are named a")
        #expect(refusal(program("kunit", .ktap), program("kunit", .ktap))?.code == .usage)
        let one = program("Tests/One", .swiftTesting(expected: ["M.S/a()", "M.S/b()"]))
        let failure = refusal(one, program("Tests/Two", .swiftTesting(expected: ["M.S/b()"])))
        #expect(failure?.message == "the packages Tests/One and Tests/Two both have the test M.S/b()")
        #expect(refusal(one, program("Tests/Two", .swiftTesting(expected: ["N.S/b()"]))) == nil)
    }

    @Test("results of one program are reported separately, with any descriptions")
    func results() {
        func ids(_ names: String...) -> [String] {
            let lines = names.enumerated().map { "ok \($0 + 1) \($1)\n" }.joined()
            let output = "KTAP version 1\n1..\(names.count)\n\(lines)"
            return KTAPSuite(output: Array(output.utf8), program: "p").tests.map(\.id)
        }
        #expect(ids("a", "a", "a") == ["p/a", "p/a #2", "p/a #3"])
        for names in [ids("a", "a", "a #2"), ids("a #2", "a", "a"), ids("a", "a", "a #2", "a #2", "a #2 #2")] {
            #expect(Set(names).count == names.count, "\(names)")
        }
    }
}
