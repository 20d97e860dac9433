// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import Testing

extension Tag {
    /// Boots guests with the project's own kernel.
    @Tag public static var guest: Self
    /// Compiles kernels with other options, or of another version.
    @Tag public static var kernels: Self
    /// Takes many minutes: all of the tutorial, KUnit, a guest with Debian.
    @Tag public static var long: Self
    /// Compares incremental builds of whole kernels with plain ones.
    @Tag public static var proof: Self
    /// A campaign of an hour or more with a table at its end.
    @Tag public static var campaign: Self
}

/// Skips the tests whose cost was not requested: KBUILD_TESTS names the requested tags, separated by commas. A test
/// without a tag of cost always runs.
///
/// `swift test` of Swift 6.3 selects tests only by their names, so the tags are read here.
public struct CostTrait: SuiteTrait, TestTrait {
    private struct Cost {
        var tag: Tag
        /// Its name in KBUILD_TESTS.
        var name: String
        /// The Makefile's target that runs such tests.
        var target: String
    }

    /// The tags, the most expensive first, which determines the cost.
    private static let costs = [
        Cost(tag: .campaign, name: "campaign", target: "mutations, matrix, soak or staleness"),
        Cost(tag: .proof, name: "proof", target: "verify-builds"),
        Cost(tag: .long, name: "long", target: "long-test"),
        Cost(tag: .kernels, name: "kernels", target: "kernels-test"),
        Cost(tag: .guest, name: "guest", target: "integration-test"),
    ]

    /// The requested names.
    private static let wanted = Set(
        (ProcessInfo.processInfo.environment["KBUILD_TESTS"] ?? "").split(separator: ",").map(String.init))

    /// Applies to each test of a suite.
    public var isRecursive: Bool { true }

    /// Whether tests of a tag run.
    public static func isWanted(_ tag: Tag) -> Bool {
        costs.contains { $0.tag == tag && wanted.contains($0.name) }
    }

    /// Skips a test whose cost was not requested.
    ///
    /// - Throws: `Failure` (`usage`) when KBUILD_TESTS has an unknown name; the error that skips the test.
    public func prepare(for test: Test) async throws {
        let unknown = Self.wanted.subtracting(Self.costs.map(\.name)).sorted()
        guard unknown.isEmpty else {
            throw Failure(
                .usage, "KBUILD_TESTS names \(unknown.joined(separator: ", ")), which no tests have",
                nextStep: "name \(Self.costs.map(\.name).joined(separator: ", "))")
        }
        guard !test.isSuite, let cost = Self.costs.first(where: { test.tags.contains($0.tag) }) else { return }
        if !Self.wanted.contains(cost.name) {
            try Test.cancel("make \(cost.target) runs it, or KBUILD_TESTS=\(cost.name)")
        }
    }
}

extension Trait where Self == CostTrait {
    /// Runs only the tests whose cost was requested.
    public static var costly: Self { Self() }
}
