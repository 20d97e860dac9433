// SPDX-License-Identifier: Apache-2.0
import Foundation
import Measurement

/// `make bench`: measures kbuild against its targets and its peers.
///
/// The environment says what: `ROUNDS` (5), `ONLY` (rows, with commas), `COLD=1` (the rows that take many minutes too).
@main
enum Bench {
    static func main() {
        do {
            exit(try run(ProcessInfo.processInfo.environment) ? 0 : 1)
        } catch {
            tell("error: \(error)")
            exit(2)
        }
    }

    /// Measures; returns whether every figure could be taken. A missed target is not a failure.
    private static func run(_ environment: [String: String]) throws -> Bool {
        let rounds = try roundCount(environment["ROUNDS"])
        let workspace = try Workspace(environment: environment)
        let competitors = Competitors(workspace)
        let canIsolate = try competitors.canIsolate()
        let rows = try selected(environment["ONLY"], long: environment["COLD"] == "1")
        let isolation: Set = ["isolate", "suite"]
        let runnable = rows.filter { canIsolate || !isolation.contains($0.id) }

        let needed = Set(runnable.flatMap(\.competitors))
        let loadBefore = loadAverage()
        let series = measure(competitors.all().filter { needed.contains($0.id) }, rounds: rounds)

        let day = Date().formatted(.iso8601.year().month().day())
        let date =
            "\(day), kbuild \(workspace.commit), \(rounds) round\(rounds == 1 ? "" : "s"), load \(loadBefore) before and "
            + "\(loadAverage()) after"
        let virtme = try? competitors.peers.virtmeVersion()
        var new = Results(machine: try machineFacts(workspace, virtme: virtme), rows: [])
        for row in rows {
            if runnable.contains(where: { $0.id == row.id }) {
                new.rows.append(row.result(series, date: date))
            } else {
                new.rows.append(
                    RowResult(
                        id: row.id, path: row.path, target: row.target, verdict: .notMeasured,
                        notes: ["This kbuild has no `--isolate`."], date: day))
            }
        }
        let folder = workspace.repository + "/Benchmarks"
        if let edit = series["edit-one"], edit.trouble == nil {
            let timeline = try competitors.timelineOfEdit(rounds: rounds)
            try timeline.picture(title: "From the edit of a C file to the verdict of a Swift test")
                .write(toFile: folder + "/edit.svg", atomically: true, encoding: .utf8)
            let parts = timeline.sums.map { "\($0.name) \(figure($0.seconds)) s" }.joined(separator: ", ")
            for index in new.rows.indices where new.rows[index].id == "edit" {
                new.rows[index].notes.append(
                    "The median of \(rounds) further edits, [as a picture](edit.svg): \(parts)")
            }
        }
        try publish(new, in: folder)
        print(new.table)
        return series.values.allSatisfy { $0.trouble == nil }
    }

    private static func roundCount(_ text: String?) throws -> Int {
        guard let text, !text.isEmpty else { return 5 }
        guard let rounds = Int(text), (1...1000).contains(rounds) else {
            throw RunError("ROUNDS=\(text) is not a number from 1 to 1000")
        }
        return rounds
    }

    private static func selected(_ only: String?, long: Bool) throws -> [Row] {
        let names = (only ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        let known = Row.all.map(\.id)
        let unknown = names.filter { !known.contains($0) }
        guard unknown.isEmpty else {
            throw RunError(
                "ONLY names no row: \(unknown.joined(separator: ", "))\nrows: \(known.joined(separator: ", "))")
        }
        // A row that is named is wanted, however long it takes.
        return Row.all.filter { names.isEmpty ? long || !$0.isLong : names.contains($0.id) }
    }

    /// Sets all up, then runs one after the other in rounds, so that a busy minute hits all alike.
    private static func measure(_ competitors: [Competitor], rounds: Int) -> [String: Series] {
        var series: [String: Series] = [:]
        for competitor in competitors {
            series[competitor.id] = Series(title: competitor.title)
            tell("==> setting up \(competitor.id): \(competitor.title)")
            do { try competitor.setUp() } catch { fail(competitor, error, &series) }
        }
        for round in 1...rounds {
            for competitor in competitors where series[competitor.id]?.trouble == nil {
                do {
                    let sample = try competitor.run()
                    series[competitor.id]?.samples.append(sample)
                    let guest = sample.guest.map { ", guest \(figure($0)) s" } ?? ""
                    tell("    round \(round) \(competitor.id): \(figure(sample.wall)) s\(guest)")
                } catch {
                    fail(competitor, error, &series)
                }
            }
        }
        return series
    }

    private static func fail(_ competitor: Competitor, _ error: any Error, _ series: inout [String: Series]) {
        tell("error: \(competitor.id): \(error)")
        series[competitor.id]?.trouble = "\(error)"
    }

    /// Adds the new figures to those of earlier runs on this machine.
    private static func publish(_ new: Results, in folder: String) throws {
        let data = URL(fileURLWithPath: folder + "/results.json")
        let earlier = (try? Data(contentsOf: data)).flatMap { try? JSONDecoder().decode(Results.self, from: $0) }
        let all = earlier?.merged(with: new, order: Row.all.map(\.id)) ?? new
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(all).write(to: data)
        let causes = (try? String(contentsOfFile: folder + "/causes.md", encoding: .utf8)) ?? ""
        try all.document(causes: Results.causes(in: causes))
            .write(toFile: folder + "/RESULTS.md", atomically: true, encoding: .utf8)
    }
}
