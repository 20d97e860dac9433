// SPDX-License-Identifier: Apache-2.0
/// The last lines of many.
struct TailBuffer {
    let limit: Int
    private var lines: [String] = []

    init(limit: Int) {
        self.limit = limit
    }

    /// Adds a line. Dropped lines return their bytes to the budget.
    mutating func append(_ line: String, _ budget: inout TextBudget) {
        lines.append(line)
        // Dropping half at a time keeps the cost of many lines linear.
        guard lines.count >= 2 * max(1, limit) else { return }
        let surplus = lines.count - limit
        for dropped in lines.prefix(surplus) { budget.giveBack(dropped) }
        lines.removeFirst(surplus)
    }

    /// Returns the remaining lines, and empties the buffer.
    mutating func take() -> [String] {
        defer { lines = [] }
        return lines.count > limit ? Array(lines.suffix(limit)) : lines
    }
}

/// The remaining budget for text.
struct TextBudget {
    private(set) var left: Int
    /// The bytes of a name to keep when nothing is left.
    let clip: Int

    init(left: Int, clip: Int) {
        self.left = left
        self.clip = clip
    }

    /// Keeps an optional text: nil when there is no space for it.
    mutating func keep(_ bytes: ArraySlice<UInt8>) -> String? {
        // The repaired text counts: malformed UTF-8 grows.
        let text = String(decoding: bytes, as: UTF8.self)
        let cost = text.utf8.count + Self.overhead
        guard cost <= left else { return nil }
        left -= cost
        return text
    }

    /// Keeps a required text, cut when there is no space for it.
    mutating func name(_ bytes: ArraySlice<UInt8>) -> String {
        keep(bytes) ?? String(decoding: bytes.prefix(clip), as: UTF8.self)
    }

    mutating func giveBack(_ text: String) {
        left += text.utf8.count + Self.overhead
    }

    /// A string's own storage; otherwise empty lines would be free.
    private static let overhead = 16
}
