// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// The steps as a picture: when each began, how long it took, and how it ended. Lengths are fractions of the page's
/// width, so that texts keep their size on any screen.
struct HTMLTimeline {
    private static let rowHeight = 40
    private static let axisHeight = 24
    /// The most marks on the axis, so that their texts do not touch on a phone.
    private static let mostTicks = 5

    private let report: RunReport
    private let end: Double

    init(_ report: RunReport) {
        self.report = report
        let ends = report.steps.map { Self.sane($0.startSeconds) + Self.sane($0.seconds) }
        end = max(Self.sane(report.seconds), ends.max() ?? 0, 0.001)
    }

    var body: HTMLText {
        guard !report.steps.isEmpty else { return "" }
        let rows = report.steps.enumerated().map { row($0, $1) }
        let height = report.steps.count * Self.rowHeight + Self.axisHeight
        let note: HTMLText =
            report.steps.contains { $0.startSeconds == nil }
            ? "<p class=\"soft\">When some steps began is not known: they are drawn from the run's beginning.</p>" : ""
        let details = report.steps.map { step -> HTMLText in
            "<tr><th class=\"key\">\(step.name)</th><td>\(step.outcome), "
                + "\(Text.seconds(step.seconds))</td><td>\(step.detail)</td></tr>"
        }
        return """
            <div class="card">\(note)
            <svg role="img" aria-label="The steps and when they ran" height="\(height)">
            \((ticks(height) + rows).joined(separator: "\n"))
            </svg>
            <details><summary>What each step came to</summary><table><tbody>
            \(details.joined(separator: "\n"))
            </tbody></table></details>
            </div>
            """
    }

    private func row(_ index: Int, _ step: RunReport.Step) -> HTMLText {
        let y = index * Self.rowHeight
        let outcome = ["hit", "made", "failed"].contains(step.outcome) ? step.outcome : "made"
        let start = min(1, Self.sane(step.startSeconds) / end)
        // A step that took no time is visible all the same.
        let width = min(1 - start, max(0.004, Self.sane(step.seconds) / end))
        let label = "\(step.name) \(step.outcome == "hit" ? "hit" : Text.seconds(step.seconds))"
        let fact = ["failed", "cancelled"].contains(step.outcome) ? "\(label), \(step.outcome)" : label
        return """
            <g><title>\(fact): \(step.detail)</title>
            <text x="0" y="\(y + 15)">\(fact)</text>
            <rect class="track" x="0" y="\(y + 21)" width="100%" height="10" rx="3"/>
            <rect class="\(outcome)" x="\(Text.percent(start))" y="\(y + 21)" width="\(Text.percent(width))" height="10" rx="3"/></g>
            """
    }

    private func ticks(_ height: Int) -> [HTMLText] {
        var step = 0.001
        // 1, 2 and 5 times a power of ten.
        var factors = [2.0, 2.5, 2.0]
        while end / step > Double(Self.mostTicks) {
            step *= factors[0]
            factors.append(factors.removeFirst())
        }
        return (0...Int(end / step)).map { number in
            let seconds = Double(number) * step
            let x = Text.percent(seconds / end)
            // The texts at the ends stay within the picture.
            let anchor = number == 0 ? "start" : seconds / end > 0.95 ? "end" : "middle"
            return "<line class=\"grid\" x1=\"\(x)\" x2=\"\(x)\" y1=\"0\" y2=\"\(height - 18)\"/>"
                + "<text class=\"soft\" x=\"\(x)\" y=\"\(height - 4)\" text-anchor=\"\(anchor)\">\(label(seconds))</text>"
        }
    }

    private func label(_ seconds: Double) -> String {
        var text = Text.milliseconds(seconds)
        while text.hasSuffix("0") { text.removeLast() }
        return (text.hasSuffix(".") ? String(text.dropLast()) : text) + " s"
    }

    /// A time that can be drawn: 0 for an impossible one.
    private static func sane(_ seconds: Double?) -> Double {
        guard let seconds, seconds.isFinite, seconds > 0, seconds < 0x1p40 else { return 0 }
        return seconds
    }
}
