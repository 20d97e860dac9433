import Diagnostics
import TestSession
import VirtualMachine

/// The part of a run's tests that one guest takes.
struct GuestPortion: Sendable, Equatable {
    /// What it runs.
    var plan: SessionPlan
    /// For each program of that plan, its place in the whole plan.
    var programs: [Int]
    /// The patterns by which a held bundle finds its tests.
    var patterns: [String]

    /// What it is called in logs and errors.
    var name: String {
        let tests = plan.programs.flatMap { program in
            if case .swiftTesting(let expected) = program.resultsProtocol { expected } else { [program.name] }
        }
        return tests.count == 1 ? tests[0] : "\(tests.first ?? "no test") and \(tests.count - 1) more"
    }

    /// Divides programs among guests, in order.
    ///
    /// - Parameters:
    ///   - programs: All that is to run.
    ///   - count: How many guests share it, each with as many tests as the others or one more; nil for one to a test.
    static func divide(_ programs: [ReadyProgram], among count: Int?) -> [GuestPortion] {
        let units = programs.indices.flatMap { index in
            (programs[index].tests ?? [""]).map { (program: index, test: $0) }
        }
        let parts = min(count ?? units.count, units.count)
        return (0..<parts).map { part in
            let range = (units.count * part / parts)..<(units.count * (part + 1) / parts)
            var portion = GuestPortion(plan: SessionPlan(programs: []), programs: [], patterns: [])
            for index in programs.indices {
                let tests = units[range].filter { $0.program == index }.map(\.test)
                guard !tests.isEmpty else { continue }
                var planned = programs[index].planned
                if programs[index].tests != nil {
                    let (selected, patterns) = programs[index].selecting(tests)
                    planned = selected
                    for pattern in patterns { planned.arguments += [ReadyProgram.filterOption, pattern] }
                    portion.patterns += patterns
                }
                portion.plan.programs.append(planned)
                portion.programs.append(index)
            }
            return portion
        }
    }
}
