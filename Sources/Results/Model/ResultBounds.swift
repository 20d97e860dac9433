// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// How much of what a guest says a result holds. What is left out is counted, and each renderer says so; that something
/// failed is never left out.
package enum ResultBounds {
    /// The most issues kept of a test.
    package static let mostIssues = 100
    /// The most problems kept of a program, and faults of a session.
    package static let mostProblems = 100
    /// The most bytes kept of a problem.
    package static let longestProblem = 4 << 10

    /// Leaves out notes beyond the bound; the last one kept then says so.
    package static func bound(notes: inout [String]) {
        if let last = notes.last, last.utf8.count > longestProblem + 100 {
            notes[notes.count - 1] = last.cut(toBytes: longestProblem)
        }
        guard notes.count > mostProblems else { return }
        notes.removeLast(notes.count - mostProblems)
        notes[mostProblems - 1] = "... and more notes not shown"
    }
}
