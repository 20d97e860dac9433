// SPDX-License-Identifier: Apache-2.0
/// A parsed line: its indentation, and its kind.
struct KTAPLine {
    struct Result {
        var isOK: Bool
        /// nil without a number, and for a number that is too large.
        var number: Int?
        var hasNumber: Bool
        var name: ArraySlice<UInt8>
        var hasEscapes: Bool
        /// The text after `#`, trimmed; nil without one.
        var remark: ArraySlice<UInt8>?

        /// The result without the `{` at its end, after which its subtests follow, as node-tap and Vitest write them;
        /// nil without one.
        var withoutBrace: Result? {
            let brace = UInt8(ascii: "{")
            var result = self
            if let remark {
                guard remark.last == brace, remark.count == 1 || remark.dropLast().last == space else { return nil }
                let rest = remark.dropLast().trimmingEnd()
                result.remark = rest.isEmpty ? nil : rest
            } else {
                guard name.last == brace, name.dropLast().last == space else { return nil }
                result.name = name.dropLast().trimmingEnd()
            }
            return result
        }
    }

    enum Content {
        case version(KTAPDocument.Version)
        case plan(Int, skipReason: ArraySlice<UInt8>?)
        case result(Result)
        case bailOut(ArraySlice<UInt8>)
        case subtest(ArraySlice<UInt8>)
        /// `}` alone: the end of subtests in braces after their parent's line.
        case blockEnd
        case yamlStart
        case yamlEnd
        /// A line that begins like a result, a plan or `Bail out!` and does not have its form: `notok 1`, `ok1`,
        /// `1..-1`.
        case malformed
        /// The verdict of `prove -v` on a file after its results, except a bare `ok`.
        case proveVerdict(ProveVerdict)
        case other
    }

    /// The verdict of `prove` on a whole file.
    enum ProveVerdict {
        /// `ok`.
        case passed
        case skipped(ArraySlice<UInt8>)
        case failed
    }

    /// The kind of a piece at the start of a line.
    enum Beginning {
        /// It cannot become a structural line.
        case nothing
        /// It is part of a structural line, without the verdict, number or name yet.
        case incomplete
        /// It is a result with a name.
        case named

        init(of piece: ArraySlice<UInt8>) {
            let line = KTAPLine(piece)
            switch line.kind {
            case .result(let result): self = result.hasNumber && !result.name.isEmpty ? .named : .incomplete
            case .plan, .version, .malformed: self = .incomplete
            default:
                let text = line.content
                let words: [StaticString] = ["not ok ", "ok ", "1..", "KTAP version ", "TAP version ", "Bail out!"]
                let isPart =
                    !text.isEmpty
                    && words.contains { word in
                        word.withUTF8Buffer { $0.count >= text.count && $0.prefix(text.count).elementsEqual(text) }
                    }
                self = isPart ? .incomplete : .nothing
            }
        }
    }

    /// The indentation in columns; a leading `# ` (how kselftest embeds a test's own TAP) counts as two.
    var column: Int
    /// The column of the last leading `# `, nil without one.
    var commentColumn: Int?
    /// The text without its leading blanks and `# `.
    var content: ArraySlice<UInt8>
    /// The text of a diagnostic: after the `# ` of a comment, else the unchanged line.
    var diagnostic: ArraySlice<UInt8>
    var kind: Content

    /// Parses a line, without its newline and its prefix.
    init(_ line: ArraySlice<UInt8>) {
        var index = line.startIndex
        var column = 0
        commentColumn = nil
        diagnostic = line
        scan: while index < line.endIndex {
            switch line[index] {
            case space: column += 1
            case tab: column += 8
            case hash where index + 1 == line.endIndex || line[index + 1] == space:
                commentColumn = column
                column += 2
                index += index + 1 == line.endIndex ? 0 : 1
                diagnostic = line[(index + 1)...]
            default: break scan
            }
            index += 1
        }
        self.column = column
        content = line[index...].trimmingEnd()
        diagnostic = diagnostic.trimmingEnd()
        kind = Self.classify(content)
        if case .subtest = kind, commentColumn == nil { kind = .other }
    }

    private static func classify(_ text: ArraySlice<UInt8>) -> Content {
        // Most lines of a console end here: few letters and marks can begin a structural line.
        switch text.first {
        case UInt8(ascii: "o"), UInt8(ascii: "n"):
            return result(text).map(Content.result) ?? (beginsLikeResult(text) ? .malformed : .other)
        case UInt8(ascii: "O"), UInt8(ascii: "N"): return beginsLikeResult(text) ? .malformed : .other
        case UInt8(ascii: "b"): return beginsLikeBailOut(text) ? .malformed : .other
        case UInt8(ascii: "K"), UInt8(ascii: "T"):
            guard let suffix = versionSuffix(of: text), suffix.start == text.startIndex else { return .other }
            return .version(suffix.version)
        case UInt8(ascii: "1"): return plan(text)
        case UInt8(ascii: "B"):
            guard let reason = text.after("Bail out!") else {
                return beginsLikeBailOut(text) ? .malformed : .other
            }
            return .bailOut(reason.trimmingStart())
        case UInt8(ascii: "S"):
            guard let name = text.after("Subtest: ") else { return .other }
            return .subtest(name)
        case UInt8(ascii: "}"): return text.count == 1 ? .blockEnd : .other
        case UInt8(ascii: "-"): return text.elementsEqual("---".utf8) ? .yamlStart : .other
        case UInt8(ascii: "."): return text.elementsEqual("...".utf8) ? .yamlEnd : .other
        case UInt8(ascii: "A"), UInt8(ascii: "D"), UInt8(ascii: "F"), UInt8(ascii: "s"):
            return proveVerdict(text).map(Content.proveVerdict) ?? .other
        default: return .other
        }
    }

    /// The line that TAP::Formatter::Console of Perl's Test::Harness prints after a file's results, except a bare `ok`.
    private static func proveVerdict(_ text: ArraySlice<UInt8>) -> ProveVerdict? {
        if let reason = text.after("skipped: ") { return .skipped(reason.trimmingStart()) }
        if text.elementsEqual("skipped".utf8) { return .skipped([]) }
        if text.after("Dubious, test returned ") != nil { return .failed }
        // `Failed 1/2 subtests`; `All 2 subtests passed` only comes after `Dubious`.
        guard let rest = text.after("Failed ") ?? text.after("All "), let count = rest.first, isDigit(count) else {
            return nil
        }
        return rest.drop { isDigit($0) || $0 == UInt8(ascii: "/") }.after(" subtest") != nil ? .failed : nil
    }

    /// The file that a line of `prove` announces: a name, a blank, at least two dots. nil for any other line.
    var proveFile: ArraySlice<UInt8>? {
        guard column == 0, commentColumn == nil, case .other = kind else { return nil }
        let dots = content.suffix(where: { $0 == UInt8(ascii: ".") })
        let name = content.dropLast(dots.count)
        guard dots.count >= 2, name.last == space else { return nil }
        let trimmed = name.trimmingEnd()
        return trimmed.isEmpty ? nil : trimmed
    }

    /// The final verdict of `prove`: PASS, FAIL, NOTESTS.
    var proveTotal: ArraySlice<UInt8>? {
        guard column == 0, commentColumn == nil, case .other = kind else { return nil }
        return content.after("Result: ")
    }

    /// A version line at the end of a text.
    struct VersionSuffix {
        /// The index at which it starts.
        var start: Int
        var version: KTAPDocument.Version
    }

    /// The version line at the end of `text`, and its start. The text before it is a prefix.
    static func versionSuffix(of text: ArraySlice<UInt8>) -> VersionSuffix? {
        let text = text.trimmingEnd()
        let digits = text.suffix(where: isDigit)
        guard (1...3).contains(digits.count), let number = decimal(digits),
            let before = text[..<digits.startIndex].before("TAP version ")
        else { return nil }
        if before.last == UInt8(ascii: "K") { return VersionSuffix(start: before.endIndex - 1, version: .ktap(number)) }
        return VersionSuffix(start: before.endIndex, version: .tap(number))
    }

    /// `1..N`, followed by `# SKIP reason` in a stream that skips everything.
    private static func plan(_ text: ArraySlice<UInt8>) -> Content {
        guard let rest = text.after("1..") else { return .other }
        let digits = rest.prefix { isDigit($0) }
        let tail = rest[digits.endIndex...].trimmingStart()
        guard !digits.isEmpty else { return tail.isEmpty || tail.first == UInt8(ascii: "-") ? .malformed : .other }
        // An impossible plan is still a plan: its results are reported as missing.
        let count = decimal(digits) ?? Int(Int32.max)
        if tail.isEmpty { return .plan(count, skipReason: nil) }
        guard tail.first == hash else { return .malformed }
        let remark = tail.dropFirst().trimmingStart()
        guard let remark = directive(of: remark), remark.directive == .skip else {
            return .plan(count, skipReason: nil)
        }
        return .plan(count, skipReason: count == 0 ? remark.reason : nil)
    }

    /// Whether a text that is not a result was probably meant as one, in upper or lower case: `not` with `ok` after it
    /// and then no letter, or `ok` with a number after it.
    private static func beginsLikeResult(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        let isNot = rest.afterLowercased("not")
        if isNot { rest = rest.trimmingStart() }
        guard rest.afterLowercased("ok") else { return false }
        guard isNot else { return rest.trimmingStart().first.map(isDigit) ?? false }
        guard let next = rest.first else { return true }
        let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(next | 0x20)
        return !isLetter && next != UInt8(ascii: "_")
    }

    private static func beginsLikeBailOut(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        return rest.afterLowercased("bail out!")
    }

    private static func result(_ text: ArraySlice<UInt8>) -> Result? {
        var isOK = true
        var rest = text
        if let after = text.after("not"), after.first == space || after.first == tab,
            let after = after.trimmingStart().after("ok")
        {
            isOK = false
            rest = after
        } else if let after = text.after("ok") {
            rest = after
        } else {
            return nil
        }
        guard rest.first.map({ $0 == space || $0 == tab }) ?? true else { return nil }
        rest = rest.trimmingStart()
        let digits = rest.prefix { isDigit($0) }
        var hasNumber = false
        if !digits.isEmpty, digits.endIndex == rest.endIndex || [space, tab, hash].contains(rest[digits.endIndex]) {
            hasNumber = true
            rest = rest[digits.endIndex...].trimmingStart()
        }
        if rest.first == UInt8(ascii: "-"), rest.count == 1 || rest[rest.startIndex + 1] == space {
            rest = rest.dropFirst().trimmingStart()
        }
        // The directive starts at the first unescaped `#` after a blank (TAP 14).
        var hasEscapes = false
        var previous = space
        var index = rest.startIndex
        while index < rest.endIndex {
            let byte = rest[index]
            if byte == hash, previous == space || previous == tab { break }
            if byte == backslash, index + 1 < rest.endIndex, rest[index + 1] == hash || rest[index + 1] == backslash {
                hasEscapes = true
                index += 1
            }
            previous = byte
            index += 1
        }
        let remark = index < rest.endIndex ? rest[(index + 1)...].trimmingStart() : nil
        return Result(
            isOK: isOK, number: hasNumber ? decimal(digits) : nil, hasNumber: hasNumber,
            name: rest[..<min(index, rest.endIndex)].trimmingEnd(), hasEscapes: hasEscapes, remark: remark)
    }

    /// A directive and the text after it.
    struct Remark {
        var directive: KTAPResult.Directive
        var reason: ArraySlice<UInt8>
    }

    /// The directive at the beginning of a remark, and the text after it. TAP writes SKIP and TODO in any case, and
    /// `skipped`; the kernel's additional words are only accepted in capitals, because prose uses them too.
    static func directive(of remark: ArraySlice<UInt8>) -> Remark? {
        let word = remark.prefix { ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z") }
        guard (4...8).contains(word.count) else { return nil }
        let rest = remark[word.endIndex...]
        guard rest.first.map({ $0 == space || $0 == tab || $0 == UInt8(ascii: ":") }) ?? true else { return nil }
        let text = String(decoding: word, as: UTF8.self)
        let found: KTAPResult.Directive?
        switch text.lowercased() {
        case "skip", "skipped", "skipping": found = .skip
        case "todo": found = .todo
        default: found = KTAPResult.Directive(rawValue: text)
        }
        guard let found else { return nil }
        let reason = rest.first == UInt8(ascii: ":") ? rest.dropFirst() : rest
        return Remark(directive: found, reason: reason.trimmingStart())
    }

    /// Whether a line with this text would be structural, not a diagnostic.
    static func isStructural(_ text: String) -> Bool {
        switch KTAPLine(Array(text.utf8)[...]).kind {
        case .other: text.hasPrefix("Subtest: ")
        default: true
        }
    }
}

let space = UInt8(ascii: " ")
let tab = UInt8(ascii: "\t")
let hash = UInt8(ascii: "#")
let backslash = UInt8(ascii: "\\")

func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

/// The number in at most nine digits; nil for more digits, and for none.
func decimal(_ digits: ArraySlice<UInt8>) -> Int? {
    guard (1...9).contains(digits.count) else { return nil }
    return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
}

extension ArraySlice<UInt8> {
    func trimmingStart() -> ArraySlice<UInt8> { drop { $0 == space || $0 == tab } }

    func trimmingEnd() -> ArraySlice<UInt8> {
        var slice = self
        while let last = slice.last, last == space || last == tab { slice.removeLast() }
        return slice
    }

    /// The rest after `prefix`, if the slice starts with it.
    func after(_ prefix: StaticString) -> ArraySlice<UInt8>? {
        prefix.withUTF8Buffer { starts(with: $0) ? self[(startIndex + $0.count)...] : nil }
    }

    /// Removes `prefix` from the slice if the slice starts with it in upper or lower case; `prefix` is in lower case.
    mutating func afterLowercased(_ prefix: StaticString) -> Bool {
        let isThere = prefix.withUTF8Buffer { bytes in
            count >= bytes.count
                && zip(self, bytes).allSatisfy { byte, wanted in
                    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 == wanted : byte == wanted
                }
        }
        if isThere { self = dropFirst(prefix.utf8CodeUnitCount) }
        return isThere
    }

    /// The part before `suffix`, if the slice ends with it.
    func before(_ suffix: StaticString) -> ArraySlice<UInt8>? {
        suffix.withUTF8Buffer { bytes in
            count >= bytes.count && self.suffix(bytes.count).elementsEqual(bytes) ? dropLast(bytes.count) : nil
        }
    }

    /// The longest end whose bytes all satisfy `holds`.
    func suffix(where holds: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        var start = endIndex
        while start > startIndex, holds(self[start - 1]) { start -= 1 }
        return self[start...]
    }
}
