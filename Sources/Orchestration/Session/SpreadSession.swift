import Artifacts
import Diagnostics
import Reporting
import SystemPackage
import TestSession
import VirtualMachine

/// Runs the portions of a plan in guests of their own, some at a time.
struct SpreadSession: Sendable {
    let portions: [GuestPortion]
    /// How many guests run at once.
    let width: Int
    /// The limits of each guest, but for `run`, which is for all of them together, and `boot`.
    let limits: SessionLimits
    /// Where each guest's console log is written.
    let logs: FilePath
    /// Makes the guest of a portion, and says how long it may take to speak. Given the portion's index, and whether a first
    /// guest did not speak.
    let machine: @Sendable (Int, _ isRepeat: Bool) throws -> (any Machine, bootLimit: Double)

    /// What the guests came to, in the portions' order.
    struct Outcome: Sendable {
        var results: [SessionResult]
        /// How many guests had to be started a second time because the first did not speak.
        var repeats: Int
    }

    /// Runs them all.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a machine cannot be started; `CancellationError`.
    func run(onEvent: @escaping @Sendable (SessionEvent) -> Void, note: Progress) async throws -> Outcome {
        try createFolder(logs)
        let deadline = ContinuousClock.now + .seconds(limits.run)
        return try await withThrowingTaskGroup(of: (Int, SessionResult, isRepeat: Bool).self) { group in
            var results: [Int: SessionResult] = [:]
            var repeats = 0
            var next = 0
            func start() {
                guard next < portions.count else { return }
                let index = next
                next += 1
                group.addTask {
                    let (result, isRepeat) = try await run(index, until: deadline, onEvent, note)
                    return (index, result, isRepeat)
                }
            }
            for _ in 0..<width { start() }
            while let (index, result, isRepeat) = try await group.next() {
                results[index] = result
                if isRepeat { repeats += 1 }
                start()
            }
            return Outcome(results: portions.indices.compactMap { results[$0] }, repeats: repeats)
        }
    }

    /// The log of a portion's guest; the numbers sort as the portions do.
    func log(of index: Int) -> FilePath {
        let number = String(index + 1)
        return logs.appending(String(repeating: "0", count: max(0, 4 - number.count)) + number + ".log")
    }

    private func run(
        _ index: Int, until deadline: ContinuousClock.Instant, _ onEvent: @escaping @Sendable (SessionEvent) -> Void,
        _ note: Progress
    ) async throws -> (SessionResult, isRepeat: Bool) {
        for isRepeat in [false, true] {
            let left = (deadline - ContinuousClock.now).components
            var limits = limits
            // Those that come too late are told so by the guest's own limit, with the whole run's in mind.
            limits.run = max(0.001, Double(left.seconds) + Double(left.attoseconds) / 1e18)
            let (machine, bootLimit) = try machine(index, isRepeat)
            limits.boot = bootLimit
            let session = GuestSession(
                machine: machine, plan: portions[index].plan, limits: limits, consoleLog: log(of: index))
            var result = try await session.run { event in
                // That guests come and go is this session's own affair.
                switch event {
                case .booted, .ended: break
                case .testStarted, .testEnded, .crashed: onEvent(event)
                }
            }
            if case .run? = result.limit { result.limit = .run(self.limits.run) }
            let spoke = result.bootSeconds != nil || !result.outcome.crashes.isEmpty
            if spoke || isRepeat || left.seconds <= 0 { return (result, isRepeat) }
            note(.note("the guest of \(portions[index].name) did not wake: trying once more"))
        }
        throw Failure(.infrastructure, "a guest was tried no times")
    }
}

extension SessionLimits {
    /// How long a guest may take to wake: many times what it takes on a busy machine.
    static let wake = 20.0
}
