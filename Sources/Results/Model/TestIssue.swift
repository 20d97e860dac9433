// SPDX-License-Identifier: Apache-2.0

/// A failed expectation, or an error.
public struct TestIssue: Codable, Sendable, Equatable {
    /// The expectation and the value.
    public var message: String
    /// The source file.
    public var file: String?
    /// The line in it, counted from 1.
    public var line: Int?
    /// Whether the test declares it as known, so that it does not fail.
    public var isKnown: Bool
    /// The number of equal issues at the same place in this test.
    public var count = 1
    /// The arguments of the cases with this issue, each once; only the first if there are very many; empty if the test
    /// is not parameterized.
    public var arguments: [String] = []
    /// The text of the line, from the project's own file, without the blanks around it; nil if it could not be read.
    public var sourceText: String?

    /// Creates an issue.
    public init(message: String, file: String? = nil, line: Int? = nil, isKnown: Bool = false) {
        self.message = message
        self.file = file
        self.line = line
        self.isKnown = isKnown
    }

    private enum CodingKeys: String, CodingKey {
        case message, file, line, isKnown, count, arguments, sourceText
    }

    /// Reads an issue of a report.
    ///
    /// - Throws: DecodingError for another form.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        message = try container.decode(String.self, forKey: .message)
        file = try container.decodeIfPresent(String.self, forKey: .file)
        line = try container.decodeIfPresent(Int.self, forKey: .line)
        isKnown = try container.decode(Bool.self, forKey: .isKnown)
        count = try container.decode(.count, whenMissing: 1)
        arguments = try container.decode(.arguments, whenMissing: [])
        sourceText = try container.decodeIfPresent(String.self, forKey: .sourceText)
    }

    /// Writes an issue of a report.
    ///
    /// - Throws: The encoder's errors.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(message, forKey: .message)
        try container.encodeIfPresent(file, forKey: .file)
        try container.encodeIfPresent(line, forKey: .line)
        try container.encode(isKnown, forKey: .isKnown)
        try container.encode(count, forKey: .count, unless: 1)
        try container.encode(arguments, forKey: .arguments, unless: [])
        try container.encodeIfPresent(sourceText, forKey: .sourceText)
    }

    /// Whether another issue counts as the same in the report.
    package func isLike(_ other: TestIssue) -> Bool {
        line == other.line && isKnown == other.isKnown && file == other.file && message == other.message
    }
}
