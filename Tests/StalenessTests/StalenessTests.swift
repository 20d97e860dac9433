// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Fuzzing
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// Every kind of input, changed before a build and during it, in a random order: the next verdict is that of the new
/// contents. `make staleness` runs this; docs/RELIABILITY.md has a table.
@Suite("staleness", .serialized, .tags(.campaign), .costly, .timeLimit(.minutes(1200)))
struct StalenessTests {
    private static func number(_ name: String, default value: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? value
    }

    /// The results of one kind of input.
    private struct Row {
        var before = 0
        var during = 0
        var duringWhole = 0
        var stale = 0
    }

    @Test("every kind of input is changed before and during a build, and no verdict is of old contents")
    func everyInput() async throws {
        let tries = Self.number("TRIES", default: 200)
        let seed = Self.number("SEED", default: 1)
        let only = ProcessInfo.processInfo.environment["ONLY"].flatMap { $0.isEmpty ? nil : $0 }
        print("staleness: \(tries) tries of seed \(seed)")
        var lot = SeededGenerator(seed: UInt64(truncatingIfNeeded: seed))
        let project = try StaleProject(Fixture(name: "staleness"))
        let kinds = StaleProject.kinds.filter { kind in only.map { kind.name.contains($0) } ?? true }
        let drawn = kinds.flatMap { Array(repeating: $0, count: $0.weight) }
        var rows: [String: Row] = [:]

        // Compiles a kernel the first time.
        try #require(try await project.run() == .exited(0), "all inputs are good before the first try")
        var bad: StaleProject.Kind?
        for number in 1...tries {
            let isDuring = Bool.random(using: &lot)
            let delay = Double.random(in: 0..<0.3, using: &lot)
            // One input at a time has the failing value; the next try restores it.
            guard let kind = bad ?? drawn.randomElement(using: &lot) else { break }
            let isGood = bad != nil
            let wanted: ProcessStatus = isGood ? .exited(0) : .exited(1)
            var row = rows[kind.name] ?? Row()
            var isWhole = false
            if isDuring, let step = kind.step {
                isWhole = try await project.run(changing: kind, toGood: isGood, during: step, after: delay, number)
                row.during += 1
                row.duringWhole += isWhole ? 1 : 0
            } else {
                try project.set(kind, toGood: isGood, number)
                row.before += 1
            }
            let verdict = try await project.run()
            if verdict != wanted { row.stale += 1 }
            #expect(
                verdict == wanted,
                "try \(number) of seed \(seed): \(kind.name) \(isGood ? "good" : "bad"), \(isDuring ? "during" : "before")"
            )
            print(
                "try \(number): \(kind.name) \(isGood ? "good" : "bad") \(isDuring ? "during" : "before") => \(verdict)"
            )
            rows[kind.name] = row
            bad = isGood ? nil : kind
        }
        print("| input | changed before | during | of these met a build | stale verdicts |\n|---|---|---|---|---|")
        for (name, row) in rows.sorted(by: { $0.key < $1.key }) {
            print("| \(name) | \(row.before) | \(row.during) | \(row.duringWhole) | \(row.stale) |")
        }
        let stale = rows.values.reduce(0) { $0 + $1.stale }
        print("\(tries) tries of seed \(seed): \(stale) stale verdicts")
    }
}
