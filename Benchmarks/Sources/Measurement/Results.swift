// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One line of the results, as it is kept from one run of the benchmarks to the next.
public struct RowResult: Sendable, Codable, Equatable {
    /// The name by which `ONLY` picks it.
    public var id: String
    /// What is measured.
    public var path: String
    /// What it should be.
    public var target: String
    /// What it is.
    public var measured: String
    /// CPU seconds of a run with all that it started.
    public var cpu: String
    /// The same by other means.
    public var peer: String
    /// How it stands against the target.
    public var verdict: Verdict
    /// What was run, as it could be pasted into a shell.
    public var commands: [String]
    /// What else is to know: other figures, and for a row that misses where the time goes.
    public var notes: [String]
    /// The day of the measurement, and how many rounds and what load there were.
    public var date: String

    /// Creates a line.
    public init(
        id: String, path: String, target: String, measured: String = "", cpu: String = "", peer: String = "",
        verdict: Verdict, commands: [String] = [], notes: [String] = [], date: String
    ) {
        self.id = id
        self.path = path
        self.target = target
        self.measured = measured
        self.cpu = cpu
        self.peer = peer
        self.verdict = verdict
        self.commands = commands
        self.notes = notes
        self.date = date
    }
}

/// All results on one machine.
public struct Results: Sendable, Codable, Equatable {
    /// The machine and its tools; figures of another machine are not mixed with these.
    public var machine: [String]
    /// The lines in the order of the table.
    public var rows: [RowResult]

    /// Creates results.
    public init(machine: [String], rows: [RowResult]) {
        self.machine = machine
        self.rows = rows
    }

    /// These results with `new` ones in place of those of the same rows, in the order of `order`. The results of
    /// another machine are replaced as a whole.
    public func merged(with new: Results, order: [String]) -> Results {
        guard machine == new.machine else { return new }
        var byID = Dictionary(rows.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        for row in new.rows where row.verdict != .notMeasured || byID[row.id] == nil { byID[row.id] = row }
        return Results(machine: machine, rows: order.compactMap { byID[$0] })
    }

    /// The table alone.
    public var table: String {
        var table = Table(["path", "target", "measured: median (min–max)", "CPU s", "peer", "verdict"])
        for row in rows { table.add([row.path, row.target, row.measured, row.cpu, row.peer, row.verdict.rawValue]) }
        return table.text
    }

    /// The file of the results.
    ///
    /// - Parameter causes: For rows that miss, by their IDs, what a closer look found.
    public func document(causes: [String: String]) -> String {
        var lines = [
            "# Results", "",
            "Written by `make bench`; [README.md](README.md) says how it measures. Ratios count, not seconds: a slower machine",
            "slows both sides.", "", "## Machine", "",
        ]
        lines += machine.map { "- \($0)" } + ["", "## Figures", "", table, ""]
        for row in rows {
            lines += ["## \(row.id): \(row.path)", "", "\(row.date). Verdict: \(row.verdict.rawValue).", ""]
            if !row.commands.isEmpty { lines += row.commands.map { "    \($0)" } + [""] }
            if !row.notes.isEmpty { lines += row.notes.map { "- \($0)" } + [""] }
            if row.verdict == .missed || row.verdict == .metNotStretch, let cause = causes[row.id] {
                lines += ["Why: \(cause)", ""]
            }
        }
        while lines.last == "" { lines.removeLast() }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Reads the causes: sections with an ID as their heading.
    public static func causes(in text: String) -> [String: String] {
        var causes: [String: String] = [:]
        var id: String?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("## ") {
                id = line.dropFirst(3).trimmingCharacters(in: .whitespaces)
            } else if let id {
                causes[id, default: ""] += line + "\n"
            }
        }
        return causes.mapValues { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
    }
}
