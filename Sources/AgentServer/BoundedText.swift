// SPDX-License-Identifier: Apache-2.0

/// The beginning and the end of a text that may be too long for an agent.
public struct BoundedText: Sendable, Equatable {
    /// The text, with a remark where a part is left out.
    public var text: String
    /// The number of bytes left out.
    public var omitted: Int

    /// Shortens a text to at most `limit` bytes, besides the remark. Two thirds are its beginning: a report begins with
    /// the failed tests, and ends with the verdict.
    public init(_ text: String, limit: Int) {
        let bytes = Array(text.utf8)
        guard bytes.count > limit else {
            (self.text, omitted) = (text, 0)
            return
        }
        let headEnd = Self.boundary(in: bytes, at: limit * 2 / 3, forward: false)
        let tailStart = Self.boundary(in: bytes, at: bytes.count - limit / 3, forward: true)
        omitted = tailStart - headEnd
        self.text =
            String(decoding: bytes[..<headEnd], as: UTF8.self) + "\n[\(omitted) bytes left out]\n"
            + String(decoding: bytes[tailStart...], as: UTF8.self)
    }

    /// The nearest place, at most a line of 200 bytes away, after a line's end; else the nearest between characters.
    private static func boundary(in bytes: [UInt8], at place: Int, forward: Bool) -> Int {
        let reach = 200
        let range = forward ? place..<min(bytes.count, place + reach) : max(0, place - reach)..<place
        let newline = forward ? bytes[range].firstIndex(of: 0x0A) : bytes[range].lastIndex(of: 0x0A)
        if let newline { return newline + 1 }
        var result = place
        // Bytes 10xxxxxx continue a character of UTF-8.
        while result > 0, result < bytes.count, bytes[result] & 0xC0 == 0x80 { result += forward ? 1 : -1 }
        return result
    }
}
