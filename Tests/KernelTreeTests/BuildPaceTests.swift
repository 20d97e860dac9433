// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import KernelBuild

@Suite("Remaining time of a build", .timeLimit(.minutes(30)))
struct BuildPaceTests {
    /// The seconds to each step of a build like the kernel's: a tenth of the steps takes half of the time.
    private func times(steps: Int, seconds: Double) -> [Double] {
        (1...steps).map { step in
            let share = Double(step) / Double(steps)
            return seconds * (share < 0.1 ? 5 * share : 0.5 + (share - 0.1) / 0.9 * 0.5)
        }
    }

    @Test(
        "after a minute it is accurate within a quarter, on a machine of any speed and for a kernel of another size",
        arguments: [0.5, 1, 3], [800, 1600, 6400])
    func accuracy(slowness: Double, steps: Int) throws {
        let pace = try #require(BuildPace(times: times(steps: 1600, seconds: 300), expectedSteps: 1500))
        let now = times(steps: steps, seconds: 300 * slowness * Double(steps) / 1600)
        let total = pace.steps(estimate: steps * 1500 / 1600)
        #expect(abs(total - steps) <= 2)
        let end = try #require(now.last)
        for (index, elapsed) in now.enumerated() where elapsed >= 60 && elapsed < 0.9 * end {
            let left = try #require(pace.secondsLeft(done: index + 1, of: total, after: elapsed))
            #expect(abs(elapsed + left - end) <= end / 4, "\(elapsed) s: \(left) s of \(end - elapsed) s")
        }
    }

    @Test("in the first minute it uses the last build's speed, because extrapolation is wrong there")
    func beginning() throws {
        let pace = try #require(BuildPace(times: times(steps: 1600, seconds: 300), expectedSteps: 1600))
        let left = try #require(pace.secondsLeft(done: 16, of: 1600, after: 15))
        #expect(abs(left - 285) < 30)
        // 16 of 1600 steps in 15 s would be 25 minutes.
        #expect(left < 600)
    }

    @Test("no time remains at the last step, and an unknown time is not shown")
    func edges() throws {
        let pace = try #require(BuildPace(times: times(steps: 1600, seconds: 300), expectedSteps: 1600))
        #expect(pace.secondsLeft(done: 1600, of: 1600, after: 300) == 0)
        #expect(pace.secondsLeft(done: 2000, of: 2000, after: 300) == 0)
        #expect(pace.secondsLeft(done: 0, of: 1600, after: 3) == nil)
        #expect(pace.secondsLeft(done: 5, of: 0, after: 3) == nil)
        #expect(BuildPace(times: [1, 2, 3], expectedSteps: 3) == nil)
        #expect(BuildPace(times: [], expectedSteps: 0) == nil)
        // A file that somebody edited.
        var other = pace
        other.seconds = [3, 2, 1]
        #expect(other.secondsLeft(done: 5, of: 10, after: 70) == nil && other.steps(estimate: 7) == 7)
        other = pace
        other.seconds[4] = .infinity
        #expect(other.secondsLeft(done: 5, of: 10, after: 70) == nil)
    }

    @Test(
        "its text is as coarse as its accuracy",
        arguments: [
            (3.0, "about 10 s left"), (44, "about 40 s left"), (89, "about 90 s left"), (95, "about 2 min left"),
            (610, "about 10 min left"),
        ])
    func words(seconds: Double, text: String) {
        #expect(BuildPace.words(seconds) == text)
    }
}
