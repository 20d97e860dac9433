// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import SystemPackage

/// The files that tools read in addition to those known beforehand, as recorded by the tools.
public struct ToolReads: Sendable, Hashable, Codable {
    /// Files whose contents were read, by absolute path.
    public var files: Set<String>
    /// Files that were searched for and do not exist: if one appears, the tools would read it.
    public var absent: Set<String>
    /// Files that exist after the work and would be read in place of others, but were not read, because they appeared
    /// during the work. Not part of the record.
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

/// The signatures of all files whose digests were requested while a key was computed. A file that was changed and
/// restored has the same contents and another signature.
final class FileWitness: Sendable {
    /// The receiver of signatures during the computation of a key.
    @TaskLocal static var current: FileWitness?

    private let state = Mutex<[String: FileSignature?]>([:])

    func saw(_ path: FilePath, _ signature: FileSignature?) {
        state.withLock { $0[path.string] = .some(signature) }
    }

    var signatures: [String: FileSignature?] { state.withLock { $0 } }
}
