// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel

/// The report as JSON, for programs: keys sorted, indented, versioned by `schemaVersion`.
public enum JSONReport {
    /// Renders a report, without a final newline. A time that is not a number, which a guest's clock may give, is
    /// omitted.
    ///
    /// - Parameter isOneLine: Whether it is one line, for a stream of records.
    /// - Throws: `EncodingError`, which no report is known to cause.
    public static func render(_ report: RunReport, isOneLine: Bool = false) throws -> String {
        var report = report
        if !report.seconds.isFinite { report.seconds = 0 }
        for step in report.steps.indices {
            if !report.steps[step].seconds.isFinite { report.steps[step].seconds = 0 }
            if report.steps[step].startSeconds?.isFinite == false { report.steps[step].startSeconds = nil }
        }
        for suite in report.suites.indices {
            for test in report.suites[suite].tests.indices
            where report.suites[suite].tests[test].seconds?.isFinite == false {
                report.suites[suite].tests[test].seconds = nil
            }
        }
        return try render(
            Judged(contents: report, exitCode: report.exitCode, verdict: report.verdict), isOneLine: isOneLine)
    }

    /// Renders the results of a log.
    ///
    /// - Throws: `EncodingError`, which no report is known to cause.
    public static func render(_ report: LogReport) throws -> String {
        try render(Judged(contents: report, exitCode: report.exitCode, verdict: report.verdict))
    }

    /// A report together with the exit code and the verdict, which are computed from it.
    private struct Judged<Contents: Encodable>: Encodable {
        private enum CodingKeys: String, CodingKey { case exitCode, verdict }

        var contents: Contents
        var exitCode: Int32
        var verdict: String

        func encode(to encoder: any Encoder) throws {
            try contents.encode(to: encoder)
            // JSON's keys are one object's, however many containers write them.
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(exitCode, forKey: .exitCode)
            try container.encode(verdict, forKey: .verdict)
        }
    }

    private static func render(_ report: Judged<some Encodable>, isOneLine: Bool = false) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if !isOneLine { encoder.outputFormatting.insert(.prettyPrinted) }
        return String(decoding: try encoder.encode(report), as: UTF8.self)
    }

    /// The exit code and the verdict in a report.
    private struct Claim: Decodable {
        var exitCode: Int32
        var verdict: String
    }

    /// Reads a report that was rendered earlier. The exit code is computed from its contents. If a report claims a
    /// failure that its contents do not have, it was cut or changed: then the claim becomes a separate error, so that a
    /// report that claims a failure never passes.
    ///
    /// - Throws: `DecodingError` when it is not a report, or of a later version.
    public static func parse(_ text: String) throws -> RunReport {
        let data = Data(text.utf8)
        var report = try JSONDecoder().decode(RunReport.self, from: data)
        guard report.schemaVersion <= RunReport.currentSchemaVersion else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [], debugDescription: "schema version \(report.schemaVersion) is not known"))
        }
        let claim = try JSONDecoder().decode(Claim.self, from: data)
        if claim.exitCode != 0, report.exitCode == 0 {
            let code = ExitStatus(rawValue: claim.exitCode) ?? .infrastructure
            report.errors.append(
                .init(
                    Failure(
                        code,
                        "the report claims exit code \(claim.exitCode), but its contents give exit code 0: "
                            + "a part is missing, or it was changed")))
        }
        return report
    }
}
