// SPDX-License-Identifier: Apache-2.0
/// What a long operation tells about itself while it runs.
public enum ProgressEvent: Sendable, Equatable {
    /// A line that every user should see, such as a fallback that was taken.
    case note(String)
    /// A line for `--verbose`.
    case detail(String)
    /// A command about to run, as it could be pasted into a shell.
    case command(String)
    /// Work done so far within a step: `done` of `total` units (`total` nil when unknown), and what is worked on.
    case advance(done: Int, total: Int?, label: String)
}

/// Where progress goes. A value, so that a test can collect the events and a quiet run can drop them.
public struct ProgressSink: Sendable {
    private let sink: @Sendable (ProgressEvent) -> Void

    /// Creates a receiver that hands every event to `sink`, on the thread that reports it.
    public init(_ sink: @escaping @Sendable (ProgressEvent) -> Void) {
        self.sink = sink
    }

    /// A receiver that drops everything.
    public static let silent = ProgressSink { _ in }

    /// Reports one event.
    public func callAsFunction(_ event: ProgressEvent) {
        sink(event)
    }
}
