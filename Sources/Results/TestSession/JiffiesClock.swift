// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// Assigns leaks to tests. kmemleak finds leaks long after the test, in a scan, and reports when the memory was
/// allocated, in jiffies.
///
/// The guest's init writes lines `kbuild: jiffies COUNT at NANOSECONDS` to the kernel's log; the second number is the
/// monotonic clock, which also times the tests; jiffies rise evenly with it.
struct JiffiesClock: Sendable {
    private struct Sample: Sendable {
        var jiffies: UInt64
        var seconds: Double
    }

    private var first: Sample?
    private var last: Sample?

    /// The most difference between a jiffy and a test's times, in seconds: HZ is 100 or more, and a jiffy may be one
    /// late.
    private static let slack = 0.02

    /// Reads a line of the kernel's log; ignores other lines.
    mutating func read(_ message: String) {
        let mark = "kbuild: jiffies "
        guard message.hasPrefix(mark) else { return }
        let words = message.dropFirst(mark.count).split(separator: " ")
        guard words.count == 3, words[1] == "at", let jiffies = UInt64(words[0]), let clock = Int64(words[2]) else {
            return
        }
        let sample = Sample(jiffies: jiffies, seconds: Double(clock) / 1e9)
        if first == nil { first = sample }
        if let last, sample.jiffies < last.jiffies { return }
        last = sample
    }

    /// The monotonic clock at a number of jiffies, in seconds; nil if it is not known.
    func seconds(at jiffies: UInt64) -> Double? {
        guard let first, let last, last.jiffies > first.jiffies else { return nil }
        let rate = (last.seconds - first.seconds) / Double(last.jiffies - first.jiffies)
        return first.seconds + (Double(jiffies) - Double(first.jiffies)) * rate
    }

    /// A report for each test that leaked memory of the given report; the report itself if no test is known.
    func leaks(of crash: Crash, in programs: [SuiteResult]) -> [Crash] {
        guard crash.kind == .memoryLeak else { return [crash] }
        var tests: [String] = []
        for allocation in crash.allocations {
            guard let time = seconds(at: allocation), let test = Self.test(at: time, in: programs),
                !tests.contains(test)
            else { continue }
            tests.append(test)
        }
        guard !tests.isEmpty else { return [crash] }
        return tests.map { test in
            var crash = crash
            crash.test = test
            return crash
        }
    }

    /// The test that ran at a time, or the program if several of its tests may have run.
    private static func test(at time: Double, in programs: [SuiteResult]) -> String? {
        for slack in [0, slack] {
            for program in programs {
                let running = program.tests.filter { test in
                    guard let started = test.started else { return false }
                    return started - slack <= time && time <= (test.ended ?? .infinity) + slack
                }
                if let test = running.first { return running.count == 1 ? test.id : program.name }
            }
        }
        return nil
    }
}
