// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Cleanup that is necessary even when the process ends immediately, by a second signal, where no `defer` runs.
public final class ExitCleanup: Sendable {
    private struct State {
        var next = 0
        var actions: [Int: @Sendable () -> Void] = [:]
    }

    private static let state = Mutex(State())

    private let number: Int

    /// Registers an action.
    ///
    /// - Parameter action: Called by `runAll`, unless `cancel` was called before. It must not wait for another thread.
    public init(_ action: @escaping @Sendable () -> Void) {
        number = Self.state.withLock { state in
            state.next += 1
            state.actions[state.next] = action
            return state.next
        }
    }

    /// Unregisters the action, because its work has been done.
    public func cancel() {
        Self.state.withLock { state in _ = state.actions.removeValue(forKey: number) }
    }

    /// Runs the registered actions, the newest first, each once. Called right before the process ends.
    public static func runAll() {
        let actions = state.withLock { state in
            defer { state.actions = [:] }
            return state.actions.sorted { $0.key > $1.key }.map(\.value)
        }
        for action in actions { action() }
    }
}
