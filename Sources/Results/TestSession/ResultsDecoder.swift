// SPDX-License-Identifier: Apache-2.0
/// Splits the bytes of a results port, or of a console that carries results, into frames and console lines.
///
/// On a separate port, frames come in order, each once; anything else is a fault. On the console the kernel's messages
/// can tear a frame, so the host answers each: `ack` for a whole frame, `nak` for a torn one, and init repeats it.
public struct ResultsDecoder: Sendable {
    /// The contents of the bytes.
    public enum Item: Equatable, Sendable {
        /// A whole frame, the next in order.
        case frame(Frame)
        /// A line of the console, without its line end.
        case line([UInt8])
        /// Something on the results port that is not the next frame.
        case fault(String)
    }

    /// A longer line is passed on in pieces: a guest's output must not fill the host's memory.
    static let longestLine = 1 << 20

    /// Whether the bytes come from the serial console.
    private let isConsole: Bool
    /// Whether that console carries results.
    private let carriesResults: Bool
    private var pending: [UInt8] = []
    private var lastSequence = 0
    /// The answers to send to the guest.
    public private(set) var replies: [UInt8] = []

    private init(isConsole: Bool, carriesResults: Bool) {
        self.isConsole = isConsole
        self.carriesResults = carriesResults
    }

    /// A decoder for a port that carries only frames.
    public static func port() -> ResultsDecoder { ResultsDecoder(isConsole: false, carriesResults: true) }
    /// A decoder for the serial console.
    public static func console(carriesResults: Bool) -> ResultsDecoder {
        ResultsDecoder(isConsole: true, carriesResults: carriesResults)
    }

    /// Consumes bytes and returns the items that they complete.
    public mutating func consume(_ bytes: some Collection<UInt8>) -> [Item] {
        var items: [Item] = []
        var rest = bytes[...]
        while let newline = rest.firstIndex(of: 0x0A) {
            pending += rest[..<newline]
            rest = rest[rest.index(after: newline)...]
            let line = pending
            pending = []
            interpret(line, into: &items)
        }
        pending += rest
        if pending.count > Self.longestLine {
            let line = pending
            pending = []
            interpret(line, into: &items)
        }
        return items
    }

    /// Returns the items in an unfinished last line.
    public mutating func finish() -> [Item] {
        guard !pending.isEmpty else { return [] }
        let line = pending
        pending = []
        if !isConsole { return [.fault("the results end in the middle of a record")] }
        var items: [Item] = []
        interpret(line, into: &items)
        return items
    }

    /// Returns and clears the waiting answers.
    public mutating func takeReplies() -> [UInt8] {
        defer { replies = [] }
        return replies
    }

    private mutating func interpret(_ line: [UInt8], into items: inout [Item]) {
        guard carriesResults, let marker = line.firstIndex(of: Frame.marker) else {
            if isConsole {
                items.append(.line(line.last == 0x0D ? Array(line.dropLast()) : line))
            } else {
                items.append(.fault("the results port carried something that is not a record"))
            }
            return
        }
        if marker > line.startIndex {
            if isConsole {
                items.append(.line(Array(line[..<marker])))
            } else {
                items.append(.fault("the results port carried something before a record"))
            }
        }
        switch Frame.parse(line[(marker + 1)...]) {
        case .frame(let frame):
            if isConsole { replies += Array("ack \(frame.sequence)\n".utf8) }
            if frame.sequence == lastSequence + 1 {
                lastSequence = frame.sequence
                items.append(.frame(frame))
            } else if !isConsole || frame.sequence > lastSequence {
                items.append(.fault("record \(frame.sequence) came after record \(lastSequence)"))
            }
        case .damaged(let sequence):
            if isConsole {
                // The text that tore the frame is a message of the kernel and belongs to the console.
                items.append(.line(Array(line[marker...])))
                replies += Array("nak \(sequence ?? lastSequence + 1)\n".utf8)
            } else {
                items.append(.fault("a record on the results port is damaged"))
            }
        }
    }
}
