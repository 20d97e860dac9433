// SPDX-License-Identifier: Apache-2.0
/// A line of the user's own file: a patch, a C file or syscall.yaml.
public struct SourcePlace: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The file's path.
    public var file: String
    /// The line, from 1.
    public var line: Int

    /// Names a line.
    public init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    /// `FILE:LINE`, as compilers write it.
    public var description: String { "\(file):\(line)" }
}
