// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// What the recorder tells as it goes.
public enum SessionEvent: Sendable, Equatable {
    /// The guest is up and its init talks; the kernel's release.
    case booted(release: String)
    /// A test started.
    case testStarted(id: String)
    /// A test ended.
    case testEnded(TestResult)
    /// The kernel reported a crash.
    case crashed(Crash)
    /// The guest's end marker came.
    case ended
}

/// What a program does that somebody talks with.
public enum Interaction: Sendable, Equatable {
    /// It is about to start, and waits for the word.
    case started
    /// It printed this to its standard output or its terminal.
    case output([UInt8])
    /// It printed this to its standard error.
    case errors([UInt8])
    /// So many bytes of its input are out of the way.
    case took(Int)
}
