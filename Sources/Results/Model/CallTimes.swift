// SPDX-License-Identifier: Apache-2.0

/// How long the project's system calls took in a guest, by test and call, as the guest's test library counted it.
public struct CallTimes: Sendable, Equatable {
    /// A call in a test.
    public struct Key: Sendable, Hashable {
        /// The test, or the program without known tests.
        public var test: String
        /// The call's number.
        public var number: Int

        /// Creates a key.
        public init(test: String, number: Int) {
            self.test = test
            self.number = number
        }
    }

    /// The durations by call and test.
    public private(set) var durations: [Key: DurationHistogram] = [:]

    /// The most pairs of a test and a call.
    static let mostKeys = 100_000

    /// Creates an empty list.
    public init() {}

    /// Adds a record of the guest: `NUMBER BUCKET:COUNT BUCKET:COUNT ...`.
    ///
    /// - Parameter test: The test during which the calls were made.
    /// - Returns: Whether the record could be read.
    public mutating func add(_ record: String, of test: String) -> Bool {
        let fields = record.split(separator: " ")
        guard let number = fields.first.flatMap({ Int($0) }) else { return false }
        var histogram = DurationHistogram()
        for field in fields.dropFirst() {
            let parts = field.split(separator: ":").map { Int($0) }
            guard parts.count == 2, let bucket = parts[0], let count = parts[1],
                histogram.add(count, toBucket: bucket)
            else { return false }
        }
        add(histogram, of: Key(test: test, number: number))
        return true
    }

    /// Adds the durations of another guest.
    public mutating func add(_ other: CallTimes) {
        for (key, histogram) in other.durations { add(histogram, of: key) }
    }

    private mutating func add(_ histogram: DurationHistogram, of key: Key) {
        guard durations[key] != nil || durations.count < Self.mostKeys else { return }
        durations[key, default: DurationHistogram()].add(histogram)
    }
}

/// A histogram of durations with 16 buckets for each power of two, so that a duration is known to 3 %
/// (Sources/CSyscall/calls.c counts them).
public struct DurationHistogram: Sendable, Equatable {
    /// The number of durations, by bucket.
    public private(set) var counts: [Int: Int] = [:]

    /// The number of buckets.
    static let buckets = 976
    /// The most durations of a bucket: a guest's number may be absurd.
    private static let most = 1 << 40

    /// Creates an empty histogram.
    public init() {}

    /// Adds durations to a bucket.
    ///
    /// - Returns: Whether there is such a bucket and the number is possible.
    mutating func add(_ count: Int, toBucket bucket: Int) -> Bool {
        guard (0..<Self.buckets).contains(bucket), (1...Self.most).contains(count) else { return false }
        counts[bucket] = min(Self.most, (counts[bucket] ?? 0) + count)
        return true
    }

    /// Adds another histogram.
    mutating func add(_ other: DurationHistogram) {
        for (bucket, count) in other.counts { _ = add(count, toBucket: bucket) }
    }

    /// The number of durations.
    public var total: Int { counts.values.reduce(0, +) }

    /// The duration that so many percent of all reach at most; nil for an empty histogram.
    public func percentile(_ percent: Int) -> Int? {
        let total = total
        guard total > 0 else { return nil }
        // The rank of the duration, from 1 and rounded up.
        let rank = max(1, Int((Double(total) * Double(percent) / 100).rounded(.up)))
        var seen = 0
        for (bucket, count) in counts.sorted(by: { $0.key < $1.key }) {
            seen += count
            if seen >= rank { return Self.middle(of: bucket) }
        }
        return nil
    }

    /// The middle of a bucket's durations; short durations have a bucket each.
    static func middle(of bucket: Int) -> Int {
        guard bucket >= 16 else { return bucket }
        let exponent = bucket / 16 + 3
        let width = 1 << (exponent - 4)
        let (lower, isTooLarge) = width.multipliedReportingOverflow(by: 16 + bucket % 16)
        return isTooLarge ? .max : lower + (width - 1) / 2
    }
}
