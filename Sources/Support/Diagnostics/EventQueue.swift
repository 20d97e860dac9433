// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Synchronization

/// Delivers all events to a sink in the order in which they were sent, one at a time, on a separate queue.
///
/// Sending never blocks and does not call the sink, so it is allowed under a lock. A sink that waits for a stopped
/// terminal delays only the events after it.
public final class EventQueue<Event: Sendable>: Sendable {
    private struct State {
        var pending: [Event] = []
        var isDelivering = false
        /// Resumed when everything that was sent has been delivered.
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "kbuild events")
    private let sink: @Sendable (Event) -> Void

    /// Creates a queue.
    ///
    /// - Parameter sink: Called with each event, without a lock, so that it may block.
    public init(_ sink: @escaping @Sendable (Event) -> Void) {
        self.sink = sink
    }

    /// Adds an event for later delivery.
    public func send(_ event: Event) {
        let isIdle = state.withLock { state in
            state.pending.append(event)
            defer { state.isDelivering = true }
            return !state.isDelivering
        }
        if isIdle { queue.async { self.deliver() } }
    }

    /// Waits until the sink has returned from every event that was sent before.
    public func flush() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if state.isDelivering { state.waiters.append(continuation) }
                return !state.isDelivering
            }
            if isIdle { continuation.resume() }
        }
    }

    private func deliver() {
        while true {
            let (events, waiters) = state.withLock { state in
                let events = state.pending
                state.pending = []
                guard events.isEmpty else { return (events, [CheckedContinuation<Void, Never>]()) }
                defer { state.waiters = [] }
                state.isDelivering = false
                return ([], state.waiters)
            }
            guard !events.isEmpty else { return waiters.forEach { $0.resume() } }
            events.forEach(sink)
        }
    }
}
