// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The amount of a guest's output that a result keeps. Omissions are counted, and each renderer reports them; the fact
/// that something failed is never omitted.
package enum ResultBounds {
    /// The most issues to keep of a test.
    package static let mostIssues = 100
    /// The most problems to keep of a program, and faults of a session.
    package static let mostProblems = 100
    /// The most bytes to keep of a problem.
    package static let longestProblem = 4 << 10

    /// Omits notes beyond the bound; the last kept note then has that remark.
    package static func bound(notes: inout [String]) {
        if let last = notes.last, last.utf8.count > longestProblem + 100 {
            notes[notes.count - 1] = last.cut(toBytes: longestProblem)
        }
        guard notes.count > mostProblems else { return }
        notes.removeLast(notes.count - mostProblems)
        notes[mostProblems - 1] = "... and more notes not shown"
    }
}
