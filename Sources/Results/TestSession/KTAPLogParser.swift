// SPDX-License-Identifier: Apache-2.0
import KTAP
import ResultsModel

/// Reads the results of a KTAP or TAP log from any source, like those of a program in a guest.
public struct KTAPLogParser: Sendable {
    private var parser = KTAPParser()
    private let name: String

    /// Creates a parser at the start of a log.
    ///
    /// - Parameter name: The beginning of the tests' names.
    public init(name: String) {
        self.name = name
    }

    /// Consumes the next bytes.
    public mutating func consume(_ bytes: ArraySlice<UInt8>) {
        parser.consume(bytes)
    }

    /// Ends the log.
    ///
    /// - Returns: Its tests, and the errors in the log.
    public mutating func finish() -> SuiteResult {
        let document = parser.finish()
        let suite = KTAPSuite(document, program: name)
        var outcome = SuiteResult(name: name, kind: "ktap")
        outcome.tests = suite.tests
        outcome.problems = suite.problems
        outcome.notes = KTAPSuite.notes(of: document)
        outcome.output = document.diagnostics
        return outcome
    }
}
