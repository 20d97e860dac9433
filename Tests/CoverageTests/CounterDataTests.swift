// SPDX-License-Identifier: Apache-2.0
import Coverage
import Diagnostics
import Testing

@Suite("Coverage counters", .timeLimit(.minutes(30)))
struct CounterDataTests {
    /// The counters of an object as gcc 12 writes them: a header with a checksum, a function, and its arcs.
    static func data(_ counts: [UInt64], version: String = "B22*", stamp: UInt32 = 7) -> [UInt8] {
        let isInBytes = version >= "B2"
        var words: [UInt32] = [0x6763_6461, version.utf8.reduce(0) { $0 << 8 | UInt32($1) }, stamp]
        if isInBytes { words.append(0xABCD) }
        words += [0x0100_0000, isInBytes ? 12 : 3, 1, 2, 3]
        words += [0x01A1_0000, UInt32(counts.count) * (isInBytes ? 8 : 2)]
        for count in counts { words += [UInt32(truncatingIfNeeded: count), UInt32(count >> 32)] }
        return words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) } }
    }

    @Test("counters are added and subtracted, and all other data is unchanged", arguments: ["B22*", "A94*"])
    func arithmetic(version: String) throws {
        func data(_ counts: UInt64...) throws -> CounterData { try CounterData(Self.data(counts, version: version)) }
        let earlier = try data(1, 0, 1 << 40)
        let later = try data(3, 0, 1 << 41)
        #expect(try later.since(earlier) == data(2, 0, 1 << 40))
        #expect(try later.adding(earlier) == data(4, 0, 3 << 40))
        #expect(try later.since(later).isZero)
        #expect(try !later.isZero && data(0, 0, 0).isZero)
    }

    @Test("a counter that was reset counts from its new value")
    func reset() throws {
        let earlier = try CounterData(Self.data([5, 5]))
        let later = try CounterData(Self.data([2, 6]))
        #expect(try later.since(earlier) == CounterData(Self.data([2, 1])))
    }

    @Test("invalid data is refused: a wrong magic number, an unknown version, a truncated record, another object")
    func damaged() throws {
        let whole = Self.data([1, 2])
        #expect(throws: Failure.self) { try CounterData([]) }
        #expect(throws: Failure.self) { try CounterData(Array(whole.dropFirst())) }
        #expect(throws: Failure.self) { try CounterData(Array(whole.dropLast(9))) }
        #expect(throws: Failure.self) { try CounterData(Self.data([1], version: "!!!!")) }
        let other = try CounterData(Self.data([1, 2, 3]))
        #expect(throws: Failure.self) { try CounterData(whole).adding(other) }
    }

    @Test("each test has its own counts, independent of earlier tests, and the guests' counts are added")
    func guests() throws {
        func sample(_ test: String?, _ object: String, _ counts: [UInt64]) -> CounterSample {
            CounterSample(test: test, object: object, bytes: Self.data(counts))
        }
        let counters = try RunCounters([
            GuestCounters(samples: [
                sample(nil, "/o/a.gcda", [0, 0]), sample(nil, "/o/b.gcda", [1]), sample("one", "/o/a.gcda", [2, 0]),
                sample("two", "/o/a.gcda", [2, 3]), sample("one", "/o/a.gcda", [3, 3]),
            ]),
            GuestCounters(samples: [sample(nil, "/o/a.gcda", [0, 0]), sample("two", "/o/a.gcda", [0, 4])]),
        ])
        #expect(counters.tests.map(\.name) == [RunCounters.bootName, "one", "two"])
        #expect(try counters.tests[1].objects == ["/o/a.gcda": CounterData(Self.data([3, 0]))])
        #expect(try counters.tests[2].objects == ["/o/a.gcda": CounterData(Self.data([0, 7]))])
        #expect(
            try counters.total == [
                "/o/a.gcda": CounterData(Self.data([3, 7])), "/o/b.gcda": CounterData(Self.data([1])),
            ])
    }
}
