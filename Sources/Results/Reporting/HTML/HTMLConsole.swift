// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// The console's log, in parts: each crash report is a part, with an anchor.
struct HTMLConsole {
    /// Lines in a part, so that a search need not look at one huge node.
    private static let partLines = 500

    private let report: RunReport
    private let console: ConsoleExcerpt?

    init(_ report: RunReport, _ console: ConsoleExcerpt?) {
        self.report = report
        self.console = console
    }

    var body: HTMLText {
        guard let console, !console.text.isEmpty else {
            return report.artifacts.console == nil ? "" : "<p class=\"soft\">The console's log was not kept.</p>"
        }
        let file: HTMLText = report.artifacts.console.map { " <code>\($0)</code>" } ?? ""
        let (first, omitted) = (console.firstLine, console.omittedBytes)
        let note: HTMLText =
            omitted > 0
            ? "<p class=\"soft\">From line \(first); the \(omitted) bytes before are in the log\(file).</p>\n" : ""
        return """
            \(note)<form id="search" hidden>
            <input type="search" placeholder="Find in the console" aria-label="Find in the console">
            <button type="submit">Next</button>
            <button type="button">Previous</button>
            <output class="soft"></output>
            </form>
            <div id="console" tabindex="0" role="region" aria-label="Console">
            \(parts(of: console).joined(separator: "\n"))
            </div>
            """
    }

    private func parts(of console: ConsoleExcerpt) -> [HTMLText] {
        let lines = Text.lines(console.text)
        // The positions of the crash reports' lines among these. A report that began before them is not marked.
        let crashes = report.crashes.enumerated().compactMap { number, crash -> (number: Int, range: Range<Int>)? in
            let (first, last) = (crash.firstLine, crash.lastLine)
            guard crash.isOnConsole, first >= console.firstLine, last >= first
            else { return nil }
            let start = first - console.firstLine
            guard start < lines.count else { return nil }
            return (number: number, range: start..<min(lines.count, last - console.firstLine + 1))
        }.sorted { $0.range.lowerBound < $1.range.lowerBound }
        var parts: [HTMLText] = []
        var at = 0
        func add(upTo end: Int, _ attributes: HTMLText) {
            guard at < end else { return }
            parts.append("<pre\(attributes)>\n\(lines[at..<end].joined(separator: "\n"))</pre>")
            at = end
        }
        func addPlain(upTo end: Int) {
            while at < end { add(upTo: min(end, at + Self.partLines), "") }
        }
        for (number, range) in crashes {
            let isMild = !report.crashes[number].isFatal && !report.splatsFail
            let kind: HTMLText = isMild ? "crash mild" : "crash"
            guard range.lowerBound >= at else {
                // Reports of two processors may overlap: the later has its anchor after the earlier.
                parts.append("<span id=\"crash-\(number + 1)\"></span>")
                continue
            }
            addPlain(upTo: range.lowerBound)
            add(upTo: range.upperBound, " class=\"\(kind)\" id=\"crash-\(number + 1)\"")
        }
        addPlain(upTo: lines.count)
        return parts
    }
}
