/// Parses TAP 12, 13 and 14, KTAP version 1, and kselftest's use of them, as the bytes come.
///
/// It accepts any bytes and never throws: lines that mean nothing are kept as diagnostics, and what is wrong becomes a
/// `KTAPProblem`. How the bytes are cut into chunks makes no difference. What it keeps is bounded by `KTAPLimits`.
///
/// - Subtests are indented by any number of blanks, or by `# ` as kselftest embeds them. The result of their parent
///   follows them; a parent fails if a subtest does, or if subtests are missing.
/// - printk's prefixes are removed from each line by their form, whatever their width; any other prefix by the shape that
///   it has on a version line.
/// - In KTAP a result needs its number. TAP's `ok` without one is believed only where tests already are, so that prose
///   is not.
public struct KTAPParser: Sendable {
    /// A result that has just come, with its subtests.
    public struct Reported: Sendable, Equatable {
        /// 0 for a result at the top, 1 for a subtest, and so on.
        public var depth: Int
        /// The result. Its YAML block is still to come.
        public var result: KTAPResult
    }

    private let limits: KTAPLimits
    private var prefix = LinePrefix()
    private var partial: [UInt8] = []
    private var isCut = false
    private var lineNumber = 0
    var builder: DocumentBuilder

    /// Creates a parser at the start of a stream.
    public init(limits: KTAPLimits = KTAPLimits()) {
        self.limits = limits
        builder = DocumentBuilder(limits: limits)
    }

    /// Parses a whole text.
    public static func parse(_ text: String, limits: KTAPLimits = KTAPLimits()) -> KTAPDocument {
        var parser = KTAPParser(limits: limits)
        parser.consume(Array(text.utf8))
        return parser.finish()
    }

    /// Takes in the next bytes of the stream, and tells the results that they complete.
    @discardableResult
    public mutating func consume(_ bytes: [UInt8]) -> [Reported] {
        consume(bytes[...])
    }

    /// Takes in the next bytes of the stream, and tells the results that they complete.
    @discardableResult
    public mutating func consume(_ bytes: ArraySlice<UInt8>) -> [Reported] {
        var rest = bytes
        while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let end = rest[..<newline]
            if partial.isEmpty, !isCut, end.count <= limits.lineBytes {
                takeLine(end)
            } else {
                append(end)
                takePartialLine()
            }
            rest = rest[(newline + 1)...]
        }
        append(rest)
        return builder.takeReported()
    }

    /// Ends the stream and gives its results. The parser is then at the start of another stream.
    public mutating func finish() -> KTAPDocument {
        if !partial.isEmpty {
            takePartialLine()
            if builder.lastLineMattered {
                builder.report(.unterminatedLine, lineNumber, "the last line has no newline; it may be cut off")
            }
        }
        let document = builder.finish(line: lineNumber)
        self = KTAPParser(limits: limits)
        return document
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>) {
        let room = limits.lineBytes - partial.count
        partial += bytes.prefix(room)
        if bytes.count > room { isCut = true }
    }

    private mutating func takePartialLine() {
        let line = partial
        takeLine(line[...])
        partial.removeAll(keepingCapacity: true)
        isCut = false
    }

    private mutating func takeLine(_ bytes: ArraySlice<UInt8>) {
        lineNumber += 1
        var line = bytes
        // A console ends lines with CR LF, some with more than one CR.
        while line.last == UInt8(ascii: "\r") { line.removeLast() }
        builder.take(KTAPLine(prefix.strip(line)), number: lineNumber)
        if isCut, builder.lastLineMattered {
            builder.report(.longLine, lineNumber, "the line is longer than \(limits.lineBytes) bytes and was cut")
        }
    }
}
