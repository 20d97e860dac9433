import Diagnostics
import SystemPackage

/// How much a command may put into some folders, and what is said of one that puts more there.
///
/// The folders are looked at twice a second or, with many files, less often, since no file system has to have quotas: a command may get beyond the limit by
/// what it writes in that time.
public struct FolderQuota: Sendable, Hashable {
    /// The folders.
    public var folders: [FilePath]
    /// The most bytes of the disk that they may take together.
    public var bytes: Int
    /// The most files in them.
    public var files: Int
    /// What the failure is.
    public var code: ExitCode
    /// What the failure says.
    public var message: String
    /// What it advises.
    public var nextStep: String?

    /// Creates a quota.
    public init(
        folders: [FilePath], bytes: Int, files: Int, code: ExitCode, message: String, nextStep: String? = nil
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
        let usage = folders.map { SandboxFolder($0).usage(upTo: files) }
        let (used, count) = usage.reduce((0, 0)) { ($0.0 + $1.bytes, $0.1 + $1.files) }
        guard used > bytes || count >= files else { return }
        throw Failure(
            code, message,
            details: "\(used >> 20) MB in \(count) files; the limits are \(bytes >> 20) MB and \(files) files",
            nextStep: nextStep)
    }
}
