// SPDX-License-Identifier: Apache-2.0
import ProjectFixture
import Testing

/// The results of the mutants, for the table at the end.
actor Scoreboard {
    static let shared = Scoreboard()
    private var verdicts: [(mutant: Mutant, verdict: CommandFailure)] = []

    func add(_ mutant: Mutant, _ verdict: CommandFailure) {
        verdicts.append((mutant, verdict))
        let words =
            switch verdict {
            case .killed(let test): "killed by \(test)"
            case .survived: mutant.survives.map { "survived, as listed: \($0)" } ?? "SURVIVED"
            case .useless(let why): "USELESS: \(why)"
            }
        print("mutant \(mutant.name): \(words)")
    }

    /// The table: one line for each call, the survivors with their reasons, and the sum.
    var table: String {
        guard !verdicts.isEmpty else { return "No mutant ran." }
        var lines = [row("call", "mutants", "killed", "survived", "useless")]
        for call in Set(verdicts.map(\.mutant.call)).sorted() {
            lines.append(row(call) { $0.call == call })
            for (mutant, verdict) in verdicts where mutant.call == call {
                switch verdict {
                case .killed: continue
                case .survived: lines.append("  survived: \(mutant.id): \(mutant.survives ?? "NOT LISTED")")
                case .useless(let why): lines.append("  useless: \(mutant.id): \(why)")
                }
            }
        }
        lines.append(row("sum") { _ in true })
        return lines.joined(separator: "\n")
    }

    private func row(_ name: String, where isIncluded: (Mutant) -> Bool) -> String {
        let included = verdicts.filter { isIncluded($0.mutant) }.map(\.verdict)
        let survived = included.count { $0 == .survived }
        let useless = included.count { if case .useless = $0 { true } else { false } }
        return row(
            name, "\(included.count)", "\(included.count - survived - useless)", "\(survived)", "\(useless)")
    }

    private func row(_ name: String, _ cells: String...) -> String {
        let padded = cells.map { String(repeating: " ", count: max(0, 10 - $0.count)) + $0 }
        return name + String(repeating: " ", count: max(0, 16 - name.count)) + padded.joined()
    }
}

/// Prints the table after the suite's last test.
struct ScoreboardTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await function()
        if CostTrait.isWanted(.campaign) { print("\n" + (await Scoreboard.shared.table) + "\n") }
    }
}

extension Trait where Self == ScoreboardTrait {
    static var scoreboard: Self { Self() }
}
