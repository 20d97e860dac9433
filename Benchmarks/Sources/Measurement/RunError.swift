// SPDX-License-Identifier: Apache-2.0
/// Why something could not be measured.
public struct RunError: Error, CustomStringConvertible {
    /// A sentence, and the evidence on further lines.
    public let description: String

    /// Creates a trouble.
    public init(_ description: String) {
        self.description = description
    }
}
