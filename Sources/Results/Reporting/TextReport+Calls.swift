// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

extension TextReport {
    /// The most rows in the table of calls.
    static let mostProfiledCalls = 40

    /// The cost of the calls: a table, and before it the calls that became slower.
    func calls(_ profile: CallProfile) -> [TerminalText] {
        var lines = body("\(Self.sentence(profile))")
        for entry in profile.slower.prefix(Self.mostProfiledCalls) {
            lines += self.entry("SLOWER", .yellow, "\(Self.change(entry, in: profile))")
        }
        guard !profile.entries.isEmpty else { return lines }
        var rows = [["call", "calls", "median", "90 %", "99 %", "most", "before", "test"]]
        let shown = isVerbose ? profile.entries : Array(profile.entries.prefix(Self.mostProfiledCalls))
        rows += shown.map { entry -> [String] in
            let cost = entry.cost
            let costs = [cost.count, cost.median, cost.percentile90, cost.percentile99, cost.most].map(grouped)
            return [entry.call] + costs + [entry.before.map { grouped($0.median) } ?? "-", entry.test]
        }
        lines += table(rows)
        if profile.entries.count > shown.count {
            lines += body("... and \(profile.entries.count - shown.count) more rows: -v shows all")
        }
        return lines
    }

    /// What the costs are, and with which run they are compared.
    static func sentence(_ profile: CallProfile) -> String {
        guard !profile.entries.isEmpty else {
            return "cost of the calls: no test made one through SyscallTesting, which counts them"
        }
        let unit =
            switch profile.unit {
            case .instructions: "in instructions of the emulated processor (QEMU's -icount), which are not time"
            case .nanoseconds: "in nanoseconds"
            }
        let earlier = profile.comparedWith.map { "; before: the median in \($0)" } ?? ""
        return "cost of the calls, with their way into and out of the kernel, \(unit)\(earlier)"
    }

    /// "msgbox_put in M.S/test(): median 12,040 instructions, 1,180 before: 10.2 times".
    static func change(_ entry: CallProfile.Entry, in profile: CallProfile) -> String {
        let before = entry.before.map { grouped($0.median) } ?? "-"
        return "\(entry.call) in \(entry.test): median \(grouped(entry.cost.median)) \(profile.unit.rawValue), "
            + "\(before) before: \(times(entry.factor))"
    }

    /// "10.2 times".
    static func times(_ factor: Double?) -> String {
        guard let factor, factor.isFinite, factor < 1e9 else { return "-" }
        return "\((factor * 10).rounded() / 10) times"
    }
}
