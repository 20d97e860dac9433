// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The amount of a guest's output to keep. Omissions are counted, and each renderer reports them; the fact that
/// something failed is never omitted.
enum SessionBounds {
    /// The most bytes to keep of an issue's message; a failed `#expect` of large values has some hundreds.
    static let longestMessage = 16 << 10
    /// The bytes to keep of a text when there is no space for more.
    static let shortestCut = 200
    /// The most tests that a bundle may describe: for comparison, swift-testing's own suites have 3,000 tests.
    static let mostTests = 50_000
    /// The most bytes of their names.
    static let mostNameBytes = 16 << 20
    /// The most tests of a bundle that run at one time.
    static let mostRunning = 1_000
    /// The most bytes of issues of a session; less for a session with few tests, of which a run may have thousands.
    static let mostMessageBytes = 8 << 20
    static let messageBytesOfTest = 64 << 10
    /// The most bytes of the kernel's log to assign to tests.
    static let mostKernelLogBytes = 8 << 20
    /// The most bytes of coverage counters: those of a call take some hundreds for each test.
    static let mostCounterBytes = 64 << 20
    /// The most bytes to keep of a line of a program's output.
    static let longestOutputLine = 4 << 10

    /// The last lines of a program's output.
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
            return VisibleText.decoded(line).cut(toBytes: longestOutputLine)
        }
    }
}
