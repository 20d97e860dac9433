// SPDX-License-Identifier: Apache-2.0
import Foundation
import ResultsModel

/// The cases of one Swift Testing test: how many started, ended and were cancelled, and which case runs.
///
/// Version 6.3 of the event stream has no field for a case or its arguments. The text of `testCaseStarted` names them:
/// `Test case passing 2 arguments s → "a", n → 1 to two(s:n:) started.` Tests run one at a time (`--no-parallel`), so
/// an issue between a case's start and its end is that case's.
struct TestCases: Sendable {
    /// Cases that started. A test that is not parameterized has one case and no event for its start.
    private(set) var started = 0
    /// Cases that ended.
    private(set) var ended = 0
    /// Cases that were cancelled.
    private(set) var cancelled = 0
    /// The arguments of the first cancelled cases.
    private(set) var cancelledArguments: [String] = []
    /// The arguments of the running case; nil between cases.
    private(set) var current: String?
    /// Whether the test as a whole was cancelled.
    var isTestCancelled = false
    /// Whether the test is parameterized, so that it must have a case.
    private let isExpected: Bool

    init(isExpected: Bool = false) { self.isExpected = isExpected }

    /// The most cases whose arguments are kept for an issue, and for cancelled cases.
    static let mostArguments = 20
    static let mostCancelled = 3
    /// The most characters to keep of one case's arguments.
    static let longestArguments = 500

    /// Records the start of a case.
    ///
    /// - Parameter text: The event's first message.
    mutating func start(_ text: String) {
        started += 1
        current = Self.arguments(in: text)
    }

    /// Records that a case was cancelled.
    mutating func cancel() {
        cancelled += 1
        if let current, cancelledArguments.count < Self.mostCancelled { cancelledArguments.append(current) }
    }

    /// Records the end of a case.
    mutating func end() {
        ended += 1
        current = nil
    }

    /// Whether the test did none of its work.
    var isAllCancelled: Bool { isTestCancelled || cancelled > 0 && cancelled >= started }

    /// Why the test cannot have passed; nil when there is no reason.
    var flaw: String? {
        if started != ended { return "\(started) of its cases started and \(ended) ended" }
        return isExpected && started == 0 ? "none of its cases ran" : nil
    }

    /// "1 of 4 cases was cancelled: n → 2"; nil when none was.
    var cancellation: String? {
        guard cancelled > 0, started > 0 else { return nil }
        let shown = cancelledArguments.joined(separator: "; ")
        let more = cancelled > Self.mostCancelled ? "; ..." : ""
        let which = shown.isEmpty ? "" : ": \(shown)\(more)"
        return "\(cancelled) of \(started) \(started == 1 ? "case" : "cases") "
            + (cancelled == 1 ? "was" : "were") + " cancelled\(which)"
    }

    /// The arguments in the text of a case's start; the whole text if it has another form.
    static func arguments(in text: String) -> String {
        var rest = text[...]
        if rest.hasPrefix("Test case passing "), let word = rest.range(of: "argument") {
            rest = rest[word.upperBound...]
            if rest.hasPrefix("s") { rest = rest.dropFirst() }
            rest = rest.drop { $0 == " " }
            // The test's name has no " to "; an argument may.
            if let end = rest.range(of: " to ", options: .backwards) { rest = rest[..<end.lowerBound] }
        }
        return rest.count > longestArguments ? rest.prefix(longestArguments) + "…" : String(rest)
    }
}

extension TestIssue {
    /// Whether to keep the arguments of another case.
    func hasRoom(for argument: String) -> Bool {
        arguments.count < TestCases.mostArguments && !arguments.contains(argument)
    }
}
