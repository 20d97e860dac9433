// SPDX-License-Identifier: Apache-2.0
/// The distance of two lists, for "did you mean": the number of elements to add, remove, replace, or swap with their
/// neighbour.
public func editDistance<Element: Equatable>(_ left: [Element], _ right: [Element]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for (i, a) in left.enumerated() {
        var row = [i + 1]
        for (j, b) in right.enumerated() {
            var distance = min(last[j] + (a == b ? 0 : 1), row[j] + 1, last[j + 1] + 1)
            if i > 0, j > 0, a == right[j - 1], left[i - 1] == b { distance = min(distance, beforeLast[j - 1] + 1) }
            row.append(distance)
        }
        (beforeLast, last) = (last, row)
    }
    return last[right.count]
}

/// The candidate nearest to a misspelt word; nil when none is near enough.
public func closestMatch(to word: String, among candidates: [String]) -> String? {
    let scored = candidates.map { ($0, editDistance(Array(word.lowercased()), Array($0.lowercased()))) }
    guard let best = scored.min(by: { $0.1 < $1.1 }), best.1 <= max(1, (word.count + 1) / 2 - word.count / 6) else {
        return nil
    }
    return best.0
}

/// The end of a message about a misspelt word: "; did you mean X?", empty when no candidate is near.
public func guess(for word: String, among candidates: [String]) -> String {
    closestMatch(to: word, among: candidates).map { "; did you mean \($0)?" } ?? ""
}
