import Diagnostics
import Glibc
import Orchestration
import Reporting
import Synchronization
import TestSession

import class Foundation.JSONEncoder

/// What a person sees while kbuild works: progress on standard error, never mixed with results.
///
/// On a terminal the last line shows what goes on now and is redrawn; elsewhere each thing is a line of its own.
final class Console: Sendable {
    enum Verbosity: Int, Sendable, Comparable {
        case quiet, normal, verbose
        static func < (a: Verbosity, b: Verbosity) -> Bool { a.rawValue < b.rawValue }
    }

    private struct State {
        /// What runs now, by step, in the order of their starts.
        var active: [(step: String, text: String)] = []
        var statusIsShown = false
        var lastDraw: ContinuousClock.Instant?
        var lastShare: [String: Int] = [:]
        /// The crash report that was shown last, by its first line: one that turns out to be fatal is told of again.
        var lastCrash: Int?
        /// The group of a job's log that is open.
        var group: String?
    }

    let verbosity: Verbosity
    /// Whether the status line may be drawn.
    let isLive: Bool
    /// Whether colours may be used on standard output.
    let usesColor: Bool
    private let state = Mutex(State())

    /// Whether standard error is somebody else's too: steps that go as they always go, and notes, are left out.
    private let isTerse: Bool
    /// Where it is all shown, when that folds groups of lines.
    private let jobLog: JobLog

    init(verbosity: Verbosity, noProgress: Bool, isTerse: Bool = false, jobLog: JobLog = .plain) {
        self.verbosity = verbosity
        self.isTerse = isTerse
        self.jobLog = jobLog
        let isDumb = getenv("TERM").map { String(cString: $0) } ?? "dumb" == "dumb"
        isLive = isatty(STDERR_FILENO) == 1 && !isDumb && !noProgress && verbosity != .quiet
        usesColor = isatty(STDOUT_FILENO) == 1 && !isDumb && getenv("NO_COLOR") == nil
    }

    /// The terminal's width in columns.
    static func width(of descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Prints a result to standard output.
    func output(_ text: String) {
        state.withLock { state in
            eraseStatus(&state)
            Self.write(text + "\n", to: STDOUT_FILENO)
        }
    }

    /// Prints a result as text, or as JSON.
    func output(_ value: some Encodable, text: String, _ format: OutputFormat) throws {
        switch format {
        case .text: output(text)
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            output(String(decoding: try encoder.encode(value), as: UTF8.self))
        }
    }

    /// Prints a line to standard error, above the status line.
    func log(_ text: String) {
        state.withLock { state in
            eraseStatus(&state)
            Self.write(text + "\n", to: STDERR_FILENO)
        }
    }

    /// Takes the status line away, for good.
    func finish() {
        state.withLock { state in
            eraseStatus(&state)
            state.active = []
            openGroup(nil, &state)
        }
    }

    /// Ends the open group of the job's log, and begins another.
    private func openGroup(_ group: (name: String, title: String)?, _ state: inout State) {
        guard state.group != group?.name else { return }
        let lines = [
            state.group.flatMap { jobLog.end($0, time: time(nil)) },
            group.flatMap { jobLog.begin($0.name, title: $0.title, time: time(nil)) },
        ]
        state.group = group?.name
        for line in lines.compactMap({ $0 }) {
            eraseStatus(&state)
            Self.write(line + "\n", to: STDERR_FILENO)
        }
    }

    /// Shows what a pipeline tells.
    func show(_ event: PipelineEvent) {
        switch event {
        case .stepStarted(let step):
            let isTest = ["snapshot", "test"].contains(step)
            state.withLock { state in
                openGroup(isTest ? ("test", "kbuild: tests") : ("build", "kbuild: patch and build"), &state)
                state.active.append((step, ""))
            }
            redraw(now: true)
        case .stepFinished(let step, let outcome, let seconds, let detail):
            state.withLock { $0.active.removeAll { $0.step == step } }
            let isUsual = outcome == .hit || outcome == .made && step == "boot"
            if verbosity > .quiet, !(isTerse && isUsual) {
                let mark = outcome == .failed ? "failed" : outcome == .hit ? "hit" : "made"
                log("  \(step.padded(to: 10)) \(mark.padded(to: 6)) \(format(seconds).padded(to: 8)) \(detail)")
            }
            redraw(now: true)
        case .progress(let step, let event):
            show(event, in: step)
        case .session(let event):
            show(event)
        }
    }

    private func show(_ event: ProgressEvent, in step: String?) {
        switch event {
        case .note(let text): if verbosity > .quiet, !isTerse { log("  note: \(text)") }
        case .detail(let text): if verbosity == .verbose { log("  \(text)") }
        case .command(let text): if verbosity == .verbose { log("  $ \(text)") }
        case .advance(let done, let total, let label):
            let count = total.map { "\(done)/\(max($0, done))" } ?? "\(done)"
            let isDue = state.withLock { state -> Bool in
                if let index = state.active.firstIndex(where: { $0.step == step }) {
                    state.active[index].text = "\(Self.bar(done, total))\(count) \(label)"
                }
                // Off a terminal a line for each tenth is enough to see that it is alive.
                let share = total.map { $0 > 0 ? done * 10 / $0 : 0 } ?? done / 100
                defer { state.lastShare[step ?? ""] = share }
                return state.lastShare[step ?? ""] != share
            }
            if isLive {
                redraw(now: false)
            } else if isDue, verbosity > .quiet {
                log("  \(step ?? "") \(count) \(label)")
            }
        }
    }

    private func show(_ event: SessionEvent) {
        switch event {
        case .booted(let release):
            state.withLock { $0.lastCrash = nil }
            if verbosity == .verbose { log("  the guest runs Linux \(release)") }
        case .testStarted(let id):
            state.withLock { state in
                if let last = state.active.indices.last { state.active[last].text = id }
            }
            redraw(now: false)
        case .testEnded(let test):
            let isFailure = test.status != .passed && test.status != .skipped
            guard verbosity > .quiet || isFailure else { return }
            let mark = isFailure ? "FAIL" : test.status == .skipped ? "skip" : "ok"
            let time = test.seconds.map { " (\(format($0)))" } ?? ""
            log("  \(mark.padded(to: 5))\(test.id)\(time)")
        case .crashed(let crash):
            let isAgain = state.withLock { state -> Bool in
                defer { state.lastCrash = crash.firstLine }
                return state.lastCrash == crash.firstLine
            }
            log(isAgain ? "  the kernel panicked because of that" : "  CRASH \(crash.title)")
        case .ended:
            break
        }
    }

    private func redraw(now: Bool) {
        guard isLive else { return }
        state.withLock { state in
            let clock = ContinuousClock.now
            // More than ten times a second is flicker.
            if !now, let last = state.lastDraw, clock - last < .milliseconds(100) { return }
            state.lastDraw = clock
            eraseStatus(&state)
            guard !state.active.isEmpty else { return }
            let text = state.active.map { $0.text.isEmpty ? $0.step : "\($0.step) \($0.text)" }.joined(separator: " · ")
            Self.write(String(text.prefix(Self.width(of: STDERR_FILENO) - 1)), to: STDERR_FILENO)
            state.statusIsShown = true
        }
    }

    private func eraseStatus(_ state: inout State) {
        guard state.statusIsShown else { return }
        // Carriage return, then ECMA-48 EL: erase to the end of the line.
        Self.write("\r\u{1B}[K", to: STDERR_FILENO)
        state.statusIsShown = false
    }

    private static func bar(_ done: Int, _ total: Int?) -> String {
        guard let total, total > 0 else { return "" }
        let filled = min(16, done * 16 / total)
        return "[\(String(repeating: "#", count: filled))\(String(repeating: "-", count: 16 - filled))] "
    }

    private static func write(_ text: String, to descriptor: Int32) {
        // A raw terminal does not go back to the first column by itself.
        let text =
            Terminal.isRaw
            ? text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n") : text
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            // A reader that has gone away is no reason to stop working.
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}

/// Seconds as a person reads them.
func format(_ seconds: Double) -> String {
    // A guest may claim any time at all.
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
