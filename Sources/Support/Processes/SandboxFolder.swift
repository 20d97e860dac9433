// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// A folder that a sandboxed command wrote to, and may have filled with traps.
struct SandboxFolder {
    let path: FilePath

    init(_ path: FilePath) {
        self.path = path
    }

    /// Calls `body` with the folder and all that is in it, a folder before what it holds, following no link.
    ///
    /// - Throws: `Failure` (`build`) for what cannot be looked at; what `body` throws.
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

    /// The path of something in the folder, for people and for what takes no descriptor.
    private func location(_ entry: TreeEntry) -> String { "\(path.removingLastComponent())/\(entry.path)" }

    /// Makes the folder and gives it, with all that is in it, to `user`.
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
            // By the folder's descriptor: a path could lead elsewhere by now.
            let result = entry.withName { fchownat(entry.folder, $0, user, user, AT_SYMLINK_NOFOLLOW) }
            guard result != 0 else { return }
            throw Failure(
                .infrastructure, "cannot give \(shortened(location(entry))) to the sandbox's user",
                details: String(cString: strerror(errno)))
        }
    }

    /// How much is in the folder. Counting ends at `files`: more is too much.
    func usage(upTo files: Int) -> TreeUsage {
        var counter = TreeUsageCounter()
        return counter.usage(of: path, most: files)
    }

    /// Makes sure that what is in the folder is files, folders, and links that stay within `roots`.
    ///
    /// - Throws: `Failure` (`build`) that names what is not.
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
                // A link to nothing cannot be followed, and the folders on its way could come to be.
                guard let place = resolvedPath(FilePath(location(entry))) else { throw refuse("a link to nothing") }
                guard roots.contains(where: { place.starts(with: resolvedPath($0) ?? $0) }) else {
                    throw refuse("a link to \(place)")
                }
            default: throw refuse("a device, pipe or socket")
            }
        }
    }
}
