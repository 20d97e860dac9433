// SPDX-License-Identifier: Apache-2.0
/// The end of a console's log, or all of a short one.
public struct ConsoleExcerpt: Sendable, Equatable {
    /// Its lines.
    public var text: String
    /// The number of the first of them in the whole log, counted from 1.
    public var firstLine: Int
    /// The bytes before them.
    public var omittedBytes: Int

    /// Creates an excerpt.
    public init(text: String, firstLine: Int = 1, omittedBytes: Int = 0) {
        self.text = text
        self.firstLine = firstLine
        self.omittedBytes = omittedBytes
    }
}
