// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import SystemPackage

/// The limit on what a command may write to some folders, and the failure when it writes more.
///
/// The folders are checked twice a second or, with many files, less often, because not every file system has quotas. A
/// command may exceed the limit by what it writes between two checks.
public struct FolderQuota: Sendable, Hashable {
    /// The folders.
    public var folders: [FilePath]
    /// The most bytes on the disk for all folders together.
    public var bytes: Int
    /// The most files in all folders together.
    public var files: Int
    /// The failure's exit code.
    public var code: ExitStatus
    /// The failure's message.
    public var message: String
    /// The failure's next step.
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

    /// Checks whether the folders exceed the limit.
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
            // An uncountable folder exceeds the limit: a command could hide its files there.
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
