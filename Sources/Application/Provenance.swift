// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import KernelSource
import Project
import SystemPackage

/// Where a project's inputs come from.
///
/// The project's own inputs are the files in its folder, all links followed: their author also writes the project file,
/// and could name any command there. The system's inputs are files that only root can change and that a package
/// installed: a user who can change them can also change the compiler. All other inputs are foreign.
struct Provenance: Sendable {
    /// The origin of an input.
    enum Origin: Sendable, Hashable {
        /// From the project.
        case own
        /// From the system.
        case system
        /// From someone else, with the reason: "is from outside of the project".
        case foreign(String)

        var isForeign: Bool { if case .foreign = self { true } else { false } }
    }

    /// The kind of an input, by its name in messages.
    enum Kind: String, Sendable {
        case patch = "the patch"
        case kernelSource = "the kernel source"
        case configFragment = "the configuration fragment"
        case module = "the kernel module"
        case testPackage = "the test package"
        case testProgram = "the test program"
        case rootfsDefinition = "the root file system's definition"
        case rootfsFile = "the root file system's file"
        case initSources = "the sources of init"
    }

    /// Something that a project names and that makes code run: on the host, or in the guest.
    struct Input: Sendable, Hashable {
        var kind: Kind
        /// The name that the user knows.
        var name: String
        var origin: Origin

        /// "the patch /x is from outside of the project"; nil for one that is not foreign.
        var remark: String? {
            guard case .foreign(let reason) = origin else { return nil }
            return "\(kind.rawValue) \(name) \(reason)"
        }
    }

    /// The project's folder, all links followed.
    private let home: FilePath
    /// All inputs, in the order of the project file's keys.
    let inputs: [Input]

    /// The inputs that are neither the project's own nor the system's.
    var foreign: [Input] { inputs.filter(\.origin.isForeign) }

    /// Whether the kernel's build has a foreign part: make then runs its author's code.
    var hasForeignKernel: Bool { has([.patch, .kernelSource, .configFragment, .module]) }
    /// Whether results of the kernel's build depend on authors who do not trust each other: the source is the same for
    /// all of them.
    var hasForeignContribution: Bool { has([.patch, .configFragment]) }
    /// Whether the header with the system calls' numbers holds text of a foreign patch.
    var hasForeignNumbers: Bool { has([.patch]) }

    private func has(_ kinds: Set<Kind>) -> Bool { foreign.contains { kinds.contains($0.kind) } }

    static let outside = "is from outside of the project"
    static let git = "comes from a git repository"

    /// Finds the origin of all inputs of a project.
    ///
    /// - Parameter rootfsFiles: The files of the host that the root file system's definition names.
    init(of project: Project, rootfsFiles: [FilePath] = []) {
        let home = Self.resolved(project.folder)
        self.home = home
        func input(_ kind: Kind, _ path: FilePath) -> Input {
            Input(kind: kind, name: path.string, origin: Self.origin(of: path, home: home))
        }
        var inputs = project.kernel.patches.map { input(.patch, $0) }
        inputs.append(Self.kernelSource(of: project, home: home))
        inputs += project.configFragments.map { path in
            // The configuration of the user's tree belongs to the user, as its sources do.
            let isOfTree = project.kernelTree.map { Self.resolved(path) == Self.resolved($0.appending(".config")) }
            return isOfTree == true
                ? Input(kind: .configFragment, name: path.string, origin: .own) : input(.configFragment, path)
        }
        inputs += project.modules.map { input(.module, $0.path) }
        for test in project.tests {
            switch test {
            case .swift(let package, _, _, _):
                var package = input(.testPackage, package)
                if !package.origin.isForeign, let path = Self.foreignDependency(of: FilePath(package.name), home: home)
                {
                    package.origin = .foreign("depends on \(path), which \(Self.outside)")
                }
                inputs.append(package)
            case .program(let program):
                var input = input(.testProgram, program.path)
                // Headers are beside a C file.
                let folder = program.path.removingLastComponent()
                if program.isSource, input.origin == .own,
                    let link = Self.linkOut(of: Self.resolved(folder), home: home, depth: 1)
                {
                    input.origin = .foreign("has \(link) beside it, a link to what \(Self.outside)")
                }
                inputs.append(input)
            // These are in the kernel's tree.
            case .kselftest, .kunit: break
            }
        }
        inputs.append(input(.rootfsDefinition, project.rootfsDefinition))
        inputs.append(
            input(.initSources, project.rootfsDefinition.removingLastComponent().appending(Self.initFolder)))
        inputs += rootfsFiles.map { input(.rootfsFile, $0) }
        self.inputs = inputs
    }

    /// The folder of init's sources, beside the root file system's definition.
    static let initFolder = "init"

    /// Whether the code at `path`, and the packages that it names, are the project's own or the system's.
    func isTrusted(_ path: FilePath) -> Bool {
        // The decision on an input counts, with its links and the packages that it names.
        if let known = inputs.first(where: { $0.name == path.string }) { return !known.origin.isForeign }
        return !Self.origin(of: path, home: home).isForeign
    }

    /// Refuses a file of a foreign folder that is a link to another place. kbuild reads the file itself, outside any
    /// sandbox: a program beside it in the guest could then print the contents, and so could an error message.
    ///
    /// - Throws: `Failure` (`usage`).
    static func checkLink(_ kind: Kind, _ file: FilePath, of project: Project) throws(Failure) {
        guard project.sandbox != .off else { return }
        let (home, folder, real) = (
            resolved(project.folder), resolved(file.removingLastComponent()), resolved(file)
        )
        guard !folder.starts(with: home), !real.starts(with: folder), !real.starts(with: home), !isOfSystem(folder),
            !isOfSystem(real)
        else { return }
        throw Failure(
            .usage, "\(kind.rawValue) \(file) \(outside) and is a link to \(real), which is not beside it",
            nextStep: "name \(real) itself, or copy it there")
    }

    /// Refuses a foreign definition of the root file system that puts other files of the host into the guest than its
    /// own: kbuild reads them itself, outside any sandbox, and a program in the guest could then print them.
    ///
    /// - Throws: `Failure` (`usage`).
    func checkFiles(named files: [FilePath], by definition: FilePath) throws(Failure) {
        guard Self.origin(of: definition, home: home).isForeign else { return }
        let folder = Self.resolved(definition).removingLastComponent()
        for file in files {
            let real = Self.resolved(file)
            guard !real.starts(with: folder), !Self.isOfSystem(real) else { continue }
            throw Failure(
                .usage, "\(definition) \(Self.outside) and names \(file), which is neither beside it nor of a package",
                nextStep: "copy the definition into the project, or name files in \(folder) or the system's")
        }
    }

    // MARK: One input

    private static func origin(of path: FilePath, home: FilePath) -> Origin {
        let real = resolved(path)
        if real.starts(with: home) {
            // A folder is foreign if a link in it leads to a foreign file.
            return linkOut(of: real, home: home).map { .foreign("holds \($0), a link to what \(outside)") } ?? .own
        }
        return isOfSystem(real) ? .system : .foreign(outside)
    }

    private static func kernelSource(of project: Project, home: FilePath) -> Input {
        let text = project.kernel.source
        let source = try? KernelSource(parsing: text, sha256: project.kernel.sha256, relativeTo: project.folder)
        let origin: Origin =
            switch source {
            case .debianPackage(let name):
                origin(of: FilePath("/usr/src").appending("\(name).tar.xz"), home: home)
            case .directory(let path), .prebuilt(.inTree(let path)):
                // A kernel tree's own links stay within it; the copy does not follow a link that leads out.
                resolved(path).starts(with: home) || path == project.kernelTree || path == project.commitTree
                    ? .own : .foreign(outside)
            case .tarball(let path, _), .prebuilt(.installed(let path, _)), .prebuilt(.package(let path)):
                origin(of: path, home: home)
            // Everyone who can write to the repository can change the ref.
            case .git: .foreign(git)
            // The step that would use an unreadable source refuses it.
            case nil: .foreign(outside)
            }
        return Input(kind: .kernelSource, name: text, origin: origin)
    }

    /// Finds a link in a folder that leads out of the project, and not to a file of the system; nil if there is none.
    /// It ignores hidden files, such as a build's own folder.
    ///
    /// - Parameter depth: How many levels of folders are searched: sources are at most 64 deep.
    private static func linkOut(of folder: FilePath, home: FilePath, depth: Int = 64) -> FilePath? {
        guard depth > 0, let names = try? namesInFolder(folder) else { return nil }
        for name in names.sorted() where !name.hasPrefix(".") {
            let path = folder.appending(name)
            switch FileStatus(path)?.kind {
            case .link?:
                let target = resolved(path)
                if !target.starts(with: home), !isOfSystem(target) { return path }
            case .folder?:
                if let found = linkOut(of: path, home: home, depth: depth - 1) { return found }
            default: break
            }
        }
        return nil
    }

    /// The first package outside the project that a test package names by a path, directly or through packages of the
    /// project.
    ///
    /// The manifest is the project's own, so its text is not hostile; SwiftPM would run the manifests of all its
    /// dependencies.
    private static func foreignDependency(of package: FilePath, home: FilePath) -> FilePath? {
        var seen: Set<FilePath> = []
        var waiting = [package]
        while let next = waiting.popLast() {
            guard seen.insert(resolved(next)).inserted,
                let text = try? readText(next.appending("Package.swift"))
            else { continue }
            for match in text.matches(of: /\.package\s*\([^)]*?\bpath\s*:\s*"([^"]+)"/) {
                let path = next.pushing(FilePath(String(match.1))).lexicallyNormalized()
                if !resolved(path).starts(with: home) { return path }
                waiting.append(path)
            }
        }
        return nil
    }

    // MARK: The system's files

    /// The folders where packages install programs of this host, or the sources of host tools.
    private static let systemFolders: [FilePath] = [
        "/usr", "/bin", "/boot", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
    ]

    /// Whether only root can change a file, and the file is in a folder of Debian's packages. An archive in /usr/src
    /// must also be in the list of files of the package with its name: administrators put other people's sources there.
    static func isOfSystem(_ real: FilePath) -> Bool {
        guard systemFolders.contains(where: { real.starts(with: $0) }), !real.starts(with: "/usr/local"),
            onlyRootChanges(real)
        else { return false }
        guard real.starts(with: "/usr/src") else { return true }
        guard let file = real.lastComponent?.string, let name = file.split(separator: ".tar").first else {
            return false
        }
        let list = FilePath("/var/lib/dpkg/info").appending("\(name).list")
        return ((try? readText(list)) ?? "").textLines().contains { $0 == real.string }
    }

    /// Whether root owns a file and every folder above it, and no other user may write to them.
    static func onlyRootChanges(_ path: FilePath) -> Bool {
        var path = path
        while true {
            guard let status = FileStatus(path), status.owner == 0, status.permissions & 0o022 == 0 else {
                return false
            }
            if path.components.isEmpty { return true }
            path.removeLastComponent()
        }
    }

    /// A path with all links followed.
    static func resolved(_ path: FilePath) -> FilePath {
        resolvedPath(path) ?? path.lexicallyNormalized()
    }
}
