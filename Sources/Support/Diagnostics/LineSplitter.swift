// SPDX-License-Identifier: Apache-2.0
/// Parts bytes into lines, however they are cut into chunks, in time linear in the bytes. Of a line no more is kept
/// than `longest` bytes: nothing that a tool or a guest prints may fill the memory.
public struct LineSplitter: Sendable {
    /// A line, without its end, be that LF or any number of CR and an LF.
    public struct Line: Sendable, Equatable {
        /// Its bytes, of a very long one the first.
        public var bytes: [UInt8]
        /// How many more it had.
        public var omitted: Int

        /// The line as text, with bytes that are no UTF-8 spelled out, and with a remark when it was cut.
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

    /// Hands on the lines that the bytes complete.
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

    /// Hands on a last line that has no end.
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
