// SPDX-License-Identifier: Apache-2.0
import CrashReports
import ResultsModel
import Synchronization
import TestSession

/// Counts guests that ended with the same crash, so that a fault in every test does not cost a guest for each test.
final class CrashTally: Sendable {
    /// After this many guests with the same crash, the remaining tests are not run.
    static let mostEqual = 3
    /// After this many guests that hang in the same place; each costs its whole limit.
    static let mostHangs = 2

    private struct State {
        var counts: [String: Int] = [:]
        var reason: String?
    }

    private let state = Mutex(State())
    private let isOn: Bool

    /// - Parameter isOn: Whether equal crashes end the run.
    init(isOn: Bool) { self.isOn = isOn }

    /// Why no further guest may start; nil when one may.
    var reason: String? { state.withLock { $0.reason } }

    /// Counts a guest's end.
    ///
    /// - Returns: Why no further guest may start, from the guest that decided it; else nil.
    func count(_ result: SessionResult) -> String? {
        guard isOn else { return nil }
        if let crash = Self.cause(of: result) {
            // Two reports with the same title may be about two places.
            let place = crash.frames.first { $0.isReliable }?.symbol ?? crash.function ?? ""
            return count(
                "\(crash.title)\n\(place)", upTo: Self.mostEqual,
                "\(Self.mostEqual) guests ended with the same crash: \(crash.title)")
        }
        let tasks = result.limit == nil ? [] : BlockedTask.tasks(in: result.inspection, calls: [])
        guard let task = tasks.first(where: \.isInSystemCall) else { return nil }
        let place = task.frames.prefix(8).map { "\($0.symbol)+\($0.offset)" }.joined(separator: "\n")
        return count(
            place, upTo: Self.mostHangs,
            "\(Self.mostHangs) guests hung in the same place: \(task.waitsIn?.function ?? "the kernel")")
    }

    private func count(_ key: String, upTo most: Int, _ reason: String) -> String? {
        state.withLock { state in
            state.counts[key, default: 0] += 1
            guard state.counts[key] == most, state.reason == nil else { return nil }
            state.reason = reason
            return reason
        }
    }

    /// The report with which a guest ended before its tests did; nil when it ended otherwise.
    private static func cause(of result: SessionResult) -> Crash? {
        let crashes = result.outcome.crashes.filter { !$0.isAtBoot }
        if case .lostThread? = result.limit { return crashes.first { $0.endsThread } ?? crashes.first }
        // The kernel's report before a panic is more useful than the panic.
        return crashes.contains(where: \.isFatal) ? crashes.first : nil
    }
}
