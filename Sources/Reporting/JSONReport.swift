import Foundation

/// The report as JSON, for programs: keys sorted, indented, versioned by `schemaVersion`.
public enum JSONReport {
    /// Renders a report, without a newline at its end. A time that is no number, which a guest can make of its clock, is
    /// left out.
    ///
    /// - Throws: `EncodingError`, which no report is known to cause.
    public static func render(_ report: RunReport) throws -> String {
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
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self)
    }

    /// Renders what a log was found to hold.
    ///
    /// - Throws: `EncodingError`, which no report is known to cause.
    public static func render(_ report: LogReport) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self)
    }

    /// Reads a report that was rendered earlier.
    ///
    /// - Throws: `DecodingError` when it is none, or of a later version.
    public static func parse(_ text: String) throws -> RunReport {
        let report = try JSONDecoder().decode(RunReport.self, from: Data(text.utf8))
        guard report.schemaVersion <= RunReport.currentSchemaVersion else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [], debugDescription: "schema version \(report.schemaVersion) is not known"))
        }
        return report
    }
}
