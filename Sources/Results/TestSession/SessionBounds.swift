// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// How much of what a guest says is kept. What is left out is counted, and each renderer says so; that something failed is
/// never left out.
enum SessionBounds {
    /// The most issues kept of a test.
    static let mostIssues = 100
    /// The most problems kept of a program, and faults of a session.
    static let mostProblems = 100
    /// The most bytes kept of an issue's message, of which a failed `#expect` of large values has some hundreds.
    static let longestMessage = 16 << 10
    /// The most bytes kept of a problem.
    static let longestProblem = 4 << 10
    /// The bytes kept of a text when there is no room for more.
    static let shortestCut = 200
    /// The most tests that a bundle may describe: with their filter's, all tests of swift-testing's own suites are 3,000.
    static let mostTests = 50_000
    /// The most bytes of their names.
    static let mostNameBytes = 16 << 20
    /// The most tests of a bundle that run at one time.
    static let mostRunning = 1_000
    /// The most bytes of issues of a session; less for one with few tests, of which a run may have thousands.
    static let mostMessageBytes = 8 << 20
    static let messageBytesOfTest = 64 << 10
    /// The most bytes of the kernel's log that are given to tests.
    static let mostKernelLogBytes = 8 << 20
    /// The most bytes kept of a line that a program printed.
    static let longestOutputLine = 4 << 10

    /// A text, cut with a remark after so many bytes.
    static func cut(_ text: String, to most: Int) -> String {
        let bytes = text.utf8
        guard bytes.count > most else { return text }
        // Where a character begins: its later bytes are 10xxxxxx.
        var end = bytes.index(bytes.startIndex, offsetBy: most)
        while end > bytes.startIndex, bytes[end] & 0xC0 == 0x80 { end = bytes.index(before: end) }
        return String(text[..<end]) + cutRemark(bytes.distance(from: end, to: bytes.endIndex), "byte")
    }

    /// Leaves out notes beyond the bound; the last one kept then says so.
    static func bound(notes: inout [String]) {
        if let last = notes.last, last.utf8.count > longestProblem + 100 {
            notes[notes.count - 1] = cut(last, to: longestProblem)
        }
        guard notes.count > mostProblems else { return }
        notes.removeLast(notes.count - mostProblems)
        notes[mostProblems - 1] = "... and more notes not shown"
    }

    /// The last lines of what a program printed.
    static func lastLines(of output: [UInt8], most: Int) -> [String] {
        var start = output.endIndex
        var count = 0
        while start > output.startIndex {
            if output[start - 1] == 0x0A {
                count += 1
                if count == most { break }
            }
            start -= 1
        }
        return output[start...].split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            let line = line.last == 0x0D ? line.dropLast() : line
            return cut(VisibleText.decoded(line), to: longestOutputLine)
        }
    }
}

extension TestOutcome {
    /// Leaves out issues beyond the bound, but never the first one that fails the test.
    mutating func boundIssues() {
        while issues.count > SessionBounds.mostIssues {
            let kept = issues.dropLast()
            let isFirstFailure = issues.last?.isKnown == false && kept.allSatisfy(\.isKnown)
            issues.remove(at: isFirstFailure ? issues.count - 2 : issues.count - 1)
            omittedIssues += 1
        }
    }
}

extension ProgramOutcome {
    /// Leaves out problems beyond the bound, and the rest of one that is very long.
    mutating func boundProblems() {
        if let last = problems.last, last.utf8.count > SessionBounds.longestProblem + 100 {
            problems[problems.count - 1] = SessionBounds.cut(last, to: SessionBounds.longestProblem)
        }
        guard problems.count > SessionBounds.mostProblems else { return }
        omittedProblems += problems.count - SessionBounds.mostProblems
        problems.removeLast(problems.count - SessionBounds.mostProblems)
    }
}
