// SPDX-License-Identifier: Apache-2.0

/// The course of a build from nothing on this machine: how many steps it had, and how long each part of them took. The
/// first steps (the build's own tools, generated headers) take much longer than the rest, so the time that is left does
/// not follow from the number of steps alone.
public struct BuildPace: Sendable, Equatable, Codable {
    /// The parts of equal numbers of steps.
    static let parts = 20

    /// The counted steps.
    public var steps: Int
    /// The steps that were expected from the configuration alone, by which a build of another configuration is
    /// compared.
    public var expectedSteps: Int
    /// The seconds from the start to the end of each part, `parts` of them.
    public var seconds: [Double]

    /// Describes a build.
    ///
    /// - Parameters:
    ///   - times: The seconds from the start to each counted step.
    ///   - expectedSteps: The steps that were expected.
    /// - Returns: Nil for a build of too few steps, from which nothing follows.
    init?(times: [Double], expectedSteps: Int) {
        guard times.count >= 10 * Self.parts, let last = times.last, last > 0, expectedSteps > 0 else { return nil }
        steps = times.count
        self.expectedSteps = expectedSteps
        seconds = (1...Self.parts).map { times[$0 * times.count / Self.parts - 1] }
    }

    /// Whether the values can be those of a build. They come from a file.
    private var isPlausible: Bool {
        steps > 0 && expectedSteps > 0 && seconds.count == Self.parts && (seconds.first ?? -1) >= 0
            && seconds.allSatisfy(\.isFinite) && zip(seconds, seconds.dropFirst()).allSatisfy { $0 <= $1 }
    }

    /// The steps to expect of a build for which the configuration alone suggests `estimate`.
    func steps(estimate: Int) -> Int {
        isPlausible ? max(1, Int((Double(estimate) * Double(steps) / Double(expectedSteps)).rounded())) : estimate
    }

    /// The share of steps and the seconds at the end of the part that is `share` of the build, interpolated.
    private func time(at share: Double) -> Double {
        let position = min(max(share, 0), 1) * Double(Self.parts)
        let part = min(Int(position), Self.parts - 1)
        let before = part == 0 ? 0 : seconds[part - 1]
        return before + (seconds[part] - before) * (position - Double(part))
    }

    /// The seconds that a build still takes; nil when that is unknown.
    ///
    /// In its first minute a build counts as fast as the last one was; from then on its own speed counts.
    ///
    /// - Parameters:
    ///   - done: The counted steps so far.
    ///   - total: The steps to expect.
    ///   - elapsed: The seconds since the start.
    func secondsLeft(done: Int, of total: Int, after elapsed: Double) -> Double? {
        guard isPlausible, total > 0, done > 0, let last = seconds.last else { return nil }
        let then = time(at: Double(done) / Double(total))
        guard then > 0 else { return nil }
        let weight = min(1, max(0, elapsed) / 60)
        let size = Double(total) / Double(steps)
        return (last - then) * (weight * elapsed / then + (1 - weight) * size)
    }

    /// The time left in words, rounded to what such an estimate is worth: "about 3 min left", "about 40 s left".
    static func words(_ seconds: Double) -> String {
        guard seconds < 90 else { return "about \(Int((min(seconds, 1e6) / 60).rounded())) min left" }
        return "about \(max(1, Int((seconds / 10).rounded())) * 10) s left"
    }
}
