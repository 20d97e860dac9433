// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// A folder that a sandboxed command wrote to, whose contents are untrusted.
struct SandboxFolder {
    let path: FilePath

    init(_ path: FilePath) {
        self.path = path
    }

    /// Calls `body` with the folder and everything in it, a folder before its contents, without following links.
    ///
    /// - Throws: `Failure` (`build`) for what cannot be read; what `body` throws.
    private func visit(_ body: @escaping (TreeEntry) throws(Failure) -> Void) throws(Failure) {
        var visitor = Visitor(parent: path.removingLastComponent(), body: body)
        var walker = TreeWalker<Visitor>()
        try walker.walk(path, &visitor)
    }

    private struct Visitor: TreeVisitor {
        let parent: FilePath
        let body: (TreeEntry) throws(Failure) -> Void

        func visit(_ entry: TreeEntry) throws(Failure) -> TreeStep {
            try body(entry)
            return .enter
        }

        func meet(_ obstacle: TreeObstacle) throws(Failure) {
            throw Failure(
                .build, "cannot read the build's output folder",
                details: "\(shortened("\(parent)/\(obstacle.path)")): \(obstacle.explanation)")
        }
    }

    /// The path of an entry of the folder, for messages and for calls that do not take a descriptor.
    private func location(_ entry: TreeEntry) -> String { "\(path.removingLastComponent())/\(entry.path)" }

    /// Creates the folder and gives it, with its contents, to `user`.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    func chown(to user: UInt32?) throws(Failure) {
        if FileStatus(path) == nil {
            guard mkdir(path.string, 0o755) == 0 else {
                throw Failure(
                    .infrastructure, "cannot create the folder \(path)", details: String(cString: strerror(errno)))
            }
        }
        guard let user else { return }
        try visit { (entry) throws(Failure) in
            guard entry.status.st_uid != user else { return }
            // By the folder's descriptor, because the path may lead elsewhere now.
            let result = entry.withName { fchownat(entry.folder, $0, user, user, AT_SYMLINK_NOFOLLOW) }
            guard result != 0 else { return }
            throw Failure(
                .infrastructure, "cannot give \(shortened(location(entry))) to the sandbox's user",
                details: String(cString: strerror(errno)))
        }
    }

    /// The disk usage of the folder. Counting ends beyond the limit of `files`.
    func usage(upTo files: Int) -> TreeUsage {
        var counter = TreeUsageCounter()
        return counter.usage(of: path, most: files)
    }

    /// Checks that the folder contains only files, folders, and links that stay within `roots`.
    ///
    /// - Throws: `Failure` (`build`) that names the first other file.
    func inspect(allowing roots: [FilePath]) throws(Failure) {
        try visit { (entry) throws(Failure) in
            func refuse(_ what: String) -> Failure {
                Failure(
                    .build, "the build left \(what) in its folder, which no build needs",
                    details: shortened(location(entry)),
                    nextStep: "look for what made it in the patches: kbuild reads nothing of this build")
            }
            switch entry.kind {
            case S_IFDIR: break
            case S_IFREG where entry.status.st_mode & (S_ISUID | S_ISGID) == 0: break
            case S_IFREG: throw refuse("a setuid or setgid file")
            case S_IFLNK:
                // The target of a dangling link cannot be checked, and could be created later.
                guard let place = resolvedPath(FilePath(location(entry))) else { throw refuse("a link to nothing") }
                guard roots.contains(where: { place.starts(with: resolvedPath($0) ?? $0) }) else {
                    throw refuse("a link to \(place)")
                }
            default: throw refuse("a device, pipe or socket")
            }
        }
    }
}
