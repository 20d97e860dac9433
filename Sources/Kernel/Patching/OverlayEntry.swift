// SPDX-License-Identifier: Apache-2.0
import FileSystem

/// The state of one file of a tree after patches.
public enum OverlayEntry: Sendable, Equatable {
    /// The file has these contents.
    case file(File)
    /// The file is deleted.
    case deleted

    /// A regular file.
    public struct File: Sendable, Equatable {
        /// All of its bytes.
        public var bytes: [UInt8]
        /// Whether its owner may execute it.
        public var isExecutable: Bool

        /// Creates a file.
        public init(bytes: [UInt8], isExecutable: Bool) {
            self.bytes = bytes
            self.isExecutable = isExecutable
        }
    }
}
