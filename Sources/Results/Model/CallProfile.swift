// SPDX-License-Identifier: Apache-2.0

/// The cost of the system calls that the patches add, by call and test, compared with an earlier run.
public struct CallProfile: Codable, Sendable, Equatable {
    /// What is counted.
    public enum Unit: String, Codable, Sendable {
        /// The guest's instructions, where QEMU emulates the processor.
        case instructions
        /// Nanoseconds of the guest's clock.
        case nanoseconds
    }

    /// The cost of a call, in the profile's unit.
    public struct Cost: Codable, Sendable, Equatable {
        /// How often it was made.
        public var count: Int
        /// The median.
        public var median: Int
        /// The cost that 90 % of the calls do not exceed.
        public var percentile90: Int
        /// The cost that 99 % of the calls do not exceed.
        public var percentile99: Int
        /// The largest.
        public var most: Int

        /// Creates a cost.
        public init(count: Int, median: Int, percentile90: Int, percentile99: Int, most: Int) {
            self.count = count
            self.median = median
            self.percentile90 = percentile90
            self.percentile99 = percentile99
            self.most = most
        }

        /// The cost of durations; nil if there is none.
        public init?(_ histogram: DurationHistogram) {
            guard let median = histogram.percentile(50), let percentile90 = histogram.percentile(90),
                let percentile99 = histogram.percentile(99), let most = histogram.percentile(100)
            else { return nil }
            self.init(
                count: histogram.total, median: median, percentile90: percentile90, percentile99: percentile99,
                most: most)
        }
    }

    /// A call in a test.
    public struct Entry: Codable, Sendable, Equatable {
        /// The call's name.
        public var call: String
        /// The test, or the program whose tests are not known one by one.
        public var test: String
        /// The cost in this run.
        public var cost: Cost
        /// The cost in the earlier run; nil when the test did not make the call there.
        public var before: Cost?

        /// Creates an entry.
        public init(call: String, test: String, cost: Cost, before: Cost? = nil) {
            self.call = call
            self.test = test
            self.cost = cost
            self.before = before
        }

        /// How many times the median of the earlier run; nil without one.
        public var factor: Double? {
            guard let before, before.median > 0 else { return nil }
            return Double(cost.median) / Double(before.median)
        }

        /// Whether the call became slower by a factor that does not come from the measurement.
        public var isSlower: Bool { (factor ?? 1) >= CallProfile.leastFactor }
    }

    /// The least change of a median that is pointed out. Counts of instructions vary by interrupts, and times by
    /// everything else on the host.
    public static let leastFactor = 2.0

    /// What the costs count.
    public var unit: Unit
    /// What else changes the costs: the profile, the checkers, coverage. Only runs with the same are compared.
    public var conditions: [String]
    /// The costs, by the calls' names and then in the order of the tests.
    public var entries: [Entry]
    /// The name of the earlier run; nil if none has a profile in this unit.
    public var comparedWith: String?

    /// Creates a profile.
    public init(unit: Unit, conditions: [String] = [], entries: [Entry], comparedWith: String? = nil) {
        self.unit = unit
        self.conditions = conditions
        self.entries = entries
        self.comparedWith = comparedWith
    }

    /// Makes a profile of what guests counted.
    ///
    /// - Parameters:
    ///   - conditions: What else changes the costs.
    ///   - names: The calls' names by their numbers; other calls are left out.
    ///   - tests: The tests in their order.
    public init(
        unit: Unit, conditions: [String], _ times: CallTimes, names: [Int: String], tests: [String]
    ) {
        let places = Dictionary(tests.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        let entries = times.durations.compactMap { key, histogram -> Entry? in
            guard let name = names[key.number], let cost = Cost(histogram) else { return nil }
            return Entry(call: name, test: key.test, cost: cost)
        }
        self.init(
            unit: unit, conditions: conditions,
            entries: entries.sorted { one, other in
                let (first, second) = (places[one.test] ?? tests.count, places[other.test] ?? tests.count)
                return (one.call, first, one.test) < (other.call, second, other.test)
            })
    }

    /// Whether its costs can be compared with another profile's.
    public func isComparable(with other: CallProfile) -> Bool {
        unit == other.unit && conditions == other.conditions
    }

    /// Compares with an earlier run's profile, if that is possible.
    public mutating func compare(with earlier: CallProfile, of run: String) {
        guard isComparable(with: earlier) else { return }
        comparedWith = run
        let costs = Dictionary(
            earlier.entries.map { ([$0.call, $0.test], $0.cost) }, uniquingKeysWith: { first, _ in first })
        for index in entries.indices { entries[index].before = costs[[entries[index].call, entries[index].test]] }
    }

    /// The calls that became slower, the most first.
    public var slower: [Entry] {
        entries.filter(\.isSlower).sorted { ($0.factor ?? 0) > ($1.factor ?? 0) }
    }
}
