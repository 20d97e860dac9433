/// Reads KTAP or TAP as it comes, in pieces of any size.
///
/// Understood beside the plain formats: time stamps and callers of printk before each line, kselftest's results within
/// comments (`# ok 1 name`), carriage returns. Memory is bounded: long lines are cut, and beyond a number of results or
/// diagnostics the rest is counted as a problem and dropped.
public struct KTAPParser: Sendable {
    /// A longer line is cut.
    static let longestLine = 1 << 14
    /// Deeper nesting is a problem.
    static let deepestNesting = 32
    /// More results are a problem.
    static let mostResults = 100_000
    /// The most diagnostic lines kept of one result.
    static let mostDiagnostics = 200
    /// The most problems that are listed.
    static let mostProblems = 100

    /// The results at one depth of indentation.
    private struct Level {
        var indent: Int
        var plan: Int?
        var results: [KTAPResult] = []
        var numbers: Set<Int> = []
        var hasVersion = false
    }

    private var levels: [Level] = []
    private var line: [UInt8] = []
    private var diagnostics: [String] = []
    private var problems: [String] = []
    private var resultCount = 0
    private var isBailedOut = false
    private var yamlIndent: Int?

    /// Creates a parser that has seen nothing.
    public init() {}

    /// Takes in bytes.
    public mutating func consume(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            if byte == 0x0A {
                endLine()
            } else if line.count < Self.longestLine {
                line.append(byte)
            }
        }
    }

    /// Takes in the end, and says what it all came to.
    public mutating func finish() -> KTAPReport {
        if !line.isEmpty { endLine() }
        close(deeperThan: -1)
        var results: [KTAPResult] = []
        if let top = levels.first { results = finished(top) }
        levels = []
        if results.isEmpty, !isBailedOut { report("there is no result") }
        return KTAPReport(results: results, problems: problems)
    }

    private mutating func endLine() {
        if line.last == 0x0D { line.removeLast() }
        let text = String(decoding: line, as: UTF8.self)
        line.removeAll(keepingCapacity: true)
        guard !isBailedOut else { return }
        interpret(Self.withoutPrintkPrefix(text[...]))
    }

    private mutating func report(_ problem: String) {
        if problems.count < Self.mostProblems { problems.append(problem) }
    }

    // MARK: Lines

    private mutating func interpret(_ text: Substring) {
        var content = text.drop { $0 == " " }
        var indent = text.utf8.count - content.utf8.count
        if let yaml = yamlIndent {
            if content == "..." { yamlIndent = nil } else { addToLastResult(String(text.dropFirst(min(yaml, indent)))) }
            return
        }
        // kselftest puts the output of a test, results and all, behind "# ".
        var embedded = content
        var depth = indent
        while embedded.hasPrefix("# ") {
            embedded = embedded.dropFirst(2)
            let inner = embedded.drop { $0 == " " }
            depth += 2 + embedded.utf8.count - inner.utf8.count
            embedded = inner
            if isStructure(embedded, inComment: true) {
                content = embedded
                indent = depth
                break
            }
        }
        if content.hasPrefix("Bail out!") {
            report("bailed out:\(content.dropFirst(9))")
            isBailedOut = true
        } else if isVersion(content) {
            openLevel(indent)
            levels[levels.count - 1].hasVersion = true
        } else if let plan = Self.plan(content) {
            self.plan(plan, indent)
        } else if let result = Self.result(content) {
            add(result, indent)
        } else if content == "---", !levels.isEmpty {
            yamlIndent = indent
        } else if !content.isEmpty {
            addDiagnostic(String(text))
        }
    }

    private func isStructure(_ text: Substring, inComment: Bool) -> Bool {
        if isVersion(text) || Self.plan(text) != nil { return true }
        // "# ok so far" is a remark; within a comment only a numbered line is a result.
        guard let result = Self.result(text) else { return false }
        return !inComment || result.number != nil
    }

    private func isVersion(_ text: Substring) -> Bool {
        for prefix in ["KTAP version ", "TAP version "] where text.hasPrefix(prefix) {
            return Int(text.dropFirst(prefix.count)) != nil
        }
        return false
    }

    /// `1..N`, and TAP's `1..0 # SKIP reason`.
    private static func plan(_ text: Substring) -> (count: Int, isSkip: Bool)? {
        guard text.hasPrefix("1..") else { return nil }
        let digits = text.dropFirst(3).prefix { $0.isASCII && $0.isNumber }
        guard let count = Int(digits) else { return nil }
        let rest = text.dropFirst(3 + digits.count).drop { $0 == " " }
        guard rest.isEmpty || rest.hasPrefix("#") else { return nil }
        return (count, rest.dropFirst().drop { $0 == " " }.uppercased().hasPrefix("SKIP"))
    }

    /// `ok` or `not ok`, then optionally a number, a description and a directive.
    static func result(_ text: Substring) -> KTAPResult? {
        var rest = text
        let isOK: Bool
        if rest == "ok" || rest.hasPrefix("ok ") {
            isOK = true
            rest = rest.dropFirst(2)
        } else if rest == "not ok" || rest.hasPrefix("not ok ") {
            isOK = false
            rest = rest.dropFirst(6)
        } else {
            return nil
        }
        rest = rest.drop { $0 == " " }
        var number: Int?
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        if !digits.isEmpty, rest.dropFirst(digits.count).first.map({ $0 == " " }) ?? true, let value = Int(digits) {
            number = value
            rest = rest.dropFirst(digits.count).drop { $0 == " " }
        }
        if rest.hasPrefix("- ") { rest = rest.dropFirst(2) } else if rest == "-" { rest = "" }

        var result = KTAPResult(
            isOK: isOK, number: number, description: String(rest), directive: nil, reason: "")
        // The last unescaped " #" that is followed by a known word; anything else is part of the description.
        var search = rest.endIndex
        while search > rest.startIndex, let hash = rest[..<search].lastIndex(of: "#") {
            search = hash
            guard hash == rest.startIndex || rest[rest.index(before: hash)] == " " else { continue }
            let after = rest[rest.index(after: hash)...].drop { $0 == " " }
            let word = after.prefix { !$0.isWhitespace && $0 != ":" }
            let reason = after.dropFirst(word.count).drop { $0 == " " || $0 == ":" }
            if let directive = KTAPResult.Directive(rawValue: word.uppercased()) {
                result.directive = directive
                result.reason = String(reason)
            } else if word.hasPrefix("exit=") {
                // kselftest's way to tell a test's exit code.
                result.reason = String(after)
            } else {
                continue
            }
            let description = rest[..<hash]
            result.description = String(description.reversed().drop { $0 == " " }.reversed())
            break
        }
        return result
    }

    /// Takes off what printk puts before a line: `<6>`, `[    1.234567]`, `[   T12]`.
    static func withoutPrintkPrefix(_ text: Substring) -> Substring {
        var rest = text
        if rest.first == "<", let close = rest.firstIndex(of: ">"),
            Int(rest[rest.index(after: rest.startIndex)..<close]) != nil
        {
            rest = rest[rest.index(after: close)...]
        }
        guard rest.first == "[", let close = rest.firstIndex(of: "]") else { return rest }
        let stamp = rest[rest.index(after: rest.startIndex)..<close].drop { $0 == " " }
        guard stamp.contains("."), Double(stamp) != nil else { return text }
        rest = rest[rest.index(after: close)...]
        if rest.first == "[", let end = rest.firstIndex(of: "]") {
            let caller = rest[rest.index(after: rest.startIndex)..<end].drop { $0 == " " }
            if let kind = caller.first, "TC".contains(kind), Int(caller.dropFirst()) != nil {
                rest = rest[rest.index(after: end)...]
            }
        }
        return rest.first == " " ? rest.dropFirst() : rest
    }

    // MARK: Structure

    /// Makes the level of this indentation the current one.
    private mutating func openLevel(_ indent: Int) {
        if let current = levels.last, indent < current.indent {
            // A version line of an outer level while an inner one is open: that one never got its parent's result.
            close(deeperThan: indent)
        }
        guard levels.last?.indent != indent else { return }
        if levels.count >= Self.deepestNesting {
            report("results are nested deeper than \(Self.deepestNesting) levels")
            return
        }
        levels.append(Level(indent: indent))
    }

    private mutating func plan(_ plan: (count: Int, isSkip: Bool), _ indent: Int) {
        openLevel(indent)
        if levels[levels.count - 1].plan != nil { report("a second plan, 1..\(plan.count)") }
        levels[levels.count - 1].plan = plan.count
        if plan.count == 0, plan.isSkip {
            levels[levels.count - 1].results.append(
                KTAPResult(isOK: true, number: nil, description: "all", directive: .skip, reason: "the plan is 1..0"))
            levels[levels.count - 1].plan = 1
        }
    }

    private mutating func add(_ result: KTAPResult, _ indent: Int) {
        resultCount += 1
        guard resultCount <= Self.mostResults else {
            if resultCount == Self.mostResults + 1 { report("there are more than \(Self.mostResults) results") }
            return
        }
        var result = result
        // Inner levels that are still open are this result's own.
        while let inner = levels.last, inner.indent > indent {
            levels.removeLast()
            result.children = finished(inner) + result.children
            if result.isOK, result.directive == nil, result.status == .failed {
                report("\(result.description) says ok although a part of it failed")
            }
        }
        openLevel(indent)
        result.diagnostics = diagnostics
        diagnostics = []
        let last = levels.count - 1
        if let number = result.number {
            if !levels[last].numbers.insert(number).inserted { report("two results have the number \(number)") }
            if let plan = levels[last].plan, number > plan || number < 1 {
                report("result \(number) is outside the plan 1..\(plan)")
            } else if number != levels[last].results.count + 1, levels[last].numbers.count == levels[last].results.count + 1 {
                report("result \(number) came where \(levels[last].results.count + 1) was due")
            }
        }
        levels[last].results.append(result)
    }

    /// Checks a level that has ended.
    private mutating func finished(_ level: Level) -> [KTAPResult] {
        if let plan = level.plan, plan != level.results.count {
            report("the plan is 1..\(plan), and \(level.results.count) results came")
        } else if level.hasVersion, level.results.isEmpty {
            report("a test began and gave no result")
        }
        return level.results
    }

    /// Ends levels whose parent's result never came.
    private mutating func close(deeperThan indent: Int) {
        while levels.count > 1, let inner = levels.last, inner.indent > indent {
            levels.removeLast()
            let children = finished(inner)
            report("nested results without the result of their parent")
            guard !children.isEmpty, !levels.isEmpty else { continue }
            levels[levels.count - 1].results.append(
                KTAPResult(
                    isOK: false, number: nil, description: "(unfinished)", directive: nil, reason: "",
                    children: children))
        }
    }

    private mutating func addDiagnostic(_ text: String) {
        if diagnostics.count < Self.mostDiagnostics { diagnostics.append(text) }
    }

    private mutating func addToLastResult(_ text: String) {
        guard let last = levels.indices.last, let result = levels[last].results.indices.last,
            levels[last].results[result].diagnostics.count < Self.mostDiagnostics
        else { return }
        levels[last].results[result].diagnostics.append(text)
    }
}
