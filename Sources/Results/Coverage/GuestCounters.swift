// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The counters of one object at one moment of a guest's life.
public struct CounterSample: Sendable, Equatable {
    /// The owner of the time until that moment: a test, a program without known tests, or none.
    public var test: String?
    /// The object's file of counters as the kernel names it: an absolute path that ends in `.gcda`.
    public var object: String
    /// The counters, as gcov reads them.
    public var bytes: [UInt8]

    /// Creates a sample.
    public init(test: String?, object: String, bytes: [UInt8]) {
        self.test = test
        self.object = object
        self.bytes = bytes
    }
}

/// All samples of one guest, in order. Counters go on counting from one to the next.
public struct GuestCounters: Sendable, Equatable {
    /// The samples.
    public var samples: [CounterSample]
    /// Who ran when the guest ended too early: what that reached after the last sample is not known.
    public var cutShortIn: String?
    /// Whether samples were left out because there were too many.
    public var isBounded: Bool

    /// Creates a guest's account.
    public init(samples: [CounterSample] = [], cutShortIn: String? = nil, isBounded: Bool = false) {
        self.samples = samples
        self.cutShortIn = cutShortIn
        self.isBounded = isBounded
    }
}

/// What the tests of a run have counted: each by itself, and all together.
public struct RunCounters: Sendable, Equatable {
    /// What one test counted.
    public struct Test: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// Its counters by object; only objects of which it reached something.
        public var objects: [String: CounterData]
    }

    /// The sum, by object.
    public private(set) var total: [String: CounterData] = [:]
    /// The tests that reached something, in the order in which they first did.
    public private(set) var tests: [Test] = []

    /// The name of the counts from before the first program, which do not belong to a test.
    public static let bootName = "(boot)"

    /// Takes the samples of a run's guests apart.
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
