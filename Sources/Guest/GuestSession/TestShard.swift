// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import TestSession
import VirtualMachine

/// The part of a run's tests that one guest gets.
package struct TestShard: Sendable, Equatable {
    /// A test of a bundle, or another program as a whole.
    package struct Unit: Sendable, Hashable {
        /// The program's index in the whole plan.
        package var program: Int
        /// The test; nil for a program that is one test.
        package var test: String?
    }

    /// The plan that the guest runs.
    package let plan: SessionPlan
    /// For each program of that plan, its index in the whole plan.
    package let programs: [Int]
    /// The patterns that select the tests of a held bundle.
    package let patterns: [String]

    /// The name in logs and errors.
    package var name: String {
        let tests = units.map { unit in
            unit.test ?? programs.firstIndex(of: unit.program).map { plan.programs[$0].name } ?? ""
        }
        return tests.count == 1 ? tests[0] : "\(tests.first ?? "no test") and \(tests.count - 1) more"
    }

    /// The index of the only bundle, if the shard runs some of its tests, which a guest can hold; nil for another
    /// shard.
    package var heldProgram: Int? {
        programs.count == 1 && !patterns.isEmpty ? programs[0] : nil
    }

    /// The tests that it runs, in order.
    package var units: [Unit] {
        zip(programs, plan.programs).flatMap { place, program in
            if case .swiftTesting(let expected) = program.resultsProtocol {
                expected.map { Unit(program: place, test: $0) }
            } else {
                [Unit(program: place)]
            }
        }
    }

    /// All tests of all programs.
    package init(all programs: [ProgramArtifact]) {
        plan = SessionPlan(programs: programs.map(\.planned))
        self.programs = Array(programs.indices)
        patterns = []
    }

    /// Some of the tests.
    package init(_ units: [Unit], of programs: [ProgramArtifact]) {
        var planned: [ProgramPlan] = []
        var places: [Int] = []
        var allPatterns: [String] = []
        for index in programs.indices {
            let own = units.filter { $0.program == index }
            guard !own.isEmpty else { continue }
            var program = programs[index].planned
            if programs[index].tests != nil {
                let selected = programs[index].selecting(own.compactMap(\.test))
                program = selected.planned
                for pattern in selected.patterns { program.arguments += [ProgramArtifact.filterOption, pattern] }
                allPatterns += selected.patterns
            }
            planned.append(program)
            places.append(index)
        }
        plan = SessionPlan(programs: planned)
        self.programs = places
        patterns = allPatterns
    }

    /// Divides programs among guests, in order.
    ///
    /// - Parameters:
    ///   - programs: All programs of the run.
    ///   - count: The number of guests, each with as many tests as the others or one more; nil for one guest for each
    ///     test.
    package static func shards(of programs: [ProgramArtifact], among count: Int?) -> [TestShard] {
        if count == 1 { return [TestShard(all: programs)] }
        let units = programs.indices.flatMap { index in
            programs[index].tests.map { tests in tests.map { Unit(program: index, test: $0) } }
                ?? [Unit(program: index)]
        }
        let parts = min(count ?? units.count, units.count)
        return (0..<parts).map { part in
            TestShard(
                Array(units[(units.count * part / parts)..<(units.count * (part + 1) / parts)]), of: programs)
        }
    }

    /// The tests that are left for another guest after this guest's result.
    ///
    /// - Parameters:
    ///   - result: The guest's result.
    ///   - programs: All programs of the run.
    /// - Returns: Nil when nothing is left, or when another guest would not help: this one sent no frame or completed
    ///   no test, or its machine failed or reached the time limit of the whole run.
    func remainder(after result: SessionResult, of programs: [ProgramArtifact]) -> TestShard? {
        if case .run? = result.limit { return nil }
        if case .failed? = result.exit { return nil }
        guard result.bootSeconds != nil else { return nil }
        let units = units
        let open = Set(
            zip(self.programs, result.outcome.programs).flatMap { place, program -> [Unit] in
                if programs[place].tests == nil {
                    let isOpen = program.tests.allSatisfy { $0.status == .notReported } && program.problems.isEmpty
                    return isOpen ? [Unit(program: place)] : []
                }
                return program.tests.filter { $0.status == .notReported }.map { Unit(program: place, test: $0.id) }
            })
        let left = units.filter { open.contains($0) }
        guard !left.isEmpty, left.count < units.count else { return nil }
        return TestShard(left, of: programs)
    }
}
