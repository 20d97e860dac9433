// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import SystemPackage

/// The files that tools read besides those that are known beforehand, as the tools themselves record them.
public struct ToolReads: Sendable, Hashable, Codable {
    /// Files whose contents were read, by absolute path.
    public var files: Set<String>
    /// Files that were looked for and are not there: one that appears changes what the tools read.
    public var absent: Set<String>
    /// Files that would have been read in place of others, are there after the work, and were not read: one that
    /// appeared during the work came too late. Not part of the record.
    public var passedOver: Set<String> = []

    private enum CodingKeys: CodingKey {
        case files
        case absent
    }

    /// Creates a record.
    public init(files: Set<String> = [], absent: Set<String> = [], passedOver: Set<String> = []) {
        self.files = files
        self.absent = absent
        self.passedOver = passedOver
    }
}

/// The signatures of all files that a stat cache was asked for while a key was computed: a file that was changed and
/// put back has the same contents and another signature.
final class FileWitness: Sendable {
    /// Where the stat cache reports to during the computation of a key.
    @TaskLocal static var current: FileWitness?

    private let state = Mutex<[String: FileSignature?]>([:])

    func saw(_ path: FilePath, _ signature: FileSignature?) {
        state.withLock { $0[path.string] = .some(signature) }
    }

    var signatures: [String: FileSignature?] { state.withLock { $0 } }
}
