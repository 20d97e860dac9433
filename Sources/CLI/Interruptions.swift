// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Dispatch
import Glibc
import Synchronization

/// What SIGINT, SIGTERM and SIGHUP do, from the first `interruptible` to the end of the process.
///
/// The first signal cancels what runs, and kbuild ends when its children are gone. Signals that follow within a second
/// are the same wish: Ctrl-C and the terminal's hangup, or a service manager's SIGTERM to each process and to the
/// group. A later one ends the process at once; the terminal is put back and the machines' private folders are removed
/// on that path too.
enum Interruptions {
    private struct State {
        /// Whether a child that talks with the user has the interrupt key.
        var isOfChild = false
        var first: (signal: Int32, at: ContinuousClock.Instant)?
        /// Cancels what runs; nil while nothing that could be cancelled does.
        var cancel: (@Sendable () -> Void)?
        var sources: [any DispatchSourceSignal] = []
    }

    private static let state = Mutex(State())

    /// How long signals count as one. People press a key twice in a second when nothing seems to happen; nobody knows
    /// what the first press did before.
    private static let grace: Duration = .seconds(1)

    /// The first signal that came.
    static var signal: Int32? { state.withLock { $0.first?.signal } }

    /// A child is about to talk with the user. It and kbuild are one job of the shell's, so both get the signal.
    static func leaveToChild() {
        state.withLock { $0.isOfChild = true }
        Glibc.signal(SIGQUIT, SIG_IGN)
    }

    /// The child has ended.
    static func takeBack() {
        state.withLock { $0.isOfChild = false }
        Glibc.signal(SIGQUIT, SIG_DFL)
    }

    /// Lets `cancel` be called by the first signal, which may have come already.
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
            // nohup(1) asks for runs that outlive their terminal.
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

    /// Ends the process at once. The supervisors of its children notice that it is gone, and end them.
    private static func end(by signal: Int32, isAgain: Bool) -> Never {
        Terminal.restore()
        ExitCleanup.runAll()
        if isAgain { say("interrupted again: kbuild ends without waiting for what it started") }
        _exit(128 + signal)
    }

    /// Prints a line on standard error, unless that would block: nobody may read it any more.
    private static func say(_ text: TerminalText) {
        if StandardStream.errors.isReady { StandardStream.errors.writeNow([.control("\r"), .line(text)]) }
    }
}

/// How something ended that signals cancel.
struct Interruptible<Value: Sendable>: Sendable {
    /// What it returned or threw.
    var result: Swift.Result<Value, any Error>
    /// The signal, if one came.
    var signal: Int32?
}

/// Runs `body` so that SIGINT, SIGTERM and SIGHUP cancel it; its children are gone when this returns.
func interruptibly<Result: Sendable>(
    _ body: @escaping @Sendable () async throws -> Result
) async -> Interruptible<Result> {
    let task = Task { try await body() }
    Interruptions.begin { task.cancel() }
    let result = await task.result
    Interruptions.end()
    return Interruptible(result: result, signal: Interruptions.signal)
}

/// Runs `body` so that SIGINT, SIGTERM and SIGHUP cancel it; its children are gone when this returns.
///
/// - Throws: What `body` throws; after a signal a `CommandFailure` of 128 + its number, as shells report it.
func interruptible<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    let ended = await interruptibly(body)
    if let signal = ended.signal { throw CommandFailure(code: 128 + signal) }
    return try ended.result.get()
}
