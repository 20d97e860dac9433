// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Finds the crash reports in a console log from anywhere. It is what a live console is read by.
public struct ConsoleLogParser: Sendable {
    private var splitter = LineSplitter(longest: ConsoleLine.longest + 1)
    private var detector = CrashDetector(trust: .allUntilStamped)

    /// Creates a parser at the start of a log.
    public init() {}

    /// Takes in the next bytes.
    public mutating func consume(_ bytes: ArraySlice<UInt8>) {
        splitter.consume(bytes) { _ = detector.consume(ConsoleLine($0.bytes), runningTest: nil) }
    }

    /// Ends the log.
    ///
    /// - Returns: The reports in the order in which they began, with their lines in the log.
    public mutating func finish() -> [Crash] {
        splitter.finish { _ = detector.consume(ConsoleLine($0.bytes), runningTest: nil) }
        _ = detector.finish()
        return detector.crashes
    }
}
