// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@testable import Reporting
@testable import ResultsModel

@Suite("Cost of the calls", .timeLimit(.minutes(30)))
struct CallProfileTests {
    static func cost(_ median: Int, count: Int = 3) -> CallProfile.Cost {
        CallProfile.Cost(
            count: count, median: median, percentile90: median * 2, percentile99: median * 3, most: median * 4)
    }

    /// A call that became ten times slower, one that did not, and a new one.
    static let profile = CallProfile(
        unit: .instructions,
        entries: [
            .init(call: "get", test: "M.S/<one>()", cost: cost(1200), before: cost(1190)),
            .init(call: "put", test: "M.S/<one>()", cost: cost(12040), before: cost(1180)),
            .init(call: "put", test: "M.S/two()", cost: cost(700)),
        ], comparedWith: "20260102T030405.678-9-1")

    private func report() -> RunReport {
        var report = sample()
        report.callProfile = Self.profile
        return report
    }

    @Test("percentiles are the middles of buckets that are 1/16 of a power of two wide")
    func percentiles() {
        #expect(DurationHistogram.middle(of: 0) == 0 && DurationHistogram.middle(of: 15) == 15)
        // 16 to 31 have a bucket each; 32 and 33 share the next.
        #expect(DurationHistogram.middle(of: 16) == 16 && DurationHistogram.middle(of: 31) == 31)
        #expect(DurationHistogram.middle(of: 32) == 32 && DurationHistogram.middle(of: 33) == 34)
        // The last bucket ends with the largest number of 64 bits, which has no room in an Int.
        #expect(DurationHistogram.middle(of: DurationHistogram.buckets - 1) == .max)
        var times = CallTimes()
        let isRead = times.add("463 16:50 32:40 48:9 64:1", of: "t")
        #expect(isRead)
        let histogram = times.durations[.init(test: "t", number: 463)]
        #expect(histogram?.total == 100)
        #expect([50, 90, 99, 100].map { histogram?.percentile($0) } == [16, 32, 65, 131])
        #expect(DurationHistogram().percentile(50) == nil)
    }

    @Test("every duration's bucket contains it, to a sixteenth")
    func buckets() {
        // The formula of Sources/CSyscall/calls.c.
        func bucket(_ duration: UInt64) -> Int {
            guard duration >= 16 else { return Int(duration) }
            let exponent = 63 - duration.leadingZeroBitCount
            return (exponent - 3) * 16 + Int(duration >> UInt64(exponent - 4) & 15)
        }
        var duration: UInt64 = 1
        while duration < 1 << 62 {
            let middle = Double(DurationHistogram.middle(of: bucket(duration)))
            #expect(abs(middle - Double(duration)) <= Double(duration) / 16, "\(duration)")
            duration += duration / 7 + 1
        }
    }

    @Test(
        "records that cannot be read are refused",
        arguments: ["", "x 1:2", "463 1", "463 a:1", "463 1:b", "463 976:1", "463 -1:1", "463 1:0", "463 1:2:3"])
    func damaged(record: String) {
        var times = CallTimes()
        let isRead = times.add(record, of: "t")
        #expect(!isRead && times.durations.isEmpty)
    }

    @Test("a guest's absurd numbers cannot overflow")
    func absurd() {
        var times = CallTimes()
        for _ in 0..<3 { _ = times.add("1 5:\(1 << 40)", of: "t") }
        #expect(times.durations.values.first?.total == 1 << 40)
        let isRead = times.add("1 5:\(Int.max)", of: "t")
        #expect(!isRead)
    }

    @Test("a profile has the named calls in the order of the tests, and compares medians in one unit")
    func comparing() {
        var times = CallTimes()
        for (test, record) in [("b", "1 16:2"), ("a", "1 31:1"), ("a", "2 16:1"), ("c", "1 16:1")] {
            _ = times.add(record, of: test)
        }
        var other = CallTimes()
        _ = other.add("1 16:1", of: "b")
        times.add(other)
        var profile = CallProfile(
            unit: .nanoseconds, conditions: [], times, names: [1: "call"], tests: ["b", "a"])
        #expect(profile.entries.map(\.test) == ["b", "a", "c"])
        #expect(profile.entries.map(\.cost.count) == [3, 1, 1])
        profile.compare(with: Self.profile, of: "r")
        #expect(profile.comparedWith == nil)
        let earlier = CallProfile(
            unit: .nanoseconds, entries: [.init(call: "call", test: "a", cost: Self.cost(3))])
        profile.compare(with: earlier, of: "r")
        #expect(profile.comparedWith == "r" && profile.entries.map(\.before?.median) == [nil, 3, nil])
        #expect(profile.slower.map(\.test) == ["a"])
        profile.conditions = ["check memory"]
        #expect(!profile.isComparable(with: earlier))
    }

    @Test("the terminal has a table, and names the call that became slower")
    func text() {
        let text = TextReport().render(report()).plain
        #expect(text.contains("SLOWER put in M.S/<one>(): median 12,040 instructions, 1,180 before: 10.2 times"))
        #expect(text.contains("instructions of the emulated processor (QEMU's -icount), which are not time"))
        #expect(text.contains("put       3  12,040  24,080  36,120  48,160   1,180  M.S/<one>()"))
        #expect(text.contains("-    M.S/two()") || text.contains("-  M.S/two()") || text.contains("-      M.S/two()"))
        var empty = sample()
        empty.callProfile = CallProfile(unit: .nanoseconds, entries: [])
        #expect(TextReport().render(empty).plain.contains("no test made one through SyscallTesting"))
    }

    @Test("the page and the summary show the call that became slower, and no text in them is markup")
    func page() {
        let page = HTMLReport.render(report())
        #expect(page.contains("<section id=\"calls\">"))
        #expect(page.contains("<span class=\"badge\">10.2 times</span>"))
        #expect(page.contains("<rect class=\"failed\" width=\"100.00%\""))
        #expect(page.contains("M.S/&lt;one&gt;()") && !page.contains("<one>"))
        #expect(!HTMLReport.render(sample()).contains("id=\"calls\""))
        let summary = MarkdownSummary.render(report())
        #expect(summary.contains("### Calls that became slower"))
        #expect(summary.contains("10&#46;2 times") && !summary.contains("<one>"))
    }

    @Test("its JSON form is read back unchanged")
    func json() throws {
        #expect(try JSONReport.parse(JSONReport.render(report())) == report())
    }
}
