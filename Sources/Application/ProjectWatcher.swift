// SPDX-License-Identifier: Apache-2.0
import Artifacts
import FileSystem
import Glibc
import Project
import SystemPackage

/// Looks for changes in the files of a project.
///
/// It compares the `lstat` results of each file a few times a second: a project has hundreds of files, which takes
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

    /// How often a caller should look. A kernel tree has 80,000 files.
    public let interval: Duration

    /// Begins with the current files: the project's folder, and files outside it that the project file names.
    ///
    /// It ignores hidden files, files that the guest writes to its shares, and SwiftPM's own files.
    public init(_ project: Project) {
        let named =
            [project.file] + project.kernel.patches + project.configFragments + [project.rootfsDefinition]
            + project.modules.map(\.path)
            + project.tests.map { test in
                switch test {
                case .swift(let package, _, _, _): package
                case .program(let program): program.path
                case .kselftest, .kunit: project.file
                }
            }
        interval = project.kernelTree == nil ? .milliseconds(150) : .seconds(2)
        let places = project.kernelTree.map { [$0] } ?? []
        roots = places + [project.folder] + named.filter { !$0.starts(with: project.folder) }
        excluded = Set(project.shares.filter(\.isWritable).map(\.path))
        stamps = scan()
    }

    /// The files that were changed, added or removed since the last call, or since the beginning.
    public mutating func changes() -> [FilePath] {
        let now = scan()
        defer { stamps = now }
        let changed = now.filter { stamps[$0.key] != $0.value }.map(\.key)
        let gone = stamps.keys.filter { now[$0] == nil }
        return (changed + gone).sorted { $0.string < $1.string }
    }

    private func scan() -> [FilePath: Stamp] {
        var found: [FilePath: Stamp] = [:]
        for root in roots {
            var visitor = Visitor(parent: root.removingLastComponent(), excluded: excluded, found: found)
            var walker = TreeWalker<Visitor>()
            walker.walk(root, &visitor)
            found = visitor.found
        }
        return found
    }

    private struct Visitor: TreeVisitor {
        let parent: FilePath
        let excluded: Set<FilePath>
        var found: [FilePath: Stamp]

        func select(_ names: inout [[UInt8]], in prefix: [UInt8]) {
            guard !prefix.isEmpty else { return }
            names.removeAll { $0.first == UInt8(ascii: ".") || $0 == Array("Package.resolved".utf8) }
        }

        mutating func visit(_ entry: TreeEntry) -> TreeStep {
            let path = parent.pushing(FilePath(entry.path))
            let status = entry.status
            if entry.isFolder { return excluded.contains(path) ? .skip : .enter }
            guard entry.kind == S_IFREG else { return .skip }
            found[path] = Stamp(
                inode: status.st_ino, size: status.st_size, seconds: status.st_mtim.tv_sec,
                nanoseconds: status.st_mtim.tv_nsec)
            return .skip
        }

        // A file that is removed while it is read is reported the next time, and an unreadable file cannot change a
        // run.
        func meet(_ obstacle: TreeObstacle) {}
    }
}
