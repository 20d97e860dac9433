// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

/// Finds the shared libraries that programs need, as the dynamic loader would on this host.
struct LibraryClosure {
    /// A library that must exist at run time.
    struct Library: Hashable, Sendable {
        /// The name by which other files need it.
        var name: String
        /// Its path on the host, with links resolved.
        var path: FilePath
        /// Whether it came from one of `toolchainFolders`.
        var isFromToolchain: Bool
    }

    /// Searched after a file's own run path: the folders of the Swift toolchain's libraries.
    var toolchainFolders: [FilePath]
    /// Searched last: the folders of the host's dynamic loader.
    var systemFolders: [FilePath]

    /// The libraries that `roots` need, directly or through others, and those roots that are named.
    ///
    /// A library beside an executable of `executables` is copied with it, so it is not listed; the libraries that it
    /// needs are.
    ///
    /// - Parameters:
    ///   - libraries: Names of libraries that are always needed.
    ///   - executables: Programs whose needs are covered.
    /// - Throws: `Failure` (`infrastructure`) when a library is missing or a file is not a 64-bit ELF file.
    func libraries(named libraries: [String], coveringExecutables executables: [FilePath]) throws(Failure)
        -> [Library]
    {
        var found: [String: Library] = [:]
        var travelling: Set<String> = []
        // Names to look up, with the file that needs each.
        var open: [(name: String, user: User)] = []
        for executable in executables {
            let user = try User(executable, travelsFrom: executable.removingLastComponent())
            open += user.file.needed.map { ($0, user) }
            if let interpreter = user.file.interpreter {
                found[interpreter] = try loader(interpreter, of: user)
            }
        }
        open += libraries.map { ($0, User.none) }

        while let (name, user) = open.popLast() {
            // A loader is found by its path, and libraries also need it by its name.
            if found[name] != nil || travelling.contains(name) { continue }
            guard let path = locate(name, for: user) else {
                throw Failure(
                    .infrastructure, "the shared library \(name) was not found",
                    details: user.path.map { "\($0) needs it" },
                    nextStep: "install the package that holds it, or check that swiftc on PATH is a whole toolchain")
            }
            let travels = user.travelsFrom.map { path.removingLastComponent() == $0 } ?? false
            let next = try User(path, travelsFrom: travels ? user.travelsFrom : nil)
            if travels {
                travelling.insert(name)
            } else {
                let isFromToolchain = toolchainFolders.contains(path.removingLastComponent())
                found[name] = Library(name: name, path: Self.resolved(path), isFromToolchain: isFromToolchain)
            }
            open += next.file.needed.map { ($0, next) }
        }
        return found.values.sorted { $0.name < $1.name }
    }

    /// A file whose needed libraries are looked up.
    private struct User {
        static let none = User()

        var path: FilePath?
        var file: ELFFile
        var travelsFrom: FilePath?

        private init() {
            file = ELFFile(machine: 0)
        }

        init(_ path: FilePath, travelsFrom: FilePath?) throws(Failure) {
            self.path = path
            file = try ELFFile(path)
            self.travelsFrom = travelsFrom
        }

        /// The folders of its run path, with `$ORIGIN` filled in.
        var folders: [FilePath] {
            guard let path else { return [] }
            let origin = path.removingLastComponent().string
            return file.runpath.compactMap { entry in
                for variable in ["$ORIGIN", "${ORIGIN}"] where entry.hasPrefix(variable) {
                    return FilePath(origin + entry.dropFirst(variable.count)).lexicallyNormalized()
                }
                return entry.hasPrefix("/") ? FilePath(entry).lexicallyNormalized() : nil
            }
        }
    }

    private func locate(_ name: String, for user: User) -> FilePath? {
        if name.hasPrefix("/") { return fileExists(FilePath(name)) ? FilePath(name) : nil }
        for folder in user.folders + toolchainFolders + systemFolders {
            let path = folder.appending(name)
            // The loader skips libraries of another architecture, which multilib folders contain.
            guard fileExists(path), let file = try? ELFFile(path) else { continue }
            if user.file.machine == 0 || file.machine == user.file.machine { return path }
        }
        return nil
    }

    private func loader(_ path: String, of user: User) throws(Failure) -> Library {
        guard fileExists(FilePath(path)) else {
            throw Failure(
                .infrastructure, "the dynamic loader \(path) was not found",
                details: user.path.map { "\($0) is started by it" })
        }
        return Library(name: path, path: Self.resolved(FilePath(path)), isFromToolchain: false)
    }

    static func resolved(_ path: FilePath) -> FilePath {
        resolvedPath(path) ?? path
    }

    /// The folders of this host's dynamic loader: those of ld.so.conf(5), then its built-in ones.
    static func hostFolders(configuration: FilePath = "/etc/ld.so.conf") -> [FilePath] {
        var folders = configured(configuration, depth: 0)
        for name in ["/lib64", "/usr/lib64", "/lib", "/usr/lib"] where isFolder(FilePath(name)) {
            folders.append(FilePath(name))
        }
        var seen: Set<FilePath> = []
        return folders.filter { seen.insert($0).inserted }
    }

    private static func configured(_ file: FilePath, depth: Int) -> [FilePath] {
        guard depth < 4, let text = try? readText(file) else { return [] }
        var folders: [FilePath] = []
        for line in text.textLines() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)
            if words.first == "include" {
                for pattern in words.dropFirst() {
                    for path in matches(FilePath(pattern), relativeTo: file) {
                        folders += configured(path, depth: depth + 1)
                    }
                }
            } else if let path = words.first, path.hasPrefix("/") {
                folders.append(FilePath(path))
            }
        }
        return folders
    }

    /// The files that match an include pattern. Distributions write `folder/*.conf`, so only this form is supported.
    private static func matches(_ pattern: FilePath, relativeTo file: FilePath) -> [FilePath] {
        let folder = file.removingLastComponent().pushing(pattern.removingLastComponent())
        guard let last = pattern.lastComponent?.string else { return [] }
        guard last.hasPrefix("*") else { return [folder.appending(last)] }
        let names = (try? namesInFolder(folder)) ?? []
        return names.filter { $0.hasSuffix(String(last.dropFirst())) }.map { folder.appending($0) }
    }
}
