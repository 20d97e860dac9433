import KTAP

/// Parts bytes into lines, however they are cut into chunks. Of a line no more is kept than its reader looks at.
struct LineSplitter: Sendable {
    private let longest: Int
    private var partial: [UInt8] = []
    private var hasPartial = false

    init(longest: Int) {
        self.longest = longest
    }

    /// Hands on the lines that the bytes complete, without their ends.
    mutating func consume(_ bytes: ArraySlice<UInt8>, _ body: ([UInt8]) -> Void) {
        var rest = bytes
        while let newline = rest.firstIndex(of: 0x0A) {
            append(rest[..<newline])
            rest = rest[(newline + 1)...]
            hand(to: body)
        }
        if !rest.isEmpty {
            append(rest)
            hasPartial = true
        }
    }

    /// Hands on a last line that has no end.
    mutating func finish(_ body: ([UInt8]) -> Void) {
        if hasPartial { hand(to: body) }
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>) {
        partial += bytes.prefix(longest - partial.count)
    }

    private mutating func hand(to body: ([UInt8]) -> Void) {
        // A console ends lines with CR LF, some with more than one CR.
        while partial.last == 0x0D { partial.removeLast() }
        body(partial)
        partial.removeAll(keepingCapacity: true)
        hasPartial = false
    }
}

/// Finds the crash reports in a console log from anywhere. It is what a live console is read by.
public struct ConsoleLogParser: Sendable {
    private var splitter = LineSplitter(longest: ConsoleLine.longest + 1)
    private var detector = CrashDetector(trust: .allUntilStamped)

    /// Creates a parser at the start of a log.
    public init() {}

    /// Takes in the next bytes.
    public mutating func consume(_ bytes: ArraySlice<UInt8>) {
        splitter.consume(bytes) { _ = detector.consume(ConsoleLine($0), runningTest: nil) }
    }

    /// Ends the log.
    ///
    /// - Returns: The reports in the order in which they began, with their lines in the log.
    public mutating func finish() -> [Crash] {
        splitter.finish { _ = detector.consume(ConsoleLine($0), runningTest: nil) }
        _ = detector.finish()
        return detector.crashes
    }
}

/// Reads the results of a KTAP or TAP log from anywhere, as those of a program in a guest are read.
public struct KTAPLogParser: Sendable {
    private var parser = KTAPParser()
    private let name: String

    /// Creates a parser at the start of a log.
    ///
    /// - Parameter name: What the tests' names begin with.
    public init(name: String) {
        self.name = name
    }

    /// Takes in the next bytes.
    public mutating func consume(_ bytes: ArraySlice<UInt8>) {
        parser.consume(bytes)
    }

    /// Ends the log.
    ///
    /// - Returns: Its tests, and what is wrong with the log.
    public mutating func finish() -> ProgramOutcome {
        let document = parser.finish()
        let (tests, problems) = KTAPSuite.tests(of: document, program: name)
        var outcome = ProgramOutcome(name: name, kind: "ktap")
        outcome.tests = tests
        outcome.problems = problems
        outcome.output = document.diagnostics
        return outcome
    }
}
