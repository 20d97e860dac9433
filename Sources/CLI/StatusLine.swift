// SPDX-License-Identifier: Apache-2.0
/// The last line of the terminal: the current activities, their durations and their progress.
struct StatusLine {
    private struct Activity {
        var step: String
        var start: ContinuousClock.Instant
        var done: Int?
        var total: Int?
        /// The current item.
        var label = ""
    }

    /// Activities in the order of their starts.
    private var activities: [Activity] = []

    var isEmpty: Bool { activities.isEmpty }

    mutating func begin(_ step: String, at start: ContinuousClock.Instant = .now) {
        activities.append(Activity(step: step, start: start))
    }

    mutating func end(_ step: String) { activities.removeAll { $0.step == step } }

    mutating func clear() { activities = [] }

    mutating func advance(_ step: String?, done: Int, total: Int?, label: String) {
        guard let index = activities.firstIndex(where: { $0.step == step }) else { return }
        activities[index].done = done
        activities[index].total = total
        activities[index].label = label
    }

    /// Sets the current item of the step that began last.
    mutating func name(_ label: String) {
        if let last = activities.indices.last { activities[last].label = label }
    }

    /// The line, of at most `width` characters. Activities share it evenly, so that none moves when another changes.
    func text(width: Int, at now: ContinuousClock.Instant = .now) -> String {
        let separator = " · "
        let gaps = separator.count * max(0, activities.count - 1)
        let room = max(0, width - gaps) / max(1, activities.count)
        let parts = activities.map { Self.text($0, room: room, at: now) }
        return String(parts.joined(separator: separator).prefix(width))
    }

    private static func text(_ activity: Activity, room: Int, at now: ContinuousClock.Instant) -> String {
        var words = [activity.step]
        let seconds = (now - activity.start).components.seconds
        if seconds > 0 { words.append("\(seconds) s") }
        if let done = activity.done {
            if let total = activity.total, total > 0 {
                let length = room >= 70 ? 16 : room >= 45 ? 8 : 0
                let filled = min(length, done * length / total)
                let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: length - filled)
                if length > 0 { words.append("[\(bar)]") }
            }
            words.append(count(done, of: activity.total))
        }
        let left = room - words.reduce(0) { $0 + $1.count + 1 }
        // The end of a path or of a test's name is more informative than its beginning; a few letters are not enough.
        if activity.label.count <= left {
            if !activity.label.isEmpty { words.append(activity.label) }
        } else if left >= 8 {
            words.append("…" + activity.label.suffix(left - 1))
        }
        return words.joined(separator: " ")
    }

    /// The progress: 3/12, or 3 when the total is unknown.
    static func count(_ done: Int, of total: Int?) -> String { total.map { "\(done)/\(max($0, done))" } ?? "\(done)" }
}
