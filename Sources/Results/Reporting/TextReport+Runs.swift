// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// The text reports of several runs.
extension TextReport {
    /// The most tests of a kind to list in a comparison; its JSON has all of them.
    static let mostChanges = 50

    /// Renders the kept runs, a line each, without a final newline.
    public func render(_ list: RunList) -> TerminalText {
        guard !list.runs.isEmpty else { return "no run is kept" }
        let verdicts = list.runs.map { ($0.verdict ?? "unreadable") }
        let width = verdicts.map(\.count).max() ?? 0
        return zip(list.runs, verdicts).map { run, verdict -> TerminalText in
            let place = String(run.place)
            var facts = Self.counts(run.counts ?? [:])
            if let seconds = run.seconds { facts.append(Self.format(seconds)) }
            if let kernel = run.kernel { facts.append("Linux \(kernel)") }
            if let profile = run.profile { facts.append("profile \(profile)") }
            if let filter = run.filter { facts.append("tests that match \(filter)") }
            let gap = String(repeating: " ", count: max(0, 3 - place.count))
            let color: Paint = run.exitCode == 0 ? .green : .red
            let word = TerminalText(verdict).padded(to: width).painted(color)
            return "\(gap)\(place)  \(run.id)  \(word)  \(facts.joined(separator: ", "))"
        }.joined()
    }

    private static func counts(_ counts: [String: Int]) -> [String] {
        TestStatus.allCases.compactMap { status in counts[status.rawValue].map { "\($0) \(status.words.short)" } }
    }

    /// Renders how two runs differ, without a newline at its end.
    public func render(_ comparison: RunComparison) -> TerminalText {
        let runs: [TerminalText] = ["A: \(Self.line(comparison.base))", "B: \(Self.line(comparison.head))"]
        var lines = runs.flatMap { body($0) }
        func add(_ title: TerminalText, _ changes: [RunComparison.Change], _ text: (RunComparison.Change) -> String) {
            guard !changes.isEmpty else { return }
            lines += ["", "\(title): \(changes.count)"]
            lines += changes.prefix(Self.mostChanges).flatMap { body("  \(text($0))") }
            if changes.count > Self.mostChanges { lines.append("  ... \(changes.count - Self.mostChanges) more") }
        }
        func add(_ title: TerminalText, _ texts: [String]) {
            guard !texts.isEmpty else { return }
            lines += ["", "\(title): \(texts.count)"]
            lines += texts.prefix(Self.mostChanges).flatMap { body("  \($0)") }
            if texts.count > Self.mostChanges { lines.append("  ... \(texts.count - Self.mostChanges) more") }
        }
        add("new problems", comparison.newProblems)
        add("new crash reports", comparison.newCrashes)
        add("newly failing", comparison.newlyFailing) { change in
            let before = change.before?.words.short ?? "not there"
            let message = change.message.flatMap { Text.lines($0).first }.map { ": \($0)" } ?? ""
            return "\(Self.name(change)): \(before) -> \(change.after?.words.short ?? "")\(message)"
        }
        add("still failing", comparison.stillFailing) { "\(Self.name($0)): \($0.after?.words.short ?? "")" }
        add("fixed", comparison.fixed) { "\(Self.name($0)): \($0.before?.words.short ?? "") -> passed" }
        add("fixed crash reports", comparison.goneCrashes)
        add("newly skipped", comparison.newlySkipped, Self.name)
        add("new", comparison.new) { "\(Self.name($0)): \($0.after?.words.short ?? "")" }
        add("gone", comparison.gone) { "\(Self.name($0)): \($0.before?.words.short ?? "")" }
        if !comparison.gone.isEmpty, let filter = comparison.head.filter {
            lines += body("  B ran the tests that match \(filter)")
        }
        add("slower", comparison.slower, Self.times)
        add("faster", comparison.faster, Self.times)
        return (lines + ["", verdict(comparison)]).joined()
    }

    /// The last line of a comparison: its verdict.
    public func verdict(_ comparison: RunComparison) -> TerminalText {
        let counts: [(Int, String)] = [
            (comparison.newProblems.count, comparison.newProblems.count == 1 ? "new problem" : "new problems"),
            (comparison.newCrashes.count, comparison.newCrashes.count == 1 ? "new crash report" : "new crash reports"),
            (comparison.newlyFailing.count, "newly failing"), (comparison.stillFailing.count, "still failing"),
            (comparison.fixed.count, "fixed"), (comparison.newlySkipped.count, "newly skipped"),
            (comparison.new.count, "new"), (comparison.gone.count, "gone"), (comparison.slower.count, "slower"),
            (comparison.faster.count, "faster"),
        ]
        let texts = counts.filter { $0.0 > 0 || $0.1 == "newly failing" }.map { count, word in "\(count) \(word)" }
        let word: TerminalText = comparison.isWorse ? "WORSE:" : "NO WORSE:"
        return "\(word.painted(comparison.isWorse ? .red : .green)) \(texts.joined(separator: ", "))"
    }

    private static func line(_ run: RunComparison.Run) -> String {
        var facts = [run.startedAt, run.verdict, format(run.seconds)]
        if let kernel = run.kernel { facts.append("Linux \(kernel)") }
        if let profile = run.profile { facts.append("profile \(profile)") }
        if let filter = run.filter { facts.append("tests that match \(filter)") }
        return "\(run.id) (\(facts.joined(separator: ", ")))"
    }

    private static func name(_ change: RunComparison.Change) -> String { change.id }

    private static func times(_ change: RunComparison.Change) -> String {
        let (before, after) = (change.secondsBefore ?? 0, change.secondsAfter ?? 0)
        return "\(change.id): \(format(before)) -> \(format(after))"
    }
}
