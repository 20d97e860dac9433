// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import GuestSession

/// The `filter:` and `skip:` of a `swift:` entry of the project file, checked against the existing tests.
struct SuiteSelection {
    /// The entry in the project file: `tests[0]`.
    var entry: String
    /// The package, as the project file names it.
    var package: String
    var filter: String?
    var skip: String?

    /// The most names in a message.
    private static let mostNames = 10

    /// Checks that the entry selects at least one test of its suite, whatever else the project runs, and that it
    /// selects no test that kbuild cannot run.
    ///
    /// - Parameters:
    ///   - tests: The bundle's Swift Testing tests.
    ///   - xctests: Its XCTest cases.
    ///   - selection: The selection by the command line's pattern.
    /// - Returns: A note: a `skip:` that matches nothing. More tests run than its author intended, so it hides no
    ///   failure.
    /// - Throws: `Failure` (`usage`) that names the entry.
    func check(tests: [String], xctests: [String], with selection: TestSelection) throws(Failure) -> String? {
        let chosen = try selection.adding(filter: filter, skip: skip)
        let unsupported = xctests.filter(chosen.includes)
        guard unsupported.isEmpty else {
            throw Failure(
                .usage,
                "\(entry): kbuild does not run XCTest, and \(package) has \(pluralized(unsupported.count, "XCTest case"))",
                details: names(unsupported),
                nextStep: "write them as @Test functions, or name them in the entry's skip:")
        }
        guard tests.contains(where: try TestSelection(filter: nil).adding(filter: filter, skip: skip).includes) else {
            throw Failure(.usage, try emptyReason(tests), details: names(tests), nextStep: "correct the pattern")
        }
        guard let skip else { return nil }
        let skipped = try TestSelection(filter: skip)
        return (tests + xctests).contains(where: skipped.includes)
            ? nil : "\(entry).skip '\(skip)' matches no test of \(package)"
    }

    private func emptyReason(_ tests: [String]) throws(Failure) -> String {
        let none = "so that none of its \(pluralized(tests.count, "test")) would run"
        if let filter, !tests.contains(where: try TestSelection(filter: filter).includes) {
            return "\(entry).filter '\(filter)' matches no test of \(package), \(none)"
        }
        guard let skip else { return "\(entry): \(package) has no Swift Testing test" }
        guard let filter else { return "\(entry).skip '\(skip)' matches every test of \(package), \(none)" }
        return "\(entry).skip '\(skip)' matches every test of \(package) that its filter '\(filter)' selects, \(none)"
    }

    private func names(_ names: [String]) -> String {
        let more = names.count > Self.mostNames ? ["... and \(names.count - Self.mostNames) more"] : []
        return (names.prefix(Self.mostNames) + more).joined(separator: "\n")
    }
}
