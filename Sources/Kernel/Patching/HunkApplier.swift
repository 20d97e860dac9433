// SPDX-License-Identifier: Apache-2.0
/// Applies hunks to the lines of one file by the rules of `git apply`: every line of a hunk must match exactly (no
/// fuzz), the place may be another than the header says, and two hunks may not overlap.
struct HunkApplier {
    /// The lines as changed so far.
    private(set) var lines: [Line]
    /// For each line the place in a patch that brought it; nil for a line of the kernel's own.
    private(set) var origins: [SourcePlace?]
    /// Which lines an earlier hunk covered.
    private var isPatched: [Bool]

    init(_ lines: [Line], origins: [SourcePlace?]? = nil) {
        self.lines = lines
        self.origins = origins ?? Array(repeating: nil, count: lines.count)
        isPatched = Array(repeating: false, count: lines.count)
    }

    /// Where a hunk is expected to begin, counting from 0 and with the hunks before it applied.
    static func expectedIndex(_ hunk: Hunk) -> Int { max(0, hunk.newStart - 1) }

    /// Applies one hunk.
    ///
    /// - Parameter file: The patch file, for the places of the lines that it adds.
    /// - Returns: How many lines further down than expected it matched; nil when it does not match anywhere, with
    ///   nothing changed.
    mutating func apply(_ hunk: Hunk, from file: String = "") -> Int? {
        let preimage = hunk.preimage
        let expected = Self.expectedIndex(hunk)
        guard let found = position(of: preimage, hunk: hunk, near: expected) else { return nil }
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
        return found - expected
    }

    /// The place nearest to `expected` where all lines agree.
    ///
    /// A hunk that starts at line 1 has no context above because the file starts there, so it may match only at the
    /// start; likewise one with no context below only at the end.
    private func position(of preimage: [Line], hunk: Hunk, near expected: Int) -> Int? {
        let last = lines.count - preimage.count
        guard last >= 0 else { return nil }
        let mustBegin = hunk.oldStart <= 1
        let mustEnd = hunk.trailingContext == 0
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
