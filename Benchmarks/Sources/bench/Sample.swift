// SPDX-License-Identifier: Apache-2.0
import Measurement

/// One run of a competitor.
struct Sample {
    /// Seconds of the whole.
    var wall: Double
    /// CPU seconds of the whole.
    var cpu: Double
    /// Seconds that QEMU, or user-mode Linux, ran.
    var guest: Double?
    /// Other figures by their names.
    var values: [String: Double] = [:]
    /// kbuild's own account of its steps.
    var steps: [Report.Step] = []
    /// What was run.
    var commands: [String] = []

    /// The wall time that the guest had no part in.
    var beyondGuest: Double? { guest.map { wall - $0 } }
}

/// Something that is timed: kbuild in some situation, or a peer.
struct Competitor {
    /// The name by which rows refer to it.
    var id: String
    /// What it is called in the results.
    var title: String
    /// Done once, before the rounds.
    var setUp: () throws -> Void = {}
    /// Runs it once.
    var run: () throws -> Sample
}

/// All runs of a competitor.
struct Series {
    var title: String
    var samples: [Sample] = []
    /// Why it is no longer run.
    var trouble: String?

    var wall: Summary? { Summary(samples.map(\.wall)) }
    var guest: Summary? { Summary(samples.compactMap(\.guest)) }
    var cpu: Summary? { Summary(samples.map(\.cpu)) }
    var beyondGuest: Summary? { Summary(samples.compactMap(\.beyondGuest)) }
    func value(_ name: String) -> Summary? { Summary(samples.compactMap { $0.values[name] }) }

    /// One line with all figures.
    var line: String {
        guard let wall else { return "\(title): \(trouble.map { String($0.prefix { $0 != "\n" }) } ?? "not run")" }
        var parts = ["wall \(wall.text("s"))"]
        if let guest { parts.append("its QEMU or user-mode Linux \(guest.text("s"))") }
        if let cpu { parts.append("CPU \(figure(cpu.median)) s") }
        for name in Set(samples.flatMap(\.values.keys)).sorted() {
            if let value = value(name) {
                parts.append("\(name) \(value.text("").split(separator: " ").joined(separator: " "))")
            }
        }
        return "\(title): \(parts.joined(separator: ", ")) in \(samples.count) runs"
    }

    /// Where kbuild's time goes by its own account: the median of each step.
    var profile: String? {
        guard let last = samples.last, !last.steps.isEmpty else { return nil }
        let parts = last.steps.map { step in
            let seconds = samples.flatMap(\.steps).filter { $0.name == step.name }.map(\.seconds)
            let detail = (step.detail ?? "").isEmpty ? "" : " (\(step.detail ?? ""))"
            return "\(step.name) \(step.outcome) \(figure(Summary(seconds)?.median ?? step.seconds)) s\(detail)"
        }
        return "Steps of \(title), which overlap, medians: " + parts.joined(separator: "; ")
    }
}
