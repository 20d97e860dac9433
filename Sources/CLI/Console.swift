// SPDX-License-Identifier: Apache-2.0
import Application
import CrashReports
import Diagnostics
import Dispatch
import Glibc
import Project
import Reporting
import ResultsModel
import Synchronization
import TestSession

import class Foundation.JSONEncoder

/// The progress display on standard error, separate from results.
///
/// On a terminal the last line shows the current activity and is redrawn; elsewhere each event is a separate line.
final class Console: Sendable {
    enum Verbosity: Int, Sendable, Comparable {
        case quiet, normal, verbose
        static func < (a: Verbosity, b: Verbosity) -> Bool { a.rawValue < b.rawValue }
    }

    private struct State {
        var status = StatusLine()
        var statusIsShown = false
        var lastDraw: ContinuousClock.Instant?
        var lastShare: [String: Int] = [:]
        /// The first line of the crash report that was shown last: a report that turns out to be fatal is shown again.
        var lastCrash: Int?
        /// The number of test lines that were shown.
        var testLines = 0
        /// The open group of the job's log.
        var group: JobGroup?
    }

    /// The most tests that are shown on separate lines.
    private static let mostTestLines = 10_000

    let verbosity: Verbosity
    /// Whether the status line may be drawn.
    let isLive: Bool
    /// How results are printed on standard output.
    var renderer: TextReport {
        TextReport(width: Terminal.width(of: STDOUT_FILENO), isVerbose: verbosity == .verbose)
    }
    /// The line width on standard error.
    private var logRenderer: TextReport { TextReport(width: Terminal.width(of: STDERR_FILENO)) }
    private let state = Mutex(State())
    /// Redraws the status line without events, so that the elapsed time advances.
    private let ticker = Mutex<(any DispatchSourceTimer)?>(nil)

    /// Whether a person reads standard error.
    private let isTerminal: Bool
    /// Whether routine steps and notes are omitted, because another program also uses standard error.
    private let isTerse: Bool
    /// Whether each event is a line of JSON on standard output too.
    private let streamsEvents: Bool
    private let start = ContinuousClock.now
    /// How long this command has run.
    var secondsSinceStart: Double { (ContinuousClock.now - start) / .seconds(1) }
    /// The job's log, when it folds groups of lines.
    private let jobLog: JobLog

    /// - Parameter streamsEvents: Whether each event is a line of JSON on standard output too.
    init(
        verbosity: Verbosity, noProgress: Bool, isTerse: Bool = false, jobLog: JobLog = .plain,
        streamsEvents: Bool = false
    ) {
        self.verbosity = verbosity
        self.streamsEvents = streamsEvents
        self.isTerse = isTerse
        self.jobLog = jobLog
        isTerminal = isatty(STDERR_FILENO) == 1
        isLive = isTerminal && !StandardStream.isDumb && !noProgress && verbosity != .quiet
        if isLive { startTicker() }
    }

    private func startTicker() {
        ticker.withLock { ticker in
            let source = DispatchSource.makeTimerSource(queue: .global())
            source.schedule(deadline: .now() + 1, repeating: 1)
            source.setEventHandler { [weak self] in self?.redraw(now: false) }
            source.activate()
            ticker = source
        }
    }

    deinit { ticker.withLock { $0?.cancel() } }

    /// Prints a result to standard output.
    func output(_ text: TerminalText) {
        state.withLock { state in
            eraseStatus(&state)
            StandardStream.output.write(text)
        }
    }

    /// Prints a result as text, or as JSON.
    func output(_ value: some Encodable, text: @autoclosure () -> TerminalText, _ format: OutputFormat) throws {
        switch format {
        case .text: output(text())
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            output(TerminalText(json: String(decoding: try encoder.encode(value), as: UTF8.self)))
        }
    }

    /// Prints a line to standard error, above the status line.
    func log(_ text: TerminalText, _ kind: OutputQueue.Kind = .result) {
        state.withLock { state in
            let erasure = erasure(of: &state)
            StandardStream.errors.write(erasure + [.line(text)] + drawing(of: &state), kind)
        }
    }

    /// Prints an error to standard error.
    func log(_ failure: Failure) { log(failure.terminalText) }

    /// Sends a command to the CI service.
    func send(_ commands: [JobCommand]) {
        state.withLock { state in
            let erasure = erasure(of: &state)
            StandardStream.errors.write(erasure + commands.map { .command($0) } + drawing(of: &state))
        }
    }

    /// Prints a coloured word and a text to standard error.
    private func log(_ word: TerminalText, _ paint: TerminalText.Paint?, _ text: TerminalText) {
        log(logRenderer.entry(word, paint, text, indent: "  ").joined())
    }

    /// Removes the status line permanently.
    func finish() {
        state.withLock { state in
            state.status.clear()
            eraseStatus(&state)
            openGroup(nil, &state)
        }
    }

    /// Ends the open group of the job's log, and begins another.
    private func openGroup(_ group: JobGroup?, _ state: inout State) {
        guard state.group != group else { return }
        let commands = [
            state.group.flatMap { jobLog.end($0, time: time(nil)) },
            group.flatMap { jobLog.begin($0, time: time(nil)) },
        ]
        state.group = group
        let erasure = erasure(of: &state)
        StandardStream.errors.write(erasure + commands.compactMap { $0 }.map { .command($0) })
    }

    /// Shows what steps report while they run.
    func show(_ event: StepEvent) {
        if streamsEvents, let line = EventLines.line(event, time: secondsSinceStart) {
            output(TerminalText(json: line))
        }
        switch event {
        case .stepStarted(let step):
            let isTest = [.snapshot, .test].contains(step)
            state.withLock { state in
                openGroup(isTest ? .test : .build, &state)
                state.status.begin(step.rawValue)
            }
            redraw(now: true)
        case .stepFinished(let step, let outcome, let seconds, let detail):
            state.withLock { $0.status.end(step.rawValue) }
            let isUsual = outcome == .hit || outcome == .made && step == .boot
            // A screen of 24 lines is for what happened; the summary names these steps too.
            let isHidden = isTerse && isUsual || outcome == .hit && isTerminal && verbosity < .verbose
            if verbosity > .quiet, !isHidden {
                let words: TerminalText =
                    "\(step.rawValue.padded(to: 10)) \(outcome.rawValue.padded(to: 6)) \(format(seconds).padded(to: 8))"
                log(words, outcome == .failed ? .red : nil, "\(detail)")
            } else {
                redraw(now: true)
            }
        case .progress(let step, let event):
            show(event, in: step?.rawValue)
        case .session(let event):
            show(event)
        }
    }

    private func show(_ event: ProgressEvent, in step: String?) {
        switch event {
        case .note(let text): if verbosity > .quiet, !isTerse { log("note:", .yellow, "\(text)") }
        case .detail(let text): if verbosity == .verbose { log("  \(text)", .progress) }
        case .command(let text): if verbosity == .verbose { log("  $ \(text)") }
        case .advance(let done, let total, let label):
            let label = TerminalText(label).plain
            let isDue = state.withLock { state -> Bool in
                state.status.advance(step, done: done, total: total, label: label)
                // Without a terminal a line for each tenth of the work is enough.
                let share = total.map { $0 > 0 ? done * 10 / $0 : 0 } ?? done / 100
                defer { state.lastShare[step ?? ""] = share }
                return state.lastShare[step ?? ""] != share
            }
            if isLive {
                redraw(now: false)
            } else if isDue, verbosity > .quiet {
                log("  \(step ?? "") \(StatusLine.count(done, of: total)) \(label)", .progress)
            }
        }
    }

    private func show(_ event: SessionEvent) {
        switch event {
        case .booted(let release):
            state.withLock { $0.lastCrash = nil }
            if verbosity == .verbose { log("  the guest runs Linux \(release)") }
        case .testStarted(let id):
            state.withLock { $0.status.name(TerminalText(id).plain) }
            redraw(now: false)
        case .testEnded(let test):
            let isFailure = test.status != .passed && test.status != .skipped
            guard verbosity > .quiet || isFailure else { return }
            let (mark, paint): (TerminalText, TerminalText.Paint) =
                isFailure ? ("FAIL", .red) : test.status == .skipped ? ("skip", .yellow) : ("ok", .green)
            let number = state.withLock { state -> Int in
                state.testLines += 1
                return state.testLines
            }
            // A KTAP program may have a million tests.
            guard number <= Self.mostTestLines else {
                if number == Self.mostTestLines + 1 { log("  further tests are not shown one by one") }
                return
            }
            let time = test.seconds.map { " (\(format($0)))" } ?? ""
            log(mark.padded(to: 4), paint, "\(test.id)\(time)")
        case .crashed(let crash):
            let isAgain = state.withLock { state -> Bool in
                defer { state.lastCrash = crash.firstLine }
                return state.lastCrash == crash.firstLine && crash.isOnConsole
            }
            if isAgain { log("  the kernel panicked because of that") } else { log("CRASH", .red, "\(crash.title)") }
        case .ended:
            break
        }
    }

    private func redraw(now: Bool) {
        guard isLive else { return }
        state.withLock { state in
            // Updates more often than ten times a second flicker.
            if !now, let last = state.lastDraw, .now - last < .milliseconds(100) { return }
            let drawing = drawing(of: &state)
            if drawing.isEmpty { eraseStatus(&state) } else { StandardStream.errors.write(drawing, .status) }
        }
    }

    /// The text that draws the status line over the present one; empty when there is nothing to show.
    private func drawing(of state: inout State) -> [StandardStream.Piece] {
        guard isLive, !state.status.isEmpty else { return [] }
        state.lastDraw = .now
        state.statusIsShown = true
        let width = Terminal.width(of: STDERR_FILENO) ?? 80
        // Wrapping is off meanwhile (DECAWM), because characters of some scripts are wider than counted; they end at
        // the margin.
        return [
            .control("\r\u{1B}[?7l"), .text(TerminalText(state.status.text(width: width - 1))),
            .control("\u{1B}[K\u{1B}[?7h"),
        ]
    }

    /// The text that erases the status line.
    private func erasure(of state: inout State) -> [StandardStream.Piece] {
        guard state.statusIsShown else { return [] }
        state.statusIsShown = false
        // Carriage return, then ECMA-48 EL: erase to the end of the line.
        return [.control("\r\u{1B}[K")]
    }

    private func eraseStatus(_ state: inout State) { StandardStream.errors.write(erasure(of: &state)) }
}

/// A duration for display.
func format(_ seconds: Double) -> String {
    // A guest may report any duration.
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "?" }
    if seconds >= 100 { return "\(Int(seconds.rounded())) s" }
    let hundredths = Int((seconds * 100).rounded())
    let fraction = hundredths % 100
    return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) s"
}

extension String {
    /// The text with spaces added at its end.
    func padded(to width: Int) -> String {
        count >= width ? self : self + String(repeating: " ", count: width - count)
    }
}
