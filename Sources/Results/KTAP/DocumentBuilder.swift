// SPDX-License-Identifier: Apache-2.0
/// Builds the tree of results from lines, top down: a stack of the open levels, and the subtests whose parent's result
/// has not come yet.
struct DocumentBuilder {
    private struct Level {
        var column: Int
        var version: KTAPDocument.Version?
        var name: String?
        var planned: Int?
        var skipReason: String?
        var bailOut: String?
        var results: [KTAPResult] = []
        var seen: Set<Int> = []
        var lastNumber = 0
        /// Whether anything except its version line has come.
        var hasContent: Bool { planned != nil || !results.isEmpty || bailOut != nil }
    }

    /// Subtests that wait for their parent's result.
    private struct Waiting {
        var column: Int
        var name: String?
        var planned: Int?
        var results: [KTAPResult]
        /// Why the parent cannot have passed, whatever its line says.
        var flaw: String?
        /// Why their plan skipped all of them; empty if it gives no reason.
        var skipReason: String?
    }

    /// A result whose line ends in `{`: its subtests follow, and then it counts, as elsewhere.
    private struct Held {
        var column: Int
        var line: Int
        /// The result with the brace, for a test whose name ends in one.
        var plain: KTAPLine.Result
        var parent: KTAPLine.Result
    }

    private let limits: KTAPLimits
    private var held: [Held] = []
    private var levels: [Level] = []
    private var waiting: Waiting?
    private var announcedName: String?
    private var yamlColumn: Int?
    private var diagnostics: TailBuffer
    private var text: TextBudget
    private var resultCount = 0
    private var line = 0
    private var isTorn = false
    private var prove = ProveState()
    private var document = KTAPDocument(
        version: nil, planned: nil, results: [], problems: [], hasErrors: false, diagnostics: [], bailOut: nil,
        skipReason: nil)
    private var reported: [KTAPParser.Reported] = []
    /// Whether the last line was more than a diagnostic.
    private(set) var lastLineMattered = false

    init(limits: KTAPLimits) {
        self.limits = limits
        diagnostics = TailBuffer(limit: limits.diagnosticLines)
        text = TextBudget(left: limits.textBytes, clip: limits.clippedNameBytes)
    }

    mutating func takeReported() -> [KTAPParser.Reported] {
        defer { reported.removeAll(keepingCapacity: true) }
        return reported
    }

    mutating func report(_ kind: KTAPProblem.Kind, _ line: Int, _ message: String) {
        if kind.isError { document.hasErrors = true }
        guard document.problems.count < limits.problems else { return }
        document.problems.append(KTAPProblem(kind: kind, line: line, message: message))
    }

    mutating func take(_ line: KTAPLine, number: Int, isTorn: Bool = false) {
        self.line = number
        self.isTorn = isTorn
        defer { self.isTorn = false }
        lastLineMattered = false
        if let column = yamlColumn {
            if line.content.isEmpty || line.column >= column {
                takeYAML(line, column: column)
                return
            }
            report(.unterminatedYAML, number, "a YAML block has no end")
            yamlColumn = nil
        }
        lastLineMattered = takeProve(line) || takeStructure(line)
        if !lastLineMattered, let kept = text.keep(line.diagnostic) { diagnostics.append(kept, &text) }
    }

    /// Consumes a structural line; false for any other.
    private mutating func takeStructure(_ line: KTAPLine) -> Bool {
        switch line.kind {
        case .other, .yamlEnd, .proveVerdict, .malformed, .subtest, .yamlStart: break
        case .blockEnd:
            guard let last = held.last, last.column == line.column else { return false }
            release(isClosed: true)
            return true
        case .version, .plan, .bailOut, .result:
            while let last = held.last, line.column <= last.column { release(isClosed: false) }
        }
        switch line.kind {
        case .other, .yamlEnd, .proveVerdict, .blockEnd:
            return false
        case .malformed:
            reportStray(line)
            return false
        case .yamlStart:
            // KTAP has no YAML.
            guard let level = levels.last, line.column > level.column, !level.results.isEmpty, waiting == nil, !isKTAP
            else { return false }
            yamlColumn = line.column
            return true
        case .subtest(let name):
            nameSubtest(text.name(name), column: line.commentColumn ?? 0)
            return true
        case .version(let version):
            return takeVersion(version, column: line.column)
        case .plan(let count, let skipReason):
            return takePlan(count, skipReason: skipReason, column: line.column)
        case .bailOut(let reason):
            guard open(line.column) else { return false }
            let reason = text.name(reason)
            levels[levels.count - 1].bailOut = reason
            let tail = reason.isEmpty ? "" : ": \(reason)"
            report(.bailOut, self.line, "the tests bailed out\(tail)")
            return true
        case .result(let result):
            if !result.hasNumber {
                let isAmongTests = levels.isEmpty || levels.contains { $0.column == line.column }
                guard isAmongTests, !isKTAP, line.commentColumn == nil else {
                    // `# ok so far` is a comment; `# not ok` may be a selftest's own line, as kselftest embeds it.
                    if !result.isOK || line.commentColumn == nil { reportStray(line) }
                    return false
                }
            }
            guard open(line.column) else { return false }
            if !isKTAP, !isTorn, line.commentColumn == nil, let parent = result.withoutBrace {
                held.append(Held(column: line.column, line: self.line, plain: result, parent: parent))
                return true
            }
            add(result)
            return true
        }
    }

    /// Counts the last held result, with its subtests.
    ///
    /// - Parameter isClosed: Whether the brace that ends them has come.
    private mutating func release(isClosed: Bool) {
        guard let last = held.popLast() else { return }
        let now = line
        defer { line = now }
        let hasSubtests = isClosed || levels.contains { $0.column > last.column }
        line = last.line
        if hasSubtests, !isClosed {
            report(.missingParentResult, now, "the subtests of the result on line \(last.line) have no closing brace")
        }
        guard open(last.column) else { return }
        add(hasSubtests ? last.parent : last.plain)
    }

    /// Reports a line that begins like a result but does not count as one, once results are expected: it may be a lost
    /// failure.
    private mutating func reportStray(_ line: KTAPLine) {
        guard !levels.isEmpty || document.version != nil else { return }
        let (what, form) =
            line.content.after("1..") != nil
            ? ("a plan", "a plan is '1..' and the number of results")
            : ("a result", "a result is 'ok' or 'not ok', a number and a description")
        report(
            .strayResult, self.line,
            "'\(String(decoding: line.content.prefix(80), as: UTF8.self))' begins like \(what), and is not one: \(form)"
        )
    }

    // MARK: Levels

    private var isKTAP: Bool {
        if case .ktap = levels.last?.version ?? levels.first?.version { return true }
        return false
    }

    /// Makes the level with this column the last one: closes deeper levels, and opens it when it is new.
    private mutating func open(_ column: Int) -> Bool {
        guard let root = levels.first else {
            levels = [Level(column: column)]
            return true
        }
        while levels.count > 1, let last = levels.last, last.column > column { closeLast() }
        guard let last = levels.last else { return false }
        if column < root.column {
            // The apparent top level is embedded in a stream whose beginning is missing.
            closeLast()
            levels = [Level(column: column)]
        } else if column > last.column {
            guard levels.count < limits.depth else {
                report(.tooDeep, line, "subtests are nested deeper than \(limits.depth) levels")
                return false
            }
            if let waiting, waiting.column <= column { adoptOrphans() }
            levels.append(Level(column: column, name: announcedName))
            announcedName = nil
        }
        return true
    }

    /// Closes the last level; its results then wait for their parent's.
    private mutating func closeLast() {
        adoptOrphans()
        guard let level = levels.popLast() else { return }
        let flaw = check(level, isTop: false)
        waiting = Waiting(
            column: level.column, name: level.name, planned: level.planned, results: level.results, flaw: flaw,
            skipReason: level.results.isEmpty ? level.skipReason : nil)
    }

    /// Adds a failed parent to subtests whose parent's result never came.
    private mutating func adoptOrphans() {
        guard let orphans = waiting else { return }
        waiting = nil
        let name = orphans.name ?? "(unnamed)"
        report(.missingParentResult, line, "the subtests of \(name) are not followed by their parent's result")
        let parent = KTAPResult(
            name: name, status: .failed, reason: "its own result is missing", diagnostics: diagnostics.take(),
            children: orphans.results, planned: orphans.planned, line: line)
        append(parent)
    }

    /// Checks a complete level. Returns why its parent cannot have passed.
    private mutating func check(_ level: Level, isTop: Bool) -> String? {
        let owner = level.name.map { "the subtest \($0)" } ?? "a subtest"
        let place = isTop ? "" : " of \(owner)"
        var flaw = level.bailOut.map { $0.isEmpty ? "its subtests bailed out" : "its subtests bailed out: \($0)" }
        if level.results.isEmpty, level.skipReason == nil {
            report(.noTests, line, isTop ? "there is no test result" : "there is no test result in \(owner)")
            flaw = flaw ?? "it has no test result"
        }
        if let planned = level.planned {
            let missing = planned - level.seen.count { (1...max(1, planned)).contains($0) }
            if missing > 0 {
                let first = (1...planned).lazy.filter { !level.seen.contains($0) }.prefix(5)
                let numbers = first.map { String($0) }.joined(separator: ", ") + (missing > 5 ? ", ..." : "")
                report(.missingResult, line, "\(missing) of \(planned)\(place) did not report: \(numbers)")
                flaw = flaw ?? "\(missing) of \(planned) did not report"
            }
        } else if !level.results.isEmpty {
            let gaps = level.lastNumber - level.seen.count
            if gaps > 0 {
                report(.missingResult, line, "\(gaps)\(place) did not report, by the numbers of the others")
                flaw = flaw ?? "\(gaps) did not report"
            }
            switch (level.version, isTop) {
            case (.ktap, _), (_, false): report(.unplanned, line, "the results\(place) have no plan")
            case (.tap, true): report(.missingPlan, line, "the plan is missing, which TAP requires")
            case (nil, true): report(.noHeader, line, "there is neither a version line nor a plan")
            }
        }
        return flaw
    }

    // MARK: Lines

    private mutating func takeVersion(_ version: KTAPDocument.Version, column: Int) -> Bool {
        guard open(column), let last = levels.indices.last else { return false }
        if levels[last].hasContent || waiting != nil {
            // Another stream, or the subtests of another test, begin here.
            if last == 0 {
                closeTop()
                levels = [Level(column: column)]
            } else {
                closeLast()
                adoptOrphans()
                levels.append(Level(column: column, name: announcedName))
                announcedName = nil
            }
        }
        levels[levels.count - 1].version = version
        if document.version == nil { document.version = version }
        return true
    }

    private mutating func takePlan(_ count: Int, skipReason: ArraySlice<UInt8>?, column: Int) -> Bool {
        guard open(column), let last = levels.indices.last else { return false }
        if let planned = levels[last].planned {
            report(.duplicatePlan, line, "a second plan, 1..\(count), after 1..\(planned)")
            return true
        }
        levels[last].planned = count
        levels[last].skipReason = skipReason.map { text.name($0) }
        // In TAP a subtest with the plan 1..0 was skipped, with or without a reason. KTAP has no such rule: a program
        // without results there has tested nothing.
        if count == 0, last > 0, !isKTAP, skipReason == nil { levels[last].skipReason = "" }
        return true
    }

    private mutating func nameSubtest(_ name: String, column: Int) {
        if let last = levels.indices.last, last > 0, levels[last].column == column, levels[last].results.isEmpty {
            levels[last].name = name
        } else {
            announcedName = name
        }
    }

    private mutating func takeYAML(_ line: KTAPLine, column: Int) {
        lastLineMattered = true
        if case .yamlEnd = line.kind, line.column == column {
            yamlColumn = nil
            return
        }
        guard let level = levels.indices.last, let last = levels[level].results.indices.last,
            levels[level].results[last].yaml.count < limits.diagnosticLines
        else { return }
        let indent = [UInt8](repeating: space, count: max(0, min(line.column - column, 64)))
        if let kept = text.keep((indent + line.content)[...]) { levels[level].results[last].yaml.append(kept) }
    }

    private mutating func add(_ parsed: KTAPLine.Result) {
        let last = levels.count - 1
        var result = KTAPResult(
            number: parsed.number, name: name(of: parsed), status: parsed.isOK ? .passed : .failed, isOK: parsed.isOK,
            line: line)
        if let remark = parsed.remark { interpret(remark, for: &result) }
        if isTorn {
            result.isTorn = true
            let name = result.name.isEmpty ? result.number.map { "\($0)" } ?? "without a name" : result.name
            report(.torn, line, "the result \(name) is torn by a kernel message; the end of its name may be missing")
        }
        result.diagnostics = diagnostics.take()
        if let subtests = waiting {
            waiting = nil
            result.children = subtests.results
            result.planned = subtests.planned
            fail(&result, for: subtests.flaw)
            // A test that ran nothing has not passed, whatever its own line says.
            if result.status == .passed, let reason = subtests.skipReason {
                result.status = .skipped
                result.reason = reason.isEmpty ? "its plan is 1..0" : reason
            }
        }
        guard append(result) else { return }
        check(number: parsed, in: last)
        reported.append(.init(depth: last, result: result))
    }

    /// Adds a result to the last level; false if there are too many.
    @discardableResult
    private mutating func append(_ result: KTAPResult) -> Bool {
        guard let last = levels.indices.last else { return false }
        resultCount += 1
        guard resultCount <= limits.results else {
            if resultCount == limits.results + 1 {
                report(.tooManyResults, line, "more than \(limits.results) results; the rest is not kept")
            }
            return false
        }
        levels[last].results.append(result)
        return true
    }

    /// A parent that claims to have passed has failed if a subtest did, or may have.
    private mutating func fail(_ parent: inout KTAPResult, for flaw: String?) {
        guard parent.status == .passed || parent.status == .skipped else { return }
        let failed = parent.children.first { $0.status.isFailure }
        guard let reason = failed.map({ "its subtest \($0.name) failed" }) ?? flaw else { return }
        if failed != nil {
            report(.childFailed, line, "\(parent.name) says ok although \(reason)")
        }
        parent.status = .failed
        parent.reason = reason
    }

    private mutating func name(of result: KTAPLine.Result) -> String {
        guard result.hasEscapes else { return text.name(result.name) }
        var plain: [UInt8] = []
        var isEscaped = false
        for byte in result.name {
            if byte == backslash, !isEscaped {
                isEscaped = true
            } else {
                if isEscaped, byte != hash, byte != backslash { plain.append(backslash) }
                plain.append(byte)
                isEscaped = false
            }
        }
        if isEscaped { plain.append(backslash) }
        return text.name(plain[...])
    }

    private mutating func interpret(_ remark: ArraySlice<UInt8>, for result: inout KTAPResult) {
        guard let found = KTAPLine.directive(of: remark) else {
            let kept = text.name(remark)
            result.reason = kept
            if let code = remark.after("exit=") { result.exitCode = decimal(code.prefix(while: isDigit)) }
            let word = remark.prefix { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") }
            let end = word.endIndex < remark.endIndex ? remark[word.endIndex] : space
            if word.count >= 3, end == space {
                report(.unknownDirective, line, "the directive \(String(decoding: word, as: UTF8.self)) is not known")
            }
            return
        }
        result.directive = found.directive
        result.reason = found.reason.isEmpty ? nil : text.name(found.reason)
        switch found.directive {
        case .skip: result.status = .skipped
        case .xfail: result.status = .expectedFailure
        case .todo: if !result.isOK { result.status = .expectedFailure }
        case .xpass: result.status = .failed
        case .timeout: result.status = .timedOut
        case .error: result.status = .error
        }
    }

    private mutating func check(number parsed: KTAPLine.Result, in level: Int) {
        let expected = levels[level].lastNumber + 1
        let number = parsed.hasNumber ? parsed.number ?? 0 : expected
        guard number > 0 else {
            report(.badNumber, line, "the number of a result is 0 or too large")
            return
        }
        if !levels[level].seen.insert(number).inserted {
            report(.duplicateNumber, line, "the result \(number) came twice")
        } else if number != expected {
            report(.outOfOrder, line, "the result \(number) came where \(expected) was due")
        }
        if let planned = levels[level].planned, number > planned {
            report(.unplannedResult, line, "the result \(number) is not in the plan 1..\(planned)")
        }
        levels[level].lastNumber = max(levels[level].lastNumber, number)
    }

    // MARK: prove

    /// The output of `prove -v` around the results of its files.
    private struct ProveState {
        /// The announced file that has no verdict yet.
        var file: String?
        /// Whether any file had its verdict: only then is this certainly the output of prove.
        var hasVerdict = false
    }

    /// Consumes a line of `prove` itself; false for any other.
    private mutating func takeProve(_ line: KTAPLine) -> Bool {
        if let file = line.proveFile {
            if prove.hasVerdict, let unfinished = prove.file {
                report(.missingParentResult, self.line, "what prove says of \(unfinished) is missing")
                if !levels.isEmpty { closeTop() }
            }
            guard levels.isEmpty else { return false }
            prove.file = text.name(file)
            return prove.hasVerdict
        }
        if prove.hasVerdict, let total = line.proveTotal {
            let hasFailed = document.hasErrors || document.counts.failures > 0
            if !total.elementsEqual("PASS".utf8), !hasFailed {
                let word = String(decoding: total.prefix(40), as: UTF8.self)
                report(.proveDisagrees, self.line, "prove says 'Result: \(word)', and no result says why")
            }
            return true
        }
        guard let file = prove.file, line.column == 0, line.commentColumn == nil else { return false }
        switch line.kind {
        case .result(let result) where result.isOK && !result.hasNumber && result.name.isEmpty && result.remark == nil:
            // In a file with an incomplete plan a bare `ok` is a result.
            guard let top = levels.first, let planned = top.planned, top.seen.count >= planned else { return false }
            endFile(file, .passed)
        case .proveVerdict(let verdict): endFile(file, verdict)
        default: return false
        }
        return true
    }

    /// Makes the results of a file the children of a result for the file.
    private mutating func endFile(_ file: String, _ verdict: KTAPLine.ProveVerdict) {
        prove.file = nil
        prove.hasVerdict = true
        var parent = KTAPResult(name: file, status: .passed, diagnostics: diagnostics.take(), line: line)
        var flaw: String?
        while levels.count > 1 { closeLast() }
        adoptOrphans()
        if let top = levels.popLast() {
            parent.children = top.results
            parent.planned = top.planned
            if case .skipped = verdict, top.results.isEmpty {} else { flaw = check(top, isTop: true) }
        }
        switch verdict {
        case .passed: break
        case .skipped(let reason):
            parent.status = .skipped
            parent.reason = reason.isEmpty ? nil : text.name(reason)
        case .failed:
            parent.status = .failed
            parent.isOK = false
            parent.reason = flaw ?? "prove says that it failed"
        }
        fail(&parent, for: flaw)
        resultCount += 1
        document.results.append(parent)
    }

    // MARK: The end

    /// Closes the level at the top and moves its results to the document.
    private mutating func closeTop() {
        while levels.count > 1 { closeLast() }
        adoptOrphans()
        guard let top = levels.popLast() else { return }
        _ = check(top, isTop: true)
        document.results += top.results
        if let planned = top.planned { document.planned = (document.planned ?? 0) + planned }
        if let reason = top.skipReason { document.skipReason = reason }
        if let reason = top.bailOut { document.bailOut = reason }
    }

    mutating func finish(line: Int) -> KTAPDocument {
        self.line = line
        while !held.isEmpty { release(isClosed: false) }
        if yamlColumn != nil { report(.unterminatedYAML, line, "a YAML block has no end") }
        if levels.isEmpty {
            if document.results.isEmpty { report(.noTests, line, "there is no test result") }
        } else {
            closeTop()
        }
        if prove.hasVerdict, let file = prove.file {
            report(.missingParentResult, line, "what prove says of \(file) is missing")
        }
        document.diagnostics = diagnostics.take()
        return document
    }
}
