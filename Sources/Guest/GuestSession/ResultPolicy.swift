// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Project
import Reporting
import ResultsModel

extension Project.SplatPolicy {
    /// Whether a report that is not fatal fails the run if no entry names it.
    package var isStrict: Bool { self != .warn }

    /// Whether a report with this title, which is not fatal, fails the run.
    package func fails(title: String) -> Bool { isStrict && entry(for: title) == nil }

    /// The first entry that names a report with this title.
    package func entry(for title: String) -> Project.KnownSplat? {
        guard case .known(let entries) = self else { return nil }
        return entries.first { Self.matches($0.title, title) }
    }

    /// The loader has refused a pattern that is not a regular expression.
    fileprivate static func matches(_ pattern: String, _ text: String) -> Bool {
        guard let regex = try? Regex(pattern) else { return false }
        return text.contains(regex)
    }
}

/// Applies the project file's rules for skipped tests (`skips`) and for known kernel reports (`splats`) to the report
/// of a run before its verdict is computed.
package struct ResultPolicy {
    package var skips: Project.SkipPolicy
    package var splats: Project.SplatPolicy

    /// Creates a policy from the project file's two keys.
    package init(
        skips: Project.SkipPolicy, splats: Project.SplatPolicy
    ) {
        self.skips = skips
        self.splats = splats
    }

    /// The most skipped tests to name in one problem.
    private static let mostNames = 20

    /// Marks known kernel reports, and makes unexpected skips a problem of their suite, which fails the run.
    ///
    /// - Returns: Notes: entries that matched nothing in a run of all tests.
    package func apply(to report: inout RunReport) -> [String] {
        for index in report.crashes.indices where !report.crashes[index].isFatal {
            report.crashes[index].knownReason = splats.entry(for: report.crashes[index].title)?.reason
        }
        let patterns: [String]
        switch skips {
        case .warn: return unusedSplats(in: report)
        case .fail: patterns = []
        case .expected(let expected): patterns = expected
        }
        for index in report.suites.indices {
            let unexpected = Self.skipped(in: report.suites[index]).filter { test in
                !patterns.contains { Project.SplatPolicy.matches($0, test.id) }
            }
            guard !unexpected.isEmpty else { continue }
            let names = unexpected.prefix(Self.mostNames).map { test in
                test.id + (test.reason.map { " (\($0))" } ?? "")
            }
            let more = unexpected.count > names.count ? ", and \(unexpected.count - names.count) more" : ""
            report.suites[index].problems.append(
                "\(pluralized(unexpected.count, "test")) skipped that the project's skips: does not expect: "
                    + names.joined(separator: ", ") + more)
        }
        guard report.filter == nil, !report.suites.isEmpty else { return unusedSplats(in: report) }
        let skipped = report.suites.flatMap(Self.skipped)
        return patterns.filter { pattern in !skipped.contains { Project.SplatPolicy.matches(pattern, $0.id) } }
            .map { "skips: '\($0)' matches no test that was skipped" } + unusedSplats(in: report)
    }

    /// Tests that were skipped in whole or in part.
    private static func skipped(in suite: SuiteResult) -> [TestResult] {
        suite.tests.filter { $0.status == .skipped || $0.skippedCases > 0 }
    }

    private func unusedSplats(in report: RunReport) -> [String] {
        guard case .known(let entries) = splats, report.filter == nil, !report.suites.isEmpty else { return [] }
        return entries.filter { entry in
            !report.crashes.contains { !$0.isFatal && Project.SplatPolicy.matches(entry.title, $0.title) }
        }.map { "splats: '\($0.title)' matches no report of the kernel's" }
    }
}
