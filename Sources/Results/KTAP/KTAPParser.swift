// SPDX-License-Identifier: Apache-2.0
/// Parses TAP 12, 13 and 14, KTAP version 1, and kselftest's use of them, from bytes as they arrive.
///
/// It accepts any bytes and never throws: other lines are kept as diagnostics, and errors become `KTAPProblem`s. The
/// division of the bytes into chunks makes no difference. `KTAPLimits` bounds what is kept.
///
/// - Subtests are indented by any number of blanks, or by `# ` as kselftest embeds them. The result of their parent
///   follows them; a parent fails if a subtest does, or if subtests are missing.
/// - printk's prefixes are removed from each line by their form, in any width; any other prefix by its shape on a
///   version line.
/// - A line is read as a terminal shows it: without escape sequences, and without progress that a carriage return
///   overwrote. An overwritten result still counts.
/// - A result that a kernel message tore is joined again, and marked as torn.
/// - `prove -v` is read by file: its verdict on a file is the parent of the file's results.
/// - In KTAP a result needs its number. TAP's `ok` without a number only counts where there are tests already, so that
///   prose does not count.
public struct KTAPParser: Sendable {
    /// A new result, with its subtests.
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
    private var torn: TornLine?
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

    /// The lines of an output that are not empty, in the form that a terminal shows.
    public static func shownLines(of output: [UInt8]) -> [String] {
        output.split(separator: UInt8(ascii: "\n")).flatMap { ShownLine.parts(of: $0) }
            .map { String(decoding: $0, as: UTF8.self) }
    }

    /// Consumes the next bytes of the stream, and returns the results that they complete.
    @discardableResult
    public mutating func consume(_ bytes: [UInt8]) -> [Reported] {
        consume(bytes[...])
    }

    /// Consumes the next bytes of the stream, and returns the results that they complete.
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

    /// Ends the stream and returns its results. The parser is then at the start of another stream.
    public mutating func finish() -> KTAPDocument {
        if !partial.isEmpty {
            takePartialLine()
            if builder.lastLineMattered {
                builder.report(.unterminatedLine, lineNumber, "the last line has no newline; it may be cut off")
            }
        }
        if let torn { builder.take(KTAPLine(torn.head[...]), number: torn.number, isTorn: true) }
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
        if lineNumber == 1, line.starts(with: Self.byteOrderMark) { line = line.dropFirst(Self.byteOrderMark.count) }
        let parts = ShownLine.parts(of: line)
        for (index, part) in parts.enumerated() {
            // Overwritten progress is dropped; an overwritten result is not, because otherwise a failure could be
            // hidden.
            if index + 1 < parts.count, !Self.outlasts(part, parts[index + 1]) { continue }
            takeShown(part)
        }
        if isCut, builder.lastLineMattered {
            builder.report(.longLine, lineNumber, "the line is longer than \(limits.lineBytes) bytes and was cut")
        }
    }

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Whether a part of a line that the next part overwrote still counts.
    private static func outlasts(_ part: ArraySlice<UInt8>, _ next: ArraySlice<UInt8>) -> Bool {
        let line = KTAPLine(part)
        guard line.commentColumn == nil else { return false }
        switch line.kind {
        case .version, .plan, .bailOut, .malformed: return true
        case .result(let result):
            guard result.hasNumber else { return !result.isOK }
            // The same verdict written again, for example by a runner that adds the test's time.
            if case .result(let later) = KTAPLine(next).kind, later.number == result.number, later.isOK == result.isOK {
                return false
            }
            return true
        case .subtest, .yamlStart, .yamlEnd, .blockEnd, .proveVerdict, .other: return false
        }
    }

    // MARK: Torn lines

    /// A line that a kernel message tore: the text before the message, and the number of the line. The rest follows as
    /// a separate line.
    private struct TornLine {
        var head: [UInt8]
        var number: Int
    }

    private mutating func takeShown(_ line: ArraySlice<UInt8>) {
        if let before = torn {
            // Several kernel messages may be between the two halves.
            guard LinePrefix.printkLength(line) == 0 else {
                builder.take(KTAPLine(prefix.strip(line)), number: lineNumber)
                return
            }
            torn = nil
            if prefix.tear(in: line) == nil {
                takeRest(line, of: before)
                return
            }
            builder.take(KTAPLine(before.head[...]), number: before.number, isTorn: true)
        }
        if let tear = prefix.tear(in: line) {
            torn = TornLine(head: Array(line[..<tear]), number: lineNumber)
        } else {
            builder.take(KTAPLine(prefix.strip(line)), number: lineNumber)
        }
    }

    /// Consumes the line after a torn one: its rest, unless the torn line was complete and this line is structural
    /// itself.
    private mutating func takeRest(_ line: ArraySlice<UInt8>, of torn: TornLine) {
        var isWhole = false
        if case .result(let result) = KTAPLine(torn.head[...]).kind {
            isWhole = result.hasNumber && !result.name.isEmpty
        }
        var isOther = false
        if case .other = KTAPLine(line).kind { isOther = true }
        // A `#` could be a directive, which must not change the kind of a failure.
        if isWhole, !isOther || line.contains(hash) {
            builder.take(KTAPLine(torn.head[...]), number: torn.number, isTorn: true)
            builder.take(KTAPLine(prefix.strip(line)), number: lineNumber)
        } else {
            builder.take(KTAPLine((torn.head + line)[...]), number: torn.number, isTorn: true)
        }
    }
}
