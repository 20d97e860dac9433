// SPDX-License-Identifier: Apache-2.0
/// Splits chunks of bytes into lines, in time linear in the bytes. At most `longest` bytes of a line are kept, so that
/// the output of a tool or a guest cannot fill the memory.
public struct LineSplitter: Sendable {
    /// A line without its end, which is an LF after any number of CRs.
    public struct Line: Sendable, Equatable {
        /// Its bytes; of a very long line, the first bytes.
        public var bytes: [UInt8]
        /// The number of bytes cut off.
        public var omitted: Int

        /// Creates a line.
        public init(bytes: [UInt8], omitted: Int) { (self.bytes, self.omitted) = (bytes, omitted) }

        /// The line as text, with malformed UTF-8 escaped, and with a remark when it was cut.
        public var text: String {
            omitted == 0 ? VisibleText.decoded(bytes) : VisibleText.decoded(bytes) + cutRemark(omitted, "byte")
        }
    }

    private let longest: Int
    private var partial: [UInt8] = []
    private var omitted = 0
    private var hasPartial = false

    /// Creates a splitter at the start of a stream.
    ///
    /// - Parameter longest: The most bytes kept of a line.
    public init(longest: Int = 64 << 10) {
        self.longest = longest
    }

    /// Passes on the lines that the bytes complete.
    public mutating func consume(_ bytes: ArraySlice<UInt8>, _ body: (Line) throws -> Void) rethrows {
        var rest = bytes
        while let newline = rest.firstIndex(of: 0x0A) {
            append(rest[..<newline])
            rest = rest[(newline + 1)...]
            try hand(to: body)
        }
        if !rest.isEmpty {
            append(rest)
            hasPartial = true
        }
    }

    /// Passes on a last line without an end.
    public mutating func finish(_ body: (Line) throws -> Void) rethrows {
        if hasPartial { try hand(to: body) }
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>) {
        let room = longest - partial.count
        partial += bytes.prefix(room)
        omitted += max(0, bytes.count - room)
    }

    private mutating func hand(to body: (Line) throws -> Void) rethrows {
        // A console ends lines with CR LF, some with more than one CR.
        while partial.last == 0x0D { partial.removeLast() }
        let line = Line(bytes: partial, omitted: omitted)
        partial.removeAll(keepingCapacity: true)
        omitted = 0
        hasPartial = false
        try body(line)
    }
}
