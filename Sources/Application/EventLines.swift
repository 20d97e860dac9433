// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import Reporting
import ResultsModel
import TestSession

/// A run's events as lines of JSON, for programs that follow the run: `--format jsonl`. docs/guide/reports.md describes
/// the lines.
public enum EventLines {
    /// An event. Missing keys are omitted.
    private struct Line: Encodable {
        var event: String
        var time: Double?
        var step: String?
        var outcome: String?
        var seconds: Double?
        var detail: String?
        var text: String?
        var done: Int?
        var total: Int?
        var test: String?
        var status: String?
        var reason: String?
        var title: String?
        var release: String?
        var isFatal: Bool?
    }

    /// The line of an event, without a newline; nil for an event that is not useful to a program.
    ///
    /// - Parameter time: When the event happened, in seconds since the command started.
    public static func line(_ event: StepEvent, time: Double) -> String? {
        guard var line = fields(of: event) else { return nil }
        line.time = rounded(time)
        return encoded(line)
    }

    private static func fields(of event: StepEvent) -> Line? {
        switch event {
        case .stepStarted(let step): Line(event: "step-started", step: step.rawValue)
        case .stepFinished(let step, let outcome, let seconds, let detail):
            Line(
                event: "step-finished", step: step.rawValue, outcome: outcome.rawValue, seconds: seconds,
                detail: detail)
        case .progress(let step, .note(let text)): Line(event: "note", step: step?.rawValue, text: text)
        case .progress(let step, .advance(let done, let total, let label)):
            Line(event: "progress", step: step?.rawValue, text: label, done: done, total: total)
        case .progress: nil
        case .session(let event): fields(of: event)
        }
    }

    private static func fields(of event: SessionEvent) -> Line? {
        switch event {
        case .booted(let release): Line(event: "booted", release: release)
        case .testStarted(let id): Line(event: "test-started", test: id)
        case .testEnded(let test):
            Line(
                event: "test-ended", seconds: test.seconds, test: test.id, status: test.status.rawValue,
                reason: test.reason)
        case .crashed(let crash): Line(event: "kernel-report", title: crash.title, isFatal: crash.isFatal)
        case .ended: nil
        }
    }

    /// How the last line of a run begins.
    static let reportStart = "{\"event\":\"report\",\"report\":"
    /// What follows the report in that line.
    private static let timeKey = ",\"time\":"

    /// The report in the last line of a run; nil for another line.
    static func report(inLine line: some StringProtocol) -> RunReport? {
        guard line.hasPrefix(reportStart), let end = line.range(of: timeKey, options: .backwards) else { return nil }
        return try? JSONReport.parse(String(line[..<end.lowerBound].dropFirst(reportStart.count)))
    }

    /// The last line of a run: its report.
    ///
    /// - Parameter time: As for an event.
    /// - Throws: `EncodingError`, which no known report causes.
    public static func line(_ report: RunReport, time: Double) throws -> String {
        "\(reportStart)\(try JSONReport.render(report, isOneLine: true))\(timeKey)\(rounded(time))}"
    }

    /// A millisecond is more than any event's order needs.
    private static func rounded(_ time: Double) -> Double { (time * 1000).rounded() / 1000 }

    private static func encoded(_ line: Line) -> String? {
        var line = line
        // JSON has only finite numbers.
        if line.seconds?.isFinite == false { line.seconds = nil }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(line)).map { String(decoding: $0, as: UTF8.self) }
    }
}
