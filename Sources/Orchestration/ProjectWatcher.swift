import Artifacts
import Diagnostics
import Glibc
import SystemPackage

/// Looks for changes in the files that a project is made of.
///
/// It compares what `lstat` says of each file a few times a second: a project has hundreds of files, which takes
/// milliseconds, and unlike inotify it works the same on every file system and cannot miss a folder that was just made.
public struct ProjectWatcher: Sendable {
    private struct Stamp: Equatable {
        var inode: UInt
        var size: Int
        var seconds: Int
        var nanoseconds: Int
    }

    private let roots: [FilePath]
    private let excluded: Set<FilePath>
    private var stamps: [FilePath: Stamp] = [:]

    /// How often a caller does well to look.
    public static let interval: Duration = .milliseconds(150)

    /// Begins with the files as they are now: the project's folder, and what the project file names outside of it.
    ///
    /// Left out are hidden files, what the guest writes to its shares, and what SwiftPM keeps.
    public init(_ project: Project) {
        let named =
            [project.file] + project.kernel.patches + project.configFragments + [project.rootfsDefinition]
            + project.tests.map { test in
                switch test {
                case .swift(let package, _, _, _): package
                case .program(let program): program.path
                case .kselftest, .kunit: project.file
                }
            }
        roots = [project.folder] + named.filter { !$0.starts(with: project.folder) }
        excluded = Set(project.shares.filter(\.isWritable).map(\.path))
        stamps = scan()
    }

    /// The files that have changed, come or gone since the last call, or since the beginning.
    public mutating func changes() -> [FilePath] {
        let now = scan()
        defer { stamps = now }
        let changed = now.filter { stamps[$0.key] != $0.value }.map(\.key)
        let gone = stamps.keys.filter { now[$0] == nil }
        return (changed + gone).sorted { $0.string < $1.string }
    }

    private func scan() -> [FilePath: Stamp] {
        var found: [FilePath: Stamp] = [:]
        var pending = roots
        while let path = pending.popLast() {
            var status = stat()
            guard lstat(path.string, &status) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                guard !excluded.contains(path) else { continue }
                // A folder that goes while it is read is seen as gone the next time.
                let names = (try? namesInFolder(path)) ?? []
                pending += names.filter { !$0.hasPrefix(".") && $0 != "Package.resolved" }.map { path.appending($0) }
            case S_IFREG:
                found[path] = Stamp(
                    inode: status.st_ino, size: status.st_size, seconds: status.st_mtim.tv_sec,
                    nanoseconds: status.st_mtim.tv_nsec)
            default: break
            }
        }
        return found
    }
}
