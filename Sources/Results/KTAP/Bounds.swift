// SPDX-License-Identifier: Apache-2.0
/// The last lines of many.
struct TailBuffer {
    let limit: Int
    private var lines: [String] = []

    init(limit: Int) {
        self.limit = limit
    }

    /// Adds a line. Lines that fall out give their bytes back to the budget.
    mutating func append(_ line: String, _ budget: inout TextBudget) {
        lines.append(line)
        // Dropping half at a time keeps a flood of lines linear.
        guard lines.count >= 2 * max(1, limit) else { return }
        let surplus = lines.count - limit
        for dropped in lines.prefix(surplus) { budget.giveBack(dropped) }
        lines.removeFirst(surplus)
    }

    /// The lines that are left, and an empty buffer.
    mutating func take() -> [String] {
        defer { lines = [] }
        return lines.count > limit ? Array(lines.suffix(limit)) : lines
    }
}

/// How much more text may be kept.
struct TextBudget {
    private(set) var left: Int
    /// What remains of a name once nothing is left.
    let clip: Int

    init(left: Int, clip: Int) {
        self.left = left
        self.clip = clip
    }

    /// A text that can be done without: nil when there is no room for it.
    mutating func keep(_ bytes: ArraySlice<UInt8>) -> String? {
        // The repaired text counts: malformed UTF-8 grows.
        let text = String(decoding: bytes, as: UTF8.self)
        let cost = text.utf8.count + Self.overhead
        guard cost <= left else { return nil }
        left -= cost
        return text
    }

    /// A text that is needed, cut when there is no room for it.
    mutating func name(_ bytes: ArraySlice<UInt8>) -> String {
        keep(bytes) ?? String(decoding: bytes.prefix(clip), as: UTF8.self)
    }

    mutating func giveBack(_ text: String) {
        left += text.utf8.count + Self.overhead
    }

    /// A string's own storage, or empty lines would be free.
    private static let overhead = 16
}
