// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import SystemPackage

/// How much a command may put into some folders, and what is said of one that puts more there.
///
/// The folders are looked at twice a second or, with many files, less often, since no file system has to have quotas: a
/// command may get beyond the limit by what it writes in that time.
public struct FolderQuota: Sendable, Hashable {
    /// The folders.
    public var folders: [FilePath]
    /// The most bytes of the disk that they may take together.
    public var bytes: Int
    /// The most files in them.
    public var files: Int
    /// What the failure is.
    public var code: ExitStatus
    /// What the failure says.
    public var message: String
    /// What it advises.
    public var nextStep: String?

    /// Creates a quota.
    public init(
        folders: [FilePath], bytes: Int, files: Int, code: ExitStatus, message: String, nextStep: String? = nil
    ) {
        self.folders = folders
        self.bytes = bytes
        self.files = files
        self.code = code
        self.message = message
        self.nextStep = nextStep
    }

    /// Looks whether the folders hold too much.
    ///
    /// - Throws: `Failure` when they do.
    func check() throws(Failure) {
        var (used, count) = (0, 0)
        for folder in folders {
            let usage = SandboxFolder(folder).usage(upTo: files)
            used += usage.bytes
            count += usage.files
            guard let obstacle = usage.obstacle, obstacle.reason != .tooMany else {
                if usage.obstacle != nil { count = max(count, files) }
                continue
            }
            // What cannot be counted is too much: a command could hide its files there.
            throw Failure(
                code, message,
                details: "its files cannot be counted: "
                    + "\(shortened("\(folder.removingLastComponent())/\(obstacle.path)")): \(obstacle.explanation)",
                nextStep: nextStep)
        }
        guard used > bytes || count >= files else { return }
        throw Failure(
            code, message,
            details: "\(used >> 20) MB in \(count) files; the limits are \(bytes >> 20) MB and \(files) files",
            nextStep: nextStep)
    }
}
