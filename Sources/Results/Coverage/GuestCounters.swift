// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The counters of one object at one time in a guest.
public struct CounterSample: Sendable, Equatable {
    /// The owner of the time until that moment: a test, a program without known tests, or none.
    public var test: String?
    /// The kernel's path of the object's counters: an absolute path that ends in `.gcda`.
    public var object: String
    /// The counters, in gcov's form.
    public var bytes: [UInt8]

    /// Creates a sample.
    public init(test: String?, object: String, bytes: [UInt8]) {
        self.test = test
        self.object = object
        self.bytes = bytes
    }
}

/// All samples of one guest, in order. Counters are not reset between samples.
public struct GuestCounters: Sendable, Equatable {
    /// The samples.
    public var samples: [CounterSample]
    /// The test that ran when the guest ended too early: its counts after the last sample are unknown.
    public var cutShortIn: String?
    /// Whether samples were left out because there were too many.
    public var isBounded: Bool

    /// Creates the samples of a guest.
    public init(samples: [CounterSample] = [], cutShortIn: String? = nil, isBounded: Bool = false) {
        self.samples = samples
        self.cutShortIn = cutShortIn
        self.isBounded = isBounded
    }
}

/// The counts of the tests of a run, separately and together.
public struct RunCounters: Sendable, Equatable {
    /// The counts of one test.
    public struct Test: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// Its counters by object; only objects in which it reached code.
        public var objects: [String: CounterData]
    }

    /// The sum, by object.
    public private(set) var total: [String: CounterData] = [:]
    /// The tests that reached code, in the order in which they first did.
    public private(set) var tests: [Test] = []

    /// The name of the counts from before the first program, which do not belong to a test.
    public static let bootName = "(boot)"

    /// Separates the samples of a run's guests by test.
    ///
    /// - Throws: `Failure` (`infrastructure`) when counters cannot be read.
    public init(_ guests: [GuestCounters]) throws(Failure) {
        var places: [String: Int] = [:]
        for guest in guests {
            var last: [String: CounterData] = [:]
            for sample in guest.samples {
                let now = try CounterData(sample.bytes)
                let news: CounterData
                if let earlier = last[sample.object], earlier.isLike(now) {
                    news = try now.since(earlier)
                } else {
                    news = now
                }
                last[sample.object] = now
                total[sample.object] = try total[sample.object]?.adding(news) ?? news
                guard !news.isZero else { continue }
                let name = sample.test ?? Self.bootName
                let place = places[name] ?? tests.count
                if place == tests.count { tests.append(Test(name: name, objects: [:])) }
                places[name] = place
                tests[place].objects[sample.object] = try tests[place].objects[sample.object]?.adding(news) ?? news
            }
        }
    }
}
