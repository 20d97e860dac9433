// SPDX-License-Identifier: Apache-2.0
/// An event that a long operation reports while it runs.
public enum ProgressEvent: Sendable, Equatable {
    /// A line that every user should see, such as a fallback that was taken.
    case note(String)
    /// A line for `--verbose`.
    case detail(String)
    /// A command that is about to run, quoted for a shell.
    case command(String)
    /// The progress of a step: `done` of `total` units (`total` nil when unknown), and the current item.
    case advance(done: Int, total: Int?, label: String)
}

/// The receiver of progress events: a value, so that a test can collect the events and a quiet run can drop them.
public struct ProgressSink: Sendable {
    private let sink: @Sendable (ProgressEvent) -> Void

    /// Creates a receiver that passes every event to `sink`, on the thread that reports it.
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
