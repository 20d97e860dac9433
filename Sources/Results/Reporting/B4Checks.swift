// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel

/// The report in the form that b4's review reads as a check: a JSON list of maps with `tool`, `status` (pass, warn or
/// fail), `summary` and `details`.
public enum B4Checks {
    /// One entry of the list.
    struct Check: Encodable, Equatable {
        enum Status: String, Encodable { case pass, warn, fail }

        var tool: String
        var status: Status
        var summary: String
        var details: String?
    }

    /// The most entries in addition to the verdict's, and the most lines of an entry's details.
    private static let (mostEntries, mostLines) = (50, 40)

    /// Renders a report, without a final newline.
    ///
    /// - Throws: `EncodingError`, which no report is known to cause.
    public static func render(_ report: RunReport) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(checks(of: report)), as: UTF8.self)
    }

    /// The verdict, then its reasons: kernel reports, tests that did not pass, and other errors.
    static func checks(of report: RunReport) -> [Check] {
        let entries = entries(of: report)
        var list = [verdict(of: report)] + entries.prefix(mostEntries)
        if entries.count > mostEntries {
            list.append(
                Check(
                    tool: "kbuild", status: .warn,
                    summary: "\(entries.count - mostEntries) more entries are in kbuild's own report"))
        }
        return list
    }

    private static func verdict(of report: RunReport) -> Check {
        let code = ExitStatus(rawValue: report.exitCode) ?? .infrastructure
        // An error of the testing machine says nothing about the patches.
        let isOfPatches = ![.usage, .infrastructure, .interrupted].contains(code)
        let passed = pluralized(report.count(.passed), "test")
        let version = report.kernel.map { " on Linux \($0.version)" } ?? ""
        let summary =
            report.isBootCheck == true && code == .success
            ? "booted clean\(version)" : "\(report.verdict): \(passed) of \(report.tests.count) passed\(version)"
        return Check(
            tool: "kbuild", status: code == .success ? .pass : isOfPatches ? .fail : .warn, summary: summary)
    }

    private static func entries(of report: RunReport) -> [Check] {
        var entries: [Check] = report.crashes.map { crash in
            Check(
                tool: "kbuild/kernel", status: report.fails(crash) ? .fail : .warn, summary: crash.title,
                details: details(crash.lines))
        }
        for suite in report.suites {
            for test in suite.tests where test.status.isFailure {
                let issues = test.issues.filter { !$0.isKnown }.map(\.message)
                entries.append(
                    Check(
                        tool: "kbuild/test", status: .fail,
                        summary: "\(suite.name): \(test.id) \(test.status.words.verb)",
                        details: details([test.reason].compactMap { $0 } + issues)))
            }
            entries += suite.problems.map { Check(tool: "kbuild/test", status: .fail, summary: "\(suite.name): \($0)") }
        }
        let codesOfPatches = [ExitStatus.patch, .build, .guestCrash, .timeout, .testFailure].map(\.rawValue)
        entries += report.errors.map { error in
            Check(
                tool: "kbuild", status: codesOfPatches.contains(error.code) ? .fail : .warn, summary: error.message,
                details: details((error.details ?? "").textLines().map(String.init)))
        }
        return entries
    }

    private static func details(_ lines: [String]) -> String? {
        guard !lines.isEmpty else { return nil }
        let rest = lines.count > mostLines ? "\n... and \(lines.count - mostLines) more lines" : ""
        return lines.prefix(mostLines).joined(separator: "\n") + rest
    }
}
