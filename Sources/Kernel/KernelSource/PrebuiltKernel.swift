// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import SystemPackage

/// A kernel that kbuild boots and neither patches nor configures: one that is installed, in a distribution's package,
/// or built by make in the user's own tree.
public enum PrebuiltKernel: Sendable, Hashable {
    /// An installed kernel: its image, such as /boot/vmlinuz-6.1.0-56-amd64, and its release.
    case installed(image: FilePath, release: String)
    /// A Debian package linux-image-*.
    case package(FilePath)
    /// The user's tree, in which make brings the kernel up to date.
    case inTree(FilePath)

    /// The folder of installed kernels.
    public static let bootFolder = FilePath("/boot")
    private static let imagePrefix = "vmlinuz-"
    private static let packageSuffix = ".deb"
    /// The prefix of the text that names a tree to build in.
    public static let inTreePrefix = "in-tree:"

    /// Parses the path of an image or of a package, a release, such as 6.1.0-56-amd64, or `in-tree:FOLDER`.
    ///
    /// - Parameter base: The base of relative paths.
    /// - Returns: nil for any other text, which may be a source.
    init?(parsing text: String, relativeTo base: FilePath) {
        if text.hasPrefix(Self.inTreePrefix) {
            let tree = String(text.dropFirst(Self.inTreePrefix.count))
            guard !tree.isEmpty else { return nil }
            self = .inTree(base.pushing(FilePath(tree)).lexicallyNormalized())
            return
        }
        let path = base.pushing(FilePath(text)).lexicallyNormalized()
        let name = path.lastComponent?.string ?? ""
        if name.hasSuffix(Self.packageSuffix), name.count > Self.packageSuffix.count {
            self = .package(path)
        } else if text.contains("/"), name.hasPrefix(Self.imagePrefix), name.count > Self.imagePrefix.count {
            self = .installed(image: path, release: String(name.dropFirst(Self.imagePrefix.count)))
        } else if text.contains("/"), name == "vmlinuz",
            let release = path.removingLastComponent().lastComponent?.string, Self.isRelease(release)
        {
            // /lib/modules/RELEASE/vmlinuz, as some distributions have it.
            self = .installed(image: path, release: release)
        } else if Self.isRelease(text) {
            self = .installed(image: Self.bootFolder.appending(Self.imagePrefix + text), release: text)
        } else {
            return nil
        }
    }

    /// Whether a text can be what `uname -r` prints: three numbers with dots between them, and more.
    private static func isRelease(_ text: String) -> Bool {
        text.wholeMatch(of: #/[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+~_\-]*/#) != nil && !KernelSource.isTarball(text)
    }

    /// The release, as far as the name has it: nil for a package and for a tree.
    public var release: String? { if case .installed(_, let release) = self { release } else { nil } }

    /// Whether make builds it in the user's tree.
    public var isInTree: Bool { if case .inTree = self { true } else { false } }

    /// The releases of the kernels in /boot, for completions and messages.
    public static func installedReleases(in folder: FilePath = bootFolder) -> [String] {
        ((try? namesInFolder(folder)) ?? []).filter { $0.hasPrefix(imagePrefix) }
            .map { String($0.dropFirst(imagePrefix.count)) }.sorted()
    }
}

extension PrebuiltKernel: CustomStringConvertible {
    /// A text that `init(parsing:relativeTo:)` reads.
    public var description: String {
        switch self {
        case .installed(let image, _): image.string
        case .package(let path): path.string
        case .inTree(let tree): Self.inTreePrefix + tree.string
        }
    }
}

/// The files of a kernel that kbuild did not build.
public struct PrebuiltKernelFiles: Sendable, Equatable {
    /// Its release, as `uname -r` prints it.
    public var release: String
    /// The image, which firmware boots.
    public var image: FilePath
    /// Its configuration.
    public var config: FilePath
    /// The folder of its modules, which has modules.dep; nil when there is none.
    public var modules: FilePath?
    /// make's list of the modules that are part of the kernel, for a kernel without a folder of modules.
    public var builtIn = ""

    /// Finds the files of an installed kernel.
    ///
    /// - Parameter root: The folder whose lib/modules has the modules: / for an installed kernel.
    /// - Throws: `Failure` (`infrastructure`) when the image or the configuration is missing or not readable.
    public init(image: FilePath, release: String, root: FilePath = "/") throws(Failure) {
        (self.release, self.image) = (release, image)
        let folder = Self.modulesFolder(of: release, below: root)
        modules = fileExists(folder.appending(ModuleIndex.fileName)) ? folder : nil
        guard fileExists(image) else {
            let near = PrebuiltKernel.installedReleases()
            throw Failure(
                .infrastructure, "there is no kernel \(image)\(guess(for: release, among: near))",
                details: near.isEmpty ? nil : (["installed kernels:"] + near).joined(separator: "\n  "),
                nextStep: "name an installed kernel, a linux-image-*.deb, or a source")
        }
        guard isReadable(image) else {
            throw Failure(
                .infrastructure, "the kernel \(image) is not readable for this user",
                nextStep: "sudo chmod +r \(image)")
        }
        let places = [
            image.removingLastComponent().appending("config-\(release)"), folder.appending("config"),
            image.removingLastComponent().appending("config"),
        ]
        guard let config = places.first(where: isReadable) else {
            throw Failure(
                .infrastructure, "the configuration of the kernel \(release) is missing, or not readable",
                details: places.map { "there is no \($0)" }.joined(separator: "\n"),
                nextStep: "copy it to \(places[0])")
        }
        self.config = config
    }

    /// Finds what make has built in a tree for x86-64, except modules.
    ///
    /// - Throws: `Failure` (`build`) when the image, the configuration or the release is missing.
    public init(builtIn tree: FilePath) throws(Failure) {
        image = tree.pushing("arch/x86/boot/bzImage")
        config = tree.appending(".config")
        // What `make kernelrelease` prints, and modules_install names its folder after.
        let record = tree.pushing("include/config/kernel.release")
        for file in [image, config, record] where !isReadable(file) {
            throw Failure(
                .build, "make succeeded, but there is no \(file)", nextStep: "see what `make bzImage` in \(tree) prints"
            )
        }
        let line = ((try? readText(record)) ?? "").textLines().first.map { String($0) } ?? ""
        guard !line.isEmpty, !line.contains("/") else {
            throw Failure(.build, "\(record) has no kernel's release", nextStep: "make kernelrelease")
        }
        release = line
        builtIn = (try? readText(tree.appending(ModuleIndex.builtinName))) ?? ""
    }

    /// The folder of a kernel's modules, as `make modules_install` names it.
    public static func modulesFolder(of release: String, below root: FilePath) -> FilePath {
        root.pushing("lib/modules").appending(release)
    }

    /// Takes the modules that are installed below a folder in place of /.
    public mutating func takeModules(below root: FilePath) {
        let folder = Self.modulesFolder(of: release, below: root)
        modules = fileExists(folder.appending(ModuleIndex.fileName)) ? folder : nil
    }

    /// Finds the files of an unpacked package.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the package has no kernel, or more than one.
    public init(unpackedIn root: FilePath, package: FilePath) throws(Failure) {
        let boot = root.appending("boot")
        let releases = PrebuiltKernel.installedReleases(in: boot)
        guard releases.count == 1, let release = releases.first else {
            throw Failure(
                .infrastructure,
                releases.isEmpty
                    ? "\(package) has no kernel: there is no boot/vmlinuz-* in it"
                    : "\(package) has several kernels: \(releases.joined(separator: ", "))",
                details: releases.isEmpty
                    ? "A package such as linux-image-amd64 only depends on the package with the kernel." : nil,
                nextStep: "give the package linux-image-RELEASE: apt-get download linux-image-RELEASE")
        }
        try self.init(image: boot.appending("vmlinuz-\(release)"), release: release, root: root)
    }
}

private func isReadable(_ path: FilePath) -> Bool { access(path.string, R_OK) == 0 }

/// The modules of a kernel, by the index that depmod made.
public struct ModuleIndex: Sendable, Equatable {
    /// The index's name in the folder of the modules.
    public static let fileName = "modules.dep"
    static let builtinName = "modules.builtin"
    private static let softName = "modules.softdep"

    /// The paths of modules, relative to their folder, by their names.
    private var paths: [String: String] = [:]
    /// The names of the modules that a module needs.
    private var needs: [String: [String]] = [:]
    /// The names of the modules that are part of the kernel.
    private var builtin: Set<String> = []

    /// The index of a kernel without a folder of modules.
    ///
    /// - Parameter list: modules.builtin.
    public init(builtIn list: String) { self.init(dependencies: "", builtin: list) }

    /// Reads the index of a folder.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be read.
    public init(folder: FilePath) throws {
        self.init(
            dependencies: try readText(folder.appending(Self.fileName)),
            builtin: (try? readText(folder.appending(Self.builtinName))) ?? "",
            softDependencies: (try? readText(folder.appending(Self.softName))) ?? "")
    }

    /// Reads the texts of an index.
    ///
    /// - Parameters:
    ///   - dependencies: modules.dep: `kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko ...` on each line.
    ///   - builtin: modules.builtin: a path on each line.
    ///   - softDependencies: modules.softdep: `softdep NAME pre: A B post: C` on each line.
    init(dependencies: String, builtin: String, softDependencies: String = "") {
        for line in dependencies.textLines() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard let path = parts.first else { continue }
            let name = Self.name(ofPath: path)
            paths[name] = String(path)
            needs[name] = parts.count > 1 ? parts[1].split(separator: " ").map { Self.name(ofPath: $0) } : []
        }
        for line in builtin.textLines() { self.builtin.insert(Self.name(ofPath: line)) }
        for line in softDependencies.textLines() {
            let words = line.split(separator: " ").map(String.init)
            guard words.count > 3, words[0] == "softdep", words[2] == "pre:" else { continue }
            needs[Self.canonical(words[1]), default: []] += words[3...].prefix { $0 != "post:" }.map(Self.canonical)
        }
    }

    /// The module's name in a path: the file's name without `.ko` and a compression's suffix, with underscores, as
    /// lsmod prints it.
    private static func name(ofPath path: Substring) -> String {
        let file = path.split(separator: "/").last ?? path
        return canonical(String(file.split(separator: ".").first ?? file))
    }

    private static func canonical(_ name: String) -> String { name.replacing("-", with: "_") }

    /// Whether a module is part of the kernel.
    public func isBuiltIn(_ name: String) -> Bool { builtin.contains(name) }

    /// Whether the kernel has a module, as a file or built in.
    public func has(_ name: String) -> Bool { paths[name] != nil || builtin.contains(name) }

    /// The paths of modules and of all that they need, each after what it needs. Modules that are built in or missing
    /// are left out.
    public func loadOrder(of names: [String]) -> [String] {
        var order: [String] = []
        var seen: Set<String> = []
        func visit(_ name: String) {
            guard seen.insert(name).inserted, let path = paths[name] else { return }
            for need in needs[name] ?? [] { visit(need) }
            order.append(path)
        }
        for name in names { visit(name) }
        return order
    }
}
