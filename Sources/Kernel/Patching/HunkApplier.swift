// SPDX-License-Identifier: Apache-2.0
/// Applies hunks to the lines of one file by the rules of `git apply`: every line of a hunk must match exactly, the
/// place may differ from the header's, and two hunks may not overlap. Fuzz, if requested, is that of patch(1).
struct HunkApplier: Sendable {
    /// The lines as changed so far.
    private(set) var lines: [Line]
    /// For each line the place in a patch that added it; nil for a line of the kernel's own.
    private(set) var origins: [SourcePlace?]
    /// The lines that an earlier hunk covers.
    private var isPatched: [Bool]

    /// Whether hunks have no context because the diff was made without (-U0): they belong exactly at the lines that
    /// they name, because nothing else could confirm another place.
    private let isExact: Bool

    init(_ lines: [Line], origins: [SourcePlace?]? = nil, isExact: Bool = false) {
        self.lines = lines
        self.isExact = isExact
        self.origins = origins ?? Array(repeating: nil, count: lines.count)
        isPatched = Array(repeating: false, count: lines.count)
    }

    /// The expected first line of a hunk, counted from 0 and with the earlier hunks applied.
    static func expectedIndex(_ hunk: Hunk) -> Int {
        // If no lines are left, the header names the line above.
        let isEmpty = !hunk.entries.contains { $0.kind != .removed }
        return isEmpty ? hunk.newStart : max(0, hunk.newStart - 1)
    }

    /// The place where a hunk was applied.
    struct Placement: Equatable {
        /// How many lines further down than expected.
        var offset: Int
        /// The lines of context at each end that were ignored.
        var fuzz: Int
    }

    /// Applies one hunk.
    ///
    /// - Parameters:
    ///   - file: The patch file, for the places of the added lines.
    ///   - fuzz: The most lines of context at each end that may be ignored.
    /// - Returns: The place where it matched; nil when it matches nowhere, with nothing changed.
    mutating func apply(_ hunk: Hunk, from file: String = "", fuzz: Int = 0) -> Placement? {
        guard let match = place(hunk, fuzz: fuzz) else { return nil }
        let (hunk, found) = (match.hunk, match.index)
        let preimage = hunk.preimage
        let expected = Self.expectedIndex(hunk)
        let postimage = hunk.postimage
        var own: [SourcePlace?] = []
        var index = found
        for entry in hunk.entries {
            switch entry.kind {
            case .context: own.append(origins[index])
            case .added: own.append(.init(file: file, line: entry.lineNumber))
            case .removed: break
            }
            if entry.kind != .added { index += 1 }
        }
        origins.replaceSubrange(found..<(found + preimage.count), with: own)
        lines.replaceSubrange(found..<(found + preimage.count), with: postimage)
        isPatched.replaceSubrange(
            found..<(found + preimage.count), with: Array(repeating: true, count: postimage.count))
        return Placement(offset: found - expected, fuzz: match.fuzz)
    }

    /// The place where a hunk fits.
    struct Match {
        /// The remaining hunk.
        var hunk: Hunk
        /// The first line, counted from 0.
        var index: Int
        /// The lines of context that are ignored at each end.
        var fuzz: Int
    }

    /// The place where `hunk` applies with the least fuzz, and the remaining hunk; nil for none.
    func place(_ hunk: Hunk, fuzz: Int) -> Match? {
        if let index = position(of: hunk.preimage, hunk: hunk, near: Self.expectedIndex(hunk)) {
            return Match(hunk: hunk, index: index, fuzz: 0)
        }
        let context = max(hunk.leadingContext, hunk.trailingContext)
        guard fuzz > 0, context > 0 else { return nil }
        for level in 1...min(fuzz, context) {
            // The longer end loses lines first, as in patch(1): the shorter end shows that the file's end is near.
            let leading = max(0, level + hunk.leadingContext - context)
            let trailing = max(0, level + hunk.trailingContext - context)
            var rest = hunk
            rest.entries = Array(hunk.entries.dropFirst(leading).dropLast(trailing))
            rest.oldStart += leading
            rest.newStart += leading
            let mustBegin = leading == 0 && hunk.leadingContext < context
            let mustEnd = trailing == 0 && hunk.trailingContext < context
            let found = position(
                of: rest.preimage, near: Self.expectedIndex(rest), mustBegin: mustBegin, mustEnd: mustEnd)
            if let found { return Match(hunk: rest, index: found, fuzz: level) }
        }
        return nil
    }

    /// The place nearest to `expected` at which all lines agree.
    ///
    /// A hunk that starts at line 1 has no context above because the file starts there, so it may match only at the
    /// start; likewise a hunk without context below only at the end.
    private func position(of preimage: [Line], hunk: Hunk, near expected: Int) -> Int? {
        if isExact, hunk.leadingContext == 0, hunk.trailingContext == 0 {
            let isThere = expected + preimage.count <= lines.count && matches(preimage, at: expected)
            return isThere ? expected : nil
        }
        return position(
            of: preimage, near: expected, mustBegin: hunk.oldStart <= 1, mustEnd: hunk.trailingContext == 0)
    }

    private func position(of preimage: [Line], near expected: Int, mustBegin: Bool, mustEnd: Bool) -> Int? {
        let last = lines.count - preimage.count
        guard last >= 0 else { return nil }
        if mustBegin || mustEnd {
            let only = mustBegin ? 0 : last
            if mustBegin && mustEnd && last != 0 { return nil }
            return matches(preimage, at: only) ? only : nil
        }
        let start = min(expected, last)
        for distance in 0...max(start, last - start) {
            if start + distance <= last, matches(preimage, at: start + distance) { return start + distance }
            if distance > 0, start - distance >= 0, matches(preimage, at: start - distance) { return start - distance }
        }
        return nil
    }

    private func matches(_ preimage: [Line], at start: Int) -> Bool {
        for (offset, line) in preimage.enumerated() {
            if isPatched[start + offset] || lines[start + offset] != line { return false }
        }
        return true
    }
}
