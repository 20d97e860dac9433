// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Says why a hunk does not apply: what it expects, what the kernel has there, and where it almost fits.
struct HunkFailureDiagnosis {
    let patch: Patch
    let change: FilePatch
    let hunkIndex: Int
    /// The file with the hunks before this one applied.
    let lines: [Line]
    /// The file as it was before this patch.
    let originalLines: [Line]

    /// A hunk that replaces hundreds of lines is shown by its beginning.
    private static let shownLines = 40

    var failure: Failure {
        let hunk = change.hunks[hunkIndex]
        let place = "\(patch.file):\(hunk.lineNumber)"
        let name = "hunk \(hunkIndex + 1) of \(change.hunks.count) of \(change.oldPath)"
        if TreeEditor.isUndoable([hunk], in: originalLines), !hunk.postimage.isEmpty, hunk.postimage != hunk.preimage {
            return Failure(
                .patch, "\(place): \(name) is already applied", details: hunk.header,
                nextStep: "make the patch anew against this kernel, which holds part of it")
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
            nextStep: "adapt the patch to this kernel's lines, or give a series for this kernel version "
                + "(a file named series-VERSION.PATCHLEVEL)")
    }

    /// All lines can agree somewhere and the hunk still not apply.
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

    /// The place of the file that shares most lines with `preimage`, in order.
    ///
    /// Each line that both have votes for the place where the hunk would begin; lines that occur often, such as a
    /// lone brace, count little. The best few places are then compared in full.
    private func nearestMatch(_ preimage: [Line], near expected: Int) -> Match? {
        var places: [Line: [Int]] = [:]
        for (index, line) in lines.enumerated() { places[trimmed(line), default: []].append(index) }
        var votes: [Int: Double] = [:]
        for (offset, line) in preimage.enumerated() {
            let text = trimmed(line)
            guard !text.isEmpty, let found = places[text] else { continue }
            for place in found { votes[place - offset, default: 0] += 1 / Double(found.count) }
        }
        // A line that is missing on one side shifts those after it by one.
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
                diff.append(("     - \(preimage[i].display)\(endMark(preimage[i]))", false))
                i += 1
            } else {
                diff.append(("\(padded(first + j + 1))+ \(window[j].display)\(endMark(window[j]))", true))
                j += 1
            }
        }
        // The window is a little longer than the hunk; what only the kernel has at its ends says nothing.
        while diff.first?.isKernelOnly == true { diff.removeFirst() }
        while diff.last?.isKernelOnly == true, i > 0, diff.count > preimage.count { diff.removeLast() }
        return Match(start: start ?? first, equal: equal, diff: diff.prefix(Self.shownLines * 2).map(\.text))
    }

    private func endMark(_ line: Line) -> String { line.last == UInt8(ascii: "\n") ? "" : " (no newline)" }
}
