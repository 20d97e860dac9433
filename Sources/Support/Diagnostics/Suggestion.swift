// SPDX-License-Identifier: Apache-2.0
/// The Levenshtein distance of two lists, for "did you mean": the number of elements to add, remove or replace.
public func editDistance<Element: Equatable>(_ left: [Element], _ right: [Element]) -> Int {
    var row = Array(0...right.count)
    for (i, a) in left.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, b) in right.enumerated() {
            let replaced = diagonal + (a == b ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[right.count]
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
