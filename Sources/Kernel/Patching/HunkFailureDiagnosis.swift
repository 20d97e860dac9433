// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Explains why a hunk does not apply: the expected lines, the kernel's lines, and the nearest match.
struct HunkFailureDiagnosis: Sendable {
    let patch: Patch
    let change: FilePatch
    let hunkIndex: Int
    /// The file with the earlier hunks applied, as far as they apply.
    let applier: HunkApplier
    /// The file before this patch.
    let originalLines: [Line]

    private var lines: [Line] { applier.lines }
    private var hunk: Hunk { change.hunks[hunkIndex] }

    /// The most fuzz that is tested, patch(1)'s own limit.
    private static let mostFuzz = 2
    /// The most comparisons (lines of the file times lines of the hunk) in the search for white-space differences.
    private static let mostComparisons = 20_000_000

    /// The most lines to show of a long hunk.
    private static let shownLines = 40

    var failure: Failure {
        let place = "\(patch.file):\(hunk.lineNumber)"
        let name = "hunk \(hunkIndex + 1) of \(change.hunks.count) of \(change.oldPath)"
        if isApplied {
            return Failure(
                .patch, "\(place): \(name) is already applied", details: hunk.header,
                nextStep: "create the patch again against this kernel, which holds part of it")
        }
        let preimage = hunk.preimage
        let start = HunkApplier.expectedIndex(hunk)
        var details = ["\(hunk.header)", "the patch expects:"]
        details += numbered(preimage, from: start)
        details.append("this kernel has:")
        let end = min(lines.count, start + preimage.count)
        if start < end {
            details += numbered(Array(lines[start..<end]), from: start)
        } else {
            details.append("       (the file ends at line \(lines.count))")
        }
        if let reason = endReason(hunk) { details.append(reason) }
        if let placement = fuzzyPlacement {
            details.append("it would apply with fuzz \(placement.fuzz) at line \(placement.line)")
        }
        let blanks = whiteSpace
        if let blanks {
            details.append("the lines of line \(blanks.line + 1) on differ in white space only: \(blanks.how)")
        }
        if patch.isExact, hunk.leadingContext + hunk.trailingContext == 0 {
            details.append("the diff has no context (-U0), so that only the line that it names could be the place")
        }
        if let match = nearestMatch(preimage, near: start) {
            details.append(
                "nearest match: line \(match.start + 1), \(match.equal) of \(preimage.count) lines agree "
                    + "(- the patch's, + this kernel's):")
            details += match.diff
        } else {
            details.append("nearest match: none, nothing in the file is like these lines")
        }
        return Failure(
            .patch, "\(place): \(name) does not apply", details: details.joined(separator: "\n"),
            nextStep: nextStep(isWhiteSpace: blanks != nil))
    }

    private func nextStep(isWhiteSpace: Bool) -> String {
        if isWhiteSpace {
            return "take the patch from its file or raw message, not from a terminal or a page, which change tabs and "
                + "line ends; then try again"
        }
        let adapt =
            "adapt the patch to this kernel's lines, or give a series for this kernel version "
            + "(a file named series-VERSION.PATCHLEVEL)"
        guard let placement = fuzzyPlacement else { return adapt }
        return adapt
            + "; or allow the fuzz where the place is right: \(patch.file.split(separator: "/").last ?? "x.patch") "
            + "-F\(placement.fuzz) in a `series` file, or --fuzz \(placement.fuzz)"
    }

    /// The cause in a few words, for a table of failures.
    var cause: String {
        if isApplied { return "is already applied" }
        if let placement = fuzzyPlacement { return "would apply with fuzz \(placement.fuzz) at line \(placement.line)" }
        if let blanks = whiteSpace { return "line \(blanks.line + 1) differs in white space only: \(blanks.how)" }
        if let reason = endReason(hunk) { return reason }
        if let match = nearestMatch(hunk.preimage, near: HunkApplier.expectedIndex(hunk)) {
            return "nearest match: line \(match.start + 1), \(match.equal) of \(hunk.preimage.count) lines agree"
        }
        return "nothing in the file is like these lines"
    }

    private var isApplied: Bool {
        TreeEditor.isUndoable([hunk], in: originalLines, isExact: patch.isExact) && !hunk.postimage.isEmpty
            && hunk.postimage != hunk.preimage
    }

    /// The place where a hunk would apply with fewer lines of context.
    private struct FuzzyPlacement {
        /// Counted from 1.
        var line: Int
        /// The lines of context that are ignored at each end.
        var fuzz: Int
    }

    private var fuzzyPlacement: FuzzyPlacement? {
        guard let match = applier.place(hunk, fuzz: Self.mostFuzz), match.fuzz > 0, !match.hunk.preimage.isEmpty
        else {
            return nil
        }
        return FuzzyPlacement(
            line: match.index - (hunk.leadingContext - match.hunk.leadingContext) + 1, fuzz: match.fuzz)
    }

    // MARK: White space

    /// The first line that differs only in white space.
    private struct BlankDifference {
        /// Counted from 0.
        var line: Int
        var how: String
    }

    /// The place where all lines agree except for white space, and the first difference.
    private var whiteSpace: BlankDifference? {
        func bare(_ line: Line) -> [UInt8] { line.filter { ![0x20, 0x09, 0x0D, 0x0A].contains($0) } }
        let wanted = hunk.preimage.map(bare)
        guard !wanted.isEmpty, wanted.contains(where: { !$0.isEmpty }), lines.count >= wanted.count,
            lines.count * wanted.count <= Self.mostComparisons
        else { return nil }
        let own = lines.map(bare)
        let expected = HunkApplier.expectedIndex(hunk)
        let places = (0...(own.count - wanted.count)).filter { own[$0..<($0 + wanted.count)].elementsEqual(wanted) }
        guard let place = places.min(by: { abs($0 - expected) < abs($1 - expected) }) else { return nil }
        let preimage = hunk.preimage
        guard let offset = preimage.indices.first(where: { preimage[$0] != lines[place + $0] }) else { return nil }
        return BlankDifference(line: place + offset, how: Self.difference(preimage[offset], lines[place + offset]))
    }

    private static func difference(_ patch: Line, _ kernel: Line) -> String {
        let (tab, space, cr) = (UInt8(ascii: "\t"), UInt8(ascii: " "), UInt8(ascii: "\r"))
        if patch.contains(cr) != kernel.contains(cr) {
            return patch.contains(cr)
                ? "the patch's lines end in CR LF, this kernel's in LF"
                : "this kernel's lines end in CR LF, the patch's in LF"
        }
        let (patchTabs, kernelTabs) = (patch.count { $0 == tab }, kernel.count { $0 == tab })
        if patchTabs < kernelTabs { return "the patch has spaces where this kernel has tabs" }
        if patchTabs > kernelTabs { return "the patch has tabs where this kernel has spaces" }
        if patch.withoutNewline.last == space || kernel.withoutNewline.last == space {
            return "one of them has spaces at its end"
        }
        return "the number of spaces differs"
    }

    /// All lines can agree at a place where the hunk still does not apply.
    private func endReason(_ hunk: Hunk) -> String? {
        let preimage = hunk.preimage
        guard !preimage.isEmpty, lines.count >= preimage.count else { return nil }
        let places = (0...(lines.count - preimage.count)).filter {
            lines[$0..<($0 + preimage.count)].elementsEqual(preimage)
        }
        guard let place = places.first else { return nil }
        if hunk.oldStart <= 1 {
            return "the lines agree at line \(place + 1), but the hunk is for the start of the file"
        }
        if hunk.trailingContext == 0 {
            return "the lines agree at line \(place + 1), but with no context below it the hunk is for the file's end"
        }
        return "the lines agree at line \(place + 1), but an earlier hunk has changed that place"
    }

    private func numbered(_ lines: [Line], from start: Int) -> [String] {
        var output = lines.prefix(Self.shownLines).enumerated().map { numbered($1, start + $0 + 1) }
        if lines.count > Self.shownLines { output.append("       ... and \(lines.count - Self.shownLines) more") }
        return output
    }

    private func numbered(_ line: Line, _ number: Int) -> String {
        line.display.isEmpty ? padded(number) : "\(padded(number))  \(line.display)"
    }

    private func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: " ", count: max(0, 6 - digits.count)) + digits
    }

    // MARK: Nearest match

    private struct Match {
        var start: Int
        var equal: Int
        var diff: [String]
    }

    /// The place in the file that shares the most lines with `preimage`, in order.
    ///
    /// Each line in both votes for the place where the hunk would begin; frequent lines, such as a single brace, count
    /// little. The best few places are then compared completely.
    private func nearestMatch(_ preimage: [Line], near expected: Int) -> Match? {
        var places: [Line: [Int]] = [:]
        for (index, line) in lines.enumerated() { places[trimmed(line), default: []].append(index) }
        var votes: [Int: Double] = [:]
        for (offset, line) in preimage.enumerated() {
            let text = trimmed(line)
            guard !text.isEmpty, let found = places[text] else { continue }
            for place in found { votes[place - offset, default: 0] += 1 / Double(found.count) }
        }
        // A line that is missing on one side shifts the later lines by one.
        let slack = 3
        func score(_ start: Int) -> Double {
            (start - slack...start + slack).reduce(0) { $0 + (votes[$1] ?? 0) * (abs($1 - start) == 0 ? 1 : 0.9) }
        }
        let best = votes.keys.map { ($0, score($0)) }
            .sorted { ($0.1, -abs($0.0 - expected)) > ($1.1, -abs($1.0 - expected)) }.prefix(8)
        var match: Match?
        for (start, _) in best {
            let first = max(0, start)
            let last = min(lines.count, start + preimage.count + slack)
            guard first < last else { continue }
            let candidate = compare(preimage, from: first, to: last)
            if candidate.equal > (match?.equal ?? 0) { match = candidate }
        }
        return match
    }

    private func trimmed(_ line: Line) -> Line {
        var line = line.withoutNewline
        while let byte = line.first, byte == 32 || byte == 9 { line.removeFirst() }
        while let byte = line.last, byte == 32 || byte == 9 || byte == 13 { line.removeLast() }
        return line
    }

    /// The longest common subsequence of the patch's lines and a window of the file, as a small diff.
    private func compare(_ preimage: [Line], from first: Int, to last: Int) -> Match {
        let preimage = Array(preimage.prefix(400))
        let window = Array(lines[first..<last].prefix(400))
        var table = [[Int]](repeating: [Int](repeating: 0, count: window.count + 1), count: preimage.count + 1)
        for i in preimage.indices.reversed() {
            for j in window.indices.reversed() {
                table[i][j] =
                    preimage[i] == window[j] ? table[i + 1][j + 1] + 1 : max(table[i + 1][j], table[i][j + 1])
            }
        }
        var (i, j) = (0, 0)
        var equal = 0
        var diff: [(text: String, isKernelOnly: Bool)] = []
        var start: Int?
        while i < preimage.count || j < window.count {
            if i < preimage.count, j < window.count, preimage[i] == window[j] {
                start = start ?? first + j
                diff.append((numbered(preimage[i], first + j + 1), false))
                (i, j, equal) = (i + 1, j + 1, equal + 1)
            } else if i < preimage.count, j == window.count || table[i + 1][j] >= table[i][j + 1] {
                diff.append(("     - \(shown(preimage[i], window))\(endMark(preimage[i]))", false))
                i += 1
            } else {
                diff.append(
                    ("\(padded(first + j + 1))+ \(shown(window[j], preimage))\(endMark(window[j]))", true))
                j += 1
            }
        }
        // The window is a little longer than the hunk; lines that only the kernel has at its ends are not informative.
        while diff.first?.isKernelOnly == true { diff.removeFirst() }
        // But after lines that only the patch has come those that this kernel has in their place.
        let tail = diff.reversed().prefix { $0.isKernelOnly || $0.text.hasPrefix("     - ") }
        let replaced = tail.count { !$0.isKernelOnly }
        var surplus = tail.prefix { $0.isKernelOnly }.count - replaced
        while surplus > 0, diff.last?.isKernelOnly == true {
            diff.removeLast()
            surplus -= 1
        }
        return Match(start: start ?? first, equal: equal, diff: diff.prefix(Self.shownLines * 2).map(\.text))
    }

    /// A line with its blanks made visible if the other side has it with other blanks.
    private func shown(_ line: Line, _ others: [Line]) -> String {
        let bare = line.filter { $0 > 32 }
        guard !bare.isEmpty, others.contains(where: { $0 != line && $0.filter { $0 > 32 } == bare }) else {
            return line.display
        }
        let text = String(line.display.flatMap { $0 == "\t" ? Array("\\t") : [$0] })
        let blanks = text.reversed().prefix { $0 == " " }.count
        return String(text.dropLast(blanks)) + String(repeating: "\u{B7}", count: blanks)
    }

    private func endMark(_ line: Line) -> String { line.last == UInt8(ascii: "\n") ? "" : " (no newline)" }
}
