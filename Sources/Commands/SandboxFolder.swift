import Diagnostics
import Glibc
import SystemPackage

/// A folder that a sandboxed command wrote to, and may have filled with traps.
struct SandboxFolder {
    let path: FilePath

    init(_ path: FilePath) {
        self.path = path
    }

    /// Something in the folder.
    private struct Entry {
        var path: String
        var status: stat
        var kind: mode_t { status.st_mode & S_IFMT }
    }

    /// Calls `body` with the folder and all that is in it, a folder before what it holds, following no link, until it
    /// returns false.
    ///
    /// - Parameter isChanging: Whether things may go away meanwhile.
    /// - Throws: `Failure` (`build`) for what cannot be looked at; what `body` throws.
    private func visit(isChanging: Bool = false, _ body: (Entry) throws(Failure) -> Bool) throws(Failure) {
        var waiting = [path.string]
        while let next = waiting.popLast() {
            var status = stat()
            guard lstat(next, &status) == 0 else {
                if isChanging { continue }
                throw Self.unreadable(next)
            }
            let entry = Entry(path: next, status: status)
            guard try body(entry) else { return }
            guard entry.kind == S_IFDIR else { continue }
            guard let stream = opendir(next) else {
                if isChanging { continue }
                throw Self.unreadable(next)
            }
            defer { closedir(stream) }
            while let item = readdir(stream) {
                let name = withUnsafePointer(to: &item.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { waiting.append("\(next)/\(name)") }
            }
        }
    }

    private static func unreadable(_ path: String) -> Failure {
        let reason = String(cString: strerror(errno))
        return Failure(.build, "cannot look at what the sandbox left", details: "\(path): \(reason)")
    }

    /// Makes the folder and gives it, with all that is in it, to `user`.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    func handOver(to user: UInt32?) throws(Failure) {
        var status = stat()
        if lstat(path.string, &status) != 0 {
            guard mkdir(path.string, 0o755) == 0, lstat(path.string, &status) == 0 else {
                throw Failure(
                    .infrastructure, "cannot create the folder \(path)", details: String(cString: strerror(errno)))
            }
        }
        guard let user else { return }
        try visit { (entry) throws(Failure) in
            if entry.status.st_uid != user, lchown(entry.path, user, user) != 0 {
                throw Failure(
                    .infrastructure, "cannot give \(entry.path) to the sandbox's user",
                    details: String(cString: strerror(errno)))
            }
            return true
        }
    }

    /// How much is in the folder. Counting ends at `files`: more is too much.
    func usage(upTo files: Int) -> (bytes: Int, files: Int) {
        var usage = (bytes: 0, files: 0)
        // What goes away meanwhile takes no room. Nothing throws.
        try? visit(isChanging: true) { entry in
            usage.bytes += Int(entry.status.st_blocks) * 512
            usage.files += 1
            return usage.files < files
        }
        return usage
    }

    /// Makes sure that what is in the folder is files, folders, and links that stay within `roots`.
    ///
    /// - Throws: `Failure` (`build`) that names what is not.
    func inspect(allowing roots: [FilePath]) throws(Failure) {
        try visit { (entry) throws(Failure) in
            func refuse(_ what: String) -> Failure {
                Failure(
                    .build, "the build left \(what) in its folder, which no build needs", details: entry.path,
                    nextStep: "look for what made it in the patches: kbuild reads nothing of this build")
            }
            switch entry.kind {
            case S_IFDIR: break
            case S_IFREG where entry.status.st_mode & (S_ISUID | S_ISGID) == 0: break
            case S_IFREG: throw refuse("a setuid or setgid file")
            case S_IFLNK:
                // A link to nothing cannot be followed, and the folders on its way could come to be.
                guard let target = realpath(entry.path, nil) else { throw refuse("a link to nothing") }
                defer { free(target) }
                let place = FilePath(String(cString: target))
                guard roots.contains(where: { place.starts(with: Self.resolved($0)) }) else {
                    throw refuse("a link to \(place)")
                }
            default: throw refuse("a device, pipe or socket")
            }
            return true
        }
    }

    private static func resolved(_ path: FilePath) -> FilePath {
        guard let target = realpath(path.string, nil) else { return path }
        defer { free(target) }
        return FilePath(String(cString: target))
    }
}
