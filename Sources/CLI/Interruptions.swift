// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Dispatch
import Glibc
import Synchronization

/// The handling of SIGINT, SIGTERM and SIGHUP, from the first `interruptible` to the end of the process.
///
/// The first signal cancels the current work, and kbuild ends when its children have ended. Signals within the next
/// second count as the same request: Ctrl-C and the terminal's hangup, or a service manager's SIGTERM to each process
/// and to the group. A later signal ends the process at once, after restoring the terminal and removing the machines'
/// private folders.
enum Interruptions {
    private struct State {
        /// Whether an interactive child gets the interrupt key.
        var isOfChild = false
        var first: (signal: Int32, at: ContinuousClock.Instant)?
        /// Cancels the current work; nil while there is none.
        var cancel: (@Sendable () -> Void)?
        var sources: [any DispatchSourceSignal] = []
    }

    private static let state = Mutex(State())

    /// The time in which several signals count as one. Users press the key again within a second when nothing seems to
    /// happen.
    private static let grace: Duration = .seconds(1)

    /// The first signal.
    static var signal: Int32? { state.withLock { $0.first?.signal } }

    /// Called before an interactive child starts. The child and kbuild are one job of the shell, so both get the
    /// signal.
    static func leaveToChild() {
        state.withLock { $0.isOfChild = true }
        Glibc.signal(SIGQUIT, SIG_IGN)
    }

    /// Called after the child has ended.
    static func takeBack() {
        state.withLock { $0.isOfChild = false }
        Glibc.signal(SIGQUIT, SIG_DFL)
    }

    /// Registers `cancel` for the first signal, which may have arrived already.
    fileprivate static func begin(_ cancel: @escaping @Sendable () -> Void) {
        let isLate = state.withLock { state in
            if state.sources.isEmpty { state.sources = sources() }
            state.cancel = cancel
            return state.first != nil
        }
        if isLate { cancel() }
    }

    fileprivate static func end() { state.withLock { $0.cancel = nil } }

    private static func sources() -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM, SIGHUP].compactMap { number in
            // With nohup(1) a run continues after its terminal is closed.
            if number == SIGHUP, isIgnored(number) { return nil }
            Glibc.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { receive(number) }
            source.activate()
            return source
        }
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        // The only disposition that is the address 1 (SIG_IGN of signal(2)); a C function's address is larger.
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }

    private static func receive(_ number: Int32) {
        enum Action {
            case none
            case cancel(@Sendable () -> Void)
            case end(Int32, isAgain: Bool)
        }
        let action: Action = state.withLock { state in
            if number == SIGINT, state.isOfChild { return .none }
            if let first = state.first {
                let isSame = ContinuousClock.now - first.at < grace
                return isSame ? .none : .end(first.signal, isAgain: true)
            }
            state.first = (number, .now)
            return state.cancel.map { .cancel($0) } ?? .end(number, isAgain: false)
        }
        switch action {
        case .none: break
        case .cancel(let cancel):
            OutputQueue.standard.hurry()
            cancel()
        case .end(let signal, let isAgain): end(by: signal, isAgain: isAgain)
        }
    }

    /// Ends the process at once. The supervisors of its children notice this and end them.
    private static func end(by signal: Int32, isAgain: Bool) -> Never {
        Terminal.restore()
        ExitCleanup.runAll()
        if isAgain { say("interrupted again: kbuild ends without waiting for what it started") }
        _exit(128 + signal)
    }

    /// Prints a line on standard error, unless that would block because the reader is gone.
    private static func say(_ text: TerminalText) {
        if StandardStream.errors.isReady { StandardStream.errors.writeNow([.control("\r"), .line(text)]) }
    }
}

/// The result of work that signals can cancel.
struct Interruptible<Value: Sendable>: Sendable {
    /// The returned value or the error.
    var result: Swift.Result<Value, any Error>
    /// The signal, if there was one.
    var signal: Int32?
}

/// Runs `body` so that SIGINT, SIGTERM and SIGHUP cancel it; its children have ended when this returns.
func interruptibly<Result: Sendable>(
    _ body: @escaping @Sendable () async throws -> Result
) async -> Interruptible<Result> {
    let task = Task { try await body() }
    Interruptions.begin { task.cancel() }
    let result = await task.result
    Interruptions.end()
    return Interruptible(result: result, signal: Interruptions.signal)
}

/// Runs `body` so that SIGINT, SIGTERM and SIGHUP cancel it; its children have ended when this returns.
///
/// - Throws: What `body` throws; after a signal a `CommandFailure` of 128 + its number, as shells report it.
func interruptible<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    let ended = await interruptibly(body)
    if let signal = ended.signal { throw CommandFailure(code: 128 + signal) }
    return try ended.result.get()
}
