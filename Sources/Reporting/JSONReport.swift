import Foundation

/// The report as JSON, for programs: keys sorted, indented, versioned by `schemaVersion`.
public enum JSONReport {
    /// Renders a report, without a newline at its end.
    ///
    /// - Throws: `EncodingError` for a number that JSON cannot hold.
    public static func render(_ report: RunReport) throws -> String {
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
