// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// The disk usage of trees.
public struct TreeUsage: Sendable, Equatable {
    /// The bytes on the disk, as `du` counts them.
    public var bytes = 0
    /// The number of files, links and folders.
    public var files = 0
    /// The first file or folder that could not be read; the files below it are not counted.
    public var obstacle: TreeObstacle?

    /// Creates a usage.
    public init(bytes: Int = 0, files: Int = 0, obstacle: TreeObstacle? = nil) {
        self.bytes = bytes
        self.files = files
        self.obstacle = obstacle
    }
}

/// Counts the disk usage of trees.
public struct TreeUsageCounter: Sendable {
    private struct File: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    /// Whether a file with several hard links is counted once, in the first tree that has it.
    public var countsFilesOnce = false
    private var known: Set<File> = []

    /// Creates a counter that has not counted a file yet.
    public init(countsFilesOnce: Bool = false) {
        self.countsFilesOnce = countsFilesOnce
    }

    /// Counts `path` and everything below it; a missing path counts as 0 bytes.
    ///
    /// - Parameter most: Counting ends after this many files.
    public mutating func usage(of path: FilePath, most: Int = .max) -> TreeUsage {
        var walker = TreeWalker<Visitor>()
        walker.mostNames = most
        var visitor = Visitor(counter: self)
        walker.walk(path, &visitor)
        self = visitor.counter
        return visitor.usage
    }

    private struct Visitor: TreeVisitor {
        var counter: TreeUsageCounter
        var usage = TreeUsage()

        mutating func visit(_ entry: TreeEntry) -> TreeStep {
            if counter.countsFilesOnce, entry.status.st_nlink > 1, !entry.isFolder {
                let file = File(device: UInt64(entry.status.st_dev), inode: UInt64(entry.status.st_ino))
                guard counter.known.insert(file).inserted else { return .skip }
            }
            usage.bytes += Int(entry.status.st_blocks) * 512
            usage.files += 1
            return .enter
        }

        mutating func meet(_ obstacle: TreeObstacle) {
            // A file that is removed meanwhile counts as 0 bytes.
            if !obstacle.isGone, usage.obstacle == nil { usage.obstacle = obstacle }
        }
    }
}
