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
    public static func line(_ event: StepEvent) -> String? {
        switch event {
        case .stepStarted(let step): encoded(Line(event: "step-started", step: step.rawValue))
        case .stepFinished(let step, let outcome, let seconds, let detail):
            encoded(
                Line(
                    event: "step-finished", step: step.rawValue, outcome: outcome.rawValue, seconds: seconds,
                    detail: detail))
        case .progress(let step, .note(let text)): encoded(Line(event: "note", step: step?.rawValue, text: text))
        case .progress(let step, .advance(let done, let total, let label)):
            encoded(Line(event: "progress", step: step?.rawValue, text: label, done: done, total: total))
        case .progress: nil
        case .session(let event): line(event)
        }
    }

    private static func line(_ event: SessionEvent) -> String? {
        switch event {
        case .booted(let release): encoded(Line(event: "booted", release: release))
        case .testStarted(let id): encoded(Line(event: "test-started", test: id))
        case .testEnded(let test):
            encoded(
                Line(
                    event: "test-ended", seconds: test.seconds, test: test.id, status: test.status.rawValue,
                    reason: test.reason))
        case .crashed(let crash): encoded(Line(event: "kernel-report", title: crash.title, isFatal: crash.isFatal))
        case .ended: nil
        }
    }

    /// The last line of a run: its report.
    ///
    /// - Throws: `EncodingError`, which no known report causes.
    public static func line(_ report: RunReport) throws -> String {
        "{\"event\":\"report\",\"report\":\(try JSONReport.render(report, isOneLine: true))}"
    }

    private static func encoded(_ line: Line) -> String? {
        var line = line
        // JSON has only finite numbers.
        if line.seconds?.isFinite == false { line.seconds = nil }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(line)).map { String(decoding: $0, as: UTF8.self) }
    }
}
