// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// The recorder's events.
public enum SessionEvent: Sendable, Equatable {
    /// The guest is up and its init sends frames; the kernel's release.
    case booted(release: String)
    /// A test started.
    case testStarted(id: String)
    /// A test ended.
    case testEnded(TestResult)
    /// The kernel reported a crash.
    case crashed(Crash)
    /// The guest's end marker arrived.
    case ended
}

/// The events of an interactive program.
public enum Interaction: Sendable, Equatable {
    /// It is about to start, and waits for `go`.
    case started
    /// It printed this to its standard output or its terminal.
    case output([UInt8])
    /// It printed this to its standard error.
    case errors([UInt8])
    /// Init has consumed so many bytes of its input.
    case ack(Int)
}
