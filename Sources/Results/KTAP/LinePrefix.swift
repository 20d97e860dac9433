// SPDX-License-Identifier: Apache-2.0
/// The prefix of every line of a log: printk's level, time stamp and caller, or the prefix of another tool (journald, a
/// CI system).
struct LinePrefix {
    /// The text before printk's own prefix, measured on a version line; each later line is compared with its shape, so
    /// that a line without it is not cut.
    private var foreign: [UInt8] = []

    /// Whether the version line had a time stamp, so that other lines have one too.
    private var isStamped = false

    /// The longest accepted foreign prefix.
    private static let longest = 256

    /// The line without its prefix.
    mutating func strip(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let whole = line
        var line = line
        if !foreign.isEmpty, line.count >= foreign.count, zip(line, foreign).allSatisfy(Self.isAlike) {
            line = line.dropFirst(foreign.count)
        }
        let length = Self.printkLength(line)
        var text = line.dropFirst(length)
        // Another program's unfinished line is before the kernel's line, unless the kernel's is the first.
        if length == 0, isStamped, let stamp = Self.stamp(in: line) {
            text = line[stamp...].dropFirst(Self.printkLength(line[stamp...]))
        }
        guard let start = KTAPLine.versionSuffix(of: text)?.start, start > text.startIndex else {
            if length > 0, KTAPLine.versionSuffix(of: text) != nil { isStamped = true }
            return text
        }
        // Blanks and `# ` are nesting, and a comment that quotes a version line is a comment.
        let lead = text[..<start].trimmingStart()
        if lead.isEmpty || lead.first == hash { return text }
        let before = whole[..<start]
        guard before.count <= Self.longest else { return text }
        foreign = Array(before)
        isStamped = false
        for index in before.indices where Self.printkLength(before[index...]) == before.endIndex - index {
            foreign = Array(before[..<index])
            isStamped = true
            break
        }
        return text[start...]
    }

    /// The position of the time stamp at which a kernel message tore a structural line. nil if none did.
    ///
    /// On a stream of printk's lines the kernel's part of a line counts, so there is no tear.
    func tear(in line: ArraySlice<UInt8>) -> Int? {
        guard foreign.isEmpty, !isStamped, let stamp = Self.stamp(in: line), stamp > line.startIndex else { return nil }
        let head = line[..<stamp]
        switch KTAPLine.Beginning(of: head) {
        case .nothing: return nil
        case .incomplete: return stamp
        case .named:
            // A name may quote a time stamp: the kernel's text begins without a blank, or names the part of the kernel.
            let message = line[stamp...].dropFirst(Self.printkLength(line[stamp...]))
            let namesPart = message.indices.dropLast().contains {
                message[$0] == UInt8(ascii: ":") && message[$0 + 1] == space
            }
            return head.last != space || namesPart ? stamp : nil
        }
    }

    /// The position of printk's time stamp in a line, in printk's form: with six decimals, and a blank after it or
    /// after the caller. nil if there is none.
    private static func stamp(in line: ArraySlice<UInt8>) -> Int? {
        var index = line.startIndex
        let end = min(line.endIndex, line.startIndex + longest)
        while index < end {
            if line[index] == UInt8(ascii: "[") {
                let length = printkLength(line[index...])
                let prefix = line[index..<(index + length)]
                let decimals = prefix.drop { $0 != UInt8(ascii: ".") }.dropFirst().prefix(while: isDigit)
                if decimals.count == 6, prefix.last == space { return index }
            }
            index += 1
        }
        return nil
    }

    /// Digits and blanks match each other, and letters match letters, as in a date; other bytes must be equal.
    private static func isAlike(_ a: UInt8, _ b: UInt8) -> Bool {
        func shape(_ byte: UInt8) -> UInt8 {
            if isDigit(byte) || byte == space { return space }
            let lower = byte | 0x20
            return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z") ? UInt8(ascii: "a") : byte
        }
        return a == b || shape(a) == shape(b)
    }

    /// The length of printk's prefix: `<6>`, `[    1.234567]`, `[   T12]` (CONFIG_PRINTK_CALLER: T a task, C a CPU),
    /// each optional, in this order, and one blank after the brackets. Widths may vary from line to line.
    static func printkLength(_ line: ArraySlice<UInt8>) -> Int {
        var index = line.startIndex
        func at(_ position: Int) -> UInt8? { position < line.endIndex ? line[position] : nil }
        func digits(from position: Int) -> Int {
            var end = position
            while let byte = at(end), isDigit(byte) { end += 1 }
            return end
        }
        if at(index) == UInt8(ascii: "<") {
            let end = digits(from: index + 1)
            if end > index + 1, end <= index + 4, at(end) == UInt8(ascii: ">") { index = end + 1 }
        }
        var hasBrackets = false
        if let end = bracket(
            at: index,
            { start in
                let point = digits(from: start)
                guard point > start, at(point) == UInt8(ascii: ".") else { return nil }
                let end = digits(from: point + 1)
                return end > point + 1 ? end : nil
            })
        {
            index = end
            hasBrackets = true
        }
        if let end = bracket(
            at: index,
            { start in
                guard at(start) == UInt8(ascii: "T") || at(start) == UInt8(ascii: "C") else { return nil }
                let end = digits(from: start + 1)
                return end > start + 1 ? end : nil
            })
        {
            index = end
            hasBrackets = true
        }
        if hasBrackets, at(index) == space { index += 1 }
        return index - line.startIndex

        /// The end of `[`, blanks, the part that `body` accepts, `]`.
        func bracket(at start: Int, _ body: (Int) -> Int?) -> Int? {
            guard at(start) == UInt8(ascii: "[") else { return nil }
            var position = start + 1
            while at(position) == space { position += 1 }
            guard let end = body(position), at(end) == UInt8(ascii: "]") else { return nil }
            return end + 1
        }
    }
}
